//! Ranges of a date or time column from a comparison of a monotonic function of it, found by asking
//! the comparison itself: it is false below some point and true above (or the other way round), and
//! that point is found by bisection. So every conversion, time zone and rounding is the engine's own.

use std::ops::Bound;

use pumphouse_storage::scan::{ColumnCondition, ValueRange};
use pumphouse_storage::{Block, Column, DataType, Value};

use crate::bind::bind_expression;
use crate::context::QueryContext;
use crate::functions::ArgumentType;
use crate::plan::BoundExpr;
use crate::{functions, sql};

use super::column_checks::argument_type;
use super::shape::*;

/// Non-decreasing functions of one date or time argument; others must be constant.
const NON_DECREASING: &[&str] = &[
    "toDate",
    "toDate32",
    "toDateTime",
    "toDateTime64",
    "toStartOfSecond",
    "toStartOfMinute",
    "toStartOfFiveMinutes",
    "toStartOfTenMinutes",
    "toStartOfFifteenMinutes",
    "toStartOfHour",
    "toStartOfDay",
    "toStartOfWeek",
    "toStartOfMonth",
    "toStartOfQuarter",
    "toStartOfYear",
    "toStartOfISOYear",
    "toStartOfInterval",
    "dateTrunc",
    "toMonday",
    "toYear",
    "toYYYYMM",
    "toYYYYMMDD",
    "toYYYYMMDDhhmmss",
    "toUnixTimestamp",
    "toUnixTimestamp64Milli",
    "toUnixTimestamp64Micro",
    "toTimeZone",
];

/// The one column of `expr` if `expr` is a non-decreasing function of it.
fn monotonic_column(expr: &BoundExpr) -> Option<(usize, DataType)> {
    match expr {
        BoundExpr::Column { index, data_type } => {
            let ordered =
                data_type.inner().is_date_or_time() || int_domain(data_type.inner()).is_some();
            ordered.then(|| (*index, data_type.clone()))
        }
        BoundExpr::Call { function, arguments, .. }
            if NON_DECREASING.contains(&function.name()) =>
        {
            let mut varying = arguments.iter().filter(|a| !matches!(a, BoundExpr::Constant { .. }));
            let inner = varying.next()?;
            // Seconds of days beyond 2106 begin anew.
            let wraps = matches!(function.name(), "toDateTime" | "toUnixTimestamp")
                && *inner.data_type().inner() == DataType::Date;
            if wraps || varying.next().is_some() {
                return None;
            }
            // Numbers do not become dates in order.
            monotonic_column(inner).filter(|_| inner.data_type().inner().is_date_or_time())
        }
        // Of a divisor above zero; an unsigned number is not shifted out.
        BoundExpr::Call { function, arguments, .. }
            if matches!(function.name(), "intDiv" | "bitShiftRight") =>
        {
            let [inner, BoundExpr::Constant { value, .. }] = arguments.as_slice() else {
                return None;
            };
            let shifts = function.name() == "bitShiftRight";
            let fits =
                value.as_i128().is_some_and(|n| if shifts { (0..64).contains(&n) } else { n > 0 });
            let (index, data_type) = monotonic_column(inner).filter(|_| fits)?;
            let whole = inner.data_type();
            let unsigned = matches!(
                whole.inner(),
                DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64
            );
            (if shifts { unsigned } else { int_domain(whole.inner()).is_some() })
                .then_some((index, data_type))
        }
        // Numbers that all fit the new type.
        BoundExpr::Call { function, arguments, .. }
            if matches!(function.name(), "toInt64" | "toUInt64" | "toInt32" | "toUInt32") =>
        {
            let [inner] = arguments.as_slice() else { return None };
            let (own, new) = (inner.data_type(), expr.data_type());
            let (own, new) = (int_domain(own.inner())?, int_domain(new.inner())?);
            monotonic_column(inner).filter(|_| new.0 <= own.0 && own.1 <= new.1)
        }
        _ => None,
    }
}

/// The least and the greatest value of an integer type.
fn int_domain(data_type: &DataType) -> Option<(i128, i128)> {
    Some(match data_type {
        DataType::UInt8 => (0, u8::MAX as i128),
        DataType::UInt16 => (0, u16::MAX as i128),
        DataType::UInt32 => (0, u32::MAX as i128),
        DataType::UInt64 => (0, u64::MAX as i128),
        DataType::Int8 => (i8::MIN as i128, i8::MAX as i128),
        DataType::Int16 => (i16::MIN as i128, i16::MAX as i128),
        DataType::Int32 => (i32::MIN as i128, i32::MAX as i128),
        DataType::Int64 => (i64::MIN as i128, i64::MAX as i128),
        _ => return None,
    })
}

