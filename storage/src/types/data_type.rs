//! The logical types, their canonical names and their Arrow layout.
//!
//! A name printed by `Display` is exactly what ClickHouse prints in `toTypeName` and DESCRIBE, and
//! `parse_data_type` reads it back.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType as ArrowType, Field, Fields};

use super::TimeZone;

/// A ClickHouse type. `Nullable` wraps anything but arrays and maps; `LowCardinality` wraps String,
/// numbers, dates and Nullable of those.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataType {
    Nothing,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    UInt128,
    UInt256,
    Int8,
    Int16,
    Int32,
    Int64,
    Int128,
    Int256,
    Float32,
    Float64,
    /// Stored as UInt8 0 / 1, printed true / false.
    Bool,
    /// Bytes, not necessarily UTF-8.
    String,
    FixedString(usize),
    /// Days since 1970-01-01, unsigned 16 bit.
    Date,
    /// Days since 1970-01-01, signed 32 bit.
    Date32,
    /// Seconds since the epoch, unsigned 32 bit; the zone only changes text and calendar functions.
    DateTime(Option<TimeZone>),
    /// Ticks of 10^-precision seconds since the epoch, signed 64 bit.
    DateTime64(u8, Option<TimeZone>),
    Enum8(Arc<EnumValues>),
    Enum16(Arc<EnumValues>),
    Uuid,
    Ipv4,
    Ipv6,
    /// Precision 1..=76 and scale; stored in 32, 64, 128 or 256 bit by precision (9, 18, 38, 76).
    Decimal {
        precision: u8,
        scale: u8,
    },
    Nullable(Box<DataType>),
    LowCardinality(Box<DataType>),
    Array(Box<DataType>),
    Tuple(Vec<TupleElement>),
    Map(Box<DataType>, Box<DataType>),
    /// `Interval<unit>`, stored as Int64. Unit as ClickHouse spells it: `Second`, `Day`, …
    Interval(&'static str),
    /// The state of an aggregate function between steps: `AggregateFunction(name(params), args…)`.
    /// Stored as bytes in the function's own serialization.
    AggregateFunction {
        name: String,
        parameters: Vec<super::Value>,
        arguments: Vec<DataType>,
    },
    /// `SimpleAggregateFunction(name, T)`: stored as T, merged by `name`.
    SimpleAggregateFunction {
        name: String,
        argument: Box<DataType>,
    },
    /// The upper half of a Float32, held as one.
    BFloat16,
    /// `Time`: seconds before or after midnight, signed 32 bit.
    Time,
    /// `Time64(precision)`: ticks of 10^-precision seconds, signed 64 bit.
    Time64(u8),
    /// A name of its own for another type: the geometric types.
    Named {
        name: &'static str,
        argument: Box<DataType>,
    },
    /// One of several types, sorted by name. Stored as bytes, NULL as NULL.
    Variant(Vec<DataType>),
    /// Any type; `types_max` as declared.
    Dynamic {
        types_max: Option<u8>,
    },
    /// Objects of paths and values. Stored as bytes.
    Json(Arc<super::JsonType>),
}

/// One element of a tuple; `name` is None for an unnamed tuple.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TupleElement {
    pub name: Option<String>,
    pub data_type: DataType,
}

/// Names and numbers of an Enum, sorted by number (as ClickHouse prints them).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnumValues {
    pub values: Vec<(String, i16)>,
}

impl EnumValues {
    /// The number of `name`.
    pub fn value_of(&self, name: &str) -> Option<i16> {
        self.values.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    /// The name of `value`.
    pub fn name_of(&self, value: i16) -> Option<&str> {
        self.values
            .binary_search_by_key(&value, |(_, v)| *v)
            .ok()
            .map(|i| self.values[i].0.as_str())
    }
}

impl DataType {
    pub fn nullable(inner: DataType) -> DataType {
        match inner {
            DataType::Nullable(_) | DataType::Variant(_) | DataType::Dynamic { .. } => inner,
            other => DataType::Nullable(Box::new(other)),
        }
    }

