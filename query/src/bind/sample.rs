//! SAMPLE: a range of the table's sampling expression, so that the same rows come each time.
//!
//! The expression's type says how many values there are; the sample takes the share asked for, from
//! the offset. Shares are exact fractions (0.1 is 1/10), as which values fall in depends on them. A
//! size above 1 is a number of rows and becomes a share of all the table's rows.

use std::sync::Arc;

use pumphouse_storage::{DataType, Value};

use super::bind_expression;
use crate::catalog::TableSource;
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::plan::{Plan, PlanNode};
use crate::sql;
use crate::sql::ast::{Expr, ExprKind};

/// Values `from` to before `to` of an expression, canonical text.
pub(super) struct SampleRange {
    expression: String,
    from: u128,
    to: Option<u128>,
}

/// The range that a SAMPLE clause takes; None for all rows.
pub(super) fn range(
    source: &dyn TableSource,
    size: &Expr,
    offset: Option<&Expr>,
    ctx: &Arc<QueryContext>,
) -> Result<Option<SampleRange>> {
    let Some(text) = source.sampling_key() else {
        return Err(Error::new(
            codes::SAMPLING_NOT_SUPPORTED,
            format!("Storage {} doesn't support sampling", source.name()),
        ));
    };
    let schema: Vec<(String, DataType)> =
        source.columns().iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
    let data_type = bind_expression(&sql::parse_expression(text)?, &schema, ctx)?.data_type();
    let bits = match data_type {
        DataType::UInt8 => 8,
        DataType::UInt16 => 16,
        DataType::UInt32 => 32,
        DataType::UInt64 => 64,
        other => {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_COLUMN_FOR_FILTER,
                format!(
                    "Invalid sampling column type in storage parameters: {other}. Must be one unsigned integer type"
                ),
            ));
        }
    };
    let rows = source.row_count().unwrap_or(0);
    let size = Ratio::of(size)?.as_share(rows);
    let offset = match offset {
        Some(offset) => Ratio::of(offset)?.as_share(rows),
        None => Ratio { numerator: 0, denominator: 1 },
    };
    if size.numerator == 0 || (size.is_whole() && offset.numerator == 0) {
        return Ok(None);
    }
    let from = offset.of_power(bits);
    let end = offset.plus(&size);
    let to = (!end.is_whole()).then(|| end.of_power(bits));
    Ok(Some(SampleRange { expression: text.to_string(), from, to }))
}

/// `plan`, a scan, with only the rows in the range.
pub(super) fn filtered(plan: Plan, range: &SampleRange, ctx: &Arc<QueryContext>) -> Result<Plan> {
    let text = &range.expression;
    let mut conditions = vec![];
    if range.from > 0 {
        conditions.push(format!("({text}) >= {}", range.from));
    }
    if let Some(to) = range.to {
        conditions.push(format!("({text}) < {to}"));
    }
    if conditions.is_empty() {
        return Ok(plan);
    }
    let expr = sql::parse_expression(&conditions.join(" AND "))?;
    let predicate = bind_expression(&expr, &plan.schema, ctx)?;
    let schema = plan.schema.clone();
    Ok(Plan { node: PlanNode::Filter { input: Box::new(plan), predicate }, schema })
}

/// A fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ratio {
    numerator: u128,
    denominator: u128,
}

impl Ratio {
    fn of(expr: &Expr) -> Result<Ratio> {
        Ratio::read(expr).ok_or_else(|| {
            Error::new(
                codes::SYNTAX_ERROR,
                "SAMPLE takes a number or a fraction of two numbers, not below 0",
            )
        })
    }

    fn read(expr: &Expr) -> Option<Ratio> {
        match &expr.kind {
            ExprKind::Literal { text, value } => match value {
                Value::UInt(n) => Some(Ratio { numerator: *n as u128, denominator: 1 }),
                _ => Ratio::of_decimal(text),
            },
            ExprKind::Call(call) if call.name == "divide" => match &call.arguments[..] {
                [a, b] => {
                    let (a, b) = (Ratio::read(a)?, Ratio::read(b)?);
                    let ratio = Ratio {
                        numerator: a.numerator.checked_mul(b.denominator)?,
                        denominator: a.denominator.checked_mul(b.numerator)?,
                    };
                    (ratio.denominator > 0).then(|| ratio.reduced())
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// `0.1`, `.25`, `1e-2`.
    fn of_decimal(text: &str) -> Option<Ratio> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let numerator = format!("{whole}{part}").parse::<u128>().ok()?;
        let shift = exponent - i32::try_from(part.len()).ok()?;
        let power = 10u128.checked_pow(shift.unsigned_abs())?;
        let ratio = match shift >= 0 {
            true => Ratio { numerator: numerator.checked_mul(power)?, denominator: 1 },
            false => Ratio { numerator, denominator: power },
        };
        Some(ratio.reduced())
    }

    fn reduced(self) -> Ratio {
        let (mut a, mut b) = (self.numerator, self.denominator);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        let divisor = a.max(1);
        Ratio { numerator: self.numerator / divisor, denominator: self.denominator / divisor }
    }

    /// Above 1: so many of `rows`.
    fn as_share(self, rows: u64) -> Ratio {
        if self.numerator <= self.denominator || rows == 0 {
            return self;
        }
        let rows = self.denominator.saturating_mul(rows as u128);
        Ratio { numerator: self.numerator.min(rows), denominator: rows }.reduced()
    }

    fn is_whole(&self) -> bool {
        self.numerator >= self.denominator
    }

    fn plus(&self, other: &Ratio) -> Ratio {
        let wide = |a: u128, b: u128| a.saturating_mul(b);
        Ratio {
            numerator: wide(self.numerator, other.denominator)
                .saturating_add(wide(other.numerator, self.denominator)),
            denominator: wide(self.denominator, other.denominator),
        }
        .reduced()
    }

    /// The whole part of this share of 2^bits, for shares up to 1.
    fn of_power(&self, bits: u32) -> u128 {
        // Bit by bit, so that nothing overflows.
        let (mut quotient, mut rest) =
            (self.numerator / self.denominator, self.numerator % self.denominator);
        for _ in 0..bits {
            quotient <<= 1;
            let double = rest.saturating_mul(2);
            quotient |= (double >= self.denominator) as u128;
            rest = if double >= self.denominator { double - self.denominator } else { double };
        }
        quotient
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(text: &str) -> Option<Ratio> {
        Ratio::read(&sql::parse_expression(text).ok()?)
    }

    #[test]
    fn fractions_are_exact() {
        assert_eq!(ratio("0.1"), Some(Ratio { numerator: 1, denominator: 10 }));
        assert_eq!(ratio("1/10"), ratio("0.1"));
        assert_eq!(ratio("1e-1"), ratio("0.1"));
        assert_eq!(ratio("10000"), Some(Ratio { numerator: 10000, denominator: 1 }));
        assert_eq!(ratio("x"), None);
        assert_eq!(ratio("1/0"), None);
    }

    #[test]
    fn shares_of_all_values_are_cut_off() {
        let tenth = ratio("0.1").unwrap();
        assert_eq!(tenth.of_power(64), (1u128 << 64) / 10);
        assert_eq!(tenth.of_power(8), 25);
        assert_eq!(ratio("10").unwrap().as_share(40), ratio("1/4").unwrap());
        assert!(ratio("50").unwrap().as_share(40).is_whole());
        assert_eq!(tenth.plus(&tenth), ratio("0.2").unwrap());
    }
}
