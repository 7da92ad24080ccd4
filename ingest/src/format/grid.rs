//! Plain lines of TabSeparated and CSV read column by column: where all fields of some rows end is marked
//! first, then each column's fields are parsed in one loop that knows its type.
//!
//! Rules: only for lines that are as they mostly are, with as many fields as there are columns, no escapes,
//! and quotes around whole fields only; whatever else stands there, or does not parse, is left to the reader of
//! single rows, which knows all cases and all errors. Nothing is appended then. The one `unsafe` block calls the
//! form compiled for newer processors, behind the check that this is one.

use pumphouse_query::text::calendar::local_to_utc;
use pumphouse_query::text::time::{read_date, read_plain};
use pumphouse_storage::types::TimeZone;

use super::columns::{Bytes, ColumnBuilder, RowBuilder, Values};
use super::fields::push_text;
use super::header::FieldColumns;
use super::scan::{digits_of, three_masks};

/// Bytes looked at together: they, and the marks in them, stay in the nearest cache.
const PIECE_BYTES: usize = 48 << 10;
/// Less than this is not worth it.
pub const INPUT_BYTES_MIN: usize = 4 << 10;
/// Bytes of one step of the search for marks.
const STEP: usize = 64;

/// How lines are made.
#[derive(Clone, Copy)]
pub struct Shape {
    pub delimiter: u8,
    /// Fields may stand in double quotes, and a carriage return before the line's end; else a backslash
    /// escapes.
    pub quotes: bool,
}

/// What is read, and how.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub bytes: &'a [u8],
    /// At most so many rows.
    pub rows_max: usize,
    pub fields: &'a FieldColumns,
    pub shape: Shape,
    pub zone: TimeZone,
}

/// Marks of some rows; kept by a reader for the next.
#[derive(Default)]
pub struct Grid {
    /// Where each field begins, row by row, and one more: a field ends a byte before the next begins. What is
    /// behind them is of no use.
    starts: Vec<u32>,
    /// Quotes in the whole rows.
    quotes: u32,
    misses: u32,
}

impl Grid {
    /// Appends the rows that lie whole in the input's first bytes; the bytes they take.
    /// None if they are for the reader of single rows.
    pub fn read(&mut self, rows: &mut RowBuilder, input: Input<'_>) -> Option<usize> {
        let before = rows.rows();
        match self.read_any(rows, input) {
            Some(count) => {
                self.misses = 0;
                rows.end_rows(count);
                Some(self.starts[count * input.fields.len()] as usize)
            }
            None => {
                rows.rollback(before);
                self.misses = (self.misses + 1).min(6);
                None
            }
        }
    }

