//! What a request may change: `readonly` (1: only reading, nothing may be set; 2: only reading) and `allow_ddl`.

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_storage::Value;

use super::{Settings, known, of_value};
use crate::error::{Error, Result, codes};
use crate::sql::ast::Setting;

/// What settings may be changed under those that hold already.
#[derive(Debug, Clone)]
pub struct Changes {
    readonly: u64,
    ddl: bool,
    constraints: Option<Arc<BTreeMap<String, Constraint>>>,
}

/// What a user's definition says of one setting's values, as canonical texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraint {
    pub min: Option<String>,
    pub max: Option<String>,
    /// It keeps its value.
    pub fixed: bool,
    /// It may be changed also under `readonly = 1`.
    pub in_readonly: bool,
}

impl Constraint {
    /// Error 452 if `value` is none of the values that `name` may have.
    fn check(&self, name: &str, value: &str) -> Result<()> {
        let refuse = |why: String| Err(Error::new(codes::SETTING_CONSTRAINT_VIOLATION, why));
        if self.fixed {
            return refuse(format!("Setting {name} should not be changed"));
        }
        if self.min.as_deref().is_some_and(|min| less(value, min)) {
            let min = self.min.as_deref().unwrap_or_default();
            return refuse(format!("Setting {name} shouldn't be less than {min}"));
        }
        if self.max.as_deref().is_some_and(|max| less(max, value)) {
            let max = self.max.as_deref().unwrap_or_default();
            return refuse(format!("Setting {name} shouldn't be greater than {max}"));
        }
        Ok(())
    }
}

/// Whether one value is less: as numbers if they are.
fn less(a: &str, b: &str) -> bool {
    if let (Ok(a), Ok(b)) = (a.parse::<i128>(), b.parse::<i128>()) {
        return a < b;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a < b,
        _ => a < b,
    }
}

impl Changes {
    /// Anything.
    pub fn free() -> Changes {
        Changes::under(&Settings::default())
    }

    /// Under these settings.
    pub fn under(settings: &Settings) -> Changes {
        let (readonly, ddl) = (settings.u64("readonly", 0), settings.bool("allow_ddl", true));
        Changes { readonly, ddl, constraints: None }
    }

    /// Also within these constraints.
    pub fn within(self, constraints: Option<Arc<BTreeMap<String, Constraint>>>) -> Changes {
        Changes { constraints, ..self }
    }

    /// The level of `readonly`.
    pub fn readonly(&self) -> u64 {
        self.readonly
    }

    /// Sets `name` (canonical) to `value`, or back to its default. Setting what holds is always allowed. Errors:
    /// 164 under `readonly`, 392 for `allow_ddl` once that is off.
    pub fn apply(
        &self,
        settings: &mut Settings,
        name: String,
        value: Option<String>,
    ) -> Result<()> {
        let before = settings.get(&name);
        let default = || super::known(&name).map_or("", |k| k.default.as_str());
        let same = match &value {
            Some(value) => before.unwrap_or(default()) == value,
            None => before.is_none(),
        };
        if !same && name == "allow_ddl" && !self.ddl {
            return Err(Error::new(
                codes::QUERY_IS_PROHIBITED,
                "Cannot modify 'allow_ddl' setting when DDL queries are prohibited for the user",
            ));
        }
        let constraint = self.constraints.as_ref().and_then(|all| all.get(&name));
        if let Some(constraint) = constraint.filter(|_| !same) {
            constraint.check(&name, value.as_deref().unwrap_or(default()))?;
        }
        let fixed = match self.readonly {
            0 => false,
            1 => !is_harmless(&name) && !constraint.is_some_and(|c| c.in_readonly),
            _ => name == "readonly",
        };
        if fixed && !same {
            return Err(Error::new(
                codes::READONLY,
                format!("Cannot modify '{name}' setting in readonly mode"),
            ));
        }
        match value {
            Some(value) => settings.set(name, value),
            None => drop(settings.values.remove(&name)),
        }
        Ok(())
    }

    /// Adds `new` to `settings`. Errors: those of [`of_value`] and [`Changes::apply`]; 180 for a profile.
    pub fn apply_all(&self, settings: &mut Settings, new: &[Setting]) -> Result<()> {
        for setting in new {
            if setting.name == "profile" {
                // There is one profile.
                if setting.text() != "default" {
                    let message = format!("There is no profile {}", setting.text());
                    return Err(Error::new(codes::THERE_IS_NO_PROFILE, message));
                }
                continue;
            }
            let (name, value) = match &setting.value {
                Value::String(text) if text == b"DEFAULT" => {
                    (known(&setting.name)?.name.into(), None)
                }
                value => {
                    let (name, text) = of_value(&setting.name, value)?;
                    (name, Some(text))
                }
            };
            self.apply(settings, name, value)?;
        }
        Ok(())
    }
}

/// Settings that change how a result is written or how long one waits for it, never what may be read: allowed
/// under `readonly = 1` too, since clients send them with every request.
pub fn is_harmless(name: &str) -> bool {
    const STARTS: &[&str] =
        &["output_format_", "format_", "http_", "send_progress_", "enable_http_"];
    const NAMES: &[&str] = &[
        "add_http_cors_header",
        "cancel_http_readonly_queries_on_client_close",
        "cast_string_to_dynamic_use_inference",
        "client_protocol_version",
        "date_time_input_format",
        "date_time_output_format",
        "extremes",
        "log_comment",
        "session_timezone",
        "wait_end_of_query",
    ];
    STARTS.iter().any(|start| name.starts_with(start)) || NAMES.contains(&name)
}
