//! Rows one by one as text, for the function `formatRow`.

use pumphouse_query::context::QueryContext;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::Block;

use super::{FormatOptions, writer};

/// Formats whose rows stand alone.
const ROW_FORMATS: &[&str] = &[
    "CSV",
    "CSVWithNames",
    "CSVWithNamesAndTypes",
    "CustomSeparated",
    "JSONCompactEachRow",
    "JSONCompactStringsEachRow",
    "JSONEachRow",
    "JSONStringsEachRow",
    "JSONLines",
    "NDJSON",
    "LineAsString",
    "MsgPack",
    "Raw",
    "RawBLOB",
    "RowBinary",
    "TSKV",
    "TSV",
    "TSVRaw",
    "TSVWithNames",
    "TabSeparated",
    "TabSeparatedRaw",
    "TabSeparatedWithNames",
    "Values",
    "Vertical",
    "XML",
];

/// Makes `formatRow` write with the formats of this crate.
pub fn install_row_writer() {
    pumphouse_query::functions::set_row_writer(write_rows);
}

fn write_rows(format: &str, block: &Block, context: &QueryContext) -> Result<Vec<Vec<u8>>> {
    let options =
        FormatOptions { settings: context.settings.clone(), time_zone: context.time_zone };
    let mut made = writer(format, &options)?;
    if !ROW_FORMATS.contains(&format) {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!(
                "Cannot turn rows into a {format} format strings. formatRow function supports only row output formats"
            ),
        ));
    }
    made.prefix(&block.schema(), &mut vec![])?;
    let mut rows = Vec::with_capacity(block.rows());
    for row in 0..block.rows() {
        let mut out = vec![];
        made.block(&block.slice(row, 1), &mut out)?;
        rows.push(out);
    }
    Ok(rows)
}
