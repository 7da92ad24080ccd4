//! What is granted, as a tree: all databases, a database, a table, a column; each node holds what is granted there
//! and below. A name may be a prefix (`db*`). What a node does not say it takes from the longest prefix that
//! fits, or from the node above.
//!
//! A grant reaches everything below it; a revoke too, so that REVOKE behind a wider GRANT leaves a gap.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pumphouse_query::privileges::{Level, Privileges};
use pumphouse_query::sql::access::{GrantElement, Target};

/// How deep a path may go: database, table, column.
const DEPTH_MAX: usize = 3;

/// A place in the tree: up to three names, the last of which may be a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    pub names: Vec<String>,
    pub prefix: bool,
}

impl Place {
    pub fn of(names: &[&str]) -> Place {
        Place { names: names.iter().map(|n| n.to_string()).collect(), prefix: false }
    }

    /// Of a target of GRANT, in this current database.
    pub fn of_target(target: &Target, database: &str) -> Place {
        let (names, prefix) = match target {
            Target::Global => (vec![], false),
            Target::Database { name, prefix } => {
                (vec![name.clone().unwrap_or_else(|| database.into())], *prefix)
            }
            Target::Table { database: own, name, prefix } => {
                let database = own.clone().unwrap_or_else(|| database.into());
                (vec![database, name.clone()], *prefix)
            }
            Target::Parameter { name, prefix, .. } => (vec![name.clone()], *prefix),
        };
        Place { names, prefix }
    }

    fn target(&self, of: Privileges) -> Target {
        match self.names.as_slice() {
            [] => Target::Global,
            [name] if of.parameter_level().is_some() => {
                Target::Parameter { name: name.clone(), prefix: self.prefix, filter: None }
            }
            [name] => Target::Database { name: Some(name.clone()), prefix: self.prefix },
            [database, name, ..] => Target::Table {
                database: Some(database.clone()),
                name: name.clone(),
                prefix: self.prefix,
            },
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    held: Privileges,
    exact: BTreeMap<String, Node>,
    prefixes: BTreeMap<String, Node>,
}

/// What somebody holds, and of that what may be given on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    held: Node,
    grantable: Node,
}

/// A line of SHOW GRANTS.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub revoke: bool,
    pub grant_option: bool,
    pub elements: Vec<GrantElement>,
}

impl Rights {
    pub fn everything() -> Rights {
        let node = Node { held: Privileges::everything(), ..Node::default() };
        Rights { held: node.clone(), grantable: node }
    }

    pub fn is_empty(&self) -> bool {
        *self == Rights::default()
    }

    pub fn grant(&mut self, set: Privileges, place: &Place, grant_option: bool) {
        self.held.change(&place.names, place.prefix, &|held| held | set);
        if grant_option {
            self.grantable.change(&place.names, place.prefix, &|held| held | set);
        }
    }

    /// Takes away; with `option_only` only the right to give it on.
    pub fn revoke(&mut self, set: Privileges, place: &Place, option_only: bool) {
        self.grantable.change(&place.names, place.prefix, &|held| held - set);
        if !option_only {
            self.held.change(&place.names, place.prefix, &|held| held - set);
        }
    }

    /// Whether all of `set` is held at `names` and everywhere below.
    pub fn holds(&self, set: Privileges, names: &[&str], grant_option: bool) -> bool {
        let node = if grant_option { &self.grantable } else { &self.held };
        node.holds(set, names)
    }

    /// The same of all names that begin so.
    pub fn holds_prefix(&self, set: Privileges, place: &Place, grant_option: bool) -> bool {
        let node = if grant_option { &self.grantable } else { &self.held };
        node.holds_place(set, &place.names, place.prefix, 0)
    }

    /// Those of `set` that are held at `names` or somewhere below.
    pub fn held_below(&self, set: Privileges, names: &[&str]) -> Privileges {
        self.held.at(names).map_or_else(|inherited| inherited, Node::most) & set
    }

    /// What either holds.
    pub fn union(&self, other: &Rights) -> Rights {
        Rights {
            held: self.held.union(&other.held),
            grantable: self.grantable.union(&other.grantable),
        }
    }

