//! Tests of hypotheses that need only sums: `studentTTest`, `welchTTest`, `studentTTestOneSample`,
//! `meanZTest`, `analysisOfVariance`. Formulas are ClickHouse's; tails come from `distribution`.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StructArray};
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType, Value};

use super::distribution::*;
use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::{floats, is_numeric};
use crate::error::{Error, Result, codes};

/// `Tuple(a Float64, b Float64, …)`.
pub(crate) fn float_tuple(names: &[&str]) -> DataType {
    let element =
        |n: &&str| TupleElement { name: Some(n.to_string()), data_type: DataType::Float64 };
    DataType::Tuple(names.iter().map(element).collect())
}

/// A column of such tuples.
pub(crate) fn float_tuples(result: &DataType, rows: &[Vec<f64>]) -> Result<Column> {
    let ArrowType::Struct(fields) = result.arrow() else {
        return Err(Error::new(codes::LOGICAL_ERROR, "a tuple lies as a struct"));
    };
    let column = |i: usize| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|r| r.get(i).copied().unwrap_or(f64::NAN)),
        ))
    };
    let columns = (0..fields.len()).map(column).collect();
    let array = StructArray::try_new_with_length(fields, columns, None, rows.len())
        .map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
    Ok(Column { data_type: result.clone(), array: Arc::new(array) })
}

/// Count, sum and sum of squares of two samples: n, x, x² of the first, then of the second.
#[derive(Default, Clone, Copy)]
pub(crate) struct Samples([f64; 6]);

impl Samples {
    fn add(&mut self, second: bool, value: f64) {
        let at = if second { 3 } else { 0 };
        for (sum, term) in self.0[at..at + 3].iter_mut().zip([1.0, value, value * value]) {
            *sum += term;
        }
    }

    fn means(&self) -> (f64, f64) {
        let [n, x, _, m, y, _] = self.0;
        (x / n, y / m)
    }

    /// Sums of squared distances from the means.
    fn spreads(&self) -> (f64, f64) {
        let [n, x, xx, m, y, yy] = self.0;
        let (mean_x, mean_y) = self.means();
        (xx + n * mean_x * mean_x - 2.0 * mean_x * x, yy + m * mean_y * mean_y - 2.0 * mean_y * y)
    }
}

impl State for Samples {
    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
    fn write(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Samples::default();
        for v in &mut state.0 {
            *v = wire::read_f64(input)?;
        }
        Ok(state)
    }
}

/// Statistic, difference (or mean), standard error and degrees of freedom.
struct Outcome {
    statistic: f64,
    difference: f64,
    error: f64,
    freedom: f64,
}

fn student(s: &Samples) -> Outcome {
    let [n, _, _, m, _, _] = s.0;
    let (mean_x, mean_y) = s.means();
    let (spread_x, spread_y) = s.spreads();
    let freedom = n + m - 2.0;
    let error = ((spread_x + spread_y) / freedom * (1.0 / n + 1.0 / m)).sqrt();
    let difference = mean_x - mean_y;
    Outcome { statistic: difference / error, difference, error, freedom }
}

fn welch(s: &Samples) -> Outcome {
    let [n, _, _, m, _, _] = s.0;
    let (mean_x, mean_y) = s.means();
    let (spread_x, spread_y) = s.spreads();
    let (x, y) = (spread_x / (n - 1.0), spread_y / (m - 1.0));
    let sum = x / n + y / m;
    let divisor = x * x / (n * n * (n - 1.0)) + y * y / (m * m * (m - 1.0));
    let difference = mean_x - mean_y;
    let error = sum.sqrt();
    Outcome { statistic: difference / error, difference, error, freedom: sum * sum / divisor }
}

#[derive(Clone)]
struct TTest {
    outcome: fn(&Samples) -> Outcome,
    confidence: Option<f64>,
    result: DataType,
}

impl Kernel for TTest {
    type State = Samples;

    fn update(&self, states: &mut [Samples], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (values, samples) = (floats(&columns[0])?, floats(&columns[1])?);
        for (i, group) in groups.iter().enumerate() {
            states[*group as usize].add(samples[i] != 0.0, values[i]);
        }
        Ok(())
    }

