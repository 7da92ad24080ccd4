//! The virtual columns of a Kafka table: `_topic`, `_key`, `_offset`, … built only if a view asks.
//!
//! A message yields many rows or none, so what is remembered is one run per message; arrays are made
//! when the block is taken. Rows of broken messages (stream mode) come behind all good rows.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::{Array, ArrayRef, Int64Array, ListArray, UInt32Array, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;

use pumphouse_query::catalog::SourceColumn;
use pumphouse_storage::{Column, DataType};

use crate::block_builder::IncomingMessage;

/// One virtual column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Virtual {
    Topic,
    Key,
    Offset,
    Partition,
    Timestamp,
    TimestampMs,
    HeadersName,
    HeadersValue,
    Table,
    RawMessage,
    Error,
    /// Of a FileLog table: the name of the file.
    Filename,
}

use Virtual::*;

const ALL: [Virtual; 11] = [
    Topic,
    Key,
    Offset,
    Partition,
    Timestamp,
    TimestampMs,
    HeadersName,
    HeadersValue,
    Table,
    RawMessage,
    Error,
];

impl Virtual {
    pub fn name(self) -> &'static str {
        match self {
            Topic => "_topic",
            Key => "_key",
            Offset => "_offset",
            Partition => "_partition",
            Timestamp => "_timestamp",
            TimestampMs => "_timestamp_ms",
            HeadersName => "_headers.name",
            HeadersValue => "_headers.value",
            Table => "_table",
            RawMessage => "_raw_message",
            Error => "_error",
            Filename => "_filename",
        }
    }

    pub fn data_type(self) -> DataType {
        match self {
            Topic | Table | Filename => DataType::LowCardinality(Box::new(DataType::String)),
            Key | RawMessage | Error => DataType::String,
            Offset | Partition => DataType::UInt64,
            Timestamp => DataType::nullable(DataType::DateTime(None)),
            TimestampMs => DataType::nullable(DataType::DateTime64(3, None)),
            HeadersName | HeadersValue => DataType::array(DataType::String),
        }
    }
}

/// The virtual columns that a table has; `_raw_message` and `_error` only in stream mode, and none
/// that the table declares itself.
pub fn all(stream_mode: bool, declared: &[(String, DataType)]) -> Vec<Virtual> {
    ALL.into_iter()
        .filter(|v| stream_mode || !matches!(v, RawMessage | Error))
        .filter(|v| declared.iter().all(|(name, _)| name != v.name()))
        .collect()
}

/// The virtual columns of a FileLog table, by the same rules.
pub fn of_files(stream_mode: bool, declared: &[(String, DataType)]) -> Vec<Virtual> {
    [Filename, Offset, RawMessage, Error]
        .into_iter()
        .filter(|v| stream_mode || !matches!(v, RawMessage | Error))
        .filter(|v| declared.iter().all(|(name, _)| name != v.name()))
        .collect()
}

/// As hidden columns of the table that views read from.
pub fn source_columns(columns: &[Virtual]) -> Vec<SourceColumn> {
    let hidden =
        |v: &Virtual| SourceColumn { hidden: true, ..SourceColumn::plain(v.name(), v.data_type()) };
    columns.iter().map(hidden).collect()
}

/// Those of `columns` that any of these queries may use: judged by the text, so perhaps too many.
pub fn used_by<'a>(columns: &[Virtual], queries: impl Iterator<Item = &'a str>) -> Vec<Virtual> {
    let texts: Vec<&str> = queries.collect();
    let used = |v: &Virtual| texts.iter().any(|text| may_use(text, v.name()));
    columns.iter().copied().filter(used).collect()
}

/// Whether a query of this text may use the virtual column `name`: it stands there as a word.
pub fn may_use(text: &str, name: &str) -> bool {
    // `_headers.name` may be written in pieces: `_headers`.`name`.
    let stem = name.split('.').next().unwrap_or(name);
    let in_word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    text.match_indices(stem).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|i| text.as_bytes().get(i));
        !in_word(before) && !in_word(text.as_bytes().get(at + stem.len()))
    })
}