/// The condition on the column under `target`, where `part` is `target operator constant`, either way
/// round.
pub fn condition(
    part: &BoundExpr,
    operator: &str,
    target: &BoundExpr,
    schema: &[(String, DataType)],
    ctx: &QueryContext,
) -> Option<ColumnCondition> {
    let (index, data_type) = monotonic_column(target)?;
    if matches!(target, BoundExpr::Column { .. }) && !data_type.inner().is_date_or_time() {
        // Compared as it stands.
        return None;
    }
    let name = schema.get(index)?.0.clone();
    let probe = Probe { index, width: schema.len(), data_type: data_type.inner().clone(), ctx };
    let range = match operator {
        "greater" | "greaterOrEquals" => probe.rising(part)?,
        "less" | "lessOrEquals" => probe.falling(part)?,
        "equals" => {
            let lower = probe.rising(&with_operator(part, target, "greaterOrEquals")?)?;
            let upper = probe.falling(&with_operator(part, target, "lessOrEquals")?)?;
            ValueRange { lower: lower.lower, upper: upper.upper }
        }
        _ => return None,
    };
    Some(ColumnCondition { column: name, ranges: vec![range], may_be_null: false })
}

/// `target operator constant` from a comparison of the two.
fn with_operator(part: &BoundExpr, target: &BoundExpr, operator: &str) -> Option<BoundExpr> {
    let BoundExpr::Call { arguments, data_type, .. } = part else { return None };
    let own = key(target);
    let constant = arguments.iter().find(|a| key(a) != own)?;
    Some(BoundExpr::Call {
        function: functions::lookup(operator)?,
        arguments: vec![target.clone(), constant.clone()],
        data_type: data_type.clone(),
    })
}

/// Evaluates an expression at single values of one column.
struct Probe<'a> {
    index: usize,
    width: usize,
    data_type: DataType,
    ctx: &'a QueryContext,
}

impl Probe<'_> {
    /// Where a predicate turns true.
    fn rising(&self, predicate: &BoundExpr) -> Option<ValueRange> {
        let lower = match self.first(predicate, true)? {
            Some(at) => Bound::Included(self.value(at)),
            None => Bound::Excluded(self.value(self.domain()?.1)),
        };
        Some(ValueRange { lower, upper: Bound::Unbounded })
    }

    /// Where a predicate turns false.
    fn falling(&self, predicate: &BoundExpr) -> Option<ValueRange> {
        let upper = match self.first(predicate, false)? {
            Some(at) => Bound::Excluded(self.value(at)),
            None => Bound::Unbounded,
        };
        Some(ValueRange { lower: Bound::Unbounded, upper })
    }

    /// The least value at which the predicate is `wanted`; `Some(None)` if it never is.
    fn first(&self, predicate: &BoundExpr, wanted: bool) -> Option<Option<i128>> {
        let (low, high) = self.domain()?;
        if self.holds(predicate, high)? != wanted {
            return Some(None);
        }
        let (mut low, mut high) = (low, high);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.holds(predicate, middle)? == wanted {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Some(Some(low))
    }

    fn holds(&self, predicate: &BoundExpr, at: i128) -> Option<bool> {
        let value = self.evaluate(predicate, &self.value(at))?;
        value.as_f64().map(|v| v != 0.0)
    }

    fn evaluate(&self, expr: &BoundExpr, at: &Value) -> Option<Value> {
        let values = std::slice::from_ref(at);
        let column = Column::from_values(self.data_type.clone(), values).ok()?;
        let mut block = Block::of_rows(1);
        for _ in 0..self.width {
            block.push("", column.clone());
        }
        let mut own = expr.clone();
        retype(&mut own, self.index, &self.data_type)?;
        let value = crate::execute::evaluate(&own, &block, self.ctx).ok()?.value(0);
        (!value.is_null()).then_some(value)
    }

    /// The values that the column's type can have, as far as calendars go.
    fn domain(&self) -> Option<(i128, i128)> {
        // 1900-01-01 and 2299-12-31, in days and seconds.
        const DAYS: (i128, i128) = (-25_567, 120_529);
        const SECONDS: (i128, i128) = (-2_208_988_800, 10_413_791_999);
        Some(match &self.data_type {
            DataType::Date => (0, u16::MAX as i128),
            DataType::Date32 => DAYS,
            DataType::DateTime(_) => (0, u32::MAX as i128),
            DataType::DateTime64(precision, _) => {
                let scale = 10i128.checked_pow(*precision as u32)?;
                let clamp = |v: i128| v.clamp(i64::MIN as i128, i64::MAX as i128);
                (clamp(SECONDS.0 * scale), clamp(SECONDS.1 * scale))
            }
            other => return int_domain(other),
        })
    }

    fn value(&self, at: i128) -> Value {
        match &self.data_type {
            DataType::Date
            | DataType::DateTime(_)
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64 => Value::UInt(at as u64),
            _ => Value::Int(at as i64),
        }
    }
}

