//! Where a seek leads: from `TO EARLIEST`, a point in time or named offsets to one offset per
//! partition, as the broker knows them now. Touches nothing; the caller commits the offsets.

use std::time::Duration;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::log::Table;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::settings::KafkaSettings;

/// How long one question to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a seek asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeekTarget {
    Earliest,
    Latest,
    /// The first message of that time or later; the end if there is none.
    TimestampMs(i64),
    /// Topic, partition and offset, each.
    Offsets(Vec<(String, i32, i64)>),
}

/// Reads `topic:0=17, topic:1=5`.
pub fn parse_offsets(text: &str) -> Result<SeekTarget> {
    let mut offsets = vec![];
    for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
        let parsed = item.split_once('=').and_then(|(place, offset)| {
            let (topic, partition) = place.trim().rsplit_once(':')?;
            let partition = partition.trim().parse::<i32>().ok().filter(|p| *p >= 0)?;
            let offset = offset.trim().parse::<i64>().ok().filter(|o| *o >= 0)?;
            Some((topic.trim().to_string(), partition, offset))
        });
        let Some(place) = parsed else {
            return Err(bad(format!("'{item}' is not topic:partition=offset")));
        };
        offsets.push(place);
    }
    if offsets.is_empty() {
        return Err(bad(
            "SYSTEM SEEK … TO OFFSETS needs at least one topic:partition=offset".into()
        ));
    }
    Ok(SeekTarget::Offsets(offsets))
}

/// The next offset of every partition that the seek moves.
pub fn resolve(table: &Table, target: &SeekTarget) -> Result<Vec<(String, i32, i64)>> {
    let definition = &table.definition;
    let mut settings = KafkaSettings::from_settings(&definition.settings)?;
    settings.expand_macros(definition)?;
    let client_id = format!("pumphouse-seek-{}", definition.full_name());
    let consumer: BaseConsumer = super::client_properties::consumer(&settings, &client_id, "seek")
        .create()
        .map_err(|e| failed(&super::secrets::error_text(&e)))?;
    let mut topics: Vec<String> =
        settings.topics.iter().filter(|t| !t.starts_with('^')).cloned().collect();
    // Topics of a pattern: those that were ever consumed.
    for place in table.offsets.keys() {
        if topics.len() < settings.topics.len() + table.offsets.len()
            && settings.topics.iter().any(|t| t.starts_with('^'))
            && !topics.contains(&place.topic)
        {
            topics.push(place.topic.clone());
        }
    }
    if let SeekTarget::Offsets(offsets) = target {
        return named(&consumer, &topics, offsets);
    }
    let mut places = vec![];
    for topic in &topics {
        for partition in partitions(&consumer, topic)? {
            let next = position(&consumer, topic, partition, target)?;
            places.push((topic.clone(), partition, next));
        }
    }
    Ok(places)
}

/// Named offsets must lie in what the broker has: anything else would be a gap, or stand still.
fn named(
    consumer: &BaseConsumer,
    topics: &[String],
    offsets: &[(String, i32, i64)],
) -> Result<Vec<(String, i32, i64)>> {
    for (topic, partition, offset) in offsets {
        if !topics.contains(topic) {
            return Err(bad(format!("'{topic}' is not a topic of the table")));
        }
        let (low, high) = watermarks(consumer, topic, *partition)?;
        if *offset < low || *offset > high {
            return Err(bad(format!(
                "{topic}[{partition}] holds offsets {low} to {high}; {offset} is not among them"
            )));
        }
    }
    Ok(offsets.to_vec())
}

fn position(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    target: &SeekTarget,
) -> Result<i64> {
    let (low, high) = watermarks(consumer, topic, partition)?;
    match target {
        SeekTarget::Earliest => Ok(low),
        SeekTarget::TimestampMs(ms) => Ok(at_time(consumer, topic, partition, *ms)
            .map_err(|e| failed(&e.to_string()))?
            .unwrap_or(high)),
        _ => Ok(high),
    }
}

/// The first offset of that time or later; None if there is none.
pub(super) fn at_time<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    ms: i64,
) -> rdkafka::error::KafkaResult<Option<i64>> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(topic, partition, Offset::Offset(ms))?;
    let found = consumer.offsets_for_times(asked, BROKER_TIMEOUT)?;
    Ok(found.elements().first().and_then(|e| match e.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }))
}

fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> Result<(i64, i64)> {
    consumer
        .fetch_watermarks(topic, partition, BROKER_TIMEOUT)
        .map_err(|e| failed(&format!("{topic}[{partition}]: {e}")))
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let metadata =
        consumer.fetch_metadata(Some(topic), BROKER_TIMEOUT).map_err(|e| failed(&e.to_string()))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
    match found {
        Some(topic) => Ok(topic.partitions().iter().map(|p| p.id()).collect()),
        None => Err(failed(&format!("topic '{topic}' does not exist"))),
    }
}

fn bad(message: String) -> Error {
    Error::new(codes::BAD_ARGUMENTS, message)
}

fn failed(reason: &str) -> Error {
    Error::new(codes::ABORTED, format!("Cannot ask the Kafka broker: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_strictly() {
        let read = parse_offsets("a.b:0=17, c:12 = 5").unwrap();
        assert_eq!(read, SeekTarget::Offsets(vec![("a.b".into(), 0, 17), ("c".into(), 12, 5)]));
        for wrong in ["", "a", "a:0", "a=5", "a:x=5", "a:0=-5"] {
            assert_eq!(parse_offsets(wrong).unwrap_err().code(), codes::BAD_ARGUMENTS, "{wrong}");
        }
    }
}
