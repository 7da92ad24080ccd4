//! Expressions with a syntax of their own: NOT, CASE, INTERVAL, DATE '…', and the functions that take
//! keywords between their arguments (CAST, EXTRACT, TRIM, SUBSTRING, POSITION, DATE_ADD, DATEDIFF,
//! OVERLAY, EXISTS). All become plain calls.

use super::Parser;
use super::expression::{function, operator, string_expr};
use crate::error::Result;
use crate::sql::ast::{Expr, ExprKind, Query, QueryBody, Select, TableExpr};
use crate::sql::lexer::TokenKind;
use pumphouse_storage::Value;

/// Unit names without a plural s, and the suffix of `toInterval…`.
const UNITS: [(&str, &[&str]); 11] = [
    ("Nanosecond", &["NANOSECOND", "SQL_TSI_NANOSECOND", "NS"]),
    ("Microsecond", &["MICROSECOND", "SQL_TSI_MICROSECOND", "US"]),
    ("Millisecond", &["MILLISECOND", "SQL_TSI_MILLISECOND", "MS"]),
    ("Second", &["SECOND", "SQL_TSI_SECOND", "SS", "S"]),
    ("Minute", &["MINUTE", "SQL_TSI_MINUTE", "MI", "N"]),
    ("Hour", &["HOUR", "SQL_TSI_HOUR", "HH", "H"]),
    ("Day", &["DAY", "SQL_TSI_DAY", "DD", "D"]),
    ("Week", &["WEEK", "SQL_TSI_WEEK", "WK", "WW"]),
    ("Month", &["MONTH", "SQL_TSI_MONTH", "MM", "M"]),
    ("Quarter", &["QUARTER", "SQL_TSI_QUARTER", "QQ", "Q"]),
    ("Year", &["YEAR", "SQL_TSI_YEAR", "YYYY", "YY"]),
];

/// Functions with keywords between their arguments, or that are another function.
const SPECIAL: [&str; 21] = [
    "cast",
    "extract",
    "trim",
    "ltrim",
    "rtrim",
    "substring",
    "position",
    "overlay",
    "exists",
    "date_add",
    "dateadd",
    "timestamp_add",
    "timestampadd",
    "date_sub",
    "datesub",
    "timestamp_sub",
    "timestampsub",
    "date_diff",
    "datediff",
    "timestamp_diff",
    "timestampdiff",
];

/// Words that may follow a column: before them, INTERVAL and CASE are names.
const FOLLOWING: [&str; 40] = [
    "AND",
    "OR",
    "AS",
    "IN",
    "IS",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "DIV",
    "MOD",
    "FROM",
    "WHERE",
    "PREWHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "SETTINGS",
    "FORMAT",
    "ASC",
    "DESC",
    "NULLS",
    "COLLATE",
    "END",
    "THEN",
    "ELSE",
    "GLOBAL",
    "INTO",
    "WINDOW",
    "QUALIFY",
    "JOIN",
    "USING",
    "ON",
    "WITH",
    "REGEXP",
    "ARRAY",
];

/// The interval suffix that a word names: `days` → `Day`.
pub(super) fn interval_unit(word: &str) -> Option<&'static str> {
    let upper = word.to_ascii_uppercase();
    let singular = upper.strip_suffix('S').filter(|s| s.len() > 2);
    let named = |name: &str| {
        UNITS.iter().find(|(_, names)| names.contains(&name)).map(|(suffix, _)| *suffix)
    };
    named(&upper).or_else(|| named(singular?))
}

