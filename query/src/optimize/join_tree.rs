//! The order of inner joins. All inner and cross joins that touch, with the filters between them, are
//! taken apart into relations and conditions and put together again, cheapest order first found by
//! dynamic programming over sets of relations (greedily if there are many). The larger input of each
//! join is on the left: the right one is built into the hash table.
//!
//! Equal columns are equal across several joins (`a = b AND b = c`), and a condition OR says of one
//! relation what all its branches say. Sizes come from `cardinality`.

use pumphouse_storage::DataType;

use crate::execute::prewhere::never_fails;
use crate::functions::lookup;
use crate::plan::{BoundExpr, JoinNode, Plan, PlanNode};
use crate::sql::ast::{JoinKind, JoinStrictness};

use super::cardinality::{distinct_of, joined, rows, selectivity};
use super::filter_push_down::pushed;
use super::shape::*;

/// Relations whose orders are all tried.
const SEARCHED_MAX: usize = 10;
/// Relations that are ordered at all.
const RELATIONS_MAX: usize = 60;
/// Rows of all relations together below which an order is kept.
const ROWS_SMALL: f64 = 20_000.0;
/// Rows of a relation of which nothing is known.
const ROWS_UNKNOWN: f64 = 100_000.0;

pub fn apply(mut plan: Plan) -> Plan {
    if let Some(count) = inner_relations(&plan)
        && (2..=RELATIONS_MAX).contains(&count)
        && !is_small(&plan)
    {
        return reorder(plan);
    }
    for input in inputs_mut(&mut plan) {
        *input = apply(take(input));
    }
    plan
}

/// Whether the joins at the top of `plan` read few rows and multiply none: their order stays, and
/// with it the order of rows.
fn is_small(plan: &Plan) -> bool {
    fn rows_below(plan: &Plan) -> f64 {
        match &plan.node {
            PlanNode::Join(join) if is_inner(join) && join.kind == JoinKind::Inner => {
                rows_below(&join.left) + rows_below(&join.right)
            }
            PlanNode::Join(join) if is_inner(join) => f64::MAX,
            PlanNode::Filter { input, .. } => rows_below(input),
            _ => rows(plan).unwrap_or(ROWS_UNKNOWN),
        }
    }
    rows_below(plan) < ROWS_SMALL
}

fn is_inner(join: &JoinNode) -> bool {
    let all = matches!(join.strictness, JoinStrictness::All | JoinStrictness::Unspecified);
    let kind = matches!(join.kind, JoinKind::Inner | JoinKind::Cross | JoinKind::Comma);
    all && kind && join.asof.is_none() && !volatile_keys(join)
}

fn volatile_keys(join: &JoinNode) -> bool {
    join.left_keys.iter().chain(&join.right_keys).chain(&join.residual).any(is_volatile)
}

/// How many relations the joins at the top of `plan` have; None if it is no inner join.
fn inner_relations(plan: &Plan) -> Option<usize> {
    match &plan.node {
        PlanNode::Join(join) if is_inner(join) => {
            let of = |side: &Plan| inner_relations(side).unwrap_or(1);
            Some(of(&join.left) + of(&join.right))
        }
        PlanNode::Filter { input, predicate } if !is_volatile(predicate) => inner_relations(input),
        _ => None,
    }
}

/// Joins taken apart. Columns are numbered as the joins' output was.
#[derive(Default)]
struct Parts {
    relations: Vec<Relation>,
    /// Sides of equalities.
    equal: Vec<(BoundExpr, BoundExpr)>,
    conditions: Vec<BoundExpr>,
}

struct Relation {
    plan: Option<Plan>,
    first: usize,
    width: usize,
}

fn take_apart(plan: Plan, first: usize, parts: &mut Parts) {
    if inner_relations(&plan).is_none() {
        let width = plan.schema.len();
        parts.relations.push(Relation { plan: Some(apply(plan)), first, width });
        return;
    }
    match plan.node {
        PlanNode::Filter { input, predicate } => {
            take_apart(*input, first, parts);
            let mut own = vec![];
            conjuncts(predicate, &mut own);
            parts.conditions.extend(own.into_iter().map(|e| moved(e, first)));
        }
        PlanNode::Join(join) => {
            let JoinNode { left, right, left_keys, right_keys, residual, .. } = *join;
            let second = first + left.schema.len();
            take_apart(left, first, parts);
            take_apart(right, second, parts);
            for (l, r) in left_keys.into_iter().zip(right_keys) {
                parts.equal.push((moved(l, first), moved(r, second)));
            }
            let mut own = vec![];
            residual.into_iter().for_each(|r| conjuncts(r, &mut own));
            parts.conditions.extend(own.into_iter().map(|e| moved(e, first)));
        }
        _ => {}
    }
}

