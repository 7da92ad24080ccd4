//! Variant, Dynamic and JSON in Native. A column's prefix says which types and paths follow; the data are
//! the columns of those, dense, behind a number per row that says which.
//!
//! Before revision 54473 counts stand twice (versions 1 of Dynamic and 0 of JSON), later once (2 and 2).
//! JSON as plain texts (version 1) and flattened columns (version 3: every type and path in its place,
//! nothing shared) are read, and written if a setting asks for them. Else what passes the limit
//! of types goes together, each value with its type, as RowBinary writes it; paths all get their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray};
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::run_time::json::ObjectParser;
use pumphouse_query::run_time::{groups, scatter, values_of, wrap};
use pumphouse_storage::run_time::object::{Object, ObjectBuilder};
use pumphouse_storage::run_time::{bytes_column, declared_of};
use pumphouse_storage::types::{JsonType, TimeZone, parse_data_type};
use pumphouse_storage::{Column, DataType};

use super::REVISION_ONE_COUNT;
use super::read::{bad, read_column_of, read_prefix};
use super::write::{write_column, write_prefix, write_type};
use crate::format::row_binary::self_typed::{read_dynamic_bytes, write_dynamic_bytes};
use crate::format::row_binary::{Read, Source, Stop, write_bytes, write_varint};

/// The discriminator of NULL.
const NULL: u8 = 255;
/// The alternative of a Dynamic that holds values of all further types.
const SHARED: &str = "SharedVariant";
/// Types and paths of one column at most.
const COUNT_MAX: usize = 100_000;

const DYNAMIC_TWICE: u64 = 1;
const DYNAMIC_ONCE: u64 = 2;
/// Of Dynamic and JSON: every type and every path as a column, none of them shared.
const FLATTENED: u64 = 3;
const JSON_TWICE: u64 = 0;
const JSON_TEXTS: u64 = 1;
const JSON_ONCE: u64 = 2;

/// How blocks are written.
#[derive(Clone, Copy, Default)]
pub struct Mode {
    pub revision: u64,
    pub json_as_text: bool,
    pub flattened: bool,
    /// Types by their codes, not by their names.
    pub types_in_binary: bool,
}

/// The values of one type, as their rows' column.
struct Part {
    name: String,
    data_type: DataType,
    rows: Vec<u32>,
    values: Column,
}

/// A Variant or Dynamic column taken apart: its alternatives in order, and each row's.
struct Parts {
    parts: Vec<Part>,
    discriminators: Vec<u8>,
}

fn column_of(data_type: &DataType, array: &dyn Array) -> Column {
    Column { data_type: data_type.clone(), array: array.slice(0, array.len()) }
}

fn variant_parts(types: &[DataType], data_type: &DataType, array: &dyn Array) -> Result<Parts> {
    let column = column_of(data_type, array);
    let mut parts: Vec<Part> = types
        .iter()
        .map(|t| Part {
            name: t.to_string(),
            data_type: t.clone(),
            rows: vec![],
            values: Column::empty(t.clone()),
        })
        .collect();
    for group in groups(&column)? {
        if let Some(part) = parts.iter_mut().find(|p| p.data_type == group.data_type) {
            part.values = values_of(&column, &group)?;
            part.rows = group.rows;
        }
    }
    Ok(Parts { discriminators: discriminators(&parts, array.len()), parts })
}

/// The types of a Dynamic column that have a place of their own.
fn types_max(data_type: &DataType) -> usize {
    match data_type {
        DataType::Dynamic { types_max: Some(n) } => *n as usize,
        _ => pumphouse_storage::types::TYPES_MAX_DEFAULT as usize,
    }
}

