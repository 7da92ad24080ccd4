//! `sequenceMatch` and `sequenceCount`: patterns like `(?1).*(?t<=60)(?2)` over a group's events in
//! time order.
//!
//! `(?N)` is an event that meets condition N, `.` any event, `.*` any number of them, `(?t op S)` a bound
//! on the time between two events. Matching backtracks, with a bound on its steps.

use std::sync::Arc;

use arrow_array::{UInt8Array, UInt64Array};
use pumphouse_storage::{Column, DataType};

use super::funnel::{expect_conditions, is_time, times};
use super::kernel::{Build, Built, Kernel, State, wire};
use crate::error::{Error, Result, codes};
use crate::execute::expression::truth;

/// Steps of backtracking before the search is given up, as in ClickHouse.
const STEPS_MAX: usize = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    Event(u32),
    Any,
    Star,
    Time(Bound, u64),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

/// Time and one bit per condition met.
#[derive(Default, Clone)]
struct Events(Vec<(u64, u32)>);

impl State for Events {
    const HEAP: bool = true;
    fn merge(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
    fn write(&self, out: &mut Vec<u8>) {
        wire::write_varint(self.0.len() as u64, out);
        for (time, bits) in &self.0 {
            out.extend_from_slice(&time.to_le_bytes());
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }
    fn read(input: &mut &[u8]) -> Result<Self> {
        let mut events = Events::default();
        for _ in 0..wire::read_count(input)? {
            let time = wire::read_u64(input)?;
            events.0.push((time, u32::from_le_bytes(wire::array(input)?)));
        }
        Ok(events)
    }
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 16
    }
}

fn parse(pattern: &str, conditions: usize) -> Result<Vec<Op>> {
    let bad = |at: usize| {
        Error::new(
            codes::BAD_ARGUMENTS,
            format!("Malformed pattern '{pattern}' of sequenceMatch at byte {at}"),
        )
    };
    let bytes = pattern.as_bytes();
    let (mut ops, mut at) = (vec![], 0);
    while at < bytes.len() {
        if pattern[at..].starts_with(".*") {
            ops.push(Op::Star);
            at += 2;
        } else if bytes[at] == b'.' {
            ops.push(Op::Any);
            at += 1;
        } else if let Some(rest) = pattern[at..].strip_prefix("(?") {
            let (inside, _) = rest.split_once(')').ok_or_else(|| bad(at))?;
            ops.push(parse_group(inside, conditions).ok_or_else(|| bad(at))?);
            at += inside.len() + 3;
        } else if bytes[at].is_ascii_whitespace() {
            at += 1;
        } else {
            return Err(bad(at));
        }
    }
    Ok(ops)
}

fn parse_group(inside: &str, conditions: usize) -> Option<Op> {
    let Some(bound) = inside.strip_prefix('t') else {
        let event = inside.parse::<u32>().ok()?;
        return (1..=conditions as u32).contains(&event).then(|| Op::Event(event - 1));
    };
    let (kind, seconds) = [
        ("<=", Bound::LessOrEqual),
        (">=", Bound::GreaterOrEqual),
        ("==", Bound::Equal),
        ("<", Bound::Less),
        (">", Bound::Greater),
        ("=", Bound::Equal),
    ]
    .into_iter()
    .find_map(|(text, kind)| bound.strip_prefix(text).map(|rest| (kind, rest)))?;
    Some(Op::Time(kind, seconds.trim().parse().ok()?))
}

/// Where a match that begins at event `from` ends; None if there is none.
fn match_at(
    ops: &[Op],
    events: &[(u64, u32)],
    from: usize,
    steps: &mut usize,
) -> Result<Option<usize>> {
    // Places to try next: op, event, and the time of the last matched event.
    let mut tries = vec![(0usize, from, None::<u64>)];
    while let Some((op, event, last)) = tries.pop() {
        *steps += 1;
        if *steps > STEPS_MAX {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!(
                    "Pattern application proves too difficult, exceeding max iterations ({STEPS_MAX})"
                ),
            ));
        }
        let Some(current) = ops.get(op) else { return Ok(Some(event)) };
        match *current {
            Op::Event(bit) => {
                if let Some((time, bits)) = events.get(event)
                    && bits >> bit & 1 == 1
                {
                    tries.push((op + 1, event + 1, Some(*time)));
                }
            }
            Op::Any => {
                if let Some((time, _)) = events.get(event) {
                    tries.push((op + 1, event + 1, Some(*time)));
                }
            }
            Op::Star => {
                if event < events.len() {
                    tries.push((op, event + 1, last));
                }
                tries.push((op + 1, event, last));
            }
            Op::Time(bound, seconds) => {
                // The bound is between the last matched event and one of those that follow.
                let (Some(last), Some((time, _))) = (last, events.get(event)) else { continue };
                let elapsed = time.saturating_sub(last);
                let holds = match bound {
                    Bound::Less => elapsed < seconds,
                    Bound::LessOrEqual => elapsed <= seconds,
                    Bound::Greater => elapsed > seconds,
                    Bound::GreaterOrEqual => elapsed >= seconds,
                    Bound::Equal => elapsed == seconds,
                };
                let may_grow =
                    matches!(bound, Bound::Greater | Bound::GreaterOrEqual | Bound::Equal);
                if !holds && may_grow {
                    tries.push((op, event + 1, Some(last)));
                } else if holds {
                    tries.push((op + 1, event, Some(last)));
                }
            }
        }
    }
    Ok(None)
}

