//! CREATE DATABASE, TABLE, VIEW, MATERIALIZED VIEW, and ATTACH. Dictionaries, functions, users and the
//! like are kept as text.

use super::Parser;
use crate::error::Result;
use crate::sql::access::Manner;
use crate::sql::ast::{CreateTable, CreateView, EngineClause, ObjectKind, Statement};
use crate::sql::format;
use crate::sql::lexer::TokenKind;

impl Parser<'_> {
    /// Behind CREATE, or behind REPLACE.
    pub(super) fn create(&mut self, replace: bool) -> Result<Statement> {
        let first = if replace { "REPLACE" } else { "CREATE" };
        let or_replace = replace || self.take_keyword("OR REPLACE");
        let temporary = self.take_any_keyword(&["TEMPORARY", "TEMP"]).is_some();
        let kinds = ["DATABASE", "TABLE", "MATERIALIZED VIEW", "VIEW"];
        match self.take_any_keyword(&kinds) {
            Some("DATABASE") => self.create_database(),
            Some("TABLE") => {
                let mut made = self.create_table(or_replace, temporary, false)?;
                if let Statement::CreateTable(table) = &mut made {
                    table.replace = replace;
                }
                Ok(made)
            }
            Some(kind) => self.create_view(kind == "MATERIALIZED VIEW", or_replace, false),
            None if !self.at_end() => {
                let prefix = if or_replace && !replace { "CREATE OR REPLACE" } else { first };
                self.create_other(prefix)
            }
            None => Err(self.unexpected()),
        }
    }

    fn create_other(&mut self, prefix: &str) -> Result<Statement> {
        if prefix == "CREATE"
            && let Some(kind) = self.entity_kind()
        {
            return self.entity(kind, Manner::Create);
        }
        let kinds = [
            "FUNCTION",
            "DICTIONARY",
            "NAMED COLLECTION",
            "INDEX",
            "UNIQUE INDEX",
            "LIVE VIEW",
            "WINDOW VIEW",
            "WORKLOAD",
            "RESOURCE",
        ];
        if !kinds.iter().any(|kind| self.at_keyword(kind)) {
            return Err(self.unexpected());
        }
        self.kept_as_text(prefix)
    }

    fn create_database(&mut self) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.name()?;
        self.on_cluster()?;
        let mut engine = EngineClause::default();
        while self.engine_part(&mut engine)? {}
        let comment = self.comment()?;
        let engine = (engine != EngineClause::default()).then_some(engine);
        Ok(Statement::CreateDatabase { name, if_not_exists, engine, comment })
    }

    fn comment(&mut self) -> Result<Option<String>> {
        match self.take_keyword("COMMENT") {
            true => self.string().map(Some),
            false => Ok(None),
        }
    }

    /// `UUID '…'` behind a name.
    fn uuid(&mut self) -> Result<Option<String>> {
        match self.keyword_ahead(0, "UUID") && self.ahead(1).kind == TokenKind::String {
            true => {
                self.index += 1;
                self.string().map(Some)
            }
            false => Ok(None),
        }
    }

    pub(super) fn create_table(
        &mut self,
        or_replace: bool,
        temporary: bool,
        attach: bool,
    ) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        let uuid = self.uuid()?;
        let cluster = self.on_cluster()?;
        let mut table = CreateTable {
            name,
            uuid,
            if_not_exists,
            or_replace,
            temporary,
            attach,
            cluster,
            ..CreateTable::default()
        };
        if attach && self.take_keyword("FROM") {
            self.string()?;
        }
        if self.symbol_ahead(0, "(") && !self.keyword_ahead(1, "SELECT") {
            self.index += 1;
            self.table_elements(&mut table)?;
        }
        self.table_clauses(&mut table)?;
        Ok(Statement::CreateTable(Box::new(table)))
    }

    /// ENGINE and its clauses, COMMENT and AS, in any order.
    fn table_clauses(&mut self, table: &mut CreateTable) -> Result<()> {
        loop {
            if self.engine_part(&mut table.engine)? {
                continue;
            }
            if let Some(comment) = self.comment()? {
                table.comment = Some(comment);
                continue;
            }
            if self.take_keyword("CLONE AS") {
                table.clone_as = true;
                table.as_table = Some(self.table_name()?);
                continue;
            }
            let empty = self.take_keyword("EMPTY AS");
            if empty || self.take_keyword("AS") {
                table.empty = empty;
                self.as_source(table)?;
                continue;
            }
            if !table.columns.is_empty() || table.as_query.is_some() || !self.at_query() {
                return Ok(());
            }
            table.as_query = Some(Box::new(self.query()?));
        }
    }

    /// AS SELECT, AS other table, AS table function.
    fn as_source(&mut self, table: &mut CreateTable) -> Result<()> {
        if self.at_query() || self.symbol_ahead(0, "(") {
            table.as_query = Some(Box::new(self.query()?));
        } else if self.symbol_ahead(1, "(") {
            table.as_function = Some(self.table_function()?);
        } else {
            table.as_table = Some(self.table_name()?);
        }
        Ok(())
    }

    pub(super) fn create_view(
        &mut self,
        materialized: bool,
        or_replace: bool,
        attach: bool,
    ) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        let uuid = self.uuid()?;
        let cluster = self.on_cluster()?;
        let refresh = self.refresh()?;
        let mut view = View::default();
        let mut columns = CreateTable::default();
        loop {
            if view.to.is_none() && self.take_keyword("TO INNER UUID") {
                self.string()?;
            } else if view.to.is_none() && self.take_keyword("TO") {
                view.to = Some(self.table_name()?);
            } else if self.symbol_ahead(0, "(") && columns.columns.is_empty() {
                self.index += 1;
                self.table_elements(&mut columns)?;
            } else if self.engine_part(&mut view.engine)? {
            } else if self.take_keyword("POPULATE") {
                view.populate = true;
                if self.take_keyword("FROM TIMESTAMP") {
                    view.populate_from = Some(self.string()?);
                }
            } else if self.take_keyword("EMPTY") {
                view.empty = true;
            } else if self.take_keyword("DEFINER") {
                self.take_symbol("=");
                view.security =
                    format!("DEFINER = {} ", format::quote_name(&self.string_or_name()?));
            } else if self.take_keyword("SQL SECURITY") {
                view.security += &format!("SQL SECURITY {}", self.name()?.to_ascii_uppercase());
            } else if let Some(comment) = self.comment()? {
                view.comment = Some(comment);
            } else {
                break;
            }
        }
        self.expect_keyword("AS")?;
        let select = self.query()?;
        let comment = self.comment()?.or(view.comment);
        Ok(Statement::CreateView(Box::new(CreateView {
            name,
            uuid,
            materialized,
            if_not_exists,
            or_replace,
            attach,
            cluster,
            columns: columns.columns,
            to: view.to,
            engine: view.engine,
            populate: view.populate,
            populate_from: view.populate_from,
            empty: view.empty,
            refresh,
            security: (!view.security.is_empty()).then(|| view.security.trim_end().to_string()),
            select,
            comment,
        })))
    }

    /// `REFRESH EVERY 1 HOUR [OFFSET …] [RANDOMIZE FOR …] [DEPENDS ON …] [SETTINGS …] [APPEND]` as text.
    fn refresh(&mut self) -> Result<Option<String>> {
        if !self.take_keyword("REFRESH") {
            return Ok(None);
        }
        let mut text = String::from("REFRESH");
        let stop = ["TO", "ENGINE", "AS", "EMPTY", "POPULATE", "DEFINER", "SQL", "COMMENT"];
        while !self.at_end() && !self.symbol_ahead(0, "(") && !self.symbol_ahead(0, ";") {
            if stop.iter().any(|word| self.keyword_ahead(0, word)) {
                break;
            }
            let token = self.advance();
            let word = self.text_of(token);
            if word != "," && word != "." && !text.ends_with('.') {
                text.push(' ');
            }
            text.push_str(&if self.is_plain_word(word) {
                word.to_ascii_uppercase()
            } else {
                word.into()
            });
        }
        Ok(Some(text))
    }

    fn is_plain_word(&self, word: &str) -> bool {
        let upper = word.to_ascii_uppercase();
        let words =
            ["EVERY", "AFTER", "OFFSET", "RANDOMIZE", "FOR", "DEPENDS", "ON", "APPEND", "SETTINGS"];
        words.contains(&upper.as_str()) || super::special::interval_unit(word).is_some()
    }

    /// `ATTACH TABLE t`, or a whole definition with ATTACH instead of CREATE.
    pub(super) fn attach(&mut self) -> Result<Statement> {
        if let Some(kind) = self.entity_kind() {
            return self.entity(kind, Manner::Attach);
        }
        let kind = match self.take_any_keyword(&[
            "DATABASE",
            "TABLE",
            "DICTIONARY",
            "MATERIALIZED VIEW",
            "VIEW",
        ]) {
            Some("DATABASE") => ObjectKind::Database,
            Some("DICTIONARY") => ObjectKind::Dictionary,
            Some("MATERIALIZED VIEW") => return self.create_view(true, false, true),
            Some("VIEW") => return self.create_view(false, false, true),
            _ => ObjectKind::Table,
        };
        let before = self.index;
        let if_not_exists = self.if_not_exists();
        let name = self.table_name()?;
        self.on_cluster()?;
        let bare = self.at_end() || self.symbol_ahead(0, ";") || self.keyword_ahead(0, "FORMAT");
        if kind == ObjectKind::Table && !bare {
            self.index = before;
            return self.create_table(false, false, true);
        }
        Ok(Statement::Attach { kind, name, if_not_exists })
    }
}

/// What stands between a view's name and AS.
#[derive(Default)]
struct View {
    to: Option<crate::sql::ast::TableName>,
    engine: EngineClause,
    populate: bool,
    populate_from: Option<String>,
    empty: bool,
    security: String,
    comment: Option<String>,
}
