//! What waits, by kind, and which batch is the next to go: pure bookkeeping under one lock.
//!
//! With `async_insert_use_adaptive_busy_timeout` the time that a table's batches wait grows while they
//! gather several inserts and shrinks while they gather one, between the two timeouts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_query::context::{MemoryGuard, QueryContext, Settings};
use pumphouse_storage::Block;
use pumphouse_storage::log::TableDefinition;
use uuid::Uuid;

use super::Answer;

/// Tables whose pace is remembered.
const PACES_MAX: usize = 1000;

/// One client's rows.
pub(super) struct Entry {
    pub sequence: u64,
    pub token: Option<String>,
    pub query_id: String,
    pub format: String,
    pub queued_us: u64,
    pub bytes: usize,
    pub block: Block,
    pub answer: Arc<Answer>,
    pub _memory: MemoryGuard,
}

/// Inserts of one key may share a commit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    table: Uuid,
    /// The definition's address: rows of another definition have other columns. The batch keeps it alive.
    definition: usize,
    user: String,
    database: String,
    time_zone: &'static str,
    settings: Vec<(String, String)>,
}

/// What the inserts of a batch have in common.
#[derive(Clone)]
pub(super) struct Kind {
    pub definition: Arc<TableDefinition>,
    /// Of the first of them: user, settings and zone are those of all.
    pub context: Arc<QueryContext>,
}

struct Batch {
    kind: Kind,
    entries: VecDeque<Entry>,
    bytes: usize,
    due: Instant,
}

/// A batch for `system.asynchronous_inserts`.
pub struct WaitingBatch {
    pub definition: Arc<TableDefinition>,
    pub format: String,
    pub first_us: u64,
    pub bytes: u64,
    pub entries: Vec<(String, u64)>,
}

/// All that waits or is on its way.
#[derive(Default)]
pub(super) struct Queue {
    batches: BTreeMap<Key, Batch>,
    /// Tables with a batch on its way.
    in_flight: BTreeSet<Uuid>,
    paces: BTreeMap<Uuid, Duration>,
    /// Not answered yet.
    open: BTreeSet<u64>,
    next_sequence: u64,
    pub bytes: usize,
    pub closed: bool,
}

impl Queue {
    pub fn add(
        &mut self,
        definition: &Arc<TableDefinition>,
        context: &Arc<QueryContext>,
        mut entry: Entry,
    ) {
        entry.sequence = self.next_sequence;
        self.next_sequence += 1;
        self.open.insert(entry.sequence);
        self.bytes += entry.bytes;
        let pace = self.pace(definition.uuid, &context.settings);
        let batch = self.batches.entry(key(definition, context)).or_insert_with(|| Batch {
            kind: Kind { definition: definition.clone(), context: context.clone() },
            entries: VecDeque::new(),
            bytes: 0,
            due: Instant::now() + pace,
        });
        batch.bytes += entry.bytes;
        batch.entries.push_back(entry);
    }

    /// The next batch that is to go, or when to look again (None: when something comes).
    pub fn next(&mut self) -> Result<(Kind, Vec<Entry>), Option<Instant>> {
        let now = Instant::now();
        let free = |(key, _): &(&Key, &Batch)| !self.in_flight.contains(&key.table);
        let mut candidates: Vec<(&Key, &Batch)> = self.batches.iter().filter(free).collect();
        candidates.sort_by_key(|(_, batch)| batch.due);
        let ready = |batch: &Batch| self.closed || batch.due <= now || batch.is_full();
        let Some((key, _)) = candidates.iter().find(|(_, batch)| ready(batch)) else {
            return Err(candidates.first().map(|(_, batch)| batch.due));
        };
        let key = (*key).clone();
        let Some(batch) = self.batches.get_mut(&key) else { return Err(None) };
        let (kind, entries) = (batch.kind.clone(), batch.take());
        match batch.entries.is_empty() {
            true => drop(self.batches.remove(&key)),
            // The rest has waited long enough.
            false => batch.due = now,
        }
        self.in_flight.insert(key.table);
        self.adapt(key.table, &kind.context.settings, entries.len());
        Ok((kind, entries))
    }

