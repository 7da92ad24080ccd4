//! Messages into column builders, as a plan says. Fields come in any order and any number; the last value of
//! one that is not repeated counts. Lengths are checked against the input before use.

use arrow_buffer::i256;
use pumphouse_query::error::codes;
use pumphouse_query::text::{self, TextError};
use pumphouse_storage::types::TimeZone;

use super::super::ParseError;
use super::super::columns::{ColumnBuilder, RowBuilder, Slot, Values};
use super::bad_cast;
use super::flat::Flat;
use super::plan::{Action, Entry, Finish, Level};
use super::schema::{EnumType, Kind};

type Read<T> = Result<T, ParseError>;

/// Messages in messages that are read.
const DEPTH_MAX: usize = 64;

fn cut() -> ParseError {
    ParseError {
        code: codes::CANNOT_READ_ALL_DATA,
        message: "Cannot read all data of a protobuf message".into(),
    }
}

fn misfit(e: TextError) -> ParseError {
    ParseError { code: e.code, message: e.message }
}

/// The next number and the bytes it took; None where the input ends within it.
#[inline]
pub fn varint(bytes: &[u8]) -> Read<Option<(u64, usize)>> {
    let mut n = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        n |= ((byte & 0x7f) as u64) << (7 * i).min(63);
        if byte & 0x80 == 0 {
            return Ok(Some((n, i + 1)));
        }
    }
    if bytes.len() < 10 {
        return Ok(None);
    }
    Err(ParseError {
        code: codes::INCORRECT_DATA,
        message: "a varint of more than 10 bytes".into(),
    })
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(cut)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn varint(&mut self) -> Read<u64> {
        let (n, used) = varint(self.bytes)?.ok_or_else(cut)?;
        self.bytes = &self.bytes[used..];
        Ok(n)
    }

    fn fixed32(&mut self) -> Read<u32> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn fixed64(&mut self) -> Read<u64> {
        let mut b = [0; 8];
        b.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(b))
    }

    fn sized(&mut self) -> Read<&'a [u8]> {
        let size = self.varint()?;
        self.take(usize::try_from(size).map_err(|_| cut())?)
    }

    fn skip(&mut self, wire: u64, depth: usize) -> Read<()> {
        match wire {
            0 => drop(self.varint()?),
            1 => drop(self.take(8)?),
            2 => drop(self.sized()?),
            5 => drop(self.take(4)?),
            // A group, to its end.
            3 if depth < DEPTH_MAX => loop {
                let wire = self.varint()? & 7;
                if wire == 4 {
                    break;
                }
                self.skip(wire, depth + 1)?;
            },
            other => {
                let message = format!("Protobuf messages are corrupted: wire type {other}");
                return Err(ParseError { code: 444, message });
            }
        }
        Ok(())
    }
}

/// Where a level's values go.
trait Targets {
    fn get(&mut self, target: usize) -> &mut ColumnBuilder;
}

impl Targets for Vec<Slot> {
    fn get(&mut self, target: usize) -> &mut ColumnBuilder {
        &mut self[target].builder
    }
}

impl Targets for Vec<ColumnBuilder> {
    fn get(&mut self, target: usize) -> &mut ColumnBuilder {
        &mut self[target]
    }
}

/// The items of lists.
struct Items<'a>(&'a mut dyn Targets);

impl Targets for Items<'_> {
    fn get(&mut self, target: usize) -> &mut ColumnBuilder {
        item_of(self.0.get(target))
    }
}

struct One<'a>(&'a mut ColumnBuilder);

impl Targets for One<'_> {
    fn get(&mut self, _: usize) -> &mut ColumnBuilder {
        self.0
    }
}

/// The builder of a list's items; of anything else itself.
fn item_of(builder: &mut ColumnBuilder) -> &mut ColumnBuilder {
    match builder {
        ColumnBuilder { values: Values::Array(list), .. } => &mut list.children[0],
        other => other,
    }
}

pub struct Decoder {
    pub level: Level,
    /// For rows of plain columns.
    pub(super) flat: Option<Flat>,
    pub zone: TimeZone,
    /// Lengths of columns when the messages being read began.
    began: Vec<usize>,
    /// The numbers of the fields that this row had, if columns ask.
    seen: Vec<u32>,
}

