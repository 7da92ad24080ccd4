//! `sequenceNextNode(direction, base)`: what comes next after a chain of events in time order.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use pumphouse_storage::{Column, DataType, Value};

use super::funnel::{is_time, times};
use super::kernel::{Build, Built, Kernel, State, wire};
use crate::error::{Error, Result, codes};
use crate::execute::expression::truth;

const EVENTS_MAX: usize = 64;

#[derive(Clone, PartialEq)]
struct Node {
    time: u64,
    /// Bit 0 is the base condition, bit i + 1 event i.
    bits: u128,
    event: Option<Box<[u8]>>,
}

#[derive(Default)]
struct Nodes(Vec<Node>);

impl State for Nodes {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for node in &self.0 {
            out.extend_from_slice(&node.time.to_le_bytes());
            out.extend_from_slice(&node.bits.to_le_bytes());
            out.push(node.event.is_some() as u8);
            wire::write_bytes(node.event.as_deref().unwrap_or_default(), out);
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut nodes = Nodes::default();
        for _ in 0..wire::read_count(input)? {
            let time = wire::read_u64(input)?;
            let bits = u128::from_le_bytes(wire::array(input)?);
            let there = wire::array::<1>(input)?[0] != 0;
            let text: Box<[u8]> = wire::read_bytes(input)?.into();
            nodes.0.push(Node { time, bits, event: there.then_some(text) });
        }
        Ok(nodes)
    }
    fn heap_bytes(&self) -> usize {
        self.0.iter().map(|n| 48 + n.event.as_ref().map_or(0, |e| e.len())).sum()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Base {
    Head,
    Tail,
    FirstMatch,
    LastMatch,
}

#[derive(Clone)]
struct NextNode {
    forward: bool,
    base: Base,
    events: usize,
}

impl NextNode {
    fn next<'a>(&self, nodes: &'a [Node]) -> Option<&'a Node> {
        let size = nodes.len();
        if size <= self.events {
            return None;
        }
        let base = |n: &Node| n.bits & 1 != 0;
        let starts = |n: &Node| n.bits & 3 == 3;
        let at = match self.base {
            Base::Head => Some(0).filter(|i| base(&nodes[*i])),
            Base::Tail => Some(size - 1).filter(|i| base(&nodes[*i])),
            Base::FirstMatch => (0..size - self.events).find(|i| starts(&nodes[*i])),
            Base::LastMatch => {
                (0..size - self.events).map(|i| size - 1 - i).find(|i| starts(&nodes[*i]))
            }
        }?;
        let step = |n: usize| if self.forward { at.checked_add(n) } else { at.checked_sub(n) };
        for event in 0..self.events {
            let node = nodes.get(step(event)?)?;
            if node.bits >> (event + 1) & 1 == 0 {
                return None;
            }
        }
        nodes.get(step(self.events)?)
    }
}

impl Kernel for NextNode {
    type State = Nodes;

    fn update(&self, states: &mut [Nodes], groups: &[u32], columns: &[Column]) -> Result<()> {
        let times = times(&columns[0])?;
        let events = columns[1].array.as_binary::<i32>();
        let flags = columns[2..].iter().map(truth).collect::<Result<Vec<_>>>()?;
        for (i, group) in groups.iter().enumerate() {
            let mut bits = 0;
            for (at, flag) in flags.iter().enumerate() {
                bits |= (flag.value(i) as u128) << at;
            }
            let event = events.is_valid(i).then(|| events.value(i).into());
            // Rows that meet nothing can still be the next node.
            states[*group as usize].0.push(Node { time: times[i], bits, event });
        }
        Ok(())
    }

    fn finish(&self, states: &[Nodes]) -> Result<Column> {
        let mut builder = BinaryBuilder::new();
        for state in states {
            let mut nodes = state.0.clone();
            nodes.sort_by_key(|n| n.time);
            builder.append_option(self.next(&nodes).and_then(|n| n.event.as_deref()));
        }
        let data_type = DataType::nullable(DataType::String);
        Ok(Column { data_type, array: Arc::new(builder.finish()) })
    }
}

pub(crate) fn build(build: &Build) -> Built {
    let [direction, base] = build.parameters else {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Aggregate function '{}' requires 'direction' and 'base' parameters.",
                build.name
            ),
        ));
    };
    let word = |v: &Value| v.as_bytes().map(|b| String::from_utf8_lossy(b).into_owned());
    let forward = match word(direction).as_deref() {
        Some("forward") => true,
        Some("backward") => false,
        _ => return Err(build.bad_parameter("knows the directions 'forward' and 'backward'")),
    };
    let base = match word(base).as_deref() {
        Some("head") => Base::Head,
        Some("tail") => Base::Tail,
        Some("first_match") => Base::FirstMatch,
        Some("last_match") => Base::LastMatch,
        _ => {
            return Err(build
                .bad_parameter("knows the bases 'head', 'tail', 'first_match' and 'last_match'"));
        }
    };
    if base == Base::Head && !forward || base == Base::Tail && forward {
        return Err(build.bad_parameter("cannot go from this base in this direction"));
    }
    let count = build.arguments.len();
    let first_events = matches!(base, Base::FirstMatch | Base::LastMatch) as usize;
    if count < 3 + first_events {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Aggregate function '{}' requires at least {} arguments.",
                build.name,
                3 + first_events
            ),
        ));
    }
    if count - 3 > EVENTS_MAX {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!(
                "Aggregate function '{}' requires at most {} arguments.",
                build.name,
                EVENTS_MAX + 3
            ),
        ));
    }
    if !is_time(&build.arguments[0]) && !build.arguments[0].is_unsigned_integer() {
        return Err(build.illegal(&build.arguments[0]));
    }
    if build.arguments[1].without_nullable() != DataType::String {
        return Err(build.illegal(&build.arguments[1]));
    }
    if let Some(t) =
        build.arguments[2..].iter().find(|t| !matches!(t.inner(), DataType::UInt8 | DataType::Bool))
    {
        return Err(build.illegal(t));
    }
    let result = DataType::nullable(DataType::String);
    build.counting(result, NextNode { forward, base, events: count - 3 })
}
