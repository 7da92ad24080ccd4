//! What happened to streams: assigned, revoked, fenced, paused, gaps, seeks, bad messages. Rows of
//! `system.kafka_events`, and one log line each.
//!
//! A ring in memory: the newest [`EVENTS_MAX`] since the server started. What must outlive a restart
//! (offsets, gaps, pauses, dead letters) is in the log; this tells the story.

use std::collections::VecDeque;

use parking_lot::Mutex;
use pumphouse_storage::log::TableDefinition;

/// Events kept.
pub const EVENTS_MAX: usize = 10_000;

/// One event. -1 where no partition or offset is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaEvent {
    pub time_us: u64,
    pub database: String,
    pub table: String,
    pub consumer_id: String,
    pub kind: &'static str,
    pub topic: String,
    pub kafka_partition: i32,
    pub kafka_offset: i64,
    pub text: String,
}

/// The ring, shared by all tables of a server.
#[derive(Default)]
pub struct Events {
    ring: Mutex<VecDeque<KafkaEvent>>,
}

impl Events {
    /// Keeps `event` and logs it.
    pub fn push(&self, event: KafkaEvent) {
        let table = format!("{}.{}", event.database, event.table);
        let place = match event.topic.as_str() {
            "" => String::new(),
            topic => format!(" {topic}[{}]", event.kafka_partition),
        };
        match event.kind {
            "paused" | "fenced" | "gap" | "failed" | "stalled" => {
                tracing::warn!(table = %table, "{}{place}: {}", event.kind, event.text);
            }
            kind => tracing::info!(table = %table, "{kind}{place}: {}", event.text),
        }
        let mut ring = self.ring.lock();
        if ring.len() >= EVENTS_MAX {
            ring.pop_front();
        }
        ring.push_back(event);
    }

    /// Keeps and logs what happened to a table as a whole.
    pub fn tell(&self, time_us: u64, table: &TableDefinition, kind: &'static str, text: &str) {
        self.push(KafkaEvent {
            time_us,
            database: table.database.clone(),
            table: table.name.clone(),
            consumer_id: String::new(),
            kind,
            topic: String::new(),
            kafka_partition: -1,
            kafka_offset: -1,
            text: text.to_string(),
        });
    }

    /// All, oldest first.
    pub fn all(&self) -> Vec<KafkaEvent> {
        self.ring.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_forgets_the_oldest() {
        let events = Events::default();
        for i in 0..EVENTS_MAX + 5 {
            events.push(KafkaEvent {
                time_us: i as u64,
                database: "d".into(),
                table: "t".into(),
                consumer_id: String::new(),
                kind: "assigned",
                topic: String::new(),
                kafka_partition: -1,
                kafka_offset: -1,
                text: String::new(),
            });
        }
        let all = events.all();
        assert_eq!((all.len(), all[0].time_us), (EVENTS_MAX, 5));
    }
}
