//! Minimum and maximum per granule and column: what pruning compares conditions with.
//!
//! Only for what compares cheaply: numbers up to 128 bit, dates, strings and fixed bytes (their first
//! 32 bytes; the maximum is rounded up). A range may be wider than the values, never narrower.

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::encode::{fill_nulls, number_buffer};
use super::layout::{Layout, Order};
use super::wide::extent;
use super::wire::{Cursor, Decoded, Malformed, put_u32, u32_at};
use super::word::{Word, with_word};
use crate::types::{DataType, Value};

/// Bytes of a string that count.
pub(crate) const PREFIX_BYTES_MAX: usize = 32;
/// The length that says "no upper bound".
const UNBOUNDED: u8 = 255;

/// How a column's ranges lie in the footer. Numbers are part of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeKind {
    None = 0,
    /// Two words per granule.
    Words = 1,
    /// Offsets, then two prefixes per granule.
    Prefixes = 2,
}

impl RangeKind {
    pub(crate) fn of(layout: &Layout) -> RangeKind {
        match layout {
            Layout::Number { width, .. } if *width <= 16 => RangeKind::Words,
            Layout::FixedBytes(_) | Layout::Strings => RangeKind::Prefixes,
            _ => RangeKind::None,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Decoded<RangeKind> {
        match byte {
            0 => Ok(RangeKind::None),
            1 => Ok(RangeKind::Words),
            2 => Ok(RangeKind::Prefixes),
            _ => Err(Malformed("a kind of ranges")),
        }
    }
}

/// Ranges of a column being written, one granule after the other.
pub(crate) struct RangeWriter {
    kind: RangeKind,
    offsets: Vec<u32>,
    bytes: Vec<u8>,
}

impl RangeWriter {
    pub(crate) fn new(layout: &Layout) -> RangeWriter {
        RangeWriter { kind: RangeKind::of(layout), offsets: vec![0], bytes: vec![] }
    }

    pub(crate) fn kind(&self) -> RangeKind {
        self.kind
    }

    /// Adds the range of a granule (at least one row). `distinct` are rows that hold all distinct
    /// strings, if the caller knows them.
    pub(crate) fn push(&mut self, layout: &Layout, array: &dyn Array, distinct: Option<&[u32]>) {
        match (self.kind, layout) {
            (RangeKind::Words, Layout::Number { width, order }) => {
                push_number_range(*width, *order, array, &mut self.bytes);
            }
            (RangeKind::Prefixes, _) => {
                let (low, high) = string_range(layout, array, distinct);
                put_prefixes(low, high, &mut self.bytes);
                self.offsets.push(self.bytes.len() as u32);
            }
            _ => {}
        }
    }

    /// Adds the range of a granule as another part has it; false if that part has none.
    pub(crate) fn push_copied(&mut self, ranges: &Ranges, granule: usize) -> bool {
        let Some(raw) = ranges.raw(granule).filter(|_| ranges.kind == self.kind) else {
            return false;
        };
        self.bytes.extend_from_slice(raw);
        if self.kind == RangeKind::Prefixes {
            self.offsets.push(self.bytes.len() as u32);
        }
        true
    }

    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        if self.kind == RangeKind::Prefixes {
            for offset in &self.offsets {
                put_u32(out, *offset);
            }
        }
        out.extend_from_slice(&self.bytes);
    }
}

fn push_number_range(width: usize, order: Order, array: &dyn Array, out: &mut Vec<u8>) {
    if array.null_count() == array.len() {
        out.resize(out.len() + 2 * width, 0);
        return;
    }
    let buffer = number_buffer(array);
    let filled = |words| array.nulls().filter(|n| n.null_count() > 0).map(|n| (words, n));
    if order == Order::Float {
        // NaN counts as the greatest, as in `Value`.
        match width {
            4 => {
                let words: &[f32] = buffer.typed_data();
                let (low, high) = float_range(words, array);
                out.extend_from_slice(&(low as f32).to_le_bytes());
                out.extend_from_slice(&(high as f32).to_le_bytes());
            }
            _ => {
                let words: &[f64] = buffer.typed_data();
                let (low, high) = float_range(words, array);
                out.extend_from_slice(&low.to_le_bytes());
                out.extend_from_slice(&high.to_le_bytes());
            }
        }
        return;
    }
    with_word!(width, T => {
        let words: &[T] = buffer.typed_data();
        let owned;
        let words = match filled(()) {
            Some((_, nulls)) => {
                owned = fill_nulls(words, nulls);
                &owned[..]
            }
            None => words,
        };
        let (low, high) = extent(words, order);
        low.rank(order).put(out);
        high.rank(order).put(out);
    });
}

/// Least and greatest value that is not NULL, in several lanes, as one would wait for each comparison.
fn float_range<T: Copy + Into<f64>>(values: &[T], array: &dyn Array) -> (f64, f64) {
    const LANES: usize = 8;
    let (mut low, mut high) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let mut nan = [false; LANES];
    let mut see = |lane: usize, value: T| {
        let value: f64 = value.into();
        low[lane] = if value < low[lane] { value } else { low[lane] };
        high[lane] = if value > high[lane] { value } else { high[lane] };
        nan[lane] |= value.is_nan();
    };
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => nulls.valid_indices().for_each(|row| see(0, values[row])),
        None => {
            let (chunks, rest) = values.as_chunks::<LANES>();
            chunks.iter().for_each(|chunk| (0..LANES).for_each(|lane| see(lane, chunk[lane])));
            rest.iter().for_each(|value| see(0, *value));
        }
    }
    let nan = nan.contains(&true);
    let low = low.into_iter().fold(f64::INFINITY, f64::min);
    let high = high.into_iter().fold(f64::NEG_INFINITY, f64::max);
    if nan && low > high {
        return (f64::NAN, f64::NAN);
    }
    (low, if nan { f64::NAN } else { high })
}