impl Parser<'_> {
    /// An expression that starts with a word.
    pub(super) fn word_prefix(&mut self) -> Result<Expr> {
        let token = self.token();
        let word = self.text_of(token);
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if is("NOT") && self.operand_follows() {
            return self.not();
        }
        if is("CASE") && self.operand_follows() {
            return self.case();
        }
        if is("INTERVAL") && self.interval_follows() {
            return self.interval();
        }
        if self.ahead(1).kind == TokenKind::String && (is("DATE") || is("TIMESTAMP")) {
            return self.typed_literal(if is("DATE") { "toDate" } else { "toDateTime" });
        }
        if is("COLUMNS") && self.symbol_ahead(1, "(") {
            return self.columns_matcher(Vec::new());
        }
        let literal = ["NULL", "TRUE", "FALSE", "INF", "NAN"].iter().any(|word| is(word));
        if literal && self.symbol_ahead(1, "(") {
            self.index += 1;
            return Err(self.unexpected());
        }
        if self.symbol_ahead(1, "(") || self.symbol_ahead(1, ".") {
            return self.identifier_or_call();
        }
        self.literal_or_identifier(token.start)
    }

    fn literal_or_identifier(&mut self, start: usize) -> Result<Expr> {
        match self.word_literal(false, start) {
            Some(literal) => {
                self.nodes += 1;
                Ok(literal)
            }
            None => self.identifier_or_call(),
        }
    }

    /// `DATE '…'`, `TIMESTAMP '…'`.
    fn typed_literal(&mut self, name: &str) -> Result<Expr> {
        let start = self.advance().start;
        let text = self.string_literal()?;
        self.grow()?;
        Ok(Expr { span: self.span_from(start), ..function(name, vec![text]) })
    }

    /// Whether an operand can start behind the word at the cursor.
    fn operand_follows(&mut self) -> bool {
        let next = self.ahead(1);
        let text = self.text_of(next);
        match next.kind {
            TokenKind::Symbol => matches!(text, "(" | "[" | "-" | "+" | "{" | "@@" | "*"),
            TokenKind::Word => !FOLLOWING.iter().any(|word| text.eq_ignore_ascii_case(word)),
            TokenKind::End | TokenKind::Invalid(_) => false,
            _ => true,
        }
    }

    fn interval_follows(&mut self) -> bool {
        if !self.operand_follows() {
            return false;
        }
        if self.symbol_ahead(1, "-") || self.symbol_ahead(1, "+") {
            let unit = self.ahead(3);
            return self.ahead(2).kind == TokenKind::Number
                && unit.kind == TokenKind::Word
                && interval_unit(self.text_of(unit)).is_some();
        }
        !["*", "@@"].iter().any(|symbol| self.symbol_ahead(1, symbol))
    }

    fn not(&mut self) -> Result<Expr> {
        let start = self.advance().start;
        let operand = self.binary(6)?;
        self.grow()?;
        Ok(Expr { span: self.span_from(start), ..operator("not", vec![operand]) })
    }

    /// CASE with conditions is `multiIf`, with a value `caseWithExpression`.
    fn case(&mut self) -> Result<Expr> {
        let start = self.advance().start;
        let mut arguments = Vec::new();
        let plain = self.keyword_ahead(0, "WHEN");
        if !plain {
            arguments.push(self.aliased()?);
        }
        self.expect_keyword("WHEN")?;
        loop {
            arguments.push(self.aliased()?);
            self.expect_keyword("THEN")?;
            arguments.push(self.aliased()?);
            if !self.take_keyword("WHEN") {
                break;
            }
        }
        arguments.push(match self.take_keyword("ELSE") {
            true => self.aliased()?,
            false => Expr::new(ExprKind::Literal { value: Value::Null, text: "NULL".into() }),
        });
        self.expect_keyword("END")?;
        self.grow()?;
        let name = if plain { "multiIf" } else { "caseWithExpression" };
        Ok(Expr { span: self.span_from(start), ..function(name, arguments) })
    }

    /// `INTERVAL 1 DAY`, `INTERVAL '1 day 2 hours'` (a tuple).
    fn interval(&mut self) -> Result<Expr> {
        let start = self.advance().start;
        let unit_follows = self.ahead(1).kind == TokenKind::Word && {
            let unit = self.ahead(1);
            interval_unit(self.text_of(unit)).is_some()
        };
        if self.token().kind == TokenKind::String && !unit_follows {
            return self.interval_text(start);
        }
        let amount = self.expression()?;
        let suffix = self.unit()?;
        self.grow()?;
        Ok(Expr {
            span: self.span_from(start),
            ..function(&format!("toInterval{suffix}"), vec![amount])
        })
    }

    pub(super) fn unit(&mut self) -> Result<&'static str> {
        let token = self.token();
        let unit = match token.kind {
            TokenKind::Word => interval_unit(self.text_of(token)),
            _ => None,
        };
        match unit {
            Some(unit) => {
                self.index += 1;
                Ok(unit)
            }
            None => {
                self.want("interval kind");
                Err(self.unexpected())
            }
        }
    }

    fn interval_text(&mut self, start: usize) -> Result<Expr> {
        let text = self.string()?;
        let mut parts = Vec::new();
        let mut inner = Parser::new(&text);
        while !inner.at_end() {
            let amount = inner.plain_literal();
            let unit = inner.unit();
            let (Ok(amount), Ok(unit)) = (amount, unit) else {
                self.index -= 1;
                return Err(self.unexpected());
            };
            parts.push(function(&format!("toInterval{unit}"), vec![amount]));
        }
        if parts.is_empty() {
            self.index -= 1;
            return Err(self.unexpected());
        }
        self.grow()?;
        let made = match parts.len() {
            1 => parts.remove(0),
            _ => operator("tuple", parts),
        };
        Ok(Expr { span: self.span_from(start), ..made })
    }

    /// A call; some names have a syntax or another name. The cursor is on the parenthesis.
    pub(super) fn call_or_special(&mut self, name: String, start: usize) -> Result<Expr> {
        // On its own, so that nested plain calls need little stack.
        match SPECIAL.iter().any(|special| name.eq_ignore_ascii_case(special)) {
            true => self.special_call(name, start),
            false => self.plain_call(name, start),
        }
    }

    fn special_call(&mut self, name: String, start: usize) -> Result<Expr> {
        let lower = name.to_ascii_lowercase();
        let made = match lower.as_str() {
            "cast" => self.cast(),
            "extract" => self.extract(),
            "trim" => self.trim(),
            "ltrim" => self.renamed("trimLeft"),
            "rtrim" => self.renamed("trimRight"),
            "substring" => self.substring(),
            "position" => self.position(),
            "overlay" => self.overlay(),
            "exists" => self.exists(),
            "date_add" | "dateadd" | "timestamp_add" | "timestampadd" => {
                self.date_arithmetic("plus")
            }
            "date_sub" | "datesub" | "timestamp_sub" | "timestampsub" => {
                self.date_arithmetic("minus")
            }
            _ => self.date_difference(),
        };
        let Some(made) = made? else { return self.plain_call(name, start) };
        self.grow()?;
        Ok(Expr { span: self.span_from(start), ..made })
    }

    fn renamed(&mut self, name: &str) -> Result<Option<Expr>> {
        let arguments = self.rest_of_arguments(Vec::new(), true)?;
        Ok(Some(function(name, arguments)))
    }

    /// `, a, b)` behind what is in `arguments`; with `open` the parenthesis is still to be taken.
    fn rest_of_arguments(&mut self, mut arguments: Vec<Expr>, open: bool) -> Result<Vec<Expr>> {
        if open {
            self.expect_symbol("(")?;
            if self.take_symbol(")") {
                return Ok(arguments);
            }
            arguments.push(self.aliased()?);
        }
        while self.take_symbol(",") {
            arguments.push(self.aliased()?);
        }
        self.expect_symbol(")")?;
        Ok(arguments)
    }

    /// `CAST(x AS T)`; `CAST(x, 'T')` is a plain call.
    fn cast(&mut self) -> Result<Option<Expr>> {
        self.expect_symbol("(")?;
        let mut value = self.expression()?;
        if let Some(alias) = self.bare_alias()? {
            value.alias = Some(alias);
        }
        if self.take_keyword("AS") {
            let before = self.index;
            // `CAST(x AS alias, 'T')` and `CAST(x AS alias AS T)`.
            let aliased = matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedName)
                && (self.symbol_ahead(1, ",") || self.keyword_ahead(1, "AS"));
            if !aliased {
                let data_type = self.data_type()?;
                self.expect_symbol(")")?;
                return Ok(Some(function("CAST", vec![value, string_expr(&data_type)])));
            }
            self.index = before;
            value.alias = Some(self.name()?);
            if self.take_keyword("AS") {
                let data_type = self.data_type()?;
                self.expect_symbol(")")?;
                return Ok(Some(function("CAST", vec![value, string_expr(&data_type)])));
            }
        }
        self.expect_symbol(",")?;
        let data_type = self.select_item()?;
        self.expect_symbol(")")?;
        Ok(Some(function("CAST", vec![value, data_type])))
    }

    /// `EXTRACT(YEAR FROM d)` is `toYear(d)`; `extract(s, 're')` a function.
    fn extract(&mut self) -> Result<Option<Expr>> {
        let token = self.ahead(1);
        if token.kind != TokenKind::Word || !self.keyword_ahead(2, "FROM") {
            return Ok(None);
        }
        self.index += 1;
        let unit = self.unit()?;
        self.expect_keyword("FROM")?;
        let value = self.aliased()?;
        self.expect_symbol(")")?;
        let name = match unit {
            "Day" => "toDayOfMonth".to_string(),
            "Week" => "toRelativeWeekNum".to_string(),
            unit => format!("to{unit}"),
        };
        Ok(Some(function(&name, vec![value])))
    }

    /// `TRIM([BOTH|LEADING|TRAILING] 'x' FROM s)`, `trim(s)`.
    fn trim(&mut self) -> Result<Option<Expr>> {
        self.expect_symbol("(")?;
        let side = match self.symbol_ahead(1, ")") {
            true => None,
            false => self.take_any_keyword(&["BOTH", "LEADING", "TRAILING"]),
        };
        let name = match side {
            Some("LEADING") => "trimLeft",
            Some("TRAILING") => "trimRight",
            _ => "trimBoth",
        };
        if side.is_some() && self.take_keyword("FROM") {
            let value = self.aliased()?;
            return Ok(Some(function(name, self.rest_of_arguments(vec![value], false)?)));
        }
        let first = self.aliased()?;
        if side.is_some() || self.keyword_ahead(0, "FROM") {
            self.expect_keyword("FROM")?;
            let value = self.aliased()?;
            self.expect_symbol(")")?;
            return Ok(Some(function(name, vec![value, first])));
        }
        Ok(Some(function(name, self.rest_of_arguments(vec![first], false)?)))
    }

    /// `SUBSTRING(s FROM 2 FOR 3)`, `substring(s, 2, 3)`.
    fn substring(&mut self) -> Result<Option<Expr>> {
        self.expect_symbol("(")?;
        let mut arguments = vec![self.aliased()?];
        if self.take_keyword("FROM") {
            arguments.push(self.aliased()?);
            if self.take_keyword("FOR") {
                arguments.push(self.aliased()?);
            }
            self.expect_symbol(")")?;
            return Ok(Some(function("substring", arguments)));
        }
        if !self.at_symbol(",") {
            return Err(self.unexpected());
        }
        Ok(Some(function("substring", self.rest_of_arguments(arguments, false)?)))
    }

    /// `POSITION(needle IN haystack)`, `position(haystack, needle)`.
    fn position(&mut self) -> Result<Option<Expr>> {
        self.expect_symbol("(")?;
        // Only what binds tighter than IN, which would be read as the operator.
        let first = self.binary(10)?;
        if self.take_keyword("IN") {
            let haystack = self.aliased()?;
            self.expect_symbol(")")?;
            return Ok(Some(function("position", vec![haystack, first])));
        }
        if !self.at_symbol(",") {
            return Err(self.unexpected());
        }
        Ok(Some(function("position", self.rest_of_arguments(vec![first], false)?)))
    }

    /// `OVERLAY(s PLACING 'x' FROM 1 FOR 2)`.
    fn overlay(&mut self) -> Result<Option<Expr>> {
        self.expect_symbol("(")?;
        let mut arguments = vec![self.aliased()?];
        if self.take_keyword("PLACING") {
            arguments.push(self.aliased()?);
            self.expect_keyword("FROM")?;
            arguments.push(self.aliased()?);
            if self.take_keyword("FOR") {
                arguments.push(self.aliased()?);
            }
            self.expect_symbol(")")?;
            return Ok(Some(function("overlay", arguments)));
        }
        Ok(Some(function("overlay", self.rest_of_arguments(arguments, false)?)))
    }

    /// `EXISTS(SELECT …)`.
    fn exists(&mut self) -> Result<Option<Expr>> {
        if !(self.keyword_ahead(1, "SELECT")
            || self.keyword_ahead(1, "WITH")
            || self.symbol_ahead(1, "("))
        {
            return Ok(None);
        }
        let start = self.advance().start;
        let query = self.subquery_rest(start)?;
        Ok(Some(function("exists", vec![query])))
    }

    /// `DATE_ADD(DAY, 1, d)`, `DATE_ADD(d, INTERVAL 1 DAY)`.
    fn date_arithmetic(&mut self, name: &str) -> Result<Option<Expr>> {
        self.expect_symbol("(")?;
        let token = self.token();
        let unit = interval_unit(self.text_of(token)).filter(|_| token.kind == TokenKind::Word);
        if let (Some(unit), true) = (unit, self.symbol_ahead(1, ",")) {
            self.index += 2;
            let amount = self.aliased()?;
            self.expect_symbol(",")?;
            let date = self.aliased()?;
            self.expect_symbol(")")?;
            let interval = function(&format!("toInterval{unit}"), vec![amount]);
            return Ok(Some(function(name, vec![date, interval])));
        }
        let arguments = vec![self.aliased()?];
        Ok(Some(function(name, self.rest_of_arguments(arguments, false)?)))
    }

    /// `DATEDIFF(day, a, b)`: the unit becomes a string.
    fn date_difference(&mut self) -> Result<Option<Expr>> {
        self.expect_symbol("(")?;
        let token = self.token();
        let unit = interval_unit(self.text_of(token)).filter(|_| token.kind == TokenKind::Word);
        let first = match unit {
            Some(unit) if self.symbol_ahead(1, ",") => {
                self.index += 1;
                string_expr(&unit.to_ascii_lowercase())
            }
            _ => self.aliased()?,
        };
        Ok(Some(function("dateDiff", self.rest_of_arguments(vec![first], false)?)))
    }

    /// `a = ANY (SELECT …)`, `a > ALL (SELECT …)`, rewritten as ClickHouse does.
    pub(super) fn quantified_comparison(
        &mut self,
        left: &Expr,
        name: &str,
    ) -> Result<Option<Expr>> {
        let any = self.keyword_ahead(0, "ANY") || self.keyword_ahead(0, "SOME");
        let all = self.keyword_ahead(0, "ALL");
        let query = self.symbol_ahead(1, "(")
            && (self.keyword_ahead(2, "SELECT")
                || self.keyword_ahead(2, "WITH")
                || self.symbol_ahead(2, "("));
        if !(any || all) || !query {
            return Ok(None);
        }
        let aggregate = match (name, any) {
            ("equals", true) | ("notEquals", false) => "",
            ("equals", false) | ("notEquals", true) => "singleValueOrNull",
            ("less" | "lessOrEquals", true) | ("greater" | "greaterOrEquals", false) => "max",
            ("less" | "lessOrEquals", false) | ("greater" | "greaterOrEquals", true) => "min",
            _ => return Ok(None),
        };
        self.index += 1;
        let start = self.advance().start;
        let subquery = self.subquery_rest(start)?;
        self.grow()?;
        if aggregate.is_empty() {
            let name = if any { "in" } else { "notIn" };
            return Ok(Some(operator(name, vec![left.clone(), subquery])));
        }
        Ok(Some(operator(name, vec![left.clone(), aggregated(subquery, aggregate)])))
    }
}

/// `(SELECT aggregate(*) FROM subquery)`.
fn aggregated(subquery: Expr, aggregate: &str) -> Expr {
    let ExprKind::Subquery(query) = subquery.kind else { return subquery };
    let select = Select {
        items: vec![function(aggregate, vec![Expr::new(ExprKind::Asterisk(Vec::new()))])],
        from: Some(TableExpr::Subquery { query, alias: None, columns: vec![], final_: false }),
        ..Select::default()
    };
    let body = QueryBody::Select(Box::new(select));
    Expr::new(ExprKind::Subquery(Box::new(Query::new(body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(interval_unit("days"), Some("Day"));
        assert_eq!(interval_unit("ms"), Some("Millisecond"));
        assert_eq!(interval_unit("q"), Some("Quarter"));
        assert_eq!(interval_unit("s"), Some("Second"));
        assert_eq!(interval_unit("x"), None);
    }
}