    fn finish(&self, states: &[Samples]) -> Result<Column> {
        let row = |s: &Samples| {
            let Outcome { statistic, difference, error, freedom } = (self.outcome)(s);
            if !statistic.is_finite() || s.0[0] == 0.0 || s.0[3] == 0.0 {
                return vec![f64::NAN; 4];
            }
            let mut row = vec![statistic, student_two_sided(statistic, freedom).clamp(0.0, 1.0)];
            if let Some(level) = self.confidence {
                let reach = student_upper_quantile((1.0 - level) / 2.0, freedom) * error;
                row.extend([difference - reach, difference + reach]);
            }
            row
        };
        float_tuples(&self.result, &states.iter().map(row).collect::<Vec<_>>())
    }
}

fn numeric_arguments(build: &Build, count: usize) -> Result<()> {
    build.expect_arguments(count)?;
    match build.arguments.iter().find(|t| !is_numeric(t)) {
        Some(_) => Err(build.bad_parameter("only supports numerical types")),
        None => Ok(()),
    }
}

fn confidence_level(build: &Build, value: &Value) -> Result<f64> {
    let level = match value {
        Value::Float(v) => *v,
        _ => return Err(build.bad_parameter("requires a confidence level of type Float64")),
    };
    if level > 0.0 && level < 1.0 {
        return Ok(level);
    }
    Err(build.bad_parameter("requires a confidence level between 0 and 1"))
}

fn test_result(statistic: &str, interval: bool) -> DataType {
    let mut names = vec![statistic, "p_value"];
    if interval {
        names.extend(["confidence_interval_low", "confidence_interval_high"]);
    }
    float_tuple(&names)
}

fn two_samples(build: &Build, outcome: fn(&Samples) -> Outcome) -> Built {
    numeric_arguments(build, 2)?;
    let confidence = match build.parameters {
        [] => None,
        [level] => Some(confidence_level(build, level)?),
        _ => {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!("Aggregate function {} requires one parameter or less.", build.name),
            ));
        }
    };
    let result = test_result("t_statistic", confidence.is_some());
    build.counting(result.clone(), TTest { outcome, confidence, result })
}

pub(crate) fn build_student(build: &Build) -> Built {
    two_samples(build, student)
}

pub(crate) fn build_welch(build: &Build) -> Built {
    two_samples(build, welch)
}

/// The second argument is the mean to test against; the last one seen counts.
#[derive(Clone)]
struct OneSample {
    confidence: Option<f64>,
    result: DataType,
}

impl Kernel for OneSample {
    type State = Samples;

    fn update(&self, states: &mut [Samples], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (values, means) = (floats(&columns[0])?, floats(&columns[1])?);
        for (i, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            state.add(false, values[i]);
            state.0[3] = 1.0;
            state.0[4] = means[i];
        }
        Ok(())
    }

    fn merge(&self, into: &mut Samples, from: &Samples) {
        into.0[..3].iter_mut().zip(&from.0[..3]).for_each(|(a, b)| *a += b);
        if from.0[3] != 0.0 {
            into.0[3] = 1.0;
            into.0[4] = from.0[4];
        }
    }

    fn finish(&self, states: &[Samples]) -> Result<Column> {
        let row = |s: &Samples| {
            let [n, x, xx, _, expected, _] = s.0;
            let mean = x / n;
            let freedom = n - 1.0;
            let error = ((xx + n * mean * mean - 2.0 * mean * x) / freedom / n).sqrt();
            let statistic = (mean - expected) / error;
            if !statistic.is_finite() {
                return vec![f64::NAN; 4];
            }
            let mut row = vec![statistic, student_two_sided(statistic, freedom).clamp(0.0, 1.0)];
            if let Some(level) = self.confidence {
                let reach = student_upper_quantile((1.0 - level) / 2.0, freedom) * error;
                row.extend([mean - reach, mean + reach]);
            }
            row
        };
        float_tuples(&self.result, &states.iter().map(row).collect::<Vec<_>>())
    }
}

pub(crate) fn build_one_sample(build: &Build) -> Built {
    numeric_arguments(build, 2)?;
    let confidence = build.parameters.first().map(|p| confidence_level(build, p)).transpose()?;
    let result = test_result("t_statistic", confidence.is_some());
    build.counting(result.clone(), OneSample { confidence, result })
}

/// Two means of populations whose variances are known.
#[derive(Clone)]
struct MeanZ {
    variances: (f64, f64),
    confidence: f64,
    result: DataType,
}

impl Kernel for MeanZ {
    type State = Samples;

    fn update(&self, states: &mut [Samples], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (values, samples) = (floats(&columns[0])?, floats(&columns[1])?);
        for (i, group) in groups.iter().enumerate() {
            states[*group as usize].add(samples[i] != 0.0, values[i]);
        }
        Ok(())
    }

