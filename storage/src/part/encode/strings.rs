//! Strings and fixed bytes: constant, dictionary of the granule, or lengths apart from bytes.

use xxhash_rust::xxh3::xxh3_64;

use super::super::layout::Order;
use super::super::wire::{put_bytes, put_u32};
use super::{Encoder, tag};
use crate::same_bytes::is_same_bytes;

const SAVING_PERCENT_MIN: usize = 10;
/// Texts of so few bytes, short dictionaries mostly, are little of a table, and decoding them is much of a query:
/// LZ4 must save this much.
const SHORT_BYTES: usize = 20 << 10;
const SAVING_PERCENT_MIN_SHORT: usize = 60;
/// Rows after which a dictionary that has met too few repeats is given up.
const SAMPLE: usize = 1024;
const DICTIONARY_ROWS_MIN: usize = 8;

/// Byte strings of a granule: Arrow offsets, or a fixed width.
#[derive(Clone, Copy)]
pub(super) struct Slices<'a> {
    /// One more than there are strings; empty if the width is fixed.
    offsets: &'a [i32],
    width: usize,
    data: &'a [u8],
}

impl<'a> Slices<'a> {
    pub(super) fn variable(offsets: &'a [i32], data: &'a [u8]) -> Slices<'a> {
        Slices { offsets, width: 0, data }
    }

    pub(super) fn fixed(width: usize, data: &'a [u8]) -> Slices<'a> {
        Slices { offsets: &[], width, data }
    }

    fn len(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(self.offsets.len().saturating_sub(1))
    }

    #[inline(always)]
    fn get(&self, i: usize) -> &'a [u8] {
        if self.width > 0 {
            &self.data[i * self.width..(i + 1) * self.width]
        } else {
            &self.data[self.offsets[i] as usize..self.offsets[i + 1] as usize]
        }
    }

    /// All bytes, one string after the other.
    fn all(&self) -> &'a [u8] {
        match (self.offsets.first(), self.offsets.last()) {
            (Some(from), Some(to)) => &self.data[*from as usize..*to as usize],
            _ => self.data,
        }
    }

    /// Bytes that plain encoding would store, before LZ4.
    fn plain_bytes(&self) -> usize {
        self.all().len() + if self.width > 0 { 0 } else { self.len() }
    }
}

#[derive(Default)]
pub(super) struct DictionaryScratch {
    table: Vec<u16>,
    codes: Vec<u16>,
    /// Row of each distinct string.
    rows: Vec<u32>,
    bytes: Vec<u8>,
    hashes: Vec<u64>,
}

impl DictionaryScratch {
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }
}

impl Encoder {
    /// Appends the node of `slices`; `hashes` are xxh3-64 of each (other values at NULLs do no harm).
    pub(super) fn strings(
        &mut self,
        slices: &Slices<'_>,
        hashes: Option<&[u64]>,
        out: &mut Vec<u8>,
    ) {
        let rows = slices.len();
        let first = slices.get(0);
        if (1..rows).all(|i| slices.get(i) == first) {
            out.push(tag::CONSTANT);
            put_bytes(out, first);
            return;
        }
        let mut scratch = std::mem::take(&mut self.dictionary);
        if hashes.is_none() {
            scratch.hashes.clear();
            scratch.hashes.extend((0..rows).map(|i| xxh3_64(slices.get(i))));
        }
        let own = std::mem::take(&mut scratch.hashes);
        if find_repeats(slices, hashes.unwrap_or(&own), &mut scratch) {
            self.dictionary_used = true;
            if self.sorts_texts && slices.width == 0 {
                sort_dictionary(slices, &mut scratch);
            }
            out.push(tag::DICTIONARY);
            put_u32(out, scratch.rows.len() as u32);
            scratch.bytes.clear();
            let mut lengths: Vec<u32> = Vec::with_capacity(scratch.rows.len());
            for row in &scratch.rows {
                let string = slices.get(*row as usize);
                lengths.push(string.len() as u32);
                scratch.bytes.extend_from_slice(string);
            }
            self.plain(slices.width, &lengths, &scratch.bytes, out);
            self.codes(&scratch.codes, scratch.rows.len(), out);
        } else {
            let lengths: Vec<u32> =
                slices.offsets.windows(2).map(|w| (w[1] - w[0]) as u32).collect();
            self.plain(slices.width, &lengths, slices.all(), out);
        }
        scratch.hashes = own;
        self.dictionary = scratch;
    }

