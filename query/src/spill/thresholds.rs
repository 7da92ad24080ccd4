//! When operators begin to spill: at so many bytes of their own (`max_bytes_before_external_*`), or when
//! the query has used its share of its memory limit (`max_bytes_ratio_before_external_*`, half of it)
//! and the operator holds enough of that for spilling to help.

use crate::context::QueryContext;

/// An operator that holds less than this share of the limit does not spill for the query's sake.
const SHARE_MIN: u64 = 16;
/// The share by default.
const RATIO: f64 = 0.5;

/// See the file's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threshold {
    own_max: u64,
    query_max: u64,
    own_min: u64,
}

impl Threshold {
    /// Whether an operator that holds so many bytes should spill now.
    pub fn is_passed(&self, own: usize, ctx: &QueryContext) -> bool {
        let own = own as u64;
        own > self.own_max || (own >= self.own_min && ctx.memory.used_bytes() > self.query_max)
    }

    /// At once, whatever the memory.
    pub fn at_once() -> Threshold {
        Threshold { own_max: 0, query_max: 0, own_min: 0 }
    }
}

/// None: never.
fn threshold(ctx: &QueryContext, what: &str) -> Option<Threshold> {
    ctx.spill.as_ref()?;
    let settings = &ctx.settings;
    let own_max = settings.u64(&format!("max_bytes_before_external_{what}"), 0);
    let ratio = settings
        .get(&format!("max_bytes_ratio_before_external_{what}"))
        .and_then(|v| v.parse::<f64>().ok())
        .unwrap_or(RATIO);
    let limit = ctx.memory.limit_bytes().filter(|_| ratio > 0.0);
    if own_max == 0 && limit.is_none() {
        return None;
    }
    Some(Threshold {
        own_max: if own_max == 0 { u64::MAX } else { own_max },
        query_max: limit.map_or(u64::MAX, |l| (l as f64 * ratio) as u64),
        own_min: limit.map_or(u64::MAX, |l| l / SHARE_MIN),
    })
}

pub(crate) fn external_sort(ctx: &QueryContext) -> Option<Threshold> {
    threshold(ctx, "sort")
}

pub(crate) fn external_group_by(ctx: &QueryContext) -> Option<Threshold> {
    threshold(ctx, "group_by")
}

pub(crate) fn external_join(ctx: &QueryContext) -> Option<Threshold> {
    let algorithms = ctx.settings.get("join_algorithm").unwrap_or_default();
    let first = algorithms.split(',').map(str::trim).find(|a| !a.is_empty());
    if first.is_some_and(|a| a.eq_ignore_ascii_case("grace_hash")) && ctx.spill.is_some() {
        return Some(Threshold::at_once());
    }
    threshold(ctx, "join")
}
