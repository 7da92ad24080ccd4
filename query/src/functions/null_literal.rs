//! Functions that look into Nullable arguments themselves, and yet give NULL for an argument that is
//! nothing but `NULL`: it has no type that they could look at. Calls with lambdas are not meant.
//!
//! Most functions need no line here: [`super::Nulls::Propagate`] says the same of them.

use pumphouse_storage::DataType;

use super::ArgumentType;
use super::invoke::is_null_type;

/// NULL in any argument.
const ANY_ARGUMENT: &[&str] = &[
    "arrayAll",
    "arrayAvg",
    "arrayCompact",
    "arrayConcat",
    "arrayCount",
    "arrayCumSum",
    "arrayCumSumNonNegative",
    "arrayDifference",
    "arrayDistinct",
    "arrayEnumerate",
    "arrayEnumerateDense",
    "arrayEnumerateUniq",
    "arrayExists",
    "arrayFlatten",
    "arrayIntersect",
    "arrayMax",
    "arrayMin",
    "arrayPopBack",
    "arrayPopFront",
    "arrayProduct",
    "arrayReverse",
    "arrayReverseSort",
    "arraySort",
    "arraySum",
    "arrayUnion",
    "arrayUniq",
    "arrayZip",
    "arrayZipUnaligned",
    "clamp",
    "emptyArrayToSingle",
    "finalizeAggregation",
    "hasAll",
    "hasAny",
    "hasSubstr",
    "mapAdd",
    "mapConcat",
    "mapFromArrays",
    "mapKeys",
    "mapReverseSort",
    "mapSort",
    "mapSubtract",
    "mapUpdate",
    "mapValues",
    "tupleConcat",
];

/// NULL in the first argument; the others may be NULL.
const FIRST_ARGUMENT: &[&str] = &["arrayPushBack", "arrayPushFront", "arraySlice"];

/// Whether the function stands in these lists.
pub(super) fn knows(function: &str) -> bool {
    ANY_ARGUMENT.contains(&function) || FIRST_ARGUMENT.contains(&function)
}

/// Whether `function` of these arguments is `NULL`.
pub(super) fn gives_null(function: &str, arguments: &[ArgumentType]) -> bool {
    let is_null = |a: &ArgumentType| {
        let data_type: &DataType = &a.data_type;
        a.lambda_arity.is_none() && is_null_type(data_type)
    };
    if !arguments.iter().any(is_null) || arguments.iter().any(|a| a.lambda_arity.is_some()) {
        return false;
    }
    ANY_ARGUMENT.contains(&function)
        || FIRST_ARGUMENT.contains(&function) && arguments.first().is_some_and(is_null)
}
