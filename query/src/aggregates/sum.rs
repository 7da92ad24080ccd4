//! `sum`, `sumWithOverflow`, `sumKahan`: integers wrap in 64 bits (or their own wide type), floats add
//! in Float64, decimals widen to 38 or 76 digits.
//!
//! Without GROUP BY floats are added in 16 lanes, in the order ClickHouse adds them, so that the last
//! digits agree.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::i256;
use pumphouse_storage::{Column, DataType};

use super::few_groups::{are_few, sums};
use super::kernel::{Build, Built, Kernel, State, wire};
use super::packed::{Number, Packed};
use crate::error::Result;

/// Numbers that can be summed up.
pub(crate) trait Addend: Copy + Default + Send + Sync + 'static {
    fn add(self, other: Self) -> Self;
    fn put(self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Result<Self>;
    const IS_FLOAT: bool = false;
}

macro_rules! addend {
    ($t:ty, $a:ident, $b:ident, $add:expr $(, $float:literal)?) => {
        impl Addend for $t {
            #[inline]
            fn add(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $add
            }
            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(input: &mut &[u8]) -> Result<Self> {
                Ok(<$t>::from_le_bytes(wire::array(input)?))
            }
            $(const IS_FLOAT: bool = $float;)?
        }
    };
}
addend!(u64, a, b, a.wrapping_add(b));
addend!(i64, a, b, a.wrapping_add(b));
addend!(u8, a, b, a.wrapping_add(b));
addend!(u16, a, b, a.wrapping_add(b));
addend!(u32, a, b, a.wrapping_add(b));
addend!(i8, a, b, a.wrapping_add(b));
addend!(i16, a, b, a.wrapping_add(b));
addend!(i32, a, b, a.wrapping_add(b));
addend!(i128, a, b, a.wrapping_add(b));
addend!(i256, a, b, a.wrapping_add(b));
addend!(f32, a, b, a + b, true);
addend!(f64, a, b, a + b, true);

/// Values that [`Widen::sum_few`] takes at most.
const FEW: usize = 1 << 15;

/// Widening of a stored number to the sum's number.
pub(crate) trait Widen<S: Addend>: Copy {
    fn widen(self) -> S;
    /// The sum of at most [`FEW`] values.
    #[inline]
    fn sum_few(values: &[Self]) -> S {
        values.iter().fold(S::default(), |sum, v| sum.add(v.widen()))
    }
}
macro_rules! widen {
    ($($from:ty => $to:ty $(, few as $few:ty)?);* $(;)?) => { $(
        impl Widen<$to> for $from {
            #[inline]
            fn widen(self) -> $to { self as $to }
            $(
                #[inline]
                fn sum_few(values: &[Self]) -> $to {
                    values.iter().fold(0, |sum: $few, v| sum.wrapping_add(*v as $few)) as $to
                }
            )?
        }
    )* };
}
// Sums of few narrow numbers fit into half as many bits, of which the processor adds twice as many at a time.
widen!(u8 => u64, few as u32; u16 => u64, few as u32; i8 => i64, few as i32; i16 => i64, few as i32);
widen!(u32 => u64; u64 => u64; i32 => i64; i64 => i64);
widen!(f32 => f64; f64 => f64; i128 => i128; i32 => i128; i64 => i128);
widen!(u8 => u8; u16 => u16; u32 => u32; i8 => i8; i16 => i16; i32 => i32; f32 => f32);
impl Widen<i256> for i256 {
    fn widen(self) -> i256 {
        self
    }
}

/// A running sum.
#[derive(Default, Clone, Copy)]
pub(crate) struct SumState<S>(pub S);

impl<S: Addend> State for SumState<S> {
    fn merge(&mut self, other: &Self) {
        self.0 = self.0.add(other.0);
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(SumState(S::take(input)?))
    }
}

