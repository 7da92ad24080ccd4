//! Sort keys as bytes whose order is the order asked for: any types, any number of keys, ascending or
//! descending, NULLs first or last, NaN beside the NULLs.
//!
//! Keys that fit into 64 or 128 bits become integers; others become byte strings that `memcmp`
//! orders. Equal keys have equal encodings, so window peers and WITH TIES use them too.

use std::cmp::Ordering;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use pumphouse_storage::run_time::object::Object;
use pumphouse_storage::run_time::{column_of, open, open_dynamic};
use pumphouse_storage::{Column, DataType};

use super::row_codec::{Encoder, Shape};

/// How one key is ordered.
#[derive(Debug, Clone)]
pub(crate) struct KeyOrder {
    pub data_type: DataType,
    pub descending: bool,
    pub nulls_first: bool,
}

/// Kinds of fixed numbers, by how their bits become ordered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Unsigned,
    Signed,
    Float,
}

/// Encoded keys of the rows of one block.
pub(crate) enum SortKeys {
    U64(Vec<u64>),
    U128(Vec<u128>),
    Bytes { data: Vec<u8>, ends: Vec<usize> },
}

impl SortKeys {
    pub fn compare(&self, a: usize, other: &SortKeys, b: usize) -> Ordering {
        match (self, other) {
            (SortKeys::U64(x), SortKeys::U64(y)) => x[a].cmp(&y[b]),
            (SortKeys::U128(x), SortKeys::U128(y)) => x[a].cmp(&y[b]),
            _ => self.bytes(a).cmp(other.bytes(b)),
        }
    }

    /// Rows whose key is smaller than the single key in `bound`.
    pub fn rows_below(&self, bound: &SortKeys) -> Vec<u32> {
        let rows = 0..self.len() as u32;
        match (self, bound) {
            (SortKeys::U64(keys), SortKeys::U64(bound)) => {
                let bound = bound[0];
                rows.filter(|r| keys[*r as usize] < bound).collect()
            }
            _ => rows.filter(|r| self.compare(*r as usize, bound, 0).is_lt()).collect(),
        }
    }

    fn bytes(&self, i: usize) -> &[u8] {
        match self {
            SortKeys::Bytes { data, ends } => &data[if i == 0 { 0 } else { ends[i - 1] }..ends[i]],
            _ => &[],
        }
    }

    /// Keys of no rows, of the same kind.
    pub fn empty_like(&self) -> SortKeys {
        match self {
            SortKeys::U64(_) => SortKeys::U64(vec![]),
            SortKeys::U128(_) => SortKeys::U128(vec![]),
            SortKeys::Bytes { .. } => SortKeys::Bytes { data: vec![], ends: vec![] },
        }
    }

    /// Appends keys `rows` of `other`, which is of the same kind.
    pub fn append(&mut self, other: &SortKeys, rows: impl Iterator<Item = usize>) {
        match (self, other) {
            (SortKeys::U64(mine), SortKeys::U64(theirs)) => mine.extend(rows.map(|r| theirs[r])),
            (SortKeys::U128(mine), SortKeys::U128(theirs)) => mine.extend(rows.map(|r| theirs[r])),
            (SortKeys::Bytes { data, ends }, theirs) => {
                for row in rows {
                    data.extend_from_slice(theirs.bytes(row));
                    ends.push(data.len());
                }
            }
            _ => {}
        }
    }

    /// Appends key `i` as bytes that compare as the keys do.
    pub fn write(&self, i: usize, out: &mut Vec<u8>) {
        match self {
            SortKeys::U64(v) => out.extend_from_slice(&v[i].to_be_bytes()),
            SortKeys::U128(v) => out.extend_from_slice(&v[i].to_be_bytes()),
            SortKeys::Bytes { .. } => out.extend_from_slice(self.bytes(i)),
        }
    }

    pub fn memory_bytes(&self) -> usize {
        match self {
            SortKeys::U64(v) => v.capacity() * 8,
            SortKeys::U128(v) => v.capacity() * 16,
            SortKeys::Bytes { data, ends } => data.capacity() + ends.capacity() * 8,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            SortKeys::U64(v) => v.len(),
            SortKeys::U128(v) => v.len(),
            SortKeys::Bytes { ends, .. } => ends.len(),
        }
    }

