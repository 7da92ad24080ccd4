//! Bound expressions before they are placed: every name is settled and every type known, but columns
//! are still identities and aggregates, window functions and arrayJoin still stand inside their
//! expressions.
//!
//! Every node carries a 128-bit key of its structure. Equal keys mean equal expressions: that is how
//! GROUP BY keys are found again in SELECT, aggregates are computed once and columns are placed.
//! `place` turns a tree into a [`crate::plan::BoundExpr`] over the output of a plan node.

use std::sync::Arc;

use parking_lot::Mutex;
use pumphouse_storage::{DataType, Value};
use xxhash_rust::xxh3::Xxh3;

use crate::aggregates::AggregateFunction;
use crate::functions::ScalarFunction;
use crate::plan::{Plan, PlannedScalar, PlannedSet};
use crate::sql::ast::WindowFrame;

/// A shared, immutable bound expression.
pub type Tree = Arc<Node>;

pub struct Node {
    pub kind: Kind,
    pub data_type: DataType,
    /// Structure hash.
    pub key: u128,
    /// What occurs in this expression (itself included).
    pub has: Has,
    /// Levels of nesting, for the depth limit.
    pub depth: u32,
}

/// What an expression contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Has {
    pub aggregate: bool,
    pub window: bool,
    pub array_join: bool,
    pub column: bool,
    pub lambda_parameter: bool,
    /// A call whose value may differ from row to row or query to query.
    pub volatile: bool,
    pub grouping: bool,
    pub lookup: bool,
    /// A constant that is one only once a higher-order function is computed: to GROUP BY and IN it is none.
    pub computed: bool,
}

impl Has {
    fn join(self, other: Has) -> Has {
        Has {
            aggregate: self.aggregate | other.aggregate,
            window: self.window | other.window,
            array_join: self.array_join | other.array_join,
            column: self.column | other.column,
            lambda_parameter: self.lambda_parameter | other.lambda_parameter,
            volatile: self.volatile | other.volatile,
            grouping: self.grouping | other.grouping,
            lookup: self.lookup | other.lookup,
            computed: self.computed | other.computed,
        }
    }
}

pub enum Kind {
    /// A column of some table expression, told from others by its node's key; `name` is for messages.
    Column {
        name: String,
    },
    Constant(Value),
    Call {
        function: Arc<dyn ScalarFunction>,
        arguments: Vec<Tree>,
    },
    /// `level` is the number of lambdas around this one.
    Lambda {
        level: usize,
        parameters: Vec<DataType>,
        body: Tree,
    },
    /// Parameter `index` of the innermost lambda around it that has `level`.
    Parameter {
        level: usize,
        index: usize,
    },
    Aggregate {
        function: Arc<dyn AggregateFunction>,
        arguments: Vec<Tree>,
        /// As written, for messages.
        text: String,
    },
    Window(WindowCall),
    /// `arrayJoin(array)`: one row per element.
    ArrayJoin(Tree),
    InSet {
        expr: Tree,
        set: Arc<PlannedSet>,
        negated: bool,
    },
    /// A scalar subquery that has not been run.
    Scalar(Arc<PlannedScalar>),
    /// A correlated subquery's value for a row: see [`Lookup`].
    Lookup(Lookup),
    /// `grouping(keys…)`: bit i is set if key i is not part of the row's grouping set.
    Grouping(Vec<Tree>),
}

/// The first column of the row of `plan` whose columns `right_keys` equal `keys` (and for which
/// `residual` holds); NULL if there is none. The plan is taken when the lookup is placed.
pub struct Lookup {
    pub plan: Mutex<Option<Plan>>,
    pub keys: Vec<Tree>,
    pub right_keys: Vec<usize>,
    /// Over outer columns and `outputs`.
    pub residual: Vec<Tree>,
    /// The trees in the plan's columns, from the second on.
    pub outputs: Vec<Tree>,
}

/// One window function call.
pub struct WindowCall {
    /// None for ranking functions (`name` says which).
    pub aggregate: Option<Arc<dyn AggregateFunction>>,
    pub name: String,
    pub arguments: Vec<Tree>,
    pub partition_by: Vec<Tree>,
    pub order_by: Vec<OrderKey>,
    pub frame: Option<WindowFrame>,
    pub text: String,
}

/// One ORDER BY element.
#[derive(Clone)]
pub struct OrderKey {
    pub tree: Tree,
    pub descending: bool,
    pub nulls_first: bool,
    pub fill: Option<crate::plan::FillSpec>,
}

struct Hasher(Xxh3);

