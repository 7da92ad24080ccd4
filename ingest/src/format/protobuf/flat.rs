//! The quick way for messages whose fields are columns of plain values: each field's whole tag is known, and its
//! bytes go straight into the column's vector.
//!
//! What is not as usual (a field twice, packed, of another wire type, cut, without a place) is left to
//! [`super::decode`]: [`Flat::row`] says so and takes the row back. So this file has no errors of its own.

use super::super::columns::{ColumnBuilder, RowBuilder, Values};
use super::decode::wire_of;
use super::plan::{Action, Finish, Level};
use super::schema::Kind;

/// Fields that are noted in a row.
const FIELDS_MAX: usize = 64;

/// How bytes become a value; the pairs that need no look at the value.
#[derive(Debug, Clone, Copy)]
enum Way {
    U64,
    U32,
    I64,
    I32,
    U8,
    F64,
    F32,
    Text,
}

#[derive(Debug)]
struct Field {
    tag: u64,
    slot: usize,
    way: Way,
}

/// A level of which every field and column is plain.
#[derive(Debug)]
pub struct Flat {
    fields: Vec<Field>,
    /// A bit for each field.
    all: u64,
}

impl Flat {
    /// None if something of the level is not plain.
    pub fn of(level: &Level, rows: &RowBuilder) -> Option<Flat> {
        if !level.presences.is_empty()
            || level.entries.is_empty()
            || level.entries.len() > FIELDS_MAX
            || level.columns.len() != level.entries.len()
        {
            return None;
        }
        let mut fields = vec![];
        for entry in &level.entries {
            let Action::Value { target, column } = &entry.action else { return None };
            let Finish::Value(None) = level.columns.get(*column)?.finish else { return None };
            let kind = &entry.field.kind;
            let way = way(kind, &rows.slots.get(*target)?.builder)?;
            let tag = u64::from(entry.field.number) << 3 | wire_of(kind);
            fields.push(Field { tag, slot: *target, way });
        }
        let all = u64::MAX >> (FIELDS_MAX - fields.len());
        Some(Flat { fields, all })
    }

    /// Reads one row; false, and nothing is changed, if the message needs a closer look.
    #[inline]
    pub fn row(&self, bytes: &[u8], rows: &mut RowBuilder) -> bool {
        let Some(seen) = self.fields(bytes, rows) else {
            self.take_back(rows);
            return false;
        };
        if seen != self.all {
            self.fill(seen, rows);
        }
        let filled = rows.rows() + 1;
        self.fields.iter().for_each(|f| rows.slots[f.slot].filled = filled);
        rows.end_row(self.fields.len());
        true
    }

    /// The fields that were there.
    #[inline]
    fn fields(&self, bytes: &[u8], rows: &mut RowBuilder) -> Option<u64> {
        let (mut rest, mut at, mut seen) = (bytes, 0, 0u64);
        while !rest.is_empty() {
            let tag = varint(&mut rest)?;
            if self.fields.get(at).is_none_or(|f| f.tag != tag) {
                match self.fields.iter().position(|f| f.tag == tag) {
                    Some(found) => at = found,
                    None => {
                        self.skip(tag, &mut rest)?;
                        continue;
                    }
                }
            }
            let field = &self.fields[at];
            if seen & (1 << at) != 0 {
                return None;
            }
            read(field.way, &mut rest, &mut rows.slots[field.slot].builder)?;
            seen |= 1 << at;
            at += 1;
        }
        Some(seen)
    }

    /// Passes over a field that no column wants.
    fn skip(&self, tag: u64, rest: &mut &[u8]) -> Option<()> {
        if self.fields.iter().any(|f| f.tag >> 3 == tag >> 3) || tag >> 3 > u64::from(u32::MAX) {
            return None;
        }
        match tag & 7 {
            0 => drop(varint(rest)?),
            1 => drop(take(rest, 8)?),
            2 => drop(sized(rest)?),
            5 => drop(take(rest, 4)?),
            _ => return None,
        }
        Some(())
    }

