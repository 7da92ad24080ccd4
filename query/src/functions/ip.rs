//! IP addresses as text and numbers: IPv4NumToString, IPv6StringToNum, isIPAddressInRange and others.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use arrow_array::FixedSizeBinaryArray;
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::native::Native;
use super::registry::Registry;
use super::strings::{StringsBuilder, Validity};
use super::type_rule::bad_argument;
use crate::error::{Error, Result, codes};
use crate::text::{parse_ipv4, parse_ipv6};

pub(super) fn add(r: &mut Registry) {
    let v4_words = |t: &DataType| t.is_integer() || matches!(t, DataType::Ipv4 | DataType::Nothing);
    for (name, class_c) in [("IPv4NumToString", false), ("IPv4NumToStringClassC", true)] {
        r.add(
            name,
            1..=1,
            move |a| a.require(0, v4_words).map(|_| DataType::String),
            move |c| {
                let words = c.numbers::<u32>(0)?;
                let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 12);
                for row in 0..c.rows {
                    let [a, b, d, e] = words.get(row).to_be_bytes();
                    let text = if class_c {
                        format!("{a}.{b}.{d}.xxx")
                    } else {
                        format!("{a}.{b}.{d}.{e}")
                    };
                    out.push(text.as_bytes());
                }
                c.finish(out.finish()?)
            },
        );
    }
    for (name, failure) in [
        ("IPv4StringToNum", Failure::Throw),
        ("IPv4StringToNumOrDefault", Failure::Default),
        ("IPv4StringToNumOrNull", Failure::Null),
    ] {
        let result = failure.result(DataType::UInt32);
        r.add(
            name,
            1..=1,
            move |a| a.string(0).map(|_| result.clone()),
            move |c| {
                let texts = c.strings(0)?;
                let mut out = vec![];
                let mut valid = Validity::with_capacity(c.rows);
                for row in 0..c.rows {
                    let parsed = parse_ipv4(texts.get(row));
                    if let (Err(e), Failure::Throw) = (&parsed, failure) {
                        return Err(e.clone().into());
                    }
                    valid.push(parsed.is_ok() || failure == Failure::Default);
                    out.push(parsed.unwrap_or(0));
                }
                c.finish(super::invoke::set_nulls(&u32::array(out), valid.finish()))
            },
        );
    }
    for (name, failure) in [
        ("IPv6StringToNum", Failure::Throw),
        ("IPv6StringToNumOrDefault", Failure::Default),
        ("IPv6StringToNumOrNull", Failure::Null),
    ] {
        let result = failure.result(DataType::FixedString(16));
        r.add(
            name,
            1..=1,
            move |a| a.string(0).map(|_| result.clone()),
            move |c| {
                let texts = c.strings(0)?;
                let mut out = vec![];
                let mut valid = Validity::with_capacity(c.rows);
                for row in 0..c.rows {
                    let parsed = parse_ipv6(texts.get(row));
                    if let (Err(e), Failure::Throw) = (&parsed, failure) {
                        return Err(e.clone().into());
                    }
                    valid.push(parsed.is_ok() || failure == Failure::Default);
                    out.extend(parsed.unwrap_or_default());
                }
                c.finish(Arc::new(fixed16(out, valid.finish())))
            },
        );
    }
    r.add(
        "IPv6NumToString",
        1..=1,
        |a| {
            a.require(0, |t| {
                matches!(t, DataType::FixedString(16) | DataType::Ipv6 | DataType::Nothing)
            })?;
            Ok(DataType::String)
        },
        |c| {
            let words = c.strings(0)?;
            let mut out = StringsBuilder::with_capacity(c.rows, c.rows * 20);
            for row in 0..c.rows {
                crate::text::address::write_ipv6(words.get(row), &mut out.bytes);
                out.end_row();
            }
            c.finish(out.finish()?)
        },
    );
    r.measure("isIPv4String", DataType::UInt8, |t| u8::from(parse_ipv4(t).is_ok()));
    r.measure("isIPv6String", DataType::UInt8, |t| {
        u8::from(std::str::from_utf8(t).is_ok_and(|t| t.parse::<Ipv6Addr>().is_ok()))
    });
    r.add(
        "IPv4ToIPv6",
        1..=1,
        move |a| a.require(0, v4_words).map(|_| DataType::Ipv6),
        |c| {
            let words = c.numbers::<u32>(0)?;
            let words = Column::new(
                DataType::Ipv4,
                u32::array((0..c.rows).map(|i| words.get(i)).collect()),
            );
            super::cast::cast_column(&words, &DataType::Ipv6, c.context)
        },
    );
    r.add("isIPAddressInRange", 2..=2, |a| a.strings(0).map(|_| DataType::UInt8), in_range);
    ranges(r);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Throw,
    Default,
    Null,
}

