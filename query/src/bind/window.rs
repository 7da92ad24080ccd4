//! Window function calls: the function, its window (inline, named, or a named one refined) and frame.

use pumphouse_storage::DataType;

use super::Binder;
use super::call::RANKING;
use super::names::{error_in, with_scope};
use super::order::default_nulls_first;
use super::scope::Scope;
use super::tree::{self, OrderKey, Tree, WindowCall};
use crate::aggregates;
use crate::error::{Error, Result, codes};
use crate::sql;
use crate::sql::ast::*;

impl Binder<'_> {
    pub(super) fn window_call(&self, expr: &Expr, call: &Call, scope: &Scope) -> Result<Tree> {
        let definition = match &call.over {
            Some(WindowSpec::Named(name)) => named_window(name, scope)?.clone(),
            Some(WindowSpec::Inline(window)) => window.clone(),
            None => WindowDefinition::default(),
        };
        let definition = refine(definition, scope, 0)?;
        let mut bare = expr.clone();
        bare.alias = None;
        let mut window = WindowCall {
            aggregate: None,
            name: canonical_ranking(&call.name),
            arguments: vec![],
            partition_by: vec![],
            order_by: vec![],
            frame: None,
            text: sql::format::expr(&bare),
        };
        for expr in &definition.partition_by {
            window.partition_by.push(self.expression(expr, scope)?);
        }
        for item in &definition.order_by {
            window.order_by.push(self.window_order(item, scope)?);
        }
        if let Some(frame) = &definition.frame {
            window.frame = Some(self.frame(frame, scope)?);
        }
        check_frame(&window)?;
        let data_type = if is_ranking(&call.name) {
            window.arguments = self.arguments(&call.arguments, scope)?;
            ranking_type(&window).map_err(|e| with_scope(e, scope))?
        } else {
            let bare_call = Call { over: None, ..call.clone() };
            let name = super::call::aggregate_name(&bare_call, "uniqExact");
            if !aggregates::is_aggregate(&name) {
                return Err(error_in(
                    scope,
                    codes::UNKNOWN_AGGREGATE_FUNCTION,
                    format!("Aggregate function with name '{}' does not exist.", call.name),
                ));
            }
            let bound = self.aggregate_call(expr, &bare_call, scope)?;
            let data_type = bound.function.return_type();
            window.arguments = bound.arguments;
            window.aggregate = Some(bound.function);
            data_type
        };
        let nested = window
            .arguments
            .iter()
            .chain(&window.partition_by)
            .chain(window.order_by.iter().map(|k| &k.tree))
            .any(|t| t.has.window);
        if nested {
            return Err(Error::new(
                codes::ILLEGAL_AGGREGATION,
                format!("Window function {} contains another window function", window.text),
            ));
        }
        Ok(tree::window(window, data_type))
    }

    fn window_order(&self, item: &OrderItem, scope: &Scope) -> Result<OrderKey> {
        Ok(OrderKey {
            tree: self.expression(&item.expr, scope)?,
            descending: item.descending,
            nulls_first: item.nulls_first.unwrap_or(default_nulls_first()),
            fill: None,
        })
    }

    /// The frame with its bounds as literals.
    fn frame(&self, frame: &WindowFrame, scope: &Scope) -> Result<WindowFrame> {
        let bound = |bound: &FrameBound| -> Result<FrameBound> {
            Ok(match bound {
                FrameBound::Preceding(expr) => {
                    FrameBound::Preceding(Box::new(self.offset(expr, scope)?))
                }
                FrameBound::Following(expr) => {
                    FrameBound::Following(Box::new(self.offset(expr, scope)?))
                }
                other => other.clone(),
            })
        };
        Ok(WindowFrame { unit: frame.unit, start: bound(&frame.start)?, end: bound(&frame.end)? })
    }

    fn offset(&self, expr: &Expr, scope: &Scope) -> Result<Expr> {
        let tree = self.expression(expr, scope)?;
        let Some(value) = tree.as_constant() else {
            return Err(error_in(
                scope,
                codes::BAD_ARGUMENTS,
                format!(
                    "Window frame offset expression must be constant. Actual: {}.",
                    sql::format::expr(expr)
                ),
            ));
        };
        let negative = value.as_f64().is_some_and(|v| v < 0.0);
        if negative {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!("Frame start offset must be greater than zero, {} given", value.to_sql()),
            ));
        }
        let text = value.to_sql();
        Ok(Expr::new(ExprKind::Literal { value: value.clone(), text }))
    }
}

