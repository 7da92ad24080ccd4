//! What `ENGINE = Kafka(…)` says, as the settings of a definition: positional arguments, `key = value`
//! arguments, a named collection beneath them, and SETTINGS.
//!
//! A definition holds all values, and which of them are its own: when the collection changes, the others
//! follow (see `named_collection`).

use std::collections::BTreeMap;

use pumphouse_ingest::kafka;
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{EngineClause, Expr, ExprKind};
use pumphouse_query::sql::format;
use pumphouse_query::{Error, Result};
use pumphouse_storage::Value;
use pumphouse_storage::log::{NamedValue, State};

/// Where a definition keeps the collection's name and the names of the settings that are its own.
pub(super) const COLLECTION: &str = "kafka_named_collection";
const OWN: &str = "kafka_named_collection_overrides";

type Settings = BTreeMap<String, String>;

/// Everything that CREATE says as one map, checked.
pub(super) fn kafka_settings(
    engine: &EngineClause,
    mut settings: Settings,
    state: &State,
) -> Result<Settings> {
    if settings.contains_key(COLLECTION) || settings.contains_key(OWN) {
        let message = format!("{COLLECTION} is set by ENGINE = Kafka(name, …)");
        return Err(Error::new(codes::BAD_ARGUMENTS, message));
    }
    let mut arguments = engine.arguments.iter().flatten().peekable();
    let named = arguments.peek().and_then(|first| collection_of(first, state));
    let pairs = engine.arguments.iter().flatten().filter(|a| pair(a).is_some()).count();
    if named.is_none() && pairs > 0 {
        let name = arguments.peek().map(|a| format::expr(a)).unwrap_or_default();
        return Err(Error::new(
            NAMED_COLLECTION_DOESNT_EXIST,
            format!("There is no named collection `{name}`"),
        ));
    }
    let Some((name, collection)) = named else {
        let texts = arguments.map(argument_text).collect::<Result<Vec<String>>>()?;
        kafka::positional_arguments(&texts, &mut settings)?;
        kafka::KafkaSettings::from_settings(&settings)?;
        return Ok(settings);
    };
    for argument in arguments.skip(1) {
        let Some((key, value)) = pair(argument) else {
            let message = "Behind a named collection, arguments must be of the form key = value";
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        };
        settings.insert(setting_of(&key), argument_text(value)?);
    }
    for key in settings.keys() {
        let fixed = collection.iter().find(|(k, _)| setting_of(k) == *key);
        if fixed.is_some_and(|(_, v)| v.overridable == Some(false)) {
            let message = format!("Override not allowed for '{key}'");
            return Err(Error::new(codes::BAD_ARGUMENTS, message));
        }
    }
    let own: Vec<String> = settings.keys().cloned().collect();
    settings.insert(OWN.into(), own.join(","));
    settings.insert(COLLECTION.into(), name);
    rebase(&mut settings, collection);
    kafka::KafkaSettings::from_settings(&settings)?;
    Ok(settings)
}

pub(super) const NAMED_COLLECTION_DOESNT_EXIST: u32 = 669;

/// Lays a definition's own settings over the collection's values.
pub(super) fn rebase(settings: &mut Settings, collection: &BTreeMap<String, NamedValue>) {
    let own = settings.get(OWN).cloned().unwrap_or_default();
    let own: Vec<&str> = own.split(',').collect();
    settings.retain(|key, _| key == COLLECTION || key == OWN || own.contains(&key.as_str()));
    for (key, value) in collection {
        settings.entry(setting_of(key)).or_insert_with(|| value.text.clone());
    }
}

/// ALTER gave or took away a setting of a definition: it is the definition's own, or the collection's again.
pub(super) fn note_own(
    settings: &mut Settings,
    changed: &BTreeMap<String, Option<String>>,
    state: &State,
) {
    let Some(collection) = settings.get(COLLECTION).and_then(|n| state.named_collections.get(n))
    else {
        return;
    };
    let own = settings.get(OWN).cloned().unwrap_or_default();
    let mut own: Vec<String> = own.split(',').filter(|o| !o.is_empty()).map(String::from).collect();
    for (key, value) in changed {
        own.retain(|o| o != key);
        if value.is_some() {
            own.push(key.clone());
        }
    }
    settings.insert(OWN.into(), own.join(","));
    rebase(settings, collection);
}

/// The setting that a collection's key stands for: `kafka.auto_offset_reset` and `kafka.consumer.x` are
/// what ClickHouse calls the properties of its client.
pub(super) fn setting_of(key: &str) -> String {
    match key.strip_prefix("kafka.") {
        None => key.to_string(),
        Some(rest) => {
            let rest = ["consumer.", "producer."]
                .iter()
                .find_map(|p| rest.strip_prefix(p))
                .unwrap_or(rest);
            format!("kafka_{}", rest.replace('.', "_"))
        }
    }
}

fn collection_of<'s>(
    argument: &Expr,
    state: &'s State,
) -> Option<(String, &'s BTreeMap<String, NamedValue>)> {
    let ExprKind::Identifier(parts) = &argument.kind else { return None };
    let [name] = &parts[..] else { return None };
    state.named_collections.get(name).map(|c| (name.clone(), &**c))
}

/// Key and value of `key = value`.
fn pair(argument: &Expr) -> Option<(String, &Expr)> {
    let ExprKind::Call(call) = &argument.kind else { return None };
    let [key, value] = &call.arguments[..] else { return None };
    match &key.kind {
        ExprKind::Identifier(parts) if call.name == "equals" => Some((parts.join("."), value)),
        _ => None,
    }
}

fn argument_text(argument: &Expr) -> Result<String> {
    match &argument.kind {
        ExprKind::Literal { value: Value::String(bytes), .. } => {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
        ExprKind::Literal { value, .. } => Ok(value.to_sql()),
        ExprKind::Identifier(parts) => Ok(parts.join(".")),
        _ => Err(Error::new(
            codes::BAD_ARGUMENTS,
            "Kafka engine arguments must be literals or identifiers",
        )),
    }
}

/// Hides the values of arguments that may be secret.
pub(super) fn hide_arguments(engine: &mut EngineClause) {
    for argument in engine.arguments.iter_mut().flatten() {
        let Some((key, value)) = pair(argument) else { continue };
        let shown = argument_text(value).ok().and_then(|text| kafka::hidden_value(&key, &text));
        let Some(shown) = shown else { continue };
        let quoted = format!("'{}'", shown.replace('\\', "\\\\").replace('\'', "\\'"));
        if let ExprKind::Call(call) = &mut argument.kind
            && let Ok(literal) = pumphouse_query::sql::parse_expression(&quoted)
        {
            call.arguments[1] = literal;
        }
    }
}
