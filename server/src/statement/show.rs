//! SHOW, DESCRIBE and EXISTS. Lists are queries over system tables.

use pumphouse_query::bind::{analyze_query, subcolumns_of};
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{
    Expr, ObjectKind, Query, QueryBody, Select, Show, ShowFilter, TableExpr, TableName,
};
use pumphouse_query::sql::{self, format};
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::DefaultKind;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::Run;
use crate::dictionaries::is_dictionary;

impl Run<'_> {
    pub(super) fn show(&mut self, show: &Show, format: Option<&str>) -> Result<()> {
        let text = match show {
            Show::Databases(filter) => {
                format!("SELECT name FROM system.databases{} ORDER BY name", tail("", filter))
            }
            Show::Tables { temporary: true, filter, .. } => format!(
                "SELECT name FROM ({}) {} ORDER BY name",
                self.temporary_names_query(),
                tail("", filter)
            ),
            Show::Tables { from, full, filter, .. } => {
                let database = from.clone().unwrap_or_else(|| self.context.database.clone());
                self.require_database(&database)?;
                let condition = format!("database = {}", quote(&database));
                let engine = if *full { ", engine" } else { "" };
                let tail = tail(&condition, filter);
                format!(
                    "SELECT name{engine} FROM system.tables{tail} ORDER BY name{}",
                    limit(filter)
                )
            }
            Show::Columns { table, full, filter, .. } => {
                let database = self.database(&table.database).to_string();
                let condition =
                    format!("database = {} AND table = {}", quote(&database), quote(&table.name));
                let more = match full {
                    true => ", NULL AS collation, comment, '' AS privileges",
                    false => "",
                };
                format!(
                    "SELECT name AS field, type, if(type LIKE 'Nullable(%', 'YES', 'NO') AS `null`, \
                     multiIf(is_in_primary_key, 'PRI SOR', is_in_sorting_key, 'SOR', '') AS key, \
                     if(default_kind IN ('DEFAULT', 'ALIAS', 'MATERIALIZED'), default_expression, NULL) AS `default`, \
                     '' AS extra{more} FROM system.columns{} ORDER BY field{}",
                    tail(&condition, filter),
                    limit(filter)
                )
            }
            Show::Indexes { table, where_, .. } => {
                let database = self.database(&table.database).to_string();
                indexes_query(&quote(&database), &quote(&table.name), where_.as_ref())
            }
            Show::Create { kind, name } => return self.show_create(*kind, name, format),
            Show::Processlist => "SELECT * FROM system.processes".to_string(),
            Show::Settings { changed, filter } => {
                let condition = if *changed { "changed" } else { "" };
                format!("SELECT name, type, value FROM system.settings{}", tail(condition, filter))
            }
            Show::Dictionaries { from, filter } => {
                let database = from.clone().unwrap_or_else(|| self.context.database.clone());
                self.require_database(&database)?;
                let condition = format!("database = {}", quote(&database));
                let tail = tail(&condition, filter);
                format!("SELECT name FROM system.dictionaries{tail} ORDER BY name")
            }
            Show::Other(text) if text.eq_ignore_ascii_case("ACCESS") => {
                return self.show_access(format);
            }
            Show::Other(text) => super::show_other::query_of(text)?,
            Show::Functions(filter) => {
                format!("SELECT * FROM system.functions{}", tail("", filter))
            }
            Show::Engines => "SELECT * FROM system.table_engines ORDER BY name".to_string(),
            Show::Grants(shown) => return self.show_grants(shown, format),
            Show::CreateEntities(shown) => return self.show_entities(shown, format),
        };
        let query = sql::parse_query(&text)?;
        self.select(&query, format)
    }

    fn show_create(
        &mut self,
        kind: ObjectKind,
        name: &TableName,
        format: Option<&str>,
    ) -> Result<()> {
        let state = self.server.store.snapshot();
        let text = if kind == ObjectKind::Database {
            self.require_database(&name.name)?;
            // Those that nobody made are views over what is in memory.
            let engine = state.databases.get(&name.name).map_or("Memory", |d| &d.engine);
            let name = pumphouse_storage::types::back_quote_if_needed(&name.name);
            format!("CREATE DATABASE {name}\nENGINE = {engine}")
        } else {
            let database = self.database(&name.database).to_string();
            if let Some(table) = self.temporary(name) {
                let text = table.definition.create_query.clone();
                return self.one_column("statement", vec![text], format);
            }
            match state.table(&database, &name.name) {
                Some(table) if is_dictionary(table) => self.dictionary_text(table)?,
                Some(table) => table.definition.create_query.clone(),
                None => return Err(self.unknown_table(&database, &name.name)),
            }
        };
        self.one_column("statement", vec![text], format)
    }

    pub(super) fn one_column(
        &mut self,
        name: &str,
        rows: Vec<String>,
        format: Option<&str>,
    ) -> Result<()> {
        let values: Vec<Value> = rows.into_iter().map(Value::string).collect();
        let column = Column::from_values(DataType::String, &values)?;
        self.write_block(&Block::new(vec![(name.to_string(), column)]), format)
    }

    pub(super) fn exists(
        &mut self,
        kind: ObjectKind,
        name: &TableName,
        format: Option<&str>,
    ) -> Result<()> {
        let state = self.server.store.snapshot();
        let found = if kind == ObjectKind::Database {
            self.require_database(&name.name).is_ok()
        } else {
            let database = self.database(&name.database).to_string();
            match state.table(&database, &name.name) {
                Some(table) if kind == ObjectKind::View => {
                    table.definition.engine.ends_with("View")
                }
                Some(table) if kind == ObjectKind::Dictionary => is_dictionary(table),
                Some(_) => kind == ObjectKind::Table,
                None => self.server.system_table_exists(&database, &name.name),
            }
        };
        let column = Column::from_values(DataType::UInt8, &[Value::UInt(found as u64)])?;
        self.write_block(&Block::new(vec![("result".into(), column)]), format)
    }

    pub(super) fn describe(&mut self, table: &TableExpr, format: Option<&str>) -> Result<()> {
        let rows = match table {
            TableExpr::Table { database: None, name, .. }
                if let Some(temporary) = self.context.temporary_table(name) =>
            {
                described(&temporary.definition.columns)
            }
            TableExpr::Table { database, name, .. } => {
                let database = self.database(database).to_string();
                let state = self.server.store.snapshot();
                match state.table(&database, name) {
                    Some(table) => described(&table.definition.columns),
                    None => self.described_query(table)?,
                }
            }
            other => self.described_query(other)?,
        };
        let settings = &self.context.settings;
        let below = match settings.bool("describe_include_subcolumns", false) {
            true => rows.iter().flat_map(Described::subcolumns).collect(),
            false => vec![],
        };
        let shown = if settings.bool("describe_compact_output", false) { 2 } else { 7 };
        let mut columns = DESCRIBED[..shown]
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let texts = rows.iter().chain(&below).map(|r| r.texts[i].clone());
                let values: Vec<Value> = texts.map(Value::string).collect();
                Ok((name.to_string(), Column::from_values(DataType::String, &values)?))
            })
            .collect::<Result<Vec<_>>>()?;
        if settings.bool("describe_include_subcolumns", false) {
            let flags = [(rows.len(), 0), (below.len(), 1)];
            let flags = flags.iter().flat_map(|(n, v)| vec![Value::UInt(*v); *n]);
            let flags = Column::from_values(DataType::UInt8, &flags.collect::<Vec<_>>())?;
            columns.push(("is_subcolumn".into(), flags));
        }
        self.write_block(&Block::new(columns), format)
    }

    /// The columns that `SELECT * FROM table` would give.
    fn described_query(&self, table: &TableExpr) -> Result<Vec<Described>> {
        let select = Select {
            items: sql::parse_query("SELECT *")
                .ok()
                .and_then(|q| match q.body {
                    QueryBody::Select(s) => Some(s.items),
                    QueryBody::SetOperation { .. } => None,
                })
                .ok_or_else(|| Error::new(codes::LOGICAL_ERROR, "`SELECT *` must parse"))?,
            from: Some(table.clone()),
            ..Select::default()
        };
        let query = Query::new(QueryBody::Select(Box::new(select)));
        let plan = analyze_query(&query, &self.catalog(), self.context)?;
        Ok(plan.schema.iter().map(|(name, t)| Described::plain(name, t)).collect())
    }
}

