//! Types whose values know their own type: what `Variant`, `Dynamic` and `JSON` are declared with.
//!
//! How their values lie is for [`run_time`](crate::run_time) to say.

use std::fmt;

use super::DataType;
use super::data_type::{back_quote_if_needed, quote_string};

/// Defaults of `Dynamic(max_types)` and `JSON(max_dynamic_paths, max_dynamic_types)`.
pub const TYPES_MAX_DEFAULT: u64 = 32;
pub const PATHS_MAX_DEFAULT: u64 = 1024;

/// The declaration of a JSON type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct JsonType {
    /// None is the default.
    pub paths_max: Option<u64>,
    pub types_max: Option<u64>,
    /// Paths that have a type of their own, sorted by path.
    pub typed: Vec<(String, DataType)>,
    /// Paths that are dropped, with all below them.
    pub skipped: Vec<String>,
    /// Regular expressions of paths that are dropped.
    pub skipped_patterns: Vec<String>,
}

impl JsonType {
    /// The type of a path that is declared.
    pub fn typed_path(&self, path: &str) -> Option<&DataType> {
        let at = self.typed.binary_search_by(|(p, _)| p.as_str().cmp(path)).ok()?;
        Some(&self.typed[at].1)
    }

    pub fn paths_max(&self) -> u64 {
        self.paths_max.unwrap_or(PATHS_MAX_DEFAULT)
    }

    pub fn types_max(&self) -> u64 {
        self.types_max.unwrap_or(TYPES_MAX_DEFAULT)
    }

    /// The type of the objects below `path`.
    pub fn below(&self, path: &str) -> JsonType {
        let inside = |p: &String| p.strip_prefix(path)?.strip_prefix('.').map(str::to_string);
        JsonType {
            paths_max: self.paths_max,
            types_max: self.types_max,
            typed: self.typed.iter().filter_map(|(p, t)| Some((inside(p)?, t.clone()))).collect(),
            skipped: self.skipped.iter().filter_map(inside).collect(),
            skipped_patterns: self.skipped_patterns.clone(),
        }
    }

    /// The type of objects inside arrays: the limits shrink with each level.
    pub fn nested(&self) -> JsonType {
        JsonType {
            paths_max: Some(self.paths_max() / 4),
            types_max: Some(self.types_max() / 2),
            ..JsonType::default()
        }
    }
}

/// A path as it stands in a type: bare words with points between them.
fn path_text(path: &str) -> String {
    back_quote_if_needed(path)
}

impl fmt::Display for JsonType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![];
        if let Some(n) = self.types_max {
            parts.push(format!("max_dynamic_types={n}"));
        }
        if let Some(n) = self.paths_max {
            parts.push(format!("max_dynamic_paths={n}"));
        }
        parts.extend(self.typed.iter().map(|(p, t)| format!("{} {t}", path_text(p))));
        parts.extend(self.skipped.iter().map(|p| format!("SKIP {}", path_text(p))));
        parts.extend(
            self.skipped_patterns.iter().map(|p| format!("SKIP REGEXP {}", quote_string(p))),
        );
        if parts.is_empty() {
            return f.write_str("JSON");
        }
        write!(f, "JSON({})", parts.join(", "))
    }
}
