//! Types one call ([`resolve`]) and runs it ([`call`]): what every function has in common.
//!
//! LowCardinality is taken off the arguments; with [`Nulls::Propagate`] so is Nullable, and a NULL in
//! any argument makes the result NULL. A constant call is computed once. Values that lie under a NULL
//! cause errors only where all arguments are numbers; else, if the plain evaluation fails, it is repeated
//! without those rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, StructArray, UInt32Array, make_array};
use arrow_buffer::NullBuffer;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType};

use super::argument::repeat;
use super::run_time::dispatch;
use super::{Argument, ArgumentType, FunctionCall, Nulls, ScalarFunction, null_literal};
use crate::context::QueryContext;
use crate::error::Result;

/// The result type of `function` over `arguments`, as `toTypeName` shows it.
pub fn resolve(function: &Arc<dyn ScalarFunction>, arguments: &[ArgumentType]) -> Result<DataType> {
    if function.nulls() == Nulls::Own && null_literal::gives_null(function.name(), arguments) {
        return Ok(null_type());
    }
    if function.sees_low_cardinality() {
        return function.return_type(arguments);
    }
    let mut plain = arguments.to_vec();
    for argument in &mut plain {
        argument.data_type = strip_low_cardinality(&argument.data_type);
        if !KEEPING_NAMES.contains(&function.name()) {
            argument.data_type = unnamed(&argument.data_type);
        }
    }
    if dispatch::applies(function, plain.iter().map(|a| &a.data_type)) {
        return dispatch::resolve_by_types(function, &plain);
    }
    if let Some(first) = plain.first_mut()
        && dispatch::reads_text(function, &first.data_type)
    {
        first.data_type = DataType::String;
    }
    if function.types_see_low_cardinality() {
        return function.return_type(arguments);
    }
    let result = resolve_plain(function, plain)?;
    if function.keeps_low_cardinality() && stays_low_cardinality(arguments, &result) {
        return Ok(DataType::LowCardinality(Box::new(result)));
    }
    Ok(result)
}

fn resolve_plain(
    function: &Arc<dyn ScalarFunction>,
    mut arguments: Vec<ArgumentType>,
) -> Result<DataType> {
    if function.nulls() == Nulls::Own {
        return function.return_type(&arguments);
    }
    let mut nullable = false;
    for argument in &mut arguments {
        if argument.lambda_arity.is_some() {
            continue;
        }
        if is_null_type(&argument.data_type) {
            return Ok(match function.name() {
                // It is a cast.
                "toBool" => DataType::nullable(DataType::Bool),
                _ => null_type(),
            });
        }
        if argument.data_type.is_nullable() {
            nullable = true;
            argument.data_type = argument.data_type.without_nullable();
        }
    }
    let result = function.return_type(&arguments)?;
    Ok(if nullable { result.or_null() } else { result })
}

/// One LowCardinality column, everything else constant, and a type that LowCardinality can hold.
fn stays_low_cardinality(arguments: &[ArgumentType], result: &DataType) -> bool {
    let mut any = false;
    let (mut low_cardinality, mut ordinary) = (0, 0);
    for argument in arguments {
        if argument.lambda_arity.is_some() {
            return false;
        }
        let is_low_cardinality = matches!(argument.data_type, DataType::LowCardinality(_));
        any |= is_low_cardinality;
        if argument.constant.is_none() {
            *(if is_low_cardinality { &mut low_cardinality } else { &mut ordinary }) += 1;
        }
    }
    any && low_cardinality <= 1 && ordinary == 0 && can_be_low_cardinality(result)
}

fn can_be_low_cardinality(data_type: &DataType) -> bool {
    use DataType::*;
    match data_type {
        Nullable(inner) => **inner != Nothing && can_be_low_cardinality(inner),
        Decimal { .. } => false,
        String | FixedString(_) | Date | Date32 | DateTime(_) | Uuid | Ipv4 | Ipv6 => true,
        other => other.is_number(),
    }
}

