//! What a function's type rule sees: its name and argument types, with the checks and errors that
//! most rules share.

use pumphouse_storage::{DataType, Value};

use super::ArgumentType;
use crate::error::{Error, Result, codes};

/// Argument types of one call of `function`.
pub(super) struct Args<'a> {
    pub function: &'a str,
    pub items: &'a [ArgumentType],
}

impl<'a> Args<'a> {
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn get(&self, index: usize) -> &'a DataType {
        &self.items[index].data_type
    }

    pub fn types(&self) -> Vec<DataType> {
        self.items.iter().map(|a| a.data_type.clone()).collect()
    }

    pub fn constant(&self, index: usize) -> Option<&'a Value> {
        self.items.get(index)?.constant.as_ref()
    }

    /// Error 43 about argument `index`.
    pub fn illegal(&self, index: usize) -> Error {
        Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!(
                "Illegal type {} of argument {} of function {}",
                self.get(index),
                index + 1,
                self.function
            ),
        )
    }

    /// Error 43 about two arguments together.
    pub fn illegal_pair(&self) -> Error {
        Error::new(
            codes::ILLEGAL_TYPE_OF_ARGUMENT,
            format!(
                "Illegal types {} and {} of arguments of function {}",
                self.get(0),
                self.get(1),
                self.function
            ),
        )
    }

    pub fn require(&self, index: usize, holds: impl Fn(&DataType) -> bool) -> Result<()> {
        match self.items.get(index) {
            Some(a) if !holds(&a.data_type) => Err(self.illegal(index)),
            _ => Ok(()),
        }
    }

    /// Argument `index` (if given) is String or FixedString.
    pub fn string(&self, index: usize) -> Result<()> {
        self.require(index, |t| t.is_string() || *t == DataType::Nothing)
    }

    /// Arguments from `from` on are strings.
    pub fn strings(&self, from: usize) -> Result<()> {
        (from..self.len()).try_for_each(|i| self.string(i))
    }

    /// Argument `index` (if given) is an integer.
    pub fn integer(&self, index: usize) -> Result<()> {
        self.require(index, |t| t.is_integer() || *t == DataType::Nothing)
    }

    /// Argument `index` (if given) is stored as an integer.
    pub fn integer_like(&self, index: usize) -> Result<()> {
        self.require(index, |t| {
            t.is_integer()
                || t.is_date_or_time()
                || matches!(
                    t,
                    DataType::Enum8(_)
                        | DataType::Enum16(_)
                        | DataType::Ipv4
                        | DataType::Decimal { .. }
                        | DataType::Nothing
                )
        })
    }

    /// Argument `index` (if given) is a number.
    pub fn number(&self, index: usize) -> Result<()> {
        self.require(index, |t| t.is_number() || *t == DataType::Nothing)
    }

    /// Argument `index` (if given) is a date or time.
    pub fn date(&self, index: usize) -> Result<()> {
        self.require(index, |t| t.is_date_or_time() || *t == DataType::Nothing)
    }

    /// The text of a constant string argument; error 43 / 44 if it is none.
    pub fn constant_text(&self, index: usize) -> Result<String> {
        match self.constant(index) {
            Some(Value::String(bytes)) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Some(_) => Err(self.illegal(index)),
            None => Err(Error::new(
                codes::ILLEGAL_COLUMN,
                format!(
                    "Argument {} of function {} must be a constant string",
                    index + 1,
                    self.function
                ),
            )),
        }
    }
}

/// Error 44: an argument is not a column that the function can read.
pub(super) fn illegal_column(what: impl Into<String>) -> Error {
    Error::new(codes::ILLEGAL_COLUMN, what)
}

/// Error 36.
pub(super) fn bad_argument(what: impl Into<String>) -> Error {
    Error::new(codes::BAD_ARGUMENTS, what)
}
