//! Asynchronous inserts: small inserts of many clients gather and become one commit.
//!
//! A client's rows are parsed and completed by its own thread, so bad data is its own error at once.
//! What gathers is whole rows by table, definition, user and settings; a batch goes in when it is
//! large, old, asked for by SYSTEM FLUSH or at shutdown. One batch a table is on its way at a time, so
//! rows keep their order, and meanwhile the next gathers. A batch that fails is tried insert by
//! insert, and those without fault go in. A client that waits is answered after its commit. Memory is
//! bounded by [`QUEUE_BYTES_MAX`] and by the server's limit; a full queue lets clients wait.

mod flush;
mod journal;
mod queue;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pumphouse_ingest::insert::Inserter;
use pumphouse_query::context::{MemoryTracker, QueryContext, Settings};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Block;
use pumphouse_storage::clock::Clock;
use pumphouse_storage::log::TableDefinition;

use journal::Journal;
pub use journal::JournalEntry;
pub use queue::WaitingBatch;
use queue::{Entry, Queue};

/// Rows that wait, in bytes.
const QUEUE_BYTES_MAX: usize = 256 << 20;
/// Threads that commit batches, each of another table.
const WORKERS: usize = 4;
/// Views run on these stacks; only what is touched is memory.
const STACK_BYTES: usize = 16 << 20;
/// How often a waiting client looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is told to the client of one insert: its error, if it has one.
#[derive(Default)]
struct Answer {
    given: Mutex<Option<std::result::Result<(), (u32, String)>>>,
    changed: Condvar,
}

impl Answer {
    fn give(&self, answer: std::result::Result<(), (u32, String)>) {
        *self.given.lock() = Some(answer);
        self.changed.notify_all();
    }
}

/// One client's insert.
pub struct AsyncInsert<'a> {
    pub definition: &'a Arc<TableDefinition>,
    /// Whole rows of the table.
    pub block: Block,
    pub format: &'a str,
    pub context: &'a Arc<QueryContext>,
}

/// The queue and its workers.
pub struct AsyncInserts {
    shared: Arc<Shared>,
    workers: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

struct Shared {
    inserter: Arc<Inserter>,
    memory: Arc<MemoryTracker>,
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    /// Something to do for the workers.
    work: Condvar,
    /// Inserts were answered: there is room, or a flush is complete.
    answered: Condvar,
    journal: Journal,
}

impl AsyncInserts {
    /// Starts the workers.
    pub fn start(
        inserter: Arc<Inserter>,
        memory: Arc<MemoryTracker>,
        clock: Arc<dyn Clock>,
    ) -> Result<AsyncInserts> {
        let shared = Arc::new(Shared {
            inserter,
            memory,
            clock,
            queue: Mutex::default(),
            work: Condvar::new(),
            answered: Condvar::new(),
            journal: Journal::default(),
        });
        let mut workers = vec![];
        for number in 0..WORKERS {
            let shared = shared.clone();
            let worker = std::thread::Builder::new()
                .name(format!("async-insert-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || shared.work());
            workers.push(worker.map_err(|e| {
                Error::new(codes::CANNOT_SCHEDULE_TASK, format!("Cannot start a thread: {e}"))
            })?);
        }
        Ok(AsyncInserts { shared, workers: Mutex::new(workers) })
    }

    /// Whether `settings` ask for it, and rows of so many bytes may gather.
    pub fn wanted(settings: &Settings, definition: &TableDefinition, bytes: usize) -> bool {
        settings.bool("async_insert", false)
            && definition.engine != "Kafka"
            && bytes <= queue::data_size_max(settings)
    }

    /// Takes an insert in. With `wait_for_async_insert` it returns after the commit, with the
    /// insert's own error if it has one. Gives the block back if the queue is closed.
    pub fn push(&self, insert: AsyncInsert<'_>) -> Result<Option<Block>> {
        let context = insert.context.clone();
        let Some(answer) = self.enqueue(insert)? else { return Ok(None) };
        let answer = match answer {
            Queued::Refused(block) => return Ok(Some(block)),
            Queued::Waiting(answer) => answer,
        };
        let limit = context.settings.u64("wait_for_async_insert_timeout", 120);
        let until = Instant::now().checked_add(Duration::from_secs(limit));
        let mut given = answer.given.lock();
        loop {
            match given.take() {
                Some(Ok(())) => return Ok(None),
                Some(Err((code, message))) => return Err(Error::new(code, message)),
                None => {}
            }
            context.check()?;
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Error::new(
                    codes::TIMEOUT_EXCEEDED,
                    format!("Wait for async insert timeout ({limit} s) exceeded"),
                ));
            }
            answer.changed.wait_for(&mut given, LOOK_EVERY);
        }
    }

    /// None if nobody waits for the answer.
    fn enqueue(&self, insert: AsyncInsert<'_>) -> Result<Option<Queued>> {
        let shared = &self.shared;
        let wait = insert.context.settings.bool("wait_for_async_insert", true);
        let bytes = insert.block.memory_bytes();
        let memory = shared.memory.reserve(bytes)?;
        let mut queue = shared.queue.lock();
        while !queue.closed && queue.bytes > 0 && queue.bytes + bytes > QUEUE_BYTES_MAX {
            shared.answered.wait_for(&mut queue, LOOK_EVERY);
            insert.context.check()?;
        }
        if queue.closed {
            return Ok(Some(Queued::Refused(insert.block)));
        }
        let token = insert.context.settings.get("insert_deduplication_token");
        let answer = Arc::new(Answer::default());
        let entry = Entry {
            sequence: 0,
            token: token.filter(|t| !t.is_empty()).map(str::to_string),
            query_id: insert.context.query_id.clone(),
            format: insert.format.to_string(),
            queued_us: shared.clock.now_us(),
            bytes,
            block: insert.block,
            answer: answer.clone(),
            _memory: memory,
        };
        queue.add(insert.definition, insert.context, entry);
        drop(queue);
        shared.work.notify_one();
        Ok(wait.then_some(Queued::Waiting(answer)))
    }

    /// Commits what waits now, and returns when that is done.
    pub fn flush(&self, context: &QueryContext) -> Result<()> {
        let mut queue = self.shared.queue.lock();
        let until = queue.hurry();
        self.shared.work.notify_all();
        while queue.has_before(until) {
            context.check()?;
            self.shared.answered.wait_for(&mut queue, LOOK_EVERY);
        }
        Ok(())
    }

    /// Commits all that waits and ends the workers; later inserts are no longer taken.
    pub fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.work.notify_all();
        self.shared.answered.notify_all();
        for worker in self.workers.lock().drain(..) {
            // A worker that panicked has nothing left to do.
            let _ = worker.join();
        }
    }

    /// What waits, for `system.asynchronous_inserts`.
    pub fn waiting(&self) -> Vec<WaitingBatch> {
        self.shared.queue.lock().waiting()
    }

    /// The inserts answered since the last call, for `system.asynchronous_insert_log`.
    pub fn take_journal(&self) -> Vec<JournalEntry> {
        self.shared.journal.take()
    }
}

enum Queued {
    Waiting(Arc<Answer>),
    /// The server is stopping.
    Refused(Block),
}
