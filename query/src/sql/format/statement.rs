//! All other statements, and what stands behind any statement.

use super::{Printer, quote};
use crate::sql::ast::{
    Explain, ExplainKind, Expr, ExprKind, Insert, InsertSource, ObjectKind, Query, Setting, Show,
    ShowFilter, Statement, SystemCommand, TableExpr,
};
use crate::sql::parser::{ParsedStatement, kept};
use pumphouse_storage::Value;

/// The words of a command as ClickHouse prints them.
fn canonical_system(command: &SystemCommand) -> Option<String> {
    let mut text = command.words.join(" ");
    if let Some(table) = &command.table {
        let mut printer = Printer::new(false);
        printer.table_name(table);
        text = format!("{text} {}", printer.out);
    }
    kept::system(&format!("{text} {}", command.rest.join(" ")))
}

fn kind_word(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Database => "DATABASE ",
        ObjectKind::Table => "TABLE ",
        ObjectKind::View => "VIEW ",
        ObjectKind::Dictionary => "DICTIONARY ",
    }
}

impl Printer {
    pub(super) fn parsed(&mut self, parsed: &ParsedStatement) {
        self.statement(&parsed.statement);
        if let Some(outfile) = &parsed.outfile {
            self.line();
            self.word("INTO OUTFILE ");
            self.string(outfile);
            self.word(&parsed.outfile_options);
        }
        if let Some(format) = &parsed.format {
            match parsed.statement {
                Statement::Insert(_) => self.word(" "),
                _ => self.line(),
            }
            self.word("FORMAT ");
            self.format_name(format);
        }
        self.settings_clause(&parsed.settings);
    }