fn moved(mut expr: BoundExpr, by: usize) -> BoundExpr {
    renumber(&mut expr, &|i| i + by);
    expr
}

type Mask = u64;

/// What orders are chosen by.
struct Search {
    relations: Vec<Relation>,
    rows: Vec<f64>,
    /// Columns that are equal where their relations meet.
    classes: Vec<Vec<(usize, DataType)>>,
    /// Other equalities.
    equal: Vec<(BoundExpr, BoundExpr)>,
    /// What else must hold, of several relations.
    conditions: Vec<(Mask, f64, BoundExpr)>,
}

/// A way to join a set of relations.
#[derive(Clone)]
struct Way {
    set: Mask,
    rows: f64,
    cost: f64,
    /// The two sets that are joined, the larger first; None for one relation.
    sides: Option<(Mask, Mask)>,
}

fn reorder(plan: Plan) -> Plan {
    let schema = plan.schema.clone();
    let mut parts = Parts::default();
    take_apart(plan, 0, &mut parts);
    let (search, constant) = Search::of(parts);
    let ways = if search.relations.len() <= SEARCHED_MAX { search.all() } else { search.greedy() };
    let mut search = search;
    let everything = search.everything();
    let (joined, columns) = search.build(&ways, everything);
    let place = |i: usize| columns.iter().position(|c| *c == i).unwrap_or(0);
    let exprs = (0..schema.len()).map(|i| column(place(i), &schema[i].1)).collect();
    let input = Box::new(joined);
    let plan = Plan { node: PlanNode::Project { input, exprs }, schema };
    filtered(plan, constant)
}

impl Search {
    /// The parts ready for the search, and conditions of no column.
    fn of(mut parts: Parts) -> (Search, Vec<BoundExpr>) {
        let mut search = Search {
            relations: std::mem::take(&mut parts.relations),
            rows: vec![],
            classes: vec![],
            equal: vec![],
            conditions: vec![],
        };
        let mut own: Vec<Vec<BoundExpr>> = search.relations.iter().map(|_| vec![]).collect();
        for (l, r) in parts.equal {
            search.add_equality(l, r);
        }
        for class in &search.classes {
            for (i, (a, of)) in class.iter().enumerate() {
                let at = search.relation_of(*a);
                let earlier = class[..i].iter().find(|(b, _)| search.relation_of(*b) == at);
                if let Some((b, _)) = earlier {
                    own[at].extend(equals(column(*b, of), column(*a, of)));
                }
            }
        }
        let mut constant = vec![];
        for condition in parts.conditions {
            search.add_condition(condition, &mut own, &mut constant);
        }
        for (relation, mut own) in search.relations.iter_mut().zip(own) {
            let first = relation.first;
            own.iter_mut().for_each(|e| renumber(e, &|i| i - first));
            if let Some(plan) = relation.plan.take() {
                let plan = if own.is_empty() { plan } else { pushed(plan, own) };
                search.rows.push(rows(&plan).unwrap_or(ROWS_UNKNOWN).max(1.0));
                relation.plan = Some(plan);
            }
        }
        for condition in &mut search.conditions {
            condition.1 = match &condition.2 {
                BoundExpr::Call { function, .. } if function.name() == "or" => 0.2,
                _ => selectivity(&condition.2, &nothing()),
            };
        }
        (search, constant)
    }

    fn everything(&self) -> Mask {
        (1 << self.relations.len()) - 1
    }

    fn relation_of(&self, column: usize) -> usize {
        self.relations.iter().rposition(|r| r.first <= column && r.width > 0).unwrap_or(0)
    }

    fn mask(&self, expr: &BoundExpr) -> Mask {
        columns_of(expr).iter().fold(0, |mask, i| mask | 1 << self.relation_of(*i))
    }

    fn add_equality(&mut self, l: BoundExpr, r: BoundExpr) {
        if let (
            BoundExpr::Column { index: a, data_type: left },
            BoundExpr::Column { index: b, data_type: right },
        ) = (&l, &r)
            && left.inner() == right.inner()
            && !left.inner().is_float()
        {
            let of = |i: usize| self.classes.iter().position(|c| c.iter().any(|(m, _)| *m == i));
            match (of(*a), of(*b)) {
                (Some(x), Some(y)) if x == y => {}
                (Some(x), Some(y)) => {
                    let other = self.classes.remove(x.max(y));
                    self.classes[x.min(y)].extend(other);
                }
                (Some(x), None) => self.classes[x].push((*b, right.clone())),
                (None, Some(y)) => self.classes[y].push((*a, left.clone())),
                (None, None) => {
                    self.classes.push(vec![(*a, left.clone()), (*b, right.clone())]);
                }
            }
            return;
        }
        self.equal.push((l, r));
    }

