//! The columns of a stripe as ours.
//!
//! A column's streams hold values only where its parent has one and it is not NULL itself; `Mask` says
//! which rows those are, and everything is spread over all rows at once. NULL in what cannot be NULL with
//! us (lists, maps, structs) is empty. A wanted type decides where ORC's says less than it: bytes may be an
//! Int128, an int an IPv4.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, FixedSizeBinaryArray, ListArray,
    PrimitiveArray, StructArray,
};
use arrow_buffer::{
    BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256,
};
use arrow_schema::DataType as ArrowType;
use pumphouse_query::context::QueryContext;
use pumphouse_query::functions::cast::cast_column;
use pumphouse_query::run_time;
use pumphouse_query::text::calendar::{SECONDS_PER_DAY, days_from_civil, local_to_utc, to_local};
use pumphouse_storage::types::{TimeZone, TupleElement};
use pumphouse_storage::{Column, DataType};

use super::budget::Budget;
use super::bytes::{read_bits, read_bytes};
use super::directory::{Content, Directory, Kind, StripeEnd};
use super::integers::{self, Version};
use super::types::{is_kind, plain, variant_of_types};
use super::wire::varint;
use super::{Read, bad};

/// VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
const OUT_OF_RANGE: u32 = 321;
const NANOS: i64 = 1_000_000_000;

/// A stripe being read.
pub struct Columns<'a> {
    pub file: &'a [u8],
    pub directory: &'a Directory,
    pub end: StripeEnd,
    pub budget: &'a mut Budget,
    /// Where wall clocks are meant to stand.
    pub zone: TimeZone,
}

/// Which rows have a value.
#[derive(Clone)]
pub struct Mask {
    rows: usize,
    valid: Option<NullBuffer>,
}

impl Mask {
    pub fn all(rows: usize) -> Mask {
        Mask { rows, valid: None }
    }

    fn count(&self) -> usize {
        self.rows - self.valid.as_ref().map_or(0, NullBuffer::null_count)
    }

    /// The values one a row, zeros where there is none.
    fn spread<T: Copy + Default>(&self, values: Vec<T>) -> Vec<T> {
        let Some(valid) = &self.valid else { return values };
        let mut values = values.into_iter();
        valid
            .iter()
            .map(|v| if v { values.next().unwrap_or_default() } else { T::default() })
            .collect()
    }

    /// The same rows less those whose next bit is not set.
    fn narrowed(&self, bits: Vec<u8>) -> Mask {
        let own = BooleanBuffer::new(Buffer::from_vec(bits), 0, self.count());
        if own.count_set_bits() == own.len() {
            return self.clone();
        }
        let valid = match &self.valid {
            None => own,
            Some(parent) => {
                let mut own = own.iter();
                let mut both = BooleanBufferBuilder::new(self.rows);
                parent.iter().for_each(|p| both.append(p && own.next().unwrap_or(false)));
                both.finish()
            }
        };
        Mask { rows: self.rows, valid: Some(NullBuffer::new(valid)) }
    }
}

fn layout(e: impl std::fmt::Display) -> crate::format::ParseError {
    bad(format!("values do not form a column: {e}"))
}