    /// Row numbers in key order; equal keys keep their order.
    pub fn sorted_rows(&self) -> Vec<u32> {
        match self {
            SortKeys::U64(keys) => {
                let mut pairs: Vec<(u64, u32)> =
                    keys.iter().enumerate().map(|(i, k)| (*k, i as u32)).collect();
                pairs.sort_unstable();
                pairs.into_iter().map(|p| p.1).collect()
            }
            SortKeys::U128(keys) => {
                let mut pairs: Vec<(u128, u32)> =
                    keys.iter().enumerate().map(|(i, k)| (*k, i as u32)).collect();
                pairs.sort_unstable();
                pairs.into_iter().map(|p| p.1).collect()
            }
            SortKeys::Bytes { .. } => {
                // The first eight bytes decide most comparisons without a look at the arena.
                let mut pairs: Vec<(u64, u32)> =
                    (0..self.len()).map(|i| (prefix(self.bytes(i)), i as u32)).collect();
                pairs.sort_unstable_by(|a, b| {
                    a.0.cmp(&b.0)
                        .then_with(|| self.bytes(a.1 as usize).cmp(self.bytes(b.1 as usize)))
                        .then_with(|| a.1.cmp(&b.1))
                });
                pairs.into_iter().map(|p| p.1).collect()
            }
        }
    }
}

fn prefix(bytes: &[u8]) -> u64 {
    let mut head = [0u8; 8];
    let n = bytes.len().min(8);
    head[..n].copy_from_slice(&bytes[..n]);
    u64::from_be_bytes(head)
}

/// Encodes keys of fixed orders; the same encoder must be used for keys that are compared.
pub(crate) struct SortEncoder {
    orders: Vec<KeyOrder>,
    shapes: Vec<Shape>,
    /// Sum of the bits if all keys are numbers of at most 64 bits.
    packed_bits: Option<u32>,
}

impl SortEncoder {
    pub fn new(orders: Vec<KeyOrder>) -> SortEncoder {
        let shapes: Vec<Shape> = orders.iter().map(|o| Shape::of(&o.data_type)).collect();
        let packed_bits = shapes.iter().zip(&orders).map(|(s, o)| number_bits(s, o)).sum();
        SortEncoder { orders, shapes, packed_bits }
    }

    /// Whether `encode` yields [`SortKeys::U64`].
    pub fn fits_u64(&self) -> bool {
        self.packed_bits.is_some_and(|bits| bits <= 64)
    }

    pub fn encode(&self, columns: &[Column], rows: usize) -> SortKeys {
        match self.packed_bits {
            Some(bits) if bits <= 64 => {
                let mut keys = vec![0u64; rows];
                for (i, column) in columns.iter().enumerate() {
                    self.pack(i, column, |row, value, bits| {
                        keys[row] = keys[row].checked_shl(bits).unwrap_or(0) | value as u64;
                    });
                }
                SortKeys::U64(keys)
            }
            Some(bits) if bits <= 128 => {
                let mut keys = vec![0u128; rows];
                for (i, column) in columns.iter().enumerate() {
                    self.pack(i, column, |row, value, bits| {
                        keys[row] = keys[row].checked_shl(bits).unwrap_or(0) | value;
                    });
                }
                SortKeys::U128(keys)
            }
            _ => self.encode_bytes(columns, rows),
        }
    }

    fn pack(&self, i: usize, column: &Column, mut put: impl FnMut(usize, u128, u32)) {
        let order = &self.orders[i];
        let nullable = matches!(self.shapes[i], Shape::Nullable(_));
        let nulls = column.array.nulls().filter(|n| nullable && n.null_count() > 0);
        let null_word = if order.nulls_first { 0u128 } else { 1 };
        let flag_bits = nullable as u32;
        each_number(&order.data_type, column.array.as_ref(), |row, bits, width, kind| {
            let value = ordered_bits(bits, width, kind, order);
            let word = if nulls.is_some_and(|n| n.is_null(row)) {
                null_word << width
            } else if nullable {
                ((null_word ^ 1) << width) | value
            } else {
                value
            };
            put(row, word, width + flag_bits);
        });
    }

    fn encode_bytes(&self, columns: &[Column], rows: usize) -> SortKeys {
        let encoders: Vec<Encoder> = self
            .shapes
            .iter()
            .zip(columns)
            .map(|(s, c)| Encoder::new(s, c.array.as_ref()))
            .collect();
        let kinds: Vec<ValueKind> =
            self.orders.iter().map(|o| ValueKind::of(&o.data_type)).collect();
        let (mut data, mut ends) = (Vec::with_capacity(rows * 16), Vec::with_capacity(rows));
        let mut raw = vec![];
        for row in 0..rows {
            for ((encoder, kind), order) in encoders.iter().zip(&kinds).zip(&self.orders) {
                let from = data.len();
                raw.clear();
                encoder.write(row, &mut raw);
                let nulls_first_raw = order.nulls_first != order.descending;
                kind.write(&mut raw.as_slice(), nulls_first_raw, &mut data);
                if order.descending {
                    data[from..].iter_mut().for_each(|b| *b = !*b);
                }
            }
            ends.push(data.len());
        }
        SortKeys::Bytes { data, ends }
    }
}

