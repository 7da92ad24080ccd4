//! SELECT and set operations.

use super::Printer;
use crate::sql::ast::{
    ArrayJoin, Distinct, Expr, ExprKind, GroupBy, GroupByKind, Join, JoinConstraint, JoinKind,
    JoinStrictness, Limit, LimitBy, OrderItem, Query, QueryBody, Select, SetOperator,
    SetQuantifier, Setting, TableExpr, TableName, WithFill, WithItem,
};

/// The operation between two queries of a chain.
type Link = (SetOperator, SetQuantifier);

/// The queries of a chain in order, each with the operation before it.
fn flatten<'a>(
    link: Link,
    inputs: &'a [Query],
    before: Option<Link>,
    out: &mut Vec<(Option<Link>, &'a Query)>,
) {
    for (i, input) in inputs.iter().enumerate() {
        let before = if i == 0 { before } else { Some(link) };
        match &input.body {
            QueryBody::SetOperation { operator, quantifier, inputs } if !input.parenthesized => {
                flatten((*operator, *quantifier), inputs, before, out);
            }
            _ => out.push((before, input)),
        }
    }
}

impl Printer {
    pub(super) fn query(&mut self, query: &Query) {
        match &query.body {
            QueryBody::Select(select) => self.select(select),
            QueryBody::SetOperation { operator, quantifier, inputs } => {
                self.set_operation(*operator, *quantifier, inputs);
            }
        }
    }

    /// Prints the whole chain of operations on one level, as it was written. The SELECTs next to
    /// EXCEPT stand in parentheses.
    fn set_operation(
        &mut self,
        operator: SetOperator,
        quantifier: SetQuantifier,
        inputs: &[Query],
    ) {
        let mut chain = Vec::new();
        flatten((operator, quantifier), inputs, None, &mut chain);
        let except = |link: Option<Link>| link.is_some_and(|l| l.0 == SetOperator::Except);
        for (i, (link, input)) in chain.iter().enumerate() {
            if let Some((operator, quantifier)) = link {
                self.line();
                self.word(match operator {
                    SetOperator::Union => "UNION",
                    SetOperator::Intersect => "INTERSECT",
                    SetOperator::Except => "EXCEPT",
                });
                self.word(match quantifier {
                    SetQuantifier::Default => "",
                    SetQuantifier::All => " ALL",
                    SetQuantifier::Distinct => " DISTINCT",
                });
                self.line();
            }
            let next = chain.get(i + 1).and_then(|(link, _)| *link);
            match input.body {
                QueryBody::Select(_) if !except(*link) && !except(next) => self.query(input),
                _ => self.subquery(input),
            }
        }
    }

    fn select(&mut self, select: &Select) {
        if !select.with.is_empty() {
            self.word(if select.recursive { "WITH RECURSIVE" } else { "WITH" });
            match self.pretty {
                true => self.lines(&select.with, |p, item| p.with_item(item)),
                false => self.list(&select.with, |p, item| p.with_item(item)),
            }
            self.line();
        }
        self.word("SELECT");
        match &select.distinct {
            Some(Distinct::All) => self.word(" DISTINCT"),
            Some(Distinct::On(_)) | None => {}
        }
        self.list(&select.items, |p, item| p.expr(item));
        if let Some(from) = &select.from {
            self.line();
            self.word("FROM ");
            self.from(from);
        }
        if let Some(join) = &select.array_join {
            self.array_join(join);
        }
        self.filters(select);
        self.ordering(select);
        if let Some(limit_by) = &select.limit_by {
            self.limit_by(limit_by);
        } else if let Some(Distinct::On(by)) = &select.distinct {
            self.line();
            self.word("LIMIT 1 BY");
            self.list(by, |p, item| p.expr(item));
        }
        if let Some(limit) = &select.limit {
            self.limit(limit);
        }
        self.settings_clause(&select.settings);
    }

