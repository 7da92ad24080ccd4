//! `count()` and `count(x)`: rows, or rows where x is not NULL (the NULL wrapper takes those out).

use std::sync::Arc;

use arrow_array::UInt64Array;
use pumphouse_storage::{Column, DataType};

use super::few_groups::{are_few, counts};
use super::kernel::{Build, Built, Kernel, State, wire};
use super::packed::Packed;
use crate::error::Result;

#[derive(Clone)]
struct Count;

#[derive(Default, Clone, Copy)]
struct CountState(u64);

impl State for CountState {
    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0, out);
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(CountState(wire::read_varint(input)?))
    }
}

impl Kernel for Count {
    type State = CountState;

    fn update(&self, states: &mut [CountState], groups: &[u32], _: &[Column]) -> Result<()> {
        if are_few(states.len(), groups.len()) {
            let counts = counts(states.len(), groups);
            states.iter_mut().zip(counts).for_each(|(state, count)| state.0 += count);
            return Ok(());
        }
        for group in groups {
            states[*group as usize].0 += 1;
        }
        Ok(())
    }

    fn update_single(&self, state: &mut CountState, _: &[Column], rows: usize) -> Result<()> {
        state.0 += rows as u64;
        Ok(())
    }

    fn finish(&self, states: &[CountState]) -> Result<Column> {
        let array = UInt64Array::from_iter_values(states.iter().map(|s| s.0));
        Ok(Column { data_type: DataType::UInt64, array: Arc::new(array) })
    }

    fn packed(&self) -> Option<Packed> {
        Some(Packed::Count)
    }
}

pub(crate) fn build(build: &Build) -> Built {
    if build.arguments.len() > 1 {
        build.expect_arguments(1)?;
    }
    build.counting(DataType::UInt64, Count)
}
