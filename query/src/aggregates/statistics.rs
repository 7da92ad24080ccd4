//! Moments: variance, deviation, skewness, kurtosis, covariance, correlation, linear regression,
//! entropy. Sums of powers in Float64, in ClickHouse's formulas.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StructArray};
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::{floats, is_numeric};
use super::quantile::from_raw_floats;
use crate::error::{Error, Result, codes};
use crate::execute::row_codec::RowCodec;

/// Count and sums of the first to fourth powers.
#[derive(Default, Clone, Copy)]
struct Moments([f64; 5]);

impl Moments {
    fn variance(&self, sample: bool) -> f64 {
        let m = &self.0;
        let divisor = if sample { m[0] - 1.0 } else { m[0] };
        if divisor <= 0.0 || m[0] == 0.0 {
            return f64::NAN;
        }
        ((m[2] - m[1] * m[1] / m[0]) / divisor).max(0.0)
    }

    fn third(&self) -> f64 {
        let m = &self.0;
        (m[3] - (3.0 * m[2] - 2.0 * m[1] * m[1] / m[0]) * m[1] / m[0]) / m[0]
    }

    fn fourth(&self) -> f64 {
        let m = &self.0;
        let inner = (6.0 * m[2] - 3.0 * m[1] * m[1] / m[0]) * m[1] / m[0];
        (m[4] - (4.0 * m[3] - inner) * m[1] / m[0]) / m[0]
    }
}

impl State for Moments {
    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Moments::default();
        for v in &mut state.0 {
            *v = wire::read_f64(input)?;
        }
        Ok(state)
    }
}

#[derive(Clone)]
struct OneVariable {
    result: DataType,
    finish: fn(&Moments) -> f64,
}

impl Kernel for OneVariable {
    type State = Moments;

    fn update(&self, states: &mut [Moments], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = floats(&columns[0])?;
        for (group, x) in groups.iter().zip(values.iter()) {
            let m = &mut states[*group as usize].0;
            let square = x * x;
            m[0] += 1.0;
            m[1] += x;
            m[2] += square;
            m[3] += square * x;
            m[4] += square * square;
        }
        Ok(())
    }

    fn finish(&self, states: &[Moments]) -> Result<Column> {
        let values: Vec<f64> = states.iter().map(self.finish).collect();
        from_raw_floats(&values, &self.result)
    }
}

/// Float32 in, Float32 out; everything else is Float64.
fn result_type(build: &Build) -> Result<DataType> {
    for argument in build.arguments {
        if !is_numeric(argument) {
            return Err(build.illegal(argument));
        }
    }
    let narrow = build.arguments.iter().all(|a| *a == DataType::Float32);
    let stable = build.name.ends_with("Stable");
    Ok(if narrow && !stable { DataType::Float32 } else { DataType::Float64 })
}

fn one(build: &Build, finish: fn(&Moments) -> f64) -> Built {
    build.expect_arguments(1)?;
    let result = result_type(build)?;
    build.function(result.clone(), OneVariable { result, finish })
}

pub(crate) fn build_var_pop(build: &Build) -> Built {
    one(build, |m| m.variance(false))
}
pub(crate) fn build_var_samp(build: &Build) -> Built {
    one(build, |m| m.variance(true))
}
pub(crate) fn build_stddev_pop(build: &Build) -> Built {
    one(build, |m| m.variance(false).sqrt())
}
pub(crate) fn build_stddev_samp(build: &Build) -> Built {
    one(build, |m| m.variance(true).sqrt())
}
pub(crate) fn build_skew_pop(build: &Build) -> Built {
    one(build, |m| m.third() / m.variance(false).powf(1.5))
}
pub(crate) fn build_skew_samp(build: &Build) -> Built {
    one(build, |m| m.third() / m.variance(true).powf(1.5))
}
pub(crate) fn build_kurt_pop(build: &Build) -> Built {
    one(build, |m| m.fourth() / m.variance(false).powi(2))
}
pub(crate) fn build_kurt_samp(build: &Build) -> Built {
    one(build, |m| m.fourth() / m.variance(true).powi(2))
}

