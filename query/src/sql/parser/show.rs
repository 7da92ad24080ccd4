//! Statements that ask about the server or tell it something: SHOW, DESCRIBE, EXISTS, SYSTEM, KILL.

use super::Parser;
use crate::error::Result;
use crate::sql::ast::{ObjectKind, Show, ShowFilter, Statement, SystemCommand, TableName};
use crate::sql::lexer::TokenKind;

impl Parser<'_> {
    /// Behind SHOW.
    pub(super) fn show(&mut self) -> Result<Statement> {
        self.show_what().map(Statement::Show)
    }

    fn show_what(&mut self) -> Result<Show> {
        if self.take_keyword("DATABASES") {
            return Ok(Show::Databases(self.show_filter()?));
        }
        let direct = ["TABLE", "VIEW", "DATABASE", "DICTIONARY", "TEMPORARY TABLE"];
        if self.take_keyword("CREATE") || direct.iter().any(|word| self.keyword_ahead(0, word)) {
            return self.show_create();
        }
        if self.take_keyword("CHANGED SETTINGS") {
            return Ok(Show::Settings { changed: true, filter: self.show_filter()? });
        }
        if self.keyword_ahead(0, "SETTINGS") && !self.keyword_ahead(1, "PROFILES") {
            self.index += 1;
            return Ok(Show::Settings { changed: false, filter: self.show_filter()? });
        }
        if self.take_any_keyword(&["FULL PROCESSLIST", "PROCESSLIST"]).is_some() {
            return Ok(Show::Processlist);
        }
        if self.take_keyword("FUNCTIONS") {
            return Ok(Show::Functions(self.show_filter()?));
        }
        if self.take_keyword("ENGINES") {
            return Ok(Show::Engines);
        }
        if self.take_keyword("GRANTS") {
            return Ok(Show::Grants(self.show_grants()?));
        }
        self.show_lists()
    }

    /// TABLES, COLUMNS, INDEXES and DICTIONARIES, with FULL, EXTENDED or TEMPORARY before them.
    fn show_lists(&mut self) -> Result<Show> {
        let before = self.index;
        let extended = self.take_keyword("EXTENDED");
        let full = self.take_keyword("FULL");
        let temporary = self.take_keyword("TEMPORARY");
        if self.take_keyword("TABLES") {
            let from = self.from_database()?;
            return Ok(Show::Tables { from, full, temporary, filter: self.show_filter()? });
        }
        if self.take_any_keyword(&["COLUMNS", "FIELDS"]).is_some() {
            let table = self.from_table()?;
            return Ok(Show::Columns { table, full, extended, filter: self.show_filter()? });
        }
        if self.take_any_keyword(&["INDEXES", "INDEX", "INDICES", "KEYS"]).is_some() {
            let table = self.from_table()?;
            let where_ = if self.take_keyword("WHERE") { Some(self.expression()?) } else { None };
            return Ok(Show::Indexes { table, extended, where_ });
        }
        if self.take_keyword("DICTIONARIES") {
            let from = self.from_database()?;
            return Ok(Show::Dictionaries { from, filter: self.show_filter()? });
        }
        self.index = before;
        let known = [
            "CLUSTERS",
            "CLUSTER",
            "ACCESS",
            "USERS",
            "ROLES",
            "CURRENT",
            "ENABLED",
            "ROW",
            "POLICIES",
            "QUOTAS",
            "QUOTA",
            "PROFILES",
            "SETTINGS",
            "PRIVILEGES",
            "MERGES",
            "FILESYSTEM",
            "SETTING",
            "TYPES",
        ];
        match known.iter().any(|word| self.at_keyword(word)) {
            true => self.show_other(""),
            false => Err(self.unexpected()),
        }
    }

    fn show_other(&mut self, first: &str) -> Result<Show> {
        let text = self.kept_words(first)?.trim().to_string();
        match super::kept::shown(&text) {
            Some(_) => Ok(Show::Other(text)),
            None => Err(self.unexpected()),
        }
    }

    fn from_database(&mut self) -> Result<Option<String>> {
        match self.take_any_keyword(&["FROM", "IN"]) {
            Some(_) => self.name().map(Some),
            None => Ok(None),
        }
    }

    /// `FROM table [FROM database]`, `FROM database.table`.
    fn from_table(&mut self) -> Result<TableName> {
        if self.take_any_keyword(&["FROM", "IN"]).is_none() {
            return Err(self.unexpected());
        }
        let mut table = self.table_name()?;
        if let Some(database) = self.from_database()? {
            table.database = Some(database);
        }
        Ok(table)
    }

    /// `[NOT] LIKE 'x'`, `WHERE …`, `LIMIT n`.
    fn show_filter(&mut self) -> Result<ShowFilter> {
        let mut filter = ShowFilter::default();
        let negated = self.take_keyword("NOT");
        match self.take_any_keyword(&["LIKE", "ILIKE"]) {
            Some(word) => filter.like = Some((self.string()?, word == "ILIKE", negated)),
            None if negated => return Err(self.unexpected()),
            None if self.take_keyword("WHERE") => filter.where_ = Some(self.expression()?),
            None => {}
        }
        if self.take_keyword("LIMIT") {
            filter.limit = Some(self.expression()?);
        }
        Ok(filter)
    }

    fn show_create(&mut self) -> Result<Show> {
        if !self.symbol_ahead(1, ".")
            && !self.symbol_ahead(1, ";")
            && let Some(shown) = self.shown_entities()?
        {
            return Ok(Show::CreateEntities(shown));
        }
        self.take_keyword("TEMPORARY");
        let kind = self.object_word();
        let name = match kind {
            Some(ObjectKind::Database) => TableName { database: None, name: self.name()? },
            _ => self.table_name()?,
        };
        Ok(Show::Create { kind: kind.unwrap_or(ObjectKind::Table), name })
    }

    /// TABLE, DATABASE, VIEW or DICTIONARY, unless it is the name itself.
    fn object_word(&mut self) -> Option<ObjectKind> {
        if !matches!(
            self.ahead(1).kind,
            TokenKind::Word | TokenKind::QuotedName | TokenKind::Symbol
        ) {
            return None;
        }
        if self.symbol_ahead(1, ".") || self.symbol_ahead(1, ";") {
            return None;
        }
        let word = self.take_any_keyword(&["DATABASE", "TABLE", "VIEW", "DICTIONARY"])?;
        Some(match word {
            "DATABASE" => ObjectKind::Database,
            "VIEW" => ObjectKind::View,
            "DICTIONARY" => ObjectKind::Dictionary,
            _ => ObjectKind::Table,
        })
    }

    /// Behind DESCRIBE.
    pub(super) fn describe(&mut self) -> Result<Statement> {
        let followed = !matches!(self.ahead(1).kind, TokenKind::End) && !self.symbol_ahead(1, ".");
        if self.keyword_ahead(0, "TABLE") && !followed && !self.symbol_ahead(1, ".") {
            return Err(self.unexpected());
        }
        if self.keyword_ahead(0, "TABLE") && followed && !self.symbol_ahead(1, ";") {
            self.index += 1;
        }
        if self.at_query() {
            let query = Box::new(self.query()?);
            let table = crate::sql::ast::TableExpr::Subquery {
                query,
                alias: None,
                columns: vec![],
                final_: false,
            };
            return Ok(Statement::Describe { table, settings: Vec::new() });
        }
        let table = self.table_expression()?;
        let settings = match self.take_keyword("SETTINGS") {
            true => self.settings()?,
            false => Vec::new(),
        };
        Ok(Statement::Describe { table, settings })
    }

    /// Behind EXISTS.
    pub(super) fn exists_statement(&mut self) -> Result<Statement> {
        let temporary = self.take_keyword("TEMPORARY");
        let kind = self.object_word().unwrap_or(ObjectKind::Table);
        let name = match kind {
            ObjectKind::Database => TableName { database: None, name: self.name()? },
            _ => self.table_name()?,
        };
        Ok(Statement::Exists { kind, name, temporary })
    }

    /// Behind SYSTEM: words in upper case up to a table name, if there is one.
    pub(super) fn system(&mut self) -> Result<Statement> {
        let verbs = [
            "FLUSH",
            "STOP",
            "START",
            "RELOAD",
            "SYNC",
            "DROP",
            "CLEAR",
            "SHUTDOWN",
            "KILL",
            "RESTART",
            "RESTORE",
            "ENABLE",
            "DISABLE",
            "WAIT",
            "REFRESH",
            "CANCEL",
            "PAUSE",
            "RESUME",
            "SEEK",
            "UNFREEZE",
            "SUSPEND",
            "JEMALLOC",
            "LOAD",
            "UNLOAD",
            "TEST",
            "PREWARM",
            "DETACH",
            "UNLOCK",
            "NOTIFY",
            "RECONNECT",
            "INSTRUMENT",
            "RESET",
            "ALLOCATE",
            "FREE",
            "SCHEDULE",
        ];
        if !verbs.iter().any(|verb| self.at_keyword(verb)) {
            return Err(self.unexpected());
        }
        if self.keyword_ahead(1, "QUARANTINED") {
            return self.kept_as_text("SYSTEM");
        }
        let start = self.token().start;
        let mut words = Vec::new();
        let mut table = None;
        while matches!(self.token().kind, TokenKind::Word | TokenKind::QuotedName) {
            let token = self.token();
            let text = self.text_of(token);
            let schema = self.keyword_ahead(1, "SCHEMA");
            if (self.keyword_ahead(0, "FORMAT") && !schema) || self.keyword_ahead(0, "SETTINGS") {
                break;
            }
            if self.keyword_ahead(0, "ON CLUSTER") {
                self.on_cluster()?;
                continue;
            }
            let quoted = token.kind == TokenKind::QuotedName || self.symbol_ahead(1, ".");
            if quoted
                || (!SYSTEM_WORDS.contains(&text.to_ascii_uppercase().as_str())
                    && !words.is_empty())
            {
                table = Some(self.table_name()?);
                break;
            }
            self.index += 1;
            words.push(text.to_ascii_uppercase());
        }
        // What else may stand there (STRICT, FROM 'zookeeper' …) says nothing to us.
        let mut rest = Vec::new();
        while !self.at_end() && !self.symbol_ahead(0, ";") && !self.keyword_ahead(0, "FORMAT") {
            let token = self.token();
            rest.push(self.text_of(token).to_string());
            self.index += 1;
        }
        if super::kept::system(&self.text[start..self.previous_end()]).is_none() {
            return Err(self.unexpected());
        }
        Ok(Statement::System(SystemCommand { words, table, rest }))
    }

    /// Behind KILL.
    pub(super) fn kill(&mut self) -> Result<Statement> {
        let mutation = match self.take_any_keyword(&[
            "QUERY",
            "MUTATION",
            "TRANSACTION",
            "PART_MOVE_TO_SHARD",
        ]) {
            Some("QUERY") => false,
            Some("MUTATION") => true,
            Some(other) => return self.kept_as_text(&format!("KILL {other}")),
            None => return Err(self.unexpected()),
        };
        self.on_cluster()?;
        self.expect_keyword("WHERE")?;
        let where_ = self.expression()?;
        let sync = self.take_any_keyword(&["SYNC", "ASYNC", "TEST"]) == Some("SYNC");
        Ok(Statement::KillQuery { mutation, where_, sync })
    }
}

