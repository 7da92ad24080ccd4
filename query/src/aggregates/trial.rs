//! Aggregates for trying things out: `aggThrow` (fails with a given probability) and `nothing`,
//! `nothingNull`, `nothingUInt64`.

use std::sync::atomic::{AtomicU64, Ordering};

use pumphouse_storage::{Column, DataType, Value};

use super::kernel::{Build, Built, Kernel, State};
use crate::error::{Error, Result, codes};

#[derive(Default, Clone, Copy)]
struct Nil;

impl State for Nil {
    fn merge(&mut self, _: &Self) {}
    fn write(&self, out: &mut Vec<u8>) {
        out.push(0);
    }
    fn read(_: &mut &[u8]) -> Result<Self> {
        Ok(Nil)
    }
}

#[derive(Clone)]
struct Trial {
    probability: f64,
    result: DataType,
}

/// A number from 0 to 1 that differs each time.
fn chance() -> f64 {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let mut x = DRAWN.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

impl Kernel for Trial {
    type State = Nil;

    fn update(&self, _: &mut [Nil], _: &[u32], _: &[Column]) -> Result<()> {
        if self.probability > 0.0 && chance() <= self.probability {
            return Err(Error::new(
                codes::AGGREGATE_FUNCTION_THROW,
                "Aggregate function aggThrow has thrown exception successfully",
            ));
        }
        Ok(())
    }

    fn finish(&self, states: &[Nil]) -> Result<Column> {
        Ok(Column::default_values(self.result.clone(), states.len()))
    }
}

pub(crate) fn build_throw(build: &Build) -> Built {
    let probability = match build.parameters.first() {
        None => 1.0,
        Some(Value::Float(v)) => *v,
        Some(_) => return Err(build.bad_parameter("needs a probability of type Float64")),
    };
    build.counting(DataType::UInt8, Trial { probability, result: DataType::UInt8 })
}

pub(crate) fn build_nothing(build: &Build) -> Built {
    let result = match build.name {
        "nothingUInt64" => DataType::UInt64,
        "nothingNull" => DataType::nullable(DataType::Nothing),
        _ => build.arguments.first().cloned().unwrap_or(DataType::nullable(DataType::Nothing)),
    };
    build.counting(result.clone(), Trial { probability: 0.0, result })
}