    fn plain(&mut self, width: usize, lengths: &[u32], bytes: &[u8], out: &mut Vec<u8>) {
        out.push(tag::PLAIN);
        if width == 0 {
            self.words(lengths, Order::Unsigned, out);
        }
        let saving = match bytes.len() {
            0..=SHORT_BYTES if self.compressor.is_quick() => SAVING_PERCENT_MIN_SHORT,
            _ => SAVING_PERCENT_MIN,
        };
        self.compressor.texts(bytes, saving, out);
    }
}

/// Puts the strings of a dictionary into their order, if they are many bytes: neighbours have more in common then,
/// so that LZ4 finds longer matches, and fewer of them are decoded sooner.
fn sort_dictionary(slices: &Slices<'_>, scratch: &mut DictionaryScratch) {
    let bytes: usize = scratch.rows.iter().map(|row| slices.get(*row as usize).len()).sum();
    if bytes <= SHORT_BYTES {
        return;
    }
    let of = |code: &(u64, u16)| slices.get(scratch.rows[code.1 as usize] as usize);
    let mut order: Vec<(u64, u16)> = (0..scratch.rows.len() as u16).map(|c| (0, c)).collect();
    sort_from(&mut order, &of, 0, LEVELS_MAX);
    let mut ranks = vec![0u16; order.len()];
    (0..).zip(&order).for_each(|(rank, (_, code))| ranks[*code as usize] = rank);
    scratch.codes.iter_mut().for_each(|code| *code = ranks[*code as usize]);
    scratch.rows = order.iter().map(|(_, code)| scratch.rows[*code as usize]).collect();
}

/// Strings that are compared as they are.
const FEW: usize = 12;
/// Calls of `sort_from` within each other.
const LEVELS_MAX: usize = 64;

/// Sorts strings that have their first `depth` bytes in common, eight bytes at a time.
fn sort_from<'a>(
    order: &mut [(u64, u16)],
    of: &impl Fn(&(u64, u16)) -> &'a [u8],
    mut depth: usize,
    levels: usize,
) {
    loop {
        if order.len() <= FEW || levels == 0 {
            order.sort_unstable_by(|a, b| of(a)[depth..].cmp(&of(b)[depth..]));
            return;
        }
        for entry in order.iter_mut() {
            let rest = &of(entry)[depth..];
            let eight = rest.first_chunk::<8>().copied().unwrap_or_else(|| {
                let mut eight = [0; 8];
                eight[..rest.len()].copy_from_slice(rest);
                eight
            });
            entry.0 = u64::from_be_bytes(eight);
        }
        let all_same = order.iter().all(|entry| entry.0 == order[0].0);
        if !all_same || order.iter().any(|entry| of(entry).len() < depth + 8) {
            break;
        }
        depth += 8;
    }
    // A shorter string comes before one that goes on with zeros.
    let end = depth + 8;
    let length = |entry: &(u64, u16)| of(entry).len().min(end);
    order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| length(a).cmp(&length(b))));
    for run in order.chunk_by_mut(|a, b| a.0 == b.0) {
        let ended = run.iter().take_while(|entry| of(entry).len() < end).count();
        let longer = &mut run[ended..];
        if longer.len() > 1 {
            sort_from(longer, of, end, levels - 1);
        }
    }
}

