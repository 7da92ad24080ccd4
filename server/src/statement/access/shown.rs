//! SHOW GRANTS, SHOW CREATE USER and the like, SHOW ACCESS: entities as the statements that would make them, in
//! ClickHouse's form. Identities become names again. Secrets are left out, and so is what holds anyway (HOST ANY,
//! DEFAULT ROLE ALL).

use std::sync::Arc;

use pumphouse_query::Result;
use pumphouse_query::sql::access::*;

use crate::access::entity::{line_text, policy_name, roles_text, statement_text};
use crate::access::rights::Rights;
use crate::access::{DEFAULT_USER, Entities, Entity, passwords};
use crate::statement::Run;

impl Run<'_> {
    pub(in crate::statement) fn show_grants(
        &mut self,
        shown: &ShownGrants,
        format: Option<&str>,
    ) -> Result<()> {
        let entities = self.server.access.entities(&self.server.store.snapshot());
        let user = self.context.user.clone();
        let mut lines = vec![];
        match &shown.of {
            Some(set) if !(set.current_user && set.names.is_empty()) => {
                let mut names = set.names.clone();
                if set.all {
                    let kinds = [EntityKind::User, EntityKind::Role];
                    let all = kinds.iter().flat_map(|k| entities.all(*k)).map(|e| e.name());
                    names = std::iter::once(DEFAULT_USER.to_string()).chain(all).collect();
                    names.sort();
                }
                names.retain(|name| !set.except.contains(name));
                for name in &names {
                    lines.extend(grants_of(&entities, name, shown)?);
                }
            }
            _ => lines = grants_of(&entities, &user, shown)?,
        }
        let mut title = statement_text_of_shown(shown);
        if shown.of.is_none() {
            title = "GRANTS".into();
        }
        self.one_column(&title, lines, format)
    }

    pub(in crate::statement) fn show_entities(
        &mut self,
        shown: &ShownEntities,
        format: Option<&str>,
    ) -> Result<()> {
        let entities = self.server.access.entities(&self.server.store.snapshot());
        let mut lines = vec![];
        let mut names = shown.names.clone();
        if names.is_empty() && !shown.many && shown.kind == EntityKind::User {
            names.push(self.context.user.clone());
        }
        if names.is_empty() {
            if shown.kind == EntityKind::User {
                lines.push(configured_text());
            }
            lines.extend(entities.all(shown.kind).iter().map(|e| shown_text(&entities, e)));
        }
        for (at, name) in names.iter().enumerate() {
            let name = match shown.tables.get(at) {
                Some((database, table)) => {
                    let database = Some(self.database(database).to_string());
                    policy_name(name, &(database, table.clone()))
                }
                None => name.clone(),
            };
            if shown.kind == EntityKind::User && name == DEFAULT_USER {
                lines.push(configured_text());
                continue;
            }
            lines.push(shown_text(&entities, entities.known(shown.kind, &name)?));
        }
        let title = format!(
            "CREATE {}",
            match names.len() {
                1 => shown.kind.words(),
                _ => shown.kind.words_of_many(),
            }
        );
        let title = match names.as_slice() {
            [name] => format!("{title} {}", pumphouse_query::sql::format::quote_name(name)),
            _ => title,
        };
        self.one_column(&title, lines, format)
    }

    /// Everything there is.
    pub(in crate::statement) fn show_access(&mut self, format: Option<&str>) -> Result<()> {
        let entities = self.server.access.entities(&self.server.store.snapshot());
        let mut lines = vec![configured_text()];
        let kinds = [
            EntityKind::User,
            EntityKind::Role,
            EntityKind::RowPolicy,
            EntityKind::SettingsProfile,
            EntityKind::Quota,
        ];
        for kind in kinds {
            lines.extend(entities.all(kind).iter().map(|e| shown_text(&entities, e)));
        }
        let plain = ShownGrants::default();
        lines.extend(grants_of(&entities, DEFAULT_USER, &plain)?);
        for kind in [EntityKind::User, EntityKind::Role] {
            for entity in entities.all(kind) {
                lines.extend(grants_of(&entities, &entity.name(), &plain)?);
            }
        }
        self.one_column("ACCESS", lines, format)
    }
}

