//! The parsers of one consumer: its own thread's, and workers on other cores that take batches of messages.
//!
//! A consumer that has much to read hands whole batches out and reads on; the blocks they give stand in the
//! order of their messages, so rows of a partition keep their order whoever parsed them. Where a block goes all
//! its batches are waited for: it is committed whole, with one range per partition. A batch with a message that
//! stops its partition is not undone: all is read again from the log's offsets, on the consumer's own thread.
//! Batches in work are bounded: one for each worker, one more in the queue, one at the consumer itself.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use pumphouse_query::error::Result;
use pumphouse_storage::Block;

use super::consumer::panic_text;
use super::in_flight::test_fault;
use crate::block_builder::{BlockBuilder, BuiltBlock, IncomingMessage};

/// Rows of a batch: enough that handing it over costs nothing, few enough that workers end together.
const BATCH_ROWS: u64 = 16_384;
/// Fewer are parsed at once where they are.
const BATCH_ROWS_MIN: u64 = 2048;
/// Messages of a batch that is parsed where it is, of which nothing is known yet.
const FIRST_BATCH: usize = 1024;
/// A block is so many batches at least.
const BATCHES_PER_BLOCK: u64 = 8;

/// Messages in a row of one partition; `stored` as for [`BlockBuilder::append`].
pub(super) struct Run<M> {
    pub(super) topic: Arc<str>,
    pub(super) kafka_partition: i32,
    pub(super) stored: Option<i64>,
    pub(super) messages: Vec<M>,
}

/// Why a batch gave no block.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A message of it cannot be passed; which one is seen when it is read again.
    Broken,
    Failed(String),
}

/// What was read since the session began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) messages: u64,
    pub(super) rows: u64,
    /// As the builders count them.
    pub(super) bytes: u64,
}

impl Totals {
    fn add(&mut self, more: Totals) {
        self.messages += more.messages;
        self.rows += more.rows;
        self.bytes += more.bytes;
    }
}

struct Batch<M> {
    number: u64,
    runs: Vec<Run<M>>,
    now: Duration,
}

struct Done {
    number: u64,
    parsed: std::result::Result<(BuiltBlock, Totals), Trouble>,
}

/// A batch of the block, in order.
enum Slot {
    /// At a worker; what it may give.
    Away(Totals),
    Here(BuiltBlock, Totals),
}

/// Builds the blocks of one consumer of messages `M`.
pub(super) struct Parsers<M> {
    own: BlockBuilder,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    away: usize,
    /// What the slots hold, or may hold.
    held: Totals,
    /// What was read and is in no builder any more.
    past: Totals,
    began: Option<Duration>,
    workers: Vec<JoinHandle<()>>,
    workers_max: usize,
    /// None once no more are handed out, which ends the workers.
    batches: Option<Sender<Batch<M>>>,
    waiting: Receiver<Batch<M>>,
    results: (Sender<Done>, Receiver<Done>),
}

