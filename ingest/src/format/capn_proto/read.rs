//! Messages as rows.

use arrow_buffer::i256;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_query::text::{TextError, TextResult};
use pumphouse_storage::types::TupleElement;
use pumphouse_storage::{DataType, Value};

use super::super::bson::put_number;
use super::super::columns::{ColumnBuilder, RowBuilder, Values};
use super::super::row_binary::swap_uuid;
use super::super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::super::{FormatOptions, FormatReader, InputColumn, ParseError};
use super::message::{ListAt, Message, Pointer, StructAt, bad};
use super::plan::{Codec, Level, Plan, Target};
use super::schema::{Field, Schema, Type, data_size};

pub struct CapnProtoLayout {
    plan: Plan,
    message_bytes_max: usize,
}

impl CapnProtoLayout {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let named: Vec<(String, DataType)> =
            columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        let plan = super::planned(&named, options)?;
        let setting = "format_capn_proto_max_message_size";
        let message_bytes_max = options.settings.u64(setting, 1 << 30) as usize;
        let layout = CapnProtoLayout { plan, message_bytes_max };
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }
}

/// Where a value lies: a field of a struct, or an item of a list.
#[derive(Clone, Copy)]
enum Place<'l> {
    Field(StructAt, &'l Field),
    Item(&'l ListAt, usize),
}

impl Place<'_> {
    fn bits(&self, message: &Message<'_>, size: usize) -> u64 {
        match self {
            Place::Field(of, field) => message.bits(*of, size, field.offset) ^ field.default,
            Place::Item(list, index) => message.item_bits(list, *index, size),
        }
    }

    fn pointer(&self, message: &Message<'_>) -> TextResult<Pointer> {
        match self {
            Place::Field(of, field) => message.pointer_of(*of, field.offset),
            Place::Item(list, index) => message.item_pointer(list, *index),
        }
    }

    /// The struct that stands here; a group is the struct around it.
    fn structure(&self, message: &Message<'_>, group: bool) -> TextResult<StructAt> {
        match self {
            Place::Field(of, _) if group => Ok(*of),
            Place::Item(list, index) => Ok(message.item_struct(list, *index)),
            Place::Field(..) => match self.pointer(message)? {
                Pointer::Struct(at) => Ok(at),
                Pointer::Null => Ok(StructAt::default()),
                Pointer::List(_) => Err(bad("a struct was expected")),
            },
        }
    }
}

/// Whether a member of a union is the one that is there.
fn is_there(message: &Message<'_>, of: StructAt, field: &Field) -> bool {
    field.discriminant.is_none_or(|d| message.bits(of, 4, d.offset) == d.value as u64)
}

fn level(
    rows: &mut RowBuilder,
    message: &Message<'_>,
    of: StructAt,
    level: &Level,
) -> TextResult<()> {
    for (field, target) in &level.parts {
        let there = is_there(message, of, field);
        let place = Place::Field(of, field);
        match target {
            Target::Inner(inner) => {
                let group = matches!(field.data_type, Type::Group(_));
                let at = if there { place.structure(message, group)? } else { StructAt::default() };
                self::level(rows, message, at, inner)?;
            }
            Target::Column(at, codec) => {
                let filled = rows.rows() + 1;
                let slot = &mut rows.slots[*at];
                let result = match there {
                    true => value(&mut slot.builder, message, place, &field.data_type, codec),
                    false => {
                        slot.builder.push_default();
                        Ok(())
                    }
                };
                result.map_err(|mut e| {
                    e.message += &format!(": (while reading column {})", slot.name);
                    e
                })?;
                slot.filled = filled;
            }
        }
    }
    Ok(())
}

