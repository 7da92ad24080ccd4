//! The tree of another dialect, changed until it prints as ClickHouse's: operators and forms become calls of the
//! functions that mean them here, types and functions get their names, NULLs their place in ORDER BY.
//!
//! Works from the leaves up. Strings are printed with our quoting last, since a dialect may have read backslashes as they
//! stand. Result columns without a name keep the text that was written.

use std::ops::ControlFlow;

use sqlparser::ast::*;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::names::{self, FUNCTIONS, NULL_OF_NOTHING};
use super::{DIVISION, Traits};
use crate::error::{Error, Result, codes};
use crate::sql::format::quote_string;

/// Changes `statement` in place. Error 48 for what has no counterpart.
pub(super) fn statement(statement: &mut Statement, traits: Traits) -> Result<()> {
    if let ControlFlow::Break(e) = statement.visit(&mut Names) {
        return Err(e);
    }
    if let ControlFlow::Break(e) = statement.visit(&mut Lowering { traits }) {
        return Err(e);
    }
    match statement.visit(&mut Strings { traits }) {
        ControlFlow::Break(e) => Err(e),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn refuse<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Error::new(codes::NOT_IMPLEMENTED, format!("{what} has no counterpart here")))
}

/// Names columns after the text that was written, before it changes.
struct Names;

impl VisitorMut for Names {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        order_by_names(query);
        whole_set_operation(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                continue;
            }
            let alias = Ident::with_quote('`', expr.to_string().replace(['`', '\\'], "_"));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
        ControlFlow::Continue(())
    }
}

/// ORDER BY means a result column by a name of its own before a column of that name: said by its place.
fn order_by_names(query: &mut Query) {
    let SetExpr::Select(select) = &*query.body else { return };
    let place = |name: &Ident| {
        select.projection.iter().position(
            |item| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value == name.value),
        )
    };
    let Some(OrderBy { kind: OrderByKind::Expressions(items), .. }) = &mut query.order_by else {
        return;
    };
    for item in items {
        if let Expr::Identifier(name) = &item.expr
            && let Some(at) = place(name)
        {
            item.expr = number(at as i64 + 1);
        }
    }
}

/// ORDER BY and LIMIT behind a set operation are of all its rows; here they would be of its last SELECT.
fn whole_set_operation(query: &mut Query) {
    let is_set = matches!(&*query.body, SetExpr::SetOperation { .. });
    if !is_set
        || (query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none())
    {
        return;
    }
    let mut inner = query.clone();
    (inner.with, inner.order_by, inner.limit_clause, inner.fetch) = (None, None, None, None);
    let text = "SELECT * FROM (SELECT 1) AS all_rows";
    let parsed = Parser::parse_sql(&GenericDialect, text).ok().and_then(|mut all| all.pop());
    let Some(Statement::Query(mut outer)) = parsed else { return };
    if let SetExpr::Select(select) = &mut *outer.body
        && let Some(TableFactor::Derived { subquery, .. }) =
            select.from.first_mut().map(|f| &mut f.relation)
    {
        **subquery = inner;
        query.body = outer.body;
    }
}

/// Prints strings as ours.
struct Strings {
    traits: Traits,
}

impl VisitorMut for Strings {
    type Break = Error;