/// The columns of DESCRIBE.
const DESCRIBED: [&str; 7] = [
    "name",
    "type",
    "default_type",
    "default_expression",
    "comment",
    "codec_expression",
    "ttl_expression",
];

/// A row of DESCRIBE.
struct Described {
    data_type: DataType,
    texts: [String; 7],
}

impl Described {
    /// A column of which only name and type are known.
    fn plain(name: &str, data_type: &DataType) -> Described {
        let mut texts: [String; 7] = Default::default();
        texts[0] = name.to_string();
        texts[1] = pumphouse_query::text::pretty_type_name(data_type);
        Described { data_type: data_type.clone(), texts }
    }

    fn subcolumns(&self) -> Vec<Described> {
        let below = |(name, t): (String, DataType)| {
            Described::plain(&format!("{}.{name}", self.texts[0]), &t)
        };
        subcolumns_of(&self.data_type).into_iter().map(below).collect()
    }
}

fn described(columns: &[pumphouse_storage::log::ColumnDefinition]) -> Vec<Described> {
    columns
        .iter()
        .map(|c| {
            let (kind, expression) = match &c.default {
                Some(d) => (default_kind_name(d.kind).to_string(), d.expression.clone()),
                None => (String::new(), String::new()),
            };
            let codec = c.codec.strip_prefix("CODEC(").and_then(|t| t.strip_suffix(')'));
            let mut described = Described::plain(&c.name, &c.data_type);
            let codec = codec.unwrap_or_default().to_string();
            let more = [kind, expression, c.comment.clone(), codec, c.ttl.clone()];
            described.texts[2..].clone_from_slice(&more);
            described
        })
        .collect()
}