fn value(
    builder: &mut ColumnBuilder,
    message: &Message<'_>,
    place: Place<'_>,
    of: &Type,
    codec: &Codec,
) -> TextResult<()> {
    match codec {
        Codec::Plain => number(builder, place.bits(message, data_size(of).unwrap_or(6)), of),
        Codec::Text | Codec::Data => {
            let is_text = matches!(codec, Codec::Text);
            let bytes = message.bytes(place.pointer(message)?, is_text)?;
            put_bytes(builder, bytes)
        }
        Codec::Enum(pairs) => {
            let theirs = place.bits(message, 4) as u16;
            let ours = pairs.iter().find(|(_, t)| *t == theirs).map(|(ours, _)| *ours);
            let ours = ours.ok_or_else(|| {
                let text = format!("Unexpected value {theirs} in enum");
                TextError::new(codes::UNKNOWN_ELEMENT_OF_ENUM, text)
            })?;
            put_number(builder, ours as i64)
        }
        Codec::List(item, inner) => {
            let Values::Array(list) = &mut builder.values else { return Err(bad("a list")) };
            match place.pointer(message)? {
                Pointer::Null => {}
                Pointer::List(at) => {
                    for i in 0..at.count {
                        let place = Place::Item(&at, i);
                        value(&mut list.children[0], message, place, item, inner)?;
                        list.check_room()?;
                    }
                }
                Pointer::Struct(_) => return Err(bad("a list was expected")),
            }
            list.end();
            Ok(())
        }
        Codec::Tuple(node, parts) => {
            let at = place.structure(message, node.is_none())?;
            let Values::Tuple(children, rows) = &mut builder.values else {
                return Err(bad("a tuple"));
            };
            for (child, (field, codec)) in children.iter_mut().zip(parts) {
                member(child, message, at, field, codec)?;
            }
            *rows += 1;
            Ok(())
        }
        Codec::Map { entries, key, value: item, .. } => {
            let at = place.structure(message, false)?;
            let Values::Map(list) = &mut builder.values else { return Err(bad("a map")) };
            match message.pointer_of(at, entries.offset)? {
                Pointer::Null => {}
                Pointer::List(found) => {
                    for i in 0..found.count {
                        let at = message.item_struct(&found, i);
                        member(&mut list.children[0], message, at, &key.0, &key.1)?;
                        member(&mut list.children[1], message, at, &item.0, &item.1)?;
                        list.check_room()?;
                    }
                }
                Pointer::Struct(_) => return Err(bad("a list was expected")),
            }
            list.end();
            Ok(())
        }
        Codec::Nullable { node, value: inner, .. } => {
            let at = place.structure(message, node.is_none())?;
            match is_there(message, at, &inner.0) {
                true => {
                    let place = Place::Field(at, &inner.0);
                    value(builder, message, place, &inner.0.data_type, &inner.1)
                }
                false => {
                    builder.push_null();
                    Ok(())
                }
            }
        }
    }
}

fn member(
    builder: &mut ColumnBuilder,
    message: &Message<'_>,
    of: StructAt,
    field: &Field,
    codec: &Codec,
) -> TextResult<()> {
    if !is_there(message, of, field) {
        builder.push_default();
        return Ok(());
    }
    value(builder, message, Place::Field(of, field), &field.data_type, codec)
}

fn number(builder: &mut ColumnBuilder, bits: u64, of: &Type) -> TextResult<()> {
    let float = match of {
        Type::Float32 => f32::from_bits(bits as u32) as f64,
        Type::Float64 => f64::from_bits(bits),
        Type::Integer { bits: width, signed: true } => {
            let unused = 64 - width;
            return put_number(builder, (bits << unused) as i64 >> unused);
        }
        _ => return put_number(builder, bits as i64),
    };
    builder.push_value(&Value::Float(float))
}

fn put_bytes(builder: &mut ColumnBuilder, bytes: &[u8]) -> TextResult<()> {
    // A pointer that is null says the default.
    let value = match &mut builder.values {
        Values::String(texts) => {
            texts.push(bytes);
            return Ok(());
        }
        Values::FixedString(..) => Value::String(bytes.to_vec()),
        _ if bytes.is_empty() => {
            builder.push_zero();
            return Ok(());
        }
        Values::Uuid(_) => Value::String(swap_uuid(&exact::<16>(bytes)?).to_vec()),
        Values::Ipv6(_) => Value::String(exact::<16>(bytes)?.to_vec()),
        Values::Int128(_) => Value::Int128(i128::from_le_bytes(exact(bytes)?)),
        Values::UInt128(_) => Value::UInt128(u128::from_le_bytes(exact(bytes)?)),
        Values::Decimal128(_, _, s) => Value::Decimal(i128::from_le_bytes(exact(bytes)?), *s),
        Values::Int256(_) | Values::UInt256(_) | Values::Decimal256(..) => {
            Value::Int256(i256::from_le_bytes(exact(bytes)?))
        }
        _ => return Err(bad("bytes for a number")),
    };
    builder.push_value(&value)
}

