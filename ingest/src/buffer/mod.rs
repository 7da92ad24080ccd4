//! Tables of the engine Buffer: rows in memory on their way to another table.
//!
//! An INSERT into one is over when its rows are here; they are seen at once and go to the destination by
//! [`rule`], as one insert through its views. Rows that come through a view, and blocks beyond the
//! maxima, never stop here: they are written to the destination in the commit that they belong to.
//! What is here is memory and nothing else: a crash loses it, a clean stop does not.
//!
//! A reader takes the rows and the newest version of the tables in one step ([`Buffers::read`]), and no
//! flush commits meanwhile: it finds each row once. No lock is held while a flush writes or views run.

mod destination;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex, MutexGuard};
use pumphouse_query::context::{MemoryGuard, MemoryTracker, QueryContext};
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::{Table, TableDefinition};
use pumphouse_storage::{Block, Store};
use uuid::Uuid;

pub use destination::{destination, for_destination};
pub use rule::{Amount, BufferRule};

use crate::insert::Inserter;

/// The engine's name.
pub const ENGINE: &str = "Buffer";

/// How long a flush that failed rests.
const RETRY_US: u64 = 5_000_000;

/// Rows and bytes of one table, now and ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BufferSizes {
    pub rows: u64,
    pub bytes: u64,
    pub rows_ever: u64,
    pub bytes_ever: u64,
}

/// What was done since the start.
#[derive(Debug, Default)]
pub struct BufferCounts {
    pub flushes: AtomicU64,
    pub failed: AtomicU64,
}

/// The rows of all Buffer tables.
#[derive(Default)]
pub struct Buffers {
    tables: Mutex<BTreeMap<Uuid, Arc<Buffer>>>,
    memory: OnceLock<Arc<MemoryTracker>>,
    pub counts: BufferCounts,
}

struct Buffer {
    held: Mutex<Held>,
    /// Signalled when a flush has committed or failed.
    settled: Condvar,
    /// One flush at a time.
    flushing: Mutex<()>,
}

/// Rows, with what is charged for them.
struct Piece {
    block: Block,
    guards: Vec<MemoryGuard>,
}

struct Held {
    definition: Arc<TableDefinition>,
    rule: BufferRule,
    pieces: Vec<Piece>,
    /// As many pieces are being flushed: they stay as they are.
    leaving: usize,
    /// Between a flush's commit and the removal of its rows nobody may look.
    committing: bool,
    /// The table is gone.
    closed: bool,
    first_us: u64,
    /// After a failure: not before this in the background.
    retry_us: u64,
    sizes: BufferSizes,
}

/// Room for the rows of one insert.
pub struct Admission {
    table: Arc<Table>,
    blocks: Vec<Block>,
    guard: MemoryGuard,
}

impl Buffers {
    /// Charges rows to `memory` from now on.
    pub fn set_memory(&self, memory: Arc<MemoryTracker>) {
        let _ = self.memory.set(memory);
    }

    fn memory(&self) -> Arc<MemoryTracker> {
        self.memory.get_or_init(|| MemoryTracker::new(0)).clone()
    }

    /// Makes room for `blocks`, complete rows of `table`: flushes what the rule says must go first. An
    /// error means that nothing more can be taken.
    pub fn admit(
        &self,
        inserter: &Inserter,
        table: &Arc<Table>,
        blocks: Vec<Block>,
    ) -> Result<Admission> {
        let rows: u64 = blocks.iter().map(|b| b.rows() as u64).sum();
        let bytes: u64 = blocks.iter().map(|b| b.memory_bytes() as u64).sum();
        let guard = self.memory().reserve(bytes as usize)?;
        // The chain is looked at before rows wait at its beginning.
        destination(&inserter.store().snapshot(), &table.definition, false)?;
        let buffer = self.buffer(&table.definition)?;
        let due = {
            let mut held = buffer.held.lock();
            held.follow(&table.definition)?;
            held.sizes.rows > 0 && held.is_due(inserter.now_us(), rows, bytes, false)
        };
        if due {
            self.flush_buffer(inserter, &buffer, |_| true)?;
        }
        Ok(Admission { table: table.clone(), blocks, guard })
    }

    /// Takes the admitted rows in, all at once. Fails if the table is gone.
    pub fn push(&self, inserter: &Inserter, admitted: Admission) -> Result<()> {
        let Admission { table, blocks, guard } = admitted;
        let definition = &table.definition;
        let mut guards = vec![guard];
        let buffer = self.buffer(definition)?;
        let mut held = buffer.held.lock();
        if held.closed || !is_attached(inserter.store(), definition.uuid) {
            drop(held);
            self.tables.lock().remove(&definition.uuid);
            return Err(Error::new(
                codes::UNKNOWN_TABLE,
                format!("Table {} does not exist", definition.full_name()),
            ));
        }
        if held.pieces.is_empty() {
            held.first_us = inserter.now_us();
        }
        for block in blocks {
            held.push(block, std::mem::take(&mut guards))?;
        }
        Ok(())
    }

