//! States of aggregate functions as ClickHouse's binary formats carry them: one after the other, without
//! lengths, each in its function's own layout.
//!
//! Takes and gives states as columns hold them ([`DataType::AggregateFunction`]). Only functions whose layout
//! is ClickHouse's to the byte, or can be made of it, have a [`Layout`]; others are refused by name.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::DataType;

use super::row_binary::{Read, Source, Stop, write_varint};

/// A state is no longer than this.
const STATE_BYTES_MAX: usize = 1 << 30;

/// What a state is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// A count.
    Varint,
    /// A number of so many bytes.
    Fixed(usize),
    /// A sum of so many bytes, a count.
    Mean(usize),
    /// Whether there is a value, the value of so many bytes.
    Optional(usize),
    /// The same of a string. On the wire: its length with a zero byte as 32 bits, -1 for none.
    OptionalText,
    /// A count, so many values of so many bytes.
    Set(usize),
    /// The same; a column has each value behind its length.
    List(usize),
    /// A count, strings; a column has each string behind its own length twice.
    Texts,
    /// Whether there was a value that is not NULL, the state. On the wire there is none without a value.
    Flagged(Box<Layout>),
}

impl Layout {
    /// The layout of a type's states; error 48 if it is not ClickHouse's.
    pub(super) fn of(data_type: &DataType, format: &str) -> Result<Layout> {
        Self::known(data_type).ok_or_else(|| {
            let message = format!("{format} does not carry values of type {data_type}");
            Error::new(codes::NOT_IMPLEMENTED, message)
        })
    }

    fn known(data_type: &DataType) -> Option<Layout> {
        let DataType::AggregateFunction { name, parameters, arguments } = data_type else {
            return None;
        };
        let (inner, arguments) = match (name.strip_suffix("If"), arguments.split_last()) {
            (Some(inner), Some((DataType::UInt8 | DataType::Bool, rest))) => (inner, rest),
            (Some(_), _) => return None,
            (None, _) => (name.as_str(), arguments.as_slice()),
        };
        if inner == "count" {
            // Only with a condition do NULLs leave a flag there.
            let flagged = name == "countIf" && arguments.iter().any(DataType::is_nullable);
            return (!flagged).then_some(Layout::Varint);
        }
        let [argument] = arguments else { return None };
        let value = match argument {
            DataType::Nullable(value) => value,
            value => value,
        };
        let layout = match inner {
            "sum" => Layout::Fixed(sum_width(value)?),
            "avg" => Layout::Mean(sum_width(value)?),
            "sumWithOverflow" | "groupBitAnd" | "groupBitOr" | "groupBitXor" => {
                Layout::Fixed(width(value)?)
            }
            "min" | "max" | "any" | "anyLast" => match value {
                DataType::String => Layout::OptionalText,
                DataType::UInt128 | DataType::UInt256 => return None,
                value => Layout::Optional(width(value)?),
            },
            "uniqExact" if matches!(argument, DataType::UInt64 | DataType::Int64) => Layout::Set(8),
            // Lists leave NULLs out, so that there is no flag.
            "groupArray" if parameters.is_empty() => return list(value),
            _ => return None,
        };
        Some(match argument.is_nullable() {
            true => Layout::Flagged(Box::new(layout)),
            false => layout,
        })
    }

    /// A column's state for the wire.
    pub(super) fn write(&self, state: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut source = Source { bytes: state, at: 0 };
        let written = self.write_from(&mut source, out);
        match written.is_ok() && source.at == state.len() {
            true => Ok(()),
            false => Err(Error::new(
                codes::INCORRECT_DATA,
                "the state of an aggregate function is not one of its type",
            )),
        }
    }

    fn write_from(&self, source: &mut Source, out: &mut Vec<u8>) -> Read<()> {
        match self {
            Layout::OptionalText => match source.array()? {
                [0] => out.extend_from_slice(&(-1i32).to_le_bytes()),
                [_] => {
                    let text = source.string()?;
                    let length = i32::try_from(text.len() + 1).map_err(|_| too_long())?;
                    out.extend_from_slice(&length.to_le_bytes());
                    out.extend_from_slice(text);
                    out.push(0);
                }
            },
            Layout::List(width) => {
                let count = source.varint()?;
                write_varint(count as u64, out);
                for _ in 0..count {
                    source.varint()?;
                    out.extend_from_slice(source.take(*width)?);
                }
            }
            Layout::Texts => {
                let count = source.varint()?;
                write_varint(count as u64, out);
                for _ in 0..count {
                    let mut item = Source { bytes: source.string()?, at: 0 };
                    let length = u32::from_le_bytes(item.array()?) as usize;
                    write_varint(length as u64, out);
                    out.extend_from_slice(item.take(length)?);
                }
            }
            Layout::Flagged(inner) => {
                let [flag] = source.array()?;
                out.push(flag);
                let at = out.len();
                inner.write_from(source, out)?;
                if flag == 0 {
                    out.truncate(at);
                }
            }
            alike => alike.copy(source, out)?,
        }
        Ok(())
    }