/// One message's rows.
struct Run {
    rows: u32,
    topic: u32,
    kafka_partition: i32,
    kafka_offset: i64,
    timestamp_ms: Option<i64>,
}

/// Remembers what the wanted columns need, message by message.
pub struct VirtualBuilder {
    wanted: Vec<Virtual>,
    table: String,
    /// Whether runs are needed at all.
    by_message: bool,
    keys: bool,
    headers: bool,
    topics: Vec<Arc<str>>,
    good: Messages,
    broken: Messages,
    /// Raw bytes and error text of the broken messages.
    raw: Vec<(Vec<u8>, String)>,
}

#[derive(Default)]
struct Messages {
    runs: Vec<Run>,
    keys: Vec<Vec<u8>>,
    headers: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
    bytes: usize,
}

impl VirtualBuilder {
    pub fn new(wanted: Vec<Virtual>, table: &str) -> VirtualBuilder {
        VirtualBuilder {
            by_message: wanted.iter().any(|v| *v != Table),
            keys: wanted.contains(&Key),
            headers: wanted.contains(&HeadersName) || wanted.contains(&HeadersValue),
            wanted,
            table: table.to_string(),
            topics: vec![],
            good: Messages::default(),
            broken: Messages::default(),
            raw: vec![],
        }
    }

    /// Bytes held, roughly.
    pub fn bytes(&self) -> usize {
        self.good.bytes + self.broken.bytes
    }

    /// The last message gave `rows` rows.
    #[inline]
    pub fn message<M: IncomingMessage>(&mut self, rows: usize, topic: &Arc<str>, message: &M) {
        if self.by_message && rows > 0 {
            let run = self.run(rows, topic, message);
            Self::remember(&mut self.good, self.keys, self.headers, run, message);
        }
    }

    /// A broken message: one row.
    pub fn broken<M: IncomingMessage>(&mut self, topic: &Arc<str>, message: &M, error: String) {
        let run = self.run(1, topic, message);
        let raw = message.payload().unwrap_or_default().to_vec();
        self.broken.bytes += raw.len() + error.len();
        self.raw.push((raw, error));
        Self::remember(&mut self.broken, self.keys, self.headers, run, message);
    }

    pub fn broken_rows(&self) -> usize {
        self.broken.runs.len()
    }

    fn run<M: IncomingMessage>(&mut self, rows: usize, topic: &Arc<str>, message: &M) -> Run {
        let at = match self.topics.iter().position(|t| Arc::ptr_eq(t, topic) || t == topic) {
            Some(at) => at,
            None => {
                self.topics.push(topic.clone());
                self.topics.len() - 1
            }
        };
        Run {
            rows: rows as u32,
            topic: at as u32,
            kafka_partition: message.kafka_partition(),
            kafka_offset: message.kafka_offset(),
            timestamp_ms: message.timestamp_ms(),
        }
    }

    fn remember<M: IncomingMessage>(
        to: &mut Messages,
        keys: bool,
        headers: bool,
        run: Run,
        message: &M,
    ) {
        to.bytes += size_of::<Run>() + run.rows as usize * 16;
        to.runs.push(run);
        if keys {
            let key = message.key().unwrap_or_default().to_vec();
            to.bytes += key.len() + 24;
            to.keys.push(key);
        }
        if headers {
            let mut list = vec![];
            message.each_header(&mut |name, value| list.push((name.to_vec(), value.to_vec())));
            to.bytes += list.iter().map(|(n, v)| n.len() + v.len() + 48).sum::<usize>();
            to.headers.push(list);
        }
    }

    /// The wanted columns over `good_rows` rows and those of broken messages behind them.
    pub fn take(&mut self, good_rows: usize) -> Vec<(String, Column)> {
        let columns = self
            .wanted
            .iter()
            .map(|v| (v.name().to_string(), Column::new(v.data_type(), self.array(*v, good_rows))))
            .collect();
        self.good = Messages::default();
        self.broken = Messages::default();
        self.raw.clear();
        self.topics.clear();
        columns
    }

