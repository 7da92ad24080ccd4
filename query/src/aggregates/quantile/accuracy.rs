//! Quantiles of a promised accuracy: `quantileDD` (relative error of the value, after DDSketch) and
//! `quantileGK` (error of the rank, after Greenwald and Khanna). The accuracy is the first parameter.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::ListArray;
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType, Value};

use super::{from_raw_floats, levels, numeric, raw_floats};
use crate::aggregates::kernel::{Build, Built, Kernel, State, wire};
use crate::error::{Error, Result, codes};

/// A state whose steps need the accuracy.
trait Sketch: State {
    fn add(&mut self, value: f64, accuracy: f64);
    fn join(&mut self, other: &Self, accuracy: f64);
    fn quantiles(&self, levels: &[f64], accuracy: f64) -> Vec<f64>;
}

struct Accurate<S> {
    accuracy: f64,
    levels: Vec<f64>,
    /// Values in the argument's own type, unscaled.
    own: bool,
    item: DataType,
    result: DataType,
    sketch: std::marker::PhantomData<fn() -> S>,
}

impl<S> Clone for Accurate<S> {
    fn clone(&self) -> Self {
        Accurate {
            accuracy: self.accuracy,
            levels: self.levels.clone(),
            own: self.own,
            item: self.item.clone(),
            result: self.result.clone(),
            sketch: std::marker::PhantomData,
        }
    }
}

impl<S: Sketch> Kernel for Accurate<S> {
    type State = S;

    fn update(&self, states: &mut [S], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values =
            if self.own { raw_floats(&columns[0])? } else { numeric::floats(&columns[0])? };
        for (i, group) in groups.iter().enumerate() {
            states[*group as usize].add(values[i], self.accuracy);
        }
        Ok(())
    }

    fn merge(&self, into: &mut S, from: &S) {
        into.join(from, self.accuracy);
    }

    fn finish(&self, states: &[S]) -> Result<Column> {
        let mut values = vec![];
        for state in states {
            values.extend(state.quantiles(&self.levels, self.accuracy));
        }
        let items = from_raw_floats(&values, &self.item)?;
        match self.result.arrow() {
            ArrowType::List(field) if self.result != self.item => {
                let offsets = OffsetBuffer::from_repeated_length(self.levels.len(), states.len());
                let array = ListArray::new(field, offsets, items.array, None);
                Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
            }
            _ => Ok(items),
        }
    }
}

fn accurate<S: Sketch>(build: &Build, accuracy: f64, own: bool) -> Built {
    build.expect_arguments(1)?;
    let argument = &build.arguments[0];
    if !argument.is_number() && !(own && argument.is_date_or_time()) {
        return Err(build.illegal(argument));
    }
    let several = build.name.starts_with("quantiles");
    let rest = Build { parameters: &build.parameters[1..], ..*build };
    let levels = levels(&rest, several)?;
    let item = if own { argument.clone() } else { DataType::Float64 };
    let result = if several { DataType::array(item.clone()) } else { item.clone() };
    let kernel = Accurate::<S> {
        accuracy,
        levels,
        own,
        item,
        result: result.clone(),
        sketch: std::marker::PhantomData,
    };
    build.function(result, kernel)
}

fn first_parameter<'a>(build: &'a Build) -> Result<&'a Value> {
    build.parameters.first().ok_or_else(|| {
        Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function {} requires at least one parameter", build.name),
        )
    })
}

/// Counts by the logarithm of the value, negative values apart.
#[derive(Default)]
struct Logarithms {
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
    zeros: u64,
}

/// Smaller magnitudes count as 0.
const SMALLEST: f64 = f64::MIN_POSITIVE;

struct Mapping {
    accuracy: f64,
    multiplier: f64,
}

impl Mapping {
    fn of(accuracy: f64) -> Mapping {
        let gamma = (1.0 + accuracy) / (1.0 - accuracy);
        Mapping { accuracy, multiplier: 1.0 / gamma.ln() }
    }

    fn key(&self, value: f64) -> i32 {
        (value.ln() * self.multiplier).ceil() as i32
    }

    fn value(&self, key: i32) -> f64 {
        ((key - 1) as f64 / self.multiplier).exp() * (1.0 + self.accuracy)
    }
}

impl Logarithms {
    fn total(&self) -> u64 {
        self.positive.values().sum::<u64>() + self.negative.values().sum::<u64>() + self.zeros
    }
}