    /// The next state of `source`, appended as a column holds it.
    pub(super) fn read(&self, source: &mut Source, out: &mut Vec<u8>) -> Read<()> {
        match self {
            Layout::OptionalText => {
                let length = i32::from_le_bytes(source.array()?);
                if length < 0 {
                    out.push(0);
                    return Ok(());
                }
                let text = source.take(length as usize)?;
                let text = text.strip_suffix(b"\0").unwrap_or(text);
                out.push(1);
                write_varint(text.len() as u64, out);
                out.extend_from_slice(text);
            }
            Layout::List(width) => {
                let count = source.varint()?;
                write_varint(count as u64, out);
                let bytes = source.take(product(count, *width)?)?;
                for value in bytes.chunks(*width) {
                    write_varint(*width as u64, out);
                    out.extend_from_slice(value);
                }
            }
            Layout::Texts => {
                let count = source.varint()?;
                write_varint(count as u64, out);
                for _ in 0..count {
                    let text = source.string()?;
                    let length = u32::try_from(text.len()).map_err(|_| too_long())?;
                    write_varint(text.len() as u64 + 4, out);
                    out.extend_from_slice(&length.to_le_bytes());
                    out.extend_from_slice(text);
                }
            }
            Layout::Flagged(inner) => {
                let [flag] = source.array()?;
                out.push((flag != 0) as u8);
                match flag {
                    0 => inner.put_empty(out),
                    _ => inner.read(source, out)?,
                }
            }
            alike => alike.copy(source, out)?,
        }
        Ok(())
    }

    /// A state whose bytes are the same in a column and on the wire.
    fn copy(&self, source: &mut Source, out: &mut Vec<u8>) -> Read<()> {
        let from = source.at;
        match self {
            Layout::Varint => {
                source.varint()?;
            }
            Layout::Fixed(width) => {
                source.take(*width)?;
            }
            Layout::Mean(width) => {
                source.take(*width)?;
                source.varint()?;
            }
            Layout::Optional(width) => {
                if source.array()? != [0] {
                    source.take(*width)?;
                }
            }
            Layout::Set(width) => {
                let count = source.varint()?;
                source.take(product(count, *width)?)?;
            }
            Layout::OptionalText | Layout::List(_) | Layout::Texts | Layout::Flagged(_) => {}
        }
        out.extend_from_slice(&source.bytes[from..source.at]);
        Ok(())
    }

    /// The state of nothing, as a column holds it.
    fn put_empty(&self, out: &mut Vec<u8>) {
        let bytes = match self {
            Layout::Fixed(width) => *width,
            Layout::Mean(width) => width + 1,
            _ => 1,
        };
        out.resize(out.len() + bytes, 0);
    }
}

/// Of lists: values that ClickHouse keeps without their lengths.
fn list(value: &DataType) -> Option<Layout> {
    use DataType as T;
    match value {
        T::String => Some(Layout::Texts),
        T::Decimal { .. } | T::Date32 | T::DateTime64(..) => None,
        value => Some(Layout::List(width(value)?)),
    }
}

/// Bytes of a sum of such values.
fn sum_width(value: &DataType) -> Option<usize> {
    use DataType as T;
    match value {
        T::Decimal { precision, .. } => Some(if *precision <= 38 { 16 } else { 32 }),
        T::Float32 | T::Float64 => Some(8),
        T::Bool => Some(8),
        T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Some(8),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 => Some(8),
        T::UInt128 | T::Int128 => Some(16),
        T::UInt256 | T::Int256 => Some(32),
        _ => None,
    }
}

/// Bytes of a value that lies in a state as it does on the wire.
fn width(value: &DataType) -> Option<usize> {
    use DataType as T;
    match value {
        T::UInt8 | T::Int8 | T::Bool | T::Enum8(_) => Some(1),
        T::UInt16 | T::Int16 | T::Date | T::Enum16(_) => Some(2),
        T::UInt32 | T::Int32 | T::Float32 | T::Date32 | T::DateTime(_) | T::Ipv4 => Some(4),
        T::UInt64 | T::Int64 | T::Float64 | T::DateTime64(..) => Some(8),
        T::UInt128 | T::Int128 => Some(16),
        T::UInt256 | T::Int256 => Some(32),
        T::Decimal { precision, .. } => Some(match precision {
            0..=9 => 4,
            10..=18 => 8,
            19..=38 => 16,
            _ => 32,
        }),
        _ => None,
    }
}

fn product(count: usize, width: usize) -> Read<usize> {
    count.checked_mul(width).filter(|bytes| *bytes <= STATE_BYTES_MAX).ok_or_else(too_long)
}

fn too_long() -> Stop {
    let message =
        format!("the state of an aggregate function of more than {STATE_BYTES_MAX} bytes");
    Stop::Bad(codes::INCORRECT_DATA, message)
}
