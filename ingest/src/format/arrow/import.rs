//! Arrow's columns as ours. A wanted type decides where Arrow's says less than it: 16 bytes may be an
//! IPv6 or an Int128.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BinaryArray, FixedSizeBinaryArray, ListArray,
    PrimitiveArray, RecordBatch, StructArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType as ArrowType, Field, TimeUnit};
use pumphouse_query::error::codes;
use pumphouse_storage::types::{TimeZone, TupleElement};
use pumphouse_storage::{Block, Column, DataType};

use super::bad;
use crate::format::{InputColumn, ParseError};

type Import<T> = Result<T, ParseError>;

/// Types nest no deeper than this.
const DEPTH_MAX: usize = 100;

/// A batch as a block; columns that are wanted under their names say how ambiguous bytes are meant.
pub fn block(batch: &RecordBatch, wanted: &[InputColumn]) -> Import<Block> {
    let mut block = Block::of_rows(batch.num_rows());
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        let hint = wanted.iter().find(|c| c.name == *field.name()).map(|c| &c.data_type);
        let data_type = data_type(field, hint, 0)?;
        let array = values(&data_type, array)?;
        block.push(field.name().as_str(), Column::new(data_type, array));
    }
    Ok(block)
}

/// The type that a column of this field has with us.
pub fn data_type(field: &Field, hint: Option<&DataType>, depth: usize) -> Import<DataType> {
    use ArrowType as A;
    use DataType as T;
    if depth > DEPTH_MAX {
        return Err(ParseError {
            code: codes::TOO_DEEP_RECURSION,
            message: format!("types nest deeper than {DEPTH_MAX}"),
        });
    }
    let inner_hint = hint.map(DataType::inner);
    let plain = match field.data_type() {
        A::Null => return Ok(T::nullable(T::Nothing)),
        A::Boolean => T::Bool,
        A::Int8 => T::Int8,
        A::Int16 => T::Int16,
        A::Int32 => T::Int32,
        A::Int64 => T::Int64,
        A::UInt8 => T::UInt8,
        A::UInt16 => T::UInt16,
        A::UInt32 => T::UInt32,
        A::UInt64 => T::UInt64,
        A::Float16 | A::Float32 => T::Float32,
        A::Float64 => T::Float64,
        A::Utf8 | A::LargeUtf8 | A::Utf8View | A::Binary | A::LargeBinary | A::BinaryView => {
            T::String
        }
        A::FixedSizeBinary(16) if is_uuid(field) => T::Uuid,
        A::FixedSizeBinary(16) => match inner_hint {
            Some(t @ (T::Ipv6 | T::Uuid | T::Int128 | T::UInt128)) => t.clone(),
            _ => T::FixedString(16),
        },
        A::FixedSizeBinary(32) => match inner_hint {
            Some(t @ (T::Int256 | T::UInt256)) => t.clone(),
            _ => T::FixedString(32),
        },
        A::FixedSizeBinary(n) if *n > 0 => T::FixedString(*n as usize),
        A::Date32 => T::Date32,
        A::Time32(unit) | A::Time64(unit) => T::Time64(precision(unit)),
        A::Date64 => T::DateTime64(3, Some(TimeZone::UTC)),
        A::Timestamp(unit, zone) => {
            let zone = zone.as_deref().and_then(TimeZone::parse);
            T::DateTime64(precision(unit), zone)
        }
        A::Duration(unit) => T::Interval(match unit {
            TimeUnit::Second => "Second",
            TimeUnit::Millisecond => "Millisecond",
            TimeUnit::Microsecond => "Microsecond",
            TimeUnit::Nanosecond => "Nanosecond",
        }),
        A::Decimal32(p, s) | A::Decimal64(p, s) | A::Decimal128(p, s) | A::Decimal256(p, s)
            if *s >= 0 && *s as u8 <= *p && (1..=76).contains(p) =>
        {
            T::Decimal { precision: *p, scale: *s as u8 }
        }
        A::List(item) | A::LargeList(item) | A::FixedSizeList(item, _) => {
            let hint = match inner_hint {
                Some(T::Array(item)) => Some(&**item),
                _ => None,
            };
            return Ok(T::array(data_type(item, hint, depth + 1)?));
        }
        A::Map(entries, _) => {
            let A::Struct(fields) = entries.data_type() else { return Err(bad("a map")) };
            let [key, value] = &fields[..] else { return Err(bad("a map")) };
            let (key_hint, value_hint) = match inner_hint {
                Some(T::Map(k, v)) => (Some(&**k), Some(&**v)),
                _ => (None, None),
            };
            let key = data_type(key, key_hint, depth + 1)?.without_nullable();
            let value = data_type(value, value_hint, depth + 1)?;
            return Ok(T::Map(Box::new(key), Box::new(value)));
        }
        A::Struct(fields) => {
            let elements = fields.iter().enumerate().map(|(i, f)| {
                let hint = match inner_hint {
                    Some(T::Tuple(elements)) => elements.get(i).map(|e| &e.data_type),
                    _ => None,
                };
                let data_type = data_type(f, hint, depth + 1)?;
                Ok(TupleElement { name: Some(f.name().clone()), data_type })
            });
            return Ok(T::Tuple(elements.collect::<Import<Vec<_>>>()?));
        }
        A::Dictionary(_, value) => {
            let value = Field::new("value", (**value).clone(), field.is_nullable());
            let inner = data_type(&value, hint, depth + 1)?;
            return Ok(match inner.inner() {
                T::String | T::FixedString(_) => T::LowCardinality(Box::new(inner)),
                _ => inner,
            });
        }
        other => {
            return Err(ParseError {
                code: codes::UNKNOWN_TYPE,
                message: format!(
                    "Unsupported Arrow type {other} of an input column {}",
                    field.name()
                ),
            });
        }
    };
    Ok(if field.is_nullable() { T::nullable(plain) } else { plain })
}