impl State for Logarithms {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        other.positive.iter().for_each(|(k, n)| *self.positive.entry(*k).or_default() += n);
        other.negative.iter().for_each(|(k, n)| *self.negative.entry(*k).or_default() += n);
        self.zeros += other.zeros;
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.zeros, out);
        for side in [&self.positive, &self.negative] {
            wire::write_varint(side.len() as u64, out);
            for (key, count) in side {
                out.extend_from_slice(&key.to_le_bytes());
                wire::write_varint(*count, out);
            }
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Logarithms { zeros: wire::read_varint(input)?, ..Default::default() };
        for side in [&mut state.positive, &mut state.negative] {
            for _ in 0..wire::read_count(input)? {
                let key = i32::from_le_bytes(wire::array(input)?);
                *side.entry(key).or_default() += wire::read_varint(input)?;
            }
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        (self.positive.len() + self.negative.len()) * 24
    }
}

impl Sketch for Logarithms {
    fn add(&mut self, value: f64, accuracy: f64) {
        if value.is_nan() {
            return;
        }
        let mapping = Mapping::of(accuracy);
        if value > SMALLEST {
            *self.positive.entry(mapping.key(value)).or_default() += 1;
        } else if value < -SMALLEST {
            *self.negative.entry(mapping.key(-value)).or_default() += 1;
        } else {
            self.zeros += 1;
        }
    }

    fn join(&mut self, other: &Self, _: f64) {
        self.merge(other);
    }

    fn quantiles(&self, levels: &[f64], accuracy: f64) -> Vec<f64> {
        let mapping = Mapping::of(accuracy);
        let total = self.total();
        let negative: u64 = self.negative.values().sum();
        let at = |level: &f64| {
            if total == 0 {
                return f64::NAN;
            }
            let rank = level * (total - 1) as f64;
            // Negative values from the largest magnitude, then zeros, then positive ones.
            let mut seen = 0;
            if rank < negative as f64 {
                let reversed = negative as f64 - rank - 1.0;
                for (key, count) in &self.negative {
                    seen += count;
                    if seen as f64 >= reversed + 1.0 {
                        return -mapping.value(*key);
                    }
                }
                return self.negative.keys().last().map_or(f64::NAN, |k| -mapping.value(*k));
            }
            let rank = rank - (negative + self.zeros) as f64;
            if rank < 0.0 {
                return 0.0;
            }
            for (key, count) in &self.positive {
                seen += count;
                if seen as f64 > rank {
                    return mapping.value(*key);
                }
            }
            self.positive.keys().last().map_or(0.0, |k| mapping.value(*k))
        };
        levels.iter().map(at).collect()
    }
}

pub(crate) fn build_dd(build: &Build) -> Built {
    let Value::Float(accuracy) = first_parameter(build)? else {
        return Err(Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!(
                "Aggregate function {} requires relative accuracy parameter with Float64 type.",
                build.name
            ),
        ));
    };
    let accuracy = Some(*accuracy).filter(|a| *a > 0.0 && *a < 1.0);
    let accuracy = accuracy.ok_or_else(|| {
        build.bad_parameter("requires relative accuracy parameter with value between 0 and 1")
    })?;
    accurate::<Logarithms>(build, accuracy, false)
}

/// One kept value: how many ranks it stands for beyond the one before, and how far its rank may be off.
#[derive(Clone, Copy)]
struct Kept {
    value: f64,
    span: i64,
    slack: i64,
}

/// Values that came since the last pass are gathered first.
#[derive(Default, Clone)]
struct Ranks {
    head: Vec<f64>,
    kept: Vec<Kept>,
    count: u64,
}

const HEAD_MAX: usize = 50_000;
const KEPT_MAX: usize = 10_000;

impl Ranks {
    fn take_head(&mut self, error: f64) {
        if self.head.is_empty() {
            return;
        }
        self.head.sort_by(f64::total_cmp);
        let mut joined = Vec::with_capacity(self.kept.len() + self.head.len());
        let mut old = self.kept.iter().copied().peekable();
        for (i, value) in self.head.iter().enumerate() {
            while let Some(next) = old.next_if(|k| k.value <= *value) {
                joined.push(next);
            }
            self.count += 1;
            let last = old.peek().is_none() && i + 1 == self.head.len();
            let slack = if joined.is_empty() || last {
                0
            } else {
                (2.0 * error * self.count as f64).floor() as i64
            };
            joined.push(Kept { value: *value, span: 1, slack });
        }
        joined.extend(old);
        self.kept = joined;
        self.head.clear();
    }

