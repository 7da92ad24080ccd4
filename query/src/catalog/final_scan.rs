//! Scans of stored tables with FINAL.

use std::sync::Arc;

use pumphouse_storage::scan::FinalScan;
use pumphouse_storage::{Block, Error as StorageError};

use super::{MorselSource, RowFilter};
use crate::error::{Error, Result};

pub(super) struct StoredFinalScan {
    pub scan: FinalScan,
    pub columns: Vec<String>,
}

impl StoredFinalScan {
    pub fn open(scan: FinalScan, columns: &[String]) -> Arc<dyn MorselSource> {
        Arc::new(StoredFinalScan { scan, columns: columns.to_vec() })
    }
}

impl MorselSource for StoredFinalScan {
    fn morsel_count(&self) -> Option<usize> {
        Some(self.scan.range_count())
    }

    fn read(&self, index: usize) -> Result<Option<Block>> {
        if index >= self.scan.range_count() {
            return Ok(None);
        }
        Ok(Some(self.scan.read(index, &self.columns, None)?))
    }

    fn read_filtered(&self, index: usize, filter: &RowFilter<'_>) -> Result<Option<Block>> {
        if index >= self.scan.range_count() {
            return Ok(None);
        }
        let own = |block: &Block| {
            // The scan may read more columns, behind those asked for.
            let mut asked = Block::of_rows(block.rows());
            for name in &self.columns {
                if let Some(column) = block.column(name) {
                    asked.push(name.clone(), column.clone());
                }
            }
            filter(&asked).map_err(|e| match e {
                Error::Storage(e) => e,
                Error::Coded { code, message } => StorageError::Expression { code, message },
            })
        };
        Ok(Some(self.scan.read(index, &self.columns, Some(&own))?))
    }

    fn rows_hint(&self, index: usize) -> Option<usize> {
        Some(self.scan.range_rows(index))
    }

    fn estimate(&self) -> Option<[u64; 3]> {
        Some(super::store::estimate(&self.scan.report))
    }

    fn explain(&self) -> Vec<String> {
        super::store::pruning_lines(&self.scan.report)
    }
}
