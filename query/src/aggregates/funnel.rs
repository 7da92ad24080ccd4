//! Event sequences: `windowFunnel` (how far along a chain within a window), `retention` (which
//! conditions were met besides the first).
//!
//! Pattern matching over sequences is in `sequence`.

use std::sync::Arc;

use arrow_array::{ListArray, UInt8Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use pumphouse_storage::{Column, DataType, Value};

use super::kernel::{Build, Built, Kernel, State, wire};
use super::numeric::floats;
use crate::error::{Error, Result, codes};
use crate::execute::expression::truth;

/// Events of a group: time, and the condition's number (from 1).
#[derive(Default, Clone)]
struct Events(Vec<(u64, u8)>);

impl State for Events {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for (time, event) in &self.0 {
            out.extend_from_slice(&time.to_le_bytes());
            out.push(*event);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut events = Events::default();
        for _ in 0..wire::read_count(input)? {
            let time = wire::read_u64(input)?;
            events.0.push((time, wire::array::<1>(input)?[0]));
        }
        Ok(events)
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 16
    }
}

/// The times of a Date, DateTime or unsigned number column.
pub(super) fn times(column: &Column) -> Result<Vec<u64>> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, UInt64Type};
    Ok(match column.array.data_type() {
        ArrowType::UInt64 => column.array.as_primitive::<UInt64Type>().values().to_vec(),
        ArrowType::Int64 => {
            column.array.as_primitive::<Int64Type>().values().iter().map(|v| *v as u64).collect()
        }
        _ => floats(column)?.iter().map(|v| *v as u64).collect(),
    })
}

pub(super) fn expect_conditions(build: &Build, from: usize) -> Result<()> {
    for argument in &build.arguments[from.min(build.arguments.len())..] {
        if !matches!(argument, DataType::UInt8 | DataType::Bool | DataType::Nothing) {
            return Err(build.illegal(argument));
        }
    }
    let count = build.arguments.len().saturating_sub(from);
    if count == 0 || count > 32 {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function {} requires from 1 to 32 event conditions", build.name),
        ));
    }
    Ok(())
}

pub(super) fn is_time(data_type: &DataType) -> bool {
    data_type.is_date_or_time() || data_type.is_unsigned_integer()
}

#[derive(Clone, Default)]
struct WindowFunnel {
    window: u64,
    conditions: usize,
    strict_deduplication: bool,
    strict_order: bool,
    strict_increase: bool,
}

impl Kernel for WindowFunnel {
    type State = Events;

    fn update(&self, states: &mut [Events], groups: &[u32], columns: &[Column]) -> Result<()> {
        let times = times(&columns[0])?;
        let conditions = columns[1..].iter().map(truth).collect::<Result<Vec<_>>>()?;
        for (row, group) in groups.iter().enumerate() {
            let state = &mut states[*group as usize].0;
            let before = state.len();
            // Later conditions first, so that one row does not serve two steps of the chain.
            for (i, condition) in conditions.iter().enumerate().rev() {
                if condition.value(row) {
                    state.push((times[row], i as u8 + 1));
                }
            }
            if self.strict_order && state.len() == before {
                state.push((times[row], 0));
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Events]) -> Result<Column> {
        let levels: Vec<u8> = states.iter().map(|s| self.level(s)).collect();
        let array = UInt8Array::from(levels);
        Ok(Column { data_type: DataType::UInt8, array: Arc::new(array) })
    }
}

impl WindowFunnel {
    fn level(&self, events: &Events) -> u8 {
        let mut events = events.0.clone();
        events.sort_by_key(|(time, _)| *time);
        // For each step: when its chain began, and when the step itself happened.
        let mut reached: Vec<Option<(u64, u64)>> = vec![None; self.conditions];
        let mut begun = false;
        for (i, (time, event)) in events.iter().enumerate() {
            if *event == 0 {
                if begun {
                    break;
                }
                continue;
            }
            let step = *event as usize - 1;
            if step == 0 {
                reached[0] = Some((*time, *time));
                begun = true;
            } else if self.strict_deduplication && reached[step].is_some() {
                return i.checked_sub(1).map_or(0, |before| events[before].1);
            } else if self.strict_order && begun && reached[step - 1].is_none() {
                break;
            } else if let Some((first, last)) = reached[step - 1] {
                let in_window = *time <= first.saturating_add(self.window);
                if in_window && (!self.strict_increase || last < *time) {
                    reached[step] = Some((first, *time));
                    if step + 1 == self.conditions {
                        return self.conditions as u8;
                    }
                }
            }
        }
        reached.iter().rposition(Option::is_some).map_or(0, |step| step as u8 + 1)
    }
}

pub(crate) fn build_window_funnel(build: &Build) -> Built {
    let bad = || build.bad_parameter("requires a window (and modes) as parameters");
    let window = build.parameters.first().and_then(Value::as_u64).ok_or_else(bad)?;
    let time = build.arguments.first().filter(|t| is_time(t));
    if time.is_none() {
        return Err(build.illegal(build.arguments.first().unwrap_or(&DataType::Nothing)));
    }
    expect_conditions(build, 1)?;
    let mut kernel =
        WindowFunnel { window, conditions: build.arguments.len() - 1, ..WindowFunnel::default() };
    for mode in &build.parameters[1..] {
        match mode.as_bytes() {
            Some(b"strict_deduplication" | b"strict") => kernel.strict_deduplication = true,
            Some(b"strict_order") => kernel.strict_order = true,
            Some(b"strict_increase") => kernel.strict_increase = true,
            _ => return Err(build.bad_parameter("was given an unknown mode")),
        }
    }
    build.counting(DataType::UInt8, kernel)
}

/// One bit per condition met.
#[derive(Default)]
struct Met(u32);

impl State for Met {
    fn merge(&mut self, other: &Self) {
        self.0 |= other.0;
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        Ok(Met(u32::from_le_bytes(wire::array(input)?)))
    }
}

#[derive(Clone)]
struct Retention(usize);

impl Kernel for Retention {
    type State = Met;

    fn update(&self, states: &mut [Met], groups: &[u32], columns: &[Column]) -> Result<()> {
        for (i, column) in columns.iter().enumerate() {
            let mask = truth(column)?;
            for row in mask.values().set_indices() {
                states[groups[row] as usize].0 |= 1 << i;
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Met]) -> Result<Column> {
        let result = DataType::array(DataType::UInt8);
        let ArrowType::List(field) = result.arrow() else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an array lies as a list"));
        };
        let flags: Vec<u8> = states
            .iter()
            .flat_map(|s| {
                let first = s.0 & 1;
                (0..self.0).map(move |i| (first & (s.0 >> i)) as u8)
            })
            .collect();
        let offsets = OffsetBuffer::from_repeated_length(self.0, states.len());
        let array = ListArray::new(field, offsets, Arc::new(UInt8Array::from(flags)), None);
        Ok(Column { data_type: result, array: Arc::new(array) })
    }
}

pub(crate) fn build_retention(build: &Build) -> Built {
    expect_conditions(build, 0)?;
    if build.arguments.len() < 2 {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            "Not enough event arguments for aggregate function retention.",
        ));
    }
    let kernel = Retention(build.arguments.len());
    build.counting(DataType::array(DataType::UInt8), kernel)
}
