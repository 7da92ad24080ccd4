//! EXPLAIN AST: a statement as the lines of a tree, with ClickHouse's names of nodes and its order of children.
//!
//! Queries, INSERT and the statements whose tree is a name or two; of others the error says that they have none.
//! What ClickHouse's parser rewrites while it reads (DISTINCT ON, FILTER, lists of literals) is rewritten here.

use pumphouse_storage::Value;

use super::ast::*;
use super::format::float_text;
use crate::error::{Error, Result, codes};

/// A node and those below it.
struct Node {
    label: String,
    children: Vec<Node>,
}

/// The lines of `statement`'s tree; `format` is what its FORMAT clause says. Error 48 for a statement without one.
pub fn lines(statement: &Statement, format: Option<&str>) -> Result<Vec<String>> {
    let mut root = of_statement(statement)?;
    root.children.extend(format.map(|name| leaf(format!("Identifier {name}"))));
    let mut lines = vec![];
    write(&root, 0, &mut lines);
    Ok(lines)
}

fn write(node: &Node, depth: usize, lines: &mut Vec<String>) {
    let count = match node.children.len() {
        0 => String::new(),
        n => format!(" (children {n})"),
    };
    lines.push(format!("{}{}{count}", " ".repeat(depth), node.label));
    node.children.iter().for_each(|child| write(child, depth + 1, lines));
}

fn leaf(label: impl Into<String>) -> Node {
    node(label, vec![])
}

fn node(label: impl Into<String>, children: Vec<Node>) -> Node {
    Node { label: label.into(), children }
}

fn list(children: Vec<Node>) -> Node {
    node("ExpressionList", children)
}

fn exprs(items: &[Expr]) -> Node {
    list(items.iter().map(expr).collect())
}

fn named(label: &str, name: &TableName) -> Node {
    let mut parts: Vec<Node> = vec![];
    parts.extend(name.database.as_ref().map(|d| leaf(format!("Identifier {d}"))));
    parts.push(leaf(format!("Identifier {}", name.name)));
    let database = name.database.as_deref().unwrap_or("");
    node(format!("{label} {database} {}", name.name), parts)
}

fn of_statement(statement: &Statement) -> Result<Node> {
    Ok(match statement {
        Statement::Query(q) => query(q),
        Statement::Insert(i) => insert(i),
        Statement::Explain(e) => {
            let mut children: Vec<Node> = vec![];
            children.extend((!e.settings.is_empty()).then(|| leaf("Set")));
            children.push(of_statement(&e.statement)?);
            node(format!("Explain {}", super::format::explain_words(e.kind)), children)
        }
        Statement::CreateDatabase { name, engine, .. } => {
            let mut children = vec![leaf(format!("Identifier {name}"))];
            let engine = engine.as_ref().and_then(|e| e.name.as_ref());
            let definition =
                |name| node("Storage definition", vec![leaf(format!("Function {name}"))]);
            children.extend(engine.map(definition));
            node(format!("CreateQuery {name} "), children)
        }
        Statement::CreateView(v) if !v.materialized && v.columns.is_empty() => {
            let mut named = created(&v.name);
            named.children.push(query(&v.select));
            named
        }
        Statement::Drop { kind, names, .. } if names.len() == 1 => match kind {
            ObjectKind::Database => database("DropQuery", &names[0].name),
            _ => named("DropQuery", &names[0]),
        },
        Statement::Truncate { kind, name, .. } => match kind {
            ObjectKind::Database => database("TruncateQuery", &name.name),
            _ => named("TruncateQuery", name),
        },
        Statement::Rename { kind, pairs, .. } if *kind != ObjectKind::Database => {
            let identifiers = |name: &TableName| named("", name).children;
            let of_pair = |(from, to): &(TableName, TableName)| {
                identifiers(from).into_iter().chain(identifiers(to)).collect::<Vec<_>>()
            };
            node("Rename", pairs.iter().flat_map(of_pair).collect())
        }
        Statement::Set(_) => leaf("Set"),
        Statement::Use(name) => {
            node(format!("UseQuery {name}"), vec![leaf(format!("Identifier {name}"))])
        }
        Statement::Describe { table, .. } => node("DescribeQuery", vec![table_expression(table)]),
        Statement::Exists { kind: ObjectKind::Table, name, .. } => named("ExistsTableQuery", name),
        Statement::Show(Show::Tables { .. }) => leaf("ShowTables"),
        _ => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "EXPLAIN AST shows queries, INSERT, DESCRIBE and statements that name a table; not this statement",
            ));
        }
    })
}

