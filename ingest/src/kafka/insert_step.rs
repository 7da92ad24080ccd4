//! The insert step: takes finished blocks from consumers and commits them through the views.
//!
//! With `kafka_thread_per_consumer = 1` every consumer has its own, and they work in parallel; with 0
//! the consumers of a table share one, which makes one insert of what all of them have. A block is
//! tried until it is in, or void, or the table stops: an error never drops rows, it delays them,
//! visibly and longer each time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use pumphouse_query::catalog::SourceColumn;
use pumphouse_query::context::{MemoryTracker, QueryContext, Settings};
use pumphouse_query::error::{Error, codes};
use pumphouse_storage::log::{Table, TableDefinition};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Store};

use uuid::Uuid;

use super::backoff::{Backoff, Signal};
use super::consumer::panic_text;
use super::dead_letters::DeadLetter;
use super::plan::TablePlan;
use super::set_aside::Next;
use super::status::{ConsumerShared, ConsumerState};
use super::watermarks;
use crate::block_builder::{BuiltBlock, FlushReason, OffsetRange};
pub use crate::insert::StreamInput;
use crate::insert::pressure::{Pressure, parts_max, pressure};
use crate::insert::{InsertOutcome, Inserter, Letters, StreamError, not_enough_space};
use crate::materialized_view::destinations;

/// How long a shared insert waits for the other consumers' blocks of the same tick.
const GATHER_WAIT: Duration = Duration::from_millis(10);
/// A stream that changed is read anew, in silence for so long.
const REFUSED_SILENTLY: Duration = Duration::from_secs(5);
/// Fewest rows that a memory shortage shrinks blocks to.
const ROWS_CAP_MIN: usize = 1024;

/// A finished block of one consumer.
pub(super) struct Chunk {
    pub(super) shared: Arc<ConsumerShared>,
    pub(super) number: usize,
    pub(super) generation: u64,
    /// Blocks whose rows come before those of `built.block`; all else is in `built`.
    pub(super) before: Vec<Block>,
    pub(super) built: BuiltBlock,
    pub(super) reason: FlushReason,
    /// It was cut before a bad message: what follows is to be read again.
    pub(super) cut: bool,
}

impl Chunk {
    /// Its rows, in order.
    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.before.iter().chain([&self.built.block])
    }

    pub(super) fn rows(&self) -> usize {
        self.blocks().map(Block::rows).sum()
    }

    fn is_void(&self) -> bool {
        self.generation != self.shared.generation()
    }
}

/// Where blocks go. `Inserter` in the server; tests put their own.
pub trait StreamSink: Send + Sync {
    fn insert_from_stream(
        &self,
        stream: &Arc<Table>,
        input: &StreamInput<'_>,
        ctx: &Arc<QueryContext>,
    ) -> Result<InsertOutcome, StreamError>;

    /// As [`StreamSink::insert_from_stream`], into one view alone; the offsets are that view's own.
    fn insert_into_view(
        &self,
        _stream: &Arc<Table>,
        _view: Uuid,
        _input: &StreamInput<'_>,
        _ctx: &Arc<QueryContext>,
    ) -> Result<InsertOutcome, StreamError> {
        Err(StreamError::SourceChanged)
    }

    /// Runs the views over `block` and keeps nothing.
    fn try_views(
        &self,
        _stream: &Arc<Table>,
        _columns: &[SourceColumn],
        _block: &Block,
        _ctx: &Arc<QueryContext>,
    ) -> Result<(), StreamError> {
        Ok(())
    }
}

impl StreamSink for Inserter {
    fn insert_from_stream(
        &self,
        stream: &Arc<Table>,
        input: &StreamInput<'_>,
        ctx: &Arc<QueryContext>,
    ) -> Result<InsertOutcome, StreamError> {
        Inserter::insert_from_stream(self, stream, input, ctx)
    }

    fn insert_into_view(
        &self,
        stream: &Arc<Table>,
        view: Uuid,
        input: &StreamInput<'_>,
        ctx: &Arc<QueryContext>,
    ) -> Result<InsertOutcome, StreamError> {
        Inserter::insert_into_view(self, stream, view, input, ctx)
    }

    fn try_views(
        &self,
        stream: &Arc<Table>,
        columns: &[SourceColumn],
        block: &Block,
        ctx: &Arc<QueryContext>,
    ) -> Result<(), StreamError> {
        Inserter::try_views(self, stream, columns, block, ctx)
    }
}