    pub(super) fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::CreateDatabase { name, if_not_exists, engine, comment } => {
                self.create_database(name, *if_not_exists, engine, comment);
            }
            Statement::CreateTable(table) => self.create_table(table),
            Statement::CreateView(view) => self.create_view(view),
            Statement::Alter(alter) => self.alter(alter),
            Statement::Delete(alter) => self.delete(alter),
            Statement::Update(alter) => self.update(alter),
            Statement::Explain(explain) => self.explain(explain),
            Statement::Show(show) => self.show(show),
            Statement::Access(access) => self.access(access),
            other => self.short_statement(other),
        }
    }

    fn short_statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Drop { kind, names, cluster, if_exists, if_empty, temporary, sync } => {
                self.word(if *temporary { "DROP TEMPORARY " } else { "DROP " });
                self.word(kind_word(*kind));
                self.word(if *if_exists { "IF EXISTS " } else { "" });
                self.word(if *if_empty { "IF EMPTY " } else { "" });
                self.separated(names, ", ", |p, name| p.table_name(name));
                if let Some(cluster) = cluster {
                    self.word(" ON CLUSTER ");
                    self.name(cluster);
                }
                self.word(if *sync { " SYNC" } else { "" });
            }
            Statement::Detach { kind, name, if_exists, permanently, sync } => {
                self.word("DETACH ");
                self.word(kind_word(*kind));
                self.word(if *if_exists { "IF EXISTS " } else { "" });
                self.table_name(name);
                self.word(if *permanently { " PERMANENTLY" } else { "" });
                self.word(if *sync { " SYNC" } else { "" });
            }
            Statement::Attach { kind, name, if_not_exists } => {
                self.word("ATTACH ");
                self.word(kind_word(*kind));
                self.word(if *if_not_exists { "IF NOT EXISTS " } else { "" });
                self.table_name(name);
            }
            Statement::Truncate { kind, name, if_exists, sync } => {
                self.word("TRUNCATE ");
                self.word(kind_word(*kind));
                self.word(if *if_exists { "IF EXISTS " } else { "" });
                self.table_name(name);
                self.word(if *sync { " SYNC" } else { "" });
            }
            Statement::Rename { kind, pairs, exchange } => {
                self.word(match (exchange, kind) {
                    (true, ObjectKind::Dictionary) => "EXCHANGE DICTIONARIES ",
                    (true, _) => "EXCHANGE TABLES ",
                    (false, ObjectKind::Database) => "RENAME DATABASE ",
                    (false, ObjectKind::Dictionary) => "RENAME DICTIONARY ",
                    (false, _) => "RENAME TABLE ",
                });
                let word = if *exchange { " AND " } else { " TO " };
                self.separated(pairs, ", ", |p, (from, to)| {
                    p.table_name(from);
                    p.word(word);
                    p.table_name(to);
                });
            }
            Statement::Optimize {
                name,
                partition,
                final_,
                deduplicate,
                deduplicate_by,
                cleanup,
            } => {
                self.word("OPTIMIZE TABLE ");
                self.table_name(name);
                if let Some(partition) = partition {
                    self.word(" PARTITION ");
                    self.expr(partition);
                }
                self.word(if *final_ { " FINAL" } else { "" });
                self.word(if *deduplicate { " DEDUPLICATE" } else { "" });
                if !deduplicate_by.is_empty() {
                    self.word(" BY ");
                    self.expr_list(deduplicate_by);
                }
                self.word(if *cleanup { " CLEANUP" } else { "" });
            }
            other => self.plain_statement(other),
        }
    }

    fn plain_statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Set(settings) => {
                self.word("SET ");
                self.settings(settings);
            }
            Statement::Use(database) => {
                self.word("USE ");
                self.name(database);
            }
            Statement::Describe { table, settings } => {
                self.word("DESCRIBE TABLE");
                self.described(table);
                self.settings_clause(settings);
            }
            Statement::Exists { kind, name, temporary } => {
                self.word("EXISTS ");
                self.word(if *temporary { "TEMPORARY " } else { "" });
                self.word(kind_word(*kind));
                self.table_name(name);
            }
            Statement::Check { name } => {
                self.word("CHECK TABLE ");
                self.table_name(name);
            }
            Statement::System(command) => {
                self.word("SYSTEM ");
                if let Some(text) = canonical_system(command) {
                    return self.word(&text);
                }
                let words = command.words.join(" ");
                match words.strip_prefix("DROP ").filter(|rest| rest.ends_with("CACHE")) {
                    Some(rest) => self.word(&format!("CLEAR {rest}")),
                    None => self.word(&words),
                }
                if let Some(table) = &command.table {
                    self.word(" ");
                    self.table_name(table);
                }
                if words == "SEEK" {
                    self.word(&format!(" {}", command.rest.join(" ")));
                }
            }
            Statement::KillQuery { mutation, where_, sync } => {
                self.word(if *mutation { "KILL MUTATION WHERE " } else { "KILL QUERY WHERE " });
                self.expr(where_);
                self.word(if *sync { " SYNC" } else { " ASYNC" });
            }
            Statement::Other(text) => match kept::statement(text) {
                Some(canonical) => self.word(&canonical),
                None => self.word(text),
            },
            _ => {}
        }
    }

    fn described(&mut self, table: &TableExpr) {
        match table {
            TableExpr::Subquery { .. } => self.line(),
            _ => self.word(" "),
        }
        self.from(table);
    }

    fn insert(&mut self, insert: &Insert) {
        self.word("INSERT INTO ");
        if let Some(table) = &insert.table {
            self.table_name(table);
        }
        if let Some(function) = &insert.function {
            self.word("FUNCTION ");
            self.table_function(function);
        }
        if let Some(columns) = &insert.columns {
            self.word(" (");
            self.expr_list(columns);
            self.word(")");
        }
        match &insert.source {
            InsertSource::Query(query) => {
                self.settings_clause(&insert.settings);
                match insert.settings.is_empty() {
                    true => self.word(" "),
                    false => self.line(),
                }
                self.query(query);
                if let Some((format, _)) = &insert.input {
                    self.word(" FORMAT ");
                    self.format_name(format);
                }
            }
            InsertSource::Values { .. } => self.insert_format(insert, Some("Values")),
            InsertSource::Format { format, .. } => self.insert_format(insert, format.as_deref()),
        }
    }

    fn insert_format(&mut self, insert: &Insert, format: Option<&str>) {
        self.settings_clause(&insert.settings);
        let Some(format) = format else { return };
        match insert.settings.is_empty() {
            true => self.word(" "),
            false => self.line(),
        }
        self.word("FORMAT ");
        self.format_name(format);
    }

    /// `Values` is a format although it is a reserved word.
    fn format_name(&mut self, format: &str) {
        match format {
            "Values" => self.word(format),
            _ => self.name(format),
        }
    }

    fn explain(&mut self, explain: &Explain) {
        self.word(explain_words(explain.kind));
        if explain.kind == ExplainKind::Transaction {
            return;
        }
        if !explain.settings.is_empty() {
            self.word(" ");
            self.settings(&explain.settings);
        }
        self.line();
        self.statement(&explain.statement);
    }

    fn show(&mut self, show: &Show) {
        match show {
            Show::Databases(filter) => self.filtered("SHOW DATABASES", filter),
            Show::Tables { from, full, temporary, filter } => {
                self.word(if *full { "SHOW FULL" } else { "SHOW" });
                self.word(if *temporary { " TEMPORARY TABLES" } else { " TABLES" });
                self.from_name(from);
                self.filtered("", filter);
            }
            Show::Dictionaries { from, filter } => {
                self.word("SHOW DICTIONARIES");
                self.from_name(from);
                self.filtered("", filter);
            }
            Show::Columns { table, full, extended, filter } => {
                self.word("SHOW ");
                self.word(if *extended { "EXTENDED " } else { "" });
                self.word(if *full { "FULL " } else { "" });
                self.word("COLUMNS FROM ");
                self.name(&table.name);
                self.from_name(&table.database);
                self.filtered("", filter);
            }
            Show::Indexes { table, extended, where_ } => {
                self.word(if *extended {
                    "SHOW EXTENDED INDEXES FROM "
                } else {
                    "SHOW INDEXES FROM "
                });
                self.name(&table.name);
                self.from_name(&table.database);
                if let Some(where_) = where_ {
                    self.word(" WHERE ");
                    self.expr(where_);
                }
            }
            Show::Create { kind, name } => {
                self.word("SHOW CREATE ");
                self.word(kind_word(*kind));
                self.table_name(name);
            }
            Show::Processlist => self.word("SHOW PROCESSLIST"),
            Show::Settings { changed, filter } => {
                self.filtered(
                    if *changed { "SHOW CHANGED SETTINGS" } else { "SHOW SETTINGS" },
                    filter,
                );
            }
            Show::Functions(filter) => self.filtered("SHOW FUNCTIONS", filter),
            Show::Engines => self.word("SHOW ENGINES"),
            Show::Grants(shown) => self.shown_grants(shown),
            Show::CreateEntities(shown) => self.shown_entities(shown),
            Show::Other(text) => {
                self.word("SHOW ");
                self.word(&kept::shown(text).unwrap_or_else(|| text.clone()));
            }
        }
    }

    fn from_name(&mut self, name: &Option<String>) {
        if let Some(name) = name {
            self.word(" FROM ");
            self.name(name);
        }
    }

    fn filtered(&mut self, words: &str, filter: &ShowFilter) {
        self.word(words);
        if let Some((pattern, case_insensitive, negated)) = &filter.like {
            self.word(if *negated { " NOT" } else { "" });
            self.word(if *case_insensitive { " ILIKE " } else { " LIKE " });
            self.string(pattern);
        }
        if let Some(where_) = &filter.where_ {
            self.word(" WHERE ");
            self.expr(where_);
        }
        if let Some(limit) = &filter.limit {
            self.word(" LIMIT ");
            self.expr(limit);
        }
    }
}

