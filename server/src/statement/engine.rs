//! The MergeTree family in CREATE TABLE: engine names, their arguments and the checks on them.
//!
//! `Replicated…` and `Shared…` names stand for the plain engine: the path and the replica's name are
//! taken away, as there is one server with one log.

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{Expr, ExprKind};
use pumphouse_query::{Error, Result};
use pumphouse_storage::DataType;
use pumphouse_storage::log::ColumnDefinition;

/// The engines whose tables have parts.
pub(super) const MERGE_TREES: [&str; 7] = [
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "CoalescingMergeTree",
];

pub(super) fn is_merge_tree(engine: &str) -> bool {
    MERGE_TREES.contains(&engine)
}

/// The plain engine that a name stands for, and how many arguments are only about replication.
pub(super) fn plain_engine(name: &str, arguments: &[Expr]) -> Option<(&'static str, usize)> {
    let (plain, replicated) = match name {
        n if n.starts_with("Replicated") => (&n["Replicated".len()..], true),
        n if n.starts_with("Shared") => (&n["Shared".len()..], true),
        n => (n, false),
    };
    let plain = MERGE_TREES.iter().find(|engine| **engine == plain)?;
    let literal = |e: &Expr| {
        matches!(&e.kind, ExprKind::Literal { value: pumphouse_storage::Value::String(_), .. })
    };
    let about = arguments.iter().take(2).take_while(|e| literal(e)).count();
    Some((plain, if replicated { about } else { 0 }))
}

/// What the clause's arguments name, checked against the table's columns and keys.
pub(super) struct EngineArguments<'a> {
    pub engine: &'a str,
    pub arguments: &'a [Expr],
    pub columns: &'a [ColumnDefinition],
    /// Columns that the sorting and the partition key read.
    pub sorting_columns: &'a [String],
    pub partition_columns: &'a [String],
}

