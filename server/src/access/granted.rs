//! What one user may do: its own grants and those of the roles that are enabled, with what follows from them; its
//! settings with their bounds, and its row policies. Made from `Entities` once a change and asked by every statement
//! of the user. Errors are of code 497 and ClickHouse's text; columns that the user may not see are not named in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use pumphouse_query::context::{Roles, RowFilters};
use pumphouse_query::error::codes;
use pumphouse_query::privileges::Privileges;
use pumphouse_query::settings::{Constraint, Settings, of_value};
use pumphouse_query::sql::access::{
    EntityKind, GrantElement, NameSet, SettingElement, Target, Writability,
};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result};
use uuid::Uuid;

use super::policies::Policies;
use super::rights::{Place, Rights};
use super::{Entities, Entity};
use pumphouse_storage::Value;

/// Which roles a session has chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum RoleChoice {
    #[default]
    Default,
    These(Vec<Uuid>),
}

/// What a user may do.
pub struct Granted {
    /// Nothing is checked.
    pub everything: bool,
    pub user: Option<Arc<Entity>>,
    /// Roles that were chosen, and with those that are granted to them.
    pub current_roles: BTreeSet<Uuid>,
    pub enabled_roles: BTreeSet<Uuid>,
    /// As granted.
    pub rights: Rights,
    /// With what follows.
    implied: Rights,
    /// Settings of the user, its roles and profiles, and within what they may be changed.
    pub values: Settings,
    pub constraints: Option<Arc<BTreeMap<String, Constraint>>>,
    pub default_database: Option<String>,
    /// Names of the roles.
    pub roles: Roles,
    pub row_filters: Option<Arc<dyn RowFilters>>,
}

impl Granted {
    /// Of the configured user, and of what the server does by itself.
    pub fn everything() -> Arc<Granted> {
        static ALL: OnceLock<Arc<Granted>> = OnceLock::new();
        let made = ALL.get_or_init(|| {
            Arc::new(Granted {
                everything: true,
                user: None,
                current_roles: BTreeSet::new(),
                enabled_roles: BTreeSet::new(),
                rights: Rights::everything(),
                implied: Rights::everything(),
                values: Settings::default(),
                constraints: None,
                default_database: None,
                roles: Roles::default(),
                row_filters: None,
            })
        });
        made.clone()
    }

    /// Of the configured user, with what policies and profiles say of it.
    pub(super) fn configured(entities: &Arc<Entities>) -> Arc<Granted> {
        let ids = vec![super::DEFAULT_USER.to_string()];
        let mut settings = vec![];
        for profile in entities.all(EntityKind::SettingsProfile) {
            if profile.to().is_some_and(|to| super::means(to, &ids)) {
                expand(entities, profile, &mut settings, 0);
            }
        }
        let (values, constraints) = values_of(&settings);
        let mut granted = Granted {
            everything: true,
            user: None,
            current_roles: BTreeSet::new(),
            enabled_roles: BTreeSet::new(),
            rights: Rights::everything(),
            implied: Rights::everything(),
            values,
            constraints: (!constraints.is_empty()).then(|| Arc::new(constraints)),
            default_database: None,
            roles: Roles::default(),
            row_filters: None,
        };
        granted.row_filters = Policies::of(entities, &granted);
        Arc::new(granted)
    }

    pub(super) fn of(entities: &Arc<Entities>, user: &Arc<Entity>, choice: &RoleChoice) -> Granted {
        let current: BTreeSet<Uuid> = match choice {
            RoleChoice::Default => default_roles(user),
            RoleChoice::These(roles) => {
                roles.iter().copied().filter(|r| user.roles.contains_key(r)).collect()
            }
        };
        let enabled = entities.with_granted(current.iter().copied());
        let mut rights = user.rights.clone();
        for role in enabled.iter().filter_map(|id| entities.get(id)) {
            rights = rights.union(&role.rights);
        }
        let definition = user.user();
        let (values, constraints) = values_of(&settings_of(entities, user, &enabled));
        let names = |ids: &BTreeSet<Uuid>| {
            let mut names: Vec<String> =
                ids.iter().filter_map(|id| entities.get(id)).map(|e| e.name()).collect();
            names.sort();
            names
        };
        let roles = Roles {
            current: names(&current),
            enabled: names(&enabled),
            default: names(&default_roles(user)),
        };
        let mut granted = Granted {
            everything: false,
            user: Some(user.clone()),
            values,
            constraints: (!constraints.is_empty()).then(|| Arc::new(constraints)),
            current_roles: current,
            enabled_roles: enabled,
            implied: implied(rights.clone()),
            rights,
            default_database: definition.and_then(|d| d.default_database.clone().flatten()),
            roles,
            row_filters: None,
        };
        granted.row_filters = Policies::of(entities, &granted);
        granted
    }

    /// The identities by which policies, profiles and quotas mean this user.
    pub fn ids(&self) -> Vec<String> {
        match &self.user {
            None => vec![super::DEFAULT_USER.into()],
            Some(user) => std::iter::once(user.id)
                .chain(self.enabled_roles.iter().copied())
                .map(|id| id.to_string())
                .collect(),
        }
    }