fn is_uuid(field: &Field) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|n| n == "arrow.uuid")
}

fn precision(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

fn layout(e: arrow_schema::ArrowError) -> ParseError {
    bad(format!("values do not form a column: {e}"))
}

/// Values of `data_type`, which was made for their Arrow type, as they lie with us.
fn values(data_type: &DataType, array: &ArrayRef) -> Import<ArrayRef> {
    use ArrowType as A;
    use DataType as T;
    // NULL in what cannot be NULL stays so for composite types only, which have none with us.
    let nulls = array.nulls().cloned();
    Ok(match array.data_type() {
        A::Null => {
            let nulls = NullBuffer::new_null(array.len());
            Arc::new(PrimitiveArray::<UInt8Type>::new(vec![0; array.len()].into(), Some(nulls)))
        }
        A::Boolean => {
            let values = array.as_boolean().values().iter().map(u8::from).collect();
            Arc::new(PrimitiveArray::<UInt8Type>::new(values, nulls))
        }
        A::Float16 => {
            let values = array.as_primitive::<Float16Type>().values().iter();
            let values = values.map(|v| v.to_f32()).collect();
            Arc::new(PrimitiveArray::<Float32Type>::new(values, nulls))
        }
        // Text is bytes already; only what may lie under a NULL must go.
        A::Utf8 if array.null_count() == 0 => {
            let strings = array.as_string::<i32>();
            let (offsets, data) = (strings.offsets().clone(), strings.values().clone());
            Arc::new(BinaryArray::try_new(offsets, data, None).map_err(layout)?)
        }
        A::Utf8 => bytes(array.as_string::<i32>().iter().map(|s| s.map(str::as_bytes)))?,
        A::LargeUtf8 => bytes(array.as_string::<i64>().iter().map(|s| s.map(str::as_bytes)))?,
        A::Utf8View => bytes(array.as_string_view().iter().map(|s| s.map(str::as_bytes)))?,
        A::LargeBinary => bytes(array.as_binary::<i64>().iter())?,
        A::BinaryView => bytes(array.as_binary_view().iter())?,
        A::Binary => array.clone(),
        A::FixedSizeBinary(width) => {
            let fixed = array.as_fixed_size_binary();
            match data_type.inner() {
                T::Int128 | T::UInt128 => {
                    wide::<Decimal128Type>(data_type, fixed, i128::from_le_bytes)?
                }
                T::Int256 | T::UInt256 => {
                    let read = |b: [u8; 32]| arrow_buffer::i256::from_le_bytes(b);
                    wide::<Decimal256Type>(data_type, fixed, read)?
                }
                _ => {
                    let data: Vec<u8> =
                        (0..fixed.len()).flat_map(|i| fixed.value(i)).copied().collect();
                    let array = FixedSizeBinaryArray::try_new(*width, data.into(), nulls);
                    Arc::new(array.map_err(layout)?)
                }
            }
        }
        A::Date32 => retyped::<Date32Type, Int32Type>(array),
        A::Time32(unit) => {
            let wide = |v: &i32| *v as i64;
            let ticks = match unit {
                TimeUnit::Second => array.as_primitive::<Time32SecondType>().values(),
                _ => array.as_primitive::<Time32MillisecondType>().values(),
            };
            Arc::new(PrimitiveArray::<Int64Type>::new(ticks.iter().map(wide).collect(), nulls))
        }
        A::Time64(TimeUnit::Microsecond) => retyped::<Time64MicrosecondType, Int64Type>(array),
        A::Time64(_) => retyped::<Time64NanosecondType, Int64Type>(array),
        A::Date64 => retyped::<Date64Type, Int64Type>(array),
        A::Timestamp(unit, _) => match unit {
            TimeUnit::Second => retyped::<TimestampSecondType, Int64Type>(array),
            TimeUnit::Millisecond => retyped::<TimestampMillisecondType, Int64Type>(array),
            TimeUnit::Microsecond => retyped::<TimestampMicrosecondType, Int64Type>(array),
            TimeUnit::Nanosecond => retyped::<TimestampNanosecondType, Int64Type>(array),
        },
        A::Duration(unit) => match unit {
            TimeUnit::Second => retyped::<DurationSecondType, Int64Type>(array),
            TimeUnit::Millisecond => retyped::<DurationMillisecondType, Int64Type>(array),
            TimeUnit::Microsecond => retyped::<DurationMicrosecondType, Int64Type>(array),
            TimeUnit::Nanosecond => retyped::<DurationNanosecondType, Int64Type>(array),
        },
        A::Decimal32(..) | A::Decimal64(..) | A::Decimal128(..) | A::Decimal256(..) => {
            decimals(data_type, array)?
        }
        A::List(_) | A::LargeList(_) | A::FixedSizeList(..) | A::Map(..) => {
            lists(data_type, array)?
        }
        A::Struct(_) => {
            let T::Tuple(elements) = data_type else { return Err(bad("a struct")) };
            let columns = elements
                .iter()
                .zip(array.as_struct().columns())
                .map(|(e, c)| values(&e.data_type, c))
                .collect::<Import<Vec<_>>>()?;
            let A::Struct(fields) = data_type.arrow() else { return Err(bad("a tuple")) };
            let tuple = StructArray::try_new_with_length(fields, columns, None, array.len());
            Arc::new(tuple.map_err(layout)?)
        }
        A::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let keys = dictionary.keys();
            let plain = arrow_select::take::take(dictionary.values().as_ref(), keys, None);
            values(data_type, &plain.map_err(layout)?)?
        }
        _ => array.slice(0, array.len()),
    })
}