    fn add_condition(
        &mut self,
        condition: BoundExpr,
        own: &mut [Vec<BoundExpr>],
        constant: &mut Vec<BoundExpr>,
    ) {
        let mask = self.mask(&condition);
        match mask.count_ones() {
            0 => constant.push(condition),
            1 => own[mask.trailing_zeros() as usize].push(condition),
            _ => {
                for (at, own) in own.iter_mut().enumerate().filter(|(at, _)| mask >> at & 1 == 1) {
                    own.extend(implied(&condition, &|part| self.mask(part) == 1 << at));
                }
                self.conditions.push((mask, 1.0, condition));
            }
        }
    }

    /// Pairs of keys between two sets: distinct values and how to say them.
    fn keys(&self, a: Mask, b: Mask) -> Vec<(BoundExpr, BoundExpr)> {
        let mut keys = vec![];
        let within = |set: Mask, i: usize| set >> self.relation_of(i) & 1 == 1;
        for class in &self.classes {
            let member = |set: Mask| class.iter().find(|(i, _)| within(set, *i));
            if let (Some((l, left)), Some((r, right))) = (member(a), member(b)) {
                keys.push((column(*l, left), column(*r, right)));
            }
        }
        for (l, r) in &self.equal {
            let (left, right) = (self.mask(l), self.mask(r));
            if left & !a == 0 && right & !b == 0 {
                keys.push((l.clone(), r.clone()));
            } else if left & !b == 0 && right & !a == 0 {
                keys.push((r.clone(), l.clone()));
            }
        }
        keys
    }

    /// About how many values a key has.
    fn values(&self, key: &BoundExpr) -> f64 {
        columns_of(key)
            .iter()
            .map(|i| {
                let relation = &self.relations[self.relation_of(*i)];
                let own = column(i - relation.first, &DataType::Nothing);
                relation.plan.as_ref().map_or(1.0, |plan| distinct_of(plan, &own))
            })
            .product()
    }

    fn join(&self, a: &Way, b: &Way, values: &[f64]) -> (Way, bool) {
        let set = a.set | b.set;
        let mut pairs = vec![];
        for (class, values) in self.classes.iter().zip(values) {
            let has = |set: Mask| class.iter().any(|(i, _)| set >> self.relation_of(*i) & 1 == 1);
            if has(a.set) && has(b.set) {
                pairs.push((values.min(a.rows), values.min(b.rows)));
            }
        }
        for (l, r) in &self.equal {
            let (left, right) = (self.mask(l), self.mask(r));
            let split = |x: Mask, y: Mask| x & !a.set == 0 && y & !b.set == 0;
            if split(left, right) || split(right, left) {
                let values = self.values(l).max(self.values(r));
                pairs.push((values.min(a.rows), values.min(b.rows)));
            }
        }
        let mut out = joined(a.rows, b.rows, &pairs);
        let before = out;
        for (mask, share, _) in &self.conditions {
            if mask & !set == 0 && mask & !a.set != 0 && mask & !b.set != 0 {
                out *= share;
            }
        }
        let (larger, smaller) = if a.rows >= b.rows { (a, b) } else { (b, a) };
        let own = 2.0 * smaller.rows + 0.5 * larger.rows + before;
        let sides = Some((larger.set, smaller.set));
        let way = Way { set, rows: out.max(1.0), cost: a.cost + b.cost + own, sides };
        (way, !pairs.is_empty())
    }

    fn single(&self, at: usize) -> Way {
        Way { set: 1 << at, rows: self.rows[at], cost: 0.0, sides: None }
    }

    /// The most values that a column of each class has.
    fn class_values(&self) -> Vec<f64> {
        let of = |class: &Vec<(usize, DataType)>| {
            class.iter().map(|(i, t)| self.values(&column(*i, t))).fold(1.0, f64::max)
        };
        self.classes.iter().map(of).collect()
    }

    /// The cheapest way for every set of relations.
    fn all(&self) -> Vec<Option<Way>> {
        let everything = self.everything();
        let values = self.class_values();
        let mut ways: Vec<Option<Way>> = vec![None; everything as usize + 1];
        for at in 0..self.relations.len() {
            ways[1 << at] = Some(self.single(at));
        }
        for set in 1..=everything {
            if set.count_ones() < 2 {
                continue;
            }
            let mut best: Option<(Way, bool)> = None;
            let mut a = (set - 1) & set;
            while a > 0 {
                let b = set & !a;
                if a > b
                    && let (Some(x), Some(y)) = (&ways[a as usize], &ways[b as usize])
                {
                    let (way, keyed) = self.join(x, y, &values);
                    // A cross product only where nothing else joins the set.
                    let better = match &best {
                        None => true,
                        Some((known, has)) if *has == keyed => way.cost < known.cost,
                        Some(_) => keyed,
                    };
                    if better {
                        best = Some((way, keyed));
                    }
                }
                a = (a - 1) & set;
            }
            ways[set as usize] = best.map(|(way, _)| way);
        }
        ways
    }

