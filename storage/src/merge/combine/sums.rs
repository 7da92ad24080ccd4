//! Sums of groups, per type of number: wrapping for integers and decimals, in the column's own
//! precision for floats; NULLs are passed over, and only NULLs give NULL.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType as ArrowType;

use super::Groups;
use crate::block::Column;
use crate::types::DataType;

/// Whether columns of this type are summed.
pub(super) fn is_summable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Nullable(t) => is_summable(t),
        DataType::Interval(_) => true,
        other => other.is_number(),
    }
}

/// One sum per group, and whether it is the type's default (0, or NULL where there can be one). None
/// for a column that is no number.
pub(super) fn sums(column: &Column, groups: &Groups) -> Option<(Column, Vec<bool>)> {
    let array = column.array.as_ref();
    let nullable = column.data_type.is_nullable();
    macro_rules! native {
        ($type:ty, $add:expr) => {
            sum_of::<$type>(array.as_primitive_opt::<$type>()?, nullable, groups, $add)
        };
    }
    let (array, zeros) = match array.data_type() {
        ArrowType::UInt8 => native!(UInt8Type, u8::wrapping_add),
        ArrowType::UInt16 => native!(UInt16Type, u16::wrapping_add),
        ArrowType::UInt32 => native!(UInt32Type, u32::wrapping_add),
        ArrowType::UInt64 => native!(UInt64Type, u64::wrapping_add),
        ArrowType::Int8 => native!(Int8Type, i8::wrapping_add),
        ArrowType::Int16 => native!(Int16Type, i16::wrapping_add),
        ArrowType::Int32 => native!(Int32Type, i32::wrapping_add),
        ArrowType::Int64 => native!(Int64Type, i64::wrapping_add),
        ArrowType::Float32 => native!(Float32Type, |a, b| a + b),
        ArrowType::Float64 => native!(Float64Type, |a, b| a + b),
        ArrowType::Decimal128(..) => native!(Decimal128Type, i128::wrapping_add),
        ArrowType::Decimal256(..) => {
            native!(Decimal256Type, |a: arrow_buffer::i256, b| a.wrapping_add(b))
        }
        _ => return None,
    };
    Some((Column { data_type: column.data_type.clone(), array }, zeros))
}

fn sum_of<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    nullable: bool,
    groups: &Groups,
    add: impl Fn(T::Native, T::Native) -> T::Native,
) -> (ArrayRef, Vec<bool>) {
    let values = array.values();
    let nulls = array.nulls().filter(|n| n.null_count() > 0);
    let mut sums = Vec::with_capacity(groups.len());
    let mut valid = Vec::with_capacity(groups.len());
    for range in groups.iter() {
        let mut sum = T::Native::default();
        let mut any = false;
        for row in range {
            if nulls.is_none_or(|n| n.is_valid(row)) {
                sum = if any { add(sum, values[row]) } else { values[row] };
                any = true;
            }
        }
        sums.push(sum);
        valid.push(any);
    }
    let zeros = match nullable {
        true => valid.iter().map(|v| !v).collect(),
        false => sums.iter().map(|s| *s == T::Native::default()).collect(),
    };
    let nulls = nulls.is_some().then(|| NullBuffer::from(valid));
    let out =
        PrimitiveArray::<T>::new(sums.into(), nulls).with_data_type(array.data_type().clone());
    (Arc::new(out), zeros)
}
