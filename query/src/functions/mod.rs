//! Scalar functions: one trait, one registry, one file a family.
//!
//! A function sees its arguments as [`Argument`]s: a column, or a constant held as a column of one
//! row. With [`Nulls::Propagate`] (the default) the framework strips Nullable from the arguments and
//! masks the result, so most functions never see a NULL; LowCardinality is stripped always.
//!
//! Reads down: the trait here, [`registry`] (name → function), [`invoke`] (types and runs one call),
//! [`promote`] (common types), [`cast`] (conversions), then the families.

use std::sync::Arc;

use pumphouse_storage::{Column, DataType, Value};

use crate::context::QueryContext;
use crate::error::Result;

mod argument;
mod arithmetic;
mod array;
mod array_change;
mod array_lambda;
mod array_search;
mod bit_lists;
mod bitmap;
pub mod cast;
pub mod city;
mod clock;
mod comparison;
mod conditional;
mod conversion;
mod date_diff;
mod date_format;
mod date_now;
mod date_parse;
mod date_part;
mod date_rounding;
mod decimal;
mod decimal_narrow;
mod dictionary;
mod digest;
mod elementwise;
mod encode;
mod format_query;
mod format_row;
mod gather;
mod geo;
mod hash;
mod identity;
mod interval;
mod invoke;
mod ip;
mod json;
mod json_path;
pub(crate) mod json_text;
pub(crate) mod json_value;
mod like;
mod lists;
mod logical;
mod map;
mod math;
mod misc;
mod mixed;
mod multiversion;
mod names;
mod native;
mod null_literal;
mod pad;
mod pattern;
pub mod promote;
mod random;
mod readable;
mod refused;
mod regexp;
mod registry;
mod reinterpret;
mod replace;
mod round;
pub(crate) mod run_time;
mod search;
mod session;
mod simple_pattern;
pub mod sip;
pub(crate) mod special;
mod split;
mod states;
mod strict;
mod string;
mod string_search;
mod strings;
mod text;
mod text_map;
mod tuple;
mod type_rule;
mod unary;
mod url;
mod utf8;
mod utf8_check;
mod vector;
mod wide;
mod zone;

/// Every family's contribution to the registry.
const FAMILIES: &[fn(&mut registry::Registry)] = &[
    arithmetic::add,
    comparison::add,
    conditional::add,
    conversion::add,
    date_part::add,
    date_rounding::add,
    array::add,
    array_lambda::add,
    array_search::add,
    array_change::add,
    bit_lists::add,
    bitmap::add,
    map::add,
    misc::add,
    session::add,
    tuple::add,
    date_diff::add,
    date_format::add,
    date_now::add,
    date_parse::add,
    encode::add,
    format_query::add,
    format_row::add,
    hash::add,
    ip::add,
    json::add,
    like::add,
    math::add,
    pad::add,
    random::add,
    readable::add,
    regexp::add,
    replace::add,
    round::add,
    split::add,
    string_search::add,
    text::add,
    url::add,
    utf8::add,
    states::add,
    run_time::add,
    geo::add,
    reinterpret::add,
    vector::add,
    interval::add,
    logical::add,
    string::add,
];

#[cfg(test)]
mod oracle_test;

pub use dictionary::{dictionary_function, is_dictionary_function};
pub use digest::{sha1, sha256};
pub use format_row::{RowWriter, set_row_writer};
pub use invoke::{call, resolve};
pub(crate) use invoke::{strip_low_cardinality as without_low_cardinality, unnamed};
pub use misc::host_name;
pub(crate) use multiversion::multiversion;
pub use refused::{is_refused, refused};
pub use registry::{FunctionName, lookup, names};
pub use text::normalized_query_hash;

/// What binding knows of one argument.
#[derive(Debug, Clone)]
pub struct ArgumentType {
    pub data_type: DataType,
    /// The value if the argument is a constant.
    pub constant: Option<Value>,
    /// For a lambda argument: the number of its parameters; `data_type` is then the type of its
    /// body (known once `lambda_parameters` told the parameter types).
    pub lambda_arity: Option<usize>,
}

impl ArgumentType {
    /// What typing sees of an argument at run time. A lambda's parameters are not known any more.
    pub(crate) fn of(argument: &Argument) -> ArgumentType {
        let (column, constant) = match argument {
            Argument::Column(column) => (column, None),
            Argument::Constant(column) => (column, (!column.is_empty()).then(|| column.value(0))),
            Argument::Lambda(_) => {
                let data_type = DataType::Nothing;
                return ArgumentType { data_type, constant: None, lambda_arity: Some(1) };
            }
        };
        ArgumentType { data_type: column.data_type.clone(), constant, lambda_arity: None }
    }
}

/// One argument at run time.
#[derive(Clone)]
pub enum Argument {
    /// One value per row.
    Column(Column),
    /// The same value for every row, as a column of one row.
    Constant(Column),
    /// `x -> …`: called with one column per parameter, all of one length, plus for each of their rows
    /// the row of the outer block it belongs to (captured columns are gathered by it).
    Lambda(Arc<dyn LambdaBody>),
}

/// A lambda ready to run.
pub trait LambdaBody: Send + Sync {
    /// One result per parameter row. `outer_rows[i]` is the block row of parameter row `i`.
    fn call(&self, parameters: &[Column], outer_rows: &[u32]) -> Result<Column>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Any NULL argument makes the result NULL; the framework does it.
    Propagate,
    /// The function handles Nullable arguments itself (isNull, coalesce, if, and/or …).
    Own,
}

/// A scalar function, already chosen by name. Stateless.
pub trait ScalarFunction: Send + Sync {
    /// Canonical name, as it stands in result column names.
    fn name(&self) -> &str;
    fn nulls(&self) -> Nulls {
        Nulls::Propagate
    }
    /// False for now-like, rand-like and others that must not be folded or moved.
    fn deterministic(&self) -> bool {
        true
    }
    /// Whether a result over one LowCardinality column and constants is LowCardinality again.
    fn keeps_low_cardinality(&self) -> bool {
        true
    }
    /// Whether the function wants to see LowCardinality in its arguments (toTypeName, CAST …).
    fn sees_low_cardinality(&self) -> bool {
        false
    }
    /// Whether the type rule alone sees LowCardinality (array, map …).
    fn types_see_low_cardinality(&self) -> bool {
        false
    }
    /// Result type for these arguments (Nullable already stripped if `Propagate`). Errors carry
    /// ClickHouse's codes: 42 argument count, 43 illegal type, …
    fn return_type(&self, arguments: &[ArgumentType]) -> Result<DataType>;
    /// Whether [`ScalarFunction::check_columns`] can refuse anything.
    fn checks_columns(&self) -> bool {
        false
    }
    /// Refuses arguments that the type rule lets pass but no computation takes, not even one over no
    /// rows: a plan that would compute the call fails, whatever rows there are.
    fn check_columns(&self, _arguments: &[ArgumentType]) -> Result<()> {
        Ok(())
    }
    /// For functions that take a lambda first: the types of its parameters, from the types of the
    /// other arguments.
    fn lambda_parameters(&self, _others: &[ArgumentType], _arity: usize) -> Result<Vec<DataType>> {
        Ok(vec![])
    }
    /// Computes `rows` results of type `result`. All `Argument::Column`s have `rows` rows.
    fn evaluate(&self, call: &FunctionCall) -> Result<Column>;
}

/// Everything one evaluation needs.
pub struct FunctionCall<'a> {
    pub context: &'a QueryContext,
    pub arguments: &'a [Argument],
    pub result: &'a DataType,
    pub rows: usize,
}
