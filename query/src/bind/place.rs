//! Placing: a bound tree becomes an expression over the output columns of one plan node.
//!
//! [`Available`] says which trees the node already yields and where; everything else is computed
//! from its parts. What can neither be found nor computed is a column that the node does not have:
//! after an aggregation that is the user's error 215, elsewhere ours.

use std::collections::HashMap;

use super::tree::{Kind, Node, Tree};
use crate::plan::BoundExpr;

/// Output columns of a plan node, by the key of the tree they hold.
#[derive(Clone, Default)]
pub struct Available {
    by_key: HashMap<u128, usize>,
}

impl Available {
    pub fn add(&mut self, tree: &Node, index: usize) {
        self.by_key.entry(tree.key).or_insert(index);
    }

    pub fn find(&self, tree: &Node) -> Option<usize> {
        self.by_key.get(&tree.key).copied()
    }

    /// Appends the columns of a node whose output stands `offset` columns to the right.
    pub fn append(&mut self, other: &Available, offset: usize) {
        for (key, index) in &other.by_key {
            self.by_key.entry(*key).or_insert(index + offset);
        }
    }
}

/// The tree that could not be placed.
pub struct Missing(pub Tree);

/// `tree` over the columns of `available`.
pub fn place(tree: &Tree, available: &Available) -> Result<BoundExpr, Missing> {
    place_in(tree, available, &mut vec![])
}

pub fn place_all(trees: &[Tree], available: &Available) -> Result<Vec<BoundExpr>, Missing> {
    trees.iter().map(|t| place(t, available)).collect()
}

fn place_in(
    tree: &Tree,
    available: &Available,
    lambdas: &mut Vec<usize>,
) -> Result<BoundExpr, Missing> {
    let data_type = tree.data_type.clone();
    if let Some(index) = available.find(tree) {
        return Ok(BoundExpr::Column { index, data_type });
    }
    Ok(match &tree.kind {
        Kind::Constant(value) => BoundExpr::Constant { value: value.clone(), data_type },
        Kind::Call { function, arguments } => BoundExpr::Call {
            function: function.clone(),
            arguments: arguments
                .iter()
                .map(|a| place_in(a, available, lambdas))
                .collect::<Result<_, _>>()?,
            data_type,
        },
        Kind::Lambda { level, parameters, body } => {
            lambdas.push(*level);
            let body = place_in(body, available, lambdas);
            lambdas.pop();
            BoundExpr::Lambda { parameters: parameters.clone(), body: Box::new(body?) }
        }
        Kind::Parameter { level, index } => {
            let depth = lambdas.iter().rev().position(|l| l == level);
            let depth = depth.ok_or_else(|| Missing(tree.clone()))?;
            BoundExpr::LambdaParameter { depth, index: *index, data_type }
        }
        Kind::InSet { expr, set, negated } => BoundExpr::InSet {
            expr: Box::new(place_in(expr, available, lambdas)?),
            set: set.clone(),
            negated: *negated,
        },
        Kind::Scalar(subquery) => BoundExpr::Scalar { subquery: subquery.clone(), data_type },
        Kind::Column { .. }
        | Kind::Aggregate { .. }
        | Kind::Window(_)
        | Kind::ArrayJoin(_)
        | Kind::Lookup(_)
        | Kind::Grouping(_) => return Err(Missing(tree.clone())),
    })
}