    fn compress(&mut self, error: f64) {
        self.take_head(error);
        let Some(mut head) = self.kept.last().copied() else { return };
        let threshold = 2.0 * error * self.count as f64;
        let mut kept = vec![];
        for sample in self.kept[1..].iter().rev().skip(1) {
            if ((sample.span + head.span + head.slack) as f64) < threshold {
                head.span += sample.span;
            } else {
                kept.push(head);
                head = *sample;
            }
        }
        kept.push(head);
        if self.kept.len() > 1 && self.kept[0].value <= head.value {
            kept.push(self.kept[0]);
        }
        kept.reverse();
        self.kept = kept;
    }
}

impl State for Ranks {
    const HEAP: bool = true;
    fn merge(&mut self, _: &Self) {}
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.count, out);
        wire::write_varint(self.head.len() as u64, out);
        self.head.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
        wire::write_varint(self.kept.len() as u64, out);
        for kept in &self.kept {
            out.extend_from_slice(&kept.value.to_le_bytes());
            out.extend_from_slice(&kept.span.to_le_bytes());
            out.extend_from_slice(&kept.slack.to_le_bytes());
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Ranks { count: wire::read_varint(input)?, ..Default::default() };
        for _ in 0..wire::read_count(input)? {
            state.head.push(wire::read_f64(input)?);
        }
        for _ in 0..wire::read_count(input)? {
            state.kept.push(Kept {
                value: wire::read_f64(input)?,
                span: wire::read_u64(input)? as i64,
                slack: wire::read_u64(input)? as i64,
            });
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.head.capacity() * 8 + self.kept.capacity() * 24
    }
}

impl Sketch for Ranks {
    fn add(&mut self, value: f64, accuracy: f64) {
        if value.is_nan() {
            return;
        }
        self.head.push(value);
        if self.head.len() >= HEAD_MAX {
            self.take_head(1.0 / accuracy);
            if self.kept.len() >= KEPT_MAX {
                self.compress(1.0 / accuracy);
            }
        }
    }

    fn join(&mut self, other: &Self, accuracy: f64) {
        let error = 1.0 / accuracy;
        let mut other = other.clone();
        other.compress(error);
        self.compress(error);
        if self.kept.is_empty() {
            *self = other;
            return;
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend(other.kept);
        kept.sort_by(|a, b| a.value.total_cmp(&b.value));
        self.kept = kept;
        self.count += other.count;
        self.compress(error);
    }

    fn quantiles(&self, levels: &[f64], accuracy: f64) -> Vec<f64> {
        let error = 1.0 / accuracy;
        let mut state = self.clone();
        state.compress(error);
        let (Some(first), Some(last)) = (state.kept.first(), state.kept.last()) else {
            return vec![0.0; levels.len()];
        };
        let allowed = state.kept.iter().map(|k| k.span + k.slack).max().unwrap_or(0) / 2;
        let mut order: Vec<usize> = (0..levels.len()).collect();
        order.sort_by(|a, b| levels[*a].total_cmp(&levels[*b]));
        let mut results = vec![0.0; levels.len()];
        let (mut at, mut lowest) = (0, first.span);
        for i in order {
            let level = levels[i];
            if level <= error {
                results[i] = first.value;
                continue;
            }
            if level >= 1.0 - error {
                results[i] = last.value;
                continue;
            }
            let rank = (level * state.count as f64).ceil() as i64;
            loop {
                let here = state.kept[at];
                let fits = lowest + here.slack - allowed <= rank && rank <= lowest + allowed;
                if fits || at + 1 == state.kept.len() {
                    results[i] = here.value;
                    break;
                }
                at += 1;
                lowest += state.kept[at].span;
            }
        }
        results
    }
}

pub(crate) fn build_gk(build: &Build) -> Built {
    let accuracy = first_parameter(build)?.as_u64().filter(|a| *a > 0);
    let accuracy = accuracy.ok_or_else(|| {
        build.bad_parameter("requires accuracy parameter with positive integer type")
    })?;
    accurate::<Ranks>(build, accuracy as f64, true)
}
