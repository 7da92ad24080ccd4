//! CREATE statements.

use super::{Printer, quote};
use crate::sql::ast::{
    Call, CallForm, ColumnDecl, CreateTable, CreateView, EngineClause, Expr, ExprKind, IndexDecl,
    Query, TableExpr, TtlAction, TtlItem,
};
use pumphouse_storage::log::DefaultKind;

impl Printer {
    fn uuid(&mut self, uuid: &Option<String>) {
        if let Some(uuid) = uuid {
            self.word(" UUID ");
            self.string(uuid);
        }
    }

    pub(super) fn cluster(&mut self, cluster: &Option<String>) {
        if let Some(cluster) = cluster {
            self.word(" ON CLUSTER ");
            self.name(cluster);
        }
    }

    fn comment(&mut self, comment: &Option<String>) {
        if let Some(comment) = comment {
            self.line();
            self.word("COMMENT ");
            self.string(comment);
        }
    }

    pub(super) fn create_database(
        &mut self,
        name: &str,
        if_not_exists: bool,
        engine: &Option<EngineClause>,
        comment: &Option<String>,
    ) {
        self.word(if if_not_exists {
            "CREATE DATABASE IF NOT EXISTS "
        } else {
            "CREATE DATABASE "
        });
        self.name(name);
        if let Some(engine) = engine {
            self.engine(engine, false);
        }
        self.comment(comment);
    }

    pub(super) fn create_table(&mut self, table: &CreateTable) {
        self.word(match (table.attach, table.or_replace) {
            (true, _) => "ATTACH",
            _ if table.replace => "REPLACE",
            (_, true) => "CREATE OR REPLACE",
            _ => "CREATE",
        });
        self.word(if table.temporary { " TEMPORARY TABLE " } else { " TABLE " });
        self.word(if table.if_not_exists { "IF NOT EXISTS " } else { "" });
        self.table_name(&table.name);
        self.uuid(&table.uuid);
        self.cluster(&table.cluster);
        if let Some(other) = &table.as_table {
            self.word(if table.clone_as { " CLONE AS " } else { " AS " });
            self.table_name(other);
        }
        self.table_elements(table);
        if let Some(function) = &table.as_function {
            self.word(" AS ");
            self.from(function);
        }
        let keys: Vec<&ColumnDecl> = table.columns.iter().filter(|c| c.primary_key).collect();
        match table.engine.primary_key.is_none() && !keys.is_empty() {
            true => self.engine(&with_column_keys(&table.engine, &keys), false),
            false => self.engine(&table.engine, false),
        }
        self.comment(&table.comment);
        if let Some(query) = &table.as_query {
            self.word(if table.empty { " EMPTY" } else { "" });
            self.line();
            self.word("AS ");
            self.query(query);
        }
    }

    fn table_elements(&mut self, table: &CreateTable) {
        let none = table.columns.is_empty()
            && table.indexes.is_empty()
            && table.projections.is_empty()
            && table.constraints.is_empty();
        if none {
            return;
        }
        let mut elements: Vec<Box<dyn FnOnce(&mut Printer) + '_>> = Vec::new();
        for column in &table.columns {
            elements.push(Box::new(move |p| p.column(column, true)));
        }
        for index in &table.indexes {
            elements.push(Box::new(move |p| {
                p.word("INDEX ");
                p.index_body(index);
            }));
        }
        for (name, assume, expr) in &table.constraints {
            elements.push(Box::new(move |p| {
                p.word("CONSTRAINT ");
                p.name(name);
                p.word(if *assume { " ASSUME " } else { " CHECK " });
                p.expr(expr);
            }));
        }
        for (name, query) in &table.projections {
            elements.push(Box::new(move |p| {
                p.word("PROJECTION ");
                p.name(name);
                p.projection(query);
            }));
        }

        self.element_list(elements);
    }

    /// `(SELECT …)` of a projection.
    pub(super) fn projection(&mut self, query: &Query) {
        self.line();
        self.projection = true;
        self.subquery(query);
        self.projection = false;
    }

    /// `(a, b)` with each element on a line of its own.
    fn element_list(&mut self, elements: Vec<Box<dyn FnOnce(&mut Printer) + '_>>) {
        self.line();
        self.word("(");
        self.indent += 1;
        for (i, element) in elements.into_iter().enumerate() {
            if i > 0 {
                self.word(if self.pretty { "," } else { ", " });
            }
            self.soft_line();
            element(self);
        }
        self.indent -= 1;
        self.soft_line();
        self.word(")");
    }

    pub(super) fn column(&mut self, column: &ColumnDecl, quoted: bool) {
        match quoted {
            true => quote::push_quoted(&column.name, &mut self.out),
            false => self.name(&column.name),
        }
        if let Some(data_type) = &column.data_type {
            self.word(" ");
            self.data_type(data_type);
        }
        match column.nullable {
            Some(true) => self.word(" NULL"),
            Some(false) => self.word(" NOT NULL"),
            None => {}
        }
        if let Some((kind, value)) = &column.default {
            self.word(match kind {
                DefaultKind::Default => " DEFAULT",
                DefaultKind::Materialized => " MATERIALIZED",
                DefaultKind::Alias => " ALIAS",
                DefaultKind::Ephemeral => " EPHEMERAL",
            });
            if let Some(value) = value {
                self.word(" ");
                self.expr(value);
            }
        }
        if let Some(comment) = &column.comment {
            self.word(" COMMENT ");
            self.string(comment);
        }
        if let Some(codec) = &column.codec {
            self.word(" CODEC(");
            self.expr_list(codec);
            self.word(")");
        }
        if let Some(ttl) = &column.ttl {
            self.word(" TTL ");
            self.expr(ttl);
        }
        if let Some(statistics) = &column.statistics {
            self.word(" STATISTICS(");
            self.expr_list(statistics);
            self.word(")");
        }
        if !column.settings.is_empty() {
            self.word(" SETTINGS (");
            self.settings(&column.settings);
            self.word(")");
        }
    }