fn database(label: &str, name: &str) -> Node {
    node(format!("{label} {name} "), vec![leaf(format!("Identifier {name}"))])
}

/// Of CREATE, whose label has the database only where it was written.
fn created(name: &TableName) -> Node {
    let label = match &name.database {
        Some(database) => format!("CreateQuery {database} {}", name.name),
        None => format!("CreateQuery {}", name.name),
    };
    node(label, named("", name).children)
}

fn insert(insert: &Insert) -> Node {
    let mut children = vec![];
    match (&insert.table, &insert.function) {
        (Some(table), _) => children.extend(named("", table).children),
        (_, Some(function)) => children.push(source(function)),
        _ => {}
    }
    children.extend(insert.columns.as_ref().map(|c| exprs(c)));
    if let InsertSource::Query(q) = &insert.source {
        children.push(query(q));
    }
    if !insert.settings.is_empty() {
        children.push(leaf("Set"));
    }
    node("InsertQuery  ", children)
}

fn query(q: &Query) -> Node {
    node("SelectWithUnionQuery", vec![list(bodies(q))])
}

/// The SELECTs of a query, one node each.
fn bodies(q: &Query) -> Vec<Node> {
    match &q.body {
        QueryBody::Select(s) => vec![select(s)],
        QueryBody::SetOperation { operator: SetOperator::Union, inputs, .. } => {
            inputs.iter().flat_map(bodies).collect()
        }
        QueryBody::SetOperation { operator, inputs, .. } => {
            // The first of an EXCEPT keeps the node of a query of its own.
            let except = *operator == SetOperator::Except;
            let of_input = |(i, q): (usize, &Query)| match &q.body {
                QueryBody::Select(s) if !(except && i == 0) => select(s),
                _ if bodies(q).len() == 1 && !except => bodies(q).remove(0),
                _ => query(q),
            };
            vec![node(
                "SelectIntersectExceptQuery",
                inputs.iter().enumerate().map(of_input).collect(),
            )]
        }
    }
}

fn select(s: &Select) -> Node {
    let mut children = vec![];
    if !s.with.is_empty() {
        let of_item = |item: &WithItem| match item {
            WithItem::Expression(e) => expr(e),
            WithItem::Query { query: q, .. } => {
                node("WithElement", vec![node("Subquery", vec![query(q)])])
            }
        };
        children.push(list(s.with.iter().map(of_item).collect()));
    }
    children.push(exprs(&s.items));
    children.extend(tables(s));
    children.extend([&s.prewhere, &s.where_].into_iter().flatten().map(expr));
    if let Some(group) = &s.group_by {
        match group.kind {
            _ if group.all => {}
            GroupByKind::GroupingSets => {
                children.push(list(group.sets.iter().map(|set| exprs(set)).collect()));
            }
            _ => children.push(exprs(&group.items)),
        }
    }
    children.extend(s.having.iter().map(expr));
    if !s.windows.is_empty() {
        let of_window = |(_, window): &(String, WindowDefinition)| {
            node("WindowListElement", vec![window_definition(window)])
        };
        children.push(list(s.windows.iter().map(of_window).collect()));
    }
    children.extend(s.qualify.iter().map(expr));
    order_and_limits(s, &mut children);
    if !s.settings.is_empty() {
        children.push(leaf("Set"));
    }
    node("SelectQuery", children)
}