fn dynamic_parts(data_type: &DataType, array: &dyn Array) -> Result<Parts> {
    let column = column_of(data_type, array);
    let limit = types_max(data_type);
    let mut parts = vec![];
    let mut shared: Vec<(u32, Vec<u8>)> = vec![];
    for group in groups(&column)? {
        let values = values_of(&column, &group)?;
        if parts.len() < limit {
            let name = group.data_type.to_string();
            parts.push(Part { name, data_type: group.data_type, rows: group.rows, values });
            continue;
        }
        for (at, row) in group.rows.iter().enumerate() {
            let mut bytes = vec![];
            write_dynamic_bytes(&group.data_type, values.array.as_ref(), at, &mut bytes)?;
            shared.push((*row, bytes));
        }
    }
    shared.sort_by_key(|(row, _)| *row);
    let (rows, bytes): (Vec<u32>, Vec<Vec<u8>>) = shared.into_iter().unzip();
    let values = bytes_column(DataType::String, bytes.iter().map(Some));
    parts.push(Part { name: SHARED.into(), data_type: DataType::String, rows, values });
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Parts { discriminators: discriminators(&parts, array.len()), parts })
}

fn discriminators(parts: &[Part], rows: usize) -> Vec<u8> {
    let mut numbers = vec![NULL; rows];
    for (i, part) in parts.iter().enumerate() {
        part.rows.iter().for_each(|row| numbers[*row as usize] = i as u8);
    }
    numbers
}

/// What stands before the data of such a column.
pub(super) fn prefix(
    data_type: &DataType,
    array: &dyn Array,
    mode: Mode,
    out: &mut Vec<u8>,
) -> Result<()> {
    match data_type {
        DataType::Variant(types) => {
            variant_prefix(&variant_parts(types, data_type, array)?, mode, out)
        }
        DataType::Dynamic { .. } if mode.flattened => {
            flat_dynamic_prefix(&flat_dynamic_parts(data_type, array)?, mode, out)
        }
        DataType::Dynamic { .. } => dynamic_prefix(&dynamic_parts(data_type, array)?, mode, out),
        DataType::Json(json) => json_prefix(json, array, mode, out),
        _ => Ok(()),
    }
}

/// The data of such a column.
pub(super) fn data(
    data_type: &DataType,
    array: &dyn Array,
    mode: Mode,
    out: &mut Vec<u8>,
) -> Result<()> {
    match data_type {
        DataType::Variant(types) => {
            write_parts(&variant_parts(types, data_type, array)?, mode, out)
        }
        DataType::Dynamic { .. } if mode.flattened => {
            write_flat_parts(&flat_dynamic_parts(data_type, array)?, array.len(), mode, out)
        }
        DataType::Dynamic { .. } => write_parts(&dynamic_parts(data_type, array)?, mode, out),
        DataType::Json(json) => json_data(json, array, mode, out),
        _ => Ok(()),
    }
}

fn variant_prefix(parts: &Parts, mode: Mode, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&0u64.to_le_bytes());
    for part in &parts.parts {
        write_prefix(&part.data_type, part.values.array.as_ref(), mode, out)?;
    }
    Ok(())
}

fn dynamic_prefix(parts: &Parts, mode: Mode, out: &mut Vec<u8>) -> Result<()> {
    let names = || parts.parts.iter().filter(|p| p.name != SHARED);
    let once = mode.revision >= REVISION_ONE_COUNT;
    let version = if once { DYNAMIC_ONCE } else { DYNAMIC_TWICE };
    out.extend_from_slice(&version.to_le_bytes());
    let count = names().count() as u64;
    if !once {
        write_varint(count, out);
    }
    write_varint(count, out);
    names().for_each(|p| write_type(&p.data_type, mode, out));
    variant_prefix(parts, mode, out)
}

fn write_parts(parts: &Parts, mode: Mode, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&parts.discriminators);
    for part in &parts.parts {
        write_column(&part.data_type, part.values.array.as_ref(), mode, out)?;
    }
    Ok(())
}

/// The alternatives of a Dynamic column: as many as have a place of their own by name, then the others.
fn flat_dynamic_parts(data_type: &DataType, array: &dyn Array) -> Result<Vec<Part>> {
    let column = column_of(data_type, array);
    let mut parts = vec![];
    for group in groups(&column)? {
        let values = values_of(&column, &group)?;
        let name = group.data_type.to_string();
        parts.push(Part { name, data_type: group.data_type, rows: group.rows, values });
    }
    let own = types_max(data_type).min(parts.len());
    parts[..own].sort_by(|a, b| a.name.cmp(&b.name));
    Ok(parts)
}

