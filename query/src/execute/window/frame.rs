//! Frames: which sorted rows each row's function sees. ROWS count rows, RANGE compares the single
//! sort key (or takes peers), GROUPS counts peer groups.

use std::ops::Range;

use pumphouse_storage::{Block, Column, DataType, Value};

use crate::error::{Error, Result, codes};
use crate::execute::Env;
use crate::execute::expression::evaluate;
use crate::plan::WindowFunction;
use crate::sql::ast::{ExprKind, FrameBound, FrameUnit, WindowFrame};

/// Where partitions and peer groups begin, in sorted rows; each list ends with the row count.
pub(super) struct Layout {
    partition_starts: Vec<usize>,
    peer_starts: Vec<usize>,
    /// Peer group of each row.
    peer_of: Vec<u32>,
    /// Partition of each row.
    partition_of: Vec<u32>,
}

fn numbers(starts: &[usize]) -> Vec<u32> {
    let mut of = vec![];
    for (i, pair) in starts.windows(2).enumerate() {
        of.resize(pair[1], i as u32);
    }
    of
}

impl Layout {
    pub fn new(partition_starts: Vec<usize>, peer_starts: Vec<usize>) -> Layout {
        let (peer_of, partition_of) = (numbers(&peer_starts), numbers(&partition_starts));
        Layout { partition_starts, peer_starts, peer_of, partition_of }
    }

    pub fn rows(&self) -> usize {
        self.peer_of.len()
    }

    pub fn partitions(&self) -> usize {
        self.partition_starts.len() - 1
    }

    pub fn partition_numbers(&self) -> Vec<u32> {
        self.partition_of.clone()
    }

    pub fn partition_ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.partition_starts.windows(2).map(|p| p[0]..p[1])
    }

    pub fn partition(&self, row: usize) -> Range<usize> {
        let p = self.partition_of[row] as usize;
        self.partition_starts[p]..self.partition_starts[p + 1]
    }

    pub fn peer_start(&self, row: usize) -> usize {
        self.peer_starts[self.peer_of[row] as usize]
    }

    pub fn peer_end(&self, row: usize) -> usize {
        self.peer_starts[self.peer_of[row] as usize + 1]
    }

    /// Number of the peer group within the partition, from 0.
    pub fn peer_group(&self, row: usize) -> usize {
        let first = self.partition(row).start;
        (self.peer_of[row] - self.peer_of[first]) as usize
    }

    /// Peer group `offset` groups away, as a row range; None outside of the partition.
    fn group_at(&self, row: usize, offset: i64) -> Option<Range<usize>> {
        let group = usize::try_from(self.peer_of[row] as i64 + offset).ok()?;
        let start = *self.peer_starts.get(group)?;
        let end = *self.peer_starts.get(group + 1)?;
        let partition = self.partition(row);
        (partition.contains(&start)).then_some(start..end)
    }
}

/// The frames of all rows.
pub(super) enum Frames {
    Partition,
    /// From the partition's start to the row, or to its last peer.
    Running {
        peers: bool,
    },
    /// Half-open row ranges.
    Ranges(Vec<(u32, u32)>),
}

impl Frames {
    pub fn new(
        layout: &Layout,
        function: &WindowFunction,
        block: &Block,
        env: &Env,
    ) -> Result<Frames> {
        let Some(frame) = &function.frame else {
            return Ok(if function.order_by.is_empty() {
                Frames::Partition
            } else {
                Frames::Running { peers: true }
            });
        };
        use FrameBound::*;
        match (&frame.start, &frame.end, frame.unit) {
            (UnboundedPreceding, UnboundedFollowing, _) => return Ok(Frames::Partition),
            (UnboundedPreceding, CurrentRow, FrameUnit::Rows) => {
                return Ok(Frames::Running { peers: false });
            }
            (UnboundedPreceding, CurrentRow, _) => return Ok(Frames::Running { peers: true }),
            _ => {}
        }
        let ranges = match frame.unit {
            FrameUnit::Rows => by_rows(layout, frame)?,
            FrameUnit::Groups => by_groups(layout, frame)?,
            FrameUnit::Range => by_values(layout, frame, function, block, env)?,
        };
        Ok(Frames::Ranges(ranges))
    }

    /// The frame of one row.
    pub fn range(&self, layout: &Layout, row: usize) -> Range<usize> {
        let partition = layout.partition(row);
        match self {
            Frames::Partition => partition,
            Frames::Running { peers: true } => partition.start..layout.peer_end(row),
            Frames::Running { peers: false } => partition.start..row + 1,
            Frames::Ranges(ranges) => ranges[row].0 as usize..ranges[row].1 as usize,
        }
    }
}

fn bad_offset() -> Error {
    Error::new(codes::BAD_ARGUMENTS, "Window frame offset must be a non-negative constant")
}

fn literal(expr: &crate::sql::ast::Expr) -> Result<&Value> {
    match &expr.kind {
        ExprKind::Literal { value, .. } => Ok(value),
        _ => Err(bad_offset()),
    }
}

