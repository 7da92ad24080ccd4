//! Which time zone a date function works in: the one given as an argument, else the column type's,
//! else the session's.

use pumphouse_storage::DataType;
use pumphouse_storage::types::TimeZone;

use super::FunctionCall;
use super::type_rule::Args;
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};

/// The zone that a type carries.
pub(super) fn explicit_zone(data_type: &DataType) -> Option<TimeZone> {
    match data_type {
        DataType::DateTime(zone) | DataType::DateTime64(_, zone) => *zone,
        _ => None,
    }
}

/// The zone of values of this type.
pub(super) fn zone_of_type(data_type: &DataType, context: &QueryContext) -> TimeZone {
    explicit_zone(data_type).unwrap_or(context.time_zone)
}

/// A zone by name; error 36.
pub(super) fn parse_zone(name: &str) -> Result<TimeZone> {
    TimeZone::parse(name)
        .ok_or_else(|| Error::new(codes::BAD_ARGUMENTS, format!("Cannot load time zone {name}")))
}

/// For type rules: the zone given by constant argument `index`, else the one of argument `date`.
pub(super) fn result_zone(a: &Args, date: usize, index: usize) -> Result<Option<TimeZone>> {
    if index < a.len() {
        return Ok(Some(parse_zone(&a.constant_text(index)?)?));
    }
    Ok(explicit_zone(a.get(date)))
}

impl FunctionCall<'_> {
    /// The zone to work in: constant argument `index` if given, else the zone of argument `date`.
    pub(super) fn zone(&self, date: usize, index: usize) -> Result<TimeZone> {
        if index < self.arguments.len() {
            return match self.constant_text(index) {
                Some(name) if !name.is_empty() => parse_zone(&name),
                _ => Err(Error::new(
                    codes::ILLEGAL_COLUMN,
                    "the time zone argument must be a constant string",
                )),
            };
        }
        Ok(zone_of_type(self.data_type(date)?, self.context))
    }
}
