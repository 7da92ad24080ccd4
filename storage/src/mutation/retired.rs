//! Dropped tables that were kept long enough, and when they go for good.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::error::Result;
use crate::log::{Commit, Edit, Precondition, State};
use crate::store::Store;

/// The tables whose time is up; with a nearly full disk, those dropped first go at once.
pub fn due(state: &State, now_us: u64, kept: Duration, disk_full: bool) -> Vec<Uuid> {
    let kept_us = u64::try_from(kept.as_micros()).unwrap_or(u64::MAX);
    let is_due = |dropped_us: u64| dropped_us.saturating_add(kept_us) <= now_us;
    let mut due: Vec<Uuid> =
        state.dropped.iter().filter(|(_, d)| is_due(d.dropped_us)).map(|(id, _)| *id).collect();
    if due.is_empty() && disk_full {
        let oldest = state.dropped.iter().min_by_key(|(_, d)| d.dropped_us);
        due.extend(oldest.map(|(id, _)| *id));
    }
    due
}

/// Drops them for good.
pub fn purge(store: &Arc<Store>, kept: Duration) -> Result<()> {
    let state = store.snapshot();
    if state.dropped.is_empty() {
        return Ok(());
    }
    let disk_full = !store.has_free_space()?;
    let tables = due(&state, store.clock().now_us(), kept, disk_full);
    drop(state);
    for table in tables {
        let commit = Commit {
            preconditions: vec![Precondition::TableDropped { table }],
            edits: vec![Edit::DropTable { table }],
        };
        store.commit(commit, vec![])?;
    }
    Ok(())
}