    /// Joins the pair with the fewest rows, again and again.
    fn greedy(&self) -> Vec<Option<Way>> {
        let values = self.class_values();
        let mut left: Vec<Way> = (0..self.relations.len()).map(|at| self.single(at)).collect();
        let mut ways = left.clone();
        while left.len() > 1 {
            let mut best: Option<(usize, usize, Way, bool)> = None;
            for i in 0..left.len() {
                for j in i + 1..left.len() {
                    let (way, keyed) = self.join(&left[i], &left[j], &values);
                    let better = match &best {
                        None => true,
                        Some((_, _, known, has)) if *has == keyed => way.rows < known.rows,
                        Some(_) => keyed,
                    };
                    if better {
                        best = Some((i, j, way, keyed));
                    }
                }
            }
            let Some((i, j, way, _)) = best else { break };
            left.remove(j);
            left[i] = way.clone();
            ways.push(way);
        }
        ways.into_iter().map(Some).collect()
    }

    /// The plan that joins `set`, and which column stands where.
    fn build(&mut self, ways: &[Option<Way>], set: Mask) -> (Plan, Vec<usize>) {
        let way = ways.iter().flatten().find(|w| w.set == set);
        let Some((a, b)) = way.and_then(|w| w.sides) else {
            let relation = &mut self.relations[set.trailing_zeros() as usize];
            let columns = (relation.first..relation.first + relation.width).collect();
            return (relation.plan.take().unwrap_or_else(nothing), columns);
        };
        let keys = self.keys(a, b);
        let mut above: Vec<BoundExpr> = vec![];
        let meets = |mask: Mask| mask & !set == 0 && mask & !a != 0 && mask & !b != 0;
        above.extend(self.conditions.iter().filter(|c| meets(c.0)).map(|c| c.2.clone()));
        for (l, r) in &self.equal {
            let (left, right) = (self.mask(l), self.mask(r));
            let split = |x: Mask, y: Mask| x & !a == 0 && y & !b == 0;
            if meets(left | right) && !split(left, right) && !split(right, left) {
                above.extend(equals(l.clone(), r.clone()));
            }
        }
        let (left, mut columns) = self.build(ways, a);
        let (right, more) = self.build(ways, b);
        let placed = |mut e: BoundExpr, columns: &[usize]| {
            renumber(&mut e, &|i| columns.iter().position(|c| *c == i).unwrap_or(0));
            e
        };
        let (left_keys, right_keys): (Vec<_>, Vec<_>) =
            keys.into_iter().map(|(l, r)| (placed(l, &columns), placed(r, &more))).unzip();
        columns.extend(more);
        let mut schema = left.schema.clone();
        schema.extend(right.schema.iter().cloned());
        let kind = if left_keys.is_empty() { JoinKind::Cross } else { JoinKind::Inner };
        let node = PlanNode::Join(Box::new(JoinNode {
            left,
            right,
            kind,
            strictness: JoinStrictness::All,
            left_keys,
            right_keys,
            asof: None,
            residual: None,
            use_nulls: false,
            unread: vec![],
            filters: vec![],
        }));
        let above = above.into_iter().map(|e| placed(e, &columns)).collect();
        (filtered(Plan { node, schema }, above), columns)
    }
}

/// What a condition OR says of the columns that `within` allows: those parts of every branch.
fn implied(condition: &BoundExpr, within: &dyn Fn(&BoundExpr) -> bool) -> Option<BoundExpr> {
    let BoundExpr::Call { function, arguments, .. } = condition else { return None };
    if function.name() != "or" {
        return None;
    }
    let mut branches = vec![];
    for branch in arguments {
        let mut parts = vec![];
        conjuncts(branch.clone(), &mut parts);
        parts.retain(|p| within(p) && never_fails(p) && !is_volatile(p));
        branches.push(conjunction(parts)?);
    }
    disjunction(branches)
}

fn equals(l: BoundExpr, r: BoundExpr) -> Option<BoundExpr> {
    let nullable = l.data_type().is_nullable() || r.data_type().is_nullable();
    let data_type = if nullable { DataType::nullable(DataType::UInt8) } else { DataType::UInt8 };
    Some(BoundExpr::Call { function: lookup("equals")?, arguments: vec![l, r], data_type })
}
