//! Names of aggregate functions: the list of families, aliases, and the reading of combinator
//! suffixes from the right end of a name.

use std::sync::Arc;

use pumphouse_storage::{DataType, Value};

use super::combinators::{Distinct, EachElement, If, Merge, OrFill, SimpleState, StateOf};
use super::kernel::{Build, Built};
use super::nullable::SkipNulls;
use super::selecting::{ByExtreme, Resample};
use super::{
    AggregateFunction, arrays, average, bitmaps, bits, charts, contingency, count, decay,
    estimates, exact_distinct, extremes, funnel, gradient, grid, heavy, histogram, hypothesis,
    keyed, next_node, quantile, ranks, run_time, sampling, sequence, series, side_by_side,
    statistics, sum, top_k, trial,
};
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
    entry("distinctDynamicTypes", run_time::build_types),
    entry("distinctJSONPaths", run_time::build_paths),
    entry("distinctJSONPathsAndTypes", run_time::build_paths_and_types),
    entry("uniqExact", exact_distinct::build),
    entry("groupBitmap", bitmaps::build),
    entry("groupBitmapAnd", bitmaps::build_and),
    entry("groupBitmapOr", bitmaps::build_or),
    entry("groupBitmapXor", bitmaps::build_xor),
    entry("uniq", estimates::build_uniq),
    entry("uniqHLL12", estimates::build_hll12),
    entry("uniqCombined", estimates::build_combined),
    entry("uniqCombined64", estimates::build_combined),
    entry("uniqUpTo", estimates::build_up_to),
    entry("quantile", quantile::build_reservoir),
    entry("quantiles", quantile::build_reservoir),
    entry("quantileDeterministic", quantile::build_deterministic),
    entry("quantilesDeterministic", quantile::build_deterministic),
    entry("quantileExact", quantile::build_exact),
    entry("quantilesExact", quantile::build_exact),
    entry("quantileExactLow", quantile::build_exact_low),
    entry("quantilesExactLow", quantile::build_exact_low),
    entry("quantileExactHigh", quantile::build_exact_high),
    entry("quantilesExactHigh", quantile::build_exact_high),
    entry("quantileExactInclusive", quantile::build_exact_inclusive),
    entry("quantilesExactInclusive", quantile::build_exact_inclusive),
    entry("quantileExactExclusive", quantile::build_exact_exclusive),
    entry("quantilesExactExclusive", quantile::build_exact_exclusive),
    entry("quantileExactWeighted", quantile::build_exact_weighted),
    entry("quantilesExactWeighted", quantile::build_exact_weighted),
    entry("quantileInterpolatedWeighted", quantile::build_interpolated_weighted),
    entry("quantilesInterpolatedWeighted", quantile::build_interpolated_weighted),
    entry("quantileTDigest", quantile::build_tdigest),
    entry("quantilesTDigest", quantile::build_tdigest),
    entry("quantileTDigestWeighted", quantile::build_tdigest_weighted),
    entry("quantilesTDigestWeighted", quantile::build_tdigest_weighted),
    entry("quantileTiming", quantile::build_timing),
    entry("quantilesTiming", quantile::build_timing),
    entry("quantileTimingWeighted", quantile::build_timing_weighted),
    entry("quantilesTimingWeighted", quantile::build_timing_weighted),
    entry("varPop", statistics::build_var_pop),
    entry("varSamp", statistics::build_var_samp),
    entry("stddevPop", statistics::build_stddev_pop),
    entry("stddevSamp", statistics::build_stddev_samp),
    entry("varPopStable", statistics::build_var_pop),
    entry("varSampStable", statistics::build_var_samp),
    entry("stddevPopStable", statistics::build_stddev_pop),
    entry("stddevSampStable", statistics::build_stddev_samp),
    entry("skewPop", statistics::build_skew_pop),
    entry("skewSamp", statistics::build_skew_samp),
    entry("kurtPop", statistics::build_kurt_pop),
    entry("kurtSamp", statistics::build_kurt_samp),
    entry("covarPop", statistics::build_covar_pop),
    entry("covarSamp", statistics::build_covar_samp),
    ignoring_case("corr", statistics::build_corr),
    entry("simpleLinearRegression", statistics::build_linear_regression),
    entry("entropy", statistics::build_entropy),
    entry("groupBitAnd", bits::build_and),
    entry("groupBitOr", bits::build_or),
    entry("groupBitXor", bits::build_xor),
    entry("groupArray", arrays::build_group_array),
    entry("groupArrayLast", arrays::build_group_array_last),
    entry("groupArraySorted", arrays::build_group_array_sorted),
    entry("groupArrayInsertAt", arrays::build_insert_at),
    entry("groupArrayMovingSum", arrays::build_moving_sum),
    entry("groupArrayMovingAvg", arrays::build_moving_avg),
    entry("groupUniqArray", arrays::build_group_uniq_array),
    ignoring_case("groupConcat", arrays::build_group_concat),
    entry("topK", top_k::build_top_k),
    entry("topKWeighted", top_k::build_top_k_weighted),
    entry("anyHeavy", heavy::build_any_heavy),
    entry("singleValueOrNull", heavy::build_single_value),
    entry("sumMappedArrays", |b| keyed::build_arrays(b, "sum")),
    entry("minMappedArrays", |b| keyed::build_arrays(b, "min")),
    entry("maxMappedArrays", |b| keyed::build_arrays(b, "max")),
    entry("windowFunnel", funnel::build_window_funnel),
    entry("retention", funnel::build_retention),
    entry("sequenceMatch", sequence::build_match),
    entry("sequenceCount", sequence::build_count),
    entry("deltaSum", series::build_delta_sum),
    entry("deltaSumTimestamp", series::build_delta_sum_timestamp),
    entry("boundingRatio", series::build_bounding_ratio),
    entry("exponentialMovingAverage", series::build_moving_average),
    entry("maxIntersections", series::build_max_intersections),
    entry("intervalLengthSum", series::build_interval_length_sum),
    entry("approx_top_k", top_k::build_approx_top_k),
    entry("approx_top_sum", top_k::build_approx_top_sum),
    entry("studentTTest", hypothesis::build_student),
    entry("welchTTest", hypothesis::build_welch),
    entry("studentTTestOneSample", hypothesis::build_one_sample),
    entry("meanZTest", hypothesis::build_mean_z),
    entry("analysisOfVariance", hypothesis::build_anova),
    entry("mannWhitneyUTest", ranks::build_mann_whitney),
    entry("rankCorr", ranks::build_rank_correlation),
    entry("cramersV", contingency::build_cramers_v),
    entry("cramersVBiasCorrected", contingency::build_cramers_v_corrected),
    entry("theilsU", contingency::build_theils_u),
    entry("contingency", contingency::build_contingency),
    entry("categoricalInformationValue", contingency::build_information_value),
    entry("histogram", histogram::build),
    entry("groupArraySample", sampling::build_sample),
    entry("groupArrayIntersect", sampling::build_intersect),
    entry("exponentialTimeDecayedSum", decay::build_sum),
    entry("exponentialTimeDecayedAvg", decay::build_average),
    entry("exponentialTimeDecayedMax", decay::build_largest),
    entry("exponentialTimeDecayedCount", decay::build_count),
    entry("nonNegativeDerivative", decay::build_derivative),
    entry("quantileDD", quantile::build_dd),
    entry("quantilesDD", quantile::build_dd),
    entry("quantileGK", quantile::build_gk),
    entry("quantilesGK", quantile::build_gk),
    entry("quantileBFloat16", quantile::build_bfloat),
    entry("quantilesBFloat16", quantile::build_bfloat),
    entry("quantileBFloat16Weighted", quantile::build_bfloat),
    entry("quantilesBFloat16Weighted", quantile::build_bfloat),
    entry("sparkbar", charts::build_sparkbar),
    entry("largestTriangleThreeBuckets", charts::build_triangles),
    seeing_nulls("sequenceNextNode", next_node::build),
    entry("sumMapFiltered", |b| keyed::build_filtered(b, "sum")),
    entry("sumMapFilteredWithOverflow", |b| keyed::build_filtered(b, "sumWithOverflow")),
    entry("sumMapWithOverflow", |b| keyed::build_arrays(b, "sumWithOverflow")),
    entry("stochasticLinearRegression", gradient::build),
    entry("stochasticLogisticRegression", gradient::build),
    entry("timeSeriesRateToGrid", grid::build_rate),
    entry("timeSeriesDeltaToGrid", grid::build_delta),
    entry("sumCount", side_by_side::build_sum_count),
    entry("argAndMin", side_by_side::build_arg_and_min),
    entry("argAndMax", side_by_side::build_arg_and_max),
    entry("corrMatrix", side_by_side::build_corr_matrix),
    entry("covarPopMatrix", side_by_side::build_covar_pop_matrix),
    entry("covarSampMatrix", side_by_side::build_covar_samp_matrix),
    entry("corrStable", statistics::build_corr),
    entry("covarPopStable", statistics::build_covar_pop),
    entry("covarSampStable", statistics::build_covar_samp),
    entry("regr_count", statistics::build_regression),
    entry("regr_avgx", statistics::build_regression),
    entry("regr_avgy", statistics::build_regression),
    entry("regr_sxx", statistics::build_regression),
    entry("regr_syy", statistics::build_regression),
    entry("regr_sxy", statistics::build_regression),
    entry("regr_slope", statistics::build_regression),
    entry("regr_intercept", statistics::build_regression),
    entry("regr_r2", statistics::build_regression),
    entry("aggThrow", trial::build_throw),
    entry("nothing", trial::build_nothing),
    entry("nothingNull", trial::build_nothing),
    entry("nothingUInt64", trial::build_nothing),
];

