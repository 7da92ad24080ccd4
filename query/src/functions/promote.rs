//! Promotion rules: the smallest type that holds the values of several types (ClickHouse's least
//! supertype), and the types of literals.
//!
//! Where values meet in `if`, `multiIf`, arrays and unions, types without a common one become a Variant
//! ([`common_value_type`]). Literals that are arrays take Int128 or Float64 for mixed numbers.

use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{DataType, Value};

use super::ArgumentType;
use super::invoke::is_null_type;
use crate::error::{Error, Result, codes};

/// The least supertype of `types`; error 386 if there is none.
pub fn common_type(types: &[DataType]) -> Result<DataType> {
    let mut nullable = types.iter().any(is_null_type);
    let known: Vec<&DataType> =
        types.iter().filter(|t| **t != DataType::Nothing && !is_null_type(t)).collect();
    let Some(first) = known.first() else {
        return Ok(if nullable { super::invoke::null_type() } else { DataType::Nothing });
    };
    if known.iter().all(|t| same_type(t, first)) {
        // A bare NULL leaves no LowCardinality.
        let plain = first.without_low_cardinality();
        return Ok(if nullable { plain.or_null() } else { (*first).clone() });
    }
    if known.iter().any(|t| special(t)) {
        return common_special(&known);
    }
    if known.iter().any(|t| matches!(t, DataType::LowCardinality(_))) {
        let all = known.iter().all(|t| matches!(t, DataType::LowCardinality(_)));
        let plain: Vec<DataType> =
            known.iter().map(|t| t.without_low_cardinality().clone()).collect();
        let inner = common_type(&plain)?;
        let inner = if nullable { inner.or_null() } else { inner };
        return Ok(if all && !nullable {
            DataType::LowCardinality(Box::new(inner))
        } else {
            inner
        });
    }
    nullable |= known.iter().any(|t| t.is_nullable());
    let plain: Vec<DataType> =
        known.iter().map(|t| t.without_nullable().without_low_cardinality().clone()).collect();
    let result = if plain.iter().all(|t| same_type(t, &plain[0])) {
        plain[0].clone()
    } else {
        common_plain_type(&plain)?
    };
    Ok(if nullable { result.or_null() } else { result })
}

/// Types that are not promoted as plain ones are.
fn special(data_type: &DataType) -> bool {
    use DataType::*;
    match data_type {
        Nullable(t) => special(t),
        Variant(_) | Dynamic { .. } | Named { .. } | Json(_) => true,
        _ => false,
    }
}

/// With a Dynamic everything is Dynamic, with a Variant everything is one of its alternatives; names of
/// other types do not count.
fn common_special(types: &[&DataType]) -> Result<DataType> {
    use DataType::*;
    if let Some(dynamic) = types.iter().find(|t| matches!(t, Dynamic { .. })) {
        return Ok((*dynamic).clone());
    }
    if types.iter().any(|t| matches!(t, Variant(_))) {
        return Ok(as_variant(types.iter().copied()));
    }
    let unnamed: Vec<DataType> = types
        .iter()
        .map(|t| match t {
            Named { argument, .. } => (**argument).clone(),
            Nullable(t) => match &**t {
                Named { argument, .. } => DataType::nullable((**argument).clone()),
                other => DataType::nullable(other.clone()),
            },
            other => (*other).clone(),
        })
        .collect();
    let nullable = unnamed.iter().any(DataType::is_nullable);
    let plain: Vec<DataType> = unnamed.iter().map(DataType::without_nullable).collect();
    if plain.iter().all(|t| *t == plain[0]) {
        let first = plain[0].clone();
        return Ok(if nullable { DataType::nullable(first) } else { first });
    }
    if plain.iter().any(special) {
        return Err(no_common_type(&plain));
    }
    common_type(&unnamed)
}

/// The Variant that holds the values of all these types.
fn as_variant<'t>(types: impl Iterator<Item = &'t DataType>) -> DataType {
    let mut all: Vec<DataType> = vec![];
    for t in types {
        match t.without_low_cardinality().without_nullable() {
            DataType::Variant(own) => all.extend(own),
            DataType::Nothing => {}
            own => all.push(own),
        }
    }
    super::run_time::variant_type(all)
}

