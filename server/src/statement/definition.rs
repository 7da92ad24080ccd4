//! From a CREATE statement's tree to a [`TableDefinition`]: types read, keys checked, the Kafka
//! engine's arguments turned into settings, the canonical text for SHOW CREATE made.

use std::collections::BTreeMap;

use pumphouse_ingest::kafka;
use pumphouse_query::bind::{SqlExpressions, bind_expression};
use pumphouse_query::catalog::join_rule;
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{
    CallForm, ColumnDecl, CreateTable, Expr, ExprKind, Setting, Statement, TtlAction, TtlItem,
};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result};
use pumphouse_storage::expression::ExpressionCompiler;
use pumphouse_storage::log::{
    ColumnDefault, ColumnDefinition, ConstraintDefinition, DefaultKind, IndexDefinition,
    ProjectionDefinition, TableClauses, TableDefinition, TtlRule, TtlRuleAction,
};
use pumphouse_storage::part::check_skip_indexes;
use pumphouse_storage::part::codec::settle_default;
use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{DataType, Value};
use uuid::Uuid;

use super::engine::{EngineArguments, is_merge_tree, plain_engine};
use super::file_log_engine::file_log_settings;
use super::kafka_engine::{hide_arguments, kafka_settings};
use super::{Run, clauses, codec};
use crate::files::{self, FileArguments};

/// Table engines that can be created, as `system.table_engines` lists them.
pub const ENGINES: &[&str] = &[
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "CoalescingMergeTree",
    "Kafka",
    "FileLog",
    "Null",
    "Memory",
    "Log",
    "TinyLog",
    "StripeLog",
    "Merge",
    "Dictionary",
    "Set",
    "Join",
    "GenerateRandom",
    "File",
    "Buffer",
];

