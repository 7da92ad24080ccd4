//! SELECT with all its clauses, and the set operations between SELECTs.
//!
//! UNION, EXCEPT and INTERSECT: INTERSECT binds tighter; a chain of one and the same operator becomes
//! one node. ORDER BY and LIMIT belong to the SELECT they follow. FORMAT and INTO OUTFILE are not taken
//! here: they end the statement.

use super::Parser;
use crate::error::{Error, Result, codes};
use crate::sql::ast::{
    ArrayJoin, Distinct, Expr, ExprKind, GroupBy, GroupByKind, Limit, LimitBy, OrderItem, Query,
    QueryBody, Select, SetOperator, SetQuantifier, WithFill, WithItem,
};
use crate::sql::lexer::TokenKind;

/// Words that are never an alias without AS.
const NO_ALIAS: [&str; 54] = [
    "ALL",
    "AND",
    "ANTI",
    "ANY",
    "ARRAY",
    "AS",
    "ASOF",
    "BETWEEN",
    "CROSS",
    "DIV",
    "ELSE",
    "EXCEPT",
    "FETCH",
    "FINAL",
    "FORMAT",
    "FROM",
    "FULL",
    "GLOBAL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MOD",
    "NATURAL",
    "NOT",
    "OFFSET",
    "ON",
    "ONLY",
    "OR",
    "ORDER",
    "PARALLEL",
    "PASTE",
    "PREWHERE",
    "QUALIFY",
    "REGEXP",
    "RIGHT",
    "SAMPLE",
    "SEMI",
    "SETTINGS",
    "STREAM",
    "UNION",
    "USING",
    "WHERE",
    "WINDOW",
    "WITH",
    "UUID",
];

