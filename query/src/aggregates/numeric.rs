//! Number columns as Float64, for the statistical aggregates.

use std::borrow::Cow;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_buffer::i256;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType};

use crate::error::{Error, Result, codes};

/// The nearest Float64.
pub(crate) fn i256_to_f64(v: i256) -> f64 {
    let negative = v.is_negative();
    let (low, high) = v.to_parts();
    if negative {
        let positive = v.wrapping_neg();
        if positive.is_negative() {
            return -(2f64.powi(255));
        }
        return -i256_to_f64(positive);
    }
    high as f64 * 2f64.powi(128) + low as f64
}

/// The values of a number column; decimals divided by their scale.
pub(crate) fn floats(column: &Column) -> Result<Cow<'_, [f64]>> {
    macro_rules! cast {
        ($t:ty) => {
            column.array.as_primitive::<$t>().values().iter().map(|v| *v as f64).collect()
        };
    }
    let unsigned_wide = matches!(column.data_type.inner(), DataType::UInt128 | DataType::UInt256);
    let mut values: Vec<f64> = match column.array.data_type() {
        ArrowType::Float64 => {
            return Ok(Cow::Borrowed(column.array.as_primitive::<Float64Type>().values()));
        }
        ArrowType::Float32 => cast!(Float32Type),
        ArrowType::UInt8 => cast!(UInt8Type),
        ArrowType::UInt16 => cast!(UInt16Type),
        ArrowType::UInt32 => cast!(UInt32Type),
        ArrowType::UInt64 => cast!(UInt64Type),
        ArrowType::Int8 => cast!(Int8Type),
        ArrowType::Int16 => cast!(Int16Type),
        ArrowType::Int32 => cast!(Int32Type),
        ArrowType::Int64 => cast!(Int64Type),
        ArrowType::Decimal128(..) => {
            let words = column.array.as_primitive::<Decimal128Type>().values();
            words
                .iter()
                .map(|v| if unsigned_wide { *v as u128 as f64 } else { *v as f64 })
                .collect()
        }
        ArrowType::Decimal256(..) => {
            let words = column.array.as_primitive::<Decimal256Type>().values();
            words.iter().map(|v| i256_to_f64(*v)).collect()
        }
        _ => {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!("{} is not a number", column.data_type),
            ));
        }
    };
    if let DataType::Decimal { scale, .. } = column.data_type.inner()
        && *scale > 0
    {
        let divisor = 10f64.powi(*scale as i32);
        values.iter_mut().for_each(|v| *v /= divisor);
    }
    Ok(Cow::Owned(values))
}

/// Whether `floats` reads columns of this type.
pub(crate) fn is_numeric(data_type: &DataType) -> bool {
    data_type.is_number() || matches!(data_type, DataType::Nothing)
}
