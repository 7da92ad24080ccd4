//! Objects nodes back to the byte strings of objects, and single paths of them to columns.
//!
//! Every piece is checked against its own hash, so that one can be read alone. Rules as in [`super`]: what
//! a piece may allocate is recorded, and together that is bounded by what the granule decodes to.

use arrow_array::BinaryArray;
use arrow_array::cast::AsArray;
use xxhash_rust::xxh3::xxh3_64;

use super::super::encode::{kind, tag};
use super::super::layout::Layout;
use super::super::wire::{Cursor, Decoded, Malformed};
use super::strings::StringSink;
use super::{Scratch, Sink, number};
use crate::block::Column;
use crate::run_time::object::{Object, put_sorted};
use crate::run_time::{type_code, value_code};
use crate::types::DataType;

/// Bytes before the directory: tag, length, hash.
pub(crate) const HEAD_BYTES: usize = 13;
/// Pieces may decode to this many times what the whole granule does, and a little more.
const EXPANSION_MAX: usize = 64;
const EXPANSION_FREE: usize = 1 << 20;

/// One piece of a node, as its directory tells.
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) kind: u8,
    code: &'a [u8],
    rows: usize,
    /// Where its bytes lie behind the directory.
    pub(crate) at: usize,
    pub(crate) length: usize,
    decoded: usize,
    hash: u64,
}

/// Length and hash of the directory from the first bytes of a node; None if it is no node of objects.
pub(crate) fn head(bytes: &[u8]) -> Option<(usize, u64)> {
    let mut cursor = Cursor::new(bytes);
    if cursor.u8().ok()? != tag::OBJECTS {
        return None;
    }
    Some((cursor.u32().ok()? as usize, cursor.u64().ok()?))
}

/// The entries of a directory.
pub(crate) fn directory(bytes: &[u8], hash: u64) -> Decoded<Vec<Entry<'_>>> {
    if xxh3_64(bytes) != hash {
        return Err(Malformed("a directory of its recorded hash"));
    }
    let mut cursor = Cursor::new(bytes);
    let mut entries = vec![];
    let mut at = 0usize;
    for _ in 0..cursor.u32()? {
        let entry = Entry {
            path: cursor.bytes()?,
            kind: cursor.u8()?,
            code: cursor.bytes()?,
            rows: cursor.u32()? as usize,
            at,
            length: cursor.u32()? as usize,
            decoded: cursor.u32()? as usize,
            hash: cursor.u64()?,
        };
        at = at.checked_add(entry.length).ok_or(Malformed("a length"))?;
        entries.push(entry);
    }
    if cursor.remaining() > 0 {
        return Err(Malformed("the end of a directory"));
    }
    Ok(entries)
}

/// The values of a piece and the rows that have them.
pub(crate) struct Piece {
    /// None: all rows.
    pub(crate) rows: Option<Vec<u32>>,
    /// Of the piece's type; Strings if the values carry theirs.
    pub(crate) values: Column,
    /// The encoding of the type; empty if the values carry theirs.
    pub(crate) code: Vec<u8>,
}

impl Entry<'_> {
    /// Decodes the piece out of its bytes.
    pub(crate) fn piece(&self, bytes: &[u8], all: usize, scratch: &mut Scratch) -> Decoded<Piece> {
        if xxh3_64(bytes) != self.hash {
            return Err(Malformed("a path of its recorded hash"));
        }
        if self.rows > all || self.rows == 0 {
            return Err(Malformed("a number of rows"));
        }
        let data_type = match self.kind {
            kind::UNIFORM => {
                let mut code = self.code;
                type_code::take(&mut code).ok_or(Malformed("a type"))?
            }
            kind::MIXED | kind::SHARED => DataType::String,
            _ => return Err(Malformed("a kind of path")),
        };
        let whole = std::mem::replace(&mut scratch.budget, self.decoded);
        let piece = self.values(bytes, all, data_type, scratch);
        scratch.budget = whole;
        piece
    }

    fn values(
        &self,
        bytes: &[u8],
        all: usize,
        data_type: DataType,
        scratch: &mut Scratch,
    ) -> Decoded<Piece> {
        let mut cursor = Cursor::new(bytes);
        let mut rows = None;
        if self.rows < all {
            scratch.spend(self.rows * 4)?;
            let mut numbers = vec![0u32; self.rows];
            let tag = cursor.u8()?;
            number::words(tag, &mut cursor, &mut numbers, scratch, 0)?;
            let ascending = numbers.windows(2).all(|w| w[0] < w[1]);
            if !ascending || numbers.last().is_some_and(|last| *last as usize >= all) {
                return Err(Malformed("row numbers"));
            }
            rows = Some(numbers);
        }
        let mut sink = Sink::new(&Layout::of(&data_type), self.rows, 0);
        sink.append(&mut cursor, self.rows, scratch)?;
        if cursor.remaining() > 0 {
            return Err(Malformed("the end of a path"));
        }
        let array = sink.finish(&data_type.arrow()).map_err(|_| Malformed("values of a path"))?;
        Ok(Piece { rows, values: Column { data_type, array }, code: self.code.to_vec() })
    }
}