impl Run<'_> {
    /// The definition that `create` asks for; `create.name.database` is set already.
    pub(super) fn table_definition(&self, mut create: CreateTable) -> Result<TableDefinition> {
        let database = create.name.database.clone().unwrap_or_default();
        create.columns = super::nested::flattened(create.columns);
        let columns = self.column_definitions(&create.columns)?;
        if columns.is_empty() {
            return Err(Error::new(
                codes::INCORRECT_QUERY,
                "Incorrect CREATE query: required list of column descriptions or AS section or SELECT.",
            ));
        }
        let mut engine = create.engine.name.clone().unwrap_or_else(|| "MergeTree".into());
        let given = create.engine.arguments.as_deref().unwrap_or_default();
        if let Some((plain, about_replicas)) = plain_engine(&engine, given) {
            engine = plain.into();
            if let Some(arguments) = &mut create.engine.arguments {
                arguments.drain(..about_replicas);
            }
            create.engine.arguments = create.engine.arguments.filter(|a| !a.is_empty());
        }
        create.engine.name = Some(engine.clone());
        if !ENGINES.contains(&engine.as_str()) {
            return Err(Error::new(
                codes::UNKNOWN_STORAGE,
                format!("Unknown table engine {engine}"),
            ));
        }
        super::plain_engine::check(&engine, &create.engine)?;
        let mut settings = settings_map(&create.engine.settings);
        match engine.as_str() {
            "Kafka" => {
                check_kafka_columns(&columns)?;
                let state = self.server.store.snapshot();
                settings = kafka_settings(&create.engine, settings, &state)?;
            }
            "FileLog" => {
                check_kafka_columns(&columns)?;
                settings = file_log_settings(&self.server.config, &create.engine, settings)?;
            }
            engine if is_merge_tree(engine) => check_merge_tree_settings(&settings)?,
            _ => {}
        }
        let mut keys = self.keys(&create, &engine, &columns)?;
        let mut clauses = table_clauses(&create);
        if is_merge_tree(&engine) {
            self.engine_clauses(&create, &engine, &columns, &mut keys, &mut clauses)?;
        }
        create.if_not_exists = false;
        create.or_replace = false;
        create.uuid = None;
        fill_column_types(&mut create.columns, &columns);
        let uuid = Uuid::new_v4();
        let definition = TableDefinition {
            uuid,
            database,
            name: create.name.name.clone(),
            engine: engine.clone(),
            columns,
            sorting_key: keys.sorting,
            primary_key: keys.primary,
            partition_key: keys.partition,
            settings,
            select: None,
            target: None,
            source: None,
            comment: create.comment.clone().unwrap_or_default(),
            create_query: create_text(create, &engine),
            clauses,
        };
        match engine.as_str() {
            "Join" => {
                join_rule(&definition)?;
            }
            "Buffer" => super::buffer::check(&definition)?,
            "File" => {
                let arguments = FileArguments::of_table(&definition)?;
                files::inside(&self.server.config, &arguments.path)?;
                if pumphouse_ingest::format::lookup(&arguments.format).is_none() {
                    return Err(Error::new(
                        codes::UNKNOWN_FORMAT,
                        format!("Unknown format {}", arguments.format),
                    ));
                }
            }
            _ => {}
        }
        if engine.ends_with("MergeTree") {
            check_skip_indexes(&definition, self.server.store.compiler().as_ref())?;
            super::projection::check(&definition, self.server.store.compiler().as_ref())?;
        } else if !definition.clauses.projections.is_empty() {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("Engine {} doesn't support projections.", definition.engine),
            ));
        }
        Ok(definition)
    }

    /// Checks the arguments of an engine of the MergeTree family and what it asks of the keys.
    fn engine_clauses(
        &self,
        create: &CreateTable,
        engine: &str,
        columns: &[ColumnDefinition],
        keys: &mut Keys,
        found: &mut TableClauses,
    ) -> Result<()> {
        let stored: Vec<(String, DataType)> =
            columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let inputs = |texts: &[String]| -> Result<Vec<String>> {
            let mut names = vec![];
            for text in texts {
                names.extend(SqlExpressions.compile(text, &stored)?.inputs().to_vec());
            }
            Ok(names)
        };
        let sorting_columns = inputs(&keys.sorting)?;
        let partition_columns = inputs(&keys.partition)?;
        found.engine_arguments = EngineArguments {
            engine,
            arguments: create.engine.arguments.as_deref().unwrap_or_default(),
            columns,
            sorting_columns: &sorting_columns,
            partition_columns: &partition_columns,
        }
        .checked()?;
        // Cancellation goes by version: it is the last of the key.
        if let ("VersionedCollapsingMergeTree", Some(version)) =
            (engine, found.engine_arguments.get(1))
            && !sorting_columns.contains(version)
        {
            keys.sorting.push(format::expr(&identifier(version)));
        }
        let key_columns = [sorting_columns, partition_columns].concat();
        if engine == "AggregatingMergeTree" {
            let settings = settings_map(&create.engine.settings);
            clauses::check_dimensions(columns, &key_columns, &settings)?;
        }
        clauses::check_sampling(found, &stored, &keys.primary)?;
        clauses::check_ttl(found, columns, &stored, &keys.primary, &key_columns)
    }

    /// Columns with types read and DEFAULT expressions checked.
    pub(super) fn column_definitions(&self, decls: &[ColumnDecl]) -> Result<Vec<ColumnDefinition>> {
        let mut columns: Vec<ColumnDefinition> = Vec::with_capacity(decls.len());
        let suspicious_codecs = self.context.settings.bool("allow_suspicious_codecs", false);
        let typed: Vec<(String, DataType)> = decls
            .iter()
            .filter_map(|d| Some((d.name.clone(), parse_data_type(d.data_type.as_ref()?).ok()?)))
            .collect();
        for (i, decl) in decls.iter().enumerate() {
            if columns.iter().any(|c| c.name == decl.name) {
                return Err(Error::new(
                    codes::DUPLICATE_COLUMN,
                    format!("Column {} already exists", decl.name),
                ));
            }
            let default = match &decl.default {
                Some((kind, Some(expr))) => {
                    Some(ColumnDefault { kind: *kind, expression: format::expr(expr) })
                }
                Some((kind, None)) => Some(ColumnDefault {
                    kind: *kind,
                    expression: "defaultValueOfTypeName('')".into(),
                }),
                None => None,
            };
            let data_type = match (&decl.data_type, &decl.default) {
                (Some(text), _) => {
                    let data_type = parse_data_type(text)?;
                    match decl.nullable {
                        Some(true) => DataType::nullable(data_type),
                        _ => data_type,
                    }
                }
                (None, Some((_, Some(expr)))) => {
                    bind_expression(expr, &typed, self.context)?.data_type()
                }
                _ => {
                    return Err(Error::new(
                        codes::SYNTAX_ERROR,
                        format!("Column {} has neither a type nor a default", decl.name),
                    ));
                }
            };
            columns.push(ColumnDefinition {
                id: i as u32,
                codec: codec::settled(decl, &data_type, suspicious_codecs)?,
                name: decl.name.clone(),
                data_type,
                default,
                comment: decl.comment.clone().unwrap_or_default(),
                ttl: decl.ttl.as_ref().map(format::expr).unwrap_or_default(),
            });
        }
        Ok(columns)
    }

    fn keys(
        &self,
        create: &CreateTable,
        engine: &str,
        columns: &[ColumnDefinition],
    ) -> Result<Keys> {
        let clause = &create.engine;
        let inline_primary: Vec<String> =
            create.columns.iter().filter(|c| c.primary_key).map(|c| c.name.clone()).collect();
        let mut keys = Keys {
            sorting: clause.order_by.as_ref().map(key_list).unwrap_or_default(),
            primary: clause.primary_key.as_ref().map(key_list).unwrap_or_default(),
            partition: clause.partition_by.as_ref().map(key_list).unwrap_or_default(),
        };
        if keys.primary.is_empty() {
            keys.primary = inline_primary;
        }
        if !is_merge_tree(engine) {
            if clause.order_by.is_some() || clause.partition_by.is_some() {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    format!(
                        "Engine {engine} doesn't support PARTITION_BY, PRIMARY_KEY, ORDER_BY or SAMPLE_BY clauses"
                    ),
                ));
            }
            return Ok(keys);
        }
        if clause.order_by.is_none() {
            if keys.primary.is_empty() {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    "ORDER BY or PRIMARY KEY expression is needed. Use `ORDER BY tuple()` for no key",
                ));
            }
            keys.sorting = keys.primary.clone();
        }
        if keys.primary.is_empty() {
            keys.primary = keys.sorting.clone();
        }
        if !keys.sorting.starts_with(&keys.primary) {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "Primary key must be a prefix of the sorting key",
            ));
        }
        let stored: Vec<(String, DataType)> =
            columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let nullable_allowed = clause
            .settings
            .iter()
            .any(|s| s.name == "allow_nullable_key" && s.value.as_u64() == Some(1));
        for text in keys.sorting.iter().chain(&keys.partition) {
            let expr = pumphouse_query::sql::parse_expression(text)?;
            let data_type = bind_expression(&expr, &stored, self.context)?.data_type();
            if data_type.holds_run_time() {
                return Err(Error::new(
                    codes::DATA_TYPE_CANNOT_BE_USED_IN_KEY,
                    format!(
                        "Column with type Variant/Dynamic/JSON is not allowed in key expression. Consider using a subcolumn with a specific data type instead (for example 'column.Int64' or 'json.some.path.:Int64' if its a JSON path subcolumn) or casting this column to a specific data type: {text}"
                    ),
                ));
            }
            if data_type.is_nullable() && !nullable_allowed {
                return Err(Error::new(
                    codes::ILLEGAL_COLUMN,
                    format!(
                        "Sorting key contains nullable columns, but merge tree setting `allow_nullable_key` is disabled: {text}"
                    ),
                ));
            }
        }
        Ok(keys)
    }
}

