//! Numbers: constant, runs, steps, distances from a base, dictionary, or plain.

use arrow_buffer::ToByteSlice;

use super::super::layout::Order;
use super::super::packed::Packing;
use super::super::wide::{count_runs, extent};
use super::super::wire::put_u32;
use super::super::word::Word;
use super::{Encoder, tag};

/// Runs win if there are fewer than one per this many rows.
const ROWS_PER_RUN_MIN: usize = 12;
/// Words of two bytes get a dictionary of so many values, whose codes are packed in few bits.
const SHORT_DICTIONARY_MAX: usize = 64;
/// LZ4 of numbers must save this much, or reading them raw is better.
const SAVING_PERCENT_MIN: usize = 15;
/// The same of words at their full width: identifiers and hashes, which repeat by chance. Raw they are read at the
/// memory's speed, five times that of LZ4.
const SAVING_PERCENT_MIN_WIDE: usize = 25;
/// After so many values a dictionary that has met too few repeats is given up. Values that come often come all over
/// a granule: among few rows they repeat less.
const SAMPLE: usize = 1024;
const DICTIONARY_ROWS_MIN: usize = 1024;

impl Encoder {
    /// Appends the node of `values`.
    pub(super) fn words<T: Word>(&mut self, values: &[T], order: Order, out: &mut Vec<u8>) {
        if values.is_empty() {
            out.push(tag::EMPTY);
            return;
        }
        let runs = count_runs(values);
        if runs > 1 && runs * ROWS_PER_RUN_MIN < values.len() {
            self.runs(values, order, runs, out);
            return;
        }
        self.flat(values, order, runs == 1, true, out);
    }

    fn runs<T: Word>(&mut self, values: &[T], order: Order, runs: usize, out: &mut Vec<u8>) {
        let mut lengths: Vec<u32> = Vec::with_capacity(runs);
        let mut heads = Vec::with_capacity(runs);
        for run in values.chunk_by(|a, b| a == b) {
            lengths.push(run.len() as u32);
            heads.push(run[0]);
        }
        out.push(tag::RUNS);
        put_u32(out, runs as u32);
        self.flat(&lengths, Order::Unsigned, false, false, out);
        self.flat(&heads, order, false, false, out);
    }

    /// A node without runs; without a dictionary too unless `dictionary`.
    fn flat<T: Word>(
        &mut self,
        values: &[T],
        order: Order,
        constant: bool,
        dictionary: bool,
        out: &mut Vec<u8>,
    ) {
        if constant || values.len() == 1 {
            out.push(tag::CONSTANT);
            values[0].put(out);
            return;
        }
        let (base, span) = low_and_span(values, order);
        let narrow = bytes_for(span);
        if narrow > 1
            && narrow <= 8
            && order != Order::Float
            && let Some(step) = largest_step(values, order).filter(|s| bytes_for(*s) < narrow)
        {
            return self.delta(values, step, out);
        }
        let width = narrow.min(T::WIDTH);
        let packing = self.compressor.packing(width, bits_for(span));
        if dictionary
            && width >= 2
            && values.len() >= DICTIONARY_ROWS_MIN
            && self.number_dictionary(values, order, bits_stored(packing, width, span), out)
        {
            return;
        }
        if narrow < T::WIDTH || packing.is_some() {
            out.push(tag::FRAME);
            base.put(out);
            let distances = values.iter().map(|v| v.distance(base));
            self.narrow(distances, (packing, width), out);
        } else {
            out.push(tag::PLAIN);
            let saving = match self.compressor.is_quick() {
                true => SAVING_PERCENT_MIN_WIDE,
                false => SAVING_PERCENT_MIN,
            };
            self.compressor.payload(values.to_byte_slice(), saving, out);
        }
    }

    fn delta<T: Word>(&mut self, values: &[T], largest: u64, out: &mut Vec<u8>) {
        out.push(tag::DELTA);
        values[0].put(out);
        let width = bytes_for(largest);
        let packing = self.compressor.packing(width, bits_for(largest));
        let steps = values.iter().zip(&values[1..]).map(|(a, b)| b.distance(*a));
        self.narrow(steps, (packing, width), out);
    }

    /// A width and numbers that wide.
    fn narrow(
        &mut self,
        numbers: impl Iterator<Item = u64>,
        (packing, width): (Option<Packing>, usize),
        out: &mut Vec<u8>,
    ) {
        out.push(width as u8);
        let mut bytes = std::mem::take(&mut self.narrow);
        pack(numbers, width, &mut bytes);
        let words = bytes.len() / width;
        self.compressor.words(&bytes, (packing, words), SAVING_PERCENT_MIN, out);
        self.narrow = bytes;
    }