    fn finish(&self, states: &[Samples]) -> Result<Column> {
        let row = |s: &Samples| {
            let (mean_x, mean_y) = s.means();
            let error = (self.variances.0 / s.0[0] + self.variances.1 / s.0[3]).sqrt();
            let difference = mean_x - mean_y;
            let z = difference / error;
            if !z.is_finite() {
                return vec![f64::NAN; 4];
            }
            let p = 2.0 * normal(-z.abs());
            let reach = normal_upper_quantile((1.0 - self.confidence) / 2.0) * error;
            vec![z, p, difference - reach, difference + reach]
        };
        float_tuples(&self.result, &states.iter().map(row).collect::<Vec<_>>())
    }
}

pub(crate) fn build_mean_z(build: &Build) -> Built {
    numeric_arguments(build, 2)?;
    let [first, second, level] = build.parameters else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function {} requires three parameter.", build.name),
        ));
    };
    let variance = |v: &Value| match v.as_f64() {
        Some(v) if v.is_finite() && v >= 0.0 => Ok(v),
        _ => Err(build.bad_parameter("requires finite and non-negative variances")),
    };
    let kernel = MeanZ {
        variances: (variance(first)?, variance(second)?),
        confidence: confidence_level(build, level)?,
        result: test_result("z_statistic", true),
    };
    build.counting(kernel.result.clone(), kernel)
}

/// Sums, sums of squares and counts by sample number.
#[derive(Default)]
struct Variances(Vec<[f64; 3]>);

/// Sample numbers from here on are refused, as a guard of memory.
const SAMPLES_MAX: f64 = 1_048_576.0;

impl State for Variances {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), [0.0; 3]);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        self.0.iter().flatten().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Variances::default();
        for _ in 0..wire::read_count(input)? {
            let mut sums = [0.0; 3];
            for v in &mut sums {
                *v = wire::read_f64(input)?;
            }
            state.0.push(sums);
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 24
    }
}

#[derive(Clone)]
struct Anova(DataType);

impl Kernel for Anova {
    type State = Variances;

    fn update(&self, states: &mut [Variances], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (values, samples) = (floats(&columns[0])?, floats(&columns[1])?);
        for (i, group) in groups.iter().enumerate() {
            if !(0.0..SAMPLES_MAX).contains(&samples[i]) {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    format!(
                        "Too many groups for analysis of variance (should be no more than {SAMPLES_MAX}, got {})",
                        samples[i]
                    ),
                ));
            }
            let (at, value) = (samples[i] as usize, values[i]);
            let sums = &mut states[*group as usize].0;
            if at >= sums.len() {
                sums.resize(at + 1, [0.0; 3]);
            }
            for (sum, term) in sums[at].iter_mut().zip([value, value * value, 1.0]) {
                *sum += term;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Variances]) -> Result<Column> {
        let rows = states.iter().map(|s| analyse(&s.0)).collect::<Result<Vec<_>>>()?;
        float_tuples(&self.0, &rows)
    }
}

fn analyse(samples: &[[f64; 3]]) -> Result<Vec<f64>> {
    let sum = |at: usize| samples.iter().map(|s| s[at]).sum::<f64>();
    let (count, k) = (sum(2), samples.len() as f64);
    let bad = |what: &str| Err(Error::new(codes::BAD_ARGUMENTS, what));
    if k == 1.0 {
        return bad("There should be at least two groups");
    }
    if k == count {
        return bad("There is only one observation in each group");
    }
    let mean = sum(0) / count;
    let (mut between, mut within) = (0.0, 0.0);
    for [x, xx, n] in samples {
        let own = x / n;
        between += n * (own - mean) * (own - mean);
        within += xx + n * own * own - 2.0 * own * x;
    }
    let f = (between * (count - k)) / (within * (k - 1.0));
    if !f.is_finite() || f < 0.0 {
        return Ok(vec![f64::NAN; 2]);
    }
    Ok(vec![f, fisher_upper(f, k - 1.0, count - k).clamp(0.0, 1.0)])
}

pub(crate) fn build_anova(build: &Build) -> Built {
    build.expect_arguments(2)?;
    if !is_numeric(&build.arguments[0]) {
        return Err(build.illegal(&build.arguments[0]));
    }
    if !build.arguments[1].is_unsigned_integer() {
        return Err(build.illegal(&build.arguments[1]));
    }
    let result = float_tuple(&["f_statistic", "p_value"]);
    build.counting(result.clone(), Anova(result))
}