/// Functions that give on the names that types like Point have.
const KEEPING_NAMES: &[&str] = &[
    "areaCartesian",
    "array",
    "assumeNotNull",
    "coalesce",
    "identity",
    "if",
    "ifNull",
    "map",
    "materialize",
    "multiIf",
    "perimeterCartesian",
    "polygonAreaCartesian",
    "polygonPerimeterCartesian",
    "tuple",
    "wkt",
];

/// What a name such as Point stands for; not inside arrays or tuples.
pub(crate) fn unnamed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Named { argument, .. } => (**argument).clone(),
        DataType::Nullable(t) => match &**t {
            DataType::Named { argument, .. } => DataType::nullable((**argument).clone()),
            _ => data_type.clone(),
        },
        other => other.clone(),
    }
}

/// The type of a bare NULL.
pub(super) fn null_type() -> DataType {
    DataType::Nullable(Box::new(DataType::Nothing))
}

pub(super) fn is_null_type(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Nullable(inner) if **inner == DataType::Nothing)
}

/// `data_type` with no LowCardinality anywhere in it.
pub(crate) fn strip_low_cardinality(data_type: &DataType) -> DataType {
    use DataType::*;
    match data_type.without_low_cardinality() {
        Array(t) => DataType::array(strip_low_cardinality(t)),
        Tuple(elements) => Tuple(
            elements
                .iter()
                .map(|e| TupleElement {
                    name: e.name.clone(),
                    data_type: strip_low_cardinality(&e.data_type),
                })
                .collect(),
        ),
        Map(k, v) => Map(Box::new(strip_low_cardinality(k)), Box::new(strip_low_cardinality(v))),
        Nullable(t) => Nullable(Box::new(strip_low_cardinality(t))),
        other => other.clone(),
    }
}

/// Runs `function` over `rows` rows. `result` is what [`resolve`] said.
pub fn call(
    function: &Arc<dyn ScalarFunction>,
    context: &QueryContext,
    arguments: &[Argument],
    result: &DataType,
    rows: usize,
) -> Result<Column> {
    let constant = !arguments.is_empty()
        && function.deterministic()
        && arguments.iter().all(|a| matches!(a, Argument::Constant(_)));
    if constant && rows != 1 {
        let one = call(function, context, arguments, result, 1)?;
        return Ok(repeat(&one, rows));
    }
    if is_null_type(result) && null_literal::knows(function.name()) {
        return Ok(Column::default_values(result.clone(), rows));
    }
    if function.sees_low_cardinality() {
        let call = FunctionCall { context, arguments, result, rows };
        return Ok(relabel(function.evaluate(&call)?, result));
    }
    let keeps_names = KEEPING_NAMES.contains(&function.name());
    let plain: Vec<Argument> = arguments.iter().map(|a| strip_argument(a, keeps_names)).collect();
    let held = plain.iter().filter_map(|a| match a {
        Argument::Column(c) | Argument::Constant(c) => Some(&c.data_type),
        Argument::Lambda(_) => None,
    });
    if dispatch::applies(function, held) {
        let column = dispatch::call_by_types(function, context, &plain, result, rows)?;
        return Ok(relabel(column, result));
    }
    let mut plain = plain;
    if let Some(Argument::Column(first) | Argument::Constant(first)) = plain.first_mut()
        && dispatch::reads_text(function, &first.data_type)
    {
        *first = super::cast::cast_column(first, &DataType::String, context)?;
    }
    let inner = strip_low_cardinality(result);
    let call = FunctionCall { context, arguments: &plain, result: &inner, rows };
    let column = match function.nulls() {
        Nulls::Own => function.evaluate(&call)?,
        Nulls::Propagate => propagate(function, &call)?,
    };
    Ok(relabel(column, result))
}

fn relabel(column: Column, result: &DataType) -> Column {
    Column::new(result.clone(), column.array)
}

/// The argument without LowCardinality, at any depth.
pub(super) fn strip_argument(argument: &Argument, keeps_names: bool) -> Argument {
    let strip = |c: &Column| {
        let plain = strip_low_cardinality(&c.data_type);
        let data_type = if keeps_names { plain } else { unnamed(&plain) };
        Column { data_type, array: c.array.clone() }
    };
    match argument {
        Argument::Column(c) => Argument::Column(strip(c)),
        Argument::Constant(c) => Argument::Constant(strip(c)),
        Argument::Lambda(body) => Argument::Lambda(body.clone()),
    }
}