impl Decoder {
    pub fn new(level: Level, zone: TimeZone, rows: &RowBuilder) -> Decoder {
        let flat = Flat::of(&level, rows);
        Decoder { level, flat, zone, began: vec![], seen: vec![] }
    }

    /// Reads one row.
    #[inline]
    pub fn row(&mut self, bytes: &[u8], rows: &mut RowBuilder) -> Read<()> {
        match &self.flat {
            Some(flat) if flat.row(bytes, rows) => Ok(()),
            _ => self.any_row(bytes, rows),
        }
    }

    fn any_row(&mut self, bytes: &[u8], rows: &mut RowBuilder) -> Read<()> {
        let level = std::mem::take(&mut self.level);
        self.began.clear();
        self.seen.clear();
        let mut absent = vec![];
        let read = self.message(&level, bytes, &mut rows.slots, 0, &mut |c| absent.push(c));
        let columns = level.columns.len();
        if read.is_ok() {
            let filled = rows.rows() + 1;
            level.columns.iter().for_each(|c| rows.slots[c.target].filled = filled);
            absent.into_iter().for_each(|c| rows.mark_absent(c));
        }
        self.level = level;
        read?;
        rows.end_row(columns);
        Ok(())
    }

    fn message(
        &mut self,
        level: &Level,
        bytes: &[u8],
        targets: &mut dyn Targets,
        depth: usize,
        absent: &mut dyn FnMut(usize),
    ) -> Read<()> {
        let base = self.began.len();
        for column in &level.columns {
            self.began.push(targets.get(column.target).len());
        }
        self.fields(level, bytes, targets, base, depth)?;
        for (i, column) in level.columns.iter().enumerate() {
            let builder = targets.get(column.target);
            let began = self.began[base + i];
            match &column.finish {
                Finish::List => {
                    let (Values::Array(list) | Values::Map(list)) = &mut builder.values else {
                        continue;
                    };
                    let before = list.offsets.last().map_or(0, |end| *end as usize);
                    let is_empty = list.children[0].len() == before;
                    list.end();
                    if is_empty {
                        absent(column.target);
                    }
                }
                Finish::Value(_) if builder.len() > began => {}
                Finish::Value(default) => {
                    match default {
                        Some(text) if !builder.nullable => {
                            let value =
                                text::parse_value(&builder.data_type, text.as_bytes(), self.zone);
                            let value = value.map_err(|_| {
                                bad_cast(format!(
                                    "Could not convert value '{text}' to type {}",
                                    builder.data_type
                                ))
                            })?;
                            builder.push_value(&value).map_err(misfit)?;
                        }
                        _ => builder.push_default(),
                    }
                    absent(column.target);
                }
            }
        }
        for (target, numbers) in &level.presences {
            let last = self.seen.iter().rev().find(|n| numbers.contains(n)).copied();
            let builder = targets.get(*target);
            let began = level.columns.iter().position(|c| c.target == *target);
            if let (Some(number), Some(at)) = (last, began) {
                builder.truncate(self.began[base + at]);
                push_number(builder, Num::Unsigned(number as u64))?;
            }
        }
        self.began.truncate(base);
        Ok(())
    }