fn flat_dynamic_prefix(parts: &[Part], mode: Mode, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&FLATTENED.to_le_bytes());
    write_varint(parts.len() as u64, out);
    parts.iter().for_each(|p| write_type(&p.data_type, mode, out));
    for part in parts {
        write_prefix(&part.data_type, part.values.array.as_ref(), mode, out)?;
    }
    Ok(())
}

/// The number of each row's alternative (NULL is one more than the last), then the alternatives.
fn write_flat_parts(parts: &[Part], rows: usize, mode: Mode, out: &mut Vec<u8>) -> Result<()> {
    let mut numbers = vec![parts.len() as u32; rows];
    for (i, part) in parts.iter().enumerate() {
        part.rows.iter().for_each(|row| numbers[*row as usize] = i as u32);
    }
    let width = flat_number_width(parts.len());
    numbers.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()[..width]));
    for part in parts {
        write_column(&part.data_type, part.values.array.as_ref(), mode, out)?;
    }
    Ok(())
}

/// Bytes of a number that says which of `parts` alternatives, or none.
fn flat_number_width(parts: usize) -> usize {
    match parts {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

/// The declared paths as columns of their types, and the others as columns of Dynamic, by path.
type PathColumns = (Vec<(DataType, Column)>, Vec<(Vec<u8>, Column)>);

fn path_columns(json: &Arc<JsonType>, array: &dyn Array) -> Result<PathColumns> {
    use pumphouse_storage::run_time::subcolumn::Subcolumn;
    let objects = array.as_binary_opt::<i32>().ok_or_else(pumphouse_query::run_time::damaged)?;
    let column = column_of(&DataType::Json(json.clone()), array);
    let mut declared = vec![];
    for (path, t) in &json.typed {
        let wanted = Subcolumn::Path(path.clone().into_bytes());
        declared.push((t.clone(), wanted.of_column(&column)?));
    }
    let mut found: BTreeMap<&[u8], Vec<Option<&[u8]>>> = BTreeMap::new();
    for row in 0..objects.len() {
        for (path, value) in Object::of(objects.value(row)).iter() {
            if json.typed_path(&String::from_utf8_lossy(path)).is_some() {
                continue;
            }
            let values = found.entry(path).or_default();
            values.resize(row, None);
            values.push(Some(value));
        }
    }
    let dynamic = DataType::Dynamic { types_max: json.types_max.map(|n| n as u8) };
    let paths = found
        .into_iter()
        .map(|(path, mut values)| {
            values.resize(objects.len(), None);
            (path.to_vec(), bytes_column(dynamic.clone(), values.into_iter()))
        })
        .collect();
    Ok((declared, paths))
}

fn json_prefix(
    json: &Arc<JsonType>,
    array: &dyn Array,
    mode: Mode,
    out: &mut Vec<u8>,
) -> Result<()> {
    if mode.json_as_text {
        out.extend_from_slice(&JSON_TEXTS.to_le_bytes());
        return Ok(());
    }
    let (declared, paths) = path_columns(json, array)?;
    let (version, once) = match mode.revision >= REVISION_ONE_COUNT {
        _ if mode.flattened => (FLATTENED, true),
        true => (JSON_ONCE, true),
        false => (JSON_TWICE, false),
    };
    out.extend_from_slice(&version.to_le_bytes());
    if !once {
        write_varint(paths.len() as u64, out);
    }
    write_varint(paths.len() as u64, out);
    paths.iter().for_each(|(path, _)| write_bytes(path, out));
    for (t, column) in &declared {
        write_prefix(t, column.array.as_ref(), mode, out)?;
    }
    for (_, column) in &paths {
        write_prefix(&column.data_type, column.array.as_ref(), mode, out)?;
    }
    Ok(())
}

fn json_data(json: &Arc<JsonType>, array: &dyn Array, mode: Mode, out: &mut Vec<u8>) -> Result<()> {
    if mode.json_as_text {
        let objects = array.as_binary::<i32>();
        let options = pumphouse_query::text::JsonOptions::default();
        for row in 0..objects.len() {
            let mut text = vec![];
            let bytes = if objects.is_null(row) { &[] } else { objects.value(row) };
            pumphouse_query::run_time::json::write_compact(
                bytes,
                TimeZone::UTC,
                &options,
                &mut text,
            );
            write_bytes(&text, out);
        }
        return Ok(());
    }
    let (declared, paths) = path_columns(json, array)?;
    for (t, column) in &declared {
        write_column(t, column.array.as_ref(), mode, out)?;
    }
    for (_, column) in &paths {
        write_column(&column.data_type, column.array.as_ref(), mode, out)?;
    }
    if !mode.flattened {
        // The paths that lie together: none.
        out.resize(out.len() + array.len() * 8, 0);
    }
    Ok(())
}

/// What a prefix said: needed to read the data.
pub(super) enum Prefix {
    /// Of a column without such types.
    Nothing,
    /// Of the items of an array, of a map's keys and values, of a tuple's elements.
    Inside(Vec<Prefix>),
    Variant(Vec<(DataType, Prefix)>),
    /// The alternatives in order, SharedVariant among them.
    Dynamic(Vec<(Option<DataType>, Prefix)>),
    /// The alternatives in order, all with a column of their own.
    FlatDynamic(Vec<(DataType, Prefix)>),
    Json {
        declared: Vec<Prefix>,
        paths: Vec<(Vec<u8>, Prefix)>,
        /// Whether there are no other paths, which lie together.
        flattened: bool,
    },
    JsonTexts,
}

/// Reads the prefix of a Variant, Dynamic or JSON column.
pub(super) fn read_self_typed_prefix(data_type: &DataType, source: &mut Source) -> Read<Prefix> {
    match data_type {
        DataType::Variant(types) => {
            variant_mode(source)?;
            let parts = types.iter().map(|t| Ok((t.clone(), read_prefix(t, source)?)));
            Ok(Prefix::Variant(parts.collect::<Read<_>>()?))
        }
        DataType::Dynamic { .. } => read_dynamic_prefix(source),
        DataType::Json(json) => read_json_prefix(json, source),
        _ => Ok(Prefix::Nothing),
    }
}

fn variant_mode(source: &mut Source) -> Read<()> {
    match u64::from_le_bytes(source.array()?) {
        0 => Ok(()),
        other => Err(bad(format!("unknown mode {other} of a Variant's discriminators"))),
    }
}

fn count(source: &mut Source, what: &str) -> Read<usize> {
    match source.varint()? {
        n if n <= COUNT_MAX => Ok(n),
        n => Err(bad(format!("{n} {what} in one column"))),
    }
}

fn read_dynamic_prefix(source: &mut Source) -> Read<Prefix> {
    match u64::from_le_bytes(source.array()?) {
        DYNAMIC_TWICE => {
            source.varint()?;
        }
        DYNAMIC_ONCE => {}
        FLATTENED => return read_flat_dynamic_prefix(source),
        other => return Err(bad(format!("unknown version {other} of a Dynamic column"))),
    }
    let mut types: Vec<(String, Option<DataType>)> = vec![(SHARED.into(), None)];
    for _ in 0..count(source, "types")? {
        let data_type = read_type(source)?;
        types.push((data_type.to_string(), Some(data_type)));
    }
    types.sort_by(|a, b| a.0.cmp(&b.0));
    variant_mode(source)?;
    let mut parts = vec![];
    for (_, data_type) in types {
        let prefix = match &data_type {
            Some(t) => read_prefix(t, source)?,
            None => Prefix::Nothing,
        };
        parts.push((data_type, prefix));
    }
    Ok(Prefix::Dynamic(parts))
}

fn read_type(source: &mut Source) -> Read<DataType> {
    let name = String::from_utf8_lossy(source.string()?).into_owned();
    parse_data_type(&name).map_err(|e| Stop::Bad(codes::UNKNOWN_TYPE, e.to_string()))
}

fn read_flat_dynamic_prefix(source: &mut Source) -> Read<Prefix> {
    let mut types = vec![];
    for _ in 0..count(source, "types")? {
        types.push(read_type(source)?);
    }
    let mut parts = vec![];
    for data_type in types {
        let prefix = read_prefix(&data_type, source)?;
        parts.push((data_type, prefix));
    }
    Ok(Prefix::FlatDynamic(parts))
}

fn read_json_prefix(json: &JsonType, source: &mut Source) -> Read<Prefix> {
    let version = u64::from_le_bytes(source.array()?);
    match version {
        JSON_TEXTS => return Ok(Prefix::JsonTexts),
        JSON_TWICE => {
            source.varint()?;
        }
        JSON_ONCE | FLATTENED => {}
        other => {
            return Err(Stop::Bad(
                codes::NOT_IMPLEMENTED,
                format!("a JSON column in serialization version {other}"),
            ));
        }
    }
    let mut names = vec![];
    for _ in 0..count(source, "paths")? {
        names.push(source.string()?.to_vec());
    }
    let mut declared = vec![];
    for (_, t) in &json.typed {
        declared.push(read_prefix(t, source)?);
    }
    let mut paths = vec![];
    for name in names {
        paths.push((name, read_dynamic_prefix(source)?));
    }
    Ok(Prefix::Json { declared, paths, flattened: version == FLATTENED })
}

fn whole<T>(result: Result<T>) -> Read<T> {
    result.map_err(|e| Stop::Bad(e.code(), e.to_string()))
}

/// Reads the data of a Variant, Dynamic or JSON column.
pub(super) fn read_self_typed(
    data_type: &DataType,
    prefix: &Prefix,
    rows: usize,
    source: &mut Source,
) -> Read<ArrayRef> {
    match (data_type, prefix) {
        (DataType::Variant(_), Prefix::Variant(parts)) => {
            let rows_of = read_discriminators(parts.len(), rows, source)?;
            let mut found = vec![];
            for ((t, prefix), own) in parts.iter().zip(rows_of) {
                let array = read_column_of(t, prefix, own.len(), source)?;
                let column = Column { data_type: t.clone(), array };
                found.push((own, whole(wrap(&column, data_type))?));
            }
            Ok(whole(scatter(&found, data_type, rows))?.array)
        }
        (DataType::Dynamic { .. }, Prefix::Dynamic(parts)) => {
            read_dynamic(data_type, parts, rows, source)
        }
        (DataType::Dynamic { .. }, Prefix::FlatDynamic(parts)) => {
            read_flat_dynamic(data_type, parts, rows, source)
        }
        (DataType::Json(json), Prefix::JsonTexts) => {
            let parser = whole(ObjectParser::new(json, TimeZone::UTC).map_err(Error::from))?;
            let mut objects = vec![];
            for _ in 0..rows {
                let text = source.string()?;
                let text = if text.is_empty() { b"{}" } else { text };
                objects.push(Some(whole(parser.text(text).map_err(Error::from))?));
            }
            Ok(bytes_column(data_type.clone(), objects.into_iter()).array)
        }
        (DataType::Json(json), Prefix::Json { declared, paths, flattened }) => {
            let mut objects = read_paths(json, declared, paths, rows, source)?;
            if !flattened {
                read_shared_paths(&mut objects, source)?;
            }
            Ok(finish_objects(json, &mut objects))
        }
        _ => Err(bad("a column whose prefix is another's")),
    }
}

/// The rows of each alternative.
fn read_discriminators(parts: usize, rows: usize, source: &mut Source) -> Read<Vec<Vec<u32>>> {
    let mut rows_of = vec![vec![]; parts];
    for (row, number) in source.take(rows)?.iter().enumerate() {
        if *number == NULL {
            continue;
        }
        match rows_of.get_mut(*number as usize) {
            Some(own) => own.push(row as u32),
            None => return Err(bad(format!("discriminator {number} of {parts} alternatives"))),
        }
    }
    Ok(rows_of)
}

fn read_dynamic(
    data_type: &DataType,
    parts: &[(Option<DataType>, Prefix)],
    rows: usize,
    source: &mut Source,
) -> Read<ArrayRef> {
    let rows_of = read_discriminators(parts.len(), rows, source)?;
    let mut found = vec![];
    for ((t, prefix), own) in parts.iter().zip(rows_of) {
        let column = match t {
            Some(t) => {
                let array = read_column_of(t, prefix, own.len(), source)?;
                whole(wrap(&Column { data_type: t.clone(), array }, data_type))?
            }
            None => {
                let mut values = vec![];
                for _ in 0..own.len() {
                    values.push(read_dynamic_bytes(source.string()?)?);
                }
                bytes_column(data_type.clone(), values.into_iter())
            }
        };
        found.push((own, column));
    }
    Ok(whole(scatter(&found, data_type, rows))?.array)
}

fn read_flat_dynamic(
    data_type: &DataType,
    parts: &[(DataType, Prefix)],
    rows: usize,
    source: &mut Source,
) -> Read<ArrayRef> {
    let width = flat_number_width(parts.len());
    let mut rows_of = vec![vec![]; parts.len()];
    for (row, bytes) in source.take(rows.saturating_mul(width))?.chunks_exact(width).enumerate() {
        let number = bytes.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b));
        match rows_of.get_mut(number) {
            Some(own) => own.push(row as u32),
            None if number == parts.len() => {}
            None => return Err(bad(format!("number {number} of {} alternatives", parts.len()))),
        }
    }
    let mut found = vec![];
    for ((t, prefix), own) in parts.iter().zip(rows_of) {
        let array = read_column_of(t, prefix, own.len(), source)?;
        let column = whole(wrap(&Column { data_type: t.clone(), array }, data_type))?;
        found.push((own, column));
    }
    Ok(whole(scatter(&found, data_type, rows))?.array)
}

