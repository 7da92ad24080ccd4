//! Conversions to and from dates and times.
//!
//! A number up to 65535 is a day for Date (up to 120529 for Date32), a larger one seconds. Integers
//! and floats outside DateTime's range are clamped, dates outside it wrap, as in ClickHouse.

use arrow_array::ArrayRef;
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType};

use super::super::decimal::{scale_of, to_floats};
use super::super::interval::to_ticks;
use super::super::native::{Native, load, values};
use super::super::strings::Validity;
use super::super::wide::{is_wide, load_i128};
use super::super::zone::{explicit_zone, zone_of_type};
use super::{Mode, OnFailure, not_safe, unsupported};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::text::calendar::{local_to_utc, to_local};

const DATE_DAYS: i64 = 0xFFFF;
const DATE32_DAYS_MAX: i64 = 120_530;
const SECONDS_MAX: i64 = u32::MAX as i64;
const DATE_TIME64_SECONDS_MIN: i64 = -2_208_988_800;
const DATE_TIME64_SECONDS_MAX: i64 = 253_402_300_799;

pub(super) fn to_time(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    let as_number = match &column.data_type {
        DataType::Enum8(_) => Some(DataType::Int8),
        DataType::Enum16(_) => Some(DataType::Int16),
        DataType::Interval(_) => Some(DataType::Int64),
        _ => None,
    };
    if let Some(data_type) = as_number {
        let column = Column { data_type, array: column.array.clone() };
        return to_time(&column, to, mode, context);
    }
    if is_wide(&column.data_type) {
        let narrow = super::number::convert(column, &DataType::Int64, Mode::CAST)?;
        let column = Column { data_type: DataType::Int64, array: narrow };
        return to_time(&column, to, mode, context);
    }
    let from = &column.data_type;
    if mode.accurate && from.is_number() {
        return accurate(column, to, mode, context);
    }
    let source_zone = explicit_zone(from);
    let zone = explicit_zone(to).or(source_zone).unwrap_or(context.time_zone);
    if from.is_date_or_time() {
        // The calendar day is the one of the value's own zone.
        let zone = match to {
            DataType::Date | DataType::Date32 => zone_of_type(from, context),
            _ => zone,
        };
        return Ok(between(column, to, zone));
    }
    if !from.is_number() || is_wide(from) {
        return Err(unsupported(from, to));
    }
    match to {
        DataType::Date => Ok(u16::array(seconds(column)?.map_to(|v| match v {
            ..0 => 0,
            0..=DATE_DAYS => v as u16,
            _ => to_local(zone, v.min(SECONDS_MAX)).div_euclid(86_400) as u16,
        }))),
        DataType::Date32 => Ok(i32::array(seconds(column)?.map_to(|v| {
            if v <= DATE32_DAYS_MAX {
                v.max(i32::MIN as i64) as i32
            } else {
                to_local(zone, v).div_euclid(86_400).min(i32::MAX as i64) as i32
            }
        }))),
        DataType::DateTime(_) => {
            if matches!(from, DataType::Decimal { .. }) {
                return Err(Error::new(
                    codes::ILLEGAL_COLUMN,
                    format!("Illegal column {from} of first argument of function toDateTime"),
                ));
            }
            Ok(u32::array(seconds(column)?.map_to(|v| v.clamp(0, SECONDS_MAX) as u32)))
        }
        DataType::DateTime64(precision, _) => to_date_time64(column, *precision),
        _ => Err(unsupported(from, to)),
    }
}

/// Numbers that are no days or seconds of the type fail instead of being clamped.
fn accurate(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    let most = match to {
        DataType::Date | DataType::DateTime(_) => u32::MAX as f64,
        _ => f64::MAX,
    };
    let least = if matches!(to, DataType::Date | DataType::DateTime(_)) { 0.0 } else { f64::MIN };
    let mut valid = Validity::with_capacity(column.len());
    for v in to_floats(column)? {
        let whole = matches!(to, DataType::DateTime64(..)) || v.fract() == 0.0;
        valid.push((least..=most).contains(&v) && whole);
    }
    let loose = Mode { accurate: false, ..mode };
    let from = column.data_type.clone();
    let array = match to_time(column, to, loose, context) {
        Ok(array) => array,
        Err(_) if mode.failure != OnFailure::Throw => {
            Column::default_values(to.clone(), column.len()).array
        }
        Err(e) => return Err(e),
    };
    super::number::finish(array, to, mode, valid.finish(), || not_safe(&from, to))
}

/// Whole seconds (or days) of a number column.
struct Seconds(Vec<i64>);

impl Seconds {
    fn map_to<T>(self, f: impl Fn(i64) -> T) -> Vec<T> {
        self.0.into_iter().map(f).collect()
    }
}