/// The probed column is neither Nullable nor LowCardinality; calls over it are typed anew.
fn retype(expr: &mut BoundExpr, index: usize, data_type: &DataType) -> Option<()> {
    match expr {
        BoundExpr::Column { index: own, .. } if *own == index => *expr = column(index, data_type),
        BoundExpr::Call { function, arguments, data_type: result } => {
            for argument in arguments.iter_mut() {
                retype(argument, index, data_type)?;
            }
            let types: Vec<ArgumentType> = arguments.iter().map(argument_type).collect();
            if !types.iter().any(|t| t.lambda_arity.is_some()) {
                *result = functions::resolve(function, &types).ok()?;
            }
        }
        BoundExpr::InSet { expr, .. } => retype(expr, index, data_type)?,
        _ => {}
    }
    Some(())
}

/// Conditions on key expressions that follow from those on their column: `ts >= x` says
/// `toStartOfHour(ts) >= toStartOfHour(x)`.
pub fn key_conditions(
    keys: &[String],
    schema: &[(String, DataType)],
    conditions: &[ColumnCondition],
    ctx: &QueryContext,
) -> Vec<ColumnCondition> {
    let mut found = vec![];
    for text in keys {
        if schema.iter().any(|(n, _)| n == text) || conditions.iter().any(|c| c.column == *text) {
            continue;
        }
        let Some(expr) = bound_key(text, schema, ctx) else { continue };
        for condition in conditions {
            found.extend(through_key(text, &expr, condition, schema, ctx));
        }
    }
    found
}

pub fn bound_key(
    text: &str,
    schema: &[(String, DataType)],
    ctx: &QueryContext,
) -> Option<BoundExpr> {
    // A column that is not read: most key expressions are that.
    let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_name && !schema.iter().any(|(name, _)| name == text) {
        return None;
    }
    let parsed = sql::parse_expression(text).ok()?;
    let mut own = QueryContext::new("", ctx.now_us, 0);
    own.time_zone = ctx.time_zone;
    let expr = bind_expression(&parsed, schema, &std::sync::Arc::new(own)).ok()?;
    (!is_volatile(&expr)).then_some(expr)
}

fn through_key(
    text: &str,
    expr: &BoundExpr,
    condition: &ColumnCondition,
    schema: &[(String, DataType)],
    ctx: &QueryContext,
) -> Option<ColumnCondition> {
    let columns = columns_of(expr);
    let [index] = columns.as_slice() else { return None };
    let (name, data_type) = schema.get(*index)?;
    if *name != condition.column || condition.may_be_null {
        return None;
    }
    let probe =
        Probe { index: *index, width: schema.len(), data_type: data_type.inner().clone(), ctx };
    let monotonic = monotonic_column(expr).is_some();
    let mut ranges = vec![];
    for range in &condition.ranges {
        let point = match (&range.lower, &range.upper) {
            (Bound::Included(a), Bound::Included(b)) if a == b => Some(a),
            _ => None,
        };
        ranges.push(match point {
            Some(point) => ValueRange::point(probe.evaluate(expr, point)?),
            None if monotonic => ValueRange {
                lower: moved(&range.lower, expr, &probe)?,
                upper: moved(&range.upper, expr, &probe)?,
            },
            None => return None,
        });
    }
    Some(ColumnCondition { column: text.to_string(), ranges, may_be_null: false })
}

fn moved(bound: &Bound<Value>, expr: &BoundExpr, probe: &Probe) -> Option<Bound<Value>> {
    Some(match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(v) | Bound::Excluded(v) => Bound::Included(probe.evaluate(expr, v)?),
    })
}