    /// Writes a dictionary node if it saves a fifth over `stored_bits` a row.
    fn number_dictionary<T: Word>(
        &mut self,
        values: &[T],
        order: Order,
        stored_bits: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let distinct_max = match stored_bits {
            0..=16 => SHORT_DICTIONARY_MAX,
            _ => values.len() / 8 * 5,
        };
        if values.len() > u16::MAX as usize {
            return false;
        }
        let slots = (values.len() * 2).next_power_of_two();
        let mut table = vec![0u16; slots];
        let mut distinct: Vec<T> = Vec::new();
        let mut codes: Vec<u16> = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            if row == SAMPLE && distinct.len() > SAMPLE / 4 * 3 {
                return false;
            }
            let hash = value.fold().wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut slot = (hash >> 32) as usize & (slots - 1);
            let code = loop {
                match table[slot] {
                    0 => {
                        if distinct.len() == distinct_max {
                            return false;
                        }
                        distinct.push(*value);
                        table[slot] = distinct.len() as u16;
                        break distinct.len() as u16 - 1;
                    }
                    c if distinct[c as usize - 1] == *value => break c - 1,
                    _ => slot = (slot + 1) & (slots - 1),
                }
            };
            codes.push(code);
        }
        let code_width = if distinct.len() <= 256 { 1 } else { 2 };
        let largest = distinct.len() as u64 - 1;
        let packing = self.compressor.packing(code_width, bits_for(largest));
        let code_bits = bits_stored(packing, code_width, largest);
        let bits = distinct.len() * T::WIDTH * 8 + codes.len() * code_bits;
        if bits * 5 > values.len() * stored_bits * 4 {
            return false;
        }
        out.push(tag::DICTIONARY);
        put_u32(out, distinct.len() as u32);
        self.flat(&distinct, order, false, false, out);
        self.codes(&codes, distinct.len(), out);
        true
    }

    /// Codes below `distinct`: one byte each if that many fit.
    pub(super) fn codes(&mut self, codes: &[u16], distinct: usize, out: &mut Vec<u8>) {
        if distinct <= 256 {
            let bytes: Vec<u8> = codes.iter().map(|c| *c as u8).collect();
            self.words(&bytes, Order::Unsigned, out);
        } else {
            self.words(codes, Order::Unsigned, out);
        }
    }
}

/// The least value and the largest distance from it (`u64::MAX` if narrowing is no use).
fn low_and_span<T: Word>(values: &[T], order: Order) -> (T, u64) {
    if order == Order::Float || !T::NARROWS {
        return (values[0], u64::MAX);
    }
    let (low, high) = extent(values, order);
    (low.rank(order), high.span(low))
}

/// The largest step if values never fall.
fn largest_step<T: Word>(values: &[T], order: Order) -> Option<u64> {
    let mut largest = 0;
    for (a, b) in values.iter().zip(&values[1..]) {
        let (a, b) = (a.rank(order), b.rank(order));
        if b < a {
            return None;
        }
        largest = largest.max(b.span(a));
    }
    Some(largest)
}

fn bits_for(span: u64) -> u32 {
    u64::BITS - span.leading_zeros()
}

/// Bits that a number up to `span` takes, before LZ4.
fn bits_stored(packing: Option<Packing>, width: usize, span: u64) -> usize {
    packing.map_or(width * 8, |_| bits_for(span) as usize)
}

fn bytes_for(span: u64) -> usize {
    match span {
        0..=0xFF => 1,
        0x100..=0xFFFF => 2,
        0x1_0000..=0xFFFF_FFFF => 4,
        u64::MAX => usize::MAX,
        _ => 8,
    }
}

fn pack(distances: impl Iterator<Item = u64>, width: usize, out: &mut Vec<u8>) {
    out.clear();
    match width {
        1 => out.extend(distances.map(|d| d as u8)),
        2 => pack_as(distances, out, |d| (d as u16).to_le_bytes()),
        4 => pack_as(distances, out, |d| (d as u32).to_le_bytes()),
        _ => pack_as(distances, out, |d| d.to_le_bytes()),
    }
}

fn pack_as<const N: usize>(
    distances: impl Iterator<Item = u64>,
    out: &mut Vec<u8>,
    bytes: impl Fn(u64) -> [u8; N],
) {
    out.resize(distances.size_hint().0 * N, 0);
    for (slot, distance) in out.as_chunks_mut::<N>().0.iter_mut().zip(distances) {
        *slot = bytes(distance);
    }
}
