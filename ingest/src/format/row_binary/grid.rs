//! Plain rows of RowBinary read column by column: where the fields of some rows begin is found first, then
//! each column's values are taken in one loop that knows its type.
//!
//! Rules: only for rows whose columns are all numbers, dates, strings and fixed strings (Nullable or not); what
//! is cut, or not as it must be, is left to the reader of single rows, which knows all errors. Nothing is
//! appended then.

use super::{Read, Source, read_value};
use crate::format::columns::{Bytes, ColumnBuilder, RowBuilder, Values};
use crate::format::header::FieldColumns;

/// Bytes looked at together: they stay in a near cache while columns are taken from all over them.
const PIECE_BYTES: usize = 256 << 10;
/// Less than this is not worth it.
pub(super) const INPUT_BYTES_MIN: usize = 4 << 10;
/// Bytes that a short string is copied with, whatever its length.
const SHORT: usize = 32;

/// A field of the input.
#[derive(Clone, Copy)]
struct Field {
    slot: usize,
    /// The run of fields of fixed length that it is in, and its place there.
    run: usize,
    at: usize,
}

/// What ends a run of fields of fixed length.
#[derive(Clone, Copy)]
enum End {
    Row,
    String,
    /// A flag, and a value of that many bytes if it is 0.
    Nullable(usize),
    NullableString,
}

/// How rows lie.
pub(super) struct Grid {
    fields: Vec<Field>,
    /// Bytes of each run, and what is behind it.
    runs: Vec<(usize, End)>,
    /// Where each run begins, row by row.
    starts: Vec<u32>,
}

/// Bytes of a value that is not NULL; None for strings, 0 for what is not plain.
fn width(values: &Values) -> Option<usize> {
    use Values::*;
    Some(match values {
        UInt8(_) | Int8(_) => 1,
        UInt16(_) | Int16(_) | Date(_) => 2,
        UInt32(_) | Int32(_) | Float32(_) | DateTime(..) | Date32(_) | Time(_) | Decimal32(..)
        | Ipv4(_) => 4,
        UInt64(_) | Int64(_) | Float64(_) | DateTime64(..) | Time64(..) | Decimal64(..)
        | Interval(_) => 8,
        FixedString(_, width) => *width,
        String(_) => return None,
        _ => 0,
    })
}

impl Grid {
    /// None if some column is not plain.
    pub(super) fn of(rows: &RowBuilder, fields: &FieldColumns) -> Option<Grid> {
        let mut grid = Grid { fields: vec![], runs: vec![], starts: vec![] };
        let mut at = 0;
        if fields.len() != rows.slots.len() {
            return None;
        }
        for slot in fields {
            let slot = (*slot)?;
            let builder = &rows.slots[slot].builder;
            grid.fields.push(Field { slot, run: grid.runs.len(), at });
            if matches!(builder.data_type, pumphouse_storage::DataType::AggregateFunction { .. }) {
                return None;
            }
            let end = match (width(&builder.values), builder.nullable) {
                (Some(0), _) => return None,
                (Some(width), false) => {
                    at += width;
                    continue;
                }
                (Some(width), true) => End::Nullable(width),
                (None, false) => End::String,
                (None, true) => End::NullableString,
            };
            grid.runs.push((at, end));
            at = 0;
        }
        grid.runs.push((at, End::Row));
        Some(grid)
    }

    /// Appends the rows that lie whole in the first bytes of `bytes`, at most `rows_max`; the bytes that they
    /// take, 0 if there are none.
    pub(super) fn read(&mut self, rows: &mut RowBuilder, bytes: &[u8], rows_max: usize) -> usize {
        let bytes = &bytes[..bytes.len().min(PIECE_BYTES)];
        let (count, used) = self.mark(bytes, rows_max);
        let (before, width) = (rows.rows(), self.runs.len());
        for field in self.fields.iter().filter(|_| count > 0) {
            let rows_starts = self.starts[..count * width].chunks_exact(width);
            let places = rows_starts.map(|starts| starts[field.run] as usize + field.at);
            if read_column(&mut rows.slots[field.slot].builder, bytes, places).is_err() {
                rows.rollback(before);
                return 0;
            }
        }
        rows.end_rows(count);
        used
    }

    /// Finds the runs of whole rows; how many rows there are and what they take.
    fn mark(&mut self, bytes: &[u8], rows_max: usize) -> (usize, usize) {
        self.starts.clear();
        let mut source = Source { bytes, at: 0 };
        let (mut count, mut used) = (0, 0);
        while count < rows_max && self.mark_row(&mut source).is_some() && source.at > used {
            used = source.at;
            count += 1;
        }
        (count, used)
    }

    #[inline(always)]
    fn mark_row(&mut self, source: &mut Source<'_>) -> Option<()> {
        for (length, end) in &self.runs {
            self.starts.push(source.at as u32);
            source.at += length;
            source.at += match end {
                End::Row => 0,
                End::String => source.varint().ok()?,
                End::Nullable(width) => not_null(source)? as usize * width,
                End::NullableString if not_null(source)? => source.varint().ok()?,
                End::NullableString => 0,
            };
            // Lengths are no longer than rows may be, so this does not wrap around before it is seen.
            if source.at > source.bytes.len() {
                return None;
            }
        }
        Some(())
    }
}

#[inline(always)]
fn not_null(source: &mut Source<'_>) -> Option<bool> {
    source.array().ok().map(|flag: [u8; 1]| flag == [0])
}

