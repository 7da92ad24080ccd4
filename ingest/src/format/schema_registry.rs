//! A Confluent schema registry: schemas by number, and numbers of schemas.
//!
//! What was fetched is kept by the process, bounded; a schema's number never changes its meaning. A number
//! that the registry does not know is the message's error; a registry that does not answer is an error of
//! the surroundings (`NETWORK_ERROR`), which no message is blamed for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pumphouse_query::context::Settings;
use pumphouse_query::error::{Error, Result, codes};
use serde_json::Value as Json;

use super::ParseError;
use crate::http_client::{Client, Failure, Url};

/// Schemas that the process keeps.
const SCHEMAS_MAX: usize = 4096;
/// How long it is remembered that a number is unknown.
const UNKNOWN_TIME: Duration = Duration::from_secs(10);
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

#[derive(Default)]
struct Known {
    schemas: HashMap<(String, u32), Arc<str>>,
    unknown: HashMap<(String, u32), Instant>,
    /// Registry and subject and schema to number.
    numbers: HashMap<(String, String, String), u32>,
}

fn known() -> &'static Mutex<Known> {
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    KNOWN.get_or_init(Mutex::default)
}

/// One registry, as the settings name it.
pub struct Registry {
    url: Url,
    client: Client,
    retries: u32,
    backoff: Duration,
}

impl Registry {
    pub fn new(settings: &Settings) -> Result<Registry> {
        let text = settings.get("format_avro_schema_registry_url").unwrap_or_default();
        if text.is_empty() {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "Empty Schema Registry URL: set format_avro_schema_registry_url",
            ));
        }
        let seconds = |name: &str| {
            let name = format!("format_avro_schema_registry_{name}_timeout");
            Duration::from_secs(settings.u64(&name, 1).clamp(1, 599))
        };
        let connect = seconds("connection");
        let answer = seconds("send").max(seconds("receive"));
        let retries = settings.u64("format_avro_schema_registry_max_retries", 5).min(20) as u32;
        let backoff = settings
            .u64("format_avro_schema_registry_retry_initial_backoff_ms", 100)
            .clamp(1, 60_000);
        let url = Url::parse(text).map_err(|e| Error::new(codes::BAD_ARGUMENTS, e))?;
        Ok(Registry {
            url,
            client: Client::new(connect, answer),
            retries,
            backoff: Duration::from_millis(backoff),
        })
    }

    /// The schema that has this number.
    pub fn schema(&self, id: u32) -> std::result::Result<Arc<str>, ParseError> {
        let key = (self.url.place(), id);
        {
            let known = known().lock();
            if let Some(schema) = known.schemas.get(&key) {
                return Ok(schema.clone());
            }
            if known.unknown.get(&key).is_some_and(|at| at.elapsed() < UNKNOWN_TIME) {
                return Err(unknown(id));
            }
        }
        let path = format!("/schemas/ids/{id}");
        let (status, json) = self.ask("GET", &path, b"").map_err(|e| unreachable(&e))?;
        if status == 404 {
            let mut known = known().lock();
            if known.unknown.len() >= SCHEMAS_MAX {
                known.unknown.clear();
            }
            known.unknown.insert(key, Instant::now());
            return Err(unknown(id));
        }
        let kind = json.get("schemaType").and_then(Json::as_str).unwrap_or("AVRO");
        let text = json.get("schema").and_then(Json::as_str).filter(|_| status == 200);
        let Some(text) = text else {
            return Err(unreachable(&format!("status {status} for schema {id}")));
        };
        if kind != "AVRO" {
            let message = format!("Schema {id} of the registry is {kind}, not AVRO");
            return Err(ParseError { code: codes::INCORRECT_DATA, message });
        }
        let schema: Arc<str> = text.into();
        let mut known = known().lock();
        if known.schemas.len() >= SCHEMAS_MAX {
            known.schemas.clear();
        }
        known.schemas.insert(key, schema.clone());
        Ok(schema)
    }

    /// The number of `schema` under `subject`; the registry is told of it if it is new.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let key = (self.url.place(), subject.to_string(), schema.to_string());
        if let Some(id) = known().lock().numbers.get(&key) {
            return Ok(*id);
        }
        let path = format!("/subjects/{}/versions", crate::http_client::escaped(subject));
        let body = serde_json::json!({ "schema": schema }).to_string();
        let failed = |text: String| {
            Error::new(codes::INCORRECT_DATA, format!("while registering the schema: {text}"))
        };
        let (status, json) = self.ask("POST", &path, body.as_bytes()).map_err(failed)?;
        let id = json.get("id").and_then(Json::as_u64).filter(|_| status == 200);
        let Some(id) = id.and_then(|id| u32::try_from(id).ok()) else {
            let said = json.get("message").and_then(Json::as_str).unwrap_or_default();
            return Err(failed(format!("status {status}: {said}")));
        };
        let mut known = known().lock();
        if known.numbers.len() >= SCHEMAS_MAX {
            known.numbers.clear();
        }
        known.numbers.insert(key, id);
        Ok(id)
    }

    /// Asks until there is an answer that another try would not change.
    fn ask(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> std::result::Result<(u16, Json), String> {
        let mut wait = self.backoff;
        for attempt in 0.. {
            let headers = [("Accept", CONTENT_TYPE), ("Content-Type", CONTENT_TYPE)];
            let failure = match self.client.send(&self.url, method, path, &headers, body) {
                Ok(answer) if answer.status < 500 && ![408, 429].contains(&answer.status) => {
                    let json = serde_json::from_slice(&answer.body).unwrap_or(Json::Null);
                    return Ok((answer.status, json));
                }
                Ok(answer) => format!("status {}", answer.status),
                Err(Failure::Final(text)) => return Err(text),
                Err(Failure::Passing(text)) => text,
            };
            if attempt >= self.retries {
                return Err(failure);
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_secs(10));
        }
        Err("no attempt".into())
    }
}

fn unknown(id: u32) -> ParseError {
    let message = format!("while fetching schema id = {id}: the registry does not know it");
    ParseError { code: codes::INCORRECT_DATA, message }
}

fn unreachable(text: &str) -> ParseError {
    let message = format!("The schema registry cannot be asked: {text}");
    ParseError { code: codes::NETWORK_ERROR, message }
}
