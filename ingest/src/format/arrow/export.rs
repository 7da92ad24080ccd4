//! Our columns as Arrow's: dates, decimals and texts under their logical types.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, MapArray,
    NullArray, PrimitiveArray, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_schema::{ArrowError, DataType as ArrowType, Field, Fields, Schema, TimeUnit};
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::calendar::SECONDS_PER_DAY;
use pumphouse_query::text::json::{JsonOptions, write_json};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};

/// VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
const OUT_OF_RANGE: u32 = 321;

/// The schema of a result.
pub fn schema(columns: &[(String, DataType)]) -> Result<Schema> {
    let fields = columns.iter().map(|(name, t)| field(name, t)).collect::<Result<Vec<_>>>()?;
    Ok(Schema::new(fields))
}

/// A block as a batch of `schema`, which was made from its types; `zone` serves times in JSON.
pub fn batch(block: &Block, schema: &Arc<Schema>, zone: TimeZone) -> Result<RecordBatch> {
    let arrays = block
        .columns
        .iter()
        .map(|c| array(&c.data_type, c.array.as_ref(), zone))
        .collect::<Result<Vec<_>>>()?;
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(block.rows()));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(layout)
}

pub fn layout(e: ArrowError) -> Error {
    Error::new(codes::LOGICAL_ERROR, format!("values do not form an Arrow column: {e}"))
}

fn field(name: &str, data_type: &DataType) -> Result<Field> {
    let field = Field::new(name, arrow_type(data_type)?, data_type.is_nullable());
    let extension = match data_type.inner() {
        DataType::Uuid => "arrow.uuid",
        DataType::Json(_) | DataType::Dynamic { .. } => "arrow.json",
        _ => return Ok(field),
    };
    Ok(field.with_metadata(HashMap::from(
        [("ARROW:extension:name", extension), ("ARROW:extension:metadata", "")]
            .map(|(k, v)| (k.to_string(), v.to_string())),
    )))
}

fn arrow_type(data_type: &DataType) -> Result<ArrowType> {
    use DataType as T;
    Ok(match data_type.inner() {
        T::Nothing => ArrowType::Null,
        T::Bool => ArrowType::Boolean,
        T::String => ArrowType::Utf8,
        T::Date | T::Date32 => ArrowType::Date32,
        T::DateTime64(precision, zone) => {
            let unit = match precision {
                0 => TimeUnit::Second,
                1..=3 => TimeUnit::Millisecond,
                4..=6 => TimeUnit::Microsecond,
                _ => TimeUnit::Nanosecond,
            };
            ArrowType::Timestamp(unit, Some(zone.map_or("UTC", |z| z.name()).into()))
        }
        T::Decimal { precision, scale } => match precision {
            0..=38 => ArrowType::Decimal128(*precision, *scale as i8),
            _ => ArrowType::Decimal256(*precision, *scale as i8),
        },
        T::Int128 | T::UInt128 => ArrowType::FixedSizeBinary(16),
        T::Int256 | T::UInt256 => ArrowType::FixedSizeBinary(32),
        T::Interval(unit) => match *unit {
            "Second" => ArrowType::Duration(TimeUnit::Second),
            "Millisecond" => ArrowType::Duration(TimeUnit::Millisecond),
            "Microsecond" => ArrowType::Duration(TimeUnit::Microsecond),
            "Nanosecond" => ArrowType::Duration(TimeUnit::Nanosecond),
            _ => ArrowType::Int64,
        },
        T::Array(item) => ArrowType::List(Arc::new(field("item", item)?)),
        T::Map(key, value) => {
            let fields = Fields::from(vec![field("key", key)?, field("value", value)?]);
            ArrowType::Map(Arc::new(Field::new("entries", ArrowType::Struct(fields), false)), false)
        }
        T::Tuple(elements) => ArrowType::Struct(
            elements
                .iter()
                .enumerate()
                .map(|(i, e)| {
                    let name = e.name.clone().unwrap_or_else(|| (i + 1).to_string());
                    field(&name, &e.data_type)
                })
                .collect::<Result<Fields>>()?,
        ),
        T::Json(_) | T::Dynamic { .. } => ArrowType::Utf8,
        T::BFloat16 => ArrowType::Binary,
        T::Time => ArrowType::Time32(TimeUnit::Second),
        T::Time64(precision) => match precision {
            0 => ArrowType::Time32(TimeUnit::Second),
            1..=3 => ArrowType::Time32(TimeUnit::Millisecond),
            4..=6 => ArrowType::Time64(TimeUnit::Microsecond),
            _ => ArrowType::Time64(TimeUnit::Nanosecond),
        },
        T::AggregateFunction { .. } | T::Variant(_) => {
            return Err(Error::new(
                codes::UNKNOWN_TYPE,
                format!("The type {data_type} is not supported for conversion to Arrow"),
            ));
        }
        other => other.arrow(),
    })
}