impl<'a> Columns<'a> {
    fn stream(&mut self, id: usize, content: Content) -> Read<Option<Cow<'a, [u8]>>> {
        let Some(place) = self.end.place(id, content) else { return Ok(None) };
        self.directory.packing.unpack(&self.file[place], self.budget).map(Some)
    }

    /// A stream that must be there if there are values.
    fn data(&mut self, id: usize, content: Content) -> Read<Cow<'a, [u8]>> {
        Ok(self.stream(id, content)?.unwrap_or_default())
    }

    /// Plain bytes of a stream are gone once it is decoded.
    fn drop_stream(&mut self, stream: Cow<'a, [u8]>) {
        if let Cow::Owned(bytes) = stream {
            self.budget.release(bytes.len());
        }
    }

    fn integers(
        &mut self,
        id: usize,
        content: Content,
        count: usize,
        signed: bool,
    ) -> Read<Vec<i64>> {
        let encoding = self.end.encodings.get(id).copied().unwrap_or_default();
        let version = if encoding.second_version { Version::Two } else { Version::One };
        let stream = self.data(id, content)?;
        let numbers = integers::read(&stream, count, signed, version)?;
        self.drop_stream(stream);
        Ok(numbers)
    }

    /// Column `id` for the rows of `parent`, and its type.
    pub fn column(
        &mut self,
        id: usize,
        parent: &Mask,
        hint: Option<&DataType>,
    ) -> Read<(DataType, ArrayRef)> {
        let directory = self.directory;
        let row_bytes = match directory.types[id].kind {
            Kind::Boolean | Kind::Byte | Kind::Struct => 1,
            Kind::Timestamp | Kind::Instant => 16,
            Kind::Decimal => 24,
            _ => 8,
        };
        self.budget.charge(parent.rows.saturating_mul(row_bytes))?;
        let mask = match self.stream(id, Content::Present)? {
            None => parent.clone(),
            Some(bits) => {
                let narrowed = parent.narrowed(read_bits(&bits, parent.count())?);
                self.drop_stream(bits);
                narrowed
            }
        };
        let hint = hint.map(DataType::inner);
        match directory.types[id].kind {
            Kind::List => self.list(id, &mask, hint),
            Kind::Map => self.map(id, &mask, hint),
            Kind::Struct => self.structure(id, &mask, hint),
            Kind::Union => self.union(id, &mask, hint),
            _ => {
                let (data_type, array) = self.values(id, &mask, hint)?;
                Ok((DataType::nullable(data_type), array))
            }
        }
    }

    fn values(
        &mut self,
        id: usize,
        mask: &Mask,
        hint: Option<&DataType>,
    ) -> Read<(DataType, ArrayRef)> {
        use DataType as T;
        let one = &self.directory.types[id];
        let data_type = plain(one)?;
        let count = mask.count();
        let array: ArrayRef = match one.kind {
            Kind::Boolean => {
                let stream = self.data(id, Content::Data)?;
                let bits = read_bits(&stream, count)?;
                self.drop_stream(stream);
                let values = (0..count).map(|i| bits[i / 8] >> (i % 8) & 1).collect();
                numbers::<UInt8Type>(values, mask)
            }
            Kind::Byte => {
                let stream = self.data(id, Content::Data)?;
                let bytes = read_bytes(&stream, count)?;
                self.drop_stream(stream);
                numbers::<Int8Type>(bytes.into_iter().map(|b| b as i8).collect(), mask)
            }
            Kind::Int if hint == Some(&T::Ipv4) => {
                let values = self.integers(id, Content::Data, count, true)?;
                let values = values.into_iter().map(|v| v as u32).collect();
                return Ok((T::Ipv4, numbers::<UInt32Type>(values, mask)));
            }
            Kind::Short | Kind::Int | Kind::Long => {
                let values = self.integers(id, Content::Data, count, true)?;
                match one.kind {
                    Kind::Short => {
                        numbers::<Int16Type>(values.into_iter().map(|v| v as i16).collect(), mask)
                    }
                    Kind::Int => {
                        numbers::<Int32Type>(values.into_iter().map(|v| v as i32).collect(), mask)
                    }
                    _ => numbers::<Int64Type>(values, mask),
                }
            }
            Kind::Float => {
                numbers::<Float32Type>(self.floats(id, count, f32::from_le_bytes)?, mask)
            }
            Kind::Double => {
                numbers::<Float64Type>(self.floats(id, count, f64::from_le_bytes)?, mask)
            }
            Kind::Date => {
                let values = self.integers(id, Content::Data, count, true)?;
                let values = values.into_iter().map(|v| v as i32).collect();
                numbers::<Int32Type>(values, mask)
            }
            Kind::Timestamp | Kind::Instant => {
                let (precision, zone) = match (hint, &data_type) {
                    (Some(T::DateTime64(p, zone)), _) => (*p, *zone),
                    (_, T::DateTime64(p, zone)) => (*p, *zone),
                    _ => (9, None),
                };
                let ticks = self.ticks(id, count, precision, one.kind == Kind::Instant)?;
                return Ok((T::DateTime64(precision, zone), numbers::<Int64Type>(ticks, mask)));
            }
            Kind::Decimal => self.decimals(id, mask, &data_type)?,
            _ => {
                let texts = self.texts(id, mask)?;
                let Some(wide) = hint.and_then(|hint| wide(hint, &texts)) else {
                    return Ok((data_type, Arc::new(texts)));
                };
                return wide;
            }
        };
        Ok((data_type, array))
    }

    fn floats<T, const N: usize>(
        &mut self,
        id: usize,
        count: usize,
        read: fn([u8; N]) -> T,
    ) -> Read<Vec<T>> {
        let bytes = count.saturating_mul(N);
        let stream = self.data(id, Content::Data)?;
        let taken = stream.get(..bytes).ok_or_else(|| bad("a stream of floats ends too early"))?;
        let values = taken.as_chunks::<N>().0.iter().map(|b| read(*b)).collect();
        self.drop_stream(stream);
        Ok(values)
    }

    /// Ticks of 10^-precision seconds since 1970.
    fn ticks(&mut self, id: usize, count: usize, precision: u8, instant: bool) -> Read<Vec<i64>> {
        let mut seconds = self.integers(id, Content::Data, count, true)?;
        let nanos = self.integers(id, Content::Secondary, count, false)?;
        let writer = match (instant, self.end.zone.as_str()) {
            (true, _) | (false, "" | "GMT" | "UTC") => TimeZone::UTC,
            (false, name) => {
                TimeZone::parse(name).ok_or_else(|| bad(format!("unknown time zone '{name}'")))?
            }
        };
        let reader = if instant { TimeZone::UTC } else { self.zone };
        let epoch = days_from_civil(2015, 1, 1) as i64 * SECONDS_PER_DAY;
        let epoch = local_to_utc(writer, epoch);
        let scale = 10i64.pow(precision.min(9) as u32);
        for (second, nanos) in seconds.iter_mut().zip(nanos) {
            let nanos = nanoseconds(nanos);
            let mut at = second.wrapping_add(epoch);
            if writer != reader {
                at = local_to_utc(reader, to_local(writer, at));
            }
            // Where the nanoseconds have no sign, the writer rounded seconds before 1970 towards it.
            if at < 0 && nanos > 999_999 {
                at = at.saturating_sub(1);
            }
            let ticks = at
                .checked_mul(scale)
                .and_then(|ticks| ticks.checked_add(nanos.div_euclid(NANOS / scale)))
                .ok_or_else(|| crate::format::ParseError {
                    code: OUT_OF_RANGE,
                    message: format!(
                        "orc: timestamp of {at} seconds is out of range of DateTime64({precision})"
                    ),
                })?;
            *second = ticks;
        }
        Ok(seconds)
    }

    fn decimals(&mut self, id: usize, mask: &Mask, data_type: &DataType) -> Read<ArrayRef> {
        let DataType::Decimal { precision, scale } = data_type else {
            return Err(bad("a decimal"));
        };
        let count = mask.count();
        let stream = self.data(id, Content::Data)?;
        let scales = self.integers(id, Content::Secondary, count, true)?;
        let (mut rest, mut values) = (&stream[..], vec![]);
        for own in scales {
            let value = wide_varint(&mut rest)?;
            values.push(rescaled(value, *scale as i64 - own)?);
        }
        self.drop_stream(stream);
        Ok(match precision {
            0..=9 => numbers::<Int32Type>(values.into_iter().map(|v| v as i32).collect(), mask),
            10..=18 => numbers::<Int64Type>(values.into_iter().map(|v| v as i64).collect(), mask),
            _ => {
                let values = ScalarBuffer::from(mask.spread(values));
                let array = PrimitiveArray::<Decimal128Type>::new(values, mask.valid.clone());
                Arc::new(array.with_data_type(data_type.arrow()))
            }
        })
    }

    fn texts(&mut self, id: usize, mask: &Mask) -> Read<BinaryArray> {
        let encoding = self.end.encodings.get(id).copied().unwrap_or_default();
        let (data, offsets) = match encoding.dictionary {
            true => self.dictionary_texts(id, mask, encoding.dictionary_size)?,
            false => {
                let lengths = self.integers(id, Content::Length, mask.count(), false)?;
                let data = self.data(id, Content::Data)?.into_owned();
                let offsets = offsets(&mask.spread(lengths))?;
                (data, offsets)
            }
        };
        let end = offsets.last().map_or(0, |end| *end as usize);
        if end > data.len() {
            return Err(bad("a stream of texts ends too early"));
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        BinaryArray::try_new(offsets, Buffer::from_vec(data), mask.valid.clone()).map_err(layout)
    }

    fn dictionary_texts(&mut self, id: usize, mask: &Mask, size: u64) -> Read<(Vec<u8>, Vec<i32>)> {
        let size = usize::try_from(size).map_err(|_| bad("a dictionary beyond all memory"))?;
        self.budget.charge(size.saturating_mul(8))?;
        let lengths = self.integers(id, Content::Length, size, false)?;
        let texts = self.data(id, Content::Dictionary)?;
        let ends = offsets(&lengths)?;
        if ends.last().is_some_and(|end| *end as usize > texts.len()) {
            return Err(bad("a dictionary ends too early"));
        }
        let places = self.integers(id, Content::Data, mask.count(), false)?;
        let (mut data, mut lengths) = (vec![], Vec::with_capacity(places.len()));
        for place in &places {
            let place = usize::try_from(*place).ok().filter(|p| *p < size);
            let place = place.ok_or_else(|| bad("a place lies outside of the dictionary"))?;
            let text = &texts[ends[place] as usize..ends[place + 1] as usize];
            self.budget.charge(text.len())?;
            data.extend_from_slice(text);
            lengths.push(text.len() as i64);
        }
        self.budget.release(size * 8);
        self.drop_stream(texts);
        Ok((data, offsets(&mask.spread(lengths))?))
    }

    /// Ends of lists, and the mask of their items.
    fn ends(&mut self, id: usize, mask: &Mask) -> Read<(OffsetBuffer<i32>, Mask)> {
        let lengths = self.integers(id, Content::Length, mask.count(), false)?;
        let offsets = offsets(&mask.spread(lengths))?;
        let items = offsets.last().map_or(0, |end| *end as usize);
        Ok((OffsetBuffer::new(ScalarBuffer::from(offsets)), Mask::all(items)))
    }

    fn list(
        &mut self,
        id: usize,
        mask: &Mask,
        hint: Option<&DataType>,
    ) -> Read<(DataType, ArrayRef)> {
        let hint = match hint {
            Some(DataType::Array(item)) => Some(&**item),
            _ => None,
        };
        let (offsets, items) = self.ends(id, mask)?;
        let (item, items) = self.column(self.directory.types[id].children[0], &items, hint)?;
        let data_type = DataType::array(item);
        let ArrowType::List(field) = data_type.arrow() else { return Err(bad("a list")) };
        let array = ListArray::try_new(field, offsets, items, None).map_err(layout)?;
        Ok((data_type, Arc::new(array)))
    }

    fn map(
        &mut self,
        id: usize,
        mask: &Mask,
        hint: Option<&DataType>,
    ) -> Read<(DataType, ArrayRef)> {
        let (key_hint, value_hint) = match hint {
            Some(DataType::Map(k, v)) => (Some(&**k), Some(&**v)),
            _ => (None, None),
        };
        let (offsets, items) = self.ends(id, mask)?;
        let [key, value] = self.directory.types[id].children[..] else { return Err(bad("a map")) };
        let (key, keys) = self.column(key, &items, key_hint)?;
        if keys.null_count() > 0 {
            return Err(bad("a map has NULL among its keys"));
        }
        let (value, values) = self.column(value, &items, value_hint)?;
        let data_type = DataType::Map(Box::new(key.without_nullable()), Box::new(value));
        let ArrowType::List(field) = data_type.arrow() else { return Err(bad("a map")) };
        let ArrowType::Struct(fields) = field.data_type().clone() else {
            return Err(bad("a map"));
        };
        let count = keys.len();
        let entries = StructArray::try_new_with_length(fields, vec![keys, values], None, count);
        let entries = Arc::new(entries.map_err(layout)?);
        let array = ListArray::try_new(field, offsets, entries, None).map_err(layout)?;
        Ok((data_type, Arc::new(array)))
    }

    /// A union is a Variant: each row says which child has its value.
    fn union(
        &mut self,
        id: usize,
        mask: &Mask,
        hint: Option<&DataType>,
    ) -> Read<(DataType, ArrayRef)> {
        let wanted = match hint {
            Some(DataType::Variant(types)) => types.as_slice(),
            _ => &[],
        };
        let children = &self.directory.types[id].children;
        let stream = self.data(id, Content::Data)?;
        let tags = read_bytes(&stream, mask.count())?;
        self.drop_stream(stream);
        let mut rows: Vec<Vec<u32>> = vec![vec![]; children.len()];
        let valid = (0..mask.rows).filter(|r| mask.valid.as_ref().is_none_or(|v| v.is_valid(*r)));
        for (row, tag) in valid.zip(&tags) {
            let own = rows.get_mut(*tag as usize);
            own.ok_or_else(|| bad("a union has no such child"))?.push(row as u32);
        }
        let mut columns = vec![];
        for (child, own) in children.iter().zip(&rows) {
            // Numbers without sign and short ones have no kind of their own.
            let kind = self.directory.types[*child].kind;
            let hint = wanted.iter().find(|t| is_kind(t, kind));
            let (data_type, array) = self.column(*child, &Mask::all(own.len()), hint)?;
            let column = Column::new(data_type, array);
            columns.push(match hint {
                None => column,
                Some(to) => {
                    let context = QueryContext::new("format", 0, 0);
                    let to = DataType::nullable(to.clone());
                    let to = if column.array.null_count() > 0 { to } else { to.without_nullable() };
                    cast_column(&column, &to, &context).map_err(bad)?
                }
            });
        }
        let types = columns.iter().map(|c| c.data_type.without_nullable()).collect();
        let data_type = variant_of_types(types)?;
        let failed = |e: pumphouse_query::Error| bad(e);
        let mut parts = vec![];
        for (column, own) in columns.iter().zip(rows) {
            // The same value may stand in many rows: its bytes are counted.
            self.budget.charge(column.memory_bytes())?;
            parts.push((own, run_time::wrap(column, &data_type).map_err(failed)?));
        }
        let array = run_time::scatter(&parts, &data_type, mask.rows).map_err(failed)?.array;
        Ok((data_type, array))
    }

    fn structure(
        &mut self,
        id: usize,
        mask: &Mask,
        hint: Option<&DataType>,
    ) -> Read<(DataType, ArrayRef)> {
        let one = &self.directory.types[id];
        let wanted = match hint {
            Some(DataType::Tuple(elements)) => elements.as_slice(),
            _ => &[],
        };
        let (mut elements, mut columns) = (vec![], vec![]);
        for (i, (child, name)) in one.children.iter().zip(&one.names).enumerate() {
            let named = wanted.iter().find(|e| e.name.as_ref() == Some(name));
            let hint = named.or(wanted.get(i).filter(|e| e.name.is_none()));
            let (data_type, column) = self.column(*child, mask, hint.map(|e| &e.data_type))?;
            elements.push(TupleElement { name: Some(name.clone()), data_type });
            columns.push(column);
        }
        let data_type = DataType::Tuple(elements);
        let ArrowType::Struct(fields) = data_type.arrow() else { return Err(bad("a struct")) };
        let array = StructArray::try_new_with_length(fields, columns, None, mask.rows);
        Ok((data_type, Arc::new(array.map_err(layout)?)))
    }
}