/// Evaluates without Nullable, then masks.
fn propagate(function: &Arc<dyn ScalarFunction>, call: &FunctionCall) -> Result<Column> {
    if !call.arguments.iter().any(is_nullable_argument) {
        return function.evaluate(call);
    }
    let mut nulls: Option<NullBuffer> = None;
    let mut plain = Vec::with_capacity(call.arguments.len());
    for argument in call.arguments {
        match argument {
            Argument::Constant(c) if c.data_type.is_nullable() => {
                if c.is_null(0) && call.result.is_nullable() {
                    return Ok(Column::default_values(call.result.clone(), call.rows));
                }
                if c.is_null(0) {
                    // A result that cannot be NULL is computed from the default instead.
                    let default = Column::default_values(c.data_type.without_nullable(), 1);
                    plain.push(Argument::Constant(default));
                    continue;
                }
                plain.push(Argument::Constant(without_nulls(c)));
            }
            Argument::Column(c) if c.data_type.is_nullable() => {
                nulls = NullBuffer::union(nulls.as_ref(), c.array.nulls());
                plain.push(Argument::Column(without_nulls(c)));
            }
            other => plain.push(other.clone()),
        }
    }
    let inner = call.result.without_nullable();
    let stripped = FunctionCall { arguments: &plain, result: &inner, ..*call };
    let nulls = nulls.filter(|n| n.null_count() > 0);
    let Some(nulls) = nulls else { return function.evaluate(&stripped) };
    if !call.result.is_nullable() {
        let plain: Vec<Argument> = call.arguments.iter().zip(plain.iter()).map(filled).collect();
        return function.evaluate(&FunctionCall { arguments: &plain, ..stripped });
    }
    let numbers = of_numbers(function, call);
    if nulls.null_count() == call.rows && !numbers {
        return Ok(Column::default_values(call.result.clone(), call.rows));
    }
    match function.evaluate(&stripped) {
        Ok(column) if call.result.is_nullable() => Ok(mask(&column, &nulls)),
        Ok(column) => Ok(column),
        Err(error) if numbers => Err(error),
        Err(_) => evaluate_without(function, &stripped, call.result, &nulls),
    }
}

/// Whether a call is computed for what lies under NULLs, too, and fails there: numbers are so cheap that
/// ClickHouse does not look for NULLs first. A divisor that is NULL divides nothing.
fn of_numbers(function: &Arc<dyn ScalarFunction>, call: &FunctionCall) -> bool {
    const DIVISIONS: &[&str] = &[
        "divide",
        "divideOrNull",
        "intDiv",
        "intDivOrNull",
        "intDivOrZero",
        "modulo",
        "moduloOrNull",
        "moduloOrZero",
        "positiveModulo",
        "positiveModuloOrNull",
    ];
    let by_nullable = call.arguments.get(1).is_some_and(is_nullable_argument);
    let number = |a: &Argument| match a {
        Argument::Column(c) | Argument::Constant(c) => c.data_type.inner().is_number(),
        Argument::Lambda(_) => false,
    };
    call.arguments.iter().all(number) && !(by_nullable && DIVISIONS.contains(&function.name()))
}

/// An argument with its type's default where it is NULL.
fn filled((nullable, plain): (&Argument, &Argument)) -> Argument {
    let (Argument::Column(nullable), Argument::Column(plain)) = (nullable, plain) else {
        return plain.clone();
    };
    if nullable.array.null_count() == 0 || !nullable.data_type.is_nullable() {
        return Argument::Column(plain.clone());
    }
    Argument::Column(match nullable.array.nulls() {
        Some(nulls) => default_at(plain, nulls),
        None => plain.clone(),
    })
}

