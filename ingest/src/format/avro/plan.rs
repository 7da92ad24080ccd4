//! Matches a writer's schema with the wanted columns, once: what to do with every field as it comes.
//!
//! Columns are found by name; `a.b` is field `b` of record `a`. Numbers of all kinds go into numbers of
//! all kinds, times and short decimals; the rest goes where ClickHouse lets it.

use pumphouse_query::error::codes;
use pumphouse_storage::types::EnumValues;

use super::super::columns::{ColumnBuilder, RowBuilder, Values};
use super::super::{FormatOptions, ParseError};
use super::schema::{Id, Kind, Schema};

const ILLEGAL_COLUMN: u32 = 44;

/// What to do with a value of the writer's schema.
#[derive(Debug)]
pub enum Step {
    Null,
    Boolean,
    /// Times this.
    Int(i64),
    Long,
    Float,
    Double,
    /// Bytes or a string as they are.
    Text,
    Uuid,
    FixedText(usize),
    /// A wide number's or an address's own bytes.
    FixedRaw(usize),
    /// None: as many bytes as are said before them.
    Decimal(Option<usize>),
    EnumText(Vec<String>),
    EnumNumber(Vec<i16>),
    Array(Box<Step>),
    Map(Box<Step>),
    /// Per field: the tuple's element.
    Tuple(Vec<(usize, Step)>),
    Union(Vec<Step>),
}

impl Step {
    /// Whether a value may be a null that the column cannot hold.
    pub fn may_be_absent(&self) -> bool {
        match self {
            Step::Null => true,
            Step::Union(steps) => steps.iter().any(Step::may_be_absent),
            _ => false,
        }
    }
}

/// What to do with a field of the outermost record, or of a record that columns look into.
#[derive(Debug)]
pub enum Field {
    Skip(Id),
    Column(usize, Step),
    Inside(Vec<Field>),
}

/// All of it.
pub struct Plan {
    pub schema: Schema,
    pub fields: Vec<Field>,
    /// Columns that the schema has.
    pub given: usize,
}

type Made<T> = Result<T, ParseError>;

fn error<T>(code: u32, message: String) -> Made<T> {
    Err(ParseError { code, message })
}

impl Plan {
    pub fn new(schema: Schema, rows: &RowBuilder, options: &FormatOptions) -> Made<Plan> {
        let Kind::Record(fields) = schema.kind(schema.root()).clone() else {
            return error(codes::TYPE_MISMATCH, "Root schema must be a record".into());
        };
        let null_as_default = options.settings.bool("input_format_null_as_default", true)
            || options.settings.bool("input_format_avro_null_as_default", false);
        let maker = Maker { schema: &schema, rows, null_as_default };
        let mut found = vec![false; rows.slots.len()];
        let fields = maker.fields(&fields, "", &mut found, 0)?;
        let given = found.iter().filter(|f| **f).count();
        if !options.settings.bool("input_format_avro_allow_missing_fields", false)
            && let Some(missing) = found.iter().position(|f| !f)
        {
            let name = &rows.slots[missing].name;
            return error(
                codes::THERE_IS_NO_COLUMN,
                format!("Field {name} not found in Avro schema"),
            );
        }
        Ok(Plan { schema, fields, given })
    }
}

struct Maker<'a> {
    schema: &'a Schema,
    rows: &'a RowBuilder,
    null_as_default: bool,
}

