//! OPTIMIZE TABLE: merges now, in the caller's thread. Each merge is a commit of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::combine::RowRule;
use super::picker::{MergeLimits, pick};
use super::worker::{MergeOptions, Progress, merge_with};
use crate::error::{Error, Result};
use crate::log::{PartId, PartMeta, Rejection, Table, TableDefinition, TtlRuleAction};
use crate::store::Store;
use crate::table::index_granularity;

/// Sources of one step, at least and at most; more parts are merged in several steps.
const PARTS_PER_STEP: std::ops::RangeInclusive<usize> = 32..=1024;
/// Decoded granules of the sources of one step, about.
const STEP_BYTES_MAX: u64 = 512 << 20;
/// How long to wait for background merges that hold the parts.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// What OPTIMIZE is asked for.
#[derive(Debug, Clone, Default)]
pub struct Optimize {
    /// Until every partition is one part (background merges of some of its parts are called off),
    /// instead of one merge of what is most worth it.
    pub final_: bool,
    /// Only this partition, by its id.
    pub partition: Option<String>,
    /// Keep one of rows that are equal in these columns (in all if empty).
    pub deduplicate: Option<Vec<String>>,
    /// Forget rows of a ReplacingMergeTree that say they are deleted.
    pub cleanup: bool,
}

/// Merges parts of `database.table`: with `final_` until every partition is one part, else one merge
/// of what is most worth it. Waits for background merges of the same parts.
pub fn optimize(store: &Arc<Store>, database: &str, table: &str, final_: bool) -> Result<()> {
    optimize_with(store, database, table, &Optimize { final_, ..Optimize::default() })
}

