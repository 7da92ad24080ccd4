//! Tables: their keys ([`key`]), the order of rows ([`order`]) and how a block becomes parts
//! ([`insert`]); how columns are read from parts of earlier definitions ([`column_reader`]).

pub mod column_reader;
pub mod insert;
pub mod key;
pub(crate) mod order;
mod piles;
pub(crate) mod projection;
pub(crate) mod projection_build;
mod sort;

#[cfg(test)]
mod projection_tests;
#[cfg(test)]
pub(crate) mod tests;

use crate::log::{ColumnDefinition, DefaultKind, TableDefinition};
use crate::part::codec::Generic;
use crate::part::codec::declare::parse_default;

/// Rows of a granule unless the table says otherwise.
pub const INDEX_GRANULARITY: usize = 8192;
/// More rows than this in a granule would defeat pruning and the encodings.
const INDEX_GRANULARITY_MAX: usize = 65_535;

/// The columns that parts hold, in order: all but ALIAS and EPHEMERAL ones.
pub fn stored_columns(definition: &TableDefinition) -> impl Iterator<Item = &ColumnDefinition> {
    definition.columns.iter().filter(|column| {
        !column
            .default
            .as_ref()
            .is_some_and(|d| matches!(d.kind, DefaultKind::Alias | DefaultKind::Ephemeral))
    })
}

/// The table's `index_granularity`.
pub fn index_granularity(definition: &TableDefinition) -> usize {
    setting(definition, "index_granularity")
        .map_or(INDEX_GRANULARITY, |rows: usize| rows.clamp(1, INDEX_GRANULARITY_MAX))
}

/// What columns without a codec are compressed with.
pub(crate) fn default_codec(definition: &TableDefinition) -> Generic {
    let text = definition.settings.get("default_compression_codec").map_or("", String::as_str);
    parse_default(text.trim_matches('\'')).unwrap_or(Generic::Lz4)
}

pub(crate) fn setting<T: std::str::FromStr>(definition: &TableDefinition, name: &str) -> Option<T> {
    definition.settings.get(name)?.trim_matches('\'').parse().ok()
}
