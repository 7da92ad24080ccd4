//! dictGet, dictGetOrDefault, dictGetOrNull, dictGet<Type>[OrDefault], dictHas and the functions of
//! hierarchies. A call holds its dictionary, found when it was bound: result types depend on it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, UInt32Array};
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType, Value};

use super::cast::cast_column;
use super::invoke::{is_null_type, mask, without_nulls};
use super::{ArgumentType, FunctionCall, Nulls, ScalarFunction};
use crate::dictionary::{Dictionary, Lookup};
use crate::error::{Error, Result, codes};
use crate::execute::key_table::ABSENT;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    OrDefault,
    OrNull,
    Has,
    Hierarchy,
    IsIn,
    Children,
    Descendants,
}

/// Types that stand in function names.
const TYPES: &[&str] = &[
    "UInt8", "UInt16", "UInt32", "UInt64", "Int8", "Int16", "Int32", "Int64", "Float32", "Float64",
    "Date", "DateTime", "UUID", "IPv4", "IPv6", "String",
];

/// What the function `name` does and the type that its name tells.
fn kind(name: &str) -> Option<(Kind, Option<&'static str>)> {
    Some(match name {
        "dictGet" => (Kind::Get, None),
        "dictGetOrDefault" => (Kind::OrDefault, None),
        "dictGetOrNull" => (Kind::OrNull, None),
        "dictHas" => (Kind::Has, None),
        "dictGetHierarchy" => (Kind::Hierarchy, None),
        "dictIsIn" => (Kind::IsIn, None),
        "dictGetChildren" => (Kind::Children, None),
        "dictGetDescendants" => (Kind::Descendants, None),
        other => {
            let rest = other.strip_prefix("dictGet")?;
            let (rest, kind) = match rest.strip_suffix("OrDefault") {
                Some(rest) => (rest, Kind::OrDefault),
                None => (rest, Kind::Get),
            };
            (kind, Some(TYPES.iter().find(|t| **t == rest)?))
        }
    })
}

/// Whether `name` is a function over dictionaries.
pub fn is_dictionary_function(name: &str) -> bool {
    kind(name).is_some()
}

/// The function `name` over `dictionary`.
pub fn dictionary_function(
    name: &str,
    dictionary: Arc<Dictionary>,
) -> Option<Arc<dyn ScalarFunction>> {
    let (kind, wanted) = kind(name)?;
    Some(Arc::new(DictionaryFunction { name: name.to_string(), kind, wanted, dictionary }))
}

struct DictionaryFunction {
    name: String,
    kind: Kind,
    wanted: Option<&'static str>,
    dictionary: Arc<Dictionary>,
}

impl ScalarFunction for DictionaryFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn nulls(&self) -> Nulls {
        // A NULL default is no NULL key, and a NULL key has a value of the attribute's type.
        match self.kind {
            Kind::Get | Kind::OrNull | Kind::OrDefault => Nulls::Own,
            _ => Nulls::Propagate,
        }
    }

    fn return_type(&self, arguments: &[ArgumentType]) -> Result<DataType> {
        let ranged = usize::from(self.dictionary.structure.range.is_some());
        let arity = match self.kind {
            Kind::Get | Kind::OrNull => 3 + ranged..=3 + ranged,
            Kind::OrDefault => 4 + ranged..=4 + ranged,
            Kind::Has => 2 + ranged..=2 + ranged,
            Kind::Hierarchy | Kind::Children => 2..=2,
            Kind::IsIn => 3..=3,
            Kind::Descendants => 2..=3,
        };
        if !arity.contains(&arguments.len()) {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "Number of arguments for function {} doesn't match: passed {} should be {}",
                    self.name,
                    arguments.len(),
                    arity.end()
                ),
            ));
        }
        match self.kind {
            Kind::Has | Kind::IsIn => Ok(DataType::UInt8),
            Kind::Hierarchy | Kind::Children | Kind::Descendants => {
                self.dictionary.hierarchy(0)?;
                Ok(DataType::array(DataType::UInt64))
            }
            Kind::Get | Kind::OrNull | Kind::OrDefault => {
                let attributes = self.attributes(arguments[1].constant.as_ref())?;
                let data_type = self.attributes_type(&attributes)?;
                let key_nullable = arguments[2].data_type.is_nullable();
                Ok(if key_nullable { data_type.or_null() } else { data_type })
            }
        }
    }

    fn evaluate(&self, call: &FunctionCall) -> Result<Column> {
        match self.kind {
            Kind::Get | Kind::OrNull | Kind::OrDefault => self.get(call),
            Kind::Has => {
                let found = self.find(call, 1)?;
                call.finish_numbers(found.iter().map(|n| u8::from(*n != ABSENT)).collect())
            }
            Kind::IsIn => {
                let (keys, above) = (call.numbers::<u64>(1)?, call.numbers::<u64>(2)?);
                let mut results = Vec::with_capacity(call.rows);
                for row in 0..call.rows {
                    let path = self.dictionary.hierarchy(keys.get(row))?;
                    results.push(u8::from(path.contains(&above.get(row))));
                }
                call.finish_numbers(results)
            }
            _ => self.lists(call),
        }
    }
}

