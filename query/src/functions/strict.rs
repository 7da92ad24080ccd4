//! Argument types that ClickHouse refuses although the function could do something with them. A query
//! that ClickHouse rejects must not be answered here: it would fail when it is taken elsewhere. The
//! functions' own rules know nothing of this; the table is looked at before them.

use pumphouse_storage::{Column, DataType};

use super::{Argument, ArgumentType, FunctionCall};
use crate::error::{Error, Result, codes};

/// Families of types that are refused together.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Fixed,
    /// Integers of 128 and 256 bits.
    Wide,
    /// Integers that are signed or wider than 32 bits.
    NotWord,
    Date32,
    DateTime64,
    AnyDate,
    Enum,
    Interval,
    Address,
    Decimal,
    NotText,
}

/// Functions, the argument, what it must not be, and the error's code.
const REFUSED: &[(&str, usize, &[Kind], u32)] = &[
    ("splitByChar splitByString splitByRegexp", 1, &[Kind::Fixed], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    (
        "splitByWhitespace splitByNonAlpha alphaTokens substringUTF8 leftUTF8 rightUTF8 \
         JSONExtractArrayRaw JSONExtractBool JSONExtractFloat JSONExtractInt JSONExtractKeys JSONExtractRaw \
         JSONExtractString JSONExtractUInt JSONHas JSONLength JSONType isValidJSON extractURLParameters \
         extractURLParameterNames extract extractAll multiSearchAny multiSearchFirstIndex \
         multiSearchFirstPosition multiSearchAllPositions editDistance hasSubsequence substringIndex repeat",
        0,
        &[Kind::Fixed],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    (
        "cutQueryString cutQueryStringAndFragment cutToFirstSignificantSubdomain decodeURLComponent \
         encodeURLComponent domain domainWithoutWWW soundex toValidUTF8 replaceRegexpAll replaceRegexpOne",
        0,
        &[Kind::Fixed],
        codes::ILLEGAL_COLUMN,
    ),
    ("lowerUTF8 upperUTF8", 0, &[Kind::Fixed], codes::BAD_ARGUMENTS),
    ("monthName", 0, &[Kind::Date32], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("IPv4NumToString IPv4NumToStringClassC", 0, &[Kind::NotWord], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    (
        "concatWithSeparator concatWithSeparatorAssumeInjective",
        0,
        &[Kind::NotText],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    ("fromUnixTimestamp", 0, &[Kind::AnyDate], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    (
        "fromUnixTimestamp64Milli fromUnixTimestamp64Micro fromUnixTimestamp64Nano",
        0,
        &[Kind::Wide],
        codes::ILLEGAL_COLUMN,
    ),
    ("hex", 0, &[Kind::Date32, Kind::Enum, Kind::Interval], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("hex", 0, &[Kind::DateTime64], codes::ILLEGAL_COLUMN),
    (
        "intHash32 intHash64",
        0,
        &[Kind::Wide, Kind::DateTime64, Kind::Enum],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    ("isFinite isInfinite isNaN", 0, &[Kind::Wide], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("isZeroOrNull", 0, &[Kind::AnyDate, Kind::Enum, Kind::Interval], codes::BAD_ARGUMENTS),
    ("isZeroOrNull", 0, &[Kind::Wide, Kind::Decimal], codes::ILLEGAL_COLUMN),
    ("pow", 0, &[Kind::Wide], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("length", 0, &[Kind::Address], codes::ILLEGAL_TYPE_OF_ARGUMENT),
];

/// Functions that find no text in a FixedString.
const SEARCHES: &[&str] = &["position", "positionCaseInsensitive", "countSubstrings", "hasToken"];

/// What a function refuses only once there are rows: a column that it is given.
pub(super) struct RowCheck {
    argument: usize,
    kinds: &'static [Kind],
    code: u32,
}

/// The checks of `function` that wait for rows.
pub(super) fn row_checks(function: &str) -> Vec<RowCheck> {
    let mut checks: Vec<RowCheck> = REFUSED
        .iter()
        .filter(|(names, _, _, code)| {
            *code == codes::ILLEGAL_COLUMN && names.split_whitespace().any(|n| n == function)
        })
        .map(|(_, argument, kinds, code)| RowCheck { argument: *argument, kinds, code: *code })
        .collect();
    if SEARCHES.contains(&function) {
        checks.push(RowCheck { argument: 0, kinds: &[Kind::Fixed], code: codes::ILLEGAL_COLUMN });
    }
    let positions = match function {
        "substring" | "substringUTF8" | "arrayElement" => 1,
        _ => return checks,
    };
    checks.push(RowCheck {
        argument: positions,
        kinds: &[],
        code: codes::ZERO_ARRAY_OR_TUPLE_INDEX,
    });
    checks
}

/// Applies `checks` to a call that has rows.
pub(super) fn check_rows(function: &str, checks: &[RowCheck], call: &FunctionCall) -> Result<()> {
    for check in checks {
        let Some(Argument::Column(column) | Argument::Constant(column)) =
            call.arguments.get(check.argument)
        else {
            continue;
        };
        if check.code == codes::ZERO_ARRAY_OR_TUPLE_INDEX {
            check_position(call, column)?;
            continue;
        }
        let data_type = column.data_type.without_nullable();
        if check.kinds.iter().any(|kind| is(&data_type, *kind)) {
            return Err(illegal(function, &data_type, check.argument, check.code));
        }
    }
    Ok(())
}

/// A constant position 0 in something that is no constant.
fn check_position(call: &FunctionCall, position: &Column) -> Result<()> {
    let (true, false) = (call.is_constant(1), call.is_constant(0)) else { return Ok(()) };
    let first = call.data_type(0)?;
    if matches!(first, DataType::Map(..)) || position.is_empty() {
        return Ok(());
    }
    if position.value(0).as_i128() == Some(0) {
        let what = if first.is_string() { "Indices in strings" } else { "Array indices" };
        let message = format!("{what} are 1-based");
        return Err(Error::new(codes::ZERO_ARRAY_OR_TUPLE_INDEX, message));
    }
    Ok(())
}

fn illegal(function: &str, data_type: &DataType, argument: usize, code: u32) -> Error {
    let message =
        format!("Illegal type {data_type} of argument {} of function {function}", argument + 1);
    Error::new(code, message)
}

/// Refuses arguments that ClickHouse refuses when it analyses a query.
pub(super) fn check(function: &str, arguments: &[ArgumentType]) -> Result<()> {
    for (names, index, kinds, code) in REFUSED {
        let Some(argument) = arguments.get(*index) else { continue };
        let data_type = argument.data_type.without_nullable();
        if *code != codes::ILLEGAL_COLUMN
            && kinds.iter().any(|kind| is(&data_type, *kind))
            && names.split_whitespace().any(|name| name == function)
        {
            return Err(illegal(function, &argument.data_type, *index, *code));
        }
    }
    Ok(())
}

fn is(data_type: &DataType, kind: Kind) -> bool {
    use DataType::*;
    let wide = matches!(data_type, Int128 | Int256 | UInt128 | UInt256);
    match kind {
        Kind::Fixed => matches!(data_type, FixedString(_)),
        Kind::Wide => wide,
        Kind::NotWord => wide || matches!(data_type, Int8 | Int16 | Int32 | Int64 | UInt64),
        Kind::Date32 => matches!(data_type, Date32),
        Kind::DateTime64 => matches!(data_type, DateTime64(..)),
        Kind::AnyDate => data_type.is_date_or_time(),
        Kind::Enum => matches!(data_type, Enum8(_) | Enum16(_)),
        Kind::Interval => matches!(data_type, Interval(_)),
        Kind::Address => matches!(data_type, Ipv4 | Ipv6 | Uuid),
        Kind::Decimal => matches!(data_type, Decimal { .. }),
        Kind::NotText => !data_type.is_string() && *data_type != Nothing,
    }
}
