//! A schema with its types settled and its fields placed; from a text, or made from columns.

use std::collections::HashMap;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::DataType;

use super::CANNOT_PARSE_SCHEMA;
use super::layout::Layout;
use super::schema_file::{self, Body, Enum, File, Member, Struct, TypeName, joined};

/// What a field or an item of a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Void,
    Bool,
    /// Bits of a number, and whether it has a sign.
    Integer {
        bits: u32,
        signed: bool,
    },
    Float32,
    Float64,
    Text,
    Data,
    List(Box<Type>),
    /// Places in the schema.
    Enum(usize),
    Struct(usize),
    /// Fields of a struct that lie in the struct around it.
    Group(usize),
    Other,
}

/// A member of a union is there if the number at `offset` (in units of 16 bits) is `value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discriminant {
    pub offset: u32,
    pub value: u16,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub data_type: Type,
    /// In units of the type's size, or of pointers.
    pub offset: u32,
    /// Bits that the value is stored against.
    pub default: u64,
    pub discriminant: Option<Discriminant>,
}

/// A struct or a group.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub name: String,
    pub data_words: u32,
    pub pointers: u32,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub nodes: Vec<Node>,
    pub enums: Vec<Enum>,
    /// The row's struct.
    pub root: usize,
}

fn unparsable(message: impl std::fmt::Display) -> Error {
    Error::new(CANNOT_PARSE_SCHEMA, format!("Cannot parse CapnProto schema: {message}"))
}

/// The size of data as a power of two of bits; None for pointers and nothing.
pub fn data_size(data_type: &Type) -> Option<usize> {
    Some(match data_type {
        Type::Bool => 0,
        Type::Integer { bits, .. } => bits.trailing_zeros() as usize,
        Type::Enum(_) => 4,
        Type::Float32 => 5,
        Type::Float64 => 6,
        _ => return None,
    })
}

impl Schema {
    pub fn of_text(text: &str, message: &str) -> Result<Schema> {
        let file = schema_file::parse(text).map_err(unparsable)?;
        Schema::of_file(file, message)
    }

    fn of_file(file: File, message: &str) -> Result<Schema> {
        let mut schema = Schema { enums: file.enums.clone(), ..Schema::default() };
        let structs: HashMap<&str, usize> =
            file.structs.iter().enumerate().map(|(i, s)| (s.name.as_str(), i)).collect();
        schema.root = match (structs.get(message), &file.structs[..]) {
            (Some(at), _) => *at,
            (None, [_]) if message.is_empty() => 0,
            _ => {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    format!("CapnProto schema doesn't contain message with name {message}"),
                ));
            }
        };
        schema.nodes =
            file.structs.iter().map(|s| Node { name: s.name.clone(), ..Node::default() }).collect();
        for (at, one) in file.structs.iter().enumerate() {
            Placing { file: &file, structs: &structs, schema: &mut schema, node: at }.run(one)?;
        }
        Ok(schema)
    }
}

/// One struct being placed.
struct Placing<'a> {
    file: &'a File,
    structs: &'a HashMap<&'a str, usize>,
    schema: &'a mut Schema,
    node: usize,
}

/// A field of a struct, wherever in groups and unions it stands.
struct Slot {
    ordinal: u32,
    name: String,
    data_type: Type,
    default: Option<String>,
    /// The node it belongs to, and the scope of the layout.
    node: usize,
    scope: usize,
    /// The unions around it, outermost first, and the member of each.
    unions: Vec<(usize, usize)>,
}

/// What is known of a struct before its fields are placed.
struct Draft {
    layout: Layout,
    slots: Vec<Slot>,
    groups: Vec<Group>,
}

/// A member of a union as it is numbered when its first field comes.
#[derive(Default)]
struct Numbers {
    next: HashMap<usize, u16>,
    given: HashMap<(usize, usize), u16>,
}