/// The keyword of a default's kind.
pub fn default_kind_name(kind: DefaultKind) -> &'static str {
    match kind {
        DefaultKind::Default => "DEFAULT",
        DefaultKind::Materialized => "MATERIALIZED",
        DefaultKind::Alias => "ALIAS",
        DefaultKind::Ephemeral => "EPHEMERAL",
    }
}

pub(super) fn quote(text: &str) -> String {
    Value::string(text).to_sql()
}

/// SHOW INDEX: the primary key's expressions and the skip indexes, in MySQL's columns. Database and table
/// are quoted.
fn indexes_query(database: &str, table: &str, where_: Option<&Expr>) -> String {
    let condition = where_.map_or(String::new(), |e| format!(" WHERE {}", format::expr(e)));
    let middle = "toUInt8(0) AS cardinality, NULL AS sub_part, NULL AS packed, NULL AS `null`";
    let ends = "'' AS comment, '' AS index_comment, 'YES' AS visible";
    format!(
        "SELECT * FROM (\
         SELECT {table} AS `table`, toUInt8(1) AS non_unique, 'PRIMARY' AS key_name, \
         toUInt64(n) AS seq_in_index, e AS pk_col, CAST('A', 'Nullable(String)') AS collation, \
         {middle}, 'PRIMARY' AS index_type, {ends}, '' AS expression \
         FROM (SELECT splitByString(', ', primary_key) AS p FROM system.tables \
         WHERE database = {database} AND name = {table}) ARRAY JOIN p AS e, arrayEnumerate(p) AS n \
         UNION ALL SELECT {table}, toUInt8(1), name, toUInt64(1), '', CAST(NULL, 'Nullable(String)'), \
         {middle}, upper(type), {ends}, expr FROM system.data_skipping_indices \
         WHERE database = {database} AND table = {table}){condition} \
         ORDER BY index_type, expression, seq_in_index"
    )
}

fn limit(filter: &ShowFilter) -> String {
    filter.limit.as_ref().map_or(String::new(), |n| format!(" LIMIT {}", format::expr(n)))
}

/// WHERE of a SHOW statement over `name`, with a condition of our own.
fn tail(condition: &str, filter: &ShowFilter) -> String {
    let mut conditions: Vec<String> = vec![];
    if !condition.is_empty() {
        conditions.push(condition.into());
    }
    if let Some((pattern, case_insensitive, negated)) = &filter.like {
        let not = if *negated { "NOT " } else { "" };
        let like = if *case_insensitive { "ILIKE" } else { "LIKE" };
        conditions.push(format!("name {not}{like} {}", quote(pattern)));
    }
    if let Some(expr) = &filter.where_ {
        conditions.push(format!("({})", format::expr(expr)));
    }
    match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    }
}