fn number_bits(shape: &Shape, order: &KeyOrder) -> Option<u32> {
    let (inner, flag) = match shape {
        Shape::Nullable(inner) => (inner.as_ref(), 1),
        other => (other, 0),
    };
    number_kind(order.data_type.inner())?;
    Some(inner.width()? as u32 * 8 + flag)
}

/// How the fixed-width numbers of `data_type` are ordered; None for what is no number up to 64 bit.
fn number_kind(data_type: &DataType) -> Option<Number> {
    use DataType::*;
    Some(match data_type {
        Nothing | UInt8 | Bool | UInt16 | Date | UInt32 | DateTime(_) | Ipv4 | UInt64 => {
            Number::Unsigned
        }
        Int8 | Enum8(_) | Int16 | Enum16(_) | Int32 | Date32 | Int64 | DateTime64(..)
        | Interval(_) | Time | Time64(_) => Number::Signed,
        Decimal { precision, .. } if *precision <= 18 => Number::Signed,
        Float32 | Float64 | BFloat16 => Number::Float,
        _ => return None,
    })
}

/// Calls `f(row, bits, width, kind)` for every row of a number column.
fn each_number(
    data_type: &DataType,
    array: &dyn Array,
    mut f: impl FnMut(usize, u64, u32, Number),
) {
    use arrow_array::types::*;
    let kind = number_kind(data_type.inner()).unwrap_or(Number::Unsigned);
    macro_rules! run {
        ($t:ty, $width:literal, $bits:expr) => {
            for (row, v) in array.as_primitive::<$t>().values().iter().enumerate() {
                f(row, $bits(*v), $width, kind);
            }
        };
    }
    use arrow_schema::DataType as A;
    match array.data_type() {
        A::UInt8 => run!(UInt8Type, 8, |v| v as u64),
        A::UInt16 => run!(UInt16Type, 16, |v| v as u64),
        A::UInt32 => run!(UInt32Type, 32, |v| v as u64),
        A::UInt64 => run!(UInt64Type, 64, |v| v),
        A::Int8 => run!(Int8Type, 8, |v| v as u8 as u64),
        A::Int16 => run!(Int16Type, 16, |v| v as u16 as u64),
        A::Int32 => run!(Int32Type, 32, |v| v as u32 as u64),
        A::Int64 => run!(Int64Type, 64, |v| v as u64),
        A::Float32 => run!(Float32Type, 32, |v: f32| if v.is_nan() {
            NAN_BITS
        } else {
            (v + 0.0).to_bits() as u64
        }),
        A::Float64 => {
            run!(Float64Type, 64, |v: f64| if v.is_nan() { NAN_BITS } else { (v + 0.0).to_bits() })
        }
        _ => {}
    }
}

/// Stands for every NaN; no other float has these bits.
const NAN_BITS: u64 = u64::MAX;

/// Bits whose unsigned order is the order asked for. NaN goes to the end where NULLs are.
fn ordered_bits(bits: u64, width: u32, kind: Number, order: &KeyOrder) -> u128 {
    let mask = if width == 64 { u64::MAX } else { (1u64 << width) - 1 };
    let sign = 1u64 << (width - 1);
    let ascending = match kind {
        Number::Unsigned => bits,
        Number::Signed => bits ^ sign,
        Number::Float if bits == NAN_BITS => {
            return if order.nulls_first { 0 } else { mask as u128 };
        }
        Number::Float if bits & sign != 0 => !bits & mask,
        Number::Float => bits | sign,
    };
    (if order.descending { !ascending & mask } else { ascending }) as u128
}

/// Order-preserving bytes of a value of any type, from its row bytes.
enum ValueKind {
    Number {
        kind: Number,
        width: usize,
    },
    /// Bytes in value order already (UUID, FixedString, IPv6).
    Raw(usize),
    Bytes,
    List(Box<ValueKind>),
    Struct(Vec<ValueKind>),
    Nullable(Box<ValueKind>),
    /// Values of Variant, Dynamic and JSON: by the name of their type, then by value.
    SelfTyped(DataType),
}

