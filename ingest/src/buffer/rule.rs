//! What `Buffer(database, table, num_layers, min_time, max_time, min_rows, max_rows, min_bytes,
//! max_bytes[, flush_time[, flush_rows[, flush_bytes]]])` says: where rows go, and when.
//!
//! They go when all minima are passed or any maximum is; in the background also when one of the last
//! three is. Layers only divide locks in ClickHouse; here one memory serves all.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::sql::ast::ExprKind;
use pumphouse_storage::Value;
use pumphouse_storage::log::TableDefinition;

/// How much, and since when. 0 in a limit of the flush means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    pub seconds: u64,
    pub rows: u64,
    pub bytes: u64,
}

/// The engine's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferRule {
    /// None: rows that leave the memory go nowhere.
    pub destination: Option<(String, String)>,
    min: Amount,
    max: Amount,
    flush: Amount,
}

const NAMES: [&str; 10] = [
    "num_buckets",
    "min_time",
    "max_time",
    "min_rows",
    "max_rows",
    "min_bytes",
    "max_bytes",
    "flush_time",
    "flush_rows",
    "flush_bytes",
];

impl BufferRule {
    /// From the arguments as CREATE kept them: two strings, then numbers.
    pub fn of(definition: &TableDefinition) -> Result<BufferRule> {
        let texts = &definition.clauses.engine_arguments;
        if !(9..=12).contains(&texts.len()) {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                "Storage Buffer requires from 9 to 12 parameters: destination_database, destination_table, num_buckets, min_time, max_time, min_rows, max_rows, min_bytes, max_bytes[, flush_time, flush_rows, flush_bytes].",
            ));
        }
        let words: Vec<Value> = texts.iter().map(|text| literal(text)).collect::<Result<_>>()?;
        let name = |value: &Value| match value.as_bytes() {
            Some(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            None => Err(Error::new(codes::BAD_ARGUMENTS, "The destination must be a name")),
        };
        let (database, table) = (name(&words[0])?, name(&words[1])?);
        let mut numbers = [0; NAMES.len()];
        for ((value, name), number) in words[2..].iter().zip(NAMES).zip(&mut numbers) {
            *number = limit(value, name)?;
        }
        if numbers[0] == 0 {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "Argument 'num_buckets' must be a positive integer, got '0'.",
            ));
        }
        let of = |i: usize, step: usize| Amount {
            seconds: numbers[i],
            rows: numbers[i + step],
            bytes: numbers[i + 2 * step],
        };
        Ok(BufferRule {
            destination: (!table.is_empty()).then_some((database, table)),
            min: of(1, 2),
            max: of(2, 2),
            flush: of(7, 1),
        })
    }

    /// Whether rows that are so many and so old are to go.
    pub fn is_due(&self, held: Amount, in_background: bool) -> bool {
        let (min, max, flush) = (&self.min, &self.max, &self.flush);
        let above = |limit: u64, value: u64| limit > 0 && value > limit;
        (held.seconds > min.seconds && held.rows > min.rows && held.bytes > min.bytes)
            || held.seconds > max.seconds
            || self.is_large(held.rows, held.bytes)
            || (in_background
                && (above(flush.seconds, held.seconds)
                    || above(flush.rows, held.rows)
                    || above(flush.bytes, held.bytes)))
    }

    /// Whether a block is too much to be kept at all.
    pub fn is_large(&self, rows: u64, bytes: u64) -> bool {
        rows > self.max.rows || bytes > self.max.bytes
    }
}

fn literal(text: &str) -> Result<Value> {
    match pumphouse_query::sql::parse_expression(text)?.kind {
        ExprKind::Literal { value, .. } => Ok(value),
        _ => Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Arguments of storage Buffer must be literals, got {text}"),
        )),
    }
}

fn limit(value: &Value, name: &str) -> Result<u64> {
    match (value.as_u64(), value) {
        (Some(number), _) => Ok(number),
        (None, Value::String(_)) => {
            Err(Error::new(codes::CANNOT_CONVERT_TYPE, "Cannot convert String to long."))
        }
        _ => Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Argument '{name}' must be non-negative value, get {}.", value.to_sql()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> BufferRule {
        BufferRule {
            destination: None,
            min: Amount { seconds: 10, rows: 10, bytes: 100 },
            max: Amount { seconds: 100, rows: 100, bytes: 1000 },
            flush: Amount { seconds: 5, rows: 0, bytes: 0 },
        }
    }

    #[test]
    fn all_minima_or_one_maximum() {
        let due = |seconds, rows, bytes, background| {
            rule().is_due(Amount { seconds, rows, bytes }, background)
        };
        assert!(!due(10, 11, 101, false), "limits are passed, not reached");
        assert!(due(11, 11, 101, false));
        assert!(!due(99, 10, 101, false));
        assert!(due(101, 1, 1, false));
        assert!(due(0, 101, 1, false));
        assert!(due(0, 1, 1001, false));
        assert!(!due(6, 1, 1, false));
        assert!(due(6, 1, 1, true), "flush_time counts in the background only");
    }
}
