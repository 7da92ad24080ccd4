//! How an insert is slowed down when merges do not keep up: a pure choice by the number of active
//! parts of a destination's fullest partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pumphouse_storage::log::Table;

/// From so many parts on, inserts wait a little.
pub const PARTS_TO_DELAY: usize = 300;
/// At so many parts, streams pause and other inserts fail.
pub const PARTS_TO_STOP: usize = 3000;
/// The longest delay below [`PARTS_TO_STOP`].
const DELAY_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    None,
    Delay(Duration),
    Stop,
}

/// Active parts of the fullest partition of any of these tables.
pub fn parts_max<'a>(tables: impl IntoIterator<Item = &'a Arc<Table>>) -> usize {
    let fullest = |table: &Arc<Table>| {
        if table.parts.len() < PARTS_TO_DELAY {
            return table.parts.len();
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for part in &table.parts {
            *counts.entry(&part.partition_id).or_default() += 1;
        }
        counts.values().copied().max().unwrap_or(0)
    };
    tables.into_iter().map(fullest).max().unwrap_or(0)
}

/// What that many parts mean: none, a delay that grows with the square, or a stop.
pub fn pressure(parts: usize) -> Pressure {
    if parts >= PARTS_TO_STOP {
        return Pressure::Stop;
    }
    if parts <= PARTS_TO_DELAY {
        return Pressure::None;
    }
    let share = (parts - PARTS_TO_DELAY) as f64 / (PARTS_TO_STOP - PARTS_TO_DELAY) as f64;
    Pressure::Delay(DELAY_MAX.mul_f64(share.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_grows_and_ends_in_a_stop() {
        assert_eq!(pressure(0), Pressure::None);
        assert_eq!(pressure(300), Pressure::None);
        let (Pressure::Delay(a), Pressure::Delay(b)) = (pressure(301), pressure(2999)) else {
            panic!("delays expected")
        };
        assert!(a < b && b <= DELAY_MAX);
        assert_eq!(pressure(3000), Pressure::Stop);
    }
}
