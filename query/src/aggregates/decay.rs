//! Functions of windows only, whose value belongs to the last row they saw: `exponentialTimeDecayedSum`,
//! `…Avg`, `…Max`, `…Count` and `nonNegativeDerivative`. The window gives rows in order, so a state need
//! not look back.

use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, Kernel, State};
use super::numeric::{floats, is_numeric};
use super::quantile::from_raw_floats;
use crate::error::{Error, Result, codes};

/// Whether the function means something only with OVER.
pub fn is_window_only(name: &str) -> bool {
    name.starts_with("exponentialTimeDecayed") || name == "nonNegativeDerivative"
}

#[derive(Default, Clone, Copy)]
struct Decaying {
    sum: f64,
    count: f64,
    largest: f64,
    time: f64,
    rows: u64,
}

/// States of these functions never leave a window.
fn not_kept() -> Error {
    Error::new(codes::NOT_IMPLEMENTED, "Window functions have no states to keep")
}

impl State for Decaying {
    fn merge(&mut self, other: &Self) {
        if other.rows > 0 {
            *self = *other;
        }
    }
    fn write(&self, _: &mut Vec<u8>) {}
    fn read(_: &mut &[u8]) -> Result<Self> {
        Err(not_kept())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Measure {
    Sum,
    Average,
    Largest,
    Count,
}

#[derive(Clone)]
struct Decay {
    length: f64,
    measure: Measure,
}

impl Kernel for Decay {
    type State = Decaying;

    fn update(&self, states: &mut [Decaying], groups: &[u32], columns: &[Column]) -> Result<()> {
        let counting = self.measure == Measure::Count;
        let times = floats(&columns[if counting { 0 } else { 1 }])?;
        let values = if counting { None } else { Some(floats(&columns[0])?) };
        for (i, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            let value = values.as_ref().map_or(1.0, |v| v[i]);
            let kept =
                if state.rows == 0 { 0.0 } else { ((state.time - times[i]) / self.length).exp() };
            state.sum = value + kept * state.sum;
            state.count = 1.0 + kept * state.count;
            state.largest = if state.rows == 0 { value } else { value.max(kept * state.largest) };
            state.time = times[i];
            state.rows += 1;
        }
        Ok(())
    }

    fn finish(&self, states: &[Decaying]) -> Result<Column> {
        let value = |s: &Decaying| match self.measure {
            Measure::Sum => s.sum,
            Measure::Count => s.count,
            Measure::Largest => s.largest,
            Measure::Average => s.sum / s.count,
        };
        from_raw_floats(&states.iter().map(value).collect::<Vec<_>>(), &DataType::Float64)
    }
}

fn decay(build: &Build, measure: Measure) -> Built {
    let [length] = build.parameters else {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Function {} takes exactly one parameter", build.name),
        ));
    };
    let Some(length) = length.as_f64().filter(|l| *l != 0.0) else {
        return Err(build.bad_parameter("needs a decay length"));
    };
    let count = if measure == Measure::Count { 1 } else { 2 };
    if build.arguments.len() != count {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Function {} takes exactly {count} arguments", build.name),
        ));
    }
    let allowed = |t: &DataType| is_numeric(t) || t.is_date_or_time();
    if let Some(t) = build.arguments.iter().find(|t| !allowed(t)) {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Arguments of {} must be numbers or times, '{t}' given", build.name),
        ));
    }
    build.counting(DataType::Float64, Decay { length, measure })
}

pub(crate) fn build_sum(build: &Build) -> Built {
    decay(build, Measure::Sum)
}
pub(crate) fn build_average(build: &Build) -> Built {
    decay(build, Measure::Average)
}
pub(crate) fn build_largest(build: &Build) -> Built {
    decay(build, Measure::Largest)
}
pub(crate) fn build_count(build: &Build) -> Built {
    decay(build, Measure::Count)
}

/// The last two points, and the rate between them.
#[derive(Default, Clone, Copy)]
struct Slope {
    value: f64,
    time: f64,
    rate: f64,
    rows: u64,
}

impl State for Slope {
    fn merge(&mut self, other: &Self) {
        if other.rows > 0 {
            *self = *other;
        }
    }
    fn write(&self, _: &mut Vec<u8>) {}
    fn read(_: &mut &[u8]) -> Result<Self> {
        Err(not_kept())
    }
}

#[derive(Clone)]
struct Derivative {
    /// Seconds of one unit of the time column, and its step in the result.
    seconds: f64,
}

impl Kernel for Derivative {
    type State = Slope;

    fn update(&self, states: &mut [Slope], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (values, times) = (floats(&columns[0])?, floats(&columns[1])?);
        let interval = match columns.get(2) {
            Some(column) => match (column.data_type.inner(), column.len()) {
                (DataType::Interval(unit), 1..) => {
                    let amount = column.value(0).as_f64().unwrap_or(1.0);
                    amount * unit_seconds(unit)
                }
                _ => 1.0,
            },
            None => 1.0,
        };
        for (i, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize];
            let time = times[i] * self.seconds;
            let elapsed = time - state.time;
            state.rate = if state.rows == 0 || elapsed <= 0.0 {
                0.0
            } else {
                (values[i] - state.value) / elapsed * interval
            };
            (state.value, state.time) = (values[i], time);
            state.rows += 1;
        }
        Ok(())
    }

    fn finish(&self, states: &[Slope]) -> Result<Column> {
        let rate = |s: &Slope| if s.rate >= 0.0 { s.rate } else { 0.0 };
        from_raw_floats(&states.iter().map(rate).collect::<Vec<_>>(), &DataType::Float64)
    }
}

fn unit_seconds(unit: &str) -> f64 {
    match unit {
        "Nanosecond" => 1e-9,
        "Microsecond" => 1e-6,
        "Millisecond" => 1e-3,
        "Minute" => 60.0,
        "Hour" => 3600.0,
        "Day" => 86_400.0,
        "Week" => 604_800.0,
        _ => 1.0,
    }
}

pub(crate) fn build_derivative(build: &Build) -> Built {
    let bad =
        |what: &str| Error::new(codes::BAD_ARGUMENTS, format!("Function {} {what}", build.name));
    if !matches!(build.arguments.len(), 2 | 3) {
        return Err(bad("takes 2 or 3 arguments"));
    }
    if !is_numeric(&build.arguments[0]) {
        return Err(bad("needs a number first"));
    }
    let seconds = match &build.arguments[1] {
        DataType::DateTime(_) => 1.0,
        DataType::DateTime64(precision, _) => 10f64.powi(-(*precision as i32)),
        _ => return Err(bad("needs a DateTime or DateTime64 second")),
    };
    match build.arguments.get(2) {
        None => {}
        Some(DataType::Interval(unit)) if !matches!(*unit, "Month" | "Quarter" | "Year") => {}
        Some(_) => return Err(bad("needs an interval of fixed length third")),
    }
    build.counting(DataType::Float64, Derivative { seconds })
}
