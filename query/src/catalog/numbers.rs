//! Tables that compute their rows: `numbers`, `zeros`, `generate_series`, `system.one`, `null`.
//!
//! One column each, morsels of 65536 rows made on demand by any thread.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, UInt8Array, UInt64Array};
use pumphouse_storage::scan::ColumnCondition;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::{BlockSource, MorselSource, SourceColumn, TableSource};
use crate::error::{Error, Result, codes};

const MORSEL_ROWS: u64 = 65_536;

/// What the single column holds.
#[derive(Debug, Clone, Copy)]
enum Rows {
    /// `first + i * step`, unsigned.
    Numbers {
        first: u64,
        step: u64,
    },
    /// The same, signed.
    Series {
        first: i64,
        step: i64,
    },
    Zeros,
}

/// A computed table of one column.
pub struct NumbersSource {
    engine: &'static str,
    columns: Vec<SourceColumn>,
    rows: Rows,
    /// None: without end.
    count: Option<u64>,
    /// Whether threads share the work (`_mt`, or a known count).
    parallel: bool,
}

impl TableSource for NumbersSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(&self, columns: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        Ok(Arc::new(NumbersScan {
            columns: columns.to_vec(),
            rows: self.rows,
            count: self.count.unwrap_or(u64::MAX),
            parallel: self.parallel,
        }))
    }

    fn row_count(&self) -> Option<u64> {
        self.count
    }

    fn name(&self) -> String {
        self.columns[0].name.clone()
    }

    fn engine(&self) -> String {
        self.engine.into()
    }
}

struct NumbersScan {
    columns: Vec<String>,
    rows: Rows,
    count: u64,
    parallel: bool,
}

impl MorselSource for NumbersScan {
    fn morsel_count(&self) -> Option<usize> {
        self.parallel
            .then(|| usize::try_from(self.count.div_ceil(MORSEL_ROWS)).unwrap_or(usize::MAX))
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        let from = index as u64 * MORSEL_ROWS;
        if from >= self.count {
            return Ok(None);
        }
        let rows = MORSEL_ROWS.min(self.count - from);
        let mut block = Block::of_rows(rows as usize);
        for name in &self.columns {
            block.push(name.clone(), self.rows.column(from, rows));
        }
        Ok(Some(block))
    }

    fn rows_hint(&self, index: usize) -> Option<usize> {
        (self.count != u64::MAX).then(|| {
            self.count.saturating_sub(index as u64 * MORSEL_ROWS).min(MORSEL_ROWS) as usize
        })
    }
}

impl Rows {
    fn column(self, from: u64, rows: u64) -> Column {
        let (data_type, array): (DataType, ArrayRef) = match self {
            Rows::Numbers { first, step } => {
                let values = (from..from + rows).map(|i| first.wrapping_add(i.wrapping_mul(step)));
                (DataType::UInt64, Arc::new(UInt64Array::from_iter_values(values)))
            }
            Rows::Series { first, step } => {
                let values =
                    (from..from + rows).map(|i| first.wrapping_add((i as i64).wrapping_mul(step)));
                (DataType::Int64, Arc::new(Int64Array::from_iter_values(values)))
            }
            Rows::Zeros => (DataType::UInt8, Arc::new(UInt8Array::from(vec![0u8; rows as usize]))),
        };
        Column { data_type, array }
    }
}

fn source(
    engine: &'static str,
    column: &str,
    data_type: DataType,
    rows: Rows,
    count: Option<u64>,
) -> Arc<dyn TableSource> {
    Arc::new(NumbersSource {
        engine,
        columns: vec![SourceColumn::plain(column, data_type)],
        rows,
        count,
        parallel: count.is_some(),
    })
}

/// `system.numbers`, `system.zeros`, `system.one` and their `_mt` forms.
pub fn system_table(name: &str) -> Option<Arc<dyn TableSource>> {
    let all = Rows::Numbers { first: 0, step: 1 };
    Some(match name {
        "numbers" | "numbers_mt" => source("SystemNumbers", "number", DataType::UInt64, all, None),
        "zeros" | "zeros_mt" => source("SystemZeros", "zero", DataType::UInt8, Rows::Zeros, None),
        "one" => {
            let column = Column::default_values(DataType::UInt8, 1);
            let block = Block::new(vec![("dummy".into(), column)]);
            let columns = vec![SourceColumn::plain("dummy", DataType::UInt8)];
            Arc::new(BlockSource::new("system.one", columns, vec![block]))
        }
        _ => return None,
    })
}