    pub(super) fn settings_clause(&mut self, settings: &[Setting]) {
        if !settings.is_empty() {
            self.line();
            self.word("SETTINGS ");
            self.settings(settings);
        }
    }

    pub(super) fn settings(&mut self, settings: &[Setting]) {
        self.separated(settings, ", ", |p, setting| {
            p.dotted(&setting.name);
            p.word(" = ");
            p.word(&super::literal_value(&setting.value));
        });
    }

    fn with_item(&mut self, item: &WithItem) {
        match item {
            WithItem::Expression(expr) => self.with_expression(expr),
            WithItem::Query { name, columns, query } => {
                self.name(name);
                if !columns.is_empty() {
                    self.word("(");
                    self.separated(columns, ", ", |p, column| p.name(column));
                    self.word(")");
                }
                self.word(" AS");
                self.line();
                self.subquery(query);
            }
        }
    }

    fn with_expression(&mut self, expr: &Expr) {
        self.expr(expr);
    }

    fn filters(&mut self, select: &Select) {
        for (word, clause) in [("PREWHERE ", &select.prewhere), ("WHERE ", &select.where_)] {
            if let Some(clause) = clause {
                self.line();
                self.word(word);
                self.expr(clause);
            }
        }
        if let Some(group) = &select.group_by {
            self.group_by(group);
        }
        if let Some(having) = &select.having {
            self.line();
            self.word("HAVING ");
            self.expr(having);
        }
        if !select.windows.is_empty() {
            self.line();
            self.word("WINDOW");
            self.list(&select.windows, |p, (name, window)| {
                p.name(name);
                p.word(" AS ");
                p.window(window);
            });
        }
        if let Some(qualify) = &select.qualify {
            self.line();
            self.word("QUALIFY ");
            self.expr(qualify);
        }
    }

    fn group_by(&mut self, group: &GroupBy) {
        if group.all {
            self.line();
            self.word("GROUP BY ALL");
        } else if group.kind == GroupByKind::GroupingSets {
            self.line();
            self.word("GROUP BY");
            self.indent += 1;
            self.line();
            self.word("GROUPING SETS");
            self.grouping_sets(&group.sets);
            self.indent -= 1;
        } else if !group.items.is_empty() {
            self.line();
            self.word("GROUP BY");
            self.list(&group.items, |p, item| p.expr(item));
        }
        let modifiers = [
            (group.kind == GroupByKind::Rollup, "WITH ROLLUP"),
            (group.kind == GroupByKind::Cube, "WITH CUBE"),
            (group.with_totals, "WITH TOTALS"),
        ];
        for (_, word) in modifiers.iter().filter(|(on, _)| *on) {
            self.indent += 1;
            self.line();
            self.indent -= 1;
            self.word(word);
        }
    }

    fn grouping_sets(&mut self, sets: &[Vec<Expr>]) {
        self.word(" (");
        self.indent += 1;
        for (i, set) in sets.iter().enumerate() {
            if i > 0 {
                self.word(if self.pretty { "," } else { ", " });
            }
            self.soft_line();
            self.word("(");
            self.expr_list(set);
            self.word(")");
        }
        self.indent -= 1;
        self.word(")");
    }

    fn ordering(&mut self, select: &Select) {
        if select.order_by.is_empty() {
            return;
        }
        self.line();
        self.word("ORDER BY");
        match (select.order_by_all, select.order_by.as_slice()) {
            (true, [all]) => self.word(if all.descending { " ALL DESC" } else { " ALL ASC" }),
            (_, [key]) if self.projection && !key.descending => self.projection_order(&key.expr),
            _ if self.projection => self.list(&select.order_by, |p, item| {
                p.expr(&item.expr);
                // Not allowed there; it must not get lost before it is refused.
                p.word(if item.descending { " DESC" } else { "" });
            }),
            _ => self.list(&select.order_by, |p, item| p.order_item(item)),
        }
        if let Some(items) = &select.interpolate {
            self.line();
            self.word("INTERPOLATE");
            if items.is_empty() {
                return;
            }
            self.word(" (");
            self.separated(items, ", ", |p, (name, value)| {
                super::quote::push_quoted(name, &mut p.out);
                p.word(" AS ");
                match value {
                    Some(value) => p.expr(value),
                    None => p.name(name),
                }
            });
            self.word(")");
        }
    }

