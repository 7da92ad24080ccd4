//! `anyHeavy` (a value that makes up more than half) and `singleValueOrNull`.

use std::sync::Arc;

use pumphouse_storage::{Column, DataType};

use super::extremes::finish_rows;
use super::kernel::{Build, Built, Kernel, State, wire};
use crate::error::Result;
use crate::execute::row_codec::RowCodec;

/// The candidate of the majority vote.
#[derive(Default)]
struct Candidate {
    row: Option<Box<[u8]>>,
    votes: u64,
}

impl Candidate {
    fn vote(&mut self, row: &[u8], votes: u64) {
        if self.row.as_deref() == Some(row) {
            self.votes += votes;
        } else if self.votes < votes {
            self.votes = votes - self.votes;
            self.row = Some(row.into());
        } else {
            self.votes -= votes;
        }
    }
}

impl State for Candidate {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        if let Some(row) = &other.row {
            self.vote(row, other.votes);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.row.is_some() as u8);
        if let Some(row) = &self.row {
            wire::write_bytes(row, out);
            wire::write_varint(self.votes, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        if wire::array::<1>(input)?[0] == 0 {
            return Ok(Candidate::default());
        }
        let row = wire::read_bytes(input)?.into();
        Ok(Candidate { row: Some(row), votes: wire::read_varint(input)? })
    }
    fn heap_bytes(&self) -> usize {
        self.row.as_ref().map_or(0, |r| r.len() + 16)
    }
}

#[derive(Clone)]
struct AnyHeavy {
    codec: Arc<RowCodec>,
    result: DataType,
}

impl Kernel for AnyHeavy {
    type State = Candidate;

    fn update(&self, states: &mut [Candidate], groups: &[u32], columns: &[Column]) -> Result<()> {
        let rows = self.codec.encode(&columns[..1], groups.len());
        for (row, group) in groups.iter().enumerate() {
            states[*group as usize].vote(rows.row(row), 1);
        }
        Ok(())
    }

    fn finish(&self, states: &[Candidate]) -> Result<Column> {
        finish_rows(&self.codec, &self.result, states.iter().map(|s| s.row.as_deref()))
    }
}

pub(crate) fn build_any_heavy(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let result = build.arguments[0].clone();
    let codec = Arc::new(RowCodec::new(build.arguments));
    build.function(result.clone(), AnyHeavy { codec, result })
}

/// The value if there was only one, else NULL.
#[derive(Clone)]
struct SingleValue {
    codec: Arc<RowCodec>,
    result: DataType,
}

#[derive(Default)]
struct Single {
    row: Option<Box<[u8]>>,
    several: bool,
}

impl Single {
    fn offer(&mut self, row: &[u8]) {
        match &self.row {
            Some(old) => self.several |= **old != *row,
            None => self.row = Some(row.into()),
        }
    }
}

impl State for Single {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.several |= other.several;
        if let Some(row) = &other.row {
            self.offer(row);
        }
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.several as u8, self.row.is_some() as u8]);
        if let Some(row) = &self.row {
            wire::write_bytes(row, out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let [several, there] = wire::array::<2>(input)?;
        let row = if there != 0 { Some(wire::read_bytes(input)?.into()) } else { None };
        Ok(Single { row, several: several != 0 })
    }
    fn heap_bytes(&self) -> usize {
        self.row.as_ref().map_or(0, |r| r.len() + 16)
    }
}

impl Kernel for SingleValue {
    type State = Single;

    fn update(&self, states: &mut [Single], groups: &[u32], columns: &[Column]) -> Result<()> {
        let rows = self.codec.encode(&columns[..1], groups.len());
        for (row, group) in groups.iter().enumerate() {
            states[*group as usize].offer(rows.row(row));
        }
        Ok(())
    }

    fn finish(&self, states: &[Single]) -> Result<Column> {
        let single = |s: &Single| if s.several { None } else { s.row.clone() };
        let rows: Vec<Option<Box<[u8]>>> = states.iter().map(single).collect();
        let valid: Vec<bool> = rows.iter().map(Option::is_some).collect();
        let DataType::Nullable(plain) = &self.result else {
            return finish_rows(&self.codec, &self.result, rows.iter().map(|r| r.as_deref()));
        };
        let column = finish_rows(&self.codec, plain, rows.iter().map(|r| r.as_deref()))?;
        super::nullable::with_nulls(column, self.result.clone(), valid.into())
    }
}

pub(crate) fn build_single_value(build: &Build) -> Built {
    build.expect_arguments(1)?;
    let argument = build.arguments[0].clone();
    let result = match argument.can_be_nullable() {
        true => DataType::nullable(argument),
        false => argument,
    };
    let codec = Arc::new(RowCodec::new(build.arguments));
    build.function(result.clone(), SingleValue { codec, result })
}
