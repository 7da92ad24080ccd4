//! `system.users`, `roles`, `role_grants`, `grants`, `row_policies`, `settings_profiles`, their elements, `quotas` and
//! `privileges`: what the log holds of access, and the configured user. Enums are given by their numbers. What a user
//! may see of these tables is decided before they are read (`access/granted`).

use std::sync::Arc;

use pumphouse_query::Result;
use pumphouse_query::privileges::{self, Privileges};
use pumphouse_query::sql::access::*;
use pumphouse_query::sql::format;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;
use uuid::Uuid;

use super::rows::{Rows, flag, number, text, texts};
use crate::access::authentication::moment;
use crate::access::granted::default_roles;
use crate::access::quota::{COUNTED, limit_of, seconds_of};
use crate::access::rights::Rights;
use crate::access::{CONFIGURED, DEFAULT_USER, Entities, Entity, KEPT};
use crate::server::Server;

/// Bytes that name the configured user's identity.
const CONFIGURED_ID: Uuid = Uuid::from_u128(0x94309d50_4f52_5250_31bd_74fecac179db);

fn id_value(id: &Uuid) -> Value {
    Value::String(id.as_bytes().to_vec())
}

fn maybe(value: Option<String>) -> Value {
    value.map_or(Value::Null, text)
}