fn order_and_limits(s: &Select, children: &mut Vec<Node>) {
    if s.order_by_all {
        let all = node("OrderByElement", vec![leaf("Identifier all")]);
        children.push(list(vec![all]));
    } else if !s.order_by.is_empty() {
        children.push(order(&s.order_by));
    }
    // DISTINCT ON (…) is LIMIT 1 BY ….
    if let Some(Distinct::On(by)) = &s.distinct {
        children.extend([leaf("Literal UInt64_1"), exprs(by)]);
    }
    if let Some(limit) = &s.limit_by {
        children.extend(limit.offset.iter().map(expr));
        children.extend([expr(&limit.limit), exprs(&limit.by)]);
    }
    if let Some(limit) = &s.limit {
        children.extend([&limit.offset, &limit.limit].into_iter().flatten().map(expr));
    }
    if let Some(interpolate) = &s.interpolate {
        let of_item = |(name, value): &(String, Option<Expr>)| {
            let own = || leaf(format!("Identifier {name}"));
            let value = value.as_ref().map_or_else(own, expr);
            node(format!("InterpolateElement (column {name})"), vec![value])
        };
        children.push(list(interpolate.iter().map(of_item).collect()));
    }
}

fn order(items: &[OrderItem]) -> Node {
    let of_item = |item: &OrderItem| {
        let mut children = vec![expr(&item.expr)];
        let collate = item.collate.as_ref();
        children.extend(collate.map(|name| leaf(format!("Literal {}", quoted(name.as_bytes())))));
        if let Some(fill) = &item.fill {
            let parts = [&fill.from, &fill.to, &fill.step, &fill.staleness];
            children.extend(parts.into_iter().flatten().map(expr));
        }
        node("OrderByElement", children)
    };
    list(items.iter().map(of_item).collect())
}

/// FROM and its joins; None without FROM.
fn tables(s: &Select) -> Option<Node> {
    let mut elements = vec![];
    if let Some(from) = &s.from {
        table_elements(from, &mut elements);
    }
    elements.extend(s.array_join.as_ref().map(array_join));
    (!elements.is_empty()).then(|| node("TablesInSelectQuery", elements))
}

fn table_elements(table: &TableExpr, into: &mut Vec<Node>) {
    const ELEMENT: &str = "TablesInSelectQueryElement";
    match table {
        TableExpr::Join(join) => {
            table_elements(&join.left, into);
            let condition = match &join.constraint {
                JoinConstraint::None => vec![],
                JoinConstraint::On(on) => vec![expr(on)],
                JoinConstraint::Using(names) => vec![exprs(names)],
            };
            let children = vec![table_expression(&join.right), node("TableJoin", condition)];
            into.push(node(ELEMENT, children));
        }
        TableExpr::ArrayJoin { input, join } => {
            table_elements(input, into);
            into.push(array_join(join));
        }
        single => into.push(node(ELEMENT, vec![table_expression(single)])),
    }
}

fn array_join(join: &ArrayJoin) -> Node {
    let join = node("ArrayJoin", vec![exprs(&join.items)]);
    node("TablesInSelectQueryElement", vec![join])
}

fn table_expression(table: &TableExpr) -> Node {
    let mut children = vec![source(table)];
    if let TableExpr::Table { sample: Some((ratio, offset)), .. } = table {
        let of_ratio = |e: &Expr| leaf(format!("SampleRatio {}", ratio_text(e)));
        children.push(of_ratio(ratio));
        children.extend(offset.as_ref().map(of_ratio));
    }
    node("TableExpression", children)
}

/// A table, function or subquery itself.
fn source(table: &TableExpr) -> Node {
    match table {
        TableExpr::Table { database, name, alias, .. } => {
            let whole = match database {
                Some(database) => format!("{database}.{name}"),
                None => name.clone(),
            };
            leaf(aliased(format!("TableIdentifier {whole}"), alias))
        }
        TableExpr::Function { name, arguments, alias, settings, .. } => {
            let mut arguments = exprs(arguments);
            if !settings.is_empty() {
                arguments.children.push(leaf("Set"));
            }
            node(aliased(format!("Function {name}"), alias), vec![arguments])
        }
        TableExpr::Subquery { query: q, alias, .. } => {
            node(aliased("Subquery".into(), alias), vec![query(q)])
        }
        TableExpr::Join(_) | TableExpr::ArrayJoin { .. } => leaf("TableJoin"),
    }
}