#[derive(Clone)]
struct Sequence {
    ops: Arc<Vec<Op>>,
    count: bool,
}

impl Sequence {
    fn matches(&self, events: &Events) -> Result<u64> {
        let mut events = events.0.clone();
        events.sort_by_key(|(time, _)| *time);
        let (mut from, mut found, mut steps) = (0, 0, 0);
        while from <= events.len() {
            match match_at(&self.ops, &events, from, &mut steps)? {
                Some(end) => {
                    found += 1;
                    if !self.count {
                        break;
                    }
                    from = end.max(from + 1);
                }
                None => from += 1,
            }
            if from >= events.len() {
                break;
            }
        }
        Ok(found)
    }
}

impl Kernel for Sequence {
    type State = Events;

    fn update(&self, states: &mut [Events], groups: &[u32], columns: &[Column]) -> Result<()> {
        let times = times(&columns[0])?;
        let conditions = columns[1..].iter().map(truth).collect::<Result<Vec<_>>>()?;
        for (row, group) in groups.iter().enumerate() {
            let bits = conditions
                .iter()
                .enumerate()
                .fold(0u32, |bits, (i, c)| bits | (c.value(row) as u32) << i);
            if bits != 0 {
                states[*group as usize].0.push((times[row], bits));
            }
        }
        Ok(())
    }

    fn finish(&self, states: &[Events]) -> Result<Column> {
        let found = states.iter().map(|s| self.matches(s)).collect::<Result<Vec<u64>>>()?;
        if self.count {
            return Ok(Column {
                data_type: DataType::UInt64,
                array: Arc::new(UInt64Array::from(found)),
            });
        }
        let flags: Vec<u8> = found.into_iter().map(|n| (n > 0) as u8).collect();
        Ok(Column { data_type: DataType::UInt8, array: Arc::new(UInt8Array::from(flags)) })
    }
}

fn sequence(build: &Build, count: bool) -> Built {
    let pattern = build.parameters.first().and_then(|p| p.as_bytes());
    let pattern = pattern.ok_or_else(|| build.bad_parameter("requires a pattern"))?;
    if !build.arguments.first().is_some_and(is_time) {
        return Err(build.illegal(build.arguments.first().unwrap_or(&DataType::Nothing)));
    }
    expect_conditions(build, 1)?;
    let conditions = build.arguments.len() - 1;
    let ops = Arc::new(parse(&String::from_utf8_lossy(pattern), conditions)?);
    let result = if count { DataType::UInt64 } else { DataType::UInt8 };
    build.counting(result, Sequence { ops, count })
}

pub(crate) fn build_match(build: &Build) -> Built {
    sequence(build, false)
}

pub(crate) fn build_count(build: &Build) -> Built {
    sequence(build, true)
}
