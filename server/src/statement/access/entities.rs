//! CREATE, ALTER and DROP of users, roles, row policies, settings profiles and quotas: all entities of a statement in one
//! commit, or none. Names of others become identities, passwords hashes, settings their own names. What is not there
//! (HOST by pattern, other keys and limits of quotas) is refused (48).

use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::settings::{known, of_value};
use pumphouse_query::sql::access::*;
use pumphouse_query::{Error, Result};
use uuid::Uuid;

use super::{refuse_cluster, refuse_configured, refuse_storage};
use crate::access::authentication::{Subnet, moment};
use crate::access::entity::policy_name;
use crate::access::{ENTITIES_MAX, Entities, Entity, passwords};
use crate::statement::Run;

impl Run<'_> {
    /// Carries out CREATE, ALTER or ATTACH of one or several entities.
    pub(super) fn define(&mut self, definition: AccessStatement) -> Result<()> {
        let server = self.server.clone();
        let _changing = server.access.changing.lock();
        let entities = server.access.entities(&server.store.snapshot());
        let given = Entity::new(Uuid::nil(), definition);
        let kind = given.kind();
        let head = given.head().cloned().unwrap_or_default();
        refuse_cluster(&head.cluster)?;
        refuse_storage(&head.storage)?;
        let (mut changed, mut dropped) = (vec![], vec![]);
        for at in 0..head.names.len() {
            let mut one = self.one_of(&given, at)?;
            let name = one.name();
            let old = entities.find(kind, &name);
            let exists = old.is_some() || (kind == EntityKind::User && name == "default");
            if head.manner.is_alter() {
                let Some(old) = old else {
                    refuse_configured(kind, &name, "update")?;
                    match head.manner {
                        Manner::AlterIfExists => continue,
                        _ => return Err(crate::access::unknown(kind, &name)),
                    }
                };
                let mut altered = Entity::clone(old);
                self.change_entity(&mut altered, one, &entities)?;
                if entities.find(kind, &altered.name()).is_some_and(|e| e.id != altered.id) {
                    return Err(collision(kind, &altered.name(), "rename"));
                }
                changed.push(altered);
                continue;
            }
            match (exists, head.manner) {
                (true, Manner::CreateIfNotExists) => continue,
                (true, Manner::CreateOrReplace) => {
                    refuse_configured(kind, &name, "remove")?;
                    dropped.extend(old.map(|e| e.id));
                }
                (true, _) => return Err(collision(kind, &name, "insert")),
                _ => {}
            }
            if entities.len() + changed.len() >= ENTITIES_MAX {
                let message = format!("There are {ENTITIES_MAX} users, roles and the like already");
                return Err(Error::new(codes::BAD_ARGUMENTS, message));
            }
            one.id = Uuid::new_v4();
            let mut made = Entity::new(one.id, empty(&one.definition));
            self.change_entity(&mut made, one, &entities)?;
            changed.push(made);
        }
        self.put_entities(&changed, &dropped)
    }

    /// The entity of one of the names, its table settled.
    fn one_of(&self, given: &Entity, at: usize) -> Result<Entity> {
        let mut one = given.clone();
        if let AccessStatement::User(user) = &mut one.definition {
            let host = user.name_hosts.get(at).cloned().flatten();
            user.name_hosts.clear();
            if let Some(host) = host.filter(|_| user.hosts.is_none()) {
                user.hosts = Some(vec![match host.as_str() {
                    "localhost" => Host::Local,
                    _ => Host::Like(host),
                }]);
            }
        }
        if let AccessStatement::Policy(policy) = &mut one.definition {
            policy.tables = vec![self.policy_table(&policy.tables[at])];
        }
        if let Some(head) = one.head_mut() {
            head.names = vec![head.names[at].clone()];
            if head.names[0].is_empty() {
                return Err(Error::new(codes::BAD_ARGUMENTS, "A name must not be empty"));
            }
        }
        Ok(one)
    }

    fn policy_table(&self, (database, table): &PolicyTable) -> PolicyTable {
        (Some(self.database(database).to_string()), table.clone())
    }

    /// Puts what `with` says into `entity`.
    fn change_entity(
        &self,
        entity: &mut Entity,
        with: Entity,
        entities: &Arc<Entities>,
    ) -> Result<()> {
        let rename = with.head().and_then(|h| h.rename_to.clone());
        match (&mut entity.definition, with.definition) {
            (AccessStatement::User(user), AccessStatement::User(with)) => {
                self.alter_user(user, *with, entities)?;
            }
            (AccessStatement::Role(role), AccessStatement::Role(with)) => {
                alter_settings(&mut role.settings, with.settings, entities)?;
            }
            (AccessStatement::Profile(profile), AccessStatement::Profile(with)) => {
                alter_settings(&mut profile.settings, with.settings, entities)?;
                if let Some(to) = &with.to {
                    profile.to = Some(self.ids(to, entities)?);
                }
            }
            (AccessStatement::Policy(policy), AccessStatement::Policy(with)) => {
                policy.restrictive = with.restrictive.or(policy.restrictive);
                policy.using = with.using.or(policy.using.take());
                if let Some(to) = &with.to {
                    policy.to = Some(self.ids(to, entities)?);
                }
            }
            (AccessStatement::Quota(quota), AccessStatement::Quota(with)) => {
                self.alter_quota(quota, *with, entities)?;
            }
            _ => {}
        }
        if let (Some(head), Some(name)) = (entity.head_mut(), rename) {
            head.names = vec![name];
        }
        Ok(())
    }

    fn ids(&self, set: &NameSet, entities: &Entities) -> Result<NameSet> {
        entities.resolved(set, &self.context.user, false)
    }

    fn alter_user(
        &self,
        user: &mut UserDefinition,
        with: UserDefinition,
        entities: &Arc<Entities>,
    ) -> Result<()> {
        let methods = with.methods.iter().map(passwords::kept).collect::<Result<Vec<_>>>()?;
        let times = with.methods.iter().map(|m| &m.valid_until).chain([&with.valid_until]);
        for time in times.flatten().filter(|t| *t != "infinity") {
            if moment(time).is_none() {
                let message = format!("Cannot read the time '{time}' of VALID UNTIL");
                return Err(Error::new(codes::BAD_ARGUMENTS, message));
            }
        }
        let open = ["no_password"];
        match (with.add_methods, with.reset_methods) {
            (true, _) => {
                user.methods.retain(|m| !open.contains(&m.kind.as_str()));
                user.methods.extend(methods);
            }
            (_, true) => {
                user.methods = user.methods.split_off(user.methods.len().saturating_sub(1))
            }
            _ if !methods.is_empty() => user.methods = methods,
            _ => {}
        }
        if user.methods.len() > METHODS_MAX {
            let message = format!("A user has at most {METHODS_MAX} authentication methods");
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
        if user.methods.is_empty() {
            let kind = "no_password".to_string();
            user.methods.push(AuthenticationMethod { kind, ..AuthenticationMethod::default() });
        }
        if user.methods.len() > 1 && user.methods.iter().any(|m| open.contains(&m.kind.as_str())) {
            let message = "NO_PASSWORD Authentication method cannot co-exist with other authentication methods";
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
        user.valid_until = with.valid_until.or(user.valid_until.take());
        alter_hosts(user, with.hosts, with.add_hosts, with.drop_hosts)?;
        if let Some(roles) = &with.default_roles {
            user.default_roles = Some(entities.resolved(roles, &self.context.user, true)?);
        }
        user.default_database = with.default_database.or(user.default_database.take());
        if let Some(grantees) = &with.grantees {
            user.grantees = Some(self.ids(grantees, entities)?);
        }
        alter_settings(&mut user.settings, with.settings, entities)
    }

    fn alter_quota(
        &self,
        quota: &mut QuotaDefinition,
        with: QuotaDefinition,
        entities: &Entities,
    ) -> Result<()> {
        for interval in &with.limits {
            for (name, _) in &interval.max {
                if !QUOTA_LIMITS.contains(&name.as_str()) {
                    let message = format!(
                        "The limit {name} of quotas is not supported: known are {}",
                        QUOTA_LIMITS.join(", ")
                    );
                    return Err(Error::new(codes::NOT_IMPLEMENTED, message));
                }
            }
        }
        if let Some(keys) = &with.keyed_by
            && keys.iter().any(|key| key != "user_name")
        {
            let message = "Quotas are kept for each user or for all: NOT KEYED, KEYED BY user_name";
            return Err(Error::new(codes::NOT_IMPLEMENTED, message));
        }
        quota.keyed_by = with.keyed_by.or(quota.keyed_by.take());
        for interval in with.limits {
            quota.limits.retain(|l| (l.count, &l.unit) != (interval.count, &interval.unit));
            if !interval.drop {
                quota.limits.push(interval);
            }
        }
        if let Some(to) = &with.to {
            quota.to = Some(self.ids(to, entities)?);
        }
        Ok(())
    }

    pub(super) fn drop_entities(&mut self, drop: &DropEntities) -> Result<()> {
        refuse_cluster(&drop.cluster)?;
        refuse_storage(&drop.storage)?;
        let server = self.server.clone();
        let _changing = server.access.changing.lock();
        let entities = server.access.entities(&server.store.snapshot());
        let mut dropped = vec![];
        for (at, name) in drop.names.iter().enumerate() {
            let name = match drop.tables.get(at) {
                Some(table) => policy_name(name, &self.policy_table(table)),
                None => name.clone(),
            };
            refuse_configured(drop.kind, &name, "remove")?;
            match entities.find(drop.kind, &name) {
                Some(entity) => dropped.push(entity.id),
                None if drop.if_exists => {}
                None => return Err(crate::access::unknown(drop.kind, &name)),
            }
        }
        self.put_entities(&[], &dropped)
    }
}

/// The most authentication methods of one user.
const METHODS_MAX: usize = 100;

/// What quotas count.
const QUOTA_LIMITS: &[&str] = &[
    "queries",
    "query_selects",
    "query_inserts",
    "errors",
    "result_rows",
    "result_bytes",
    "read_rows",
    "read_bytes",
    "execution_time",
    "written_bytes",
];

/// A definition that says nothing but its names.
fn empty(of: &AccessStatement) -> AccessStatement {
    match of {
        AccessStatement::User(user) => {
            let head = bare(&user.head);
            AccessStatement::User(Box::new(UserDefinition { head, ..Default::default() }))
        }
        AccessStatement::Role(role) => {
            let head = bare(&role.head);
            AccessStatement::Role(Box::new(RoleDefinition { head, ..Default::default() }))
        }
        AccessStatement::Policy(policy) => {
            let (head, tables) = (bare(&policy.head), policy.tables.clone());
            AccessStatement::Policy(Box::new(PolicyDefinition {
                head,
                tables,
                ..Default::default()
            }))
        }
        AccessStatement::Profile(profile) => {
            let head = bare(&profile.head);
            AccessStatement::Profile(Box::new(ProfileDefinition { head, ..Default::default() }))
        }
        AccessStatement::Quota(quota) => {
            let head = bare(&quota.head);
            AccessStatement::Quota(Box::new(QuotaDefinition { head, ..Default::default() }))
        }
        other => other.clone(),
    }
}

fn bare(head: &Head) -> Head {
    Head { names: head.names.clone(), ..Head::default() }
}

fn alter_hosts(
    user: &mut UserDefinition,
    all: Option<Vec<Host>>,
    add: Option<Vec<Host>>,
    drop: Option<Vec<Host>>,
) -> Result<()> {
    for host in [&all, &add].into_iter().flatten().flatten() {
        match host {
            Host::Ip(text) if Subnet::parse(text).is_none() => {
                let message = format!("'{text}' is no address or subnet");
                return Err(Error::new(codes::BAD_ARGUMENTS, message));
            }
            Host::Like(text) if Subnet::parse(text).is_some() => {}
            Host::Regexp(_) | Host::Like(_) => {
                let message = "HOST REGEXP and LIKE are not supported: use IP, NAME or LOCAL";
                return Err(Error::new(codes::NOT_IMPLEMENTED, message));
            }
            _ => {}
        }
    }
    // A pattern without a wildcard is an address.
    let plain = |hosts: Vec<Host>| {
        hosts.into_iter().map(|h| if let Host::Like(text) = h { Host::Ip(text) } else { h })
    };
    if let Some(hosts) = all {
        user.hosts = Some(plain(hosts).collect());
    }
    if let Some(hosts) = add {
        let known = user.hosts.get_or_insert_with(|| vec![Host::Any]);
        known.retain(|h| *h != Host::None);
        for host in plain(hosts) {
            if !known.contains(&host) {
                known.push(host);
            }
        }
    }
    if let Some(hosts) = drop {
        let known = user.hosts.get_or_insert_with(|| vec![Host::Any]);
        known.retain(|h| !hosts.contains(h));
        if known.is_empty() {
            known.push(Host::None);
        }
    }
    Ok(())
}

fn alter_settings(
    settings: &mut SettingsClauses,
    with: SettingsClauses,
    entities: &Entities,
) -> Result<()> {
    let mut all = settings.all.take().unwrap_or_default();
    if let Some(new) = with.all {
        all = checked(new, entities)?;
    }
    if with.drop_all_settings {
        all.retain(|e| e.inherit.is_some());
    }
    if with.drop_all_profiles {
        all.retain(|e| e.inherit.is_none());
    }
    let drop = with.drop.iter().map(|n| Ok(known(n)?.name)).collect::<Result<Vec<_>>>()?;
    all.retain(|e| e.inherit.is_some() || !drop.contains(&e.name.as_str()));
    for profile in &with.drop_profiles {
        let id = entities.known(EntityKind::SettingsProfile, profile)?.id.to_string();
        all.retain(|e| e.inherit.as_ref() != Some(&id));
    }
    for new in checked(with.add, entities)? {
        all.retain(|e| e.inherit != new.inherit || e.name != new.name);
        all.push(new);
    }
    for new in checked(with.modify, entities)? {
        match all.iter_mut().find(|e| e.inherit == new.inherit && e.name == new.name) {
            Some(old) => {
                old.value = new.value.or(old.value.take());
                old.min = new.min.or(old.min.take());
                old.max = new.max.or(old.max.take());
                old.writability = new.writability.or(old.writability);
            }
            None => all.push(new),
        }
    }
    settings.all = (!all.is_empty()).then_some(all);
    Ok(())
}

/// Settings by their own names, with values of their types; profiles by identity. Errors: 115, those of values,
/// 180.
fn checked(elements: Vec<SettingElement>, entities: &Entities) -> Result<Vec<SettingElement>> {
    let check = |mut element: SettingElement| {
        if let Some(profile) = &element.inherit {
            let found = entities.known(EntityKind::SettingsProfile, profile)?;
            element.inherit = Some(found.id.to_string());
            return Ok(element);
        }
        element.name = known(&element.name)?.name.to_string();
        for value in [&element.value, &element.min, &element.max].into_iter().flatten() {
            of_value(&element.name, value)?;
        }
        Ok(element)
    };
    elements.into_iter().map(check).collect()
}

fn collision(kind: EntityKind, name: &str, verb: &str) -> Error {
    let word = kind.words().to_ascii_lowercase();
    let quoted = if kind == EntityKind::RowPolicy { name.to_string() } else { format!("`{name}`") };
    let message = format!(
        "{word} {quoted}: cannot {verb} because {word} {quoted} already exists in `{}`",
        crate::access::KEPT
    );
    Error::new(codes::ACCESS_ENTITY_ALREADY_EXISTS, message)
}