impl ValueKind {
    fn of(data_type: &DataType) -> ValueKind {
        use DataType::*;
        match data_type {
            Nullable(t) => match ValueKind::of(t) {
                already @ ValueKind::Nullable(_) => already,
                inner => ValueKind::Nullable(Box::new(inner)),
            },
            LowCardinality(t) => ValueKind::of(t),
            SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
                ValueKind::of(argument)
            }
            Variant(_) | Dynamic { .. } => {
                ValueKind::Nullable(Box::new(ValueKind::SelfTyped(data_type.clone())))
            }
            Json(_) => ValueKind::SelfTyped(data_type.clone()),
            String | AggregateFunction { .. } => ValueKind::Bytes,
            FixedString(n) => ValueKind::Raw(*n),
            Uuid | Ipv6 => ValueKind::Raw(16),
            UInt128 => ValueKind::Number { kind: Number::Unsigned, width: 16 },
            UInt256 => ValueKind::Number { kind: Number::Unsigned, width: 32 },
            Array(t) => ValueKind::List(Box::new(ValueKind::of(t))),
            Tuple(e) => ValueKind::Struct(e.iter().map(|e| ValueKind::of(&e.data_type)).collect()),
            Map(k, v) => ValueKind::List(Box::new(ValueKind::Struct(vec![
                ValueKind::of(k),
                ValueKind::of(v),
            ]))),
            other => ValueKind::Number {
                kind: number_kind(other).unwrap_or(Number::Signed),
                width: Shape::of(other).width().unwrap_or(0),
            },
        }
    }

    /// Moves one value from row bytes to ordered bytes. `nulls_first` holds before inversion.
    fn write(&self, input: &mut &[u8], nulls_first: bool, out: &mut Vec<u8>) {
        match self {
            ValueKind::Number { kind, width } => {
                let (raw, rest) = input.split_at(*width);
                *input = rest;
                write_number(*kind, raw, nulls_first, out);
            }
            ValueKind::Raw(width) => {
                let (raw, rest) = input.split_at(*width);
                *input = rest;
                out.extend_from_slice(raw);
            }
            ValueKind::Bytes => {
                let (raw, rest) = input[4..].split_at(row_length(input));
                *input = rest;
                write_bytes(raw, out);
            }
            ValueKind::SelfTyped(data_type) => {
                let (raw, rest) = input[4..].split_at(row_length(input));
                *input = rest;
                write_self_typed(data_type, raw, nulls_first, out);
            }
            ValueKind::List(item) => {
                let count = row_length(input);
                *input = &input[4..];
                for _ in 0..count {
                    out.push(1);
                    item.write(input, nulls_first, out);
                }
                out.push(0);
            }
            ValueKind::Struct(fields) => {
                for field in fields {
                    field.write(input, nulls_first, out);
                }
            }
            ValueKind::Nullable(inner) => {
                let null = input[0] != 0;
                *input = &input[1..];
                out.push((null != nulls_first) as u8);
                if !null {
                    inner.write(input, nulls_first, out);
                }
            }
        }
    }
}

/// A value that carries its type; objects path by path. Damaged bytes sort first.
fn write_self_typed(data_type: &DataType, raw: &[u8], nulls_first: bool, out: &mut Vec<u8>) {
    if let DataType::Json(_) = data_type {
        for (path, value) in Object::of(raw).iter() {
            out.push(1);
            write_bytes(path, out);
            if let Some((own, payload)) = open_dynamic(value) {
                write_payload(&own, payload, nulls_first, out);
            }
        }
        return out.push(0);
    }
    if let Some((own, payload)) = open(data_type, raw) {
        write_payload(&own, payload, nulls_first, out);
    }
}

fn write_payload(own: &DataType, payload: &[u8], nulls_first: bool, out: &mut Vec<u8>) {
    write_bytes(own.to_string().as_bytes(), out);
    if let Ok(column) = column_of(own, std::iter::once(Some(payload))) {
        let mut row = vec![];
        Encoder::new(&Shape::of(own), column.array.as_ref()).write(0, &mut row);
        ValueKind::of(own).write(&mut row.as_slice(), nulls_first, out);
    }
}

fn row_length(input: &[u8]) -> usize {
    u32::from_le_bytes([input[0], input[1], input[2], input[3]]) as usize
}

fn write_number(kind: Number, raw: &[u8], nulls_first: bool, out: &mut Vec<u8>) {
    let from = out.len();
    out.extend(raw.iter().rev());
    let bytes = &mut out[from..];
    match kind {
        Number::Unsigned => {}
        Number::Signed => bytes[0] ^= 0x80,
        Number::Float => {
            let nan = match bytes.len() {
                4 => f32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).is_nan(),
                _ => f64::from_le_bytes(raw.try_into().unwrap_or_default()).is_nan(),
            };
            if nan {
                bytes.fill(if nulls_first { 0 } else { 0xff });
            } else if bytes[0] == 0x80 && bytes[1..].iter().all(|b| *b == 0) {
                // -0.0 sorts as 0.0.
            } else if bytes[0] & 0x80 != 0 {
                bytes.iter_mut().for_each(|b| *b = !*b);
            } else {
                bytes[0] |= 0x80;
            }
        }
    }
}

/// Zero bytes are escaped so that the terminator sorts before every continuation.
fn write_bytes(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[0, 0xff]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 0]);
}
