//! From a key to the right rows that have it.
//!
//! One key of whole numbers that lie close together is its own place in an array, or if they lie less
//! close has its place in a [`Ranked`] set; all others go through a [`KeyTable`]. If no two rows share a
//! key, a key's number is its row.

use arrow_array::BooleanArray;
use pumphouse_storage::{Column, DataType};

use super::build::rows_without_null;
use super::ranked::Ranked;
use crate::error::Result;
use crate::execute::key_table::{ABSENT, KeyTable};
use crate::execute::runtime_filter::{for_each_word, word_width};

/// Places per row of an array, at most.
const PLACES_PER_ROW: u64 = 4;
/// Places that any number of rows may have.
const PLACES_MIN: u64 = 1 << 15;
const PLACES_MAX: u64 = 1 << 28;
/// Places per row of a set, at most; four take a byte.
const RANKED_PER_ROW: u64 = 256;
const RANKED_MIN: u64 = 1 << 22;
const RANKED_MAX: u64 = 1 << 28;

/// See the file's head.
pub(super) struct Index {
    keys: Keys,
    key_types: Vec<DataType>,
    /// `row_list[starts[key]..starts[key + 1]]`; both empty if a key's number is its row.
    pub starts: Vec<u32>,
    pub row_list: Vec<u32>,
    /// Numbers that keys may have.
    pub count: usize,
}

enum Keys {
    /// The row of value `least + i`, or [`ABSENT`].
    Rows {
        least: u64,
        width: usize,
        rows: Vec<u32>,
    },
    /// Value `least + i` is key `i`.
    Lists {
        least: u64,
        width: usize,
    },
    /// A value's number is a key, or the place of its row in `rows` unless that is its row.
    Ranked {
        values: Ranked,
        rows: Vec<u32>,
    },
    Table(KeyTable),
}

impl Index {
    /// Of the keys of all right rows; rows with a NULL (not in `valid`) are in no list. `listed`: rows
    /// are wanted as lists even if no two share a key.
    pub fn new(
        key_types: Vec<DataType>,
        keys: &[Column],
        valid: Option<&BooleanArray>,
        rows: usize,
        listed: bool,
    ) -> Result<Index> {
        if let ([key], [data_type]) = (keys, key_types.as_slice())
            && let Some(width) = word_width(data_type)
            && let Some((least, span)) = span_of(key, valid, width)
        {
            let (key, place) = ((key, valid), (least, span as usize, width));
            if span <= (rows as u64 * PLACES_PER_ROW).clamp(PLACES_MIN, PLACES_MAX) {
                return Ok(Self::near(key_types, key, place, listed));
            }
            if span <= (rows as u64 * RANKED_PER_ROW).clamp(RANKED_MIN, RANKED_MAX) {
                return Ok(Self::ranked(key_types, key, place, listed));
            }
        }
        let mut table = KeyTable::new(&key_types);
        table.reserve(rows.min(1 << 22));
        let numbers = number_rows(&mut table, keys, valid, rows)?;
        let count = table.len();
        let keys = Keys::Table(table);
        if count == rows && !listed {
            return Ok(Index { keys, key_types, starts: vec![], row_list: vec![], count });
        }
        let (starts, row_list) = group_rows(&numbers, count);
        Ok(Index { keys, key_types, starts, row_list, count })
    }

    fn near(
        key_types: Vec<DataType>,
        (key, valid): (&Column, Option<&BooleanArray>),
        (least, span, width): (u64, usize, usize),
        listed: bool,
    ) -> Index {
        let place = (least, width);
        let mut unique = !listed;
        if unique {
            let mut rows = vec![ABSENT; span];
            each_place(key, valid, place, |row, at| {
                unique &= rows[at] == ABSENT;
                rows[at] = row as u32;
            });
            if unique {
                let keys = Keys::Rows { least, width, rows };
                let count = key.len();
                return Index { keys, key_types, starts: vec![], row_list: vec![], count };
            }
        }
        let mut starts = vec![0u32; span + 1];
        each_place(key, valid, place, |_, at| starts[at + 1] += 1);
        for at in 0..span {
            starts[at + 1] += starts[at];
        }
        let mut row_list = vec![0u32; starts[span] as usize];
        let mut cursors = starts.clone();
        each_place(key, valid, place, |row, at| {
            row_list[cursors[at] as usize] = row as u32;
            cursors[at] += 1;
        });
        let keys = Keys::Lists { least, width };
        Index { keys, key_types, starts, row_list, count: span }
    }