/// The sum of all of `values`; floats in the lanes that ClickHouse uses.
#[inline]
pub(crate) fn sum_all<N: Copy + Widen<S>, S: Addend>(values: &[N]) -> S {
    let mut total = S::default();
    let mut rest = values;
    if S::IS_FLOAT {
        const LANES: usize = 16;
        let (chunks, tail) = values.as_chunks::<LANES>();
        let mut lanes = [S::default(); LANES];
        for chunk in chunks {
            for (lane, v) in lanes.iter_mut().zip(chunk) {
                *lane = lane.add(v.widen());
            }
        }
        for lane in lanes {
            total = total.add(lane);
        }
        rest = tail;
    }
    rest.chunks(FEW).fold(total, |sum, few| sum.add(N::sum_few(few)))
}

/// Sums column type `T` into numbers of type `R`.
struct Sum<T, R> {
    result: DataType,
    types: PhantomData<fn() -> (T, R)>,
}

impl<T, R> Clone for Sum<T, R> {
    fn clone(&self) -> Self {
        Sum { result: self.result.clone(), types: PhantomData }
    }
}

impl<T, R> Kernel for Sum<T, R>
where
    T: ArrowPrimitiveType,
    R: ArrowPrimitiveType,
    R::Native: Addend,
    T::Native: Widen<R::Native>,
{
    type State = SumState<R::Native>;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = columns[0].array.as_primitive::<T>().values();
        if !R::Native::IS_FLOAT && are_few(states.len(), groups.len()) {
            let sums = sums::<T::Native, R::Native>(states.len(), groups, values);
            states.iter_mut().zip(sums).for_each(|(state, sum)| state.0 = state.0.add(sum));
            return Ok(());
        }
        for (group, value) in groups.iter().zip(values.iter()) {
            let sum = &mut states[*group as usize].0;
            *sum = sum.add(value.widen());
        }
        Ok(())
    }

    fn update_single(&self, state: &mut Self::State, columns: &[Column], _: usize) -> Result<()> {
        let values = columns[0].array.as_primitive::<T>().values();
        state.0 = state.0.add(sum_all::<T::Native, R::Native>(values));
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        let array = PrimitiveArray::<R>::from_iter_values(states.iter().map(|s| s.0))
            .with_data_type(self.result.arrow());
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }

    fn packed(&self) -> Option<Packed> {
        use arrow_schema::DataType as ArrowType;
        match R::DATA_TYPE {
            ArrowType::UInt64 => Some(Packed::Sum(Number::Unsigned)),
            ArrowType::Int64 => Some(Packed::Sum(Number::Signed)),
            ArrowType::Float64 => Some(Packed::Sum(Number::Float)),
            _ => None,
        }
    }
}

fn kernel<T, R>(build: &Build, result: DataType) -> Built
where
    T: ArrowPrimitiveType,
    R: ArrowPrimitiveType,
    R::Native: Addend,
    T::Native: Widen<R::Native>,
{
    build.function(result.clone(), Sum::<T, R> { result, types: PhantomData })
}

pub(crate) fn build_sum(build: &Build) -> Built {
    build.expect_arguments(1)?;
    use DataType::*;
    match &build.arguments[0] {
        Nothing | UInt8 | Bool => kernel::<UInt8Type, UInt64Type>(build, UInt64),
        UInt16 => kernel::<UInt16Type, UInt64Type>(build, UInt64),
        UInt32 => kernel::<UInt32Type, UInt64Type>(build, UInt64),
        UInt64 => kernel::<UInt64Type, UInt64Type>(build, UInt64),
        Int8 => kernel::<Int8Type, Int64Type>(build, Int64),
        Int16 => kernel::<Int16Type, Int64Type>(build, Int64),
        Int32 => kernel::<Int32Type, Int64Type>(build, Int64),
        Int64 => kernel::<Int64Type, Int64Type>(build, Int64),
        t @ Interval(_) => kernel::<Int64Type, Int64Type>(build, t.clone()),
        Float32 | BFloat16 => kernel::<Float32Type, Float64Type>(build, Float64),
        Float64 => kernel::<Float64Type, Float64Type>(build, Float64),
        t @ (UInt128 | Int128) => kernel::<Decimal128Type, Decimal128Type>(build, t.clone()),
        t @ (UInt256 | Int256) => kernel::<Decimal256Type, Decimal256Type>(build, t.clone()),
        Decimal { precision, scale } => {
            let wide = Decimal { precision: if *precision <= 38 { 38 } else { 76 }, scale: *scale };
            match precision {
                0..=9 => kernel::<Int32Type, Decimal128Type>(build, wide),
                10..=18 => kernel::<Int64Type, Decimal128Type>(build, wide),
                19..=38 => kernel::<Decimal128Type, Decimal128Type>(build, wide),
                _ => kernel::<Decimal256Type, Decimal256Type>(build, wide),
            }
        }
        other => Err(build.illegal(other)),
    }
}