impl EngineArguments<'_> {
    /// Names of columns, in order; a list of columns to sum is flat.
    pub(super) fn checked(&self) -> Result<Vec<String>> {
        let (least, most, what) = match self.engine {
            "ReplacingMergeTree" => (0, 2, "0 to 2 parameters: [is_deleted column], [version]"),
            "SummingMergeTree" => (0, 1, "0 to 1 parameters: [list of columns to sum]"),
            "CoalescingMergeTree" => (0, 1, "0 to 1 parameters: [list of columns to coalesce]"),
            "CollapsingMergeTree" => (1, 1, "1 parameters: sign column"),
            "VersionedCollapsingMergeTree" => (2, 2, "2 parameters: sign column, version"),
            _ => (0, 0, "no parameters"),
        };
        if !(least..=most).contains(&self.arguments.len()) {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "With extended storage definition syntax storage {} requires {what}",
                    self.engine
                ),
            ));
        }
        match self.engine {
            "ReplacingMergeTree" => self.replacing(),
            "SummingMergeTree" | "CoalescingMergeTree" => self.listed(),
            "CollapsingMergeTree" => Ok(vec![self.sign(0)?]),
            "VersionedCollapsingMergeTree" => {
                let sign = self.sign(0)?;
                let version = self.name(1)?;
                let Some(column) = self.column(&version) else {
                    return Err(Error::new(
                        codes::NO_SUCH_COLUMN_IN_TABLE,
                        format!("There is no physical column {version} in table."),
                    ));
                };
                self.check_version(column)?;
                Ok(vec![sign, version])
            }
            _ => Ok(vec![]),
        }
    }

    fn name(&self, i: usize) -> Result<String> {
        column_name(&self.arguments[i])
            .ok_or_else(|| Error::new(codes::BAD_ARGUMENTS, "Wrong number of engine arguments."))
    }

    fn column(&self, name: &str) -> Option<&ColumnDefinition> {
        self.columns.iter().find(|c| c.name == name)
    }

    fn sign(&self, i: usize) -> Result<String> {
        let name = self.name(i)?;
        match self.column(&name) {
            Some(c) if c.data_type == DataType::Int8 => Ok(name),
            Some(c) => Err(Error::new(
                codes::BAD_TYPE_OF_FIELD,
                format!(
                    "Sign column ({name}) for storage {} must have type Int8. Provided column of type {}.",
                    self.engine, c.data_type
                ),
            )),
            None => Err(Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!("Sign column {name} does not exist in table declaration."),
            )),
        }
    }

    fn check_version(&self, column: &ColumnDefinition) -> Result<()> {
        let fits = match &column.data_type {
            DataType::Date | DataType::DateTime(_) | DataType::DateTime64(..) => true,
            DataType::Date32 => true,
            other => other.is_integer() || other.is_float(),
        };
        if fits {
            return Ok(());
        }
        Err(Error::new(
            codes::BAD_TYPE_OF_FIELD,
            format!(
                "The column {} cannot be used as a version column for storage {} because it is of type {} (must be of an integer type or of type Date/DateTime/DateTime64).",
                column.name, self.engine, column.data_type
            ),
        ))
    }

    fn replacing(&self) -> Result<Vec<String>> {
        let mut names = vec![];
        if self.arguments.is_empty() {
            return Ok(names);
        }
        let version = self.name(0)?;
        let Some(column) = self.column(&version) else {
            return Err(Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!("Version column {version} does not exist in table declaration."),
            ));
        };
        self.check_version(column)?;
        names.push(version);
        if self.arguments.len() == 2 {
            let deleted = self.name(1)?;
            if deleted == names[0] {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    format!(
                        "The version and is_deleted column cannot be the same column ({deleted})."
                    ),
                ));
            }
            match self.column(&deleted) {
                Some(c) if c.data_type == DataType::UInt8 => names.push(deleted),
                Some(c) => {
                    return Err(Error::new(
                        codes::BAD_TYPE_OF_FIELD,
                        format!(
                            "is_deleted column ({deleted}) for storage {} must have type UInt8. Provided column of type {}.",
                            self.engine, c.data_type
                        ),
                    ));
                }
                None => {
                    return Err(Error::new(
                        codes::NO_SUCH_COLUMN_IN_TABLE,
                        format!("is_deleted column {deleted} does not exist in table declaration."),
                    ));
                }
            }
        }
        Ok(names)
    }

    fn listed(&self) -> Result<Vec<String>> {
        let names: Vec<String> = match self.arguments.first().map(|a| &a.kind) {
            None => vec![],
            Some(ExprKind::Call(call)) if call.name == "tuple" => call
                .arguments
                .iter()
                .map(|a| {
                    column_name(a).ok_or_else(|| {
                        Error::new(codes::BAD_ARGUMENTS, "Columns to sum must be names.")
                    })
                })
                .collect::<Result<_>>()?,
            Some(_) => vec![self.name(0)?],
        };
        for (columns, key) in
            [(self.sorting_columns, "sorting"), (self.partition_columns, "partition")]
        {
            let both: Vec<&str> =
                names.iter().filter(|n| columns.contains(n)).map(String::as_str).collect();
            if !both.is_empty() {
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    format!(
                        "Columns: {} listed both in columns to sum and in {key} key. That is not allowed.",
                        both.join(", ")
                    ),
                ));
            }
        }
        // The name of a Nested stands for its columns.
        let known = |name: &String| {
            let nested = format!("{name}.");
            self.columns.iter().any(|c| c.name == *name || c.name.starts_with(&nested))
        };
        match names.iter().find(|name| !known(name)) {
            Some(name) => Err(Error::new(
                codes::NO_SUCH_COLUMN_IN_TABLE,
                format!(
                    "Column {name} listed in columns to sum does not exist in table declaration."
                ),
            )),
            None => Ok(names),
        }
    }
}

fn column_name(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Identifier(parts) => Some(parts.join(".")),
        _ => None,
    }
}