fn named_window<'s>(name: &str, scope: &Scope<'s>) -> Result<&'s WindowDefinition> {
    let mut here: Option<&Scope<'s>> = Some(scope);
    while let Some(at) = here {
        if let Some(window) = at.windows.get(name) {
            return Ok(window);
        }
        if at.select.is_some() {
            break;
        }
        here = at.parent;
    }
    Err(error_in(scope, codes::BAD_ARGUMENTS, format!("Window '{name}' does not exist.")))
}

/// A window with what it takes over from its parent.
fn refine(own: WindowDefinition, scope: &Scope, depth: usize) -> Result<WindowDefinition> {
    let Some(parent) = &own.parent else { return Ok(own) };
    if depth > 32 {
        return Err(Error::new(codes::BAD_ARGUMENTS, "Windows refer to each other in a circle"));
    }
    let parent = refine(named_window(parent, scope)?.clone(), scope, depth + 1)?;
    if !own.partition_by.is_empty() {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            "Derived window definition cannot override PARTITION BY",
        ));
    }
    Ok(WindowDefinition {
        parent: None,
        partition_by: parent.partition_by,
        order_by: if own.order_by.is_empty() { parent.order_by } else { own.order_by },
        frame: own.frame.or(parent.frame),
    })
}

/// Functions that see the whole partition take no other frame.
fn check_frame(window: &WindowCall) -> Result<()> {
    let Some(frame) = &window.frame else { return Ok(()) };
    let whole = matches!(
        (&frame.start, &frame.end),
        (FrameBound::UnboundedPreceding, FrameBound::UnboundedFollowing)
    );
    let problem = match window.name.as_str() {
        "lag" | "lead" => "does not expect window frame to be explicitly specified",
        "ntile" | "percent_rank" | "cume_dist" if !whole => "does not support this window frame",
        _ => return Ok(()),
    };
    Err(Error::new(codes::BAD_ARGUMENTS, format!("Window function '{}' {problem}", window.name)))
}

fn is_ranking(name: &str) -> bool {
    RANKING.contains(&name) || RANKING.contains(&name.to_ascii_lowercase().as_str())
}

fn canonical_ranking(name: &str) -> String {
    match name {
        "denseRank" => "dense_rank".into(),
        "percentRank" => "percent_rank".into(),
        "lagInFrame" | "leadInFrame" => name.to_string(),
        other => other.to_ascii_lowercase(),
    }
}

fn ranking_type(window: &WindowCall) -> Result<DataType> {
    let count = window.arguments.len();
    let (least, most) = match window.name.as_str() {
        "row_number" | "rank" | "dense_rank" | "percent_rank" | "cume_dist" => (0, 0),
        "ntile" => (1, 1),
        "nth_value" => (2, 2),
        _ => (1, 3),
    };
    if count < least || count > most {
        return Err(Error::new(
            codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
            format!("Incorrect number of arguments for function {}: {count}", window.name),
        ));
    }
    let types = window
        .arguments
        .get(2)
        .map(|d| [&window.arguments[0].data_type, &d.data_type])
        .map(|types| types.map(|t| t.without_low_cardinality().clone()));
    if let (true, Some(types)) = (window.name.starts_with('l'), types)
        && crate::functions::promote::common_type(&types).ok().as_ref() != Some(&types[0])
    {
        let [value, default] = types;
        let message = format!(
            "The supertype for the argument type '{value}' and the default value type '{default}' \
             is not the same as the argument type"
        );
        return Err(Error::new(codes::BAD_ARGUMENTS, message));
    }
    Ok(match window.name.as_str() {
        "row_number" | "rank" | "dense_rank" | "ntile" => DataType::UInt64,
        "percent_rank" | "cume_dist" => DataType::Float64,
        _ => window.arguments[0].data_type.without_low_cardinality().clone(),
    })
}
