//! Whether a topic is still the one that our offsets count in.
//!
//! A topic that is deleted and created anew starts again at 0: our offsets would skip its messages, or
//! find others in their place. The broker's topic id tells; it is kept in the log, looked at on every
//! assignment, whenever a position is in doubt, and now and then. A broker that has no ids is believed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_storage::log::{Commit, Edit, Precondition};
use uuid::Uuid;

use super::positions::{Cause, is_waiting};
use super::session::Session;
use super::settings::TopicRecreated;

/// How often the ids are looked at while nothing happens.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

impl Session<'_> {
    /// Looks at all topics that we have partitions of.
    pub(super) fn check_topics(&mut self) -> Result<(), String> {
        self.next_topic_check = Instant::now() + CHECK_INTERVAL;
        let mut topics: Vec<Arc<str>> = self.places.iter().map(|p| p.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        topics.iter().try_for_each(|topic| self.check_topic(topic))
    }

    pub(super) fn check_topic(&mut self, topic: &Arc<str>) -> Result<(), String> {
        let Some(id) = self.client.topic_id(topic) else { return Ok(()) };
        let table = self.thread.plan.table.definition.uuid;
        let state = self.thread.plan.store.snapshot();
        let known = state.tables.get(&table).and_then(|t| t.topic_ids.get(&**topic).copied());
        match known {
            Some(known) if known == id => Ok(()),
            Some(known) => self.recreated(topic, known, id),
            None => {
                self.commit_topic(vec![Edit::StreamTopic { table, topic: topic.to_string(), id }])
            }
        }
    }

    /// The topic is another one than before.
    fn recreated(&mut self, topic: &Arc<str>, known: Uuid, id: Uuid) -> Result<(), String> {
        let reason = format!(
            "topic '{topic}' was deleted and created anew (its id was {known}, it is {id}); our offsets \
             mean nothing in it. SYSTEM SEEK … TO EARLIEST takes the new one from its beginning, as \
             kafka_topic_recreated = 'restart' would by itself"
        );
        self.forget_uncommitted()?;
        if self.thread.plan.settings.topic_recreated == TopicRecreated::Stop {
            let of_topic = |p: &super::positions::Place| p.topic == *topic && !is_waiting(p);
            let places: Vec<usize> =
                (0..self.places.len()).filter(|at| of_topic(&self.places[*at])).collect();
            return places.into_iter().try_for_each(|at| {
                let stored = self.places[at].stored;
                self.block(at, Cause::Topic, stored, &reason)
            });
        }
        let table = self.thread.plan.table.definition.uuid;
        let state = self.thread.plan.store.snapshot();
        let stored = state.tables.get(&table).into_iter().flat_map(|t| t.offsets.keys());
        let wall_us = self.thread.plan.clock.now_us();
        let mut edits = vec![Edit::StreamTopic { table, topic: topic.to_string(), id }];
        edits.extend(stored.filter(|p| *p.topic == **topic).map(|p| Edit::SeekStream {
            table,
            topic: p.topic.clone(),
            kafka_partition: p.kafka_partition,
            next: 0,
            wall_us,
        }));
        self.commit_topic(edits)?;
        let text = format!("{reason}; it is read from its beginning");
        self.thread.shared.event(wall_us, "topic recreated", (&**topic, -1, 0), &text);
        self.reposition()
    }

    fn commit_topic(&self, edits: Vec<Edit>) -> Result<(), String> {
        let table = self.thread.plan.table.definition.uuid;
        let commit = Commit { preconditions: vec![Precondition::TableExists { table }], edits };
        self.thread.plan.store.commit(commit, vec![]).map(|_| ()).map_err(|e| e.to_string())
    }
}
