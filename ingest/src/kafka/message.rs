//! The safe wrapper's messages as the block builder and the session see them.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

use crate::block_builder::IncomingMessage;

/// A message as it comes from the client.
pub(super) trait Polled: IncomingMessage {
    /// librdkafka's topic object: tells topics apart without reading names.
    fn topic_id(&self) -> usize;
    fn topic_is(&self, name: &str) -> bool;
}

impl IncomingMessage for BorrowedMessage<'_> {
    fn kafka_partition(&self) -> i32 {
        self.partition()
    }

    fn kafka_offset(&self) -> i64 {
        self.offset()
    }

    fn payload(&self) -> Option<&[u8]> {
        Message::payload(self)
    }

    fn key(&self) -> Option<&[u8]> {
        Message::key(self)
    }

    fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp().to_millis()
    }

    fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        if let Some(headers) = self.headers() {
            for header in headers.iter() {
                each(header.key.as_bytes(), header.value.unwrap_or_default());
            }
        }
    }
}

impl Polled for BorrowedMessage<'_> {
    fn topic_id(&self) -> usize {
        self.topic_ptr() as usize
    }

    fn topic_is(&self, name: &str) -> bool {
        self.topic() == name
    }
}