/// The same, in all its forms.
pub fn optimize_with(
    store: &Arc<Store>,
    database: &str,
    table: &str,
    options: &Optimize,
) -> Result<()> {
    let deadline = Instant::now() + WAIT_MAX;
    // What is inserted after the call does not have to be merged.
    let upto = current(store, database, table)?.next_block;
    let mut done: HashSet<PartId> = HashSet::new();
    let mut reserved = None;
    loop {
        let current = current(store, database, table)?;
        let choice = choose(store, &current, options, upto, &done);
        let Some((parts, whole)) = choice else { return Ok(()) };
        // A lone part waits for a mutation to bring its neighbours to its version.
        let waits = options.final_ && parts.len() == 1 && !whole;
        if options.final_ && !waits {
            // Held until the next are chosen, so that the rest of the partition is left to us, too.
            let partition = partition_of(&current, &parts);
            reserved.replace(Claim::reserve(store, &partition, &partition));
        }
        let claim = if waits { None } else { Claim::take(store, &parts) };
        let Some(_claim) = claim else {
            if Instant::now() > deadline {
                return Err(Error::LimitExceeded(
                    "background merges held the parts for too long".into(),
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        let merging = MergeOptions {
            // A deleted row hides older ones until the whole partition is merged.
            cleanup: options.cleanup && whole,
            deduplicate: options.deduplicate.clone(),
            every_ttl: options.final_,
        };
        match merge_with(store, &current, &parts, &merging, &Progress::default()) {
            Ok(_) if !options.final_ => return Ok(()),
            Ok(version) => {
                if whole {
                    done.extend(written(store, database, table, version, &parts, &current)?);
                }
            }
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

/// How many parts a step may take: as many as can lie decoded side by side, a granule of each.
fn step_parts(parts: &[&PartMeta], granularity: usize) -> usize {
    let granule = |p: &&PartMeta| p.bytes_uncompressed / p.rows.max(1) * granularity as u64;
    let largest = parts.iter().map(granule).max().unwrap_or(0).max(1);
    let fitting = (STEP_BYTES_MAX / largest) as usize;
    fitting.clamp(*PARTS_PER_STEP.start(), *PARTS_PER_STEP.end())
}

/// All parts, or the `most` neighbours with the fewest bytes: what steps wrote is taken up last.
fn cheapest<'a, 'b>(parts: &'b [&'a PartMeta], most: usize) -> &'b [&'a PartMeta] {
    let windows = parts.windows(most.min(parts.len()).max(1));
    windows.min_by_key(|w| w.iter().map(|p| p.bytes).sum::<u64>()).unwrap_or(parts)
}

/// All parts of the partition that `parts` are of.
fn partition_of(table: &Table, parts: &[PartId]) -> Vec<PartId> {
    let partition = table.parts.iter().find(|p| Some(&p.id) == parts.first());
    let Some(partition) = partition.map(|p| &p.partition_id) else { return vec![] };
    table.parts.iter().filter(|p| p.partition_id == *partition).map(|p| p.id).collect()
}

/// Parts that a merge of `sources` left: they cover the same blocks.
fn written(
    store: &Arc<Store>,
    database: &str,
    table: &str,
    _version: u64,
    sources: &[PartId],
    before: &Table,
) -> Result<Vec<PartId>> {
    let merged: Vec<&Arc<PartMeta>> =
        before.parts.iter().filter(|p| sources.contains(&p.id)).collect();
    let (Some(first), Some(last)) = (merged.first(), merged.last()) else { return Ok(vec![]) };
    Ok(current(store, database, table)?
        .parts
        .iter()
        .filter(|p| p.partition_id == first.partition_id)
        .filter(|p| p.min_block == first.min_block && p.max_block == last.max_block)
        .map(|p| p.id)
        .collect())
}

fn has_ttl(definition: &TableDefinition) -> bool {
    let rules = definition.clauses.ttl.iter();
    let mut acts = rules.filter(|rule| {
        matches!(rule.action, TtlRuleAction::Delete { .. } | TtlRuleAction::GroupBy { .. })
    });
    acts.next().is_some() || definition.columns.iter().any(|c| !c.ttl.is_empty())
}

/// The next merge, and whether it takes in all parts of its partition.
fn choose(
    store: &Arc<Store>,
    table: &Table,
    options: &Optimize,
    upto: u64,
    done: &HashSet<PartId>,
) -> Option<(Vec<PartId>, bool)> {
    let wanted = |p: &PartMeta| options.partition.as_ref().is_none_or(|id| *id == p.partition_id);
    if !options.final_ {
        let limits =
            MergeLimits { parts_min: 2, now_us: store.clock().now_us(), ..Default::default() };
        let parts: Vec<Arc<PartMeta>> = table.parts.iter().filter(|p| wanted(p)).cloned().collect();
        return Some((pick(&parts, &limits, &Claim::busy(store))?, false));
    }
    // A single part has to be written again if that changes its rows.
    let alone = |part: &PartMeta| {
        let expires = part.ttl_seconds.is_some() || has_ttl(&table.definition);
        let combines = RowRule::of(&table.definition) != RowRule::Ordinary && part.level == 0;
        let asked = options.cleanup || options.deduplicate.is_some();
        (combines || asked || expires) && !done.contains(&part.id)
    };
    let mut partitions: Vec<&str> = vec![];
    let mut parts_of: HashMap<&str, Vec<&PartMeta>> = HashMap::new();
    for part in table.parts.iter().filter(|p| wanted(p) && p.min_block < upto) {
        let parts = parts_of.entry(&part.partition_id).or_insert_with(|| {
            partitions.push(&part.partition_id);
            vec![]
        });
        parts.push(part);
    }
    for partition in partitions {
        let parts = &parts_of[partition];
        if parts.len() > 1 || alone(parts[0]) {
            let alike = parts.iter().take_while(|p| p.data_version == parts[0].data_version);
            let alike = &parts[..alike.count()];
            let step = cheapest(alike, step_parts(alike, index_granularity(&table.definition)));
            let whole = step.len() == parts.len();
            return Some((step.iter().map(|p| p.id).collect(), whole));
        }
    }
    None
}