/// Count, sums of x, y, xy, x², y².
#[derive(Default, Clone, Copy)]
struct PairMoments([f64; 6]);

impl PairMoments {
    fn covariance(&self, sample: bool) -> f64 {
        let [n, x, y, xy, ..] = self.0;
        let divisor = if sample { n - 1.0 } else { n };
        if divisor <= 0.0 { f64::NAN } else { (xy - x * y / n) / divisor }
    }

    fn correlation(&self) -> f64 {
        let [n, x, y, xy, xx, yy] = self.0;
        (n * xy - x * y) / ((n * xx - x * x) * (n * yy - y * y)).sqrt()
    }

    /// Sums of squared distances from the mean.
    fn spread_of_first(&self) -> f64 {
        let [n, a, _, _, aa, _] = self.0;
        aa - a * a / n
    }

    fn spread_of_second(&self) -> f64 {
        let [n, _, b, _, _, bb] = self.0;
        bb - b * b / n
    }

    /// Slope and intercept of the first variable over the second.
    fn line_of_first(&self) -> (f64, f64) {
        let [n, y, x, xy, yy, xx] = self.0;
        PairMoments([n, x, y, xy, xx, yy]).regression()
    }

    /// Slope and intercept.
    fn regression(&self) -> (f64, f64) {
        let [n, x, y, xy, xx, _] = self.0;
        let divisor = xx * n - x * x;
        if n == 0.0 || divisor == 0.0 {
            return (f64::NAN, f64::NAN);
        }
        let k = (xy * n - x * y) / divisor;
        (k, (y - k * x) / n)
    }
}

impl State for PairMoments {
    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = PairMoments::default();
        for v in &mut state.0 {
            *v = wire::read_f64(input)?;
        }
        Ok(state)
    }
}

#[derive(Clone)]
struct TwoVariables {
    result: DataType,
    finish: fn(&[PairMoments], &DataType) -> Result<Column>,
}

impl Kernel for TwoVariables {
    type State = PairMoments;

    fn update(&self, states: &mut [PairMoments], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (xs, ys) = (floats(&columns[0])?, floats(&columns[1])?);
        for (i, group) in groups.iter().enumerate() {
            let (x, y) = (xs[i], ys[i]);
            let m = &mut states[*group as usize].0;
            for (sum, term) in m.iter_mut().zip([1.0, x, y, x * y, x * x, y * y]) {
                *sum += term;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[PairMoments]) -> Result<Column> {
        (self.finish)(states, &self.result)
    }
}

fn two(build: &Build, finish: fn(&[PairMoments], &DataType) -> Result<Column>) -> Built {
    build.expect_arguments(2)?;
    let result = result_type(build)?;
    build.function(result.clone(), TwoVariables { result, finish })
}

fn each(states: &[PairMoments], t: &DataType, f: impl Fn(&PairMoments) -> f64) -> Result<Column> {
    let values: Vec<f64> = states.iter().map(f).collect();
    from_raw_floats(&values, t)
}

pub(crate) fn build_covar_pop(build: &Build) -> Built {
    two(build, |s, t| each(s, t, |m| m.covariance(false)))
}
pub(crate) fn build_covar_samp(build: &Build) -> Built {
    two(build, |s, t| each(s, t, |m| m.covariance(true)))
}
pub(crate) fn build_corr(build: &Build) -> Built {
    two(build, |s, t| each(s, t, PairMoments::correlation))
}

pub(crate) fn build_linear_regression(build: &Build) -> Built {
    build.expect_arguments(2)?;
    result_type(build)?;
    let element =
        |name: &str| TupleElement { name: Some(name.to_string()), data_type: DataType::Float64 };
    let result = DataType::Tuple(vec![element("k"), element("b")]);
    let finish = |states: &[PairMoments], t: &DataType| {
        let ArrowType::Struct(fields) = t.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "a tuple lies as a struct"));
        };
        let (k, b): (Vec<f64>, Vec<f64>) = states.iter().map(PairMoments::regression).unzip();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Float64Array::from(k)), Arc::new(Float64Array::from(b))];
        let array = StructArray::new(fields, columns, None);
        Ok(Column { data_type: t.clone(), array: Arc::new(array) })
    };
    build.function(result.clone(), TwoVariables { result, finish })
}

