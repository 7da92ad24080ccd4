//! System tables as one user sees them: rows about databases, tables and columns that it may not see are left out,
//! and `current_roles` and `enabled_roles` are its own. It stands before the server's tables in the catalog of a
//! statement; the configured user's has none of it.

use std::sync::Arc;

use pumphouse_query::Result;
use pumphouse_query::catalog::{BlockSource, ExtraTables, MorselSource, SourceColumn, TableSource};
use pumphouse_query::context::{QueryContext, Settings};
use pumphouse_query::dictionary::Dictionary;
use pumphouse_query::privileges::Privileges;
use pumphouse_query::sql::ast::Query;
use pumphouse_storage::log::State;
use pumphouse_storage::scan::{ColumnCondition, Predicate};
use pumphouse_storage::{Block, DataType, Value};

use super::rows::{Rows, flag, text};
use crate::access::granted::default_roles;
use crate::access::{Entities, Granted};

/// The tables of `inner` as `access` lets them be seen.
pub struct VisibleTables {
    pub inner: Arc<dyn ExtraTables>,
    pub access: Arc<Granted>,
    pub entities: Arc<Entities>,
    pub user: String,
}

impl ExtraTables for VisibleTables {
    fn table(
        &self,
        state: &Arc<State>,
        database: &str,
        name: &str,
    ) -> Option<Arc<dyn TableSource>> {
        let source = self.inner.table(state, database, name)?;
        if database != "system" {
            return Some(source);
        }
        if name == "current_roles" || name == "enabled_roles" {
            return self.roles(name, source.columns().to_vec()).ok();
        }
        if self.access.everything {
            return Some(source);
        }
        let has = |wanted: &str| source.columns().iter().any(|c| c.name == wanted);
        let keys: &[&'static str] = match name {
            "databases" => &["name"],
            "tables" | "dictionaries" => &["database", "name"],
            "columns" => &["database", "table", "name"],
            "processes" => &["user"],
            _ if has("database") && has("table") => &["database", "table"],
            _ => return Some(source),
        };
        let (access, user) = (self.access.clone(), self.user.clone());
        Some(Arc::new(Visible { inner: source, table: name.into(), keys, access, user }))
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Option<Result<Arc<dyn TableSource>>> {
        self.inner.table_function(name, arguments, ctx)
    }

    fn dictionary(
        &self,
        state: &Arc<State>,
        database: &str,
        name: &str,
    ) -> Option<Result<Arc<Dictionary>>> {
        self.inner.dictionary(state, database, name)
    }
}

impl VisibleTables {
    fn roles(&self, table: &str, columns: Vec<SourceColumn>) -> Result<Arc<dyn TableSource>> {
        let schema: Vec<(String, DataType)> =
            columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let mut rows = Rows::new(schema);
        let current = table == "current_roles";
        let roles = if current { &self.access.current_roles } else { &self.access.enabled_roles };
        let user = self.access.user.as_ref();
        let defaults = user.map(|u| default_roles(u)).unwrap_or_default();
        for id in roles {
            let Some(role) = self.entities.get(id) else { continue };
            let admin = user.is_some_and(|u| u.roles.get(id) == Some(&true));
            let mut row = vec![
                ("role_name", text(role.name())),
                ("with_admin_option", flag(admin)),
                ("is_default", flag(defaults.contains(id))),
            ];
            if !current {
                row.push(("is_current", flag(self.access.current_roles.contains(id))));
            }
            rows.push(&row);
        }
        Ok(Arc::new(BlockSource::new(format!("system.{table}"), columns, vec![rows.into_block()?])))
    }
}

struct Visible {
    inner: Arc<dyn TableSource>,
    table: String,
    /// Columns by which rows are told apart.
    keys: &'static [&'static str],
    access: Arc<Granted>,
    user: String,
}

impl Visible {
    fn may_see(&self, names: &[&str]) -> bool {
        let privilege = match self.table.as_str() {
            "processes" => {
                let all = Privileges::of("KILL QUERY");
                return names == [self.user.as_str()] || self.access.holds(all, &[]);
            }
            "databases" => "SHOW DATABASES",
            "columns" => "SHOW COLUMNS",
            "dictionaries" => "SHOW DICTIONARIES",
            _ => "SHOW TABLES",
        };
        self.access.holds_some(Privileges::of(privilege), names)
    }

    fn visible(&self, block: &Block) -> Block {
        let columns: Vec<_> = self.keys.iter().filter_map(|key| block.column(key)).collect();
        let keep = (0..block.rows()).map(|row| {
            let values: Vec<Value> = columns.iter().map(|c| c.value(row)).collect();
            let text =
                |v: &Value| String::from_utf8_lossy(v.as_bytes().unwrap_or_default()).into_owned();
            let texts: Vec<String> = values.iter().map(text).collect();
            self.may_see(&texts.iter().map(String::as_str).collect::<Vec<_>>())
        });
        block.filter(&arrow_array::BooleanArray::from(keep.collect::<Vec<bool>>()))
    }
}

impl TableSource for Visible {
    fn columns(&self) -> &[SourceColumn] {
        self.inner.columns()
    }

    fn view_query(&self) -> Option<&Query> {
        self.inner.view_query()
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        self.scan_where(columns, conditions, &Predicate::Any, &Settings::default())
    }

    fn scan_where(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
        _predicate: &Predicate,
        settings: &Settings,
    ) -> Result<Arc<dyn MorselSource>> {
        let mut wanted = columns.to_vec();
        for key in self.keys {
            if !wanted.iter().any(|c| c == key) {
                wanted.push(key.to_string());
            }
        }
        let scan = self.inner.scan_where(&wanted, &[], &Predicate::Any, settings)?;
        let mut blocks = vec![];
        while let Some(block) = scan.read(blocks.len())? {
            blocks.push(self.visible(&block));
            if scan.morsel_count().is_some_and(|count| blocks.len() >= count) {
                break;
            }
        }
        let of_wanted = |c: &&SourceColumn| wanted.contains(&c.name);
        let shown: Vec<SourceColumn> =
            self.inner.columns().iter().filter(of_wanted).cloned().collect();
        BlockSource::new(self.inner.name(), shown, blocks).scan(columns, conditions)
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn engine(&self) -> String {
        self.inner.engine()
    }
}