    fn post_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Error> {
        let text = match &value.value {
            Value::HexStringLiteral(digits) => {
                value.value = Value::Placeholder(format!("unhex('{digits}')"));
                return ControlFlow::Continue(());
            }
            Value::Placeholder(_) | Value::Number(..) | Value::Boolean(_) | Value::Null => {
                return ControlFlow::Continue(());
            }
            // What a dialect with escapes has read is the text already.
            text => text.clone().into_string(),
        };
        if let Some(text) = text {
            value.value = Value::Placeholder(quote_string(text.as_bytes()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Error> {
        // The schema that everything is in by default is the current database.
        if self.traits.nulls_are_greatest
            && relation.0.len() == 2
            && relation.0[0].to_string().eq_ignore_ascii_case("public")
        {
            relation.0.remove(0);
        }
        ControlFlow::Continue(())
    }
}

struct Lowering {
    traits: Traits,
}

impl VisitorMut for Lowering {
    type Break = Error;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        match self.lowered(expr) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(new)) => {
                *expr = new;
                ControlFlow::Continue(())
            }
            Err(e) => ControlFlow::Break(e),
        }
    }

    fn post_visit_order_by_expr(&mut self, item: &mut OrderByExpr) -> ControlFlow<Error> {
        if item.options.nulls_first.is_none() {
            let descending = matches!(item.options.sort, Some(OrderBySort::Desc));
            item.options.nulls_first = Some(descending == self.traits.nulls_are_greatest);
        }
        ControlFlow::Continue(())
    }
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e)));
    let list =
        FunctionArgumentList { duplicate_treatment: None, args: args.collect(), clauses: vec![] };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        within_group: vec![],
        filter: None,
        null_treatment: None,
        over: None,
    })
}

fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_string()))
}

fn number(n: i64) -> Expr {
    Expr::value(Value::Number(n.to_string(), false))
}

fn negated(expr: Expr, negated: bool) -> Expr {
    if negated { call("not", vec![expr]) } else { expr }
}

/// The text of a string literal.
fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(v) => v.value.clone().into_string(),
        _ => None,
    }
}

