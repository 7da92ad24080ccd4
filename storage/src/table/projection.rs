//! A projection of a table, compiled: what it keeps, as the definition of a table of its own whose
//! parts lie inside the table's parts.
//!
//! Columns that are columns of the table keep their ids, so whatever reads a part's columns reads a
//! projection's too. Groups are an AggregatingMergeTree: equal keys are folded as there. A part's
//! projection is used only while the table means the same by it ([`Projection::entry`]).

use std::sync::Arc;

use super::key::TableKeys;
use crate::block::{Block, Column};
use crate::error::Result;
use crate::expression::{CompiledProjection, ExpressionCompiler};
use crate::log::{self, ColumnDefinition, ProjectionDefinition, TableClauses, TableDefinition};
use crate::part::{Described, PartReader, ProjectionEntry};
use crate::types::DataType;

/// Ids of columns that are none of the table's.
const OWN_COLUMNS_FROM: u32 = 1 << 31;

/// A compiled projection.
pub(crate) struct Projection {
    pub(crate) described: Described,
    pub(crate) compiled: Arc<dyn CompiledProjection>,
    /// What it would be as a table; without parts.
    pub(crate) table: Arc<log::Table>,
    pub(crate) keys: TableKeys,
}

impl Projection {
    pub(crate) fn compile(
        definition: &TableDefinition,
        projection: &ProjectionDefinition,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Projection> {
        let schema: Vec<(String, DataType)> = super::stored_columns(definition)
            .map(|c| (c.name.clone(), c.data_type.clone()))
            .collect();
        let compiled = compiler.projection(&projection.select, &schema)?;
        let of_table = |name: &str| definition.columns.iter().find(|c| c.name == name);
        let columns = compiled.columns().iter().zip(0..).map(|(column, i)| {
            let source = column.source.as_deref().and_then(of_table);
            ColumnDefinition {
                id: source.map_or(OWN_COLUMNS_FROM + i, |c| c.id),
                name: column.name.clone(),
                data_type: column.data_type.clone(),
                default: None,
                comment: String::new(),
                codec: source.map_or(String::new(), |c| c.codec.clone()),
                ttl: String::new(),
            }
        });
        let own = TableDefinition {
            name: format!("{}.{}", definition.name, projection.name),
            engine: if compiled.groups() { "AggregatingMergeTree" } else { "MergeTree" }.into(),
            columns: columns.collect(),
            sorting_key: compiled.sorting().to_vec(),
            primary_key: compiled.sorting().to_vec(),
            partition_key: vec![],
            clauses: TableClauses::default(),
            ..definition.clone()
        };
        let inputs = compiled
            .inputs()
            .iter()
            .filter_map(|name| of_table(name).map(|c| (c.name.clone(), c.id, c.data_type.clone())));
        Ok(Projection {
            described: Described {
                name: projection.name.clone(),
                select: projection.select.clone(),
                inputs: inputs.collect(),
            },
            keys: TableKeys::of_columns(&own, compiler)?,
            table: Arc::new(log::Table::empty(Arc::new(own))),
            compiled,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.described.name
    }

    pub(crate) fn definition(&self) -> &Arc<TableDefinition> {
        &self.table.definition
    }

    /// What the part has of it: made from the same text and the same columns.
    pub(crate) fn entry<'p>(&self, part: &'p PartReader) -> Option<&'p ProjectionEntry> {
        part.projections().iter().find(|e| e.described == self.described)
    }

    /// Whether the part has it. `Err` if that is damaged.
    pub(crate) fn open(&self, part: &PartReader) -> Result<Option<Arc<PartReader>>> {
        self.entry(part).map(|entry| part.projection(entry)).transpose()
    }

    /// Its columns for the rows of `block`, in the definition's order.
    pub(crate) fn rows(&self, block: &Block) -> Result<Vec<Column>> {
        let rows = self.compiled.rows(block)?;
        self.definition()
            .columns
            .iter()
            .map(|c| {
                rows.column(&c.name).cloned().ok_or_else(|| {
                    crate::Error::Column(format!("a projection gave no column {}", c.name))
                })
            })
            .collect()
    }
}

/// Names of the projections that any of these parts has: those that a part made of them gets.
pub(crate) fn in_some_part<'p>(
    projections: &[Arc<Projection>],
    parts: impl Iterator<Item = &'p PartReader> + Clone,
) -> Vec<String> {
    let somewhere = |p: &&Arc<Projection>| parts.clone().any(|part| p.entry(part).is_some());
    projections.iter().filter(somewhere).map(|p| p.name().to_string()).collect()
}

/// Checks the projections of a definition: names once, and each compiles.
pub fn check_projections(
    definition: &TableDefinition,
    compiler: &dyn ExpressionCompiler,
) -> Result<()> {
    let projections = &definition.clauses.projections;
    for (i, projection) in projections.iter().enumerate() {
        if projections[..i].iter().any(|other| other.name == projection.name) {
            return Err(crate::Error::Expression {
                code: 583,
                message: format!(
                    "Cannot add projection {}: projection with this name already exists.",
                    projection.name
                ),
            });
        }
        Projection::compile(definition, projection, compiler)?;
    }
    Ok(())
}