struct Keys {
    sorting: Vec<String>,
    primary: Vec<String>,
    partition: Vec<String>,
}

/// `(a, b)` → [a, b]; `tuple()` → []; `a` → [a]. Canonical texts.
pub(super) fn key_list(expr: &Expr) -> Vec<String> {
    match &expr.kind {
        ExprKind::Call(call) if call.name == "tuple" => {
            call.arguments.iter().map(format::expr).collect()
        }
        _ => vec![format::expr(expr)],
    }
}

/// The clauses behind ENGINE, and the indexes, projections and constraints of the column list.
fn table_clauses(create: &CreateTable) -> TableClauses {
    let arguments = create.engine.arguments.iter().flatten();
    TableClauses {
        engine_arguments: match create.engine.name.as_deref() {
            // Its arguments are settings, some of them secret.
            Some("Kafka" | "FileLog") => vec![],
            _ => arguments.map(format::expr).collect(),
        },
        sample_by: create.engine.sample_by.as_ref().map(format::expr),
        ttl: create.engine.ttl.iter().map(ttl_rule).collect(),
        indexes: create
            .indexes
            .iter()
            .map(|index| IndexDefinition {
                name: index.name.clone(),
                expression: format::expr(&index.expr),
                index_type: format::expr(&index.index_type),
                granularity: index.granularity.unwrap_or(1).max(1),
            })
            .collect(),
        projections: create
            .projections
            .iter()
            .map(|(name, query)| ProjectionDefinition {
                name: name.clone(),
                select: format::projection(query),
            })
            .collect(),
        constraints: create
            .constraints
            .iter()
            .map(|(name, assume, expr)| ConstraintDefinition {
                name: name.clone(),
                assume: *assume,
                expression: format::expr(expr),
            })
            .collect(),
    }
}

