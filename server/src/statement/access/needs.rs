//! What a statement needs, in ClickHouse's words and order. What is not known here needs everything.
//!
//! Names are looked up, where what is needed depends on what they are; what is not there is told by those who carry
//! the statement out.

use pumphouse_query::Result;
use pumphouse_query::privileges::Privileges;
use pumphouse_query::sql::access::*;
use pumphouse_query::sql::ast::*;
use pumphouse_query::sql::names_in;

use super::reads::{Behind, behind};
use super::shown::shown_need;
use crate::statement::{Run, Words};

/// Engines that reach outside of the server: made only by who holds TABLE ENGINE on them.
const SOURCE_ENGINES: &[&str] =
    &["Kafka", "File", "URL", "FileLog", "Distributed", "S3", "MySQL", "PostgreSQL"];

impl Run<'_> {
    /// Error 497 unless the user may run `statement`.
    pub(in crate::statement) fn require_access(&self, statement: &Statement) -> Result<()> {
        if self.access.everything {
            return Ok(());
        }
        match statement {
            Statement::Query(query) => self.require_reads(query),
            Statement::Insert(insert) => self.insert_needs(insert),
            Statement::Explain(explain) => match explain.kind {
                ExplainKind::Ast | ExplainKind::Syntax | ExplainKind::Transaction => Ok(()),
                _ => self.require_access(&explain.statement),
            },
            Statement::CreateDatabase { name, .. } => self.need(&["CREATE DATABASE"], &[name]),
            Statement::CreateTable(create) => self.create_needs(create),
            Statement::CreateView(create) => self.view_needs(create),
            Statement::Drop { temporary: true, .. } => Ok(()),
            Statement::Drop { kind, names, .. } => {
                names.iter().try_for_each(|name| self.drop_needs(*kind, name))
            }
            Statement::Detach { kind, name, .. } => self.drop_needs(*kind, name),
            Statement::Attach { kind, name, .. } => match kind {
                ObjectKind::Database => self.need(&["CREATE DATABASE"], &[&name.name]),
                ObjectKind::Dictionary => self.need_on(&["CREATE DICTIONARY"], name),
                ObjectKind::View => self.need_on(&["CREATE VIEW"], name),
                ObjectKind::Table => self.need_on(&["CREATE TABLE"], name),
            },
            Statement::Truncate { kind: ObjectKind::Database, name, .. } => {
                self.need(&["DROP DATABASE"], &[&name.name])
            }
            Statement::Truncate { name, .. } if self.temporary(name).is_some() => Ok(()),
            Statement::Truncate { name, .. } => self.need_on(&["TRUNCATE"], name),
            Statement::Rename { kind, pairs, exchange } => {
                self.rename_needs(*kind, pairs, *exchange)
            }
            Statement::Optimize { name, .. } => self.need_on(&["OPTIMIZE"], name),
            Statement::Alter(alter) => {
                alter.commands.iter().try_for_each(|c| self.alter_needs(&alter.name, c))
            }
            Statement::Delete(alter) | Statement::Update(alter) => {
                alter.commands.iter().try_for_each(|c| self.alter_needs(&alter.name, c))
            }
            Statement::Check { name } => self.need_on(&["CHECK"], name),
            Statement::Access(access) => self.access_needs(access),
            Statement::Set(_) | Statement::KillQuery { mutation: false, .. } => Ok(()),
            Statement::KillQuery { .. } => self.need(&["ALTER UPDATE", "ALTER DELETE"], &[]),
            Statement::Use(database) => self.need_shown("SHOW DATABASES", &[database]),
            Statement::Describe { table, .. } => self.describe_needs(table),
            Statement::Exists { temporary: true, .. } => Ok(()),
            Statement::Exists { kind, name, .. } => match kind {
                ObjectKind::Database => self.need_shown("SHOW DATABASES", &[&name.name]),
                ObjectKind::Dictionary => self.need_on(&["SHOW DICTIONARIES"], name),
                _ => self.need_on(&["SHOW TABLES"], name),
            },
            Statement::Show(show) => self.show_needs(show),
            Statement::System(command) => self.system_needs(command),
            Statement::Other(text) => self.other_needs(text),
        }
    }

    /// All of these on a database, a table or nothing.
    fn need(&self, privileges: &[&'static str], names: &[&str]) -> Result<()> {
        self.access.require(Privileges::of_all(privileges), names, &[])
    }

    fn need_on(&self, privileges: &[&'static str], name: &TableName) -> Result<()> {
        self.need(privileges, &[self.database(&name.database), &name.name])
    }

    fn need_columns(
        &self,
        privilege: &'static str,
        name: &TableName,
        columns: &[String],
    ) -> Result<()> {
        let names = [self.database(&name.database), &name.name];
        self.access.require(Privileges::of(privilege), &names, columns)
    }

    /// What may be shown also where only something below is.
    fn need_shown(&self, privilege: &'static str, names: &[&str]) -> Result<()> {
        match self.access.holds_some(Privileges::of(privilege), names) {
            true => Ok(()),
            false => self.need(&[privilege], names),
        }
    }

    fn insert_needs(&self, insert: &Insert) -> Result<()> {
        if let Some(name) = &insert.table
            && self.temporary(name).is_none()
        {
            let database = self.database(&name.database).to_string();
            let state = self.server.store.snapshot();
            let columns: Vec<String> = match &insert.columns {
                None => match state.table(&database, &name.name) {
                    Some(table) => {
                        table.definition.columns.iter().map(|c| c.name.clone()).collect()
                    }
                    None => vec![],
                },
                Some(list) if list.iter().all(|e| matches!(e.kind, ExprKind::Identifier(_))) => {
                    list.iter().flat_map(names_in).collect()
                }
                Some(_) => vec![],
            };
            self.need_columns("INSERT", name, &columns)?;
        }
        if let Some(TableExpr::Function { name, arguments, .. }) = &insert.function {
            self.require_function(name, true)?;
            if name.starts_with("remote") || name.starts_with("cluster") {
                self.remote_target(arguments)?;
            }
        }
        match &insert.source {
            InsertSource::Query(query) => self.require_reads(query),
            _ => Ok(()),
        }
    }

    /// The table of `INSERT INTO FUNCTION remote(…)`.
    fn remote_target(&self, arguments: &[Expr]) -> Result<()> {
        let words: Vec<String> = arguments
            .iter()
            .skip(1)
            .map(|e| match &e.kind {
                ExprKind::Identifier(parts) => parts.join("."),
                ExprKind::Literal { value: pumphouse_storage::Value::String(text), .. } => {
                    String::from_utf8_lossy(text).into_owned()
                }
                _ => String::new(),
            })
            .collect();
        let joined = words.iter().take(2).cloned().collect::<Vec<_>>().join(".");
        match joined.split_once('.') {
            Some((database, table)) => {
                self.need(&["INSERT"], &[database, table.split('.').next().unwrap_or(table)])
            }
            None => self.need(&["INSERT"], &[]),
        }
    }

    fn create_needs(&self, create: &CreateTable) -> Result<()> {
        let engine = create.engine.name.as_deref();
        if create.temporary {
            match engine {
                None | Some("Memory") => self.need(&["CREATE TEMPORARY TABLE"], &[])?,
                Some(_) => self.need(&["CREATE ARBITRARY TEMPORARY TABLE"], &[])?,
            }
        } else {
            if create.or_replace || create.replace {
                self.need_on(&["DROP TABLE"], &create.name)?;
            }
            self.need_on(&["CREATE TABLE"], &create.name)?;
        }
        if let Some(engine) = engine.filter(|e| SOURCE_ENGINES.contains(e)) {
            self.need(&["TABLE ENGINE"], &[engine])?;
        }
        if engine == Some("Buffer") {
            self.buffer_needs(create)?;
        }
        if let Some(other) = &create.as_table {
            self.need_on(&["SHOW COLUMNS"], other)?;
            if create.clone_as {
                self.need_on(&["SELECT"], other)?;
            }
            self.copied_engine_needs(other)?;
        }
        if let Some(query) = &create.as_query {
            self.require_reads(query)?;
        }
        match &create.as_function {
            Some(function) => self.reads_of_table(function),
            None => Ok(()),
        }
    }

    /// A buffer writes to its destination and reads it.
    fn buffer_needs(&self, create: &CreateTable) -> Result<()> {
        let arguments = create.engine.arguments.as_deref().unwrap_or_default();
        let word = |i: usize| match arguments.get(i).map(|e| &e.kind) {
            Some(ExprKind::Identifier(parts)) => parts.join("."),
            Some(ExprKind::Literal { value: pumphouse_storage::Value::String(text), .. }) => {
                String::from_utf8_lossy(text).into_owned()
            }
            _ => String::new(),
        };
        let (database, table) = (word(0), word(1));
        if table.is_empty() {
            return Ok(());
        }
        let database = if database.is_empty() { self.context.database.clone() } else { database };
        self.need(&["SELECT", "INSERT"], &[&database, &table])
    }

    /// `CREATE TABLE a AS b` takes b's engine.
    fn copied_engine_needs(&self, other: &TableName) -> Result<()> {
        let state = self.server.store.snapshot();
        let Some(table) = state.table(self.database(&other.database), &other.name) else {
            return Ok(());
        };
        match SOURCE_ENGINES.contains(&table.definition.engine.as_str()) {
            true => self.need(&["TABLE ENGINE"], &[&table.definition.engine]),
            false => Ok(()),
        }
    }

    fn reads_of_table(&self, table: &TableExpr) -> Result<()> {
        let select = Select {
            items: vec![Expr::new(ExprKind::Asterisk(vec![]))],
            from: Some(table.clone()),
            ..Select::default()
        };
        self.require_reads(&Query::new(QueryBody::Select(Box::new(select))))
    }

    fn view_needs(&self, create: &CreateView) -> Result<()> {
        match create.or_replace {
            true => self.need_on(&["CREATE VIEW", "DROP VIEW"], &create.name)?,
            false => self.need_on(&["CREATE VIEW"], &create.name)?,
        }
        if let Some(to) = &create.to {
            self.need_on(&["SELECT", "INSERT"], to)?;
        }
        match behind(create.security.as_deref()) {
            Behind::Nobody => self.need(&["ALLOW SQL SECURITY NONE"], &[])?,
            Behind::Definer(user) => self.definer_needs(create.security.as_deref(), &user)?,
            Behind::Invoker => {}
        }
        let mut query = create.select.clone();
        crate::statement::create::qualify(&mut query, self.database(&create.name.database));
        self.require_reads(&query)
    }

    fn definer_needs(&self, security: Option<&str>, user: &str) -> Result<()> {
        let named = security.is_some_and(|s| s.contains("DEFINER ="));
        let own = user.eq_ignore_ascii_case("CURRENT_USER") || user == self.context.user;
        match named && !own {
            true => self.need(&["SET DEFINER"], &[user]),
            false => Ok(()),
        }
    }

    fn drop_needs(&self, kind: ObjectKind, name: &TableName) -> Result<()> {
        if kind == ObjectKind::Database {
            return self.need(&["DROP DATABASE"], &[&name.name]);
        }
        if self.temporary(name).is_some() {
            return Ok(());
        }
        let state = self.server.store.snapshot();
        let table = state.table(self.database(&name.database), &name.name);
        let engine = table.map(|t| t.definition.engine.as_str());
        match (kind, engine) {
            // What is not there is told so.
            (_, None) => Ok(()),
            (ObjectKind::Dictionary, _) | (_, Some("Dictionary")) => {
                self.need_on(&["DROP DICTIONARY"], name)
            }
            (ObjectKind::View, _) | (_, Some("View" | "MaterializedView")) => {
                self.need_on(&["DROP VIEW"], name)
            }
            _ => self.need_on(&["DROP TABLE"], name),
        }
    }

    fn rename_needs(
        &self,
        kind: ObjectKind,
        pairs: &[(TableName, TableName)],
        exchange: bool,
    ) -> Result<()> {
        for (from, to) in pairs {
            if kind == ObjectKind::Database {
                self.need(&["SELECT", "DROP DATABASE"], &[&from.name])?;
                self.need(&["CREATE DATABASE", "INSERT"], &[&to.name])?;
                continue;
            }
            self.need_on(&["SELECT", "DROP TABLE"], from)?;
            self.need_on(&["INSERT", "CREATE TABLE"], to)?;
            if exchange {
                self.need_on(&["INSERT", "CREATE TABLE"], from)?;
                self.need_on(&["SELECT", "DROP TABLE"], to)?;
            }
        }
        Ok(())
    }

    fn alter_needs(&self, table: &TableName, command: &AlterCommand) -> Result<()> {
        let column = |privilege, name: &String| {
            self.need_columns(privilege, table, std::slice::from_ref(name))
        };
        match command {
            AlterCommand::AddColumn { column: c, .. } => column("ALTER ADD COLUMN", &c.name),
            AlterCommand::DropColumn { name, .. } => column("ALTER DROP COLUMN", name),
            AlterCommand::ClearColumn { name, .. } => column("ALTER CLEAR COLUMN", name),
            AlterCommand::ModifyColumn { column: c, .. } => column("ALTER MODIFY COLUMN", &c.name),
            AlterCommand::RenameColumn { from, .. } => column("ALTER RENAME COLUMN", from),
            AlterCommand::CommentColumn { name, .. } => column("ALTER COMMENT COLUMN", name),
            AlterCommand::ModifyComment(_) => self.need_on(&["ALTER MODIFY COMMENT"], table),
            AlterCommand::ModifyOrderBy(_) => self.need_on(&["ALTER ORDER BY"], table),
            AlterCommand::ModifyTtl(_) | AlterCommand::RemoveTtl => {
                self.need_on(&["ALTER TTL"], table)
            }
            AlterCommand::ModifySetting(_) | AlterCommand::ResetSetting(_) => {
                self.need_on(&["ALTER SETTINGS"], table)
            }
            AlterCommand::ModifyQuery(query) => {
                self.need_on(&["ALTER VIEW MODIFY QUERY"], table)?;
                self.require_reads(query)
            }
            AlterCommand::Update { assignments, where_, .. } => {
                let names: Vec<String> = assignments.iter().map(|(name, _)| name.clone()).collect();
                self.need_columns("ALTER UPDATE", table, &names)?;
                let exprs = assignments.iter().map(|(_, e)| e).chain([where_]);
                exprs.into_iter().try_for_each(|e| self.subqueries_needs(e))
            }
            AlterCommand::Delete { where_, .. } => {
                self.need_on(&["ALTER DELETE"], table)?;
                self.subqueries_needs(where_)
            }
            AlterCommand::DropPartition { .. } => self.need_on(&["ALTER DELETE"], table),
            AlterCommand::AddProjection { .. } => self.need_on(&["ALTER ADD PROJECTION"], table),
            AlterCommand::AddIndex { .. } => self.need_on(&["ALTER ADD INDEX"], table),
            AlterCommand::AddConstraint { .. } => self.need_on(&["ALTER ADD CONSTRAINT"], table),
            AlterCommand::Other(text) => self.alter_words_needs(table, text),
        }
    }

    /// Queries in the expressions of mutations.
    fn subqueries_needs(&self, expr: &Expr) -> Result<()> {
        let mut found = vec![];
        let mut expr = expr.clone();
        pumphouse_query::sql::replace_subqueries::<pumphouse_query::Error>(
            &mut expr,
            &mut |place, is_set| {
                let query = match &place.kind {
                    ExprKind::Subquery(query) => Some(query),
                    ExprKind::Call(call) if is_set => {
                        match call.arguments.get(1).map(|e| &e.kind) {
                            Some(ExprKind::Subquery(query)) => Some(query),
                            _ => None,
                        }
                    }
                    _ => None,
                };
                found.extend(query.map(|q| (**q).clone()));
                Ok(())
            },
        )?;
        found.iter().try_for_each(|query| self.require_reads(query))
    }

    fn alter_words_needs(&self, table: &TableName, text: &str) -> Result<()> {
        let mut words = Words::of(text);
        let mut at = |list: &[(&str, &'static str)]| {
            list.iter().find(|(begin, _)| words.keyword(begin)).map(|(_, need)| *need)
        };
        const BEGINS: &[(&str, &str)] = &[
            ("DROP INDEX", "ALTER DROP INDEX"),
            ("CLEAR INDEX", "ALTER CLEAR INDEX"),
            ("MATERIALIZE INDEX", "ALTER MATERIALIZE INDEX"),
            ("DROP PROJECTION", "ALTER DROP PROJECTION"),
            ("CLEAR PROJECTION", "ALTER CLEAR PROJECTION"),
            ("MATERIALIZE PROJECTION", "ALTER MATERIALIZE PROJECTION"),
            ("DROP CONSTRAINT", "ALTER DROP CONSTRAINT"),
            ("MATERIALIZE COLUMN", "ALTER MATERIALIZE COLUMN"),
            ("MATERIALIZE TTL", "ALTER MATERIALIZE TTL"),
            ("MATERIALIZE STATISTICS", "ALTER MATERIALIZE STATISTICS"),
            ("ADD STATISTICS", "ALTER ADD STATISTICS"),
            ("MODIFY STATISTICS", "ALTER MODIFY STATISTICS"),
            ("DROP STATISTICS", "ALTER DROP STATISTICS"),
            ("CLEAR STATISTICS", "ALTER DROP STATISTICS"),
            ("MODIFY SAMPLE BY", "ALTER SAMPLE BY"),
            ("REMOVE SAMPLE BY", "ALTER SAMPLE BY"),
            ("REMOVE TTL", "ALTER TTL"),
            ("APPLY DELETED MASK", "ALTER DELETE"),
            ("APPLY PATCHES", "ALTER UPDATE"),
            ("REWRITE PARTS", "ALTER REWRITE PARTS"),
            ("FREEZE", "ALTER FREEZE PARTITION"),
            ("UNFREEZE", "ALTER FREEZE PARTITION"),
            ("FETCH", "ALTER FETCH PARTITION"),
            ("DROP DETACHED", "ALTER DELETE"),
            ("DROP PART", "ALTER DELETE"),
            ("DROP PARTITION", "ALTER DELETE"),
            ("DETACH PART", "ALTER DELETE"),
            ("DETACH PARTITION", "ALTER DELETE"),
            ("FORGET PARTITION", "ALTER DELETE"),
        ];
        if let Some(need) = at(BEGINS) {
            return self.need_on(&[need], table);
        }
        let other = match crate::statement::alter_words::other_table(text) {
            Some((database, name)) => TableName { database, name },
            None => TableName::default(),
        };
        if words.keyword("MOVE") {
            self.need_on(&["ALTER MOVE PARTITION"], table)?;
            return match other.name.is_empty() {
                true => Ok(()),
                false => self.need_on(&["INSERT"], &other),
            };
        }
        if words.keyword("ATTACH") || words.keyword("REPLACE") {
            if other.name.is_empty() {
                return self.need_on(&["INSERT"], table);
            }
            self.need_on(&["SELECT"], &other)?;
            return self.need_on(&["INSERT", "ALTER DELETE"], table);
        }
        self.need_on(&["ALTER TABLE", "ALTER VIEW"], table)
    }

    fn describe_needs(&self, table: &TableExpr) -> Result<()> {
        match table {
            TableExpr::Table { database, name, .. } => {
                let name = TableName { database: database.clone(), name: name.clone() };
                match self.temporary(&name) {
                    Some(_) => Ok(()),
                    None => self.need_on(&["SHOW COLUMNS"], &name),
                }
            }
            TableExpr::Subquery { query, .. } => self.require_reads(query),
            other => self.reads_of_table(other),
        }
    }

    fn show_needs(&self, show: &Show) -> Result<()> {
        match show {
            Show::Create { kind, name } => match kind {
                ObjectKind::Database => self.need_shown("SHOW DATABASES", &[&name.name]),
                ObjectKind::Dictionary => self.need_on(&["SHOW DICTIONARIES"], name),
                _ if self.temporary(name).is_some() => Ok(()),
                _ => self.need_on(&["SHOW COLUMNS"], name),
            },
            Show::Grants(shown) => match &shown.of {
                Some(of) if self.is_own_set(of) => Ok(()),
                Some(of) => {
                    let entities = self.server.access.entities(&self.server.store.snapshot());
                    let is_role = |n: &String| entities.find(EntityKind::Role, n).is_some();
                    match of.all {
                        true => self.need(&["SHOW USERS", "SHOW ROLES"], &[]),
                        false if of.names.iter().all(is_role) => self.need(&["SHOW ROLES"], &[]),
                        false => self.need(&["SHOW USERS"], &[]),
                    }
                }
                None => Ok(()),
            },
            Show::CreateEntities(shown) => self.need(&[shown_need(shown.kind)], &[]),
            Show::Other(text) => {
                let mut words = Words::of(text);
                for (begin, need) in [
                    ("USERS", "SHOW USERS"),
                    ("ROLES", "SHOW ROLES"),
                    ("POLICIES", "SHOW ROW POLICIES"),
                    ("ROW POLICIES", "SHOW ROW POLICIES"),
                    ("QUOTAS", "SHOW QUOTAS"),
                    ("PROFILES", "SHOW SETTINGS PROFILES"),
                    ("SETTINGS PROFILES", "SHOW SETTINGS PROFILES"),
                    ("ACCESS", "SHOW ACCESS"),
                ] {
                    if words.keyword(begin) {
                        return self.need(&[need], &[]);
                    }
                }
                Ok(())
            }
            // Lists show what may be seen.
            _ => Ok(()),
        }
    }

    /// Whether a set names nobody but the user and its roles.
    fn is_own_set(&self, set: &NameSet) -> bool {
        let entities = self.server.access.entities(&self.server.store.snapshot());
        let roles = self.access.enabled_roles.iter().filter_map(|id| entities.get(id));
        let own: Vec<String> = roles.map(|e| e.name()).chain([self.context.user.clone()]).collect();
        !set.all && set.names.iter().all(|name| own.contains(name))
    }

    fn system_needs(&self, command: &SystemCommand) -> Result<()> {
        let words = command.words.join(" ");
        let words = words.replacen("CLEAR ", "DROP ", 1).replace("CACHES", "CACHE");
        let on_table = |need: &'static str| match &command.table {
            Some(name) => self.need_on(&[need], name),
            None => self.need(&[need], &[]),
        };
        if self.is_stream_command(command) {
            return on_table("SYSTEM STREAMING ENGINES");
        }
        for (begin, need) in [
            ("STOP MERGES", "SYSTEM MERGES"),
            ("START MERGES", "SYSTEM MERGES"),
            ("STOP TTL MERGES", "SYSTEM TTL MERGES"),
            ("START TTL MERGES", "SYSTEM TTL MERGES"),
            ("STOP MOVES", "SYSTEM MOVES"),
            ("START MOVES", "SYSTEM MOVES"),
            ("LOAD PRIMARY KEY", "SYSTEM LOAD PRIMARY KEY"),
            ("UNLOAD PRIMARY KEY", "SYSTEM UNLOAD PRIMARY KEY"),
            ("WAIT LOADING PARTS", "SYSTEM WAIT LOADING PARTS"),
            ("SYNC REPLICA", "SYSTEM SYNC REPLICA"),
            ("RESTART REPLICA", "SYSTEM RESTART REPLICA"),
            ("RESTORE REPLICA", "SYSTEM RESTORE REPLICA"),
        ] {
            if words == begin {
                return on_table(need);
            }
        }
        if words.ends_with(" VIEW") || words.ends_with(" VIEWS") {
            return on_table("SYSTEM VIEWS");
        }
        for (begin, need) in [
            ("FLUSH LOGS", "SYSTEM FLUSH LOGS"),
            ("FLUSH ASYNC INSERT QUEUE", "SYSTEM FLUSH ASYNC INSERT QUEUE"),
            ("RELOAD DICTIONAR", "SYSTEM RELOAD DICTIONARY"),
            ("RELOAD CONFIG", "SYSTEM RELOAD CONFIG"),
            ("RELOAD USERS", "SYSTEM RELOAD USERS"),
            ("RELOAD FUNCTION", "SYSTEM RELOAD FUNCTION"),
            ("SHUTDOWN", "SYSTEM SHUTDOWN"),
            ("KILL", "SYSTEM SHUTDOWN"),
            ("UNFREEZE", "SYSTEM UNFREEZE"),
            ("JEMALLOC", "SYSTEM JEMALLOC"),
        ] {
            if words.starts_with(begin) {
                return self.need(&[need], &[]);
            }
        }
        let named = Privileges::named(&format!("SYSTEM {words}"));
        self.access.require(named.unwrap_or_else(|| Privileges::of("SYSTEM")), &[], &[])
    }

    fn other_needs(&self, text: &str) -> Result<()> {
        let mut words = Words::of(text);
        let name_behind = |mut words: Words<'_>| -> Result<TableName> {
            let _ = words.keyword("IF NOT EXISTS") || words.keyword("IF EXISTS");
            let (database, name) = words.table_name()?;
            Ok(TableName { database, name })
        };
        if words.keyword("CREATE OR REPLACE FUNCTION") {
            self.need(&["CREATE FUNCTION"], &[])?;
            return self.need(&["DROP FUNCTION"], &[]);
        }
        if words.keyword("CREATE FUNCTION") {
            return self.need(&["CREATE FUNCTION"], &[]);
        }
        if words.keyword("DROP FUNCTION") {
            return self.need(&["DROP FUNCTION"], &[]);
        }
        if words.keyword("CREATE OR REPLACE DICTIONARY") || words.keyword("REPLACE DICTIONARY") {
            return self.need_on(&["CREATE DICTIONARY", "DROP DICTIONARY"], &name_behind(words)?);
        }
        if words.keyword("CREATE DICTIONARY") || words.keyword("ATTACH DICTIONARY") {
            return self.need_on(&["CREATE DICTIONARY"], &name_behind(words)?);
        }
        for (begin, need) in [
            ("CREATE NAMED COLLECTION", "CREATE NAMED COLLECTION"),
            ("ALTER NAMED COLLECTION", "ALTER NAMED COLLECTION"),
            ("DROP NAMED COLLECTION", "DROP NAMED COLLECTION"),
        ] {
            if words.keyword(begin) {
                return self.need(&[need], &[&name_behind(words)?.name]);
            }
        }
        if words.keyword("TRUNCATE") {
            let _ = words.keyword("ALL TABLES FROM") || words.keyword("TABLES FROM");
            return self.need(&["DROP DATABASE"], &[&name_behind(words)?.name]);
        }
        if words.keyword("UNDROP TABLE") {
            return self.need_on(&["UNDROP TABLE"], &name_behind(words)?);
        }
        if words.keyword("CHECK TABLE") {
            return self.need_on(&["CHECK"], &name_behind(words)?);
        }
        if words.keyword("CHECK ALL TABLES") {
            return self.need(&["CHECK"], &[]);
        }
        for (begin, is_table) in [("BACKUP TABLE", true), ("BACKUP DATABASE", false)] {
            if words.keyword(begin) {
                let (database, name) = words.table_name()?;
                // Of several elements, or parts of one, all is wanted.
                return match (words.keyword("TO"), is_table) {
                    (false, _) => self.need(&["BACKUP"], &[]),
                    (true, true) => self.need_on(&["BACKUP"], &TableName { database, name }),
                    (true, false) => self.need(&["BACKUP"], &[&name]),
                };
            }
        }
        if words.keyword("BACKUP") {
            return self.need(&["BACKUP"], &[]);
        }
        if words.keyword("RESTORE") {
            return self.need(&["CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "INSERT"], &[]);
        }
        if words.keyword("ALTER DATABASE") {
            let name = words.name()?;
            let (setting, comment) = (text.contains("SETTING"), text.contains("MODIFY COMMENT"));
            if comment {
                self.need(&["ALTER MODIFY DATABASE COMMENT"], &[&name])?;
            }
            return match setting || !comment {
                true => self.need(&["ALTER DATABASE SETTINGS"], &[&name]),
                false => Ok(()),
            };
        }
        if words.keyword("BEGIN TRANSACTION")
            || words.keyword("COMMIT")
            || words.keyword("ROLLBACK")
            || words.keyword("SET TRANSACTION")
        {
            return Ok(());
        }
        self.access.require(Privileges::everything(), &[], &[])
    }

    fn access_needs(&self, statement: &AccessStatement) -> Result<()> {
        let each = |verb: &str, kind: EntityKind, names: &[String], tables: &[PolicyTable]| {
            let set = Privileges::named(&format!("{verb} {}", kind.words()))
                .unwrap_or_else(Privileges::everything);
            match kind {
                EntityKind::User | EntityKind::Role => {
                    names.iter().try_for_each(|name| self.access.require(set, &[name], &[]))
                }
                EntityKind::RowPolicy => tables.iter().try_for_each(|(database, table)| {
                    let database = self.database(database);
                    match table {
                        Some(table) => self.access.require(set, &[database, table], &[]),
                        None => self.access.require(set, &[database], &[]),
                    }
                }),
                _ => self.access.require(set, &[], &[]),
            }
        };
        let define = |kind, head: &Head, tables: &[PolicyTable]| {
            let verb = if head.manner.is_alter() { "ALTER" } else { "CREATE" };
            if head.manner == Manner::CreateOrReplace {
                each("DROP", kind, &head.names, tables)?;
            }
            each(verb, kind, &head.names, tables)
        };
        match statement {
            AccessStatement::User(user) => define(EntityKind::User, &user.head, &[]),
            AccessStatement::Role(role) => define(EntityKind::Role, &role.head, &[]),
            AccessStatement::Policy(policy) => {
                define(EntityKind::RowPolicy, &policy.head, &policy.tables)
            }
            AccessStatement::Profile(profile) => {
                define(EntityKind::SettingsProfile, &profile.head, &[])
            }
            AccessStatement::Quota(quota) => define(EntityKind::Quota, &quota.head, &[]),
            AccessStatement::Drop(drop) => each("DROP", drop.kind, &drop.names, &drop.tables),
            AccessStatement::SetDefaultRole { to, .. } => {
                let others = to.names.iter().filter(|name| **name != self.context.user);
                let others: Vec<String> = others.cloned().collect();
                each("ALTER", EntityKind::User, &others, &[])
            }
            // What may be given on is checked where it is given.
            AccessStatement::Grant(_)
            | AccessStatement::SetRole(_)
            | AccessStatement::CheckGrant(_) => Ok(()),
        }
    }
}
