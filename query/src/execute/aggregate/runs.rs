//! Rows whose groups come in long runs, as keys do that the table is sorted by: each function takes a run
//! at once instead of row by row.
//!
//! Not with floats: their sums would be rounded in another order.

use std::ops::Range;

use arrow_array::{Array, UInt32Array};
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::Column;

use crate::aggregates::Accumulator;
use crate::error::Result;
use crate::execute::key_table::{KeyTable, coded};
use crate::execute::row_codec::{Shape, fixed_bytes};

/// Rows that are looked at before all are.
const SAMPLE: usize = 256;
/// Rows of a run, on the average, from which on it pays.
const RUN_ROWS_MIN: usize = 64;

/// Rows of one group.
pub(super) struct Run {
    group: u32,
    rows: Range<usize>,
}

/// The runs of `groups`, if they are long.
pub(super) fn of(groups: &[u32], arguments: &[Vec<Column>]) -> Option<Vec<Run>> {
    let changes = |groups: &[u32]| groups.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let sample = &groups[..SAMPLE.min(groups.len())];
    if groups.len() < RUN_ROWS_MIN
        || changes(sample) > SAMPLE / RUN_ROWS_MIN
        || !are_taken(arguments)
        || (changes(groups) + 1) * RUN_ROWS_MIN > groups.len()
    {
        return None;
    }
    let mut from = 0;
    let runs = groups.chunk_by(|a, b| a == b).map(|run| {
        from += run.len();
        Run { group: run[0], rows: from - run.len()..from }
    });
    Some(runs.collect())
}

/// Whether functions take runs of these.
fn are_taken(arguments: &[Vec<Column>]) -> bool {
    let is_float =
        |c: &Column| matches!(c.array.data_type(), ArrowType::Float32 | ArrowType::Float64);
    !arguments.iter().flatten().any(|c| is_float(c) || coded(c).is_some())
}

/// The runs of rows with equal `keys`, if they are long: each key is looked up once, and no row by itself.
/// Keys of fixed width without NULLs only, as the first columns of a sorting key are. `groups` is scratch.
pub(super) fn of_keys(
    table: &mut KeyTable,
    keys: &[Column],
    arguments: &[Vec<Column>],
    rows: usize,
    groups: &mut Vec<u32>,
) -> Result<Option<Vec<Run>>> {
    if rows < RUN_ROWS_MIN || !are_taken(arguments) {
        return Ok(None);
    }
    let mut starts = vec![0u32];
    for key in keys {
        if !add_changes(key, rows, &mut starts) {
            return Ok(None);
        }
    }
    if keys.len() > 1 {
        starts.sort_unstable();
        starts.dedup();
    }
    let ends = starts[1..].iter().map(|start| *start as usize).chain([rows]);
    let ranges: Vec<Range<usize>> =
        starts.iter().zip(ends).map(|(start, end)| *start as usize..end).collect();
    let starts = UInt32Array::from(starts);
    let firsts: Vec<Column> = keys.iter().map(|key| key.take(&starts)).collect();
    table.insert(&firsts, ranges.len(), groups)?;
    let runs = groups.iter().zip(ranges).map(|(group, rows)| Run { group: *group, rows });
    Ok(Some(runs.collect()))
}

/// Appends the rows of `key` whose value is not that of the row before; false if they are many, or not of
/// plain words.
fn add_changes(key: &Column, rows: usize, starts: &mut Vec<u32>) -> bool {
    let array = key.array.as_ref();
    let Shape::Fixed(width) = Shape::of(&key.data_type) else { return false };
    if coded(key).is_some() || array.null_count() > 0 {
        return false;
    }
    macro_rules! words {
        ($native:ty) => {{
            let bytes = fixed_bytes(array);
            let values = &bytes.as_chunks::<{ size_of::<$native>() }>().0[..rows];
            let most = starts.len() + rows / RUN_ROWS_MIN;
            let sample = &values[..SAMPLE.min(rows)];
            let changes = sample.windows(2).filter(|pair| pair[0] != pair[1]).count();
            if changes > SAMPLE / RUN_ROWS_MIN {
                return false;
            }
            let mut from = 0;
            let mut last = values[0];
            for values in values.chunks(RUN_ROWS_MIN) {
                let first = <$native>::from_le_bytes(last);
                let differ =
                    values.iter().fold(0, |all, v| all | (<$native>::from_le_bytes(*v) ^ first));
                if differ != 0 {
                    for (row, value) in (from..).zip(values) {
                        if *value != last {
                            starts.push(row);
                            last = *value;
                        }
                    }
                    if starts.len() > most {
                        return false;
                    }
                }
                from += values.len() as u32;
            }
        }};
    }
    match width {
        1 => words!(u8),
        2 => words!(u16),
        4 => words!(u32),
        8 => words!(u64),
        _ => return false,
    }
    true
}

