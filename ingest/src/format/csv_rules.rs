//! What a CSV field is under the settings of reading: its quotes, spaces and end, and how one becomes a value.
//!
//! A field stands in double quotes (doubled inside) or bare; a bare one is trimmed, is the default if empty, and
//! NULL if it is `\N`. A tuple may be several fields, an array nested CSV.

use pumphouse_query::error::codes;
use pumphouse_query::text::TextError;
use pumphouse_storage::types::TimeZone;

use super::FormatOptions;
use super::columns::{ColumnBuilder, Values};
use super::csv::{NULL_SETTING, delimiter};
use super::fields::push_text;
use super::reading::ways;

/// How fields are taken apart.
#[derive(Debug, Clone)]
pub struct CsvRules {
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: Vec<u8>,
    /// A tuple is several fields, not the text of one.
    spread_tuples: bool,
    double_quotes: bool,
    single_quotes: bool,
    /// Bare strings lose the spaces around them.
    trim: bool,
    /// Spaces and tabs may delimit fields, so none are passed over.
    spaces_delimit: bool,
    /// A bare empty field is the column's default, not the type's empty value.
    empty_as_default: bool,
    /// And of a Nullable(String) it is the empty string, not NULL.
    empty_is_no_null: bool,
    /// A line may end with a carriage return alone.
    pub cr_ends: bool,
    /// Arrays are CSV within a field.
    nested_arrays: bool,
    /// A value that cannot be read is the default.
    pub bad_as_default: bool,
    /// Rows may have fewer fields, or more.
    pub any_width: bool,
    pub skip_lines: u64,
    pub skip_empty_end: bool,
    pub zone: TimeZone,
}

/// A field's text and how it stood.
pub struct Field<'a> {
    /// None: the unquoted text is in `scratch`.
    pub text: Option<&'a [u8]>,
    quoted: bool,
    /// Position of the delimiter or line end behind it.
    pub end: usize,
}

/// One column's value out of one field, or, for a tuple, several.
pub struct FieldReading<'a, 'b> {
    pub rules: &'a CsvRules,
    pub bytes: &'a [u8],
    pub scratch: &'b mut Vec<u8>,
    /// The field was empty, or NULL for a type that has none.
    pub absent: bool,
}

type Step = Result<Option<usize>, (TextError, usize)>;

impl CsvRules {
    pub fn of(options: &FormatOptions) -> CsvRules {
        let set = |name: &str, default: bool| options.settings.bool(name, default);
        CsvRules {
            delimiter: delimiter(options),
            null: options.null_text(NULL_SETTING),
            spread_tuples: set("input_format_csv_deserialize_separate_columns_into_tuple", true),
            double_quotes: set("format_csv_allow_double_quotes", true),
            single_quotes: set("format_csv_allow_single_quotes", false),
            trim: set("input_format_csv_trim_whitespaces", true),
            spaces_delimit: set("input_format_csv_allow_whitespace_or_tab_as_delimiter", false),
            empty_as_default: set("input_format_csv_empty_as_default", true),
            empty_is_no_null: set("input_format_csv_missing_nullable_as_empty_string", false),
            cr_ends: set("input_format_csv_allow_cr_end_of_line", false),
            nested_arrays: set("input_format_csv_arrays_as_nested_csv", false),
            bad_as_default: set("input_format_csv_use_default_on_bad_values", false),
            any_width: set("input_format_csv_allow_variable_number_of_columns", false),
            skip_lines: options.settings.u64("input_format_csv_skip_first_lines", 0),
            skip_empty_end: set("input_format_csv_skip_trailing_empty_lines", false),
            zone: options.time_zone,
        }
    }

    /// Whether fields are as they mostly are, so that shorter ways may read them.
    pub fn usual(&self) -> bool {
        let plain = self.double_quotes && !self.single_quotes && self.trim && !self.spaces_delimit;
        let values = self.empty_as_default && !self.empty_is_no_null && !self.bad_as_default;
        plain && values && !self.cr_ends && !self.any_width && self.null == b"\\N"
    }

    /// Behind the spaces at `at`.
    pub fn spaces(&self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(b) = bytes.get(at)
            && matches!(b, b' ' | b'\t')
            && *b != self.delimiter
            && !self.spaces_delimit
        {
            at += 1;
        }
        at
    }

    /// Whether the field at `at` stands in quotes.
    pub fn quotes(&self, bytes: &[u8], at: usize) -> bool {
        self.is_quote(bytes.get(at)).is_some()
    }

    fn is_quote(&self, byte: Option<&u8>) -> Option<u8> {
        match byte {
            Some(b'"') if self.double_quotes => Some(b'"'),
            Some(b'\'') if self.single_quotes => Some(b'\''),
            _ => None,
        }
    }