/// The same type for promotion: DateTime whatever its zone, Bool as UInt8.
fn same_type(a: &DataType, b: &DataType) -> bool {
    use DataType::*;
    match (a, b) {
        (DateTime(_), DateTime(_)) => true,
        (DateTime64(p, _), DateTime64(q, _)) => p == q,
        (Bool | UInt8, Bool | UInt8) => true,
        (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t }) => {
            s == t && width_precision(*p) == width_precision(*q)
        }
        _ => a == b,
    }
}

/// Error 386 over these types.
pub(super) fn no_common_type(types: &[DataType]) -> Error {
    let names: Vec<String> = types.iter().map(DataType::to_string).collect();
    Error::new(
        codes::NO_COMMON_TYPE,
        format!("There is no supertype for types {}", names.join(", ")),
    )
}

fn common_plain_type(types: &[DataType]) -> Result<DataType> {
    use DataType::*;
    match &types[0] {
        Array(_) => return common_array(types),
        Tuple(first) => return common_tuple(types, first),
        Map(..) => return common_map(types),
        _ => {}
    }
    if types.iter().any(DataType::is_string) {
        let text = types.iter().all(|t| t.is_string() || matches!(t, Enum8(_) | Enum16(_)));
        return if text { Ok(String) } else { Err(no_common_type(types)) };
    }
    if types.iter().any(|t| matches!(t, Time | Time64(_))) {
        let precision = |t: &DataType| match t {
            Time => Some(0),
            Time64(p) => Some(*p),
            _ => None,
        };
        let all: Option<Vec<u8>> = types.iter().map(precision).collect();
        let finest = all.ok_or_else(|| no_common_type(types))?.into_iter().max();
        return Ok(Time64(finest.unwrap_or(0)));
    }
    if types.iter().any(DataType::is_date_or_time) {
        return common_time(types);
    }
    if types.iter().any(|t| matches!(t, Decimal { .. })) {
        return common_decimal(types);
    }
    common_number(types).ok_or_else(|| no_common_type(types))
}

fn common_array(types: &[DataType]) -> Result<DataType> {
    let mut items = vec![];
    for t in types {
        match t {
            DataType::Array(item) => items.push((**item).clone()),
            _ => return Err(no_common_type(types)),
        }
    }
    Ok(DataType::array(common_type(&items)?))
}

