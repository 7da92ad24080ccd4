//! A scan: the parts and granules that pruning left, cut into morsels, and reading them.
//!
//! Takes a pinned state, so the files stay while the scan lives. Reads only the columns asked for;
//! columns that a part lacks (added later) are filled with the type's default.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray};

use super::ColumnCondition;
use super::prune::{Condition, PruningReport, Tally, prune};
use crate::block::{Block, Column};
use crate::error::{Error, Result};
use crate::log::{self, ColumnDefinition, State};
use crate::part::PartReader;
use crate::store::Store;
use crate::table::stored_columns;

/// Rows of a morsel, at most.
pub const MORSEL_ROWS: usize = 65_536;
/// Decoded bytes of the scanned columns in a morsel of more than one granule, at most.
const MORSEL_BYTES: u64 = 128 << 20;

/// An open scan; morsels can be read from any thread, in any order, any number of times.
pub struct Scan {
    pub report: PruningReport,
    table: Arc<log::Table>,
    parts: Vec<Arc<PartReader>>,
    morsels: Vec<Morsel>,
    /// Keeps the parts' files.
    _state: Arc<State>,
}

struct Morsel {
    part: usize,
    granules: Vec<usize>,
    rows: usize,
}

/// Chooses what to read of `table` at `state`. `columns` are those that will be read (they only
/// size the morsels); `conditions` must all hold for a row to be wanted.
pub fn open(
    store: &Arc<Store>,
    state: Arc<State>,
    table: &Arc<log::Table>,
    columns: &[String],
    conditions: &[ColumnCondition],
) -> Result<Scan> {
    let parts = table.parts.iter().map(|meta| store.part(meta)).collect::<Result<Vec<_>>>()?;
    Scan::over(state, table, parts, columns, conditions)
}

impl Scan {
    /// A scan over these open parts.
    pub(crate) fn over(
        state: Arc<State>,
        table: &Arc<log::Table>,
        parts: Vec<Arc<PartReader>>,
        columns: &[String],
        conditions: &[ColumnCondition],
    ) -> Result<Scan> {
        let ids = columns
            .iter()
            .map(|name| Ok(column_of(table, name)?.id))
            .collect::<Result<Vec<u32>>>()?;
        let bound: Vec<Condition<'_>> = conditions
            .iter()
            .map(|condition| Condition {
                condition,
                column_id: column_of(table, &condition.column).ok().map(|c| c.id),
            })
            .collect();
        let mut tally = Tally::default();
        let mut morsels = vec![];
        let mut kept = vec![];
        for part in parts {
            let granules = prune(&part, &bound, &mut tally);
            if !granules.is_empty() {
                cut_morsels(&part, kept.len(), &granules, &ids, &mut morsels);
                kept.push(part);
            }
        }
        Ok(Scan {
            report: tally.report(),
            table: table.clone(),
            parts: kept,
            morsels,
            _state: state,
        })
    }

    pub fn morsel_count(&self) -> usize {
        self.morsels.len()
    }

    pub fn morsel_rows(&self, i: usize) -> usize {
        self.morsels[i].rows
    }

