//! Where the rows of a morsel lie: what `_part`, `_part_offset` and the like are made from.

use super::Scan;
use crate::error::Result;
use crate::log::{PartMeta, Table};
use crate::store::Store;
use crate::table::key::TableKeys;
use crate::types::{DataType, Value};

impl Scan {
    /// The part that morsel `i` is of; None where another stands in for it.
    pub fn part_of(&self, i: usize) -> Option<&PartMeta> {
        let id = self.parts[self.morsels[i].part].reader.id();
        self.table.parts.iter().find(|p| p.id == id).map(|p| &**p)
    }

    /// Parts that the scan reads before that of morsel `i`, and the rows written in them.
    pub fn parts_before(&self, i: usize) -> (u64, u64) {
        let before = &self.parts[..self.morsels[i].part];
        (before.len() as u64, before.iter().map(|p| p.reader.rows()).sum())
    }

    /// The values of the partition key in the part of morsel `i`.
    pub fn partition_value(&self, i: usize) -> Vec<Value> {
        let part = &self.parts[self.morsels[i].part];
        part.reader.partition_values().into_iter().map(|(_, value)| value).collect()
    }

    /// Each row of morsel `i`: its number within the part, and its granule's.
    pub fn row_places(&self, i: usize) -> Vec<(u64, u64)> {
        let morsel = &self.morsels[i];
        let part = &self.parts[morsel.part].reader;
        let all = morsel.granules.iter().flat_map(|&g| {
            let from = part.granule_start(g);
            (from..from + part.granule_rows(g) as u64).map(move |row| (row, g as u64))
        });
        match &morsel.live {
            Some(live) => {
                all.zip(live.values().iter()).filter(|(_, l)| *l).map(|(p, _)| p).collect()
            }
            None => all.collect(),
        }
    }
}

/// The types of the partition key's values.
pub fn partition_types(store: &Store, table: &Table) -> Result<Vec<DataType>> {
    let keys = TableKeys::of(&table.definition, store.compiler().as_ref())?;
    Ok(keys.partition.iter().map(|key| key.data_type()).collect())
}
