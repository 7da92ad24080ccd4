//! Inserts: a block into a table and through all its views, parts of all destinations (and stream
//! offsets, and the insert's token) in one commit.
//!
//! One attempt works on one snapshot; if a table or view was changed meanwhile the commit is rejected
//! and everything is run again on the new snapshot, so each row passes exactly one version of the
//! views. Nothing is visible before the commit, nothing is left behind after a rejection.

mod constraints;
mod defaults;
mod memory_bounds;
pub mod pressure;
mod session;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_query::catalog::ExtraTables;
use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::clock::Clock;
use pumphouse_storage::log::{Commit, Edit, Precondition, Rejection, State, Table};
use pumphouse_storage::part::PendingPart;
use pumphouse_storage::table::insert::{WriteOptions, write_block_with};
use pumphouse_storage::{Block, Store};
use uuid::Uuid;

pub use defaults::{complete_block, fill_defaults, stored_schema};
pub use session::InsertSession;
pub use stream::{Letters, StreamInput};

use crate::block_builder::OffsetRange;
use crate::buffer::{self, BufferRule, Buffers};
use crate::materialized_view::{self, ViewOutputs, ViewRunner, run_views};

/// Attempts on ever new snapshots before an insert gives up.
const ATTEMPTS_MAX: usize = 20;

/// What an insert did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InsertOutcome {
    /// Rows inserted into the table itself (streams: rows consumed). 0 for a repeated token.
    pub rows: u64,
    /// Rows written to all destinations.
    pub rows_written: u64,
    pub bytes_written: u64,
    pub parts: usize,
    /// The version at which it is visible.
    pub version: u64,
}

/// Why rows of a stream did not go in.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Somebody else committed these offsets: drop the block and read from the log's offset.
    #[error("{topic}[{kafka_partition}] was moved by another consumer")]
    OffsetMoved { topic: String, kafka_partition: i32 },
    /// The stream table was dropped, altered or paused, or lost its views: this consumer is stale.
    #[error("the stream table was changed")]
    SourceChanged,
    /// A view that came meanwhile needs columns that these blocks were built without: read again.
    #[error("the blocks lack columns that a new view reads")]
    Stale,
    /// Nothing was applied; to be tried again.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Inserts blocks. Shared by HTTP, async inserts and streams.
pub struct Inserter {
    store: Arc<Store>,
    extra: Option<Arc<dyn ExtraTables>>,
    clock: Arc<dyn Clock>,
    buffers: Buffers,
}

impl Inserter {
    pub fn new(
        store: Arc<Store>,
        extra: Option<Arc<dyn ExtraTables>>,
        clock: Arc<dyn Clock>,
    ) -> Inserter {
        Inserter { store, extra, clock, buffers: Buffers::default() }
    }

    /// The rows of Buffer tables.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    pub(crate) fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Inserts rows into `database.table` and through all views that hang on it, atomically. The
    /// block has the table's stored columns or some of them; the rest take their defaults. A `token`
    /// that is in already makes it a success of 0 rows.
    pub fn insert(
        &self,
        database: &str,
        table: &str,
        block: Block,
        token: Option<&str>,
        ctx: &Arc<QueryContext>,
    ) -> Result<InsertOutcome> {
        let tokens: Vec<String> = token.map(str::to_string).into_iter().collect();
        match self.insert_batch(database, table, block, &tokens, ctx) {
            Err(Error::Storage(pumphouse_storage::Error::Rejected(Rejection::DuplicateToken(
                _,
            )))) => {
                let version = self.store.snapshot().version;
                Ok(InsertOutcome { version, ..InsertOutcome::default() })
            }
            other => other,
        }
    }

    /// As [`Inserter::insert`], for the rows of several senders, each with its token or none. If one
    /// of the tokens is in already nothing is done, and the rejection names it.
    pub fn insert_batch(
        &self,
        database: &str,
        table: &str,
        block: Block,
        tokens: &[String],
        ctx: &Arc<QueryContext>,
    ) -> Result<InsertOutcome> {
        if !self.store.has_free_space()? {
            return Err(not_enough_space());
        }
        for _ in 0..ATTEMPTS_MAX {
            ctx.check()?;
            let state = self.store.snapshot();
            let target = resolve(&state, database, table)?;
            // With a token it is committed first, and delivered from there.
            if target.definition.engine == "Kafka" && tokens.is_empty() {
                let block = complete_block(&target.definition, block, ctx)?;
                let rows = crate::kafka::produce::produce(&target, &block, ctx)?;
                return Ok(InsertOutcome { rows, version: state.version, ..Default::default() });
            }
            if let Some(token) = tokens.iter().find(|t| target.tokens.contains(t)) {
                let known = Rejection::DuplicateToken(token.clone());
                return Err(pumphouse_storage::Error::Rejected(known).into());
            }
            match self.try_insert(&state, &target, &block, tokens, ctx) {
                Err(Error::Storage(pumphouse_storage::Error::Rejected(r))) if is_change(&r) => {}
                other => return other,
            }
        }
        Err(changed_too_often())
    }

