//! The JSONEachRow reader: objects one after the other, on lines, behind commas or in one array.
//!
//! The hot path of Kafka ingestion. Keys are predicted: each row is expected to have the keys of the
//! rows before in the same order, so a key costs one comparison of bytes; only a surprise is parsed
//! and looked up. Unknown keys are predicted (and skipped) the same way. Values go straight into the
//! column builders. A message that fails is taken back whole, and no other.

use std::collections::HashMap;

use pumphouse_query::error::{self, codes};
use pumphouse_storage::types::TimeZone;

use super::columns::{BUFFERED_BYTES_MAX, RowBuilder};
use super::json_skip::skip_value;
use super::json_strings::read_text_value;
use super::json_value::{Failure, Step, expect, expected, fail, read_string, read_value};
use super::json_value::{excerpt, skip_spaces};
use super::reading::ways;
use super::row_reader::{Piece, RowReader, rows_are_built_here};
use super::scan::Pattern;
use super::{FormatOptions, FormatReader, InputColumn, ParseError};

/// Keys remembered beyond the columns themselves.
const EXTRA_KEYS_MAX: usize = 256;
/// An error this close to the end of a part of a stream may be a cut, not an error.
const CUT_BYTES: usize = 64;

/// Where in the framing of a stream or message the reader is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Framing {
    /// Something was read already: no byte order mark and no `[` any more.
    pub started: bool,
    pub in_array: bool,
    /// Behind the array's end or a semicolon: only space may follow.
    pub closed: bool,
}

/// What stands next in the framing.
pub(super) enum Next {
    Row(usize),
    End(usize),
}

impl Framing {
    /// Passes over what is between rows. `open` is the byte that rows begin with.
    pub fn next(&mut self, bytes: &[u8], at: usize, open: u8) -> Result<Next, Box<Failure>> {
        let mut at = at;
        if !self.started {
            if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
                at = 3;
            }
            at = skip_spaces(bytes, at);
            if at == bytes.len() {
                return Ok(Next::End(at));
            }
            self.started = true;
            if open == b'{' && bytes[at] == b'[' {
                self.in_array = true;
                at += 1;
            }
        }
        loop {
            at = skip_spaces(bytes, at);
            match bytes.get(at) {
                None => return Ok(Next::End(at)),
                Some(_) if self.closed => return Err(expected(bytes, at, "eof")),
                Some(b) if *b == open => return Ok(Next::Row(at)),
                Some(b',') => at += 1,
                Some(b']') if self.in_array => {
                    (self.in_array, self.closed) = (false, true);
                    at += 1;
                }
                Some(b';') if !self.in_array => {
                    self.closed = true;
                    at += 1;
                }
                _ => return Err(expected(bytes, at, (open as char).encode_utf8(&mut [0; 4]))),
            }
        }
    }
}

/// A key and its column.
struct Expected {
    /// The key as it stood, from its quote to its colon.
    pattern: Pattern,
    /// None: the key is of no column.
    target: Option<Target>,
}

/// Where the value of a key goes.
#[derive(Debug, Clone, Copy)]
enum Target {
    Column(usize),
    /// An object whose members are columns `key.member` (`input_format_import_nested_json`), by its place in
    /// the reader's list.
    Members(usize),
}

/// The columns by name, and the order that keys came in.
struct Keys {
    order: Vec<Expected>,
    exact: HashMap<Box<[u8]>, Target>,
    any_case: HashMap<Box<[u8]>, Option<Target>>,
    order_max: usize,
}

