//! The protobuf wire format, as far as ORC's directory needs it.

use super::{Read, bad};

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight fixed bytes, which nothing needs.
    Fixed,
}

impl<'a> Field<'a> {
    pub fn number(self) -> Read<u64> {
        match self {
            Field::Number(n) => Ok(n),
            _ => Err(bad("a number was expected in the directory")),
        }
    }

    pub fn bytes(self) -> Read<&'a [u8]> {
        match self {
            Field::Bytes(b) => Ok(b),
            _ => Err(bad("a message was expected in the directory")),
        }
    }

    pub fn text(self) -> Read<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }
}

/// The fields of a message one by one.
pub struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes }
    }

    /// The next field's number and value.
    pub fn next(&mut self) -> Read<Option<(u64, Field<'a>)>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.bytes)?;
        let value = match key & 7 {
            0 => Field::Number(varint(&mut self.bytes)?),
            1 => self.take(8).map(|_| Field::Fixed)?,
            2 => {
                let length = varint(&mut self.bytes)?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Fixed)?,
            other => return Err(bad(format!("field kind {other} in the directory"))),
        };
        Ok(Some((key >> 3, value)))
    }

    fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        let split = usize::try_from(count).ok().and_then(|n| self.bytes.split_at_checked(n));
        let (taken, rest) = split.ok_or_else(|| bad("the directory ends within a field"))?;
        self.bytes = rest;
        Ok(taken)
    }
}

/// A number in groups of seven bits, low ones first.
#[inline]
pub fn varint(bytes: &mut &[u8]) -> Read<u64> {
    let mut n = 0u64;
    for (i, b) in bytes.iter().take(10).enumerate() {
        n |= ((b & 0x7f) as u64) << (7 * i);
        if *b < 0x80 {
            *bytes = &bytes[i + 1..];
            return Ok(n);
        }
    }
    Err(bad("a number does not end"))
}

/// All numbers of a packed field, or the one of a field that stands alone.
pub fn numbers(field: Field<'_>, into: &mut Vec<u64>) -> Read<()> {
    match field {
        Field::Bytes(mut packed) => {
            while !packed.is_empty() {
                into.push(varint(&mut packed)?);
            }
            Ok(())
        }
        other => other.number().map(|n| into.push(n)),
    }
}

/// Appends a number in groups of seven bits.
#[inline]
pub fn put_varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Small numbers for small magnitudes.
#[inline]
pub fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

#[inline]
pub fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// A message being written.
#[derive(Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn number(&mut self, field: u32, n: u64) -> &mut Message {
        put_varint((field as u64) << 3, &mut self.0);
        put_varint(n, &mut self.0);
        self
    }

    pub fn bytes(&mut self, field: u32, bytes: &[u8]) -> &mut Message {
        put_varint((field as u64) << 3 | 2, &mut self.0);
        put_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Numbers in one packed field.
    pub fn packed(&mut self, field: u32, numbers: impl Iterator<Item = u64>) -> &mut Message {
        let mut packed = vec![];
        numbers.for_each(|n| put_varint(n, &mut packed));
        self.bytes(field, &packed)
    }
}
