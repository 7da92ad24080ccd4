//! GROUP BY: the keys (positions, ALL, tuples), grouping sets of ROLLUP and CUBE, and the plan node
//! that yields keys and aggregates.

use std::collections::HashMap;

use pumphouse_storage::{DataType, Value};

use super::Binder;
use super::call::first_aggregate;
use super::place::{Available, Missing};
use super::scope::Scope;
use super::select::Stage;
use super::star::Item;
use super::tree::{self, Kind, Node, Tree};
use crate::error::{Error, Result, codes};
use crate::plan::{BoundAggregate, PlanNode};
use crate::sql::ast::*;

/// Keys of CUBE at most: 2^n grouping sets.
const CUBE_KEYS_MAX: usize = 12;

/// A bound GROUP BY.
#[derive(Default)]
pub(super) struct Grouping {
    pub keys: Vec<Tree>,
    /// Indexes into `keys`; empty for plain GROUP BY.
    pub sets: Vec<Vec<usize>>,
    /// The sets are written out: one without keys gives a row even of no rows.
    pub written_sets: bool,
    /// GROUP BY ALL.
    all: bool,
    pub with_totals: bool,
    /// What a grouped row shows for each key if keys outside of its set are NULL; else empty.
    pub nullable_keys: Vec<Tree>,
    /// The number of a row's grouping set, if the query asks for it.
    pub set_column: Option<Tree>,
}

/// Constants group nothing.
fn is_constant(key: &Tree) -> bool {
    matches!(key.kind, Kind::Constant(_)) && !key.has.computed
}

impl Grouping {
    /// Whether nothing is left to group by, so that a query without aggregate functions keeps its rows.
    pub fn groups_nothing(&self) -> bool {
        (self.all && self.keys.is_empty()) || (self.written_sets && self.keys.is_empty())
    }

    /// Without aggregate functions, a written set without keys has nothing to show.
    pub fn drop_empty_sets(&mut self) {
        if self.written_sets {
            self.sets.retain(|set| !set.is_empty());
        }
    }

    /// The sets without constants where those are written out.
    fn own_sets(&self) -> Vec<Vec<usize>> {
        let mut sets = self.sets.clone();
        if self.written_sets {
            sets.iter_mut().for_each(|set| set.retain(|k| !is_constant(&self.keys[*k])));
        }
        sets
    }

    fn add(&mut self, tree: Tree) -> usize {
        match self.keys.iter().position(|k| k.key == tree.key) {
            Some(at) => at,
            None => {
                self.keys.push(tree);
                self.keys.len() - 1
            }
        }
    }
}

