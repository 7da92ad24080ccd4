//! Gathers the rows of a stream's messages and their offset ranges until size or age says flush.
//!
//! Takes messages from a consumer, in order per partition, and gives a [`BuiltBlock`] to the insert
//! step. A message counts as consumed (its range advances) exactly when its rows are in, it has none,
//! or the error mode lets it pass. Payloads are parsed where they lie, never copied.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use pumphouse_query::error::{Result, codes};
use pumphouse_storage::{Block, Column, DataType};

use crate::format::{FormatReader, ParseError};
use crate::kafka::dead_letters::DeadLetter;
use crate::kafka::message_rows;
use crate::kafka::settings::ErrorMode;
use crate::kafka::virtual_columns::VirtualBuilder;

/// A message as the builder sees it; everything lazy.
pub trait IncomingMessage {
    fn kafka_partition(&self) -> i32;
    fn kafka_offset(&self) -> i64;
    fn payload(&self) -> Option<&[u8]>;
    fn key(&self) -> Option<&[u8]>;
    /// Milliseconds since the epoch.
    fn timestamp_ms(&self) -> Option<i64>;
    fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8]));
}

/// What a block consumed of one Kafka partition: from `expected` (what the log must hold, None for
/// nothing yet) to before `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange {
    pub topic: Arc<str>,
    pub kafka_partition: i32,
    pub expected: Option<i64>,
    pub next: i64,
    pub messages: u64,
}

/// A block ready to be inserted.
pub struct BuiltBlock {
    pub block: Block,
    pub offsets: Vec<OffsetRange>,
    pub messages: u64,
    /// Payload bytes.
    pub bytes: u64,
    pub skipped: u64,
    pub broken: u64,
    /// What goes to the dead letters in the same commit.
    pub letters: Vec<DeadLetter>,
    /// Every message and its rows, if the builder keeps them.
    pub kept: Vec<KeptMessage>,
}

impl BuiltBlock {
    /// Takes in what was built behind it: `block` is the later one from then on, all else is of both. Gives the
    /// earlier block. Neither has kept messages.
    pub fn follow(&mut self, later: BuiltBlock) -> Block {
        for range in later.offsets {
            let same = |r: &&mut OffsetRange| {
                r.kafka_partition == range.kafka_partition && r.topic == range.topic
            };
            match self.offsets.iter_mut().find(same) {
                Some(before) => {
                    before.next = range.next;
                    before.messages += range.messages;
                }
                None => self.offsets.push(range),
            }
        }
        self.messages += later.messages;
        self.bytes += later.bytes;
        self.skipped += later.skipped;
        self.broken += later.broken;
        self.letters.extend(later.letters);
        std::mem::replace(&mut self.block, later.block)
    }
}

/// A message of a block with its payload: kept only while a failure is being narrowed down.
#[derive(Debug, Clone)]
pub struct KeptMessage {
    pub letter: DeadLetter,
    /// Rows of the block that it gave.
    pub rows: Range<usize>,
    /// It is an `_error` row: `rows` counts from behind the good rows until the block is taken.
    broken: bool,
}

/// When a block is full.
#[derive(Debug, Clone, Copy)]
pub struct FlushLimits {
    pub rows: usize,
    pub bytes: usize,
    pub age: Duration,
}

/// Why a block is to be flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushReason {
    /// Must not grow further.
    Full,
    /// Old enough; may still grow while the insert step is busy.
    Age,
}

impl FlushLimits {
    pub fn reason(&self, rows: usize, bytes: usize, age: Option<Duration>) -> Option<FlushReason> {
        if rows >= self.rows || bytes >= self.bytes {
            return Some(FlushReason::Full);
        }
        age.is_some_and(|a| a >= self.age).then_some(FlushReason::Age)
    }
}

/// What the builder is made of.
pub struct BuilderOptions {
    pub columns: Vec<(String, DataType)>,
    pub virtuals: VirtualBuilder,
    pub error_mode: ErrorMode,
    /// Broken messages that a block may drop.
    pub skip_broken_messages: u64,
    /// Bytes dropped from the head of each message.
    pub skip_bytes: usize,
    /// The name of the reader's format: whether bad rows of a message can be told from good ones.
    pub format: String,
}

