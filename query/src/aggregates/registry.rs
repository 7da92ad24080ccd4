//! Names of aggregate functions: the list of families, aliases, and the reading of combinator
//! suffixes from the right end of a name.

use std::sync::Arc;

use pumphouse_storage::{DataType, Value};

use super::combinators::{Distinct, EachElement, If, Merge, OrFill, SimpleState, StateOf};
use super::kernel::{Build, Built};
use super::nullable::SkipNulls;
use super::{AggregateFunction, average, count, exact_distinct, extremes, sum};
use crate::error::{Error, Result, codes};

type Constructor = fn(&Build) -> Built;

/// One function: canonical name, whether its name is case-insensitive, whether it sees NULLs itself.
struct Entry {
    name: &'static str,
    case_insensitive: bool,
    sees_nulls: bool,
    build: Constructor,
}

const fn entry(name: &'static str, build: Constructor) -> Entry {
    Entry { name, case_insensitive: false, sees_nulls: false, build }
}

const fn ignoring_case(name: &'static str, build: Constructor) -> Entry {
    Entry { name, case_insensitive: true, sees_nulls: false, build }
}

const fn seeing_nulls(name: &'static str, build: Constructor) -> Entry {
    Entry { name, case_insensitive: false, sees_nulls: true, build }
}

/// Every function; one line each.
const FUNCTIONS: &[Entry] = &[
    ignoring_case("count", count::build),
    ignoring_case("sum", sum::build_sum),
    entry("sumWithOverflow", sum::build_sum_with_overflow),
    entry("sumKahan", sum::build_sum_kahan),
    ignoring_case("avg", average::build_avg),
    entry("avgWeighted", average::build_avg_weighted),
    ignoring_case("min", extremes::build_choice::<extremes::Min>),
    ignoring_case("max", extremes::build_choice::<extremes::Max>),
    entry("any", extremes::build_choice::<extremes::First>),
    entry("anyLast", extremes::build_choice::<extremes::Last>),
    seeing_nulls("any_respect_nulls", extremes::build_choice::<extremes::First>),
    seeing_nulls("anyLast_respect_nulls", extremes::build_choice::<extremes::Last>),
    entry("argMin", |b| extremes::build_arg(b, false)),
    entry("argMax", |b| extremes::build_arg(b, true)),
    entry("uniqExact", exact_distinct::build),
];

/// `(alias, canonical, case-insensitive)`.
const ALIASES: &[(&str, &str, bool)] = &[
    ("any_value", "any", true),
    ("first_value", "any", true),
    ("last_value", "anyLast", true),
    ("first_value_respect_nulls", "any_respect_nulls", true),
    ("last_value_respect_nulls", "anyLast_respect_nulls", true),
    ("any_value_respect_nulls", "any_respect_nulls", true),
    ("max_by", "argMax", true),
    ("min_by", "argMin", true),
];

/// Suffixes, longest first where one ends another.
const SUFFIXES: &[&str] = &[
    "SimpleState",
    "MergeState",
    "OrDefault",
    "Distinct",
    "OrNull",
    "State",
    "Merge",
    "Array",
    "If",
];

fn find(name: &str) -> Option<&'static Entry> {
    let by_name = |name: &str| {
        FUNCTIONS
            .iter()
            .find(|e| e.name == name || (e.case_insensitive && e.name.eq_ignore_ascii_case(name)))
    };
    if let Some(entry) = by_name(name) {
        return Some(entry);
    }
    let alias = ALIASES.iter().find(|(alias, _, ignore_case)| {
        *alias == name || (*ignore_case && alias.eq_ignore_ascii_case(name))
    })?;
    by_name(alias.1)
}

/// The name without one combinator, and that combinator.
fn split(name: &str) -> Option<(&str, &'static str)> {
    SUFFIXES.iter().find_map(|suffix| {
        let inner = name.strip_suffix(suffix)?;
        is_aggregate(inner).then_some((inner, *suffix))
    })
}

/// Whether `name`, combinators and case-insensitivity taken into account, is an aggregate function.
pub fn is_aggregate(name: &str) -> bool {
    find(name).is_some() || split(name).is_some()
}

