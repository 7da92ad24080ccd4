//! The seam through which storage has SQL expressions evaluated (sorting keys, partition keys)
//! without knowing any SQL. `query` implements it; tests may use column names only.

use std::sync::Arc;

use crate::block::{Block, Column};
use crate::error::Result;
use crate::types::DataType;

/// Compiles expression texts over named columns.
pub trait ExpressionCompiler: Send + Sync + 'static {
    /// `text` is one SQL expression as stored in the table's definition, for example
    /// `toYYYYMM(event_date)`; `columns` are the table's columns.
    fn compile(
        &self,
        text: &str,
        columns: &[(String, DataType)],
    ) -> Result<Arc<dyn CompiledExpression>>;

    /// How values of a column of `AggregateFunction` or `SimpleAggregateFunction` type are put
    /// together.
    fn fold(&self, data_type: &DataType) -> Result<Arc<dyn CompiledFold>> {
        Err(no_aggregates(&data_type.to_string()))
    }

    /// Sums the values of maps by their keys: columns of arrays, keys first.
    fn fold_maps(&self, data_types: &[DataType]) -> Result<Arc<dyn CompiledFold>> {
        Err(no_aggregates(&format!("{} arrays", data_types.len())))
    }

    /// `SET name = expression` over groups of rows, where expressions may use aggregate functions.
    fn group(
        &self,
        set: &[(String, String)],
        _columns: &[(String, DataType)],
    ) -> Result<Arc<dyn CompiledGrouping>> {
        Err(no_aggregates(&format!("{} columns of groups", set.len())))
    }

    /// The SELECT of a projection over a table of these columns.
    fn projection(
        &self,
        _select: &str,
        _columns: &[(String, DataType)],
    ) -> Result<Arc<dyn CompiledProjection>> {
        Err(no_aggregates("rows of a projection"))
    }
}

fn no_aggregates(what: &str) -> crate::Error {
    crate::Error::Expression { code: 48, message: format!("aggregating {what} is not supported") }
}

/// An aggregate function over columns whose results are of the columns' own types.
pub trait CompiledFold: Send + Sync {
    /// Folds the rows of `columns` into `groups` rows; row `i` belongs to group `group_of_row[i]`.
    fn fold(&self, columns: &[Column], group_of_row: &[u32], groups: usize) -> Result<Vec<Column>>;
}

/// A column that a projection keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectedColumn {
    /// The expression's canonical text.
    pub name: String,
    pub data_type: DataType,
    /// The table's column, if it is one as it stands.
    pub source: Option<String>,
}

/// A projection's SELECT, ready to run over blocks of the table's rows.
pub trait CompiledProjection: Send + Sync {
    fn columns(&self) -> &[ProjectedColumn];
    /// Names of the columns that its rows are sorted by; for groups: the keys.
    fn sorting(&self) -> &[String];
    /// Names of the table's columns that it reads.
    fn inputs(&self) -> &[String];
    /// Whether it keeps groups with states of aggregates, not rows.
    fn groups(&self) -> bool;
    /// Its rows (in no order) for those of `block`, which holds at least the inputs.
    fn rows(&self, block: &Block) -> Result<Block>;
    /// What folds its states.
    fn compiler(&self) -> Arc<dyn ExpressionCompiler>;
    /// For the crate that made it.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Assignments ready to run over groups of a block's rows.
pub trait CompiledGrouping: Send + Sync {
    /// For each assigned column its name and one value per group, of the column's type; row `i`
    /// belongs to group `group_of_row[i]`.
    fn group(
        &self,
        block: &Block,
        group_of_row: &[u32],
        groups: usize,
    ) -> Result<Vec<(String, Column)>>;
}

/// A deterministic expression ready to run over blocks that hold at least its `inputs`.
pub trait CompiledExpression: Send + Sync {
    fn result_type(&self) -> DataType;
    /// Names of the columns that it reads.
    fn inputs(&self) -> &[String];
    /// One value per row of `block`.
    fn evaluate(&self, block: &Block) -> Result<Column>;
}

/// A compiler that knows bare column names only.
pub struct ColumnNames;

/// A column of the block.
pub(crate) struct ColumnByName {
    inputs: [String; 1],
    data_type: DataType,
}

impl ColumnByName {
    pub(crate) fn new(name: String, data_type: DataType) -> ColumnByName {
        ColumnByName { inputs: [name], data_type }
    }
}

impl ExpressionCompiler for ColumnNames {
    fn compile(
        &self,
        text: &str,
        columns: &[(String, DataType)],
    ) -> Result<Arc<dyn CompiledExpression>> {
        let name = text.trim().trim_matches('`');
        let data_type = columns.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
        match data_type {
            Some(data_type) => Ok(Arc::new(ColumnByName::new(name.to_string(), data_type))),
            None => Err(crate::Error::Expression {
                code: 47,
                message: format!("unknown column {text}"),
            }),
        }
    }
}

impl CompiledExpression for ColumnByName {
    fn result_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn evaluate(&self, block: &Block) -> Result<Column> {
        block.column(&self.inputs[0]).cloned().ok_or_else(|| crate::Error::Expression {
            code: 47,
            message: format!("column {} is not in the block", self.inputs[0]),
        })
    }
}
