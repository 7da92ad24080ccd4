//! A producer that knows what the broker acknowledged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{
    BaseProducer, BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext,
};
use rdkafka::{ClientConfig, Message as _};

/// How long the broker may acknowledge nothing at all.
const STALL: Duration = Duration::from_secs(300);

/// What became of the messages.
#[derive(Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, message)) => {
                let text =
                    format!("partition {} of {}: {error}", message.partition(), message.topic());
                self.failure.lock().expect("nobody panics here").get_or_insert(text);
            }
        }
    }
}

/// Idempotent, acks=all; `finish` returns only when everything is acknowledged.
pub struct Producer(BaseProducer<Deliveries>);

impl Producer {
    pub fn new(brokers: &str) -> Producer {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("batch.num.messages", "50000")
            .set("batch.size", "1000000")
            .set("message.max.bytes", "16000000")
            // A slow disk behind the broker has megabytes to write at a time, not the whole test.
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("message.timeout.ms", "900000")
            .set("log_level", "0")
            .create_with_context(Deliveries::default())
            .expect("a producer");
        Producer(producer)
    }

    pub fn send(&self, topic: &str, partition: i32, payload: Option<&[u8]>) {
        let mut stall = Stall::new(self);
        loop {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
            if let Some(payload) = payload {
                record = record.payload(payload);
            }
            match self.0.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.0.poll(Duration::from_millis(20));
                    stall.check(self);
                }
                Err((e, _)) => panic!("the producer failed: {e}"),
            }
        }
    }

    pub fn poll(&self) {
        self.0.poll(Duration::ZERO);
    }

    pub fn finish(&self) {
        let mut stall = Stall::new(self);
        while self.0.flush(Duration::from_secs(5)).is_err() {
            stall.check(self);
        }
        self.check_failure();
    }

    fn acknowledged(&self) -> u64 {
        self.0.context().acknowledged.load(Ordering::Relaxed)
    }

    fn check_failure(&self) {
        let failure = self.0.context().failure.lock().expect("nobody panics here").clone();
        assert!(failure.is_none(), "not acknowledged: {}", failure.unwrap_or_default());
    }
}

/// Watches that messages are acknowledged, however slowly.
struct Stall {
    acknowledged: u64,
    since: Instant,
}

impl Stall {
    fn new(producer: &Producer) -> Stall {
        Stall { acknowledged: producer.acknowledged(), since: Instant::now() }
    }

    fn check(&mut self, producer: &Producer) {
        producer.check_failure();
        let acknowledged = producer.acknowledged();
        if acknowledged != self.acknowledged {
            *self = Stall { acknowledged, since: Instant::now() };
        }
        assert!(
            self.since.elapsed() < STALL,
            "nothing acknowledged for {STALL:?}; {acknowledged} were, {} wait",
            producer.0.in_flight_count()
        );
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