fn numbers<T: ArrowPrimitiveType>(values: Vec<T::Native>, mask: &Mask) -> ArrayRef {
    let values = ScalarBuffer::from(mask.spread(values));
    Arc::new(PrimitiveArray::<T>::new(values, mask.valid.clone()))
}

/// Lengths as ends, with a leading 0.
fn offsets(lengths: &[i64]) -> Read<Vec<i32>> {
    let mut ends = Vec::with_capacity(lengths.len() + 1);
    let mut end = 0i64;
    ends.push(0);
    for length in lengths {
        end = end
            .checked_add(*length)
            .filter(|e| *length >= 0 && *e <= i32::MAX as i64)
            .unwrap_or(-1);
        if end < 0 {
            return Err(bad("lists or texts of 2^31 items"));
        }
        ends.push(end as i32);
    }
    Ok(ends)
}

/// Nanoseconds, whose low bits say how many zeros were cut off. They have the sign of their seconds where
/// a C++ library wrote them.
fn nanoseconds(packed: i64) -> i64 {
    let digits = packed >> 3;
    let nanos = match packed & 7 {
        0 => digits,
        zeros => digits.wrapping_mul(10i64.pow(zeros as u32 + 1)),
    };
    nanos.clamp(1 - NANOS, NANOS - 1)
}