/// `1/10` and `0.1` are `1 / 10`.
fn ratio_text(e: &Expr) -> String {
    let integer = |e: &Expr| match &e.kind {
        ExprKind::Literal { value, .. } => value.as_i128(),
        _ => None,
    };
    match &e.kind {
        ExprKind::Call(call) if call.name == "divide" && call.arguments.len() == 2 => {
            let part = |i: usize| integer(&call.arguments[i]).unwrap_or(0);
            format!("{} / {}", part(0), part(1))
        }
        ExprKind::Literal { text, .. } => match text.split_once('.') {
            Some((whole, fraction)) => {
                let digits = format!("{whole}{fraction}");
                let digits = digits.trim_start_matches('0');
                let digits = if digits.is_empty() { "0" } else { digits };
                format!("{digits} / 1{}", "0".repeat(fraction.len()))
            }
            None => text.clone(),
        },
        _ => super::format::expr(e),
    }
}

fn aliased(label: String, alias: &Option<String>) -> String {
    match alias {
        Some(alias) => format!("{label} (alias {alias})"),
        None => label,
    }
}

fn expr(e: &Expr) -> Node {
    let mut made = kind(&e.kind);
    made.label = aliased(made.label, &e.alias);
    made
}

fn kind(kind: &ExprKind) -> Node {
    match kind {
        ExprKind::Literal { value, .. } => leaf(format!("Literal {}", dump(value))),
        ExprKind::Identifier(parts) => leaf(format!("Identifier {}", parts.join("."))),
        ExprKind::Call(c) => call(c),
        ExprKind::Lambda { parameters, body } => {
            let parameters = parameters.iter().map(|p| leaf(format!("Identifier {p}"))).collect();
            let parameters = node("Function tuple", vec![list(parameters)]);
            node("Function lambda", vec![list(vec![parameters, expr(body)])])
        }
        ExprKind::Asterisk(transformers) => {
            node("Asterisk", transformed(transformers).into_iter().collect())
        }
        ExprKind::QualifiedAsterisk { qualifier, transformers } => {
            let mut children = vec![leaf(format!("Identifier {}", qualifier.join(".")))];
            children.extend(transformed(transformers));
            node("QualifiedAsterisk", children)
        }
        ExprKind::Columns { qualifier, pattern, names, transformers } => {
            let qualified = if qualifier.is_empty() { "" } else { "Qualified" };
            let matcher = if pattern.is_some() { "Regexp" } else { "List" };
            let mut children = vec![];
            if !qualifier.is_empty() {
                children.push(leaf(format!("Identifier {}", qualifier.join("."))));
            }
            if pattern.is_none() {
                children
                    .push(list(names.iter().map(|n| leaf(format!("Identifier {n}"))).collect()));
            }
            children.extend(transformed(transformers));
            node(format!("{qualified}Columns{matcher}Matcher"), children)
        }
        ExprKind::Subquery(q) => node("Subquery", vec![query(q)]),
        ExprKind::Parameter { name, data_type } => {
            leaf(format!("QueryParameter {name}:{data_type}"))
        }
    }
}

fn transformed(transformers: &[ColumnTransformer]) -> Option<Node> {
    let of = |transformer: &ColumnTransformer| match transformer {
        ColumnTransformer::Except { names, .. } => {
            let names = names.iter().map(|n| leaf(format!("Identifier {n}"))).collect();
            node("ColumnsExceptTransformer", names)
        }
        ColumnTransformer::Replace { items, .. } => {
            const ITEM: &str = "ColumnsReplaceTransformer::Replacement";
            let items = items.iter().map(|(e, _)| node(ITEM, vec![expr(e)])).collect();
            node("ColumnsReplaceTransformer", items)
        }
        ColumnTransformer::Apply(function) => match &function.kind {
            ExprKind::Lambda { .. } => node("ColumnsApplyTransformer", vec![expr(function)]),
            ExprKind::Call(c) => {
                let parameters = c.parameters.as_deref().unwrap_or(&c.arguments);
                node("ColumnsApplyTransformer", vec![exprs(parameters)])
            }
            _ => leaf("ColumnsApplyTransformer"),
        },
    };
    let children: Vec<Node> = transformers.iter().map(of).collect();
    (!children.is_empty()).then(|| node("ColumnsTransformerList", children))
}