impl Binder<'_> {
    pub(super) fn grouping(
        &self,
        clause: &GroupBy,
        items: &[Item],
        scope: &Scope,
    ) -> Result<Grouping> {
        let mut grouping = Grouping { with_totals: clause.with_totals, ..Grouping::default() };
        if clause.all {
            grouping.all = true;
            for item in items {
                outside_aggregates(&item.tree, &mut grouping);
            }
            return Ok(grouping);
        }
        let mut positions = vec![];
        for expr in &clause.items {
            positions.push(self.group_key(expr, items, scope, &mut grouping)?);
        }
        if matches!(clause.kind, GroupByKind::Rollup | GroupByKind::Cube) {
            // A key that comes again is no further key.
            let mut seen = std::collections::HashSet::new();
            positions.retain(|p| seen.insert(p.clone()));
        }
        match clause.kind {
            GroupByKind::Plain => {}
            GroupByKind::Rollup => {
                grouping.sets =
                    (0..=positions.len()).rev().map(|n| flat(&positions[..n])).collect();
            }
            GroupByKind::Cube => {
                if positions.len() > CUBE_KEYS_MAX {
                    return Err(Error::new(
                        codes::TOO_MANY_COLUMNS,
                        format!("CUBE allows at most {CUBE_KEYS_MAX} keys"),
                    ));
                }
                grouping.sets = cube(&positions);
            }
            GroupByKind::GroupingSets => {
                grouping.written_sets = true;
                for set in &clause.sets {
                    let mut indexes = vec![];
                    for expr in set {
                        indexes.extend(self.group_key(expr, items, scope, &mut grouping)?);
                    }
                    grouping.sets.push(indexes);
                }
                if clause.with_totals {
                    return Err(Error::new(
                        codes::NOT_IMPLEMENTED,
                        "WITH TOTALS and GROUPING SETS are not supported together",
                    ));
                }
            }
        }
        for key in &grouping.keys {
            check_no_aggregate(key, "GROUP BY")?;
            self.check_key_type(&key.data_type, "GROUP BY", "allow_suspicious_types_in_group_by")?;
        }
        Ok(grouping)
    }

    /// One element of GROUP BY; a tuple groups by its elements.
    fn group_key(
        &self,
        expr: &Expr,
        items: &[Item],
        scope: &Scope,
        grouping: &mut Grouping,
    ) -> Result<Vec<usize>> {
        let mut indexes = vec![];
        for tree in self.positional_or_trees(expr, items, scope)? {
            match &tree.kind {
                Kind::Call { function, arguments } if function.name() == "tuple" => {
                    indexes.extend(arguments.iter().map(|a| grouping.add(a.clone())));
                }
                _ => indexes.push(grouping.add(tree)),
            }
        }
        Ok(indexes)
    }

    /// Keys of the constants of `grouping` that those who read the groups see as Nullable.
    pub(super) fn constants_to_be_nullable(&self, grouping: &Grouping) -> Vec<u128> {
        if grouping.sets.is_empty() || !self.setting(|s| s.bool("group_by_use_nulls", false)) {
            return vec![];
        }
        grouping.keys.iter().filter(|key| is_constant(key)).map(|key| key.key).collect()
    }

    /// What readers of the groups have to see instead of their own trees: Nullable keys
    /// (`group_by_use_nulls`) and the values of `grouping(…)`.
    pub(super) fn group_readers(
        &self,
        grouping: &mut Grouping,
        readers: &[&Tree],
    ) -> Result<HashMap<u128, Tree>> {
        let mut replace = HashMap::new();
        if !grouping.sets.is_empty() && self.setting(|s| s.bool("group_by_use_nulls", false)) {
            for key in &grouping.keys {
                let data_type = key.data_type.or_null();
                let shown = match &key.kind {
                    Kind::Constant(value) => tree::constant(value.clone(), data_type),
                    _ => tree::column(self.fresh(), describe(key), data_type),
                };
                replace.insert(key.key, shown.clone());
                grouping.nullable_keys.push(shown);
            }
        }
        let mut calls = vec![];
        for tree in readers.iter().filter(|t| t.has.grouping) {
            tree::collect(tree, &|n| matches!(n.kind, Kind::Grouping(_)), &mut calls);
        }
        for call in calls {
            let value = self.grouping_value(&call, grouping)?;
            replace.insert(call.key, value);
        }
        Ok(replace)
    }

    /// `grouping(a, b)`: for each set the bits of those keys that are not in it.
    fn grouping_value(&self, call: &Tree, grouping: &mut Grouping) -> Result<Tree> {
        let Kind::Grouping(keys) = &call.kind else { return Ok(call.clone()) };
        let mut places = vec![];
        for key in keys {
            let place = grouping.keys.iter().position(|k| k.key == key.key).ok_or_else(|| {
                Error::new(
                    codes::BAD_ARGUMENTS,
                    format!(
                        "Argument of GROUPING function {} is not a part of GROUP BY clause",
                        describe(key)
                    ),
                )
            })?;
            places.push(place);
        }
        if grouping.sets.is_empty() {
            return Ok(tree::constant(Value::UInt(0), DataType::UInt64));
        }
        let bits = |set: &Vec<usize>| {
            let missing = |place: &usize| u64::from(!set.contains(place));
            Value::UInt(places.iter().fold(0, |bits, place| bits << 1 | missing(place)))
        };
        let values = Value::Array(grouping.sets.iter().map(bits).collect());
        let set = grouping
            .set_column
            .get_or_insert_with(|| tree::column(self.fresh(), "grouping_set", DataType::UInt64));
        let one = tree::constant(Value::UInt(1), DataType::UInt8);
        let position = self.make_call("plus", vec![set.clone(), one])?;
        let values = tree::constant(values, DataType::array(DataType::UInt64));
        self.make_call("arrayElement", vec![values, position])
    }

    /// The Aggregate node over `stage`; afterwards only keys and aggregates are available.
    pub(super) fn aggregate_stage(
        &self,
        stage: Stage,
        grouping: Grouping,
        readers: &[&Tree],
    ) -> Result<Stage> {
        let mut keyed = Available::default();
        // A constant stays what it is, also where ROLLUP or TOTALS leave the key out.
        let constant = |key: &Tree| matches!(key.kind, Kind::Constant(_));
        for (i, key) in grouping.keys.iter().enumerate().filter(|(_, key)| !constant(key)) {
            keyed.add(key, i);
        }
        let mut calls: Vec<Tree> = vec![];
        for tree in readers {
            collect_outside(
                tree,
                &keyed,
                &|n| matches!(n.kind, Kind::Aggregate { .. }),
                &mut calls,
            );
        }
        let mut needed: Vec<Tree> = grouping.keys.clone();
        for call in &calls {
            needed.extend(call.children().into_iter().cloned());
        }
        let stage = stage.unfold(&needed)?;
        let keys = stage.place_all(&grouping.keys)?;
        let mut schema = vec![];
        for (i, key) in grouping.keys.iter().enumerate() {
            let shown = grouping.nullable_keys.get(i).unwrap_or(key);
            if !constant(shown) {
                keyed.add(shown, i);
            }
            schema.push((describe(key), shown.data_type.clone()));
        }
        let mut aggregates = vec![];
        for (i, call) in calls.iter().enumerate() {
            let Kind::Aggregate { function, arguments, text } = &call.kind else { continue };
            let arguments = stage.place_all(arguments)?;
            aggregates.push(BoundAggregate { function: function.clone(), arguments });
            keyed.add(call, grouping.keys.len() + i);
            let name = text.split(" AS ").next().unwrap_or(text).to_string();
            schema.push((name, call.data_type.clone()));
        }
        if let Some(set) = &grouping.set_column {
            keyed.add(set, schema.len());
            schema.push(("grouping_set".into(), DataType::UInt64));
        }
        let rows_of_nothing =
            grouping.written_sets && !calls.is_empty() && !grouping.keys.iter().all(is_constant);
        let node = PlanNode::Aggregate {
            input: Box::new(stage.plan),
            keys,
            aggregates,
            grouping_sets: grouping.own_sets(),
            rows_of_nothing,
            with_totals: grouping.with_totals,
            groups_max: None,
        };
        Ok(Stage { plan: crate::plan::Plan { node, schema }, available: keyed })
    }
}