    fn fields(
        &mut self,
        level: &Level,
        bytes: &[u8],
        targets: &mut dyn Targets,
        base: usize,
        depth: usize,
    ) -> Read<()> {
        if depth > DEPTH_MAX {
            return Err(bad_cast("messages are nested too deep"));
        }
        let mut cursor = Cursor { bytes };
        let mut guess = 0;
        while !cursor.bytes.is_empty() {
            let tag = cursor.varint()?;
            let (number, wire) = (u32::try_from(tag >> 3).map_err(|_| cut())?, tag & 7);
            if !level.presences.is_empty() {
                self.seen.push(number);
            }
            let fits = |at: usize| level.entries.get(at).is_some_and(|e| e.field.number == number);
            if !fits(guess) {
                guess = match fits(guess + 1) {
                    true => guess + 1,
                    false => match level.entries.iter().position(|e| e.field.number == number) {
                        Some(at) => at,
                        None => {
                            cursor.skip(wire, 0)?;
                            continue;
                        }
                    },
                };
            }
            let entry = &level.entries[guess];
            self.field(entry, wire, &mut cursor, targets, base, depth)
                .map_err(|e| with_field(e, entry))?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        entry: &Entry,
        wire: u64,
        cursor: &mut Cursor<'_>,
        targets: &mut dyn Targets,
        base: usize,
        depth: usize,
    ) -> Read<()> {
        match &entry.action {
            Action::Value { target, column } => {
                let began = self.began[base + column];
                self.values(&entry.field.kind, wire, cursor, targets.get(*target), began)
            }
            Action::Inside(level) => {
                self.fields(level, sized(wire, cursor)?, targets, base, depth + 1)
            }
            Action::Items(level) => {
                let bytes = sized(wire, cursor)?;
                self.message(level, bytes, &mut Items(targets), depth + 1, &mut |_| {})
            }
            Action::Tuple { target, column, level } => {
                let bytes = sized(wire, cursor)?;
                let began = self.began[base + column];
                let builder = targets.get(*target);
                let list = matches!(builder.values, Values::Array(_));
                let tuple = item_of(builder);
                if !list && tuple.len() > began {
                    tuple.truncate(began);
                }
                let Values::Tuple(children, count) = &mut tuple.values else {
                    return Err(bad_cast("a message for a column that is no Tuple"));
                };
                self.message(level, bytes, children, depth + 1, &mut |_| {})?;
                *count += 1;
                Ok(())
            }
            Action::Map { target, level } => {
                let bytes = sized(wire, cursor)?;
                let Values::Map(list) = &mut targets.get(*target).values else {
                    return Err(bad_cast("an entry for a column that is no Map"));
                };
                self.message(level, bytes, &mut list.children, depth + 1, &mut |_| {})
            }
            Action::Wrapped { target, level } => {
                let bytes = sized(wire, cursor)?;
                let item = item_of(targets.get(*target));
                self.message(level, bytes, &mut One(item), depth + 1, &mut |_| {})
            }
        }
    }

    /// One value, or many that are packed. `began`: the length of a column that takes one.
    fn values(
        &self,
        kind: &Kind,
        wire: u64,
        cursor: &mut Cursor<'_>,
        target: &mut ColumnBuilder,
        began: usize,
    ) -> Read<()> {
        let is_list = matches!(target.values, Values::Array(_));
        let builder = item_of(target);
        let mut push = |cursor: &mut Cursor<'_>, wire: u64| -> Read<()> {
            if !is_list && builder.len() > began {
                builder.truncate(began);
            }
            self.value(kind, wire, cursor, builder)
        };
        let is_text = matches!(kind, Kind::String | Kind::Bytes);
        if wire == 2 && !is_text {
            let mut packed = Cursor { bytes: cursor.sized()? };
            let own = wire_of(kind);
            while !packed.bytes.is_empty() {
                push(&mut packed, own)?;
            }
            return Ok(());
        }
        push(cursor, wire)
    }

    fn value(
        &self,
        kind: &Kind,
        wire: u64,
        cursor: &mut Cursor<'_>,
        builder: &mut ColumnBuilder,
    ) -> Read<()> {
        if wire != wire_of(kind) {
            return Err(bad_cast(format!("wire type {wire} where {} belongs", wire_of(kind))));
        }
        let number = match kind {
            Kind::String | Kind::Bytes => return self.text(cursor.sized()?, builder),
            Kind::Enum(names) => return push_enum(names, cursor.varint()? as i32, builder),
            Kind::Double => Num::Float(f64::from_bits(cursor.fixed64()?)),
            Kind::Float => Num::Float(f32::from_bits(cursor.fixed32()?) as f64),
            Kind::Int32 => Num::Signed(cursor.varint()? as i32 as i64),
            Kind::Int64 => Num::Signed(cursor.varint()? as i64),
            Kind::UInt32 => Num::Unsigned(cursor.varint()? as u32 as u64),
            Kind::UInt64 => Num::Unsigned(cursor.varint()?),
            Kind::SInt32 => Num::Signed(zigzag(cursor.varint()?) as i32 as i64),
            Kind::SInt64 => Num::Signed(zigzag(cursor.varint()?)),
            Kind::Fixed32 => Num::Unsigned(cursor.fixed32()? as u64),
            Kind::Fixed64 => Num::Unsigned(cursor.fixed64()?),
            Kind::SFixed32 => Num::Signed(cursor.fixed32()? as i32 as i64),
            Kind::SFixed64 => Num::Signed(cursor.fixed64()? as i64),
            Kind::Bool => Num::Unsigned((cursor.varint()? != 0) as u64),
            Kind::Message(_) | Kind::Named(_) => return Err(bad_cast("a message is no value")),
        };
        push_number(builder, number)
    }