    /// Of what `of` holds, that which may be given on here; with `option` to be given on again.
    pub fn grantable_part(&self, of: &Rights, option: bool) -> Rights {
        let held = self.grantable.intersection(&of.held);
        let grantable = if option { held.clone() } else { Node::default() };
        Rights { held, grantable }
    }

    /// With what follows from what is granted.
    pub fn with_implied(&self) -> Rights {
        let mut implied = self.clone();
        implied.held.imply(0);
        implied.grantable.imply(0);
        implied
    }

    /// As SHOW GRANTS shows it.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = vec![];
        let none = Node::default();
        lines_of(&self.held, &self.grantable, &none, &none, &Place::default(), &mut lines);
        lines
    }
}

impl Node {
    fn leaf(held: Privileges) -> Node {
        Node { held, ..Node::default() }
    }

    /// What a name without a node of its own has; prefixes as long as the name count only if `whole`.
    fn inherited(&self, name: &str, whole: bool) -> Privileges {
        let fits = |p: &&String| name.starts_with(p.as_str()) && (whole || p.len() < name.len());
        let longest = self.prefixes.keys().filter(fits).max_by_key(|p| p.len());
        longest.map_or(self.held, |p| self.prefixes[p].held)
    }

    fn change(&mut self, names: &[String], prefix: bool, f: &dyn Fn(Privileges) -> Privileges) {
        match names {
            [] => self.change_all(f),
            [last] if prefix => {
                let inherited = self.inherited(last, false);
                self.prefixes.entry(last.clone()).or_insert_with(|| Node::leaf(inherited));
                let begin = |name: &String| name.starts_with(last.as_str());
                let all = self.exact.iter_mut().chain(&mut self.prefixes);
                all.filter(|(name, _)| begin(name)).for_each(|(_, node)| node.change_all(f));
            }
            [first, rest @ ..] => {
                let inherited = self.inherited(first, true);
                let node = self.exact.entry(first.clone()).or_insert_with(|| Node::leaf(inherited));
                node.change(rest, prefix, f);
            }
        }
        self.tidy();
    }

    fn change_all(&mut self, f: &dyn Fn(Privileges) -> Privileges) {
        self.held = f(self.held);
        self.exact.values_mut().chain(self.prefixes.values_mut()).for_each(|n| n.change_all(f));
        self.tidy();
    }

