//! What a query's filter says about single columns, as a tree: a row can pass the filter only if
//! the tree holds for it. Leaves are ranges of a column or key expression, pieces that a text must
//! contain, and elements that an array must hold.
//!
//! A tree is necessary, not sufficient: what cannot be said is [`Predicate::Any`].

use super::ColumnCondition;
use crate::types::Value;

/// A necessary condition on rows. Columns are named; an expression is named by its text.
#[derive(Debug, Clone, Default)]
pub enum Predicate {
    /// Nothing is known.
    #[default]
    Any,
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Ranges(ColumnCondition),
    /// The text contains every one of these pieces; so does no NULL.
    Contains {
        column: String,
        pieces: Vec<Piece>,
    },
    /// The array holds all of `values` (or at least one of them).
    Holds {
        column: String,
        values: Vec<Value>,
        all: bool,
    },
}

/// What a text must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes; `from_start` and `to_end`: they are the text's first, its last.
    Bytes { bytes: Vec<u8>, from_start: bool, to_end: bool },
    /// A whole word: bytes other than ASCII letters and digits, or the text's ends, stand around.
    Word(Vec<u8>),
}

impl Predicate {
    /// All of `parts`.
    pub fn all(parts: Vec<Predicate>) -> Predicate {
        let mut flat = vec![];
        for part in parts {
            match part {
                Predicate::Any => {}
                Predicate::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Predicate::Any,
            1 => flat.remove(0),
            _ => Predicate::And(flat),
        }
    }

    /// At least one of `parts`.
    pub fn any(parts: Vec<Predicate>) -> Predicate {
        match parts.iter().any(|p| matches!(p, Predicate::Any)) {
            true => Predicate::Any,
            false => Predicate::Or(parts),
        }
    }

    /// Whether the tree can be false when only leaves for which `usable` holds are looked at.
    pub fn restricts(&self, usable: &dyn Fn(&Predicate) -> bool) -> bool {
        match self {
            Predicate::Any => false,
            Predicate::And(parts) => parts.iter().any(|p| p.restricts(usable)),
            Predicate::Or(parts) => parts.iter().all(|p| p.restricts(usable)),
            leaf => usable(leaf),
        }
    }

    /// Whether the tree can hold, given whether each leaf can.
    pub fn may_hold(&self, leaf: &mut dyn FnMut(&Predicate) -> bool) -> bool {
        match self {
            Predicate::Any => true,
            Predicate::And(parts) => parts.iter().all(|p| p.may_hold(leaf)),
            Predicate::Or(parts) => parts.iter().any(|p| p.may_hold(leaf)),
            one => leaf(one),
        }
    }

    /// The column or expression that a leaf is about.
    pub fn column(&self) -> Option<&str> {
        match self {
            Predicate::Ranges(condition) => Some(&condition.column),
            Predicate::Contains { column, .. } | Predicate::Holds { column, .. } => Some(column),
            _ => None,
        }
    }

    /// Calls `visit` for every leaf.
    pub fn each_leaf<'p>(&'p self, visit: &mut dyn FnMut(&'p Predicate)) {
        match self {
            Predicate::Any => {}
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().for_each(|p| p.each_leaf(visit));
            }
            leaf => visit(leaf),
        }
    }

    /// The tree as EXPLAIN shows it, of the leaves for which `usable` holds.
    pub fn text(&self, usable: &dyn Fn(&Predicate) -> bool) -> String {
        if !self.restricts(usable) {
            return "true".into();
        }
        match self {
            Predicate::Any => "true".into(),
            Predicate::And(parts) => {
                let mut texts: Vec<String> =
                    parts.iter().filter(|p| p.restricts(usable)).map(|p| p.text(usable)).collect();
                match texts.len() {
                    1 => texts.remove(0),
                    _ => format!("and({})", texts.join(", ")),
                }
            }
            Predicate::Or(parts) => {
                let texts: Vec<String> = parts.iter().map(|p| p.text(usable)).collect();
                match texts.len() {
                    1 => texts[0].clone(),
                    _ => format!("or({})", texts.join(", ")),
                }
            }
            Predicate::Ranges(condition) => condition.text(),
            Predicate::Contains { column, .. } => format!("({column} contains text)"),
            Predicate::Holds { column, values, .. } => {
                format!("({column} has {}-element set)", values.len())
            }
        }
    }
}