/// One insert thread.
pub(super) struct InsertStep {
    pub(super) plan: Arc<TablePlan>,
    pub(super) sink: Arc<dyn StreamSink>,
    pub(super) signal: Arc<Signal>,
    pub(super) input: Receiver<Chunk>,
    /// Consumers that feed it.
    pub(super) consumers: usize,
}

/// Blocks in a row that are not for the stream as it is now. One is the course of things, many are a fault that
/// nobody would see.
#[derive(Default)]
struct Refused {
    since: Option<Instant>,
    /// Once it has lasted.
    backoff: Option<Backoff>,
}

impl InsertStep {
    /// Runs until all its consumers have ended and their blocks are in or void.
    pub(super) fn run(self) {
        let (mut carry, mut refused) = (None, Refused::default());
        while let Some(chunks) = self.gather(&mut carry) {
            self.insert(chunks, &mut refused);
        }
    }

    /// One block of each consumer that has one; at least one. None when all consumers have ended.
    fn gather(&self, carry: &mut Option<Chunk>) -> Option<Vec<Chunk>> {
        let first = match carry.take() {
            Some(chunk) => chunk,
            None => self.input.recv().ok()?,
        };
        let wait = if first.reason == FlushReason::Age { GATHER_WAIT } else { Duration::ZERO };
        let until = Instant::now() + wait;
        let mut chunks = vec![first];
        while chunks.len() < self.consumers {
            match self.input.recv_deadline(until) {
                Ok(chunk) if chunks.iter().any(|c| c.number == chunk.number) => {
                    *carry = Some(chunk);
                    break;
                }
                Ok(chunk) => chunks.push(chunk),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Some(chunks)
    }

    fn insert(&self, mut chunks: Vec<Chunk>, refused: &mut Refused) {
        let mut backoff = Backoff::new(self.plan.settings.consumer_reschedule);
        loop {
            drop_void(&mut chunks);
            if chunks.is_empty() {
                return;
            }
            if self.signal.stopped() && backoff.failures() > 0 {
                return abandon(chunks);
            }
            if let Some(reason) = self.too_many_letters(&chunks) {
                self.plan.stop_table(&self.signal, &reason);
                return abandon(chunks);
            }
            match self.attempt(&chunks) {
                Ok(outcome) => {
                    *refused = Refused::default();
                    return self.committed(chunks, outcome);
                }
                Err(StreamError::OffsetMoved { topic, kafka_partition }) => {
                    let at = (topic.as_str(), kafka_partition, -1);
                    let text =
                        "another consumer committed these offsets; reading on from the log's";
                    if let Some(chunk) = chunks.first() {
                        chunk.shared.event(self.plan.clock.now_us(), "fenced", at, text);
                    }
                    void_where(&chunks, |c| {
                        let mut ranges = c.built.offsets.iter();
                        ranges.any(|r| *r.topic == *topic && r.kafka_partition == kafka_partition)
                    });
                }
                Err(why @ (StreamError::Stale | StreamError::SourceChanged)) => {
                    // To be read again: with the columns that are wanted now, or by threads that follow. Voided after
                    // the wait, which the consumer would end when it sees that.
                    self.refused(&chunks, &why, refused);
                    void_where(&chunks, |_| true);
                }
                Err(StreamError::Failed(e)) => {
                    if let Next::Wait(reason) = self.set_aside(&mut chunks, &e) {
                        self.failed(&chunks, e.code(), &reason, &mut backoff);
                    }
                }
            }
        }
    }

    fn attempt(&self, chunks: &[Chunk]) -> Result<InsertOutcome, StreamError> {
        room(&self.plan.store, &self.plan.table.definition, &self.signal)?;
        let plan = &self.plan;
        let letters: Vec<DeadLetter> =
            chunks.iter().flat_map(|c| c.built.letters.iter().cloned()).collect();
        let letter_rows = match letters.is_empty() {
            true => None,
            false => Some(plan.letter_rows(&letters)?),
        };
        let (database, table) = plan.letter_table();
        let blocks: Vec<Block> = chunks
            .iter()
            .flat_map(Chunk::blocks)
            .filter(|block| !block.is_empty())
            .cloned()
            .collect();
        let offsets: Vec<OffsetRange> =
            chunks.iter().flat_map(|c| c.built.offsets.iter().cloned()).collect();
        let ctx = self.context();
        self.mark(chunks, true);
        let input = StreamInput {
            columns: &plan.source_columns,
            blocks: &blocks,
            offsets: &offsets,
            letters: letter_rows.as_ref().map(|block| Letters { database, table, block }),
            edits: &[],
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.sink.insert_from_stream(&plan.table, &input, &ctx)
        }));
        self.mark(chunks, false);
        outcome.unwrap_or_else(|panic| {
            let message = format!("the insert panicked: {}", panic_text(&panic));
            Err(StreamError::Failed(Error::new(codes::LOGICAL_ERROR, message)))
        })
    }

