//! Descriptors of messages: from a `.proto` text, or made from columns.

use std::collections::HashMap;
use std::sync::Arc;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::DataType;

use super::super::schema_files::{self, Place, SchemaSource};
use super::{CANNOT_PARSE_SCHEMA, proto_file};

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    UInt32,
    UInt64,
    SInt32,
    SInt64,
    Fixed32,
    Fixed64,
    SFixed32,
    SFixed64,
    Bool,
    String,
    Bytes,
    Enum(Arc<EnumType>),
    /// The message's place in the schema.
    Message(usize),
    /// Of a text that names a type not looked up yet.
    Named(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumType {
    pub name: String,
    pub values: Vec<(String, i32)>,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub number: u32,
    pub kind: Kind,
    pub repeated: bool,
    pub packed: bool,
    /// Zero is a value like any other: the field is written even if it is zero.
    pub presence: bool,
    pub default: Option<String>,
    pub oneof: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Message {
    /// With its package and the messages around it.
    pub name: String,
    pub fields: Vec<Field>,
    /// An entry of a map: key is field 1, value field 2.
    pub is_entry: bool,
}

/// All messages that a text and its imports define, or columns ask for.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub messages: Vec<Message>,
    /// The row's message.
    pub root: usize,
    /// The field of the envelope that holds the rows.
    pub envelope_field: u32,
}

fn unparsable(file: &str, e: &proto_file::SyntaxError) -> Error {
    Error::new(
        CANNOT_PARSE_SCHEMA,
        format!(
            "Cannot parse '{file}' file, found an error at line {}, column {}, {}",
            e.line, e.column, e.message
        ),
    )
}

impl Schema {
    /// The schema that the settings name.
    pub fn load(source: &SchemaSource, envelope: bool) -> Result<Schema> {
        let mut texts = vec![];
        let first = match &source.place {
            Place::Text(text) => ("schema".to_string(), text.clone()),
            Place::File(name) => (name.clone(), file(name)?),
        };
        let mut waiting = vec![first];
        let mut seen: Vec<String> = vec![];
        while let Some((name, text)) = waiting.pop() {
            let parsed = proto_file::parse(&text).map_err(|e| unparsable(&name, &e))?;
            for import in &parsed.imports {
                if seen.contains(import) {
                    continue;
                }
                if seen.len() >= 200 {
                    return Err(Error::new(CANNOT_PARSE_SCHEMA, "too many imports"));
                }
                seen.push(import.clone());
                let text = match proto_file::well_known(import) {
                    Some(text) => text.to_string(),
                    None => file(import)?,
                };
                waiting.push((import.clone(), text));
            }
            texts.push(parsed);
        }
        let mut schema = resolve(texts)?;
        schema.root = schema.find(&source.message)?;
        schema.envelope_field = if envelope { schema.envelope() } else { 1 };
        Ok(schema)
    }

    fn find(&self, name: &str) -> Result<usize> {
        let last = |m: &Message| m.name == name || m.name.ends_with(&format!(".{name}"));
        let found = match name {
            "" => (self.messages.iter().filter(|m| !m.is_entry).count() == 1).then_some(0),
            name => self
                .messages
                .iter()
                .position(|m| m.name == name)
                .or_else(|| self.messages.iter().position(last)),
        };
        found.ok_or_else(|| {
            let message = format!("Could not find a message named '{name}' in the schema file");
            Error::new(codes::BAD_ARGUMENTS, message)
        })
    }

    /// The number of the field of `Envelope` that holds the root message; 1 if there is none.
    fn envelope(&self) -> u32 {
        let envelope = |m: &&Message| m.name == "Envelope" || m.name.ends_with(".Envelope");
        let fields = self.messages.iter().find(envelope).map(|m| m.fields.as_slice());
        let own = |f: &&Field| f.kind == Kind::Message(self.root);
        fields.and_then(|f| f.iter().find(own)).map_or(1, |f| f.number)
    }

    /// A message with a field for each column, as ClickHouse makes it.
    pub fn of_columns(columns: &[(String, DataType)]) -> Result<Schema> {
        let mut schema = Schema { envelope_field: 1, ..Schema::default() };
        let named: Vec<(String, &DataType)> = columns.iter().map(|(n, t)| (n.clone(), t)).collect();
        schema.root = schema.message_of("Message", &named)?;
        Ok(schema)
    }

    fn message_of(&mut self, name: &str, columns: &[(String, &DataType)]) -> Result<usize> {
        let place = self.messages.len();
        self.messages.push(Message { name: name.into(), ..Message::default() });
        let mut fields = vec![];
        for (i, (column, data_type)) in columns.iter().enumerate() {
            fields.push(self.field_of(column, i as u32 + 1, data_type)?);
        }
        self.messages[place].fields = fields;
        Ok(place)
    }

    fn field_of(&mut self, name: &str, number: u32, data_type: &DataType) -> Result<Field> {
        use DataType as T;
        let (mut repeated, inner) = (false, data_type.inner());
        let kind = match inner {
            T::Array(item) => {
                repeated = true;
                match item.inner() {
                    // Lists in lists need a message between them.
                    T::Array(_) | T::Map(..) => {
                        Kind::Message(self.message_of(name, &[(name.to_string(), item)])?)
                    }
                    item => self.kind_of(name, item)?,
                }
            }
            T::Map(key, value) => {
                repeated = true;
                let entry = [("key".to_string(), &**key), ("value".to_string(), &**value)];
                let place = self.message_of(name, &entry)?;
                self.messages[place].is_entry = true;
                Kind::Message(place)
            }
            inner => self.kind_of(name, inner)?,
        };
        let packed = repeated && !matches!(kind, Kind::Message(_) | Kind::Bytes | Kind::String);
        let (name, default, oneof) = (name.to_string(), None, None);
        Ok(Field { name, number, kind, repeated, packed, presence: false, default, oneof })
    }

    fn kind_of(&mut self, name: &str, data_type: &DataType) -> Result<Kind> {
        use DataType as T;
        Ok(match data_type {
            T::UInt8 | T::UInt16 | T::UInt32 | T::Date | T::DateTime(_) | T::Ipv4 => Kind::UInt32,
            T::UInt64 | T::DateTime64(..) => Kind::UInt64,
            T::Int8 | T::Int16 | T::Int32 | T::Date32 => Kind::Int32,
            T::Int64 => Kind::Int64,
            T::Float32 => Kind::Float,
            T::Float64 => Kind::Double,
            T::Bool => Kind::Bool,
            T::String | T::FixedString(_) | T::Uuid | T::Ipv6 | T::Decimal { .. } => Kind::Bytes,
            T::Int128 | T::UInt128 | T::Int256 | T::UInt256 => Kind::Bytes,
            T::Enum8(names) | T::Enum16(names) => Kind::Enum(Arc::new(enum_of(name, names))),
            T::Tuple(elements) => {
                let named: Vec<(String, &DataType)> = elements
                    .iter()
                    .enumerate()
                    .map(|(i, e)| {
                        (e.name.clone().unwrap_or_else(|| (i + 1).to_string()), &e.data_type)
                    })
                    .collect();
                Kind::Message(self.message_of(name, &named)?)
            }
            other => {
                let message = format!(
                    "Type {other} is not supported for conversion into Protobuf schema: column '{name}'"
                );
                return Err(Error::new(codes::BAD_ARGUMENTS, message));
            }
        })
    }
}

/// The values keep their order; the first is 0, as the syntax wants it.
fn enum_of(name: &str, names: &pumphouse_storage::types::EnumValues) -> EnumType {
    let values = names.values.iter().enumerate().map(|(i, (n, _))| (n.clone(), i as i32)).collect();
    EnumType { name: name.into(), values }
}

fn file(name: &str) -> Result<String> {
    schema_files::read(name, "proto").map_err(|e| {
        let message =
            format!("Cannot parse '{name}' file, found an error at line -1, column 0, {e}");
        Error::new(CANNOT_PARSE_SCHEMA, message)
    })
}

/// Joins what the texts define and looks up the types that fields name.
fn resolve(files: Vec<proto_file::File>) -> Result<Schema> {
    let mut schema = Schema::default();
    let mut enums: HashMap<String, Arc<EnumType>> = HashMap::new();
    for file in files {
        schema.messages.extend(file.messages);
        enums.extend(file.enums.into_iter().map(|e| (e.name.clone(), Arc::new(e))));
    }
    let places: HashMap<String, usize> =
        schema.messages.iter().enumerate().map(|(i, m)| (m.name.clone(), i)).collect();
    for message in &mut schema.messages {
        for field in &mut message.fields {
            let Kind::Named(name) = &field.kind else { continue };
            // From the innermost scope outwards.
            let mut scope = message.name.as_str();
            let found = loop {
                let full = match (scope, name.strip_prefix('.')) {
                    (_, Some(absolute)) => absolute.to_string(),
                    ("", None) => name.clone(),
                    (scope, None) => format!("{scope}.{name}"),
                };
                if let Some(place) = places.get(&full) {
                    break Some(Kind::Message(*place));
                }
                if let Some(found) = enums.get(&full) {
                    break Some(Kind::Enum(found.clone()));
                }
                if scope.is_empty() {
                    break None;
                }
                scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
            };
            field.kind = found.ok_or_else(|| {
                let message = format!(
                    "Cannot parse the schema: \"{name}\" of field '{}.{}' is not defined",
                    message.name, field.name
                );
                Error::new(CANNOT_PARSE_SCHEMA, message)
            })?;
            let is_bytes = matches!(field.kind, Kind::Message(_));
            field.packed &= !is_bytes;
            field.presence |= is_bytes && !field.repeated;
        }
    }
    Ok(schema)
}