/// Rows or groups to move: negative is back.
fn steps(bound: &FrameBound) -> Result<Option<i64>> {
    let count = |expr| -> Result<i64> {
        let count = literal(expr)?.as_u64().ok_or_else(bad_offset)?;
        Ok(count.min(i64::MAX as u64 / 4) as i64)
    };
    Ok(match bound {
        FrameBound::CurrentRow => Some(0),
        FrameBound::Preceding(expr) => Some(-count(expr)?),
        FrameBound::Following(expr) => Some(count(expr)?),
        FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => None,
    })
}

fn by_rows(layout: &Layout, frame: &WindowFrame) -> Result<Vec<(u32, u32)>> {
    let (start, end) = (steps(&frame.start)?, steps(&frame.end)?);
    let ranges = (0..layout.rows()).map(|row| {
        let p = layout.partition(row);
        let clamp = |at: i64| at.clamp(p.start as i64, p.end as i64) as u32;
        let from = start.map_or(p.start as u32, |s| clamp(row as i64 + s));
        let to = end.map_or(p.end as u32, |s| clamp(row as i64 + s + 1));
        (from, to.max(from))
    });
    Ok(ranges.collect())
}

fn by_groups(layout: &Layout, frame: &WindowFrame) -> Result<Vec<(u32, u32)>> {
    let (start, end) = (steps(&frame.start)?, steps(&frame.end)?);
    let ranges = (0..layout.rows()).map(|row| {
        let p = layout.partition(row);
        let from = match start {
            None => p.start,
            Some(s) => match layout.group_at(row, s) {
                Some(group) => group.start,
                None if s < 0 => p.start,
                None => p.end,
            },
        };
        let to = match end {
            None => p.end,
            Some(s) => match layout.group_at(row, s) {
                Some(group) => group.end,
                None if s < 0 => p.start,
                None => p.end,
            },
        };
        (from as u32, to.max(from) as u32)
    });
    Ok(ranges.collect())
}

/// The sort key as numbers that offsets can be added to; None is NULL.
fn key_numbers(column: &Column) -> Result<Vec<Option<f64>>> {
    (0..column.len())
        .map(|row| match column.value(row) {
            Value::Null => Ok(None),
            value => value.as_f64().map(Some).ok_or_else(|| {
                Error::new(
                    codes::NOT_IMPLEMENTED,
                    format!("The RANGE OFFSET frame for '{}' is not implemented", column.data_type),
                )
            }),
        })
        .collect()
}

fn value_offset(bound: &FrameBound, data_type: &DataType) -> Result<Option<f64>> {
    let scale = match data_type.inner() {
        DataType::DateTime64(precision, _) => 10f64.powi(*precision as i32),
        _ => 1.0,
    };
    let number = |expr| literal(expr)?.as_f64().ok_or_else(bad_offset);
    Ok(match bound {
        FrameBound::CurrentRow => Some(0.0),
        FrameBound::Preceding(expr) => Some(-number(expr)? * scale),
        FrameBound::Following(expr) => Some(number(expr)? * scale),
        FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => None,
    })
}

fn by_values(
    layout: &Layout,
    frame: &WindowFrame,
    function: &WindowFunction,
    block: &Block,
    env: &Env,
) -> Result<Vec<(u32, u32)>> {
    use FrameBound::*;
    let peers_only =
        |b: &FrameBound| matches!(b, CurrentRow | UnboundedPreceding | UnboundedFollowing);
    if peers_only(&frame.start) && peers_only(&frame.end) {
        let ranges = (0..layout.rows()).map(|row| {
            let p = layout.partition(row);
            let from = match frame.start {
                CurrentRow => layout.peer_start(row),
                _ => p.start,
            };
            let to = match frame.end {
                CurrentRow => layout.peer_end(row),
                _ => p.end,
            };
            (from as u32, to as u32)
        });
        return Ok(ranges.collect());
    }
    let [key] = function.order_by.as_slice() else {
        return Err(Error::new(
            codes::NOT_IMPLEMENTED,
            "RANGE OFFSET frame requires exactly one ORDER BY column",
        ));
    };
    let column = evaluate(&key.expr, block, &env.ctx)?;
    let sign = if key.descending { -1.0 } else { 1.0 };
    let keys: Vec<Option<f64>> =
        key_numbers(&column)?.into_iter().map(|k| k.map(|v| v * sign)).collect();
    let start = value_offset(&frame.start, &column.data_type)?;
    let end = value_offset(&frame.end, &column.data_type)?;
    let ranges = (0..layout.rows()).map(|row| {
        let p = layout.partition(row);
        let Some(current) = keys[row] else {
            return (layout.peer_start(row) as u32, layout.peer_end(row) as u32);
        };
        // NULLs lie together at one end of the partition and are in no frame of a value.
        let first = p.start + keys[p.clone()].iter().take_while(|k| k.is_none()).count();
        let values = &keys[first..p.end];
        let values = &values[..values.iter().rposition(Option::is_some).map_or(0, |i| i + 1)];
        let at = |bound: f64, inclusive: bool| {
            first
                + values.partition_point(|k| {
                    k.is_some_and(|k| if inclusive { k <= bound } else { k < bound })
                })
        };
        let from = start.map_or(p.start, |s| at(current + s, false));
        let to = end.map_or(p.end, |s| at(current + s, true));
        (from as u32, to.max(from) as u32)
    });
    Ok(ranges.collect())
}