/// The array of a column under its logical type.
fn array(data_type: &DataType, array: &dyn Array, zone: TimeZone) -> Result<ArrayRef> {
    use DataType as T;
    let nulls = array.nulls().cloned();
    Ok(match data_type.inner() {
        T::Nothing => Arc::new(NullArray::new(array.len())),
        T::Bool => {
            let values = array.as_primitive::<UInt8Type>().values().iter().map(|b| *b != 0);
            Arc::new(BooleanArray::new(values.collect(), nulls))
        }
        T::String => strings(array.as_binary::<i32>()),
        T::Json(_) | T::Dynamic { .. } => json_texts(data_type, array, zone),
        T::BFloat16 => {
            let half = |v: f32| ((v.to_bits() >> 16) as u16).to_le_bytes();
            let values = array.as_primitive::<Float32Type>().iter().map(|v| v.map(half));
            Arc::new(values.collect::<BinaryArray>())
        }
        T::Time | T::Time64(_) => times(data_type, array)?,
        T::Date => {
            let days = array.as_primitive::<UInt16Type>().values().iter().map(|d| *d as i32);
            Arc::new(PrimitiveArray::<Date32Type>::new(days.collect(), nulls))
        }
        T::Date32 => {
            let days = array.as_primitive::<Int32Type>().values().clone();
            Arc::new(PrimitiveArray::<Date32Type>::new(days, nulls))
        }
        T::DateTime64(precision, _) => timestamps(data_type, *precision, array, nulls)?,
        T::Decimal { precision, .. } => decimals(data_type, *precision, array, nulls)?,
        T::Int128 | T::UInt128 => {
            let data = array.as_primitive::<Decimal128Type>().values().inner().clone();
            words(16, data, nulls)?
        }
        T::Int256 | T::UInt256 => {
            let data = array.as_primitive::<Decimal256Type>().values().inner().clone();
            words(32, data, nulls)?
        }
        T::Interval(_) => {
            let ticks = array.as_primitive::<Int64Type>().values().clone();
            let plain = PrimitiveArray::<Int64Type>::new(ticks, nulls);
            retyped(&plain, arrow_type(data_type)?)?
        }
        T::Array(item) => {
            let list = array.as_list::<i32>();
            let items = self::array(item, list.values().as_ref(), zone)?;
            let ArrowType::List(field) = arrow_type(data_type)? else {
                return Err(layout(ArrowError::SchemaError("list".into())));
            };
            let offsets = list.offsets().clone();
            Arc::new(ListArray::try_new(field, offsets, items, None).map_err(layout)?)
        }
        T::Map(key, value) => {
            let list = array.as_list::<i32>();
            let entries = list.values().as_struct();
            let columns = vec![
                self::array(key, entries.column(0).as_ref(), zone)?,
                self::array(value, entries.column(1).as_ref(), zone)?,
            ];
            let ArrowType::Map(field, _) = arrow_type(data_type)? else {
                return Err(layout(ArrowError::SchemaError("map".into())));
            };
            let ArrowType::Struct(fields) = field.data_type().clone() else {
                return Err(layout(ArrowError::SchemaError("map entries".into())));
            };
            let entries = StructArray::try_new(fields, columns, None).map_err(layout)?;
            let offsets = list.offsets().clone();
            Arc::new(MapArray::try_new(field, offsets, entries, None, false).map_err(layout)?)
        }
        T::Tuple(elements) => {
            let tuple = array.as_struct();
            let columns = elements
                .iter()
                .enumerate()
                .map(|(i, e)| self::array(&e.data_type, tuple.column(i).as_ref(), zone))
                .collect::<Result<Vec<_>>>()?;
            let ArrowType::Struct(fields) = arrow_type(data_type)? else {
                return Err(layout(ArrowError::SchemaError("tuple".into())));
            };
            let tuple = StructArray::try_new_with_length(fields, columns, nulls, array.len());
            Arc::new(tuple.map_err(layout)?)
        }
        _ => array.slice(0, array.len()),
    })
}

