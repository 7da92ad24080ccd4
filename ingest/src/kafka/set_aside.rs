//! What the insert step does when a view fails: find the message that is to blame, set it aside, go on.
//!
//! First the consumer is asked to read the block again with its messages kept, in small blocks. Then
//! the block is bisected. In mode `default` what comes before the message is committed and the table
//! waits there, visibly; in the other modes the message becomes a dead letter of the same commit.

use std::sync::atomic::Ordering;

use pumphouse_query::error::{Error, codes};
use pumphouse_storage::Block;

use super::consumer::panic_text;
use super::dead_letters::DeadLetter;
use super::insert_step::{Chunk, InsertStep};
use super::narrow::{self, Narrowed};
use super::settings::ErrorMode;
use crate::block_builder::OffsetRange;
use crate::insert::StreamError;

/// Blocks that a consumer builds with its messages kept after a view failed.
pub(super) const CAREFUL_BLOCKS: usize = 4;

/// What comes after a failure.
pub(super) enum Next {
    /// The chunks were changed, or are void: go round again at once.
    Again,
    /// Wait; with what is known of the message that is to blame.
    Wait(String),
}

impl InsertStep {
    /// Looks for the messages that make the views fail with `e`.
    pub(super) fn set_aside(&self, chunks: &mut [Chunk], e: &Error) -> Next {
        if narrow::is_surroundings(e) {
            return Next::Wait(e.to_string());
        }
        let careless = chunks.iter().any(|c| c.built.kept.is_empty() && c.rows() > 0);
        if careless {
            for chunk in chunks.iter() {
                chunk.shared.careful.store(CAREFUL_BLOCKS, Ordering::Relaxed);
                chunk.shared.invalidate();
            }
            return Next::Again;
        }
        let mut next = Next::Wait(e.to_string());
        for chunk in chunks.iter_mut() {
            let found = match self.narrow(&chunk.built.block, chunk) {
                Narrowed::Bad(bad) => self.take_out(chunk, bad),
                Narrowed::Surroundings(e) => Next::Wait(e.to_string()),
                Narrowed::Nobody => continue,
            };
            match (found, &next) {
                (Next::Wait(_), Next::Again) => {}
                (found, _) => next = found,
            }
        }
        next
    }

    fn narrow(&self, block: &Block, chunk: &Chunk) -> Narrowed {
        let rows: Vec<_> = chunk.built.kept.iter().map(|k| k.rows.clone()).collect();
        let ctx = self.context();
        let mut trial = |rows: &Block| {
            let plan = &self.plan;
            let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.sink.try_views(&plan.table, &plan.source_columns, rows, &ctx)
            }));
            match tried {
                Ok(Ok(())) => Ok(()),
                Ok(Err(StreamError::Failed(e))) => Err(e),
                Ok(Err(other)) => Err(Error::new(codes::ABORTED, other.to_string())),
                Err(panic) => {
                    let text = format!("the view panicked: {}", panic_text(&panic));
                    Err(Error::new(codes::LOGICAL_ERROR, text))
                }
            }
        };
        narrow::narrow(block, &rows, &mut trial)
    }

    /// Takes the bad messages out of the chunk, as the mode says.
    fn take_out(&self, chunk: &mut Chunk, bad: Vec<(usize, Error)>) -> Next {
        let Some((first, e)) = bad.first() else { return Next::Again };
        let letter = &chunk.built.kept[*first].letter;
        let reason = format!(
            "Error while processing Kafka message (topic: {}, partition: {}, offset: {}): {e}",
            letter.topic, letter.kafka_partition, letter.kafka_offset
        );
        let at = (&*letter.topic, letter.kafka_partition, letter.kafka_offset);
        if self.plan.settings.error_mode != ErrorMode::Default {
            chunk.shared.event(self.plan.clock.now_us(), "dead letter", at, &reason);
            bury(chunk, bad);
            return Next::Again;
        }
        chunk.shared.event(self.plan.clock.now_us(), "bad message", at, &reason);
        if cut_before(chunk, &bad) { Next::Again } else { Next::Wait(reason) }
    }
}

/// The bad messages become dead letters, their rows go.
fn bury(chunk: &mut Chunk, bad: Vec<(usize, Error)>) {
    let built = &mut chunk.built;
    for (i, e) in bad {
        let mut letter = built.kept[i].letter.clone();
        letter.error = e.to_string();
        letter.view = view_of(&letter.error).to_string();
        built.letters.push(letter);
        built.kept[i].rows = 0..0;
    }
    keep_rows(chunk);
}

/// The view that an error says it arose in.
fn view_of(error: &str) -> &str {
    let name = error.rsplit_once("while pushing to view ").map(|(_, name)| name);
    name.unwrap_or_default().trim_end_matches(')')
}

/// Leaves what comes before the first bad message of each partition. False, and nothing changed, if
/// that is nothing: then the table waits at the bad one for somebody to look at it.
fn cut_before(chunk: &mut Chunk, bad: &[(usize, Error)]) -> bool {
    let built = &mut chunk.built;
    let mut offsets = built.offsets.clone();
    for range in &mut offsets {
        let first = bad
            .iter()
            .map(|(i, _)| &built.kept[*i].letter)
            .filter(|l| l.topic == range.topic && l.kafka_partition == range.kafka_partition)
            .map(|l| l.kafka_offset)
            .min();
        if let Some(first) = first {
            range.next = range.next.min(first);
        }
    }
    // A partition without a stored offset begins wherever its first message is.
    let begins = |range: &OffsetRange| {
        let own =
            |l: &&DeadLetter| l.topic == range.topic && l.kafka_partition == range.kafka_partition;
        let first = built.kept.iter().map(|k| &k.letter).find(own).map(|l| l.kafka_offset);
        range.expected.or(first).unwrap_or(i64::MIN)
    };
    offsets.retain(|range| range.next > begins(range));
    if offsets.is_empty() {
        return false;
    }
    let stays = |l: &DeadLetter| {
        offsets.iter().any(|r| {
            l.topic == r.topic && l.kafka_partition == r.kafka_partition && l.kafka_offset < r.next
        })
    };
    for message in built.kept.iter_mut().filter(|k| !stays(&k.letter)) {
        message.rows = 0..0;
    }
    built.letters.retain(stays);
    built.offsets = offsets;
    chunk.cut = true;
    keep_rows(chunk);
    true
}

/// Makes the block of the rows that are still some message's.
fn keep_rows(chunk: &mut Chunk) {
    let built = &mut chunk.built;
    let mut order: Vec<usize> = (0..built.kept.len()).collect();
    order.sort_by_key(|i| built.kept[*i].rows.start);
    let ranges: Vec<_> = order.iter().map(|i| built.kept[*i].rows.clone()).collect();
    if let Ok(block) = narrow::rows_of(&built.block, ranges.into_iter()) {
        built.block = block;
    }
    let mut at = 0;
    for i in order {
        let rows = built.kept[i].rows.len();
        built.kept[i].rows = at..at + rows;
        at += rows;
    }
}