/// The sum in the argument's own type.
pub(crate) fn build_sum_with_overflow(build: &Build) -> Built {
    build.expect_arguments(1)?;
    use DataType::*;
    let t = build.arguments[0].clone();
    match &t {
        UInt8 | Bool => kernel::<UInt8Type, UInt8Type>(build, UInt8),
        UInt16 => kernel::<UInt16Type, UInt16Type>(build, t),
        UInt32 => kernel::<UInt32Type, UInt32Type>(build, t),
        Int8 => kernel::<Int8Type, Int8Type>(build, t),
        Int16 => kernel::<Int16Type, Int16Type>(build, t),
        Int32 => kernel::<Int32Type, Int32Type>(build, t),
        Float32 => kernel::<Float32Type, Float32Type>(build, t),
        Decimal { precision: 0..=9, .. } => kernel::<Int32Type, Int32Type>(build, t),
        Decimal { precision: 10..=18, .. } => kernel::<Int64Type, Int64Type>(build, t),
        _ => build_sum(build),
    }
}

#[derive(Clone)]
struct Kahan;

/// Neumaier-free Kahan summation, as `sumKahan` is defined.
#[derive(Default, Clone, Copy)]
struct KahanState {
    sum: f64,
    compensation: f64,
}

impl KahanState {
    fn add(&mut self, value: f64) {
        let compensated = value - self.compensation;
        let next = self.sum + compensated;
        self.compensation = (next - self.sum) - compensated;
        self.sum = next;
    }
}

impl State for KahanState {
    fn merge(&mut self, other: &Self) {
        let raw = self.sum + other.sum;
        let rhs = raw - self.sum;
        let error = ((other.sum - rhs) + (self.sum - (raw - rhs)))
            - (self.compensation + other.compensation);
        let next = raw + error;
        self.compensation = (next - raw) - error;
        self.sum = next;
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.sum.put(out);
        self.compensation.put(out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(KahanState { sum: wire::read_f64(input)?, compensation: wire::read_f64(input)? })
    }
}

impl Kernel for Kahan {
    type State = KahanState;

    fn update(&self, states: &mut [KahanState], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = super::numeric::floats(&columns[0])?;
        for (group, value) in groups.iter().zip(values.iter()) {
            states[*group as usize].add(*value);
        }
        Ok(())
    }

    fn finish(&self, states: &[KahanState]) -> Result<Column> {
        let array = PrimitiveArray::<Float64Type>::from_iter_values(states.iter().map(|s| s.sum));
        Ok(Column { data_type: DataType::Float64, array: Arc::new(array) })
    }
}

pub(crate) fn build_sum_kahan(build: &Build) -> Built {
    build.expect_arguments(1)?;
    if !build.arguments[0].is_number() {
        return Err(build.illegal(&build.arguments[0]));
    }
    build.function(DataType::Float64, Kahan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_many_narrow_numbers_do_not_overflow() {
        let rows = 3 * FEW + 5;
        assert_eq!(sum_all::<u8, u64>(&vec![u8::MAX; rows]), 255 * rows as u64);
        assert_eq!(sum_all::<u16, u64>(&vec![u16::MAX; rows]), 65_535 * rows as u64);
        assert_eq!(sum_all::<i8, i64>(&vec![i8::MIN; rows]), -128 * rows as i64);
        assert_eq!(sum_all::<i16, i64>(&vec![i16::MIN; rows]), -32_768 * rows as i64);
        let mixed: Vec<i16> = (0..rows).map(|i| (i * 7919) as i16).collect();
        let expected: i64 = mixed.iter().map(|v| *v as i64).sum();
        assert_eq!(sum_all::<i16, i64>(&mixed), expected);
        assert_eq!(sum_all::<u16, u16>(&[60_000, 10_000]), 4464);
    }
}