    pub fn holds(&self, set: Privileges, names: &[&str]) -> bool {
        self.everything || self.implied.holds(set, names, false)
    }

    /// Whether one of the privileges is held at `names` or somewhere below.
    pub fn holds_some(&self, set: Privileges, names: &[&str]) -> bool {
        self.everything || !self.implied.held_below(set, names).is_empty()
    }

    /// Whether an element of GRANT is held.
    pub fn holds_element(&self, element: &GrantElement, database: &str, option: bool) -> bool {
        let places = super::entity::places(element, database);
        let rights = if option { &self.rights } else { &self.implied };
        let set = super::entity::granted_at(element);
        self.everything || places.iter().all(|place| rights.holds_prefix(set, place, option))
    }

    /// Error 497 if not all of `set` is held at `names` (database, table), for each of `columns` if there are any.
    pub fn require(&self, set: Privileges, names: &[&str], columns: &[String]) -> Result<()> {
        if self.everything {
            return Ok(());
        }
        let of_column = |column: &String| {
            let mut path = names.to_vec();
            path.push(column);
            self.implied.holds(set, &path, false)
        };
        let held = match columns {
            [] => self.implied.holds(set, names, false),
            columns => columns.iter().all(of_column),
        };
        if held {
            return Ok(());
        }
        // Names of columns that the user may not see are not told.
        let may_see = |column: &String| {
            let mut path = names.to_vec();
            path.push(column);
            self.implied.holds(Privileges::of("SHOW COLUMNS"), &path, false)
        };
        let text = |columns: &[String]| {
            let seen = columns.iter().all(may_see);
            wanted(set, names, if seen { columns } else { &[] })
        };
        let missing: Vec<String> = columns.iter().filter(|c| !of_column(c)).cloned().collect();
        let part = match columns {
            [] => {
                let all = set.simple().filter(|p| !self.implied.holds(p.set, names, false));
                let lacking = all.fold(Privileges::NONE, |lacking, p| lacking | p.set);
                (lacking != set).then(|| wanted(lacking, names, &[]))
            }
            _ => (missing.len() < columns.len()).then(|| text(&missing)),
        };
        let missing = part.map_or(String::new(), |p| format!(". (Missing permissions: {p})"));
        Err(self.denied(&format!("{}{missing}", text(columns))))
    }

    /// Error 497 if no column of the table may be read.
    pub fn require_some_column(&self, set: Privileges, database: &str, table: &str) -> Result<()> {
        match self.holds_some(set, &[database, table]) {
            true => Ok(()),
            false => Err(self.denied(&wanted(set, &[database, table], &[]))),
        }
    }

    /// Error 497 for what is wanted.
    pub fn denied(&self, wanted: &str) -> Error {
        let name = self.user.as_ref().map_or(super::DEFAULT_USER.to_string(), |u| u.name());
        let message = format!(
            "{name}: Not enough privileges. To execute this query, it's necessary to have the grant {wanted}"
        );
        Error::new(codes::ACCESS_DENIED, message)
    }
}

/// `SELECT(a, b) ON db.t`.
pub fn wanted(set: Privileges, names: &[&str], columns: &[String]) -> String {
    let list: Vec<String> = columns.iter().map(|c| format::quote_name(c)).collect();
    let columns = if list.is_empty() { String::new() } else { format!("({})", list.join(", ")) };
    let words: Vec<String> = set.keywords().iter().map(|word| format!("{word}{columns}")).collect();
    let place = match names {
        [] if set.parameter_level().is_some() => "*".into(),
        [name] if set.parameter_level().is_some() => format::quote_name(name),
        names => wanted_place(names),
    };
    format!("{} ON {place}", words.join(", "))
}

fn wanted_place(names: &[&str]) -> String {
    match names {
        [] => "*.*".into(),
        [database] => format!("{}.*", format::quote_name(database)),
        [database, table, ..] => {
            format!("{}.{}", format::quote_name(database), format::quote_name(table))
        }
    }
}

/// Of the roles that are granted, those that hold from the start.
pub fn default_roles(user: &Entity) -> BTreeSet<Uuid> {
    let all = NameSet { all: true, ..NameSet::default() };
    let definition = user.user().and_then(|d| d.default_roles.as_ref()).unwrap_or(&all);
    user.roles.keys().copied().filter(|id| super::means(definition, &[id.to_string()])).collect()
}

/// Tables of `system` that everybody may read: what is the same for all, and what shows each their own.
const OPEN_TABLES: &[&str] = &[
    "one",
    "numbers",
    "numbers_mt",
    "zeros",
    "zeros_mt",
    "aggregate_function_combinators",
    "build_options",
    "collations",
    "columns",
    "contributors",
    "current_roles",
    "data_type_families",
    "database_engines",
    "databases",
    "enabled_roles",
    "formats",
    "functions",
    "keywords",
    "licenses",
    "macros",
    "merge_tree_settings",
    "privileges",
    "quota_usage",
    "settings",
    "settings_changes",
    "table_engines",
    "table_functions",
    "tables",
    "time_zones",
    "dictionaries",
    "processes",
];

