//! Which function names mean something here: those of the registries and those that the binder itself
//! gives a meaning. For the coverage list in `docs/` and for `system.functions`.

use crate::{aggregates, bind, functions};

/// Functions that are part of the language: the binder knows what they do.
pub const LANGUAGE_FUNCTIONS: &[&str] = &[
    "arrayJoin",
    "unnest",
    "in",
    "notIn",
    "globalIn",
    "globalNotIn",
    "nullIn",
    "notNullIn",
    "globalNullIn",
    "globalNotNullIn",
    "exists",
    "grouping",
    "caseWithExpression",
    "caseWithExpr",
    "rowNumberInAllBlocks",
    "runningDifference",
    "formatRow",
    "formatRowNoNewline",
    "joinGet",
    "joinGetOrNull",
];

/// Whether a call of `name` can be bound.
pub fn is_function(name: &str) -> bool {
    functions::lookup(name).is_some()
        || aggregates::is_aggregate(name)
        || functions::is_dictionary_function(name)
        || bind::WINDOW_FUNCTIONS.contains(&name)
        || LANGUAGE_FUNCTIONS.contains(&name)
}