    fn text(&self, bytes: &[u8], builder: &mut ColumnBuilder) -> Read<()> {
        match &mut builder.values {
            Values::String(v) => v.push(bytes),
            Values::FixedString(v, width) if bytes.len() <= *width => {
                v.extend_from_slice(bytes);
                v.resize(v.len() + *width - bytes.len(), 0);
            }
            Values::FixedString(..) => {
                return Err(ParseError {
                    code: codes::TOO_LARGE_STRING_SIZE,
                    message: format!("Too large string for {}", builder.data_type),
                });
            }
            Values::Ipv6(v) if bytes.len() == 16 => v.extend_from_slice(bytes),
            Values::Ipv6(_) => {
                return Err(bad_cast(format!(
                    "field size {} is not equal to IPv6 size 16",
                    bytes.len()
                )));
            }
            _ => {
                let value = text::parse_value(builder.data_type.inner(), bytes, self.zone);
                return builder.push_value(&value.map_err(misfit)?).map_err(misfit);
            }
        }
        Ok(())
    }
}

fn sized<'a>(wire: u64, cursor: &mut Cursor<'a>) -> Read<&'a [u8]> {
    match wire {
        2 => cursor.sized(),
        other => Err(bad_cast(format!("wire type {other} where a message belongs"))),
    }
}

#[cold]
fn with_field(mut e: ParseError, entry: &Entry) -> ParseError {
    if !e.message.contains("while reading field") {
        e.message = format!("{} while reading field '{}'", e.message, entry.field.name);
    }
    e
}

pub fn wire_of(kind: &Kind) -> u64 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::SFixed64 => 1,
        Kind::Float | Kind::Fixed32 | Kind::SFixed32 => 5,
        Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Named(_) => 2,
        _ => 0,
    }
}

fn zigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[derive(Debug, Clone, Copy)]
enum Num {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl Num {
    fn wide(self) -> Option<i128> {
        match self {
            Num::Signed(n) => Some(n as i128),
            Num::Unsigned(n) => Some(n as i128),
            Num::Float(f) if f.is_finite() && f.fract() == 0.0 && f.abs() < 1e30 => Some(f as i128),
            Num::Float(_) => None,
        }
    }

    fn float(self) -> f64 {
        match self {
            Num::Signed(n) => n as f64,
            Num::Unsigned(n) => n as f64,
            Num::Float(f) => f,
        }
    }

    fn text(self) -> Vec<u8> {
        let mut out = vec![];
        match self {
            Num::Signed(n) => out.extend_from_slice(n.to_string().as_bytes()),
            Num::Unsigned(n) => out.extend_from_slice(n.to_string().as_bytes()),
            Num::Float(f) => text::write::write_float64(f, &mut out),
        }
        out
    }

    /// Times ten to the `scale`.
    fn scaled(self, scale: u8) -> Option<i128> {
        let factor = 10i128.checked_pow(scale as u32)?;
        match self {
            Num::Float(f) => {
                let scaled = (f * factor as f64).trunc();
                (scaled.abs() < 1e38).then_some(scaled as i128)
            }
            n => n.wide()?.checked_mul(factor),
        }
    }