impl Hasher {
    fn new(tag: u8) -> Hasher {
        let mut hasher = Xxh3::new();
        hasher.update(&[tag]);
        Hasher(hasher)
    }
    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }
    fn tree(&mut self, tree: &Tree) {
        self.0.update(&tree.key.to_le_bytes());
    }
    fn trees(&mut self, trees: &[Tree]) {
        self.number(trees.len() as u64);
        trees.iter().for_each(|t| self.tree(t));
    }
    fn data_type(&mut self, data_type: &DataType) {
        self.text(&data_type.to_string());
    }
    fn finish(self) -> u128 {
        self.0.digest128()
    }
}

fn node<'a>(
    kind: Kind,
    data_type: DataType,
    key: u128,
    own: Has,
    children: impl IntoIterator<Item = &'a Tree>,
) -> Node {
    let (mut has, mut depth) = (own, 0);
    for child in children {
        has = has.join(child.has);
        depth = depth.max(child.depth);
    }
    Node { kind, data_type, key, has, depth: depth + 1 }
}

/// A column; `id` must be fresh.
pub fn column(id: u32, name: impl Into<String>, data_type: DataType) -> Tree {
    let mut hasher = Hasher::new(1);
    hasher.number(id as u64);
    let own = Has { column: true, ..Has::default() };
    Arc::new(node(Kind::Column { name: name.into() }, data_type, hasher.finish(), own, []))
}

pub fn constant(value: Value, data_type: DataType) -> Tree {
    let mut hasher = Hasher::new(2);
    hasher.data_type(&data_type);
    hash_value(&mut hasher, &value);
    Arc::new(node(Kind::Constant(value), data_type, hasher.finish(), Has::default(), []))
}

/// A constant with `Has::computed`.
pub fn computed_constant(value: Value, data_type: DataType) -> Tree {
    let plain = constant(value.clone(), data_type.clone());
    let has = Has { computed: true, ..plain.has };
    // Another key: it is not found where the plain constant stands.
    let kind = Kind::Constant(value);
    Arc::new(Node { kind, data_type, key: !plain.key, has, depth: plain.depth })
}

fn hash_value(hasher: &mut Hasher, value: &Value) {
    match value {
        Value::String(bytes) => {
            hasher.number(bytes.len() as u64);
            hasher.0.update(bytes);
        }
        Value::Float(number) => hasher.number(number.to_bits()),
        Value::Array(items) | Value::Tuple(items) => {
            hasher.number(items.len() as u64);
            items.iter().for_each(|v| hash_value(hasher, v));
        }
        Value::Map(items) => {
            hasher.number(items.len() as u64);
            for (k, v) in items {
                hash_value(hasher, k);
                hash_value(hasher, v);
            }
        }
        other => hasher.text(&other.to_sql()),
    }
}

pub fn call(function: Arc<dyn ScalarFunction>, arguments: Vec<Tree>, data_type: DataType) -> Tree {
    let mut hasher = Hasher::new(3);
    hasher.text(function.name());
    hasher.data_type(&data_type);
    hasher.trees(&arguments);
    let own = Has { volatile: !function.deterministic(), ..Has::default() };
    let mut made = node(
        Kind::Call { function, arguments: vec![] },
        data_type,
        hasher.finish(),
        own,
        &arguments,
    );
    if let Kind::Call { arguments: place, .. } = &mut made.kind {
        *place = arguments;
    }
    Arc::new(made)
}

pub fn lambda(level: usize, parameters: Vec<DataType>, body: Tree) -> Tree {
    let mut hasher = Hasher::new(4);
    hasher.number(level as u64);
    parameters.iter().for_each(|t| hasher.data_type(t));
    hasher.tree(&body);
    let (data_type, key) = (body.data_type.clone(), hasher.finish());
    let (mut has, depth) = (body.has, body.depth + 1);
    // A lambda at the top level closes over no parameter; an inner one may use those of outer ones.
    has.lambda_parameter = level > 0 && body.has.lambda_parameter;
    Arc::new(Node { kind: Kind::Lambda { level, parameters, body }, data_type, key, has, depth })
}

pub fn parameter(level: usize, index: usize, data_type: DataType) -> Tree {
    let mut hasher = Hasher::new(5);
    hasher.number(level as u64);
    hasher.number(index as u64);
    hasher.data_type(&data_type);
    let own = Has { lambda_parameter: true, ..Has::default() };
    Arc::new(node(Kind::Parameter { level, index }, data_type, hasher.finish(), own, []))
}