impl Parser<'_> {
    /// Whether a query starts here: SELECT, WITH, FROM first, or one of these in parentheses.
    pub(super) fn at_query(&mut self) -> bool {
        let mut at = 0;
        while self.symbol_ahead(at, "(") {
            at += 1;
            if at > 64 {
                return false;
            }
        }
        if at > 0 {
            return false;
        }
        let next = self.ahead(1);
        if self.keyword_ahead(0, "SELECT") {
            return !(next.kind == TokenKind::Symbol
                && matches!(self.text_of(next), "," | ")" | "." | "="));
        }
        if self.keyword_ahead(0, "WITH") {
            return next.kind != TokenKind::End
                && !(next.kind == TokenKind::Symbol
                    && !matches!(self.text_of(next), "(" | "[" | "-" | "{"));
        }
        self.keyword_ahead(0, "FROM")
            && (matches!(next.kind, TokenKind::Word | TokenKind::QuotedName | TokenKind::String)
                || self.symbol_ahead(1, "("))
    }

    /// A query with its set operations.
    pub(super) fn query(&mut self) -> Result<Query> {
        self.enter(6)?;
        let first = self.intersection()?;
        let query = self.unions(first)?;
        self.leave(6);
        Ok(query)
    }

    /// UNION and EXCEPT behind `left`.
    fn unions(&mut self, mut left: Query) -> Result<Query> {
        let mut last = None;
        loop {
            let operator = match self.take_any_keyword(&["UNION", "EXCEPT"]) {
                Some("UNION") => SetOperator::Union,
                Some(_) => SetOperator::Except,
                None => return Ok(left),
            };
            let quantifier = self.quantifier();
            let right = self.intersection()?;
            left = self.combine(left, (operator, quantifier), right, &mut last)?;
        }
    }

    fn intersection(&mut self) -> Result<Query> {
        let first = self.query_operand()?;
        self.intersections(first)
    }

    fn intersections(&mut self, mut left: Query) -> Result<Query> {
        let mut last = None;
        while self.take_keyword("INTERSECT") {
            let quantifier = self.quantifier();
            let right = self.query_operand()?;
            left = self.combine(left, (SetOperator::Intersect, quantifier), right, &mut last)?;
        }
        Ok(left)
    }

    fn quantifier(&mut self) -> SetQuantifier {
        match self.take_any_keyword(&["ALL", "DISTINCT"]) {
            Some("ALL") => SetQuantifier::All,
            Some(_) => SetQuantifier::Distinct,
            None => SetQuantifier::Default,
        }
    }

    /// Joins two queries; `last` is the operation that made `left`, if this chain did.
    fn combine(
        &mut self,
        mut left: Query,
        operation: (SetOperator, SetQuantifier),
        right: Query,
        last: &mut Option<(SetOperator, SetQuantifier)>,
    ) -> Result<Query> {
        if *last == Some(operation)
            && let QueryBody::SetOperation { inputs, .. } = &mut left.body
        {
            inputs.push(right);
            return Ok(left);
        }
        *last = Some(operation);
        self.grow()?;
        let (operator, quantifier) = operation;
        Ok(Query::new(QueryBody::SetOperation { operator, quantifier, inputs: vec![left, right] }))
    }

    fn query_operand(&mut self) -> Result<Query> {
        if !self.take_symbol("(") {
            return Ok(Query::new(QueryBody::Select(Box::new(self.select()?))));
        }
        let mut query = self.query()?;
        self.expect_symbol(")")?;
        query.parenthesized = true;
        Ok(query)
    }

    /// `(SELECT 1) UNION …` found where an expression was read: continues it as a query.
    pub(super) fn set_operation_of(&mut self, items: &mut Vec<Expr>) -> Result<Option<Query>> {
        let operation =
            ["UNION", "INTERSECT", "EXCEPT"].iter().any(|word| self.keyword_ahead(0, word));
        let subquery =
            matches!(items.as_slice(), [Expr { kind: ExprKind::Subquery(_), alias: None, .. }]);
        if !operation || !subquery {
            return Ok(None);
        }
        let Some(Expr { kind: ExprKind::Subquery(query), .. }) = items.pop() else {
            return Ok(None);
        };
        let first = self.intersections(Query { parenthesized: true, ..*query })?;
        self.unions(first).map(Some)
    }

    fn select(&mut self) -> Result<Select> {
        let mut select = Select::default();
        if self.take_keyword("WITH") {
            select.recursive =
                self.keyword_ahead(0, "RECURSIVE") && self.ahead(1).kind == TokenKind::Word;
            self.index += usize::from(select.recursive);
            select.with = self.comma_list(Self::with_item)?;
            self.take_symbol(",");
        }
        let from_first = self.take_keyword("FROM");
        if from_first {
            (select.from, select.array_join) = self.from_clause()?;
        }
        // `FROM t` alone reads all columns.
        if from_first && !self.at_keyword("SELECT") {
            select.items.push(Expr::new(ExprKind::Asterisk(Vec::new())));
        } else {
            self.expect_keyword("SELECT")?;
            self.select_list(&mut select)?;
        }
        if !from_first && self.take_keyword("FROM") {
            (select.from, select.array_join) = self.from_clause()?;
        }
        self.filters(&mut select)?;
        self.ordering(&mut select)?;
        self.limits(&mut select)?;
        if self.take_keyword("SETTINGS") {
            select.settings = self.settings()?;
        }
        Ok(select)
    }

    /// `expr AS name`, `name AS (SELECT …)`, `name (a, b) AS (SELECT …)`.
    fn with_item(&mut self) -> Result<WithItem> {
        let named = matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedName);
        if named
            && self.keyword_ahead(1, "AS")
            && (self.symbol_ahead(2, "(") || self.keyword_ahead(2, "MATERIALIZED"))
        {
            let name = self.name()?;
            self.index += 1;
            self.take_keyword("MATERIALIZED");
            return self.with_query(name, Vec::new());
        }
        if named && self.symbol_ahead(1, "(") && self.with_columns_follow() {
            let name = self.name()?;
            self.index += 1;
            let columns = self.comma_list(Self::name)?;
            self.expect_symbol(")")?;
            self.expect_keyword("AS")?;
            return self.with_query(name, columns);
        }
        let expr = self.select_item()?;
        Ok(WithItem::Expression(expr))
    }

    fn with_query(&mut self, name: String, columns: Vec<String>) -> Result<WithItem> {
        self.expect_symbol("(")?;
        let query = Box::new(self.query()?);
        self.expect_symbol(")")?;
        Ok(WithItem::Query { name, columns, query })
    }

    /// Whether `name (a, b) AS (` is here.
    fn with_columns_follow(&mut self) -> bool {
        let mut at = 2;
        while matches!(self.ahead(at).kind, TokenKind::Word | TokenKind::QuotedName) {
            at += 1;
            if self.symbol_ahead(at, ")") {
                return self.keyword_ahead(at + 1, "AS") && self.symbol_ahead(at + 2, "(");
            }
            if !self.symbol_ahead(at, ",") {
                return false;
            }
            at += 1;
        }
        false
    }

    fn select_list(&mut self, select: &mut Select) -> Result<()> {
        if self.take_keyword("ALL") {
        } else if self.take_keyword("DISTINCT ON") {
            self.expect_symbol("(")?;
            select.distinct = Some(Distinct::On(self.comma_list(Self::aliased)?));
            self.expect_symbol(")")?;
        } else if self.keyword_ahead(0, "DISTINCT") && !self.symbol_ahead(1, ",") {
            self.index += 1;
            select.distinct = Some(Distinct::All);
        }
        if self.keyword_ahead(0, "TOP") && self.ahead(1).kind == TokenKind::Number {
            self.index += 1;
            let limit = self.plain_literal()?;
            let with_ties = self.take_keyword("WITH TIES");
            select.limit = Some(Limit { limit: Some(limit), offset: None, with_ties });
        }
        if self.from_clause_follows() {
            return Err(self.unexpected());
        }
        select.items.push(self.select_item()?);
        while self.take_symbol(",") {
            let aliased = select.items.last().is_some_and(|item| item.alias.is_some());
            if self.trailing_comma() {
                // Not behind an alias.
                if aliased {
                    return Err(self.unexpected());
                }
                break;
            }
            select.items.push(self.select_item()?);
        }
        Ok(())
    }

    /// Whether the list is over although a comma was taken.
    fn trailing_comma(&mut self) -> bool {
        let next = self.token();
        match next.kind {
            TokenKind::End => true,
            TokenKind::Symbol => matches!(self.text_of(next), ")" | ";"),
            TokenKind::Word => self.from_clause_follows(),
            _ => false,
        }
    }

    /// Whether FROM starts the clause here and is not a column's name.
    fn from_clause_follows(&mut self) -> bool {
        let next = self.ahead(1);
        let table = match next.kind {
            TokenKind::Word => !self.keyword_ahead(1, "AS") && !self.keyword_ahead(1, "FROM"),
            TokenKind::QuotedName => true,
            _ => self.symbol_ahead(1, "("),
        };
        table && self.keyword_ahead(0, "FROM")
    }

    /// An expression with an alias, with or without AS.
    pub(super) fn select_item(&mut self) -> Result<Expr> {
        let mut expr = self.aliased()?;
        if expr.alias.is_none()
            && let Some(alias) = self.bare_alias()?
        {
            if super::expression::is_matcher(&expr) {
                self.index -= 1;
                return Err(self.unexpected());
            }
            expr.alias = Some(alias);
        }
        Ok(expr)
    }

    /// A name that is an alias without AS.
    pub(super) fn bare_alias(&mut self) -> Result<Option<String>> {
        let token = self.token();
        match token.kind {
            TokenKind::QuotedName => self.optional_name(),
            TokenKind::Word => {
                let word = self.text_of(token);
                // `CREATE VIEW … AS SELECT 1 COMMENT 'x'`.
                if word.eq_ignore_ascii_case("COMMENT") && self.ahead(1).kind == TokenKind::String {
                    return Ok(None);
                }
                match NO_ALIAS.iter().any(|reserved| word.eq_ignore_ascii_case(reserved)) {
                    true => Ok(None),
                    false => self.optional_name(),
                }
            }
            _ => Ok(None),
        }
    }

    /// PREWHERE to QUALIFY.
    fn filters(&mut self, select: &mut Select) -> Result<()> {
        if self.take_keyword("PREWHERE") {
            select.prewhere = Some(self.aliased()?);
        }
        if self.take_keyword("WHERE") {
            select.where_ = Some(self.aliased()?);
        }
        if self.take_keyword("GROUP BY") {
            select.group_by = Some(self.group_by()?);
        }
        self.group_modifiers(select)?;
        if self.take_keyword("HAVING") {
            select.having = Some(self.aliased()?);
        }
        if self.take_keyword("WINDOW") {
            select.windows = self.comma_list(|p| {
                let name = p.name()?;
                p.expect_keyword("AS")?;
                Ok((name, p.window_definition()?))
            })?;
        }
        if self.take_keyword("QUALIFY") {
            select.qualify = Some(self.aliased()?);
        }
        Ok(())
    }

    fn group_by(&mut self) -> Result<GroupBy> {
        let mut group = GroupBy::default();
        if self.keyword_ahead(0, "ALL") && !self.symbol_ahead(1, ",") {
            self.index += 1;
            group.all = true;
            return Ok(group);
        }
        if self.take_keyword("GROUPING SETS") {
            group.kind = GroupByKind::GroupingSets;
            self.expect_symbol("(")?;
            group.sets = self.comma_list(Self::grouping_set)?;
            self.expect_symbol(")")?;
            return Ok(group);
        }
        group.kind = match () {
            _ if self.keyword_ahead(0, "ROLLUP") && self.symbol_ahead(1, "(") => {
                GroupByKind::Rollup
            }
            _ if self.keyword_ahead(0, "CUBE") && self.symbol_ahead(1, "(") => GroupByKind::Cube,
            _ => GroupByKind::Plain,
        };
        if group.kind == GroupByKind::Plain {
            group.items = self.comma_list(Self::aliased)?;
            return Ok(group);
        }
        self.index += 1;
        group.items = self.grouping_set()?;
        Ok(group)
    }

    /// `(a, b)`, `()`, or one expression.
    fn grouping_set(&mut self) -> Result<Vec<Expr>> {
        if !self.take_symbol("(") {
            return Ok(vec![self.expression()?]);
        }
        if self.take_symbol(")") {
            return Ok(Vec::new());
        }
        let items = self.comma_list(Self::aliased)?;
        self.expect_symbol(")")?;
        Ok(items)
    }

    fn group_modifiers(&mut self, select: &mut Select) -> Result<()> {
        loop {
            let modifier = self.take_any_keyword(&["WITH ROLLUP", "WITH CUBE", "WITH TOTALS"]);
            let Some(modifier) = modifier else { return Ok(()) };
            let group = select.group_by.get_or_insert_default();
            match modifier {
                "WITH TOTALS" => group.with_totals = true,
                _ if group.items.is_empty() || group.kind != GroupByKind::Plain => {
                    let message = "WITH ROLLUP and WITH CUBE need plain GROUP BY keys";
                    return Err(Error::new(codes::SYNTAX_ERROR, message));
                }
                "WITH ROLLUP" => group.kind = GroupByKind::Rollup,
                _ => group.kind = GroupByKind::Cube,
            }
        }
    }

    fn ordering(&mut self, select: &mut Select) -> Result<()> {
        if !self.take_keyword("ORDER BY") {
            return Ok(());
        }
        if self.keyword_ahead(0, "ALL") && !self.symbol_ahead(1, ",") {
            select.order_by_all = true;
            if self.symbol_ahead(1, "(") {
                self.index += 1;
                return Err(self.unexpected());
            }
        }
        select.order_by = self.comma_list(Self::order_item)?;
        if self.take_keyword("INTERPOLATE") {
            let mut items = Vec::new();
            if self.take_symbol("(") && !self.take_symbol(")") {
                items = self.comma_list(|p| {
                    let name = p.compound_name()?;
                    let value = if p.take_keyword("AS") { Some(p.expression()?) } else { None };
                    Ok((name, value))
                })?;
                self.expect_symbol(")")?;
            }
            select.interpolate = Some(items);
        }
        Ok(())
    }

    /// `expr [ASC|DESC] [NULLS FIRST|LAST] [COLLATE 'x'] [WITH FILL …]`.
    pub(super) fn order_item(&mut self) -> Result<OrderItem> {
        let expr = self.aliased()?;
        let direction = self.take_any_keyword(&["ASCENDING", "DESCENDING", "ASC", "DESC"]);
        let descending = matches!(direction, Some("DESC" | "DESCENDING"));
        let nulls_first = match self.take_any_keyword(&["NULLS FIRST", "NULLS LAST"]) {
            Some("NULLS FIRST") => Some(true),
            Some(_) => Some(false),
            None => None,
        };
        let collate = if self.take_keyword("COLLATE") { Some(self.string()?) } else { None };
        let fill = if self.take_keyword("WITH FILL") { Some(self.with_fill()?) } else { None };
        Ok(OrderItem { expr, descending, nulls_first, collate, fill })
    }

    fn with_fill(&mut self) -> Result<WithFill> {
        let mut fill = WithFill::default();
        loop {
            let part = self.take_any_keyword(&["FROM", "TO", "STEP", "STALENESS"]);
            let slot = match part {
                Some("FROM") => &mut fill.from,
                Some("TO") => &mut fill.to,
                Some("STEP") => &mut fill.step,
                Some(_) => &mut fill.staleness,
                None => return Ok(fill),
            };
            *slot = Some(self.expression()?);
        }
    }

    /// LIMIT n BY, LIMIT, OFFSET, FETCH.
    fn limits(&mut self, select: &mut Select) -> Result<()> {
        self.limit_clauses(select)?;
        let ties = select.limit.as_ref().is_some_and(|limit| limit.with_ties);
        match ties && select.order_by.is_empty() {
            true => Err(Error::new(
                codes::WITH_TIES_WITHOUT_ORDER_BY,
                "Can not use WITH TIES without ORDER BY",
            )),
            false => Ok(()),
        }
    }

    fn limit_clauses(&mut self, select: &mut Select) -> Result<()> {
        if self.take_keyword("LIMIT") {
            let limit = self.limit_clause(select)?;
            if limit && self.take_keyword("LIMIT") {
                self.limit_clause(select)?;
            }
        }
        if self.take_keyword("OFFSET") {
            let offset = self.expression()?;
            self.take_any_keyword(&["ROWS", "ROW"]);
            let limit = select.limit.get_or_insert_default();
            if limit.offset.is_some() {
                return Err(self.unexpected());
            }
            limit.offset = Some(offset);
        }
        if self.take_keyword("FETCH") {
            if self.take_any_keyword(&["FIRST", "NEXT"]).is_none() {
                return Err(self.unexpected());
            }
            let count = self.expression()?;
            self.take_any_keyword(&["ROWS", "ROW"]);
            let limit = select.limit.get_or_insert_default();
            limit.limit = Some(count);
            if !self.take_keyword("ONLY") {
                self.expect_keyword("WITH TIES")?;
                limit.with_ties = true;
            }
        }
        Ok(())
    }

    /// What follows LIMIT; true if it was a LIMIT BY.
    fn limit_clause(&mut self, select: &mut Select) -> Result<bool> {
        let mut limit = self.expression()?;
        let mut offset = None;
        if self.take_symbol(",") {
            offset = Some(std::mem::replace(&mut limit, self.expression()?));
        } else if self.take_keyword("OFFSET") {
            offset = Some(self.expression()?);
        }
        if select.limit_by.is_none() && self.take_keyword("BY") {
            let by = self.comma_list(Self::expression)?;
            select.limit_by = Some(LimitBy { limit, offset, by });
            return Ok(true);
        }
        let with_ties = self.take_keyword("WITH TIES");
        if offset.is_none() && self.take_keyword("OFFSET") {
            offset = Some(self.expression()?);
        }
        select.limit = Some(Limit { limit: Some(limit), offset, with_ties });
        Ok(false)
    }

    /// `[LEFT] ARRAY JOIN a, b AS c`.
    pub(super) fn array_join(&mut self) -> Result<Option<ArrayJoin>> {
        let left = match () {
            _ if self.take_keyword("LEFT ARRAY JOIN") => true,
            _ if self.take_keyword("INNER ARRAY JOIN") || self.take_keyword("ARRAY JOIN") => false,
            _ => return Ok(None),
        };
        let items = self.comma_list(Self::select_item)?;
        Ok(Some(ArrayJoin { left, items }))
    }
}
