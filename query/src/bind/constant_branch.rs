//! `if` and `multiIf` whose conditions are known: what is not chosen need not make sense. If it has no
//! meaning (an unknown function, types that do not fit, a text that is no number), the call is the chosen
//! branch alone, with its type and its name. Otherwise the call is bound like any other.
//!
//! Each argument is bound once. Errors that are not about the argument (limits, cancelling) stay errors.

use pumphouse_storage::DataType;

use super::Binder;
use super::scope::Scope;
use super::tree::Tree;
use crate::error::{Error, Result, codes};
use crate::functions::{self, ScalarFunction};
use crate::sql;
use crate::sql::ast::{Call, Expr, ExprKind};
use crate::sql::names_in;

/// What stands for a call in result names.
#[derive(Clone)]
pub(super) enum Shown {
    /// One of its arguments.
    Argument(usize),
    /// The function by its own name, where an alias was written.
    Name(String),
}

/// The arguments of a call, or the one that is all that is left of it.
pub(super) enum Branches {
    All(Vec<Tree>),
    Chosen(Tree),
}

impl Binder<'_> {
    /// The arguments of `call`, of which some may have no meaning if conditions are known.
    pub(super) fn branches(
        &self,
        function: &dyn ScalarFunction,
        expr: &Expr,
        call: &Call,
        scope: &Scope,
    ) -> Result<Branches> {
        let count = call.arguments.len();
        let choice = match function.name() {
            "if" => count == 3,
            "multiIf" => count >= 3 && count % 2 == 1,
            _ => false,
        };
        if !choice || !call.arguments.iter().all(is_one_value) {
            return self.arguments(&call.arguments, scope).map(Branches::All);
        }
        let mut bound: Vec<Option<Tree>> = vec![None; count];
        let mut chosen = None;
        for index in (0..count - 1).step_by(2) {
            let condition = self.argument(&call.arguments[index], scope)?;
            let holds = known_condition(&condition);
            bound[index] = Some(condition);
            match holds {
                None => break,
                Some(true) => chosen = Some(index + 1),
                Some(false) if index + 3 == count => chosen = Some(index + 2),
                Some(false) => continue,
            }
            break;
        }
        if let Some(chosen) = chosen
            && !self.others_make_sense(chosen, &mut bound, call, scope)?
        {
            self.note_shown(expr, Shown::Argument(chosen));
            return self.argument(&call.arguments[chosen], scope).map(Branches::Chosen);
        }
        for (tree, argument) in bound.iter().zip(&call.arguments).filter(|_| chosen.is_none()) {
            tree.iter().for_each(|tree| self.note_own_name(argument, tree));
        }
        let rest = bound.into_iter().zip(&call.arguments).map(|(tree, argument)| match tree {
            Some(tree) => Ok(tree),
            None => self.argument(argument, scope),
        });
        rest.collect::<Result<_>>().map(Branches::All)
    }

    /// Binds all arguments but the chosen one; false if one of them has no meaning.
    fn others_make_sense(
        &self,
        chosen: usize,
        bound: &mut [Option<Tree>],
        call: &Call,
        scope: &Scope,
    ) -> Result<bool> {
        for (index, argument) in call.arguments.iter().enumerate() {
            if index == chosen {
                continue;
            }
            let tree = match bound[index].take() {
                Some(tree) => tree,
                None => match self.argument(argument, scope) {
                    Ok(tree) => tree,
                    Err(error) if is_limit(&error) => return Err(error),
                    Err(_) => return Ok(false),
                },
            };
            self.note_own_name(argument, &tree);
            bound[index] = Some(tree);
        }
        Ok(true)
    }

    /// A constant that was looked at shows its function by its own name.
    fn note_own_name(&self, argument: &Expr, tree: &Tree) {
        if let ExprKind::Call(inner) = &argument.kind
            && tree.as_constant().is_some()
            && !tree.has.computed
            && names_in(argument).is_empty()
            && let Some(name) = self.own_name(&inner.name)
        {
            self.note_shown(argument, Shown::Name(name));
        }
    }

    /// What the function of a constant is called, if that is not what is written.
    fn own_name(&self, written: &str) -> Option<String> {
        if self.setting(|s| s.bool("transform_null_in", false)) {
            match written {
                "in" => return Some("nullIn".into()),
                "notIn" => return Some("notNullIn".into()),
                "globalIn" => return Some("globalNullIn".into()),
                "globalNotIn" => return Some("globalNotNullIn".into()),
                _ => {}
            }
        }
        let function = functions::lookup(written)?;
        (function.name() != written).then(|| function.name().to_string())
    }

    fn note_shown(&self, expr: &Expr, shown: Shown) {
        let noted = (sql::format::expr(expr), shown);
        self.shown.borrow_mut().insert(std::ptr::from_ref(expr) as usize, noted);
    }

    /// `expr` as result names show it, if that is another expression.
    pub(super) fn shown_otherwise(&self, expr: &Expr) -> Option<Expr> {
        if self.shown.borrow().is_empty() {
            return None;
        }
        let mut shown = expr.clone();
        self.put_shown(expr, &mut shown);
        Some(shown)
    }

    fn put_shown(&self, expr: &Expr, shown: &mut Expr) {
        let ExprKind::Call(call) = &expr.kind else {
            if let (ExprKind::Lambda { body, .. }, ExprKind::Lambda { body: of_shown, .. }) =
                (&expr.kind, &mut shown.kind)
            {
                self.put_shown(body, of_shown);
            }
            return;
        };
        if shown.alias.is_some() {
            return;
        }
        let noted = self.shown.borrow().get(&(std::ptr::from_ref(expr) as usize)).cloned();
        // A text that is the same is the same expression, not another one in its memory.
        let noted = noted.filter(|(text, _)| *text == sql::format::expr(expr));
        if let Some((_, Shown::Argument(chosen))) = noted {
            *shown = call.arguments[chosen].clone();
            return self.put_shown(&call.arguments[chosen], shown);
        }
        let ExprKind::Call(of_shown) = &mut shown.kind else { return };
        if let Some((_, Shown::Name(name))) = noted {
            of_shown.name = name;
        }
        for (argument, of_shown) in call.arguments.iter().zip(&mut of_shown.arguments) {
            self.put_shown(argument, of_shown);
        }
    }
}

/// Not an asterisk or the like.
fn is_one_value(expr: &Expr) -> bool {
    !matches!(
        expr.kind,
        ExprKind::Asterisk(_) | ExprKind::QualifiedAsterisk { .. } | ExprKind::Columns { .. }
    )
}

/// Whether a condition holds, if that is known; NULL does not.
fn known_condition(condition: &Tree) -> Option<bool> {
    if condition.has.computed {
        return None;
    }
    let value = condition.as_constant()?;
    match condition.data_type.inner() {
        DataType::UInt8 | DataType::Bool | DataType::Nothing => {
            Some(value.as_i128().is_some_and(|v| v != 0))
        }
        _ => None,
    }
}

/// Errors that say nothing about the argument that raises them.
fn is_limit(error: &Error) -> bool {
    matches!(
        error.code(),
        codes::TOO_DEEP_RECURSION
            | codes::TOO_BIG_AST
            | codes::TIMEOUT_EXCEEDED
            | codes::MEMORY_LIMIT_EXCEEDED
            | codes::QUERY_WAS_CANCELLED
    )
}