/// The same values under another type of the same width.
fn retyped(array: &dyn Array, to: ArrowType) -> Result<ArrayRef> {
    let data = array.to_data().into_builder().data_type(to).build().map_err(layout)?;
    Ok(arrow_array::make_array(data))
}

fn strings(array: &BinaryArray) -> ArrayRef {
    let (offsets, data, nulls) = array.clone().into_parts();
    match StringArray::try_new(offsets, data, nulls) {
        Ok(strings) => Arc::new(strings),
        Err(_) => {
            Arc::new(array.iter().map(|b| b.map(String::from_utf8_lossy)).collect::<StringArray>())
        }
    }
}

/// Values that carry their type as JSON.
fn json_texts(data_type: &DataType, array: &dyn Array, zone: TimeZone) -> ArrayRef {
    let options = JsonOptions { escape_forward_slashes: false, ..JsonOptions::default() };
    let text = |row: usize| {
        let mut text = vec![];
        write_json(data_type, array, row, zone, &options, &mut text);
        array.is_valid(row).then(|| String::from_utf8_lossy(&text).into_owned())
    };
    Arc::new((0..array.len()).map(text).collect::<StringArray>())
}

/// Times of a day, which Arrow's are: others are refused.
fn times(data_type: &DataType, array: &dyn Array) -> Result<ArrayRef> {
    let nulls = array.nulls().cloned();
    let precision = match data_type.inner() {
        DataType::Time64(precision) => *precision,
        _ => 0,
    };
    let ticks: Vec<i64> = match data_type.inner() {
        DataType::Time64(_) => array.as_primitive::<Int64Type>().values().to_vec(),
        _ => array.as_primitive::<Int32Type>().values().iter().map(|v| *v as i64).collect(),
    };
    let day = SECONDS_PER_DAY * 10i64.pow(precision.min(9) as u32);
    let outside = |(row, tick): (usize, &i64)| array.is_valid(row) && !(0..day).contains(tick);
    if ticks.iter().enumerate().any(outside) {
        let message = format!(
            "Cannot convert a value of {data_type} to Arrow's time: it is outside of a day"
        );
        return Err(Error::new(OUT_OF_RANGE, message));
    }
    let exponent = [0, 2, 1, 0, 2, 1, 0, 2, 1, 0][precision.min(9) as usize];
    let ticks = ticks.iter().map(|t| t.wrapping_mul(10i64.pow(exponent)));
    let to = arrow_type(data_type)?;
    match to {
        ArrowType::Time32(_) => {
            let ticks = ticks.map(|t| t as i32).collect();
            retyped(&PrimitiveArray::<Int32Type>::new(ticks, nulls), to)
        }
        _ => retyped(&PrimitiveArray::<Int64Type>::new(ticks.collect(), nulls), to),
    }
}

fn timestamps(
    data_type: &DataType,
    precision: u8,
    array: &dyn Array,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    // Ticks of the next unit that Arrow has.
    let exponent = [0, 2, 1, 0, 2, 1, 0, 2, 1, 0][precision.min(9) as usize];
    let factor = 10i64.pow(exponent);
    let ticks = array.as_primitive::<Int64Type>().values().iter();
    let ticks = ticks.map(|t| t.wrapping_mul(factor)).collect();
    retyped(&PrimitiveArray::<Int64Type>::new(ticks, nulls), arrow_type(data_type)?)
}

fn decimals(
    data_type: &DataType,
    precision: u8,
    array: &dyn Array,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let to = arrow_type(data_type)?;
    let narrow = |values: Vec<i128>| PrimitiveArray::<Decimal128Type>::new(values.into(), nulls);
    Ok(match precision {
        0..=9 => {
            let values = array.as_primitive::<Int32Type>().values();
            Arc::new(narrow(values.iter().map(|v| *v as i128).collect()).with_data_type(to))
        }
        10..=18 => {
            let values = array.as_primitive::<Int64Type>().values();
            Arc::new(narrow(values.iter().map(|v| *v as i128).collect()).with_data_type(to))
        }
        19..=38 => Arc::new(array.as_primitive::<Decimal128Type>().clone().with_data_type(to)),
        _ => Arc::new(array.as_primitive::<Decimal256Type>().clone().with_data_type(to)),
    })
}

fn words(width: i32, data: Buffer, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    Ok(Arc::new(FixedSizeBinaryArray::try_new(width, data, nulls).map_err(layout)?))
}
