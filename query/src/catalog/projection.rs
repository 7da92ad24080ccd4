//! A projection that keeps groups, as a table: its columns are the keys and the states of aggregates.
//! Several rows may be of one group; parts without it give theirs from their rows.

use std::sync::Arc;

use pumphouse_storage::expression::CompiledProjection;
use pumphouse_storage::log::{State, Table};
use pumphouse_storage::scan::{self, ColumnCondition, Predicate, ProjectionScan};
use pumphouse_storage::{Block, Store};

use super::store::{estimate, pruning_lines};
use super::{MorselSource, SourceColumn, TableSource};
use crate::context::Settings;
use crate::error::{Error, Result, codes};

pub(super) struct ProjectionSource {
    store: Arc<Store>,
    state: Arc<State>,
    table: Arc<Table>,
    name: String,
    columns: Vec<SourceColumn>,
    sorting: Vec<String>,
}

impl ProjectionSource {
    pub(super) fn new(
        store: &Arc<Store>,
        state: &Arc<State>,
        table: &Arc<Table>,
        (name, projection): (String, Arc<dyn CompiledProjection>),
    ) -> ProjectionSource {
        let columns = projection.columns().iter();
        ProjectionSource {
            store: store.clone(),
            state: state.clone(),
            table: table.clone(),
            name,
            columns: columns
                .map(|c| SourceColumn::plain(c.name.clone(), c.data_type.clone()))
                .collect(),
            sorting: projection.sorting().to_vec(),
        }
    }
}

impl TableSource for ProjectionSource {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
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
        predicate: &Predicate,
        _: &Settings,
    ) -> Result<Arc<dyn MorselSource>> {
        let mut parts: Vec<Predicate> = conditions.iter().cloned().map(Predicate::Ranges).collect();
        parts.push(predicate.clone());
        let predicate = Predicate::all(parts);
        let (store, state, table) = (&self.store, &self.state, &self.table);
        match scan::open_groups(store, state, table, &self.name, columns, &predicate)? {
            Some(scan) => Ok(Arc::new(GroupScan { scan, columns: columns.to_vec() })),
            None => Err(Error::new(
                codes::PROJECTION_NOT_USED,
                format!("No part has projection {}", self.name),
            )),
        }
    }

    fn pruning_keys(&self) -> Vec<String> {
        self.sorting.clone()
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn table_name(&self) -> String {
        self.table.definition.full_name()
    }

    fn engine(&self) -> String {
        super::PROJECTION_ENGINE.into()
    }
}

struct GroupScan {
    scan: ProjectionScan,
    columns: Vec<String>,
}

impl MorselSource for GroupScan {
    fn morsel_count(&self) -> Option<usize> {
        Some(self.scan.morsel_count())
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        if index >= self.scan.morsel_count() {
            return Ok(None);
        }
        Ok(Some(self.scan.read(index, &self.columns)?))
    }

    fn rows_hint(&self, index: usize) -> Option<usize> {
        Some(self.scan.morsel_rows(index))
    }

    fn projection(&self) -> Option<&str> {
        self.scan.report.projection.as_deref()
    }

    fn estimate(&self) -> Option<[u64; 3]> {
        Some(estimate(&self.scan.report))
    }

    fn explain(&self) -> Vec<String> {
        pruning_lines(&self.scan.report)
    }
}
