//! Calls: which kind of function a name is (scalar, aggregate, window, lambda alias, one of the few
//! that the language itself gives meaning to) and binding its arguments.

use std::sync::Arc;

use pumphouse_storage::{DataType, Value};

use super::Binder;
use super::aliases;
use super::constant_branch::Branches;
use super::fold::argument_type;
use super::names::{error_in, unknown_function, with_scope};
use super::scope::Scope;
use super::tree::{self, Kind, Tree};
use crate::aggregates::{self, AggregateFunction};
use crate::error::{Error, Result, codes};
use crate::functions::{self, ScalarFunction};
use crate::plan::SetSource;
use crate::sql;
use crate::sql::ast::{Call, Expr, ExprKind, NullsAction};
use crate::sql::dialect::DIVISION;

/// Window functions that are no aggregate functions.
pub const RANKING: &[&str] = &[
    "row_number",
    "rank",
    "dense_rank",
    "denseRank",
    "percent_rank",
    "percentRank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "lagInFrame",
    "leadInFrame",
    "nth_value",
];

/// An aggregate call with everything settled but its place.
pub(super) struct AggregateCall {
    pub function: Arc<dyn AggregateFunction>,
    pub arguments: Vec<Tree>,
    pub text: String,
}

fn only_as_window_function(name: &str) -> Error {
    Error::new(
        codes::BAD_ARGUMENTS,
        format!(
            "The function '{name}' can only be used as a window function, not as an aggregate function"
        ),
    )
}

