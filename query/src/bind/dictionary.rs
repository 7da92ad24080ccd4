//! Calls of dictionary functions: the first argument names a dictionary, as a string or a bare name.

use pumphouse_storage::Value;

use super::Binder;
use super::expression::literal;
use super::scope::Scope;
use super::tree::Tree;
use crate::error::{Error, Result, codes};
use crate::functions;
use crate::sql::ast::{Call, Expr, ExprKind};

impl Binder<'_> {
    pub(super) fn dictionary_call(&self, call: &Call, scope: &Scope) -> Result<Tree> {
        let Some((first, rest)) = call.arguments.split_first().filter(|(_, r)| !r.is_empty())
        else {
            return Err(Error::new(
                codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                format!("Wrong argument count for function {}", call.name),
            ));
        };
        let name = self.dictionary_name(first, &call.name, scope)?;
        let dictionary = self.catalog.dictionary(&self.ctx.database, &name)?;
        let Some(function) = functions::dictionary_function(&call.name, dictionary) else {
            return Err(Error::new(
                codes::UNKNOWN_FUNCTION,
                format!("Unknown function {}", call.name),
            ));
        };
        let mut arguments = vec![literal(&Value::string(name))];
        arguments.extend(self.arguments(rest, scope)?);
        self.make_function_call(function, arguments)
    }

    pub(super) fn dictionary_name(
        &self,
        expr: &Expr,
        function: &str,
        scope: &Scope,
    ) -> Result<String> {
        if let ExprKind::Identifier(parts) = &expr.kind
            && self.resolve(parts, scope)?.is_none()
        {
            return Ok(parts.join("."));
        }
        let tree = self.expression(expr, scope)?;
        match tree.as_constant() {
            Some(Value::String(bytes)) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            _ => Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                format!(
                    "Illegal type of first argument of function {function}, expected a const string"
                ),
            )),
        }
    }
}
