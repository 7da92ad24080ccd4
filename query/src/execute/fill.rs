//! ORDER BY … WITH FILL: adds the rows that are missing between sorted ones.
//!
//! Values step along a grid that begins at FROM (or at the first row) and ends before TO (or at the
//! last row); rows off the grid stay. Keys before the filled one form groups that are filled each on
//! its own; a further filled key is filled inside every value of the one before. Other columns of
//! added rows are defaults.

use std::cmp::Ordering;

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::Env;
use super::interpolate::interpolate;
use super::sort::interleave;
use crate::error::{Error, Result, codes};
use crate::plan::{BoundExpr, FillSpec, SortKey};
use crate::text::calendar;

/// Rows that filling may add, so that a tiny step cannot run for ever.
const ADDED_ROWS_MAX: usize = 50_000_000;

/// A filled key: its column and how it steps.
struct Filled<'a> {
    column: usize,
    data_type: DataType,
    spec: &'a FillSpec,
    descending: bool,
    zone: TimeZone,
}

/// A row of the result: one that was there, or the values of the key columns of an added one.
enum Place {
    Row(usize),
    Added(usize),
}

struct Filler<'a> {
    block: &'a Block,
    /// Columns of the keys before the first filled one.
    prefix: Vec<usize>,
    filled: Vec<Filled<'a>>,
    places: Vec<Place>,
    /// Values of prefix and filled columns, per added row.
    added: Vec<Vec<(usize, Value)>>,
}

pub(super) fn fill_in(
    sorted: Vec<Block>,
    keys: &[SortKey],
    schema: &[(String, DataType)],
    env: &Env,
) -> Result<Vec<Block>> {
    let block = match sorted.len() {
        0 => Block::empty_of(schema),
        _ => Block::concat(&sorted)?,
    };
    let first = keys.iter().position(|k| k.fill.is_some()).unwrap_or(keys.len());
    let prefix = keys[..first].iter().map(key_column).collect::<Result<Vec<_>>>()?;
    let mut filled = vec![];
    for key in &keys[first..] {
        let Some(spec) = &key.fill else { continue };
        let data_type = key.expr.data_type();
        let zone = match data_type.inner() {
            DataType::DateTime(Some(zone)) | DataType::DateTime64(_, Some(zone)) => *zone,
            _ => env.ctx.time_zone,
        };
        let column = key_column(key)?;
        filled.push(Filled { column, data_type, spec, descending: key.descending, zone });
    }
    let mut filler = Filler { block: &block, prefix, filled, places: vec![], added: vec![] };
    let mut from = 0;
    if block.is_empty() {
        filler.level(0, 0, 0, &[])?;
    }
    while from < block.rows() {
        env.ctx.check()?;
        let to = (from + 1..block.rows())
            .find(|r| !filler.same(&filler.prefix, from, *r))
            .unwrap_or(block.rows());
        let fixed: Vec<(usize, Value)> =
            filler.prefix.iter().map(|c| (*c, block.columns[*c].value(from))).collect();
        filler.level(0, from, to, &fixed)?;
        from = to;
    }
    filler.finish(schema, keys, env)
}

fn key_column(key: &SortKey) -> Result<usize> {
    match &key.expr {
        BoundExpr::Column { index, .. } => Ok(*index),
        _ => Err(Error::new(codes::NOT_IMPLEMENTED, "WITH FILL needs plain columns in ORDER BY")),
    }
}

