//! Matches the fields of a message with columns, once, for both ways.
//!
//! Names match in any case, `.` and `_` are the same. A message is a Tuple, or its fields are columns
//! `message.field`; a repeated message is an Array of Tuples, or its fields are columns of Arrays.

use pumphouse_query::error::{Error, Result};
use pumphouse_storage::DataType;

use super::schema::{Field, Kind, Schema};
use super::{FIELD_NOT_REPEATED, INCOMPATIBLE, NO_MATCH};

/// Messages in messages.
const DEPTH_MAX: usize = 24;

/// What is known of one message.
#[derive(Debug, Default)]
pub struct Level {
    /// In the order of their numbers.
    pub entries: Vec<Entry>,
    /// Columns that each message of this level gives a value to.
    pub columns: Vec<Column>,
    /// Columns that say which field of a oneof was there: column, numbers.
    pub presences: Vec<(usize, Vec<u32>)>,
}

#[derive(Debug)]
pub struct Entry {
    pub field: Field,
    pub action: Action,
}

/// Numbers are those of columns, in the level's counting.
#[derive(Debug)]
pub enum Action {
    /// `column` is its place in the level's `columns`.
    Value {
        target: usize,
        column: usize,
    },
    /// A message that is a Tuple.
    Tuple {
        target: usize,
        column: usize,
        level: Level,
    },
    Map {
        target: usize,
        level: Level,
    },
    /// A message that stands for an inner Array (lists of lists).
    Wrapped {
        target: usize,
        level: Level,
    },
    /// Its fields are columns of this level.
    Inside(Level),
    /// Its fields are columns of Arrays.
    Items(Level),
}

#[derive(Debug)]
pub struct Column {
    pub target: usize,
    pub finish: Finish,
}

/// What ends a column's value.
#[derive(Debug)]
pub enum Finish {
    /// The default of a field that is not there, as text; None: zero.
    Value(Option<String>),
    List,
}

/// Names and types of what a level may fill.
type Wanted<'a> = &'a [(String, DataType)];

pub fn plan(schema: &Schema, columns: Wanted<'_>, presence: bool) -> Result<Level> {
    let mut maker = Maker { schema, used: vec![false; columns.len()], presence };
    let mut level = Level::default();
    let names: Vec<Option<String>> = columns.iter().map(|(n, _)| Some(plain(n))).collect();
    maker.fill(&mut level, schema.root, columns, &names, 0)?;
    if level.columns.is_empty() && !columns.is_empty() {
        let list = |names: Vec<&str>| names.join(", ");
        let message = &schema.messages[schema.root];
        return Err(Error::new(
            NO_MATCH,
            format!(
                "Not found matches between the names of the columns ({}) and the fields ({}) of the \
                 message '{}' in the protobuf schema",
                list(columns.iter().map(|(n, _)| n.as_str()).collect()),
                list(message.fields.iter().map(|f| f.name.as_str()).collect()),
                message.name
            ),
        ));
    }
    Ok(level)
}

/// A name as names are compared.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('.', "_")
}

struct Maker<'a> {
    schema: &'a Schema,
    used: Vec<bool>,
    presence: bool,
}

