//! ORC's types as ours, and ours as ORC's.
//!
//! Reading: every plain column may hold NULL; of texts in a dictionary LowCardinality. Writing: numbers
//! without sign keep their bits, what ORC has no type for becomes bytes, or is refused (44).

use pumphouse_query::error::{Error, Result};
use pumphouse_storage::DataType;
use pumphouse_storage::types::{TimeZone, TupleElement};

use super::directory::{Kind, StripeEnd, Type};
use super::{Read, bad};

const ILLEGAL_COLUMN: u32 = 44;

/// The type that column `id` has when nothing is wanted of it.
pub fn inferred(types: &[Type], id: usize, first: Option<&StripeEnd>) -> Read<DataType> {
    use DataType as T;
    let child = |i: usize| inferred(types, types[id].children[i], first);
    let dictionary = || first.and_then(|f| f.encodings.get(id)).is_some_and(|e| e.dictionary);
    Ok(match types[id].kind {
        Kind::List => T::array(child(0)?),
        Kind::Map => T::Map(Box::new(child(0)?.without_nullable()), Box::new(child(1)?)),
        Kind::Struct => {
            let element = |(i, name): (usize, &String)| {
                Ok(TupleElement { name: Some(name.clone()), data_type: child(i)? })
            };
            T::Tuple(types[id].names.iter().enumerate().map(element).collect::<Read<Vec<_>>>()?)
        }
        Kind::Union => {
            let count = types[id].children.len();
            let all = (0..count).map(|i| Ok(child(i)?.without_nullable())).collect::<Read<_>>()?;
            variant_of_types(all)?
        }
        Kind::String | Kind::Binary | Kind::Varchar if dictionary() => {
            T::LowCardinality(Box::new(T::nullable(T::String)))
        }
        _ => T::nullable(plain(&types[id])?),
    })
}

/// The Variant of a union's types.
pub fn variant_of_types(mut types: Vec<DataType>) -> Read<DataType> {
    types.sort_by_key(DataType::to_string);
    if types.windows(2).any(|w| w[0] == w[1]) {
        return Err(bad("a union has several children of one type"));
    }
    Ok(DataType::Variant(types))
}

/// The type of values that hold no others.
pub fn plain(of: &Type) -> Read<DataType> {
    use DataType as T;
    Ok(match of.kind {
        Kind::Boolean => T::Bool,
        Kind::Byte => T::Int8,
        Kind::Short => T::Int16,
        Kind::Int => T::Int32,
        Kind::Long => T::Int64,
        Kind::Float => T::Float32,
        Kind::Double => T::Float64,
        Kind::String | Kind::Binary | Kind::Varchar | Kind::Char => T::String,
        Kind::Timestamp => T::DateTime64(9, None),
        Kind::Instant => T::DateTime64(9, Some(TimeZone::UTC)),
        Kind::Date => T::Date32,
        Kind::Decimal => {
            // Hive's first decimals say no precision.
            let precision = if of.precision == 0 { 38 } else { of.precision };
            if precision > 38 || of.scale > precision {
                return Err(bad(format!("a decimal of {precision} digits, {} behind", of.scale)));
            }
            T::Decimal { precision: precision as u8, scale: of.scale as u8 }
        }
        Kind::List | Kind::Map | Kind::Struct | Kind::Union => {
            return Err(bad("a type that holds others"));
        }
    })
}

/// Appends the ORC type of a column, and those of its children behind it.
pub fn append(data_type: &DataType, texts: Kind, types: &mut Vec<Type>) -> Result<usize> {
    use DataType as T;
    let id = types.len();
    let mut one = Type::plain(kind_of(data_type, texts)?);
    types.push(one.clone());
    match data_type.inner() {
        T::Decimal { precision, scale } => {
            (one.precision, one.scale) = (*precision as u64, *scale as u64);
        }
        T::Array(item) => one.children.push(append(item, texts, types)?),
        T::Variant(alternatives) => {
            for alternative in alternatives {
                one.children.push(append(alternative, texts, types)?);
            }
        }
        T::Map(key, value) => {
            one.children.push(append(key, texts, types)?);
            one.children.push(append(value, texts, types)?);
        }
        T::Tuple(elements) => {
            for (i, element) in elements.iter().enumerate() {
                one.names.push(element.name.clone().unwrap_or_else(|| (i + 1).to_string()));
                one.children.push(append(&element.data_type, texts, types)?);
            }
        }
        _ => {}
    }
    types[id] = one;
    Ok(id)
}

/// Whether values of a type are written as this kind.
pub fn is_kind(data_type: &DataType, kind: Kind) -> bool {
    match (kind_of(data_type, Kind::String), kind) {
        (Ok(Kind::String | Kind::Binary), Kind::String | Kind::Binary) => true,
        (Ok(own), kind) => own == kind,
        (Err(_), _) => false,
    }
}

fn kind_of(data_type: &DataType, texts: Kind) -> Result<Kind> {
    use DataType as T;
    Ok(match data_type.inner() {
        T::Bool => Kind::Boolean,
        T::UInt8 | T::Int8 | T::Enum8(_) => Kind::Byte,
        T::UInt16 | T::Int16 | T::Enum16(_) => Kind::Short,
        T::UInt32 | T::Int32 | T::Ipv4 => Kind::Int,
        T::UInt64 | T::Int64 => Kind::Long,
        T::Float32 => Kind::Float,
        T::Float64 => Kind::Double,
        T::String | T::FixedString(_) => texts,
        T::UInt128 | T::Int128 | T::UInt256 | T::Int256 | T::Ipv6 => Kind::Binary,
        T::Decimal { precision: 39.., .. } => Kind::Binary,
        T::Decimal { .. } => Kind::Decimal,
        T::Date | T::Date32 => Kind::Date,
        T::DateTime(_) | T::DateTime64(..) => Kind::Timestamp,
        T::Array(_) => Kind::List,
        T::Map(..) => Kind::Map,
        T::Tuple(_) => Kind::Struct,
        T::Variant(_) => Kind::Union,
        _ => {
            let message = format!("Type {data_type} is not supported for ORC output format.");
            return Err(Error::new(ILLEGAL_COLUMN, message));
        }
    })
}