fn read_paths(
    json: &Arc<JsonType>,
    declared: &[Prefix],
    paths: &[(Vec<u8>, Prefix)],
    rows: usize,
    source: &mut Source,
) -> Read<Vec<ObjectBuilder>> {
    let mut objects: Vec<ObjectBuilder> = (0..rows).map(|_| ObjectBuilder::new()).collect();
    for ((path, t), prefix) in json.typed.iter().zip(declared) {
        let array = read_column_of(t, prefix, rows, source)?;
        let column = Column { data_type: t.clone(), array };
        for (row, object) in objects.iter_mut().enumerate() {
            object.push(path.clone().into_bytes(), declared_of(t, &column.value(row)));
        }
    }
    let dynamic = DataType::Dynamic { types_max: None };
    for (path, prefix) in paths {
        let array = read_self_typed(&dynamic, prefix, rows, source)?;
        let values: &BinaryArray = array.as_binary();
        for (row, object) in objects.iter_mut().enumerate() {
            if values.is_valid(row) {
                object.push(path.clone(), values.value(row).to_vec());
            }
        }
    }
    Ok(objects)
}

fn finish_objects(json: &Arc<JsonType>, objects: &mut [ObjectBuilder]) -> ArrayRef {
    let mut bytes = vec![];
    for object in objects {
        object.sort_and_drop_later();
        object.add_declared(json);
        bytes.push(Some(object.finish()));
    }
    bytes_column(DataType::Json(json.clone()), bytes.into_iter()).array
}

/// Paths that lie together: ends of the rows' lists, then all paths, then all values.
fn read_shared_paths(objects: &mut [ObjectBuilder], source: &mut Source) -> Read<()> {
    let mut ends = vec![];
    let mut before = 0;
    for _ in 0..objects.len() {
        let end = u64::from_le_bytes(source.array()?);
        if end < before {
            return Err(bad("a list of paths ends before it begins"));
        }
        before = end;
        ends.push(end);
    }
    // A path takes a byte at least.
    if before > (source.bytes.len() - source.at) as u64 {
        return Err(Stop::Cut);
    }
    let mut names = vec![];
    for _ in 0..before {
        names.push(source.string()?.to_vec());
    }
    let mut at = 0;
    let mut names = names.into_iter();
    for (object, end) in objects.iter_mut().zip(ends) {
        while at < end {
            let value = read_dynamic_bytes(source.string()?)?;
            if let (Some(name), Some(value)) = (names.next(), value) {
                object.push(name, value);
            }
            at += 1;
        }
    }
    Ok(())
}