    /// Marks and reads with the instructions that the processor has: the same code compiled twice.
    fn read_any(&mut self, rows: &mut RowBuilder, input: Input<'_>) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            #[target_feature(enable = "bmi1,bmi2,popcnt")]
            fn with_bits(
                grid: &mut Grid,
                rows: &mut RowBuilder,
                input: Input<'_>,
            ) -> Option<usize> {
                grid.read_marked(rows, input)
            }
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { with_bits(self, rows, input) };
        }
        self.read_marked(rows, input)
    }

    /// How many rows were appended; if None, parts of some may have been.
    #[inline(always)]
    fn read_marked(&mut self, rows: &mut RowBuilder, input: Input<'_>) -> Option<usize> {
        // Quotes are counted over all rows that were marked, so those must be read.
        let count = self.mark(input.bytes, input.fields.len(), input.shape)?;
        let read = (1..=input.rows_max).contains(&count);
        (read && self.columns(rows, count, input).is_some()).then_some(count)
    }

    /// Bytes that are not tried again after a miss; the more, the more misses there were.
    pub fn pause_bytes(&self) -> usize {
        PIECE_BYTES << self.misses
    }

    /// Marks the fields; how many whole rows there are, or None if they are not as they mostly are.
    #[inline(always)]
    fn mark(&mut self, bytes: &[u8], width: usize, shape: Shape) -> Option<usize> {
        // One for every byte, and a step more.
        self.starts.resize(PIECE_BYTES + STEP + 1, 0);
        self.quotes = 0;
        let mut marked = 1;
        let (mut row_end, mut quotes, mut quoted) = (width, 0, 0);
        let special = if shape.quotes { b'"' } else { b'\\' };
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        for (i, step) in piece.as_chunks::<STEP>().0.iter().enumerate() {
            let [mut ends, mut lines, specials] =
                three_masks(step, shape.delimiter, b'\n', special);
            if shape.quotes {
                let inside = within_quotes(specials) ^ quoted;
                // All ones if the next step begins within quotes.
                quoted = ((inside as i64) >> 63) as u64;
                ends &= !inside;
                lines &= !inside;
            } else if specials != 0 {
                return None;
            }
            ends |= lines;
            let mut rest = lines;
            while rest != 0 {
                let below = (rest & rest.wrapping_neg()) - 1;
                if marked + (ends & below).count_ones() as usize != row_end {
                    return None;
                }
                row_end += width;
                self.quotes = quotes + (specials & below).count_ones();
                rest &= rest - 1;
            }
            quotes += specials.count_ones();
            let slots = self.starts.get_mut(marked..)?.first_chunk_mut::<STEP>()?;
            marked += put_places(ends, (i * STEP) as u32 + 1, slots);
        }
        // `row_end` is where the row that is not whole yet would end.
        Some(row_end / width - 1)
    }

    #[inline(always)]
    fn columns(
        &self,
        rows: &mut RowBuilder,
        count: usize,
        Input { bytes, fields, shape, zone, .. }: Input<'_>,
    ) -> Option<()> {
        let width = fields.len();
        let mut quoted = 0;
        for (i, column) in fields.iter().enumerate() {
            let Some(c) = column else { continue };
            let places = Places {
                starts: &self.starts[i..count * width + 1],
                width,
                bytes,
                last: i + 1 == width,
                quotes: shape.quotes,
            };
            quoted += read_column(&mut rows.slots[*c].builder, &places, zone)?;
        }
        // Quotes elsewhere than around fields would be part of the text.
        (quoted * 2 == self.quotes).then_some(())
    }
}

/// Puts the places of the set bits, counted from `base`, into `slots`; their number. Several are put without a
/// look whether there are so many.
#[inline(always)]
fn put_places(mut bits: u64, base: u32, slots: &mut [u32; STEP]) -> usize {
    const AT_ONCE: usize = 4;
    let mut count = 0;
    for slots in slots.as_chunks_mut::<AT_ONCE>().0 {
        if bits == 0 {
            break;
        }
        for slot in slots {
            *slot = base + bits.trailing_zeros();
            count += (bits != 0) as usize;
            bits &= bits.wrapping_sub(1);
        }
    }
    count
}

/// One bit per byte from each opening quote to before its closing one.
#[inline(always)]
fn within_quotes(quotes: u64) -> u64 {
    [1, 2, 4, 8, 16, 32].iter().fold(quotes, |mask, by| mask ^ (mask << by))
}

/// The fields of one column.
struct Places<'a> {
    starts: &'a [u32],
    width: usize,
    bytes: &'a [u8],
    /// Lines end behind these fields.
    last: bool,
    quotes: bool,
}

impl Places<'_> {
    /// Where each field begins and ends.
    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        let trim = self.last && self.quotes;
        self.extents().map(move |(from, to)| {
            let returns = trim && to > from && self.bytes[to - 1] == b'\r';
            (from, to - returns as usize)
        })
    }

    /// The same, with a carriage return at a line's end.
    #[inline(always)]
    fn extents(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.count()).map(|row| {
            let at = row * self.width;
            (self.starts[at] as usize, self.starts[at + 1] as usize - 1)
        })
    }

    #[inline(always)]
    fn count(&self) -> usize {
        (self.starts.len() - 1).div_ceil(self.width)
    }

    /// Whether each field is one byte.
    #[inline(always)]
    fn is_single(&self) -> bool {
        self.extents().fold(true, |all, (from, to)| all & (to == from + 1))
    }

    /// The extent of a string or a time, and whether it stood in quotes; None if it is not plain.
    #[inline(always)]
    fn text(&self, from: usize, to: usize) -> Option<(usize, usize, bool)> {
        if !self.quotes {
            // A carriage return before the line's end is no part of the text.
            let plain = !self.last || to == from || self.bytes[to - 1] != b'\r';
            return plain.then_some((from, to, false));
        }
        // Empty is absent, space around is cut, a backslash may be NULL.
        let (first, last) = (*self.bytes[from..to].first()?, self.bytes[to - 1]);
        if first == b'"' {
            return (to - from >= 2 && last == b'"').then_some((from + 1, to - 1, true));
        }
        let plain = !matches!(first, b' ' | b'\t' | b'\\') && !matches!(last, b' ' | b'\t');
        plain.then_some((from, to, false))
    }
}