    #[cold]
    fn take_back(&self, rows: &mut RowBuilder) {
        let whole = rows.rows();
        self.fields.iter().for_each(|f| rows.slots[f.slot].builder.truncate(whole));
    }

    /// Gives the fields that were not there their defaults.
    fn fill(&self, seen: u64, rows: &mut RowBuilder) {
        for (at, field) in self.fields.iter().enumerate().filter(|(at, _)| seen & (1 << at) == 0) {
            debug_assert!(at < FIELDS_MAX);
            rows.slots[field.slot].builder.push_default();
            rows.mark_absent(field.slot);
        }
    }
}

fn way(kind: &Kind, builder: &ColumnBuilder) -> Option<Way> {
    Some(match (kind, &builder.values) {
        (Kind::UInt64, Values::UInt64(_)) => Way::U64,
        (Kind::UInt32, Values::UInt32(_)) => Way::U32,
        (Kind::Int64, Values::Int64(_)) => Way::I64,
        (Kind::Int32, Values::Int32(_)) => Way::I32,
        (Kind::Bool, Values::UInt8(_) | Values::Bool(_)) => Way::U8,
        (Kind::Double, Values::Float64(_)) => Way::F64,
        (Kind::Float, Values::Float32(_)) => Way::F32,
        (Kind::String | Kind::Bytes, Values::String(_)) => Way::Text,
        _ => return None,
    })
}

/// Appends one value; None, and nothing is appended, if the bytes are cut.
#[inline]
fn read(way: Way, rest: &mut &[u8], builder: &mut ColumnBuilder) -> Option<()> {
    match (way, &mut builder.values) {
        (Way::U64, Values::UInt64(v)) => v.push(varint(rest)?),
        (Way::U32, Values::UInt32(v)) => v.push(varint(rest)? as u32),
        (Way::I64, Values::Int64(v)) => v.push(varint(rest)? as i64),
        (Way::I32, Values::Int32(v)) => v.push(varint(rest)? as i32),
        (Way::U8, Values::UInt8(v) | Values::Bool(v)) => v.push((varint(rest)? != 0) as u8),
        (Way::F64, Values::Float64(v)) => {
            let (bytes, after) = rest.split_first_chunk::<8>()?;
            *rest = after;
            v.push(f64::from_le_bytes(*bytes));
        }
        (Way::F32, Values::Float32(v)) => {
            let (bytes, after) = rest.split_first_chunk::<4>()?;
            *rest = after;
            v.push(f32::from_le_bytes(*bytes));
        }
        (Way::Text, Values::String(v)) => v.push(sized(rest)?),
        _ => return None,
    }
    Some(())
}

#[inline]
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let (first, after) = rest.split_first()?;
    if *first < 0x80 {
        *rest = after;
        return Some(u64::from(*first));
    }
    let mut n = u64::from(*first & 0x7f);
    for (i, byte) in after.iter().enumerate().take(9) {
        n |= u64::from(*byte & 0x7f) << (7 * (i + 1));
        if *byte < 0x80 {
            *rest = &after[i + 1..];
            return Some(n);
        }
    }
    None
}

#[inline]
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

#[inline]
fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let size = usize::try_from(varint(rest)?).ok()?;
    take(rest, size)
}

#[cfg(test)]
mod tests {
    use pumphouse_storage::Value;
    use pumphouse_storage::types::{TimeZone, parse_data_type};

    use super::super::super::InputColumn;
    use super::super::super::schema_files::{Place, SchemaSource};
    use super::super::decode::Decoder;
    use super::super::plan;
    use super::super::schema::Schema;
    use super::*;

    const COLUMNS: [(&str, &str); 9] = [
        ("a", "UInt64"),
        ("b", "String"),
        ("c", "Float64"),
        ("d", "UInt32"),
        ("e", "Nullable(Int32)"),
        ("f", "Bool"),
        ("g", "Float32"),
        ("h", "Int64"),
        ("absent", "String"),
    ];