fn retyped<F: ArrowPrimitiveType, T: ArrowPrimitiveType<Native = F::Native>>(
    array: &ArrayRef,
) -> ArrayRef {
    let array = array.as_primitive::<F>();
    Arc::new(PrimitiveArray::<T>::new(array.values().clone(), array.nulls().cloned()))
}

fn bytes<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Import<ArrayRef> {
    let (mut data, mut offsets, mut valid) = (vec![], vec![0i32], vec![]);
    for value in values {
        valid.push(value.is_some());
        data.extend_from_slice(value.unwrap_or(b""));
        offsets.push(i32::try_from(data.len()).map_err(|_| bad("a column of 2 GiB of text"))?);
    }
    let nulls = NullBuffer::from(valid);
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let array = BinaryArray::try_new(offsets, Buffer::from_vec(data), nulls);
    Ok(Arc::new(array.map_err(layout)?))
}

fn wide<T: ArrowPrimitiveType>(
    data_type: &DataType,
    array: &FixedSizeBinaryArray,
    read: impl Fn(<T::Native as Bits>::Bytes) -> T::Native,
) -> Import<ArrayRef>
where
    T::Native: Bits,
{
    let values: Vec<T::Native> =
        (0..array.len()).map(|i| read(T::Native::bytes(array.value(i)))).collect();
    let array = PrimitiveArray::<T>::new(values.into(), array.nulls().cloned());
    Ok(Arc::new(array.with_data_type(data_type.arrow())))
}

/// Numbers as their bytes.
trait Bits {
    type Bytes;
    fn bytes(slice: &[u8]) -> Self::Bytes;
}