    #[cold]
    fn refused(self, builder: &ColumnBuilder) -> ParseError {
        let from = match self {
            Num::Signed(_) => "Int64",
            Num::Unsigned(_) => "UInt64",
            Num::Float(_) => "Float64",
        };
        bad_cast(format!(
            "Could not convert value '{}' from type {from} to type {}",
            String::from_utf8_lossy(&self.text()),
            builder.data_type
        ))
    }
}

fn push_number(builder: &mut ColumnBuilder, n: Num) -> Read<()> {
    use Values::*;
    macro_rules! whole {
        ($v:expr, $t:ty) => {
            match n.wide().and_then(|n| <$t>::try_from(n).ok()) {
                Some(n) => $v.push(n),
                None => return Err(n.refused(builder)),
            }
        };
    }
    macro_rules! scaled {
        ($v:expr, $t:ty, $scale:expr) => {
            match n.scaled($scale).and_then(|n| <$t>::try_from(n).ok()) {
                Some(n) => $v.push(n),
                None => return Err(n.refused(builder)),
            }
        };
    }
    match &mut builder.values {
        UInt8(v) => whole!(v, u8),
        Bool(v) => match n.wide() {
            Some(n @ (0 | 1)) => v.push(n as u8),
            _ => return Err(n.refused(builder)),
        },
        UInt16(v) | Date(v) => whole!(v, u16),
        UInt32(v) | DateTime(v, _) | Ipv4(v) => whole!(v, u32),
        UInt64(v) => whole!(v, u64),
        Int8(v) => whole!(v, i8),
        Int16(v) => whole!(v, i16),
        Int32(v) | Date32(v) => whole!(v, i32),
        Int64(v) | Interval(v) => whole!(v, i64),
        UInt128(v) | Int128(v) => whole!(v, i128),
        UInt256(v) | Int256(v) => match n.wide() {
            Some(n) => v.push(i256::from_i128(n)),
            None => return Err(n.refused(builder)),
        },
        Float32(v) => v.push(n.float() as f32),
        Float64(v) => v.push(n.float()),
        DateTime64(v, p, _) => scaled!(v, i64, *p),
        Decimal32(v, _, s) => scaled!(v, i32, *s),
        Decimal64(v, _, s) => scaled!(v, i64, *s),
        Decimal128(v, _, s) => scaled!(v, i128, *s),
        Enum8(v, names) => {
            match n.wide().filter(|n| names.values.iter().any(|(_, own)| *own as i128 == *n)) {
                Some(n) => v.push(n as i8),
                None => return Err(n.refused(builder)),
            }
        }
        Enum16(v, names) => {
            match n.wide().filter(|n| names.values.iter().any(|(_, own)| *own as i128 == *n)) {
                Some(n) => v.push(n as i16),
                None => return Err(n.refused(builder)),
            }
        }
        String(v) => v.push(&n.text()),
        FixedString(v, width) if n.text().len() <= *width => {
            let text = n.text();
            v.extend_from_slice(&text);
            v.resize(v.len() + *width - text.len(), 0);
        }
        _ => return Err(n.refused(builder)),
    }
    Ok(())
}

fn push_enum(names: &EnumType, number: i32, builder: &mut ColumnBuilder) -> Read<()> {
    let refused = |builder: &ColumnBuilder| {
        bad_cast(format!(
            "Could not convert value '{number}' from type enum to type {}",
            builder.data_type
        ))
    };
    let name = names.values.iter().find(|(_, own)| *own == number).map(|(name, _)| name.as_str());
    match (&mut builder.values, name) {
        (Values::String(v), Some(name)) => v.push(name.as_bytes()),
        (Values::Enum8(v, own), Some(name)) => match own.value_of(name) {
            Some(n) => v.push(n as i8),
            None => return Err(refused(builder)),
        },
        (Values::Enum16(v, own), Some(name)) => match own.value_of(name) {
            Some(n) => v.push(n),
            None => return Err(refused(builder)),
        },
        (Values::String(_) | Values::Enum8(..) | Values::Enum16(..), None) => {
            return Err(refused(builder));
        }
        _ => return push_number(builder, Num::Signed(number as i64)),
    }
    Ok(())
}