impl Maker<'_> {
    fn fields(
        &self,
        fields: &[(String, Id)],
        prefix: &str,
        found: &mut [bool],
        depth: usize,
    ) -> Made<Vec<Field>> {
        let mut made = vec![];
        for (name, id) in fields {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let slot = self.rows.slots.iter().position(|s| s.name == path);
            if let Some(slot) = slot.filter(|s| !found[*s]) {
                found[slot] = true;
                let step = self.step(*id, &self.rows.slots[slot].builder).map_err(|e| {
                    let message = format!("{}: column {path}: (while reading header)", e.message);
                    ParseError { code: e.code, message }
                })?;
                made.push(Field::Column(slot, step));
                continue;
            }
            let below = format!("{path}.");
            let looked_into = self.rows.slots.iter().any(|s| s.name.starts_with(&below));
            match self.schema.kind(*id) {
                Kind::Record(inner) if looked_into && depth < 32 => {
                    made.push(Field::Inside(self.fields(inner, &path, found, depth + 1)?));
                }
                _ => made.push(Field::Skip(*id)),
            }
        }
        Ok(made)
    }

    fn step(&self, id: Id, builder: &ColumnBuilder) -> Made<Step> {
        let values = &builder.values;
        let node = self.schema.node(id);
        Ok(match (&node.kind, values) {
            (Kind::Null, _) if builder.nullable || self.null_as_default => Step::Null,
            (Kind::Null, _) => {
                return error(
                    codes::BAD_ARGUMENTS,
                    format!("Cannot insert Avro null into non-nullable type {}", builder.data_type),
                );
            }
            (Kind::Union(branches), _) => return self.union(branches, builder),
            (Kind::Boolean, v) if takes_numbers(v) => Step::Boolean,
            (Kind::Int, v) if takes_numbers(v) => Step::Int(match (node.logical.as_str(), v) {
                ("date", Values::DateTime(..)) => 86_400,
                ("date", Values::DateTime64(_, p, _)) => 86_400 * 10i64.pow(*p as u32),
                _ => 1,
            }),
            (Kind::Long, v) if takes_numbers(v) => Step::Long,
            (Kind::Float, v) if takes_numbers(v) => Step::Float,
            (Kind::Double, v) if takes_numbers(v) => Step::Double,
            (Kind::String | Kind::Bytes, Values::Uuid(_)) => Step::Uuid,
            (Kind::String | Kind::Bytes, Values::String(_) | Values::FixedString(..)) => Step::Text,
            (Kind::String | Kind::Bytes | Kind::Fixed(_), v) if decimal_of(v).is_some() => {
                let own = decimal_of(v).unwrap_or_default();
                if node.logical != "decimal" || (node.precision, node.scale) != own {
                    return error(
                        codes::INCORRECT_DATA,
                        format!(
                            "Cannot insert Avro decimal with scale {} and precision {} to ClickHouse \
                             type {} with scale {} and precision {}",
                            node.scale, node.precision, builder.data_type, own.1, own.0
                        ),
                    );
                }
                match node.kind {
                    Kind::Fixed(size) => Step::Decimal(Some(size)),
                    _ => Step::Decimal(None),
                }
            }
            (Kind::Fixed(size), Values::String(_)) => Step::FixedText(*size),
            (Kind::Fixed(size), Values::FixedString(_, width)) if size == width => {
                Step::FixedText(*size)
            }
            (Kind::Fixed(16), Values::Ipv6(_) | Values::Int128(_) | Values::UInt128(_)) => {
                Step::FixedRaw(16)
            }
            (Kind::Fixed(32), Values::Int256(_) | Values::UInt256(_)) => Step::FixedRaw(32),
            (Kind::Enum(symbols), Values::String(_)) => Step::EnumText(symbols.clone()),
            (Kind::Enum(symbols), Values::Enum8(_, names) | Values::Enum16(_, names)) => {
                Step::EnumNumber(enum_numbers(symbols, names)?)
            }
            (Kind::Array(items), Values::Array(list)) => {
                Step::Array(Box::new(self.step(*items, &list.children[0])?))
            }
            (Kind::Map(items), Values::Map(list))
                if matches!(list.children[0].values, Values::String(_)) =>
            {
                Step::Map(Box::new(self.step(*items, &list.children[1])?))
            }
            (Kind::Record(fields), Values::Tuple(children, _)) => {
                return self.tuple(fields, children, builder);
            }
            _ => {
                return error(
                    ILLEGAL_COLUMN,
                    format!(
                        "Type {} is not compatible with Avro {}",
                        builder.data_type,
                        self.schema.name(id)
                    ),
                );
            }
        })
    }

    fn union(&self, branches: &[Id], builder: &ColumnBuilder) -> Made<Step> {
        let is_null = |id: &Id| *self.schema.kind(*id) == Kind::Null;
        if branches.iter().any(is_null) && !builder.nullable && !self.null_as_default {
            let other =
                branches.iter().find(|b| !is_null(b)).map_or("null", |b| self.schema.name(*b));
            return error(
                codes::BAD_ARGUMENTS,
                format!(
                    "Cannot insert Avro Union(Null, {other}) into non-nullable type {}. To use \
                     default value on NULL, enable setting input_format_null_as_default",
                    builder.data_type
                ),
            );
        }
        let steps: Made<Vec<Step>> = branches.iter().map(|b| self.step(*b, builder)).collect();
        Ok(Step::Union(steps?))
    }

    fn tuple(
        &self,
        fields: &[(String, Id)],
        children: &[ColumnBuilder],
        builder: &ColumnBuilder,
    ) -> Made<Step> {
        let pumphouse_storage::DataType::Tuple(elements) = builder.data_type.inner() else {
            return error(ILLEGAL_COLUMN, "a tuple without elements".into());
        };
        if fields.len() != children.len() {
            let message =
                "The number of leaves in record doesn't match the number of elements in tuple";
            return error(codes::INCORRECT_DATA, message.into());
        }
        let mut steps = vec![];
        for (i, (name, id)) in fields.iter().enumerate() {
            let named = elements.iter().position(|e| e.name.as_deref() == Some(name.as_str()));
            let number = || {
                let unnamed = elements.iter().all(|e| e.name.is_none());
                (unnamed && name.parse() == Ok(i + 1)).then_some(i)
            };
            let Some(at) = named.or_else(number) else {
                return error(
                    codes::NOT_FOUND_COLUMN_IN_BLOCK,
                    format!("Tuple doesn't have element with name '{name}'"),
                );
            };
            steps.push((at, self.step(*id, &children[at])?));
        }
        Ok(Step::Tuple(steps))
    }
}

/// Numbers of up to 64 bits, and what is kept as one.
pub fn takes_numbers(values: &Values) -> bool {
    use Values::*;
    matches!(
        values,
        UInt8(_)
            | UInt16(_)
            | UInt32(_)
            | UInt64(_)
            | Int8(_)
            | Int16(_)
            | Int32(_)
            | Int64(_)
            | Float32(_)
            | Float64(_)
            | Bool(_)
            | Date(_)
            | Date32(_)
            | DateTime(..)
            | DateTime64(..)
            | Decimal32(..)
            | Decimal64(..)
            | Ipv4(_)
    )
}

/// Precision and scale of what is kept as a decimal.
fn decimal_of(values: &Values) -> Option<(usize, usize)> {
    match values {
        Values::Decimal32(_, p, s)
        | Values::Decimal64(_, p, s)
        | Values::Decimal128(_, p, s)
        | Values::Decimal256(_, p, s) => Some((*p as usize, *s as usize)),
        Values::DateTime64(_, scale, _) => Some((18, *scale as usize)),
        _ => None,
    }
}

fn enum_numbers(symbols: &[String], names: &EnumValues) -> Made<Vec<i16>> {
    let mut numbers = vec![];
    for symbol in symbols {
        let found = names.values.iter().find(|(name, _)| name.as_str() == symbol.as_str());
        match found {
            Some((_, n)) => numbers.push(*n),
            None => {
                return error(codes::BAD_ARGUMENTS, format!("Unknown element '{symbol}' for enum"));
            }
        }
    }
    Ok(numbers)
}
