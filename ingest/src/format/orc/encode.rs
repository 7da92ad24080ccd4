//! Our columns as the streams of a stripe.
//!
//! A column gathers its plain values until the stripe is written; then they are encoded and compressed one
//! stream after the other. Only rows with a value are in the streams; a column without NULL has no stream of
//! presence. Texts go into a dictionary where few of them differ and the setting allows it.

use std::collections::HashMap;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_buffer::i256;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::run_time;
use pumphouse_query::text::calendar::{SECONDS_PER_DAY, days_from_civil, local_to_utc};
use pumphouse_storage::DataType;
use pumphouse_storage::types::TimeZone;

use super::bytes::{write_bits, write_bytes};
use super::directory::{Content, Kind, Type};
use super::pack_integers;
use super::packing::Packing;
use super::wire::{Message, put_varint, zigzag};

const NANOS: i64 = 1_000_000_000;

/// What a writer's columns are told.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Most different texts in a row of texts, as a share, that make a dictionary; 0: none.
    pub dictionary_share: f64,
    /// Where wall clocks are meant to stand.
    pub zone: TimeZone,
}

/// One column, and those below it behind it.
pub struct Column {
    id: usize,
    kind: Kind,
    children: Vec<Column>,
    rows: u64,
    present: Vec<bool>,
    has_null: bool,
    /// Numbers, seconds, or lengths.
    numbers: Vec<i64>,
    /// Nanoseconds, or scales.
    seconds: Vec<i64>,
    /// Bytes of texts, floats and decimals; bits and small numbers one a byte.
    bytes: Vec<u8>,
    total: Statistics,
}

/// What is known of a column's values.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    values: u64,
    has_null: bool,
    range: Option<(i64, i64)>,
}

impl Statistics {
    fn join(&mut self, other: &Statistics) {
        self.values += other.values;
        self.has_null |= other.has_null;
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (a, b) => a.or(b),
        };
    }

    fn message(&self, kind: Kind) -> Message {
        let mut m = Message::default();
        m.number(1, self.values);
        if let Some((low, high)) = self.range {
            let mut range = Message::default();
            range.number(1, zigzag(low)).number(2, zigzag(high));
            m.bytes(if kind == Kind::Date { 7 } else { 2 }, &range.0);
        }
        m.number(10, self.has_null as u64);
        m
    }
}

/// A stripe's streams as they are written: content, column, and bytes.
pub struct Streams<'a> {
    pub packing: Packing,
    pub out: &'a mut Vec<u8>,
    /// The streams' and the encodings' lines in the stripe's footer.
    pub footer: Message,
    pub statistics: Vec<Message>,
}

impl Streams<'_> {
    fn add(&mut self, id: usize, content: Content, plain: &[u8]) -> Result<()> {
        let length = self
            .packing
            .pack(plain, self.out)
            .map_err(|e| Error::new(codes::INCORRECT_DATA, format!("orc: cannot compress: {e}")))?;
        let mut m = Message::default();
        m.number(1, content as u64).number(2, id as u64).number(3, length as u64);
        self.footer.bytes(1, &m.0);
        Ok(())
    }
}

impl Column {
    pub fn new(types: &[Type], id: usize) -> Column {
        Column {
            id,
            kind: types[id].kind,
            children: types[id].children.iter().map(|c| Column::new(types, *c)).collect(),
            rows: 0,
            present: vec![],
            has_null: false,
            numbers: vec![],
            seconds: vec![],
            bytes: vec![],
            total: Statistics::default(),
        }
    }

    /// Bytes that wait for the stripe.
    pub fn waiting(&self) -> usize {
        let own = self.numbers.len() * 8 + self.seconds.len() * 8 + self.bytes.len();
        own + self.present.len() + self.children.iter().map(Column::waiting).sum::<usize>()
    }

    /// Rows of a struct, which are those of its children.
    pub fn rows_mut(&mut self) -> (&mut u64, &mut [Column]) {
        (&mut self.rows, &mut self.children)
    }