/// `(alias, canonical, case-insensitive)`.
const ALIASES: &[(&str, &str, bool)] = &[
    ("any_value", "any", true),
    ("first_value", "any", true),
    ("last_value", "anyLast", true),
    ("first_value_respect_nulls", "any_respect_nulls", true),
    ("last_value_respect_nulls", "anyLast_respect_nulls", true),
    ("any_value_respect_nulls", "any_respect_nulls", true),
    ("median", "quantile", true),
    ("medianDeterministic", "quantileDeterministic", false),
    ("medianExact", "quantileExact", false),
    ("medianExactLow", "quantileExactLow", false),
    ("medianExactHigh", "quantileExactHigh", false),
    ("medianExactWeighted", "quantileExactWeighted", false),
    ("medianTDigest", "quantileTDigest", false),
    ("medianTDigestWeighted", "quantileTDigestWeighted", false),
    ("medianTiming", "quantileTiming", false),
    ("medianTimingWeighted", "quantileTimingWeighted", false),
    ("medianInterpolatedWeighted", "quantileInterpolatedWeighted", false),
    ("VAR_POP", "varPop", true),
    ("VAR_SAMP", "varSamp", true),
    ("STDDEV_POP", "stddevPop", true),
    ("STDDEV_SAMP", "stddevSamp", true),
    ("STD", "stddevPop", true),
    ("STDDEV", "stddevPop", true),
    ("COVAR_POP", "covarPop", true),
    ("COVAR_SAMP", "covarSamp", true),
    ("array_agg", "groupArray", true),
    ("group_concat", "groupConcat", true),
    ("string_agg", "groupConcat", true),
    ("BIT_AND", "groupBitAnd", true),
    ("BIT_OR", "groupBitOr", true),
    ("BIT_XOR", "groupBitXor", true),
    ("approx_top_count", "approx_top_k", false),
    ("anova", "analysisOfVariance", false),
    ("lttb", "largestTriangleThreeBuckets", false),
    ("sparkBar", "sparkbar", false),
    ("medianBFloat16", "quantileBFloat16", false),
    ("medianBFloat16Weighted", "quantileBFloat16Weighted", false),
    ("medianDD", "quantileDD", false),
    ("medianGK", "quantileGK", false),
    ("anyRespectNulls", "any_respect_nulls", false),
    ("anyLastRespectNulls", "anyLast_respect_nulls", false),
    ("anyValueRespectNulls", "any_respect_nulls", false),
    ("firstValueRespectNulls", "any_respect_nulls", false),
    ("lastValueRespectNulls", "anyLast_respect_nulls", false),
    ("max_by", "argMax", true),
    ("min_by", "argMin", true),
];