fn statement_text_of_shown(shown: &ShownGrants) -> String {
    use pumphouse_query::sql::ast::{Show, Statement};
    let text = Statement::Show(Show::Grants(shown.clone()));
    let text = pumphouse_query::sql::format::statement(&text, false);
    text.trim_start_matches("SHOW ").to_string()
}

fn configured_text() -> String {
    format!("CREATE USER {DEFAULT_USER} IDENTIFIED WITH plaintext_password")
}

/// The definition without secrets, others by their names.
pub fn shown_text(entities: &Entities, entity: &Arc<Entity>) -> String {
    let mut shown = Entity::clone(entity);
    if let Some(head) = shown.head_mut() {
        head.manner = Manner::Create;
    }
    let named = |set: &mut Option<NameSet>| *set = set.as_ref().map(|s| entities.named(s));
    let settings = match &mut shown.definition {
        AccessStatement::User(user) => {
            user.methods = user.methods.iter().map(passwords::shown).collect();
            named(&mut user.default_roles);
            named(&mut user.grantees);
            // What holds anyway is not said.
            user.default_roles.take_if(|r| r.all && r.except.is_empty());
            user.grantees.take_if(|g| g.all && g.except.is_empty());
            user.default_database.take_if(|d| d.is_none());
            user.hosts.take_if(|h| h.contains(&Host::Any));
            Some(&mut user.settings)
        }
        AccessStatement::Role(role) => Some(&mut role.settings),
        AccessStatement::Profile(profile) => {
            named(&mut profile.to);
            profile.to.take_if(|to| to.is_none());
            Some(&mut profile.settings)
        }
        AccessStatement::Policy(policy) => {
            named(&mut policy.to);
            policy.to.take_if(|to| to.is_none());
            policy.restrictive.get_or_insert(false);
            None
        }
        AccessStatement::Quota(quota) => {
            named(&mut quota.to);
            quota.to.take_if(|to| to.is_none());
            None
        }
        _ => None,
    };
    for element in settings.and_then(|s| s.all.as_mut()).into_iter().flatten() {
        if let Some(id) = &element.inherit {
            let profile = uuid::Uuid::parse_str(id).ok().and_then(|id| entities.get(&id));
            element.inherit = Some(profile.map(|e| e.name()).unwrap_or_default());
        }
    }
    statement_text(shown.definition)
}

/// The lines of SHOW GRANTS for a user or role.
fn grants_of(entities: &Arc<Entities>, name: &str, shown: &ShownGrants) -> Result<Vec<String>> {
    if name == DEFAULT_USER {
        let everything = Rights::everything();
        return Ok(everything.lines().iter().map(|line| line_text(line, name)).collect());
    }
    let entity = entities.grantee(name)?;
    let mut rights = entity.rights.clone();
    if shown.merged {
        for role in entities.with_granted(entity.roles.keys().copied()) {
            rights = entities.get(&role).map_or(rights.clone(), |r| rights.union(&r.rights));
        }
    }
    if shown.implicit {
        rights = crate::access::granted::implied(rights);
    }
    let mut lines: Vec<String> = rights.lines().iter().map(|line| line_text(line, name)).collect();
    for admin in [false, true] {
        let of = entity.roles.iter().filter(|(_, a)| **a == admin && !shown.merged);
        let mut roles: Vec<String> =
            of.filter_map(|(id, _)| entities.get(id)).map(|e| e.name()).collect();
        roles.sort();
        if !roles.is_empty() {
            let roles = NameSet { names: roles, ..NameSet::default() };
            lines.push(roles_text(roles, name, admin));
        }
    }
    Ok(lines)
}

/// What SHOW GRANTS FOR another and SHOW CREATE need.
pub(super) fn shown_need(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::User => "SHOW USERS",
        EntityKind::Role => "SHOW ROLES",
        EntityKind::RowPolicy => "SHOW ROW POLICIES",
        EntityKind::SettingsProfile => "SHOW SETTINGS PROFILES",
        EntityKind::Quota => "SHOW QUOTAS",
    }
}
