//! Conversions to and from Variant, Dynamic and JSON.
//!
//! Text that becomes JSON is parsed, text that becomes a Variant is taken by the first alternative that
//! will have it. Out of a Variant or Dynamic every value is converted from its own type; NULL becomes the
//! default of a type that has none.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use pumphouse_storage::run_time::bytes_column;
use pumphouse_storage::run_time::subcolumn::fill;
use pumphouse_storage::{Column, DataType, Value};

use super::super::strings::Strings;
use super::{Mode, OnFailure, convert};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::run_time::json::ObjectParser;
use crate::run_time::{damaged, groups, scatter, text, values_of, wrap};
use crate::text::{JsonOptions, write_json};

fn is_variant(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Variant(_) | DataType::Dynamic { .. })
}

/// The conversion if one side is a Variant or Dynamic, or a name for another type; else None.
pub(super) fn self_typed(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Option<Result<Column>> {
    let from = column.data_type.without_low_cardinality();
    if let DataType::Named { argument, .. } = to {
        let inner = convert(column, argument, mode, context);
        return Some(inner.map(|c| Column { data_type: to.clone(), array: c.array }));
    }
    if let Some(plain) = unnamed(from) {
        let plain = Column { data_type: plain, array: column.array.clone() };
        return Some(convert(&plain, to, mode, context));
    }
    match (from, to) {
        (_, to) if is_variant(to) => Some(into(column, to, mode, context)),
        (from, _) if is_variant(from) => Some(out_of(column, to, mode, context)),
        _ => None,
    }
}

/// The type without a name of its own around it, if it has one.
fn unnamed(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Named { argument, .. } => Some((**argument).clone()),
        DataType::Nullable(t) => Some(DataType::nullable(unnamed(t)?)),
        _ => None,
    }
}

fn into(column: &Column, to: &DataType, mode: Mode, context: &QueryContext) -> Result<Column> {
    let from = column.data_type.without_low_cardinality();
    match (from, to) {
        (DataType::Dynamic { .. }, DataType::Dynamic { .. }) => {
            Ok(Column { data_type: to.clone(), array: column.array.clone() })
        }
        (DataType::Variant(own), DataType::Variant(types))
            if !own.iter().all(|t| types.contains(t)) =>
        {
            Err(Error::new(
                codes::CANNOT_CONVERT_TYPE,
                format!(
                    "Cannot convert type {from} to {to}. Conversion between Variant types is allowed only when new Variant type is an extension of an initial one"
                ),
            ))
        }
        (from, _) if is_variant(from) => {
            let mut parts = vec![];
            for group in groups(column)? {
                let values = values_of(column, &group)?;
                let converted = match to {
                    DataType::Variant(types) if !types.contains(&group.data_type) => {
                        into_variant_as_text(&values, to, context)
                    }
                    _ => wrap(&values, to),
                }?;
                parts.push((group.rows, converted));
            }
            scatter(&parts, to, column.len())
        }
        (from, DataType::Variant(types)) if from.inner().is_string() => {
            let own = from.without_nullable();
            match types.contains(&own) && types.len() == 1 {
                true => wrap(column, to),
                false => parse_all(column, to, mode, context),
            }
        }
        (from, DataType::Dynamic { .. })
            if from.inner().is_string()
                && context.settings.bool("cast_string_to_dynamic_use_inference", false) =>
        {
            parse_all(column, to, mode, context)
        }
        _ => wrap(column, to),
    }
}

/// What a Variant does not hold goes in as text, as far as an alternative takes it.
fn into_variant_as_text(values: &Column, to: &DataType, context: &QueryContext) -> Result<Column> {
    let text = convert(values, &DataType::String, Mode::CAST, context)?;
    parse_all(&text, to, Mode::CAST, context)
}

/// Every text as a value of `to`.
fn parse_all(column: &Column, to: &DataType, mode: Mode, context: &QueryContext) -> Result<Column> {
    let strings = Strings::of(column.array.as_ref())?;
    let infer = matches!(to, DataType::Dynamic { .. });
    let mut values = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        if column.is_null(row) {
            values.push(None);
            continue;
        }
        // The mark of NULL is one in files only.
        let infer = infer && strings.get(row) != b"\\N";
        match text::parse(to, strings.get(row), infer, context.time_zone) {
            Ok(Value::String(bytes)) => values.push(Some(bytes)),
            Ok(_) => values.push(None),
            Err(_) if mode.failure != OnFailure::Throw => values.push(None),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(bytes_column(to.clone(), values.into_iter()))
}

fn out_of(column: &Column, to: &DataType, mode: Mode, context: &QueryContext) -> Result<Column> {
    let mut parts = vec![];
    for group in groups(column)? {
        let values = values_of(column, &group)?;
        let converted = convert(&values, to, mode, context)?;
        parts.push((group.rows, converted));
    }
    let whole = scatter(&parts, to, column.len())?;
    match mode.failure {
        // The caller takes NULL for what did not convert.
        OnFailure::Null if !to.is_nullable() => {
            let missing = column.array.nulls().cloned();
            let nulls = arrow_buffer::NullBuffer::union(whole.array.nulls(), missing.as_ref());
            let array = super::super::invoke::set_nulls(&whole.array, nulls);
            Ok(Column { data_type: whole.data_type, array })
        }
        _ => Ok(fill(whole, to)?),
    }
}

/// Plain values as JSON; neither side is Nullable.
pub(super) fn to_json(
    column: &Column,
    to: &DataType,
    mode: Mode,
    context: &QueryContext,
) -> Result<ArrayRef> {
    let DataType::Json(json) = to else { return Err(damaged()) };
    let from = &column.data_type;
    let objects = match from {
        DataType::Json(_) | DataType::Map(..) | DataType::Tuple(_) => true,
        t if t.is_string() => false,
        _ => {
            return Err(Error::new(
                codes::CANNOT_CONVERT_TYPE,
                format!("Cannot convert type {from} to {to}"),
            ));
        }
    };
    let parser = ObjectParser::new(json, context.time_zone)?;
    let options = JsonOptions::default();
    let mut values = Vec::with_capacity(column.len());
    let mut written = vec![];
    for row in 0..column.len() {
        let array = column.array.as_ref();
        let text = match from {
            _ if objects => {
                written.clear();
                write_json(from, array, row, context.time_zone, &options, &mut written);
                &written[..]
            }
            DataType::FixedString(_) => {
                super::text::trim_zeros(array.as_fixed_size_binary().value(row))
            }
            _ => array.as_binary::<i32>().value(row),
        };
        match parser.text(text) {
            Ok(bytes) => values.push(Some(bytes)),
            Err(_) if mode.failure != OnFailure::Throw => values.push(None),
            Err(e) => return Err(e.into()),
        }
    }
    let array = bytes_column(to.clone(), values.into_iter()).array;
    match mode.failure {
        OnFailure::Default => super::fill_defaults(&array, to),
        _ => Ok(array),
    }
}
