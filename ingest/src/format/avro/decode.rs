//! Avro's binary values into column builders, as a plan says; and past what nobody wants.
//!
//! Everything read is bounded by the input: lengths are checked before use, blocks of items may not claim
//! more items than bytes are left (but for items without bytes, which are counted).

use arrow_buffer::i256;
use pumphouse_query::error::codes;
use pumphouse_query::text::{self, TextError};

use super::super::ParseError;
use super::super::columns::{ColumnBuilder, RowBuilder, Values};
use super::broken;
use super::plan::{Field, Plan, Step};
use super::schema::{Id, Kind, Schema};

type Read<T> = Result<T, ParseError>;

const DEPTH_MAX: usize = 64;
/// Items without bytes that one list may hold.
const EMPTY_ITEMS_MAX: usize = 1 << 20;

pub struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

fn cut() -> ParseError {
    broken("EOF reached")
}

fn misfit(e: TextError) -> ParseError {
    ParseError { code: e.code, message: e.message }
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or_else(cut)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(cut)?;
        self.at = end;
        Ok(taken)
    }

    /// A number in zigzag.
    #[inline]
    pub fn long(&mut self) -> Read<i64> {
        match self.quick_long() {
            Some(n) => Ok(n),
            None => self.cut_long(),
        }
    }

    /// The next number, if it is a whole one; only then it is passed.
    #[inline]
    fn quick_long(&mut self) -> Option<i64> {
        let rest = self.bytes.get(self.at..)?;
        let mut n = 0u64;
        for (i, byte) in rest.iter().enumerate().take(10) {
            n |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.at += i + 1;
                return Some((n >> 1) as i64 ^ -((n & 1) as i64));
            }
        }
        None
    }

    /// Why it is no number; `at` stands behind what was read of it.
    #[cold]
    fn cut_long(&mut self) -> Read<i64> {
        let left = self.bytes.len().saturating_sub(self.at);
        self.at += left.min(10);
        Err(if left < 10 { cut() } else { broken("a number of more than 64 bits") })
    }

    #[inline]
    fn quick_sized(&mut self) -> Option<&'a [u8]> {
        let size = usize::try_from(self.quick_long()?).ok()?;
        let taken = self.bytes.get(self.at..self.at.checked_add(size)?)?;
        self.at += size;
        Some(taken)
    }

    #[inline]
    fn quick_chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(taken)
    }

    fn float(&mut self) -> Read<f32> {
        let b = self.take(4)?;
        Ok(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn double(&mut self) -> Read<f64> {
        let mut b = [0; 8];
        b.copy_from_slice(self.take(8)?);
        Ok(f64::from_le_bytes(b))
    }

    fn boolean(&mut self) -> Read<bool> {
        match self.take(1)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(broken(format!("Invalid value for bool: {other}"))),
        }
    }

    pub fn sized(&mut self) -> Read<&'a [u8]> {
        let size = usize::try_from(self.long()?).map_err(|_| broken("a negative length"))?;
        self.take(size)
    }

    /// How many items the next block of a list has; 0 at its end.
    fn items(&mut self) -> Read<usize> {
        let count = self.long()?;
        if count < 0 {
            // Its length in bytes, for those who skip.
            self.long()?;
        }
        usize::try_from(count.unsigned_abs()).map_err(|_| cut())
    }

    fn branch(&mut self, count: usize) -> Read<usize> {
        let branch = self.long()?;
        let found = usize::try_from(branch).ok().filter(|b| *b < count);
        found.ok_or_else(|| broken(format!("Union index out of range: {branch}")))
    }

    /// Calls `item` for each item of a list.
    fn each(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        let mut empty = 0;
        loop {
            let count = self.items()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                let before = self.at;
                item(self)?;
                empty += (self.at == before) as usize;
                if empty > EMPTY_ITEMS_MAX {
                    return Err(broken("too many items without bytes"));
                }
            }
        }
    }

    /// Passes over a value.
    fn skip(&mut self, schema: &Schema, id: Id, depth: usize) -> Read<()> {
        if depth > DEPTH_MAX {
            return Err(broken("values are nested too deep"));
        }
        match schema.kind(id) {
            Kind::Null => {}
            Kind::Boolean => drop(self.take(1)?),
            Kind::Int | Kind::Long | Kind::Enum(_) => drop(self.long()?),
            Kind::Float => drop(self.take(4)?),
            Kind::Double => drop(self.take(8)?),
            Kind::Bytes | Kind::String => drop(self.sized()?),
            Kind::Fixed(size) => drop(self.take(*size)?),
            Kind::Array(items) => self.each(|c| c.skip(schema, *items, depth + 1))?,
            Kind::Map(values) => self.each(|c| {
                c.sized()?;
                c.skip(schema, *values, depth + 1)
            })?,
            Kind::Union(branches) => {
                let branch = self.branch(branches.len())?;
                self.skip(schema, branches[branch], depth + 1)?;
            }
            Kind::Record(fields) => {
                for (_, field) in fields {
                    self.skip(schema, *field, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

/// The value of a usual pair of step and column; None if it is another pair or the bytes are cut: then nothing is
/// appended, and `cursor` is to be set back.
#[inline]
fn quick_value(step: &Step, cursor: &mut Cursor<'_>, to: &mut Values) -> Option<()> {
    match (step, to) {
        (Step::Long | Step::Int(1), Values::UInt64(v)) => v.push(cursor.quick_long()? as u64),
        (Step::Long | Step::Int(1), Values::Int64(v)) => v.push(cursor.quick_long()?),
        (Step::Long | Step::Int(1), Values::UInt32(v)) => v.push(cursor.quick_long()? as u32),
        (Step::Long | Step::Int(1), Values::Int32(v)) => v.push(cursor.quick_long()? as i32),
        (Step::Text, Values::String(v)) => v.push(cursor.quick_sized()?),
        (Step::Double, Values::Float64(v)) => {
            v.push(f64::from_le_bytes(cursor.quick_chunk::<8>()?));
        }
        (Step::Float, Values::Float32(v)) => {
            v.push(f32::from_le_bytes(cursor.quick_chunk::<4>()?));
        }
        _ => return None,
    }
    Some(())
}

impl Plan {
    /// Whether rows are nothing but the columns, each with a value of its own.
    pub fn is_whole(&self, rows: &RowBuilder) -> bool {
        let plain = |f: &Field| match f {
            Field::Column(_, step) => !step.may_be_absent(),
            _ => false,
        };
        self.fields.len() == rows.slots.len() && self.fields.iter().all(plain)
    }

    /// Reads `count` rows of a plan that is whole; the number of those that had no bytes is in `empty`.
    pub fn whole_rows(
        &self,
        cursor: &mut Cursor<'_>,
        rows: &mut RowBuilder,
        count: usize,
    ) -> Read<()> {
        let mut empty = 0;
        for _ in 0..count {
            let before = cursor.at;
            for field in &self.fields {
                let Field::Column(slot, step) = field else { continue };
                let (builder, from) = (&mut rows.slots[*slot].builder, cursor.at);
                if quick_value(step, cursor, &mut builder.values).is_none() {
                    cursor.at = from;
                    self.value(step, cursor, builder)?;
                }
            }
            empty += (cursor.at == before) as usize;
            if empty > EMPTY_ITEMS_MAX {
                return Err(broken("too many rows without bytes"));
            }
        }
        rows.end_rows(count);
        Ok(())
    }

    /// Reads one row.
    pub fn row(&self, cursor: &mut Cursor<'_>, rows: &mut RowBuilder) -> Read<()> {
        let filled = rows.rows() + 1;
        self.fields(&self.fields, cursor, rows, filled)?;
        rows.end_row(self.given);
        Ok(())
    }

    fn fields(
        &self,
        fields: &[Field],
        cursor: &mut Cursor<'_>,
        rows: &mut RowBuilder,
        filled: usize,
    ) -> Read<()> {
        for field in fields {
            match field {
                Field::Skip(id) => cursor.skip(&self.schema, *id, 0)?,
                Field::Inside(inner) => self.fields(inner, cursor, rows, filled)?,
                Field::Column(slot, step) => {
                    let target = &mut rows.slots[*slot];
                    let given = self.value(step, cursor, &mut target.builder)?;
                    target.filled = filled;
                    if !given {
                        rows.mark_absent(*slot);
                    }
                }
            }
        }
        Ok(())
    }

    /// Appends one value; false if it was a null that the column cannot hold.
    fn value(&self, step: &Step, cursor: &mut Cursor<'_>, to: &mut ColumnBuilder) -> Read<bool> {
        match step {
            Step::Null => {
                to.push_null();
                return Ok(to.nullable);
            }
            Step::Boolean => push_integer(to, cursor.boolean()? as i64),
            Step::Int(times) => push_integer(to, cursor.long()?.wrapping_mul(*times)),
            Step::Long => push_integer(to, cursor.long()?),
            Step::Float => push_float(to, cursor.float()? as f64)?,
            Step::Double => push_float(to, cursor.double()?)?,
            Step::Text => push_text(to, cursor.sized()?)?,
            Step::FixedText(size) => push_text(to, cursor.take(*size)?)?,
            Step::FixedRaw(size) => push_raw(to, cursor.take(*size)?),
            Step::Uuid => match &mut to.values {
                Values::Uuid(v) => {
                    v.extend_from_slice(&text::parse_uuid(cursor.sized()?).map_err(misfit)?);
                }
                _ => return Err(broken("no UUID column")),
            },
            Step::Decimal(size) => {
                let bytes = match size {
                    Some(size) => cursor.take(*size)?,
                    None => cursor.sized()?,
                };
                push_decimal(to, bytes)?;
            }
            Step::EnumText(symbols) => {
                let at = cursor.branch(symbols.len())?;
                push_text(to, symbols[at].as_bytes())?;
            }
            Step::EnumNumber(numbers) => {
                let at = cursor.branch(numbers.len())?;
                match &mut to.values {
                    Values::Enum8(v, _) => v.push(numbers[at] as i8),
                    Values::Enum16(v, _) => v.push(numbers[at]),
                    _ => return Err(broken("no Enum column")),
                }
            }
            Step::Array(item) => {
                let Values::Array(list) = &mut to.values else { return Err(broken("no Array")) };
                cursor.each(|c| {
                    self.value(item, c, &mut list.children[0])?;
                    list.check_room().map_err(misfit)
                })?;
                list.end();
            }
            Step::Map(item) => {
                let Values::Map(list) = &mut to.values else { return Err(broken("no Map")) };
                cursor.each(|c| {
                    push_text(&mut list.children[0], c.sized()?)?;
                    self.value(item, c, &mut list.children[1])?;
                    list.check_room().map_err(misfit)
                })?;
                list.end();
            }
            Step::Tuple(fields) => {
                let Values::Tuple(children, count) = &mut to.values else {
                    return Err(broken("no Tuple"));
                };
                for (at, step) in fields {
                    self.value(step, cursor, &mut children[*at])?;
                }
                *count += 1;
            }
            Step::Union(steps) => {
                let branch = cursor.branch(steps.len())?;
                return self.value(&steps[branch], cursor, to);
            }
        }
        Ok(true)
    }
}

#[inline]
fn push_integer(to: &mut ColumnBuilder, n: i64) {
    use Values::*;
    match &mut to.values {
        UInt8(v) => v.push(n as u8),
        Bool(v) => v.push((n != 0) as u8),
        UInt16(v) | Date(v) => v.push(n as u16),
        UInt32(v) | DateTime(v, _) | Ipv4(v) => v.push(n as u32),
        UInt64(v) => v.push(n as u64),
        Int8(v) => v.push(n as i8),
        Int16(v) => v.push(n as i16),
        Int32(v) | Date32(v) | Decimal32(v, ..) => v.push(n as i32),
        Int64(v) | DateTime64(v, ..) | Decimal64(v, ..) => v.push(n),
        Float32(v) => v.push(n as f32),
        Float64(v) => v.push(n as f64),
        _ => to.push_zero(),
    }
}

fn push_float(to: &mut ColumnBuilder, f: f64) -> Read<()> {
    use Values::*;
    let (low, high) = match &to.values {
        Float32(_) | Float64(_) => {
            match &mut to.values {
                Float32(v) => v.push(f as f32),
                Float64(v) => v.push(f),
                _ => {}
            }
            return Ok(());
        }
        UInt8(_) | Bool(_) => (0.0, u8::MAX as f64),
        UInt16(_) | Date(_) => (0.0, u16::MAX as f64),
        UInt32(_) | DateTime(..) | Ipv4(_) => (0.0, u32::MAX as f64),
        UInt64(_) => (0.0, 18_446_744_073_709_549_568.0),
        Int8(_) => (i8::MIN as f64, i8::MAX as f64),
        Int16(_) => (i16::MIN as f64, i16::MAX as f64),
        Int32(_) | Date32(_) | Decimal32(..) => (i32::MIN as f64, i32::MAX as f64),
        _ => (i64::MIN as f64, 9_223_372_036_854_774_784.0),
    };
    if !(f >= low && f <= high) {
        let name = match &to.values {
            Bool(_) => "UInt8".to_string(),
            _ => to.data_type.inner().to_string(),
        };
        return Err(ParseError {
            code: codes::VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
            message: format!("Cannot convert Avro value {f} to {name}"),
        });
    }
    match &mut to.values {
        UInt64(v) => v.push(f as u64),
        Bool(v) => v.push((f != 0.0) as u8),
        _ => push_integer(to, f as i64),
    }
    Ok(())
}

fn push_text(to: &mut ColumnBuilder, bytes: &[u8]) -> Read<()> {
    match &mut to.values {
        Values::String(v) => v.push(bytes),
        Values::FixedString(v, width) if bytes.len() <= *width => {
            v.extend_from_slice(bytes);
            v.resize(v.len() + *width - bytes.len(), 0);
        }
        _ => {
            return Err(ParseError {
                code: codes::TOO_LARGE_STRING_SIZE,
                message: "Too large string for FixedString column".into(),
            });
        }
    }
    Ok(())
}

fn push_raw(to: &mut ColumnBuilder, bytes: &[u8]) {
    match (&mut to.values, bytes.len()) {
        (Values::Ipv6(v), 16) => v.extend_from_slice(bytes),
        (Values::Int128(v) | Values::UInt128(v), 16) => {
            let mut own = [0; 16];
            own.copy_from_slice(bytes);
            v.push(i128::from_le_bytes(own));
        }
        (Values::Int256(v) | Values::UInt256(v), 32) => {
            let mut own = [0; 32];
            own.copy_from_slice(bytes);
            v.push(i256::from_le_bytes(own));
        }
        _ => to.push_zero(),
    }
}

/// A number in two's complement, high bytes first.
fn push_decimal(to: &mut ColumnBuilder, bytes: &[u8]) -> Read<()> {
    let width = match &to.values {
        Values::Decimal32(..) => 4,
        Values::Decimal64(..) | Values::DateTime64(..) => 8,
        Values::Decimal128(..) => 16,
        _ => 32,
    };
    if bytes.len() > width {
        return Err(ParseError {
            code: codes::INCORRECT_DATA,
            message: format!(
                "Cannot insert decimal of {} bytes into column of type {}",
                bytes.len(),
                to.data_type
            ),
        });
    }
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 32];
    wide[32 - bytes.len()..].copy_from_slice(bytes);
    let mut low = [0; 16];
    low.copy_from_slice(&wide[16..]);
    let n = i128::from_be_bytes(low);
    match &mut to.values {
        Values::Decimal32(v, ..) => v.push(n as i32),
        Values::Decimal64(v, ..) | Values::DateTime64(v, ..) => v.push(n as i64),
        Values::Decimal128(v, ..) => v.push(n),
        Values::Decimal256(v, ..) => v.push(i256::from_be_bytes(wide)),
        _ => to.push_zero(),
    }
    Ok(())
}
