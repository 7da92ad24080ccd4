//! A producer that knows what the broker acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// Idempotent, acks=all; `finish` returns only when everything is acknowledged.
pub struct Producer(BaseProducer);

impl Producer {
    pub fn new(brokers: &str) -> Producer {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("batch.num.messages", "50000")
            .set("batch.size", "4000000")
            .set("message.max.bytes", "16000000")
            .set("queue.buffering.max.messages", "1000000")
            .set("message.timeout.ms", "300000")
            .set("log_level", "0")
            .create()
            .expect("a producer");
        Producer(producer)
    }

    pub fn send(&self, topic: &str, partition: i32, payload: Option<&[u8]>) {
        loop {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
            if let Some(payload) = payload {
                record = record.payload(payload);
            }
            match self.0.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.0.poll(Duration::from_millis(20));
                }
                Err((e, _)) => panic!("the producer failed: {e}"),
            }
        }
    }

    pub fn poll(&self) {
        self.0.poll(Duration::ZERO);
    }

    pub fn finish(&self) {
        self.0.flush(Duration::from_secs(300)).expect("everything is acknowledged");
    }
}

/// Messages `{"id":…}`, counted from 0 and spread over the partitions, that come until it is told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Sends `step` messages about every 20 ms.
    pub fn start(brokers: String, topic: &'static str, partitions: u64, step: u64) -> Load {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (stop.clone(), sent.clone());
        let thread = std::thread::spawn(move || {
            let producer = Producer::new(&brokers);
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..step {
                    let id = counter.fetch_add(1, Ordering::Relaxed);
                    let payload = format!("{{\"id\":{id}}}");
                    producer.send(topic, (id % partitions) as i32, Some(payload.as_bytes()));
                }
                producer.poll();
                std::thread::sleep(Duration::from_millis(20));
            }
            producer.finish();
        });
        Load { stop, sent, thread }
    }

    /// Ends it; how many messages the broker has taken.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the producer ends");
        self.sent.load(Ordering::Relaxed)
    }
}
