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
/// At so many parts in all partitions inserts fail.
const PARTS_IN_TOTAL: usize = 100_000;
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
    let fullest = |table: &Arc<Table>| match table.parts.len() {
        few @ 0..PARTS_TO_DELAY => few,
        _ => fullest_partition(table),
    };
    tables.into_iter().map(fullest).max().unwrap_or(0)
}

fn fullest_partition(table: &Table) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for part in &table.parts {
        *counts.entry(&part.partition_id).or_default() += 1;
    }
    counts.values().copied().max().unwrap_or(0)
}

/// What a table's parts mean for an insert into it, by the table's own bounds where it has them:
/// `parts_to_delay_insert`, `parts_to_throw_insert`, `max_parts_in_total`, `max_delay_to_insert`. With
/// a stop, what is wrong. A bound of 0 is none.
pub fn of_table(table: &Arc<Table>) -> (Pressure, String) {
    let setting = |name: &str| -> Option<usize> {
        let text = table.definition.settings.get(name)?;
        text.trim_matches('\'').parse().ok()
    };
    let bound = |name, default| match setting(name).unwrap_or(default) {
        0 => usize::MAX,
        n => n,
    };
    let total = table.parts.len();
    if total >= bound("max_parts_in_total", PARTS_IN_TOTAL) {
        return (
            Pressure::Stop,
            format!("Too many parts ({total}) in all partitions in total in table"),
        );
    }
    let (delay, stop) = (
        bound("parts_to_delay_insert", PARTS_TO_DELAY),
        bound("parts_to_throw_insert", PARTS_TO_STOP),
    );
    if total < delay.min(stop) {
        return (Pressure::None, String::new());
    }
    let parts = fullest_partition(table);
    if parts >= stop {
        return (
            Pressure::Stop,
            format!(
                "Too many parts ({parts}). Merges are processing significantly slower than inserts"
            ),
        );
    }
    if parts < delay {
        return (Pressure::None, String::new());
    }
    let most = setting("max_delay_to_insert").map_or(DELAY_MAX, |s| Duration::from_secs(s as u64));
    let share = (parts - delay) as f64 / stop.saturating_sub(delay).max(1) as f64;
    (Pressure::Delay(most.mul_f64(share.clamp(0.0, 1.0).sqrt())), String::new())
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
