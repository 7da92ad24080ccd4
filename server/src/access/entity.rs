//! An entity: a user, role, row policy, settings profile or quota, with its identity and what is granted to it.
//!
//! It is kept as the statements that make it (`ATTACH USER …` and GRANTs), in which other entities stand by their
//! identities, so that they may be renamed. Passwords stand in it as hashes, but for those of `plaintext_password`.

use std::collections::BTreeMap;

use pumphouse_query::error::codes;
use pumphouse_query::sql::access::*;
use pumphouse_query::sql::ast::Statement;
use pumphouse_query::sql::{self, format};
use pumphouse_query::{Error, Result};
use uuid::Uuid;

use super::rights::{Line, Place, Rights};

#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    pub id: Uuid,
    pub definition: AccessStatement,
    pub rights: Rights,
    /// Roles that are granted, and whether they may be given on.
    pub roles: BTreeMap<Uuid, bool>,
}

impl Entity {
    pub fn new(id: Uuid, definition: AccessStatement) -> Entity {
        Entity { id, definition, rights: Rights::default(), roles: BTreeMap::new() }
    }

    pub fn kind(&self) -> EntityKind {
        match &self.definition {
            AccessStatement::Role(_) => EntityKind::Role,
            AccessStatement::Policy(_) => EntityKind::RowPolicy,
            AccessStatement::Profile(_) => EntityKind::SettingsProfile,
            AccessStatement::Quota(_) => EntityKind::Quota,
            _ => EntityKind::User,
        }
    }

    pub fn head(&self) -> Option<&Head> {
        Some(match &self.definition {
            AccessStatement::User(user) => &user.head,
            AccessStatement::Role(role) => &role.head,
            AccessStatement::Policy(policy) => &policy.head,
            AccessStatement::Profile(profile) => &profile.head,
            AccessStatement::Quota(quota) => &quota.head,
            _ => return None,
        })
    }

    pub fn head_mut(&mut self) -> Option<&mut Head> {
        Some(match &mut self.definition {
            AccessStatement::User(user) => &mut user.head,
            AccessStatement::Role(role) => &mut role.head,
            AccessStatement::Policy(policy) => &mut policy.head,
            AccessStatement::Profile(profile) => &mut profile.head,
            AccessStatement::Quota(quota) => &mut quota.head,
            _ => return None,
        })
    }

    /// Its own name; of a row policy without its table.
    pub fn short_name(&self) -> &str {
        self.head().and_then(|head| head.names.first()).map_or("", String::as_str)
    }

    /// By which it is known among its kind: of a row policy `name ON db.table`.
    pub fn name(&self) -> String {
        match &self.definition {
            AccessStatement::Policy(policy) => {
                let table = policy.tables.first().cloned().unwrap_or_default();
                policy_name(self.short_name(), &table)
            }
            _ => self.short_name().to_string(),
        }
    }

    pub fn user(&self) -> Option<&UserDefinition> {
        match &self.definition {
            AccessStatement::User(user) => Some(user),
            _ => None,
        }
    }

    pub fn settings(&self) -> &[SettingElement] {
        let clauses = match &self.definition {
            AccessStatement::User(user) => &user.settings,
            AccessStatement::Role(role) => &role.settings,
            AccessStatement::Profile(profile) => &profile.settings,
            _ => return &[],
        };
        clauses.all.as_deref().unwrap_or_default()
    }

    /// To whom a policy, profile or quota applies.
    pub fn to(&self) -> Option<&NameSet> {
        match &self.definition {
            AccessStatement::Policy(policy) => policy.to.as_ref(),
            AccessStatement::Profile(profile) => profile.to.as_ref(),
            AccessStatement::Quota(quota) => quota.to.as_ref(),
            _ => None,
        }
    }

    /// The text that it is kept as.
    pub fn text(&self) -> String {
        let mut kept = self.clone();
        if let Some(head) = kept.head_mut() {
            head.manner = Manner::Attach;
        }
        let mut lines = vec![statement_text(kept.definition)];
        lines.extend(self.rights.lines().iter().map(|line| line_text(line, self.short_name())));
        for admin in [false, true] {
            let of = self.roles.iter().filter(|(_, a)| **a == admin);
            let roles: Vec<String> = of.map(|(id, _)| id.to_string()).collect();
            if !roles.is_empty() {
                let roles = NameSet { names: roles, ids: true, ..NameSet::default() };
                lines.push(roles_text(roles, self.short_name(), admin));
            }
        }
        lines.join(";\n")
    }