    pub fn array(inner: DataType) -> DataType {
        DataType::Array(Box::new(inner))
    }

    /// Strips LowCardinality (outer), then Nullable, then SimpleAggregateFunction: the type whose
    /// values the Arrow array physically holds.
    pub fn inner(&self) -> &DataType {
        match self {
            DataType::LowCardinality(t) | DataType::Nullable(t) => t.inner(),
            DataType::SimpleAggregateFunction { argument, .. }
            | DataType::Named { argument, .. } => argument.inner(),
            other => other,
        }
    }

    /// Strips LowCardinality and SimpleAggregateFunction only: what expressions compute with.
    pub fn without_low_cardinality(&self) -> &DataType {
        match self {
            DataType::LowCardinality(t) => t.without_low_cardinality(),
            DataType::SimpleAggregateFunction { argument, .. } => {
                argument.without_low_cardinality()
            }
            other => other,
        }
    }

    /// The same type without its outer Nullable.
    pub fn without_nullable(&self) -> DataType {
        match self {
            DataType::Nullable(t) => (**t).clone(),
            DataType::LowCardinality(t) if t.is_nullable() => {
                DataType::LowCardinality(Box::new(t.without_nullable()))
            }
            other => other.clone(),
        }
    }

    /// Whether NULL is a value of this type.
    pub fn is_nullable(&self) -> bool {
        match self {
            DataType::Nullable(_) => true,
            DataType::LowCardinality(t) => t.is_nullable(),
            DataType::SimpleAggregateFunction { argument, .. }
            | DataType::Named { argument, .. } => argument.is_nullable(),
            DataType::Variant(_) | DataType::Dynamic { .. } => true,
            _ => false,
        }
    }

    /// Whether `Nullable` of this is a type. Of Variant and Dynamic NULL is a value as they are.
    pub fn can_be_nullable(&self) -> bool {
        use DataType::*;
        match self {
            Named { argument, .. } => argument.can_be_nullable(),
            Array(_) | Map(..) | AggregateFunction { .. } => false,
            LowCardinality(_) | Nullable(_) | Variant(_) | Dynamic { .. } => false,
            _ => true,
        }
    }

    /// This type with NULL as a further value, where there is such a type.
    pub fn or_null(&self) -> DataType {
        match self {
            DataType::LowCardinality(t) => DataType::LowCardinality(Box::new(t.or_null())),
            t if t.can_be_nullable() => DataType::nullable(t.clone()),
            t => t.clone(),
        }
    }

    pub fn is_integer(&self) -> bool {
        self.is_signed_integer() || self.is_unsigned_integer()
    }

    pub fn is_signed_integer(&self) -> bool {
        use DataType::*;
        matches!(self, Int8 | Int16 | Int32 | Int64 | Int128 | Int256)
    }

    /// Bool counts as an unsigned integer, as it does in ClickHouse's arithmetic.
    pub fn is_unsigned_integer(&self) -> bool {
        use DataType::*;
        matches!(self, Bool | UInt8 | UInt16 | UInt32 | UInt64 | UInt128 | UInt256)
    }

    pub fn is_float(&self) -> bool {
        matches!(self, DataType::Float32 | DataType::Float64 | DataType::BFloat16)
    }

    pub fn is_number(&self) -> bool {
        self.is_integer() || self.is_float() || matches!(self, DataType::Decimal { .. })
    }

    pub fn is_date_or_time(&self) -> bool {
        use DataType::*;
        matches!(self, Date | Date32 | DateTime(_) | DateTime64(..))
    }

    pub fn is_string(&self) -> bool {
        matches!(self, DataType::String | DataType::FixedString(_))
    }

    /// Whether values carry their own type: Variant, Dynamic, JSON.
    pub fn is_run_time(&self) -> bool {
        match self {
            DataType::Named { argument, .. } => argument.is_run_time(),
            other => {
                matches!(other, DataType::Variant(_) | DataType::Dynamic { .. } | DataType::Json(_))
            }
        }
    }