fn common_tuple(types: &[DataType], first: &[TupleElement]) -> Result<DataType> {
    let mut columns: Vec<Vec<DataType>> = vec![vec![]; first.len()];
    let mut same_names = true;
    for t in types {
        match t {
            DataType::Tuple(elements) if elements.len() == first.len() => {
                for (i, e) in elements.iter().enumerate() {
                    columns[i].push(e.data_type.clone());
                    same_names &= e.name == first[i].name;
                }
            }
            _ => return Err(no_common_type(types)),
        }
    }
    let elements = columns
        .iter()
        .zip(first)
        .map(|(c, e)| {
            let name = if same_names { e.name.clone() } else { None };
            Ok(TupleElement { name, data_type: common_type(c)? })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(DataType::Tuple(elements))
}

fn common_map(types: &[DataType]) -> Result<DataType> {
    let (mut keys, mut items) = (vec![], vec![]);
    for t in types {
        match t {
            DataType::Map(k, v) => {
                keys.push((**k).clone());
                items.push((**v).clone());
            }
            _ => return Err(no_common_type(types)),
        }
    }
    Ok(DataType::Map(Box::new(common_type(&keys)?), Box::new(common_type(&items)?)))
}

fn common_time(types: &[DataType]) -> Result<DataType> {
    use DataType::*;
    let (mut date32, mut date_time, mut zone, mut precision) = (false, false, None, None);
    let (mut wide, mut fine_zone) = (false, None);
    for t in types {
        match t {
            Date => {}
            Date32 => date32 = true,
            DateTime(z) => {
                if !date_time {
                    zone = *z;
                }
                date_time = true;
            }
            DateTime64(p, z) => {
                // The zone of the finest DateTime64 lasts.
                if precision.is_none_or(|before| *p > before) {
                    fine_zone = *z;
                }
                wide = true;
                precision = Some(precision.unwrap_or(0).max(*p));
            }
            _ => return Err(no_common_type(types)),
        }
    }
    Ok(match (wide, date_time, date32) {
        (true, ..) => DateTime64(precision.unwrap_or(3), fine_zone),
        (false, true, true) => DateTime64(0, None),
        (false, true, false) => DateTime(zone),
        (false, false, true) => Date32,
        (false, false, false) => Date,
    })
}

fn common_decimal(types: &[DataType]) -> Result<DataType> {
    use DataType::*;
    let scale_max = types
        .iter()
        .filter_map(|t| if let Decimal { scale, .. } = t { Some(*scale) } else { None })
        .max()
        .unwrap_or(0);
    let mut needed = scale_max;
    for t in types {
        needed = needed.max(match t {
            Decimal { precision, .. } => width_precision(*precision),
            t if t.is_integer() => scale_max.saturating_add(integer_digits(t)),
            _ => return Err(no_common_type(types)),
        });
    }
    if needed > 76 {
        return Err(no_common_type(types));
    }
    Ok(Decimal { precision: width_precision(needed), scale: scale_max })
}

/// The largest precision of the word that holds `precision` digits.
pub(super) fn width_precision(precision: u8) -> u8 {
    match precision {
        0..=9 => 9,
        10..=18 => 18,
        19..=38 => 38,
        _ => 76,
    }
}

fn integer_digits(data_type: &DataType) -> u8 {
    use DataType::*;
    match data_type {
        Bool | UInt8 | Int8 => 3,
        UInt16 | Int16 => 5,
        UInt32 | Int32 => 10,
        Int64 => 19,
        UInt64 => 20,
        UInt128 | Int128 => 39,
        _ => 77,
    }
}

/// Bits of a number type (Bool counts as UInt8, Enums as their integers).
pub(crate) fn bits(data_type: &DataType) -> u32 {
    use DataType::*;
    match data_type {
        UInt8 | Int8 | Bool | Enum8(_) => 8,
        UInt16 | Int16 | Enum16(_) => 16,
        UInt32 | Int32 | Float32 | BFloat16 => 32,
        UInt64 | Int64 | Float64 => 64,
        UInt128 | Int128 => 128,
        UInt256 | Int256 => 256,
        _ => 0,
    }
}

/// The integer type of this width; `None` beyond 256 bit.
pub(super) fn integer_type(signed: bool, bits: u32) -> Option<DataType> {
    use DataType::*;
    Some(match (signed, bits) {
        (false, 8) => UInt8,
        (false, 16) => UInt16,
        (false, 32) => UInt32,
        (false, 64) => UInt64,
        (false, 128) => UInt128,
        (false, 256) => UInt256,
        (true, 8) => Int8,
        (true, 16) => Int16,
        (true, 32) => Int32,
        (true, 64) => Int64,
        (true, 128) => Int128,
        (true, 256) => Int256,
        _ => return None,
    })
}

fn common_number(types: &[DataType]) -> Option<DataType> {
    let (mut signed, mut unsigned, mut float) = (0, 0, 0);
    for t in types {
        let width = match bits(t) {
            0 => return None,
            width => width,
        };
        let most = match t {
            t if t.is_float() => &mut float,
            t if t.is_unsigned_integer() => &mut unsigned,
            _ => &mut signed,
        };
        *most = width.max(*most);
    }
    if float > 0 {
        return match signed.max(unsigned) {
            0..=16 if float == 32 => Some(DataType::Float32),
            0..=32 => Some(DataType::Float64),
            _ => None,
        };
    }
    if signed == 0 {
        return integer_type(false, unsigned);
    }
    let needed = if unsigned >= signed { unsigned * 2 } else { signed };
    // 64 bit unsigned with signed would need 128 bit, which ClickHouse does not do by itself.
    if unsigned == 64 && signed <= 64 {
        return None;
    }
    integer_type(true, needed)
}

/// The common type of values that meet in `if`, `multiIf`, CASE, a union or an array. UInt64 literals
/// that fit count as Int64 beside signed numbers; types without a supertype become a Variant.
pub fn common_value_type(arguments: &[ArgumentType]) -> Result<DataType> {
    common_exact_type(arguments).or_else(|error| {
        let types: Vec<DataType> =
            arguments.iter().map(|a| a.data_type.without_low_cardinality().clone()).collect();
        let all = as_variant(types.iter());
        match &all {
            DataType::Variant(own) if own.len() > 1 => Ok(all),
            _ => Err(error),
        }
    })
}

/// The least supertype of `types`, else the Variant of them.
pub fn common_or_variant(types: &[DataType]) -> Result<DataType> {
    let items: Vec<ArgumentType> = types
        .iter()
        .map(|t| ArgumentType { data_type: t.clone(), constant: None, lambda_arity: None })
        .collect();
    common_value_type(&items)
}

/// The same without Variant: numbers without a supertype become Float64 or Int128.
pub(super) fn common_number_type(arguments: &[ArgumentType]) -> Result<DataType> {
    let types: Vec<DataType> = arguments.iter().map(|a| a.data_type.clone()).collect();
    common_exact_type(arguments).or_else(|error| widened(&types).ok_or(error))
}

/// The least supertype, where UInt64 literals may count as Int64.
pub(super) fn common_exact_type(arguments: &[ArgumentType]) -> Result<DataType> {
    let mut types: Vec<DataType> = arguments.iter().map(|a| a.data_type.clone()).collect();
    let exact = common_type(&types);
    if exact.is_ok() {
        return exact;
    }
    for (t, argument) in types.iter_mut().zip(arguments) {
        if let (DataType::UInt64, Some(v)) = (&*t, &argument.constant)
            && v.as_u64().is_some_and(|v| i64::try_from(v).is_ok())
        {
            *t = DataType::Int64;
        }
    }
    common_type(&types)
}

fn widened(types: &[DataType]) -> Option<DataType> {
    let nullable = types.iter().any(DataType::is_nullable);
    let plain: Vec<&DataType> = types.iter().map(DataType::inner).collect();
    if !plain.iter().all(|t| t.is_number() || **t == DataType::Nothing) {
        return None;
    }
    let float = plain.iter().any(|t| t.is_float());
    let result = if float { DataType::Float64 } else { DataType::Int128 };
    Some(if nullable { DataType::nullable(result) } else { result })
}

/// The smallest type of a literal.
pub fn literal_type(value: &Value) -> DataType {
    use DataType::*;
    match value {
        Value::Null => super::invoke::null_type(),
        Value::Bool(_) => Bool,
        Value::UInt(v) => unsigned_literal(*v),
        Value::Int(v) if *v >= 0 => unsigned_literal(*v as u64),
        Value::Int(v) => match *v {
            -128.. => Int8,
            -32_768.. => Int16,
            -2_147_483_648.. => Int32,
            _ => Int64,
        },
        Value::UInt128(_) => UInt128,
        Value::Int128(_) => Int128,
        Value::Int256(_) => Int256,
        Value::Float(_) => Float64,
        Value::Decimal(v, scale) => {
            let digits = v.unsigned_abs().to_string().len() as u8;
            Decimal { precision: width_precision(digits.max(*scale)), scale: *scale }
        }
        Value::String(_) => String,
        Value::Array(items) => DataType::array(common_literal_type(items)),
        Value::Tuple(items) => Tuple(
            items.iter().map(|v| TupleElement { name: None, data_type: literal_type(v) }).collect(),
        ),
        Value::Map(entries) => {
            let (keys, values): (Vec<Value>, Vec<Value>) = entries.iter().cloned().unzip();
            Map(Box::new(common_literal_type(&keys)), Box::new(common_literal_type(&values)))
        }
    }
}

fn unsigned_literal(v: u64) -> DataType {
    match v {
        0..=0xFF => DataType::UInt8,
        0x100..=0xFFFF => DataType::UInt16,
        0x1_0000..=0xFFFF_FFFF => DataType::UInt32,
        _ => DataType::UInt64,
    }
}

fn common_literal_type(values: &[Value]) -> DataType {
    let arguments: Vec<ArgumentType> = values
        .iter()
        .map(|v| ArgumentType {
            data_type: literal_type(v),
            constant: Some(v.clone()),
            lambda_arity: None,
        })
        .collect();
    // A mix without a common type shows up as an error where the literal is used.
    common_number_type(&arguments).unwrap_or(DataType::String)
}