    fn ranked(
        key_types: Vec<DataType>,
        (key, valid): (&Column, Option<&BooleanArray>),
        place: (u64, usize, usize),
        listed: bool,
    ) -> Index {
        let values = Ranked::of((key, valid), place);
        let mut numbers = values.numbers(key);
        if let Some(valid) = valid {
            numbers.iter_mut().zip(valid.values()).filter(|(_, v)| !v).for_each(|n| *n.0 = ABSENT);
        }
        let count = values.count;
        let valid_rows = valid.map_or(key.len(), BooleanArray::true_count);
        if count < valid_rows || listed {
            let (starts, row_list) = group_rows(&numbers, count);
            let keys = Keys::Ranked { values, rows: vec![] };
            return Index { keys, key_types, starts, row_list, count };
        }
        // Often rows come in the order of their keys.
        let mut rows = vec![];
        if numbers.iter().zip(0..).any(|(number, row)| *number != row) {
            rows.resize(count, 0);
            for (row, number) in numbers.iter().enumerate().filter(|(_, n)| **n != ABSENT) {
                rows[*number as usize] = row as u32;
            }
        }
        let keys = Keys::Ranked { values, rows };
        Index { keys, key_types, starts: vec![], row_list: vec![], count: key.len() }
    }

    pub fn memory_bytes(&self) -> usize {
        let keys = match &self.keys {
            Keys::Rows { rows, .. } => rows.capacity() * 4,
            Keys::Lists { .. } => 0,
            Keys::Ranked { values, rows } => values.memory_bytes() + rows.capacity() * 4,
            Keys::Table(table) => table.memory_bytes(),
        };
        keys + (self.starts.capacity() + self.row_list.capacity()) * 4
    }

    /// The key number of each left row, ABSENT where nothing matches.
    pub fn find(&self, keys: &[Column], rows: usize) -> Vec<u32> {
        let mut numbers = vec![];
        match &self.keys {
            Keys::Rows { least, width, rows: places } => {
                numbers.resize(rows, ABSENT);
                for_each_word(&keys[0], *width, |row, word| {
                    let at = word.wrapping_sub(*least) as usize;
                    numbers[row] = places.get(at).copied().unwrap_or(ABSENT);
                });
                return numbers;
            }
            Keys::Lists { least, width } => {
                numbers.resize(rows, ABSENT);
                for_each_word(&keys[0], *width, |row, word| {
                    let at = word.wrapping_sub(*least);
                    if at < self.count as u64 {
                        let at = at as usize;
                        if self.starts[at] < self.starts[at + 1] {
                            numbers[row] = at as u32;
                        }
                    }
                });
                return numbers;
            }
            Keys::Ranked { values, rows } => {
                numbers = values.numbers(&keys[0]);
                if !rows.is_empty() {
                    for number in numbers.iter_mut().filter(|n| **n != ABSENT) {
                        *number = rows[*number as usize];
                    }
                }
                return numbers;
            }
            Keys::Table(table) => {
                let plain: Vec<Column> = keys
                    .iter()
                    .zip(&self.key_types)
                    .map(|(c, t)| Column { data_type: t.clone(), array: c.array.clone() })
                    .collect();
                table.find(&plain, rows, &mut numbers);
            }
        }
        if let Some(valid) = rows_without_null(keys, rows) {
            for (row, number) in numbers.iter_mut().enumerate() {
                if !valid.value(row) {
                    *number = ABSENT;
                }
            }
        }
        numbers
    }

    /// Whether a key's number is its only row.
    pub fn is_unique(&self) -> bool {
        self.starts.is_empty()
    }