    /// What [`Inserter::insert`] would say to `block`, without doing it.
    pub fn try_insert_block(
        &self,
        database: &str,
        table: &str,
        block: &Block,
        ctx: &Arc<QueryContext>,
    ) -> Result<()> {
        let state = self.store.snapshot();
        let target = resolve(&state, database, table)?;
        self.run_block(&state, &target, block, ctx)?;
        Ok(())
    }

    fn try_insert(
        &self,
        state: &Arc<State>,
        target: &Arc<Table>,
        block: &Block,
        tokens: &[String],
        ctx: &Arc<QueryContext>,
    ) -> Result<InsertOutcome> {
        let rows = block.rows() as u64;
        let mut outputs = self.run_block(state, target, block, ctx)?;
        let mut edits = vec![];
        for token in tokens {
            let (table, token) = (target.definition.uuid, token.clone());
            outputs.preconditions.push(Precondition::TokenAbsent { table, token: token.clone() });
            edits.push(Edit::Token { table, token });
        }
        let mut outcome = self.write_and_commit(outputs, edits, ctx)?;
        outcome.rows = rows;
        Ok(outcome)
    }

    /// What `block` becomes in the table and in all that its views feed.
    fn run_block(
        &self,
        state: &Arc<State>,
        target: &Arc<Table>,
        block: &Block,
        ctx: &Arc<QueryContext>,
    ) -> Result<ViewOutputs> {
        if target.definition.engine == "FileLog" {
            // Before its views run over what it does not take.
            keeps_rows(target)?;
        }
        let block = complete_block(&target.definition, block.clone(), ctx)?;
        let runner = ViewRunner { store: &self.store, state, extra: &self.extra, ctx };
        let columns = materialized_view::source_columns(&target.definition);
        let blocks = std::slice::from_ref(&block);
        let mut outputs = if block.is_empty() || target.definition.engine == "Kafka" {
            ViewOutputs::default()
        } else {
            run_views(&runner, target, &columns, blocks)?
        };
        if target.definition.engine == "Kafka" {
            outputs.preconditions.push(Precondition::TableUnchanged {
                table: target.definition.uuid,
                definition_version: target.definition_version,
            });
        }
        outputs.blocks.insert(0, (target.clone(), block));
        constraints::check(&outputs.blocks, ctx)?;
        if too_large_to_buffer(target, &outputs.blocks[0].1)? {
            let (_, block) = outputs.blocks.remove(0);
            materialized_view::write_through(&runner, target, block, &mut outputs)?;
            constraints::check(&outputs.blocks, ctx)?;
        }
        refuse_when_too_many_parts(&outputs)?;
        Ok(outputs)
    }

    /// Writes the parts of all destinations and commits.
    fn write_and_commit(
        &self,
        outputs: ViewOutputs,
        edits: Vec<Edit>,
        ctx: &QueryContext,
    ) -> Result<InsertOutcome> {
        let bounded: Vec<Arc<Table>> = outputs
            .blocks
            .iter()
            .filter(|(t, _)| memory_bounds::is_bounded(&t.definition))
            .map(|(t, _)| t.clone())
            .collect();
        let (held, blocks): (Vec<_>, Vec<_>) = outputs.blocks.into_iter().partition(is_held);
        let admitted = match held.first().map(|(table, _)| table.clone()) {
            Some(table) => {
                let blocks = held.into_iter().map(|(_, block)| block).collect();
                Some(self.buffers.admit(self, &table, blocks)?)
            }
            None => None,
        };
        let parts = self.write_parts(blocks, ctx)?;
        let mut edits = edits;
        for table in bounded {
            edits.extend(memory_bounds::removals(&table, &parts));
        }
        let rows_written: u64 = parts.iter().map(|p| p.meta.rows).sum();
        let bytes_written: u64 = parts.iter().map(|p| p.meta.bytes).sum();
        let count = parts.len();
        // Rows that only memory takes need no commit.
        let version = match admitted.is_some() && edits.is_empty() && parts.is_empty() {
            true => self.store.snapshot().version,
            false => {
                let commit = Commit { preconditions: outputs.preconditions, edits };
                self.store.commit(commit, parts)?
            }
        };
        if let Some(admitted) = admitted {
            self.buffers.push(self, admitted)?;
        }
        Ok(InsertOutcome { rows: 0, rows_written, bytes_written, parts: count, version })
    }

