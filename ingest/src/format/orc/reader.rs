//! ORC files as input. A file is read once all of it is there, since its directory stands at its end;
//! columns that nobody wants are not decoded.

use pumphouse_query::error::{Error, Result};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType};

use super::budget::Budget;
use super::decode::{Columns, Mask};
use super::directory::{Directory, StripeEnd};
use super::types::inferred;
use super::{Read, bad};
use crate::format::blocks::BlockRows;
use crate::format::{FormatOptions, FormatReader, InputColumn, ParsedRows, check_row_bytes};

/// Rows that one stripe may have.
const STRIPE_ROWS_MAX: u64 = 1 << 30;

pub struct OrcReader {
    rows: BlockRows,
    zone: TimeZone,
    any_case: bool,
}

impl OrcReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let settings = &options.settings;
        let any_case = settings.bool("input_format_orc_case_insensitive_column_matching", false);
        let mut rows = BlockRows::new(columns, options);
        rows.match_any_case(any_case);
        let zone = zone_of(options, "input_format_orc_reader_time_zone_name")?;
        Ok(Box::new(OrcReader { rows, zone, any_case }))
    }

    fn read_file(&mut self, file: &[u8]) -> Read<()> {
        if file.is_empty() {
            return Ok(());
        }
        let directory = Directory::read(file)?;
        let mut budget = Budget::new();
        for stripe in &directory.stripes {
            if stripe.rows > STRIPE_ROWS_MAX {
                return Err(bad(format!("a stripe of {} rows", stripe.rows)));
            }
            let end = StripeEnd::read(file, stripe, &directory.packing, &mut budget)?;
            let mut columns =
                Columns { file, directory: &directory, end, budget: &mut budget, zone: self.zone };
            let block = self.block(&mut columns, stripe.rows as usize)?;
            self.rows.push(block, 0)?;
        }
        Ok(())
    }

    /// The rows of a stripe, of the columns that are wanted or have unknown names.
    fn block(&self, columns: &mut Columns<'_>, rows: usize) -> Read<Block> {
        let root = &columns.directory.types[0];
        let mut block = Block::of_rows(rows);
        for (id, name) in root.children.iter().zip(&root.names) {
            let same = |c: &&InputColumn| {
                c.name == *name || self.any_case && c.name.eq_ignore_ascii_case(name)
            };
            let column = match self.rows.columns().iter().find(same) {
                Some(wanted) => {
                    let mask = Mask::all(rows);
                    let (data_type, array) = columns.column(*id, &mask, Some(&wanted.data_type))?;
                    Column::new(data_type, array)
                }
                // Only its name counts: whether it may be there.
                None => Column::default_values(DataType::Nothing, rows),
            };
            block.push(name.as_str(), column);
        }
        Ok(block)
    }

    fn read_whole(&mut self, file: &[u8]) -> Read<usize> {
        let before = self.rows.mark();
        match self.read_file(file) {
            Ok(()) => Ok(self.rows.rows() - before.rows),
            Err(mut e) => {
                e.message += &format!(": (at row {})", self.rows.rows() - before.rows + 1);
                self.rows.rollback(before);
                Err(e)
            }
        }
    }
}

/// The zone that a setting names; GMT if there is none.
pub fn zone_of(options: &FormatOptions, setting: &str) -> Result<TimeZone> {
    match options.settings.get(setting).unwrap_or("GMT") {
        "GMT" | "UTC" | "" => Ok(TimeZone::UTC),
        name => TimeZone::parse(name).ok_or_else(|| {
            let message = format!("Unknown time zone '{name}' in the setting {setting}");
            Error::new(pumphouse_query::error::codes::BAD_ARGUMENTS, message)
        }),
    }
}

/// The columns that a file has.
pub fn infer(file: &[u8], options: &FormatOptions) -> Result<Vec<InputColumn>> {
    let as_dictionary =
        options.settings.bool("input_format_orc_dictionary_as_low_cardinality", true);
    let columns = || -> Read<Vec<InputColumn>> {
        let directory = Directory::read(file)?;
        let first = match directory.stripes.first().filter(|_| as_dictionary) {
            Some(stripe) => {
                Some(StripeEnd::read(file, stripe, &directory.packing, &mut Budget::new())?)
            }
            None => None,
        };
        let root = &directory.types[0];
        let column = |(id, name): (&usize, &String)| {
            let data_type = inferred(&directory.types, *id, first.as_ref())?;
            Ok(InputColumn { name: name.clone(), data_type })
        };
        root.children.iter().zip(&root.names).map(column).collect()
    };
    columns().map_err(|e| Error::new(e.code, e.message))
}

impl FormatReader for OrcReader {
    fn read_message(&mut self, message: &[u8]) -> Read<usize> {
        self.read_whole(message)
    }

    fn read_stream(&mut self, input: &[u8], last: bool, _rows_max: usize) -> Read<usize> {
        if !last {
            return check_row_bytes(input, last).map(|()| 0);
        }
        self.read_whole(input).map(|_| input.len())
    }

    fn rows(&self) -> usize {
        self.rows.rows()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn take(&mut self) -> Result<ParsedRows> {
        self.rows.take()
    }
}
