//! 128 and 256 bit integers: every integer column read as 256 bit words and put back into the width
//! of its type. Slow beside `native`, and used only where a wide type takes part.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type};
use arrow_array::{ArrayRef, Decimal128Array, Decimal256Array};
use arrow_buffer::i256;
use pumphouse_storage::{Column, DataType};

use super::native::{As, Native, load, values, with_native};
use crate::error::{Error, Result, codes};

/// The nearest float of a word.
pub(super) fn i256_to_f64(word: i256) -> f64 {
    let (low, high) = word.to_parts();
    if (high == 0 && low >> 127 == 0) || (high == -1 && low >> 127 == 1) {
        return low as i128 as f64;
    }
    high as f64 * 2f64.powi(128) + low as f64
}

/// The same, where the word may be unsigned.
pub(super) fn word_to_f64(word: i256, unsigned: bool) -> f64 {
    if unsigned && word.is_negative() {
        let (low, high) = word.to_parts();
        return high as u128 as f64 * 2f64.powi(128) + low as f64;
    }
    i256_to_f64(word)
}

/// The word of a float's whole part; garbage (but no panic) beyond 256 bit.
pub(super) fn f64_to_i256(v: f64) -> i256 {
    let v = v.trunc();
    if v.abs() < 2f64.powi(127) {
        return i256::from_i128(v as i128);
    }
    let high = (v / 2f64.powi(128)).floor();
    i256::from_parts((v - high * 2f64.powi(128)) as u128, high as i128)
}

/// Whether a type's words are 128 or 256 bit integers.
pub(super) fn is_wide(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, UInt128 | Int128 | UInt256 | Int256)
}

/// Integers (decimals unscaled, floats truncated) as 256 bit words.
pub(super) fn load_wide(column: &Column) -> Result<Vec<i256>> {
    use DataType::*;
    match column.array.data_type() {
        arrow_schema::DataType::Decimal128(..) => {
            let words = column.array.as_primitive::<Decimal128Type>().values();
            Ok(match column.data_type {
                UInt128 => words.iter().map(|v| i256::from_parts(*v as u128, 0)).collect(),
                _ => words.iter().map(|v| i256::from_i128(*v)).collect(),
            })
        }
        arrow_schema::DataType::Decimal256(..) => {
            Ok(column.array.as_primitive::<Decimal256Type>().values().to_vec())
        }
        arrow_schema::DataType::UInt64 => {
            Ok(values::<u64>(column).iter().map(|v| i256::from_parts(*v as u128, 0)).collect())
        }
        arrow_schema::DataType::Float32 | arrow_schema::DataType::Float64 => {
            Ok(load::<f64>(column)?.into_iter().map(f64_to_i256).collect())
        }
        _ => Ok(load::<i64>(column)?.into_iter().map(|v| i256::from_i128(v as i128)).collect()),
    }
}

/// Integers (decimals unscaled) as 128 bit words; 256 bit ones must fit.
pub(super) fn load_i128(column: &Column) -> Result<Vec<i128>> {
    match column.array.data_type() {
        arrow_schema::DataType::Decimal128(..) => {
            Ok(column.array.as_primitive::<Decimal128Type>().values().to_vec())
        }
        arrow_schema::DataType::Decimal256(..) => column
            .array
            .as_primitive::<Decimal256Type>()
            .values()
            .iter()
            .map(|v| v.to_i128().ok_or_else(overflow))
            .collect(),
        _ => with_native!(column.data_type, T => {
            if T::IS_FLOAT {
                return Ok(values::<T>(column).iter().map(|v| As::<f64>::to(*v) as i128).collect());
            }
            let unsigned = column.data_type == DataType::UInt64;
            Ok(values::<T>(column)
                .iter()
                .map(|v| {
                    let word = As::<i64>::to(*v);
                    if unsigned { word as u64 as i128 } else { word as i128 }
                })
                .collect())
        }, else {
            Err(Error::new(
                codes::ILLEGAL_COLUMN,
                format!("a column of {} holds no integers", column.data_type),
            ))
        }),
    }
}

/// Error 407.
pub(super) fn overflow() -> Error {
    Error::new(codes::DECIMAL_OVERFLOW, "Decimal math overflow")
}

/// Words cut to the width of `data_type` (any integer or float type).
pub(super) fn store_wide(data_type: &DataType, words: Vec<i256>) -> ArrayRef {
    use DataType::*;
    match data_type {
        UInt128 | Int128 => {
            let values: Vec<i128> = words.into_iter().map(|w| w.to_parts().0 as i128).collect();
            Arc::new(Decimal128Array::new(values.into(), None).with_data_type(data_type.arrow()))
        }
        UInt256 | Int256 => {
            Arc::new(Decimal256Array::new(words.into(), None).with_data_type(data_type.arrow()))
        }
        Float32 | Float64 => {
            let unsigned_top = |w: &i256| i256_to_f64(*w);
            if *data_type == Float32 {
                f32::array(words.iter().map(|w| unsigned_top(w) as f32).collect())
            } else {
                f64::array(words.iter().map(unsigned_top).collect())
            }
        }
        _ => with_native!(data_type, T => {
            T::array(words.into_iter().map(|w| As::<T>::to(w.to_parts().0 as u64)).collect())
        }, else {
            arrow_array::new_null_array(&data_type.arrow(), words.len())
        }),
    }
}