/// Suffixes, longest first where one ends another.
const SUFFIXES: &[&str] = &[
    "SimpleState",
    "MergeState",
    "OrDefault",
    "Distinct",
    "Resample",
    "ForEach",
    "ArgMin",
    "ArgMax",
    "OrNull",
    "State",
    "Merge",
    "Array",
    "Map",
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
        arguments.iter().map(crate::functions::without_low_cardinality).collect();
    build(name, parameters, &arguments)
}

/// A bare NULL among the arguments decides the result, whatever the function and its combinators are.
fn only_null(name: &str, arguments: &[DataType]) -> Option<&'static str> {
    let null = DataType::nullable(DataType::Nothing);
    // A condition of -If that is NULL only leaves every row out.
    let stem = name.strip_suffix("OrNull").unwrap_or(name);
    let conditional = find(name).is_none() && matches!(split(stem), Some((_, "If")));
    let decisive = &arguments[..arguments.len().saturating_sub(usize::from(conditional))];
    if !decisive.contains(&null) {
        return None;
    }
    let mut base = name;
    let entry = loop {
        match (find(base), split(base)) {
            (Some(entry), _) => break entry,
            (None, Some((inner, "Merge" | "MergeState"))) => return find(inner).and(None),
            (None, Some((inner, _))) => base = inner,
            (None, None) => return None,
        }
    };
    let counts = entry.name == "count" || entry.name.starts_with("uniq");
    match entry {
        entry if entry.sees_nulls => None,
        _ if counts => Some("nothingUInt64"),
        _ => Some("nothingNull"),
    }
}