fn exact<const N: usize>(bytes: &[u8]) -> TextResult<[u8; N]> {
    bytes.try_into().map_err(|_| bad(format!("{} bytes where {N} were expected", bytes.len())))
}

impl RowLayout for CapnProtoLayout {
    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        row: usize,
        _last: bool,
    ) -> Parsed<Option<usize>> {
        let located = |e: TextError| ParseError::at_row(e.code, &e.message, row, at);
        let opened = Message::open(&bytes[at..], self.message_bytes_max).map_err(located)?;
        let Some((message, length)) = opened else { return Ok(None) };
        let root = message.root().map_err(located)?;
        level(rows, &message, root, &self.plan.root).map_err(located)?;
        rows.end_row(rows.slots.len());
        Ok(Some(at + length))
    }
}

/// The columns that the schema of the settings has.
pub fn infer(options: &FormatOptions) -> Result<Vec<InputColumn>> {
    let schema = super::schema_of_settings(options)?;
    let (schema, _) = schema.ok_or_else(|| {
        let message = "The format CapnProto requires a schema to infer columns. The \
                       'format_schema' setting should be set";
        Error::new(codes::BAD_ARGUMENTS, message)
    })?;
    let skip = "input_format_capn_proto_skip_fields_with_unsupported_types_in_schema_inference";
    let skip = options.settings.bool(skip, false);
    let mut columns = vec![];
    for field in &schema.nodes[schema.root].fields {
        match inferred(&schema, &field.data_type, 0) {
            Some(data_type) => columns.push(InputColumn { name: field.name.clone(), data_type }),
            None if skip => {}
            None => {
                let message = format!("Unsupported type of CapnProto field {}", field.name);
                return Err(Error::new(codes::BAD_ARGUMENTS, message));
            }
        }
    }
    Ok(columns)
}

fn inferred(schema: &Schema, of: &Type, depth: usize) -> Option<DataType> {
    use DataType as T;
    if depth > 32 {
        return None;
    }
    Some(match of {
        Type::Bool => T::UInt8,
        Type::Integer { bits: 8, signed: true } => T::Int8,
        Type::Integer { bits: 16, signed: true } => T::Int16,
        Type::Integer { bits: 32, signed: true } => T::Int32,
        Type::Integer { signed: true, .. } => T::Int64,
        Type::Integer { bits: 8, .. } => T::UInt8,
        Type::Integer { bits: 16, .. } => T::UInt16,
        Type::Integer { bits: 32, .. } => T::UInt32,
        Type::Integer { .. } => T::UInt64,
        Type::Float32 => T::Float32,
        Type::Float64 => T::Float64,
        Type::Text | Type::Data => T::String,
        Type::List(item) => T::array(inferred(schema, item, depth + 1)?),
        Type::Enum(at) => {
            let names = schema.enums[*at].names.iter().enumerate();
            let values = names.map(|(i, name)| (name.clone(), i as i16)).collect::<Vec<_>>();
            let small = values.len() < 128;
            let values = std::sync::Arc::new(pumphouse_storage::types::EnumValues { values });
            if small { T::Enum8(values) } else { T::Enum16(values) }
        }
        Type::Struct(at) | Type::Group(at) => {
            let fields = &schema.nodes[*at].fields;
            if let [a, b] = &fields[..]
                && a.discriminant.is_some()
                && (a.data_type == Type::Void || b.data_type == Type::Void)
            {
                let value = if a.data_type == Type::Void { b } else { a };
                return Some(T::nullable(inferred(schema, &value.data_type, depth + 1)?));
            }
            let mut elements = vec![];
            for field in fields {
                let data_type = inferred(schema, &field.data_type, depth + 1)?;
                elements.push(TupleElement { name: Some(field.name.clone()), data_type });
            }
            T::Tuple(elements)
        }
        Type::Void | Type::Other => return None,
    })
}
