//! Columns of a block made ready to be written row by row: found out once per block what each is, so that
//! a value costs a jump and its digits, not a walk over types.
//!
//! Text and binary formats share it; what is rare (lists, wide numbers, settings that change how a type is
//! written) is [`Cells::Other`], which the format's own writer of single values does.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_buffer::NullBuffer;
use pumphouse_query::text::calendar::{SECONDS_PER_DAY, to_local};
use pumphouse_query::text::style;
use pumphouse_query::text::write::{write_date, write_float32, write_float64, write_integer};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType};

/// One column.
pub struct CellColumn<'a> {
    pub column: &'a Column,
    pub cells: Cells<'a>,
    nulls: Option<&'a NullBuffer>,
}

/// The values of a column as they lie.
pub enum Cells<'a> {
    UInt8(&'a [u8]),
    UInt16(&'a [u16]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Date(&'a [u16], DayText),
    DateTime(&'a [u32], TimeZone, DayText),
    String(Strings<'a>),
    Other,
}

/// Byte strings one after the other.
pub struct Strings<'a> {
    offsets: &'a [i32],
    data: &'a [u8],
}

/// Bytes that a short string is copied with, whatever its length.
const SHORT: usize = 32;

impl<'a> Strings<'a> {
    /// `offsets` are Arrow's: one more than there are strings.
    pub fn new(offsets: &'a [i32], data: &'a [u8]) -> Strings<'a> {
        Strings { offsets, data }
    }

    #[inline(always)]
    pub fn get(&self, row: usize) -> &'a [u8] {
        &self.data[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    #[inline(always)]
    pub fn length(&self, row: usize) -> usize {
        (self.offsets[row + 1] - self.offsets[row]) as usize
    }

    /// Appends the string at `row`; short ones in one move of a fixed length, the rest of which is cut.
    #[inline(always)]
    pub fn put(&self, row: usize, out: &mut Vec<u8>) {
        let (from, length) = (self.offsets[row] as usize, self.length(row));
        let wide = self.data.get(from..from + SHORT).and_then(|d| d.first_chunk::<SHORT>());
        match wide {
            Some(wide) if length <= SHORT => {
                let end = out.len() + length;
                out.extend_from_slice(wide);
                out.truncate(end);
            }
            _ => out.extend_from_slice(&self.data[from..from + length]),
        }
    }
}

/// The text of the day written last: rows that follow each other are mostly of one day.
pub struct DayText {
    day: i64,
    text: [u8; 10],
}

impl DayText {
    fn new() -> DayText {
        DayText { day: i64::MIN, text: [0; 10] }
    }

    #[inline(always)]
    fn of(&mut self, day: i64) -> &[u8; 10] {
        if day != self.day {
            let mut text = Vec::with_capacity(10);
            write_date(day as i32, &mut text);
            self.text = text.first_chunk().copied().unwrap_or(self.text);
            self.day = day;
        }
        &self.text
    }
}

/// All columns of `block`; `zone` serves times that name none.
pub fn of_block(block: &Block, zone: TimeZone) -> Vec<CellColumn<'_>> {
    block.columns.iter().map(|column| CellColumn::new(column, zone)).collect()
}

