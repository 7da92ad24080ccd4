//! POPULATE of a view on a Kafka table: what the topic holds below the point at which the view came in.
//!
//! The commit that creates the view fixes, per partition, where the stream stood (compare-and-swap on
//! its offsets): messages from there on reach the view with the stream's own blocks, those below with
//! this thread's. Its positions are offsets of the view's own and move in the commits of its rows, so
//! every offset is seen by the view exactly once, through kills as well. Messages that cannot be parsed
//! hold it up in the mode `default`; in the others they are left out, since the stream has set them aside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::{
    Commit, Edit, Precondition, State, StreamPartition, Table, TableDefinition,
};
use pumphouse_storage::{Block, Store};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use super::backoff::{Backoff, Signal};
use super::insert_step::{StreamSink, background_context, room};
use super::plan::TablePlan;
use super::secrets::error_text;
use super::virtual_columns::{self, VirtualBuilder};
use crate::block_builder::{BlockBuilder, BuilderOptions, OffsetRange};
use crate::insert::{StreamError, StreamInput, offset_equals};

/// Where a view's definition keeps what it is to be filled with.
pub const RANGES: &str = "populate_ranges";
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a view is to be filled with of one partition: `from` to before `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRange {
    pub topic: String,
    pub kafka_partition: i32,
    pub from: i64,
    pub to: i64,
}

/// As the definition keeps them.
pub fn ranges_text(ranges: &[ReplayRange]) -> String {
    // Names of files may have what stands between ranges here.
    let name = |r: &ReplayRange| r.topic.replace('%', "%25").replace(',', "%2C");
    let texts =
        ranges.iter().map(|r| format!("{}:{}={}..{}", name(r), r.kafka_partition, r.from, r.to));
    texts.collect::<Vec<_>>().join(", ")
}

/// The ranges of a definition; none if it is not to be filled.
pub fn ranges_of(definition: &TableDefinition) -> Vec<ReplayRange> {
    let text = definition.settings.get(RANGES).map(String::as_str).unwrap_or_default();
    let read = |item: &str| {
        let (place, span) = item.trim().rsplit_once('=')?;
        let (topic, partition) = place.rsplit_once(':')?;
        let (from, to) = span.split_once("..")?;
        Some(ReplayRange {
            topic: topic.replace("%2C", ",").replace("%25", "%"),
            kafka_partition: partition.parse().ok()?,
            from: from.parse().ok()?,
            to: to.parse().ok()?,
        })
    };
    text.split(", ").filter_map(read).collect()
}

/// The ranges that are not done yet, from where they stand.
pub(crate) fn left(view: &Table) -> Vec<ReplayRange> {
    let mut ranges = ranges_of(&view.definition);
    for range in &mut ranges {
        let key =
            StreamPartition { topic: range.topic.clone(), kafka_partition: range.kafka_partition };
        if let Some(stored) = view.offsets.get(&key) {
            range.from = stored.next;
        }
    }
    ranges.retain(|r| r.from < r.to);
    ranges
}

/// Views on streams of that engine that are to be filled, with their streams.
pub(crate) fn wanted(
    state: &State,
    engine: &str,
) -> BTreeMap<uuid::Uuid, (Arc<Table>, Arc<Table>)> {
    let mut found = BTreeMap::new();
    for (uuid, view) in &state.tables {
        if view.detached || !view.definition.settings.contains_key(RANGES) {
            continue;
        }
        let Some((database, name)) = &view.definition.source else { continue };
        let Some(stream) = state.table(database, name) else { continue };
        if stream.definition.engine == engine && !stream.paused && !left(view).is_empty() {
            found.insert(*uuid, (stream.clone(), view.clone()));
        }
    }
    found
}

/// Runs sessions of the filling of `view` until one says that all is in, or the signal says stop. Those that fail are
/// begun anew, later and later, and told of where the reason is a new one.
pub(crate) fn fill(
    view: &Table,
    signal: &Signal,
    first_delay: Duration,
    tell: impl Fn(&'static str, &str),
    session: impl Fn() -> Result<bool>,
) {
    tell("populate", &format!("begins: {}", ranges_text(&left(view))));
    let mut backoff = Backoff::new(first_delay);
    let mut last_error = String::new();
    while !signal.stopped() {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&session));
        let error = match outcome {
            Ok(Ok(true)) => {
                return tell("populate", "done: the view holds all that came before it");
            }
            Ok(Ok(false)) => continue,
            Ok(Err(e)) => e.to_string(),
            Err(panic) => super::consumer::panic_text(&panic),
        };
        if error != last_error {
            tell("failed", &format!("populate waits: {error}"));
            last_error = error;
        }
        signal.wait(backoff.next());
    }
}

/// Fills one view.
pub(super) struct Replay {
    pub(super) plan: TablePlan,
    pub(super) view: Arc<Table>,
    pub(super) sink: Arc<dyn StreamSink>,
    pub(super) signal: Arc<Signal>,
}

/// One partition on its way.
struct Span {
    /// What the log holds when all blocks before this one are in.
    stored: i64,
    next: i64,
    to: i64,
}

type Spans = BTreeMap<(Arc<str>, i32), Span>;

impl Replay {
    /// Runs until all is in or the signal says stop.
    pub(super) fn run(self) {
        let first_delay = self.plan.settings.consumer_reschedule;
        let tell = |kind, text: &str| self.event(kind, text);
        fill(&self.view, &self.signal, first_delay, tell, || self.session());
    }

    fn view_now(&self) -> Option<Arc<Table>> {
        let state = self.plan.store.snapshot();
        state.tables.get(&self.view.definition.uuid).cloned()
    }

    /// One life of a client, over one topic; true when all is in.
    fn session(&self) -> Result<bool> {
        let Some(view) = self.view_now() else { return Ok(true) };
        let mut ranges = left(&view);
        let Some(topic) = ranges.first().map(|r| r.topic.clone()) else { return Ok(true) };
        ranges.retain(|r| r.topic == topic);
        let settings = &self.plan.settings;
        let client_id = format!("{}-populate", self.plan.client_id(0));
        let instance = format!("{}-{}", self.plan.config.instance, view.definition.uuid);
        let mut config = super::client_properties::consumer(settings, &client_id, &instance);
        config.set("enable.partition.eof", "true");
        config.set("statistics.interval.ms", "0");
        config.remove("group.instance.id");
        let consumer: BaseConsumer = config.create().map_err(failed)?;
        let mut spans = Spans::new();
        let mut assigned = TopicPartitionList::new();
        for r in &ranges {
            let start = Offset::Offset(r.from);
            assigned.add_partition_offset(&r.topic, r.kafka_partition, start).map_err(failed)?;
            let span = Span { stored: r.from, next: r.from, to: r.to };
            spans.insert((r.topic.as_str().into(), r.kafka_partition), span);
        }
        consumer.assign(&assigned).map_err(failed)?;
        let text = view.definition.select.as_deref();
        let virtuals = virtual_columns::used_by(&self.plan.virtuals, text.into_iter());
        let options = BuilderOptions {
            columns: self.plan.columns.clone(),
            virtuals: VirtualBuilder::new(virtuals, &self.plan.table.definition.name),
            error_mode: settings.error_mode,
            skip_broken_messages: settings.skip_broken_messages,
            skip_bytes: settings.schema_registry_skip_bytes,
            format: settings.format.clone(),
        };
        let mut builder = BlockBuilder::new(self.plan.reader()?, options);
        let mut began = Instant::now();
        while !self.signal.stopped() {
            let broken = self.poll(&consumer, &mut spans, &mut builder)?;
            let limits = &self.plan.limits;
            let full = builder.rows() >= limits.rows || builder.bytes() >= limits.bytes;
            let done = spans.values().all(|s| s.next >= s.to);
            if broken.is_some() || full || done || began.elapsed() >= limits.age {
                if !self.commit(&mut spans, &mut builder)? {
                    return Ok(false);
                }
                began = Instant::now();
            }
            if let Some(error) = broken {
                return Err(error);
            }
            if done {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Takes a message; an error is that of a message that cannot be passed.
    fn poll(
        &self,
        consumer: &BaseConsumer,
        spans: &mut Spans,
        builder: &mut BlockBuilder,
    ) -> Result<Option<Error>> {
        let message = match consumer.poll(Duration::from_millis(100)) {
            None => return Ok(None),
            Some(Ok(message)) => message,
            // All that is committed was given, and the stream had been there before: what is left of
            // the range are markers of transactions. One topic at a time, so the number says which.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                for (_, span) in spans.iter_mut().filter(|((_, p), _)| *p == partition) {
                    span.next = span.next.max(span.to);
                }
                return Ok(None);
            }
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => {
                self.skip_gone(consumer, spans)?;
                return Err(Error::new(codes::ABORTED, "messages are gone from the broker"));
            }
            Some(Err(e)) => return Err(failed(e)),
        };
        let place = spans
            .iter_mut()
            .find(|((t, p), _)| **t == *message.topic() && *p == message.partition());
        let Some(((topic, partition), span)) = place else { return Ok(None) };
        if message.offset() >= span.to {
            span.next = span.next.max(span.to);
            let mut done = TopicPartitionList::new();
            done.add_partition(topic, *partition);
            consumer.pause(&done).map_err(failed)?;
            return Ok(None);
        }
        if message.offset() < span.next {
            return Ok(None);
        }
        let now = self.plan.clock.monotonic();
        if let Err(e) = builder.append(topic, Some(span.stored), &message, now) {
            let text = format!(
                "{}: while parsing Kafka message (topic: {topic}, partition: {partition}, offset: {})",
                e.message,
                message.offset()
            );
            return Ok(Some(Error::new(e.code, text)));
        }
        span.next = message.offset() + 1;
        Ok(None)
    }

    /// Commits the block and the positions; false: they were moved by somebody else.
    fn commit(&self, spans: &mut Spans, builder: &mut BlockBuilder) -> Result<bool> {
        let built = builder.take()?;
        let offsets: Vec<OffsetRange> = spans
            .iter()
            .filter(|(_, span)| span.next > span.stored)
            .map(|((topic, partition), span)| OffsetRange {
                topic: topic.clone(),
                kafka_partition: *partition,
                expected: Some(span.stored),
                next: span.next,
                messages: 0,
            })
            .collect();
        if offsets.is_empty() {
            return Ok(true);
        }
        room(&self.plan.store, &self.plan.table.definition, &self.signal)?;
        let blocks: Vec<Block> =
            (!built.block.is_empty()).then_some(built.block).into_iter().collect();
        let input = StreamInput {
            columns: &self.plan.source_columns,
            blocks: &blocks,
            offsets: &offsets,
            letters: None,
            edits: &[],
        };
        let (definition, config) = (&self.view.definition, &self.plan.config);
        let ctx = background_context(
            &format!("populate:{}", definition.full_name()),
            &definition.database,
            self.plan.clock.now_us(),
            &config.settings,
            config.time_zone,
            config.memory.as_ref(),
        );
        match self.sink.insert_into_view(&self.plan.table, definition.uuid, &input, &ctx) {
            Ok(_) => {}
            Err(StreamError::Failed(e)) => return Err(e),
            Err(_) => {
                self.signal.wait(Duration::from_millis(100));
                return Ok(false);
            }
        }
        for span in spans.values_mut() {
            span.stored = span.next;
        }
        Ok(true)
    }

    /// Retention has passed a position: the gap is recorded, the rest is read.
    fn skip_gone(&self, consumer: &BaseConsumer, spans: &Spans) -> Result<()> {
        let table = self.view.definition.uuid;
        for ((topic, partition), span) in spans {
            let (low, _) =
                consumer.fetch_watermarks(topic, *partition, BROKER_TIMEOUT).map_err(failed)?;
            let to = low.min(span.to);
            if span.stored >= to {
                continue;
            }
            let range = OffsetRange {
                topic: topic.clone(),
                kafka_partition: *partition,
                expected: Some(span.stored),
                next: to,
                messages: 0,
            };
            let reason = "gone from the broker (retention) before the view was filled with them";
            let commit = Commit {
                preconditions: vec![
                    Precondition::TableExists { table },
                    offset_equals(table, &range),
                ],
                edits: vec![
                    Edit::Gap {
                        table,
                        topic: topic.to_string(),
                        kafka_partition: *partition,
                        from: span.stored,
                        to,
                        reason: reason.into(),
                    },
                    crate::insert::advance(table, &range, self.plan.clock.now_us()),
                ],
            };
            self.plan.store.commit(commit, vec![])?;
            self.event(
                "gap",
                &format!("offsets {}..{to} of {topic}[{partition}] are {reason}", span.stored),
            );
        }
        Ok(())
    }

    fn event(&self, kind: &'static str, text: &str) {
        let definition = &self.view.definition;
        self.plan.config.events.tell(self.plan.clock.now_us(), definition, kind, text);
    }
}

/// Adds to the commit that creates `view` what its filling rests on: where the stream stands at this
/// very commit, and the view's own positions. `starts` are the first offsets wanted.
pub fn add_populate(
    store: &Store,
    stream: &Table,
    view: &mut TableDefinition,
    starts: &[(String, i32, i64)],
    has_other_views: bool,
    commit: &mut Commit,
) -> Result<()> {
    let (table, wall_us) = (stream.definition.uuid, store.clock().now_us());
    let mut ranges = vec![];
    for (topic, kafka_partition, from) in starts {
        let (topic, kafka_partition, from) = (topic.clone(), *kafka_partition, *from);
        let key = StreamPartition { topic: topic.clone(), kafka_partition };
        let stored = stream.offsets.get(&key).map(|o| o.next);
        commit.preconditions.push(Precondition::OffsetEquals {
            table,
            topic: topic.clone(),
            kafka_partition,
            expected: stored,
        });
        match stored {
            Some(to) if from < to => {
                let next = from;
                ranges.push(ReplayRange { topic: topic.clone(), kafka_partition, from, to });
                let table = view.uuid;
                commit.edits.push(Edit::AdvanceOffset {
                    table,
                    topic,
                    kafka_partition,
                    next,
                    wall_us,
                });
            }
            Some(_) => {}
            None if has_other_views => {
                return Err(Error::new(
                    codes::ABORTED,
                    format!(
                        "{topic}[{kafka_partition}] has not been consumed yet, so that it is not \
                         known where the other views begin in it; try again in a moment"
                    ),
                ));
            }
            // Nothing was consumed: the stream itself begins where the view is to begin.
            None => commit.edits.push(Edit::AdvanceOffset {
                table,
                topic,
                kafka_partition,
                next: from,
                wall_us,
            }),
        }
    }
    if !ranges.is_empty() {
        view.settings.insert(RANGES.into(), ranges_text(&ranges));
    }
    Ok(())
}

fn failed(e: KafkaError) -> Error {
    Error::new(codes::ABORTED, format!("Cannot read from Kafka: {}", error_text(&e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_read_back() {
        let ranges = vec![
            ReplayRange { topic: "a.b=c:d".into(), kafka_partition: 0, from: 5, to: 17 },
            ReplayRange { topic: "t".into(), kafka_partition: 12, from: 0, to: 1 },
            ReplayRange {
                topic: "100%, =0..1, a:0.csv".into(),
                kafka_partition: 0,
                from: 0,
                to: 9,
            },
        ];
        let mut definition = crate::kafka::dead_letters::definition().unwrap();
        assert!(ranges_of(&definition).is_empty());
        definition.settings.insert(RANGES.into(), ranges_text(&ranges));
        assert_eq!(ranges_of(&definition), ranges);
    }
}