impl Failure {
    fn result(self, plain: DataType) -> DataType {
        if self == Failure::Null { DataType::nullable(plain) } else { plain }
    }
}

fn fixed16(bytes: Vec<u8>, nulls: Option<arrow_buffer::NullBuffer>) -> FixedSizeBinaryArray {
    FixedSizeBinaryArray::new(16, arrow_buffer::Buffer::from_vec(bytes), nulls)
}

fn in_range(call: &FunctionCall) -> Result<Column> {
    let (addresses, networks) = (call.strings(0)?, call.strings(1)?);
    let mut out = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (address, network) = (text(addresses.get(row)), text(networks.get(row)));
        let address: IpAddr = address.parse().map_err(|_| no_address(&address))?;
        let (base, length) = network
            .split_once('/')
            .and_then(|(b, l)| Some((b.parse::<IpAddr>().ok()?, l.parse::<u32>().ok()?)))
            .ok_or_else(|| no_address(&network))?;
        out.push(u8::from(match (address, base) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                length <= 32 && same_prefix(a.to_bits() as u128, b.to_bits() as u128, 32, length)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                length <= 128 && same_prefix(a.to_bits(), b.to_bits(), 128, length)
            }
            _ => false,
        }));
    }
    call.finish_numbers(out)
}

fn no_address(text: &str) -> Error {
    Error::new(
        codes::CANNOT_PARSE_TEXT,
        format!("The text '{text}' does not contain a valid IP address or network"),
    )
}

fn same_prefix(a: u128, b: u128, width: u32, length: u32) -> bool {
    length == 0 || (a ^ b) >> (width - length) == 0
}

fn pair(data_type: DataType) -> DataType {
    let element = TupleElement { name: None, data_type };
    DataType::Tuple(vec![element.clone(), element])
}

fn ranges(r: &mut Registry) {
    r.add(
        "IPv4CIDRToRange",
        2..=2,
        |a| {
            a.require(0, |t| t.is_integer() || *t == DataType::Ipv4)?;
            a.integer(1)?;
            Ok(pair(DataType::Ipv4))
        },
        |c| {
            let (words, lengths) = (c.numbers::<u32>(0)?, c.numbers::<u32>(1)?);
            let mask = |row: usize| match lengths.get(row).min(32) {
                0 => 0,
                n => u32::MAX << (32 - n),
            };
            let low = (0..c.rows).map(|i| words.get(i) & mask(i)).collect();
            let high = (0..c.rows).map(|i| words.get(i) | !mask(i)).collect();
            let columns = [low, high].map(|v| Column::new(DataType::Ipv4, u32::array(v)));
            super::elementwise::tuple_of(c, columns.to_vec())
        },
    );
    r.add(
        "IPv6CIDRToRange",
        2..=2,
        |a| {
            a.require(0, |t| matches!(t, DataType::Ipv6 | DataType::FixedString(16)))?;
            a.integer(1)?;
            Ok(pair(DataType::Ipv6))
        },
        |c| {
            let (words, lengths) = (c.strings(0)?, c.numbers::<u32>(1)?);
            let (mut low, mut high) = (vec![], vec![]);
            for row in 0..c.rows {
                let mut bytes = [0; 16];
                bytes.copy_from_slice(
                    words.get(row).get(..16).ok_or_else(|| bad_argument("expected 16 bytes"))?,
                );
                let mask = match lengths.get(row).min(128) {
                    0 => 0,
                    n => u128::MAX << (128 - n),
                };
                let word = u128::from_be_bytes(bytes);
                low.extend((word & mask).to_be_bytes());
                high.extend((word | !mask).to_be_bytes());
            }
            let columns =
                [low, high].map(|b| Column::new(DataType::Ipv6, Arc::new(fixed16(b, None))));
            super::elementwise::tuple_of(c, columns.to_vec())
        },
    );
}
