//! An Avro schema: nodes in one list, so that names may refer to types that are not finished yet.
//!
//! Reads the JSON of a schema; bounds its size and depth. Aliases, docs and defaults are not needed.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::super::ParseError;
use super::broken;

/// A node's place in the list.
pub type Id = usize;

/// Most nodes of a schema.
const NODES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record(Vec<(String, Id)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    /// `logicalType`, empty: none.
    pub logical: String,
    pub precision: usize,
    pub scale: usize,
}

/// A whole schema; the first node is the outermost.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    nodes: Vec<Node>,
    root: Id,
}

impl Schema {
    pub fn parse(text: &[u8]) -> Result<Schema, ParseError> {
        let json: Json =
            serde_json::from_slice(text).map_err(|e| broken(format!("schema is no JSON: {e}")))?;
        let mut reader = Reader { schema: Schema::default(), names: HashMap::new() };
        let root = reader.node(&json, "", 0)?;
        reader.schema.root = root;
        Ok(reader.schema)
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub fn kind(&self, id: Id) -> &Kind {
        &self.nodes[id].kind
    }

    /// What the type is called in messages.
    pub fn name(&self, id: Id) -> &'static str {
        match self.kind(id) {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Fixed(_) => "fixed",
            Kind::Enum(_) => "enum",
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Record(_) => "record",
        }
    }
}

struct Reader {
    schema: Schema,
    names: HashMap<String, Id>,
}

impl Reader {
    fn add(&mut self, kind: Kind) -> Result<Id, ParseError> {
        if self.schema.nodes.len() >= NODES_MAX {
            return Err(broken(format!("a schema of more than {NODES_MAX} types")));
        }
        self.schema.nodes.push(Node { kind, logical: String::new(), precision: 0, scale: 0 });
        Ok(self.schema.nodes.len() - 1)
    }

    fn node(&mut self, json: &Json, space: &str, depth: usize) -> Result<Id, ParseError> {
        if depth > DEPTH_MAX {
            return Err(broken("a schema that is too deep"));
        }
        match json {
            Json::String(name) => self.named(name, space),
            Json::Array(branches) => {
                let ids: Result<Vec<Id>, ParseError> =
                    branches.iter().map(|b| self.node(b, space, depth + 1)).collect();
                self.add(Kind::Union(ids?))
            }
            Json::Object(_) => self.object(json, space, depth),
            _ => Err(broken("a schema must be a name, a list or an object")),
        }
    }

    fn named(&mut self, name: &str, space: &str) -> Result<Id, ParseError> {
        let kind = match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "string" => Kind::String,
            _ => {
                let found = self.names.get(&full_name(name, space)).or(self.names.get(name));
                return found.copied().ok_or_else(|| broken(format!("unknown type: {name}")));
            }
        };
        self.add(kind)
    }

    fn object(&mut self, json: &Json, space: &str, depth: usize) -> Result<Id, ParseError> {
        let text = |key: &str| json.get(key).and_then(Json::as_str);
        let Some(name) = text("type") else {
            // `{"type": {…}}` and `{"type": […]}` are the inner type.
            let inner = json.get("type").ok_or_else(|| broken("a schema without a type"))?;
            return self.node(inner, space, depth + 1);
        };
        let number = |key: &str| json.get(key).and_then(Json::as_u64).unwrap_or(0) as usize;
        let inner =
            |key: &str| json.get(key).ok_or_else(|| broken(format!("{name} without {key}")));
        let own_space = text("namespace").unwrap_or(space).to_string();
        let id = match name {
            "record" | "error" => {
                let id = self.add(Kind::Record(vec![]))?;
                let own = self.define(text("name"), &own_space, id)?;
                let fields = inner("fields")?.as_array().map(Vec::as_slice).unwrap_or_default();
                let mut found = Vec::with_capacity(fields.len());
                for field in fields {
                    let name = field.get("name").and_then(Json::as_str);
                    let name = name.ok_or_else(|| broken("a field without a name"))?;
                    let field =
                        field.get("type").ok_or_else(|| broken("a field without a type"))?;
                    found.push((name.to_string(), self.node(field, &own, depth + 1)?));
                }
                self.schema.nodes[id].kind = Kind::Record(found);
                id
            }
            "enum" => {
                let symbols = inner("symbols")?.as_array().map(Vec::as_slice).unwrap_or_default();
                let symbols = symbols.iter().filter_map(|s| s.as_str().map(String::from)).collect();
                let id = self.add(Kind::Enum(symbols))?;
                self.define(text("name"), &own_space, id)?;
                id
            }
            "fixed" => {
                let id = self.add(Kind::Fixed(number("size")))?;
                self.define(text("name"), &own_space, id)?;
                id
            }
            "array" => {
                let items = self.node(inner("items")?, space, depth + 1)?;
                self.add(Kind::Array(items))?
            }
            "map" => {
                let values = self.node(inner("values")?, space, depth + 1)?;
                self.add(Kind::Map(values))?
            }
            other => self.named(other, space)?,
        };
        if let Some(logical) = text("logicalType") {
            let node = &mut self.schema.nodes[id];
            node.logical = logical.to_string();
            (node.precision, node.scale) = (number("precision"), number("scale"));
        }
        Ok(id)
    }

    /// Notes a named type; gives the name space of what is inside.
    fn define(&mut self, name: Option<&str>, space: &str, id: Id) -> Result<String, ParseError> {
        let name = name.ok_or_else(|| broken("a named type without a name"))?;
        let full = full_name(name, space);
        let inside = full.rsplit_once('.').map(|(space, _)| space.to_string()).unwrap_or_default();
        self.names.insert(full, id);
        Ok(inside)
    }
}

fn full_name(name: &str, space: &str) -> String {
    match name.contains('.') || space.is_empty() {
        true => name.to_string(),
        false => format!("{space}.{name}"),
    }
}