fn quoted(value: &Option<Value>) -> Value {
    maybe(value.as_ref().map(|v| match v {
        Value::String(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.to_sql(),
    }))
}

pub fn users(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    rows.push(&[
        ("name", text(DEFAULT_USER)),
        ("id", id_value(&CONFIGURED_ID)),
        ("storage", text(CONFIGURED)),
        ("auth_type", Value::Array(vec![Value::Int(1)])),
        ("auth_params", texts(["{}"])),
        ("valid_until", Value::Array(vec![Value::Int(0)])),
        ("auth_grants", texts([""])),
        ("host_ip", texts(["::/0"])),
        ("default_roles_all", flag(true)),
        ("grantees_any", flag(true)),
    ]);
    let entities = server.access.entities(state);
    for entity in entities.all(EntityKind::User) {
        let Some(user) = entity.user() else { continue };
        push_user(&entities, entity, user, rows);
    }
    Ok(())
}

fn push_user(entities: &Entities, entity: &Entity, user: &UserDefinition, rows: &mut Rows) {
    let kind = |m: &AuthenticationMethod| match m.kind.as_str() {
        "plaintext_password" => 1,
        "sha256_hash" => 2,
        "double_sha1_hash" => 3,
        _ => 0,
    };
    let until = |m: &AuthenticationMethod| {
        let own = m.valid_until.as_ref().or(user.valid_until.as_ref());
        Value::Int(own.and_then(|t| moment(t)).unwrap_or(0))
    };
    let hosts = user.hosts.clone().unwrap_or_else(|| vec![Host::Any]);
    let ips = hosts.iter().filter_map(|h| match h {
        Host::Any => Some("::/0".to_string()),
        Host::Ip(ip) => Some(ip.clone()),
        _ => None,
    });
    let names = hosts.iter().filter_map(|h| match h {
        Host::Local => Some("localhost".to_string()),
        Host::Name(name) => Some(name.clone()),
        _ => None,
    });
    let everyone = NameSet { all: true, ..NameSet::default() };
    let roles = entities.named(user.default_roles.as_ref().unwrap_or(&everyone));
    let grantees = entities.named(user.grantees.as_ref().unwrap_or(&everyone));
    rows.push(&[
        ("name", text(entity.name())),
        ("id", id_value(&entity.id)),
        ("storage", text(KEPT)),
        ("auth_type", Value::Array(user.methods.iter().map(|m| Value::Int(kind(m))).collect())),
        ("auth_params", texts(user.methods.iter().map(|_| "{}"))),
        ("valid_until", Value::Array(user.methods.iter().map(until).collect())),
        ("auth_grants", texts(user.methods.iter().map(|_| ""))),
        ("host_ip", texts(ips.collect::<Vec<_>>())),
        ("host_names", texts(names.collect::<Vec<_>>())),
        ("default_roles_all", flag(roles.all)),
        ("default_roles_list", texts(&roles.names)),
        ("default_roles_except", texts(&roles.except)),
        ("grantees_any", flag(grantees.all)),
        ("grantees_list", texts(&grantees.names)),
        ("grantees_except", texts(&grantees.except)),
        ("default_database", text(user.default_database.clone().flatten().unwrap_or_default())),
    ]);
}

pub fn roles(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for role in server.access.entities(state).all(EntityKind::Role) {
        rows.push(&[
            ("name", text(role.name())),
            ("id", id_value(&role.id)),
            ("storage", text(KEPT)),
        ]);
    }
    Ok(())
}

pub fn role_grants(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let entities = server.access.entities(state);
    for kind in [EntityKind::User, EntityKind::Role] {
        for entity in entities.all(kind) {
            let defaults = default_roles(entity);
            for (id, admin) in &entity.roles {
                let Some(role) = entities.get(id) else { continue };
                let (user, own) = of_grantee(entity);
                rows.push(&[
                    ("user_name", user),
                    ("role_name", own),
                    ("granted_role_name", text(role.name())),
                    ("granted_role_id", id_value(id)),
                    ("granted_role_is_default", flag(defaults.contains(id))),
                    ("with_admin_option", flag(*admin)),
                ]);
            }
        }
    }
    Ok(())
}

fn of_grantee(entity: &Entity) -> (Value, Value) {
    match entity.kind() {
        EntityKind::User => (text(entity.name()), Value::Null),
        _ => (Value::Null, text(entity.name())),
    }
}

pub fn grants(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    push_grants(&Rights::everything(), (text(DEFAULT_USER), Value::Null), rows);
    let entities = server.access.entities(state);
    for kind in [EntityKind::User, EntityKind::Role] {
        for entity in entities.all(kind) {
            push_grants(&entity.rights, of_grantee(entity), rows);
        }
    }
    Ok(())
}

fn push_grants(rights: &Rights, (user, role): (Value, Value), rows: &mut Rows) {
    for line in rights.lines() {
        for element in &line.elements {
            let columns: Vec<Option<String>> = match element.columns.as_slice() {
                [] => vec![None],
                columns => columns.iter().cloned().map(Some).collect(),
            };
            let (database, table) = match &element.target {
                Target::Global => (None, None),
                Target::Database { name, prefix } => {
                    (name.clone().map(|n| starred(n, *prefix)), None)
                }
                Target::Table { database, name, prefix } => {
                    (database.clone(), Some(starred(name.clone(), *prefix)))
                }
                Target::Parameter { name, prefix, .. } => {
                    (Some(starred(name.clone(), *prefix)), None)
                }
            };
            for number in numbers(element.privileges) {
                for column in &columns {
                    rows.push(&[
                        ("user_name", user.clone()),
                        ("role_name", role.clone()),
                        ("access_type", Value::Int(number)),
                        ("database", maybe(database.clone())),
                        ("table", maybe(table.clone())),
                        ("column", maybe(column.clone())),
                        ("is_partial_revoke", flag(line.revoke)),
                        ("grant_option", flag(line.grant_option)),
                    ]);
                }
            }
        }
    }
}

fn starred(name: String, prefix: bool) -> String {
    if prefix { name + "*" } else { name }
}

/// The numbers of the keywords that a set is written with.
fn numbers(set: Privileges) -> Vec<i64> {
    let words = set.keywords();
    privileges::all().iter().filter(|p| words.contains(&p.name)).map(|p| p.number as i64).collect()
}

pub fn row_policies(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let entities = server.access.entities(state);
    for entity in entities.all(EntityKind::RowPolicy) {
        let AccessStatement::Policy(policy) = &entity.definition else { continue };
        let (database, table) = policy.tables.first().cloned().unwrap_or_default();
        let to = entities.named(policy.to.as_ref().unwrap_or(&NameSet::default()));
        rows.push(&[
            ("name", text(entity.name())),
            ("short_name", text(entity.short_name())),
            ("database", text(database.unwrap_or_default())),
            ("table", text(table.unwrap_or_default())),
            ("id", id_value(&entity.id)),
            ("storage", text(KEPT)),
            ("select_filter", maybe(policy.using.clone().flatten().map(|e| format::expr(&e)))),
            ("is_restrictive", flag(policy.restrictive == Some(true))),
            ("apply_to_all", flag(to.all)),
            ("apply_to_list", texts(&to.names)),
            ("apply_to_except", texts(&to.except)),
        ]);
    }
    Ok(())
}

/// The settings that hold from the start are the server's own.
pub fn settings_profiles(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    rows.push(&[("name", text("default")), ("storage", text(CONFIGURED))]);
    let entities = server.access.entities(state);
    for profile in entities.all(EntityKind::SettingsProfile) {
        let to = entities.named(profile.to().unwrap_or(&NameSet::default()));
        rows.push(&[
            ("name", text(profile.name())),
            ("id", id_value(&profile.id)),
            ("storage", text(KEPT)),
            ("num_elements", number(profile.settings().len() as u64)),
            ("apply_to_all", flag(to.all)),
            ("apply_to_list", texts(&to.names)),
            ("apply_to_except", texts(&to.except)),
        ]);
    }
    Ok(())
}

pub fn settings_profile_elements(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let entities = server.access.entities(state);
    let kinds = [EntityKind::SettingsProfile, EntityKind::User, EntityKind::Role];
    let all: Vec<&Arc<Entity>> = kinds.iter().flat_map(|k| entities.all(*k)).collect();
    for entity in all {
        let of = |kind| maybe((entity.kind() == kind).then(|| entity.name()));
        for (i, element) in entity.settings().iter().enumerate() {
            let inherit = element.inherit.as_ref().and_then(|id| Uuid::parse_str(id).ok());
            let inherit = inherit.and_then(|id| entities.get(&id)).map(|e| e.name());
            let named = element.inherit.is_none().then(|| element.name.clone());
            rows.push(&[
                ("profile_name", of(EntityKind::SettingsProfile)),
                ("user_name", of(EntityKind::User)),
                ("role_name", of(EntityKind::Role)),
                ("index", number(i as u64)),
                ("setting_name", maybe(named)),
                ("value", quoted(&element.value)),
                ("min", quoted(&element.min)),
                ("max", quoted(&element.max)),
                ("writability", element.writability.map_or(Value::Null, |w| Value::Int(w as i64))),
                ("inherit_profile", maybe(inherit)),
            ]);
        }
    }
    Ok(())
}

pub fn quotas(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let entities = server.access.entities(state);
    for entity in entities.all(EntityKind::Quota) {
        let AccessStatement::Quota(quota) = &entity.definition else { continue };
        let to = entities.named(quota.to.as_ref().unwrap_or(&NameSet::default()));
        let keyed = quota.keyed_by.as_deref().unwrap_or_default();
        let seconds = quota.limits.iter().map(|l| number(seconds_of(l)));
        rows.push(&[
            ("name", text(entity.name())),
            ("id", id_value(&entity.id)),
            ("storage", text(KEPT)),
            ("keys", Value::Array(keyed.iter().map(|_| Value::Int(1)).collect())),
            ("durations", Value::Array(seconds.collect())),
            ("apply_to_all", flag(to.all)),
            ("apply_to_list", texts(&to.names)),
            ("apply_to_except", texts(&to.except)),
        ]);
    }
    Ok(())
}

const MAXIMA: [&str; COUNTED.len()] = [
    "max_queries",
    "max_query_selects",
    "max_query_inserts",
    "max_errors",
    "max_result_rows",
    "max_result_bytes",
    "max_read_rows",
    "max_read_bytes",
    "max_execution_time",
    "max_written_bytes",
];

/// A count in its column: time in seconds.
fn counted(name: &str, count: u64) -> Value {
    match name {
        "execution_time" => Value::Float(count as f64 / 1e6),
        _ => number(count),
    }
}

fn maxima(interval: &QuotaInterval) -> Vec<(&'static str, Value)> {
    let of = |(column, name): (&&'static str, &&str)| {
        let limit = limit_of(interval, name);
        (*column, limit.map_or(Value::Null, |n| counted(name, n)))
    };
    let mut row: Vec<_> = MAXIMA.iter().zip(&COUNTED).map(of).collect();
    row.push(("max_failed_sequential_authentications", Value::Null));
    row.push(("max_queries_per_normalized_hash", Value::Null));
    row
}

pub fn quota_limits(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for entity in server.access.entities(state).all(EntityKind::Quota) {
        let AccessStatement::Quota(quota) = &entity.definition else { continue };
        for interval in &quota.limits {
            let mut row = vec![
                ("quota_name", text(entity.name())),
                ("duration", number(seconds_of(interval))),
                ("is_randomized_interval", flag(interval.randomized)),
            ];
            row.extend(maxima(interval));
            rows.push(&row);
        }
    }
    Ok(())
}

pub fn quotas_usage(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    let now = server.clock.now_us() / 1_000_000;
    for entity in server.access.entities(state).all(EntityKind::Quota) {
        let AccessStatement::Quota(quota) = &entity.definition else { continue };
        for (seconds, key, usage) in server.access.quotas.usage(entity.id, now) {
            let interval = quota.limits.iter().find(|i| seconds_of(i) == seconds);
            let Some(interval) = interval else { continue };
            let mut row = vec![
                ("quota_name", text(entity.name())),
                ("quota_key", text(key)),
                ("start_time", number(usage.interval * seconds)),
                ("end_time", number((usage.interval + 1) * seconds)),
                ("duration", number(seconds)),
            ];
            row.extend(COUNTED.iter().zip(usage.counts).map(|(name, n)| (*name, counted(name, n))));
            row.extend(maxima(interval));
            rows.push(&row);
        }
    }
    Ok(())
}

pub fn user_directories(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for (precedence, name) in [(1, CONFIGURED), (2, KEPT)] {
        rows.push(&[
            ("name", text(name)),
            ("type", text(name)),
            ("params", text("{}")),
            ("precedence", number(precedence)),
        ]);
    }
    Ok(())
}

/// What there is to be granted, as numbers of the columns' Enums.
pub fn privileges(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for privilege in privileges::all() {
        let level = privilege.level_number.parse().map_or(Value::Null, Value::Int);
        let parent = privilege.parent.map_or(Value::Null, |p| Value::Int(p as i64));
        rows.push(&[
            ("privilege", Value::Int(privilege.number as i64)),
            ("aliases", texts(privilege.aliases.iter().copied())),
            ("level", level),
            ("parent_group", parent),
        ]);
    }
    Ok(())
}
