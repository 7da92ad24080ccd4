//! `timeSeriesRateToGrid`, `timeSeriesDeltaToGrid`: at each point of a grid of times, what PromQL's `rate`
//! and `delta` give over the window before it, or NULL with fewer than two samples there.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Float32Array, Float64Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType, Value};

use super::kernel::{Build, Built, Kernel};
use super::numeric::floats;
use super::ranks::Pairs;
use crate::error::{Error, Result, codes};

/// Points a grid may have.
const POINTS_MAX: f64 = 10_000_000.0;

#[derive(Clone)]
struct Grid {
    start: f64,
    step: f64,
    points: usize,
    window: f64,
    /// Whether values are counters, which only fall when they start anew.
    counter: bool,
    item: DataType,
    result: DataType,
}

impl Grid {
    fn value(&self, samples: &[(f64, f64)], at: f64) -> Option<f64> {
        let from = samples.partition_point(|s| s.0 <= at - self.window);
        let to = samples.partition_point(|s| s.0 <= at);
        let samples = samples.get(from..to)?;
        let [first, .., last] = samples else { return None };
        let mut change = last.1 - first.1;
        if self.counter {
            for pair in samples.windows(2) {
                if pair[1].1 < pair[0].1 {
                    change += pair[0].1;
                }
            }
        }
        let covered = last.0 - first.0;
        let between = covered / (samples.len() - 1) as f64;
        let reach = |gap: f64| if gap >= between * 1.1 { between / 2.0 } else { gap };
        let mut before = reach(first.0 - (at - self.window));
        if self.counter && change > 0.0 && first.1 >= 0.0 {
            // A counter does not go below zero.
            before = before.min(covered * (first.1 / change));
        }
        let stretched = change * ((covered + before + reach(at - last.0)) / covered);
        Some(if self.counter { stretched / self.window } else { stretched })
    }
}

/// Seconds of a column of times.
fn seconds(column: &Column) -> Result<Vec<f64>> {
    let scale = match column.data_type.inner() {
        DataType::DateTime64(precision, _) => 10f64.powi(-(*precision as i32)),
        _ => 1.0,
    };
    Ok(floats(column)?.iter().map(|v| v * scale).collect())
}

impl Kernel for Grid {
    type State = Pairs;

    fn update(&self, states: &mut [Pairs], groups: &[u32], columns: &[Column]) -> Result<()> {
        let DataType::Array(time) = &columns[0].data_type else {
            let (times, values) = (seconds(&columns[0])?, floats(&columns[1])?);
            for (i, group) in groups.iter().enumerate() {
                states[*group as usize].0.push((times[i], values[i]));
            }
            return Ok(());
        };
        let [lists, others] = [0, 1].map(|i| columns[i].array.as_list::<i32>());
        let of = |list: &ListArray, data_type: &DataType| Column {
            data_type: data_type.clone(),
            array: list.values().clone(),
        };
        let (times, values) = (seconds(&of(lists, time))?, of(others, &self.item));
        let values = floats(&values)?;
        for (i, group) in groups.iter().enumerate() {
            let [a, b] = [lists, others].map(|l| {
                let offsets = l.value_offsets();
                offsets[i] as usize..offsets[i + 1] as usize
            });
            if a.len() != b.len() {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    "Timestamp and value arrays must have the same length",
                ));
            }
            states[*group as usize].0.extend(a.zip(b).map(|(t, v)| (times[t], values[v])));
        }
        Ok(())
    }

    fn finish(&self, states: &[Pairs]) -> Result<Column> {
        let mut values: Vec<Option<f64>> = vec![];
        for state in states {
            let mut samples = state.0.clone();
            samples.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
            samples.dedup_by(|next, kept| next.0 == kept.0);
            let at = |i: usize| self.start + self.step * i as f64;
            values.extend((0..self.points).map(|i| self.value(&samples, at(i))));
        }
        let items: ArrayRef = match self.item {
            DataType::Float32 => {
                Arc::new(Float32Array::from_iter(values.iter().map(|v| v.map(|v| v as f32))))
            }
            _ => Arc::new(Float64Array::from(values)),
        };
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let offsets = OffsetBuffer::from_repeated_length(self.points, states.len());
        let array = ListArray::new(field, offsets, items, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

fn grid(build: &Build, counter: bool) -> Built {
    let [start, end, step, window] = build.parameters else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Aggregate function {} requires 4 parameters: start_timestamp, end_timestamp, step, window",
                build.name
            ),
        ));
    };
    let number = |v: &Value| {
        v.as_f64().ok_or_else(|| build.bad_parameter("needs times as numbers of seconds"))
    };
    let (start, end) = (number(start)?, number(end)?);
    let (step, window) = (number(step)?, number(window)?);
    if end < start || step < 0.0 || window < 0.0 || step == 0.0 && end > start {
        return Err(build.bad_parameter("needs a grid that goes forward"));
    }
    let points = if step == 0.0 { 1.0 } else { ((end - start) / step).floor() + 1.0 };
    if points > POINTS_MAX {
        return Err(build.bad_parameter("has too many grid points"));
    }
    build.expect_arguments(2)?;
    let item_of = |t: &DataType| match t {
        DataType::Array(item) => ((**item).clone(), true),
        other => (other.clone(), false),
    };
    let (time, times) = item_of(&build.arguments[0]);
    let (item, values) = item_of(&build.arguments[1]);
    if !matches!(time, DataType::DateTime(_) | DataType::DateTime64(..) | DataType::UInt32) {
        return Err(build.illegal(&build.arguments[0]));
    }
    if !item.is_float() || times != values {
        return Err(build.illegal(&build.arguments[1]));
    }
    let result = DataType::array(DataType::nullable(item.clone()));
    let points = points as usize;
    build.counting(result.clone(), Grid { start, step, points, window, counter, item, result })
}

pub(crate) fn build_rate(build: &Build) -> Built {
    grid(build, true)
}

pub(crate) fn build_delta(build: &Build) -> Built {
    grid(build, false)
}
