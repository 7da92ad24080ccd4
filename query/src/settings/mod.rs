//! Settings: what there is (`known.tsv`: every name of the ClickHouse release that we follow), what values
//! each takes, and what of them a request may change.
//!
//! Values are kept as canonical text by canonical name ([`Settings`]): `'5G'` is `5000000000`, `true` is `1`,
//! a name that stands for another is that other. A wrong value is an error where it is set, never a default
//! where it is read. `choices.tsv` lists the types that are one of several words, with the error's code.

mod allowed;
mod known;
mod value;

use std::collections::BTreeMap;

pub use self::allowed::{Changes, Constraint, is_harmless};
pub use self::known::{Known, all, is_known, known};
pub use self::value::{of_text, of_value, typed};

/// Settings as canonical text by name; typed access with the default at the place of use.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub values: BTreeMap<String, String>,
}

impl Settings {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Sets without a check: for values that were checked, and for names of our own.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// An unsigned setting, `default` if unset or not a number.
    pub fn u64(&self, name: &str, default: u64) -> u64 {
        self.get(name).and_then(|v| v.parse::<u64>().ok()).unwrap_or(default)
    }

    pub fn bool(&self, name: &str, default: bool) -> bool {
        match self.get(name) {
            Some("1" | "true" | "True" | "TRUE") => true,
            Some("0" | "false" | "False" | "FALSE" | "") => false,
            _ => default,
        }
    }
}

#[cfg(test)]
mod tests;