    /// Appends a column's rows.
    pub fn push(&mut self, data_type: &DataType, array: &dyn Array, rules: &Rules) -> Result<()> {
        use DataType as T;
        self.rows += array.len() as u64;
        if array.null_count() > 0 {
            self.has_null = true;
        }
        self.present.extend((0..array.len()).map(|i| array.is_valid(i)));
        macro_rules! each {
            ($t:ty, $into:expr) => {{
                let array = array.as_primitive::<$t>();
                match array.null_count() {
                    0 => array.values().iter().copied().for_each($into),
                    _ => array.iter().flatten().for_each($into),
                }
            }};
        }
        macro_rules! floats {
            ($t:ty) => {
                each!($t, |v| self.bytes.extend_from_slice(&v.to_le_bytes()))
            };
        }
        match data_type.inner() {
            T::Bool | T::UInt8 => each!(UInt8Type, |v| self.bytes.push(v)),
            T::Int8 | T::Enum8(_) => each!(Int8Type, |v| self.bytes.push(v as u8)),
            T::UInt16 if self.kind == Kind::Short => {
                each!(UInt16Type, |v| self.numbers.push(v as i16 as i64))
            }
            T::Date => each!(UInt16Type, |v| self.numbers.push(v as i64)),
            T::Int16 | T::Enum16(_) => each!(Int16Type, |v| self.numbers.push(v as i64)),
            T::UInt32 | T::Ipv4 => each!(UInt32Type, |v| self.numbers.push(v as i32 as i64)),
            T::Int32 | T::Date32 => each!(Int32Type, |v| self.numbers.push(v as i64)),
            T::UInt64 => each!(UInt64Type, |v| self.numbers.push(v as i64)),
            T::Int64 => each!(Int64Type, |v| self.numbers.push(v)),
            T::Float32 => floats!(Float32Type),
            T::Float64 => floats!(Float64Type),
            T::DateTime(_) => each!(UInt32Type, |v| self.time(v as i64, 0, rules.zone)),
            T::DateTime64(precision, _) => {
                let scale = 10i64.pow((*precision).min(9) as u32);
                each!(Int64Type, |v| {
                    self.time(v / scale, v % scale * (NANOS / scale), rules.zone)
                })
            }
            T::Decimal { precision, scale } => self.decimals(array, *precision, *scale),
            T::UInt128 | T::Int128 => each!(Decimal128Type, |v: i128| self.text(&v.to_le_bytes())),
            T::UInt256 | T::Int256 => each!(Decimal256Type, |v: i256| self.text(&v.to_le_bytes())),
            T::String => array.as_binary::<i32>().iter().flatten().for_each(|t| self.text(t)),
            T::FixedString(_) | T::Ipv6 => {
                array.as_fixed_size_binary().iter().flatten().for_each(|t| self.text(t))
            }
            T::Variant(types) => self.variant(types, data_type, array, rules)?,
            T::Array(_) | T::Map(..) => return self.lists(data_type.inner(), array, rules),
            T::Tuple(elements) => {
                let columns = array.as_struct().columns();
                for ((child, element), column) in
                    self.children.iter_mut().zip(elements).zip(columns)
                {
                    child.push(&element.data_type, column.as_ref(), rules)?;
                }
            }
            other => {
                let message = format!("Type {other} is not supported for ORC output format.");
                return Err(Error::new(44, message));
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.numbers.push(text.len() as i64);
    }

    /// Seconds count from 2015 in the writer's zone; nanoseconds have their sign, as in ORC's C++ library.
    fn time(&mut self, second: i64, nanos: i64, zone: TimeZone) {
        let epoch = days_from_civil(2015, 1, 1) as i64 * SECONDS_PER_DAY;
        self.numbers.push(second - local_to_utc(zone, epoch));
        self.seconds.push(packed_nanos(nanos));
    }

    fn decimals(&mut self, array: &dyn Array, precision: u8, scale: u8) {
        let mut put = |v: i128| {
            put_wide_varint(v, &mut self.bytes);
            self.seconds.push(scale as i64);
        };
        match precision {
            0..=9 => {
                array.as_primitive::<Int32Type>().iter().flatten().for_each(|v| put(v as i128))
            }
            10..=18 => {
                array.as_primitive::<Int64Type>().iter().flatten().for_each(|v| put(v as i128))
            }
            19..=38 => array.as_primitive::<Decimal128Type>().iter().flatten().for_each(put),
            _ => {
                let values = array.as_primitive::<Decimal256Type>();
                values.iter().flatten().for_each(|v| self.text(&v.to_le_bytes()));
            }
        }
    }

    fn lists(&mut self, data_type: &DataType, array: &dyn Array, rules: &Rules) -> Result<()> {
        let list = array.as_list::<i32>();
        let offsets = list.value_offsets();
        self.numbers.extend(offsets.windows(2).map(|w| (w[1] - w[0]) as i64));
        let (from, to) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
        let items = list.values().slice(from, to - from);
        match data_type {
            DataType::Array(item) => self.children[0].push(item, items.as_ref(), rules),
            DataType::Map(key, value) => {
                let entries = items.as_struct();
                self.children[0].push(key, entries.column(0).as_ref(), rules)?;
                self.children[1].push(value, entries.column(1).as_ref(), rules)
            }
            _ => Ok(()),
        }
    }

    fn variant(
        &mut self,
        types: &[DataType],
        data_type: &DataType,
        array: &dyn Array,
        rules: &Rules,
    ) -> Result<()> {
        let column = pumphouse_storage::Column::new(data_type.clone(), array.slice(0, array.len()));
        // Values begin with the number of their alternative.
        let tags = array.as_binary::<i32>().iter().flatten().filter_map(|b| b.first().copied());
        self.bytes.extend(tags);
        for group in run_time::groups(&column)? {
            let Some(at) = types.iter().position(|t| *t == group.data_type) else { continue };
            let values = run_time::values_of(&column, &group)?;
            self.children[at].push(&values.data_type, values.array.as_ref(), rules)?;
        }
        Ok(())
    }

    /// Writes what was gathered and starts anew.
    pub fn flush(&mut self, rules: &Rules, streams: &mut Streams<'_>) -> Result<()> {
        self.note_statistics(streams);
        if self.has_null {
            let mut plain = vec![];
            write_bits(self.present.iter().copied(), &mut plain);
            streams.add(self.id, Content::Present, &plain)?;
        }
        let mut encoding = Message::default();
        match self.kind {
            Kind::Boolean => {
                let mut plain = vec![];
                write_bits(self.bytes.iter().map(|b| *b != 0), &mut plain);
                streams.add(self.id, Content::Data, &plain)?;
                encoding.number(1, 0);
            }
            Kind::Byte | Kind::Union => {
                let mut plain = vec![];
                write_bytes(&self.bytes, &mut plain);
                streams.add(self.id, Content::Data, &plain)?;
                encoding.number(1, 0);
            }
            Kind::Float | Kind::Double => {
                streams.add(self.id, Content::Data, &self.bytes)?;
                encoding.number(1, 0);
            }
            Kind::Struct => {
                encoding.number(1, 0);
            }
            Kind::String | Kind::Binary => self.flush_texts(rules, streams, &mut encoding)?,
            Kind::List | Kind::Map => {
                self.add_numbers(Content::Length, false, streams)?;
                encoding.number(1, 2);
            }
            Kind::Decimal => {
                streams.add(self.id, Content::Data, &self.bytes)?;
                self.add_seconds(true, streams)?;
                encoding.number(1, 2);
            }
            Kind::Timestamp | Kind::Instant => {
                self.add_numbers(Content::Data, true, streams)?;
                self.add_seconds(false, streams)?;
                encoding.number(1, 2);
            }
            _ => {
                self.add_numbers(Content::Data, true, streams)?;
                encoding.number(1, 2);
            }
        }
        streams.footer.bytes(2, &encoding.0);
        self.clear();
        self.children.iter_mut().try_for_each(|child| child.flush(rules, streams))
    }

    fn add_numbers(&self, content: Content, signed: bool, streams: &mut Streams<'_>) -> Result<()> {
        let mut plain = vec![];
        pack_integers::write(&self.numbers, signed, &mut plain);
        streams.add(self.id, content, &plain)
    }

    fn add_seconds(&self, signed: bool, streams: &mut Streams<'_>) -> Result<()> {
        let mut plain = vec![];
        pack_integers::write(&self.seconds, signed, &mut plain);
        streams.add(self.id, Content::Secondary, &plain)
    }

    fn flush_texts(
        &mut self,
        rules: &Rules,
        streams: &mut Streams<'_>,
        encoding: &mut Message,
    ) -> Result<()> {
        // Binaries have no dictionary.
        let share = if self.kind == Kind::String { rules.dictionary_share } else { 0.0 };
        let Some((texts, places)) = self.dictionary(share) else {
            streams.add(self.id, Content::Data, &self.bytes)?;
            self.add_numbers(Content::Length, false, streams)?;
            encoding.number(1, 2);
            return Ok(());
        };
        let lengths: Vec<i64> = texts.iter().map(|t| t.len() as i64).collect();
        let (mut data, mut packed) = (vec![], vec![]);
        pack_integers::write(&places, false, &mut data);
        pack_integers::write(&lengths, false, &mut packed);
        let dictionary = texts.concat();
        encoding.number(1, 3).number(2, lengths.len() as u64);
        streams.add(self.id, Content::Data, &data)?;
        streams.add(self.id, Content::Dictionary, &dictionary)?;
        streams.add(self.id, Content::Length, &packed)
    }

    /// The different texts in their order, and each row's place among them; None if they are too many.
    fn dictionary(&self, share: f64) -> Option<(Vec<&[u8]>, Vec<i64>)> {
        let most = (self.numbers.len() as f64 * share.min(1.0)) as usize;
        if most == 0 {
            return None;
        }
        let mut found: HashMap<&[u8], i64> = HashMap::new();
        let (mut places, mut at) = (Vec::with_capacity(self.numbers.len()), 0);
        for length in &self.numbers {
            let text = &self.bytes[at..at + *length as usize];
            at += *length as usize;
            let next = found.len() as i64;
            places.push(*found.entry(text).or_insert(next));
            if found.len() > most {
                return None;
            }
        }
        let mut texts: Vec<(&[u8], i64)> = found.into_iter().collect();
        texts.sort_unstable();
        let mut moved = vec![0; texts.len()];
        for (to, (_, from)) in texts.iter().enumerate() {
            moved[*from as usize] = to as i64;
        }
        places.iter_mut().for_each(|p| *p = moved[*p as usize]);
        Some((texts.into_iter().map(|(text, _)| text).collect(), places))
    }

    fn note_statistics(&mut self, streams: &mut Streams<'_>) {
        let nulls = match self.has_null {
            true => self.present.iter().filter(|p| !**p).count() as u64,
            false => 0,
        };
        let ranged = matches!(self.kind, Kind::Short | Kind::Int | Kind::Long | Kind::Date);
        let range = match ranged {
            true => self.numbers.iter().min().zip(self.numbers.iter().max()),
            false => None,
        };
        let range = range.map(|(low, high)| (*low, *high));
        let own = Statistics { values: self.rows - nulls, has_null: self.has_null, range };
        streams.statistics.push(own.message(self.kind));
        self.total.join(&own);
    }

    /// The statistics of all stripes, of this column and those below it.
    pub fn totals(&self, into: &mut Vec<Message>) {
        into.push(self.total.message(self.kind));
        self.children.iter().for_each(|child| child.totals(into));
    }

    fn clear(&mut self) {
        (self.rows, self.has_null) = (0, false);
        self.present.clear();
        self.numbers.clear();
        self.seconds.clear();
        self.bytes.clear();
    }
}

/// Nanoseconds without the zeros at their end; the low bits say how many.
fn packed_nanos(nanos: i64) -> i64 {
    if nanos == 0 || nanos % 100 != 0 {
        return nanos << 3;
    }
    let (mut digits, mut zeros) = (nanos / 100, 1);
    while digits % 10 == 0 && zeros < 7 {
        digits /= 10;
        zeros += 1;
    }
    digits << 3 | zeros
}

fn put_wide_varint(v: i128, out: &mut Vec<u8>) {
    let mut n = ((v << 1) ^ (v >> 127)) as u128;
    while n > u64::MAX as u128 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    put_varint(n as u64, out);
}