/// Takes the values that begin at `places`.
fn read_column(
    builder: &mut ColumnBuilder,
    bytes: &[u8],
    mut places: impl ExactSizeIterator<Item = usize>,
) -> Read<()> {
    if builder.nullable {
        return places.try_for_each(|at| read_value(builder, &mut Source { bytes, at }));
    }
    macro_rules! numbers {
        ($v:expr, $t:ty) => {
            $v.extend(places.map(|at| <$t>::from_le_bytes(array_at(bytes, at))))
        };
    }
    match &mut builder.values {
        Values::UInt8(v) => numbers!(v, u8),
        Values::UInt16(v) | Values::Date(v) => numbers!(v, u16),
        Values::UInt32(v) | Values::DateTime(v, _) | Values::Ipv4(v) => numbers!(v, u32),
        Values::UInt64(v) => numbers!(v, u64),
        Values::Int8(v) => numbers!(v, i8),
        Values::Int16(v) => numbers!(v, i16),
        Values::Int32(v) | Values::Date32(v) | Values::Time(v) | Values::Decimal32(v, ..) => {
            numbers!(v, i32)
        }
        Values::Int64(v)
        | Values::Interval(v)
        | Values::DateTime64(v, ..)
        | Values::Time64(v, _)
        | Values::Decimal64(v, ..) => numbers!(v, i64),
        Values::Float32(v) => numbers!(v, f32),
        Values::Float64(v) => numbers!(v, f64),
        Values::FixedString(v, width) => {
            places.for_each(|at| v.extend_from_slice(&bytes[at..at + *width]));
        }
        Values::String(to) => return read_strings(to, bytes, places),
        _ => return places.try_for_each(|at| read_value(builder, &mut Source { bytes, at })),
    }
    Ok(())
}

/// The bytes of a value that was found to lie there.
#[inline(always)]
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

fn read_strings(
    to: &mut Bytes,
    bytes: &[u8],
    places: impl ExactSizeIterator<Item = usize>,
) -> Read<()> {
    to.offsets.reserve(places.len());
    for at in places {
        let mut source = Source { bytes, at };
        let (length, from) = (source.varint()?, source.at);
        match bytes.get(from..from + SHORT).and_then(|b| b.first_chunk::<SHORT>()) {
            Some(wide) if length <= SHORT => {
                let end = to.data.len() + length;
                to.data.extend_from_slice(wide);
                to.data.truncate(end);
            }
            _ => to.data.extend_from_slice(source.take(length)?),
        }
        to.end();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pumphouse_query::context::Settings;
    use pumphouse_storage::types::{TimeZone, parse_data_type};

    use crate::format::{FormatOptions, InputColumn, reader};

    const TYPES: [&str; 10] = [
        "UInt8",
        "String",
        "Int64",
        "Nullable(UInt32)",
        "Date",
        "FixedString(3)",
        "Nullable(String)",
        "String",
        "Float64",
        "Decimal(18, 3)",
    ];

    fn row(n: usize, out: &mut Vec<u8>) {
        let string = |length: usize, out: &mut Vec<u8>| {
            super::super::write_bytes(&vec![b'a' + (n % 26) as u8; length], out);
        };
        out.push(n as u8);
        string(n * 13 % 300, out);
        out.extend_from_slice(&(n as i64 - 500).to_le_bytes());
        out.push(n.is_multiple_of(3) as u8);
        if !n.is_multiple_of(3) {
            out.extend_from_slice(&(n as u32).to_le_bytes());
        }
        out.extend_from_slice(&(n as u16).to_le_bytes());
        out.extend_from_slice(b"xyz");
        out.push((n % 4 == 1) as u8);
        if n % 4 != 1 {
            string(n % 40, out);
        }
        string(n % 2, out);
        out.extend_from_slice(&(n as f64 / 4.0).to_le_bytes());
        out.extend_from_slice(&(n as i64 * 1001).to_le_bytes());
    }

    /// Rows read in one stream, in pieces, and each alone, which is row by row.
    #[test]
    fn columns_as_rows() {
        let columns: Vec<InputColumn> = TYPES
            .iter()
            .enumerate()
            .map(|(i, t)| InputColumn {
                name: format!("c{i}"),
                data_type: parse_data_type(t).unwrap(),
            })
            .collect();
        let options = FormatOptions { settings: Settings::default(), time_zone: TimeZone::UTC };
        let make = || reader("RowBinary", &columns, &options).unwrap();
        let (mut whole, mut cut, mut alone) = (make(), make(), make());
        let mut bytes = vec![];
        for n in 0..5000 {
            let from = bytes.len();
            row(n, &mut bytes);
            assert_eq!(alone.read_message(&bytes[from..]).unwrap(), 1);
        }
        assert_eq!(whole.read_stream(&bytes, true, usize::MAX).unwrap(), bytes.len());
        let mut buffer = vec![];
        for piece in bytes.chunks(10_007) {
            buffer.extend_from_slice(piece);
            let used = cut.read_stream(&buffer, false, 100).unwrap();
            buffer.drain(..used);
        }
        while !buffer.is_empty() {
            let used = cut.read_stream(&buffer, true, 100).unwrap();
            buffer.drain(..used);
        }
        let (whole, cut, alone) =
            (whole.take().unwrap(), cut.take().unwrap(), alone.take().unwrap());
        assert_eq!((whole.rows, cut.rows, alone.rows), (5000, 5000, 5000));
        for ((a, b), c) in whole.columns.iter().zip(&cut.columns).zip(&alone.columns) {
            for row in 0..5000 {
                assert_eq!(a.value(row), c.value(row), "{} row {row}", a.data_type);
                assert_eq!(b.value(row), c.value(row), "{} row {row}", a.data_type);
            }
        }
        let mut reader = make();
        assert!(reader.read_stream(&bytes[..bytes.len() - 1], true, usize::MAX).is_err());
        assert_eq!(reader.rows(), 0);
    }
}
