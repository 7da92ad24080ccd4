//! JSON values that hold others into column builders: arrays, maps, tuples.
//!
//! Each is read as its builder's type says, its parts by [`read_value`]; the settings of the query say what may
//! stand for a map or a tuple, be missing in it or be more than it has.

use pumphouse_query::error::codes;
use pumphouse_storage::DataType;

use super::columns::{ColumnBuilder, List, Values};
use super::json_skip::{skip_number, skip_value};
use super::json_value::{
    Step, expect, expected, fail, fail_text, literal, no_string, read_string, read_value,
    skip_spaces,
};
use super::reading::ways;

const CANNOT_READ_ARRAY_FROM_TEXT: u32 = 130;

pub fn read_array(list: &mut List, bytes: &[u8], at: usize) -> Step {
    if bytes.get(at) != Some(&b'[') {
        let message = "Array does not start with '[' character";
        return Err(fail(CANNOT_READ_ARRAY_FROM_TEXT, at, message));
    }
    let mut at = skip_spaces(bytes, at + 1);
    loop {
        // A comma before the end is let pass, as ClickHouse does.
        if bytes.get(at) == Some(&b']') {
            list.end();
            return Ok(at + 1);
        }
        at = skip_spaces(bytes, read_value(&mut list.children[0], bytes, at)?);
        list.check_room().map_err(|e| fail_text(e, at))?;
        match bytes.get(at) {
            Some(b',') => at = skip_spaces(bytes, at + 1),
            Some(b']') => {}
            None => return Err(expected(bytes, at, "]")),
            Some(other) => {
                let message = format!(
                    "Cannot read array from text, expected comma or end of array, found '{}'",
                    *other as char
                );
                return Err(fail(CANNOT_READ_ARRAY_FROM_TEXT, at, message));
            }
        }
    }
}

pub fn read_map(list: &mut List, bytes: &[u8], at: usize) -> Step {
    if ways().json.maps_as_arrays {
        return read_pairs(list, bytes, at);
    }
    let mut at = skip_spaces(bytes, expect(bytes, at, b'{')?);
    loop {
        if bytes.get(at) == Some(&b'}') {
            list.end();
            return Ok(at + 1);
        }
        at = skip_spaces(bytes, read_key(&mut list.children[0], bytes, at)?);
        at = skip_spaces(bytes, expect(bytes, at, b':')?);
        at = skip_spaces(bytes, read_value(&mut list.children[1], bytes, at)?);
        list.check_room().map_err(|e| fail_text(e, at))?;
        match bytes.get(at) {
            Some(b',') => at = skip_spaces(bytes, at + 1),
            Some(b'}') => {}
            _ => return Err(expected(bytes, at, ",")),
        }
    }
}

/// A map as an array of objects with `keys` and `values`.
#[cold]
fn read_pairs(list: &mut List, bytes: &[u8], at: usize) -> Step {
    if bytes.get(at) != Some(&b'[') {
        let message = "Array does not start with '[' character";
        return Err(fail(CANNOT_READ_ARRAY_FROM_TEXT, at, message));
    }
    let mut at = skip_spaces(bytes, at + 1);
    while bytes.get(at) != Some(&b']') {
        at = skip_spaces(bytes, expect(bytes, at, b'{')?);
        for (i, name) in ["\"keys\"", "\"values\""].into_iter().enumerate() {
            if i > 0 {
                at = skip_spaces(bytes, expect(bytes, at, b',')?);
            }
            at = skip_spaces(bytes, literal(bytes, at, name)?);
            at = skip_spaces(bytes, expect(bytes, at, b':')?);
            at = skip_spaces(bytes, read_value(&mut list.children[i], bytes, at)?);
        }
        at = skip_spaces(bytes, expect(bytes, at, b'}')?);
        list.check_room().map_err(|e| fail_text(e, at))?;
        match bytes.get(at) {
            Some(b',') => at = skip_spaces(bytes, at + 1),
            Some(b']') => {}
            _ => return Err(expected(bytes, at, "]")),
        }
    }
    list.end();
    Ok(at + 1)
}

/// A map's key: a string that holds the key's text, or the value itself.
fn read_key(builder: &mut ColumnBuilder, bytes: &[u8], at: usize) -> Step {
    if let Values::String(b) = &mut builder.values
        && let Some(digit) = bytes.get(at)
        && *digit != b'"'
    {
        let end = skip_number(bytes, at)?;
        b.push(&bytes[at..end]);
        return Ok(end);
    }
    read_value(builder, bytes, at)
}

/// A named tuple is an object, an unnamed one an array. `rows` is how many tuples are there already.
pub fn read_tuple(
    data_type: &DataType,
    children: &mut [ColumnBuilder],
    rows: usize,
    bytes: &[u8],
    at: usize,
) -> Step {
    let DataType::Tuple(elements) = data_type.inner() else {
        return Err(expected(bytes, at, "tuple"));
    };
    let allowed = ways().json;
    let named = !elements.is_empty() && elements.iter().all(|e| e.name.is_some());
    if !named || !allowed.named_tuples_as_objects {
        let mut at = skip_spaces(bytes, expect(bytes, at, b'[')?);
        for (i, child) in children.iter_mut().enumerate() {
            if i > 0 {
                at = skip_spaces(bytes, expect(bytes, at, b',')?);
            }
            at = skip_spaces(bytes, read_value(child, bytes, at)?);
        }
        return expect(bytes, at, b']');
    }
    let mut at = skip_spaces(bytes, expect(bytes, at, b'{')?);
    let mut name = vec![];
    let mut first = true;
    while bytes.get(at) != Some(&b'}') {
        if !first {
            at = skip_spaces(bytes, expect(bytes, at, b',')?);
        }
        first = false;
        if bytes.get(at) != Some(&b'"') {
            return Err(no_string(at));
        }
        name.clear();
        let key_at = at;
        at = skip_spaces(bytes, read_string(bytes, at + 1, &mut name)?);
        at = skip_spaces(bytes, expect(bytes, at, b':')?);
        let found =
            elements.iter().position(|e| e.name.as_deref().map(str::as_bytes) == Some(&name));
        at = match found {
            Some(i) if children[i].len() == rows => read_value(&mut children[i], bytes, at)?,
            Some(_) => {
                let shown = String::from_utf8_lossy(&name);
                let message = format!("JSON object contains duplicate key '{shown}'");
                return Err(fail(codes::INCORRECT_DATA, key_at, message));
            }
            None if !allowed.unknown_tuple_keys => {
                let message = format!(
                    "Unexpected key '{}' of a named tuple of {} elements (input_format_json_ignore_unknown_keys_in_named_tuple lets it pass)",
                    String::from_utf8_lossy(&name),
                    elements.len()
                );
                return Err(fail(codes::INCORRECT_DATA, key_at, message));
            }
            None => skip_value(bytes, at)?,
        };
        at = skip_spaces(bytes, at);
    }
    for (child, element) in children.iter_mut().zip(elements) {
        if child.len() == rows {
            if !allowed.missing_tuple_elements {
                let message = format!(
                    "JSON object doesn't contain tuple element {} (input_format_json_defaults_for_missing_elements_in_named_tuple lets it pass)",
                    element.name.as_deref().unwrap_or_default()
                );
                return Err(fail(codes::INCORRECT_DATA, at, message));
            }
            child.push_default();
        }
    }
    Ok(at + 1)
}