/// How a kind of EXPLAIN is written.
pub fn explain_words(kind: ExplainKind) -> &'static str {
    match kind {
        ExplainKind::Plan => "EXPLAIN",
        ExplainKind::Ast => "EXPLAIN AST",
        ExplainKind::Syntax => "EXPLAIN SYNTAX",
        ExplainKind::QueryTree => "EXPLAIN QUERY TREE",
        ExplainKind::Pipeline => "EXPLAIN PIPELINE",
        ExplainKind::Estimate => "EXPLAIN ESTIMATE",
        ExplainKind::Transaction => "EXPLAIN CURRENT TRANSACTION",
    }
}

/// The table function that `FROM (EXPLAIN …)` is.
pub const VIEW_EXPLAIN: &str = "viewExplain";

/// Its arguments: the words, the settings as text, the query.
pub(in crate::sql) fn view_explain(
    kind: ExplainKind,
    settings: &[Setting],
    query: Box<Query>,
) -> Vec<Expr> {
    let text = |text: String| {
        let value = Value::string(text.clone());
        Expr::new(ExprKind::Literal { value, text: quote::quote_string(text.as_bytes()) })
    };
    let mut printer = Printer::new(false);
    printer.settings(settings);
    let settings = text(printer.out);
    let query = Expr { parenthesized: true, ..Expr::new(ExprKind::Subquery(query)) };
    vec![text(explain_words(kind).into()), settings, query]
}
