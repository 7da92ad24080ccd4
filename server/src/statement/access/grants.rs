//! GRANT and REVOKE, of privileges and of roles, and CHECK GRANT.
//!
//! Who gives must hold it with the option to give it on, and may give it only to those that its GRANTEES name.

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::sql::access::*;
use pumphouse_query::{Error, Result};
use pumphouse_storage::{Block, Column, DataType, Value};
use uuid::Uuid;

use super::{refuse_cluster, refuse_configured};
use crate::access::entity::{granted_at, places};
use crate::access::granted::element_text;
use crate::access::rights::Rights;
use crate::access::{Entities, Entity, means};
use crate::statement::Run;

impl Run<'_> {
    pub(super) fn grant(&mut self, grant: &Grant) -> Result<()> {
        refuse_cluster(&grant.cluster)?;
        let server = self.server.clone();
        let _changing = server.access.changing.lock();
        let entities = server.access.entities(&server.store.snapshot());
        // `REVOKE ALL FROM u` takes roles; its grantees are looked for first, as in ClickHouse.
        let to = self.grantees(&grant.to, &entities)?;
        match &grant.roles {
            Some(roles) => self.grant_roles(grant, roles, to, &entities),
            None => self.grant_privileges(grant, to),
        }
    }

    /// The users and roles that are given to.
    fn grantees(&self, set: &NameSet, entities: &Arc<Entities>) -> Result<Vec<Arc<Entity>>> {
        let current = [self.context.user.clone()];
        let named = set.names.iter().chain(current.iter().filter(|_| set.current_user));
        let mut found: Vec<Arc<Entity>> = vec![];
        if set.all {
            let all =
                entities.all(EntityKind::User).into_iter().chain(entities.all(EntityKind::Role));
            found.extend(all.cloned());
        }
        for name in named {
            refuse_configured(EntityKind::User, name, "update")?;
            found.push(entities.grantee(name)?.clone());
        }
        let except = set.except.iter().chain(current.iter().filter(|_| set.except_current_user));
        let except = except.collect::<Vec<_>>();
        found.retain(|e| !except.contains(&&e.name()));
        if let Some(allowed) = self.access.user.as_ref().and_then(|u| u.user()?.grantees.as_ref()) {
            let denied = found.iter().find(|e| !means(allowed, &[e.id.to_string()]));
            if let Some(entity) = denied {
                let kind = entity.kind().words().to_ascii_lowercase();
                let message = format!("{kind} `{}` is not allowed as grantee", entity.name());
                return Err(Error::new(codes::ACCESS_DENIED, message));
            }
        }
        Ok(found)
    }

    fn grant_privileges(&self, grant: &Grant, to: Vec<Arc<Entity>>) -> Result<()> {
        let database = &self.context.database;
        if !grant.current_grants {
            for element in &grant.elements {
                self.require_option(element)?;
            }
        }
        let mut changed = vec![];
        for entity in to {
            let mut entity = Entity::clone(&entity);
            if grant.replace {
                entity.rights = Rights::default();
            }
            match grant.current_grants {
                true => {
                    let mut wanted = Rights::default();
                    for element in &grant.elements {
                        for place in places(element, database) {
                            wanted.grant(granted_at(element), &place, false);
                        }
                    }
                    let held = self.access.rights.grantable_part(&wanted, grant.option);
                    entity.rights = entity.rights.union(&held);
                }
                false => entity.apply(grant, database),
            }
            changed.push(entity);
        }
        self.put_entities(&changed, &[])
    }

    /// Error 497 unless the element may be given on.
    fn require_option(&self, element: &GrantElement) -> Result<()> {
        let database = &self.context.database;
        if self.access.holds_element(element, database, true) {
            return Ok(());
        }
        let wanted = element_text(element, database, true);
        let mut error = self.access.denied(&wanted).to_string();
        if self.access.holds_element(element, database, false) {
            let more =
                "The required privileges have been granted, but without grant option. To execute";
            error = error.replacen("To execute", more, 1);
        }
        Err(Error::new(codes::ACCESS_DENIED, error))
    }

    fn grant_roles(
        &self,
        grant: &Grant,
        roles: &NameSet,
        to: Vec<Arc<Entity>>,
        entities: &Arc<Entities>,
    ) -> Result<()> {
        let roles = entities.resolved(roles, &self.context.user, true)?;
        let mut changed = vec![];
        for entity in to {
            let mut entity = Entity::clone(&entity);
            let chosen: Vec<Uuid> = match (roles.all, grant.revoke) {
                (true, true) => entity.roles.keys().copied().collect(),
                (true, false) => entities.all(EntityKind::Role).iter().map(|e| e.id).collect(),
                _ => roles.names.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect(),
            };
            let chosen = chosen.into_iter().filter(|id| !roles.except.contains(&id.to_string()));
            let chosen: Vec<Uuid> = chosen.collect();
            self.require_admin(&chosen, entities)?;
            if grant.replace {
                entity.roles = BTreeMap::new();
            }
            for role in chosen {
                match (grant.revoke, grant.option) {
                    (true, true) => {
                        entity.roles.entry(role).and_modify(|admin| *admin = false);
                    }
                    (true, false) => drop(entity.roles.remove(&role)),
                    (false, option) => {
                        if role == entity.id || entities.with_granted([role]).contains(&entity.id) {
                            let message =
                                format!("Role {} cannot be granted to itself", entity.name());
                            return Err(Error::new(codes::BAD_ARGUMENTS, message));
                        }
                        let admin = entity.roles.entry(role).or_insert(false);
                        *admin |= option;
                    }
                }
            }
            changed.push(entity);
        }
        self.put_entities(&changed, &[])
    }

    /// Error 497 unless each of the roles may be given on.
    fn require_admin(&self, roles: &[Uuid], entities: &Entities) -> Result<()> {
        let admin = pumphouse_query::privileges::Privileges::of("ROLE ADMIN");
        if self.access.holds(admin, &[]) {
            return Ok(());
        }
        let enabled = self.access.enabled_roles.iter().filter_map(|id| entities.get(id));
        let holders: Vec<&Arc<Entity>> = self.access.user.iter().chain(enabled).collect();
        for role in roles {
            if !holders.iter().any(|h| h.roles.get(role) == Some(&true)) {
                let name = entities.get(role).map(|e| e.name()).unwrap_or_default();
                let message = format!(
                    "Not enough privileges. To execute this query, it's necessary to have the role {name} \
                     granted with ADMIN option"
                );
                return Err(Error::new(codes::ACCESS_DENIED, message));
            }
        }
        Ok(())
    }

    pub(super) fn check_grant(
        &mut self,
        elements: &[GrantElement],
        format: Option<&str>,
    ) -> Result<()> {
        let database = &self.context.database;
        let held = elements.iter().all(|e| self.access.holds_element(e, database, false));
        let column = Column::from_values(DataType::UInt8, &[Value::UInt(held.into())])?;
        self.write_block(&Block::new(vec![("result".into(), column)]), format)
    }
}