impl Binder<'_> {
    pub(super) fn call(&self, expr: &Expr, call: &Call, scope: &Scope) -> Result<Tree> {
        if call.over.is_some() {
            return self.window_call(expr, call, scope);
        }
        if let Some(lambda) = self.lambda_alias(&call.name, scope) {
            return self.apply_lambda(lambda, call, scope);
        }
        match call.name.to_ascii_lowercase().as_str() {
            "in" | "globalin" | "nullin" | "globalnullin" => {
                return self.in_call(call, false, scope);
            }
            "notin" | "globalnotin" | "notnullin" | "globalnotnullin" => {
                return self.in_call(call, true, scope);
            }
            "exists" if matches!(arg_kind(call, 0), Some(ExprKind::Subquery(_))) => {
                return self.exists(call, scope);
            }
            "arrayjoin" | "unnest" if call.name != "arrayjoin" => {
                return self.array_join_call(call, scope);
            }
            "rownumberinallblocks" | "runningdifference" => {
                return self.row_by_row(call, scope);
            }
            "formatrow" | "formatrownonewline" if call.name.starts_with("formatRow") => {
                return self.format_row(call, scope).map_err(|e| with_scope(e, scope));
            }
            "__integerorrealdivision" if call.name == DIVISION => {
                let arguments = self.arguments(&call.arguments, scope)?;
                let integers = arguments.iter().all(|a| a.data_type.inner().is_integer());
                return self.make_call(if integers { "intDiv" } else { "divide" }, arguments);
            }
            "casewithexpression" => return self.case_with_expression(call, scope),
            "grouping" => {
                let keys = self.arguments(&call.arguments, scope)?;
                return Ok(tree::grouping(keys));
            }
            _ => {}
        }
        if matches!(call.name.as_str(), "joinGet" | "joinGetOrNull") {
            return self.join_get(call, scope).map_err(|e| with_scope(e, scope));
        }
        if functions::is_dictionary_function(&call.name) {
            return self.dictionary_call(call, scope).map_err(|e| with_scope(e, scope));
        }
        if call.parameters.is_none()
            && !call.distinct
            && call.filter.is_none()
            && call.nulls.is_none()
            && let Some(function) = functions::lookup(&call.name)
        {
            let made = self.scalar_call(function, expr, call, scope);
            return made.map_err(|e| with_scope(of_parameter(call, e), scope));
        }
        if aggregates::is_aggregate(&aggregate_name(call, &self.count_distinct())) {
            return self.aggregate_tree(expr, call, scope);
        }
        if RANKING.contains(&call.name.as_str()) {
            return Err(only_as_window_function(&call.name));
        }
        if let Some(lambda) = self.catalog.user_function(&call.name) {
            return self.user_function(&lambda, call, scope);
        }
        let known: Vec<String> = functions::names().map(|n| n.name.to_string()).collect();
        Err(unknown_function(scope, &call.name, &known))
    }

    /// `formatRow(format, values…)` with the names of the values.
    fn format_row(&self, call: &Call, scope: &Scope) -> Result<Tree> {
        let newline = u64::from(call.name == "formatRow");
        let mut arguments = self.arguments(&call.arguments, scope)?;
        if arguments.len() < 2 {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "Function {} requires at least two arguments: the format name and its output expression(s)",
                    call.name
                ),
            ));
        }
        let names = call.arguments[1..]
            .iter()
            .map(|e| Value::string(e.alias.clone().unwrap_or_else(|| sql::format::expr(e))));
        let mut names: Vec<Value> = names.collect();
        names.resize(arguments.len() - 1, Value::string(""));
        let names = tree::constant(Value::Array(names), DataType::array(DataType::String));
        arguments.insert(1, names);
        arguments.insert(1, tree::constant(Value::UInt(newline), DataType::UInt8));
        self.make_call("_formatRow", arguments)
    }

    /// Functions that go on from block to block: as window functions over all rows in their order.
    fn row_by_row(&self, call: &Call, scope: &Scope) -> Result<Tree> {
        let text = match call.arguments.as_slice() {
            [] if call.name == "rowNumberInAllBlocks" => {
                "toUInt64(row_number() OVER () - 1)".to_string()
            }
            [value] if call.name == "runningDifference" => {
                if !self.setting(|s| s.bool("allow_deprecated_error_prone_window_functions", false))
                {
                    return Err(Error::new(
                        codes::DEPRECATED_FUNCTION,
                        "Function runningDifference is deprecated since its usage is error-prone (see docs). Please use proper window function or set `allow_deprecated_error_prone_window_functions` setting to enable it",
                    ));
                }
                let x = sql::format::expr(value);
                format!(
                    "({x}) - lagInFrame({x}, 1, {x}) OVER (ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
                )
            }
            arguments => {
                return Err(Error::new(
                    codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                    format!("Function {} does not take {} arguments", call.name, arguments.len()),
                ));
            }
        };
        let expr = sql::parse_expression(&text)?;
        self.expression(&expr, scope)
    }

    /// `CASE x WHEN a THEN r … ELSE e END` as `multiIf(x = a, r, …, e)`.
    fn case_with_expression(&self, call: &Call, scope: &Scope) -> Result<Tree> {
        let mut arguments = self.arguments(&call.arguments, scope)?.into_iter();
        let Some(tested) = arguments.next() else {
            return Err(Error::new(codes::BAD_ARGUMENTS, "CASE without branches"));
        };
        let mut branches: Vec<Tree> = arguments.collect();
        let results = branches.iter().skip(1).step_by(2).chain(branches.last());
        let results: Vec<DataType> = results.map(|t| t.data_type.clone()).collect();
        functions::promote::common_type(&results).map_err(|e| with_scope(e, scope))?;
        let given = branches.clone();
        for i in (0..branches.len() / 2).map(|i| i * 2) {
            branches[i] = self.make_call("equals", vec![tested.clone(), branches[i].clone()])?;
        }
        // A function of a LowCardinality and constants yields one.
        let constants = given.iter().all(|b| b.as_constant().is_some());
        let chosen = self.make_call("multiIf", branches).map_err(|e| with_scope(e, scope))?;
        if constants && tested.as_constant().is_some() {
            // Not a constant, whatever it is made of.
            return self.make_call("materialize", vec![chosen]);
        }
        match tested.data_type {
            DataType::LowCardinality(_) if constants && goes_into_dictionary(&chosen.data_type) => {
                self.make_call("toLowCardinality", vec![chosen])
            }
            _ => Ok(chosen),
        }
    }

    fn count_distinct(&self) -> String {
        let default = "uniqExact";
        self.setting(|s| s.get("count_distinct_implementation").unwrap_or(default).to_string())
    }

    /// Trees of call arguments; an asterisk or COLUMNS among them stands for several.
    pub(super) fn arguments(&self, exprs: &[Expr], scope: &Scope) -> Result<Vec<Tree>> {
        let mut trees = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match &expr.kind {
                ExprKind::Asterisk(_)
                | ExprKind::QualifiedAsterisk { .. }
                | ExprKind::Columns { .. } => {
                    trees.extend(self.expand(expr, scope)?.into_iter().map(|i| i.tree));
                }
                _ => trees.push(self.argument(expr, scope)?),
            }
        }
        Ok(trees)
    }

    fn scalar_call(
        &self,
        function: Arc<dyn ScalarFunction>,
        expr: &Expr,
        call: &Call,
        scope: &Scope,
    ) -> Result<Tree> {
        let is_lambda = |e: &Expr| self.as_lambda(e, scope).is_some();
        if !call.arguments.iter().any(is_lambda) {
            let arguments = match self.branches(function.as_ref(), expr, call, scope)? {
                Branches::All(arguments) => arguments,
                Branches::Chosen(tree) => return Ok(tree),
            };
            if function.name() == "array" && call.arguments.iter().all(is_plain_literal) {
                check_literal_items(&arguments)?;
            }
            return self.make_function_call(function, arguments);
        }
        let mut arguments: Vec<Option<Tree>> = Vec::with_capacity(call.arguments.len());
        for expr in &call.arguments {
            arguments.push(match self.as_lambda(expr, scope) {
                Some(_) => None,
                None => Some(self.argument(expr, scope)?),
            });
        }
        let mut others: Vec<_> = arguments.iter().flatten().map(argument_type).collect();
        others.iter_mut().for_each(|o| o.data_type = functions::unnamed(&o.data_type));
        for (place, expr) in arguments.iter_mut().zip(&call.arguments) {
            if place.is_some() {
                continue;
            }
            let Some((names, body)) = self.as_lambda(expr, scope) else { continue };
            let types = function.lambda_parameters(&others, names.len())?;
            *place = Some(self.lambda(&names, body, types, expr, scope)?);
        }
        let arguments: Vec<Tree> = arguments.into_iter().flatten().collect();
        let tree = self.make_function_call(function, arguments)?;
        self.fold_closed(tree)
    }

    /// The parameters and body if `expr` is a lambda or the alias of one.
    fn as_lambda<'e>(&self, expr: &'e Expr, scope: &Scope<'e>) -> Option<(Vec<String>, &'e Expr)> {
        match &expr.kind {
            ExprKind::Lambda { parameters, body } => Some((parameters.clone(), body)),
            ExprKind::Identifier(parts) if parts.len() == 1 => {
                match &self.lambda_alias(&parts[0], scope)?.kind {
                    ExprKind::Lambda { parameters, body } => Some((parameters.clone(), body)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The lambda that an alias of this or an outer scope stands for.
    fn lambda_alias<'e>(&self, name: &str, scope: &Scope<'e>) -> Option<&'e Expr> {
        let mut here: Option<&Scope<'e>> = Some(scope);
        while let Some(at) = here {
            if let Some(expr) = at.aliases.get(name) {
                return matches!(expr.kind, ExprKind::Lambda { .. }).then_some(*expr);
            }
            here = at.parent;
        }
        None
    }

    fn lambda(
        &self,
        names: &[String],
        body: &Expr,
        types: Vec<DataType>,
        whole: &Expr,
        scope: &Scope,
    ) -> Result<Tree> {
        if types.len() != names.len() {
            return Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!(
                    "Lambda function definition expects {} arguments. Actual {}",
                    names.len(),
                    types.len()
                ),
            ));
        }
        let level = scope.lambda_level;
        let locals = names
            .iter()
            .zip(&types)
            .enumerate()
            .map(|(i, (n, t))| (n.clone(), tree::parameter(level, i, t.clone())))
            .collect();
        let mut inner = Scope::nested(scope, locals, level + 1);
        inner.aliases = aliases::of_expr(body);
        inner.text = Some(sql::format::expr(whole));
        let body = self.expression(body, &inner)?;
        Ok(tree::lambda(level, types, body))
    }

    /// `f(arguments)` where `f` is an alias of a lambda: its body with the parameters replaced.
    fn apply_lambda(&self, lambda: &Expr, call: &Call, scope: &Scope) -> Result<Tree> {
        let ExprKind::Lambda { parameters, body } = &lambda.kind else {
            return Err(Error::new(codes::LOGICAL_ERROR, "an alias of a lambda is a lambda"));
        };
        let arguments = self.arguments(&call.arguments, scope)?;
        if arguments.len() != parameters.len() {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "Number of arguments for lambda {} doesn't match: passed {}, should be {}",
                    call.name,
                    arguments.len(),
                    parameters.len()
                ),
            ));
        }
        let _level = self.enter()?;
        let locals = parameters.iter().cloned().zip(arguments).collect();
        let inner = Scope::nested(scope, locals, scope.lambda_level);
        self.unaliased(body, &inner)
    }

    /// A call of a function written in SQL: its lambda, applied. Nesting is bounded by the binder's.
    fn user_function(&self, text: &str, call: &Call, scope: &Scope) -> Result<Tree> {
        let lambda = sql::parse_expression(text)?;
        if let ExprKind::Lambda { parameters, .. } = &lambda.kind
            && parameters.len() != call.arguments.len()
        {
            return Err(error_in(
                scope,
                codes::BAD_ARGUMENTS,
                format!(
                    "Lambda {text} expect {} arguments. Actual: {}.",
                    parameters.len(),
                    call.arguments.len()
                ),
            ));
        }
        self.apply_lambda(&lambda, call, scope)
    }

    /// Folds a call of a higher-order function over constants whose lambda uses nothing from outside.
    fn fold_closed(&self, tree: Tree) -> Result<Tree> {
        let Kind::Call { function, arguments } = &tree.kind else { return Ok(tree) };
        let closed = |t: &Tree| matches!(t.kind, Kind::Constant(_) | Kind::Lambda { .. });
        let open = tree.has.column
            || tree.has.lambda_parameter
            || tree.has.volatile
            || tree.has.aggregate
            || tree.has.array_join
            || arguments.iter().any(super::fold::computes_rows)
            || super::fold::never_constant(function.name())
            || reads_subquery(&tree);
        if open || self.analyze_only || !function.deterministic() || !arguments.iter().all(closed) {
            return Ok(tree);
        }
        let Ok(bound) = super::place::place(&tree, &super::place::Available::default()) else {
            return Ok(tree);
        };
        let row = pumphouse_storage::Block::of_rows(1);
        // An error counts only if the call is computed after all.
        let fails = crate::optimize::check_closed(&bound, self.ctx);
        match fails.and_then(|()| crate::execute::evaluate(&bound, &row, self.ctx)) {
            Ok(column) => Ok(tree::computed_constant(column.value(0), tree.data_type.clone())),
            Err(_) => Ok(tree),
        }
    }

    fn array_join_call(&self, call: &Call, scope: &Scope) -> Result<Tree> {
        let mut arguments = self.arguments(&call.arguments, scope)?;
        if arguments.len() != 1 {
            return Err(error_in(
                scope,
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!("arrayJoin requires exactly 1 argument, passed {}.", arguments.len()),
            ));
        }
        let array = arguments.remove(0);
        match element_type(&array.data_type) {
            Some(data_type) => Ok(tree::array_join(array, data_type)),
            None => Err(error_in(
                scope,
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                "Argument for function arrayJoin must be Array or Map.",
            )),
        }
    }

    fn aggregate_tree(&self, expr: &Expr, call: &Call, scope: &Scope) -> Result<Tree> {
        if aggregates::is_window_only(&call.name) {
            return Err(only_as_window_function(&call.name));
        }
        let bound = self.aggregate_call(expr, call, scope)?;
        if let Some(inner) = bound.arguments.iter().find(|a| a.has.aggregate) {
            return Err(Error::new(
                codes::ILLEGAL_AGGREGATION,
                format!(
                    "Aggregate function {} is found inside another aggregate function in query",
                    first_aggregate(inner)
                ),
            ));
        }
        if bound.arguments.iter().any(|a| a.has.window) {
            return Err(Error::new(
                codes::ILLEGAL_AGGREGATION,
                "Window function is found inside an aggregate function in query",
            ));
        }
        Ok(tree::aggregate(bound.function, bound.arguments, bound.text))
    }

    /// Name, parameters and arguments of an aggregate call; also for those with OVER.
    pub(super) fn aggregate_call(
        &self,
        expr: &Expr,
        call: &Call,
        scope: &Scope,
    ) -> Result<AggregateCall> {
        // Aggregate functions see rows, not groups.
        let of_groups = self.nullable_constants.take();
        let made = self.aggregate_of_rows(expr, call, scope);
        self.nullable_constants.replace(of_groups);
        made
    }

    fn aggregate_of_rows(&self, expr: &Expr, call: &Call, scope: &Scope) -> Result<AggregateCall> {
        let mut arguments = match call.arguments.as_slice() {
            [one]
                if is_count(&call.name)
                    && matches!(&one.kind, ExprKind::Asterisk(t) if t.is_empty()) =>
            {
                vec![]
            }
            exprs => self.arguments(exprs, scope)?,
        };
        if let Some(filter) = &call.filter {
            arguments.push(self.argument(filter, scope)?);
        }
        let parameters = self.aggregate_parameters(call, scope)?;
        let types: Vec<DataType> = arguments.iter().map(|a| a.data_type.clone()).collect();
        let name = aggregate_name(call, &self.count_distinct());
        let function = aggregates::lookup(&name, &parameters, &types)?;
        self.check_enabled(&call.name)?;
        let mut bare = expr.clone();
        bare.alias = None;
        let mut text = sql::format::expr(&bare);
        if let Some(alias) = &expr.alias {
            text = format!("{text} AS {alias}");
        }
        Ok(AggregateCall { function, arguments, text })
    }

    /// Functions that ClickHouse hides behind a setting.
    fn check_enabled(&self, name: &str) -> Result<()> {
        let setting = match name {
            n if n.starts_with("sequenceNextNode") => "enable_funnel_functions",
            n if n.starts_with("timeSeries") => "enable_time_series_aggregate_functions",
            _ => return Ok(()),
        };
        if self.setting(|s| s.bool(setting, false)) {
            return Ok(());
        }
        Err(Error::new(
            codes::UNKNOWN_AGGREGATE_FUNCTION,
            format!(
                "Aggregate function {name} is off by default. Set `{setting}` setting to enable it"
            ),
        ))
    }

    fn aggregate_parameters(&self, call: &Call, scope: &Scope) -> Result<Vec<Value>> {
        let mut values = vec![];
        for expr in call.parameters.iter().flatten() {
            let tree = self.expression(expr, scope)?;
            let value = tree.as_constant().cloned().ok_or_else(|| {
                error_in(
                    scope,
                    codes::BAD_ARGUMENTS,
                    format!(
                        "Parameter for function '{}' expected to have constant value. Actual: {}.",
                        call.name,
                        sql::format::expr(expr)
                    ),
                )
            })?;
            values.push(value);
        }
        Ok(values)
    }
}

