//! Functions about who asks and where: users, roles and profiles (there is one), connections,
//! shards (there is one), macros and ports (none), names of error codes.

use pumphouse_storage::{Column, DataType, Value};

use super::FunctionCall;
use super::registry::Registry;
use crate::error::codes::{self, known_name};
use crate::error::{Error, Result};

pub(super) fn add(r: &mut Registry) {
    texts(r, "currentRoles", |c| c.context.roles.current.clone());
    texts(r, "enabledRoles", |c| c.context.roles.enabled.clone());
    texts(r, "defaultRoles", |c| c.context.roles.default.clone());
    for name in ["currentProfiles", "enabledProfiles", "defaultProfiles"] {
        texts(r, name, |_| vec!["default".into()]);
    }
    r.add(
        "currentSchemas",
        1..=1,
        |a| match a.get(0) {
            DataType::Bool => Ok(text_list()),
            _ => Err(Error::new(
                codes::ILLEGAL_TYPE_OF_ARGUMENT,
                "Argument for function currentSchemas must be bool",
            )),
        },
        |c| constant_texts(c, vec![c.context.database.clone()]),
    )
    .own_types();
    text(r, "authenticatedUser", |c| c.context.user.clone());
    text(r, "currentQueryID", |c| c.context.query_id.clone());
    text(r, "currentHandler", |_| String::new());
    text(r, "currentRequestURL", |_| String::new());
    r.add(
        "connectionId",
        0..=0,
        |_| Ok(DataType::UInt64),
        |c| c.finish_numbers(vec![0u64; c.rows]),
    );
    for name in ["shardNum", "shardCount", "zookeeperSessionUptime"] {
        r.add(name, 0..=0, |_| Ok(DataType::UInt32), |c| c.finish_numbers(vec![0u32; c.rows]));
    }
    r.add(
        "hasThreadFuzzer",
        0..=0,
        |_| Ok(DataType::UInt8),
        |c| c.finish_numbers(vec![0u8; c.rows]),
    );
    r.add(
        "getMacro",
        1..=1,
        |_| Ok(DataType::String),
        |c| missing(c, codes::NO_ELEMENTS_IN_CONFIG, "No macro", "in config"),
    );
    r.add(
        "getServerPort",
        1..=1,
        |_| Ok(DataType::UInt16),
        |c| missing(c, codes::CLUSTER_DOESNT_EXIST, "There is no port named", ""),
    );
    r.add(
        "errorCodeToName",
        1..=1,
        |_| Ok(DataType::LowCardinality(Box::new(DataType::String))),
        |c| {
            let numbers = c.numbers::<i64>(0)?;
            let name = |code: i64| u32::try_from(code).ok().and_then(known_name).unwrap_or("");
            let names: Vec<Value> =
                (0..c.rows).map(|row| Value::string(name(numbers.get(row)))).collect();
            let data_type = DataType::LowCardinality(Box::new(DataType::String));
            Ok(Column::from_values(data_type, &names)?)
        },
    );
}

fn text_list() -> DataType {
    DataType::Array(Box::new(DataType::String))
}

fn constant_texts(call: &FunctionCall, texts: Vec<String>) -> Result<Column> {
    let value = Value::Array(texts.into_iter().map(Value::string).collect());
    Ok(Column::constant(text_list(), &value, call.rows)?)
}

fn texts(r: &mut Registry, name: &'static str, f: fn(&FunctionCall) -> Vec<String>) {
    r.add(name, 0..=0, |_| Ok(text_list()), move |c| constant_texts(c, f(c)));
}

fn text(r: &mut Registry, name: &'static str, f: fn(&FunctionCall) -> String) {
    let constant = move |c: &FunctionCall| {
        Ok(Column::constant(DataType::String, &Value::string(f(c)), c.rows)?)
    };
    r.add(name, 0..=0, |_| Ok(DataType::String), constant);
}

/// The error for a thing that is never there.
fn missing(call: &FunctionCall, code: u32, before: &str, behind: &str) -> Result<Column> {
    let name = call.constant_text(0).unwrap_or_default();
    Err(Error::new(code, format!("{before} {name} {behind}").trim_end()))
}
