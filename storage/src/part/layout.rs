//! How the values of a type lie in memory and therefore in a part: numbers of a width, fixed bytes,
//! strings, objects, lists, structs. Derived from [`DataType`]; encoding and decoding look at nothing else.

use crate::types::DataType;

/// Paths of a granule of JSON objects that lie on their own, at most.
const PATHS_MAX: usize = 10_000;

/// The physical shape of a column. Nullability is not part of it: any node may carry a bitmap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Little-endian words of 1, 2, 4, 8, 16 or 32 bytes.
    Number {
        width: usize,
        order: Order,
    },
    FixedBytes(usize),
    Strings,
    /// JSON objects as byte strings; in a part each path lies on its own, `paths_max` of them at most.
    Objects {
        paths_max: usize,
    },
    List(Box<Layout>),
    Struct(Vec<Layout>),
}

/// How words compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Unsigned,
    Signed,
    Float,
}

impl Layout {
    pub(crate) fn of(data_type: &DataType) -> Layout {
        use DataType::*;
        let number = |width, order| Layout::Number { width, order };
        match data_type {
            Nothing | UInt8 | Bool => number(1, Order::Unsigned),
            UInt16 | Date => number(2, Order::Unsigned),
            UInt32 | DateTime(_) | Ipv4 => number(4, Order::Unsigned),
            UInt64 => number(8, Order::Unsigned),
            UInt128 => number(16, Order::Unsigned),
            UInt256 => number(32, Order::Unsigned),
            Int8 | Enum8(_) => number(1, Order::Signed),
            Int16 | Enum16(_) => number(2, Order::Signed),
            Int32 | Date32 | Time => number(4, Order::Signed),
            Int64 | DateTime64(..) | Interval(_) | Time64(_) => number(8, Order::Signed),
            Int128 => number(16, Order::Signed),
            Int256 => number(32, Order::Signed),
            Float32 | BFloat16 => number(4, Order::Float),
            Float64 => number(8, Order::Float),
            Decimal { precision, .. } => match precision {
                0..=9 => number(4, Order::Signed),
                10..=18 => number(8, Order::Signed),
                19..=38 => number(16, Order::Signed),
                _ => number(32, Order::Signed),
            },
            Uuid | Ipv6 => Layout::FixedBytes(16),
            FixedString(n) => Layout::FixedBytes(*n),
            String | AggregateFunction { .. } | Variant(_) | Dynamic { .. } => Layout::Strings,
            Json(json) => Layout::Objects {
                paths_max: (json.paths_max() as usize).min(PATHS_MAX) + json.typed.len(),
            },
            Nullable(t) | LowCardinality(t) => Layout::of(t),
            SimpleAggregateFunction { argument, .. } | Named { argument, .. } => {
                Layout::of(argument)
            }
            Array(t) => Layout::List(Box::new(Layout::of(t))),
            Tuple(elements) => {
                Layout::Struct(elements.iter().map(|e| Layout::of(&e.data_type)).collect())
            }
            Map(k, v) => Layout::List(Box::new(Layout::Struct(vec![Layout::of(k), Layout::of(v)]))),
        }
    }
}
