//! Aggregates that make something to look at: `sparkbar` (a bar chart in a line of text) and
//! `largestTriangleThreeBuckets` (fewer points with the same shape).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::{ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType, Value};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::{floats, is_numeric};
use super::quantile::from_raw_floats;
use super::ranks::{Pairs, collect};
use crate::error::{Error, Result, codes};

const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const WIDTH_MAX: u64 = 1024;

/// Sums of the positive values by position, and where positions begin and end.
#[derive(Default)]
struct Points(BTreeMap<u64, f64>, Option<(u64, u64)>);

impl Points {
    fn reach(&mut self, from: u64, to: u64) {
        let (a, b) = self.1.unwrap_or((from, to));
        self.1 = Some((a.min(from), b.max(to)));
    }
}

impl State for Points {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(x, y)| *self.0.entry(*x).or_default() += y);
        if let Some((from, to)) = other.1 {
            self.reach(from, to);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        let (from, to) = self.1.unwrap_or((1, 0));
        wire::write_varint(from, out);
        wire::write_varint(to, out);
        wire::write_varint(self.0.len() as u64, out);
        for (x, y) in &self.0 {
            out.extend_from_slice(&x.to_le_bytes());
            out.extend_from_slice(&y.to_le_bytes());
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Points::default();
        let (from, to) = (wire::read_varint(input)?, wire::read_varint(input)?);
        if from <= to {
            state.reach(from, to);
        }
        for _ in 0..wire::read_count(input)? {
            let x = wire::read_u64(input)?;
            *state.0.entry(x).or_default() += wire::read_f64(input)?;
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.0.len() * 24
    }
}

#[derive(Clone)]
struct Sparkbar {
    width: usize,
    range: Option<(u64, u64)>,
    /// Whether heights are whole numbers, so that divisions drop their fractions.
    whole: bool,
}

impl Sparkbar {
    fn render(&self, state: &Points) -> String {
        let (points, Some(reach)) = (&state.0, state.1) else { return String::new() };
        if points.is_empty() {
            return String::new();
        }
        let (from, to) = self.range.unwrap_or(reach);
        if from >= to {
            return BARS[7].to_string();
        }
        let mut sums = vec![(0.0, 0u64); self.width];
        let step = self.width as f64 / (to - from).saturating_add(1) as f64;
        for (x, y) in points.range(from..=to) {
            let at = ((step * (x - from) as f64) as usize).min(self.width - 1);
            sums[at].0 += y;
            sums[at].1 += 1;
        }
        let cut = |v: f64| if self.whole { v.trunc() } else { v };
        let heights: Vec<f64> =
            sums.iter().map(|(y, n)| if *n > 0 { cut(y / *n as f64) } else { 0.0 }).collect();
        let top = heights.iter().copied().fold(0.0, f64::max);
        let bar = |y: &f64| {
            if *y <= 0.0 || top <= 0.0 {
                return " ";
            }
            BARS[(cut(y * 7.0 / top) as usize).min(7)]
        };
        heights.iter().map(bar).collect()
    }
}

impl Kernel for Sparkbar {
    type State = Points;

    fn update(&self, states: &mut [Points], groups: &[u32], columns: &[Column]) -> Result<()> {
        let (xs, ys) = (floats(&columns[0])?, floats(&columns[1])?);
        for (i, group) in groups.iter().enumerate() {
            let x = columns[0].value(i).as_u64().unwrap_or(xs[i] as u64);
            let inside = self.range.is_none_or(|(from, to)| (from..=to).contains(&x));
            if !inside {
                continue;
            }
            let state = &mut states[*group as usize];
            state.reach(x, x);
            if ys[i] > 0.0 {
                *state.0.entry(x).or_default() += ys[i];
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Points]) -> Result<Column> {
        let mut builder = BinaryBuilder::new();
        states.iter().for_each(|s| builder.append_value(self.render(s)));
        Ok(Column { data_type: DataType::String, array: Arc::new(builder.finish()) })
    }
}

pub(crate) fn build_sparkbar(build: &Build) -> Built {
    build.expect_arguments(2)?;
    let [x, y] = build.arguments else { return Err(build.illegal(&DataType::Nothing)) };
    let position = x.is_unsigned_integer() && *x != DataType::Bool
        || matches!(x, DataType::Date | DataType::DateTime(_));
    if !position {
        return Err(build.illegal(x));
    }
    if !is_numeric(y) {
        return Err(build.illegal(y));
    }
    let (width, range) = match build.parameters {
        [width] => (width, None),
        [width, from, to] => {
            let place = |v: &Value| match (v.as_u64(), v.as_bytes()) {
                (Some(v), _) => Ok(v),
                (None, Some(text)) => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    position_of(&text, x).ok_or_else(|| build.bad_parameter("needs begin and end"))
                }
                _ => Err(build.bad_parameter("needs begin and end of the first argument's type")),
            };
            (width, Some((place(from)?, place(to)?)))
        }
        _ => {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "The number of params does not match for aggregate function '{}', expected 1 or 3, got {}",
                    build.name,
                    build.parameters.len()
                ),
            ));
        }
    };
    let width = width
        .as_u64()
        .filter(|w| (2..=WIDTH_MAX).contains(w))
        .ok_or_else(|| build.bad_parameter("needs a width from 2 to 1024"))?;
    if let Some((from, to)) = range
        && from >= to
    {
        return Err(build.bad_parameter("needs a begin before its end"));
    }
    let kernel = Sparkbar { width: width as usize, range, whole: !y.is_float() };
    build.counting(DataType::String, kernel)
}

