//! Making calls of functions with settled arguments, and folding those whose value is known.

use std::sync::Arc;

use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Column, DataType, Value};

use super::Binder;
use super::tree::{self, Kind, Tree};
use crate::error::{Error, Result, codes};
use crate::functions::{self, Argument, ArgumentType, ScalarFunction};

/// Functions that are not deterministic but have one value for a whole query.
const ONE_VALUE_PER_QUERY: &[&str] = &[
    "now",
    "now64",
    "nowInBlock",
    "today",
    "yesterday",
    "utcTimestamp",
    "currentDatabase",
    "currentUser",
    "currentProfiles",
    "currentSchemas",
    "queryID",
    "initialQueryID",
    "version",
    "buildId",
    "hostName",
    "fqdn",
    "serverUUID",
    "uptime",
    "timezone",
    "timeZone",
    "serverTimezone",
    "serverTimeZone",
    "getSetting",
    "tcpPort",
    "connectionId",
];
/// `nowInBlock` changes from block to block.
const NEVER_FOLDED: &[&str] =
    &["materialize", "sleep", "sleepEachRow", "rowNumberInBlock", "nowInBlock", "throwIf"];

impl Binder<'_> {
    /// `name(arguments…)` for a function that is known to exist.
    pub(super) fn make_call(&self, name: &str, arguments: Vec<Tree>) -> Result<Tree> {
        match functions::lookup(name) {
            Some(function) => self.make_function_call(function, arguments),
            None => Err(Error::new(
                codes::UNKNOWN_FUNCTION,
                format!("Function with name `{name}` does not exist."),
            )),
        }
    }

    pub(super) fn make_function_call(
        &self,
        function: Arc<dyn ScalarFunction>,
        arguments: Vec<Tree>,
    ) -> Result<Tree> {
        let types: Vec<ArgumentType> = arguments.iter().map(argument_type).collect();
        let data_type = functions::resolve(&function, &types)?;
        if function.name() == "toTypeName" && arguments.len() == 1 {
            // Whatever the argument is, it need not be computed.
            let name = crate::text::pretty_type_name(&arguments[0].data_type);
            let quiet = !arguments[0].has.aggregate && !arguments[0].has.window;
            if quiet && !arguments[0].has.array_join && arguments[0].data_type.holds_run_time() {
                return Ok(tree::constant(Value::string(name), data_type));
            }
        }
        if let Some(chosen) = self.chosen_branch(&function, &arguments, &data_type)? {
            return Ok(chosen);
        }
        if foldable(&function, &arguments) {
            let value = self.evaluate_constant(&function, &arguments, &data_type)?;
            return Ok(tree::constant(value, data_type));
        }
        Ok(tree::call(function, arguments, data_type))
    }

    /// `tree` as `data_type`.
    pub(super) fn cast(&self, tree: Tree, data_type: &DataType) -> Result<Tree> {
        if tree.data_type == *data_type {
            return Ok(tree);
        }
        if let Kind::Constant(value) = &tree.kind {
            let value = functions::cast::cast_value(value, &tree.data_type, data_type, self.ctx)?;
            return Ok(tree::constant(value, data_type.clone()));
        }
        let target = tree::constant(Value::string(data_type.to_string()), DataType::String);
        self.make_call("CAST", vec![tree, target])
    }

    /// `if` with a constant condition is one of its branches.
    fn chosen_branch(
        &self,
        function: &Arc<dyn ScalarFunction>,
        arguments: &[Tree],
        data_type: &DataType,
    ) -> Result<Option<Tree>> {
        if function.name() != "if" || arguments.len() != 3 {
            return Ok(None);
        }
        let Some(condition) = arguments[0].as_constant() else { return Ok(None) };
        let yes = condition.as_f64().is_some_and(|v| v != 0.0);
        let branch = arguments[if yes { 1 } else { 2 }].clone();
        self.cast(branch, data_type).map(Some)
    }

    fn evaluate_constant(
        &self,
        function: &Arc<dyn ScalarFunction>,
        arguments: &[Tree],
        data_type: &DataType,
    ) -> Result<Value> {
        let constants = arguments
            .iter()
            .map(|a| {
                let value = a.as_constant().unwrap_or(&Value::Null);
                let values = std::slice::from_ref(value);
                Ok(Argument::Constant(Column::from_values(a.data_type.clone(), values)?))
            })
            .collect::<Result<Vec<Argument>>>()?;
        let column = functions::call(function, self.ctx, &constants, data_type, 1)?;
        Ok(column.value(0))
    }

    /// A type by its name, or error 50.
    pub(super) fn data_type(&self, name: &str) -> Result<DataType> {
        Ok(parse_data_type(name)?)
    }
}

fn foldable(function: &Arc<dyn ScalarFunction>, arguments: &[Tree]) -> bool {
    let name = function.name();
    let stable = function.deterministic() || ONE_VALUE_PER_QUERY.contains(&name);
    stable && !NEVER_FOLDED.contains(&name) && arguments.iter().all(|a| a.as_constant().is_some())
}

/// What a function's typing sees of an argument.
pub(super) fn argument_type(tree: &Tree) -> ArgumentType {
    ArgumentType {
        data_type: tree.data_type.clone(),
        constant: tree.as_constant().cloned(),
        lambda_arity: match &tree.kind {
            Kind::Lambda { parameters, .. } => Some(parameters.len()),
            _ => None,
        },
    }
}