    /// Whether such a type stands anywhere in this one.
    pub fn holds_run_time(&self) -> bool {
        match self {
            DataType::Array(t) | DataType::Nullable(t) | DataType::LowCardinality(t) => {
                t.holds_run_time()
            }
            DataType::Tuple(elements) => elements.iter().any(|e| e.data_type.holds_run_time()),
            DataType::Map(k, v) => k.holds_run_time() || v.holds_run_time(),
            other => other.is_run_time(),
        }
    }

    /// The geometric type called `name`.
    pub fn geometric(name: &str) -> Option<DataType> {
        let of = |name| Self::geometric(name).map(Self::array);
        let (name, argument) = match name {
            "Point" => {
                let float = TupleElement { name: None, data_type: DataType::Float64 };
                ("Point", DataType::Tuple(vec![float; 2]))
            }
            "Ring" => ("Ring", of("Point")?),
            "LineString" => ("LineString", of("Point")?),
            "MultiPoint" => ("MultiPoint", of("Point")?),
            "Polygon" => ("Polygon", of("Ring")?),
            "MultiLineString" => ("MultiLineString", of("LineString")?),
            "MultiPolygon" => ("MultiPolygon", of("Polygon")?),
            "Geometry" => (
                "Geometry",
                DataType::Variant(GEOMETRIES.iter().filter_map(|n| Self::geometric(n)).collect()),
            ),
            _ => return None,
        };
        Some(DataType::Named { name, argument: Box::new(argument) })
    }