    /// The field at `at`; None when its end is not here.
    pub fn field<'a>(
        &self,
        scratch: &mut Vec<u8>,
        bytes: &'a [u8],
        at: usize,
    ) -> Option<Field<'a>> {
        self.field_in(self.is_quote(bytes.get(at)), scratch, bytes, at)
    }

    /// The same, in these quotes or none.
    fn field_in<'a>(
        &self,
        quote: Option<u8>,
        scratch: &mut Vec<u8>,
        bytes: &'a [u8],
        at: usize,
    ) -> Option<Field<'a>> {
        let Some(quote) = quote else {
            let rest = &bytes[at..];
            let stop =
                at + memchr::memchr3(self.delimiter, b'\n', b'\r', rest).unwrap_or(rest.len());
            let mut end = stop;
            while self.trim && end > at && matches!(bytes[end - 1], b' ' | b'\t') {
                end -= 1;
            }
            return Some(Field { text: Some(&bytes[at..end]), quoted: false, end: stop });
        };
        scratch.clear();
        let mut from = at + 1;
        loop {
            let end = from + memchr::memchr(quote, &bytes[from..])?;
            if bytes.get(end + 1) == Some(&quote) {
                scratch.extend_from_slice(&bytes[from..=end]);
                from = end + 2;
                continue;
            }
            let plain = scratch.is_empty() && from == at + 1;
            if !plain {
                scratch.extend_from_slice(&bytes[from..end]);
            }
            let text = plain.then(|| &bytes[from..end]);
            return Some(Field { text, quoted: true, end: end + 1 });
        }
    }

    /// The position behind a line end (or at the input's end); None when something else stands there.
    pub fn line_end(&self, bytes: &[u8], at: usize) -> Option<usize> {
        match (bytes.get(at), bytes.get(at + 1)) {
            (None, _) => Some(at),
            (Some(b'\n'), _) => Some(at + 1),
            (Some(b'\r'), Some(b'\n')) => Some(at + 2),
            (Some(b'\r'), None) => Some(at + 1),
            (Some(b'\r'), _) if self.cr_ends => Some(at + 1),
            _ => None,
        }
    }
}

impl FieldReading<'_, '_> {
    /// The position behind the value; None when the input ends within it.
    pub fn value(&mut self, builder: &mut ColumnBuilder, at: usize) -> Step {
        let rules = self.rules;
        if rules.spread_tuples
            && let Values::Tuple(children, rows) = &mut builder.values
        {
            let mut at = at;
            for (i, child) in children.iter_mut().enumerate() {
                if i > 0 {
                    if self.bytes.get(at) != Some(&rules.delimiter) {
                        let message = "the tuple has too few fields";
                        return Err((TextError::new(codes::CANNOT_PARSE_TEXT, message), at));
                    }
                    at += 1;
                }
                match self.value(child, at)? {
                    Some(end) => at = end,
                    None => return Ok(None),
                }
            }
            self.absent = false;
            *rows += 1;
            return Ok(Some(at));
        }
        let is_string = matches!(builder.values, Values::String(_) | Values::FixedString(..));
        let at = if rules.trim || !is_string { rules.spaces(self.bytes, at) } else { at };
        // What is no string may stand in either quotes, whatever strings may.
        let quote = match self.bytes.get(at) {
            Some(quote @ (b'"' | b'\'')) if !is_string => Some(*quote),
            first => rules.is_quote(first),
        };
        let Some(field) = rules.field_in(quote, self.scratch, self.bytes, at) else {
            return Ok(None);
        };
        let end = rules.spaces(self.bytes, field.end);
        let mut text = field.text.unwrap_or(self.scratch);
        if !field.quoted && !rules.trim && !is_string {
            text = text.trim_ascii();
        }
        let missing = !field.quoted && text.is_empty();
        let null_counts = builder.nullable || ways().null_as_default;
        if (missing && rules.empty_as_default)
            || (!field.quoted && text == rules.null && null_counts)
        {
            if missing && rules.empty_is_no_null && is_string {
                builder.push_zero();
                return Ok(Some(end));
            }
            builder.push_null();
            self.absent = missing || !builder.nullable;
            return Ok(Some(end));
        }
        let is_array = matches!(builder.values, Values::Array(_));
        if is_array && rules.nested_arrays {
            let text = text.to_vec();
            self.nested(builder, &text).map_err(|e| (e, at))?;
        } else if is_array && !text.trim_ascii_start().starts_with(b"[") {
            // The brackets of an array may be left out.
            let text = [b"[", text, b"]"].concat();
            push_text(builder, &text, rules.zone).map_err(|e| (e, at))?;
        } else {
            push_text(builder, text, rules.zone).map_err(|e| (e, at))?;
        }
        Ok(Some(end))
    }

    /// An array whose items are fields of CSV, in brackets or not.
    fn nested(&mut self, builder: &mut ColumnBuilder, text: &[u8]) -> Result<(), TextError> {
        let wanted = |what: &str| {
            let message = format!("Cannot parse input: expected '{what}' at end of stream");
            TextError::new(codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED, message)
        };
        let mut inner = text.trim_ascii();
        if let Some(open) = inner.strip_prefix(b"[") {
            inner = open.strip_suffix(b"]").ok_or_else(|| wanted("]"))?;
        }
        let Values::Array(list) = &mut builder.values else { return Ok(()) };
        let mut items =
            FieldReading { rules: self.rules, bytes: inner, scratch: &mut vec![], absent: false };
        let mut at = 0;
        while !inner.is_empty() {
            at = match items.value(&mut list.children[0], at).map_err(|(e, _)| e)? {
                Some(end) => end,
                None => return Err(wanted("\"")),
            };
            list.check_room()?;
            match inner.get(at) {
                Some(b) if *b == self.rules.delimiter => at += 1,
                None => break,
                Some(_) => return Err(wanted(",")),
            }
        }
        list.end();
        Ok(())
    }
}
