//! Privileges: what can be granted, on which level, and which groups hold them (`privileges.tsv`: number, name,
//! aliases, level, parent; the numbers are those of `system.privileges`).
//!
//! A [`Privileges`] is a set of the simple ones; a group is the set of all below it. How a set is written is
//! ClickHouse's: the largest groups that it holds whole, in the order of the list.

use std::collections::HashMap;
use std::ops::{BitAnd, BitOr, Sub};
use std::sync::OnceLock;

/// On what a privilege can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A group: on what its members can be.
    Group,
    Global,
    Database,
    /// Tables, views and dictionaries.
    Table,
    Column,
    NamedCollection,
    UserName,
    TableEngine,
    Definer,
    Source,
}

impl Level {
    fn of(number: &str) -> Level {
        match number {
            "0" => Level::Global,
            "1" => Level::Database,
            "2" | "3" | "4" => Level::Table,
            "5" => Level::Column,
            "6" => Level::NamedCollection,
            "7" => Level::UserName,
            "8" => Level::TableEngine,
            "9" => Level::Definer,
            "10" => Level::Source,
            _ => Level::Group,
        }
    }

    /// Whether it is granted on a name that is no database.
    pub fn is_parameter(self) -> bool {
        use Level::*;
        matches!(self, NamedCollection | UserName | TableEngine | Definer | Source)
    }
}

/// One line of the list.
#[derive(Debug)]
pub struct Privilege {
    pub number: usize,
    pub name: &'static str,
    pub aliases: Vec<&'static str>,
    pub level: Level,
    pub parent: Option<usize>,
    /// As in the list; empty for a group.
    pub level_number: &'static str,
    /// Itself, or all that a group holds.
    pub set: Privileges,
    children: Vec<usize>,
}

/// A set of simple privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Privileges([u64; 4]);

/// The number of ALL.
const ALL: usize = 247;

/// All privileges by number.
pub fn all() -> &'static [Privilege] {
    static LIST: OnceLock<Vec<Privilege>> = OnceLock::new();
    LIST.get_or_init(|| {
        let lines = include_str!("privileges.tsv").lines();
        let mut list: Vec<Privilege> = lines.filter_map(read).collect();
        for number in 0..list.len() {
            if let Some(parent) = list[number].parent {
                list[parent].children.push(number);
            }
        }
        for number in 0..list.len() {
            if list[number].level != Level::Group {
                let mut at = Some(number);
                while let Some(n) = at {
                    list[n].set.0[number / 64] |= 1 << (number % 64);
                    at = list[n].parent;
                }
            }
        }
        list
    })
}

fn read(line: &'static str) -> Option<Privilege> {
    let mut fields = line.split('\t');
    let number = fields.next()?.parse().ok()?;
    let (name, aliases, level_number) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Privilege {
        number,
        name,
        aliases: aliases.split(',').filter(|a| !a.is_empty()).collect(),
        level: Level::of(level_number),
        parent: fields.next()?.parse().ok(),
        level_number,
        set: Privileges::default(),
        children: vec![],
    })
}

impl Privileges {
    pub const NONE: Privileges = Privileges([0; 4]);

    /// What a keyword or one of its aliases means, in any case.
    pub fn named(keyword: &str) -> Option<Privileges> {
        static NAMES: OnceLock<HashMap<String, Privileges>> = OnceLock::new();
        let names = NAMES.get_or_init(|| {
            let mut names = HashMap::new();
            for privilege in all() {
                for alias in privilege.aliases.iter().chain([&privilege.name]) {
                    names.insert(alias.to_ascii_uppercase(), privilege.set);
                }
            }
            names
        });
        names.get(&keyword.to_ascii_uppercase()).copied()
    }

    /// The set of a name of the list, which the caller knows to be in it.
    pub fn of(name: &'static str) -> Privileges {
        let found = Privileges::named(name);
        debug_assert!(found.is_some(), "no privilege {name}");
        found.unwrap_or_default()
    }

    /// Several names together.
    pub fn of_all(names: &[&'static str]) -> Privileges {
        names.iter().fold(Privileges::NONE, |set, name| set | Privileges::of(name))
    }

    pub fn everything() -> Privileges {
        all()[ALL].set
    }

    pub fn is_empty(self) -> bool {
        self == Privileges::NONE
    }

    pub fn contains(self, other: Privileges) -> bool {
        (other - self).is_empty()
    }

    /// Those that can be granted on this level or below it: of a database also what tables and columns have.
    pub fn grantable_on(level: Level) -> Privileges {
        let may = |l: Level| match level {
            Level::Group | Level::Global => true,
            Level::Database => matches!(l, Level::Database | Level::Table | Level::Column),
            Level::Table => matches!(l, Level::Table | Level::Column),
            other => l == other,
        };
        let list = all().iter().filter(|p| p.level != Level::Group && may(p.level));
        list.fold(Privileges::NONE, |set, p| set | p.set)
    }

    /// The level of all of them if they are of one kind that is granted on names which are no databases.
    pub fn parameter_level(self) -> Option<Level> {
        let mut levels = self.simple().map(|p| p.level);
        let first = levels.next()?;
        (first.is_parameter() && levels.all(|l| l == first)).then_some(first)
    }

    /// Each of them.
    pub fn simple(self) -> impl Iterator<Item = &'static Privilege> {
        all().iter().filter(move |p| p.level != Level::Group && self.contains(p.set))
    }

    /// As it is written: `SELECT`, `ALTER TABLE`; `USAGE` for none.
    pub fn keywords(self) -> Vec<&'static str> {
        let mut words = vec![];
        self.push_keywords(&all()[ALL], &mut words);
        if words.is_empty() {
            words.push("USAGE");
        }
        words
    }

    fn push_keywords(self, node: &'static Privilege, words: &mut Vec<&'static str>) {
        let held = self & node.set;
        if held.is_empty() {
        } else if held == node.set {
            words.push(node.name);
        } else {
            node.children.iter().for_each(|child| self.push_keywords(&all()[*child], words));
        }
    }
}

impl BitOr for Privileges {
    type Output = Privileges;
    fn bitor(self, other: Privileges) -> Privileges {
        Privileges(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }
}

impl BitAnd for Privileges {
    type Output = Privileges;
    fn bitand(self, other: Privileges) -> Privileges {
        Privileges(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }
}

impl Sub for Privileges {
    type Output = Privileges;
    fn sub(self, other: Privileges) -> Privileges {
        Privileges(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_as_the_largest_groups() {
        let set = |names: &[&'static str]| Privileges::of_all(names).keywords().join(", ");
        assert_eq!(set(&["SELECT"]), "SELECT");
        assert_eq!(set(&["INSERT", "SELECT"]), "SELECT, INSERT");
        assert_eq!(
            set(&["ALTER TABLE", "ALTER VIEW", "ALTER DATABASE"]),
            "ALTER TABLE, ALTER DATABASE, ALTER VIEW"
        );
        assert_eq!(Privileges::NONE.keywords(), ["USAGE"]);
        assert_eq!(Privileges::everything().keywords(), ["ALL"]);
        assert_eq!(Privileges::named("add column"), Privileges::named("ALTER ADD COLUMN"));
        assert!(Privileges::named("EVERYTHING").is_none());
        assert_eq!(Privileges::of("ALTER USER").parameter_level(), Some(Level::UserName));
    }
}
