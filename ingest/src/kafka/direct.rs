//! SELECT from a Kafka table itself: reads what lies in the topic behind the log's offsets, once.
//!
//! Only for tables without views (their rows are the views'), and without a group: partitions are
//! taken as they are. Offsets move only with `kafka_commit_on_select = 1`, by the same compare-and-swap
//! as everywhere, so that two readers cannot both take a message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_query::catalog::SourceColumn;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::Block;
use pumphouse_storage::log::{Commit, Precondition, StreamPartition, Table};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::engine::KafkaEngine;
use super::plan::TablePlan;
use super::secrets::error_text;
use super::virtual_columns::VirtualBuilder;
use crate::block_builder::{BlockBuilder, BuilderOptions, BuiltBlock};
use crate::insert::{advance, offset_equals};

/// How long a SELECT waits for a first message.
const WAIT_MAX: Duration = Duration::from_secs(5);
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows of one SELECT.
const ROWS_MAX: usize = 65_409;

/// One partition to read: where from (None: the beginning) and to before which offset.
struct Span {
    stored: Option<i64>,
    high: i64,
    next: i64,
}

type Spans = BTreeMap<(Arc<str>, i32), Span>;

impl KafkaEngine {
    /// What waits for the table, as rows of these columns.
    pub fn read_direct(&self, table: &Arc<Table>) -> Result<(Vec<SourceColumn>, Vec<Block>)> {
        match table.definition.engine.as_str() {
            "FileLog" => self.file_logs.read_direct(table),
            _ => self.read_topics(table).map(|(columns, block)| (columns, vec![block])),
        }
    }

    fn read_topics(&self, table: &Arc<Table>) -> Result<(Vec<SourceColumn>, Block)> {
        let plan = self.plan(table)?;
        let built = read(&plan)?;
        if plan.settings.commit_on_select && !built.offsets.is_empty() {
            let uuid = table.definition.uuid;
            let wall_us = plan.clock.now_us();
            let mut commit = Commit::default();
            commit.preconditions.push(Precondition::TableExists { table: uuid });
            for range in &built.offsets {
                commit.preconditions.push(offset_equals(uuid, range));
                commit.edits.push(advance(uuid, range, wall_us));
            }
            plan.store.commit(commit, vec![])?;
        }
        Ok((plan.source_columns.clone(), built.block))
    }
}

fn read(plan: &TablePlan) -> Result<BuiltBlock> {
    let instance = plan.instance_id(0);
    let consumer: BaseConsumer =
        super::client_properties::consumer(&plan.settings, &plan.client_id(0), &instance)
            .create()
            .map_err(failed)?;
    let options = BuilderOptions {
        columns: plan.columns.clone(),
        virtuals: VirtualBuilder::new(plan.virtuals.clone(), &plan.table.definition.name),
        error_mode: plan.settings.error_mode,
        skip_broken_messages: plan.settings.skip_broken_messages,
        skip_bytes: plan.settings.schema_registry_skip_bytes,
        format: plan.settings.format.clone(),
    };
    let mut builder = BlockBuilder::new(plan.reader()?, options);
    let mut spans = spans(plan, &consumer)?;
    let end = Instant::now() + WAIT_MAX;
    let unread = |spans: &Spans| spans.values().any(|s| s.next < s.high);
    while unread(&spans) && builder.rows() < ROWS_MAX && Instant::now() < end {
        let message = match consumer.poll(Duration::from_millis(100)) {
            None if builder.is_empty() => continue,
            // What is left of the span may be markers of transactions.
            None => break,
            Some(message) => message.map_err(failed)?,
        };
        let place = spans
            .iter_mut()
            .find(|((t, p), _)| **t == *message.topic() && *p == message.partition());
        let Some(((topic, _), span)) = place else { continue };
        if message.offset() < span.next {
            continue;
        }
        builder.append(topic, span.stored, &message, plan.clock.monotonic()).map_err(|e| {
            let text = format!(
                "{}: while parsing Kafka message (topic: {topic}, partition: {}, offset: {})",
                e.message,
                message.partition(),
                message.offset()
            );
            Error::new(e.code, text)
        })?;
        span.next = message.offset() + 1;
    }
    builder.take()
}

/// Takes all partitions of the table's topics, from the log's offsets to the present end.
fn spans(plan: &TablePlan, consumer: &BaseConsumer) -> Result<Spans> {
    let mut spans = Spans::new();
    let mut assigned = TopicPartitionList::new();
    for topic in plan.settings.topics.iter().filter(|t| !t.starts_with('^')) {
        let metadata = consumer.fetch_metadata(Some(topic), BROKER_TIMEOUT).map_err(failed)?;
        let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
        let Some(found) = found else {
            return Err(Error::new(codes::ABORTED, format!("topic '{topic}' does not exist")));
        };
        for partition in found.partitions() {
            let kafka_partition = partition.id();
            let key = StreamPartition { topic: topic.clone(), kafka_partition };
            let stored = plan.table.offsets.get(&key).map(|o| o.next);
            let (low, high) = consumer
                .fetch_watermarks(topic, kafka_partition, BROKER_TIMEOUT)
                .map_err(failed)?;
            let next = stored.unwrap_or(low);
            if next < low {
                return Err(Error::new(
                    codes::ABORTED,
                    format!("offsets {next}..{low} of {topic}[{kafka_partition}] are gone"),
                ));
            }
            assigned
                .add_partition_offset(topic, kafka_partition, Offset::Offset(next))
                .map_err(failed)?;
            spans.insert((topic.as_str().into(), kafka_partition), Span { stored, high, next });
        }
    }
    consumer.assign(&assigned).map_err(failed)?;
    Ok(spans)
}

fn failed(e: rdkafka::error::KafkaError) -> Error {
    Error::new(codes::ABORTED, format!("Cannot read from Kafka: {}", error_text(&e)))
}