/// Maximal parts of `tree` that hold columns but no aggregate: GROUP BY ALL's keys.
fn outside_aggregates(tree: &Tree, grouping: &mut Grouping) {
    if !tree.has.aggregate && !tree.has.window {
        if tree.has.column || tree.has.array_join {
            grouping.add(tree.clone());
        }
        return;
    }
    if matches!(tree.kind, Kind::Aggregate { .. }) {
        return;
    }
    for child in tree.children() {
        outside_aggregates(child, grouping);
    }
}

fn flat(positions: &[Vec<usize>]) -> Vec<usize> {
    positions.iter().flatten().copied().collect()
}

fn cube(positions: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let count = positions.len();
    (0..1usize << count)
        .rev()
        .map(|bits| {
            let chosen = (0..count).filter(|i| bits >> (count - 1 - i) & 1 == 1);
            chosen.flat_map(|i| positions[i].clone()).collect()
        })
        .collect()
}

/// Nodes that satisfy `wanted` in the parts of `tree` that `known` does not already yield.
pub(super) fn collect_outside(
    tree: &Tree,
    known: &Available,
    wanted: &dyn Fn(&Node) -> bool,
    found: &mut Vec<Tree>,
) {
    if known.find(tree).is_some() {
        return;
    }
    for child in tree.children() {
        collect_outside(child, known, wanted, found);
    }
    if wanted(tree) && !found.iter().any(|f| f.key == tree.key) {
        found.push(tree.clone());
    }
}