    /// More of a block is bad than the table takes for an accident.
    fn too_many_letters(&self, chunks: &[Chunk]) -> Option<String> {
        let settings = &self.plan.settings;
        let letters: u64 = chunks.iter().map(|c| c.built.letters.len() as u64).sum();
        let messages: u64 = chunks.iter().map(|c| c.built.messages).sum();
        let share = letters as f64 / messages.max(1) as f64;
        if letters < settings.dead_letters_count_min.max(1)
            || share <= settings.dead_letters_ratio_max
        {
            return None;
        }
        let first = chunks.iter().find_map(|c| c.built.letters.first())?;
        Some(format!(
            "{letters} of {messages} messages of a block are bad, more than \
             kafka_dead_letters_ratio_max = {} allows; nothing of it was taken. The first is \
             {}[{}] at offset {}: {}",
            settings.dead_letters_ratio_max,
            first.topic,
            first.kafka_partition,
            first.kafka_offset,
            first.error
        ))
    }

    pub(super) fn context(&self) -> Arc<QueryContext> {
        let (definition, config) = (&self.plan.table.definition, &self.plan.config);
        background_context(
            &format!("kafka:{}", definition.full_name()),
            &definition.database,
            self.plan.clock.now_us(),
            &config.settings,
            config.time_zone,
            config.memory.as_ref(),
        )
    }

    fn mark(&self, chunks: &[Chunk], inserting: bool) {
        let now_us = self.plan.clock.now_us();
        let thread = std::thread::current();
        for chunk in chunks {
            let mut status = chunk.shared.status.lock();
            status.is_inserting = inserting;
            status.insert_started_us = now_us;
            status.insert_thread = thread.name().unwrap_or_default().to_string();
        }
    }