/// A literal, or an array of such.
fn is_plain_literal(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal { .. } => true,
        ExprKind::Call(call) => call.name == "array" && call.arguments.iter().all(is_plain_literal),
        _ => false,
    }
}

/// Items of an array literal have a common type that is no Variant, unless all are numbers.
fn check_literal_items(items: &[Tree]) -> Result<()> {
    let types: Vec<DataType> = items.iter().map(|t| t.data_type.clone()).collect();
    if types.iter().all(|t| t.is_number()) {
        return Ok(());
    }
    functions::promote::common_type(&types).map(|_| ())
}

/// Whether a LowCardinality may hold the type.
fn goes_into_dictionary(data_type: &DataType) -> bool {
    match data_type.without_nullable() {
        DataType::Date | DataType::Date32 | DataType::DateTime(_) => true,
        t => t.is_string() || t.is_number() && !matches!(t, DataType::Decimal { .. }),
    }
}

fn arg_kind(call: &Call, index: usize) -> Option<&ExprKind> {
    call.arguments.get(index).map(|a| &a.kind)
}

fn is_count(name: &str) -> bool {
    name.eq_ignore_ascii_case("count") || name.eq_ignore_ascii_case("countDistinct")
}

/// The aggregate function's full name: DISTINCT, FILTER and NULLS as combinators.
pub(super) fn aggregate_name(call: &Call, count_distinct: &str) -> String {
    let mut name = call.name.clone();
    let lower = name.to_ascii_lowercase();
    if call.distinct {
        name = match lower.as_str() {
            "count" => count_distinct.to_string(),
            "countif" => format!("{count_distinct}If"),
            _ => match name.strip_suffix("If") {
                Some(base) => format!("{base}DistinctIf"),
                None => format!("{name}Distinct"),
            },
        };
    } else if lower == "countdistinct" {
        name = count_distinct.to_string();
    } else if lower == "countdistinctif" {
        name = format!("{count_distinct}If");
    }
    if call.nulls == Some(NullsAction::Respect) {
        name.push_str("_respect_nulls");
    }
    if call.filter.is_some() {
        name.push_str("If");
    }
    name
}

