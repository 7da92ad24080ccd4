//! The workers: a batch becomes one commit. If that fails by its rows, each insert is tried alone and
//! those without fault go in together.

use std::collections::BTreeSet;
use std::sync::Arc;

use pumphouse_query::context::{MemoryTracker, QueryContext};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Block;
use pumphouse_storage::log::Rejection;
use uuid::Uuid;

use super::Shared;
use super::queue::{Entry, Kind};

impl Shared {
    /// Until the queue is closed and empty.
    pub(super) fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            match queue.next() {
                Ok((kind, entries)) => {
                    drop(queue);
                    self.commit_batch(&kind, entries);
                    queue = self.queue.lock();
                    // The next batch of the table may be waiting for this one's end.
                    self.work.notify_all();
                    self.answered.notify_all();
                }
                Err(_) if queue.closed && queue.is_empty() => return,
                Err(Some(due)) => drop(self.work.wait_until(&mut queue, due)),
                Err(None) => self.work.wait(&mut queue),
            }
        }
    }

    fn commit_batch(&self, kind: &Kind, entries: Vec<Entry>) {
        let bytes = entries.iter().map(|e| e.bytes).sum();
        let sequences: Vec<u64> = entries.iter().map(|e| e.sequence).collect();
        let answers: Vec<_> = entries.iter().map(|e| e.answer.clone()).collect();
        let batch = Committing { shared: self, kind, flush_id: Uuid::new_v4().to_string() };
        let work = std::panic::AssertUnwindSafe(|| batch.commit(entries));
        if std::panic::catch_unwind(work).is_err() {
            let message = "The thread that inserted the rows ended by a fault".to_string();
            for answer in answers {
                let mut given = answer.given.lock();
                given.get_or_insert(Err((codes::LOGICAL_ERROR, message.clone())));
                answer.changed.notify_all();
            }
        }
        self.queue.lock().done(kind.definition.uuid, bytes, &sequences);
    }
}

struct Committing<'a> {
    shared: &'a Shared,
    kind: &'a Kind,
    flush_id: String,
}

impl Committing<'_> {
    /// Two inserts of one token are no batch: the second waits for what becomes of the first.
    fn commit(&self, entries: Vec<Entry>) {
        let (first, again) = apart(entries);
        self.commit_distinct(first);
        for entry in again {
            // Its token is in now, unless the first that had it failed.
            self.commit_distinct(vec![entry]);
        }
    }

    fn commit_distinct(&self, mut entries: Vec<Entry>) {
        while !entries.is_empty() {
            match self.try_commit(&entries) {
                Ok(()) => return entries.into_iter().for_each(|e| self.answer(e, Ok(()))),
                Err(Error::Storage(pumphouse_storage::Error::Rejected(
                    Rejection::DuplicateToken(token),
                ))) => {
                    let Some(at) = entries.iter().position(|e| e.token.as_ref() == Some(&token))
                    else {
                        let e = Error::new(codes::LOGICAL_ERROR, "a token of no insert");
                        return entries.into_iter().for_each(|entry| self.fail(entry, &e));
                    };
                    self.answer(entries.remove(at), Ok(()));
                }
                Err(e) if entries.len() == 1 || !may_be_rows(&e) => {
                    return entries.into_iter().for_each(|entry| self.fail(entry, &e));
                }
                Err(_) => {
                    let before = entries.len();
                    entries = self.without_faults(entries);
                    if entries.len() == before {
                        // They pass one by one and fail together.
                        let half = entries.split_off(before / 2);
                        self.commit_distinct(entries);
                        entries = half;
                    }
                }
            }
        }
    }

    /// Tries each alone, without writing it; those that fail get their error.
    fn without_faults(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let context = self.context();
        let mut passed = vec![];
        for entry in entries {
            let tried = self.names().and_then(|(database, name)| {
                self.shared.inserter.try_insert_block(&database, &name, &entry.block, &context)
            });
            match tried {
                Ok(()) => passed.push(entry),
                Err(e) => self.fail(entry, &e),
            }
        }
        passed
    }

    /// What the table is called now: by its name it may be another table by now.
    fn names(&self) -> Result<(String, String)> {
        let definition = &self.kind.definition;
        let state = self.shared.inserter.store().snapshot();
        match state.tables.get(&definition.uuid).filter(|t| !t.detached) {
            Some(t) => Ok((t.definition.database.clone(), t.definition.name.clone())),
            None => Err(Error::new(
                codes::UNKNOWN_TABLE,
                format!("Table {} does not exist", definition.full_name()),
            )),
        }
    }

    fn try_commit(&self, entries: &[Entry]) -> Result<()> {
        let blocks: Vec<Block> = entries.iter().map(|e| e.block.clone()).collect();
        let block = Block::concat(&blocks)?;
        let tokens: Vec<String> = entries.iter().filter_map(|e| e.token.clone()).collect();
        let (database, name) = self.names()?;
        let context = self.context();
        self.shared.inserter.insert_batch(&database, &name, block, &tokens, &context)?;
        Ok(())
    }

    fn context(&self) -> Arc<QueryContext> {
        let of = &self.kind.context;
        let mut context = QueryContext::new(self.flush_id.clone(), self.shared.clock.now_us(), 0);
        context.user = of.user.clone();
        context.database = of.database.clone();
        context.settings = of.settings.clone();
        context.time_zone = of.time_zone;
        let limit = of.settings.u64("max_memory_usage", 0);
        context.memory = MemoryTracker::with_parent(limit, Some(self.shared.memory.clone()));
        Arc::new(context)
    }

    fn fail(&self, entry: Entry, e: &Error) {
        let message = match e {
            Error::Coded { message, .. } => message.clone(),
            other => other.to_string(),
        };
        self.answer(entry, Err((e.code(), message)));
    }

    fn answer(&self, entry: Entry, answer: std::result::Result<(), (u32, String)>) {
        let failure = answer.as_ref().err().map(|(_, message)| message.clone());
        if let Some(message) = &failure {
            tracing::debug!("asynchronous insert {} failed: {message}", entry.query_id);
        }
        let flushed_us = self.shared.clock.now_us();
        self.shared.journal.add(self.kind, &entry, failure, flushed_us, &self.flush_id);
        entry.answer.give(answer);
    }
}

/// The inserts with the first use of each token, and the rest.
fn apart(entries: Vec<Entry>) -> (Vec<Entry>, Vec<Entry>) {
    let mut seen = BTreeSet::new();
    entries.into_iter().partition(|e| match &e.token {
        Some(token) => seen.insert(token.clone()),
        None => true,
    })
}

/// Whether fewer rows may pass where all did not: not if it is the server that cannot.
fn may_be_rows(e: &Error) -> bool {
    !matches!(e, Error::Storage(_))
        && !matches!(
            e.code(),
            codes::NOT_ENOUGH_SPACE
                | codes::TOO_MANY_PARTS
                | codes::UNKNOWN_TABLE
                | codes::ABORTED
                | codes::QUERY_WAS_CANCELLED
        )
}
