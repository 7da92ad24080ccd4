//! JSON objects of a granule, path by path: the rows that have the path and the values there, so that one
//! path can be read without the others. Values of one type lie as a column of that type; of several, as the
//! byte strings that they are. Paths beyond the limit, the rarest, stay together as smaller objects.
//!
//! The node: `u32` directory length, `u64` its hash, directory, then the pieces that it lists. The directory:
//! `u32` pieces, per piece `bytes` path, `u8` kind, `bytes` type, `u32` rows, `u32` length, `u32` bytes
//! decoded, `u64` hash. A piece is a node of row numbers, if not all rows have it, and a node of values.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray};
use xxhash_rust::xxh3::xxh3_64;

use super::super::layout::{Layout, Order};
use super::super::wire::{put_bytes, put_u32, put_u64};
use super::{Encoder, decoded_bytes, misshapen, tag};
use crate::error::{Error, Result};
use crate::run_time::object::{Object, put_sorted};
use crate::run_time::{column_of, damaged, split_dynamic, type_code};

/// Kinds of pieces. Numbers are part of the file format.
pub(crate) mod kind {
    /// Values with their types, as strings.
    pub(crate) const MIXED: u8 = 0;
    /// Values of the type that the directory names.
    pub(crate) const UNIFORM: u8 = 1;
    /// Objects of the paths that have no piece of their own, as strings.
    pub(crate) const SHARED: u8 = 2;
}

/// The rows that have a path, and their values.
#[derive(Default)]
struct PathRows<'a> {
    rows: Vec<u32>,
    values: Vec<&'a [u8]>,
}

impl Encoder {
    pub(super) fn objects(
        &mut self,
        array: &dyn Array,
        paths_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let objects = array.as_binary_opt::<i32>().ok_or_else(|| misshapen(array))?;
        let mut paths = gather(objects)?;
        let shared = take_rare(&mut paths, paths_max, array.len());
        let (mut directory, mut body) = (vec![], vec![]);
        put_u32(&mut directory, (paths.len() + usize::from(shared.is_some())) as u32);
        for (path, found) in &paths {
            put_bytes(&mut directory, path);
            self.path(found, array.len(), &mut directory, &mut body)?;
        }
        if let Some((rows, objects)) = shared {
            put_bytes(&mut directory, b"");
            let strings = BinaryArray::from_iter_values(&objects);
            let piece = Piece { kind: kind::SHARED, code: &[], layout: Layout::Strings };
            self.piece(piece, &rows, array.len(), &strings, &mut directory, &mut body)?;
        }
        out.push(tag::OBJECTS);
        put_u32(out, directory.len() as u32);
        put_u64(out, xxh3_64(&directory));
        out.extend_from_slice(&directory);
        out.extend_from_slice(&body);
        // Whatever lies inside, the strings of this node are no dictionary.
        self.dictionary_used = false;
        Ok(())
    }

    fn path(
        &mut self,
        found: &PathRows<'_>,
        all: usize,
        directory: &mut Vec<u8>,
        body: &mut Vec<u8>,
    ) -> Result<()> {
        let (code, _) = split_dynamic(found.values[0]).ok_or_else(damaged)?;
        if found.values.iter().all(|v| v.starts_with(code)) {
            let data_type = type_code::take(&mut &*code).ok_or_else(damaged)?;
            let values = found.values.iter().map(|v| Some(&v[code.len()..]));
            let column = column_of(&data_type, values)?;
            let piece = Piece { kind: kind::UNIFORM, code, layout: Layout::of(&data_type) };
            return self.piece(piece, &found.rows, all, column.array.as_ref(), directory, body);
        }
        let strings = BinaryArray::from_iter_values(&found.values);
        let piece = Piece { kind: kind::MIXED, code: &[], layout: Layout::Strings };
        self.piece(piece, &found.rows, all, &strings, directory, body)
    }

    /// Writes a piece behind its path.
    fn piece(
        &mut self,
        piece: Piece<'_>,
        rows: &[u32],
        all: usize,
        values: &dyn Array,
        directory: &mut Vec<u8>,
        body: &mut Vec<u8>,
    ) -> Result<()> {
        let first = body.len();
        let mut decoded = decoded_bytes(&piece.layout, values);
        if rows.len() < all {
            self.words(rows, Order::Unsigned, body);
            decoded += rows.len() * 4;
        }
        self.encode(&piece.layout, values, None, body)?;
        let too_large = || Error::LimitExceeded("a path of a JSON column takes 4 GiB".into());
        let length = u32::try_from(body.len() - first).map_err(|_| too_large())?;
        let decoded = u32::try_from(decoded).map_err(|_| too_large())?;
        directory.push(piece.kind);
        put_bytes(directory, piece.code);
        put_u32(directory, rows.len() as u32);
        put_u32(directory, length);
        put_u32(directory, decoded);
        put_u64(directory, xxh3_64(&body[first..]));
        Ok(())
    }
}

struct Piece<'a> {
    kind: u8,
    code: &'a [u8],
    layout: Layout,
}

/// All paths in order.
fn gather(objects: &BinaryArray) -> Result<BTreeMap<&[u8], PathRows<'_>>> {
    let mut paths: BTreeMap<&[u8], PathRows<'_>> = BTreeMap::new();
    for row in 0..objects.len() {
        if objects.is_null(row) {
            continue;
        }
        let object = Object::open(objects.value(row)).ok_or_else(damaged)?;
        for (path, value) in object.iter() {
            let found = paths.entry(path).or_default();
            found.rows.push(row as u32);
            found.values.push(value);
        }
    }
    Ok(paths)
}

/// Takes the rarest paths out until `paths_max` are left: the rows that had any, and their objects.
fn take_rare(
    paths: &mut BTreeMap<&[u8], PathRows<'_>>,
    paths_max: usize,
    all: usize,
) -> Option<(Vec<u32>, Vec<Vec<u8>>)> {
    if paths.len() <= paths_max {
        return None;
    }
    let mut by_rows: Vec<(usize, &[u8])> = paths.iter().map(|(p, f)| (f.rows.len(), *p)).collect();
    by_rows.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let mut rare: Vec<&[u8]> = by_rows[paths_max..].iter().map(|(_, p)| *p).collect();
    rare.sort();
    let mut objects: Vec<Vec<(&[u8], &[u8])>> = vec![vec![]; all];
    for path in rare {
        let Some(found) = paths.remove(path) else { continue };
        for (row, value) in found.rows.iter().zip(found.values) {
            objects[*row as usize].push((path, value));
        }
    }
    let mut rows = vec![];
    let mut bytes = vec![];
    for (row, own) in objects.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
        rows.push(row as u32);
        let mut object = vec![];
        put_sorted(own.iter().copied(), &mut object);
        bytes.push(object);
    }
    Some((rows, bytes))
}