    /// One set of parts per destination table; tables are written side by side.
    fn write_parts(
        &self,
        blocks: Vec<(Arc<Table>, Block)>,
        ctx: &QueryContext,
    ) -> Result<Vec<PendingPart>> {
        let options = WriteOptions {
            combine: ctx.settings.bool("optimize_on_insert", true),
            threads: ctx.threads(),
        };
        let mut tables: BTreeMap<Uuid, (Arc<Table>, Vec<Block>)> = BTreeMap::new();
        for (table, block) in blocks.into_iter().filter(|(_, b)| !b.is_empty()) {
            if keeps_rows(&table)? {
                let entry = tables.entry(table.definition.uuid).or_insert((table, vec![]));
                entry.1.push(block);
            }
        }
        let write = |table: &Table, blocks: &[Block]| -> Result<Vec<PendingPart>> {
            let block = Block::concat(blocks)?;
            Ok(write_block_with(&self.store, table, &block, options)?)
        };
        let mut work: Vec<(Arc<Table>, Vec<Block>)> = tables.into_values().collect();
        let Some((first, first_blocks)) = work.pop() else { return Ok(vec![]) };
        std::thread::scope(|scope| {
            let write = &write;
            let others: Vec<_> = work
                .iter()
                .map(|(table, blocks)| scope.spawn(move || write(table, blocks)))
                .collect();
            let mut results = vec![write(&first, &first_blocks)];
            for other in others {
                results.push(other.join().unwrap_or_else(|_| {
                    Err(Error::new(codes::LOGICAL_ERROR, "a part writer panicked"))
                }));
            }
            let parts: Result<Vec<Vec<PendingPart>>> = results.into_iter().collect();
            Ok(parts?.into_iter().flatten().collect())
        })
    }
}

/// The table an INSERT names: a materialized view stands for its target.
fn resolve(state: &State, database: &str, name: &str) -> Result<Arc<Table>> {
    let (mut database, mut name) = (database.to_string(), name.to_string());
    for _ in 0..materialized_view::DEPTH_MAX {
        let Some(table) = state.table(&database, &name) else {
            return Err(Error::new(
                codes::UNKNOWN_TABLE,
                format!("Table {database}.{name} does not exist"),
            ));
        };
        match &table.definition.target {
            Some((d, n)) if table.definition.engine == "MaterializedView" => {
                (database, name) = (d.clone(), n.clone());
            }
            _ => return Ok(table.clone()),
        }
    }
    Err(Error::new(codes::TOO_DEEP_RECURSION, "materialized views that write to each other"))
}

/// Whether the rows wait in memory: those that an INSERT names a Buffer table for.
fn is_held((table, _): &(Arc<Table>, Block)) -> bool {
    table.definition.engine == buffer::ENGINE
}

/// Whether a block goes past the memory of the Buffer table that it was sent to.
fn too_large_to_buffer(target: &Table, block: &Block) -> Result<bool> {
    if target.definition.engine != buffer::ENGINE {
        return Ok(false);
    }
    let rule = BufferRule::of(&target.definition)?;
    Ok(rule.is_large(block.rows() as u64, block.memory_bytes() as u64))
}

/// Whether rows inserted into the table are kept; an error if it takes none.
fn keeps_rows(table: &Table) -> Result<bool> {
    match table.definition.engine.as_str() {
        "Null" => Ok(false),
        e if e.ends_with("MergeTree") => Ok(true),
        "Memory" | "Log" | "TinyLog" | "StripeLog" | "Set" | "Join" => Ok(true),
        // To be delivered to its topic.
        "Kafka" => {
            crate::kafka::produce::check(table)?;
            Ok(true)
        }
        e => Err(Error::new(
            codes::NOT_IMPLEMENTED,
            format!("Method write is not supported by storage {e}"),
        )),
    }
}

/// Rejections that a run on a newer snapshot may not meet.
fn is_change(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::DefinitionChanged(_) | Rejection::ViewsChanged(_) | Rejection::UnknownTable(_)
    )
}

pub(crate) fn offset_equals(stream: Uuid, range: &OffsetRange) -> Precondition {
    Precondition::OffsetEquals {
        table: stream,
        topic: range.topic.to_string(),
        kafka_partition: range.kafka_partition,
        expected: range.expected,
    }
}

pub(crate) fn advance(stream: Uuid, range: &OffsetRange, wall_us: u64) -> Edit {
    Edit::AdvanceOffset {
        table: stream,
        topic: range.topic.to_string(),
        kafka_partition: range.kafka_partition,
        next: range.next,
        wall_us,
    }
}

fn refuse_when_too_many_parts(outputs: &ViewOutputs) -> Result<()> {
    let mut delay = std::time::Duration::ZERO;
    for (table, _) in &outputs.blocks {
        match pressure::of_table(table) {
            (pressure::Pressure::None, _) => {}
            (pressure::Pressure::Delay(time), _) => delay = delay.max(time),
            (pressure::Pressure::Stop, why) => {
                return Err(Error::new(codes::TOO_MANY_PARTS, why));
            }
        }
    }
    std::thread::sleep(delay);
    Ok(())
}

pub(crate) fn not_enough_space() -> Error {
    Error::new(
        codes::NOT_ENOUGH_SPACE,
        "There is not enough free space in the data directory; inserts wait until there is",
    )
}

fn changed_too_often() -> Error {
    Error::new(codes::ABORTED, "The table or its views were changed again and again meanwhile")
}
