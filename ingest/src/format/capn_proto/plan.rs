//! Which column is which field: a tree of the structs and groups that the columns' fields are in.
//!
//! Names are equal, or equal but for case; a column `a_b` or `a.b` may be the field `b` of the struct `a`.

use pumphouse_query::error::{Error, Result};
use pumphouse_storage::DataType;
use pumphouse_storage::types::EnumValues;

use super::schema::{Field, Schema, Type, split};
use super::{BAD_CAST, EnumsBy};

/// THERE_IS_NO_COLUMN
const NO_COLUMN: u32 = 8;

pub struct Plan {
    pub schema: Schema,
    pub root: Level,
}

/// The fields of a struct or group that columns want.
#[derive(Debug, Default)]
pub struct Level {
    pub parts: Vec<(Field, Target)>,
}

#[derive(Debug)]
pub enum Target {
    Column(usize, Codec),
    Inner(Level),
}

/// How values of a column lie.
#[derive(Debug)]
pub enum Codec {
    Plain,
    Text,
    Data,
    /// Our numbers and theirs.
    Enum(Vec<(i16, u16)>),
    List(Type, Box<Codec>),
    /// The struct's node (None: a group), and its elements in the column's order.
    Tuple(Option<usize>, Vec<(Field, Codec)>),
    Map {
        node: usize,
        entries: Field,
        entry: usize,
        key: Box<(Field, Codec)>,
        value: Box<(Field, Codec)>,
    },
    /// A struct that holds a union of a value and nothing.
    Nullable {
        node: Option<usize>,
        value: Box<(Field, Codec)>,
        null: Field,
    },
}

impl Plan {
    pub fn new(schema: Schema, columns: &[(String, DataType)], enums: EnumsBy) -> Result<Plan> {
        let mut root = Level::default();
        for (at, (name, data_type)) in columns.iter().enumerate() {
            let matching = Matching { schema: &schema, enums, column: name };
            matching.add(&mut root, schema.root, name, at, data_type)?;
        }
        Ok(Plan { schema, root })
    }
}

struct Matching<'a> {
    schema: &'a Schema,
    enums: EnumsBy,
    column: &'a str,
}

