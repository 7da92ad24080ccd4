//! Reading one path of a JSON column: of each granule its directory and the piece of that path, not the
//! rest. What cannot be read so (a granule with NULLs) is read whole.

use std::sync::Arc;

use arrow_array::UInt32Array;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;

use super::decode::Scratch;
use super::decode::objects::{Entry, HEAD_BYTES, Piece, assemble, directory, head};
use super::encode::kind;
use super::footer::Mark;
use super::reader::{PartReader, with_buffers};
use super::wire::Decoded;
use crate::block::Column;
use crate::error::{Error, Result};
use crate::run_time::object::Object;
use crate::run_time::subcolumn::{Subcolumn, elements, fill};
use crate::run_time::{bytes_column, type_code};
use crate::types::{DataType, JsonType};

/// Bytes that are read in the hope that the directory is among them.
const FIRST_BYTES: usize = 4096;

impl PartReader {
    /// A part of the JSON column at `index`, of `granules`.
    pub(crate) fn read_subcolumn(
        &self,
        index: usize,
        granules: &[usize],
        wanted: &Subcolumn,
    ) -> Result<Column> {
        let DataType::Json(json) = self.data_type(index).inner().clone() else {
            return Err(Error::Column("paths are those of a JSON column".into()));
        };
        let mut columns = vec![Column::default_values(wanted.data_type(&json), 0)];
        for granule in granules {
            columns.push(self.granule_subcolumn(index, *granule, wanted, &json)?);
        }
        Column::concat(&columns)
    }

    fn granule_subcolumn(
        &self,
        index: usize,
        granule: usize,
        wanted: &Subcolumn,
        json: &JsonType,
    ) -> Result<Column> {
        let mark = self.column(index).mark(granule);
        let first = FIRST_BYTES.min(mark.length as usize);
        let mut bytes = vec![0; first];
        self.file().read_at(mark.file_offset, &mut bytes)?;
        let whole = || wanted.of_column(&self.read_column(index, &[granule])?);
        let Some((length, hash)) = head(&bytes) else { return whole() };
        let end = HEAD_BYTES.saturating_add(length);
        if end > mark.length as usize {
            return Err(self.damaged(mark, "a directory of paths"));
        }
        if end > first {
            bytes.resize(end, 0);
            self.file().read_at(mark.file_offset + first as u64, &mut bytes[first..])?;
        }
        let entries =
            directory(&bytes[HEAD_BYTES..end], hash).map_err(|e| self.damaged(mark, e.0))?;
        let rows = self.granule_rows(granule);
        with_buffers(|_, scratch| {
            let mut piece = |entry: &Entry<'_>| self.piece(entry, mark, end, rows, scratch);
            if let Subcolumn::Below(path) = wanted {
                return below(&entries, path, rows, wanted.data_type(json), &mut piece)
                    .and_then(|found| found.map_err(|e| self.damaged(mark, e.0)));
            }
            let own = |e: &&Entry<'_>| e.kind != kind::SHARED && e.path == wanted.path();
            if let Some(entry) = entries.iter().find(own) {
                return values(&piece(entry)?, rows, wanted, json);
            }
            if let Some(entry) = entries.iter().find(|e| e.kind == kind::SHARED) {
                return shared_values(&piece(entry)?, rows, wanted, json);
            }
            Ok(Column::default_values(wanted.data_type(json), rows))
        })
    }

    fn piece(
        &self,
        entry: &Entry<'_>,
        mark: Mark,
        behind: usize,
        rows: usize,
        scratch: &mut Scratch,
    ) -> Result<Piece> {
        let from = behind.saturating_add(entry.at);
        if from.saturating_add(entry.length) > mark.length as usize {
            return Err(self.damaged(mark, "a path inside its granule"));
        }
        let mut bytes = vec![0; entry.length];
        self.file().read_at(mark.file_offset + from as u64, &mut bytes)?;
        entry.piece(&bytes, rows, scratch).map_err(|e| self.damaged(mark, e.0))
    }
}

/// The objects of what is below a path.
fn below(
    entries: &[Entry<'_>],
    path: &[u8],
    rows: usize,
    data_type: DataType,
    piece: &mut dyn FnMut(&Entry<'_>) -> Result<Piece>,
) -> Result<Decoded<Column>> {
    let (mut pieces, mut shared) = (vec![], None);
    for entry in entries {
        if entry.kind == kind::SHARED {
            shared = Some(piece(entry)?);
        } else if let Some(rest) = entry.path.strip_prefix(path)
            && rest.first() == Some(&b'.')
        {
            pieces.push((&rest[1..], piece(entry)?));
        }
    }
    let mut builder = BinaryBuilder::new();
    let made = assemble(&pieces, shared.as_ref(), Some(path), rows, &mut |object| {
        builder.append_value(object);
        Ok(())
    });
    Ok(made.map(|()| Column { data_type, array: Arc::new(builder.finish()) }))
}

/// What is wanted of the piece of its path.
fn values(piece: &Piece, rows: usize, wanted: &Subcolumn, json: &JsonType) -> Result<Column> {
    let result = wanted.data_type(json);
    let places = piece.places(rows);
    let own_type = match wanted {
        Subcolumn::Typed(_, t) => Some(t),
        _ if !matches!(result, DataType::Dynamic { .. }) => Some(&result),
        _ => None,
    };
    let Some(own_type) = own_type else {
        let mut builder = BinaryBuilder::new();
        let mut bytes = vec![];
        for place in places {
            bytes.clear();
            match place {
                Some(at) => {
                    piece.put(at as usize, &mut bytes);
                    builder.append_value(&bytes);
                }
                None => builder.append_null(),
            }
        }
        return Ok(Column { data_type: result, array: Arc::new(builder.finish()) });
    };
    if piece.code.is_empty() {
        let strings = piece.values.array.as_binary::<i32>();
        let found = places.iter().map(|p| p.map(|at| strings.value(at as usize)));
        return elements(own_type, &result, found);
    }
    let mut code = vec![];
    type_code::put(own_type, &mut code);
    if code != piece.code {
        return Ok(Column::default_values(result, rows));
    }
    let spread = match &piece.rows {
        None => piece.values.clone(),
        Some(_) => piece.values.take(&UInt32Array::from(places)),
    };
    fill(spread, &result)
}

/// What is wanted of the objects of paths that lie together.
fn shared_values(
    piece: &Piece,
    rows: usize,
    wanted: &Subcolumn,
    json: &JsonType,
) -> Result<Column> {
    let strings = piece.values.array.as_binary::<i32>();
    let found: Vec<Option<&[u8]>> = piece
        .places(rows)
        .iter()
        .map(|p| p.and_then(|at| Object::of(strings.value(at as usize)).find(wanted.path())))
        .collect();
    let result = wanted.data_type(json);
    match wanted {
        Subcolumn::Typed(_, t) => elements(t, &result, found.into_iter()),
        _ if matches!(result, DataType::Dynamic { .. }) => {
            Ok(bytes_column(result, found.into_iter()))
        }
        _ => elements(&result.clone(), &result, found.into_iter()),
    }
}
