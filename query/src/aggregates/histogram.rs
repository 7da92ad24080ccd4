//! `histogram(bins)`: an adaptive histogram after Ben-Haim and Tom-Tov. Centres that lie closest are
//! united; heights are smoothed over the neighbours.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, ListArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::{floats, is_numeric};
use crate::error::{Error, Result, codes};

const BINS_MAX: u64 = 250;

#[derive(Clone, Copy, Default)]
struct Centre {
    mean: f64,
    weight: f64,
}

#[derive(Default)]
struct Centres {
    points: Vec<Centre>,
    lowest: f64,
    highest: f64,
    seen: bool,
}

impl Centres {
    fn add(&mut self, value: f64, weight: f64, bins: usize) {
        self.points.push(Centre { mean: value, weight });
        self.reach(value, value);
        if self.points.len() >= bins * 2 {
            self.compress(bins);
        }
    }

    fn reach(&mut self, low: f64, high: f64) {
        if !self.seen {
            (self.lowest, self.highest, self.seen) = (low, high, true);
        }
        self.lowest = self.lowest.min(low);
        self.highest = self.highest.max(high);
    }

    /// Unites equal centres, then the closest ones until `bins` are left.
    fn compress(&mut self, bins: usize) {
        self.points.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        self.points.dedup_by(|next, kept| {
            let same = next.mean == kept.mean;
            if same {
                *kept = unite(*kept, *next);
            }
            same
        });
        let size = self.points.len();
        let mut left_of: Vec<usize> = (0..size).map(|i| i.wrapping_sub(1)).collect();
        let mut right_of: Vec<usize> = (1..=size).collect();
        let mut active = vec![true; size];
        let distance = |points: &[Centre], right_of: &[usize], i: usize| {
            points[right_of[i]].mean - points[i].mean
        };
        let mut queue: BinaryHeap<Reverse<(Ordered, usize)>> = (0..size.saturating_sub(1))
            .map(|i| Reverse((Ordered(distance(&self.points, &right_of, i)), i)))
            .collect();
        let mut left = size;
        while left > bins {
            let Some(Reverse((Ordered(nearest), l))) = queue.pop() else { break };
            let r = right_of[l];
            let stale = !active[l] || r >= size || !active[r];
            if stale || distance(&self.points, &right_of, l) != nearest {
                continue;
            }
            self.points[l] = unite(self.points[l], self.points[r]);
            active[r] = false;
            right_of[l] = right_of[r];
            if right_of[r] < size {
                left_of[right_of[r]] = l;
                queue.push(Reverse((Ordered(distance(&self.points, &right_of, l)), l)));
            }
            let before = left_of[l];
            if before < size {
                queue.push(Reverse((Ordered(distance(&self.points, &right_of, before)), before)));
            }
            left -= 1;
        }
        let mut flags = active.iter();
        self.points.retain(|_| *flags.next().unwrap_or(&false));
    }

    /// `(lower, upper, height)` of each bin.
    fn bars(&mut self, bins: usize) -> Vec<[f64; 3]> {
        self.compress(bins);
        let p = &self.points;
        let middle = |i: usize| (p[i].mean + p[i + 1].mean) / 2.0;
        (0..p.len())
            .map(|i| {
                let last = i + 1 == p.len();
                let lower = if i == 0 { self.lowest } else { middle(i - 1) };
                let upper = if last { self.highest } else { middle(i) };
                let left = if i == 0 { p[i].weight } else { p[i - 1].weight };
                let right = if last { p[i].weight } else { p[i + 1].weight };
                [lower, upper, (left + p[i].weight * 6.0 + right) / 8.0]
            })
            .collect()
    }
}

fn unite(a: Centre, b: Centre) -> Centre {
    let weight = a.weight + b.weight;
    Centre { mean: a.mean + b.weight * (b.mean - a.mean) / weight, weight }
}

#[derive(PartialEq)]
struct Ordered(f64);
impl Eq for Ordered {}
impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl State for Centres {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.points.extend_from_slice(&other.points);
        if other.seen {
            self.reach(other.lowest, other.highest);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.points.len() as u64, out);
        out.extend_from_slice(&self.lowest.to_le_bytes());
        out.extend_from_slice(&self.highest.to_le_bytes());
        for p in &self.points {
            out.extend_from_slice(&p.mean.to_le_bytes());
            out.extend_from_slice(&p.weight.to_le_bytes());
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let count = wire::read_varint(input)?;
        let (lowest, highest) = (wire::read_f64(input)?, wire::read_f64(input)?);
        let mut state = Centres { lowest, highest, seen: count > 0, ..Default::default() };
        for _ in 0..count {
            let mean = wire::read_f64(input)?;
            state.points.push(Centre { mean, weight: wire::read_f64(input)? });
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.points.capacity() * 16
    }
}

#[derive(Clone)]
struct Histogram {
    bins: usize,
    result: DataType,
}

impl Kernel for Histogram {
    type State = Centres;

    fn update(&self, states: &mut [Centres], groups: &[u32], columns: &[Column]) -> Result<()> {
        let values = floats(&columns[0])?;
        for (i, group) in groups.iter().enumerate() {
            if !values[i].is_finite() {
                return Err(Error::new(
                    codes::INCORRECT_DATA,
                    "Invalid value (inf or nan) for aggregation. Only normal values are allowed",
                ));
            }
            states[*group as usize].add(values[i], 1.0, self.bins);
        }
        Ok(())
    }

    fn merge(&self, into: &mut Centres, from: &Centres) {
        into.merge(from);
        if into.points.len() >= self.bins * 2 {
            into.compress(self.bins);
        }
    }

    fn finish(&self, states: &[Centres]) -> Result<Column> {
        let (mut lengths, mut parts) = (vec![], [vec![], vec![], vec![]]);
        for state in states {
            let mut copy = Centres { points: state.points.clone(), ..*state };
            let bars = copy.bars(self.bins);
            lengths.push(bars.len());
            for bar in bars {
                parts.iter_mut().zip(bar).for_each(|(p, v)| p.push(v));
            }
        }
        let ArrowType::List(field) = self.result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let ArrowType::Struct(fields) = field.data_type().clone() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "a tuple lies as a struct"));
        };
        let columns = parts.map(|p| Arc::new(Float64Array::from(p)) as ArrayRef).to_vec();
        let items = Arc::new(StructArray::new(fields, columns, None));
        let array = ListArray::new(field, OffsetBuffer::from_lengths(lengths), items, None);
        Ok(Column { data_type: self.result.clone(), array: Arc::new(array) })
    }
}

pub(crate) fn build(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let [bins] = build.parameters else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Function {} requires single parameter: bins count", build.name),
        ));
    };
    let bins = match bins.as_u64() {
        Some(0) => return Err(build.bad_parameter("needs a bin count above 0")),
        Some(n) if n <= BINS_MAX => n as usize,
        Some(_) => {
            return Err(Error::new(
                codes::PARAMETER_OUT_OF_BOUND,
                format!("Unsupported bin count. Should not be greater than {BINS_MAX}"),
            ));
        }
        None => {
            return Err(Error::new(
                codes::UNSUPPORTED_PARAMETER,
                format!("Function {} supports only integer bins count", build.name),
            ));
        }
    };
    if !is_numeric(&build.arguments[0]) {
        return Err(build.illegal(&build.arguments[0]));
    }
    let element = TupleElement { name: None, data_type: DataType::Float64 };
    let result = DataType::array(DataType::Tuple(vec![element; 3]));
    build.counting(result.clone(), Histogram { bins, result })
}