/// The builder of one consumer.
pub struct BlockBuilder {
    reader: Box<dyn FormatReader>,
    options: BuilderOptions,
    ranges: Vec<OffsetRange>,
    /// Index of the range that the last message went to.
    last_range: usize,
    began: Option<Duration>,
    messages: u64,
    payload_bytes: u64,
    skipped: u64,
    letters: Vec<DeadLetter>,
    letter_bytes: usize,
    /// Whether messages are kept beside their rows.
    keep: bool,
    kept: Vec<KeptMessage>,
}

/// Errors of parsing that a message is not to blame for: a schema registry that does not answer, memory.
const SURROUNDINGS: &[u32] = &[codes::NETWORK_ERROR, codes::MEMORY_LIMIT_EXCEEDED];

impl BlockBuilder {
    pub fn new(reader: Box<dyn FormatReader>, options: BuilderOptions) -> BlockBuilder {
        BlockBuilder {
            reader,
            options,
            ranges: vec![],
            last_range: 0,
            began: None,
            messages: 0,
            payload_bytes: 0,
            skipped: 0,
            letters: vec![],
            letter_bytes: 0,
            keep: false,
            kept: vec![],
        }
    }

    /// Keeps messages beside their rows from the next block on, or no more. Takes effect only while
    /// the builder is empty.
    pub fn keep_messages(&mut self, keep: bool) {
        if self.is_empty() {
            self.keep = keep;
        }
    }

    /// Whether it keeps messages now.
    pub fn keeps_messages(&self) -> bool {
        self.keep
    }