fn integer(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Value(v) => match &v.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

impl Lowering {
    /// What stands for `expr`, whose parts are lowered; None if it stays.
    fn lowered(&self, expr: &Expr) -> Result<Option<Expr>> {
        Ok(Some(match expr {
            Expr::Cast { expr, data_type, kind, .. } => {
                let tries = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
                self.cast(expr, data_type, tries)?
            }
            Expr::Convert { expr, data_type: Some(data_type), is_try, .. } => {
                self.cast(expr, data_type, *is_try)?
            }
            Expr::TypedString(typed) => match &typed.data_type {
                DataType::Date | DataType::Timestamp(..) | DataType::Datetime(_) => {
                    self.cast(&Expr::Value(typed.value.clone()), &typed.data_type, false)?
                }
                other => self.cast(&Expr::Value(typed.value.clone()), other, false)?,
            },
            Expr::BinaryOp { left, op, right } => return self.binary(left, op, right),
            Expr::Extract { field, expr, .. } => extract(field, (**expr).clone())?,
            Expr::Position { expr, r#in } => {
                call("positionUTF8", vec![(**r#in).clone(), (**expr).clone()])
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let from = substring_from.as_deref().cloned().unwrap_or_else(|| number(1));
                let mut arguments = vec![(**expr).clone(), from];
                arguments.extend(substring_for.as_deref().cloned());
                call("substringUTF8", arguments)
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let parts = [expr, overlay_what, overlay_from];
                let mut arguments: Vec<Expr> = parts.iter().map(|e| (***e).clone()).collect();
                arguments.extend(overlay_for.as_deref().cloned());
                call("overlayUTF8", arguments)
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                call("toTimeZone", vec![(**timestamp).clone(), (**time_zone).clone()])
            }
            Expr::Like { escape_char: Some(_), .. } | Expr::ILike { escape_char: Some(_), .. } => {
                return refuse("LIKE with ESCAPE");
            }
            Expr::SimilarTo { .. } => return refuse("SIMILAR TO"),
            Expr::RLike { negated: not, expr, pattern, .. } => {
                negated(call("match", vec![(**expr).clone(), (**pattern).clone()]), *not)
            }
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. }
                if !matches!(**right, Expr::Subquery(_)) =>
            {
                call("has", vec![(**right).clone(), (**left).clone()])
            }
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right }
                if !matches!(**right, Expr::Subquery(_)) =>
            {
                negated(call("has", vec![(**right).clone(), (**left).clone()]), true)
            }
            Expr::Array(array) if array.named => {
                Expr::Array(Array { elem: array.elem.clone(), named: false })
            }
            Expr::Function(function) => return self.function(function),
            _ => return Ok(None),
        }))
    }

    fn cast(&self, expr: &Expr, data_type: &DataType, tries: bool) -> Result<Expr> {
        let Some(own) = names::data_type(data_type) else {
            return refuse(format!("the type {data_type}"));
        };
        let name = if tries { "accurateCastOrNull" } else { "CAST" };
        Ok(call(name, vec![expr.clone(), text(&own)]))
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>> {
        use BinaryOperator::*;
        let both = |name: &str| call(name, vec![left.clone(), right.clone()]);
        let in_any_case = || {
            let pattern = call("concat", vec![text("(?i)"), right.clone()]);
            call("match", vec![left.clone(), pattern])
        };
        let like = |any_case: bool| both(if any_case { "ilike" } else { "like" });
        Ok(Some(match op {
            Divide if self.traits.integer_division => both(DIVISION),
            MyIntegerDivide | DuckIntegerDivide => both("intDiv"),
            StringConcat if self.traits.pipes_are_or => both("or"),
            Xor => both("xor"),
            PGExp => both("pow"),
            BitwiseAnd => both("bitAnd"),
            BitwiseOr => both("bitOr"),
            BitwiseXor | PGBitwiseXor => both("bitXor"),
            PGBitwiseShiftLeft => both("bitShiftLeft"),
            PGBitwiseShiftRight => both("bitShiftRight"),
            PGRegexMatch | Regexp | Match => both("match"),
            PGRegexNotMatch => negated(both("match"), true),
            PGRegexIMatch => in_any_case(),
            PGRegexNotIMatch => negated(in_any_case(), true),
            PGLikeMatch => like(false),
            PGILikeMatch => like(true),
            PGNotLikeMatch => negated(like(false), true),
            PGNotILikeMatch => negated(like(true), true),
            PGStartsWith => both("startsWith"),
            LongArrow | Arrow => {
                // Arrays in JSON count from 0 there, from 1 here.
                let place = integer(right).map_or_else(|| right.clone(), |n| number(n + 1));
                let name = if *op == Arrow { "JSONExtractRaw" } else { "JSONExtractString" };
                let value = call(name, vec![left.clone(), place]);
                call("nullIf", vec![value, text("")])
            }
            Spaceship => return Ok(None),
            Plus | Minus | Multiply | Divide | Modulo | StringConcat | Gt | Lt | GtEq | LtEq
            | Eq | NotEq | And | Or => return Ok(None),
            other => return refuse(format!("the operator {other}")),
        }))
    }

    fn function(&self, function: &Function) -> Result<Option<Expr>> {
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
            return Ok(None);
        };
        let name = name.value.to_ascii_lowercase();
        let (arguments, order) = match &function.args {
            FunctionArguments::List(list) => (positional(list), order_of(list)),
            _ => (Some(vec![]), vec![]),
        };
        // `*`, named arguments and the like: nothing to change inside.
        let Some(arguments) = arguments else { return Ok(None) };
        let separator = separator_of(function);
        if let Some(new) = self.rewritten(&name, &arguments, &order, separator, function)? {
            return Ok(Some(new));
        }
        if !order.is_empty() || !function.within_group.is_empty() {
            return refuse(format!("ORDER BY within {name}"));
        }
        let windowed = function.over.is_some();
        let renamed = names::find(FUNCTIONS, &name)
            .or_else(|| names::find(NULL_OF_NOTHING, &name).filter(|_| !windowed));
        let own = match (&renamed, name.as_str()) {
            (Some(_), "upper" | "lower") if self.traits.ascii_case => return Ok(None),
            (None, "length") if !self.traits.length_in_bytes => "lengthUTF8",
            (Some(own), _) => own,
            (None, _) => return Ok(None),
        };
        let mut new = function.clone();
        new.name = ObjectName::from(vec![Ident::new(own)]);
        if matches!(new.args, FunctionArguments::None)
            && let Expr::Function(empty) = call(own, vec![])
        {
            new.args = empty.args;
        }
        Ok(Some(Expr::Function(new)))
    }

    /// Calls that are more than another name.
    fn rewritten(
        &self,
        name: &str,
        arguments: &[Expr],
        order: &[OrderByExpr],
        separator: Option<String>,
        function: &Function,
    ) -> Result<Option<Expr>> {
        Ok(Some(match (name, arguments) {
            ("now" | "current_timestamp" | "localtimestamp" | "transaction_timestamp", _) => {
                call("now64", vec![number(6)])
            }
            // Halves away from zero.
            ("round", [value, places @ ..]) if places.len() < 2 => {
                let power =
                    call("pow", vec![number(10), places.first().cloned().unwrap_or(number(0))]);
                let scaled =
                    call("multiply", vec![call("abs", vec![value.clone()]), power.clone()]);
                let half = Expr::value(Value::Number("0.5".into(), false));
                let whole = call("floor", vec![call("plus", vec![scaled, half])]);
                let sign = call("sign", vec![value.clone()]);
                call("divide", vec![call("multiply", vec![sign, whole]), power])
            }
            ("strpos" | "instr", [haystack, needle]) => {
                call("positionUTF8", vec![haystack.clone(), needle.clone()])
            }
            ("split_part", [string, delimiter, n]) => {
                let parts = call("splitByString", vec![delimiter.clone(), string.clone()]);
                call("arrayElement", vec![parts, n.clone()])
            }
            ("md5", [string]) => {
                let digest = call("MD5", vec![call("assumeNotNull", vec![string.clone()])]);
                call("lower", vec![call("hex", vec![digest])])
            }
            ("to_char", [value, picture]) => {
                let own = literal(picture).and_then(|p| names::time_picture(&p));
                let Some(own) = own else { return refuse(format!("to_char with {picture}")) };
                call("formatDateTime", vec![value.clone(), text(&own)])
            }
            ("to_timestamp", [seconds]) => call("toDateTime64", vec![seconds.clone(), number(6)]),
            ("date_part", [field, value]) => {
                let field = literal(field).map(|f| field_named(&f));
                let Some(field) = field else { return refuse("date_part of a field that varies") };
                extract(&field, value.clone())?
            }
            ("regexp_replace", [string, pattern, with, rest @ ..]) => {
                let flags = rest.first().and_then(literal).unwrap_or_default();
                let all = flags.contains('g') || self.traits.pipes_are_or;
                let pattern = match flags.contains('i') {
                    true => call("concat", vec![text("(?i)"), pattern.clone()]),
                    false => pattern.clone(),
                };
                let name = if all { "replaceRegexpAll" } else { "replaceRegexpOne" };
                call(name, vec![string.clone(), pattern, with.clone()])
            }
            ("string_agg" | "listagg", [value, delimiter]) => {
                let order = if order.is_empty() { &function.within_group[..] } else { order };
                joined(gathered(value, order, function)?, delimiter.clone())
            }
            ("group_concat", [value]) => {
                let delimiter = separator.unwrap_or_else(|| ",".into());
                joined(gathered(value, order, function)?, text(&delimiter))
            }
            ("array_agg", [value]) => gathered(value, order, function)?,
            ("percentile_cont", [share]) => {
                let [by] = function.within_group.as_slice() else {
                    return refuse("percentile_cont without WITHIN GROUP");
                };
                let mut quantile = match call("quantileExactInclusiveOrNull", vec![by.expr.clone()])
                {
                    Expr::Function(f) => f,
                    _ => return Ok(None),
                };
                let share = match by.options.sort {
                    Some(OrderBySort::Desc) => call("minus", vec![number(1), share.clone()]),
                    _ => share.clone(),
                };
                if let Expr::Function(parameters) = call("", vec![share]) {
                    quantile.parameters = parameters.args;
                }
                Expr::Function(quantile)
            }
            ("percentile_disc" | "mode", _) => return refuse(name),
            _ => return Ok(None),
        }))
    }
}

/// `DISTINCT` and all arguments if they are plain expressions.
fn positional(list: &FunctionArgumentList) -> Option<Vec<Expr>> {
    list.args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => Some(e.clone()),
            _ => None,
        })
        .collect()
}

