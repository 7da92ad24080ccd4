//! Values of the JSON…Strings… formats: every value is a JSON string that holds its text.

use pumphouse_query::error::codes;
use pumphouse_storage::types::TimeZone;

use super::columns::ColumnBuilder;
use super::fields::push_text;
use super::json_rows::NULL_TEXT;
use super::json_value::{Failure, fail, read_string};
use super::reading::ways;

/// Reads the string at `at` as the text of a value: where it ends and whether it stood for NULL.
pub(super) fn read_text_value(
    builder: &mut ColumnBuilder,
    bytes: &[u8],
    at: usize,
    zone: TimeZone,
) -> Result<(usize, bool), Box<Failure>> {
    if bytes.get(at) != Some(&b'"') {
        let message = "Cannot parse JSON string: expected opening quote";
        return Err(fail(codes::CANNOT_PARSE_QUOTED_STRING, at, message));
    }
    let mut text = vec![];
    let end = read_string(bytes, at + 1, &mut text)?;
    if text == NULL_TEXT.as_bytes() || text.eq_ignore_ascii_case(b"NULL") {
        builder.push_null();
        return Ok((end, true));
    }
    if text.is_empty() && ways().json.empty_as_default {
        builder.push_null();
        return Ok((end, true));
    }
    if text.is_empty() && builder.data_type.inner().is_integer() {
        let message = "Attempt to read after eof";
        return Err(fail(codes::ATTEMPT_TO_READ_AFTER_EOF, at, message));
    }
    push_text(builder, &text, zone).map_err(|e| fail(e.code, at, e.message))?;
    Ok((end, false))
}
