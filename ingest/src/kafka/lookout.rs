//! One client per cluster that looks out for messages on behalf of all consumers that rest (see `rest`).
//!
//! A hundred clients that wait cost a hundred times the wake-ups of one. So a consumer to which nothing comes
//! gives its client up and leaves its positions here; the first message behind one of them rings its bell.
//! Rules: whatever is unusual rings too (an error, a topic or partition more or less, another member in a
//! group), since a consumer that is awake knows what to do; a position is watched from where it stands, so
//! nothing falls between; the thread ends when nobody rests.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use super::backoff::Signal;
use super::consumer::panic_text;
use super::native_admin;
use super::secrets::error_text;

/// How often new sleepers are looked for while nothing comes.
const POLL: Duration = Duration::from_millis(200);
/// How often the groups of those who rest are looked at, and all topics of the cluster.
const GROUPS_INTERVAL: Duration = Duration::from_secs(10);
const TOPICS_INTERVAL: Duration = Duration::from_secs(30);
/// So long the client stays when nobody rests.
const LINGER: Duration = Duration::from_secs(10);
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the client differs in from those of the tables: it reads little, and nobody's position hangs on it.
const PROPERTIES: &[(&str, &str)] = &[
    ("statistics.interval.ms", "0"),
    ("queued.min.messages", "1"),
    ("queued.max.messages.kbytes", "1024"),
    ("fetch.max.bytes", "1048576"),
    ("fetch.message.max.bytes", "16384"),
];

/// A partition of a consumer that rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RestingPlace {
    pub(super) topic: Arc<str>,
    pub(super) kafka_partition: i32,
    /// The next message; None: from the beginning.
    pub(super) next: Option<i64>,
}

/// A group and how many members it has while all is as it was.
pub(super) type GroupSize = (String, usize);

/// Wakes one consumer.
struct Bell {
    rung: Mutex<Option<String>>,
    signal: Arc<Signal>,
}

impl Bell {
    fn ring(&self, why: &str) {
        self.rung.lock().get_or_insert_with(|| why.to_string());
        self.signal.nudge();
    }
}

struct Sleeper {
    id: u64,
    places: Vec<RestingPlace>,
    group: Option<GroupSize>,
    bell: Arc<Bell>,
}

/// The lookout of one cluster, as sleepers and its thread see it.
#[derive(Default)]
struct Post {
    state: Mutex<PostState>,
}

#[derive(Default)]
struct PostState {
    sleepers: Vec<Sleeper>,
    next_id: u64,
    changed: bool,
    closed: bool,
}

/// All lookouts of a server.
#[derive(Default)]
pub(super) struct Lookouts {
    /// By what connects to the cluster.
    posts: Mutex<BTreeMap<String, Arc<Post>>>,
}

/// A consumer is looked out for until this is dropped or its bell has rung.
pub(super) struct Watching {
    post: Arc<Post>,
    id: u64,
    bell: Arc<Bell>,
}

impl Watching {
    /// Why it was woken.
    pub(super) fn rung(&self) -> Option<String> {
        self.bell.rung.lock().clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.post.remove(|s| s.id == self.id);
    }
}

impl Lookouts {
    /// Looks out for messages at `places` by a client of `config` (a consumer's own). `signal` is nudged when
    /// the bell rings.
    pub(super) fn watch(
        &self,
        config: &ClientConfig,
        places: Vec<RestingPlace>,
        group: Option<GroupSize>,
        signal: Arc<Signal>,
    ) -> std::io::Result<Watching> {
        let bell = Arc::new(Bell { rung: Mutex::new(None), signal });
        let config = lookout_config(config);
        let mut posts = self.posts.lock();
        let post = posts.entry(cluster_of(&config)).or_default();
        let mut sleeper = Sleeper { id: 0, places, group, bell: bell.clone() };
        let id = match post.add(sleeper) {
            Ok(id) => id,
            Err(refused) => {
                sleeper = refused;
                *post = Arc::default();
                post.add(sleeper).unwrap_or_default()
            }
        };
        let watching = Watching { post: post.clone(), id, bell };
        if id == 0 {
            let post = post.clone();
            let thread = std::thread::Builder::new().name("kafka-lookout".into());
            if let Err(e) = thread.spawn(move || post.run(&config)) {
                watching.post.state.lock().closed = true;
                return Err(e);
            }
        }
        Ok(watching)
    }

    /// Ends all threads soon.
    pub(super) fn shutdown(&self) {
        for post in std::mem::take(&mut *self.posts.lock()).into_values() {
            post.state.lock().closed = true;
        }
    }
}

fn lookout_config(consumer: &ClientConfig) -> ClientConfig {
    let mut config = consumer.clone();
    config.remove("group.instance.id");
    config.set("client.id", "pumphouse-lookout");
    for (name, value) in PROPERTIES {
        config.set(*name, *value);
    }
    config
}

