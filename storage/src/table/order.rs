//! The order of rows: key columns encoded so that comparing integers or bytes compares rows.
//!
//! Same types give the same encoding, so rows of different blocks compare (merges rely on it). The
//! order is that of `Value`: numbers by value, NaN after them, strings by bytes, NULL last.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray};
use arrow_buffer::NullBuffer;

use super::piles::merged;
use super::sort::sort_rows;
use crate::block::Column;
use crate::part::{Layout, Order, Word, number_buffer, with_word};

/// Encoded keys, one per row.
pub(crate) enum SortKeys {
    /// No key: all rows are equal. Holds the number of rows.
    None(usize),
    /// Keys of up to 64 bits.
    Words(Vec<u64>),
    /// Keys of up to 128 bits.
    Wide(Vec<u128>),
    /// Anything else, as bytes.
    Bytes { offsets: Vec<usize>, bytes: Vec<u8> },
}

impl SortKeys {
    /// Encodes the rows of `columns`; `rows` counts if there are none.
    pub(crate) fn encode(columns: &[Column], rows: usize) -> SortKeys {
        if columns.is_empty() {
            return SortKeys::None(rows);
        }
        let bits: Option<usize> = columns.iter().map(key_bits).sum();
        match bits {
            Some(0..=64) => {
                let mut words = vec![0u64; rows];
                for column in columns {
                    let width = key_bits(column).unwrap_or(0);
                    for_each_bits(column, |row, bits| {
                        words[row] =
                            words[row].checked_shl(width as u32).unwrap_or(0) | bits as u64;
                    });
                }
                SortKeys::Words(words)
            }
            Some(65..=128) => {
                let mut words = vec![0u128; rows];
                for column in columns {
                    let width = key_bits(column).unwrap_or(0);
                    for_each_bits(column, |row, bits| {
                        words[row] = words[row].checked_shl(width as u32).unwrap_or(0) | bits;
                    });
                }
                SortKeys::Wide(words)
            }
            _ => encode_bytes(columns, rows),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            SortKeys::None(rows) => *rows,
            SortKeys::Words(words) => words.len(),
            SortKeys::Wide(words) => words.len(),
            SortKeys::Bytes { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Row `a` of this against row `b` of `other`, which encodes columns of the same types.
    pub(crate) fn compare(&self, a: usize, other: &SortKeys, b: usize) -> Ordering {
        match (self, other) {
            (SortKeys::Words(x), SortKeys::Words(y)) => x[a].cmp(&y[b]),
            (SortKeys::Wide(x), SortKeys::Wide(y)) => x[a].cmp(&y[b]),
            (SortKeys::Bytes { .. }, SortKeys::Bytes { .. }) => self.bytes(a).cmp(other.bytes(b)),
            _ => Ordering::Equal,
        }
    }

    fn bytes(&self, row: usize) -> &[u8] {
        match self {
            SortKeys::Bytes { offsets, bytes } => &bytes[offsets[row]..offsets[row + 1]],
            _ => &[],
        }
    }

    /// The first [`PREFIX_BYTES`] of a row's encoding.
    #[inline]
    fn prefix(&self, row: usize) -> u128 {
        let bytes = self.bytes(row);
        if let Some(whole) = bytes.first_chunk() {
            return u128::from_be_bytes(*whole);
        }
        let mut prefix = [0; PREFIX_BYTES];
        prefix[..bytes.len()].copy_from_slice(bytes);
        u128::from_be_bytes(prefix)
    }

    pub(crate) fn is_sorted(&self) -> bool {
        match self {
            SortKeys::None(_) => true,
            SortKeys::Words(words) => words.is_sorted(),
            SortKeys::Wide(words) => words.is_sorted(),
            SortKeys::Bytes { .. } => {
                (1..self.len()).all(|i| self.compare(i - 1, self, i) != Ordering::Greater)
            }
        }
    }

    /// The given rows (all if None) in key order, equal keys in the order given; None if that is
    /// the order of all rows already.
    pub(crate) fn sorted_rows(&self, rows: Option<Vec<u32>>) -> Option<Vec<u32>> {
        if rows.is_none() {
            if self.is_sorted() {
                return None;
            }
            if let Some(merged) = self.merged_rows() {
                return Some(merged);
            }
        }
        let rows = rows.unwrap_or_else(|| (0..self.len() as u32).collect());
        Some(match self {
            SortKeys::None(_) => rows,
            SortKeys::Words(words) => sort_rows(&rows, |row| words[row as usize] as u128, None),
            SortKeys::Wide(words) => sort_rows(&rows, |row| words[row as usize], None),
            SortKeys::Bytes { .. } => {
                let rest = |a: u32, b: u32| self.bytes(a as usize).cmp(self.bytes(b as usize));
                sort_rows(&rows, |row| self.prefix(row as usize), Some(&rest))
            }
        })
    }

    /// All rows in key order if they are nearly so as they stand.
    fn merged_rows(&self) -> Option<Vec<u32>> {
        match self {
            SortKeys::None(_) => None,
            SortKeys::Words(words) => merged(words.len(), |row| words[row as usize]),
            SortKeys::Wide(words) => merged(words.len(), |row| words[row as usize]),
            SortKeys::Bytes { .. } => merged(self.len(), |row| self.bytes(row as usize)),
        }
    }

    /// Groups rows by equal keys, in order of first appearance; None if there are more than
    /// `groups_max`. A single group of all rows is one empty list.
    pub(crate) fn groups(&self, groups_max: usize) -> Option<Vec<Vec<u32>>> {
        let alike = matches!(self, SortKeys::None(_))
            || (1..self.len()).all(|row| self.compare(0, self, row) == Ordering::Equal);
        if alike {
            return Some(vec![vec![]]);
        }
        let mut found: hashbrown::HashMap<Vec<u8>, usize, std::hash::RandomState> =
            hashbrown::HashMap::default();
        let mut groups: Vec<Vec<u32>> = vec![];
        let mut current = 0;
        for row in 0..self.len() {
            if row == 0 || self.compare(row - 1, self, row) != Ordering::Equal {
                let key = match self {
                    SortKeys::None(_) => vec![],
                    SortKeys::Words(words) => words[row].to_le_bytes().to_vec(),
                    SortKeys::Wide(words) => words[row].to_le_bytes().to_vec(),
                    SortKeys::Bytes { .. } => self.bytes(row).to_vec(),
                };
                current = *found.entry(key).or_insert(groups.len());
                if current == groups.len() {
                    if groups.len() == groups_max {
                        return None;
                    }
                    groups.push(vec![]);
                }
            }
            groups[current].push(row as u32);
        }
        Some(groups)
    }
}

/// Bytes of a long key that are compared first.
const PREFIX_BYTES: usize = 16;
/// Bits of the column's encoding if that is fixed and at most 129.
fn key_bits(column: &Column) -> Option<usize> {
    let bits = match Layout::of(&column.data_type) {
        Layout::Number { width, .. } if width <= 16 => width * 8,
        Layout::FixedBytes(width) if width <= 16 => width * 8,
        _ => return None,
    };
    Some(bits + column.data_type.is_nullable() as usize)
}

/// Calls `put` with each row's encoding, right-aligned; only for columns with [`key_bits`].
fn for_each_bits(column: &Column, mut put: impl FnMut(usize, u128)) {
    let array = column.array.as_ref();
    let layout = Layout::of(&column.data_type);
    let null_bit = match &layout {
        Layout::Number { width, .. } | Layout::FixedBytes(width) => width * 8,
        _ => return,
    };
    let nulls = array.nulls().filter(|n| n.null_count() > 0);
    // NULL: the flag alone, whatever lies under it.
    let mut put = |row: usize, bits: u128| match nulls {
        Some(nulls) if nulls.is_null(row) => {
            put(row, 1u128.checked_shl(null_bit as u32).unwrap_or(0))
        }
        _ => put(row, bits),
    };
    match layout {
        Layout::Number { width, order } => with_word!(width, T => {
            let buffer = number_buffer(array);
            let words: &[T] = buffer.typed_data();
            for (row, word) in words.iter().enumerate() {
                put(row, word_bits(*word, order));
            }
        }),
        Layout::FixedBytes(_) => {
            let strings = array.as_fixed_size_binary();
            for row in 0..array.len() {
                put(row, strings.value(row).iter().fold(0, |bits, b| bits << 8 | *b as u128));
            }
        }
        _ => {}
    }
}

/// Order-preserving bits of a word of up to 128 bits.
fn word_bits<T: Word>(word: T, order: Order) -> u128 {
    if order == Order::Float {
        return match T::WIDTH {
            4 => float_bits(f32::from_bits(word.fold() as u32) as f64, 32),
            _ => float_bits(f64::from_bits(word.fold()), 64),
        };
    }
    word.rank(order).bits()
}

/// Bits of a float: negative ones turned round, zeros equal, NaN last.
fn float_bits(value: f64, bits: u32) -> u128 {
    if value.is_nan() {
        return if bits == 32 { u32::MAX as u128 } else { u64::MAX as u128 };
    }
    if bits == 32 {
        let b = (value as f32 + 0.0).to_bits();
        return (b ^ (((b as i32) >> 31) as u32 | 1 << 31)) as u128;
    }
    let b = (value + 0.0).to_bits();
    (b ^ (((b as i64) >> 63) as u64 | 1 << 63)) as u128
}

/// A key column made ready for row after row.
enum KeyPart<'a> {
    /// Big-endian bits, the last `bytes` of each word, NULL flag first if the type has one.
    Bits {
        words: Vec<u128>,
        bytes: usize,
    },
    Strings {
        array: &'a BinaryArray,
        nullable: bool,
    },
    Other {
        layout: Layout,
        array: &'a dyn Array,
        nullable: bool,
    },
}

impl<'a> KeyPart<'a> {
    fn new(column: &'a Column, rows: usize) -> KeyPart<'a> {
        let nullable = column.data_type.is_nullable();
        if let Some(bits) = key_bits(column).filter(|bits| *bits <= 128) {
            let mut words = vec![0; rows];
            for_each_bits(column, |row, bits| words[row] = bits);
            return KeyPart::Bits { words, bytes: bits.div_ceil(8) };
        }
        let array = column.array.as_ref();
        match Layout::of(&column.data_type) {
            Layout::Strings => KeyPart::Strings { array: array.as_binary(), nullable },
            layout => KeyPart::Other { layout, array, nullable },
        }
    }

    fn put(&self, row: usize, last: bool, out: &mut Vec<u8>) {
        match self {
            KeyPart::Bits { words, bytes } => {
                out.extend_from_slice(&words[row].to_be_bytes()[16 - bytes..]);
            }
            KeyPart::Strings { array, nullable } => {
                if *nullable {
                    out.push(array.is_null(row) as u8);
                    if array.is_null(row) {
                        return;
                    }
                }
                put_string(array.value(row), last, out);
            }
            KeyPart::Other { layout, array, nullable } => {
                put_value(layout, *array, *nullable, row, last, out);
            }
        }
    }
}

/// Keys of one length, longer than a word: each column's bytes go to their place in every row.
fn encode_fixed(columns: &[Column], widths: &[usize], rows: usize) -> SortKeys {
    let stride: usize = widths.iter().sum();
    let mut bytes = vec![0; rows * stride];
    let mut from = 0;
    for (column, width) in columns.iter().zip(widths) {
        let place = &mut bytes[from.min(rows * stride)..];
        match width {
            1 => put_fixed::<1>(column, stride, place),
            2 => put_fixed::<2>(column, stride, place),
            4 => put_fixed::<4>(column, stride, place),
            8 => put_fixed::<8>(column, stride, place),
            width => for_each_bits(column, |row, bits| {
                place[row * stride..row * stride + width]
                    .copy_from_slice(&bits.to_be_bytes()[16 - width..]);
            }),
        }
        from += width;
    }
    SortKeys::Bytes { offsets: (0..=rows).map(|row| row * stride).collect(), bytes }
}

#[inline]
fn put_fixed<const N: usize>(column: &Column, stride: usize, place: &mut [u8]) {
    for_each_bits(column, |row, bits| {
        let (from, big_endian) = (row * stride, bits.to_be_bytes());
        place[from..from + N].copy_from_slice(&big_endian[16 - N..]);
    });
}

fn encode_bytes(columns: &[Column], rows: usize) -> SortKeys {
    let bytes_of = |c: &Column| key_bits(c).filter(|bits| *bits <= 128).map(|b| b.div_ceil(8));
    if let Some(widths) = columns.iter().map(bytes_of).collect::<Option<Vec<usize>>>() {
        return encode_fixed(columns, &widths, rows);
    }
    let parts: Vec<KeyPart<'_>> = columns.iter().map(|c| KeyPart::new(c, rows)).collect();
    let mut offsets = Vec::with_capacity(rows + 1);
    let mut bytes = Vec::with_capacity(rows * 16);
    offsets.push(0);
    for row in 0..rows {
        for (i, part) in parts.iter().enumerate() {
            part.put(row, i + 1 == parts.len(), &mut bytes);
        }
        offsets.push(bytes.len());
    }
    SortKeys::Bytes { offsets, bytes }
}

/// Appends one value; the last of a row needs no end mark.
fn put_value(
    layout: &Layout,
    array: &dyn Array,
    nullable: bool,
    row: usize,
    last: bool,
    out: &mut Vec<u8>,
) {
    if nullable {
        let null = array.nulls().is_some_and(|n: &NullBuffer| n.is_null(row));
        out.push(null as u8);
        if null {
            return;
        }
    }
    match layout {
        Layout::Number { width: 32, order } => {
            let buffer = number_buffer(array);
            let word = buffer.typed_data::<arrow_buffer::i256>()[row];
            let (low, high) = word.rank(*order).to_parts();
            out.extend_from_slice(&((high as u128) ^ (1 << 127)).to_be_bytes());
            out.extend_from_slice(&low.to_be_bytes());
        }
        Layout::Number { width, order } => with_word!(*width, T => {
            let buffer = number_buffer(array);
            let bits = word_bits(buffer.typed_data::<T>()[row], *order);
            out.extend_from_slice(&bits.to_be_bytes()[16 - width..]);
        }),
        Layout::FixedBytes(_) => out.extend_from_slice(array.as_fixed_size_binary().value(row)),
        Layout::Strings | Layout::Objects { .. } => {
            put_string(array.as_binary::<i32>().value(row), last, out)
        }
        Layout::List(item) => {
            let list = array.as_list::<i32>();
            let items = list.values();
            let offsets = list.value_offsets();
            for i in offsets[row]..offsets[row + 1] {
                out.push(1);
                put_value(item, items.as_ref(), true, i as usize, false, out);
            }
            out.push(0);
        }
        Layout::Struct(fields) => {
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                put_value(field, column.as_ref(), true, row, false, out);
            }
        }
    }
}

/// A string whose end sorts before any byte: 0 becomes 0 255, the end is 0 0.
fn put_string(string: &[u8], last: bool, out: &mut Vec<u8>) {
    if last {
        out.extend_from_slice(string);
        return;
    }
    let mut rest = string;
    while let Some(zero) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..zero]);
        out.extend_from_slice(&[0, 255]);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}
