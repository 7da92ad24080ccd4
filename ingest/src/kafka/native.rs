//! Messages of a consumer in batches, over librdkafka's C functions: several times cheaper than the
//! one-by-one poll of the safe wrapper, which makes an event object for each.
//!
//! All partitions of a client are forwarded to one queue of ours; the client's own queue keeps only
//! events (rebalances, statistics, errors). Once a partition was forwarded by an application,
//! librdkafka never lets it fall back to the client's queue: its messages are in its own queue or in
//! ours, and forwarding again appends them in order. So messages cannot overtake each other.
//!
//! This file is one of the few with `unsafe`. Invariants: the queue is made from a live client and
//! destroyed before it (`Batches` borrows the client); messages are destroyed before their client (whoever
//! holds some is dropped before it: `Parsers` waits for its workers). The safe twin is
//! `Polling::OneByOne`; tests run both.

use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::message::Polled;
use crate::block_builder::IncomingMessage;

/// Messages taken at once, at most.
const BATCH_MAX: usize = 16_384;

/// The queue that a client's partitions are forwarded to.
pub(super) struct BatchQueue {
    queue: *mut c::rd_kafka_queue_t,
    taken: Vec<NativeMessage>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for BatchQueue {}

/// Where the client's callbacks find the queue; null while there is none.
#[derive(Default)]
pub(super) struct ForwardTo(AtomicPtr<c::rd_kafka_queue_t>);

impl BatchQueue {
    /// A queue of `client`, which must outlive it.
    pub(super) fn new(client: *mut c::rd_kafka_t) -> BatchQueue {
        // SAFETY: `client` is live.
        let queue = unsafe { c::rd_kafka_queue_new(client) };
        BatchQueue { queue, taken: vec![] }
    }

    pub(super) fn forward_to(&self, to: &ForwardTo) {
        to.0.store(self.queue, Ordering::Release);
    }

    /// Waits up to `timeout` for a message, then takes what is there, `max` at most, in order. One may stand for an
    /// error of its partition.
    pub(super) fn take(&mut self, timeout: Duration, max: usize) -> &mut Vec<NativeMessage> {
        let timeout_ms = timeout.as_millis().min(60_000) as i32;
        self.taken.clear();
        let room = max.clamp(1, BATCH_MAX) - 1;
        self.taken.reserve(1 + room);
        // SAFETY: the queue is live; `taken` has room for what is asked; a `NativeMessage` is a pointer to a message
        // and nothing else.
        unsafe {
            let first = c::rd_kafka_consume_queue(self.queue, timeout_ms);
            if first.is_null() {
                return &mut self.taken;
            }
            self.taken.push(NativeMessage { raw: first });
            if room > 0 {
                let rest = self.taken.as_mut_ptr().add(1).cast();
                let count = c::rd_kafka_consume_batch_queue(self.queue, 0, rest, room);
                self.taken.set_len(1 + count.max(0) as usize);
            }
        }
        &mut self.taken
    }
}

impl Drop for BatchQueue {
    fn drop(&mut self) {
        // SAFETY: made by `new`, destroyed once; partitions that forward here keep a reference.
        unsafe { c::rd_kafka_queue_destroy(self.queue) };
    }
}

impl ForwardTo {
    /// Nothing is forwarded from now on.
    pub(super) fn clear(&self) {
        self.0.store(ptr::null_mut(), Ordering::Release);
    }

    /// Forwards these partitions of `client`. May be repeated at any time.
    pub(super) fn forward<'a>(
        &self,
        client: *mut c::rd_kafka_t,
        places: impl Iterator<Item = (&'a str, i32)>,
    ) {
        let to = self.0.load(Ordering::Acquire);
        if to.is_null() {
            return;
        }
        for (topic, partition) in places {
            let Ok(topic) = CString::new(topic) else { continue };
            // SAFETY: client and queue are live (`clear` comes before the queue's end); the handle
            // of the partition's queue is ours to destroy.
            unsafe {
                let from = c::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
                if !from.is_null() {
                    c::rd_kafka_queue_forward(from, to);
                    c::rd_kafka_queue_destroy(from);
                }
            }
        }
    }
}

/// One past the last offset of a partition, if fetching has told it to `client`.
pub(super) fn known_end(client: *mut c::rd_kafka_t, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is live, the name ends with a zero, both offsets are ours.
    let found = unsafe {
        c::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &mut low, &mut high)
    };
    let known = found == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
    known.then_some(high)
}

/// How long the mock cluster of `client` (which must have one) waits for members before it forms a
/// new group.
pub(super) fn set_mock_group_delay(client: *mut c::rd_kafka_t, delay_ms: i32) {
    // SAFETY: the client is live and owns its mock cluster.
    unsafe {
        let cluster = c::rd_kafka_handle_mock_cluster(client);
        if !cluster.is_null() {
            c::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, delay_ms);
        }
    }
}

/// A message, destroyed when it is dropped: before its client.
#[repr(transparent)]
pub(super) struct NativeMessage {
    /// Live, and nobody else's.
    raw: *mut c::rd_kafka_message_t,
}

// SAFETY: librdkafka lets messages be read and destroyed on any thread; what they share is counted atomically.
unsafe impl Send for NativeMessage {}

impl Drop for NativeMessage {
    fn drop(&mut self) {
        // SAFETY: taken from a queue once, destroyed only here.
        unsafe { c::rd_kafka_message_destroy(self.raw) };
    }
}

fn bytes<'a>(at: *const std::ffi::c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: callers pass pointer and length of one field of a live message or header.
    (!at.is_null()).then(|| unsafe { std::slice::from_raw_parts(at.cast::<u8>(), len) })
}

impl NativeMessage {
    fn raw(&self) -> &c::rd_kafka_message_t {
        // SAFETY: live until `drop`.
        unsafe { &*self.raw }
    }

    /// What the message stands for, if it is none.
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        (self.raw().err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
            .then(|| self.raw().err.into())
    }
}

impl IncomingMessage for NativeMessage {
    #[inline]
    fn kafka_partition(&self) -> i32 {
        self.raw().partition
    }

    #[inline]
    fn kafka_offset(&self) -> i64 {
        self.raw().offset
    }

    #[inline]
    fn payload(&self) -> Option<&[u8]> {
        bytes(self.raw().payload, self.raw().len)
    }

    fn key(&self) -> Option<&[u8]> {
        bytes(self.raw().key, self.raw().key_len)
    }

    fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live.
        let ms = unsafe { c::rd_kafka_message_timestamp(self.raw, &mut kind) };
        let known = kind != c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        (known && ms != -1).then_some(ms)
    }

    fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is live; headers, names and values live as long as it does.
        unsafe {
            let found = c::rd_kafka_message_headers(self.raw, &mut headers);
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            for at in 0.. {
                let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
                let found =
                    c::rd_kafka_header_get_all(headers, at, &mut name, &mut value, &mut len);
                if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return;
                }
                each(CStr::from_ptr(name).to_bytes(), bytes(value, len).unwrap_or_default());
            }
        }
    }
}

impl Polled for NativeMessage {
    #[inline]
    fn topic_id(&self) -> usize {
        self.raw().rkt as usize
    }

    fn topic_is(&self, name: &str) -> bool {
        // SAFETY: a consumed message refers to its topic.
        let topic = unsafe { CStr::from_ptr(c::rd_kafka_topic_name(self.raw().rkt)) };
        topic.to_bytes() == name.as_bytes()
    }
}