pub fn aggregate(function: Arc<dyn AggregateFunction>, arguments: Vec<Tree>, text: String) -> Tree {
    let mut hasher = Hasher::new(6);
    hasher.text(&function.name());
    hasher.trees(&arguments);
    let data_type = function.return_type();
    let own = Has { aggregate: true, ..Has::default() };
    let children = arguments.clone();
    let kind = Kind::Aggregate { function, arguments, text };
    Arc::new(node(kind, data_type, hasher.finish(), own, &children))
}

pub fn window(call: WindowCall, data_type: DataType) -> Tree {
    let mut hasher = Hasher::new(7);
    hasher.text(&call.aggregate.as_ref().map_or(call.name.clone(), |a| a.name()));
    hasher.trees(&call.arguments);
    hasher.trees(&call.partition_by);
    for key in &call.order_by {
        hasher.tree(&key.tree);
        hasher.number(key.descending as u64 * 2 + key.nulls_first as u64);
    }
    if let Some(frame) = &call.frame {
        hasher.text(&format!("{frame:?}"));
    }
    let own = Has { window: true, ..Has::default() };
    let children: Vec<Tree> = call
        .arguments
        .iter()
        .chain(&call.partition_by)
        .chain(call.order_by.iter().map(|k| &k.tree))
        .cloned()
        .collect();
    Arc::new(node(Kind::Window(call), data_type, hasher.finish(), own, &children))
}

pub fn array_join(array: Tree, data_type: DataType) -> Tree {
    let mut hasher = Hasher::new(8);
    hasher.tree(&array);
    let own = Has { array_join: true, ..Has::default() };
    let child = array.clone();
    Arc::new(node(Kind::ArrayJoin(array), data_type, hasher.finish(), own, [&child]))
}

/// `expr IN set`. `set_key` identifies the set: equal keys, equal sets.
pub fn in_set(expr: Tree, set: Arc<PlannedSet>, negated: bool, set_key: u128) -> Tree {
    let mut hasher = Hasher::new(9);
    hasher.tree(&expr);
    hasher.number(negated as u64);
    hasher.0.update(&set_key.to_le_bytes());
    let data_type = crate::plan::in_set_type(&expr.data_type);
    let child = expr.clone();
    let kind = Kind::InSet { expr, set, negated };
    Arc::new(node(kind, data_type, hasher.finish(), Has::default(), [&child]))
}

pub fn scalar(subquery: Arc<PlannedScalar>, data_type: DataType, id: u32) -> Tree {
    let mut hasher = Hasher::new(10);
    hasher.number(id as u64);
    let own = Has::default();
    Arc::new(node(Kind::Scalar(subquery), data_type, hasher.finish(), own, []))
}

/// `id` makes it different from every other lookup.
pub fn lookup(lookup: Lookup, data_type: DataType, id: u32) -> Tree {
    let mut hasher = Hasher::new(12);
    hasher.number(id as u64);
    let own = Has { lookup: true, column: true, ..Has::default() };
    let children = lookup.keys.clone();
    Arc::new(node(Kind::Lookup(lookup), data_type, hasher.finish(), own, &children))
}

pub fn grouping(keys: Vec<Tree>) -> Tree {
    let mut hasher = Hasher::new(11);
    hasher.trees(&keys);
    let own = Has { grouping: true, ..Has::default() };
    let children = keys.clone();
    Arc::new(node(Kind::Grouping(keys), DataType::UInt64, hasher.finish(), own, &children))
}

impl Node {
    pub fn as_constant(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// The direct sub-expressions.
    pub fn children(&self) -> Vec<&Tree> {
        match &self.kind {
            Kind::Column { .. } | Kind::Constant(_) | Kind::Parameter { .. } | Kind::Scalar(_) => {
                vec![]
            }
            Kind::Call { arguments, .. } | Kind::Aggregate { arguments, .. } => {
                arguments.iter().collect()
            }
            Kind::Grouping(keys) => keys.iter().collect(),
            Kind::Lookup(lookup) => lookup.keys.iter().collect(),
            Kind::Lambda { body, .. } => vec![body],
            Kind::ArrayJoin(array) => vec![array],
            Kind::InSet { expr, .. } => vec![expr],
            Kind::Window(call) => call
                .arguments
                .iter()
                .chain(&call.partition_by)
                .chain(call.order_by.iter().map(|k| &k.tree))
                .collect(),
        }
    }
}

/// Calls `visit` for every node that satisfies `wanted`, children before parents, each key once.
pub fn collect(tree: &Tree, wanted: &dyn Fn(&Node) -> bool, found: &mut Vec<Tree>) {
    for child in tree.children() {
        collect(child, wanted, found);
    }
    if wanted(tree) && !found.iter().any(|f| f.key == tree.key) {
        found.push(tree.clone());
    }
}