    /// The Arrow type of a column of this type.
    pub fn arrow(&self) -> ArrowType {
        use DataType::*;
        match self {
            Nothing => ArrowType::UInt8,
            UInt8 | Bool => ArrowType::UInt8,
            UInt16 | Date => ArrowType::UInt16,
            UInt32 | DateTime(_) | Ipv4 => ArrowType::UInt32,
            UInt64 => ArrowType::UInt64,
            Int8 | Enum8(_) => ArrowType::Int8,
            Int16 | Enum16(_) => ArrowType::Int16,
            Int32 | Date32 | Time => ArrowType::Int32,
            Int64 | DateTime64(..) | Interval(_) | Time64(_) => ArrowType::Int64,
            Float32 | BFloat16 => ArrowType::Float32,
            Float64 => ArrowType::Float64,
            // 128 and 256 bit integers use Arrow's decimal arrays as plain i128 / i256 words;
            // unsigned ones keep their bits.
            UInt128 | Int128 => ArrowType::Decimal128(38, 0),
            UInt256 | Int256 => ArrowType::Decimal256(76, 0),
            Decimal { precision, scale } => match precision {
                0..=9 => ArrowType::Int32,
                10..=18 => ArrowType::Int64,
                19..=38 => ArrowType::Decimal128(38, *scale as i8),
                _ => ArrowType::Decimal256(76, *scale as i8),
            },
            // 16 bytes big-endian, so that byte order is value order.
            Uuid | Ipv6 => ArrowType::FixedSizeBinary(16),
            FixedString(n) => ArrowType::FixedSizeBinary(*n as i32),
            String | AggregateFunction { .. } => ArrowType::Binary,
            Variant(_) | Dynamic { .. } | Json(_) => ArrowType::Binary,
            Nullable(t) | LowCardinality(t) => t.arrow(),
            SimpleAggregateFunction { argument, .. } | Named { argument, .. } => argument.arrow(),
            Array(t) => ArrowType::List(Arc::new(list_field(t))),
            Tuple(elements) => ArrowType::Struct(tuple_fields(elements)),
            Map(k, v) => {
                let entry = ArrowType::Struct(Fields::from(vec![
                    Field::new("keys", k.arrow(), k.is_nullable()),
                    Field::new("values", v.arrow(), v.is_nullable()),
                ]));
                ArrowType::List(Arc::new(Field::new("item", entry, false)))
            }
        }
    }
}

/// What a Geometry can be, in the order in which ClickHouse numbers them.
const GEOMETRIES: [&str; 7] =
    ["LineString", "MultiLineString", "MultiPolygon", "Point", "Polygon", "Ring", "MultiPoint"];

fn list_field(item: &DataType) -> Field {
    Field::new("item", item.arrow(), item.is_nullable())
}

fn tuple_fields(elements: &[TupleElement]) -> Fields {
    elements
        .iter()
        .enumerate()
        .map(|(i, e)| {
            let name = e.name.clone().unwrap_or_else(|| (i + 1).to_string());
            Field::new(name, e.data_type.arrow(), e.data_type.is_nullable())
        })
        .collect()
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DataType::*;
        match self {
            Decimal { precision, scale } => write!(f, "Decimal({precision}, {scale})"),
            FixedString(n) => write!(f, "FixedString({n})"),
            DateTime(None) => f.write_str("DateTime"),
            DateTime(Some(zone)) => write!(f, "DateTime('{zone}')"),
            DateTime64(p, None) => write!(f, "DateTime64({p})"),
            DateTime64(p, Some(zone)) => write!(f, "DateTime64({p}, '{zone}')"),
            Enum8(values) => write_enum(f, "Enum8", values),
            Enum16(values) => write_enum(f, "Enum16", values),
            Nullable(t) => write!(f, "Nullable({t})"),
            LowCardinality(t) => write!(f, "LowCardinality({t})"),
            Array(t) => write!(f, "Array({t})"),
            Map(k, v) => write!(f, "Map({k}, {v})"),
            Tuple(elements) => {
                f.write_str("Tuple(")?;
                for (i, e) in elements.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    if let Some(name) = &e.name {
                        write!(f, "{} ", back_quote_if_needed(name))?;
                    }
                    write!(f, "{}", e.data_type)?;
                }
                f.write_str(")")
            }
            Interval(unit) => write!(f, "Interval{unit}"),
            AggregateFunction { name, parameters, arguments } => {
                write!(f, "AggregateFunction({name}")?;
                if !parameters.is_empty() {
                    f.write_str("(")?;
                    for (i, p) in parameters.iter().enumerate() {
                        write!(f, "{}{}", if i > 0 { ", " } else { "" }, p.to_sql())?;
                    }
                    f.write_str(")")?;
                }
                for a in arguments {
                    write!(f, ", {a}")?;
                }
                f.write_str(")")
            }
            SimpleAggregateFunction { name, argument } => {
                write!(f, "SimpleAggregateFunction({name}, {argument})")
            }
            Time64(p) => write!(f, "Time64({p})"),
            Named { name, .. } => f.write_str(name),
            Variant(types) => {
                f.write_str("Variant(")?;
                for (i, t) in types.iter().enumerate() {
                    write!(f, "{}{t}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Dynamic { types_max: None } => f.write_str("Dynamic"),
            Dynamic { types_max: Some(n) } => write!(f, "Dynamic(max_types={n})"),
            Json(json) => write!(f, "{json}"),
            Uuid => f.write_str("UUID"),
            Ipv4 => f.write_str("IPv4"),
            Ipv6 => f.write_str("IPv6"),
            other => write!(f, "{other:?}"),
        }
    }
}

fn write_enum(f: &mut fmt::Formatter<'_>, name: &str, values: &EnumValues) -> fmt::Result {
    write!(f, "{name}(")?;
    for (i, (n, v)) in values.values.iter().enumerate() {
        write!(f, "{}{} = {v}", if i > 0 { ", " } else { "" }, quote_string(n))?;
    }
    f.write_str(")")
}

/// A single-quoted ClickHouse string literal of `text`.
pub(crate) fn quote_string(text: &str) -> std::string::String {
    let mut out = std::string::String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// `name` as it stands in SQL: bare if it is a plain identifier, else in back quotes.
pub fn back_quote_if_needed(name: &str) -> std::string::String {
    let plain = !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain {
        name.to_string()
    } else {
        format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
    }
}