    fn decoder() -> (Decoder, RowBuilder) {
        let text = "syntax = \"proto3\"; message M { uint64 a = 1; string b = 2; double c = 3; uint32 d = 4; \
                    int32 e = 5; bool f = 6; float g = 7; int64 h = 300; string other = 9; repeated int32 more = 10; }";
        let source = SchemaSource { place: Place::Text(text.into()), message: "M".into() };
        let schema = Schema::load(&source, false).unwrap();
        let columns: Vec<InputColumn> = COLUMNS
            .iter()
            .map(|(n, t)| InputColumn {
                name: n.to_string(),
                data_type: parse_data_type(t).unwrap(),
            })
            .collect();
        let named: Vec<_> = columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let rows = RowBuilder::new(&columns, TimeZone::UTC);
        let level = plan::plan(&schema, &named, false).unwrap();
        (Decoder::new(level, TimeZone::UTC, &rows), rows)
    }

    fn field(number: u64, kind: usize, out: &mut Vec<u8>, next: &mut impl FnMut() -> usize) {
        let varint = |mut n: u64, out: &mut Vec<u8>| {
            while n >= 0x80 {
                out.push(n as u8 | 0x80);
                n >>= 7;
            }
            out.push(n as u8);
        };
        varint(number << 3 | kind as u64, out);
        match kind {
            0 => varint((next() as u64) << (next() % 34), out),
            1 => out.extend_from_slice(&(next() as f64).to_le_bytes()),
            5 => out.extend_from_slice(&(next() as f32).to_le_bytes()),
            _ => {
                let size = next() % 5;
                varint(size as u64, out);
                out.extend((0..size).map(|i| b'a' + i as u8));
            }
        }
    }

    /// Messages of all sorts, many of them wrong: the quick way gives what the other gives.
    #[test]
    fn as_the_long_way() {
        let mut random = 7u64;
        let mut next = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize
        };
        let ((mut quick, mut quick_rows), (mut long, mut long_rows)) = (decoder(), decoder());
        assert!(quick.flat.is_some());
        long.flat = None;
        let fields =
            [(1, 0), (2, 2), (3, 1), (4, 0), (5, 0), (6, 0), (7, 5), (300, 0), (9, 2), (10, 0)];
        let (mut good, mut bad) = (0, 0);
        for _ in 0..30_000 {
            let mut message = vec![];
            for (number, kind) in fields {
                if next() % 5 > 0 {
                    field(number, kind, &mut message, &mut next);
                }
            }
            for _ in 0..(next() % 8).saturating_sub(4) {
                let (number, kind) = fields[next() % fields.len()];
                field(number, kind, &mut message, &mut next);
            }
            if next() % 4 == 0 && !message.is_empty() {
                let at = next() % message.len();
                message[at] = next() as u8;
            }
            let before = quick_rows.rows();
            let (one, other) =
                (quick.row(&message, &mut quick_rows), long.row(&message, &mut long_rows));
            assert_eq!(
                one.as_ref().map_err(|e| (e.code, &e.message)),
                other.as_ref().map_err(|e| (e.code, &e.message))
            );
            match one {
                Ok(()) => good += 1,
                Err(_) => {
                    bad += 1;
                    quick_rows.rollback(before);
                    long_rows.rollback(before);
                }
            }
        }
        assert!(good > 15_000 && bad > 1_000, "{good} {bad}");
        let (one, other) = (quick_rows.take().unwrap(), long_rows.take().unwrap());
        assert_eq!((one.rows, &one.present), (good, &other.present));
        for (a, b) in one.columns.iter().zip(&other.columns) {
            let same = (0..good).all(|row| {
                let (a, b) = (a.value(row), b.value(row));
                a == b || matches!((&a, &b), (Value::Float(x), Value::Float(y)) if x.is_nan() && y.is_nan())
            });
            assert!(same, "{}", a.data_type);
        }
    }
}
