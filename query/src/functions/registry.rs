//! The registry: every scalar function by name, built once. A family adds its functions with
//! [`Registry::add`]; canonical spelling is exact, the names listed in `names` also match in any
//! case, and aliases lead to the canonical function.
//!
//! [`Definition`] is the one implementation of [`ScalarFunction`]: a type rule and an evaluation,
//! both closures, so that a function is a few lines in its family's file.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use pumphouse_storage::{Column, DataType};

use super::names::{ALIASES, CASE_INSENSITIVE};
use super::type_rule::Args;
use super::{ArgumentType, FunctionCall, Nulls, ScalarFunction};
use crate::error::{Error, Result, codes};

type TypeRule = Box<dyn Fn(&Args) -> Result<DataType> + Send + Sync>;
type LambdaRule = Box<dyn Fn(&[ArgumentType], usize) -> Result<Vec<DataType>> + Send + Sync>;
type Evaluation = Box<dyn Fn(&FunctionCall) -> Result<Column> + Send + Sync>;

/// A function as its family defines it.
pub(super) struct Definition {
    name: &'static str,
    arity: RangeInclusive<usize>,
    nulls: Nulls,
    deterministic: bool,
    keeps_low_cardinality: bool,
    sees_low_cardinality: bool,
    types_see_low_cardinality: bool,
    row_checks: Vec<super::strict::RowCheck>,
    types: TypeRule,
    lambda: Option<LambdaRule>,
    evaluation: Evaluation,
}

impl Definition {
    /// The function sees Nullable arguments itself.
    pub fn own_nulls(&mut self) -> &mut Self {
        self.nulls = Nulls::Own;
        self
    }

    pub fn not_deterministic(&mut self) -> &mut Self {
        self.deterministic = false;
        self
    }

    pub fn drops_low_cardinality(&mut self) -> &mut Self {
        self.keeps_low_cardinality = false;
        self
    }

    /// The function gets its arguments exactly as they are typed, LowCardinality and Nullable too.
    pub fn own_types(&mut self) -> &mut Self {
        self.sees_low_cardinality = true;
        self.nulls = Nulls::Own;
        self
    }

    /// The type rule sees LowCardinality in arguments, so that it can give it on to parts of the result.
    pub fn gives_on_low_cardinality(&mut self) -> &mut Self {
        self.types_see_low_cardinality = true;
        self.nulls = Nulls::Own;
        self
    }

    /// How a leading lambda's parameters follow from the other arguments.
    pub fn lambda(
        &mut self,
        rule: impl Fn(&[ArgumentType], usize) -> Result<Vec<DataType>> + Send + Sync + 'static,
    ) -> &mut Self {
        self.lambda = Some(Box::new(rule));
        self
    }
}

impl ScalarFunction for Definition {
    fn name(&self) -> &str {
        self.name
    }

    fn nulls(&self) -> Nulls {
        self.nulls
    }

    fn deterministic(&self) -> bool {
        self.deterministic
    }

    fn keeps_low_cardinality(&self) -> bool {
        self.keeps_low_cardinality
    }

    fn sees_low_cardinality(&self) -> bool {
        self.sees_low_cardinality
    }

    fn types_see_low_cardinality(&self) -> bool {
        self.types_see_low_cardinality
    }