    /// The batch of `table` that was on its way has its answers.
    pub fn done(&mut self, table: Uuid, bytes: usize, sequences: &[u64]) {
        self.in_flight.remove(&table);
        self.bytes -= bytes;
        for sequence in sequences {
            self.open.remove(sequence);
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Makes all that waits due; gives the first sequence that is not part of it.
    pub fn hurry(&mut self) -> u64 {
        let now = Instant::now();
        self.batches.values_mut().for_each(|batch| batch.due = now);
        self.next_sequence
    }

    pub fn has_before(&self, sequence: u64) -> bool {
        self.open.first().is_some_and(|first| *first < sequence)
    }

    pub fn waiting(&self) -> Vec<WaitingBatch> {
        let shown = |batch: &Batch| WaitingBatch {
            definition: batch.kind.definition.clone(),
            format: batch.entries.front().map(|e| e.format.clone()).unwrap_or_default(),
            first_us: batch.entries.front().map_or(0, |e| e.queued_us),
            bytes: batch.bytes as u64,
            entries: batch.entries.iter().map(|e| (e.query_id.clone(), e.bytes as u64)).collect(),
        };
        self.batches.values().map(shown).collect()
    }

    fn pace(&self, table: Uuid, settings: &Settings) -> Duration {
        let (min, max) = timeouts(settings);
        if !settings.bool("async_insert_use_adaptive_busy_timeout", true) {
            return max;
        }
        self.paces.get(&table).copied().unwrap_or(min).clamp(min, max)
    }

    fn adapt(&mut self, table: Uuid, settings: &Settings, inserts: usize) {
        let rate = |name: &str| {
            let set = settings.get(name).and_then(|v| v.parse::<f64>().ok());
            set.filter(|r| r.is_finite()).unwrap_or(0.2).clamp(0.0, 1.0)
        };
        let factor = match inserts {
            1 => 1.0 / (1.0 + rate("async_insert_busy_timeout_decrease_rate")),
            _ => 1.0 + rate("async_insert_busy_timeout_increase_rate"),
        };
        let (min, max) = timeouts(settings);
        let pace = self.pace(table, settings).mul_f64(factor).clamp(min, max);
        if self.paces.len() >= PACES_MAX && !self.paces.contains_key(&table) {
            self.paces.pop_first();
        }
        self.paces.insert(table, pace);
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        let settings = &self.kind.context.settings;
        self.bytes >= data_size_max(settings) || self.entries.len() >= inserts_max(settings)
    }

    /// As many of the first inserts as one commit takes.
    fn take(&mut self) -> Vec<Entry> {
        let settings = &self.kind.context.settings;
        let (bytes_max, inserts_max) = (data_size_max(settings), inserts_max(settings));
        let (mut taken, mut bytes) = (vec![], 0);
        while taken.len() < inserts_max
            && (taken.is_empty() || bytes < bytes_max)
            && let Some(entry) = self.entries.pop_front()
        {
            bytes += entry.bytes;
            taken.push(entry);
        }
        self.bytes -= bytes;
        taken
    }
}

/// `async_insert_max_data_size`.
pub(super) fn data_size_max(settings: &Settings) -> usize {
    settings.u64("async_insert_max_data_size", 10 << 20) as usize
}

fn inserts_max(settings: &Settings) -> usize {
    settings.u64("async_insert_max_query_number", 450).max(1) as usize
}

/// How long a batch waits at least and at most.
fn timeouts(settings: &Settings) -> (Duration, Duration) {
    const LONGEST_MS: u64 = 3_600_000;
    let max = settings.u64("async_insert_busy_timeout_max_ms", 200).min(LONGEST_MS);
    let min = settings.u64("async_insert_busy_timeout_min_ms", 50).min(max);
    (Duration::from_millis(min), Duration::from_millis(max))
}

fn key(definition: &Arc<TableDefinition>, context: &QueryContext) -> Key {
    let matters = |name: &str| {
        !name.starts_with("async_insert")
            && !name.starts_with("wait_for_async_insert")
            && !matches!(name, "insert_deduplication_token" | "log_comment" | "query_id")
    };
    let settings = context.settings.values.iter().filter(|(name, _)| matters(name));
    Key {
        table: definition.uuid,
        definition: Arc::as_ptr(definition) as usize,
        user: context.user.clone(),
        database: context.database.clone(),
        time_zone: context.time_zone.name(),
        settings: settings.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}
