//! The quantile family. One list of levels per function; `quantile`, `quantileExact` … give one value,
//! `quantiles…` an array. What a state keeps differs: a sample, all values, weights, centroids or a
//! histogram ([`Digest`]).
//!
//! Algorithms and constants are ClickHouse's, so that the numbers are.

mod accuracy;
mod bfloat;
mod exact;
mod reservoir;
mod tdigest;
mod timing;
mod weighted;

use std::sync::Arc;

use arrow_array::ListArray;
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType as ArrowType, Field};
use pumphouse_storage::{Column, DataType};

pub(crate) use self::accuracy::{build_dd, build_gk};
pub(crate) use self::timing::int_hash_32;
use super::kernel::{Build, Built, Kernel, State};
use super::numeric;
use crate::error::{Error, Result, codes};

/// A state that quantiles can be asked of.
pub(super) trait Digest: State {
    /// Adds a value with its weight (1 without one).
    fn add(&mut self, value: f64, weight: u64);
    /// The values at `levels`, in their order.
    fn quantiles(&self, levels: &[f64]) -> Vec<f64>;
}

/// How values become Float64 and back.
#[derive(Clone, Copy, PartialEq)]
enum Output {
    Float64,
    Float32,
    /// Whole numbers in the argument's own type.
    Own,
}

struct Quantiles<D> {
    levels: Vec<f64>,
    weighted: bool,
    item: DataType,
    result: DataType,
    digest: std::marker::PhantomData<fn() -> D>,
}

impl<D> Clone for Quantiles<D> {
    fn clone(&self) -> Self {
        Quantiles {
            levels: self.levels.clone(),
            weighted: self.weighted,
            item: self.item.clone(),
            result: self.result.clone(),
            digest: std::marker::PhantomData,
        }
    }
}

impl<D: Digest> Kernel for Quantiles<D> {
    type State = D;

    fn update(&self, states: &mut [D], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = raw_floats(&columns[0])?;
        if self.weighted {
            let weights = numeric::floats(&columns[1])?;
            for (i, group) in groups.iter().enumerate() {
                states[*group as usize].add(values[i], weights[i].max(0.0) as u64);
            }
        } else {
            for (i, group) in groups.iter().enumerate() {
                states[*group as usize].add(values[i], 1);
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[D]) -> Result<Column> {
        let mut values = Vec::with_capacity(states.len() * self.levels.len());
        for state in states {
            values.extend(state.quantiles(&self.levels));
        }
        let items = from_raw_floats(&values, &self.item)?;
        let DataType::Array(_) = &self.result else {
            return Ok(Column { data_type: self.result.clone(), array: items.array });
        };
        let field = match self.result.arrow() {
            ArrowType::List(field) => field,
            _ => Arc::new(Field::new("item", self.item.arrow(), false)),
        };
        let offsets = OffsetBuffer::from_repeated_length(self.levels.len(), states.len());
        let array = ListArray::new(field, offsets, items.array, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

/// Stored numbers as floats: decimals and date-times stay unscaled.
fn raw_floats(column: &Column) -> Result<std::borrow::Cow<'_, [f64]>> {
    if let DataType::Decimal { precision, .. } = column.data_type.inner() {
        let plain = DataType::Decimal { precision: *precision, scale: 0 };
        let raw = Column { data_type: plain, array: column.array.clone() };
        return Ok(std::borrow::Cow::Owned(numeric::floats(&raw)?.into_owned()));
    }
    numeric::floats(column)
}

/// Floats as a column of `data_type`; whole types are cut towards zero.
pub(crate) fn from_raw_floats(values: &[f64], data_type: &DataType) -> Result<Column> {
    use arrow_array::*;
    macro_rules! cast {
        ($array:ty, $native:ty) => {
            Arc::new(<$array>::from_iter_values(values.iter().map(|v| *v as $native)))
        };
    }
    let array: ArrayRef = match data_type.arrow() {
        ArrowType::Float64 => Arc::new(Float64Array::from(values.to_vec())),
        ArrowType::Float32 => cast!(Float32Array, f32),
        ArrowType::UInt8 => cast!(UInt8Array, u8),
        ArrowType::UInt16 => cast!(UInt16Array, u16),
        ArrowType::UInt32 => cast!(UInt32Array, u32),
        ArrowType::UInt64 => cast!(UInt64Array, u64),
        ArrowType::Int8 => cast!(Int8Array, i8),
        ArrowType::Int16 => cast!(Int16Array, i16),
        ArrowType::Int32 => cast!(Int32Array, i32),
        ArrowType::Int64 => cast!(Int64Array, i64),
        layout @ ArrowType::Decimal128(..) => {
            let words = Decimal128Array::from_iter_values(values.iter().map(|v| *v as i128));
            Arc::new(words.with_data_type(layout))
        }
        other => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("quantiles of {other} are not supported"),
            ));
        }
    };
    Ok(Column { data_type: data_type.clone(), array })
}

fn is_date_or_decimal(data_type: &DataType) -> bool {
    data_type.is_date_or_time() || matches!(data_type, DataType::Decimal { .. })
}

fn levels(build: &Build, several: bool) -> Result<Vec<f64>> {
    let given = build
        .parameters
        .iter()
        .map(|p| {
            p.as_f64().filter(|l| (0.0..=1.0).contains(l)).ok_or_else(|| {
                Error::new(
                    codes::ARGUMENT_OUT_OF_BOUND,
                    format!("Quantile level is out of range [0..1]: {}", p.to_sql()),
                )
            })
        })
        .collect::<Result<Vec<_>>>()?;
    match (several, given.len()) {
        (_, 0) => Ok(vec![0.5]),
        (false, n) if n > 1 => Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function {} requires one parameter or less", build.name),
        )),
        _ => Ok(given),
    }
}

