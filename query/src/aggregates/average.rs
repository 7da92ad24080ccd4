//! `avg` and `avgWeighted`: a sum in ClickHouse's accumulator type (64-bit integers wrap) and a count;
//! the result is always Float64.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{ArrowPrimitiveType, Float64Array};
use arrow_buffer::i256;
use pumphouse_storage::{Column, DataType};

use super::few_groups::{are_few, counts, sums};
use super::kernel::{Build, Built, Kernel, State, wire};
use super::packed::{Number, Packed};
use super::sum::{Addend, Widen, sum_all};
use crate::error::Result;

/// A sum as the numerator of an average.
trait Numerator: Addend {
    /// How packed states read it, if it has 64 bits.
    const NUMBER: Option<Number> = None;
    fn to_f64(self) -> f64;
}
impl Numerator for u64 {
    const NUMBER: Option<Number> = Some(Number::Unsigned);
    fn to_f64(self) -> f64 {
        self as f64
    }
}
impl Numerator for i64 {
    const NUMBER: Option<Number> = Some(Number::Signed);
    fn to_f64(self) -> f64 {
        self as f64
    }
}
impl Numerator for i128 {
    fn to_f64(self) -> f64 {
        self as f64
    }
}
impl Numerator for f64 {
    const NUMBER: Option<Number> = Some(Number::Float);
    fn to_f64(self) -> f64 {
        self
    }
}
impl Numerator for i256 {
    fn to_f64(self) -> f64 {
        super::numeric::i256_to_f64(self)
    }
}

#[derive(Default, Clone, Copy)]
struct AverageState<S> {
    sum: S,
    count: u64,
}

impl<S: Addend> State for AverageState<S> {
    fn merge(&mut self, other: &Self) {
        self.sum = self.sum.add(other.sum);
        self.count += other.count;
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.sum.put(out);
        wire::write_varint(self.count, out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(AverageState { sum: S::take(input)?, count: wire::read_varint(input)? })
    }
}

struct Average<T, S> {
    /// 10^scale for decimals.
    divisor: f64,
    types: PhantomData<fn() -> (T, S)>,
}

impl<T, S> Clone for Average<T, S> {
    fn clone(&self) -> Self {
        Average { divisor: self.divisor, types: PhantomData }
    }
}

impl<T, S> Kernel for Average<T, S>
where
    T: ArrowPrimitiveType,
    T::Native: Widen<S>,
    S: Numerator,
{
    type State = AverageState<S>;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = columns[0].array.as_primitive::<T>().values();
        if !S::IS_FLOAT && are_few(states.len(), groups.len()) {
            let sums = sums::<T::Native, S>(states.len(), groups, values);
            let counts = counts(states.len(), groups);
            for (state, (sum, count)) in states.iter_mut().zip(sums.into_iter().zip(counts)) {
                state.sum = state.sum.add(sum);
                state.count += count;
            }
            return Ok(());
        }
        for (group, value) in groups.iter().zip(values.iter()) {
            let state = &mut states[*group as usize];
            state.sum = state.sum.add(value.widen());
            state.count += 1;
        }
        Ok(())
    }

    fn update_single(
        &self,
        state: &mut Self::State,
        columns: &[Column],
        rows: usize,
    ) -> Result<()> {
        let values = columns[0].array.as_primitive::<T>().values();
        state.sum = state.sum.add(sum_all::<T::Native, S>(values));
        state.count += rows as u64;
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        let array = Float64Array::from_iter_values(
            states.iter().map(|s| s.sum.to_f64() / self.divisor / s.count as f64),
        );
        Ok(Column { data_type: DataType::Float64, array: Arc::new(array) })
    }

    fn packed(&self) -> Option<Packed> {
        S::NUMBER.map(|number| Packed::Average(number, self.divisor))
    }
}

fn kernel<T, S>(build: &Build, scale: u8) -> Built
where
    T: ArrowPrimitiveType,
    T::Native: Widen<S>,
    S: Numerator,
{
    let kernel = Average::<T, S> { divisor: 10f64.powi(scale as i32), types: PhantomData };
    build.function(DataType::Float64, kernel)
}

pub(crate) fn build_avg(build: &Build) -> Built {
    build.expect_arguments(1)?;
    use DataType::*;
    match &build.arguments[0] {
        Nothing | UInt8 | Bool => kernel::<UInt8Type, u64>(build, 0),
        UInt16 | Date => kernel::<UInt16Type, u64>(build, 0),
        UInt32 | DateTime(_) => kernel::<UInt32Type, u64>(build, 0),
        UInt64 => kernel::<UInt64Type, u64>(build, 0),
        Int8 | Enum8(_) => kernel::<Int8Type, i64>(build, 0),
        Int16 | Enum16(_) => kernel::<Int16Type, i64>(build, 0),
        Int32 | Date32 => kernel::<Int32Type, i64>(build, 0),
        Int64 | Interval(_) => kernel::<Int64Type, i64>(build, 0),
        DateTime64(scale, _) => kernel::<Int64Type, i128>(build, *scale),
        Float32 | BFloat16 => kernel::<Float32Type, f64>(build, 0),
        Float64 => kernel::<Float64Type, f64>(build, 0),
        UInt128 | Int128 => kernel::<Decimal128Type, i128>(build, 0),
        UInt256 | Int256 => kernel::<Decimal256Type, i256>(build, 0),
        Decimal { precision, scale } => match precision {
            0..=9 => kernel::<Int32Type, i128>(build, *scale),
            10..=18 => kernel::<Int64Type, i128>(build, *scale),
            19..=38 => kernel::<Decimal128Type, i128>(build, *scale),
            _ => kernel::<Decimal256Type, i256>(build, *scale),
        },
        other => Err(build.illegal(other)),
    }
}

#[derive(Clone)]
struct WeightedAverage;

#[derive(Default, Clone, Copy)]
struct WeightedState {
    sum: f64,
    weight: f64,
}

impl State for WeightedState {
    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.weight += other.weight;
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.sum.put(out);
        self.weight.put(out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(WeightedState { sum: wire::read_f64(input)?, weight: wire::read_f64(input)? })
    }
}

impl Kernel for WeightedAverage {
    type State = WeightedState;

    fn update(&self, states: &mut [Self::State], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = super::numeric::floats(&columns[0])?;
        let weights = super::numeric::floats(&columns[1])?;
        for (i, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            state.sum += values[i] * weights[i];
            state.weight += weights[i];
        }
        Ok(())
    }

    fn finish(&self, states: &[Self::State]) -> Result<Column> {
        let array = Float64Array::from_iter_values(states.iter().map(|s| s.sum / s.weight));
        Ok(Column { data_type: DataType::Float64, array: Arc::new(array) })
    }
}

pub(crate) fn build_avg_weighted(build: &Build) -> Built {
    build.expect_arguments(2)?;
    for argument in build.arguments {
        if !argument.is_number() {
            return Err(build.illegal(argument));
        }
    }
    build.function(DataType::Float64, WeightedAverage)
}
