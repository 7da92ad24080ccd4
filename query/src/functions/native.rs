//! Numbers up to 64 bit as Rust sees them: how a column's values are read as a slice, converted to
//! another width in one tight loop, and put back into an array.
//!
//! Float to integer conversion gives what the x86 instructions give (as ClickHouse does): 32 bit and
//! narrower targets go through i32, which becomes its minimum when out of range.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_buffer::ArrowNativeType;
use pumphouse_storage::{Column, DataType};

use crate::error::{Error, Result, codes};

/// A number of at most 64 bit that columns hold.
pub(super) trait Native:
    ArrowNativeType
    + PartialOrd
    + As<u8>
    + As<u16>
    + As<u32>
    + As<u64>
    + As<i8>
    + As<i16>
    + As<i32>
    + As<i64>
    + As<f32>
    + As<f64>
    + Take<u8>
    + Take<u16>
    + Take<u32>
    + Take<u64>
    + Take<i8>
    + Take<i16>
    + Take<i32>
    + Take<i64>
    + Take<f32>
    + Take<f64>
{
    type Arrow: ArrowPrimitiveType<Native = Self>;
    const IS_FLOAT: bool;

    fn array(values: Vec<Self>) -> ArrayRef {
        Arc::new(PrimitiveArray::<Self::Arrow>::new(values.into(), None))
    }
}

/// Conversion as ClickHouse's static_cast does it.
pub(super) trait As<R>: Copy {
    fn to(self) -> R;
}

/// The same seen from the target.
pub(super) trait Take<S> {
    fn take(v: S) -> Self;
}

impl<S: As<R>, R> Take<S> for R {
    #[inline(always)]
    fn take(v: S) -> R {
        v.to()
    }
}

macro_rules! as_plain {
    ($($from:ty => $($to:ty)*;)*) => { $($(
        impl As<$to> for $from {
            #[inline(always)]
            fn to(self) -> $to { self as $to }
        }
    )*)* };
}
as_plain! {
    u8 => u8 u16 u32 u64 i8 i16 i32 i64 f32 f64;
    u16 => u8 u16 u32 u64 i8 i16 i32 i64 f32 f64;
    u32 => u8 u16 u32 u64 i8 i16 i32 i64 f32 f64;
    u64 => u8 u16 u32 u64 i8 i16 i32 i64 f32 f64;
    i8 => u8 u16 u32 u64 i8 i16 i32 i64 f32 f64;
    i16 => u8 u16 u32 u64 i8 i16 i32 i64 f32 f64;
    i32 => u8 u16 u32 u64 i8 i16 i32 i64 f32 f64;
    i64 => u8 u16 u32 u64 i8 i16 i32 i64 f32 f64;
    f32 => f32 f64;
    f64 => f32 f64;
}

#[inline(always)]
fn float_to_i32(v: f64) -> i32 {
    if v > -2147483649.0 && v < 2147483648.0 { v as i32 } else { i32::MIN }
}

#[inline(always)]
fn float_to_i64(v: f64) -> i64 {
    if (-9223372036854775808.0..9223372036854775808.0).contains(&v) { v as i64 } else { i64::MIN }
}

#[inline(always)]
fn float_to_u64(v: f64) -> u64 {
    const TOP: f64 = 9223372036854775808.0;
    if v < TOP { float_to_i64(v) as u64 } else { (float_to_i64(v - TOP) as u64) ^ (1 << 63) }
}

macro_rules! as_float {
    ($($float:ty)*) => { $(
        as_float!(@ $float, float_to_i32 => u8 u16 i8 i16 i32);
        as_float!(@ $float, float_to_i64 => u32 i64);
        as_float!(@ $float, float_to_u64 => u64);
    )* };
    (@ $float:ty, $through:ident => $($to:ty)*) => { $(
        impl As<$to> for $float {
            #[inline(always)]
            fn to(self) -> $to { $through(self as f64) as $to }
        }
    )* };
}
as_float! { f32 f64 }

