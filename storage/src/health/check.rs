//! CHECK TABLE: reads every byte of parts and compares it with the checksums and the log.
//!
//! A part that fails is quarantined on the spot. Reading goes around the readers kept open, so that
//! a replaced or truncated file is seen.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::log::{PartMeta, Table, mask_path};
use crate::part::{PartReader, RowMask};
use crate::store::{Store, missing_path_is_damage};

/// The outcome for one part.
#[derive(Debug, Clone)]
pub struct PartCheck {
    pub part: Arc<PartMeta>,
    /// What is wrong; None if it passed.
    pub problem: Option<String>,
}

/// Checks `part` of `table` whole: file, footer, every granule, and that it says of itself what the
/// log says of it.
pub fn check_part(store: &Store, table: &Table, part: &Arc<PartMeta>) -> PartCheck {
    let problem = match verify_file(store, part) {
        Ok(()) => None,
        // A part that was merged away meanwhile is nobody's problem.
        Err(_) if is_gone(store, table, part) => None,
        Err(e) => {
            store.quarantine(part.id, &e.to_string());
            Some(e.to_string())
        }
    };
    PartCheck { part: part.clone(), problem }
}

fn is_gone(store: &Store, table: &Table, part: &PartMeta) -> bool {
    let state = store.snapshot();
    let current = state.tables.get(&table.definition.uuid);
    !current.is_some_and(|t| t.parts.iter().any(|p| p.id == part.id))
}

/// Reads the file of `meta` from the disk and compares it with the log's entry.
pub(super) fn verify_file(store: &Store, meta: &PartMeta) -> Result<()> {
    let path = meta.path();
    let damaged = |what: String| Error::Damaged { path: path.clone(), file_offset: 0, what };
    if !store.disk().exists(&path)? {
        return Err(damaged("the file is missing".into()));
    }
    let reader = PartReader::open(store.disk(), &path)?;
    if reader.footer_hash() != meta.footer_hash {
        return Err(damaged("its footer is not the one that the log lists".into()));
    }
    if reader.rows() != meta.rows {
        let (has, listed) = (reader.rows(), meta.rows);
        return Err(damaged(format!("it has {has} rows, the log lists {listed}")));
    }
    if let Some(mask) = &meta.mask {
        RowMask::read(store.disk(), mask, meta.rows)
            .map_err(|e| missing_path_is_damage(store.disk(), mask_path(mask.id), e))?;
    }
    reader.verify_all()
}