impl DictionaryFunction {
    /// The attributes that the second argument names, and whether it is a tuple of them.
    fn attributes(&self, names: Option<&Value>) -> Result<(Vec<usize>, bool)> {
        let one = |value: &Value| match value {
            Value::String(name) => self.dictionary.attribute(&String::from_utf8_lossy(name)),
            _ => Err(self.illegal("second", "a const string or a tuple of them")),
        };
        match names {
            Some(Value::Tuple(items)) => {
                Ok((items.iter().map(one).collect::<Result<Vec<_>>>()?, true))
            }
            Some(value) => Ok((vec![one(value)?], false)),
            None => Err(self.illegal("second", "a const string or a tuple of them")),
        }
    }

    fn illegal(&self, place: &str, wanted: &str) -> Error {
        Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!(
                "Illegal type of {place} argument of function {}, expected {wanted}",
                self.name
            ),
        )
    }

    fn attributes_type(&self, (attributes, tuple): &(Vec<usize>, bool)) -> Result<DataType> {
        let mut elements = vec![];
        for at in attributes {
            let attribute = &self.dictionary.structure.attributes[*at];
            let own = attribute.data_type.to_string();
            if let Some(wanted) = self.wanted
                && own != wanted
            {
                return Err(Error::new(
                    codes::TYPE_MISMATCH,
                    format!(
                        "Function {} dictionary attribute has different type {own} expected {wanted}",
                        self.name
                    ),
                ));
            }
            let data_type = match self.kind == Kind::OrNull && attribute.data_type.can_be_nullable()
            {
                true => DataType::nullable(attribute.data_type.clone()),
                false => attribute.data_type.clone(),
            };
            elements.push(TupleElement { name: Some(attribute.name.clone()), data_type });
        }
        match (tuple, elements.as_slice()) {
            (false, [one]) => Ok(one.data_type.clone()),
            _ => Ok(DataType::Tuple(elements)),
        }
    }

    fn get(&self, call: &FunctionCall) -> Result<Column> {
        let (attributes, tuple) = self.attributes(call.constant(1).as_ref())?;
        if is_null_type(call.data_type(2)?) {
            return Ok(Column::default_values(call.result.clone(), call.rows));
        }
        let mut found = self.find(call, 2)?;
        if self.kind == Kind::OrDefault {
            let ranged = usize::from(self.dictionary.structure.range.is_some());
            return self.get_or_default(call, &attributes, tuple, &found, 3 + ranged);
        }
        let mut columns = vec![];
        for at in attributes {
            let values = self.dictionary.values(at);
            if self.kind == Kind::OrNull && values.data_type.can_be_nullable() {
                let places: UInt32Array =
                    found.iter().map(|n| (*n != ABSENT).then_some(*n)).collect();
                let data_type = DataType::nullable(values.data_type.clone());
                columns.push(Column::new(data_type, values.array.clone()).take(&places));
                continue;
            }
            let default = values.len() as u32 - 1;
            found.iter_mut().for_each(|n| *n = (*n).min(default));
            columns.push(values.take(&UInt32Array::from(found.clone())));
        }
        self.result(call, columns, tuple)
    }

    fn get_or_default(
        &self,
        call: &FunctionCall,
        attributes: &[usize],
        tuple: bool,
        found: &[u32],
        place: usize,
    ) -> Result<Column> {
        let defaults = call.column(place)?;
        let mut columns = vec![];
        for (i, at) in attributes.iter().enumerate() {
            let values = self.dictionary.values(*at);
            let default = match (&defaults.data_type, tuple) {
                (DataType::Tuple(elements), true) if elements.len() == attributes.len() => {
                    Column::new(
                        elements[i].data_type.clone(),
                        defaults.array.as_struct().column(i).clone(),
                    )
                }
                (_, true) => return Err(self.illegal("default", "a tuple of the same size")),
                _ => defaults.clone(),
            };
            check_range(&default, &values.data_type)?;
            let default = cast_column(&default, &values.data_type, call.context)?;
            let behind = values.len() as u32;
            let places: Vec<u32> = (0u32..)
                .zip(found)
                .map(|(row, n)| if *n == ABSENT { behind + row } else { *n })
                .collect();
            let both = Column::concat(&[values.clone(), default])?;
            columns.push(both.take(&UInt32Array::from(places)));
        }
        self.result(call, columns, tuple)
    }

    fn result(&self, call: &FunctionCall, mut columns: Vec<Column>, tuple: bool) -> Result<Column> {
        match (tuple, columns.len()) {
            (false, 1) => {
                let column = columns.remove(0);
                let nulls = call.column(2)?.array.nulls().cloned();
                match nulls.filter(|n| n.null_count() > 0 && call.result.is_nullable()) {
                    Some(nulls) => call.finish(mask(&column, &nulls).array),
                    None => call.finish(column.array),
                }
            }
            _ => {
                let arrow_schema::DataType::Struct(fields) = call.result.arrow() else {
                    return Err(Error::new(codes::LOGICAL_ERROR, "a tuple is a struct"));
                };
                let arrays = columns.into_iter().map(|c| c.array).collect();
                let array = arrow_array::StructArray::try_new(fields, arrays, None)
                    .map_err(|e| Error::new(codes::LOGICAL_ERROR, e.to_string()))?;
                call.finish(Arc::new(array))
            }
        }
    }

    /// The row of each key; the key is argument `place`, what a range is asked for the next one.
    fn find(&self, call: &FunctionCall, place: usize) -> Result<Vec<u32>> {
        let structure = &self.dictionary.structure;
        let keys = self.keys(call, place)?;
        let at = match &structure.range {
            Some([(_, data_type), _]) => {
                let column = without_nulls(&call.column(place + 1)?);
                Some(cast_column(&column, &data_type.without_nullable(), call.context)?)
            }
            None => None,
        };
        Ok(self.dictionary.find(&keys, at.as_ref(), call.rows))
    }

    fn keys(&self, call: &FunctionCall, place: usize) -> Result<Vec<Column>> {
        let structure = &self.dictionary.structure;
        let given = without_nulls(&call.column(place)?);
        let mut parts = match (&given.data_type, structure.lookup) {
            (DataType::Tuple(_), Lookup::Simple { .. }) => {
                return Err(self.illegal("key", "an UInt64"));
            }
            (DataType::Tuple(elements), _) => {
                let arrays = given.array.as_struct();
                let items = elements.iter().enumerate();
                items
                    .map(|(i, e)| Column::new(e.data_type.clone(), arrays.column(i).clone()))
                    .collect()
            }
            _ => vec![given],
        };
        if parts.len() != structure.keys.len() {
            let types: Vec<String> = structure.keys.iter().map(|(_, t)| t.to_string()).collect();
            return Err(Error::new(
                codes::TYPE_MISMATCH,
                format!(
                    "Dictionary {} key lookup structure does not match, expected ({})",
                    structure.name,
                    types.join(", ")
                ),
            ));
        }
        if structure.lookup == Lookup::Prefix {
            return Ok(parts);
        }
        for (part, (_, key)) in parts.iter_mut().zip(&structure.keys) {
            check_range(part, key)?;
            *part = cast_column(part, key, call.context)?;
        }
        Ok(parts)
    }

    fn lists(&self, call: &FunctionCall) -> Result<Column> {
        let key_type = [("".to_string(), DataType::UInt64)];
        let mut keys = without_nulls(&call.column(1)?);
        check_range(&keys, &key_type[0].1)?;
        keys = cast_column(&keys, &key_type[0].1, call.context)?;
        let levels = call.numbers_or::<u64>(2, 0)?;
        let mut lists = Vec::with_capacity(call.rows);
        for row in 0..call.rows {
            call.context.check()?;
            let key = keys.value(row).as_u64().unwrap_or_default();
            let list = match self.kind {
                Kind::Hierarchy => self.dictionary.hierarchy(key)?,
                Kind::Children => self.dictionary.descendants(key, 1)?,
                _ => self.dictionary.descendants(key, levels.get(row) as usize)?,
            };
            lists.push(Value::Array(list.into_iter().map(Value::UInt).collect()));
        }
        Ok(Column::from_values(call.result.clone(), &lists)?)
    }
}

/// Error 70 for an integer that an integer type cannot hold.
fn check_range(column: &Column, to: &DataType) -> Result<()> {
    let from = &column.data_type;
    let bits = match to {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            super::promote::bits(to)
        }
        _ => 0,
    };
    let unsafe_ = |value: Value| match value {
        Value::Null => !to.is_nullable(),
        other => other.as_i128().is_some_and(|v| v < 0 || v >> bits != 0),
    };
    let integers = bits > 0 && from.without_nullable().is_integer();
    let suspect = from.is_nullable() && !to.is_nullable() || integers && from != to;
    if suspect && (0..column.len()).any(|row| unsafe_(column.value(row))) {
        return Err(Error::new(
            codes::CANNOT_CONVERT_TYPE,
            format!("Value in column {from} cannot be safely converted into type {to}"),
        ));
    }
    Ok(())
}
