//! Random numbers and identifiers: rand, rand64, randCanonical, generateUUIDv4, generateUUIDv7,
//! randomString and distributions. Every call and block gets other values; an argument only keeps
//! equal calls apart.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::FixedSizeBinaryArray;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::registry::Registry;
use super::strings::StringsBuilder;
use crate::error::{Error, Result, codes};

/// SplitMix64, seeded by the process's random keys and a counter.
pub(super) struct Random(Cell<u64>);

impl Random {
    pub fn new() -> Random {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let seed = RandomState::new().hash_one(CALLS.fetch_add(1, Ordering::Relaxed));
        Random(Cell::new(seed))
    }

    pub fn word(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub fn unit(&self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&self) -> f64 {
        let (u, v) = (1.0 - self.unit(), self.unit());
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}

pub(super) fn add(r: &mut Registry) {
    r.add(
        "rand",
        0..=1,
        |_| Ok(DataType::UInt32),
        |c| {
            let random = Random::new();
            c.finish_numbers((0..c.rows).map(|_| random.word() as u32).collect::<Vec<_>>())
        },
    )
    .own_nulls()
    .not_deterministic();
    r.add(
        "rand64",
        0..=1,
        |_| Ok(DataType::UInt64),
        |c| {
            let random = Random::new();
            c.finish_numbers((0..c.rows).map(|_| random.word()).collect::<Vec<_>>())
        },
    )
    .own_nulls()
    .not_deterministic();
    r.add(
        "randCanonical",
        0..=1,
        |_| Ok(DataType::Float64),
        |c| {
            let random = Random::new();
            c.finish_numbers((0..c.rows).map(|_| random.unit()).collect::<Vec<_>>())
        },
    )
    .own_nulls()
    .not_deterministic();
    r.add(
        "randConstant",
        0..=1,
        |_| Ok(DataType::UInt32),
        |c| c.finish_numbers(vec![Random::new().word() as u32; c.rows]),
    )
    .own_nulls()
    .not_deterministic();
    for (name, version) in [("generateUUIDv4", 4u8), ("generateUUIDv7", 7)] {
        r.add(name, 0..=1, |_| Ok(DataType::Uuid), move |c| uuids(c, version))
            .own_nulls()
            .not_deterministic();
    }
    for (name, printable) in
        [("randomString", false), ("randomPrintableASCII", true), ("randomStringUTF8", true)]
    {
        r.add(
            name,
            1..=2,
            |a| a.integer(0).map(|_| DataType::String),
            move |c| random_string(c, printable),
        )
        .not_deterministic();
    }
    distributions(r);
}

fn distributions(r: &mut Registry) {
    for (name, parameters, f) in [
        (
            "randUniform",
            2usize,
            (|r: &Random, p: &[f64]| p[0] + r.unit() * (p[1] - p[0])) as fn(&Random, &[f64]) -> f64,
        ),
        ("randNormal", 2, |r, p| p[0] + r.normal() * p[1]),
        ("randLogNormal", 2, |r, p| (p[0] + r.normal() * p[1]).exp()),
        ("randExponential", 1, |r, p| -(1.0 - r.unit()).ln() / p[0]),
        ("randChiSquared", 1, |r, p| (0..p[0] as usize).map(|_| r.normal().powi(2)).sum()),
    ] {
        r.add(
            name,
            parameters..=parameters + 1,
            |a| (0..a.len()).try_for_each(|i| a.number(i)).map(|_| DataType::Float64),
            move |c| {
                let random = Random::new();
                let columns = (0..parameters)
                    .map(|i| super::math::floats(c, i))
                    .collect::<Result<Vec<_>>>()?;
                c.finish_numbers(
                    (0..c.rows)
                        .map(|row| {
                            let values: Vec<f64> = columns.iter().map(|v| v[row]).collect();
                            f(&random, &values)
                        })
                        .collect::<Vec<_>>(),
                )
            },
        )
        .not_deterministic();
    }
}

fn uuids(call: &FunctionCall, version: u8) -> Result<Column> {
    let random = Random::new();
    let millis = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64);
    let mut out = Vec::with_capacity(call.rows * 16);
    for _ in 0..call.rows {
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&random.word().to_be_bytes());
        bytes[8..].copy_from_slice(&random.word().to_be_bytes());
        if version == 7 {
            bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        }
        bytes[6] = (bytes[6] & 0x0F) | (version << 4);
        bytes[8] = (bytes[8] & 0x3F) | 0x80;
        out.extend_from_slice(&bytes);
    }
    let array = FixedSizeBinaryArray::new(16, arrow_buffer::Buffer::from_vec(out), None);
    call.finish(Arc::new(array))
}

/// Longest random string.
const LENGTH_MAX: i64 = 1 << 24;

fn random_string(call: &FunctionCall, printable: bool) -> Result<Column> {
    let lengths = call.numbers::<i64>(0)?;
    let random = Random::new();
    let mut out = StringsBuilder::with_capacity(call.rows, call.rows * 16);
    for row in 0..call.rows {
        let length = lengths.get(row);
        if !(0..=LENGTH_MAX).contains(&length) {
            return Err(Error::new(
                codes::TOO_LARGE_STRING_SIZE,
                format!("Too large string size {length}, maximum {LENGTH_MAX}"),
            ));
        }
        for _ in 0..length {
            let word = random.word();
            out.bytes.push(if printable { b' ' + (word % 95) as u8 } else { word as u8 });
        }
        out.end_row();
    }
    call.finish(out.finish()?)
}