impl Maker<'_> {
    /// Adds the fields of message `at` that columns want; `names` are what is left of the columns' names.
    fn fill(
        &mut self,
        level: &mut Level,
        at: usize,
        columns: Wanted<'_>,
        names: &[Option<String>],
        depth: usize,
    ) -> Result<Vec<Entry>> {
        if depth > DEPTH_MAX {
            return Ok(vec![]);
        }
        let mut entries = vec![];
        let message = &self.schema.messages[at];
        for field in &message.fields {
            let name = plain(&field.name);
            let direct = (0..columns.len())
                .find(|c| !self.used[*c] && names[*c].as_deref() == Some(name.as_str()));
            if let Some(target) = direct {
                self.used[target] = true;
                let action = self.action(level, field, target, &columns[target], depth)?;
                entries.push(Entry { field: field.clone(), action });
                continue;
            }
            let Kind::Message(inner) = field.kind else { continue };
            let below = format!("{name}_");
            let rest: Vec<Option<String>> = names
                .iter()
                .enumerate()
                .map(|(c, n)| {
                    let n = n.as_deref().filter(|_| !self.used[c])?;
                    n.strip_prefix(&below).map(String::from)
                })
                .collect();
            if rest.iter().all(Option::is_none) {
                continue;
            }
            if field.repeated {
                let items = item_columns(columns);
                let mut inner_level = Level::default();
                let found = self.fill(&mut inner_level, inner, &items, &rest, depth + 1)?;
                if found.is_empty() {
                    continue;
                }
                inner_level.entries = found;
                for column in &inner_level.columns {
                    let (name, data_type) = &columns[column.target];
                    if !matches!(data_type.inner(), DataType::Array(_)) {
                        return Err(incompatible(data_type, name, field));
                    }
                    level.columns.push(Column { target: column.target, finish: Finish::List });
                }
                entries.push(Entry { field: field.clone(), action: Action::Items(inner_level) });
            } else {
                let found = self.fill(level, inner, columns, &rest, depth + 1)?;
                if !found.is_empty() {
                    let inner_level = Level { entries: sorted(found), ..Level::default() };
                    let action = Action::Inside(inner_level);
                    entries.push(Entry { field: field.clone(), action });
                }
            }
        }
        if self.presence {
            self.presences(level, at, columns, names);
        }
        if depth == 0 {
            level.entries = sorted(std::mem::take(&mut entries));
            return Ok(vec![]);
        }
        Ok(sorted(entries))
    }

    /// Columns named like a oneof say which of its fields was there.
    fn presences(
        &mut self,
        level: &mut Level,
        at: usize,
        columns: Wanted<'_>,
        names: &[Option<String>],
    ) {
        let fields = &self.schema.messages[at].fields;
        for c in 0..columns.len() {
            let Some(name) = names[c].as_deref().filter(|_| !self.used[c]) else { continue };
            let own =
                fields.iter().filter(|f| f.oneof.as_deref().map(plain).as_deref() == Some(name));
            let numbers: Vec<u32> = own.map(|f| f.number).collect();
            if !numbers.is_empty() {
                self.used[c] = true;
                level.columns.push(Column { target: c, finish: Finish::Value(None) });
                level.presences.push((c, numbers));
            }
        }
    }

    /// What to do with a field that is a column of its own.
    fn action(
        &mut self,
        level: &mut Level,
        field: &Field,
        target: usize,
        (name, data_type): &(String, DataType),
        depth: usize,
    ) -> Result<Action> {
        let column = level.columns.len();
        let inner = data_type.inner();
        let finish = match inner {
            DataType::Array(_) | DataType::Map(..) => Finish::List,
            _ => Finish::Value(default_text(field)),
        };
        level.columns.push(Column { target, finish });
        let Kind::Message(place) = field.kind else {
            return match inner {
                DataType::Array(item) if holds_one(item) => {
                    if !field.repeated {
                        return Err(Error::new(
                            FIELD_NOT_REPEATED,
                            format!(
                                "The field '{}' must be repeated in the protobuf schema to match the \
                                 column `{name}`",
                                field.name
                            ),
                        ));
                    }
                    Ok(Action::Value { target, column })
                }
                inner if holds_one(inner) => Ok(Action::Value { target, column }),
                _ => Err(incompatible(data_type, name, field)),
            };
        };
        match inner {
            DataType::Map(key, value) if self.schema.messages[place].is_entry => {
                let entry =
                    [("key".to_string(), (**key).clone()), ("value".into(), (**value).clone())];
                Ok(Action::Map { target, level: self.nested(place, &entry, depth)? })
            }
            DataType::Tuple(_) if !field.repeated => {
                let level = self.nested(place, &elements(inner), depth)?;
                Ok(Action::Tuple { target, column, level })
            }
            DataType::Array(item) if field.repeated => match item.inner() {
                DataType::Tuple(_) => {
                    let level = self.nested(place, &elements(item.inner()), depth)?;
                    Ok(Action::Tuple { target, column, level })
                }
                DataType::Array(_) | DataType::Map(..) => {
                    let fields = &self.schema.messages[place].fields;
                    let [only] = &fields[..] else {
                        return Err(incompatible(data_type, name, field));
                    };
                    let inner = [(only.name.clone(), (**item).clone())];
                    Ok(Action::Wrapped { target, level: self.nested(place, &inner, depth)? })
                }
                _ => Err(incompatible(data_type, name, field)),
            },
            _ => Err(incompatible(data_type, name, field)),
        }
    }

    /// A level of its own: the elements of a tuple, an entry, a wrapped list.
    fn nested(&self, place: usize, columns: Wanted<'_>, depth: usize) -> Result<Level> {
        let used = vec![false; columns.len()];
        let mut maker = Maker { schema: self.schema, used, presence: self.presence };
        let names: Vec<Option<String>> = columns.iter().map(|(n, _)| Some(plain(n))).collect();
        let mut level = Level::default();
        let found = maker.fill(&mut level, place, columns, &names, depth + 1)?;
        level.entries = found;
        if let Some(missing) = maker.used.iter().position(|used| !used) {
            // What the message lacks keeps its default.
            level.columns.push(Column { target: missing, finish: finish_of(&columns[missing].1) });
            for more in missing + 1..columns.len() {
                if !maker.used[more] {
                    level
                        .columns
                        .push(Column { target: more, finish: finish_of(&columns[more].1) });
                }
            }
        }
        Ok(level)
    }
}

fn finish_of(data_type: &DataType) -> Finish {
    match data_type.inner() {
        DataType::Array(_) | DataType::Map(..) => Finish::List,
        _ => Finish::Value(None),
    }
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|e| e.field.number);
    entries
}

/// What a field that is not there stands for.
fn default_text(field: &Field) -> Option<String> {
    match (&field.default, &field.kind) {
        (Some(text), _) => Some(text.clone()),
        (None, Kind::Enum(names)) => names.values.first().map(|(name, _)| name.clone()),
        _ => None,
    }
}

fn elements(tuple: &DataType) -> Vec<(String, DataType)> {
    let DataType::Tuple(elements) = tuple else { return vec![] };
    let name = |(i, e): (usize, &pumphouse_storage::types::TupleElement)| {
        (e.name.clone().unwrap_or_else(|| (i + 1).to_string()), e.data_type.clone())
    };
    elements.iter().enumerate().map(name).collect()
}

/// The columns with the items' types where they are arrays.
fn item_columns(columns: Wanted<'_>) -> Vec<(String, DataType)> {
    let item = |t: &DataType| match t.inner() {
        DataType::Array(item) => (**item).clone(),
        _ => t.clone(),
    };
    columns.iter().map(|(n, t)| (n.clone(), item(t))).collect()
}

/// Whether a value of the type is one value of a field.
fn holds_one(data_type: &DataType) -> bool {
    !matches!(data_type.inner(), DataType::Array(_) | DataType::Map(..) | DataType::Tuple(_))
}

fn incompatible(data_type: &DataType, column: &str, field: &Field) -> Error {
    Error::new(
        INCOMPATIBLE,
        format!(
            "The data type {data_type} of the column `{column}` is not compatible with the field '{}' of \
             the protobuf schema",
            field.name
        ),
    )
}
