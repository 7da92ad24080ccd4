//! SET ROLE (of the session) and SET DEFAULT ROLE (of users), and the roles that a request names. A role that is not
//! there is error 511, one that is not granted 512.

use pumphouse_query::Result;
use pumphouse_query::error::codes;
use pumphouse_query::sql::access::{AccessStatement, ChosenRoles, EntityKind, NameSet};
use uuid::Uuid;

use super::refuse_configured;
use crate::access::{Entities, Entity, Granted, RoleChoice};
use crate::statement::Run;

impl Run<'_> {
    pub(super) fn set_role(&mut self, chosen: &ChosenRoles) -> Result<()> {
        let entities = self.server.access.entities(&self.server.store.snapshot());
        self.session.roles = match chosen {
            ChosenRoles::Default => RoleChoice::Default,
            ChosenRoles::These(set) => {
                RoleChoice::These(chosen_roles(&entities, &self.access, set)?)
            }
        };
        Ok(())
    }

    pub(super) fn set_default_role(&mut self, roles: &NameSet, to: &NameSet) -> Result<()> {
        let server = self.server.clone();
        let _changing = server.access.changing.lock();
        let entities = server.access.entities(&server.store.snapshot());
        let current = [self.context.user.clone()];
        let mut changed = vec![];
        for name in to.names.iter().chain(current.iter().filter(|_| to.current_user)) {
            refuse_configured(EntityKind::User, name, "update")?;
            let user = entities.known(EntityKind::User, name)?;
            let resolved = entities.resolved(roles, &self.context.user, true)?;
            for role in resolved.names.iter().filter_map(|id| Uuid::parse_str(id).ok()) {
                if !user.roles.contains_key(&role) {
                    return Err(not_granted(&entities, &role, "default"));
                }
            }
            let mut user = Entity::clone(user);
            if let AccessStatement::User(definition) = &mut user.definition {
                definition.default_roles = Some(resolved);
            }
            changed.push(user);
        }
        self.put_entities(&changed, &[])
    }
}

/// The roles that a set names. Errors: 511 for an unknown one, 512 for one that is not granted.
pub(in crate::statement) fn chosen_roles(
    entities: &Entities,
    access: &Granted,
    set: &NameSet,
) -> Result<Vec<Uuid>> {
    let resolved = entities.resolved(set, "", true)?;
    let granted: Vec<Uuid> = access.user.iter().flat_map(|u| u.roles.keys().copied()).collect();
    if resolved.all {
        let except = |id: &Uuid| resolved.except.contains(&id.to_string());
        return Ok(granted.into_iter().filter(|id| !except(id)).collect());
    }
    let mut roles = vec![];
    for role in resolved.names.iter().filter_map(|id| Uuid::parse_str(id).ok()) {
        if !granted.contains(&role) {
            return Err(not_granted(entities, &role, "a current"));
        }
        roles.push(role);
    }
    Ok(roles)
}

fn not_granted(entities: &Entities, role: &Uuid, as_what: &str) -> pumphouse_query::Error {
    let name = entities.get(role).map(|e| e.name()).unwrap_or_default();
    let message = format!("Role {name} should be granted to set as {as_what}");
    pumphouse_query::Error::new(codes::SET_NON_GRANTED_ROLE, message)
}