    fn array(&self, column: Virtual, good_rows: usize) -> ArrayRef {
        match column {
            Topic | Filename => self.texts(|_, run| self.topics[run.topic as usize].as_bytes()),
            Key => self.texts(|(messages, i), _| &messages.keys[i]),
            Offset => {
                Arc::new(UInt64Array::from_iter_values(self.each(|_, run| run.kafka_offset as u64)))
            }
            Partition => Arc::new(UInt64Array::from_iter_values(
                self.each(|_, run| run.kafka_partition as u64),
            )),
            Timestamp => Arc::new(UInt32Array::from_iter(self.each(|_, run| {
                run.timestamp_ms.map(|ms| (ms.div_euclid(1000)).clamp(0, u32::MAX as i64) as u32)
            }))),
            TimestampMs => Arc::new(Int64Array::from_iter(self.each(|_, run| run.timestamp_ms))),
            HeadersName => self.header_lists(|h| &h.0),
            HeadersValue => self.header_lists(|h| &h.1),
            Table => {
                let rows = good_rows + self.broken_rows();
                let mut builder = BinaryBuilder::with_capacity(rows, rows * self.table.len());
                (0..rows).for_each(|_| builder.append_value(self.table.as_bytes()));
                Arc::new(builder.finish())
            }
            RawMessage => self.of_broken(good_rows, |(raw, _)| raw),
            Error => self.of_broken(good_rows, |(_, error)| error.as_bytes()),
        }
    }

    /// One value per row, in row order.
    fn each<'a, T: Clone + 'a>(
        &'a self,
        value: impl Fn((&'a Messages, usize), &'a Run) -> T + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        [&self.good, &self.broken]
            .into_iter()
            .flat_map(|m| m.runs.iter().enumerate().map(move |(i, run)| (m, i, run)))
            .flat_map(move |(m, i, run)| std::iter::repeat_n(value((m, i), run), run.rows as usize))
    }

    fn texts<'a>(
        &'a self,
        value: impl Fn((&'a Messages, usize), &'a Run) -> &'a [u8] + 'a,
    ) -> ArrayRef {
        let mut builder = BinaryBuilder::new();
        self.each(value).for_each(|text| builder.append_value(text));
        Arc::new(builder.finish())
    }

    fn header_lists(&self, part: fn(&(Vec<u8>, Vec<u8>)) -> &Vec<u8>) -> ArrayRef {
        let mut values = BinaryBuilder::new();
        let mut lengths = vec![];
        for headers in self.each(|(m, i), _| &m.headers[i]) {
            headers.iter().for_each(|h| values.append_value(part(h)));
            lengths.push(headers.len());
        }
        let ArrowType::List(field) = DataType::array(DataType::String).arrow() else {
            unreachable!("an array lies as a list")
        };
        let offsets = OffsetBuffer::from_lengths(lengths);
        Arc::new(ListArray::new(field, offsets, Arc::new(values.finish()), None))
    }

    fn of_broken(&self, good_rows: usize, part: fn(&(Vec<u8>, String)) -> &[u8]) -> ArrayRef {
        let mut builder = BinaryBuilder::new();
        (0..good_rows).for_each(|_| builder.append_value([]));
        self.raw.iter().for_each(|r| builder.append_value(part(r)));
        let array = builder.finish();
        debug_assert_eq!(array.len(), good_rows + self.broken_rows());
        Arc::new(array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_judged_by_the_text() {
        let columns = all(false, &[("_key".into(), DataType::String)]);
        assert!(!columns.contains(&Key) && !columns.contains(&Error));
        let used = used_by(&columns, ["SELECT a, _topic, _headers.name FROM t"].into_iter());
        assert_eq!(used, [Topic, HeadersName, HeadersValue]);
        let others = ["SELECT *, my_offset, _topics, `x_table` FROM t"];
        assert!(used_by(&columns, others.into_iter()).is_empty());
        assert!(may_use("SELECT `_offset`+1", "_offset") && may_use("t._offset", "_offset"));
    }
}