    /// What `look` sees of the rows of a table; no flush of it commits meanwhile.
    pub fn read<T>(&self, table: Uuid, look: impl FnOnce(Vec<Block>) -> T) -> T {
        let Some(buffer) = self.tables.lock().get(&table).cloned() else { return look(vec![]) };
        let held = buffer.quiet();
        look(held.pieces.iter().map(|p| p.block.clone()).collect())
    }

    pub fn sizes(&self, table: Uuid) -> BufferSizes {
        let buffer = self.tables.lock().get(&table).cloned();
        buffer.map(|b| b.held.lock().sizes).unwrap_or_default()
    }

    /// Rows and bytes of all tables.
    pub fn totals(&self) -> (u64, u64) {
        let buffers: Vec<Arc<Buffer>> = self.tables.lock().values().cloned().collect();
        let sizes = buffers.iter().map(|b| b.held.lock().sizes);
        sizes.fold((0, 0), |(rows, bytes), s| (rows + s.rows, bytes + s.bytes))
    }

    /// Writes the rows of a table to its destination.
    pub fn flush(&self, inserter: &Inserter, table: Uuid) -> Result<()> {
        match self.tables.lock().get(&table).cloned() {
            Some(buffer) => self.flush_buffer(inserter, &buffer, |_| true),
            None => Ok(()),
        }
    }

    /// Writes what is due; failures are counted and told, and tried again later.
    pub fn flush_due(&self, inserter: &Inserter) {
        let now = inserter.now_us();
        self.flush_each(inserter, |held| now >= held.retry_us && held.is_due(now, 0, 0, true));
    }

    /// Writes everything, as before a stop. Gives how many rows had to be left.
    pub fn flush_all(&self, inserter: &Inserter) -> u64 {
        // A buffer may lead into another one.
        for _ in 0..destination::CHAIN_MAX {
            self.flush_each(inserter, |_| true);
            if self.totals().0 == 0 {
                break;
            }
        }
        self.totals().0
    }

    fn flush_each(&self, inserter: &Inserter, wanted: impl Fn(&Held) -> bool) {
        let buffers: Vec<Arc<Buffer>> = self.tables.lock().values().cloned().collect();
        for buffer in buffers {
            if let Err(e) = self.flush_buffer(inserter, &buffer, &wanted) {
                let name = buffer.held.lock().definition.full_name();
                tracing::warn!("rows of {name} stay in memory for now: {e}");
            }
        }
    }

    /// Forgets a table that was dropped or detached; what it still held goes to its destination first.
    pub fn forget(&self, inserter: &Inserter, table: Uuid) {
        let Some(buffer) = self.tables.lock().remove(&table) else { return };
        // An insert that is under way finds it closed, or its rows are written here.
        buffer.held.lock().closed = true;
        if let Err(e) = self.flush_buffer(inserter, &buffer, |_| true) {
            let held = buffer.held.lock();
            let (name, rows) = (held.definition.full_name(), held.sizes.rows);
            tracing::warn!("{rows} rows of {name} are gone with it: {e}");
        }
    }

    fn buffer(&self, definition: &Arc<TableDefinition>) -> Result<Arc<Buffer>> {
        let mut tables = self.tables.lock();
        if let Some(buffer) = tables.get(&definition.uuid) {
            return Ok(buffer.clone());
        }
        let held = Held {
            definition: definition.clone(),
            rule: BufferRule::of(definition)?,
            pieces: vec![],
            leaving: 0,
            committing: false,
            closed: false,
            first_us: 0,
            retry_us: 0,
            sizes: BufferSizes::default(),
        };
        let buffer = Arc::new(Buffer {
            held: Mutex::new(held),
            settled: Condvar::new(),
            flushing: Mutex::new(()),
        });
        tables.insert(definition.uuid, buffer.clone());
        Ok(buffer)
    }