macro_rules! native {
    ($($native:ty, $arrow:ty, $float:literal;)*) => { $(
        impl Native for $native {
            type Arrow = $arrow;
            const IS_FLOAT: bool = $float;
        }
    )* };
}
native! {
    u8, UInt8Type, false;
    u16, UInt16Type, false;
    u32, UInt32Type, false;
    u64, UInt64Type, false;
    i8, Int8Type, false;
    i16, Int16Type, false;
    i32, Int32Type, false;
    i64, Int64Type, false;
    f32, Float32Type, true;
    f64, Float64Type, true;
}

/// Runs `$body` with `$T` bound to the Rust type that columns of `$data_type` hold (up to 64 bit:
/// numbers, dates, enums, intervals, IPv4, small decimals unscaled), else `$other`.
macro_rules! with_native {
    ($data_type:expr, $T:ident => $body:expr, else $other:expr) => {{
        use arrow_schema::DataType as ArrowType;
        match $data_type.arrow() {
            ArrowType::UInt8 => {
                type $T = u8;
                $body
            }
            ArrowType::UInt16 => {
                type $T = u16;
                $body
            }
            ArrowType::UInt32 => {
                type $T = u32;
                $body
            }
            ArrowType::UInt64 => {
                type $T = u64;
                $body
            }
            ArrowType::Int8 => {
                type $T = i8;
                $body
            }
            ArrowType::Int16 => {
                type $T = i16;
                $body
            }
            ArrowType::Int32 => {
                type $T = i32;
                $body
            }
            ArrowType::Int64 => {
                type $T = i64;
                $body
            }
            ArrowType::Float32 => {
                type $T = f32;
                $body
            }
            ArrowType::Float64 => {
                type $T = f64;
                $body
            }
            _ => $other,
        }
    }};
}
pub(super) use with_native;

/// The values of a column that holds `T`.
#[inline]
pub(super) fn values<T: Native>(column: &Column) -> &[T] {
    column.array.as_primitive::<T::Arrow>().values()
}

/// The values of any column of 64 bit or less, converted to `T`.
pub(super) fn load<T: Native>(column: &Column) -> Result<Vec<T>> {
    let mut out = Vec::with_capacity(column.len());
    load_range(column, 0, column.len(), &mut out)?;
    Ok(out)
}

/// Appends rows `start..start + rows`, converted to `T`.
pub(super) fn load_range<T: Native>(
    column: &Column,
    start: usize,
    rows: usize,
    out: &mut Vec<T>,
) -> Result<()> {
    with_native!(column.data_type, S => {
        out.extend(values::<S>(column)[start..start + rows].iter().map(|v| <T as Take<S>>::take(*v)));
        Ok(())
    }, else {
        if matches!(column.array.data_type(), arrow_schema::DataType::Decimal128(..)) {
            let wide = column.array.as_primitive::<Decimal128Type>().values();
            let unsigned = column.data_type == DataType::UInt128;
            out.extend(wide[start..start + rows].iter().map(|v| narrow::<T>(*v, unsigned)));
            return Ok(());
        }
        if matches!(column.array.data_type(), arrow_schema::DataType::Decimal256(..)) {
            let wide = column.array.as_primitive::<Decimal256Type>().values();
            let unsigned = column.data_type == DataType::UInt256;
            out.extend(wide[start..start + rows].iter().map(|v| {
                if T::IS_FLOAT {
                    <T as Take<f64>>::take(super::wide::word_to_f64(*v, unsigned))
                } else {
                    <T as Take<u64>>::take(v.to_parts().0 as u64)
                }
            }));
            return Ok(());
        }
        Err(Error::new(
            codes::ILLEGAL_COLUMN,
            format!("a column of {} holds no plain numbers", column.data_type),
        ))
    })
}

fn narrow<T: Native>(v: i128, unsigned: bool) -> T {
    match (T::IS_FLOAT, unsigned) {
        (false, _) => <T as Take<u64>>::take(v as u64),
        (true, true) => <T as Take<f64>>::take(v as u128 as f64),
        (true, false) => <T as Take<f64>>::take(v as f64),
    }
}

/// One number for all rows, or one a row.
pub(super) enum Numbers<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Copy> Numbers<T> {
    #[inline(always)]
    pub fn get(&self, row: usize) -> T {
        match self {
            Numbers::One(v) => *v,
            Numbers::Many(v) => v[row],
        }
    }
}