/// Tables of `system` that show access, and what they need beside, or in place of, SELECT.
const SHOWN_TABLES: &[(&str, &[&str])] = &[
    ("users", &["SHOW USERS"]),
    ("roles", &["SHOW ROLES"]),
    ("grants", &["SHOW USERS", "SHOW ROLES"]),
    ("role_grants", &["SHOW USERS", "SHOW ROLES"]),
    ("row_policies", &["SHOW ROW POLICIES"]),
    ("settings_profiles", &["SHOW SETTINGS PROFILES"]),
    ("settings_profile_elements", &["SHOW SETTINGS PROFILES"]),
    ("quotas", &["SHOW QUOTAS"]),
    ("quota_limits", &["SHOW QUOTAS"]),
    ("quotas_usage", &["SHOW QUOTAS"]),
    ("named_collections", &["SHOW NAMED COLLECTIONS"]),
];

/// What a table of `system` needs beside SELECT.
pub fn shown_table_needs(table: &str) -> Privileges {
    let found = SHOWN_TABLES.iter().find(|(name, _)| *name == table);
    found.map_or(Privileges::NONE, |(_, privileges)| Privileges::of_all(privileges))
}

/// Rights with what follows from them.
pub fn implied(rights: Rights) -> Rights {
    let mut rights = rights.with_implied();
    let select = Privileges::of("SELECT");
    for table in OPEN_TABLES {
        rights.grant(select, &Place::of(&["system", table]), false);
    }
    for database in ["information_schema", "INFORMATION_SCHEMA"] {
        rights.grant(select, &Place::of(&[database]), false);
    }
    for (table, privileges) in SHOWN_TABLES {
        if rights.holds(Privileges::of_all(privileges), &[], false) {
            rights.grant(select, &Place::of(&["system", table]), false);
        }
    }
    rights
}

/// Settings by their weight: of profiles for all, of roles, of the user; profiles stand in place of INHERIT.
fn settings_of(entities: &Entities, user: &Entity, roles: &BTreeSet<Uuid>) -> Vec<SettingElement> {
    let mut settings = vec![];
    let ids: Vec<String> = roles.iter().chain([&user.id]).map(|id| id.to_string()).collect();
    for profile in entities.all(EntityKind::SettingsProfile) {
        if profile.to().is_some_and(|to| super::means(to, &ids)) {
            expand(entities, profile, &mut settings, 0);
        }
    }
    for role in roles.iter().filter_map(|id| entities.get(id)) {
        expand(entities, role, &mut settings, 0);
    }
    expand(entities, user, &mut settings, 0);
    settings
}

/// Values and constraints of elements; later ones win.
fn values_of(elements: &[SettingElement]) -> (Settings, BTreeMap<String, Constraint>) {
    let (mut values, mut constraints) = (Settings::default(), BTreeMap::new());
    let text = |name: &str, value: &Option<Value>| {
        value.as_ref().and_then(|v| of_value(name, v).ok()).map(|(_, text)| text)
    };
    for element in elements {
        if let Some(value) = text(&element.name, &element.value) {
            values.set(element.name.clone(), value);
        }
        let (min, max) = (text(&element.name, &element.min), text(&element.name, &element.max));
        let constraint = Constraint {
            min,
            max,
            fixed: element.writability == Some(Writability::Const),
            in_readonly: element.writability == Some(Writability::ChangeableInReadonly),
        };
        if constraint != Constraint::default() || element.writability.is_some() {
            constraints.insert(element.name.clone(), constraint);
        }
    }
    (values, constraints)
}

/// How deep profiles may inherit from each other.
const INHERIT_MAX: usize = 20;

fn expand(entities: &Entities, of: &Entity, settings: &mut Vec<SettingElement>, depth: usize) {
    for element in of.settings() {
        match &element.inherit {
            None => settings.push(element.clone()),
            Some(id) => {
                let profile = Uuid::parse_str(id).ok().and_then(|id| entities.get(&id));
                if let Some(profile) = profile.filter(|_| depth < INHERIT_MAX) {
                    expand(entities, profile, settings, depth + 1);
                }
            }
        }
    }
}

/// As an element of GRANT, for messages.
pub fn element_text(element: &GrantElement, database: &str, option: bool) -> String {
    let set = super::entity::granted_at(element);
    let place = Place::of_target(&element.target, database);
    let star = if place.prefix { "*" } else { "" };
    let names: Vec<&str> = place.names.iter().map(String::as_str).collect();
    let text = wanted(set, &names, &element.columns);
    let text = match element.target {
        Target::Database { .. } if place.prefix => text.replacen(".*", "*.*", 1),
        _ => format!("{text}{star}"),
    };
    if option { format!("{text} WITH GRANT OPTION") } else { text }
}
