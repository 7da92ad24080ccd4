//! librdkafka's messages as the block builder sees them.

use rdkafka::Message;
use rdkafka::message::Headers;

use crate::block_builder::IncomingMessage;

impl<M: Message> IncomingMessage for M {
    #[inline]
    fn kafka_partition(&self) -> i32 {
        self.partition()
    }

    #[inline]
    fn kafka_offset(&self) -> i64 {
        self.offset()
    }

    #[inline]
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
