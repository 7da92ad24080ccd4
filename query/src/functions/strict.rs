//! Argument types that ClickHouse refuses although the function could do something with them. A query
//! that ClickHouse rejects must not be answered here: it would fail when it is taken elsewhere. The
//! functions' own rules know nothing of this; the table is looked at before them.

use pumphouse_storage::DataType;

use super::{ArgumentType, FunctionCall};
use crate::error::{Error, Result, codes};

/// Families of types that are refused together.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
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
    /// Of more than 64 bits.
    WideDecimal,
    NotText,
}

/// Functions, the argument, what it must not be, and the error's code.
type Refusal = (&'static str, usize, &'static [Kind], u32);

/// What is refused as soon as types are settled.
const REFUSED: &[Refusal] = &[
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
        "position positionCaseInsensitive positionUTF8 positionCaseInsensitiveUTF8 countSubstrings \
         countSubstringsCaseInsensitive hasToken hasTokenOrNull hasTokenCaseInsensitive \
         hasTokenCaseInsensitiveOrNull like notLike ilike notILike match editDistance editDistanceUTF8 \
         damerauLevenshteinDistance jaroSimilarity jaroWinklerSimilarity hasSubsequence \
         hasSubsequenceCaseInsensitive replaceAll replaceOne replaceRegexpAll replaceRegexpOne substringIndex \
         substringIndexUTF8 extract extractAll countMatches regexpExtract startsWithUTF8 endsWithUTF8 \
         trimBoth trimLeft trimRight formatDateTime arrayStringConcat",
        1,
        &[Kind::Fixed],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    (
        "replaceAll replaceOne replaceRegexpAll replaceRegexpOne leftPad rightPad leftPadUTF8 rightPadUTF8",
        2,
        &[Kind::Fixed],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    (
        "locate splitByChar splitByString splitByRegexp dateName",
        0,
        &[Kind::Fixed],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    ("monthName", 0, &[Kind::Date32], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("IPv4NumToString IPv4NumToStringClassC", 0, &[Kind::NotWord], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    (
        "concatWithSeparator concatWithSeparatorAssumeInjective",
        0,
        &[Kind::NotText],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    ("fromUnixTimestamp", 0, &[Kind::AnyDate], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("hex", 0, &[Kind::Date32, Kind::Enum, Kind::Interval], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("isFinite isInfinite isNaN", 0, &[Kind::Wide], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("isZeroOrNull", 0, &[Kind::AnyDate, Kind::Enum, Kind::Interval], codes::BAD_ARGUMENTS),
    ("pow", 0, &[Kind::Wide], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("length", 0, &[Kind::Address], codes::ILLEGAL_TYPE_OF_ARGUMENT),
    ("regexpQuoteMeta normalizedQueryHash", 0, &[Kind::Fixed], codes::ILLEGAL_TYPE_OF_ARGUMENT),
];

/// What is refused only where it is computed.
const REFUSED_LATER: &[Refusal] = &[
    (
        "cutFragment cutQueryString cutQueryStringAndFragment cutToFirstSignificantSubdomain \
         cutToFirstSignificantSubdomainWithWWW cutWWW decodeURLComponent decodeURLFormComponent domain domainRFC \
         domainWithoutWWW domainWithoutWWWRFC encodeURLComponent encodeURLFormComponent firstSignificantSubdomain \
         fragment netloc normalizeQuery normalizeQueryKeepNames path pathFull protocol queryString \
         queryStringAndFragment reverseUTF8 soundex toValidUTF8 topLevelDomain topLevelDomainRFC",
        0,
        &[Kind::Fixed],
        codes::ILLEGAL_COLUMN,
    ),
    (
        "decodeHTMLComponent decodeXMLComponent encodeXMLComponent",
        0,
        &[Kind::Fixed],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    ("initcapUTF8 lowerUTF8 upperUTF8", 0, &[Kind::Fixed], codes::BAD_ARGUMENTS),
    (
        "fromUnixTimestamp64Milli fromUnixTimestamp64Micro fromUnixTimestamp64Nano",
        0,
        &[Kind::Wide],
        codes::ILLEGAL_COLUMN,
    ),
    ("hex", 0, &[Kind::DateTime64], codes::ILLEGAL_COLUMN),
    (
        "intHash32 intHash64",
        0,
        &[Kind::Wide, Kind::DateTime64, Kind::Enum, Kind::WideDecimal],
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
    ),
    ("isZeroOrNull", 0, &[Kind::Wide, Kind::Decimal], codes::ILLEGAL_COLUMN),
];

/// Functions that find no text in a column of FixedString.
const SEARCHES: &[&str] = &[
    "position",
    "positionCaseInsensitive",
    "positionUTF8",
    "positionCaseInsensitiveUTF8",
    "countSubstrings",
    "countSubstringsCaseInsensitive",
    "countSubstringsCaseInsensitiveUTF8",
    "hasToken",
    "hasTokenCaseInsensitive",
    "hasTokenCaseInsensitiveOrNull",
    "hasTokenOrNull",
    "locate",
];

/// Functions whose second argument must be constant.
const CONSTANT_SECOND: &[&str] = &[
    "hasToken",
    "hasTokenOrNull",
    "hasTokenCaseInsensitive",
    "hasTokenCaseInsensitiveOrNull",
    "substringIndex",
    "substringIndexUTF8",
    "translate",
    "translateUTF8",
];

/// Functions that replace in a column of FixedString only what is constant by what is constant.
const REPLACEMENTS: &[&str] = &["replaceAll", "replaceOne", "replaceRegexpAll", "replaceRegexpOne"];

const COMPARISONS: &[&str] =
    &["equals", "notEquals", "less", "greater", "lessOrEquals", "greaterOrEquals"];

/// What a function refuses once it is to be computed, if only over no rows; not where its type is asked.
pub(super) enum RowCheck {
    Kinds {
        argument: usize,
        kinds: &'static [Kind],
        code: u32,
    },
    /// See [`SEARCHES`]: those of positions search in what is constant, others only for what is not.
    Search,
    /// A constant position 0 in something that is no constant.
    Position,
    /// See [`REPLACEMENTS`].
    Replacement,
    /// See [`CONSTANT_SECOND`].
    ConstantSecond,
    /// A text beside a number.
    Comparable,
    /// Arrays of what has no common type.
    Items,
}

/// The checks of `function` that wait until it is computed.
pub(super) fn row_checks(function: &str) -> Vec<RowCheck> {
    let mut checks: Vec<RowCheck> = REFUSED_LATER
        .iter()
        .filter(|(names, ..)| names.split_whitespace().any(|n| n == function))
        .map(|(_, argument, kinds, code)| RowCheck::Kinds {
            argument: *argument,
            kinds,
            code: *code,
        })
        .collect();
    if SEARCHES.contains(&function) {
        checks.push(RowCheck::Search);
    }
    if CONSTANT_SECOND.contains(&function) {
        checks.push(RowCheck::ConstantSecond);
    }
    if REPLACEMENTS.contains(&function) {
        checks.push(RowCheck::Replacement);
    }
    if COMPARISONS.contains(&function) {
        checks.push(RowCheck::Comparable);
    }
    if matches!(function, "hasAll" | "hasAny" | "hasSubstr") {
        checks.push(RowCheck::Items);
    }
    if matches!(function, "substring" | "substringUTF8" | "arrayElement") {
        checks.push(RowCheck::Position);
    }
    checks
}

/// Applies `checks` to a call that has rows.
pub(super) fn check_rows(function: &str, checks: &[RowCheck], call: &FunctionCall) -> Result<()> {
    let text = |i: usize| call.data_type(i).is_ok_and(|t| t.inner().is_string());
    if matches!(checks, [RowCheck::Comparable]) && text(0) == text(1) {
        return Ok(());
    }
    let arguments: Vec<ArgumentType> = call.arguments.iter().map(ArgumentType::of).collect();
    checks.iter().try_for_each(|check| check_one(function, check, &arguments))
}

/// Applies `checks` where no rows are at hand: a column that may be NULL counts as NULL.
pub(super) fn check_columns(
    function: &str,
    checks: &[RowCheck],
    arguments: &[ArgumentType],
) -> Result<()> {
    let nullable = |a: &ArgumentType| a.data_type.is_nullable();
    let looks = ["arrayElement", "isZeroOrNull"].contains(&function);
    if !looks && arguments.iter().any(nullable) {
        return Ok(());
    }
    checks.iter().try_for_each(|check| check_one(function, check, arguments))
}

fn check_one(function: &str, check: &RowCheck, arguments: &[ArgumentType]) -> Result<()> {
    let plain = |index: usize| {
        let argument = arguments.get(index)?;
        Some(argument.data_type.without_low_cardinality().without_nullable())
    };
    let varies = |index: usize| arguments.get(index).is_some_and(|a| a.constant.is_none());
    let fixed = |index: usize| matches!(plain(index), Some(DataType::FixedString(_)));
    match check {
        RowCheck::Kinds { argument, kinds, code } => {
            let Some(data_type) = plain(*argument) else { return Ok(()) };
            match kinds.iter().any(|kind| is(&data_type, *kind)) {
                true => Err(illegal(function, &data_type, *argument, *code)),
                false => Ok(()),
            }
        }
        RowCheck::Search => {
            let (searched, wanted) = if function == "locate" { (1, 0) } else { (0, 1) };
            let position = function == "locate" || function.starts_with("position");
            match fixed(searched) && (varies(searched) || !position && !varies(wanted)) {
                true => {
                    let data_type = &arguments[searched].data_type;
                    Err(illegal(function, data_type, searched, codes::ILLEGAL_COLUMN))
                }
                false => Ok(()),
            }
        }
        RowCheck::Replacement if fixed(0) && (!varies(0) || varies(1) || varies(2)) => {
            Err(illegal(function, &arguments[0].data_type, 0, codes::ILLEGAL_COLUMN))
        }
        RowCheck::ConstantSecond if varies(1) => {
            let message = format!("Argument at index 1 for function {function} must be constant");
            Err(Error::new(codes::ILLEGAL_COLUMN, message))
        }
        RowCheck::Comparable if super::comparison::text_beside_other(arguments) => {
            Err(super::comparison::without_common_type(arguments))
        }
        RowCheck::Items => super::array_search::check_items(function, arguments),
        RowCheck::Position if varies(0) => check_position(arguments),
        _ => Ok(()),
    }
}

fn check_position(arguments: &[ArgumentType]) -> Result<()> {
    let [first, position, ..] = arguments else { return Ok(()) };
    let first = first.data_type.without_low_cardinality();
    let zero = position.constant.as_ref().and_then(|v| v.as_i128()) == Some(0);
    if !zero || matches!(first, DataType::Map(..)) || super::invoke::is_null_type(first) {
        return Ok(());
    }
    let what = if first.is_string() { "Indices in strings" } else { "Array indices" };
    Err(Error::new(codes::ZERO_ARRAY_OR_TUPLE_INDEX, format!("{what} are 1-based")))
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
        if kinds.iter().any(|kind| is(&data_type, *kind))
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
        Kind::WideDecimal => matches!(data_type, Decimal { precision: 19.., .. }),
        Kind::NotText => !data_type.is_string() && *data_type != Nothing,
    }
}