impl Piece {
    /// Appends the bytes of a Dynamic.
    pub(crate) fn put(&self, at: usize, out: &mut Vec<u8>) {
        let array = self.values.array.as_ref();
        if self.code.is_empty() {
            return out.extend_from_slice(array.as_binary::<i32>().value(at));
        }
        out.extend_from_slice(&self.code);
        value_code::put_row(&self.values.data_type, array, at, out);
    }

    fn row(&self, at: usize) -> usize {
        self.rows.as_ref().map_or(at, |rows| rows[at] as usize)
    }

    /// For each of `all` rows, which value it has.
    pub(crate) fn places(&self, all: usize) -> Vec<Option<u32>> {
        let mut places = vec![None; all];
        for at in 0..self.values.len() {
            places[self.row(at)] = Some(at as u32);
        }
        places
    }
}

/// A path of a row: which, and where its value lies.
#[derive(Clone, Copy, Default)]
struct Cell {
    piece: u32,
    from: usize,
    to: usize,
}

/// Appends the objects of a node of `rows` rows whose tag was read.
pub(super) fn append(
    sink: &mut StringSink,
    tag: u8,
    cursor: &mut Cursor<'_>,
    rows: usize,
    scratch: &mut Scratch,
) -> Decoded<()> {
    if tag != tag::OBJECTS {
        return Err(Malformed("an objects node"));
    }
    let length = cursor.u32()? as usize;
    let hash = cursor.u64()?;
    let entries = directory(cursor.take(length)?, hash)?;
    let decoded: usize = entries.iter().map(|e| e.decoded).sum();
    if decoded > scratch.budget.saturating_mul(EXPANSION_MAX).saturating_add(EXPANSION_FREE) {
        return Err(Malformed("paths of the granule's size"));
    }
    let (mut pieces, mut shared) = (vec![], None);
    for entry in &entries {
        let piece = entry.piece(cursor.take(entry.length)?, rows, scratch)?;
        match entry.kind {
            kind::SHARED => shared = Some(piece),
            _ => pieces.push((entry.path, piece)),
        }
    }
    scratch.spend(rows * 4)?;
    assemble(&pieces, shared.as_ref(), None, rows, &mut |object| {
        scratch.spend(object.len())?;
        sink.push(object)
    })
}

/// Gives `put` the object of every row, of these paths (in order) and of those that lie together: of the
/// latter only what is `below` a path, if one is named.
pub(crate) fn assemble(
    pieces: &[(&[u8], Piece)],
    shared: Option<&Piece>,
    below: Option<&[u8]>,
    rows: usize,
    put: &mut dyn FnMut(&[u8]) -> Decoded<()>,
) -> Decoded<()> {
    let (cells, ends, arena) = cells(pieces, rows);
    let shared = shared.map(|piece| (piece, piece.places(rows)));
    let (mut object, mut part) = (vec![], vec![]);
    for row in 0..rows {
        let from = if row == 0 { 0 } else { ends[row - 1] };
        let own = cells[from..ends[row]]
            .iter()
            .map(|c| (pieces[c.piece as usize].0, &arena[c.from..c.to]));
        object.clear();
        let more = shared.as_ref().and_then(|(piece, places)| Some((piece, places[row]?)));
        match more {
            None => put_sorted(own, &mut object),
            Some((piece, at)) => {
                let strings: &BinaryArray = piece.values.array.as_binary();
                let whole = strings.value(at as usize);
                let mut rest = Object::open(whole).ok_or(Malformed("an object"))?;
                if let Some(path) = below {
                    part.clear();
                    rest.put_below(path, &mut part);
                    rest = Object::open(&part).ok_or(Malformed("an object"))?;
                }
                let mut all: Vec<(&[u8], &[u8])> = own.chain(rest.iter()).collect();
                all.sort();
                put_sorted(all.into_iter(), &mut object);
            }
        }
        put(&object)?;
    }
    Ok(())
}

/// The paths of all rows, row by row and in order, with the end of each row's; and the values' bytes.
fn cells(pieces: &[(&[u8], Piece)], rows: usize) -> (Vec<Cell>, Vec<usize>, Vec<u8>) {
    let own = || pieces.iter().map(|(_, piece)| piece).enumerate();
    let mut ends = vec![0usize; rows];
    for (_, piece) in own() {
        (0..piece.values.len()).for_each(|at| ends[piece.row(at)] += 1);
    }
    let mut next = vec![0usize; rows];
    let mut total = 0;
    for (end, next) in ends.iter_mut().zip(&mut next) {
        *next = total;
        total += *end;
        *end = total;
    }
    let mut cells = vec![Cell::default(); total];
    let mut arena = vec![];
    for (i, piece) in own() {
        for at in 0..piece.values.len() {
            let from = arena.len();
            piece.put(at, &mut arena);
            let place = &mut next[piece.row(at)];
            cells[*place] = Cell { piece: i as u32, from, to: arena.len() };
            *place += 1;
        }
    }
    (cells, ends, arena)
}