fn seconds(column: &Column) -> Result<Seconds> {
    let from = &column.data_type;
    Ok(Seconds(match from {
        DataType::UInt64 => {
            values::<u64>(column).iter().map(|v| i64::try_from(*v).unwrap_or(i64::MAX)).collect()
        }
        t if t.is_float() || matches!(t, DataType::Decimal { .. }) => {
            let floats = to_floats(column)?;
            if floats.iter().any(|v| !v.is_finite()) {
                return Err(Error::new(
                    codes::CANNOT_CONVERT_TYPE,
                    "Unexpected inf or nan to integer conversion",
                ));
            }
            floats.into_iter().map(|v| v as i64).collect()
        }
        _ => load::<i64>(column)?,
    }))
}

fn to_date_time64(column: &Column, precision: u8) -> Result<ArrayRef> {
    let power = 10i64.pow(precision as u32);
    let limit = |seconds: i64| seconds.clamp(DATE_TIME64_SECONDS_MIN, DATE_TIME64_SECONDS_MAX);
    let from = &column.data_type;
    if let DataType::Decimal { .. } = from {
        let scale = scale_of(from);
        let words = load_i128(column)?;
        let up = 10i128.pow(precision.saturating_sub(scale) as u32);
        let down = 10i128.pow(scale.saturating_sub(precision) as u32);
        return Ok(i64::array(
            words.into_iter().map(|w| (w.saturating_mul(up) / down) as i64).collect(),
        ));
    }
    if from.is_float() {
        let top = limit(i64::MAX) as f64 + (power - 1) as f64 / power as f64;
        return Ok(i64::array(
            load::<f64>(column)?
                .into_iter()
                .map(|v| {
                    let bounded = v.clamp(DATE_TIME64_SECONDS_MIN as f64, top);
                    (bounded * power as f64) as i64
                })
                .collect(),
        ));
    }
    Ok(i64::array(seconds(column)?.map_to(|v| {
        let part = if v > DATE_TIME64_SECONDS_MAX { power - 1 } else { 0 };
        limit(v).saturating_mul(power).saturating_add(part)
    })))
}

/// One date or time type to another; `zone` is where days begin.
fn between(column: &Column, to: &DataType, zone: TimeZone) -> ArrayRef {
    use DataType::*;
    let from = &column.data_type;
    let days: Option<Vec<i64>> = match from {
        Date => Some(values::<u16>(column).iter().map(|v| *v as i64).collect()),
        Date32 => Some(values::<i32>(column).iter().map(|v| *v as i64).collect()),
        _ => None,
    };
    if let Some(days) = days {
        let midnight = |d: i64| local_to_utc(zone, d * 86_400);
        return match to {
            Date => u16::array(days.into_iter().map(|d| d as u16).collect()),
            Date32 => i32::array(days.into_iter().map(|d| d as i32).collect()),
            DateTime64(p, _) => {
                let power = 10i64.pow(*p as u32);
                i64::array(days.into_iter().map(|d| midnight(d).saturating_mul(power)).collect())
            }
            _ => u32::array(days.into_iter().map(|d| midnight(d) as u32).collect()),
        };
    }
    let (ticks, precision) = to_ticks(column, zone).unwrap_or_default();
    let power = 10i64.pow(precision as u32);
    match to {
        Date => u16::array(
            ticks
                .into_iter()
                .map(|t| to_local(zone, t.div_euclid(power)).div_euclid(86_400) as u16)
                .collect(),
        ),
        Date32 => i32::array(
            ticks
                .into_iter()
                .map(|t| to_local(zone, t.div_euclid(power)).div_euclid(86_400) as i32)
                .collect(),
        ),
        DateTime64(p, _) => {
            let up = 10i64.pow(p.saturating_sub(precision) as u32);
            let down = 10i64.pow(precision.saturating_sub(*p) as u32);
            i64::array(ticks.into_iter().map(|t| t.saturating_mul(up).div_euclid(down)).collect())
        }
        _ => u32::array(ticks.into_iter().map(|t| t.div_euclid(power) as u32).collect()),
    }
}

/// The number that a date or time is stored as; DateTime64 as seconds.
pub(super) fn to_number(column: &Column, to: &DataType, mode: Mode) -> Result<ArrayRef> {
    let from = &column.data_type;
    let stored = match from {
        DataType::Date => Column { data_type: DataType::UInt16, array: column.array.clone() },
        DataType::Date32 => Column { data_type: DataType::Int32, array: column.array.clone() },
        DataType::DateTime(_) => {
            Column { data_type: DataType::UInt32, array: column.array.clone() }
        }
        DataType::DateTime64(p, _) => {
            let decimal = DataType::Decimal { precision: 18, scale: *p };
            Column { data_type: decimal, array: column.array.clone() }
        }
        _ => return Err(not_safe(from, to)),
    };
    if stored.data_type == *to {
        return Ok(stored.array);
    }
    // Days and seconds may wrap; only what is scaled is checked.
    let accurate = mode.accurate && matches!(from, DataType::DateTime64(..));
    super::number::convert(&stored, to, Mode { accurate, ..mode })
}