    /// ORDER BY of a projection: a tuple is the list itself.
    fn projection_order(&mut self, key: &Expr) {
        match &key.kind {
            ExprKind::Call(call) if call.name == "tuple" && call.arguments.len() > 1 => {
                self.list(&call.arguments, |p, item| p.expr(item));
            }
            _ => self.list(std::slice::from_ref(key), |p, item| p.expr(item)),
        }
    }

    pub(super) fn order_item(&mut self, item: &OrderItem) {
        self.expr(&item.expr);
        self.word(if item.descending { " DESC" } else { " ASC" });
        match item.nulls_first {
            Some(true) => self.word(" NULLS FIRST"),
            Some(false) => self.word(" NULLS LAST"),
            None => {}
        }
        if let Some(collate) = &item.collate {
            self.word(" COLLATE ");
            self.string(collate);
        }
        if let Some(fill) = &item.fill {
            self.fill(fill);
        }
    }

    fn fill(&mut self, fill: &WithFill) {
        self.word(" WITH FILL");
        let parts = [
            (" FROM ", &fill.from),
            (" TO ", &fill.to),
            (" STEP ", &fill.step),
            (" STALENESS ", &fill.staleness),
        ];
        for (word, part) in parts {
            if let Some(part) = part {
                self.word(word);
                self.expr(part);
            }
        }
    }

    fn limit_by(&mut self, limit: &LimitBy) {
        self.line();
        self.word("LIMIT ");
        if let Some(offset) = &limit.offset {
            self.expr(offset);
            self.word(", ");
        }
        self.expr(&limit.limit);
        self.word(" BY");
        self.list(&limit.by, |p, item| p.expr(item));
    }

    fn limit(&mut self, limit: &Limit) {
        self.line();
        match (&limit.limit, &limit.offset) {
            (Some(count), offset) => {
                self.word("LIMIT ");
                if let Some(offset) = offset {
                    self.expr(offset);
                    self.word(", ");
                }
                self.expr(count);
                if limit.with_ties {
                    self.line();
                    self.word(" WITH TIES");
                }
            }
            (None, Some(offset)) => {
                self.word("OFFSET ");
                self.expr(offset);
            }
            (None, None) => {}
        }
    }

    pub(super) fn table_name(&mut self, name: &TableName) {
        if let Some(database) = &name.database {
            self.name(database);
            self.word(".");
        }
        self.name(&name.name);
    }

    pub(super) fn from(&mut self, table: &TableExpr) {
        match table {
            TableExpr::Table { database, name, alias, final_, sample } => {
                if let Some(database) = database {
                    self.name(database);
                    self.word(".");
                }
                self.name(name);
                self.alias_and_final(alias, *final_);
                if let Some((ratio, offset)) = sample {
                    self.line();
                    self.word("SAMPLE ");
                    self.ratio(ratio);
                    if let Some(offset) = offset {
                        self.word(" OFFSET ");
                        self.ratio(offset);
                    }
                }
            }
            TableExpr::Function { name, arguments, settings, alias, final_ } => {
                self.name(name);
                self.word("(");
                match arguments.as_slice() {
                    [view, otherwise] if name == "viewIfPermitted" => {
                        self.table_arguments(std::slice::from_ref(view));
                        self.word(" ELSE ");
                        self.expr(otherwise);
                    }
                    all => self.table_arguments(all),
                }
                if !settings.is_empty() {
                    self.word(if arguments.is_empty() { "SETTINGS " } else { ", SETTINGS " });
                    self.settings(settings);
                }
                self.word(")");
                self.alias_and_final(alias, *final_);
            }
            TableExpr::Subquery { query, alias, columns, final_ } => {
                if self.out.ends_with("FROM ") && self.pretty {
                    self.out.pop();
                    self.line();
                }
                self.subquery(query);
                self.alias_and_final(alias, false);
                if !columns.is_empty() {
                    self.word("(");
                    self.separated(columns, ", ", |p, name| p.name(name));
                    self.word(")");
                }
                if *final_ {
                    self.line();
                    self.word("FINAL");
                }
            }
            TableExpr::Join(join) => self.join(join),
            TableExpr::ArrayJoin { input, join } => {
                self.from(input);
                self.array_join(join);
            }
        }
    }