impl Filler<'_> {
    fn same(&self, columns: &[usize], a: usize, b: usize) -> bool {
        columns.iter().all(|c| {
            let column = &self.block.columns[*c];
            column.value(a) == column.value(b)
        })
    }

    /// Fills key `level` over rows `from..to`, in which everything before it is `fixed`.
    fn level(
        &mut self,
        level: usize,
        from: usize,
        to: usize,
        fixed: &[(usize, Value)],
    ) -> Result<()> {
        if level == self.filled.len() {
            if from == to {
                self.add(fixed)?;
            }
            self.places.extend((from..to).map(Place::Row));
            return Ok(());
        }
        let column = self.filled[level].column;
        let mut next = self.filled[level].spec.from.clone();
        let mut row = from;
        while row < to {
            let value = self.block.columns[column].value(row);
            let end = (row + 1..to).find(|r| !self.same(&[column], row, *r)).unwrap_or(to);
            if !value.is_null() {
                let mut at = next.unwrap_or_else(|| value.clone());
                // Nothing is added behind TO.
                let end = match &self.filled[level].spec.to {
                    Some(to) if self.filled[level].before(to, &value) => to.clone(),
                    _ => value.clone(),
                };
                at = self.gap(level, at, &end, fixed)?;
                if at == value {
                    at = self.filled[level].step(&at)?;
                }
                next = Some(at);
            }
            let mut inner = fixed.to_vec();
            inner.push((column, value));
            self.level(level + 1, row, end, &inner)?;
            row = end;
        }
        if let (Some(at), Some(end)) = (next, self.filled[level].spec.to.clone()) {
            self.gap(level, at, &end, fixed)?;
        } else if level > 0 && from == to && self.filled[level].spec.from.is_none() {
            self.level(level + 1, from, to, fixed)?;
        }
        Ok(())
    }

    /// Adds the values from `at` up to before `end`; returns where it stopped.
    fn gap(
        &mut self,
        level: usize,
        mut at: Value,
        end: &Value,
        fixed: &[(usize, Value)],
    ) -> Result<Value> {
        let column = self.filled[level].column;
        while self.filled[level].before(&at, end) {
            let mut inner = fixed.to_vec();
            inner.push((column, at.clone()));
            self.level(level + 1, 0, 0, &inner)?;
            at = self.filled[level].step(&at)?;
        }
        Ok(at)
    }

    fn add(&mut self, values: &[(usize, Value)]) -> Result<()> {
        if self.added.len() >= ADDED_ROWS_MAX {
            return Err(Error::new(codes::TOO_MANY_ROWS, "WITH FILL would add too many rows"));
        }
        self.places.push(Place::Added(self.added.len()));
        self.added.push(values.to_vec());
        Ok(())
    }

    fn finish(
        self,
        schema: &[(String, DataType)],
        keys: &[SortKey],
        env: &Env,
    ) -> Result<Vec<Block>> {
        let count = self.added.len();
        let mut extra = Block::of_rows(count);
        for (i, (name, data_type)) in schema.iter().enumerate() {
            let given = self.added.first().is_some_and(|a| a.iter().any(|(c, _)| *c == i));
            let column = if given {
                let values: Vec<Value> = self
                    .added
                    .iter()
                    .map(|a| {
                        let value = a.iter().find(|(c, _)| *c == i).map(|(_, v)| v.clone());
                        value.unwrap_or_else(|| pumphouse_storage::block::default_value(data_type))
                    })
                    .collect();
                Column::from_values(data_type.clone(), &values)?
            } else {
                Column::filler_values(data_type.clone(), count)
            };
            extra.push(name.clone(), column);
        }
        let places: Vec<(usize, usize)> = self
            .places
            .iter()
            .map(|p| match p {
                Place::Row(row) => (0, *row),
                Place::Added(row) => (1, *row),
            })
            .collect();
        let rule = keys.iter().find_map(|k| k.fill.as_ref()?.interpolation.as_ref());
        if let Some(rule) = rule {
            extra = interpolate(rule, self.block, extra, &places, &env.ctx)?;
        }
        let blocks = [self.block.clone(), extra];
        places
            .chunks(super::pipeline::CHUNK_ROWS)
            .map(|places| interleave(&blocks, places))
            .collect()
    }
}