impl<M: IncomingMessage + Send + 'static> Parsers<M> {
    /// Of `own` and as many workers, which are only made when there is much to read.
    pub(super) fn new(own: BlockBuilder, workers_max: usize) -> Parsers<M> {
        let (batches, waiting) = crossbeam_channel::bounded(1);
        Parsers {
            own,
            slots: VecDeque::new(),
            first: 0,
            away: 0,
            held: Totals::default(),
            past: Totals::default(),
            began: None,
            workers: vec![],
            workers_max,
            batches: Some(batches),
            waiting,
            results: crossbeam_channel::unbounded(),
        }
    }

    /// The builder of the consumer's own thread.
    pub(super) fn own(&mut self) -> &mut BlockBuilder {
        &mut self.own
    }

    pub(super) fn has_workers(&self) -> bool {
        self.workers_max > 0 && !self.own.keeps_messages()
    }

    pub(super) fn keep_messages(&mut self, keep: bool) {
        if self.slots.is_empty() {
            self.own.keep_messages(keep);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.own.is_empty()
    }

    /// Rows of the block; those of batches that are away are estimated.
    pub(super) fn rows(&self) -> usize {
        self.held.rows as usize + self.own.rows()
    }

    /// Bytes held, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.held.bytes as usize + self.own.bytes()
    }

    pub(super) fn messages(&self) -> u64 {
        self.held.messages + self.own.messages()
    }

    pub(super) fn age(&self, now: Duration) -> Option<Duration> {
        self.began.map(|b| now.saturating_sub(b)).or_else(|| self.own.age(now))
    }

    /// What was read so far; batches that are away count when they are back.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = self.past;
        for slot in &self.slots {
            if let Slot::Here(_, of) = slot {
                totals.add(*of);
            }
        }
        totals.add(of(&self.own));
        totals
    }

    /// How many messages are to be taken at once, where the block has room for `rows_left` more rows and may
    /// have `block_bytes`; `beside`: they may be handed out.
    pub(super) fn batch_max(&self, rows_left: usize, block_bytes: usize, beside: bool) -> usize {
        let Totals { messages, rows, bytes } = self.totals();
        if messages == 0 {
            return rows_left.clamp(1, FIRST_BATCH);
        }
        let per_message = |all: u64| (all / messages).max(1);
        let room = rows_left as u64 / per_message(rows);
        let most = match beside {
            true => BATCH_ROWS / per_message(rows),
            false => FIRST_BATCH as u64,
        };
        let light = block_bytes as u64 / BATCHES_PER_BLOCK / per_message(bytes);
        room.min(most).min(light).max(1) as usize
    }

    /// Whether `messages` are worth a worker's while.
    pub(super) fn is_worth_handing_out(&self, messages: usize) -> bool {
        let Totals { messages: all, rows, .. } = self.totals();
        all > 0 && messages as u64 * rows / all >= BATCH_ROWS_MIN
    }

    /// Has a batch parsed, by a worker (with a builder that `make` gives) or, when all are busy, at once.
    pub(super) fn hand_out(
        &mut self,
        runs: Vec<Run<M>>,
        now: Duration,
        make: impl Fn() -> std::result::Result<BlockBuilder, String>,
    ) -> std::result::Result<(), Trouble> {
        self.began = self.began.or_else(|| self.own.age(now).map(|age| now.saturating_sub(age)));
        self.began.get_or_insert(now);
        self.close_own()?;
        while self.workers.len() < self.workers_max {
            self.hire(make().map_err(Trouble::Failed)?)?;
        }
        let number = self.first + self.slots.len() as u64;
        let batch = Batch { number, runs, now };
        let guess = self.guess(batch.runs.iter().map(|r| r.messages.len() as u64).sum());
        match self.batches.as_ref().map(|to| to.try_send(batch)) {
            Some(Ok(())) => {
                self.away += 1;
                self.held.add(guess);
                self.slots.push_back(Slot::Away(guess));
                Ok(())
            }
            Some(Err(TrySendError::Full(batch))) => {
                let (built, totals) = parse(&mut self.own, batch.runs, now)?;
                self.held.add(totals);
                self.slots.push_back(Slot::Here(built, totals));
                Ok(())
            }
            _ => Err(Trouble::Failed("the parsers have ended".into())),
        }
    }

    /// What the own builder holds becomes a slot: what follows comes behind it.
    fn close_own(&mut self) -> std::result::Result<(), Trouble> {
        if self.own.is_empty() {
            return Ok(());
        }
        let totals = of(&self.own);
        let built = self.own.take().map_err(|e| Trouble::Failed(e.to_string()))?;
        self.held.add(totals);
        self.slots.push_back(Slot::Here(built, totals));
        Ok(())
    }

    fn guess(&self, messages: u64) -> Totals {
        let Totals { messages: all, rows, bytes } = self.totals();
        let all = all.max(1);
        Totals { messages, rows: messages * rows / all, bytes: messages * bytes / all }
    }

    fn hire(&mut self, builder: BlockBuilder) -> std::result::Result<(), Trouble> {
        let (batches, results) = (self.waiting.clone(), self.results.0.clone());
        let thread = std::thread::Builder::new()
            .name("kafka-parse".to_string())
            .spawn(move || work(builder, &batches, &results));
        let thread = thread.map_err(|e| Trouble::Failed(format!("cannot start a thread: {e}")))?;
        self.workers.push(thread);
        Ok(())
    }

    /// Takes in what workers have done; `all`: and waits for what is still away.
    pub(super) fn collect(&mut self, all: bool) -> std::result::Result<(), Trouble> {
        while self.away > 0 {
            let Done { number, parsed } = match all {
                true => self.results.1.recv().map_err(|e| Trouble::Failed(e.to_string()))?,
                false => match self.results.1.try_recv() {
                    Ok(done) => done,
                    Err(_) => return Ok(()),
                },
            };
            self.away -= 1;
            let (built, totals) = parsed?;
            let at = (number - self.first) as usize;
            let Some(Slot::Away(guess)) = self.slots.get(at) else { continue };
            self.held.messages = self.held.messages - guess.messages + totals.messages;
            self.held.rows = self.held.rows - guess.rows + totals.rows;
            self.held.bytes = self.held.bytes - guess.bytes + totals.bytes;
            self.slots[at] = Slot::Here(built, totals);
        }
        Ok(())
    }

    /// Takes the block out and starts the next: the blocks of its batches, and the last with what all of them
    /// consumed.
    pub(super) fn take(&mut self) -> std::result::Result<(Vec<Block>, BuiltBlock), Trouble> {
        self.collect(true)?;
        self.past.add(of(&self.own));
        let mut last = self.own.take().map_err(|e| Trouble::Failed(e.to_string()))?;
        let mut before = vec![];
        let mut all: Option<BuiltBlock> = None;
        self.first += self.slots.len() as u64;
        for slot in self.slots.drain(..) {
            let Slot::Here(built, totals) = slot else { continue };
            self.past.add(totals);
            match &mut all {
                None => all = Some(built),
                Some(all) => before.push(all.follow(built)),
            }
        }
        if let Some(mut all) = all {
            before.push(all.follow(last));
            last = all;
        }
        (self.held, self.began) = (Totals::default(), None);
        Ok((before, last))
    }

    /// Throws away what was gathered.
    pub(super) fn clear(&mut self) -> Result<()> {
        while self.away > 0 {
            // Whatever it is, it is void.
            let _ = self.collect(true);
        }
        self.past = self.totals();
        self.first += self.slots.len() as u64;
        self.slots.clear();
        (self.held, self.began) = (Totals::default(), None);
        self.own.clear()
    }
}