    /// No message since the last `take`.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn rows(&self) -> usize {
        self.reader.rows() + self.options.virtuals.broken_rows()
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.reader.bytes() + self.options.virtuals.bytes() + self.letter_bytes
    }

    /// Age of the oldest message at `now` (of the monotonic clock).
    pub fn age(&self, now: Duration) -> Option<Duration> {
        self.began.map(|b| now.saturating_sub(b))
    }

    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Appends one message. `stored` is what the log holds for its partition when this block's range
    /// begins. `Err`: the message is broken and the mode says stop; it is not consumed.
    #[inline]
    pub fn append<M: IncomingMessage>(
        &mut self,
        topic: &Arc<str>,
        stored: Option<i64>,
        message: &M,
        now: Duration,
    ) -> std::result::Result<(), ParseError> {
        let payload = message.payload().unwrap_or_default();
        if !payload.is_empty() {
            let before = if self.keep { self.reader.rows() } else { 0 };
            match self.parse(payload) {
                Ok(rows) => self.options.virtuals.message(rows, topic, message),
                Err(error) => self.pass_broken(topic, message, error)?,
            }
            if self.keep {
                self.keep_message(topic, message, before);
            }
        }
        self.messages += 1;
        self.payload_bytes += payload.len() as u64;
        if self.began.is_none() {
            self.began = Some(now);
        }
        self.advance(topic, message.kafka_partition(), stored, message.kafka_offset() + 1);
        Ok(())
    }

    /// Takes a message as a dead letter without looking into it.
    pub fn condemn<M: IncomingMessage>(
        &mut self,
        topic: &Arc<str>,
        stored: Option<i64>,
        message: &M,
        reason: String,
        now: Duration,
    ) {
        let payload = message.payload().unwrap_or_default();
        let letter = DeadLetter::of(topic, message, payload, reason);
        self.letter_bytes += letter.bytes();
        self.letters.push(letter);
        self.messages += 1;
        self.payload_bytes += payload.len() as u64;
        self.began.get_or_insert(now);
        self.advance(topic, message.kafka_partition(), stored, message.kafka_offset() + 1);
    }

    #[inline]
    fn parse(&mut self, payload: &[u8]) -> std::result::Result<usize, ParseError> {
        let skip = self.options.skip_bytes;
        let Some(body) = payload.get(skip..) else {
            return Err(ParseError {
                code: codes::CANNOT_READ_ALL_DATA,
                message: format!(
                    "the message has {} bytes, fewer than kafka_schema_registry_skip_bytes = {skip}",
                    payload.len()
                ),
            });
        };
        if body.is_empty() { Ok(0) } else { self.reader.read_message(body) }
    }

    #[cold]
    fn keep_message<M: IncomingMessage>(&mut self, topic: &Arc<str>, message: &M, before: usize) {
        let payload = message.payload().unwrap_or_default();
        let letter = DeadLetter::of(topic, message, payload, String::new());
        self.letter_bytes += letter.bytes();
        let mut kept = KeptMessage { letter, rows: before..self.reader.rows(), broken: false };
        let broken = self.kept.iter().filter(|k| k.broken).count();
        if self.options.virtuals.broken_rows() > broken {
            kept.rows = broken..broken + 1;
            kept.broken = true;
        }
        self.kept.push(kept);
    }

    /// A message that cannot be parsed becomes a dead letter; of one with several rows only those
    /// that are bad.
    fn set_aside<M: IncomingMessage>(&mut self, topic: &Arc<str>, message: &M, error: ParseError) {
        let payload = message.payload().unwrap_or_default();
        let body = payload.get(self.options.skip_bytes..).unwrap_or_default();
        let first = self.letters.len();
        match message_rows::split(&self.options.format, body) {
            None => self.letters.push(DeadLetter::of(topic, message, payload, error.message)),
            Some(pieces) => {
                let mut rows = 0;
                for piece in pieces {
                    match self.reader.read_message(piece) {
                        Ok(n) => rows += n,
                        Err(e) => {
                            self.letters.push(DeadLetter::of(topic, message, piece, e.message));
                        }
                    }
                }
                self.options.virtuals.message(rows, topic, message);
            }
        }
        self.letter_bytes += self.letters[first..].iter().map(DeadLetter::bytes).sum::<usize>();
    }

    /// Lets a broken message pass if the mode allows.
    #[cold]
    fn pass_broken<M: IncomingMessage>(
        &mut self,
        topic: &Arc<str>,
        message: &M,
        error: ParseError,
    ) -> std::result::Result<(), ParseError> {
        // What says nothing of the message is waited out, in every mode.
        if SURROUNDINGS.contains(&error.code) {
            return Err(error);
        }
        match self.options.error_mode {
            ErrorMode::Stream => self.options.virtuals.broken(topic, message, error.message),
            ErrorMode::DeadLetter => self.set_aside(topic, message, error),
            ErrorMode::Default if self.skipped < self.options.skip_broken_messages => {
                self.skipped += 1;
            }
            ErrorMode::Default => return Err(error),
        }
        Ok(())
    }

    #[inline]
    fn advance(&mut self, topic: &Arc<str>, kafka_partition: i32, stored: Option<i64>, next: i64) {
        let same = |r: &OffsetRange| r.kafka_partition == kafka_partition && r.topic == *topic;
        let at = match self.ranges.get(self.last_range) {
            Some(r) if r.kafka_partition == kafka_partition && Arc::ptr_eq(&r.topic, topic) => {
                self.last_range
            }
            _ => match self.ranges.iter().position(same) {
                Some(at) => at,
                None => {
                    self.ranges.push(OffsetRange {
                        topic: topic.clone(),
                        kafka_partition,
                        expected: stored,
                        next,
                        messages: 0,
                    });
                    self.ranges.len() - 1
                }
            },
        };
        self.last_range = at;
        self.ranges[at].next = next;
        self.ranges[at].messages += 1;
    }

    /// Takes the block out and starts the next.
    pub fn take(&mut self) -> Result<BuiltBlock> {
        let parsed = self.reader.take()?;
        let broken = self.options.virtuals.broken_rows();
        let mut named = Vec::with_capacity(self.options.columns.len());
        for ((name, data_type), column) in self.options.columns.iter().zip(parsed.columns) {
            let column = if broken == 0 {
                column
            } else {
                let defaults = Column::default_values(data_type.clone(), broken);
                Column::concat(&[column, defaults])?
            };
            named.push((name.clone(), column));
        }
        named.extend(self.options.virtuals.take(parsed.rows));
        let block = if named.is_empty() { Block::of_rows(parsed.rows) } else { Block::new(named) };
        let mut kept = std::mem::take(&mut self.kept);
        for message in kept.iter_mut().filter(|k| k.broken) {
            message.rows.start += parsed.rows;
            message.rows.end += parsed.rows;
        }
        let built = BuiltBlock {
            letters: std::mem::take(&mut self.letters),
            kept,
            block,
            offsets: std::mem::take(&mut self.ranges),
            messages: self.messages,
            bytes: self.payload_bytes,
            skipped: self.skipped,
            broken: broken as u64,
        };
        self.start_anew();
        Ok(built)
    }

    /// Throws away what was gathered.
    pub fn clear(&mut self) -> Result<()> {
        self.reader.take()?;
        self.options.virtuals.take(0);
        self.ranges.clear();
        self.start_anew();
        Ok(())
    }

    fn start_anew(&mut self) {
        self.letters.clear();
        self.kept.clear();
        self.letter_bytes = 0;
        self.last_range = 0;
        self.began = None;
        self.messages = 0;
        self.payload_bytes = 0;
        self.skipped = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pumphouse_storage::Value;

    use super::*;
    use crate::format::ParsedRows;
    use crate::kafka::virtual_columns::{self, VirtualBuilder};

    /// A format of one UInt64 per line.
    #[derive(Default)]
    struct Lines {
        values: Vec<Value>,
    }

    impl FormatReader for Lines {
        fn read_message(&mut self, message: &[u8]) -> std::result::Result<usize, ParseError> {
            let text = String::from_utf8_lossy(message);
            let parsed: std::result::Result<Vec<u64>, _> = text.lines().map(str::parse).collect();
            let values =
                parsed.map_err(|_| ParseError { code: 72, message: "not a number".into() })?;
            self.values.extend(values.iter().map(|v| Value::UInt(*v)));
            Ok(values.len())
        }
        fn read_stream(
            &mut self,
            _: &[u8],
            _: bool,
            _: usize,
        ) -> std::result::Result<usize, ParseError> {
            Ok(0)
        }
        fn rows(&self) -> usize {
            self.values.len()
        }
        fn bytes(&self) -> usize {
            self.values.len() * 8
        }
        fn take(&mut self) -> Result<ParsedRows> {
            let values = std::mem::take(&mut self.values);
            let column = Column::from_values(DataType::UInt64, &values)?;
            Ok(ParsedRows { columns: vec![column], present: vec![None], rows: values.len() })
        }
    }

    struct Sent<'a>(i32, i64, Option<&'a [u8]>);

    impl IncomingMessage for Sent<'_> {
        fn kafka_partition(&self) -> i32 {
            self.0
        }
        fn kafka_offset(&self) -> i64 {
            self.1
        }
        fn payload(&self) -> Option<&[u8]> {
            self.2
        }
        fn key(&self) -> Option<&[u8]> {
            Some(b"k")
        }
        fn timestamp_ms(&self) -> Option<i64> {
            Some(1_700_000_000_123)
        }
        fn each_header(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
            each(b"h", b"v");
        }
    }

    fn builder(error_mode: ErrorMode, skip: u64) -> BlockBuilder {
        let columns = vec![("n".to_string(), DataType::UInt64)];
        let virtuals = virtual_columns::all(error_mode == ErrorMode::Stream, &columns);
        let options = BuilderOptions {
            columns,
            virtuals: VirtualBuilder::new(virtuals, "t"),
            error_mode,
            skip_broken_messages: skip,
            skip_bytes: 0,
            format: "JSONEachRow".into(),
        };
        BlockBuilder::new(Box::new(Lines::default()), options)
    }

    fn cell(block: &Block, column: &str, row: usize) -> Value {
        block.column(column).unwrap().value(row)
    }

    #[test]
    fn rows_and_ranges_of_several_partitions() {
        let mut b = builder(ErrorMode::Default, 0);
        let topic: Arc<str> = "t".into();
        let now = Duration::from_secs(1);
        b.append(&topic, Some(10), &Sent(0, 10, Some(b"1\n2")), now).unwrap();
        b.append(&topic, None, &Sent(1, 0, Some(b"3")), now).unwrap();
        b.append(&topic, Some(10), &Sent(0, 11, None), now).unwrap();
        b.append(&topic, Some(10), &Sent(0, 15, Some(b"")), now).unwrap();
        assert_eq!(b.age(Duration::from_secs(3)), Some(Duration::from_secs(2)));
        let built = b.take().unwrap();
        assert_eq!(built.block.rows(), 3);
        assert_eq!(built.messages, 4);
        let ranges: Vec<_> =
            built.offsets.iter().map(|r| (r.kafka_partition, r.expected, r.next)).collect();
        assert_eq!(ranges, [(0, Some(10), 16), (1, None, 1)]);
        assert_eq!(cell(&built.block, "_offset", 1), Value::UInt(10));
        assert_eq!(cell(&built.block, "_partition", 2), Value::UInt(1));
        assert_eq!(cell(&built.block, "_timestamp", 0), Value::UInt(1_700_000_000));
        assert_eq!(cell(&built.block, "_timestamp_ms", 0), Value::Int(1_700_000_000_123));
        assert_eq!(cell(&built.block, "_topic", 0), Value::string("t"));
        assert_eq!(cell(&built.block, "_key", 2), Value::string("k"));
        assert_eq!(cell(&built.block, "_headers.name", 2), Value::Array(vec![Value::string("h")]));
        assert!(b.is_empty() && b.age(now).is_none());
    }

    #[test]
    fn a_broken_message_stops_or_passes() {
        let topic: Arc<str> = "t".into();
        let now = Duration::ZERO;
        let (good, bad) = (Sent(0, 0, Some(b"1")), Sent(0, 1, Some(b"x")));
        let mut stop = builder(ErrorMode::Default, 0);
        stop.append(&topic, None, &good, now).unwrap();
        assert_eq!(stop.append(&topic, None, &bad, now).unwrap_err().code, 72);
        assert_eq!(stop.take().unwrap().offsets[0].next, 1, "the broken one is not consumed");

        let mut skip = builder(ErrorMode::Default, 1);
        skip.append(&topic, None, &bad, now).unwrap();
        assert!(skip.append(&topic, None, &Sent(0, 2, Some(b"y")), now).is_err(), "one a block");
        assert_eq!(skip.take().unwrap().skipped, 1);

        let mut stream = builder(ErrorMode::Stream, 0);
        stream.append(&topic, None, &bad, now).unwrap();
        stream.append(&topic, None, &Sent(0, 2, Some(b"7")), now).unwrap();
        let built = stream.take().unwrap();
        assert_eq!(built.block.rows(), 2);
        assert_eq!(cell(&built.block, "n", 0), Value::UInt(7));
        assert_eq!(cell(&built.block, "_error", 0), Value::string(""));
        assert_eq!(cell(&built.block, "n", 1), Value::UInt(0));
        assert_eq!(cell(&built.block, "_error", 1), Value::string("not a number"));
        assert_eq!(cell(&built.block, "_raw_message", 1), Value::string("x"));
        assert_eq!(cell(&built.block, "_offset", 1), Value::UInt(1));
    }

    #[test]
    fn dead_letters_and_kept_messages() {
        let topic: Arc<str> = "t".into();
        let now = Duration::ZERO;
        let mut b = builder(ErrorMode::DeadLetter, 0);
        b.keep_messages(true);
        b.append(&topic, None, &Sent(0, 0, Some(b"1\n2")), now).unwrap();
        b.append(&topic, None, &Sent(0, 1, Some(b"x")), now).unwrap();
        b.append(&topic, None, &Sent(0, 2, Some(b"3")), now).unwrap();
        let built = b.take().unwrap();
        assert_eq!((built.block.rows(), built.offsets[0].next), (3, 3));
        assert_eq!(built.letters.len(), 1);
        assert_eq!((built.letters[0].kafka_offset, &built.letters[0].raw[..]), (1, &b"x"[..]));
        assert_eq!(built.letters[0].error, "not a number");
        let rows: Vec<_> = built.kept.iter().map(|k| k.rows.clone()).collect();
        assert_eq!(rows, [0..2, 2..2, 2..3]);

        let mut stream = builder(ErrorMode::Stream, 0);
        stream.keep_messages(true);
        stream.append(&topic, None, &Sent(0, 0, Some(b"x")), now).unwrap();
        stream.append(&topic, None, &Sent(0, 1, Some(b"7")), now).unwrap();
        let rows: Vec<_> = stream.take().unwrap().kept.iter().map(|k| k.rows.clone()).collect();
        assert_eq!(rows, [1..2, 0..1], "error rows come behind the good ones");
    }

    #[test]
    fn flush_reasons() {
        let limits = FlushLimits { rows: 10, bytes: 100, age: Duration::from_millis(500) };
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(limits.reason(0, 0, None), None);
        assert_eq!(limits.reason(9, 99, ms(499)), None);
        assert_eq!(limits.reason(10, 0, ms(0)), Some(FlushReason::Full));
        assert_eq!(limits.reason(1, 100, ms(0)), Some(FlushReason::Full));
        assert_eq!(limits.reason(1, 1, ms(500)), Some(FlushReason::Age));
    }
}