/// Appends a column's fields; how many stood in quotes, or None if one is not plain.
#[inline(always)]
fn read_column(builder: &mut ColumnBuilder, places: &Places<'_>, zone: TimeZone) -> Option<u32> {
    let bytes = places.bytes;
    macro_rules! slots {
        ($v:expr) => {{
            let before = $v.len();
            $v.resize(before + places.count(), Default::default());
            $v[before..].iter_mut()
        }};
    }
    macro_rules! unsigned {
        ($v:expr, $t:ty) => {
            if places.is_single() {
                single_digits(places, slots!($v).map(|slot| move |digit| *slot = digit as $t))?;
            } else {
                for ((from, to), slot) in places.iter().zip(slots!($v)) {
                    *slot = digits_of(bytes, from, to)? as $t;
                }
            }
        };
    }
    macro_rules! signed {
        ($v:expr, $t:ty) => {
            if places.is_single() {
                single_digits(places, slots!($v).map(|slot| move |digit| *slot = digit as $t))?;
            } else {
                for ((from, to), slot) in places.iter().zip(slots!($v)) {
                    let negative = bytes[from] == b'-';
                    let value = digits_of(bytes, from + negative as usize, to)? as $t;
                    *slot = if negative { value.wrapping_neg() } else { value };
                }
            }
        };
    }
    let mut quoted = 0;
    match &mut builder.values {
        Values::UInt8(v) => unsigned!(v, u8),
        Values::UInt16(v) => unsigned!(v, u16),
        Values::UInt32(v) => unsigned!(v, u32),
        Values::UInt64(v) => unsigned!(v, u64),
        Values::Int8(v) => signed!(v, i8),
        Values::Int16(v) => signed!(v, i16),
        Values::Int32(v) => signed!(v, i32),
        Values::Int64(v) => signed!(v, i64),
        Values::String(b) => quoted = strings(b, places)?,
        Values::FixedString(v, length) => {
            for (from, to) in places.iter() {
                let (from, to, in_quotes) = places.text(from, to)?;
                if to - from != *length {
                    return None;
                }
                v.extend_from_slice(&bytes[from..to]);
                quoted += in_quotes as u32;
            }
        }
        Values::Date(v) => quoted = dates(v, places)?,
        Values::DateTime(v, own) => quoted = times(v, *own, places)?,
        // What CSV spreads over fields or takes out of quotes is not for this.
        Values::Float64(_) | Values::Float32(_) => {
            for (from, to) in places.iter() {
                let (from, to, in_quotes) = places.text(from, to)?;
                if in_quotes {
                    return None;
                }
                push_text(builder, &bytes[from..to], zone).ok()?;
            }
        }
        _ if places.quotes => return None,
        _ => {
            for (from, to) in places.iter() {
                let (from, to, _) = places.text(from, to)?;
                push_text(builder, &bytes[from..to], zone).ok()?;
            }
        }
    }
    Some(quoted)
}

/// Fields of one byte each, which are digits.
#[inline(always)]
fn single_digits(places: &Places<'_>, slots: impl Iterator<Item = impl FnOnce(u8)>) -> Option<()> {
    let mut all = true;
    for ((from, _), put) in places.extents().zip(slots) {
        let digit = places.bytes[from].wrapping_sub(b'0');
        all &= digit < 10;
        put(digit);
    }
    all.then_some(())
}

/// Bytes that a short string is copied with, whatever its length.
const SHORT: usize = 32;

#[inline(always)]
fn strings(to: &mut Bytes, places: &Places<'_>) -> Option<u32> {
    let bytes = places.bytes;
    let mut quoted = 0;
    let total: usize = places.extents().map(|(from, end)| end - from).sum();
    if total == 0 && !places.quotes {
        to.offsets.resize(to.offsets.len() + places.count(), to.data.len() as i32);
        return Some(0);
    }
    to.data.reserve(total + SHORT);
    to.offsets.reserve(places.count());
    for (from, end) in places.iter() {
        let (from, end, in_quotes) = places.text(from, end)?;
        quoted += in_quotes as u32;
        match bytes.get(from..from + SHORT).and_then(|b| b.first_chunk::<SHORT>()) {
            Some(wide) if end - from <= SHORT => {
                let length = to.data.len() + end - from;
                to.data.extend_from_slice(wide);
                to.data.truncate(length);
            }
            _ => to.data.extend_from_slice(&bytes[from..end]),
        }
        to.end();
    }
    Some(quoted)
}