    fn flush_buffer(
        &self,
        inserter: &Inserter,
        buffer: &Buffer,
        wanted: impl Fn(&Held) -> bool,
    ) -> Result<()> {
        let _one = buffer.flushing.lock();
        let (blocks, definition) = {
            let mut held = buffer.held.lock();
            if held.pieces.is_empty() || !wanted(&held) {
                return Ok(());
            }
            held.leaving = held.pieces.len();
            let blocks: Vec<Block> = held.pieces.iter().map(|p| p.block.clone()).collect();
            (blocks, held.definition.clone())
        };
        // Rows that came since stay, also if what follows fails or panics.
        let mut leaving = Leaving { buffer, inserter, gone: false };
        let outcome = self.write(inserter, &definition, blocks, &mut leaving);
        drop(leaving);
        if outcome.is_err() {
            buffer.held.lock().retry_us = inserter.now_us() + RETRY_US;
        }
        let count = if outcome.is_ok() { &self.counts.flushes } else { &self.counts.failed };
        count.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    fn write(
        &self,
        inserter: &Inserter,
        definition: &Arc<TableDefinition>,
        blocks: Vec<Block>,
        leaving: &mut Leaving<'_>,
    ) -> Result<()> {
        let state = inserter.store().snapshot();
        let Some(to) = destination(&state, definition, true)? else {
            leaving.gone = true;
            return Ok(());
        };
        let mut context = QueryContext::new("buffer-flush", inserter.now_us(), 0);
        context.memory = self.memory();
        context.database = definition.database.clone();
        let context = Arc::new(context);
        // Each on its own: the table may have been altered between them.
        let blocks = blocks.into_iter().map(|b| for_destination(&to.definition, b, &context));
        let block = Block::concat(&blocks.collect::<Result<Vec<_>>>()?)?;
        let (database, name) = (&to.definition.database, &to.definition.name);
        let mut session = inserter.begin(database, name)?;
        session.add(&block, &context)?;
        leaving.begin_commit();
        session.commit(None)?;
        leaving.gone = true;
        Ok(())
    }
}

/// The first pieces of a buffer while they are written. When it drops they go, or stay.
struct Leaving<'a> {
    buffer: &'a Buffer,
    inserter: &'a Inserter,
    gone: bool,
}

impl Leaving<'_> {
    fn begin_commit(&self) {
        self.buffer.held.lock().committing = true;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut held = self.buffer.held.lock();
        let count = std::mem::take(&mut held.leaving);
        if self.gone {
            for piece in held.pieces.drain(..count).collect::<Vec<_>>() {
                held.sizes.rows -= piece.block.rows() as u64;
                held.sizes.bytes -= piece.block.memory_bytes() as u64;
            }
            held.first_us = self.inserter.now_us();
        }
        held.committing = false;
        self.buffer.settled.notify_all();
    }
}

impl Buffer {
    /// The rows while no flush commits.
    fn quiet(&self) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock();
        while held.committing {
            self.settled.wait(&mut held);
        }
        held
    }
}

impl Held {
    /// The definition may have been altered.
    fn follow(&mut self, definition: &Arc<TableDefinition>) -> Result<()> {
        if !Arc::ptr_eq(&self.definition, definition) {
            self.rule = BufferRule::of(definition)?;
            self.definition = definition.clone();
        }
        Ok(())
    }

    fn is_due(&self, now_us: u64, more_rows: u64, more_bytes: u64, in_background: bool) -> bool {
        let age = now_us.saturating_sub(self.first_us) / 1_000_000;
        let amount = Amount {
            seconds: age,
            rows: self.sizes.rows + more_rows,
            bytes: self.sizes.bytes + more_bytes,
        };
        self.sizes.rows > 0 && self.rule.is_due(amount, in_background)
    }

    fn push(&mut self, block: Block, guards: Vec<MemoryGuard>) -> Result<()> {
        let mut piece = Piece { block, guards };
        self.sizes.rows_ever += piece.block.rows() as u64;
        self.sizes.bytes_ever += piece.block.memory_bytes() as u64;
        // Pieces at least double from the last to the first: few of them, whatever is inserted.
        while self.pieces.len() > self.leaving
            && let Some(last) = self.pieces.last()
            && last.block.rows() <= piece.block.rows()
            && last.block.schema() == piece.block.schema()
        {
            let joined = Block::concat(&[last.block.clone(), piece.block.clone()])?;
            if let Some(mut last) = self.pieces.pop() {
                last.guards.append(&mut piece.guards);
                piece = Piece { block: joined, guards: last.guards };
            }
        }
        self.pieces.push(piece);
        let sum = |f: fn(&Block) -> u64| self.pieces.iter().map(|p| f(&p.block)).sum();
        (self.sizes.rows, self.sizes.bytes) =
            (sum(|b| b.rows() as u64), sum(|b| b.memory_bytes() as u64));
        Ok(())
    }
}

fn is_attached(store: &Store, table: Uuid) -> bool {
    store.snapshot().tables.get(&table).is_some_and(|t| !t.detached)
}
