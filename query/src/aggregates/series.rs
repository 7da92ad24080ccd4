//! Aggregates over values in time or arrival order: `deltaSum`, `deltaSumTimestamp`, `boundingRatio`,
//! `exponentialMovingAverage`, and over intervals: `maxIntersections`, `intervalLengthSum`.

use pumphouse_storage::{Column, DataType, Value};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::floats;
use super::quantile::from_raw_floats;
use crate::error::Result;

/// Numbers as floats, four to a state.
#[derive(Default, Clone, Copy)]
struct Delta {
    sum: f64,
    first: f64,
    last: f64,
    first_time: f64,
    last_time: f64,
    seen: bool,
}

impl State for Delta {
    fn merge(&mut self, other: &Self) {
        if !other.seen {
            return;
        }
        if !self.seen {
            *self = *other;
            return;
        }
        // In time order if there are times; else in order of arrival.
        let (a, b) =
            if other.last_time < self.first_time { (other, &*self) } else { (&*self, other) };
        let step = if b.first > a.last { b.first - a.last } else { 0.0 };
        *self = Delta {
            sum: a.sum + b.sum + step,
            first: a.first,
            last: b.last,
            first_time: a.first_time,
            last_time: b.last_time,
            seen: true,
        };
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.seen as u8);
        for v in [self.sum, self.first, self.last, self.first_time, self.last_time] {
            out.extend_from_slice(&v.to_le_bytes());
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let seen = wire::array::<1>(input)?[0] != 0;
        let mut v = [0.0; 5];
        for x in &mut v {
            *x = wire::read_f64(input)?;
        }
        let [sum, first, last, first_time, last_time] = v;
        Ok(Delta { sum, first, last, first_time, last_time, seen })
    }
}

#[derive(Clone)]
struct DeltaSum {
    timed: bool,
    result: DataType,
}

impl Kernel for DeltaSum {
    type State = Delta;

    fn update(&self, states: &mut [Delta], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = floats(&columns[0])?;
        let times = if self.timed { Some(floats(&columns[1])?) } else { None };
        for (row, group) in groups.iter().enumerate() {
            let (value, time) = (values[row], times.as_ref().map_or(0.0, |t| t[row]));
            let state = &mut states[*group as usize];
            if state.seen && value > state.last {
                state.sum += value - state.last;
            }
            if !state.seen {
                state.first = value;
                state.first_time = time;
            }
            state.last = value;
            state.last_time = time;
            state.seen = true;
        }
        Ok(())
    }

    fn finish(&self, states: &[Delta]) -> Result<Column> {
        let sums: Vec<f64> = states.iter().map(|s| s.sum).collect();
        from_raw_floats(&sums, &self.result)
    }
}

fn delta(build: &Build, timed: bool) -> Built {
    build.expect_arguments(1 + timed as usize)?;
    let result = build.arguments[0].clone();
    if !result.is_number() || !timed && result.is_date_or_time() {
        return Err(build.illegal(&result));
    }
    build.function(result.clone(), DeltaSum { timed, result })
}

pub(crate) fn build_delta_sum(build: &Build) -> Built {
    delta(build, false)
}

pub(crate) fn build_delta_sum_timestamp(build: &Build) -> Built {
    delta(build, true)
}

/// The slope between the leftmost and the rightmost point.
#[derive(Clone)]
struct BoundingRatio;

#[derive(Default, Clone, Copy)]
struct Ends {
    left: (f64, f64),
    right: (f64, f64),
    seen: bool,
}

impl Ends {
    fn add(&mut self, x: f64, y: f64) {
        if !self.seen {
            *self = Ends { left: (x, y), right: (x, y), seen: true };
        } else if x < self.left.0 {
            self.left = (x, y);
        } else if x > self.right.0 {
            self.right = (x, y);
        }
    }
}

impl State for Ends {
    fn merge(&mut self, other: &Self) {
        if other.seen {
            self.add(other.left.0, other.left.1);
            self.add(other.right.0, other.right.1);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.seen as u8);
        for v in [self.left.0, self.left.1, self.right.0, self.right.1] {
            out.extend_from_slice(&v.to_le_bytes());
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let seen = wire::array::<1>(input)?[0] != 0;
        let mut v = [0.0; 4];
        for x in &mut v {
            *x = wire::read_f64(input)?;
        }
        Ok(Ends { left: (v[0], v[1]), right: (v[2], v[3]), seen })
    }
}

impl Kernel for BoundingRatio {
    type State = Ends;

    fn update(&self, states: &mut [Ends], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (xs, ys) = (floats(&columns[0])?, floats(&columns[1])?);
        for (row, group) in groups.iter().enumerate() {
            states[*group as usize].add(xs[row], ys[row]);
        }
        Ok(())
    }