/// Least and greatest string that is not NULL; empty if there is none.
fn string_range<'a>(
    layout: &Layout,
    array: &'a dyn Array,
    distinct: Option<&[u32]>,
) -> (&'a [u8], &'a [u8]) {
    match layout {
        Layout::Strings => {
            let strings = array.as_binary::<i32>();
            let (offsets, data) = (strings.value_offsets(), strings.value_data());
            range_of_rows(array, distinct, |row| {
                &data[offsets[row] as usize..offsets[row + 1] as usize]
            })
        }
        _ => {
            let strings = array.as_fixed_size_binary();
            range_of_rows(array, distinct, |row| strings.value(row))
        }
    }
}

fn range_of_rows<'a>(
    array: &dyn Array,
    distinct: Option<&[u32]>,
    get: impl Fn(usize) -> &'a [u8],
) -> (&'a [u8], &'a [u8]) {
    let nulls = array.nulls().filter(|n| n.null_count() > 0);
    match (distinct, nulls) {
        (Some(rows), None) => range_of(rows.iter().map(|row| get(*row as usize))),
        (None, None) => range_of((0..array.len()).map(get)),
        (Some(rows), Some(nulls)) => {
            let valid = rows.iter().map(|row| *row as usize).filter(|row| nulls.is_valid(*row));
            range_of(valid.map(get))
        }
        (None, Some(nulls)) => range_of(nulls.valid_indices().map(get)),
    }
}

/// The first eight bytes as one number, as if zeros followed.
#[inline(always)]
fn head(s: &[u8]) -> u64 {
    if let Some(whole) = s.first_chunk() {
        return u64::from_be_bytes(*whole);
    }
    match (s.first_chunk(), s.last_chunk()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u32::from_be_bytes(*first), u32::from_be_bytes(*last));
            // What both have lies in the same place.
            (first as u64) << 32 | (last as u64) << (64 - 8 * s.len())
        }
        _ => s.iter().rev().fold(0, |head, b| head >> 8 | (*b as u64) << 56),
    }
}

/// Most strings are told apart by their first eight bytes.
fn range_of<'a>(mut strings: impl Iterator<Item = &'a [u8]>) -> (&'a [u8], &'a [u8]) {
    let Some(first) = strings.next() else { return (b"", b"") };
    let (mut low, mut low_head) = (first, head(first));
    let (mut high, mut high_head) = (low, low_head);
    for s in strings {
        let own = head(s);
        if own < low_head || (own == low_head && s < low) {
            (low, low_head) = (s, own);
        }
        if own > high_head || (own == high_head && s > high) {
            (high, high_head) = (s, own);
        }
    }
    (low, high)
}

fn put_prefixes(low: &[u8], high: &[u8], out: &mut Vec<u8>) {
    let low = &low[..low.len().min(PREFIX_BYTES_MAX)];
    out.push(low.len() as u8);
    out.extend_from_slice(low);
    if high.len() <= PREFIX_BYTES_MAX {
        out.push(high.len() as u8);
        out.extend_from_slice(high);
        return;
    }
    // Rounded up: the prefix with its last byte that can grow grown by one.
    let prefix = &high[..PREFIX_BYTES_MAX];
    match prefix.iter().rposition(|b| *b < 0xFF) {
        None => out.push(UNBOUNDED),
        Some(last) => {
            out.push(last as u8 + 1);
            out.extend_from_slice(&prefix[..last]);
            out.push(prefix[last] + 1);
        }
    }
}

/// Ranges of a column as the footer holds them.
#[derive(Clone)]
pub(crate) struct Ranges {
    kind: RangeKind,
    layout: Layout,
    data_type: DataType,
    granules: usize,
    bytes: Vec<u8>,
}

/// `None` for the maximum means that it is not bounded.
pub(crate) type Range = (Value, Option<Value>);

