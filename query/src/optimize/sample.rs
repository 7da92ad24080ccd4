//! The share of rows for which a condition on texts holds, by a look at some rows of the table: texts have
//! no range to guess by, and orders of joins hang on the guess.
//!
//! Read once for a table of so many rows, and remembered; as an estimate it may be out of date. Only of
//! tables with parts, of whose columns some thousand rows cost little.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use pumphouse_storage::DataType;
use xxhash_rust::xxh3::Xxh3;

use crate::context::QueryContext;
use crate::execute::expression::evaluate_mask;
use crate::execute::prewhere::never_fails;
use crate::plan::{BoundExpr, Plan, PlanNode, SetSource};

use super::shape::*;

/// Shares that are remembered.
const KEPT_MAX: usize = 4096;
/// Columns of a condition that are read, at most.
const COLUMNS_MAX: usize = 3;
/// What may be said of rows of which none was met.
const SHARE_MIN: f64 = 0.0005;

static KEPT: LazyLock<Mutex<HashMap<u128, f64>>> = LazyLock::new(Mutex::default);

/// The share of the rows of `scan` that pass `part`; None if it is not to be found out this way.
pub fn share(part: &BoundExpr, scan: &Plan) -> Option<f64> {
    let PlanNode::Scan { source, columns, .. } = &scan.node else { return None };
    let used = columns_of(part);
    let is_text = |i: &usize| {
        scan.schema
            .get(*i)
            .is_some_and(|(_, t)| *t.without_low_cardinality().inner() == DataType::String)
    };
    if used.is_empty() || used.len() > COLUMNS_MAX || !used.iter().any(is_text) {
        return None;
    }
    if !source.engine().ends_with("MergeTree") || !is_known(part) || !never_fails(part) {
        return None;
    }
    let names: Vec<String> =
        used.iter().map(|i| columns.get(*i).cloned()).collect::<Option<_>>()?;
    let mut hasher = Xxh3::new();
    let texts = [source.table_name(), format!("{:?}", source.row_count()), names.join("\0")];
    texts.iter().for_each(|text| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    });
    let mut own = part.clone();
    renumber(&mut own, &|i| used.iter().position(|u| *u == i).unwrap_or(0));
    hasher.update(&key(&own).to_le_bytes());
    let place = hasher.digest128();
    if let Some(known) = KEPT.lock().ok().and_then(|kept| kept.get(&place).copied()) {
        return Some(known);
    }
    let found = looked_up(&own, source.as_ref(), &names)?;
    if let Ok(mut kept) = KEPT.lock() {
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(place, found);
    }
    Some(found)
}

/// Whether all that the condition says is there before the query runs.
fn is_known(part: &BoundExpr) -> bool {
    let mut known = !is_volatile(part);
    walk(part, &mut |e| match e {
        BoundExpr::Scalar { .. } => known = false,
        BoundExpr::InSet { set, .. } => known &= matches!(set.source, SetSource::Values(_)),
        _ => {}
    });
    known
}

fn looked_up(
    part: &BoundExpr,
    source: &dyn crate::catalog::TableSource,
    names: &[String],
) -> Option<f64> {
    let morsels = source.scan(names, &[]).ok()?;
    let middle = morsels.morsel_count()?.checked_sub(1)? / 2;
    let block = morsels.read_columns(middle, names, None).ok()??;
    let mask = evaluate_mask(part, &block, &QueryContext::new("", 0, 0)).ok()?;
    // Where nobody looked there may be some.
    Some((mask.true_count() as f64 / (block.rows() as f64).max(1.0)).max(SHARE_MIN))
}