/// What no field is.
const NO_DATE: &[u8; 10] = b"\n\n\n\n\n\n\n\n\n\n";

#[inline(always)]
fn dates(to: &mut Vec<u16>, places: &Places<'_>) -> Option<u32> {
    let (mut known, mut days, mut quoted) = (*NO_DATE, 0, 0);
    for (from, end) in places.iter() {
        let (from, end, in_quotes) = places.text(from, end)?;
        quoted += in_quotes as u32;
        let text: &[u8; 10] = places.bytes[from..end].first_chunk().filter(|_| end - from == 10)?;
        if *text != known {
            let (read, used) = read_date(text).ok()?;
            if used != 10 {
                return None;
            }
            (known, days) = (*text, read);
        }
        to.push(days);
    }
    Some(quoted)
}

#[inline(always)]
fn times(to: &mut Vec<u32>, zone: TimeZone, places: &Places<'_>) -> Option<u32> {
    // Local seconds at the beginning of the day that was read last.
    let (mut known, mut midnight, mut quoted) = (*NO_DATE, 0, 0);
    for (from, end) in places.iter() {
        let (from, end, in_quotes) = places.text(from, end)?;
        quoted += in_quotes as u32;
        let text: &[u8; 19] = places.bytes[from..end].first_chunk().filter(|_| end - from == 19)?;
        let (date, clock) = text.split_at(10);
        if date != known {
            let mut first = *b"....-..-.. 00:00:00";
            first[..10].copy_from_slice(date);
            midnight = read_plain(&first)?;
            known.copy_from_slice(date);
        }
        let local = midnight + clock_seconds(clock)?;
        to.push(local_to_utc(zone, local).clamp(0, u32::MAX as i64) as u32);
    }
    Some(quoted)
}