pub(super) fn ttl_rule(item: &TtlItem) -> TtlRule {
    let action = match &item.action {
        TtlAction::Delete { where_ } => {
            TtlRuleAction::Delete { condition: where_.as_ref().map(format::expr) }
        }
        TtlAction::ToDisk(name) => TtlRuleAction::Move { target: format!("DISK '{name}'") },
        TtlAction::ToVolume(name) => TtlRuleAction::Move { target: format!("VOLUME '{name}'") },
        TtlAction::Recompress(codec) => TtlRuleAction::Recompress { codec: format::expr(codec) },
        TtlAction::GroupBy { keys, set } => TtlRuleAction::GroupBy {
            keys: keys.iter().map(format::expr).collect(),
            set: set.iter().map(|(name, expr)| (name.clone(), format::expr(expr))).collect(),
        },
    };
    TtlRule { expression: format::expr(&item.expr), action }
}

fn settings_map(settings: &[Setting]) -> BTreeMap<String, String> {
    settings.iter().map(|s| (s.name.clone(), s.text())).collect()
}

/// The settings that mean something for MergeTree here, or that ClickHouse knows and that are safe to
/// accept without effect.
fn check_merge_tree_settings(settings: &BTreeMap<String, String>) -> Result<()> {
    if let Some(text) = settings.get("index_granularity")
        && !text.parse::<u64>().is_ok_and(|n| (1..=1 << 20).contains(&n))
    {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("index_granularity must be 1 to 1048576, it is {text}"),
        ));
    }
    if let Some(text) = settings.get("default_compression_codec") {
        settle_default(text)?;
    }
    Ok(())
}

pub(super) fn check_kafka_columns(columns: &[ColumnDefinition]) -> Result<()> {
    let refused =
        columns.iter().find(|c| c.default.as_ref().is_some_and(|d| d.kind != DefaultKind::Alias));
    match refused {
        Some(column) => Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!(
                "KafkaEngine doesn't support DEFAULT/MATERIALIZED/EPHEMERAL expressions for columns. See column {}",
                column.name
            ),
        )),
        None => Ok(()),
    }
}

pub(super) fn fill_column_types(decls: &mut [ColumnDecl], columns: &[ColumnDefinition]) {
    for (decl, column) in decls.iter_mut().zip(columns) {
        decl.data_type = Some(column.data_type.to_string());
        decl.nullable = None;
        codec::show(decl, &column.codec);
    }
}

/// Values that may be secret are not for SHOW CREATE.
pub(super) fn hide_secret_settings(create: &mut CreateTable) {
    for setting in &mut create.engine.settings {
        let text = setting.text();
        if let Some(shown) = kafka::hidden_value(&setting.name, &text) {
            setting.value = Value::string(shown);
        }
    }
    hide_arguments(&mut create.engine);
}

/// The canonical CREATE text, secrets hidden, MergeTree's granularity written out.
fn create_text(mut create: CreateTable, engine: &str) -> String {
    if is_merge_tree(engine)
        && !create.temporary
        && !create.engine.settings.iter().any(|s| s.name == "index_granularity")
    {
        create
            .engine
            .settings
            .push(Setting { name: "index_granularity".into(), value: Value::UInt(8192) });
    }
    hide_secret_settings(&mut create);
    create.as_table = None;
    create.as_query = None;
    create.as_function = None;
    if create.engine.order_by.is_none() && create.engine.primary_key.is_none() {
        let inline: Vec<Expr> = create
            .columns
            .iter_mut()
            .filter_map(|c| std::mem::take(&mut c.primary_key).then(|| identifier(&c.name)))
            .collect();
        if !inline.is_empty() {
            let key = tuple_of(inline);
            create.engine.primary_key = Some(key.clone());
            create.engine.order_by = Some(key);
        }
    }
    if is_merge_tree(engine) && create.engine.order_by.is_none() {
        create.engine.order_by = create.engine.primary_key.clone();
    }
    format::statement(&Statement::CreateTable(Box::new(create)), true)
}

pub(super) fn identifier(name: &str) -> Expr {
    Expr::new(ExprKind::Identifier(vec![name.into()]))
}

fn tuple_of(mut items: Vec<Expr>) -> Expr {
    if items.len() == 1 {
        return items.remove(0);
    }
    let call = pumphouse_query::sql::ast::Call {
        name: "tuple".into(),
        arguments: items,
        form: CallForm::Operator,
        ..Default::default()
    };
    Expr::new(ExprKind::Call(Box::new(call)))
}
