//! OPTIMIZE TABLE: merges now, in the caller's thread.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::picker::{MergeLimits, pick};
use super::worker::merge;
use crate::error::{Error, Result};
use crate::log::{PartId, Rejection, Table};
use crate::store::Store;

/// Sources of one step; more parts are merged in several steps.
const PARTS_PER_STEP: usize = 32;
/// How long to wait for background merges that hold the parts.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Merges parts of `database.table`: with `final_` until every partition is one part, else one merge
/// of what is most worth it. Waits for background merges of the same parts.
pub fn optimize(store: &Arc<Store>, database: &str, table: &str, final_: bool) -> Result<()> {
    let deadline = Instant::now() + WAIT_MAX;
    // What is inserted after the call does not have to be merged.
    let upto = current(store, database, table)?.next_block;
    loop {
        let current = current(store, database, table)?;
        let Some(parts) = choose(store, &current, final_, upto) else { return Ok(()) };
        // A lone part waits for a mutation to bring its neighbours to its version.
        let claim = if parts.len() > 1 || !final_ { Claim::take(store, &parts) } else { None };
        let Some(_claim) = claim else {
            if Instant::now() > deadline {
                return Err(Error::LimitExceeded(
                    "background merges held the parts for too long".into(),
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        match merge(store, &current, &parts) {
            Ok(_) if !final_ => return Ok(()),
            Ok(_) => {}
            // The parts were merged or dropped meanwhile: look again.
            Err(Error::Rejected(Rejection::PartGone(_) | Rejection::DefinitionChanged(_)))
                if Instant::now() < deadline => {}
            Err(e) => return Err(e),
        }
    }
}

fn current(store: &Arc<Store>, database: &str, table: &str) -> Result<Arc<Table>> {
    store
        .snapshot()
        .table(database, table)
        .cloned()
        .ok_or_else(|| Error::Rejected(Rejection::UnknownTable(format!("{database}.{table}"))))
}

fn choose(store: &Arc<Store>, table: &Table, final_: bool, upto: u64) -> Option<Vec<PartId>> {
    if !final_ {
        let limits =
            MergeLimits { parts_min: 2, now_us: store.clock().now_us(), ..Default::default() };
        return pick(&table.parts, &limits, &Claim::busy(store));
    }
    let mut seen = HashSet::new();
    for part in &table.parts {
        if !seen.insert(part.partition_id.as_str()) {
            continue;
        }
        let parts = || {
            table.parts.iter().filter(|p| p.partition_id == part.partition_id && p.min_block < upto)
        };
        if parts().count() > 1 {
            let alike = parts().take_while(|p| p.data_version == part.data_version);
            return Some(alike.map(|p| p.id).take(PARTS_PER_STEP).collect());
        }
    }
    None
}