    fn table_arguments(&mut self, arguments: &[Expr]) {
        self.separated(arguments, ", ", |p, argument| match &argument.kind {
            ExprKind::Subquery(query) if !argument.parenthesized => p.bare_query(query),
            _ => p.expr(argument),
        });
    }

    /// `view(SELECT …)`.
    fn bare_query(&mut self, query: &Query) {
        self.indent += 1;
        self.soft_line();
        self.query(query);
        self.indent -= 1;
        self.soft_line();
    }

    /// SAMPLE prints decimal fractions as ratios of whole numbers.
    fn ratio(&mut self, expr: &Expr) {
        if let ExprKind::Literal { text, .. } = &expr.kind
            && let Some((whole, fraction)) = text.split_once('.')
            && fraction.bytes().all(|b| b.is_ascii_digit())
        {
            let numerator = format!("{whole}{fraction}");
            let numerator = numerator.trim_start_matches('0');
            let numerator = if numerator.is_empty() { "0" } else { numerator };
            let denominator = format!("1{}", "0".repeat(fraction.len()));
            return self.word(&format!("{numerator} / {denominator}"));
        }
        self.expr(expr);
    }

    fn alias_and_final(&mut self, alias: &Option<String>, final_: bool) {
        if let Some(alias) = alias {
            self.word(" AS ");
            self.name(alias);
        }
        if final_ {
            self.line();
            self.word("FINAL");
        }
    }

    fn join(&mut self, join: &Join) {
        self.from(&join.left);
        let subquery = matches!(join.right, TableExpr::Subquery { .. });
        if join.kind == JoinKind::Comma {
            self.word(",");
            match subquery {
                true => self.line(),
                false => self.word(" "),
            }
        } else {
            self.line();
            self.join_words(join);
            match subquery {
                true => self.line(),
                false => self.word(" "),
            }
        }
        self.from(&join.right);
        match &join.constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(condition) => {
                self.word(" ON ");
                self.expr(condition);
            }
            JoinConstraint::Using(columns) => {
                self.word(" USING (");
                self.expr_list(columns);
                self.word(")");
            }
        }
    }

    fn join_words(&mut self, join: &Join) {
        if join.global {
            self.word("GLOBAL ");
        }
        self.word(match join.strictness {
            JoinStrictness::Unspecified => "",
            JoinStrictness::All => "ALL ",
            JoinStrictness::Any => "ANY ",
            JoinStrictness::Semi => "SEMI ",
            JoinStrictness::Anti => "ANTI ",
            JoinStrictness::Asof => "ASOF ",
        });
        self.word(match join.kind {
            JoinKind::Inner => "INNER JOIN",
            JoinKind::Left => "LEFT JOIN",
            JoinKind::Right => "RIGHT JOIN",
            JoinKind::Full => "FULL OUTER JOIN",
            JoinKind::Cross => "CROSS JOIN",
            JoinKind::Comma => ",",
            JoinKind::Paste => "PASTE JOIN",
        });
    }

    fn array_join(&mut self, join: &ArrayJoin) {
        self.line();
        self.word(if join.left { "LEFT ARRAY JOIN" } else { "ARRAY JOIN" });
        self.list(&join.items, |p, item| p.expr(item));
    }
}
