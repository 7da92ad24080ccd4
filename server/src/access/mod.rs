//! Who may do what: users, roles and what is granted to them, beside the user `default` of the configuration, who
//! may do everything.
//!
//! [`Entities`] is what the log holds, read once a change; [`Granted`] is what one user may do with the roles that
//! are enabled, made once and kept as long as nothing changes. Statements are checked in `statement/access`.

pub mod authentication;
pub mod entity;
pub mod granted;
pub mod passwords;
pub mod policies;
pub mod quota;
pub mod rights;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use pumphouse_query::error::codes;
use pumphouse_query::sql::access::{EntityKind, NameSet};
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::State;
use uuid::Uuid;

pub use self::entity::Entity;
pub use self::granted::{Granted, RoleChoice};

/// The user of the configuration.
pub const DEFAULT_USER: &str = "default";
/// Entities that may be kept.
pub const ENTITIES_MAX: usize = 100_000;
/// What users may do that is kept at hand.
const GRANTED_MAX: usize = 1000;

/// Where entities come from, as `system.users` and others call it.
pub const CONFIGURED: &str = "config";
pub const KEPT: &str = "local_directory";

type KeptTexts = Arc<BTreeMap<Uuid, Arc<str>>>;

/// Everything that the log holds of access.
#[derive(Default)]
pub struct Entities {
    texts: KeptTexts,
    by_id: BTreeMap<Uuid, Arc<Entity>>,
    by_name: HashMap<(EntityKind, String), Uuid>,
    /// Some could not be read: a row policy may be among them.
    is_partial: bool,
    granted: Mutex<HashMap<(Uuid, RoleChoice), Arc<Granted>>>,
    configured: OnceLock<Arc<Granted>>,
}

/// The entities of the newest state.
#[derive(Default)]
pub struct AccessControl {
    newest: Mutex<Arc<Entities>>,
    pub quotas: quota::Quotas,
    /// Held while something is changed: changes are made from what is there.
    pub changing: Mutex<()>,
}

impl AccessControl {
    /// What `state` holds. An entity that cannot be read is told in the log; while there is one, nobody but the
    /// configured user may do anything.
    pub fn entities(&self, state: &State) -> Arc<Entities> {
        let mut newest = self.newest.lock();
        if !Arc::ptr_eq(&newest.texts, &state.access_entities) {
            *newest = Arc::new(Entities::read(&state.access_entities));
        }
        newest.clone()
    }
}

impl Entities {
    fn read(texts: &KeptTexts) -> Entities {
        let mut entities = Entities { texts: texts.clone(), ..Entities::default() };
        for (id, text) in texts.iter() {
            match Entity::read(*id, text) {
                Ok(entity) => {
                    entities.by_name.insert((entity.kind(), entity.name()), *id);
                    entities.by_id.insert(*id, Arc::new(entity));
                }
                Err(e) => {
                    tracing::error!(
                        "access entity {id} cannot be read; only the user of the configuration may enter: {e}"
                    );
                    entities.is_partial = true;
                }
            }
        }
        entities
    }

    pub fn get(&self, id: &Uuid) -> Option<&Arc<Entity>> {
        self.by_id.get(id)
    }

    pub fn find(&self, kind: EntityKind, name: &str) -> Option<&Arc<Entity>> {
        self.by_id.get(self.by_name.get(&(kind, name.to_string()))?)
    }

    /// All of a kind, in the order of their names.
    pub fn all(&self, kind: EntityKind) -> Vec<&Arc<Entity>> {
        let mut found: Vec<_> = self.by_id.values().filter(|e| e.kind() == kind).collect();
        found.sort_by_key(|e| e.name());
        found
    }

    /// Whether something could not be read.
    pub fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The entity, or ClickHouse's error that there is none.
    pub fn known(&self, kind: EntityKind, name: &str) -> Result<&Arc<Entity>> {
        self.find(kind, name).ok_or_else(|| unknown(kind, name))
    }

    /// The user or role of this name, as GRANT looks for it.
    pub fn grantee(&self, name: &str) -> Result<&Arc<Entity>> {
        self.find(EntityKind::User, name)
            .or_else(|| self.find(EntityKind::Role, name))
            .ok_or_else(|| unknown(EntityKind::Role, name))
    }