impl Keys {
    fn new<'n>(names: impl Iterator<Item = (&'n str, Target)>) -> Keys {
        let mut exact = HashMap::new();
        let mut any_case = HashMap::new();
        let mut count = 0;
        for (name, target) in names {
            exact.entry(name.as_bytes().into()).or_insert(target);
            // Two names that differ in case only are told apart by it.
            any_case
                .entry(name.to_ascii_lowercase().into_bytes().into_boxed_slice())
                .and_modify(|found| *found = None)
                .or_insert(Some(target));
            count += 1;
        }
        Keys { order: vec![], exact, any_case, order_max: count * 2 + EXTRA_KEYS_MAX }
    }

    /// The keys of rows, and with `nested` those of the objects in them, a list per object.
    fn of_columns(columns: &[InputColumn], nested: bool) -> (Keys, Vec<Keys>) {
        let names = columns.iter().enumerate().map(|(i, c)| (c.name.as_str(), Target::Column(i)));
        let mut objects: Vec<(&str, Vec<(&str, Target)>)> = vec![];
        for (name, target) in names.clone().filter(|_| nested) {
            let Some((object, member)) = name.split_once('.') else { continue };
            match objects.iter_mut().find(|(found, _)| *found == object) {
                Some((_, members)) => members.push((member, target)),
                None => objects.push((object, vec![(member, target)])),
            }
        }
        let of_rows = objects.iter().enumerate().map(|(i, (name, _))| (*name, Target::Members(i)));
        let keys = Keys::new(names.chain(of_rows));
        (keys, objects.into_iter().map(|(_, members)| Keys::new(members.into_iter())).collect())
    }

    fn lookup(&self, name: &[u8]) -> Option<Target> {
        match self.exact.get(name) {
            Some(target) => Some(*target),
            None if ways().exact_names => None,
            None => self.any_case.get(&*name.to_ascii_lowercase()).copied().flatten(),
        }
    }

    /// The key that stands at `at` although another was expected at `place`: its target, the position
    /// behind its colon, and the place expected next.
    #[cold]
    fn surprise(
        &mut self,
        bytes: &[u8],
        at: usize,
        place: usize,
    ) -> Result<(Option<Target>, usize, usize), Box<Failure>> {
        if bytes.get(at) != Some(&b'"') {
            return Err(fail(
                codes::CANNOT_PARSE_QUOTED_STRING,
                at,
                "Cannot parse JSON string: expected opening quote",
            ));
        }
        let mut name = vec![];
        let end = skip_spaces(bytes, read_string(bytes, at + 1, &mut name)?);
        let end = expect(bytes, end, b':')?;
        let raw = &bytes[at..end];
        if let Some(i) = self.order.iter().skip(place).position(|e| e.pattern.bytes() == raw) {
            return Ok((self.order[place + i].target, end, place + i + 1));
        }
        let target = self.lookup(&name);
        if self.order.len() >= self.order_max {
            self.order.clear();
        }
        let place = place.min(self.order.len());
        let long = raw.len() > 1024;
        if !long {
            self.order.insert(place, Expected { pattern: Pattern::new(raw.to_vec()), target });
        }
        Ok((target, end, place + usize::from(!long)))
    }
}

/// Reads JSONEachRow and its other names.
pub struct JsonEachRowReader {
    rows: RowBuilder,
    keys: Keys,
    /// The keys of objects whose members are columns.
    members: Vec<Keys>,
    skip_unknown: bool,
    /// Once all columns are there, keys may come again.
    skip_known: bool,
    /// An object may have so many bytes; 0: any number.
    object_bytes_max: u64,
    /// Every value is a string that holds its text; times in that zone.
    texts: Option<TimeZone>,
    framing: Framing,
}