fn family<D: Digest>(build: &Build, output: Output, weighted: bool) -> Built {
    build.expect_arguments(if weighted { 2 } else { 1 })?;
    let argument = &build.arguments[0];
    if !argument.is_number() && !argument.is_date_or_time() && *argument != DataType::Nothing {
        return Err(build.illegal(argument));
    }
    let several = build.name.starts_with("quantiles");
    let item = match output {
        _ if is_date_or_decimal(argument) => argument.clone(),
        Output::Own if *argument == DataType::Bool => DataType::UInt8,
        Output::Own => argument.clone(),
        Output::Float64 => DataType::Float64,
        Output::Float32 => DataType::Float32,
    };
    let result = if several { DataType::array(item.clone()) } else { item.clone() };
    let kernel = Quantiles::<D> {
        levels: levels(build, several)?,
        weighted,
        item,
        result: result.clone(),
        digest: std::marker::PhantomData,
    };
    build.function(result, kernel)
}

pub(crate) fn build_reservoir(build: &Build) -> Built {
    family::<reservoir::Reservoir>(build, Output::Float64, false)
}

pub(crate) fn build_deterministic(build: &Build) -> Built {
    family::<exact::Interpolated>(&without_determinator(build)?, Output::Float64, false)
}

/// The second argument of `quantileDeterministic` only feeds its sampling.
fn without_determinator<'a>(build: &'a Build<'a>) -> Result<Build<'a>> {
    build.expect_arguments(2)?;
    Ok(Build { name: build.name, parameters: build.parameters, arguments: &build.arguments[..1] })
}

/// Values as they come, the one at `level * count`; exact for whole numbers of any size.
pub(crate) fn build_exact(build: &Build) -> Built {
    exact::build(build, exact::Pick::Plain)
}

pub(crate) fn build_exact_low(build: &Build) -> Built {
    exact::build(build, exact::Pick::Low)
}

pub(crate) fn build_exact_high(build: &Build) -> Built {
    exact::build(build, exact::Pick::High)
}

pub(crate) fn build_exact_inclusive(build: &Build) -> Built {
    family::<exact::Interpolated>(build, Output::Float64, false)
}

pub(crate) fn build_exact_exclusive(build: &Build) -> Built {
    family::<exact::Exclusive>(build, Output::Float64, false)
}

pub(crate) fn build_exact_weighted(build: &Build) -> Built {
    family::<weighted::Weighted>(build, Output::Own, true)
}

pub(crate) fn build_interpolated_weighted(build: &Build) -> Built {
    family::<weighted::Interpolated>(build, Output::Own, true)
}

pub(crate) fn build_tdigest(build: &Build) -> Built {
    family::<tdigest::TDigest>(build, Output::Float32, false)
}

pub(crate) fn build_tdigest_weighted(build: &Build) -> Built {
    family::<tdigest::TDigest>(build, Output::Float32, true)
}

pub(crate) fn build_timing(build: &Build) -> Built {
    family::<timing::Timing>(build, Output::Float32, false)
}

pub(crate) fn build_timing_weighted(build: &Build) -> Built {
    family::<timing::Timing>(build, Output::Float32, true)
}

pub(crate) fn build_bfloat(build: &Build) -> Built {
    family::<bfloat::BFloats>(build, Output::Float64, build.name.ends_with("Weighted"))
}