/// Words of SYSTEM commands; any other word is a table.
const SYSTEM_WORDS: [&str; 84] = [
    "ASYNCHRONOUS",
    "CONDITION",
    "VECTOR",
    "SIMILARITY",
    "TRANSACTION",
    "LOADING",
    "FLUSH",
    "LOGS",
    "DISTRIBUTED",
    "ASYNC",
    "INSERT",
    "QUEUE",
    "STOP",
    "START",
    "MERGES",
    "TTL",
    "MOVES",
    "FETCHES",
    "REPLICATED",
    "SENDS",
    "REPLICATION",
    "QUEUES",
    "PULLING",
    "LOG",
    "CLEANUP",
    "LISTEN",
    "VIEW",
    "VIEWS",
    "RELOAD",
    "CONFIG",
    "DICTIONARIES",
    "DICTIONARY",
    "EMBEDDED",
    "FUNCTIONS",
    "FUNCTION",
    "USERS",
    "SYNC",
    "REPLICA",
    "DATABASE",
    "FILE",
    "CACHE",
    "DROP",
    "CLEAR",
    "MARK",
    "UNCOMPRESSED",
    "DNS",
    "QUERY",
    "COMPILED",
    "EXPRESSION",
    "SCHEMA",
    "FORMAT",
    "FILESYSTEM",
    "INDEX",
    "MMAP",
    "PAGE",
    "SHUTDOWN",
    "KILL",
    "RESTART",
    "REPLICAS",
    "RESTORE",
    "ENABLE",
    "DISABLE",
    "FAILPOINT",
    "WAIT",
    "REFRESH",
    "CANCEL",
    "PAUSE",
    "RESUME",
    "UNFREEZE",
    "WITH",
    "NAME",
    "SUSPEND",
    "FOR",
    "JEMALLOC",
    "LOAD",
    "UNLOAD",
    "PRIMARY",
    "KEY",
    "PURGE",
    "TEST",
    "S3",
    "CLIENT",
    "STREAM",
    "METADATA",
];