/// Fills `scratch.rows` and `scratch.codes`; false if a dictionary would not save a fifth.
fn find_repeats(slices: &Slices<'_>, hashes: &[u64], scratch: &mut DictionaryScratch) -> bool {
    let rows = slices.len();
    if !(DICTIONARY_ROWS_MIN..=u16::MAX as usize).contains(&rows) {
        return false;
    }
    let slots = (rows * 2).next_power_of_two();
    scratch.table.clear();
    scratch.table.resize(slots, 0);
    scratch.codes.clear();
    scratch.rows.clear();
    let mut distinct_bytes = 0;
    for row in 0..rows {
        if row == SAMPLE && scratch.rows.len() * 8 > SAMPLE * 7 {
            return false;
        }
        let (string, hash) = (slices.get(row), hashes[row]);
        // Sorted rows often repeat the one before.
        if row > 0 && hashes[row - 1] == hash && is_same_bytes(slices.get(row - 1), string) {
            scratch.codes.push(scratch.codes[row - 1]);
            continue;
        }
        let mut slot = hash as usize & (slots - 1);
        let code = loop {
            match scratch.table[slot] {
                0 => {
                    scratch.rows.push(row as u32);
                    scratch.table[slot] = scratch.rows.len() as u16;
                    distinct_bytes += string.len();
                    break scratch.rows.len() as u16 - 1;
                }
                c => {
                    let other = scratch.rows[c as usize - 1] as usize;
                    if hashes[other] == hash && is_same_bytes(slices.get(other), string) {
                        break c - 1;
                    }
                    slot = (slot + 1) & (slots - 1);
                }
            }
        };
        scratch.codes.push(code);
    }
    let distinct = scratch.rows.len();
    let code_width = if distinct <= 256 { 1 } else { 2 };
    let length_width = if slices.width > 0 { 0 } else { 2 };
    (distinct_bytes + distinct * length_width + rows * code_width) * 5 <= slices.plain_bytes() * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dictionary's strings, and those of the rows.
    fn sorted(texts: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let data = texts.concat();
        let mut offsets = vec![0i32];
        offsets.extend(texts.iter().scan(0, |end, text| {
            *end += text.len() as i32;
            Some(*end)
        }));
        let slices = Slices::variable(&offsets, &data);
        let hashes: Vec<u64> = texts.iter().map(|text| xxh3_64(text)).collect();
        let mut scratch = DictionaryScratch::default();
        assert!(find_repeats(&slices, &hashes, &mut scratch));
        sort_dictionary(&slices, &mut scratch);
        let own: Vec<Vec<u8>> =
            scratch.rows.iter().map(|row| slices.get(*row as usize).to_vec()).collect();
        let rows = scratch.codes.iter().map(|code| own[*code as usize].clone()).collect();
        (own, rows)
    }

    #[test]
    fn dictionaries_of_many_bytes_are_sorted_and_rows_keep_their_strings() {
        let mut seed = 5u64;
        let mut below = |n: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        type Text<'a> = &'a mut dyn FnMut(&mut dyn FnMut(u64) -> u64) -> Vec<u8>;
        let shapes: [Text<'_>; 4] = [
            &mut |below| format!("https://www.{}.test/{}", below(20), below(700)).into_bytes(),
            // Zeros, and strings that others begin with.
            &mut |below| vec![[0, 0, b'a'][below(3) as usize]; below(300) as usize],
            // Each the beginning of the next: levels do not suffice.
            &mut |below| vec![b'x'; below(3000) as usize],
            &mut |below| (0..8 + below(90)).map(|i| (i * below(2)) as u8).collect(),
        ];
        for make in shapes {
            let few: Vec<Vec<u8>> = (0..2000).map(|_| make(&mut below)).collect();
            let texts: Vec<Vec<u8>> =
                (0..9000).map(|_| few[below(few.len() as u64) as usize].clone()).collect();
            let (own, rows) = sorted(&texts);
            assert!(own.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(rows == texts);
        }
    }
}
