//! Rows of several columns of one type as one column, run after run: how a merge puts the rows of its
//! sources into one order.
//!
//! Numbers, fixed bytes and strings without NULLs are copied into memory of the right size, a whole run
//! at a time; all else goes through Arrow.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, make_array};
use arrow_buffer::{ArrowNativeType, Buffer, OffsetBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;

use super::encode::number_buffer;
use super::layout::Layout;
use super::word::with_word;
use crate::block::Column;
use crate::error::{Error, Result};

/// Runs shorter than this on average are copied row by row where Arrow copies.
const ROWS_PER_RUN_MIN: usize = 16;
/// Bytes that a short piece of strings is copied with, whatever its length.
const SHORT: usize = 32;

/// Rows `from..to` of the column at `place`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) place: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl Piece {
    fn len(&self) -> usize {
        (self.to - self.from) as usize
    }
}

/// The rows that `pieces`, `rows` rows together, name of `columns` (at least one).
pub(crate) fn splice(columns: &[&Column], pieces: &[Piece], rows: usize) -> Result<Column> {
    let data_type = &columns[0].data_type;
    let plain = columns.iter().all(|c| c.array.null_count() == 0);
    let layout = Layout::of(data_type);
    let array = match &layout {
        Layout::Number { width, .. } if plain => {
            let buffers: Vec<Buffer> =
                columns.iter().map(|c| number_buffer(c.array.as_ref())).collect();
            let buffer = with_word!(*width, T => {
                let words: Vec<&[T]> = buffers.iter().map(Buffer::typed_data).collect();
                Buffer::from_vec(words_of(&words, pieces, rows))
            });
            let arrow = columns[0].array.data_type().clone();
            let data = ArrayData::builder(arrow).len(rows).add_buffer(buffer).build();
            Some(make_array(data.map_err(misfit)?))
        }
        Layout::Strings if plain => {
            let strings: Vec<&BinaryArray> = columns.iter().map(|c| c.array.as_binary()).collect();
            strings_of(&strings, pieces, rows)?.map(|s| Arc::new(s) as ArrayRef)
        }
        _ => None,
    };
    let array = match array {
        Some(array) => array,
        None => by_arrow(columns, pieces, rows)?,
    };
    Ok(Column { data_type: data_type.clone(), array })
}

fn misfit(e: arrow_schema::ArrowError) -> Error {
    Error::Column(format!("cannot merge rows: {e}"))
}

fn words_of<T: ArrowNativeType>(columns: &[&[T]], pieces: &[Piece], rows: usize) -> Vec<T> {
    let mut out: Vec<T> = Vec::with_capacity(rows);
    for piece in pieces {
        let run = &columns[piece.place as usize][piece.from as usize..piece.to as usize];
        // Most runs are short: no call for a handful of words.
        match run {
            [one] => out.push(*one),
            [a, b] => out.extend_from_slice(&[*a, *b]),
            [a, b, c] => out.extend_from_slice(&[*a, *b, *c]),
            _ => out.extend_from_slice(run),
        }
    }
    out
}

/// None if they take more than offsets reach.
fn strings_of(
    columns: &[&BinaryArray],
    pieces: &[Piece],
    rows: usize,
) -> Result<Option<BinaryArray>> {
    let sources: Vec<(&[i32], &[u8])> =
        columns.iter().map(|c| (c.value_offsets(), c.value_data())).collect();
    let extent = |piece: &Piece| {
        let offsets = sources[piece.place as usize].0;
        (offsets[piece.from as usize] as usize, offsets[piece.to as usize] as usize)
    };
    let total: usize = pieces.iter().map(extent).map(|(from, to)| to - from).sum();
    if total > i32::MAX as usize {
        return Ok(None);
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(total + SHORT);
    let mut ends: Vec<i32> = Vec::with_capacity(rows + 1);
    ends.push(0);
    for piece in pieces {
        let (offsets, data) = sources[piece.place as usize];
        let (from, to) = extent(piece);
        let shift = bytes.len() as i32 - from as i32;
        let own = &offsets[piece.from as usize + 1..=piece.to as usize];
        ends.extend(own.iter().map(|end| end + shift));
        match data.get(from..from + SHORT).and_then(|d| d.first_chunk::<SHORT>()) {
            Some(wide) if to - from <= SHORT => {
                let end = bytes.len() + to - from;
                bytes.extend_from_slice(wide);
                bytes.truncate(end);
            }
            _ => bytes.extend_from_slice(&data[from..to]),
        }
    }
    let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
    BinaryArray::try_new(ends, Buffer::from_vec(bytes), None).map(Some).map_err(misfit)
}

fn by_arrow(columns: &[&Column], pieces: &[Piece], rows: usize) -> Result<ArrayRef> {
    if rows < pieces.len() * ROWS_PER_RUN_MIN {
        let arrays: Vec<&dyn Array> = columns.iter().map(|c| c.array.as_ref()).collect();
        let picks: Vec<(usize, usize)> = pieces
            .iter()
            .flat_map(|p| (p.from..p.to).map(|row| (p.place as usize, row as usize)))
            .collect();
        return arrow_select::interleave::interleave(&arrays, &picks).map_err(misfit);
    }
    let data: Vec<ArrayData> = columns.iter().map(|c| c.array.to_data()).collect();
    let mut out = MutableArrayData::new(data.iter().collect(), false, rows);
    for piece in pieces {
        let from = piece.from as usize;
        out.try_extend(piece.place as usize, from, from + piece.len()).map_err(misfit)?;
    }
    Ok(make_array(out.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DataType, Value, parse_data_type};

    #[test]
    fn runs_as_their_rows() {
        let number = |n: u64| Value::UInt(n % 200);
        let text = |n: u64| Value::String(vec![n as u8; (n * 7 % 71) as usize]);
        let pair = |n: u64| Value::Array(vec![number(n); (n % 3) as usize]);
        type Make<'a> = &'a dyn Fn(u64) -> Value;
        let cases: [(&str, Make<'_>); 6] = [
            ("UInt8", &number),
            ("UInt64", &number),
            ("String", &text),
            ("Nullable(String)", &|n| if n % 3 == 0 { Value::Null } else { text(n) }),
            ("Nullable(UInt16)", &|n| if n % 5 == 0 { Value::Null } else { number(n) }),
            ("Array(UInt8)", &pair),
        ];
        for (name, make) in cases {
            let data_type: DataType = parse_data_type(name).unwrap();
            let column = |seed: u64| {
                let values: Vec<Value> = (0..60).map(|i| make(i * 31 + seed)).collect();
                Column::from_values(data_type.clone(), &values).unwrap().slice(3, 50)
            };
            let columns = [column(1), column(2), column(7)];
            for longest in [1u32, 3, 30] {
                let (mut pieces, mut rows) = (vec![], vec![]);
                for i in 0..40u32 {
                    let (place, from) = (i % 3, i * 7 % 20);
                    let to = from + 1 + i % longest;
                    pieces.push(Piece { place, from, to });
                    rows.extend((from..to).map(|row| columns[place as usize].value(row as usize)));
                }
                let columns: Vec<&Column> = columns.iter().collect();
                let joined = splice(&columns, &pieces, rows.len()).unwrap();
                assert_eq!(joined.len(), rows.len());
                assert!((0..rows.len()).all(|row| joined.value(row) == rows[row]), "{name}");
            }
        }
    }
}
