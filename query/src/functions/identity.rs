//! Equal values get equal numbers: the ground of arrayDistinct, arrayUniq, hasAny, arrayIntersect and
//! other functions that ask which items are the same; and an order over the rows of a column.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_storage::{Column, DataType, Value};

use super::native::{As, Native, values, with_native};
use super::strings::Strings;
use crate::error::Result;

/// Multiplies and folds; only for short-lived maps of numbers.
#[derive(Default)]
pub(super) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.rotate_left(5) ^ xxhash_rust::xxh3::xxh3_64(bytes);
    }
    fn write_u64(&mut self, v: u64) {
        let wide = (v ^ self.0) as u128 * 0x9E37_79B9_7F4A_7C15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
    fn write_u32(&mut self, v: u32) {
        self.write_u64(v as u64);
    }
}

pub(super) type WordMap<V> = HashMap<u64, V, BuildHasherDefault<WordHasher>>;

/// A number for each row: the same for equal values, from 1 in order of first occurrence; 0 for NULL.
pub(super) fn identify(column: &Column) -> Vec<u32> {
    let nulls = column.array.nulls();
    let mut next = 0u32;
    let mut number = |slot: &mut u32| {
        if *slot == 0 {
            next += 1;
            *slot = next;
        }
        *slot
    };
    let is_null = |row: usize| nulls.is_some_and(|n| n.is_null(row));
    let rows = column.len();
    let plain = with_native!(column.data_type, T => {
        let mut seen: WordMap<u32> = WordMap::default();
        let words = values::<T>(column);
        Some((0..rows).map(|row| {
            if is_null(row) {
                return 0;
            }
            number(seen.entry(word_of(words[row])).or_insert(0))
        }).collect())
    }, else { None });
    if let Some(numbers) = plain {
        return numbers;
    }
    if let Ok(strings) = Strings::of(column.array.as_ref()) {
        let mut seen: HashMap<&[u8], u32, BuildHasherDefault<WordHasher>> = HashMap::default();
        return (0..rows)
            .map(
                |row| {
                    if is_null(row) { 0 } else { number(seen.entry(strings.get(row)).or_insert(0)) }
                },
            )
            .collect();
    }
    let mut seen: HashMap<Value, u32> = HashMap::new();
    (0..rows)
        .map(
            |row| {
                if is_null(row) { 0 } else { number(seen.entry(column.value(row)).or_insert(0)) }
            },
        )
        .collect()
}

/// Bits that are equal exactly for equal numbers (all NaNs are one, both zeros are one).
pub(super) fn word_of<T: Native>(v: T) -> u64 {
    if !T::IS_FLOAT {
        return As::<u64>::to(v);
    }
    let float = As::<f64>::to(v);
    if float.is_nan() {
        f64::NAN.to_bits()
    } else if float == 0.0 {
        0
    } else {
        float.to_bits()
    }
}

/// Numbers for the rows of several columns of one type; equal across the columns.
pub(super) fn identify_all(columns: &[Column]) -> Result<Vec<Vec<u32>>> {
    let joined = Column::concat(columns)?;
    let mut numbers = identify(&joined);
    let mut out = Vec::with_capacity(columns.len());
    for column in columns {
        let rest = numbers.split_off(column.len());
        out.push(std::mem::replace(&mut numbers, rest));
    }
    Ok(out)
}

/// The order of two rows of a column: NaN after numbers, NULL last.
pub(super) fn order(column: &Column) -> Box<dyn Fn(usize, usize) -> Ordering + '_> {
    let nulls = column.array.nulls();
    let plain: Box<dyn Fn(usize, usize) -> Ordering> = with_native!(column.data_type, T => {
        let words = values::<T>(column);
        Box::new(move |a, b| compare_native(words[a], words[b]))
    }, else {
        match &column.data_type {
            t if !matches!(t.inner(), DataType::Array(_) | DataType::Tuple(_) | DataType::Map(..)) => {
                match Strings::of(column.array.as_ref()) {
                    Ok(strings) => Box::new(move |a, b| strings.get(a).cmp(strings.get(b))),
                    Err(_) => Box::new(move |a, b| column.value(a).cmp(&column.value(b))),
                }
            }
            _ => Box::new(move |a, b| column.value(a).cmp(&column.value(b))),
        }
    });
    match nulls {
        None => plain,
        Some(nulls) => Box::new(move |a, b| match (nulls.is_null(a), nulls.is_null(b)) {
            (false, false) => plain(a, b),
            (x, y) => x.cmp(&y),
        }),
    }
}

fn compare_native<T: Native>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| {
        let nan = |v: T| As::<f64>::to(v).is_nan();
        nan(a).cmp(&nan(b))
    })
}

/// Whether a row is NaN or NULL: those stay last in a descending order too.
pub(super) fn sorts_last(column: &Column, row: usize) -> u8 {
    if column.array.is_null(row) {
        return 2;
    }
    u8::from(match column.data_type.inner() {
        DataType::Float64 => {
            column.array.as_primitive::<arrow_array::types::Float64Type>().value(row).is_nan()
        }
        DataType::Float32 => {
            column.array.as_primitive::<arrow_array::types::Float32Type>().value(row).is_nan()
        }
        _ => false,
    })
}