fn unsigned(name: &str, value: &Value) -> Result<u64> {
    let float = match value {
        Value::Float(f) if f.fract() == 0.0 && *f >= 0.0 => Some(*f as u64),
        _ => None,
    };
    value.as_u64().or(float).ok_or_else(|| {
        Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!("Illegal expression for table function {name}: {}", value.to_sql()),
        )
    })
}

fn wrong_count(name: &str, expected: &str) -> Error {
    Error::new(
        codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
        format!("Table function '{name}' requires {expected}"),
    )
}

/// The table functions of this file; None if `name` is none of them.
pub fn table_function(name: &str, arguments: &[Value]) -> Option<Result<Arc<dyn TableSource>>> {
    Some(match name {
        "numbers" | "numbers_mt" => numbers(name, arguments),
        "zeros" | "zeros_mt" => zeros(name, arguments),
        "generate_series" | "generateSeries" => series(name, arguments),
        _ => return None,
    })
}

fn numbers(name: &str, arguments: &[Value]) -> Result<Arc<dyn TableSource>> {
    let (first, length, step) = match arguments {
        [] => (0, None, 1),
        [length] => (0, Some(unsigned(name, length)?), 1),
        [first, length] => (unsigned(name, first)?, Some(unsigned(name, length)?), 1),
        [first, length, step] => {
            (unsigned(name, first)?, Some(unsigned(name, length)?), unsigned(name, step)?)
        }
        _ => return Err(wrong_count(name, "'length', 'offset, length' or 'offset, length, step'")),
    };
    if step == 0 {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Table function {name} requires step to be a positive number"),
        ));
    }
    let count = length.map(|l| l.div_ceil(step));
    Ok(source("SystemNumbers", "number", DataType::UInt64, Rows::Numbers { first, step }, count))
}

fn zeros(name: &str, arguments: &[Value]) -> Result<Arc<dyn TableSource>> {
    let [length] = arguments else { return Err(wrong_count(name, "'length'")) };
    let count = Some(unsigned(name, length)?);
    Ok(source("SystemZeros", "zero", DataType::UInt8, Rows::Zeros, count))
}

fn series(name: &str, arguments: &[Value]) -> Result<Arc<dyn TableSource>> {
    let integer = |v: &Value| v.as_i128().ok_or_else(|| wrong_count(name, "integers"));
    let (start, stop, step) = match arguments {
        [start, stop] => (integer(start)?, integer(stop)?, 1),
        [start, stop, step] => (integer(start)?, integer(stop)?, integer(step)?),
        _ => return Err(wrong_count(name, "'start, stop' or 'start, stop, step'")),
    };
    if step == 0 {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Table function {name} requires step to be non-zero"),
        ));
    }
    let count = if (step > 0) == (stop >= start) || stop == start {
        ((stop - start) / step + 1) as u64
    } else {
        0
    };
    if start >= 0 && stop >= 0 && step > 0 {
        let rows = Rows::Numbers { first: start as u64, step: step as u64 };
        return Ok(source("SystemNumbers", name, DataType::UInt64, rows, Some(count)));
    }
    let rows = Rows::Series { first: start as i64, step: step as i64 };
    Ok(source("SystemNumbers", name, DataType::Int64, rows, Some(count)))
}

/// A table of these columns without rows, whatever is asked.
pub struct EmptySource {
    pub name: String,
    pub engine: String,
    pub columns: Vec<SourceColumn>,
}

impl TableSource for EmptySource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }
    fn scan(&self, _: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        Ok(Arc::new(EmptyScan))
    }
    fn row_count(&self) -> Option<u64> {
        Some(0)
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn engine(&self) -> String {
        self.engine.clone()
    }
}

struct EmptyScan;

impl MorselSource for EmptyScan {
    fn morsel_count(&self) -> Option<usize> {
        Some(0)
    }
    fn read(&self, _: usize) -> Result<Option<Block>> {
        Ok(None)
    }
}