impl<'a> CellColumn<'a> {
    fn new(column: &'a Column, zone: TimeZone) -> CellColumn<'a> {
        use DataType as T;
        let array = column.array.as_ref();
        let cells = match column.data_type.inner() {
            T::Float32 | T::Float64 | T::DateTime(_) if style::is_held() => Cells::Other,
            T::UInt8 => Cells::UInt8(array.as_primitive::<UInt8Type>().values()),
            T::UInt16 => Cells::UInt16(array.as_primitive::<UInt16Type>().values()),
            T::UInt32 => Cells::UInt32(array.as_primitive::<UInt32Type>().values()),
            T::UInt64 => Cells::UInt64(array.as_primitive::<UInt64Type>().values()),
            T::Int8 => Cells::Int8(array.as_primitive::<Int8Type>().values()),
            T::Int16 => Cells::Int16(array.as_primitive::<Int16Type>().values()),
            T::Int32 => Cells::Int32(array.as_primitive::<Int32Type>().values()),
            T::Int64 => Cells::Int64(array.as_primitive::<Int64Type>().values()),
            T::Float32 => Cells::Float32(array.as_primitive::<Float32Type>().values()),
            T::Float64 => Cells::Float64(array.as_primitive::<Float64Type>().values()),
            T::Date => Cells::Date(array.as_primitive::<UInt16Type>().values(), DayText::new()),
            T::DateTime(own) => Cells::DateTime(
                array.as_primitive::<UInt32Type>().values(),
                own.unwrap_or(zone),
                DayText::new(),
            ),
            T::String => {
                let strings = array.as_binary::<i32>();
                Cells::String(Strings::new(strings.value_offsets(), strings.value_data()))
            }
            _ => Cells::Other,
        };
        let nulls = array.nulls().filter(|n| n.null_count() > 0);
        CellColumn { column, cells, nulls }
    }

    #[inline(always)]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes a value whose text needs no escapes: a number or a time, times between two `quote`s if there
    /// is one. False (and nothing written) for all else. The value is not NULL.
    #[inline(always)]
    pub fn plain(&mut self, row: usize, quote: Option<u8>, out: &mut Vec<u8>) -> bool {
        match &mut self.cells {
            Cells::UInt8(v) => write_integer(v[row], out),
            Cells::UInt16(v) => write_integer(v[row], out),
            Cells::UInt32(v) => write_integer(v[row], out),
            Cells::UInt64(v) => write_integer(v[row], out),
            Cells::Int8(v) => write_integer(v[row], out),
            Cells::Int16(v) => write_integer(v[row], out),
            Cells::Int32(v) => write_integer(v[row], out),
            Cells::Int64(v) => write_integer(v[row], out),
            Cells::Float32(v) => write_float32(v[row], out),
            Cells::Float64(v) => write_float64(v[row], out),
            Cells::Date(v, day) => {
                let text = day.of(v[row] as i64);
                match quote {
                    Some(q) => put_quoted(text, q, out),
                    None => out.extend_from_slice(text),
                }
            }
            Cells::DateTime(v, zone, day) => {
                let local = to_local(*zone, v[row] as i64);
                let date = day.of(local.div_euclid(SECONDS_PER_DAY));
                let mut text = [b' '; 19];
                text[..10].copy_from_slice(date);
                put_clock(local.rem_euclid(SECONDS_PER_DAY) as u32, &mut text);
                match quote {
                    Some(q) => put_quoted(&text, q, out),
                    None => out.extend_from_slice(&text),
                }
            }
            Cells::String(_) | Cells::Other => return false,
        }
        true
    }
}

/// `hh:mm:ss` behind the date.
#[inline(always)]
fn put_clock(second_of_day: u32, text: &mut [u8; 19]) {
    let pair = |n: u32| [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
    let (minutes, seconds) = (second_of_day / 60, second_of_day % 60);
    [text[11], text[12]] = pair(minutes / 60);
    text[13] = b':';
    [text[14], text[15]] = pair(minutes % 60);
    text[16] = b':';
    [text[17], text[18]] = pair(seconds);
}

#[inline(always)]
fn put_quoted<const N: usize>(text: &[u8; N], quote: u8, out: &mut Vec<u8>) {
    out.push(quote);
    out.extend_from_slice(text);
    out.push(quote);
}

/// A text that stands in every row, such as a key with its colon.
pub struct Label {
    text: Vec<u8>,
    short: [u8; SHORT],
}

impl Label {
    pub fn new(text: Vec<u8>) -> Label {
        let mut short = [0; SHORT];
        let length = text.len().min(SHORT);
        short[..length].copy_from_slice(&text[..length]);
        Label { text, short }
    }

    pub fn text(&self) -> &[u8] {
        &self.text
    }

    #[inline(always)]
    pub fn put(&self, out: &mut Vec<u8>) {
        if self.text.len() > SHORT {
            return out.extend_from_slice(&self.text);
        }
        let end = out.len() + self.text.len();
        out.extend_from_slice(&self.short);
        out.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use pumphouse_query::text::write::write_plain;
    use pumphouse_storage::Value;

    use super::*;

    #[test]
    fn plain_values_as_one_by_one() {
        let zone = TimeZone::parse("Asia/Kolkata").unwrap();
        let numbers = [0u64, 1, 9, 10, 99, 100, 86_399, 86_400, 1_700_000_000, 4_294_967_295];
        let types = [
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Date,
            DataType::DateTime(None),
            DataType::DateTime(Some(TimeZone::UTC)),
        ];
        for data_type in types {
            let cut = |n: u64| match data_type {
                DataType::UInt8 => n % 256,
                DataType::UInt16 | DataType::Date => n % 65_536,
                _ => n,
            };
            let values: Vec<Value> = numbers.iter().map(|n| Value::UInt(cut(*n))).collect();
            let column = Column::from_values(data_type.clone(), &values).unwrap();
            let mut cells = CellColumn::new(&column, zone);
            for row in 0..values.len() {
                let (mut fast, mut slow, mut quoted) = (vec![], vec![], vec![]);
                assert!(cells.plain(row, None, &mut fast));
                assert!(cells.plain(row, Some(b'"'), &mut quoted));
                write_plain(&data_type, column.array.as_ref(), row, zone, &mut slow);
                assert_eq!(fast, slow, "{data_type} {row}");
                let is_time = matches!(data_type, DataType::Date | DataType::DateTime(_));
                assert_eq!(quoted.len(), fast.len() + 2 * is_time as usize);
            }
        }
    }

    #[test]
    fn strings_of_all_lengths() {
        let texts: Vec<Vec<u8>> = (0..70).map(|n| vec![b'a' + n % 26; n as usize]).collect();
        let values: Vec<Value> = texts.iter().map(|t| Value::String(t.clone())).collect();
        let column = Column::from_values(DataType::String, &values).unwrap();
        let cells = CellColumn::new(&column, TimeZone::UTC);
        let Cells::String(strings) = &cells.cells else { panic!("strings") };
        for (row, text) in texts.iter().enumerate() {
            let mut out = b"x".to_vec();
            strings.put(row, &mut out);
            assert_eq!(out[1..], text[..]);
            assert_eq!(strings.get(row), &text[..]);
        }
        for length in [0, 1, 31, 32, 33] {
            let mut out = vec![];
            Label::new(vec![b'k'; length]).put(&mut out);
            assert_eq!(out, vec![b'k'; length]);
        }
    }
}