    fn committed(&self, chunks: Vec<Chunk>, outcome: InsertOutcome) {
        let now_us = self.plan.clock.now_us();
        tracing::debug!(
            table = %self.plan.table.definition.full_name(), rows = outcome.rows,
            parts = outcome.parts, version = outcome.version, "block committed"
        );
        let mut cut = false;
        for chunk in chunks {
            let rows = chunk.rows();
            let offsets = chunk.built.offsets.iter();
            let told = offsets.map(|r| (r.topic.to_string(), r.kafka_partition, r.next)).collect();
            let mut status = chunk.shared.status.lock();
            status.blocks += 1;
            status.uncommitted_ms.pop_front();
            status.dead_letters += chunk.built.letters.len() as u64;
            status.rows_committed += rows as u64;
            status.last_commit_us = now_us;
            for (topic, partition, next) in &told as &Vec<(String, i32, i64)> {
                if let Some(a) = status.assignment(topic, *partition) {
                    a.committed_offset = *next;
                    // Until the next statistics; what is committed is at least in the broker.
                    a.high_watermark = a.high_watermark.max(*next);
                    a.lag = watermarks::lag(*next, -1, a.high_watermark);
                }
            }
            if status.state == ConsumerState::BackingOff {
                status.state = ConsumerState::Consuming;
                status.paused_reason.clear();
                status.next_retry_us = 0;
            }
            drop(status);
            if !chunk.built.kept.is_empty() {
                let less = |n: usize| n.checked_sub(1);
                let _ =
                    chunk.shared.careful.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            }
            if chunk.cut {
                chunk.shared.invalidate();
                cut = true;
            }
            remember(&chunk.shared, told);
            let _ =
                chunk.shared.rows_cap.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |cap| {
                    Some(cap.saturating_mul(2))
                });
            chunk.shared.land();
        }
        if cut {
            // What follows is a message that fails: no haste.
            self.signal.wait(self.plan.settings.consumer_reschedule);
        }
    }

    /// Waits before the messages are read again; what goes on for long is shown.
    fn refused(&self, chunks: &[Chunk], why: &StreamError, refused: &mut Refused) {
        let since = *refused.since.get_or_insert_with(Instant::now);
        if since.elapsed() > REFUSED_SILENTLY {
            let first = self.plan.settings.consumer_reschedule;
            let backoff = refused.backoff.get_or_insert_with(|| Backoff::new(first));
            let reason = format!("Blocks are refused and read again: {why}");
            self.failed(chunks, codes::ABORTED, &reason, backoff);
        } else if matches!(why, StreamError::SourceChanged) {
            self.signal.wait(Duration::from_millis(100));
        }
    }

    /// Shows the error and waits. When memory was short, smaller blocks are read instead.
    fn failed(&self, chunks: &[Chunk], code: u32, reason: &str, backoff: &mut Backoff) {
        let delay = backoff.next();
        let now_us = self.plan.clock.now_us();
        let retry_us = now_us + delay.as_micros() as u64;
        let full_name = self.plan.table.definition.full_name();
        tracing::warn!(table = %full_name, "a block waits {} ms: {reason}", delay.as_millis());
        for chunk in chunks {
            chunk.shared.fail(now_us, retry_us, reason);
        }
        self.signal.wait(delay);
        if code == codes::MEMORY_LIMIT_EXCEEDED {
            for chunk in chunks {
                let rows = chunk.rows();
                if rows > ROWS_CAP_MIN {
                    let cap = (rows / 2).max(ROWS_CAP_MIN);
                    chunk.shared.rows_cap.store(cap, Ordering::Relaxed);
                    chunk.shared.invalidate();
                }
            }
        }
    }
}

/// Back-pressure of a stream: waits or refuses while the disk is full or merges are far behind.
pub(crate) fn room(store: &Store, stream: &TableDefinition, signal: &Signal) -> Result<(), Error> {
    if !store.has_free_space()? {
        return Err(not_enough_space());
    }
    let state = store.snapshot();
    let tables = destinations(&state, stream)?;
    let parts = parts_max(&tables);
    match pressure(parts) {
        Pressure::None => Ok(()),
        Pressure::Delay(time) => {
            signal.wait(time);
            Ok(())
        }
        Pressure::Stop => Err(Error::new(
            codes::TOO_MANY_PARTS,
            format!("Too many parts ({parts}) in a destination table; waiting for merges"),
        )),
    }
}

/// Views of streams run as background work: one thread, the default profile, the server's memory account.
pub(crate) fn background_context(
    query_id: &str,
    database: &str,
    now_us: u64,
    profile: &Settings,
    time_zone: TimeZone,
    memory: Option<&Arc<MemoryTracker>>,
) -> Arc<QueryContext> {
    let mut ctx = QueryContext::new(query_id.to_string(), now_us, 0);
    ctx.database = database.to_string();
    ctx.settings = profile.clone();
    ctx.settings.set("max_threads", "1");
    ctx.time_zone = time_zone;
    if let Some(memory) = memory {
        ctx.memory = memory.clone();
    }
    Arc::new(ctx)
}

fn drop_void(chunks: &mut Vec<Chunk>) {
    chunks.retain(|chunk| {
        let void = chunk.is_void();
        if void {
            chunk.shared.land();
        }
        !void
    });
}

fn void_where(chunks: &[Chunk], which: impl Fn(&Chunk) -> bool) {
    chunks.iter().filter(|c| which(c)).for_each(|c| c.shared.invalidate());
}

fn abandon(chunks: Vec<Chunk>) {
    for chunk in chunks {
        chunk.shared.invalidate();
        chunk.shared.land();
    }
}

/// Keeps the newest offset per partition for the broker.
fn remember(shared: &ConsumerShared, offsets: Vec<(String, i32, i64)>) {
    let mut kept = shared.to_advise.lock();
    for (topic, partition, next) in offsets {
        match kept.iter_mut().find(|(t, p, _)| *t == topic && *p == partition) {
            Some(entry) => entry.2 = next,
            None => kept.push((topic, partition, next)),
        }
    }
}