fn build(name: &str, parameters: &[Value], arguments: &[DataType]) -> Built {
    if let Some(nothing) = only_null(name, arguments).and_then(find) {
        if name.starts_with("quantiles") {
            let message =
                format!("Illegal type Nullable(Nothing) of argument for aggregate function {name}");
            return Err(Error::new(codes::ILLEGAL_TYPE_OF_ARGUMENT, message));
        }
        return (nothing.build)(&Build { name: nothing.name, parameters: &[], arguments });
    }
    // `sumMap` over arrays is a function of its own; over a Map it is the -Map combinator.
    let first = arguments.first().map(DataType::inner);
    let over_arrays = matches!(first, Some(DataType::Array(_) | DataType::Tuple(_)));
    if over_arrays && let Some(entry) = mapped_arrays(name) {
        return build_base(entry, parameters, arguments, true);
    }
    if let Some(entry) = find(name) {
        return build_base(entry, parameters, arguments, true);
    }
    let Some((inner, suffix)) = split(name) else {
        return Err(Error::new(
            codes::UNKNOWN_AGGREGATE_FUNCTION,
            format!("Unknown aggregate function {name}"),
        ));
    };
    combine(inner, suffix, parameters, arguments)
}

fn mapped_arrays(name: &str) -> Option<&'static Entry> {
    match name {
        "sumMap" => find("sumMappedArrays"),
        "minMap" => find("minMappedArrays"),
        "maxMap" => find("maxMappedArrays"),
        _ => None,
    }
}

/// `null_tuples`: whether a tuple of no rows is NULL if arguments can be.
fn build_base(
    entry: &Entry,
    parameters: &[Value],
    arguments: &[DataType],
    null_tuples: bool,
) -> Built {
    // NULL is a value of Variant and Dynamic like any other.
    let skips = |t: &DataType| t.is_nullable() && !t.is_run_time();
    if entry.sees_nulls || !arguments.iter().any(skips) {
        return (entry.build)(&Build { name: entry.name, parameters, arguments });
    }
    let plain: Vec<DataType> = arguments.iter().map(DataType::without_nullable).collect();
    let inner = (entry.build)(&Build { name: entry.name, parameters, arguments: &plain })?;
    Ok(Arc::new(SkipNulls { inner, arguments: arguments.to_vec(), null_tuples }))
}

fn wrong_arguments(suffix: &str, what: &str) -> Error {
    Error::new(
        codes::ILLEGAL_TYPE_OF_ARGUMENT,
        format!("Illegal argument for aggregate function with {suffix} suffix: {what}"),
    )
}

fn last_argument<'a>(
    name: &str,
    suffix: &str,
    arguments: &'a [DataType],
) -> Result<(&'a DataType, &'a [DataType])> {
    arguments.split_last().ok_or_else(|| {
        Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Aggregate function {name}{suffix} requires at least one argument"),
        )
    })
}

