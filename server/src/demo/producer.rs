//! The demo's producer: web events at a steady rate, and the owner's key/value pairs beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::events::Events;

/// Key/value pairs per hundred web events.
const PAIRS_PERCENT: u64 = 10;
/// Messages are produced in slices of this length.
const SLICE: Duration = Duration::from_millis(10);

/// What was handed to the broker and acknowledged by it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    pub events: u64,
    pub pairs: u64,
    /// Sum of the pairs' values.
    pub sum: u64,
}

/// A producer thread.
pub struct Producer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sent>,
}

impl Producer {
    pub fn start(brokers: &str, rate: u64) -> Result<Producer, String> {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("linger.ms", "5")
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "200000")
            .create()
            .map_err(|e| e.to_string())?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = stop.clone();
            std::thread::spawn(move || produce(&producer, rate, &stop))
        };
        Ok(Producer { stop, thread })
    }

    /// Ends it and waits until the broker has everything.
    pub fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn produce(producer: &BaseProducer, rate: u64, stop: &AtomicBool) -> Sent {
    let mut events = Events::new(42);
    let mut sent = Sent::default();
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
        while sent.events < due && !stop.load(Ordering::Relaxed) {
            let now_ms =
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
            if !send(producer, "web_events", sent.events, &events.event(now_ms)) {
                break;
            }
            sent.events += 1;
            if sent.events % 100 < PAIRS_PERCENT {
                let (key, value) = (sent.pairs, sent.pairs * 7 % 1000);
                let pair = format!("{{\"key\":{key},\"value\":{value}}}");
                while !send(producer, "my_topic", key, &pair) {
                    producer.poll(SLICE);
                }
                sent.pairs += 1;
                sent.sum += value;
            }
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(SLICE);
    }
    let _ = producer.flush(Duration::from_secs(10));
    sent
}

/// False when the queue is full and the message was not taken.
fn send(producer: &BaseProducer, topic: &str, number: u64, payload: &str) -> bool {
    let key = number.to_le_bytes();
    let partition = (number % super::PARTITIONS as u64) as i32;
    let record = BaseRecord::to(topic).partition(partition).key(&key[..]).payload(payload);
    match producer.send(record) {
        Ok(()) => true,
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => false,
        Err((e, _)) => {
            tracing::error!("the demo's producer: {e}");
            false
        }
    }
}
