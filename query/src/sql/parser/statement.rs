//! One whole statement: which kind it is, and what may stand behind any of them (INTO OUTFILE, FORMAT,
//! SETTINGS, a semicolon).

use super::Parser;
use crate::error::{Error, Result, codes};
use crate::sql::ast::{
    Alter, AlterCommand, Explain, ExplainKind, InsertSource, Setting, Statement,
};
use crate::sql::format;
use crate::sql::lexer::TokenKind;
use pumphouse_storage::Value;

/// A statement with its tail.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedStatement {
    pub statement: Statement,
    /// `FORMAT name`; an INSERT's is in its source.
    pub format: Option<String>,
    /// SETTINGS behind FORMAT (those before it are the query's own).
    pub settings: Vec<Setting>,
    /// `INTO OUTFILE 'file'`.
    pub outfile: Option<String>,
    /// What stands behind the file's name: APPEND, COMPRESSION 'gzip' …
    pub outfile_options: String,
}

impl ParsedStatement {
    pub(super) fn bare(statement: Statement) -> ParsedStatement {
        ParsedStatement {
            statement,
            format: None,
            settings: Vec::new(),
            outfile: None,
            outfile_options: String::new(),
        }
    }
}

impl Parser<'_> {
    /// The statement and its tail; the whole text must be used up, but for an INSERT's data.
    pub fn parse_statement(&mut self) -> Result<ParsedStatement> {
        let parsed = self.statement_and_tail()?;
        if !carries_data(&parsed.statement) {
            self.expect_end()?;
        }
        Ok(parsed)
    }

    /// Only semicolons are left.
    pub fn expect_end(&mut self) -> Result<()> {
        let one_ended = self.at_symbol(";");
        while self.take_symbol(";") {}
        match self.at_end() {
            true => Ok(()),
            false if one_ended => {
                let token = self.token();
                let message = self.failure(token);
                let message = message.replacen(
                    "Syntax error",
                    "Syntax error (Multi-statements are not allowed)",
                    1,
                );
                Err(Error::new(codes::SYNTAX_ERROR, message))
            }
            false => {
                self.want("end of query");
                Err(self.unexpected())
            }
        }
    }

    /// One statement with its tail and semicolon; `position` says where the next one starts.
    pub fn statement_and_tail(&mut self) -> Result<ParsedStatement> {
        let mut parsed = ParsedStatement::bare(self.statement()?);
        if carries_data(&parsed.statement) {
            return Ok(parsed);
        }
        if self.take_keyword("INTO OUTFILE") {
            parsed.outfile = Some(self.string()?);
            parsed.outfile_options = self.outfile_options()?;
        }
        let mut settings = Vec::new();
        if self.take_keyword("FORMAT") {
            parsed.format = Some(self.name()?);
        }
        if self.take_keyword("SETTINGS") {
            settings = self.settings()?;
            if parsed.format.is_none() && self.take_keyword("FORMAT") {
                parsed.format = Some(self.name()?);
            }
        }
        parsed.settings = settings;
        Ok(parsed)
    }

    fn outfile_options(&mut self) -> Result<String> {
        let mut text = String::new();
        while let Some(word) = self.take_any_keyword(&["APPEND", "TRUNCATE", "AND STDOUT"]) {
            text += &format!(" {word}");
        }
        if self.take_keyword("COMPRESSION") {
            text += &format!(" COMPRESSION {}", format::quote_string(self.string()?.as_bytes()));
            if self.take_keyword("LEVEL") {
                text += &format!(" LEVEL {}", self.unsigned()?);
            }
        }
        Ok(text)
    }

    /// A statement without its tail.
    pub(super) fn statement(&mut self) -> Result<Statement> {
        if self.at_query() || self.symbol_ahead(0, "(") {
            return Ok(Statement::Query(Box::new(self.query()?)));
        }
        let word = self.take_any_keyword(&[
            "INSERT", "CREATE", "REPLACE", "ATTACH", "DETACH", "DROP", "UNDROP", "TRUNCATE",
            "RENAME", "EXCHANGE", "OPTIMIZE", "ALTER", "DELETE", "UPDATE", "SET", "USE",
            "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "SHOW", "SYSTEM", "KILL", "CHECK", "GRANT",
            "REVOKE", "MOVE", "BACKUP", "RESTORE", "BEGIN", "COMMIT", "ROLLBACK",
        ]);
        let Some(word) = word else {
            self.want("SELECT query");
            return Err(self.unexpected());
        };
        match word {
            "INSERT" => Ok(Statement::Insert(Box::new(self.insert()?))),
            "CREATE" | "REPLACE" => self.create(word == "REPLACE"),
            "ATTACH" => self.attach(),
            "ALTER" => self.alter(),
            "DELETE" => self.delete(),
            "UPDATE" => self.update(),
            "SET" => self.set(),
            "USE" => {
                self.take_keyword("DATABASE");
                Ok(Statement::Use(self.name()?))
            }
            "DESCRIBE" | "DESC" => self.describe(),
            "EXISTS" => self.exists_statement(),
            "EXPLAIN" => Ok(Statement::Explain(Box::new(self.explain()?))),
            "SHOW" => self.show(),
            "SYSTEM" => self.system(),
            "KILL" => self.kill(),
            "DETACH" | "DROP" | "UNDROP" | "TRUNCATE" | "RENAME" | "EXCHANGE" | "OPTIMIZE"
            | "CHECK" => self.manage(word),
            "GRANT" | "REVOKE" => self.grant(word == "REVOKE"),
            _ => self.kept_as_text(word),
        }
    }

    /// A statement that is only known to exist: its words are kept, blanks normalised.
    pub(super) fn kept_as_text(&mut self, first: &str) -> Result<Statement> {
        let text = self.kept_words(first)?;
        match super::kept::statement(&text) {
            Some(_) => Ok(Statement::Other(text)),
            None => Err(self.unexpected()),
        }
    }

    /// Words up to the end of the statement, or to FORMAT outside of parentheses.
    pub(super) fn kept_words(&mut self, first: &str) -> Result<String> {
        let mut text = first.to_string();
        let mut depth = 0i32;
        while !self.at_end() && !self.symbol_ahead(0, ";") {
            if depth == 0 && self.keyword_ahead(0, "FORMAT") {
                break;
            }
            depth += i32::from(self.symbol_ahead(0, "(")) - i32::from(self.symbol_ahead(0, ")"));
            let token = self.advance();
            if let TokenKind::Invalid(_) = token.kind {
                self.index -= 1;
                return Err(self.unexpected());
            }
            text.push(' ');
            text.push_str(self.text_of(token));
        }
        Ok(text)
    }

    /// `DELETE FROM t [IN PARTITION p] WHERE …`: a mutation with another name.
    fn delete(&mut self) -> Result<Statement> {
        self.expect_keyword("FROM")?;
        let name = self.table_name()?;
        let cluster = self.on_cluster()?;
        let partition = self.in_partition()?;
        self.expect_keyword("WHERE")?;
        let where_ = self.expression()?;
        let commands = vec![AlterCommand::Delete { partition, where_ }];
        Ok(Statement::Delete(Box::new(Alter { name, cluster, commands })))
    }

    /// `UPDATE t SET a = 1 WHERE …`.
    fn update(&mut self) -> Result<Statement> {
        let name = self.table_name()?;
        let cluster = self.on_cluster()?;
        self.expect_keyword("SET")?;
        let command = self.update_command()?;
        Ok(Statement::Update(Box::new(Alter { name, cluster, commands: vec![command] })))
    }

    fn set(&mut self) -> Result<Statement> {
        if let Some(statement) = self.set_roles()? {
            return Ok(statement);
        }
        if self.keyword_ahead(0, "TRANSACTION") && !self.symbol_ahead(1, "=") {
            return self.kept_as_text("SET");
        }
        Ok(Statement::Set(self.settings()?))
    }

    /// What follows EXPLAIN, up to the end of the explained statement.
    pub(super) fn explain(&mut self) -> Result<Explain> {
        let kinds =
            ["AST", "SYNTAX", "QUERY TREE", "PLAN", "PIPELINE", "ESTIMATE", "CURRENT TRANSACTION"];
        let kind = match self.take_any_keyword(&kinds) {
            Some("AST") => ExplainKind::Ast,
            Some("SYNTAX") => ExplainKind::Syntax,
            Some("QUERY TREE") => ExplainKind::QueryTree,
            Some("PIPELINE") => ExplainKind::Pipeline,
            Some("ESTIMATE") => ExplainKind::Estimate,
            Some("CURRENT TRANSACTION") => {
                let (kind, statement) = (ExplainKind::Transaction, Statement::Other(String::new()));
                return Ok(Explain { kind, settings: vec![], statement });
            }
            _ => ExplainKind::Plan,
        };
        let mut settings = Vec::new();
        if self.token().kind == TokenKind::Word && self.symbol_ahead(1, "=") {
            settings = self.settings()?;
        }
        self.enter(20)?;
        if kind != ExplainKind::Ast && self.keyword_ahead(0, "EXPLAIN") {
            return Err(self.unexpected());
        }
        let statement = self.statement()?;
        self.leave(20);
        Ok(Explain { kind, settings, statement })
    }

    /// `a = 1, b = 'x'`.
    pub(super) fn settings(&mut self) -> Result<Vec<Setting>> {
        self.comma_list(Self::setting)
    }

    fn setting(&mut self) -> Result<Setting> {
        let mut name = self.name()?;
        while self.symbol_ahead(0, ".") {
            self.index += 1;
            name = format!("{name}.{}", self.name()?);
        }
        // A name alone switches the setting on.
        if !self.at_symbol("=") {
            return Ok(Setting { name, value: Value::Bool(true) });
        }
        self.expect_symbol("=")?;
        Ok(Setting { name, value: self.setting_value()? })
    }

    /// A literal, `[…]`, `(…)`, `{'k': 'v'}`, or a bare word.
    pub(super) fn setting_value(&mut self) -> Result<Value> {
        self.enter(1)?;
        let value = self.setting_value_inner();
        self.leave(1);
        value
    }

    fn setting_value_inner(&mut self) -> Result<Value> {
        if self.take_symbol("[") {
            return Ok(Value::Array(self.setting_values("]")?));
        }
        if self.take_symbol("(") {
            return Ok(Value::Tuple(self.setting_values(")")?));
        }
        if self.take_symbol("{") {
            return self.setting_map();
        }
        let token = self.token();
        if let Some(literal) = self.word_literal(false, token.start) {
            return Ok(literal_value(literal));
        }
        if self.take_keyword("DEFAULT") {
            return Ok(Value::string("DEFAULT"));
        }
        if token.kind == TokenKind::Word && self.symbol_ahead(1, "(") {
            let call = self.expression()?;
            return Ok(Value::string(format::expr(&call)));
        }
        self.plain_literal().map(literal_value)
    }

    fn setting_values(&mut self, close: &'static str) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        while !self.take_symbol(close) {
            if !values.is_empty() {
                self.expect_symbol(",")?;
            }
            values.push(self.setting_value()?);
        }
        Ok(values)
    }

    fn setting_map(&mut self) -> Result<Value> {
        let mut entries = Vec::new();
        while !self.take_symbol("}") {
            if !entries.is_empty() {
                self.expect_symbol(",")?;
            }
            let key = self.setting_value()?;
            self.expect_symbol(":")?;
            entries.push((key, self.setting_value()?));
        }
        Ok(Value::Map(entries))
    }
}

fn literal_value(expr: crate::sql::ast::Expr) -> Value {
    match expr.kind {
        crate::sql::ast::ExprKind::Literal { value, .. } => value,
        _ => Value::Null,
    }
}

/// Whether data follows the statement, which must not be read as SQL.
fn carries_data(statement: &Statement) -> bool {
    match statement {
        Statement::Insert(insert) => {
            insert.input.is_some() || !matches!(insert.source, InsertSource::Query(_))
        }
        Statement::Explain(explain) => carries_data(&explain.statement),
        _ => false,
    }
}
