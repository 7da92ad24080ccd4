//! The settings that exist: `known.tsv` as a table by name.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::bind::names::similar;
use crate::error::{Error, Result, codes};

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    /// Zero where `positive` is not allowed; `auto` where it is.
    Unsigned {
        positive: bool,
        auto: bool,
    },
    Signed,
    Float {
        auto: bool,
    },
    /// A truth or `auto`.
    BoolAuto,
    Char,
    TimeZone,
    Map,
    Text,
    /// One of some words, or several with commas; else the error's code.
    Choice {
        words: &'static str,
        several: bool,
        code: u32,
    },
}

/// A setting of the ClickHouse release that we follow.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    /// As `system.settings` shows it.
    pub type_name: &'static str,
    pub default: String,
    /// `Production`, `Beta`, `Experimental`, `PrivatePreview` or `Obsolete`.
    pub tier: &'static str,
    /// The setting that this name stands for; empty if it stands for itself.
    pub alias_for: &'static str,
    pub(super) kind: Kind,
}

/// All settings, in order of their names.
pub fn all() -> &'static [Known] {
    static ALL: OnceLock<Vec<Known>> = OnceLock::new();
    ALL.get_or_init(|| include_str!("known.tsv").lines().filter_map(read).collect())
}

fn read(line: &'static str) -> Option<Known> {
    let mut fields = line.split('\t');
    let (name, type_name) = (fields.next()?, fields.next()?);
    let (default, tier) = (escaped(fields.next()?), fields.next()?);
    let alias_for = fields.next().unwrap_or("");
    Some(Known { name, type_name, default, tier, alias_for, kind: kind_of(type_name) })
}

/// A field of TabSeparated.
fn escaped(field: &str) -> String {
    String::from_utf8_lossy(&crate::sql::unescaped(field)).into_owned()
}

fn kind_of(type_name: &str) -> Kind {
    match type_name {
        "Bool" => Kind::Bool,
        "BoolAuto" => Kind::BoolAuto,
        "UInt64" | "Milliseconds" => Kind::Unsigned { positive: false, auto: false },
        "NonZeroUInt64" => Kind::Unsigned { positive: true, auto: false },
        "MaxThreads" | "UInt64Auto" => Kind::Unsigned { positive: false, auto: true },
        "Int64" | "Int32" => Kind::Signed,
        "Float" | "Double" | "Seconds" => Kind::Float { auto: false },
        "FloatAuto" => Kind::Float { auto: true },
        "Char" => Kind::Char,
        "Timezone" => Kind::TimeZone,
        "Map" => Kind::Map,
        _ => choice_of(type_name).unwrap_or(Kind::Text),
    }
}

/// Types whose value is a list of words.
const LISTS: &[&str] = &["JoinAlgorithm", "MySQLDataTypesSupport", "JoinOrderAlgorithm"];

fn choice_of(type_name: &str) -> Option<Kind> {
    include_str!("choices.tsv").lines().find_map(|line| {
        let mut fields = line.split('\t');
        (fields.next()? == type_name).then_some(())?;
        let code = fields.next()?.parse().ok()?;
        Some(Kind::Choice { words: fields.next()?, several: LISTS.contains(&type_name), code })
    })
}

fn by_name() -> &'static HashMap<&'static str, &'static Known> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static Known>> = OnceLock::new();
    BY_NAME.get_or_init(|| all().iter().map(|k| (k.name, k)).collect())
}

/// Whether a name is a setting: all of ClickHouse's are taken, those that mean something here have effect.
pub fn is_known(name: &str) -> bool {
    by_name().contains_key(name) || name.starts_with("SQL_")
}

/// The setting that `name` is or stands for. Error 115 if there is none, with what it may have meant.
pub fn known(name: &str) -> Result<&'static Known> {
    let found = by_name().get(name).copied();
    let found = match found {
        Some(alias) if !alias.alias_for.is_empty() => by_name().get(alias.alias_for).copied(),
        found => found,
    };
    found.ok_or_else(|| {
        let near: Vec<String> =
            similar(name, all().iter().map(|k| k.name)).iter().map(|n| format!("'{n}'")).collect();
        let hint = match near.as_slice() {
            [] => String::new(),
            near => format!(": Maybe you meant [{}]", near.join(", ")),
        };
        Error::new(codes::UNKNOWN_SETTING, format!("Unknown setting '{name}'{hint}"))
    })
}
