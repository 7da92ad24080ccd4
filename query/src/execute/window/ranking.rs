//! Window functions that are no aggregates: numbering, ranks, and values of neighbouring rows.

use std::sync::Arc;

use arrow_array::{Array, Float64Array, UInt32Array, UInt64Array};
use pumphouse_storage::{Column, DataType, Value};

use super::frame::{Frames, Layout};
use crate::error::{Error, Result, codes};
use crate::execute::Env;
use crate::functions::cast;
use crate::plan::WindowFunction;

fn unsigned(values: Vec<u64>) -> Column {
    Column { data_type: DataType::UInt64, array: Arc::new(UInt64Array::from(values)) }
}

fn float(values: Vec<f64>) -> Column {
    Column { data_type: DataType::Float64, array: Arc::new(Float64Array::from(values)) }
}

pub(super) fn run(
    name: &str,
    arguments: &[Column],
    layout: &Layout,
    frames: &Frames,
    function: &WindowFunction,
    env: &Env,
) -> Result<Column> {
    let rows = layout.rows();
    let rank = |row: usize| (layout.peer_start(row) - layout.partition(row).start + 1) as u64;
    Ok(match name {
        "row_number" => {
            unsigned((0..rows).map(|r| (r - layout.partition(r).start + 1) as u64).collect())
        }
        "rank" => unsigned((0..rows).map(rank).collect()),
        "dense_rank" => unsigned((0..rows).map(|r| layout.peer_group(r) as u64 + 1).collect()),
        "percent_rank" => float(
            (0..rows)
                .map(|r| match layout.partition(r).len() {
                    0 | 1 => 0.0,
                    n => (rank(r) - 1) as f64 / (n - 1) as f64,
                })
                .collect(),
        ),
        "cume_dist" => float(
            (0..rows)
                .map(|r| {
                    let p = layout.partition(r);
                    (layout.peer_end(r) - p.start) as f64 / p.len() as f64
                })
                .collect(),
        ),
        "ntile" => ntile(&arguments[0], layout)?,
        "nth_value" => nth_value(arguments, layout, frames, function, env)?,
        "lag" | "lead" | "lagInFrame" | "leadInFrame" => {
            neighbour(name, arguments, layout, frames, function, env)?
        }
        other => {
            return Err(Error::new(
                codes::UNKNOWN_AGGREGATE_FUNCTION,
                format!("Aggregate function with name '{other}' does not exist."),
            ));
        }
    })
}

fn ntile(buckets: &Column, layout: &Layout) -> Result<Column> {
    let bad = || {
        Error::new(codes::BAD_ARGUMENTS, "Argument of 'ntile' must be a constant greater than zero")
    };
    let buckets = buckets.value(0).as_u64().filter(|b| *b > 0).ok_or_else(bad)?;
    let values = (0..layout.rows()).map(|row| {
        let p = layout.partition(row);
        let (at, rows) = ((row - p.start) as u64, p.len() as u64);
        let (small, larger) = (rows / buckets, rows % buckets);
        let in_larger = larger * (small + 1);
        if at < in_larger {
            at / (small + 1) + 1
        } else {
            larger + (at - in_larger) / small.max(1) + 1
        }
    });
    Ok(unsigned(values.collect()))
}

/// `column` as the function's result type.
fn as_result(column: &Column, function: &WindowFunction, env: &Env) -> Result<Column> {
    if column.array.data_type() == &function.data_type.arrow() {
        return Ok(Column { data_type: function.data_type.clone(), array: column.array.clone() });
    }
    cast::cast_column(column, &function.data_type, &env.ctx)
}

/// Values at `places`; None takes the row's own value of `default`.
fn pick(values: Column, default: Column, places: Vec<Option<usize>>) -> Result<Column> {
    let rows = values.len();
    let both = Column::concat(&[values, default])?;
    let indices: UInt32Array = places
        .into_iter()
        .enumerate()
        .map(|(row, place)| place.unwrap_or(rows + row) as u32)
        .collect::<Vec<u32>>()
        .into();
    Ok(both.take(&indices))
}

fn neighbour(
    name: &str,
    arguments: &[Column],
    layout: &Layout,
    frames: &Frames,
    function: &WindowFunction,
    env: &Env,
) -> Result<Column> {
    let rows = layout.rows();
    let values = as_result(&arguments[0], function, env)?;
    let default = match arguments.get(2) {
        Some(default) => as_result(default, function, env)?,
        None => Column::filler_values(function.data_type.clone(), rows),
    };
    let (back, framed) = (name.starts_with("lag"), name.ends_with("InFrame"));
    let places = (0..rows)
        .map(|row| {
            let offset = match arguments.get(1).map(|c| c.value(row)) {
                None => 1,
                Some(Value::Null) => return Ok(None),
                Some(offset) => offset.as_u64().ok_or_else(|| {
                    Error::new(
                        codes::BAD_ARGUMENTS,
                        format!("The offset of '{name}' must be a non-negative integer"),
                    )
                })? as usize,
            };
            let range = if framed { frames.range(layout, row) } else { layout.partition(row) };
            let place = if back { row.checked_sub(offset) } else { row.checked_add(offset) };
            Ok(place.filter(|p| range.contains(p)))
        })
        .collect::<Result<Vec<_>>>()?;
    pick(values, default, places)
}

fn nth_value(
    arguments: &[Column],
    layout: &Layout,
    frames: &Frames,
    function: &WindowFunction,
    env: &Env,
) -> Result<Column> {
    let rows = layout.rows();
    let values = as_result(&arguments[0], function, env)?;
    let default = Column::filler_values(function.data_type.clone(), rows);
    let places = (0..rows)
        .map(|row| {
            let n = arguments[1].value(row).as_u64().filter(|n| *n > 0).ok_or_else(|| {
                Error::new(codes::BAD_ARGUMENTS, "The offset of 'nth_value' must be positive")
            })?;
            let range = frames.range(layout, row);
            let place = range.start + (n as usize - 1);
            Ok(range.contains(&place).then_some(place))
        })
        .collect::<Result<Vec<_>>>()?;
    pick(values, default, places)
}
