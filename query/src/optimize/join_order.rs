//! The smaller side of a join is built into the hash table: where the left one is clearly smaller, the
//! sides change places, and with them what LEFT and RIGHT mean.

use crate::plan::{JoinNode, Plan, PlanNode};
use crate::sql::ast::{JoinKind, JoinStrictness};

use super::bottom_up;
use super::cardinality::rows;
use super::shape::*;

/// The right side must be this many times larger before the sides change places.
const RATIO_MIN: f64 = 2.0;
/// Rows of the right side below which an outer join keeps its sides (and the order of rows).
const OUTER_ROWS_MIN: f64 = 20_000.0;

pub fn apply(plan: Plan) -> Plan {
    bottom_up(plan, &rewrite)
}

/// The kind that means the same once the sides have changed places.
fn swapped(join: &JoinNode) -> Option<JoinKind> {
    use JoinKind::*;
    use JoinStrictness::*;
    if join.asof.is_some() {
        return None;
    }
    match (join.kind, join.strictness) {
        (Inner, All | Unspecified) => Some(Inner),
        (Left, All | Unspecified | Semi | Anti) => Some(Right),
        // Any one row of several: which, depends on the side.
        (Left, Any) if join.residual.is_none() => Some(Right),
        _ => None,
    }
}

fn rewrite(plan: Plan) -> Plan {
    let Plan { node, schema } = plan;
    let PlanNode::Join(mut join) = node else { return Plan { node, schema } };
    let Some(kind) = swapped(&join) else { return Plan { node: PlanNode::Join(join), schema } };
    let swap = match (rows(&join.left), rows(&join.right)) {
        (Some(left), Some(right)) => {
            left * RATIO_MIN < right && (kind == JoinKind::Inner || right >= OUTER_ROWS_MIN)
        }
        _ => false,
    };
    if !swap || join.left_keys.is_empty() {
        return Plan { node: PlanNode::Join(join), schema };
    }
    let (left_width, right_width) = (join.left.schema.len(), join.right.schema.len());
    let join_ref = &mut *join;
    std::mem::swap(&mut join_ref.left, &mut join_ref.right);
    std::mem::swap(&mut join_ref.left_keys, &mut join_ref.right_keys);
    join_ref.kind = kind;
    if !join_ref.unread.is_empty() {
        join_ref.unread.rotate_left(left_width);
    }
    let places = |i: usize| if i < left_width { i + right_width } else { i - left_width };
    join.residual.iter_mut().for_each(|r| renumber(r, &places));
    let mut swapped = schema[left_width..].to_vec();
    swapped.extend_from_slice(&schema[..left_width]);
    let exprs = (0..schema.len()).map(|i| column(places(i), &schema[i].1)).collect();
    let input = Box::new(Plan { node: PlanNode::Join(join), schema: swapped });
    Plan { node: PlanNode::Project { input, exprs }, schema }
}
