//! Columnar containers in Arrow's memory: Arrow (the file), ArrowStream and Parquet.
//!
//! `export` and `import` turn our columns into Arrow's logical types and back; `stream` has the
//! containers, `parquet_columns` reads Parquet's. Text that is not UTF-8 goes out with replacement characters, since Arrow's
//! strings are UTF-8. Packed buffers (LZ4, ZSTD) are read, their announced lengths checked by
//! `announced` first; nothing is packed when writing. Leaves out unions, views of lists and run-end
//! encoding.

mod announced;
mod export;
mod import;
mod parquet_columns;
mod parquet_text;
mod stream;

pub use stream::{ArrowReader, ArrowWriter, Container, infer};

use pumphouse_query::error::codes;

use super::ParseError;

fn bad(message: impl std::fmt::Display) -> ParseError {
    ParseError { code: codes::INCORRECT_DATA, message: message.to_string() }
}