impl Bits for i128 {
    type Bytes = [u8; 16];
    fn bytes(slice: &[u8]) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&slice[..16]);
        bytes
    }
}

impl Bits for arrow_buffer::i256 {
    type Bytes = [u8; 32];
    fn bytes(slice: &[u8]) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&slice[..32]);
        bytes
    }
}

fn decimals(data_type: &DataType, array: &ArrayRef) -> Import<ArrayRef> {
    use ArrowType as A;
    let DataType::Decimal { precision, .. } = data_type.inner() else {
        return Err(bad("a decimal"));
    };
    let nulls = array.nulls().cloned();
    if let A::Decimal256(..) = array.data_type() {
        let array = array.as_primitive::<Decimal256Type>();
        return if *precision > 38 {
            Ok(Arc::new(array.clone().with_data_type(data_type.arrow())))
        } else {
            Err(bad("a Decimal256 of few digits"))
        };
    }
    let wide: Vec<i128> = match array.data_type() {
        A::Decimal32(..) => {
            array.as_primitive::<Decimal32Type>().values().iter().map(|v| *v as i128).collect()
        }
        A::Decimal64(..) => {
            array.as_primitive::<Decimal64Type>().values().iter().map(|v| *v as i128).collect()
        }
        _ => array.as_primitive::<Decimal128Type>().values().to_vec(),
    };
    Ok(match precision {
        0..=9 => {
            let values = wide.iter().map(|v| *v as i32).collect();
            Arc::new(PrimitiveArray::<Int32Type>::new(values, nulls))
        }
        10..=18 => {
            let values = wide.iter().map(|v| *v as i64).collect();
            Arc::new(PrimitiveArray::<Int64Type>::new(values, nulls))
        }
        _ => {
            let array = PrimitiveArray::<Decimal128Type>::new(wide.into(), nulls);
            Arc::new(array.with_data_type(data_type.arrow()))
        }
    })
}

/// Lists and maps. A NULL list is an empty one.
fn lists(data_type: &DataType, array: &ArrayRef) -> Import<ArrayRef> {
    use ArrowType as A;
    let ends = |i: usize| -> (usize, usize) {
        match array.data_type() {
            A::LargeList(_) => {
                let offsets = array.as_list::<i64>().value_offsets();
                (offsets[i] as usize, offsets[i + 1] as usize)
            }
            A::FixedSizeList(_, n) => (i * *n as usize, (i + 1) * *n as usize),
            A::Map(..) => {
                let offsets = array.as_map().value_offsets();
                (offsets[i] as usize, offsets[i + 1] as usize)
            }
            _ => {
                let offsets = array.as_list::<i32>().value_offsets();
                (offsets[i] as usize, offsets[i + 1] as usize)
            }
        }
    };
    let mut places: Vec<u64> = vec![];
    let mut offsets = vec![0i32];
    for row in 0..array.len() {
        if !array.is_null(row) {
            let (from, to) = ends(row);
            places.extend(from as u64..to as u64);
        }
        offsets.push(i32::try_from(places.len()).map_err(|_| bad("lists of 2^31 items"))?);
    }
    let places = arrow_array::UInt64Array::from(places);
    let chosen = |items: &ArrayRef, item: &DataType| -> Import<ArrayRef> {
        let items = arrow_select::take::take(items.as_ref(), &places, None).map_err(layout)?;
        values(item, &items)
    };
    let ArrowType::List(field) = data_type.arrow() else { return Err(bad("a list")) };
    let items: ArrayRef = match (data_type, array.data_type()) {
        (DataType::Map(key, value), A::Map(..)) => {
            let entries = array.as_map().entries();
            let columns = vec![chosen(entries.column(0), key)?, chosen(entries.column(1), value)?];
            let ArrowType::Struct(fields) = field.data_type().clone() else {
                return Err(bad("a map"));
            };
            Arc::new(StructArray::try_new(fields, columns, None).map_err(layout)?)
        }
        (DataType::Array(item), A::List(_)) => chosen(array.as_list::<i32>().values(), item)?,
        (DataType::Array(item), A::LargeList(_)) => chosen(array.as_list::<i64>().values(), item)?,
        (DataType::Array(item), _) => chosen(array.as_fixed_size_list().values(), item)?,
        _ => return Err(bad("a list")),
    };
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(field, offsets, items, None).map_err(layout)?))
}