/// Configurations of one text reach the same cluster as the same user.
fn cluster_of(config: &ClientConfig) -> String {
    let map = config.config_map();
    let parts = map.iter().filter(|(name, _)| **name != "group.id");
    parts.map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// Notes that no broker can be reached.
#[derive(Default)]
struct Ears {
    down: AtomicBool,
}

impl ClientContext for Ears {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", "lookout: {facility}: {message}");
    }

    fn error(&self, error: KafkaError, _: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.down.store(true, Ordering::Relaxed);
        }
    }
}

impl ConsumerContext for Ears {}

/// What is watched: from which offset on, by topic and partition.
type Watched = BTreeMap<(Arc<str>, i32), Offset>;

impl Post {
    /// The sleeper's number; back comes one that is too late.
    fn add(&self, mut sleeper: Sleeper) -> Result<u64, Sleeper> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(sleeper);
        }
        let id = state.next_id;
        sleeper.id = id;
        state.next_id += 1;
        state.changed = true;
        state.sleepers.push(sleeper);
        Ok(id)
    }

    /// Takes sleepers out, and gives them.
    fn remove(&self, which: impl Fn(&Sleeper) -> bool) -> Vec<Sleeper> {
        let mut state = self.state.lock();
        let (out, left) = std::mem::take(&mut state.sleepers).into_iter().partition(|s| which(s));
        state.sleepers = left;
        state.changed = true;
        out
    }

    fn wake(&self, why: &str, which: impl Fn(&Sleeper) -> bool) {
        for sleeper in self.remove(which) {
            sleeper.bell.ring(why);
        }
    }

    /// The thread.
    fn run(&self, config: &ClientConfig) {
        let mut backoff = super::backoff::Backoff::new(Duration::from_millis(500));
        loop {
            let serve = std::panic::AssertUnwindSafe(|| self.serve(config));
            let why = match std::panic::catch_unwind(serve) {
                Ok(Ok(())) => return,
                Ok(Err(why)) => why,
                Err(panic) => panic_text(&panic),
            };
            tracing::debug!("the lookout for resting tables begins anew: {why}");
            self.wake(&why, |_| true);
            std::thread::sleep(backoff.next().min(LINGER));
        }
    }

    /// One life of the client; an error wakes all.
    fn serve(&self, config: &ClientConfig) -> Result<(), String> {
        let failed = |e: KafkaError| error_text(&e);
        let consumer: BaseConsumer<Ears> =
            config.create_with_context(Ears::default()).map_err(failed)?;
        let mut watched = Watched::new();
        let mut empty_since = None;
        let mut next_groups = Instant::now() + GROUPS_INTERVAL;
        let mut next_topics = Instant::now();
        let mut topics = None;
        self.state.lock().changed = true;
        loop {
            if self.is_over(&mut empty_since) {
                return Ok(());
            }
            if std::mem::take(&mut self.state.lock().changed) {
                self.follow(&consumer, &mut watched).map_err(failed)?;
            }
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    use rdkafka::Message;
                    let (topic, partition) = (message.topic(), message.partition());
                    let here =
                        |p: &RestingPlace| *p.topic == *topic && p.kafka_partition == partition;
                    self.wake("a message came", |s| s.places.iter().any(here));
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(e)) => return Err(failed(e)),
            }
            if consumer.context().down.load(Ordering::Relaxed) {
                return Err("no broker answers".into());
            }
            let now = Instant::now();
            if now >= next_groups {
                self.check_groups(&consumer);
                next_groups = Instant::now() + GROUPS_INTERVAL;
            }
            if now >= next_topics {
                let seen = Some(topics_of(&consumer).map_err(failed)?);
                if topics.is_some() && topics != seen {
                    self.wake("the cluster's topics have changed", |_| true);
                }
                topics = seen;
                next_topics = Instant::now() + TOPICS_INTERVAL;
            }
        }
    }

    /// Whether the server ends, or nobody has rested for a while; nobody can be added from then on.
    fn is_over(&self, empty_since: &mut Option<Instant>) -> bool {
        let mut state = self.state.lock();
        if !state.sleepers.is_empty() {
            *empty_since = None;
        } else if empty_since.get_or_insert_with(Instant::now).elapsed() > LINGER {
            state.closed = true;
        }
        state.closed
    }

    /// Makes the client read what sleepers wait for, from the lowest position of each partition.
    fn follow(&self, consumer: &BaseConsumer<Ears>, watched: &mut Watched) -> KafkaResult<()> {
        let wanted = wanted(&self.state.lock().sleepers);
        let (mut less, mut more) = (TopicPartitionList::new(), TopicPartitionList::new());
        for ((topic, partition), from) in watched.iter() {
            if wanted.get(&(topic.clone(), *partition)).is_none_or(|w| is_before(*w, *from)) {
                less.add_partition(topic, *partition);
            }
        }
        for ((topic, partition), from) in &wanted {
            let key = (topic.clone(), *partition);
            if watched.get(&key).is_none_or(|w| is_before(*from, *w)) {
                more.add_partition_offset(topic, *partition, *from)?;
                watched.insert(key, *from);
            }
        }
        watched.retain(|key, _| wanted.contains_key(key));
        if less.count() > 0 {
            consumer.incremental_unassign(&less)?;
        }
        if more.count() > 0 {
            consumer.incremental_assign(&more)?;
        }
        Ok(())
    }

    /// Wakes those whose group is not as it was, or cannot be looked at.
    fn check_groups(&self, consumer: &BaseConsumer<Ears>) {
        let mut groups: Vec<GroupSize> = {
            let state = self.state.lock();
            state.sleepers.iter().filter_map(|s| s.group.clone()).collect()
        };
        groups.sort();
        groups.dedup();
        if groups.is_empty() {
            return;
        }
        let names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
        let sizes =
            native_admin::group_sizes(consumer.client().native_ptr(), &names, BROKER_TIMEOUT);
        let as_before = |group: &GroupSize| sizes.get(&group.0) == Some(&group.1);
        groups.retain(|group| !as_before(group));
        if !groups.is_empty() {
            let other = |s: &Sleeper| s.group.as_ref().is_some_and(|g| groups.contains(g));
            self.wake("the group has changed", other);
        }
    }
}