    /// Reads what [`Entity::text`] wrote.
    pub fn read(id: Uuid, text: &str) -> Result<Entity> {
        let wrong =
            || Error::new(codes::CORRUPTED_DATA, format!("Access entity {id} cannot be read"));
        let mut statements = sql::parse_statements(text)?.into_iter();
        let Some(Statement::Access(definition)) = statements.next() else { return Err(wrong()) };
        let mut entity = Entity::new(id, *definition);
        for statement in statements {
            let Statement::Access(access) = statement else { return Err(wrong()) };
            let AccessStatement::Grant(grant) = *access else { return Err(wrong()) };
            match &grant.roles {
                Some(roles) => {
                    for role in &roles.names {
                        let role = Uuid::parse_str(role).map_err(|_| wrong())?;
                        entity.roles.insert(role, grant.option);
                    }
                }
                None => entity.apply(&grant, "default"),
            }
        }
        Ok(entity)
    }

    /// Grants or revokes privileges.
    pub fn apply(&mut self, grant: &Grant, database: &str) {
        for element in &grant.elements {
            for place in places(element, database) {
                match grant.revoke {
                    true => self.rights.revoke(element.privileges, &place, grant.option),
                    false => self.rights.grant(granted_at(element), &place, grant.option),
                }
            }
        }
    }
}

/// What of an element's privileges can be granted on its target; a group is cut to that.
pub fn granted_at(element: &GrantElement) -> pumphouse_query::privileges::Privileges {
    use pumphouse_query::privileges::{Level, Privileges};
    let level = match &element.target {
        Target::Global | Target::Parameter { .. } => Level::Global,
        Target::Database { .. } => Level::Database,
        Target::Table { .. } if element.columns.is_empty() => Level::Table,
        Target::Table { .. } => Level::Column,
    };
    element.privileges & Privileges::grantable_on(level)
}

/// The places that an element names: the target, or its columns.
pub fn places(element: &GrantElement, database: &str) -> Vec<Place> {
    let place = Place::of_target(&element.target, database);
    if element.columns.is_empty() {
        return vec![place];
    }
    let of_column = |column: &String| {
        let mut place = place.clone();
        place.names.push(column.clone());
        place
    };
    element.columns.iter().map(of_column).collect()
}

/// `name ON db.table`.
pub fn policy_name(name: &str, (database, table): &PolicyTable) -> String {
    let quoted = |name: &String| format::quote_name(name);
    let database = database.as_ref().map_or("default".into(), quoted);
    format!(
        "{} ON {database}.{}",
        format::quote_name(name),
        table.as_ref().map_or("*".into(), quoted)
    )
}

pub fn statement_text(statement: AccessStatement) -> String {
    format::statement(&Statement::Access(Box::new(statement)), false)
}

/// A line of SHOW GRANTS.
pub fn line_text(line: &Line, to: &str) -> String {
    let to = NameSet { names: vec![to.into()], ..NameSet::default() };
    statement_text(AccessStatement::Grant(Box::new(Grant {
        revoke: line.revoke,
        option: line.grant_option,
        elements: line.elements.clone(),
        to,
        ..Grant::default()
    })))
}

/// `GRANT a, b TO u`.
pub fn roles_text(roles: NameSet, to: &str, admin: bool) -> String {
    let to = NameSet { names: vec![to.into()], ..NameSet::default() };
    let roles = Some(roles);
    let grant = Grant { roles, to, option: admin, ..Grant::default() };
    statement_text(AccessStatement::Grant(Box::new(grant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let role = Uuid::from_u128(7);
        let text = "CREATE USER `a b` IDENTIFIED WITH sha256_hash BY 'AB' SALT 'CD' HOST LOCAL, IP '10.0.0.0/8' \
                    DEFAULT DATABASE db DEFAULT ROLE ALL SETTINGS max_threads = 4 MIN 1 MAX 8 CONST GRANTEES NONE";
        let Statement::Access(definition) = sql::parse_statement(text).unwrap().statement else {
            panic!()
        };
        let mut user = Entity::new(Uuid::from_u128(1), *definition);
        user.roles.insert(role, true);
        let all = [
            "GRANT SELECT(a, b), INSERT ON db.t TO u",
            "GRANT ALTER USER ON x* TO u WITH GRANT OPTION",
            "GRANT SHOW ON *.* TO u",
            "REVOKE SHOW TABLES ON db.* FROM u",
            "GRANT ALL ON p*.* TO u",
        ];
        for text in all {
            let Statement::Access(access) = sql::parse_statement(text).unwrap().statement else {
                panic!()
            };
            let AccessStatement::Grant(grant) = *access else { panic!() };
            user.apply(&grant, "default");
        }
        let read = Entity::read(user.id, &user.text()).unwrap();
        assert_eq!(read.text(), user.text());
        assert_eq!((read.rights, read.roles), (user.rights, user.roles));
    }
}