fn combine(name: &str, suffix: &str, parameters: &[Value], arguments: &[DataType]) -> Built {
    match suffix {
        "If" => {
            let (condition, rest) = last_argument(name, suffix, arguments)?;
            if !matches!(condition.inner(), DataType::UInt8 | DataType::Bool | DataType::Nothing) {
                return Err(wrong_arguments("If", "the last argument must be UInt8"));
            }
            // With a condition a tuple of no rows is its type's default.
            let inner = match find(name) {
                Some(entry) if rest.iter().all(|t| t.inner() != &DataType::Nothing) => {
                    build_base(entry, parameters, rest, false)?
                }
                _ => build(name, parameters, rest)?,
            };
            Ok(Arc::new(If { inner, condition: condition.clone() }))
        }
        "State" => Ok(Arc::new(StateOf { inner: build(name, parameters, arguments)? })),
        "Merge" => Ok(Arc::new(Merge { inner: merged(name, parameters, arguments)? })),
        "MergeState" => {
            let merge = Arc::new(Merge { inner: merged(name, parameters, arguments)? });
            Ok(Arc::new(StateOf { inner: merge }))
        }
        "OrNull" | "OrDefault" => or_fill(name, suffix, parameters, arguments),
        "ArgMin" | "ArgMax" => {
            let (key, rest) = last_argument(name, suffix, arguments)?;
            let inner = build(name, parameters, rest)?;
            Ok(Arc::new(ByExtreme { inner, key: key.clone(), largest: suffix == "ArgMax" }))
        }
        "Resample" if arguments.iter().any(|t| t.is_nullable() && !t.is_run_time()) => {
            // Rows with a NULL are left out before they are dealt out, so that no result is NULL.
            let plain: Vec<DataType> = arguments.iter().map(DataType::without_nullable).collect();
            let inner = combine(name, suffix, parameters, &plain)?;
            Ok(Arc::new(SkipNulls { inner, arguments: arguments.to_vec(), null_tuples: true }))
        }
        "Resample" => {
            let (key, rest) = last_argument(name, suffix, arguments)?;
            let at = parameters.len().saturating_sub(3);
            let inner = build(name, &parameters[..at], rest)?;
            Ok(Arc::new(Resample::new(inner, key, &parameters[at..])?))
        }
        "ForEach" => keyed::build_for_each(name, parameters, arguments),
        "Map" => keyed::build_map(name, parameters, arguments),
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

/// Under -If the condition decides what counts as a row: `sumIfOrNull` is `sumOrNullIf`.
fn or_fill(name: &str, suffix: &str, parameters: &[Value], arguments: &[DataType]) -> Built {
    let stem = name.strip_suffix("OrNull").unwrap_or(name);
    let conditional = find(name).is_none() && matches!(split(stem), Some((_, "If")));
    let whole = build(name, parameters, arguments)?;
    if let Some(inner) = name.strip_suffix("If").filter(|_| conditional)
        && !whole.default_when_only_null()
    {
        return combine(&format!("{inner}{suffix}"), "If", parameters, arguments);
    }
    let inner = whole;
    Ok(Arc::new(OrFill { inner, null: suffix == "OrNull" }))
}

/// The function whose states the single argument holds.
fn merged(name: &str, parameters: &[Value], arguments: &[DataType]) -> Built {
    let [DataType::AggregateFunction { name: of, parameters: own, arguments }] = arguments else {
        return Err(wrong_arguments("Merge", "it must be a state of the same function"));
    };
    let given = find(name).map_or(name, |e| e.name);
    // A state of sumMap over two arrays is one of sumMappedArrays.
    let mapped = |name: &str| {
        let short = name.strip_suffix("Map").or_else(|| name.strip_suffix("MappedArrays"));
        short.filter(|s| matches!(*s, "sum" | "min" | "max")).map(str::to_string)
    };
    let own_name = find(of).map_or(of.as_str(), |e| e.name);
    let same =
        own_name == given || (mapped(own_name).is_some() && mapped(own_name) == mapped(given));
    if same && own_name != given {
        let parameters = if parameters.is_empty() { own } else { parameters };
        return build(own_name, parameters, arguments);
    }
    if !same {
        return Err(wrong_arguments("Merge", &format!("a state of {of} is no state of {given}")));
    }
    let parameters = if parameters.is_empty() { own } else { parameters };
    build(name, parameters, arguments)
}
