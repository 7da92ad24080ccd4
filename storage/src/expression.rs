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

struct ColumnName {
    inputs: [String; 1],
    data_type: DataType,
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
            Some(data_type) => Ok(Arc::new(ColumnName { inputs: [name.to_string()], data_type })),
            None => Err(crate::Error::Expression {
                code: 47,
                message: format!("unknown column {text}"),
            }),
        }
    }
}

impl CompiledExpression for ColumnName {
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