fn call(c: &Call) -> Node {
    if let Some(items) = literals(c) {
        let (name, open, close) =
            if c.name == "array" { ("Array", "[", "]") } else { ("Tuple", "(", ")") };
        return leaf(format!("Literal {name}_{open}{}{close}", items.join(", ")));
    }
    let mut name = c.name.clone();
    let mut arguments: Vec<Node> = c.arguments.iter().map(expr).collect();
    if c.distinct {
        name.push_str("Distinct");
    }
    if let Some(filter) = &c.filter {
        name.push_str("If");
        arguments.push(expr(filter));
    }
    let starred = c.form == CallForm::Operator && name.eq_ignore_ascii_case("count");
    if starred && arguments.is_empty() {
        arguments.push(leaf("Asterisk"));
    }
    let mut children = vec![list(arguments)];
    children.extend(c.parameters.as_ref().map(|p| exprs(p)));
    if let Some(WindowSpec::Inline(window)) = &c.over {
        children.push(window_definition(window));
    }
    node(format!("Function {name}"), children)
}

/// The texts of the elements of a list that is read as one literal: `[1, 2]`, `(1, 'a')`.
fn literals(c: &Call) -> Option<Vec<String>> {
    let is_list = match c.name.as_str() {
        "array" => true,
        "tuple" => c.arguments.len() > 1,
        _ => false,
    };
    if c.form != CallForm::Operator || !is_list || c.over.is_some() {
        return None;
    }
    let text = |e: &Expr| match &e.kind {
        ExprKind::Literal { value, .. } if e.alias.is_none() => Some(dump(value)),
        _ => None,
    };
    c.arguments.iter().map(text).collect()
}

fn window_definition(window: &WindowDefinition) -> Node {
    let mut children = vec![];
    if !window.partition_by.is_empty() {
        children.push(exprs(&window.partition_by));
    }
    if !window.order_by.is_empty() {
        children.push(order(&window.order_by));
    }
    if let Some(frame) = &window.frame {
        let bound = |bound: &FrameBound| match bound {
            FrameBound::Preceding(e) | FrameBound::Following(e) => Some(expr(e)),
            _ => None,
        };
        children.extend([bound(&frame.start), bound(&frame.end)].into_iter().flatten());
    }
    node("WindowDefinition", children)
}

/// A value with its kind: `UInt64_1`, `'a'`.
fn dump(value: &Value) -> String {
    let items = |items: &[Value]| items.iter().map(dump).collect::<Vec<_>>().join(", ");
    match value {
        Value::Null => "NULL".into(),
        Value::Bool(v) => format!("Bool_{}", u8::from(*v)),
        Value::UInt(v) => format!("UInt64_{v}"),
        Value::Int(v) => format!("Int64_{v}"),
        Value::UInt128(v) => format!("UInt128_{v}"),
        Value::Int128(v) => format!("Int128_{v}"),
        Value::Int256(v) => format!("Int256_{v}"),
        Value::Float(v) => format!("Float64_{}", float_text(*v).trim_end_matches('.')),
        Value::Decimal(..) => format!("Decimal_{}", value.to_sql()),
        Value::String(text) => quoted(text),
        Value::Array(of) => format!("Array_[{}]", items(of)),
        Value::Tuple(of) => format!("Tuple_({})", items(of)),
        Value::Map(_) => format!("Map_{}", value.to_sql()),
    }
}

fn quoted(text: &[u8]) -> String {
    super::format::quote_string(text)
}
