//! `GROUP BY … SET` of a TTL for storage: assignments with aggregate functions over groups of rows.
//!
//! Runs as a small query over the rows, grouped by a column that holds each row's group.

use std::sync::Arc;

use pumphouse_storage::expression::CompiledGrouping;
use pumphouse_storage::{Block, Column, DataType};

use super::compiled::{NoTables, to_storage};
use super::{analyze_query, bind_query};
use crate::catalog::{BlockSource, OverlayCatalog, SourceColumn};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::functions::cast::cast_column;
use crate::sql;
use crate::sql::ast::Query;

const TABLE: &str = "__rows";
const GROUP: &str = "__group";

struct Grouping {
    names: Vec<String>,
    types: Vec<DataType>,
    query: Query,
    ctx: Arc<QueryContext>,
}

/// Compiles `SET name = expression, …` over `columns`.
pub(super) fn grouping(
    set: &[(String, String)],
    columns: &[(String, DataType)],
) -> Result<Arc<dyn CompiledGrouping>> {
    let type_of = |name: &String| {
        columns.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone()).ok_or_else(|| {
            Error::new(codes::NO_SUCH_COLUMN_IN_TABLE, format!("There is no column {name}"))
        })
    };
    let types = set.iter().map(|(name, _)| type_of(name)).collect::<Result<Vec<_>>>()?;
    let items: Vec<&str> = set.iter().map(|(_, expression)| expression.as_str()).collect();
    let text = format!(
        "SELECT {GROUP}, {} FROM {TABLE} GROUP BY {GROUP} ORDER BY {GROUP}",
        items.join(", ")
    );
    let grouping = Grouping {
        names: set.iter().map(|(name, _)| name.clone()).collect(),
        types,
        query: sql::parse_query(&text)?,
        ctx: Arc::new(QueryContext::new("", 0, 0)),
    };
    // Mistakes show now, not in a merge.
    let empty = Block::empty_of(columns);
    analyze_query(&grouping.query, &grouping.catalog(&empty, &[])?, &grouping.ctx)?;
    Ok(Arc::new(grouping))
}

impl Grouping {
    fn catalog(&self, block: &Block, group_of_row: &[u32]) -> Result<OverlayCatalog<'static>> {
        let mut rows = block.clone();
        let groups: arrow_array::UInt32Array = group_of_row.to_vec().into();
        rows.push(GROUP, Column::new(DataType::UInt32, Arc::new(groups)));
        let columns =
            rows.schema().into_iter().map(|(name, t)| SourceColumn::plain(name, t)).collect();
        let source = Arc::new(BlockSource::new(TABLE, columns, vec![rows]));
        Ok(OverlayCatalog::new(&NoTables, &self.ctx.database, TABLE, source))
    }

    fn run(
        &self,
        block: &Block,
        group_of_row: &[u32],
        groups: usize,
    ) -> Result<Vec<(String, Column)>> {
        let catalog = self.catalog(block, group_of_row)?;
        let plan = bind_query(&self.query, &catalog, &self.ctx)?;
        let plan = crate::optimize::optimize_in(plan, &self.ctx)?;
        let blocks = crate::execute::collect(&plan, &self.ctx)?;
        let whole = Block::concat(&blocks)?;
        if whole.rows() != groups {
            return Err(Error::new(
                codes::LOGICAL_ERROR,
                format!("{groups} groups of a TTL became {}", whole.rows()),
            ));
        }
        self.names
            .iter()
            .zip(&self.types)
            .zip(&whole.columns[1..])
            .map(|((name, data_type), column)| {
                Ok((name.clone(), cast_column(column, data_type, &self.ctx)?))
            })
            .collect()
    }
}

impl CompiledGrouping for Grouping {
    fn group(
        &self,
        block: &Block,
        group_of_row: &[u32],
        groups: usize,
    ) -> pumphouse_storage::Result<Vec<(String, Column)>> {
        self.run(block, group_of_row, groups).map_err(to_storage)
    }
}

#[cfg(test)]
mod tests {
    use pumphouse_storage::Value;

    use super::*;

    #[test]
    fn groups_are_assigned_in_order() {
        let columns = vec![("v".to_string(), DataType::UInt32), ("w".into(), DataType::UInt32)];
        let set = vec![("v".to_string(), "sum(v)".to_string()), ("w".into(), "max(w) + 1".into())];
        let grouping = grouping(&set, &columns).expect("compiles");
        let column = |values: &[u64]| {
            let values: Vec<Value> = values.iter().map(|v| Value::UInt(*v)).collect();
            Column::from_values(DataType::UInt32, &values).expect("fits")
        };
        let block =
            Block::new(vec![("v".into(), column(&[1, 2, 3])), ("w".into(), column(&[7, 5, 9]))]);
        let result = grouping.group(&block, &[0, 0, 1], 2).expect("runs");
        assert_eq!(result[0].1.value(0), Value::UInt(3));
        assert_eq!(result[1].1.value(0), Value::UInt(8));
        assert_eq!(result[1].1.value(1), Value::UInt(10));
    }
}