    /// Columns `columns` of morsel `i`, in that order. With `keep` (one flag per row of the morsel)
    /// the block holds only the rows whose flag is true, and granules without any are not decoded.
    pub fn read(&self, i: usize, columns: &[String], keep: Option<&BooleanArray>) -> Result<Block> {
        let morsel = &self.morsels[i];
        let part = &self.parts[morsel.part];
        let plan = ReadPlan::new(part, morsel, keep)?;
        if columns.is_empty() {
            return Ok(Block::of_rows(plan.rows));
        }
        let named = columns
            .iter()
            .map(|name| {
                let definition = column_of(&self.table, name)?;
                let column = read_or_default(part, definition, &plan.granules)?;
                let column = match &plan.mask {
                    Some(mask) => column.filter(mask),
                    None => column,
                };
                Ok((name.clone(), column))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Block::new(named))
    }
}

/// What of a morsel has to be decoded.
struct ReadPlan {
    granules: Vec<usize>,
    /// Over the rows of `granules`; None if all of them are wanted.
    mask: Option<BooleanArray>,
    /// Wanted rows.
    rows: usize,
}

impl ReadPlan {
    fn new(part: &PartReader, morsel: &Morsel, keep: Option<&BooleanArray>) -> Result<ReadPlan> {
        let all = || ReadPlan { granules: morsel.granules.clone(), mask: None, rows: morsel.rows };
        let Some(keep) = keep else { return Ok(all()) };
        if keep.len() != morsel.rows {
            return Err(Error::Column(format!(
                "a mask of {} rows for a morsel of {}",
                keep.len(),
                morsel.rows
            )));
        }
        let wanted = keep.true_count();
        if wanted == morsel.rows {
            return Ok(all());
        }
        let (mut granules, mut pieces, mut row) = (vec![], vec![], 0);
        for granule in &morsel.granules {
            let rows = part.granule_rows(*granule);
            let piece = keep.slice(row, rows);
            if piece.true_count() > 0 {
                granules.push(*granule);
                pieces.push(piece);
            }
            row += rows;
        }
        let mask = join_masks(&pieces);
        let mask = (mask.true_count() < mask.len()).then_some(mask);
        Ok(ReadPlan { granules, mask, rows: wanted })
    }
}

fn join_masks(pieces: &[BooleanArray]) -> BooleanArray {
    let mut builder = arrow_array::builder::BooleanBufferBuilder::new(0);
    for piece in pieces {
        match piece.nulls() {
            // NULL is not true.
            Some(nulls) => builder.append_buffer(&(piece.values() & nulls.inner())),
            None => builder.append_buffer(piece.values()),
        }
    }
    BooleanArray::new(builder.finish(), None)
}

/// The table's column called `name`.
fn column_of<'a>(table: &'a log::Table, name: &str) -> Result<&'a ColumnDefinition> {
    stored_columns(&table.definition).find(|c| c.name == name).ok_or_else(|| {
        Error::Column(format!("table {} has no column {name}", table.definition.full_name()))
    })
}

/// `granules` of a column, or defaults if the part was written before the column was added.
pub(crate) fn read_or_default(
    part: &PartReader,
    definition: &ColumnDefinition,
    granules: &[usize],
) -> Result<Column> {
    let Some(index) = part.column_index(definition.id) else {
        let rows = granules.iter().map(|g| part.granule_rows(*g)).sum();
        return Ok(Column::default_values(definition.data_type.clone(), rows));
    };
    let column = part.read_column(index, granules)?;
    if column.data_type == definition.data_type {
        return Ok(column);
    }
    if *column.array.data_type() != definition.data_type.arrow() {
        return Err(Error::Column(format!(
            "column {} is of type {} in a part and {} in the table",
            definition.name, column.data_type, definition.data_type
        )));
    }
    Ok(Column { data_type: definition.data_type.clone(), array: column.array })
}

fn cut_morsels(
    part: &PartReader,
    at: usize,
    granules: &[usize],
    column_ids: &[u32],
    out: &mut Vec<Morsel>,
) {
    let indices: Vec<usize> = column_ids.iter().filter_map(|id| part.column_index(*id)).collect();
    let bytes_of = |granule: usize| -> u64 {
        indices.iter().map(|i| part.column(*i).mark(granule).decoded as u64).sum()
    };
    let mut morsel = Morsel { part: at, granules: vec![], rows: 0 };
    let mut bytes = 0;
    for granule in granules {
        let (rows, more) = (part.granule_rows(*granule), bytes_of(*granule));
        let full = morsel.rows + rows > MORSEL_ROWS || bytes + more > MORSEL_BYTES;
        if full && morsel.rows > 0 {
            let next = Morsel { part: at, granules: vec![], rows: 0 };
            out.push(std::mem::replace(&mut morsel, next));
            bytes = 0;
        }
        morsel.granules.push(*granule);
        morsel.rows += rows;
        bytes += more;
    }
    if morsel.rows > 0 {
        out.push(morsel);
    }
}
