//! Rows whose groups come in long runs, as keys do that the table is sorted by: each function takes a run
//! at once instead of row by row.
//!
//! Not with floats: their sums would be rounded in another order.

use std::ops::Range;

use arrow_schema::DataType as ArrowType;
use pumphouse_storage::Column;

use crate::aggregates::Accumulator;
use crate::error::Result;
use crate::execute::key_table::coded;

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
    let is_float =
        |c: &Column| matches!(c.array.data_type(), ArrowType::Float32 | ArrowType::Float64);
    let changes = |groups: &[u32]| groups.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let sample = &groups[..SAMPLE.min(groups.len())];
    if groups.len() < RUN_ROWS_MIN
        || changes(sample) > SAMPLE / RUN_ROWS_MIN
        || arguments.iter().flatten().any(|c| is_float(c) || coded(c).is_some())
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
    fn short_runs_and_floats_go_row_by_row() {
        let short: Vec<u32> = (0..4000).map(|row| row / 10).collect();
        assert!(of(&short, &[]).is_none());
        let floats =
            Column::from_values(DataType::Float64, &vec![Value::Float(1.0); 4000]).unwrap();
        assert!(of(&[0; 4000], &[vec![floats]]).is_none());
        assert!(of(&[0; 4000], &[]).is_some());
    }
}
