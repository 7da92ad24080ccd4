//! The rows of the wanted columns as blocks bring them: plain values go behind those of the blocks before
//! (`append`), so that a column is made once and never joined; others wait as parts until they are taken.
//!
//! A block that began may have filled some columns further than others. Those rows are no rows yet: they stay
//! when rows are taken, and go when the block turns out bad.

use arrow_array::UInt32Array;
use pumphouse_query::error::{Result, codes};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Column, DataType};

use super::append::{append, is_plain};
use super::read::{read_column_of, read_prefix, too_large};
use crate::format::blocks::BlockRows;
use crate::format::row_binary::{Read, Source, Stop};
use crate::format::{BUFFERED_BYTES_MAX, ColumnBuilder, FormatOptions, InputColumn, ParsedRows};

/// From so many rows on it can be guessed how many a number of bytes is.
const GUESS_ROWS_MIN: usize = 4000;

/// The wanted columns and what is in them.
pub(super) struct Gathered {
    columns: Vec<Gathering>,
    /// How columns of other types become the wanted ones.
    rules: BlockRows,
    /// Rows of whole blocks, and about the bytes that they take.
    rows: usize,
    bytes: usize,
    /// Bytes that will come, if that was said and no room was made for them yet.
    expected: usize,
}

/// A column of a block that is being appended.
pub(super) struct Appending {
    column: usize,
    left: usize,
    /// Of the block's rows that are left, which are NULL.
    nulls: Vec<u8>,
}

/// One column.
struct Gathering {
    wanted: InputColumn,
    /// Rows that came before what is in the builder.
    parts: Vec<Column>,
    part_rows: usize,
    builder: ColumnBuilder,
    /// Whether each row was given; rows behind its end were, all of them if it is None.
    present: Option<Vec<bool>>,
}

impl Gathered {
    pub(super) fn new(columns: &[InputColumn], options: &FormatOptions) -> Gathered {
        Gathered {
            columns: columns.iter().map(|c| Gathering::new(c, options.time_zone)).collect(),
            rules: BlockRows::new(columns, options),
            rows: 0,
            bytes: 0,
            expected: 0,
        }
    }

    /// How many columns are wanted.
    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn announce(&mut self, bytes: usize) {
        self.expected = bytes;
    }

    /// The place of the wanted column; an error if none is wanted and that is no matter of course.
    pub(super) fn find(&self, name: &str) -> Read<Option<usize>> {
        let place = self.columns.iter().position(|c| c.wanted.name == name);
        if place.is_none() && !self.rules.skips_unknown() {
            let message = format!("There is no column {name} in the table");
            return Err(Stop::Bad(codes::INCORRECT_DATA, message));
        }
        Ok(place)
    }

    /// Begins to append a column of `rows` rows, if values of its type lie plainly.
    pub(super) fn begin(
        &self,
        column: usize,
        wire: &DataType,
        rows: usize,
        source: &mut Source,
    ) -> Read<Option<Appending>> {
        if !is_plain(wire, &self.columns[column].wanted.data_type) {
            return Ok(None);
        }
        let nulls = match wire {
            DataType::Nullable(_) => source.take(rows)?.to_vec(),
            _ => vec![],
        };
        Ok(Some(Appending { column, left: rows, nulls }))
    }

    /// Appends what came of the column; whether that was its end.
    pub(super) fn go_on(&mut self, appending: &mut Appending, source: &mut Source) -> Read<bool> {
        let builder = &mut self.columns[appending.column].builder;
        let first = builder.len();
        let count = append(&mut builder.values, appending.left, source)?;
        if !appending.nulls.is_empty() {
            let flags = appending.nulls.len() - appending.left;
            let flags = &appending.nulls[flags..flags + count];
            for (row, _) in flags.iter().enumerate().filter(|(_, flag)| **flag != 0) {
                builder.note_null(first + row);
            }
        }
        appending.left -= count;
        Ok(appending.left == 0)
    }

    /// Reads a whole column, into the wanted one if that is some; the memory that it takes.
    pub(super) fn read(
        &mut self,
        place: Option<usize>,
        wire: DataType,
        rows: usize,
        source: &mut Source,
    ) -> Read<usize> {
        let prefix = read_prefix(&wire, source)?;
        let column = Column::new(wire.clone(), read_column_of(&wire, &prefix, rows, source)?);
        let Some(place) = place else { return Ok(0) };
        let bytes = column.memory_bytes();
        let gathering = &mut self.columns[place];
        let converted = self.rules.converted(&column, &gathering.wanted);
        let pushed = converted.and_then(|(column, present)| gathering.push(column, present));
        pushed.map_err(|e| Stop::Bad(e.code(), e.to_string()))?;
        Ok(bytes)
    }