/// The stored number of a date or time given as text.
fn position_of(text: &str, data_type: &DataType) -> Option<u64> {
    let column = Column::constant(DataType::String, &Value::string(text), 1).ok()?;
    let context = crate::context::QueryContext::new("", 0, 0);
    crate::functions::cast::cast_column(&column, data_type, &context).ok()?.value(0).as_u64()
}

#[derive(Clone)]
struct Triangles {
    buckets: usize,
    x: DataType,
    y: DataType,
    result: DataType,
}

/// The points that keep the shape best: of each bucket the one that makes the largest triangle with the
/// point before and the mean of the bucket behind.
fn choose(points: &[(f64, f64)], buckets: usize) -> Vec<(f64, f64)> {
    let size = points.len();
    if size <= buckets {
        return points.to_vec();
    }
    match buckets {
        0 => return vec![],
        1 => return vec![points[0]],
        2 => return vec![points[0], points[size - 1]],
        _ => {}
    }
    let step = (size - 2) as f64 / (buckets - 2) as f64;
    let start = |bucket: usize| (step * bucket as f64).floor() as usize + 1;
    let mut chosen = vec![points[0]];
    for bucket in 0..buckets - 2 {
        let (from, to) = (start(bucket), start(bucket + 1));
        let next = &points[to..start(bucket + 2).min(size)];
        let (mut x, mut y) = (0.0, 0.0);
        for point in next {
            x += point.0;
            y += point.1;
        }
        let (x, y) = (x / next.len() as f64, y / next.len() as f64);
        let before = chosen[chosen.len() - 1];
        let (mut largest, mut at) = (-1.0, from);
        for (i, point) in points.iter().enumerate().take(to).skip(from) {
            let area = (0.5
                * (before.0 * (point.1 - y) + point.0 * (y - before.1) + x * (before.1 - point.1)))
                .abs();
            if area > largest {
                (largest, at) = (area, i);
            }
        }
        chosen.push(points[at]);
    }
    chosen.push(points[size - 1]);
    chosen
}

impl Kernel for Triangles {
    type State = Pairs;

    fn update(&self, states: &mut [Pairs], groups: &[u32], columns: &[Column]) -> Result<()> {
        collect(states, groups, columns)
    }

    fn finish(&self, states: &[Pairs]) -> Result<Column> {
        let (mut lengths, mut xs, mut ys) = (vec![], vec![], vec![]);
        for state in states {
            let mut points = state.0.clone();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let chosen = choose(&points, self.buckets);
            lengths.push(chosen.len());
            for (x, y) in chosen {
                xs.push(x);
                ys.push(y);
            }
        }
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let ArrowType::Struct(fields) = field.data_type().clone() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "a tuple lies as a struct"));
        };
        let columns =
            vec![from_raw_floats(&xs, &self.x)?.array, from_raw_floats(&ys, &self.y)?.array];
        let items = Arc::new(StructArray::new(fields, columns, None));
        let array = ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

pub(crate) fn build_triangles(build: &Build) -> Built {
    let [buckets] = build.parameters else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function {} requires one parameter", build.name),
        ));
    };
    let Some(buckets) = buckets.as_u64().filter(|n| *n > 0) else {
        return Err(build.bad_parameter("requires a positive number of buckets"));
    };
    build.expect_arguments(2)?;
    let side = |t: &DataType| match t {
        t if t.is_date_or_time() => Ok(t.clone()),
        t if is_numeric(t) => Ok(DataType::Float64),
        other => Err(build.illegal(other)),
    };
    let (x, y) = (side(&build.arguments[0])?, side(&build.arguments[1])?);
    let element = |data_type: &DataType| TupleElement { name: None, data_type: data_type.clone() };
    let result = DataType::array(DataType::Tuple(vec![element(&x), element(&y)]));
    build.counting(result.clone(), Triangles { buckets: buckets as usize, x, y, result })
}
