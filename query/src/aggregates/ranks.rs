//! Aggregates over the ranks of samples: `mannWhitneyUTest`, `rankCorr`. All values are kept.

use std::sync::Arc;

use arrow_array::Float64Array;
use pumphouse_storage::{Column, DataType, Value};

use super::distribution::normal;
use super::hypothesis::{float_tuple, float_tuples};
use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::{floats, is_numeric};
use crate::error::{Error, Result, codes};

/// Pairs of numbers in order of arrival.
#[derive(Default, Clone)]
pub(crate) struct Pairs(pub Vec<(f64, f64)>);

impl State for Pairs {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for (a, b) in &self.0 {
            out.extend_from_slice(&a.to_le_bytes());
            out.extend_from_slice(&b.to_le_bytes());
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Pairs::default();
        for _ in 0..wire::read_count(input)? {
            state.0.push((wire::read_f64(input)?, wire::read_f64(input)?));
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 16
    }
}

/// Adds both columns' numbers to the groups' pairs.
pub(crate) fn collect(states: &mut [Pairs], groups: &[u32], columns: &[Column]) -> Result<()> {
    let (a, b) = (floats(&columns[0])?, floats(&columns[1])?);
    for (i, group) in groups.iter().enumerate() {
        states[*group as usize].0.push((a[i], b[i]));
    }
    Ok(())
}

/// The rank of each value, ties sharing their mean rank, and the correction for ties.
fn ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let size = values.len();
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; size];
    let (mut left, mut ties) = (0, 0.0);
    while left < size {
        let mut right = left;
        while right < size && values[order[left]] == values[order[right]] {
            right += 1;
        }
        let right = right.max(left + 1);
        let rank = (left + right + 1) as f64 / 2.0;
        let count = (right - left) as f64;
        ties += count.powi(3) - count;
        order[left..right].iter().for_each(|i| ranks[*i] = rank);
        left = right;
    }
    let n = size as f64;
    (ranks, 1.0 - ties / (n.powi(3) - n))
}

#[derive(Clone, Copy, PartialEq)]
enum Alternative {
    TwoSided,
    Less,
    Greater,
}

#[derive(Clone)]
struct MannWhitney {
    alternative: Alternative,
    continuity: bool,
    result: DataType,
}

impl MannWhitney {
    fn test(&self, pairs: &[(f64, f64)]) -> Vec<f64> {
        let sample = |second: bool| {
            pairs.iter().filter(move |(_, s)| (*s != 0.0) == second).map(|(v, _)| *v)
        };
        let mut both: Vec<f64> = sample(false).collect();
        let n = both.len() as f64;
        both.extend(sample(true));
        let m = both.len() as f64 - n;
        let (ranks, correction) = ranks(&both);
        let first: f64 = ranks[..n as usize].iter().sum();
        let greater = n * m + n * (n + 1.0) / 2.0 - first;
        let less = n * m - greater;
        let mean = n * m / 2.0 + if self.continuity { 0.5 } else { 0.0 };
        let deviation = (correction * n * m * (n + m + 1.0) / 12.0).sqrt();
        let u = match self.alternative {
            Alternative::Greater => greater,
            Alternative::Less => less,
            Alternative::TwoSided => greater.max(less),
        };
        let z = (u - mean) / deviation;
        if !z.is_finite() {
            return vec![f64::NAN; 2];
        }
        let p = match self.alternative {
            Alternative::TwoSided => 2.0 - 2.0 * normal(z.abs()),
            _ => 1.0 - normal(z),
        };
        vec![less, p]
    }
}

impl Kernel for MannWhitney {
    type State = Pairs;

    fn update(&self, states: &mut [Pairs], groups: &[u32], columns: &[Column]) -> Result<()> {
        collect(states, groups, columns)
    }

    fn finish(&self, states: &[Pairs]) -> Result<Column> {
        let rows: Vec<Vec<f64>> = states.iter().map(|s| self.test(&s.0)).collect();
        float_tuples(&self.result, &rows)
    }
}

pub(crate) fn build_mann_whitney(build: &Build) -> Built {
    build.expect_arguments(2)?;
    if let Some(t) = build.arguments.iter().find(|t| !is_numeric(t)) {
        return Err(build.illegal(t));
    }
    if build.parameters.len() > 2 {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function {} require two parameter or less", build.name),
        ));
    }
    let alternative = match build.parameters.first() {
        None => Alternative::TwoSided,
        Some(Value::String(text)) => match text.as_slice() {
            b"two-sided" => Alternative::TwoSided,
            b"less" => Alternative::Less,
            b"greater" => Alternative::Greater,
            _ => {
                return Err(
                    build.bad_parameter("knows the alternatives 'two-sided', 'less' and 'greater'")
                );
            }
        },
        Some(_) => {
            return Err(build.bad_parameter("require the first parameter to be a String"));
        }
    };
    let continuity = match build.parameters.get(1) {
        None => true,
        Some(Value::UInt(v)) => *v != 0,
        Some(_) => return Err(build.bad_parameter("require the second parameter to be a UInt64")),
    };
    let result = float_tuple(&["u_statistic", "p_value"]);
    build.counting(result.clone(), MannWhitney { alternative, continuity, result })
}

#[derive(Clone)]
struct RankCorrelation;

impl Kernel for RankCorrelation {
    type State = Pairs;

    fn update(&self, states: &mut [Pairs], groups: &[u32], columns: &[Column]) -> Result<()> {
        collect(states, groups, columns)
    }

    fn finish(&self, states: &[Pairs]) -> Result<Column> {
        let correlation = |s: &Pairs| {
            let (x, y): (Vec<f64>, Vec<f64>) = s.0.iter().copied().unzip();
            let (x, y) = (ranks(&x).0, ranks(&y).0);
            let mut sum = 0.0;
            for (a, b) in x.iter().zip(&y) {
                sum += (a - b) * (a - b);
            }
            let size = s.0.len() as f64;
            1.0 - sum * 6.0 / (size * (size * size - 1.0))
        };
        let values = Float64Array::from_iter_values(states.iter().map(correlation));
        Ok(Column { data_type: DataType::Float64, array: Arc::new(values) })
    }
}

pub(crate) fn build_rank_correlation(build: &Build) -> Built {
    build.expect_arguments(2)?;
    if let Some(t) = build.arguments.iter().find(|t| !is_numeric(t)) {
        return Err(build.illegal(t));
    }
    build.counting(DataType::Float64, RankCorrelation)
}
