//! reinterpretAs*: the bytes of a value as another type, little-endian, cut or padded with zeros.

use std::sync::Arc;

use arrow_array::FixedSizeBinaryArray;
use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Column, DataType};

use super::FunctionCall;
use super::native::{As, Native, Take, values, with_native};
use super::registry::Registry;
use super::strings::{Strings, StringsBuilder};
use super::type_rule::Args;
use super::wide::{is_wide, load_wide, store_wide};
use crate::error::Result;

pub(super) fn add(r: &mut Registry) {
    use DataType::*;
    for (name, result) in [
        ("reinterpretAsUInt8", UInt8),
        ("reinterpretAsUInt16", UInt16),
        ("reinterpretAsUInt32", UInt32),
        ("reinterpretAsUInt64", UInt64),
        ("reinterpretAsUInt128", UInt128),
        ("reinterpretAsUInt256", UInt256),
        ("reinterpretAsInt8", Int8),
        ("reinterpretAsInt16", Int16),
        ("reinterpretAsInt32", Int32),
        ("reinterpretAsInt64", Int64),
        ("reinterpretAsInt128", Int128),
        ("reinterpretAsInt256", Int256),
        ("reinterpretAsFloat32", Float32),
        ("reinterpretAsFloat64", Float64),
        ("reinterpretAsDate", Date),
        ("reinterpretAsDateTime", DateTime(None)),
        ("reinterpretAsUUID", Uuid),
        ("reinterpretAsString", String),
    ] {
        r.add(name, 1..=1, move |a| has_bytes(a).map(|_| result.clone()), reinterpret);
    }
    r.add(
        "reinterpretAsFixedString",
        1..=1,
        |a| {
            has_bytes(a)?;
            Ok(FixedString(width_of(a.get(0)).ok_or_else(|| a.illegal(0))?))
        },
        reinterpret,
    );
    r.add(
        "reinterpret",
        2..=2,
        |a| {
            has_bytes(a)?;
            Ok(parse_data_type(&a.constant_text(1)?)?)
        },
        reinterpret,
    );
}

fn has_bytes(a: &Args) -> Result<()> {
    a.require(0, |t| !matches!(t, DataType::Array(_) | DataType::Tuple(_) | DataType::Map(..)))
}

/// Bytes of a value of a type of fixed size.
fn width_of(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedString(n) => Some(*n),
        DataType::Uuid | DataType::Ipv6 => Some(16),
        other => other.arrow().primitive_width(),
    }
}

/// The memory of every row, one after the other, and where each ends.
fn memory(column: &Column) -> Result<(Vec<u8>, Vec<usize>)> {
    let mut bytes = vec![];
    let mut ends = Vec::with_capacity(column.len());
    if let Ok(strings) = Strings::of(column.array.as_ref()) {
        for row in 0..column.len() {
            let start = bytes.len();
            bytes.extend_from_slice(strings.get(row));
            if column.data_type == DataType::Uuid {
                swap_uuid(&mut bytes[start..]);
            }
            ends.push(bytes.len());
        }
        return Ok((bytes, ends));
    }
    let width = width_of(&column.data_type).unwrap_or(8);
    with_native!(column.data_type, T => {
        for v in values::<T>(column) {
            let word = if T::IS_FLOAT && width == 4 {
                As::<f32>::to(*v).to_bits() as u64
            } else if T::IS_FLOAT {
                As::<f64>::to(*v).to_bits()
            } else {
                As::<u64>::to(*v)
            };
            bytes.extend_from_slice(&word.to_le_bytes()[..width]);
            ends.push(bytes.len());
        }
    }, else {
        for word in load_wide(column)? {
            bytes.extend_from_slice(&word.to_le_bytes()[..width]);
            ends.push(bytes.len());
        }
    });
    Ok((bytes, ends))
}

/// In memory a UUID is two little-endian words, the upper first.
fn swap_uuid(bytes: &mut [u8]) {
    if bytes.len() == 16 {
        bytes[..8].reverse();
        bytes[8..].reverse();
    }
}

fn reinterpret(call: &FunctionCall) -> Result<Column> {
    let column = call.column(0)?;
    let (bytes, ends) = memory(&column)?;
    let rows = (0..ends.len()).map(|row| {
        let start = if row == 0 { 0 } else { ends[row - 1] };
        &bytes[start..ends[row]]
    });
    if *call.result == DataType::String {
        let plain = column.data_type == DataType::String;
        let mut out = StringsBuilder::with_capacity(call.rows, bytes.len());
        for row in rows {
            // Zeros at the end are no part of the text.
            out.push(if plain { row } else { super::cast::text::trim_zeros(row) });
        }
        return call.finish(out.finish()?);
    }
    let Some(width) = width_of(call.result) else {
        return Err(super::type_rule::illegal_column(format!(
            "cannot reinterpret as {}",
            call.result
        )));
    };
    let padded = rows.map(|row| {
        let mut out = vec![0u8; width];
        let kept = row.len().min(width);
        out[..kept].copy_from_slice(&row[..kept]);
        out
    });
    if let DataType::FixedString(_) | DataType::Uuid | DataType::Ipv6 = call.result {
        let mut all = Vec::with_capacity(width * call.rows);
        for mut row in padded {
            if *call.result == DataType::Uuid {
                swap_uuid(&mut row);
            }
            all.extend(row);
        }
        let buffer = arrow_buffer::Buffer::from_vec(all);
        return call.finish(Arc::new(FixedSizeBinaryArray::new(width as i32, buffer, None)));
    }
    if is_wide(call.result) || matches!(call.result, DataType::Decimal { precision: 19.., .. }) {
        let words = padded
            .map(|row| {
                let mut word = [0u8; 32];
                word[..width].copy_from_slice(&row);
                arrow_buffer::i256::from_le_bytes(word)
            })
            .collect();
        return call.finish(store_wide(call.result, words));
    }
    with_native!(call.result, T => {
        call.finish_numbers(padded.map(|row| {
            let mut word = [0u8; 8];
            word[..width].copy_from_slice(&row);
            let bits = u64::from_le_bytes(word);
            if T::IS_FLOAT && width == 4 {
                <T as Take<f32>>::take(f32::from_bits(bits as u32))
            } else if T::IS_FLOAT {
                <T as Take<f64>>::take(f64::from_bits(bits))
            } else {
                <T as Take<u64>>::take(bits)
            }
        }).collect::<Vec<T>>())
    }, else { Err(super::type_rule::illegal_column("cannot reinterpret")) })
}