/// ` hh:mm:ss` of a real time of day.
#[inline(always)]
fn clock_seconds(text: &[u8]) -> Option<i64> {
    let t: &[u8; 9] = text.first_chunk()?;
    let digit = |i: usize| t[i].wrapping_sub(b'0');
    let digits = [digit(1), digit(2), digit(4), digit(5), digit(7), digit(8)];
    if (t[0] != b' ') | (t[3] != b':') | (t[6] != b':') | digits.iter().any(|d| *d > 9) {
        return None;
    }
    let pair = |i: usize| digits[i] as i64 * 10 + digits[i + 1] as i64;
    let (hour, minute, second) = (pair(0), pair(2), pair(4));
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use pumphouse_query::context::Settings;
    use pumphouse_storage::Value;
    use pumphouse_storage::types::{TimeZone, parse_data_type};

    use crate::format::{FormatOptions, InputColumn, reader};

    const TYPES: [&str; 11] = [
        "UInt8",
        "Int64",
        "String",
        "UInt64",
        "Date",
        "DateTime",
        "Nullable(Float64)",
        "FixedString(2)",
        "DateTime('America/New_York')",
        "Int8",
        "String",
    ];

    /// Rows parsed in one stream against the same lines as messages, each alone and so row by row.
    fn compare(lines: &[String]) {
        compare_in("TabSeparated", lines);
    }

    fn compare_in(format: &str, lines: &[String]) {
        let columns: Vec<InputColumn> = TYPES
            .iter()
            .enumerate()
            .map(|(i, t)| InputColumn {
                name: format!("c{i}"),
                data_type: parse_data_type(t).unwrap(),
            })
            .collect();
        let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
        let make = || reader(format, &columns, &options).unwrap();
        let (mut stream, mut single) = (make(), make());
        let whole = lines.concat();
        let used = stream.read_stream(whole.as_bytes(), true, usize::MAX);
        let alone: Result<Vec<usize>, _> =
            lines.iter().map(|l| single.read_message(l.as_bytes())).collect();
        if let Err(alone) = alone {
            assert_eq!(used.unwrap_err().code, alone.code);
            assert_eq!(stream.rows(), 0);
            return;
        }
        assert_eq!(used.unwrap(), whole.len());
        let (a, b) = (stream.take().unwrap(), single.take().unwrap());
        assert_eq!(a.rows, lines.len());
        assert_eq!(a.present, b.present);
        for (a, b) in a.columns.iter().zip(&b.columns) {
            for row in 0..lines.len() {
                assert_eq!(a.value(row), b.value(row), "{} row {row}", a.data_type);
            }
        }
    }

    fn line(n: u64) -> String {
        let text = "some words of text, now and then longer than thirty-two bytes";
        format!(
            "{}\t{}\t{}\t{}\t20{:02}-{:02}-{:02}\t2024-0{}-11 {:02}:{:02}:{:02}\t{}\tab\t2024-11-03 0{}:30:00\t{}\t{}\n",
            n % 256,
            n as i64 * 7_919 * if n.is_multiple_of(3) { -1 } else { 1 },
            &text[..n as usize * 7 % 61],
            n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (n % 64),
            n / 40 % 100,
            n % 12 + 1,
            n % 28 + 1,
            n / 100 % 9 + 1,
            n % 24,
            n % 60,
            n * 7 % 60,
            n as f64 / 8.0,
            n % 5,
            n as i64 % 256 - 128,
            if n.is_multiple_of(4) { "" } else { "end" }
        )
    }

    /// The same as CSV: fields in quotes where `n` says so.
    fn csv(n: u64) -> String {
        let line = line(n);
        let fields = line.trim_end_matches('\n').split('\t').enumerate().map(|(i, field)| {
            let text = [2, 4, 5, 7, 8, 10].contains(&i) && !(n + i as u64).is_multiple_of(3);
            let must = field.is_empty() || field.ends_with(' ') || field.contains(',');
            if text || must { format!("\"{field}\"") } else { field.to_string() }
        });
        fields.collect::<Vec<_>>().join(",") + if n % 1000 == 7 { "\r\n" } else { "\n" }
    }

    #[test]
    fn csv_columns_as_rows() {
        let plain: Vec<String> = (0..3000).map(csv).collect();
        compare_in("CSV", &plain);
        let odd: [(&str, &str); 11] = [
            (",\"\"", ","),
            ("some words", "some \"\"words"),
            ("some words", "some, words"),
            ("some words", "some\nwords"),
            ("some words", "some\" words"),
            ("\"some", "  \"some"),
            (",ab,", ",\"ab\" ,"),
            (",\"ab\",", ",\\N,"),
            ("end", "e\"n\"d"),
            ("end", "end,"),
            ("-", "+"),
        ];
        for (from, to) in odd {
            for at in [0, 1, 2, 41, 700] {
                let mut lines = plain[..900].to_vec();
                for odd in at..at + 4 {
                    lines[odd] = lines[odd].replacen(from, to, 1);
                }
                compare_in("CSV", &lines);
            }
        }
    }

    #[test]
    fn columns_as_rows() {
        compare(&(0..3000).map(line).collect::<Vec<_>>());
    }

    #[test]
    fn a_carriage_return_behind_a_line_is_no_text() {
        let columns =
            vec![InputColumn { name: "s".into(), data_type: parse_data_type("String").unwrap() }];
        let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
        let mut reader = reader("TabSeparated", &columns, &options).unwrap();
        let input = "some text\n".repeat(500) + "other\r\n" + &"some text\n".repeat(500);
        reader.read_stream(input.as_bytes(), true, usize::MAX).unwrap();
        let rows = reader.take().unwrap();
        assert_eq!((rows.rows, rows.columns[0].value(500)), (1001, Value::string("other")));
    }

    #[test]
    fn lines_that_are_not_plain() {
        let odd: [(&str, &str); 11] = [
            ("\tab\t", "\t\\N\t"),
            ("some", "a\\tb"),
            ("end\n", "end\\\n\n"),
            ("\tab\t", "\ta\t"),
            ("\tab\t", "\tabc\t"),
            ("\t20", "\t  20"),
            ("2024-", "x024-"),
            ("\tab\t", "\tab\tmore\t"),
            ("\tab\t", "\t"),
            ("\t2024-11-03 0", "\t2024-11-03T0"),
            ("\t2024-11-03 01:30:00", "\t1730608200"),
        ];
        for (from, to) in odd {
            for at in [0, 1, 37, 700] {
                let mut lines: Vec<String> = (0..900).map(line).collect();
                for odd in [at, at + 1, at + 2, at + 3] {
                    lines[odd] = lines[odd].replacen(from, to, 1);
                }
                compare(&lines);
            }
        }
    }
}