impl Ranges {
    /// Takes the ranges of `granules` granules from the cursor.
    pub(crate) fn read(
        cursor: &mut Cursor<'_>,
        kind: RangeKind,
        data_type: &DataType,
        granules: usize,
    ) -> Decoded<Ranges> {
        let layout = Layout::of(data_type);
        let length = match (kind, &layout) {
            (RangeKind::None, _) => 0,
            (RangeKind::Words, Layout::Number { width, .. }) => granules * 2 * width,
            (RangeKind::Prefixes, Layout::Strings | Layout::FixedBytes(_)) => {
                let mut ahead = *cursor;
                let head = ahead.take((granules + 1) * 4)?;
                head.len() + u32_at(head, granules * 4) as usize
            }
            _ => return Err(Malformed("ranges of the column's type")),
        };
        let bytes = cursor.take(length)?.to_vec();
        Ok(Ranges { kind, layout, data_type: data_type.clone(), granules, bytes })
    }

    pub(crate) fn kind(&self) -> RangeKind {
        self.kind
    }

    /// The bytes of a granule's range.
    fn raw(&self, granule: usize) -> Option<&[u8]> {
        match (self.kind, &self.layout) {
            (RangeKind::None, _) => Some(&[]),
            (RangeKind::Words, Layout::Number { width, .. }) => {
                self.bytes.get(granule * 2 * width..(granule + 1) * 2 * width)
            }
            (RangeKind::Prefixes, _) => {
                let body = self.bytes.get((self.granules + 1) * 4..)?;
                let offset = |granule| u32_at(&self.bytes, granule * 4) as usize;
                body.get(offset(granule)..offset(granule + 1))
            }
            _ => None,
        }
    }

    pub(crate) fn known(&self) -> bool {
        self.kind != RangeKind::None
    }

    /// The range of the values of `granule` that are not NULL, or None if nothing is known. What an
    /// all-NULL granule gives is meaningless.
    pub(crate) fn get(&self, granule: usize) -> Option<Range> {
        match (self.kind, &self.layout) {
            (RangeKind::Words, Layout::Number { width, order }) => {
                let at = granule * 2 * width;
                let low = number_value(&self.data_type, *order, self.bytes.get(at..at + width)?)?;
                let at = at + width;
                let high = number_value(&self.data_type, *order, self.bytes.get(at..at + width)?)?;
                Some((low, Some(high)))
            }
            (RangeKind::Prefixes, _) => self.prefixes(granule),
            _ => None,
        }
    }

    fn prefixes(&self, granule: usize) -> Option<Range> {
        let body = self.bytes.get((self.granules + 1) * 4..)?;
        let mut cursor = Cursor::new(body.get(u32_at(&self.bytes, granule * 4) as usize..)?);
        let length = cursor.u8().ok()? as usize;
        let low = Value::String(cursor.take(length).ok()?.to_vec());
        let high = match cursor.u8().ok()? {
            UNBOUNDED => None,
            length => Some(Value::String(cursor.take(length as usize).ok()?.to_vec())),
        };
        Some((low, high))
    }
}

/// A little-endian word as the value that `Column::value` would give.
fn number_value(data_type: &DataType, order: Order, word: &[u8]) -> Option<Value> {
    let mut wide = [0u8; 16];
    wide[..word.len()].copy_from_slice(word);
    let unsigned = u128::from_le_bytes(wide);
    let unused = 128 - 8 * word.len() as u32;
    let signed = ((unsigned << unused) as i128) >> unused;
    Some(match (data_type.inner(), order) {
        (_, Order::Float) if word.len() == 4 => {
            Value::Float(f32::from_le_bytes(word.try_into().ok()?) as f64)
        }
        (_, Order::Float) => Value::Float(f64::from_le_bytes(word.try_into().ok()?)),
        (DataType::Decimal { scale, .. }, _) => Value::Decimal(signed, *scale),
        (DataType::Bool, _) => Value::Bool(unsigned != 0),
        (_, Order::Unsigned) if word.len() == 16 => Value::UInt128(unsigned),
        (_, Order::Signed) if word.len() == 16 => Value::Int128(signed),
        (_, Order::Unsigned) => Value::UInt(unsigned as u64),
        (_, Order::Signed) => Value::Int(signed as i64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Float64Array;

    #[test]
    fn ranges_of_floats() {
        let range = |values: Vec<Option<f64>>| {
            let array = Float64Array::from(values);
            float_range(array.values(), &array)
        };
        let mut values: Vec<Option<f64>> =
            (0..1003).map(|n| Some((n * 37 % 1003) as f64 - 500.0)).collect();
        assert_eq!(range(values.clone()), (-500.0, 502.0));
        values[1002] = Some(-900.5);
        values[7] = None;
        assert_eq!(range(values.clone()).0, -900.5);
        values[500] = Some(f64::NAN);
        let (low, high) = range(values);
        assert!(low == -900.5 && high.is_nan());
        let (low, high) = range(vec![Some(f64::NAN); 9]);
        assert!(low.is_nan() && high.is_nan());
    }
}
