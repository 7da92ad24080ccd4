//! Statements about whole tables and databases: DROP, DETACH, UNDROP, TRUNCATE, RENAME, EXCHANGE,
//! OPTIMIZE, CHECK.

use super::Parser;
use crate::error::Result;
use crate::sql::ast::{Expr, ObjectKind, Statement, TableName};

impl Parser<'_> {
    /// Behind the first word.
    pub(super) fn manage(&mut self, word: &str) -> Result<Statement> {
        match word {
            "DROP" => self.drop(),
            "DETACH" => self.detach(),
            "TRUNCATE" => self.truncate(),
            "RENAME" => self.rename(),
            "EXCHANGE" => self.exchange(),
            "OPTIMIZE" => self.optimize(),
            "CHECK" if self.at_keyword("TABLE") => {
                let start = self.index;
                self.take_keyword("TABLE");
                let name = self.table_name()?;
                if self.at_keyword("PARTITION") || self.at_keyword("PART") {
                    self.index = start;
                    return self.kept_as_text(word);
                }
                Ok(Statement::Check { name })
            }
            "CHECK" if self.take_keyword("GRANT") => self.check_grant(),
            _ => self.kept_as_text(word),
        }
    }

    /// DATABASE, TABLE, VIEW or DICTIONARY; TABLE if no word is here.
    fn object_kind(&mut self) -> Option<ObjectKind> {
        let word = self.take_any_keyword(&["DATABASE", "TABLE", "VIEW", "DICTIONARY"])?;
        Some(match word {
            "DATABASE" => ObjectKind::Database,
            "VIEW" => ObjectKind::View,
            "DICTIONARY" => ObjectKind::Dictionary,
            _ => ObjectKind::Table,
        })
    }

    /// The name of an object: a database's is in `name` alone.
    fn object_name(&mut self, kind: ObjectKind) -> Result<TableName> {
        match kind {
            ObjectKind::Database => Ok(TableName { database: None, name: self.name()? }),
            _ => self.table_name(),
        }
    }

    fn drop(&mut self) -> Result<Statement> {
        if let Some(kind) = self.entity_kind() {
            return self.drop_entities(kind);
        }
        let others = ["FUNCTION", "NAMED COLLECTION", "INDEX"];
        if others.iter().any(|kind| self.keyword_ahead(0, kind)) {
            return self.kept_as_text("DROP");
        }
        let temporary = self.take_any_keyword(&["TEMPORARY", "TEMP"]).is_some();
        let Some(kind) = self.object_kind() else { return Err(self.unexpected()) };
        let if_exists = self.if_exists();
        let if_empty = self.take_keyword("IF EMPTY");
        let names = self.comma_list(|p| p.object_name(kind))?;
        let cluster = self.on_cluster()?;
        self.take_keyword("PERMANENTLY");
        let sync = self.sync();
        Ok(Statement::Drop { kind, names, cluster, if_exists, if_empty, temporary, sync })
    }

    fn sync(&mut self) -> bool {
        self.take_keyword("SYNC") || self.take_keyword("NO DELAY")
    }

    fn detach(&mut self) -> Result<Statement> {
        let Some(kind) = self.object_kind() else { return Err(self.unexpected()) };
        let if_exists = self.if_exists();
        let name = self.object_name(kind)?;
        self.on_cluster()?;
        let permanently = self.take_keyword("PERMANENTLY");
        let sync = self.sync();
        Ok(Statement::Detach { kind, name, if_exists, permanently, sync })
    }

    fn truncate(&mut self) -> Result<Statement> {
        if self.keyword_ahead(0, "ALL TABLES") || self.keyword_ahead(0, "TABLES FROM") {
            return self.kept_as_text("TRUNCATE");
        }
        self.take_any_keyword(&["TEMPORARY", "TEMP"]);
        let kind = self.object_kind().unwrap_or(ObjectKind::Table);
        let if_exists = self.if_exists();
        let name = self.object_name(kind)?;
        self.on_cluster()?;
        let sync = self.sync();
        Ok(Statement::Truncate { kind, name, if_exists, sync })
    }

    /// `RENAME TABLE a TO b, c TO d`.
    fn rename(&mut self) -> Result<Statement> {
        let kind = self.object_kind().unwrap_or(ObjectKind::Table);
        self.if_exists();
        let pairs = self.comma_list(|p| {
            let from = p.object_name(kind)?;
            p.expect_keyword("TO")?;
            Ok((from, p.object_name(kind)?))
        })?;
        self.on_cluster()?;
        Ok(Statement::Rename { kind, pairs, exchange: false })
    }

    fn exchange(&mut self) -> Result<Statement> {
        let kind = match self.take_any_keyword(&["TABLES", "DICTIONARIES"]) {
            Some("TABLES") => ObjectKind::Table,
            Some(_) => ObjectKind::Dictionary,
            None => return Err(self.unexpected()),
        };
        let pairs = self.comma_list(|p| {
            let from = p.table_name()?;
            p.expect_keyword("AND")?;
            Ok((from, p.table_name()?))
        })?;
        self.on_cluster()?;
        Ok(Statement::Rename { kind, pairs, exchange: true })
    }

    fn optimize(&mut self) -> Result<Statement> {
        self.expect_keyword("TABLE")?;
        let name = self.table_name()?;
        self.on_cluster()?;
        let partition =
            if self.take_keyword("PARTITION") { Some(self.partition_value()?) } else { None };
        let final_ = self.take_any_keyword(&["FINAL", "FORCE"]).is_some();
        let deduplicate = self.take_keyword("DEDUPLICATE");
        let mut deduplicate_by = Vec::new();
        if deduplicate && self.take_keyword("BY") {
            deduplicate_by = self.comma_list(Self::expression)?;
        }
        let cleanup = self.take_keyword("CLEANUP");
        Ok(Statement::Optimize { name, partition, final_, deduplicate, deduplicate_by, cleanup })
    }

    /// The value behind PARTITION: an expression, or `ID 'x'` (a call of `ID`), or ALL.
    pub(super) fn partition_value(&mut self) -> Result<Expr> {
        if self.keyword_ahead(0, "ID") && self.ahead(1).kind == crate::sql::lexer::TokenKind::String
        {
            self.index += 1;
            let id = self.string_literal()?;
            return Ok(super::expression::operator("ID", vec![id]));
        }
        self.expression()
    }

    pub(super) fn in_partition(&mut self) -> Result<Option<Expr>> {
        match self.take_keyword("IN PARTITION") {
            true => self.partition_value().map(Some),
            false => Ok(None),
        }
    }
}