impl JsonEachRowReader {
    /// `texts`: values are strings that hold their text (JSONStringsEachRow).
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
        texts: bool,
    ) -> error::Result<Box<dyn FormatReader>> {
        let nested = options.settings.bool("input_format_import_nested_json", false);
        let (keys, members) = Keys::of_columns(columns, nested);
        Ok(Box::new(JsonEachRowReader {
            rows: RowBuilder::new(columns, options.time_zone),
            keys,
            members,
            skip_unknown: options.settings.bool("input_format_skip_unknown_fields", true),
            skip_known: options.settings.bool("input_format_json_ignore_unnecessary_fields", true)
                && options.settings.bool("input_format_skip_unknown_fields", true),
            object_bytes_max: options.settings.u64(OBJECT_BYTES_SETTING, OBJECT_BYTES_MAX),
            texts: texts.then_some(options.time_zone),
            framing: Framing::default(),
        }))
    }

    /// One object; `at` is its brace.
    fn read_row(&mut self, bytes: &[u8], at: usize) -> Step {
        let (row, mut seen) = (self.rows.rows(), 0);
        let end = self.read_fields(bytes, at, row, &mut seen)?;
        if self.object_bytes_max > 0 && (end - at) as u64 > self.object_bytes_max {
            return Err(too_large(at, self.object_bytes_max));
        }
        self.rows.end_row(seen);
        Ok(end)
    }

    /// An object whose members are columns; `at` is where its value begins.
    #[cold]
    fn read_members(
        &mut self,
        of: usize,
        bytes: &[u8],
        at: usize,
        row: usize,
        seen: &mut usize,
    ) -> Step {
        if bytes[at..].starts_with(b"null") {
            return skip_value(bytes, at);
        }
        expect(bytes, at, b'{')?;
        std::mem::swap(&mut self.keys, &mut self.members[of]);
        let end = self.read_fields(bytes, at, row, seen);
        std::mem::swap(&mut self.keys, &mut self.members[of]);
        end
    }

    /// The fields of an object, into `row`; `at` is its brace. Counts the columns that were `seen`.
    #[inline(always)]
    fn read_fields(&mut self, bytes: &[u8], at: usize, row: usize, seen: &mut usize) -> Step {
        let columns = self.rows.slots.len();
        let mut place = 0;
        let mut at = skip_spaces(bytes, at + 1);
        if bytes.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        loop {
            let hit =
                self.keys.order.get(place).and_then(|e| {
                    e.pattern.matches(bytes, at).map(|end| (e.target, end, place + 1))
                });
            let (target, end, next) = match hit {
                Some(hit) => hit,
                None => {
                    let found = self.keys.surprise(bytes, at, place);
                    found.map_err(|e| unexpected_end(bytes, e))?
                }
            };
            place = next;
            at = skip_spaces(bytes, end);
            at = match target {
                Some(Target::Column(c)) => {
                    let slot = &mut self.rows.slots[c];
                    if slot.filled != row {
                        // Once all columns are there, the rest of the object is of no interest.
                        if *seen != columns || !self.skip_known {
                            return Err(duplicate(&slot.name, at));
                        }
                        skip_value(bytes, at)?
                    } else {
                        let null = bytes.get(at) == Some(&b'n');
                        let (end, null) = match self.texts {
                            None => read_value(&mut slot.builder, bytes, at).map(|end| (end, null)),
                            Some(zone) => read_text_value(&mut slot.builder, bytes, at, zone),
                        }
                        .map_err(|e| in_column(e, &slot.name))?;
                        slot.filled = row + 1;
                        *seen += 1;
                        if null && !slot.builder.nullable {
                            self.rows.mark_absent(c);
                        }
                        end
                    }
                }
                Some(Target::Members(of)) => self.read_members(of, bytes, at, row, seen)?,
                None => {
                    if !self.skip_unknown {
                        return Err(self.unknown(bytes, end));
                    }
                    skip_value(bytes, at)?
                }
            };
            at = skip_spaces(bytes, at);
            match bytes.get(at) {
                Some(b',') => at = skip_spaces(bytes, at + 1),
                Some(b'}') => return Ok(at + 1),
                Some(_) => return Err(expected(bytes, at, ",")),
                None => return Err(unexpected_end(bytes, expected(bytes, at, ","))),
            }
        }
    }

    #[cold]
    fn unknown(&self, bytes: &[u8], key_end: usize) -> Box<Failure> {
        let start = bytes[..key_end.saturating_sub(2)].iter().rposition(|b| *b == b'"');
        let key = excerpt(&bytes[..key_end.saturating_sub(1)], start.unwrap_or(0));
        let message = format!("Unknown field found while parsing JSONEachRow format: {key}");
        fail(codes::INCORRECT_DATA, key_end, message)
    }

    /// Whole rows from `bytes`; how many bytes they took.
    fn read_rows(
        &mut self,
        bytes: &[u8],
        framing: &mut Framing,
        last: bool,
        rows_max: usize,
    ) -> Step {
        let mut at = 0;
        let rows_end = self.rows.rows().saturating_add(rows_max);
        while self.rows.rows() < rows_end {
            let before = *framing;
            let start = match framing.next(bytes, at, b'{')? {
                Next::Row(start) => start,
                Next::End(end) => {
                    if last && framing.in_array {
                        return Err(expected(bytes, end, "]"));
                    }
                    return Ok(end);
                }
            };
            let rows = self.rows.rows();
            match self.read_row(bytes, start) {
                Ok(end) if self.rows.is_full() => return Err(full_at(&self.rows, end)),
                Ok(end) => at = end,
                Err(e) if !last && e.at + CUT_BYTES >= bytes.len() => {
                    self.rows.rollback(rows);
                    *framing = before;
                    return Ok(at);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(at)
    }
}

const OBJECT_BYTES_SETTING: &str = "input_format_json_max_object_size";
const OBJECT_BYTES_MAX: u64 = 512 << 20;

#[cold]
fn too_large(at: usize, bytes_max: u64) -> Box<Failure> {
    let message =
        format!("Size of JSON object is larger than {OBJECT_BYTES_SETTING} = {bytes_max}");
    fail(codes::INCORRECT_DATA, at, message)
}

#[cold]
fn in_column(mut failure: Box<Failure>, name: &str) -> Box<Failure> {
    failure.column = Some(name.to_string());
    failure
}

#[cold]
fn duplicate(name: &str, at: usize) -> Box<Failure> {
    let message = format!("Duplicate field found while parsing JSONEachRow format: {name}");
    fail(codes::INCORRECT_DATA, at, message)
}

/// Outside of values, the end of the input is error 33.
#[cold]
fn unexpected_end(bytes: &[u8], failure: Box<Failure>) -> Box<Failure> {
    if failure.at < bytes.len()
        || failure.code == codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED
            && failure.message.contains("':'")
    {
        return failure;
    }
    fail(
        codes::CANNOT_READ_ALL_DATA,
        failure.at,
        "Unexpected end of stream while parsing JSONEachRow format",
    )
}

/// The error of a piece of input, with row, byte, column and an excerpt.
#[cold]
pub(super) fn parse_error(failure: Failure, bytes: &[u8], row: usize) -> ParseError {
    let Failure { code, mut message, at, column } = failure;
    if let Some(column) = column {
        message += &format!(": (while reading the value of key {column})");
    }
    message += &format!(": (at row {}, byte {at}", row + 1);
    let from = at.saturating_sub(20).min(bytes.len());
    if !bytes.is_empty() {
        message += &format!(", near '{}'", excerpt(bytes, from));
    }
    message.push(')');
    ParseError { code, message }
}

/// Refuses input when too much lies here already.
pub(super) fn check_room(rows: &RowBuilder, more: usize) -> Result<(), ParseError> {
    if rows.bytes() + more <= BUFFERED_BYTES_MAX {
        return Ok(());
    }
    Err(full(rows))
}

#[cold]
pub(super) fn full(rows: &RowBuilder) -> ParseError {
    ParseError {
        code: codes::MEMORY_LIMIT_EXCEEDED,
        message: format!(
            "{} bytes of rows are parsed and not taken, more would pass the maximum of \
             {BUFFERED_BYTES_MAX}",
            rows.bytes()
        ),
    }
}

/// The same as a failure at a byte.
#[cold]
pub(super) fn full_at(rows: &RowBuilder, at: usize) -> Box<Failure> {
    let ParseError { code, message } = full(rows);
    fail(code, at, message)
}

impl RowReader for JsonEachRowReader {
    rows_are_built_here!();

    fn read(&mut self, input: &[u8], piece: Piece) -> Result<usize, ParseError> {
        let before = self.rows.rows();
        let mut framing = if piece.is_message() { Framing::default() } else { self.framing };
        let used = self
            .read_rows(input, &mut framing, piece.is_last(), piece.rows_max())
            .map_err(|failure| parse_error(*failure, input, self.rows.rows() - before))?;
        if !piece.is_message() {
            self.framing = framing;
        }
        Ok(used)
    }
}