/// How often each value came.
#[derive(Default)]
struct Frequencies(BTreeMap<u128, u64>);

impl State for Frequencies {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(v, n)| *self.0.entry(*v).or_default() += n);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for (value, count) in &self.0 {
            out.extend_from_slice(&value.to_le_bytes());
            wire::write_varint(*count, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Frequencies::default();
        for _ in 0..wire::read_count(input)? {
            let value = u128::from_le_bytes(wire::array(input)?);
            *state.0.entry(value).or_default() += wire::read_varint(input)?;
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.0.len() * 40
    }
}

#[derive(Clone)]
struct Entropy(Arc<RowCodec>);

impl Kernel for Entropy {
    type State = Frequencies;

    fn update(&self, states: &mut [Frequencies], groups: &[u32], columns: &[Column]) -> Result<()> {
        let rows = self.0.encode(columns, groups.len());
        for (i, group) in groups.iter().enumerate() {
            let hash = xxhash_rust::xxh3::xxh3_128(rows.row(i));
            *states[*group as usize].0.entry(hash).or_default() += 1;
        }
        Ok(())
    }

    fn finish(&self, states: &[Frequencies]) -> Result<Column> {
        let entropy = |state: &Frequencies| {
            let total: u64 = state.0.values().sum();
            -state
                .0
                .values()
                .map(|n| {
                    let p = *n as f64 / total as f64;
                    p * p.log2()
                })
                .sum::<f64>()
        };
        let values: Vec<f64> = states.iter().map(entropy).map(|v| v + 0.0).collect();
        from_raw_floats(&values, &DataType::Float64)
    }
}

pub(crate) fn build_entropy(build: &Build) -> Built {
    if build.arguments.is_empty() {
        build.expect_arguments(1)?;
    }
    build.counting(DataType::Float64, Entropy(Arc::new(RowCodec::new(build.arguments))))
}

/// The `regr_…` functions of SQL: `(y, x)`, that is the dependent variable first.
pub(crate) fn build_regression(build: &Build) -> Built {
    build.expect_arguments(2)?;
    if let Some(t) = build.arguments.iter().find(|t| !is_numeric(t)) {
        return Err(build.illegal(t));
    }
    if build.name == "regr_count" {
        let count = |s: &[PairMoments], t: &DataType| each(s, t, |m| m.0[0]);
        let result = DataType::UInt64;
        return build.counting(result.clone(), TwoVariables { result, finish: count });
    }
    let finish: fn(&[PairMoments], &DataType) -> Result<Column> = match build.name {
        "regr_avgx" => |s, t| each(s, t, |m| m.0[2] / m.0[0]),
        "regr_avgy" => |s, t| each(s, t, |m| m.0[1] / m.0[0]),
        "regr_sxx" => |s, t| each(s, t, |m| m.spread_of_second()),
        "regr_syy" => |s, t| each(s, t, |m| m.spread_of_first()),
        "regr_sxy" => |s, t| each(s, t, |m| m.0[3] - m.0[1] * m.0[2] / m.0[0]),
        "regr_slope" => |s, t| each(s, t, |m| m.line_of_first().0),
        "regr_intercept" => |s, t| each(s, t, |m| m.line_of_first().1),
        _ => |s, t| {
            each(s, t, |m| {
                let (xx, yy) = (m.spread_of_second(), m.spread_of_first());
                let xy = m.0[3] - m.0[1] * m.0[2] / m.0[0];
                if xx == 0.0 {
                    f64::NAN
                } else if yy == 0.0 {
                    1.0
                } else {
                    xy * xy / (xx * yy)
                }
            })
        },
    };
    let result = DataType::Float64;
    build.function(result.clone(), TwoVariables { result, finish })
}
