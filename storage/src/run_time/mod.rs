//! Values that carry their type: how those of `Variant`, `Dynamic` and `JSON` lie in memory.
//!
//! All three are byte strings in a column. A Variant's bytes are the number of its alternative and the
//! value ([`value_code`]); a Dynamic's are its type ([`type_code`]) and the value; a JSON object's are its
//! paths in order, each with the bytes of a Dynamic ([`object`]). NULL is the column's NULL. Equal values
//! have equal bytes. Bytes may come from disk, so reading checks them and never panics.

pub mod object;
pub mod subcolumn;
pub mod type_code;
pub mod value_code;

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;

use crate::block::Column;
use crate::error::{Error, Result};
use crate::types::{DataType, Value};

/// What reading says about bytes that no writer wrote.
pub fn damaged() -> Error {
    Error::Column("a value of a Variant, Dynamic or JSON column is damaged".into())
}

/// The type and the value's bytes of one Dynamic.
pub fn open_dynamic(bytes: &[u8]) -> Option<(DataType, &[u8])> {
    let mut rest = bytes;
    let data_type = type_code::take(&mut rest)?;
    Some((data_type, rest))
}

/// The bytes of a Dynamic's type, and those of its value: cheaper than [`open_dynamic`] where types are
/// only compared.
pub fn split_dynamic(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match bytes.first()? {
        // Types of one byte, which most values have.
        code if type_code::is_plain(*code) => 1,
        _ => {
            let mut rest = bytes;
            type_code::take(&mut rest)?;
            bytes.len() - rest.len()
        }
    };
    Some(bytes.split_at(length))
}

/// The bytes of a Dynamic of this value; None for NULL.
pub fn dynamic_of(data_type: &DataType, value: &Value) -> Option<Vec<u8>> {
    if value.is_null() || *data_type == DataType::Nothing {
        return None;
    }
    let mut out = vec![];
    type_code::put(data_type, &mut out);
    value_code::put(data_type, value, &mut out);
    Some(out)
}

/// The bytes of a value of a declared type, NULL too.
pub fn declared_of(data_type: &DataType, value: &Value) -> Vec<u8> {
    let mut out = vec![];
    type_code::put(data_type, &mut out);
    value_code::put(data_type, value, &mut out);
    out
}

/// The bytes of a Variant whose alternative number `at`, of type `data_type`, holds this value.
pub fn variant_of(at: usize, data_type: &DataType, value: &Value) -> Vec<u8> {
    let mut out = vec![at as u8];
    value_code::put(data_type, value, &mut out);
    out
}

/// The type and the value's bytes of one value of a Variant or Dynamic column.
pub fn open<'b>(data_type: &DataType, bytes: &'b [u8]) -> Option<(DataType, &'b [u8])> {
    match data_type {
        DataType::Variant(types) => {
            let (at, rest) = bytes.split_first()?;
            Some((types.get(*at as usize)?.clone(), rest))
        }
        _ => open_dynamic(bytes),
    }
}

/// A column of byte strings from values that may be NULL.
pub fn bytes_column<B: AsRef<[u8]>>(
    data_type: DataType,
    values: impl Iterator<Item = Option<B>>,
) -> Column {
    let mut builder = BinaryBuilder::new();
    values.for_each(|v| builder.append_option(v));
    Column { data_type, array: Arc::new(builder.finish()) }
}

/// A column of `values`' bytes as a column of `data_type`; NULL where there are none.
pub fn column_of<'b>(
    data_type: &DataType,
    values: impl Iterator<Item = Option<&'b [u8]>>,
) -> Result<Column> {
    value_code::column(data_type, values)
}