    fn return_type(&self, arguments: &[ArgumentType]) -> Result<DataType> {
        if !self.arity.contains(&arguments.len()) {
            let (low, high) = (*self.arity.start(), *self.arity.end());
            let expected = match high {
                usize::MAX => format!("at least {low}"),
                _ if low == high => low.to_string(),
                _ => format!("{low} to {high}"),
            };
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!(
                    "Number of arguments for function {} doesn't match: passed {}, should be {expected}",
                    self.name,
                    arguments.len()
                ),
            ));
        }
        super::strict::check(self.name, arguments)?;
        (self.types)(&Args { function: self.name, items: arguments })
    }

    fn checks_columns(&self) -> bool {
        !self.row_checks.is_empty()
    }

    fn check_columns(&self, arguments: &[ArgumentType]) -> Result<()> {
        super::strict::check_columns(self.name, &self.row_checks, arguments)
    }

    fn lambda_parameters(&self, others: &[ArgumentType], arity: usize) -> Result<Vec<DataType>> {
        match &self.lambda {
            Some(rule) => rule(others, arity),
            None => Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!("Function {} does not take a lambda", self.name),
            )),
        }
    }

    fn evaluate(&self, call: &FunctionCall) -> Result<Column> {
        if call.rows > 0 && !self.row_checks.is_empty() {
            super::strict::check_rows(self.name, &self.row_checks, call)?;
        }
        (self.evaluation)(call)
    }
}

/// Functions while the registry is built.
#[derive(Default)]
pub(super) struct Registry {
    definitions: Vec<Definition>,
}

impl Registry {
    /// Adds a function; the returned definition takes further marks.
    pub fn add(
        &mut self,
        name: &'static str,
        arity: RangeInclusive<usize>,
        types: impl Fn(&Args) -> Result<DataType> + Send + Sync + 'static,
        evaluation: impl Fn(&FunctionCall) -> Result<Column> + Send + Sync + 'static,
    ) -> &mut Definition {
        self.definitions.push(Definition {
            name,
            arity,
            nulls: Nulls::Propagate,
            deterministic: true,
            keeps_low_cardinality: true,
            sees_low_cardinality: false,
            types_see_low_cardinality: false,
            row_checks: super::strict::row_checks(name),
            types: Box::new(types),
            lambda: None,
            evaluation: Box::new(evaluation),
        });
        self.definitions.last_mut().expect("one was just pushed")
    }
}

/// One name in `system.functions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionName {
    pub name: &'static str,
    pub case_insensitive: bool,
    pub alias_to: Option<&'static str>,
}

struct Names {
    exact: HashMap<&'static str, Arc<dyn ScalarFunction>>,
    any_case: HashMap<String, Arc<dyn ScalarFunction>>,
    list: Vec<FunctionName>,
}

fn all() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(build)
}

fn build() -> Names {
    let mut registry = Registry::default();
    for add_family in super::FAMILIES {
        add_family(&mut registry);
    }
    let mut names = Names { exact: HashMap::new(), any_case: HashMap::new(), list: vec![] };
    for definition in registry.definitions {
        let name = definition.name;
        let function: Arc<dyn ScalarFunction> = Arc::new(definition);
        let case_insensitive = CASE_INSENSITIVE.contains(&name);
        if case_insensitive {
            names.any_case.insert(name.to_ascii_lowercase(), function.clone());
        }
        let before = names.exact.insert(name, function);
        debug_assert!(before.is_none(), "function {name} stands twice");
        names.list.push(FunctionName { name, case_insensitive, alias_to: None });
    }
    for (alias, canonical, case_insensitive) in ALIASES {
        let Some(function) = names.exact.get(canonical).cloned() else { continue };
        if *case_insensitive {
            names.any_case.insert(alias.to_ascii_lowercase(), function.clone());
        }
        names.exact.entry(alias).or_insert(function);
        names.list.push(FunctionName {
            name: alias,
            case_insensitive: *case_insensitive,
            alias_to: Some(canonical),
        });
    }
    names.list.sort_by_key(|n| n.name);
    names
}

/// The function called `name`: exact spelling, or any case where the function allows it.
pub fn lookup(name: &str) -> Option<Arc<dyn ScalarFunction>> {
    let names = all();
    if let Some(function) = names.exact.get(name) {
        return Some(function.clone());
    }
    names.any_case.get(&name.to_ascii_lowercase()).cloned()
}

/// All names, aliases too, sorted.
pub fn names() -> impl Iterator<Item = &'static FunctionName> {
    all().list.iter()
}