/// The column with its type's default where `nulls` says NULL.
pub(super) fn default_at(column: &Column, nulls: &NullBuffer) -> Column {
    let default = Column::default_values(column.data_type.clone(), 1);
    let rows = column.len() as u32;
    let places = (0..rows).map(|row| if nulls.is_null(row as usize) { rows } else { row });
    let places = UInt32Array::from(places.collect::<Vec<u32>>());
    match Column::concat(&[column.clone(), default]) {
        Ok(both) => both.take(&places),
        Err(_) => column.clone(),
    }
}

fn is_nullable_argument(argument: &Argument) -> bool {
    match argument {
        Argument::Column(c) | Argument::Constant(c) => c.data_type.is_nullable(),
        Argument::Lambda(_) => false,
    }
}

/// The same values, none of them NULL.
pub(super) fn without_nulls(column: &Column) -> Column {
    let data_type = column.data_type.without_nullable();
    if column.array.nulls().is_none() {
        return Column { data_type, array: column.array.clone() };
    }
    let array = match (data_type.inner(), column.array.as_struct_opt()) {
        (DataType::Tuple(elements), Some(tuple)) => without_tuple_nulls(elements, tuple),
        _ => set_nulls(&column.array, None),
    };
    Column { data_type, array }
}

/// Under the NULLs of a tuple elements may be NULL that cannot be where the tuple is none.
fn without_tuple_nulls(elements: &[TupleElement], tuple: &StructArray) -> ArrayRef {
    let columns = elements.iter().zip(tuple.columns()).map(|(element, array)| {
        let column = Column { data_type: element.data_type.clone(), array: array.clone() };
        match element.data_type.is_nullable() {
            true => column.array,
            false => without_nulls(&column).array,
        }
    });
    let (fields, rows) = (tuple.fields().clone(), tuple.len());
    let plain = StructArray::try_new_with_length(fields, columns.collect(), None, rows);
    // Only validity goes, and only where there must be none.
    plain.map_or_else(|_| Arc::new(tuple.clone()) as ArrayRef, |plain| Arc::new(plain))
}

/// The array with exactly these nulls.
pub(super) fn set_nulls(array: &ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    let data = array.to_data().into_builder().nulls(nulls).build();
    // Only the validity changes, and it has the array's length.
    data.map_or_else(|_| array.clone(), make_array)
}

/// The column as Nullable, NULL also where `nulls` says so.
pub(super) fn mask(column: &Column, nulls: &NullBuffer) -> Column {
    let nulls = NullBuffer::union(Some(nulls), column.array.nulls());
    Column {
        data_type: DataType::nullable(column.data_type.clone()),
        array: set_nulls(&column.array, nulls),
    }
}

/// Evaluates the rows that no NULL hides and puts them back at their places.
fn evaluate_without(
    function: &Arc<dyn ScalarFunction>,
    call: &FunctionCall,
    result: &DataType,
    nulls: &NullBuffer,
) -> Result<Column> {
    let keep = BooleanArray::new(nulls.inner().clone(), None);
    let arguments: Vec<Argument> = call
        .arguments
        .iter()
        .map(|a| match a {
            Argument::Column(c) => Argument::Column(c.filter(&keep)),
            other => other.clone(),
        })
        .collect();
    let rows = call.rows - nulls.null_count();
    let kept = function.evaluate(&FunctionCall { arguments: &arguments, rows, ..*call })?;
    if result.is_nullable() {
        let mut next = 0;
        let places: UInt32Array = (0..call.rows)
            .map(|row| {
                nulls.is_valid(row).then(|| {
                    next += 1;
                    next - 1
                })
            })
            .collect();
        let kept = Column { data_type: result.clone(), array: kept.array };
        return Ok(kept.take(&places));
    }
    let filler = Column::default_values(result.clone(), 1);
    let both = Column::concat(&[filler, Column { data_type: result.clone(), array: kept.array }])?;
    let mut next = 0;
    let places: Vec<u32> = (0..call.rows)
        .map(|row| {
            if nulls.is_valid(row) {
                next += 1;
                next
            } else {
                0
            }
        })
        .collect();
    Ok(both.take(&UInt32Array::from(places)))
}