    /// Names as identities. `user`: who CURRENT_USER is; of the configured user nothing is kept (495).
    pub fn resolved(&self, set: &NameSet, user: &str, roles_only: bool) -> Result<NameSet> {
        let id_of = |name: &String| match roles_only {
            true => self.known(EntityKind::Role, name).map(|e| e.id.to_string()),
            // The configured user has no identity but its name.
            false if name == DEFAULT_USER => Ok(name.clone()),
            false => self.grantee(name).map(|e| e.id.to_string()),
        };
        let mut names = set.names.iter().map(id_of).collect::<Result<Vec<_>>>()?;
        let mut except = set.except.iter().map(id_of).collect::<Result<Vec<_>>>()?;
        let current = user.to_string();
        if set.current_user {
            names.push(id_of(&current)?);
        }
        if set.except_current_user {
            except.push(id_of(&current)?);
        }
        Ok(NameSet { all: set.all, any: set.any, ids: true, names, except, ..NameSet::default() })
    }

    /// Identities as names; what is gone is left out.
    pub fn named(&self, set: &NameSet) -> NameSet {
        let name_of = |id: &String| match Uuid::parse_str(id) {
            Ok(id) => self.get(&id).map(|e| e.name()),
            Err(_) => Some(id.clone()),
        };
        let mut named = NameSet { all: set.all, any: set.any, ..NameSet::default() };
        named.names = set.names.iter().filter_map(name_of).collect();
        named.except = set.except.iter().filter_map(name_of).collect();
        named.names.sort();
        named.except.sort();
        named
    }

    /// What the user may do; None if there is no such user.
    pub fn granted(self: &Arc<Self>, user: &str, choice: &RoleChoice) -> Option<Arc<Granted>> {
        if user.is_empty() {
            return Some(Granted::everything());
        }
        if user == DEFAULT_USER {
            return Some(self.configured.get_or_init(|| Granted::configured(self)).clone());
        }
        if self.is_partial {
            return None;
        }
        let entity = self.find(EntityKind::User, user)?;
        let key = (entity.id, choice.clone());
        if let Some(found) = self.granted.lock().get(&key) {
            return Some(found.clone());
        }
        let made = Arc::new(Granted::of(self, entity, choice));
        let mut kept = self.granted.lock();
        if kept.len() >= GRANTED_MAX {
            kept.clear();
        }
        kept.insert(key, made.clone());
        Some(made)
    }

    /// These roles and all that are granted to them, and so on.
    pub fn with_granted(&self, roles: impl IntoIterator<Item = Uuid>) -> BTreeSet<Uuid> {
        let (mut found, mut open) = (BTreeSet::new(), Vec::from_iter(roles));
        while let Some(id) = open.pop() {
            if let Some(role) = self.get(&id).filter(|e| e.kind() == EntityKind::Role)
                && found.insert(id)
            {
                open.extend(role.roles.keys());
            }
        }
        found
    }
}

/// Whether a set of identities means one of these (a user and its roles).
pub fn means(set: &NameSet, ids: &[String]) -> bool {
    let has = |list: &[String]| ids.iter().any(|id| list.contains(id));
    (set.all || has(&set.names)) && !has(&set.except)
}

/// ClickHouse's error for an entity that is not there.
pub fn unknown(kind: EntityKind, name: &str) -> Error {
    let (code, word) = match kind {
        EntityKind::User => (codes::UNKNOWN_USER, "user"),
        EntityKind::Role => (codes::UNKNOWN_ROLE, "role"),
        EntityKind::RowPolicy => (codes::UNKNOWN_ROW_POLICY, "row policy"),
        EntityKind::SettingsProfile => (codes::THERE_IS_NO_PROFILE, "settings profile"),
        EntityKind::Quota => (codes::UNKNOWN_QUOTA, "quota"),
    };
    let quoted = match kind {
        EntityKind::RowPolicy => name.to_string(),
        _ => format!("`{name}`"),
    };
    Error::new(code, format!("There is no {word} {quoted} in `user directories`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_made_in_sql_may_do_nothing_while_something_cannot_be_read() {
        let user: Arc<str> = "CREATE USER ann".into();
        let good: KeptTexts = Arc::new(BTreeMap::from([(Uuid::from_u128(1), user.clone())]));
        let entities = Arc::new(Entities::read(&good));
        assert!(entities.granted("ann", &RoleChoice::Default).is_some());
        let bad: Arc<str> = "CREATE ROW POLICY of a later program".into();
        let both = BTreeMap::from([(Uuid::from_u128(1), user), (Uuid::from_u128(2), bad)]);
        let entities = Arc::new(Entities::read(&Arc::new(both)));
        assert!(entities.granted("ann", &RoleChoice::Default).is_none());
        assert!(entities.granted(DEFAULT_USER, &RoleChoice::Default).is_some());
    }
}
