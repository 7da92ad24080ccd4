//! CHECK TABLE [PARTITION | PART], CHECK ALL TABLES, and the SYSTEM commands for quarantined parts.

use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::TableName;
use pumphouse_query::{Error, Result};
use pumphouse_storage::health::check::check_part;
use pumphouse_storage::log::{PartMeta, Table};
use pumphouse_storage::table::key::partition_id;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::Run;
use super::words::Words;

/// Which parts of a table are checked.
enum Which {
    All,
    Partition(String),
    Part(String),
}

impl Run<'_> {
    pub(super) fn check_table(&mut self, name: &TableName, format: Option<&str>) -> Result<()> {
        let table = self.table_to_check(&name.database, &name.name)?;
        self.check_one(&table, &Which::All, format)
    }

    /// CHECK as the parser kept it: with PARTITION or PART, or ALL TABLES.
    pub(super) fn check_words(&mut self, mut words: Words<'_>) -> Result<()> {
        if words.keyword("ALL TABLES") {
            words.settings()?;
            let format = words.format_and_end()?;
            return self.check_all(format.as_deref());
        }
        words.expect_keyword("TABLE")?;
        let (database, name) = words.table_name()?;
        let which = if words.keyword("PARTITION") {
            words.keyword("ID");
            Which::Partition(words.literal()?)
        } else if words.keyword("PART") {
            Which::Part(words.string()?)
        } else {
            Which::All
        };
        let settings = words.settings()?;
        let format = words.format_and_end()?;
        let single = settings.get("check_query_single_value_result").is_some_and(|v| v != "0");
        let table = self.table_to_check(&database, &name)?;
        if single {
            return self.check_to_one_value(&table, &which, format.as_deref());
        }
        self.check_one(&table, &which, format.as_deref())
    }

    fn table_to_check(&self, database: &Option<String>, name: &str) -> Result<Arc<Table>> {
        let database = self.database(database).to_string();
        let state = self.server.store.snapshot();
        let Some(table) = state.table(&database, name) else {
            return Err(self.unknown_table(&database, name));
        };
        if !table.definition.engine.ends_with("MergeTree") {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("Check query is not supported for {} storage", table.definition.engine),
            ));
        }
        Ok(table.clone())
    }

    fn check_one(&mut self, table: &Table, which: &Which, format: Option<&str>) -> Result<()> {
        if self.context.settings.bool("check_query_single_value_result", false) {
            return self.check_to_one_value(table, which, format);
        }
        let mut rows = CheckRows::default();
        self.check_parts(table, which, &mut rows)?;
        self.write_block(&rows.block(false)?, format)
    }

    fn check_to_one_value(
        &mut self,
        table: &Table,
        which: &Which,
        format: Option<&str>,
    ) -> Result<()> {
        let mut rows = CheckRows::default();
        self.check_parts(table, which, &mut rows)?;
        let passed = rows.passed.iter().all(|p| *p == Value::UInt(1));
        let column = Column::from_values(DataType::UInt8, &[Value::UInt(passed.into())])?;
        self.write_block(&Block::new(vec![("result".into(), column)]), format)
    }

    fn check_all(&mut self, format: Option<&str>) -> Result<()> {
        let state = self.server.store.snapshot();
        let mut rows = CheckRows::default();
        for database in state.databases.values() {
            for table in database.tables.values().filter_map(|id| state.tables.get(id)) {
                if table.definition.engine.ends_with("MergeTree") {
                    self.check_parts(table, &Which::All, &mut rows)?;
                }
            }
        }
        self.write_block(&rows.block(true)?, format)
    }

    fn check_parts(&self, table: &Table, which: &Which, rows: &mut CheckRows) -> Result<()> {
        let chosen: Vec<&Arc<PartMeta>> =
            table.parts.iter().filter(|part| matches(part, which)).collect();
        if let (Which::Part(name), true) = (which, chosen.is_empty()) {
            return Err(Error::new(
                codes::NO_SUCH_DATA_PART,
                format!(
                    "No such data part '{name}' to check in table '{}'",
                    table.definition.full_name()
                ),
            ));
        }
        for part in chosen {
            self.context.check()?;
            let outcome = check_part(&self.server.store, table, part);
            rows.push(table, part, outcome.problem);
        }
        Ok(())
    }

    /// `SYSTEM RESTORE | DETACH QUARANTINED PART 'name' FROM table`.
    pub(super) fn quarantined_part(&mut self, restore: bool, mut words: Words<'_>) -> Result<()> {
        let name = words.string()?;
        words.expect_keyword("FROM")?;
        let (database, table) = words.table_name()?;
        words.format_and_end()?;
        let table = self.table_to_check(&database, &table)?;
        let part = table.parts.iter().find(|p| p.name() == name).ok_or_else(|| {
            Error::new(
                codes::NO_SUCH_DATA_PART,
                format!("No such data part '{name}' in table '{}'", table.definition.full_name()),
            )
        })?;
        if self.server.store.quarantine_reason(part.id).is_none() {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("Part '{name}' is not quarantined"),
            ));
        }
        if restore {
            self.server.store.release_part(part)?;
        } else {
            self.server.store.detach_quarantined(table.definition.uuid, part.id)?;
        }
        Ok(())
    }
}

/// Whether the part is one of those asked for. A partition is named by its value or its id.
fn matches(part: &PartMeta, which: &Which) -> bool {
    match which {
        Which::All => true,
        Which::Part(name) => part.name() == *name,
        Which::Partition(value) => {
            part.partition_id == *value
                || part.partition_id == value.replace('-', "")
                || part.partition_id
                    == partition_id(&[(DataType::String, Value::string(value.clone()))])
        }
    }
}

/// Rows of the answer.
#[derive(Default)]
struct CheckRows {
    databases: Vec<Value>,
    tables: Vec<Value>,
    parts: Vec<Value>,
    passed: Vec<Value>,
    messages: Vec<Value>,
}

impl CheckRows {
    fn push(&mut self, table: &Table, part: &PartMeta, problem: Option<String>) {
        self.databases.push(Value::string(table.definition.database.clone()));
        self.tables.push(Value::string(table.definition.name.clone()));
        self.parts.push(Value::string(part.name()));
        self.passed.push(Value::UInt(problem.is_none().into()));
        self.messages.push(Value::string(problem.unwrap_or_default()));
    }

    fn block(self, with_tables: bool) -> Result<Block> {
        let text = |values: &[Value]| Column::from_values(DataType::String, values);
        let mut columns = vec![];
        if with_tables {
            columns.push(("database".to_string(), text(&self.databases)?));
            columns.push(("table".to_string(), text(&self.tables)?));
        }
        columns.push(("part_path".to_string(), text(&self.parts)?));
        let passed = Column::from_values(DataType::UInt8, &self.passed)?;
        columns.push(("is_passed".to_string(), passed));
        columns.push(("message".to_string(), text(&self.messages)?));
        Ok(Block::new(columns))
    }
}