    /// Right rows of key `number`, which stays where the caller keeps it.
    #[inline]
    pub fn rows_of<'a>(&'a self, number: &'a u32) -> &'a [u32] {
        if *number == ABSENT {
            return &[];
        }
        if self.is_unique() {
            return std::slice::from_ref(number);
        }
        let at = *number as usize;
        &self.row_list[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

/// Calls `f` with each valid row and how far its value is from the least.
#[inline(always)]
fn each_place(
    key: &Column,
    valid: Option<&BooleanArray>,
    (least, width): (u64, usize),
    mut f: impl FnMut(usize, usize),
) {
    match valid {
        None => for_each_word(key, width, |row, word| f(row, (word - least) as usize)),
        Some(valid) => for_each_word(key, width, |row, word| {
            if valid.value(row) {
                f(row, (word - least) as usize);
            }
        }),
    }
}

/// The least value and how many lie from it to the greatest.
fn span_of(key: &Column, valid: Option<&BooleanArray>, width: usize) -> Option<(u64, u64)> {
    let (mut least, mut greatest) = (u64::MAX, 0);
    for_each_word(key, width, |row, word| {
        if valid.is_none_or(|v| v.value(row)) {
            least = least.min(word);
            greatest = greatest.max(word);
        }
    });
    (least <= greatest).then(|| (least, (greatest - least).saturating_add(1)))
}

/// Key numbers of all rows; rows with a NULL get ABSENT.
fn number_rows(
    table: &mut KeyTable,
    keys: &[Column],
    valid: Option<&BooleanArray>,
    rows: usize,
) -> Result<Vec<u32>> {
    let mut numbers = vec![];
    let Some(valid) = valid else {
        table.insert(keys, rows, &mut numbers)?;
        return Ok(numbers);
    };
    let filtered: Vec<Column> = keys.iter().map(|c| c.filter(valid)).collect();
    table.insert(&filtered, valid.true_count(), &mut numbers)?;
    let mut next = numbers.into_iter();
    Ok((0..rows)
        .map(|row| if valid.value(row) { next.next().unwrap_or(ABSENT) } else { ABSENT })
        .collect())
}

/// Rows grouped by key number, in row order.
fn group_rows(numbers: &[u32], keys: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; keys + 1];
    for number in numbers.iter().filter(|n| **n != ABSENT) {
        starts[*number as usize + 1] += 1;
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut cursors = starts.clone();
    let mut rows = vec![0u32; starts[keys] as usize];
    for (row, number) in numbers.iter().enumerate() {
        if *number != ABSENT {
            let cursor = &mut cursors[*number as usize];
            rows[*cursor as usize] = row as u32;
            *cursor += 1;
        }
    }
    (starts, rows)
}

#[cfg(test)]
mod tests {
    use pumphouse_storage::Value;

    use super::*;

    fn column(values: &[Option<i64>]) -> Column {
        let values: Vec<Value> = values.iter().map(|v| v.map_or(Value::Null, Value::Int)).collect();
        Column::from_values(DataType::nullable(DataType::Int64), &values).unwrap()
    }

    /// Rows of every probed key.
    fn matches(keys: &[Option<i64>], probed: &[Option<i64>], listed: bool) -> Vec<Vec<u32>> {
        let built = [column(keys)];
        let valid = rows_without_null(&built, keys.len());
        let types = vec![DataType::Int64];
        let index = Index::new(types, &built, valid.as_ref(), keys.len(), listed).unwrap();
        let numbers = index.find(&[column(probed)], probed.len());
        numbers.iter().map(|n| index.rows_of(n).to_vec()).collect()
    }

    #[test]
    fn keys_near_and_far_unique_and_not() {
        let probed = [Some(-3), Some(5), Some(7), None, Some(1 << 50), Some(6)];
        let near = [Some(5), None, Some(7), Some(-3)];
        let wide = [Some(7), Some(-3), None, Some(100_000), Some(5)];
        let wide_twice = [Some(100_000), Some(7), Some(5), Some(7), None, Some(5)];
        let far = [Some(5), None, Some(7), Some(-3), Some(1 << 50)];
        let twice = [Some(5), Some(7), Some(5), None, Some(7), Some(5)];
        for listed in [false, true] {
            let found = matches(&near, &probed, listed);
            assert_eq!(found, [vec![3], vec![0], vec![2], vec![], vec![], vec![]]);
            let found = matches(&wide, &probed, listed);
            assert_eq!(found, [vec![1], vec![4], vec![0], vec![], vec![], vec![]]);
            let found = matches(&wide_twice, &probed, listed);
            assert_eq!(found, [vec![], vec![2, 5], vec![1, 3], vec![], vec![], vec![]]);
            let found = matches(&far, &probed, listed);
            assert_eq!(found, [vec![3], vec![0], vec![2], vec![], vec![4], vec![]]);
            let found = matches(&twice, &probed, listed);
            assert_eq!(found, [vec![], vec![0, 2, 5], vec![1, 4], vec![], vec![], vec![]]);
            assert_eq!(matches(&[], &[Some(1), None], listed), [vec![], vec![]] as [Vec<u32>; 2]);
            assert_eq!(
                matches(&[None], &[Some(1), None], listed),
                [vec![], vec![]] as [Vec<u32>; 2]
            );
        }
    }
}