fn order_of(list: &FunctionArgumentList) -> Vec<OrderByExpr> {
    let of_clause = |clause: &FunctionArgumentClause| match clause {
        FunctionArgumentClause::OrderBy(items) => Some(items.clone()),
        _ => None,
    };
    list.clauses.iter().find_map(of_clause).unwrap_or_default()
}

fn separator_of(function: &Function) -> Option<String> {
    let FunctionArguments::List(list) = &function.args else { return None };
    list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::Separator(value) => value.value.clone().into_string(),
        _ => None,
    })
}

/// All values of a group as an array, by `order`, with the call's DISTINCT and FILTER.
fn gathered(value: &Expr, order: &[OrderByExpr], function: &Function) -> Result<Expr> {
    let distinct = matches!(
        &function.args,
        FunctionArguments::List(list)
            if list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
    );
    let gather = |what: Expr| {
        let name = if distinct { "groupArrayDistinct" } else { "groupArray" };
        let mut made = call(name, vec![what]);
        if let Expr::Function(f) = &mut made {
            f.filter = function.filter.clone();
            f.over = function.over.clone();
        }
        made
    };
    match order {
        [] => Ok(gather(value.clone())),
        [by] => {
            let descending = matches!(by.options.sort, Some(OrderBySort::Desc));
            let name = if descending { "arrayReverseSort" } else { "arraySort" };
            let pairs = gather(call("tuple", vec![by.expr.clone(), value.clone()]));
            let sorted = call(name, vec![element(1), pairs]);
            Ok(call("arrayMap", vec![element(2), sorted]))
        }
        _ => refuse("an aggregate ordered by several keys"),
    }
}

