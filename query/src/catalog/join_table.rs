//! Tables of the engine `Join(strictness, kind, keys…)`: rows kept for the right side of a join and for
//! `joinGet`. They are parts in insert order; of rows with one key the first counts unless the
//! strictness is ALL.
//!
//! Rows by key are made once for a state of the table's parts and kept for the next queries; at most
//! [`TABLES_MAX`] tables are kept so.

use std::sync::Arc;

use parking_lot::Mutex;
use pumphouse_storage::log::{PartId, State, Table, TableDefinition};
use pumphouse_storage::scan::{self, ColumnCondition};
use pumphouse_storage::{Block, DataType, Store};
use uuid::Uuid;

use super::store::source_columns;
use super::{BlockSource, JoinRule, MorselSource, SourceColumn, TableSource};
use crate::context::{MemoryTracker, QueryContext};
use crate::dictionary::{Attribute, Dictionary, Lookup, Structure};
use crate::error::{Error, Result, codes};
use crate::sql::ast::ExprKind;

/// Tables whose rows by key are kept.
const TABLES_MAX: usize = 32;

/// What `Join(ANY, LEFT, k)` says, checked against the table's columns.
pub fn join_rule(definition: &TableDefinition) -> Result<JoinRule> {
    let wrong = |text: &str| Error::new(codes::BAD_ARGUMENTS, text.to_string());
    let words: Vec<String> = definition
        .clauses
        .engine_arguments
        .iter()
        .map(|text| match crate::sql::parse_expression(text)?.kind {
            ExprKind::Identifier(parts) => Ok(parts.join(".")),
            _ => Err(wrong("Parameters of storage Join must be names (without quotes).")),
        })
        .collect::<Result<_>>()?;
    let [strictness, kind, keys @ ..] = words.as_slice() else { return Err(too_few()) };
    if keys.is_empty() {
        return Err(too_few());
    }
    let strictness = strictness.to_ascii_uppercase();
    if !["ANY", "ALL", "SEMI", "ANTI"].contains(&strictness.as_str()) {
        return Err(wrong(
            "First parameter of storage Join must be ANY or ALL or SEMI or ANTI (without quotes).",
        ));
    }
    let kind = kind.to_ascii_uppercase();
    if !["LEFT", "INNER", "RIGHT", "FULL"].contains(&kind.as_str()) {
        return Err(wrong(
            "Second parameter of storage Join must be LEFT or INNER or RIGHT or FULL (without quotes).",
        ));
    }
    for key in keys {
        if !definition.columns.iter().any(|c| c.name == *key) {
            return Err(Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!("Key column ({key}) does not exist in table declaration."),
            ));
        }
    }
    let on = |name: &str| definition.settings.get(name).is_some_and(|v| v == "1" || v == "true");
    Ok(JoinRule { strictness, kind, keys: keys.to_vec(), use_nulls: on("join_use_nulls") })
}

fn too_few() -> Error {
    Error::new(
        codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
        "Storage Join requires at least 3 parameters: Join(ANY|ALL|SEMI|ANTI, LEFT|INNER|RIGHT, keys...).",
    )
}

struct Kept {
    table: Uuid,
    parts: Vec<PartId>,
    version: u64,
    by_key: Arc<Dictionary>,
}

/// Rows by key, those used last at the end.
static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// The rows of a Join table by key.
pub(super) fn by_key(
    store: &Arc<Store>,
    state: &Arc<State>,
    table: &Arc<Table>,
) -> Result<Arc<Dictionary>> {
    let id = table.definition.uuid;
    let parts: Vec<PartId> = table.parts.iter().map(|p| p.id).collect();
    let version = table.definition_version;
    {
        let mut kept = KEPT.lock();
        if let Some(at) = kept.iter().position(|k| k.table == id)
            && kept[at].parts == parts
            && kept[at].version == version
        {
            let found = kept.remove(at);
            let by_key = found.by_key.clone();
            kept.push(found);
            return Ok(by_key);
        }
    }
    let by_key = Arc::new(indexed(store, state, table)?);
    let mut kept = KEPT.lock();
    kept.retain(|k| k.table != id);
    if kept.len() >= TABLES_MAX {
        kept.remove(0);
    }
    kept.push(Kept { table: id, parts, version, by_key: by_key.clone() });
    Ok(by_key)
}

fn indexed(store: &Arc<Store>, state: &Arc<State>, table: &Arc<Table>) -> Result<Dictionary> {
    let rule = join_rule(&table.definition)?;
    let all = source_columns(table);
    let of = |column: &SourceColumn| (column.name.clone(), column.data_type.clone());
    let is_key = |column: &&SourceColumn| rule.keys.contains(&column.name);
    let mut keys: Vec<(String, DataType)> = all.iter().filter(is_key).map(of).collect();
    keys.sort_by_key(|(name, _)| rule.keys.iter().position(|k| k == name));
    let attributes = all.iter().filter(|c| !is_key(c)).map(|c| Attribute {
        name: c.name.clone(),
        data_type: match rule.use_nulls && !c.data_type.is_nullable() {
            true => DataType::nullable(c.data_type.clone()),
            false => c.data_type.clone(),
        },
        default: None,
        hierarchical: false,
    });
    let structure = Structure {
        name: table.definition.full_name(),
        lookup: Lookup::Complex,
        keys,
        range: None,
        last_range: false,
        attributes: attributes.collect(),
    };
    let names: Vec<String> = structure.columns().into_iter().map(|(n, _)| n).collect();
    let scan = scan::open(store, state.clone(), table, &names, &[])?;
    let mut blocks = vec![];
    for morsel in 0..scan.morsel_count() {
        blocks.push(scan.read(morsel, &names, None)?);
    }
    let context = QueryContext::new("", 0, 0);
    Dictionary::build(structure, blocks, &MemoryTracker::new(0), &context)
}

/// A Join table that keeps one row a key.
pub(super) struct JoinSource {
    pub store: Arc<Store>,
    pub state: Arc<State>,
    pub table: Arc<Table>,
    pub columns: Vec<SourceColumn>,
    pub rule: JoinRule,
}

impl TableSource for JoinSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn scan(
        &self,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Arc<dyn MorselSource>> {
        let by_key = by_key(&self.store, &self.state, &self.table)?;
        let context = QueryContext::new("", 0, 0);
        let mut block = Block::of_rows(by_key.rows.rows());
        for column in &self.columns {
            // Nullable by join_use_nulls is for joinGet and joins, not for the rows.
            if let Some(values) = by_key.rows.column(&column.name) {
                let cast = crate::functions::cast::cast_column;
                block.push(column.name.clone(), cast(values, &column.data_type, &context)?);
            }
        }
        BlockSource::new(self.name(), self.columns.clone(), vec![block]).scan(columns, conditions)
    }

    fn join_rule(&self) -> Option<&JoinRule> {
        Some(&self.rule)
    }

    fn name(&self) -> String {
        self.table.definition.full_name()
    }

    fn engine(&self) -> String {
        "Join".into()
    }
}