impl<M> Drop for Parsers<M> {
    /// No message outlives the client that it came from.
    fn drop(&mut self) {
        self.batches = None;
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn of(builder: &BlockBuilder) -> Totals {
    Totals {
        messages: builder.messages(),
        rows: builder.rows() as u64,
        bytes: builder.bytes() as u64,
    }
}

/// A worker's life.
fn work<M: IncomingMessage>(
    mut builder: BlockBuilder,
    batches: &Receiver<Batch<M>>,
    results: &Sender<Done>,
) {
    for Batch { number, runs, now } in batches {
        let parsed = catch_unwind(AssertUnwindSafe(|| parse(&mut builder, runs, now)));
        let panicked = parsed.is_err();
        let parsed = parsed.unwrap_or_else(|panic| {
            Err(Trouble::Failed(format!("a parser panicked: {}", panic_text(&panic))))
        });
        if results.send(Done { number, parsed }).is_err() || panicked {
            return;
        }
    }
}

fn parse<M: IncomingMessage>(
    builder: &mut BlockBuilder,
    runs: Vec<Run<M>>,
    now: Duration,
) -> std::result::Result<(BuiltBlock, Totals), Trouble> {
    for run in &runs {
        for message in &run.messages {
            test_fault(message.payload());
            if builder.append(&run.topic, run.stored, message, now).is_err() {
                builder.clear().map_err(|e| Trouble::Failed(e.to_string()))?;
                return Err(Trouble::Broken);
            }
        }
    }
    let totals = of(builder);
    let built = builder.take().map_err(|e| Trouble::Failed(e.to_string()))?;
    Ok((built, totals))
}

#[cfg(test)]
mod tests {
    use pumphouse_query::context::Settings;
    use pumphouse_storage::types::TimeZone;
    use pumphouse_storage::{DataType, Value};

    use super::*;
    use crate::block_builder::BuilderOptions;
    use crate::format::{self, FormatOptions, InputColumn};
    use crate::kafka::settings::ErrorMode;
    use crate::kafka::virtual_columns::VirtualBuilder;

    /// A message of partition and offset; counted while it lives.
    struct Sent(i32, i64, Vec<u8>, #[allow(dead_code)] Arc<()>);

    impl IncomingMessage for Sent {
        fn kafka_partition(&self) -> i32 {
            self.0
        }
        fn kafka_offset(&self) -> i64 {
            self.1
        }
        fn payload(&self) -> Option<&[u8]> {
            Some(&self.2)
        }
        fn key(&self) -> Option<&[u8]> {
            None
        }
        fn timestamp_ms(&self) -> Option<i64> {
            None
        }
        fn each_header(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}
    }

    fn builder(error_mode: ErrorMode) -> BlockBuilder {
        let columns = vec![("n".to_string(), DataType::UInt64)];
        let wanted = [InputColumn { name: "n".into(), data_type: DataType::UInt64 }];
        let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
        let options_of_builder = BuilderOptions {
            columns,
            virtuals: VirtualBuilder::new(vec![], "t"),
            error_mode,
            skip_broken_messages: 0,
            skip_bytes: 0,
            format: "JSONEachRow".into(),
        };
        let reader = format::reader("JSONEachRow", &wanted, &options).unwrap();
        BlockBuilder::new(reader, options_of_builder)
    }

    struct Stream {
        topic: Arc<str>,
        next: [i64; 2],
        sent: u64,
        alive: Arc<()>,
    }

    impl Stream {
        fn new() -> Stream {
            Stream { topic: "t".into(), next: [7, 0], sent: 0, alive: Arc::default() }
        }

        fn run(&mut self, partition: i32, messages: usize) -> Run<Sent> {
            let next = &mut self.next[partition as usize];
            let messages = (0..messages).map(|_| {
                let text = format!("{{\"n\":{}}}", self.sent).into_bytes();
                self.sent += 1;
                *next += 1;
                Sent(partition, *next - 1, text, self.alive.clone())
            });
            let stored = (partition == 0).then_some(7);
            let messages = messages.collect();
            Run { topic: self.topic.clone(), kafka_partition: partition, stored, messages }
        }
    }

    fn values(blocks: &[Block], last: &Block) -> Vec<u64> {
        let all = blocks.iter().chain([last]).flat_map(|b| {
            (0..b.rows()).map(|row| match b.column("n").unwrap().value(row) {
                Value::UInt(n) => n,
                other => panic!("{other:?}"),
            })
        });
        all.collect()
    }

    #[test]
    fn blocks_stand_in_the_order_of_their_messages() {
        let (mut stream, now) = (Stream::new(), Duration::from_secs(3));
        let mut parsers = Parsers::new(builder(ErrorMode::Default), 3);
        for round in 0..3 {
            for i in 0..40 {
                let runs = vec![stream.run(i % 2, 50), stream.run(1, 10 + i as usize)];
                parsers.hand_out(runs, now, || Ok(builder(ErrorMode::Default))).unwrap();
                if i % 7 == 0 {
                    let run = stream.run(0, 1);
                    let message = &run.messages[0];
                    parsers.own().append(&run.topic, run.stored, message, now).unwrap();
                }
                parsers.collect(false).unwrap();
            }
            assert_eq!(parsers.age(now + Duration::from_secs(2)), Some(Duration::from_secs(2)));
            let sent_before = round * 3186;
            let (before, last) = parsers.take().unwrap();
            let expected: Vec<u64> = (sent_before..stream.sent).collect();
            assert_eq!(values(&before, &last.block), expected);
            let mut ranges: Vec<_> =
                last.offsets.iter().map(|r| (r.kafka_partition, r.expected, r.next)).collect();
            ranges.sort();
            assert_eq!(ranges, [(0, Some(7), stream.next[0]), (1, None, stream.next[1])]);
            assert_eq!(last.messages, stream.sent - sent_before);
            assert_eq!(parsers.totals().rows, stream.sent);
            assert!(parsers.is_empty() && parsers.rows() == 0 && parsers.age(now).is_none());
        }
        drop(parsers);
        assert_eq!(Arc::strong_count(&stream.alive), 1, "a message outlives its parser");
    }

    #[test]
    fn what_cannot_be_passed_is_told_and_thrown_away() {
        let (mut stream, now) = (Stream::new(), Duration::ZERO);
        let mut parsers = Parsers::new(builder(ErrorMode::Default), 2);
        let mut hand_out = |parsers: &mut Parsers<Sent>, broken: bool| {
            let mut run = stream.run(0, 500);
            if broken {
                run.messages[250].2 = b"{\"n\":x}".to_vec();
            }
            parsers.hand_out(vec![run], now, || Ok(builder(ErrorMode::Default)))
        };
        hand_out(&mut parsers, false).unwrap();
        let told = hand_out(&mut parsers, true);
        let told = told.and_then(|()| parsers.collect(true));
        assert!(matches!(told, Err(Trouble::Broken)));
        parsers.clear().unwrap();
        assert!(parsers.is_empty());
        hand_out(&mut parsers, false).unwrap();
        let (before, last) = parsers.take().unwrap();
        assert_eq!(values(&before, &last.block).len(), 500);

        let mut letters = Parsers::new(builder(ErrorMode::DeadLetter), 2);
        for broken in [false, true, false] {
            let mut run = stream.run(0, 10);
            if broken {
                run.messages[3].2 = b"{\"n\":x}".to_vec();
            }
            letters.hand_out(vec![run], now, || Ok(builder(ErrorMode::DeadLetter))).unwrap();
        }
        let (before, last) = letters.take().unwrap();
        assert_eq!((values(&before, &last.block).len(), last.letters.len()), (29, 1));
    }

    #[test]
    fn batches_are_as_large_as_their_rows_allow() {
        let mut parsers: Parsers<Sent> = Parsers::new(builder(ErrorMode::Default), 1);
        assert_eq!(parsers.batch_max(1_000_000, 64 << 20, true), FIRST_BATCH);
        parsers.past = Totals { messages: 100, rows: 100, bytes: 800 };
        assert_eq!(parsers.batch_max(1_000_000, 64 << 20, true), 16_384);
        assert_eq!(parsers.batch_max(1_000_000, 64 << 20, false), FIRST_BATCH);
        assert_eq!(parsers.batch_max(300, 64 << 20, true), 300);
        parsers.past = Totals { messages: 100, rows: 100_000, bytes: 80_000_000 };
        assert_eq!(parsers.batch_max(1_000_000, 64 << 20, true), 10);
        assert!(parsers.is_worth_handing_out(3) && !parsers.is_worth_handing_out(2));
        assert_eq!(parsers.batch_max(0, 64 << 20, true), 1);
    }
}