/// `p -> p.n`.
fn element(n: i64) -> Expr {
    let parameter = Ident::new("p");
    let body = call("tupleElement", vec![Expr::Identifier(parameter.clone()), number(n)]);
    // Printed as it stands.
    Expr::value(Value::Placeholder(format!("{parameter} -> {body}")))
}

fn joined(array: Expr, delimiter: Expr) -> Expr {
    let of_text = Expr::value(Value::Placeholder("p -> toString(p)".into()));
    let texts = call("arrayMap", vec![of_text, array]);
    call("arrayStringConcat", vec![texts, delimiter])
}

fn field_named(name: &str) -> DateTimeField {
    match name.to_ascii_lowercase().as_str() {
        "year" => DateTimeField::Year,
        "quarter" => DateTimeField::Quarter,
        "month" => DateTimeField::Month,
        "week" => DateTimeField::Week(None),
        "day" => DateTimeField::Day,
        "hour" => DateTimeField::Hour,
        "minute" => DateTimeField::Minute,
        "second" => DateTimeField::Second,
        "dow" => DateTimeField::Dow,
        "isodow" => DateTimeField::Isodow,
        "doy" => DateTimeField::Doy,
        "epoch" => DateTimeField::Epoch,
        _ => DateTimeField::Custom(Ident::new(name)),
    }
}

/// `EXTRACT(field FROM value)`.
fn extract(field: &DateTimeField, value: Expr) -> Result<Expr> {
    use DateTimeField::*;
    let name = match field {
        Year | Years => "toYear",
        Quarter => "toQuarter",
        Month | Months => "toMonth",
        Week(None) | Weeks | IsoWeek => "toISOWeek",
        Isoyear => "toISOYear",
        Day | Days => "toDayOfMonth",
        Hour | Hours => "toHour",
        Minute | Minutes => "toMinute",
        Second | Seconds => "toSecond",
        Doy | DayOfYear => "toDayOfYear",
        Isodow => "toDayOfWeek",
        // Sunday is 0 there and 7 here.
        Dow => {
            let day = call("toDayOfWeek", vec![value]);
            return Ok(call("modulo", vec![day, number(7)]));
        }
        Epoch => "toUnixTimestamp",
        other => return refuse(format!("EXTRACT of {other}")),
    };
    Ok(call(name, vec![value]))
}