    fn is_leaf(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    /// Forgets children that say nothing.
    fn tidy(&mut self) {
        for exact in [true, false] {
            let children = if exact { &self.exact } else { &self.prefixes };
            let idle = |(name, child): &(&String, &Node)| {
                child.is_leaf() && child.held == self.inherited(name, exact)
            };
            let idle: Vec<String> = children.iter().filter(idle).map(|(n, _)| n.clone()).collect();
            let children = if exact { &mut self.exact } else { &mut self.prefixes };
            children.retain(|name, _| !idle.contains(name));
        }
    }

    /// The node of these names, or what holds there.
    fn at(&self, names: &[&str]) -> Result<&Node, Privileges> {
        match names {
            [] => Ok(self),
            [first, rest @ ..] => match self.exact.get(*first) {
                Some(node) => node.at(rest),
                None => Err(self.inherited(first, true)),
            },
        }
    }

    fn holds(&self, set: Privileges, names: &[&str]) -> bool {
        self.at(names)
            .map_or_else(|inherited| inherited, |node| node.least(names.len()))
            .contains(set)
    }

    fn holds_place(&self, set: Privileges, names: &[String], prefix: bool, depth: usize) -> bool {
        match names {
            [] => self.least(depth).contains(set),
            [last] if prefix => {
                let all = self.exact.iter().chain(&self.prefixes);
                let mut below = all.filter(|(name, _)| name.starts_with(last.as_str()));
                self.inherited(last, true).contains(set)
                    && below.all(|(_, node)| node.least(depth + 1).contains(set))
            }
            [first, rest @ ..] => match self.exact.get(first) {
                Some(node) => node.holds_place(set, rest, prefix, depth + 1),
                None => self.inherited(first, true).contains(set),
            },
        }
    }

    /// What is held here and everywhere below, as far as it can be held there.
    fn least(&self, depth: usize) -> Privileges {
        let below = self.exact.values().chain(self.prefixes.values());
        let only_here = self.held - held_at(depth + 1);
        below.fold(self.held, |set, node| set & (node.least(depth + 1) | only_here))
    }

    /// What is held here or somewhere below.
    fn most(&self) -> Privileges {
        let below = self.exact.values().chain(self.prefixes.values());
        below.fold(self.held, |set, node| set | node.most())
    }

    fn union(&self, other: &Node) -> Node {
        self.combined(other, &|a, b| a | b)
    }

    fn intersection(&self, other: &Node) -> Node {
        self.combined(other, &|a, b| a & b)
    }

    fn combined(&self, other: &Node, f: &dyn Fn(Privileges, Privileges) -> Privileges) -> Node {
        let mut node = Node::leaf(f(self.held, other.held));
        for name in self.prefixes.keys().chain(other.prefixes.keys()) {
            let of = |n: &Node| {
                n.prefixes.get(name).cloned().unwrap_or_else(|| Node::leaf(n.inherited(name, true)))
            };
            node.prefixes.insert(name.clone(), of(self).combined(&of(other), f));
        }
        for name in self.exact.keys().chain(other.exact.keys()) {
            let of = |n: &Node| {
                n.exact.get(name).cloned().unwrap_or_else(|| Node::leaf(n.inherited(name, true)))
            };
            node.exact.insert(name.clone(), of(self).combined(&of(other), f));
        }
        node.tidy();
        node
    }

    /// Adds what follows from what is held: a view may be made where a table may, and what one may use one
    /// may see.
    fn imply(&mut self, depth: usize) {
        let of = Privileges::of;
        self.exact.values_mut().chain(self.prefixes.values_mut()).for_each(|n| n.imply(depth + 1));
        for (one, other) in [
            ("CREATE TABLE", "CREATE VIEW"),
            ("DROP TABLE", "DROP VIEW"),
            ("ALTER TABLE", "ALTER VIEW"),
            ("ALTER TTL", "ALTER MATERIALIZE TTL"),
        ] {
            if self.held.contains(of(one)) {
                self.held = self.held | of(other);
            }
        }
        let most = self.most();
        if depth == 0 && most.contains(of("CREATE TABLE")) {
            self.held = self.held
                | Privileges::of_all(&[
                    "CREATE TEMPORARY TABLE",
                    "CREATE ARBITRARY TEMPORARY TABLE",
                ]);
        }
        if depth == 0 && most.contains(of("CREATE VIEW")) {
            self.held = self.held | of("CREATE TEMPORARY VIEW");
        }
        self.imply_shown(most, depth);
    }

    fn imply_shown(&mut self, most: Privileges, depth: usize) {
        let of = Privileges::of;
        let at = |level| Privileges::grantable_on(level);
        // What is held here is held of everything below; what is held below shows what leads to it.
        let show = |held: Privileges, level: Level| {
            let own = Privileges::of_all(&["CHECK"]);
            !((held - own) & at(level)).is_empty()
        };
        let mut more = Privileges::NONE;
        if show(self.held, Level::Column) {
            more = more | of("SHOW COLUMNS");
        }
        if show(self.held, Level::Table) || (depth == 2 && show(most, Level::Table)) {
            more = more | of("SHOW TABLES");
        }
        if self.held.contains(of("dictGet")) {
            more = more | of("SHOW DICTIONARIES");
        }
        if show(self.held, Level::Database) || (depth == 1 && show(most, Level::Database)) {
            more = more | of("SHOW DATABASES");
        }
        self.held = self.held | more;
    }
}

/// What can be held in nodes so deep.
fn held_at(depth: usize) -> Privileges {
    static SETS: OnceLock<[Privileges; 3]> = OnceLock::new();
    let sets = SETS.get_or_init(|| {
        let names = [
            Level::Database,
            Level::NamedCollection,
            Level::UserName,
            Level::TableEngine,
            Level::Definer,
            Level::Source,
        ];
        let named = names.map(Privileges::grantable_on);
        let first = named.iter().fold(Privileges::NONE, |all, set| all | *set);
        [first, Privileges::grantable_on(Level::Table), Privileges::grantable_on(Level::Column)]
    });
    match depth {
        0 => Privileges::everything(),
        depth => sets[depth.min(3) - 1],
    }
}

/// The lines of a node and those below it, given what holds above.
fn lines_of(
    held: &Node,
    grantable: &Node,
    held_above: &Node,
    grantable_above: &Node,
    place: &Place,
    lines: &mut Vec<Line>,
) {
    let before = lines.len();
    push_lines(held, grantable, held_above, grantable_above, place, lines);
    if place.names.len() == DEPTH_MAX - 1 {
        push_columns(held, grantable, place, lines);
        return merge_lines(before, lines);
    }
    let mut names: Vec<(&String, bool)> = vec![];
    for node in [held, grantable] {
        names.extend(node.exact.keys().map(|n| (n, false)));
        names.extend(node.prefixes.keys().map(|n| (n, true)));
    }
    names.sort();
    names.dedup();
    for (name, prefix) in names {
        let child = |node: &Node| {
            let found = if prefix { node.prefixes.get(name) } else { node.exact.get(name) };
            found.cloned().unwrap_or_else(|| Node::leaf(node.inherited(name, true)))
        };
        let above = |node: &Node| Node::leaf(node.inherited(name, !prefix));
        let mut below = place.clone();
        below.names.push(name.clone());
        below.prefix = prefix;
        let (h, g) = (child(held), child(grantable));
        lines_of(&h, &g, &above(held), &above(grantable), &below, lines);
    }
}

/// Lines of one table that differ in their columns alone become one: `SELECT(a), INSERT ON db.t`.
fn merge_lines(from: usize, lines: &mut Vec<Line>) {
    let mut merged: Vec<Line> = vec![];
    for line in lines.split_off(from) {
        let same = |l: &&mut Line| (l.revoke, l.grant_option) == (line.revoke, line.grant_option);
        match merged.iter_mut().find(same) {
            Some(known) => known.elements.extend(line.elements),
            None => merged.push(line),
        }
    }
    for line in &mut merged {
        line.elements.sort_by_key(|e| e.privileges.simple().next().map(|p| p.number));
    }
    lines.extend(merged);
}

fn push_lines(
    held: &Node,
    grantable: &Node,
    held_above: &Node,
    grantable_above: &Node,
    place: &Place,
    lines: &mut Vec<Line>,
) {
    let with_option = grantable.held - grantable_above.held;
    let plain = held.held - held_above.held - with_option;
    let gone = held_above.held - held.held;
    let option_gone = grantable_above.held - grantable.held - gone;
    for (set, revoke, grant_option) in [
        (plain, false, false),
        (with_option, false, true),
        (gone, true, false),
        (option_gone, true, true),
    ] {
        for (part, target) in by_target(set, place) {
            let elements = vec![GrantElement { privileges: part, columns: vec![], target }];
            lines.push(Line { revoke, grant_option, elements });
        }
    }
}

/// A set apart by what its privileges are granted on: those on names that are no databases stand alone.
fn by_target(set: Privileges, place: &Place) -> Vec<(Privileges, Target)> {
    if set.is_empty() {
        return vec![];
    }
    if place.names.is_empty() {
        return vec![(set, place.target(set))];
    }
    let mut parts: Vec<(Privileges, Target)> = vec![];
    for privilege in set.simple() {
        let target = place.target(privilege.set);
        match parts.iter_mut().find(|(part, t)| {
            *t == target && part.parameter_level() == privilege.set.parameter_level()
        }) {
            Some((part, _)) => *part = *part | privilege.set,
            None => parts.push((privilege.set, target)),
        }
    }
    parts
}

/// `SELECT(a, b), INSERT(a) ON db.t`.
fn push_columns(held: &Node, grantable: &Node, place: &Place, lines: &mut Vec<Line>) {
    let mut names: Vec<&String> = held.exact.keys().chain(grantable.exact.keys()).collect();
    names.sort();
    names.dedup();
    let of = |node: &Node, name: &String| node.exact.get(name).map_or(node.held, |n| n.held);
    let (h, g) = (held.held, grantable.held);
    type Difference<'a> = &'a dyn Fn(&String) -> Privileges;
    let with_option: Difference = &|n| of(grantable, n) - g;
    let plain: Difference = &|n| of(held, n) - h - (of(grantable, n) - g);
    let gone: Difference = &|n| h - of(held, n);
    let option_gone: Difference = &|n| g - of(grantable, n) - (h - of(held, n));
    for (difference, revoke, grant_option) in [
        (plain, false, false),
        (with_option, false, true),
        (gone, true, false),
        (option_gone, true, true),
    ] {
        let all = names.iter().fold(Privileges::NONE, |set, n| set | difference(n));
        let elements: Vec<GrantElement> = all
            .simple()
            .map(|privilege| GrantElement {
                privileges: privilege.set,
                columns: names
                    .iter()
                    .filter(|n| difference(n).contains(privilege.set))
                    .map(|n| n.to_string())
                    .collect(),
                target: place.target(privilege.set),
            })
            .collect();
        if !elements.is_empty() {
            lines.push(Line { revoke, grant_option, elements });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rights: &Rights) -> Vec<String> {
        rights.lines().iter().map(|l| super::super::entity::line_text(l, "u")).collect()
    }

    #[test]
    fn grants_and_gaps() {
        let of = Privileges::of;
        let mut rights = Rights::default();
        rights.grant(of("SELECT"), &Place::of(&[]), false);
        rights.revoke(of("SELECT"), &Place::of(&["db", "t"]), false);
        assert_eq!(shown(&rights), ["GRANT SELECT ON *.* TO u", "REVOKE SELECT ON db.t FROM u"]);
        assert!(rights.holds(of("SELECT"), &["db", "s"], false));
        assert!(!rights.holds(of("SELECT"), &["db"], false));
        assert!(!rights.holds(of("SELECT"), &["db", "t", "a"], false));
        rights.grant(of("SELECT"), &Place::of(&["db", "t", "a"]), true);
        assert!(rights.holds(of("SELECT"), &["db", "t", "a"], true));
        assert!(!rights.holds(of("SELECT"), &["db", "t", "b"], false));
        assert_eq!(shown(&rights)[2], "GRANT SELECT(a) ON db.t TO u WITH GRANT OPTION");
        rights.grant(of("SELECT"), &Place::of(&[]), false);
        assert_eq!(shown(&rights).len(), 2);
        rights.revoke(Privileges::everything(), &Place::of(&[]), false);
        assert!(rights.is_empty());
    }

    #[test]
    fn prefixes_and_what_follows() {
        let of = Privileges::of;
        let mut rights = Rights::default();
        rights.grant(of("SELECT"), &Place { names: vec!["p".into()], prefix: true }, false);
        assert!(rights.holds(of("SELECT"), &["papa", "t"], false));
        assert!(!rights.holds(of("SELECT"), &["mama", "t"], false));
        rights.revoke(of("SELECT"), &Place::of(&["papa"]), false);
        assert!(!rights.holds(of("SELECT"), &["papa", "t"], false));
        assert_eq!(shown(&rights), ["GRANT SELECT ON p*.* TO u", "REVOKE SELECT ON papa.* FROM u"]);
        rights.grant(of("INSERT"), &Place::of(&["db", "t"]), false);
        let implied = rights.with_implied();
        assert!(implied.holds(of("SHOW TABLES"), &["db", "t"], false));
        assert!(!implied.holds(of("SHOW TABLES"), &["db", "s"], false));
        assert!(implied.held_below(of("SHOW DATABASES"), &["db"]) == of("SHOW DATABASES"));
        assert_eq!(rights.union(&Rights::everything()), Rights::everything());
    }
}