impl Matching<'_> {
    fn find(&self, node: usize, name: &str) -> Option<&Field> {
        let fields = &self.schema.nodes[node].fields;
        let any_case = || fields.iter().find(|f| f.name.eq_ignore_ascii_case(name));
        fields.iter().find(|f| f.name == name).or_else(any_case)
    }

    fn add(
        &self,
        level: &mut Level,
        node: usize,
        name: &str,
        at: usize,
        data_type: &DataType,
    ) -> Result<()> {
        if let Some(field) = self.find(node, name) {
            let codec = self.codec(&field.data_type, data_type)?;
            level.parts.push((field.clone(), Target::Column(at, codec)));
            return Ok(());
        }
        let missing = || {
            let message =
                format!("CapnProto struct doesn't contain field with name {}", self.column);
            Error::new(NO_COLUMN, message)
        };
        let (first, rest) = split(name);
        let (field, rest) = self.find(node, first).zip(rest).ok_or_else(missing)?;
        let (Type::Struct(inner) | Type::Group(inner)) = field.data_type else {
            return Err(missing());
        };
        let known = level
            .parts
            .iter()
            .position(|(f, t)| f.name == field.name && matches!(t, Target::Inner(_)));
        let place = known.unwrap_or_else(|| {
            level.parts.push((field.clone(), Target::Inner(Level::default())));
            level.parts.len() - 1
        });
        match &mut level.parts[place].1 {
            Target::Inner(level) => self.add(level, inner, rest, at, data_type),
            Target::Column(..) => Err(missing()),
        }
    }

    fn misfit<T>(&self, of: &Type, data_type: &DataType) -> Result<T> {
        let message = format!(
            "Cannot convert CapnProto type {} to ClickHouse type {data_type}: column {}",
            self.type_name(of),
            self.column
        );
        Err(Error::new(BAD_CAST, message))
    }

    fn type_name(&self, of: &Type) -> String {
        match of {
            Type::Integer { bits, signed: true } => format!("Int{bits}"),
            Type::Integer { bits, .. } => format!("UInt{bits}"),
            Type::List(item) => format!("List({})", self.type_name(item)),
            Type::Enum(at) => format!("Enum {}", self.schema.enums[*at].name),
            Type::Struct(at) | Type::Group(at) => format!("Struct {}", self.schema.nodes[*at].name),
            other => format!("{other:?}"),
        }
    }

    fn codec(&self, of: &Type, data_type: &DataType) -> Result<Codec> {
        use DataType as T;
        let nullable = data_type.is_nullable() && !data_type.is_run_time();
        if let (true, Type::Struct(node) | Type::Group(node)) = (nullable, of) {
            let fields = &self.schema.nodes[*node].fields;
            let [a, b] = &fields[..] else { return self.misfit(of, data_type) };
            let (value, null) = if b.data_type == Type::Void { (a, b) } else { (b, a) };
            if null.data_type != Type::Void || value.discriminant.is_none() {
                return self.misfit(of, data_type);
            }
            let codec = self.codec(&value.data_type, &data_type.without_nullable())?;
            let node = matches!(of, Type::Struct(_)).then_some(*node);
            let value = Box::new((value.clone(), codec));
            return Ok(Codec::Nullable { node, value, null: null.clone() });
        }
        if nullable {
            return self.misfit(of, data_type);
        }
        Ok(match (data_type.inner(), of) {
            (T::Enum8(values) | T::Enum16(values), Type::Enum(at)) => {
                Codec::Enum(self.pairs(values, *at)?)
            }
            (
                T::Bool
                | T::UInt8
                | T::UInt16
                | T::UInt32
                | T::UInt64
                | T::Int8
                | T::Int16
                | T::Int32
                | T::Int64
                | T::Enum8(_)
                | T::Enum16(_),
                Type::Integer { .. } | Type::Bool,
            )
            | (
                T::Date | T::Date32 | T::DateTime(_) | T::DateTime64(..) | T::Ipv4,
                Type::Integer { .. },
            )
            | (T::Decimal { precision: ..=18, .. }, Type::Integer { .. })
            | (T::Float32 | T::Float64, Type::Float32 | Type::Float64) => Codec::Plain,
            (T::String | T::FixedString(_), Type::Text) => Codec::Text,
            (T::String | T::FixedString(_), Type::Data) => Codec::Data,
            (
                T::Uuid
                | T::Ipv6
                | T::Int128
                | T::UInt128
                | T::Int256
                | T::UInt256
                | T::Decimal { .. },
                Type::Data,
            ) => Codec::Data,
            (T::Array(item), Type::List(inner)) => {
                Codec::List((**inner).clone(), Box::new(self.codec(inner, item)?))
            }
            (T::Map(key, value), Type::Struct(node)) => {
                self.map(of, *node, key, value, data_type)?
            }
            (T::Tuple(elements), Type::Struct(node) | Type::Group(node)) => {
                let fields = &self.schema.nodes[*node].fields;
                if fields.len() != elements.len() {
                    return self.misfit(of, data_type);
                }
                let mut parts = vec![];
                for (i, element) in elements.iter().enumerate() {
                    let field = match &element.name {
                        Some(name) => self.find(*node, name),
                        None => fields.get(i),
                    };
                    let Some(field) = field else { return self.misfit(of, data_type) };
                    let codec = self.codec(&field.data_type, &element.data_type)?;
                    parts.push((field.clone(), codec));
                }
                Codec::Tuple(matches!(of, Type::Struct(_)).then_some(*node), parts)
            }
            _ => return self.misfit(of, data_type),
        })
    }

    fn map(
        &self,
        of: &Type,
        node: usize,
        key: &DataType,
        value: &DataType,
        data_type: &DataType,
    ) -> Result<Codec> {
        let [entries] = &self.schema.nodes[node].fields[..] else {
            return self.misfit(of, data_type);
        };
        let Type::List(item) = &entries.data_type else { return self.misfit(of, data_type) };
        let Type::Struct(entry) = **item else { return self.misfit(of, data_type) };
        let [first, second] = &self.schema.nodes[entry].fields[..] else {
            return self.misfit(of, data_type);
        };
        let key = Box::new((first.clone(), self.codec(&first.data_type, key)?));
        let value = Box::new((second.clone(), self.codec(&second.data_type, value)?));
        Ok(Codec::Map { node, entries: entries.clone(), entry, key, value })
    }

    /// The numbers of an enum's values on both sides.
    fn pairs(&self, values: &EnumValues, at: usize) -> Result<Vec<(i16, u16)>> {
        let names = &self.schema.enums[at].names;
        let mut pairs = vec![];
        for (name, number) in &values.values {
            let place = match self.enums {
                EnumsBy::Values => usize::try_from(*number).ok().filter(|n| *n < names.len()),
                EnumsBy::Names => names.iter().position(|n| n == name),
                EnumsBy::NamesAnyCase => names.iter().position(|n| n.eq_ignore_ascii_case(name)),
            };
            match place {
                Some(place) => pairs.push((*number, place as u16)),
                None => {
                    let message = format!(
                        "Cannot convert enum: value '{name}' = {number} of column {} is not in the CapnProto enum {}",
                        self.column, self.schema.enums[at].name
                    );
                    return Err(Error::new(BAD_CAST, message));
                }
            }
        }
        Ok(pairs)
    }
}