    /// Counts a block whose columns are all in; those that it did not give take their defaults.
    pub(super) fn end_block(&mut self, rows: usize, bytes: usize) -> Read<()> {
        if self.bytes + bytes > BUFFERED_BYTES_MAX {
            return Err(too_large());
        }
        let end = self.rows + rows;
        for column in self.columns.iter_mut().filter(|c| c.rows() < end) {
            let lacking = end - column.rows();
            let defaults = Column::default_values(column.wanted.data_type.clone(), lacking);
            let pushed = column.push(defaults, Some(vec![false; lacking]));
            pushed.map_err(|e| Stop::Bad(e.code(), e.to_string()))?;
        }
        (self.rows, self.bytes) = (end, self.bytes + bytes);
        Ok(())
    }

    /// Makes room for what was expected, for at most `rows_max` rows, once there is enough to guess from.
    pub(super) fn make_room(&mut self, rows_max: usize) {
        if self.expected == 0 || self.rows < GUESS_ROWS_MIN {
            return;
        }
        // A little more, as blocks differ; but neither memory nor rows have room for more than the limits.
        let expected = std::mem::take(&mut self.expected).min(BUFFERED_BYTES_MAX) / 16 * 17;
        let times = (expected / self.bytes.max(1)).min(rows_max / self.rows) + 1;
        self.columns.iter_mut().for_each(|c| c.builder.reserve_times(times));
    }

    /// Forgets what came behind the first `rows` rows, which take `bytes`.
    pub(super) fn rollback(&mut self, rows: usize, bytes: usize) {
        self.columns.iter_mut().for_each(|c| c.truncate(rows));
        (self.rows, self.bytes) = (rows, bytes);
    }

    /// Takes the rows of whole blocks.
    pub(super) fn take(&mut self) -> Result<ParsedRows> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let mut taken = ParsedRows { columns: vec![], present: vec![], rows };
        for column in &mut self.columns {
            let (values, present) = column.take(rows)?;
            taken.columns.push(values);
            taken.present.push(present);
        }
        Ok(taken)
    }
}

impl Gathering {
    fn new(wanted: &InputColumn, zone: TimeZone) -> Gathering {
        Gathering {
            wanted: wanted.clone(),
            parts: vec![],
            part_rows: 0,
            builder: ColumnBuilder::new(&wanted.data_type, zone),
            present: None,
        }
    }

    fn rows(&self) -> usize {
        self.part_rows + self.builder.len()
    }

    /// Makes what was built a part, so that another may follow.
    fn seal(&mut self) -> Result<()> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let column = Column::new(self.wanted.data_type.clone(), self.builder.finish()?);
        self.part_rows += column.len();
        self.parts.push(column);
        Ok(())
    }

    fn push(&mut self, column: Column, present: Option<Vec<bool>>) -> Result<()> {
        self.seal()?;
        if let Some(given) = present {
            let flags = self.present.get_or_insert_default();
            flags.resize(self.part_rows, true);
            flags.extend(given);
        }
        self.part_rows += column.len();
        self.parts.push(column);
        Ok(())
    }

    fn truncate(&mut self, rows: usize) {
        self.builder.truncate(rows.saturating_sub(self.part_rows));
        while self.part_rows > rows
            && let Some(part) = self.parts.pop()
        {
            self.part_rows -= part.len();
            if self.part_rows < rows {
                self.parts.push(part.slice(0, rows - self.part_rows));
                self.part_rows = rows;
            }
        }
        if let Some(present) = &mut self.present {
            present.truncate(rows);
        }
    }

    /// The first `rows` rows; what a block that began left behind them stays.
    fn take(&mut self, rows: usize) -> Result<(Column, Option<Vec<bool>>)> {
        self.seal()?;
        let (parts, all) = (std::mem::take(&mut self.parts), std::mem::take(&mut self.part_rows));
        let mut column = match <[Column; 1]>::try_from(parts) {
            Ok([one]) => one,
            Err(parts) if parts.is_empty() => Column::empty(self.wanted.data_type.clone()),
            Err(parts) => Column::concat(&parts)?,
        };
        let mut present = self.present.take();
        if let Some(flags) = &mut present {
            flags.resize(all, true);
            let later = flags.split_off(rows);
            self.present = later.contains(&false).then_some(later);
        }
        if all > rows {
            // Copied, or it would keep all that goes.
            let later: UInt32Array = (rows as u32..all as u32).collect::<Vec<u32>>().into();
            self.parts.push(column.take(&later));
            self.part_rows = all - rows;
            column = column.slice(0, rows);
        }
        Ok((column, present.filter(|flags| flags.contains(&false))))
    }
}