    fn finish(&self, states: &[Ends]) -> Result<Column> {
        let ratio = |s: &Ends| (s.right.1 - s.left.1) / (s.right.0 - s.left.0);
        let values: Vec<f64> = states.iter().map(ratio).collect();
        from_raw_floats(&values, &DataType::Float64)
    }
}

pub(crate) fn build_bounding_ratio(build: &Build) -> Built {
    build.expect_arguments(2)?;
    build.function(DataType::Float64, BoundingRatio)
}

/// A value that halves every `half_decay` of time.
#[derive(Clone)]
struct MovingAverage {
    half_decay: f64,
}

#[derive(Default, Clone, Copy)]
struct Decayed {
    value: f64,
    time: f64,
}

impl MovingAverage {
    fn remaining(&self, elapsed: f64) -> f64 {
        2f64.powf(-elapsed / self.half_decay)
    }

    fn add(&self, state: &mut Decayed, other: &Decayed) {
        if other.time > state.time {
            let kept = state.value * self.remaining(other.time - state.time);
            *state = Decayed { value: other.value + kept, time: other.time };
        } else {
            state.value += other.value * self.remaining(state.time - other.time);
        }
    }
}

impl State for Decayed {
    fn merge(&mut self, _: &Self) {}
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value.to_le_bytes());
        out.extend_from_slice(&self.time.to_le_bytes());
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(Decayed { value: wire::read_f64(input)?, time: wire::read_f64(input)? })
    }
}

impl Kernel for MovingAverage {
    type State = Decayed;

    fn update(&self, states: &mut [Decayed], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (values, times) = (floats(&columns[0])?, floats(&columns[1])?);
        for (row, group) in groups.iter().enumerate() {
            let event = Decayed { value: values[row], time: times[row] };
            self.add(&mut states[*group as usize], &event);
        }
        Ok(())
    }

    fn merge(&self, into: &mut Decayed, from: &Decayed) {
        self.add(into, from);
    }

    fn finish(&self, states: &[Decayed]) -> Result<Column> {
        // The sum of the geometric series of all past steps.
        let total = 1.0 / (1.0 - self.remaining(1.0));
        let values: Vec<f64> = states.iter().map(|s| s.value / total).collect();
        from_raw_floats(&values, &DataType::Float64)
    }
}

pub(crate) fn build_moving_average(build: &Build) -> Built {
    build.expect_arguments(2)?;
    let half_decay = build.parameters.first().and_then(Value::as_f64);
    let half_decay =
        half_decay.ok_or_else(|| build.bad_parameter("requires a half-decay period"))?;
    build.function(DataType::Float64, MovingAverage { half_decay })
}

/// Intervals of a group.
#[derive(Default)]
struct Intervals(Vec<(f64, f64)>);

impl State for Intervals {
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
        let mut intervals = Intervals::default();
        for _ in 0..wire::read_count(input)? {
            let from = wire::read_f64(input)?;
            intervals.0.push((from, wire::read_f64(input)?));
        }
        Ok(intervals)
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 16
    }
}

#[derive(Clone)]
struct OverIntervals {
    finish: fn(&Intervals) -> f64,
    result: DataType,
}

impl Kernel for OverIntervals {
    type State = Intervals;

    fn update(&self, states: &mut [Intervals], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (starts, ends) = (floats(&columns[0])?, floats(&columns[1])?);
        for (row, group) in groups.iter().enumerate() {
            states[*group as usize].0.push((starts[row], ends[row]));
        }
        Ok(())
    }

    fn finish(&self, states: &[Intervals]) -> Result<Column> {
        let values: Vec<f64> = states.iter().map(self.finish).collect();
        from_raw_floats(&values, &self.result)
    }
}

fn intersections(intervals: &Intervals) -> f64 {
    let mut edges: Vec<(f64, i32)> =
        intervals.0.iter().flat_map(|(a, b)| [(*a, 1), (*b, -1)]).collect();
    edges.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
    let (mut open, mut most) = (0, 0);
    for (_, step) in edges {
        open += step;
        most = most.max(open);
    }
    most as f64
}

fn covered(intervals: &Intervals) -> f64 {
    let mut sorted: Vec<(f64, f64)> = intervals.0.iter().copied().filter(|(a, b)| b > a).collect();
    sorted.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut length, mut end) = (0.0, f64::NEG_INFINITY);
    for (a, b) in sorted {
        length += (b - a.max(end)).max(0.0);
        end = end.max(b);
    }
    length
}

pub(crate) fn build_max_intersections(build: &Build) -> Built {
    build.expect_arguments(2)?;
    let result = DataType::UInt64;
    build.function(result.clone(), OverIntervals { finish: intersections, result })
}

pub(crate) fn build_interval_length_sum(build: &Build) -> Built {
    build.expect_arguments(2)?;
    let whole = !build.arguments.iter().any(DataType::is_float);
    let result = if whole { DataType::UInt64 } else { DataType::Float64 };
    build.function(result.clone(), OverIntervals { finish: covered, result })
}