impl Placing<'_> {
    fn run(&mut self, one: &Struct) -> Result<()> {
        let mut draft = Draft { layout: Layout::new(), slots: vec![], groups: vec![] };
        self.collect(&one.members, &one.name, (self.node, 0), &[], &mut draft)?;
        let Draft { mut layout, mut slots, groups } = draft;
        slots.sort_by_key(|slot| slot.ordinal);
        if slots.iter().enumerate().any(|(i, slot)| slot.ordinal as usize != i) {
            let message = format!("the fields of {} are not numbered one by one", one.name);
            return Err(unparsable(message));
        }
        let mut numbers = Numbers::default();
        let mut placed = vec![];
        for slot in slots {
            let offset = match data_size(&slot.data_type) {
                Some(size) => layout.add_data(slot.scope, size),
                None if slot.data_type == Type::Void => {
                    layout.add_void(slot.scope);
                    0
                }
                None => layout.add_pointer(slot.scope),
            };
            for key in &slot.unions {
                if !numbers.given.contains_key(key) {
                    let next = numbers.next.entry(key.0).or_default();
                    numbers.given.insert(*key, *next);
                    *next += 1;
                }
            }
            placed.push((slot, offset));
        }
        let of = |layout: &Layout, numbers: &Numbers, unions: &[(usize, usize)]| {
            let key = unions.last()?;
            let (offset, value) = (layout.discriminant(key.0)?, *numbers.given.get(key)?);
            Some(Discriminant { offset, value })
        };
        for (slot, offset) in placed {
            let default = self.default(&slot)?;
            let around = own_unions(&slot.unions, &groups, slot.node);
            let discriminant = of(&layout, &numbers, around);
            self.schema.nodes[slot.node].fields.push(Field {
                name: slot.name,
                data_type: slot.data_type,
                offset,
                default,
                discriminant,
            });
        }
        for group in &groups {
            let outer = own_unions(&group.unions, &groups, group.parent);
            let discriminant = of(&layout, &numbers, outer);
            self.schema.nodes[group.parent].fields.push(Field {
                name: group.name.clone(),
                data_type: Type::Group(group.node),
                offset: 0,
                default: 0,
                discriminant,
            });
        }
        let nodes = groups.iter().map(|g| g.node).chain([self.node]);
        for node in nodes.collect::<Vec<usize>>() {
            let node = &mut self.schema.nodes[node];
            (node.data_words, node.pointers) = (layout.data_words, layout.pointers);
        }
        Ok(())
    }

    /// Notes the fields of members in node and scope `place`, which stand in these unions.
    fn collect(
        &mut self,
        members: &[Member],
        names: &str,
        place: (usize, usize),
        unions: &[(usize, usize)],
        draft: &mut Draft,
    ) -> Result<()> {
        let (node, scope) = place;
        for member in members {
            match &member.body {
                Body::Slot { ordinal, type_name, default } => {
                    let data_type = self.data_type(type_name, names)?;
                    draft.slots.push(Slot {
                        ordinal: *ordinal,
                        name: member.name.clone(),
                        data_type,
                        default: default.clone(),
                        node,
                        scope,
                        unions: unions.to_vec(),
                    });
                }
                Body::Group(inner) => {
                    let group = self.group(member, node, unions, draft);
                    self.collect(inner, names, (group, scope), unions, draft)?;
                }
                Body::Union(inner) => {
                    let own = match member.name.is_empty() {
                        true => node,
                        false => self.group(member, node, unions, draft),
                    };
                    let union = draft.layout.union(scope);
                    for (i, part) in inner.iter().enumerate() {
                        let scope = draft.layout.member(union);
                        let mut around = unions.to_vec();
                        around.push((union, i));
                        let part = std::slice::from_ref(part);
                        self.collect(part, names, (own, scope), &around, draft)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn group(
        &mut self,
        member: &Member,
        parent: usize,
        unions: &[(usize, usize)],
        draft: &mut Draft,
    ) -> usize {
        let node = self.schema.nodes.len();
        self.schema.nodes.push(Node { name: member.name.clone(), ..Node::default() });
        let (name, unions) = (member.name.clone(), unions.to_vec());
        draft.groups.push(Group { name, node, parent, unions });
        node
    }

    fn data_type(&self, name: &TypeName, scope: &str) -> Result<Type> {
        let name = match name {
            TypeName::List(item) => {
                return Ok(Type::List(Box::new(self.data_type(item, scope)?)));
            }
            TypeName::Named(name) => name.as_str(),
        };
        let integer = |bits, signed| Ok(Type::Integer { bits, signed });
        match name {
            "Void" => return Ok(Type::Void),
            "Bool" => return Ok(Type::Bool),
            "Int8" => return integer(8, true),
            "Int16" => return integer(16, true),
            "Int32" => return integer(32, true),
            "Int64" => return integer(64, true),
            "UInt8" => return integer(8, false),
            "UInt16" => return integer(16, false),
            "UInt32" => return integer(32, false),
            "UInt64" => return integer(64, false),
            "Float32" => return Ok(Type::Float32),
            "Float64" => return Ok(Type::Float64),
            "Text" => return Ok(Type::Text),
            "Data" => return Ok(Type::Data),
            "AnyPointer" | "AnyStruct" | "AnyList" | "Capability" => return Ok(Type::Other),
            _ => {}
        }
        self.named(name.trim_start_matches('.'), scope, 0)
            .ok_or_else(|| unparsable(format!("type {name} is not defined")))
    }

    /// A name as it is seen from `scope`: the innermost wins.
    fn named(&self, name: &str, scope: &str, depth: usize) -> Option<Type> {
        let mut around = scope;
        loop {
            let full = joined(around, name);
            if let Some(at) = self.structs.get(full.as_str()) {
                return Some(Type::Struct(*at));
            }
            if let Some(at) = self.file.enums.iter().position(|e| e.name == full) {
                return Some(Type::Enum(at));
            }
            let alias = self.file.aliases.iter().find(|(alias, _)| *alias == full);
            if let Some((_, target)) = alias.filter(|_| depth < 16) {
                return self.named(target, around, depth + 1);
            }
            if around.is_empty() {
                return None;
            }
            around = around.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }

    fn default(&self, slot: &Slot) -> Result<u64> {
        let Some(text) = &slot.default else { return Ok(0) };
        let bits = match &slot.data_type {
            Type::Bool => text.parse::<bool>().ok().map(u64::from),
            Type::Integer { .. } => match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => text.parse::<i128>().ok().map(|n| n as u64),
            },
            Type::Float32 => text.parse::<f32>().ok().map(|f| f.to_bits() as u64),
            Type::Float64 => text.parse::<f64>().ok().map(f64::to_bits),
            Type::Enum(at) => {
                self.schema.enums[*at].names.iter().position(|n| n == text).map(|n| n as u64)
            }
            _ => None,
        };
        bits.ok_or_else(|| unparsable(format!("default '{text}' of field {}", slot.name)))
    }
}

/// A group of the struct being placed.
struct Group {
    name: String,
    node: usize,
    parent: usize,
    unions: Vec<(usize, usize)>,
}

/// The unions around something that are not around the group `node` itself.
fn own_unions<'a>(
    unions: &'a [(usize, usize)],
    groups: &[Group],
    node: usize,
) -> &'a [(usize, usize)] {
    let outer = groups.iter().find(|g| g.node == node).map_or(0, |g| g.unions.len());
    unions.get(outer..).unwrap_or_default()
}

/// Makes a schema of columns: names with `.` or `_` in them are fields of structs.
struct Making {
    file: File,
}

impl Schema {
    /// The schema that the structure of a table asks for.
    pub fn of_columns(columns: &[(String, DataType)]) -> Result<Schema> {
        let mut making = Making { file: File::default() };
        let place = making.open("Message");
        let named: Vec<(&str, &DataType)> =
            columns.iter().map(|(name, t)| (name.as_str(), t)).collect();
        making.fields(place, "Message", &named)?;
        Schema::of_file(making.file, "Message")
    }
}

impl Making {
    fn open(&mut self, name: &str) -> usize {
        self.file.structs.push(Struct { name: name.to_string(), members: vec![] });
        self.file.structs.len() - 1
    }

    /// Fields of these names; those whose names begin alike up to a `.` or `_` share a struct.
    fn fields(&mut self, place: usize, scope: &str, columns: &[(&str, &DataType)]) -> Result<()> {
        let (mut members, mut done): (Vec<Member>, Vec<&str>) = (vec![], vec![]);
        for (name, data_type) in columns {
            let (first, rest) = split(name);
            if done.contains(&first) {
                continue;
            }
            done.push(first);
            let own = joined(scope, &capital(first));
            let type_name = match rest {
                None => self.type_name(data_type, &own)?,
                Some(_) => {
                    let inner: Vec<(&str, &DataType)> = columns
                        .iter()
                        .filter(|(n, _)| split(n).0 == first)
                        .filter_map(|(n, t)| split(n).1.map(|rest| (rest, *t)))
                        .collect();
                    let place = self.open(&own);
                    self.fields(place, &own, &inner)?;
                    TypeName::Named(format!(".{own}"))
                }
            };
            members.push(slot(members.len(), first, type_name));
        }
        self.file.structs[place].members = members;
        Ok(())
    }

    /// The type of a column; `own` is what a struct or enum for it is called.
    fn type_name(&mut self, data_type: &DataType, own: &str) -> Result<TypeName> {
        use DataType as T;
        let named = |name: &str| Ok(TypeName::Named(name.to_string()));
        if data_type.is_nullable() && !data_type.is_run_time() {
            let place = self.open(own);
            let value = self.type_name(data_type.inner(), &joined(own, "Value"))?;
            let union = vec![slot(0, "value", value), slot(1, "null", named("Void")?)];
            self.file.structs[place].members =
                vec![Member { name: String::new(), body: Body::Union(union) }];
            return named(&format!(".{own}"));
        }
        named(match data_type.inner() {
            T::Bool => "Bool",
            T::UInt8 => "UInt8",
            T::UInt16 | T::Date => "UInt16",
            T::UInt32 | T::DateTime(_) | T::Ipv4 => "UInt32",
            T::UInt64 => "UInt64",
            T::Int8 => "Int8",
            T::Int16 => "Int16",
            T::Int32 | T::Date32 | T::Decimal { precision: ..=9, .. } => "Int32",
            T::Int64 | T::DateTime64(..) | T::Decimal { precision: 10..=18, .. } => "Int64",
            T::Float32 => "Float32",
            T::Float64 => "Float64",
            T::String | T::FixedString(_) | T::Uuid | T::Ipv6 | T::Decimal { .. } => "Data",
            T::Int128 | T::UInt128 | T::Int256 | T::UInt256 => "Data",
            T::Enum8(values) | T::Enum16(values) => {
                let names = values.values.iter().map(|(name, _)| name.clone()).collect();
                self.file.enums.push(Enum { name: own.to_string(), names });
                return named(&format!(".{own}"));
            }
            T::Array(item) => return Ok(TypeName::List(Box::new(self.type_name(item, own)?))),
            T::Map(key, value) => {
                let place = self.open(own);
                let entry = joined(own, "Entry");
                let inner = self.open(&entry);
                let key = self.type_name(key, &joined(&entry, "Key"))?;
                let value = self.type_name(value, &joined(&entry, "Value"))?;
                self.file.structs[inner].members =
                    vec![slot(0, "key", key), slot(1, "value", value)];
                let entries = TypeName::List(Box::new(TypeName::Named(format!(".{entry}"))));
                self.file.structs[place].members = vec![slot(0, "entries", entries)];
                return named(&format!(".{own}"));
            }
            T::Tuple(elements) if !elements.is_empty() => {
                let place = self.open(own);
                let mut members = vec![];
                for (i, element) in elements.iter().enumerate() {
                    let name = element.name.clone().unwrap_or_else(|| format!("e{}", i + 1));
                    let inner = joined(own, &capital(&name));
                    let type_name = self.type_name(&element.data_type, &inner)?;
                    members.push(slot(i, &name, type_name));
                }
                self.file.structs[place].members = members;
                return named(&format!(".{own}"));
            }
            _ => {
                let message = format!("CapnProto type name is not found for type {data_type}");
                return Err(Error::new(codes::BAD_ARGUMENTS, message));
            }
        })
    }
}

fn slot(ordinal: usize, name: &str, type_name: TypeName) -> Member {
    let body = Body::Slot { ordinal: ordinal as u32, type_name, default: None };
    Member { name: name.to_string(), body }
}

/// A column's name up to its first `.` or `_`, and what is behind it.
pub fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once(['.', '_']) {
        Some((first, rest)) if !first.is_empty() && !rest.is_empty() => (first, Some(rest)),
        _ => (name, None),
    }
}

/// With its first letter large.
fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or(String::new(), |c| c.to_ascii_uppercase().to_string() + chars.as_str())
}
