//! What is due by TTL among a table's parts: a pure choice from their ranges of seconds.

use std::collections::HashSet;
use std::sync::Arc;

use crate::log::{PartId, PartMeta};

/// Work that a TTL asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TtlWork {
    /// Every row of these parts has run out: they go without being read.
    Drop(Vec<PartId>),
    /// Something of this part has run out: it is written again.
    Rewrite(PartId),
}

/// What is due at second `now`. With `only_drop` (`ttl_only_drop_parts`) parts are dropped whole or
/// not at all; `may_rewrite` says whether a rewrite may start in a partition already
/// (`merge_with_ttl_timeout`).
pub fn due(
    parts: &[Arc<PartMeta>],
    now: i64,
    only_drop: bool,
    busy: &HashSet<PartId>,
    may_rewrite: &dyn Fn(&str) -> bool,
) -> Option<TtlWork> {
    let idle = || parts.iter().filter(|p| !busy.contains(&p.id));
    let gone: Vec<PartId> = idle()
        .filter(|p| p.ttl_seconds.is_some_and(|(_, all_by)| all_by <= now))
        .map(|p| p.id)
        .collect();
    if !gone.is_empty() {
        return Some(TtlWork::Drop(gone));
    }
    if only_drop {
        return None;
    }
    idle()
        .filter_map(|p| Some((p.ttl_seconds?.0, p)))
        .filter(|(earliest, p)| *earliest <= now && may_rewrite(&p.partition_id))
        .min_by_key(|(earliest, _)| *earliest)
        .map(|(_, p)| TtlWork::Rewrite(p.id))
}