    pub(super) fn index_body(&mut self, index: &IndexDecl) {
        self.name(&index.name);
        self.word(" ");
        self.expr(&index.expr);
        self.word(" TYPE ");
        self.expr(&index.index_type);
        if let Some(granularity) = index.granularity {
            self.word(&format!(" GRANULARITY {granularity}"));
        }
    }

    pub(super) fn engine(&mut self, engine: &EngineClause, populate: bool) {
        if let Some(name) = &engine.name {
            self.line();
            self.word("ENGINE = ");
            self.name(name);
            if let Some(arguments) = engine.arguments.as_ref().filter(|a| !a.is_empty()) {
                self.word("(");
                self.expr_list(arguments);
                self.word(")");
            }
        }
        let keys = [
            ("PARTITION BY ", &engine.partition_by),
            ("PRIMARY KEY ", &engine.primary_key),
            ("ORDER BY ", &engine.order_by),
            ("SAMPLE BY ", &engine.sample_by),
        ];
        for (word, key) in keys {
            if let Some(key) = key {
                self.line();
                self.word(word);
                self.key(key);
            }
        }
        if !engine.ttl.is_empty() {
            self.line();
            self.word("TTL ");
            self.ttl(&engine.ttl);
        }
        self.settings_clause(&engine.settings);
        if populate {
            self.word(" POPULATE");
        }
    }

    pub(super) fn key(&mut self, key: &Expr) {
        self.expr(key);
    }

    pub(super) fn ttl(&mut self, items: &[TtlItem]) {
        self.separated(items, ", ", |p, item| {
            p.expr(&item.expr);
            match &item.action {
                TtlAction::Delete { where_: None } => {}
                TtlAction::Delete { where_: Some(where_) } => {
                    p.word(" WHERE ");
                    p.expr(where_);
                }
                TtlAction::ToDisk(disk) => {
                    p.word(" TO DISK ");
                    p.string(disk);
                }
                TtlAction::ToVolume(volume) => {
                    p.word(" TO VOLUME ");
                    p.string(volume);
                }
                TtlAction::Recompress(codec) => {
                    p.word(" RECOMPRESS ");
                    p.expr(codec);
                }
                TtlAction::GroupBy { keys, set } => {
                    p.word(" GROUP BY ");
                    p.expr_list(keys);
                    if !set.is_empty() {
                        p.word(" SET ");
                        p.separated(set, ", ", |p, (name, value)| {
                            p.name(name);
                            p.word(" = ");
                            p.expr(value);
                        });
                    }
                }
            }
        });
    }

    pub(super) fn create_view(&mut self, view: &CreateView) {
        self.word(if view.attach { "ATTACH " } else { "CREATE " });
        self.word(if view.or_replace { "OR REPLACE " } else { "" });
        self.word(if view.materialized { "MATERIALIZED VIEW " } else { "VIEW " });
        self.word(if view.if_not_exists { "IF NOT EXISTS " } else { "" });
        self.table_name(&view.name);
        self.uuid(&view.uuid);
        self.cluster(&view.cluster);
        if let Some(refresh) = &view.refresh {
            self.line();
            self.word(refresh);
        }
        if let Some(to) = &view.to {
            self.word(" TO ");
            self.table_name(to);
        }
        if !view.columns.is_empty() {
            let mut elements: Vec<Box<dyn FnOnce(&mut Printer) + '_>> = Vec::new();
            for column in &view.columns {
                let bare = ColumnDecl { name: column.name.clone(), ..ColumnDecl::default() };
                let quoted = *column != bare;
                elements.push(Box::new(move |p| p.column(column, quoted)));
            }
            self.element_list(elements);
        }
        self.engine(&view.engine, view.populate);
        if let Some(time) = &view.populate_from {
            self.word(" FROM TIMESTAMP ");
            self.word(&super::expr::literal_value(&pumphouse_storage::Value::string(
                time.as_str(),
            )));
        }
        if let Some(security) = &view.security {
            self.line();
            self.word(security);
        }
        if view.empty {
            self.word(" EMPTY");
        }
        self.comment(&view.comment);
        self.line();
        self.word("AS ");
        self.query(&view.select);
    }

    /// A table function on its own, as in INSERT INTO FUNCTION.
    pub(super) fn table_function(&mut self, function: &TableExpr) {
        self.from(function);
    }
}

/// PRIMARY KEY behind columns is printed as the table's.
fn with_column_keys(engine: &EngineClause, keys: &[&ColumnDecl]) -> EngineClause {
    let name = |c: &&ColumnDecl| Expr::new(ExprKind::Identifier(vec![c.name.clone()]));
    let arguments = keys.iter().map(name).collect();
    let form = CallForm::Operator;
    let call = Call { name: "tuple".into(), arguments, form, ..Call::default() };
    let primary_key = Some(Expr::new(ExprKind::Call(Box::new(call))));
    EngineClause { primary_key, ..engine.clone() }
}