/// Adds the rows of `runs` to the states of `count` groups.
pub(super) fn update(
    runs: &[Run],
    states: &mut [Box<dyn Accumulator>],
    arguments: &[Vec<Column>],
    count: usize,
) -> Result<()> {
    for (state, arguments) in states.iter_mut().zip(arguments) {
        state.resize(count);
        for Run { group, rows } in runs {
            let slices: Vec<Column> =
                arguments.iter().map(|a| a.slice(rows.start, rows.len())).collect();
            state.update_run(*group, &slices, rows.len())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pumphouse_storage::{DataType, Value};

    use super::*;
    use crate::aggregates;

    #[test]
    fn runs_add_up_to_what_rows_do() {
        let groups: Vec<u32> =
            (0..4000u32).map(|row| [2, 0, 1, 0, 2][row as usize / 800]).collect();
        let values: Vec<Value> = (0..4000).map(|row| Value::UInt(row * row % 97)).collect();
        let column = Column::from_values(DataType::UInt32, &values).unwrap();
        for name in ["sum", "avg", "min", "max", "count", "uniqExact", "groupArray", "any"] {
            let arguments = vec![column.clone()];
            let function = aggregates::lookup(name, &[], &[DataType::UInt32]).unwrap();
            let (mut by_row, mut by_run) = (function.accumulator(), vec![function.accumulator()]);
            by_row.resize(3);
            by_row.update(&groups, &arguments).unwrap();
            let runs = of(&groups, std::slice::from_ref(&arguments)).unwrap();
            assert_eq!(runs.len(), 5);
            update(&runs, &mut by_run, &[arguments], 3).unwrap();
            let (by_row, by_run) = (by_row.finish().unwrap(), by_run[0].finish().unwrap());
            assert!((0..3).all(|group| by_row.value(group) == by_run.value(group)), "{name}");
        }
    }

    #[test]
    fn runs_of_keys_are_looked_up_once() {
        let types = [DataType::UInt32, DataType::Int16];
        let row = |row: u64| {
            // The keys change in different rows, and some come again.
            vec![Value::UInt(row / 700 % 3), Value::Int(row as i64 / 1000 - 2)]
        };
        let column = |i: usize, rows: std::ops::Range<u64>| {
            let values: Vec<Value> = rows.map(|r| row(r)[i].clone()).collect();
            Column::from_values(types[i].clone(), &values).unwrap()
        };
        let keys = [column(0, 0..5000), column(1, 0..5000)];
        let (mut by_run, mut by_row) = (KeyTable::new(&types), KeyTable::new(&types));
        let (mut groups, mut expected) = (vec![], vec![]);
        let runs = of_keys(&mut by_run, &keys, &[], 5000, &mut groups).unwrap().unwrap();
        by_row.insert(&keys, 5000, &mut expected).unwrap();
        assert_eq!(runs.len(), 12);
        let spread: Vec<u32> = runs.iter().flat_map(|r| r.rows.clone().map(|_| r.group)).collect();
        assert_eq!(spread, expected);
        assert_eq!(by_run.len(), by_row.len());
        // Short runs, floats and NULLs are left to others.
        let short = [Column::from_values(
            DataType::UInt32,
            &(0..5000).map(|r| Value::UInt(r / 9)).collect::<Vec<_>>(),
        )
        .unwrap()];
        assert!(of_keys(&mut by_run, &short, &[], 5000, &mut groups).unwrap().is_none());
        let null = DataType::nullable(DataType::UInt32);
        let nulls = [Column::from_values(null.clone(), &vec![Value::Null; 5000]).unwrap()];
        let mut table = KeyTable::new(&[null]);
        assert!(of_keys(&mut table, &nulls, &[], 5000, &mut groups).unwrap().is_none());
    }

    #[test]
    fn short_runs_and_floats_go_row_by_row() {
        let short: Vec<u32> = (0..4000).map(|row| row / 10).collect();
        assert!(of(&short, &[]).is_none());
        let floats =
            Column::from_values(DataType::Float64, &vec![Value::Float(1.0); 4000]).unwrap();
        assert!(of(&[0; 4000], &[vec![floats]]).is_none());
        assert!(of(&[0; 4000], &[]).is_some());
    }
}
