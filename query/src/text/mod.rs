//! Text to values and back, as ClickHouse prints and parses them. Shared by casts (`functions/cast`)
//! and by the text formats of the ingest crate.
//!
//! [`write`] and [`json`] print one value of an array; [`read`] parses one whole text into a
//! [`Value`](pumphouse_storage::Value); [`number`], [`time`] and [`address`] are the parsers of the
//! single kinds, for typed loops; [`calendar`] is dates by arithmetic and zones by lookup.
//! A parse error is a [`TextError`]: ClickHouse's code and words, without row or column.

pub mod address;
pub mod calendar;
pub mod clock;
pub mod json;
pub mod number;
pub mod quantity;
pub mod read;
pub mod style;
pub mod time;
mod type_name;
pub mod utf8;
pub mod write;

pub use address::{parse_ipv4, parse_ipv6, parse_uuid};
pub use json::{JsonOptions, write_json, write_json_string};
pub use number::{
    Integer, parse_decimal, parse_decimal256, parse_float, parse_int, read_decimal, read_float,
    read_int,
};
pub use read::{parse_bool, parse_value, read_quoted_value};
pub use time::{parse_date, parse_date_time, parse_date_time64, parse_date32};
pub use type_name::pretty_type_name;
pub use write::{write_quoted, write_text};

/// Why a text is not a value of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// ClickHouse's error code.
    pub code: u32,
    pub message: String,
}

impl TextError {
    pub fn new(code: u32, message: impl Into<String>) -> TextError {
        TextError { code, message: message.into() }
    }
}

impl From<TextError> for crate::error::Error {
    fn from(e: TextError) -> Self {
        crate::error::Error::new(e.code, e.message)
    }
}

pub type TextResult<T> = std::result::Result<T, TextError>;

/// The text in an error message: at most 100 bytes of it, lossy.
pub(crate) fn excerpt(text: &[u8]) -> String {
    let cut = &text[..text.len().min(100)];
    String::from_utf8_lossy(cut).into_owned()
}