impl Filled<'_> {
    /// Whether `a` comes before `b` in the key's direction.
    fn before(&self, a: &Value, b: &Value) -> bool {
        match a.cmp(b) {
            Ordering::Less => !self.descending,
            Ordering::Greater => self.descending,
            Ordering::Equal => false,
        }
    }

    fn step(&self, at: &Value) -> Result<Value> {
        let stuck = || {
            Error::new(
                codes::INVALID_WITH_FILL_EXPRESSION,
                format!("STEP of WITH FILL does not lead on for type {}", self.data_type),
            )
        };
        let next = match self.spec.step_unit {
            Some(unit) => self.step_interval(at, unit).ok_or_else(stuck)?,
            None => self.step_number(at).ok_or_else(stuck)?,
        };
        if self.before(at, &next) { Ok(next) } else { Err(stuck()) }
    }

    fn step_number(&self, at: &Value) -> Option<Value> {
        Some(match at {
            Value::Float(v) => Value::Float(v + self.spec.step.as_f64()?),
            Value::Decimal(v, scale) => {
                let step = match &self.spec.step {
                    Value::Decimal(s, step_scale) if step_scale == scale => *s,
                    other => (other.as_f64()? * 10f64.powi(*scale as i32)) as i128,
                };
                Value::Decimal(v + step, *scale)
            }
            Value::UInt(v) => number(*v as i128 + self.spec.step.as_i128()?),
            Value::Int(v) => number(*v as i128 + self.spec.step.as_i128()?),
            Value::Int128(v) => Value::Int128(v.checked_add(self.spec.step.as_i128()?)?),
            _ => return None,
        })
    }

    fn step_interval(&self, at: &Value, unit: &str) -> Option<Value> {
        let count = i64::try_from(self.spec.step.as_i128()?).ok()?;
        let at = i64::try_from(at.as_i128()?).ok()?;
        let months = match unit {
            "Month" => Some(count),
            "Quarter" => Some(count * 3),
            "Year" => Some(count * 12),
            _ => None,
        };
        let next = match self.data_type.inner() {
            DataType::Date | DataType::Date32 => match (months, unit) {
                (Some(months), _) => add_months(at, months),
                (None, "Week") => at + count * 7,
                (None, "Day") => at + count,
                _ => return None,
            },
            DataType::DateTime(_) => self.step_seconds(at, count, unit, months)?,
            DataType::DateTime64(precision, _) => {
                let ticks = 10i64.pow(*precision as u32);
                let sub = |per_second: i64| Some(at + count * ticks / per_second);
                return Some(Value::Int(match unit {
                    "Millisecond" => sub(1_000)?,
                    "Microsecond" => sub(1_000_000)?,
                    "Nanosecond" => sub(1_000_000_000)?,
                    _ => {
                        let seconds = at.div_euclid(ticks);
                        let rest = at.rem_euclid(ticks);
                        self.step_seconds(seconds, count, unit, months)? * ticks + rest
                    }
                }));
            }
            _ => return None,
        };
        Some(number(next as i128))
    }

    fn step_seconds(&self, at: i64, count: i64, unit: &str, months: Option<i64>) -> Option<i64> {
        let local = |days: &dyn Fn(i64) -> i64| {
            let local = calendar::to_local(self.zone, at);
            let (day, second) = (local.div_euclid(86_400), local.rem_euclid(86_400));
            calendar::local_to_utc(self.zone, days(day) * 86_400 + second)
        };
        Some(match (months, unit) {
            (Some(months), _) => local(&|day| add_months(day, months)),
            (None, "Second") => at + count,
            (None, "Minute") => at + count * 60,
            (None, "Hour") => at + count * 3600,
            (None, "Day") => local(&|day| day + count),
            (None, "Week") => local(&|day| day + count * 7),
            _ => return None,
        })
    }
}

fn number(v: i128) -> Value {
    match (u64::try_from(v), i64::try_from(v)) {
        (Ok(v), _) => Value::UInt(v),
        (_, Ok(v)) => Value::Int(v),
        _ => Value::Int128(v),
    }
}

/// Days since the epoch, months later; the day is clamped to the month's length.
fn add_months(days: i64, months: i64) -> i64 {
    let (year, month, day) = calendar::civil_from_days(days as i32);
    let total = year as i64 * 12 + month as i64 - 1 + months;
    let (year, month) = (total.div_euclid(12) as i32, total.rem_euclid(12) as u32 + 1);
    let day = day.min(calendar::days_in_month(year, month));
    calendar::days_from_civil(year, month, day) as i64
}
