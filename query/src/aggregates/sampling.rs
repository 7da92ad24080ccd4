//! `groupArraySample` (a reservoir drawn by ClickHouse's generator) and `groupArrayIntersect` (what all
//! arrays have in common).

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_storage::{Column, DataType};

use super::arrays::list_column;
use super::kernel::{Build, Built, Kernel, State, wire};
use crate::error::{Error, Result, codes};
use crate::execute::row_codec::RowCodec;

const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
/// Largest sample.
const SAMPLE_MAX: u64 = 0xFF_FFFF;

/// The kept rows, how many there were, and the generator (pcg32_fast; 0 before the first draw).
#[derive(Default)]
struct Sample {
    rows: Vec<Box<[u8]>>,
    total: u64,
    random: u64,
}

impl Sample {
    fn below(&mut self, limit: u64, seed: u64) -> u64 {
        if self.random == 0 {
            self.random = seed | 3;
        }
        let mut next = || {
            let state = self.random;
            self.random = state.wrapping_mul(MULTIPLIER);
            ((((state >> 22) ^ state) >> (22 + (state >> 61))) as u32) as u64
        };
        if limit <= u32::MAX as u64 {
            return next() % limit;
        }
        (next().wrapping_mul(1 << 32)).wrapping_add(next()) % limit
    }

    fn offer(&mut self, row: &[u8], size: usize, seed: u64) {
        self.total += 1;
        if self.rows.len() < size {
            self.rows.push(row.into());
            return;
        }
        let at = self.below(self.total, seed) as usize;
        if at < size {
            self.rows[at] = row.into();
        }
    }
}

impl State for Sample {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.rows.extend(other.rows.iter().cloned());
        self.total += other.total;
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.total, out);
        wire::write_varint(self.rows.len() as u64, out);
        self.rows.iter().for_each(|r| wire::write_bytes(r, out));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Sample { total: wire::read_varint(input)?, ..Default::default() };
        for _ in 0..wire::read_count(input)? {
            state.rows.push(wire::read_bytes(input)?.into());
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.rows.iter().map(|r| r.len() + 16).sum()
    }
}

#[derive(Clone)]
struct GroupArraySample {
    size: usize,
    seed: u64,
    codec: Arc<RowCodec>,
    result: DataType,
}

impl Kernel for GroupArraySample {
    type State = Sample;

    fn update(&self, states: &mut [Sample], groups: &[u32], columns: &[Column]) -> Result<()> {
        let rows = self.codec.encode(&columns[..1], groups.len());
        for (row, group) in groups.iter().enumerate() {
            states[*group as usize].offer(rows.row(row), self.size, self.seed);
        }
        Ok(())
    }

    fn merge(&self, into: &mut Sample, from: &Sample) {
        let others = from.total - from.rows.len() as u64;
        for row in &from.rows {
            into.offer(row, self.size, self.seed);
        }
        into.total += others;
    }

    fn finish(&self, states: &[Sample]) -> Result<Column> {
        let groups = states.iter().map(|s| s.rows.iter().map(|r| r.as_ref()).collect());
        list_column(&self.codec, &self.result, groups)
    }
}

pub(crate) fn build_sample(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let size = match build.parameters.first().map(|p| p.as_u64()) {
        Some(Some(n)) if (1..=SAMPLE_MAX).contains(&n) => n as usize,
        Some(_) => return Err(build.bad_parameter("needs a positive sample size")),
        None => {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!("Function {} should have at least one parameter", build.name),
            ));
        }
    };
    let seed = match build.parameters.get(1) {
        None => 123_456,
        Some(v) => v.as_u64().ok_or_else(|| build.bad_parameter("needs a whole seed"))?,
    };
    let result = DataType::array(build.arguments[0].clone());
    let codec = Arc::new(RowCodec::new(build.arguments));
    build.counting(result.clone(), GroupArraySample { size, seed, codec, result })
}

/// Elements common to all arrays so far, in the order of the first array.
#[derive(Default)]
struct Shared {
    rows: Vec<Box<[u8]>>,
    seen: bool,
}

impl Shared {
    fn restrict(&mut self, rows: Vec<Box<[u8]>>) {
        if !self.seen {
            let mut known = HashSet::new();
            self.rows = rows.into_iter().filter(|r| known.insert(r.clone())).collect();
            self.seen = true;
            return;
        }
        let there: HashSet<&[u8]> = rows.iter().map(|r| r.as_ref()).collect();
        self.rows.retain(|r| there.contains(r.as_ref()));
    }
}

impl State for Shared {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        if other.seen {
            self.restrict(other.rows.clone());
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.seen as u8);
        wire::write_varint(self.rows.len() as u64, out);
        self.rows.iter().for_each(|r| wire::write_bytes(r, out));
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut state = Shared { seen: wire::array::<1>(input)?[0] != 0, rows: vec![] };
        for _ in 0..wire::read_count(input)? {
            state.rows.push(wire::read_bytes(input)?.into());
        }
        Ok(state)
    }
    fn heap_bytes(&self) -> usize {
        self.rows.iter().map(|r| r.len() + 16).sum()
    }
}

#[derive(Clone)]
struct Intersect {
    codec: Arc<RowCodec>,
    item: DataType,
    result: DataType,
}

impl Kernel for Intersect {
    type State = Shared;

    fn update(&self, states: &mut [Shared], groups: &[u32], columns: &[Column]) -> Result<()> {
        let list = columns[0].array.as_list::<i32>();
        let items = Column { data_type: self.item.clone(), array: list.values().clone() };
        let rows = self.codec.encode(std::slice::from_ref(&items), list.values().len());
        let offsets = list.value_offsets();
        for (i, group) in groups.iter().enumerate() {
            let own = offsets[i] as usize..offsets[i + 1] as usize;
            states[*group as usize].restrict(own.map(|at| rows.row(at).into()).collect());
        }
        Ok(())
    }

    fn finish(&self, states: &[Shared]) -> Result<Column> {
        let groups = states.iter().map(|s| s.rows.iter().map(|r| r.as_ref()).collect());
        list_column(&self.codec, &self.result, groups)
    }
}

pub(crate) fn build_intersect(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let DataType::Array(item) = &build.arguments[0] else {
        return Err(build.illegal(&build.arguments[0]));
    };
    let result = build.arguments[0].clone();
    let codec = Arc::new(RowCodec::new(std::slice::from_ref(item)));
    build.counting(result.clone(), Intersect { codec, item: (**item).clone(), result })
}
