//! What a request may change: `readonly` (1: only reading, nothing may be set; 2: only reading) and `allow_ddl`.

use super::Settings;
use crate::error::{Error, Result, codes};

/// What settings may be changed under those that hold already.
#[derive(Debug, Clone, Copy)]
pub struct Changes {
    readonly: u64,
    ddl: bool,
}

impl Changes {
    /// Under these settings.
    pub fn under(settings: &Settings) -> Changes {
        Changes { readonly: settings.u64("readonly", 0), ddl: settings.bool("allow_ddl", true) }
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
        let fixed = match self.readonly {
            0 => false,
            1 => !is_harmless(&name),
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