/// What one element of an array (or map) is.
pub(super) fn element_type(data_type: &DataType) -> Option<DataType> {
    use pumphouse_storage::types::TupleElement;
    match data_type.without_low_cardinality() {
        DataType::Array(item) => Some((**item).clone()),
        DataType::Named { argument, .. } => element_type(argument),
        DataType::Map(key, value) => {
            let element = |name: &str, t: &DataType| TupleElement {
                name: Some(name.to_string()),
                data_type: t.clone(),
            };
            Some(DataType::Tuple(vec![element("keys", key), element("values", value)]))
        }
        _ => None,
    }
}

/// The text of the first aggregate inside `tree`.
pub(super) fn first_aggregate(tree: &Tree) -> String {
    let mut found = vec![];
    tree::collect(tree, &|n| matches!(n.kind, Kind::Aggregate { .. }), &mut found);
    match found.first().map(|f| &f.kind) {
        Some(Kind::Aggregate { text, .. }) => text.clone(),
        _ => String::new(),
    }
}

/// The parser makes `_CAST('text', 'Type')` of a query parameter: what cannot be read is its fault.
fn of_parameter(call: &Call, error: Error) -> Error {
    match call.arguments.as_slice() {
        [Expr { kind: ExprKind::Literal { text, .. }, .. }, data_type] if call.name == "_CAST" => {
            let data_type = sql::format::expr(data_type);
            let data_type = data_type.trim_matches('\'');
            let message = format!("Value {text} cannot be parsed as {data_type}: {error}");
            Error::new(codes::BAD_QUERY_PARAMETER, message)
        }
        _ => error,
    }
}

/// Whether a set of `tree` is a subquery's: it is not filled yet.
fn reads_subquery(tree: &Tree) -> bool {
    match &tree.kind {
        Kind::InSet { set, .. } if matches!(set.source, SetSource::Subquery(_)) => true,
        _ => tree.children().into_iter().any(reads_subquery),
    }
}