/// A signed number of up to 128 bits in groups of seven bits.
fn wide_varint(bytes: &mut &[u8]) -> Read<i128> {
    if bytes.first().is_some_and(|b| *b < 0x80) {
        let n = varint(bytes)?;
        return Ok((n >> 1) as i128 ^ -((n & 1) as i128));
    }
    let mut n = 0u128;
    for (i, b) in bytes.iter().take(19).enumerate() {
        n |= ((b & 0x7f) as u128) << (7 * i);
        if *b < 0x80 {
            *bytes = &bytes[i + 1..];
            return Ok((n >> 1) as i128 ^ -((n & 1) as i128));
        }
    }
    Err(bad("a decimal does not end"))
}

/// `value` with `by` more digits behind the point.
fn rescaled(value: i128, by: i64) -> Read<i128> {
    let factor = u32::try_from(by.unsigned_abs()).ok().and_then(|n| 10i128.checked_pow(n));
    let result = match (factor, by) {
        (Some(factor), 0..) => value.checked_mul(factor),
        (Some(factor), _) => Some(value / factor),
        (None, 0..) => None,
        (None, _) => Some(0),
    };
    result.ok_or_else(|| bad("a decimal has too many digits"))
}

/// Bytes as the wide numbers that `hint` wants, if all have its width.
fn wide(hint: &DataType, texts: &BinaryArray) -> Option<Read<(DataType, ArrayRef)>> {
    use DataType as T;
    let width = match hint {
        T::Ipv6 | T::Int128 | T::UInt128 => 16,
        T::Int256 | T::UInt256 | T::Decimal { precision: 39.., .. } => 32,
        _ => return None,
    };
    if texts.iter().flatten().any(|t| t.len() != width) {
        return None;
    }
    let nulls = texts.nulls().cloned();
    let array: ArrayRef = match hint {
        T::Ipv6 => {
            let data: Vec<u8> = texts.iter().flat_map(|t| fixed::<16>(t)).collect();
            match FixedSizeBinaryArray::try_new(16, data.into(), nulls) {
                Ok(array) => Arc::new(array),
                Err(e) => return Some(Err(layout(e))),
            }
        }
        T::Int128 | T::UInt128 => {
            let values: Vec<i128> = texts.iter().map(|t| i128::from_le_bytes(fixed(t))).collect();
            let array = PrimitiveArray::<Decimal128Type>::new(values.into(), nulls);
            Arc::new(array.with_data_type(hint.arrow()))
        }
        _ => {
            let values: Vec<i256> = texts.iter().map(|t| i256::from_le_bytes(fixed(t))).collect();
            let array = PrimitiveArray::<Decimal256Type>::new(values.into(), nulls);
            Arc::new(array.with_data_type(hint.arrow()))
        }
    };
    Some(Ok((hint.clone(), array)))
}

fn fixed<const N: usize>(text: Option<&[u8]>) -> [u8; N] {
    text.and_then(|t| t.first_chunk()).copied().unwrap_or([0; N])
}