/// The lowest position of each partition.
fn wanted(sleepers: &[Sleeper]) -> Watched {
    let mut wanted = Watched::new();
    for place in sleepers.iter().flat_map(|s| &s.places) {
        let from = place.next.map_or(Offset::Beginning, Offset::Offset);
        let lowest = wanted.entry((place.topic.clone(), place.kafka_partition)).or_insert(from);
        if is_before(from, *lowest) {
            *lowest = from;
        }
    }
    wanted
}

fn is_before(a: Offset, b: Offset) -> bool {
    match (a, b) {
        (_, Offset::Beginning) => false,
        (Offset::Offset(a), Offset::Offset(b)) => a < b,
        _ => true,
    }
}

/// All topics of the cluster and their numbers of partitions, as one number.
fn topics_of(consumer: &BaseConsumer<Ears>) -> KafkaResult<u64> {
    let metadata = consumer.fetch_metadata(None, BROKER_TIMEOUT)?;
    let mut topics: Vec<(&str, usize)> =
        metadata.topics().iter().map(|t| (t.name(), t.partitions().len())).collect();
    topics.sort_unstable();
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for (name, partitions) in topics {
        hasher.write(name.as_bytes());
        hasher.write(&(partitions as u64).to_le_bytes());
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(places: &[(&str, i32, Option<i64>)]) -> Sleeper {
        let places = places
            .iter()
            .map(|(topic, kafka_partition, next)| RestingPlace {
                topic: (*topic).into(),
                kafka_partition: *kafka_partition,
                next: *next,
            })
            .collect();
        let bell = Arc::new(Bell { rung: Mutex::new(None), signal: Arc::default() });
        Sleeper { id: 0, places, group: None, bell }
    }

    #[test]
    fn partitions_are_watched_from_the_lowest_position() {
        let sleepers = [
            sleeper(&[("a", 0, Some(7)), ("a", 1, None)]),
            sleeper(&[("a", 0, Some(5)), ("a", 1, Some(3)), ("b", 0, Some(1))]),
        ];
        let wanted = wanted(&sleepers);
        let at = |topic: &str, partition| wanted.get(&(topic.into(), partition)).copied();
        assert_eq!(at("a", 0), Some(Offset::Offset(5)));
        assert_eq!(at("a", 1), Some(Offset::Beginning));
        assert_eq!(at("b", 0), Some(Offset::Offset(1)));
        assert_eq!(wanted.len(), 3);
    }

    #[test]
    fn a_ring_wakes_its_consumer_once_and_a_closed_post_takes_nobody() {
        let post = Arc::new(Post::default());
        let one = sleeper(&[("a", 0, Some(7))]);
        let bell = one.bell.clone();
        let id = post.add(one).ok().unwrap();
        let watching = Watching { post: post.clone(), id, bell };
        let news = watching.bell.signal.news();
        post.wake("nothing for it", |s| s.places.iter().any(|p| p.kafka_partition == 1));
        assert!(watching.rung().is_none());
        post.wake("a message came", |_| true);
        post.wake("again", |_| true);
        assert_eq!(watching.rung().as_deref(), Some("a message came"));
        assert!(watching.bell.signal.news() > news);
        let mut since = Some(Instant::now() - LINGER * 2);
        assert!(post.is_over(&mut since));
        assert!(post.add(sleeper(&[])).is_err());
    }
}
