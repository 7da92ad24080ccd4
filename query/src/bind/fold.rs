//! Making calls of functions with settled arguments, and folding those whose value is known.

use std::sync::Arc;

use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Column, DataType, Value};

use super::Binder;
use super::tree::{self, Kind, Tree};
use crate::error::{Error, Result, codes};
use crate::functions::{self, Argument, ArgumentType, ScalarFunction};
use crate::settings;

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
/// Functions of constants that are none in ClickHouse: they are computed row by row. It shows in what
/// grouping sets and totals put in the place of a key, and in errors that only rows raise.
const NOT_CONSTANT: &[&str] = &[
    "arrayExcept",
    "arrayFold",
    "arrayRotateLeft",
    "arrayRotateRight",
    "arrayShiftLeft",
    "arrayShiftRight",
    "byteSize",
    "caseWithExpression",
    "concatWithSeparator",
    "concatWithSeparatorAssumeInjective",
    "extractGroups",
    "extractKeyValuePairs",
    "extractKeyValuePairsWithEscaping",
    "hasSubsequence",
    "hasSubsequenceCaseInsensitive",
    "hasSubsequenceCaseInsensitiveUTF8",
    "hasSubsequenceUTF8",
    "ignore",
    "leftPad",
    "leftPadUTF8",
    "rightPad",
    "rightPadUTF8",
    "space",
    "transform",
];

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
        if let Some(setting) = self.setting_call(function.name(), &arguments)? {
            return Ok(setting);
        }
        let data_type = functions::resolve(&function, &types)?;
        if function.name() == "toTypeName" && arguments.len() == 1 {
            // Whatever the argument is, it need not be computed.
            let name = crate::text::pretty_type_name(&arguments[0].data_type);
            let quiet = !arguments[0].has.aggregate && !arguments[0].has.window;
            if quiet && !arguments[0].has.array_join {
                return Ok(tree::constant(Value::string(name), data_type));
            }
        }
        if function.name() == "isConstant" && arguments.len() == 1 && !arguments.iter().any(loud) {
            let constant = match &arguments[0].kind {
                // No constant here, but one when it is computed.
                Kind::Call { function, .. } if function.name() == "ignore" => true,
                _ => arguments[0].as_constant().is_some(),
            };
            return Ok(tree::constant(Value::UInt(constant as u64), data_type));
        }
        if let Some(value) = known_value(&function, &arguments, &data_type) {
            return Ok(tree::constant(value, data_type));
        }
        if let Some(parts) = self.tuple_equality(&function, &arguments, &data_type)? {
            // Known, but no constant.
            let value = parts.as_constant().cloned();
            return Ok(value.map_or(parts, |value| tree::computed_constant(value, data_type)));
        }
        if let Some(branch) = constant_of_two(&function, &arguments) {
            let cast = self.cast(branch, &data_type)?;
            let value = cast.as_constant().cloned();
            return Ok(value.map_or(cast, |value| tree::computed_constant(value, data_type)));
        }
        if let Some(chosen) = self.chosen_branch(&function, &arguments, &data_type)? {
            return Ok(chosen);
        }
        if foldable(&function, &arguments) {
            let computed = arguments.iter().any(|a| a.has.computed);
            match self.evaluate_constant(&function, &arguments, &data_type) {
                Ok(value) if computed => return Ok(tree::computed_constant(value, data_type)),
                Ok(value) => return Ok(tree::constant(value, data_type)),
                // Such an error counts only if the call is computed after all.
                Err(_) if computed => {}
                Err(error) => return Err(error),
            }
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

    /// `getSetting('name')` and `getSettingOrDefault('name', value)`: the type depends on the value.
    fn setting_call(&self, function: &str, arguments: &[Tree]) -> Result<Option<Tree>> {
        let or_default = match (function, arguments.len()) {
            ("getSetting", 1) => false,
            ("getSettingOrDefault", 2) => true,
            _ => return Ok(None),
        };
        let Some(Value::String(name)) = arguments[0].as_constant() else { return Ok(None) };
        match self.setting(|s| settings::typed(&String::from_utf8_lossy(name), s)) {
            Ok((data_type, value)) => Ok(Some(tree::constant(value, data_type))),
            Err(_) if or_default => Ok(Some(arguments[1].clone())),
            Err(e) => Err(e),
        }
    }

    /// `(a, b) = (c, d)` is `a = c AND b = d`, so that one part that is known to differ decides.
    fn tuple_equality(
        &self,
        function: &Arc<dyn ScalarFunction>,
        arguments: &[Tree],
        data_type: &DataType,
    ) -> Result<Option<Tree>> {
        let (name, join) = match function.name() {
            name @ "equals" => (name, "and"),
            name @ "notEquals" => (name, "or"),
            _ => return Ok(None),
        };
        let [left, right] = arguments else { return Ok(None) };
        if left.as_constant().is_some() && right.as_constant().is_some() {
            return Ok(None);
        }
        let (Some(left), Some(right)) = (tuple_parts(left), tuple_parts(right)) else {
            return Ok(None);
        };
        if left.len() != right.len() || left.len() < 2 {
            return Ok(None);
        }
        // What fails is found before anything is known of the others.
        if left.iter().chain(&right).any(holds_closed) {
            return Ok(None);
        }
        let parts = left.into_iter().zip(right);
        let parts = parts.map(|(l, r)| self.make_call(name, vec![l, r])).collect::<Result<_>>()?;
        let joined = self.make_call(join, parts)?;
        Ok(Some(joined).filter(|joined| joined.data_type == *data_type))
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
        // An aggregate function that is not chosen still makes one row of all.
        if arguments.iter().any(|a| a.has.aggregate) {
            return Ok(None);
        }
        if arguments[0].has.computed && arguments[1..].iter().any(holds_closed) {
            return Ok(None);
        }
        let yes = condition.as_f64().is_some_and(|v| v != 0.0);
        let branch = arguments[if yes { 1 } else { 2 }].clone();
        if matches!(branch.data_type.inner(), DataType::FixedString(_))
            && *data_type.inner() == DataType::String
        {
            // A cast would cut zero bytes off.
            return Ok(None);
        }
        let chosen = self.cast(branch, data_type)?;
        Ok(Some(match chosen.as_constant() {
            Some(value) if arguments[0].has.computed => {
                tree::computed_constant(value.clone(), data_type.clone())
            }
            _ => chosen,
        }))
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

/// The constant that a `multiIf` of one known condition chooses; of several conditions none is a constant.
fn constant_of_two(function: &Arc<dyn ScalarFunction>, arguments: &[Tree]) -> Option<Tree> {
    let [condition, yes, no] = arguments else { return None };
    let plain = [yes, no].iter().all(|branch| branch.as_constant().is_some());
    if function.name() != "multiIf" || plain || arguments.iter().any(loud) || condition.has.computed
    {
        return None;
    }
    let holds = condition.as_constant()?.as_f64().is_some_and(|v| v != 0.0);
    let chosen = if holds { yes } else { no };
    chosen.as_constant().filter(|_| !chosen.has.computed).map(|_| chosen.clone())
}

/// The elements of a tuple that is written out.
fn tuple_parts(tree: &Tree) -> Option<Vec<Tree>> {
    match (&tree.kind, &tree.data_type) {
        (Kind::Call { function, arguments }, _) if function.name() == "tuple" => {
            Some(arguments.clone())
        }
        (Kind::Constant(Value::Tuple(values)), DataType::Tuple(elements)) => {
            let parts = values.iter().zip(elements);
            Some(parts.map(|(v, e)| tree::constant(v.clone(), e.data_type.clone())).collect())
        }
        _ => None,
    }
}

/// Whether an expression does more than yield a value for a row.
pub(super) fn loud(tree: &Tree) -> bool {
    let has = tree.has;
    has.aggregate || has.window || has.array_join || has.volatile || has.lookup || has.grouping
}

/// What a call is whatever its arguments' values are; none if they do more than yield values.
fn known_value(
    function: &Arc<dyn ScalarFunction>,
    arguments: &[Tree],
    data_type: &DataType,
) -> Option<Value> {
    if arguments.iter().any(loud) || arguments.iter().all(|a| a.as_constant().is_some()) {
        return None;
    }
    let flag = |yes: bool| match data_type.inner() {
        DataType::Bool => Value::Bool(yes),
        _ => Value::UInt(yes as u64),
    };
    let truth = |t: &Tree| t.as_constant().and_then(|v| v.as_f64()).map(|v| v != 0.0);
    // A set that cannot be made is an error also where another part decides, and so are calls of constants
    // that fail, unless what decides was known before them.
    let decided = |by: bool| {
        let mut deciding = arguments.iter().filter(|a| truth(a) == Some(by)).peekable();
        deciding.peek().is_some()
            && !arguments.iter().any(holds_refused)
            && (deciding.any(|a| !a.has.computed) || !arguments.iter().any(holds_closed))
    };
    match function.name() {
        // Compared with a NULL, the other side is not computed.
        "equals" | "notEquals" | "less" | "greater" | "lessOrEquals" | "greaterOrEquals"
            if arguments.iter().any(|a| a.as_constant().is_some_and(Value::is_null)) =>
        {
            Some(Value::Null)
        }
        "and" if decided(false) => Some(flag(false)),
        "and" if !data_type.is_nullable() && excluding(arguments) => Some(flag(false)),
        "or" if decided(true) => Some(flag(true)),
        name @ ("isNull" | "isNotNull") => {
            let own = &arguments.first()?.data_type;
            let plain = !own.is_nullable() && *own != DataType::Nothing && !own.holds_run_time();
            plain.then(|| flag(name == "isNotNull"))
        }
        _ => None,
    }
}

/// Whether a call of nothing but constants is in `tree` that is none itself: it fails.
pub(super) fn holds_closed(tree: &Tree) -> bool {
    let call = matches!(tree.kind, Kind::Call { .. });
    call && is_closed(tree, &mut vec![]) || tree.children().into_iter().any(holds_closed)
}

/// Whether `tree` reads nothing but parameters of the lambdas in it, whose levels are `own`.
fn is_closed(tree: &Tree, own: &mut Vec<usize>) -> bool {
    match &tree.kind {
        Kind::Constant(_) => true,
        Kind::Call { function, arguments } => {
            is_constant_call(function) && arguments.iter().all(|a| is_closed(a, own))
        }
        Kind::Lambda { level, body, .. } => {
            own.push(*level);
            let closed = is_closed(body, own);
            own.pop();
            closed
        }
        Kind::Parameter { level, .. } => own.contains(level),
        _ => false,
    }
}

/// Whether a condition holds for all rows, so that what else is in it does not matter.
pub(super) fn holds_always(tree: &Tree) -> bool {
    certain(tree) == Some(true)
}

/// Whether a condition compares tuples of which one has a bare NULL in it.
pub(super) fn is_null_always(tree: &Tree) -> bool {
    let Kind::Call { function, arguments } = &tree.kind else { return false };
    let bare = |t: &Tree| match &t.data_type {
        DataType::Tuple(elements) => {
            let nothing = |t: &DataType| t.is_nullable() && *t.inner() == DataType::Nothing;
            elements.iter().any(|e| nothing(&e.data_type))
        }
        _ => false,
    };
    match function.name() {
        "less" | "greater" | "lessOrEquals" | "greaterOrEquals" => arguments.iter().any(bare),
        "not" => arguments.iter().any(is_null_always),
        _ => false,
    }
}

fn certain(tree: &Tree) -> Option<bool> {
    if let Kind::Constant(value) = &tree.kind {
        return value.as_f64().filter(|_| !tree.has.computed).map(|v| v != 0.0);
    }
    let Kind::Call { function, arguments } = &tree.kind else { return None };
    let parts: Vec<Option<bool>> = arguments.iter().map(certain).collect();
    let decided = |by: bool| match () {
        _ if parts.contains(&Some(by)) => Some(by),
        _ if parts.iter().all(|p| *p == Some(!by)) => Some(!by),
        _ => None,
    };
    match function.name() {
        "and" => decided(false),
        "or" => decided(true),
        "not" => parts.first().copied().flatten().map(|p| !p),
        _ => None,
    }
}

pub(super) fn holds_refused(tree: &Tree) -> bool {
    let own = matches!(&tree.kind, Kind::Call { function, .. } if functions::is_refused(function));
    own || tree.children().into_iter().any(holds_refused)
}

/// Whether one part asks for no less than a number and another for no more than a smaller one.
fn excluding(parts: &[Tree]) -> bool {
    let bound = |part: &Tree, wanted: &str| match &part.kind {
        Kind::Call { function, arguments } if function.name() == wanted => {
            let [tested, limit] = arguments.as_slice() else { return None };
            Some((tested.key, limit.as_constant()?.as_i128()?))
        }
        _ => None,
    };
    parts.iter().filter_map(|p| bound(p, "greaterOrEquals")).any(|(key, low)| {
        let mut uppers = parts.iter().filter_map(|p| bound(p, "lessOrEquals"));
        uppers.any(|(other, high)| other == key && high < low)
    })
}

/// Whether a call of constants that is none is in `tree`.
pub(super) fn computes_rows(tree: &Tree) -> bool {
    let own = match &tree.kind {
        Kind::Call { function, arguments } => {
            let fixed = |t: &Tree| matches!(t.kind, Kind::Constant(_) | Kind::Lambda { .. });
            never_constant(function.name()) && arguments.iter().all(fixed)
        }
        _ => false,
    };
    own || tree.children().into_iter().any(computes_rows)
}

/// Whether a call is no constant although its arguments are.
pub(crate) fn never_constant(name: &str) -> bool {
    NOT_CONSTANT.contains(&name) || name.starts_with("emptyArray") && name != "emptyArrayToSingle"
}

/// Whether a call of constants is a constant.
pub(crate) fn is_constant_call(function: &Arc<dyn ScalarFunction>) -> bool {
    let name = function.name();
    let stable = function.deterministic() || ONE_VALUE_PER_QUERY.contains(&name);
    stable && !NEVER_FOLDED.contains(&name) && !never_constant(name)
}

fn foldable(function: &Arc<dyn ScalarFunction>, arguments: &[Tree]) -> bool {
    is_constant_call(function) && arguments.iter().all(|a| a.as_constant().is_some())
}

/// What a function's typing sees of an argument.
pub(super) fn argument_type(tree: &Tree) -> ArgumentType {
    ArgumentType {
        data_type: tree.data_type.clone(),
        // A constant that a higher-order function made is none to types.
        constant: tree.as_constant().filter(|_| !tree.has.computed).cloned(),
        lambda_arity: match &tree.kind {
            Kind::Lambda { parameters, .. } => Some(parameters.len()),
            _ => None,
        },
    }
}
