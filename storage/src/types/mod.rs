//! ClickHouse's data types: the logical type ([`DataType`]), how it lies in memory
//! ([`DataType::arrow`]), one value of it ([`Value`]) and its textual name.
//!
//! Physical layout, decided once here: a column is an Arrow array; NULL is the array's validity
//! bitmap; LowCardinality is logical only (the part writer picks dictionaries by itself).

mod data_type;
mod parse;
mod run_time;
mod time_zone;
mod value;

pub use data_type::{DataType, EnumValues, TupleElement, back_quote_if_needed};
pub use parse::parse_data_type;
pub use run_time::{JsonType, PATHS_MAX_DEFAULT, TYPES_MAX_DEFAULT};
pub use time_zone::TimeZone;
pub use value::{Value, format_float};