/// Canonical names with their case-insensitivity, aliases with what they stand for.
pub fn names() -> impl Iterator<Item = (&'static str, bool, Option<&'static str>)> {
    let functions = FUNCTIONS.iter().map(|e| (e.name, e.case_insensitive, None));
    functions.chain(ALIASES.iter().map(|(alias, name, ignore)| (*alias, *ignore, Some(*name))))
}

/// The function called `name` with these parameters over arguments of these types.
pub fn lookup(
    name: &str,
    parameters: &[Value],
    arguments: &[DataType],
) -> Result<Arc<dyn AggregateFunction>> {
    let arguments: Vec<DataType> =
        arguments.iter().map(|t| t.without_low_cardinality().clone()).collect();
    build(name, parameters, &arguments)
}

fn build(name: &str, parameters: &[Value], arguments: &[DataType]) -> Built {
    if let Some(entry) = find(name) {
        return build_base(entry, parameters, arguments);
    }
    let Some((inner, suffix)) = split(name) else {
        return Err(Error::new(
            codes::UNKNOWN_AGGREGATE_FUNCTION,
            format!("Unknown aggregate function {name}"),
        ));
    };
    combine(inner, suffix, parameters, arguments)
}

fn build_base(entry: &Entry, parameters: &[Value], arguments: &[DataType]) -> Built {
    if entry.sees_nulls || !arguments.iter().any(DataType::is_nullable) {
        return (entry.build)(&Build { name: entry.name, parameters, arguments });
    }
    let plain: Vec<DataType> = arguments.iter().map(DataType::without_nullable).collect();
    let inner = (entry.build)(&Build { name: entry.name, parameters, arguments: &plain })?;
    Ok(Arc::new(SkipNulls { inner, arguments: arguments.to_vec() }))
}

fn wrong_arguments(suffix: &str, what: &str) -> Error {
    Error::new(
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
        format!("Illegal argument for aggregate function with {suffix} suffix: {what}"),
    )
}

fn combine(name: &str, suffix: &str, parameters: &[Value], arguments: &[DataType]) -> Built {
    match suffix {
        "If" => {
            let (condition, rest) = arguments.split_last().ok_or_else(|| {
                Error::new(
                    codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                    format!("Aggregate function {name}If requires a condition"),
                )
            })?;
            if !matches!(condition.inner(), DataType::UInt8 | DataType::Bool | DataType::Nothing) {
                return Err(wrong_arguments("If", "the last argument must be UInt8"));
            }
            let inner = build(name, parameters, rest)?;
            Ok(Arc::new(If { inner, condition: condition.clone() }))
        }
        "State" => Ok(Arc::new(StateOf { inner: build(name, parameters, arguments)? })),
        "Merge" => Ok(Arc::new(Merge { inner: merged(name, parameters, arguments)? })),
        "MergeState" => {
            let merge = Arc::new(Merge { inner: merged(name, parameters, arguments)? });
            Ok(Arc::new(StateOf { inner: merge }))
        }
        "OrNull" | "OrDefault" => Ok(Arc::new(OrFill {
            inner: build(name, parameters, arguments)?,
            null: suffix == "OrNull",
        })),
        "Array" => {
            let items = arguments
                .iter()
                .map(|t| match t {
                    DataType::Array(item) => Ok(item.without_low_cardinality().clone()),
                    _ => Err(wrong_arguments("Array", "it must be an array")),
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(EachElement { inner: build(name, parameters, &items)? }))
        }
        "Distinct" => Ok(Arc::new(Distinct {
            inner: build(name, parameters, arguments)?,
            arguments: arguments.to_vec(),
        })),
        _ => Ok(Arc::new(SimpleState { inner: build(name, parameters, arguments)? })),
    }
}

/// The function whose states the single argument holds.
fn merged(name: &str, parameters: &[Value], arguments: &[DataType]) -> Built {
    let [DataType::AggregateFunction { name: of, parameters: own, arguments }] = arguments else {
        return Err(wrong_arguments("Merge", "it must be a state of the same function"));
    };
    let given = find(name).map_or(name, |e| e.name);
    if find(of).map_or(of.as_str(), |e| e.name) != given {
        return Err(wrong_arguments("Merge", &format!("a state of {of} is no state of {given}")));
    }
    let parameters = if parameters.is_empty() { own } else { parameters };
    build(name, parameters, arguments)
}
