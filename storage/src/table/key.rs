//! The keys of a table: partition key, sorting key and its prefix, the primary key; compiled once
//! per definition (its TTL rules too), evaluated per block.

use std::sync::{Arc, Weak};

use chrono::Datelike;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use crate::block::{Block, Column};
use crate::error::Result;
use crate::expression::{ColumnByName, CompiledExpression, ExpressionCompiler};
use crate::log::TableDefinition;
use crate::merge::ttl::TtlRules;
use crate::part::SkipIndex;
use crate::table::projection::Projection;
use crate::types::{DataType, Value};

/// Definitions whose keys stay compiled.
const CACHE_MAX: usize = 256;

static CACHE: Mutex<Vec<(Weak<TableDefinition>, Arc<TableKeys>)>> = Mutex::new(Vec::new());

/// One key expression.
pub(crate) struct KeyExpression {
    /// Canonical text, as in the definition.
    pub(crate) text: String,
    compiled: Arc<dyn CompiledExpression>,
}

/// The compiled keys of one definition.
pub(crate) struct TableKeys {
    pub(crate) partition: Vec<KeyExpression>,
    pub(crate) sorting: Vec<KeyExpression>,
    /// How many expressions of the sorting key are the primary key.
    pub(crate) primary_length: usize,
    /// Skip indexes; one that does not compile any more is left out.
    pub(crate) skip_indexes: Vec<Arc<SkipIndex>>,
    /// Projections; one that does not compile any more is left out.
    pub(crate) projections: Vec<Arc<Projection>>,
    pub(crate) ttl: TtlRules,
}

impl TableKeys {
    /// The keys of `definition`, compiled now or before.
    pub(crate) fn of(
        definition: &Arc<TableDefinition>,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Arc<TableKeys>> {
        let same = |weak: &Weak<TableDefinition>| weak.as_ptr() == Arc::as_ptr(definition);
        if let Some((_, keys)) = CACHE.lock().iter().find(|(weak, _)| same(weak)) {
            return Ok(keys.clone());
        }
        let keys = Arc::new(TableKeys::compile(definition, compiler)?);
        let mut cache = CACHE.lock();
        // A live weak pointer keeps its address from being reused, so addresses identify.
        cache.retain(|(weak, _)| weak.strong_count() > 0);
        if cache.len() >= CACHE_MAX {
            cache.remove(0);
        }
        cache.push((Arc::downgrade(definition), keys.clone()));
        Ok(keys)
    }

    fn compile(
        definition: &TableDefinition,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<TableKeys> {
        let schema = definition.schema();
        let compile = |texts: &[String]| {
            texts
                .iter()
                .map(|text| {
                    let compiled = compiler.compile(text, &schema)?;
                    Ok(KeyExpression { text: text.clone(), compiled })
                })
                .collect::<Result<Vec<_>>>()
        };
        let skip_indexes = definition.clauses.indexes.iter().filter_map(|index| {
            SkipIndex::compile(definition, index, compiler)
                .inspect_err(|e| tracing::warn!("skip index {} is not kept: {e}", index.name))
                .ok()
                .map(Arc::new)
        });
        let projections = definition.clauses.projections.iter().filter_map(|projection| {
            Projection::compile(definition, projection, compiler)
                .inspect_err(|e| tracing::warn!("projection {} is not kept: {e}", projection.name))
                .ok()
                .map(Arc::new)
        });
        Ok(TableKeys {
            skip_indexes: skip_indexes.collect(),
            projections: projections.collect(),
            partition: compile(&definition.partition_key)?,
            sorting: compile(&definition.sorting_key)?,
            primary_length: definition.primary_key.len().min(definition.sorting_key.len()),
            ttl: TtlRules::compile(definition, compiler)?,
        })
    }

    /// The keys of a table of its own that is sorted by these columns and has nothing else.
    pub(crate) fn of_columns(
        definition: &TableDefinition,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<TableKeys> {
        let column = |name: &String| {
            let known = definition.columns.iter().find(|c| c.name == *name);
            let data_type = known.map(|c| c.data_type.clone()).ok_or_else(|| {
                crate::Error::Column(format!("there is no column {name} to sort by"))
            })?;
            let compiled = Arc::new(ColumnByName::new(name.clone(), data_type));
            Ok(KeyExpression { text: name.clone(), compiled })
        };
        Ok(TableKeys {
            partition: vec![],
            sorting: definition.sorting_key.iter().map(column).collect::<Result<_>>()?,
            primary_length: definition.sorting_key.len(),
            skip_indexes: vec![],
            projections: vec![],
            ttl: TtlRules::compile(definition, compiler)?,
        })
    }

    /// Whether the sorting or the partition key reads column `name`.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.sorting.iter().chain(&self.partition).any(|e| e.inputs().iter().any(|i| i == name))
    }

    pub(crate) fn primary(&self) -> &[KeyExpression] {
        &self.sorting[..self.primary_length]
    }
}

impl KeyExpression {
    pub(crate) fn data_type(&self) -> DataType {
        self.compiled.result_type()
    }

    /// The columns that it reads.
    pub(crate) fn inputs(&self) -> &[String] {
        self.compiled.inputs()
    }
}

/// One column per expression, for the rows of `block`.
pub(crate) fn evaluate(expressions: &[KeyExpression], block: &Block) -> Result<Vec<Column>> {
    expressions.iter().map(|e| e.compiled.evaluate(block)).collect()
}

/// ClickHouse's id of the partition with these key values: `all` without a key, numbers and dates as
/// they read (`202511`, `20251125`, joined by `-`), anything else as a hash in hex.
pub fn partition_id(values: &[(DataType, Value)]) -> String {
    if values.is_empty() {
        return "all".into();
    }
    let readable: Option<Vec<String>> =
        values.iter().map(|(data_type, value)| readable(data_type, value)).collect();
    match readable {
        Some(parts) => parts.join("-"),
        None => {
            let mut text = String::new();
            for (data_type, value) in values {
                text.push_str(&format!("{data_type}\0"));
                match value.as_bytes() {
                    Some(bytes) => bytes.iter().for_each(|b| text.push_str(&format!("{b:02x}"))),
                    None => text.push_str(&value.to_sql()),
                }
                text.push('\0');
            }
            format!("{:032x}", xxh3_128(text.as_bytes()))
        }
    }
}

fn readable(data_type: &DataType, value: &Value) -> Option<String> {
    use DataType::*;
    if value.is_null() {
        return None;
    }
    match data_type.inner() {
        Date => {
            let days = i32::try_from(value.as_i128()?).ok()?;
            let date = chrono::NaiveDate::from_num_days_from_ce_opt(days + 719_163)?;
            Some(format!("{:04}{:02}{:02}", date.year(), date.month(), date.day()))
        }
        UInt8 | UInt16 | UInt32 | UInt64 | Int8 | Int16 | Int32 | Int64 | Bool | Date32
        | DateTime(_) | Ipv4 | Enum8(_) | Enum16(_) => Some(value.as_i128()?.to_string()),
        Uuid => {
            let bytes: [u8; 16] = value.as_bytes()?.try_into().ok()?;
            Some(uuid::Uuid::from_bytes(bytes).to_string())
        }
        _ => None,
    }
}