/// Error 184 if `tree` holds an aggregate or window function.
pub(super) fn check_no_aggregate(tree: &Tree, clause: &str) -> Result<()> {
    if tree.has.window {
        let mut found = vec![];
        tree::collect(tree, &|n| matches!(n.kind, Kind::Window(_)), &mut found);
        let text = match found.first().map(|f| &f.kind) {
            Some(Kind::Window(call)) => call.text.clone(),
            _ => String::new(),
        };
        return Err(Error::new(
            codes::ILLEGAL_AGGREGATION,
            format!("Window function {text} is found in {clause} in query"),
        ));
    }
    if tree.has.aggregate {
        let advice = if clause == "WHERE" || clause == "PREWHERE" {
            ". Aggregate functions are not allowed in WHERE and PREWHERE, because they are computed \
             after filtering; use HAVING to filter by the result of an aggregation"
        } else {
            ""
        };
        return Err(Error::new(
            codes::ILLEGAL_AGGREGATION,
            format!(
                "Aggregate function {} is found in {clause} in query{advice}",
                first_aggregate(tree)
            ),
        ));
    }
    Ok(())
}

/// A short text for plans.
pub(super) fn describe(tree: &Node) -> String {
    match &tree.kind {
        Kind::Column { name, .. } => name.rsplit('.').next().unwrap_or(name).to_string(),
        Kind::Constant(value) => value.to_sql(),
        Kind::Call { function, arguments } => {
            let arguments: Vec<String> = arguments.iter().map(|a| describe(a)).collect();
            format!("{}({})", function.name(), arguments.join(", "))
        }
        Kind::Lambda { .. } => "lambda".into(),
        Kind::Parameter { index, .. } => format!("x{index}"),
        Kind::Aggregate { text, .. } => text.clone(),
        Kind::Window(call) => call.text.clone(),
        Kind::ArrayJoin(array) => format!("arrayJoin({})", describe(array)),
        Kind::InSet { expr, negated, .. } => {
            format!("{}({}, set)", if *negated { "notIn" } else { "in" }, describe(expr))
        }
        Kind::Scalar(_) => "scalar".into(),
        Kind::Grouping(_) => "grouping".into(),
        Kind::Lookup(_) => "subquery".into(),
    }
}

/// Error 215, or 49 if it is not the user's.
pub(super) fn not_placed(missing: &Missing, scope: &Scope, aggregated: bool) -> Error {
    let name = match &missing.0.kind {
        Kind::Column { name, .. } => name.clone(),
        Kind::Grouping(_) => {
            return Error::new(codes::NOT_IMPLEMENTED, "Function grouping is not supported here");
        }
        Kind::Lookup(_) => {
            return Error::new(
                codes::NOT_IMPLEMENTED,
                "A correlated subquery is not supported in this place",
            );
        }
        _ => describe(&missing.0),
    };
    if !aggregated {
        return Error::new(codes::LOGICAL_ERROR, format!("'{name}' is not available here"));
    }
    let query = scope.enclosing_select().map(super::names::select_text).unwrap_or_default();
    Error::new(
        codes::NOT_AN_AGGREGATE,
        format!(
            "Column '{name}' is not under aggregate function and not in GROUP BY keys. In query {query}"
        ),
    )
}
