//! Configuration: defaults, then a TOML file, then `PUMPHOUSE_*` in the environment, then flags; the
//! later wins. Unknown keys in the file are errors, so that a typing mistake is not silence.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Everything an operator can set.
#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    /// Whether the log and all parts are in memory only: nothing survives the process.
    pub in_memory: bool,
    pub listen: IpAddr,
    pub http_port: u16,
    /// Port of the native protocol; 0: not served.
    pub tcp_port: u16,
    /// Somebody asked for this port, so that it must be had.
    pub tcp_port_given: bool,
    /// Threads that Kafka consumers share.
    pub background_message_broker_schedule_pool_size: usize,
    /// Threads of background merges.
    pub background_pool_size: usize,
    /// Bytes all queries together may use; 0: 80 % of the memory that this process may have.
    pub max_server_memory_usage: u64,
    /// Bytes one query may use; 0: no limit but the server's.
    pub max_memory_usage: u64,
    pub max_concurrent_queries: usize,
    pub max_connections: usize,
    /// Seconds after which a client that sends nothing of its body is given up.
    pub http_receive_timeout: u64,
    /// Seconds after which a client that reads nothing of its result is given up.
    pub http_send_timeout: u64,
    /// Free bytes on disk below which inserts are refused and consumers pause.
    pub keep_free_space_bytes: u64,
    /// Password of the user `default`; empty: only loopback may connect.
    pub password: String,
    pub log_level: String,
    /// `text` or `json`.
    pub log_format: String,
    /// Where BACKUP writes; empty: `backups` in the data directory.
    pub backups_path: String,
    /// Where schemas of formats lie; empty: `format_schemas` in the data directory.
    pub format_schema_path: String,
    /// What `{name}` stands for in Kafka tables, and `getMacro`; the file's table `[macros]`.
    pub macros: BTreeMap<String, String>,
    /// Bytes a second that the background check of parts reads; 0 turns it off.
    pub scrub_bytes_per_second: u64,
    /// The folder that `file(…)` and the engine File are confined to; empty: `user_files` in the data
    /// directory.
    pub user_files_path: String,
    /// Where relative paths of files start, if not at that folder (`pumphouse local`); no key of the file.
    pub files_relative_to: Option<PathBuf>,
    /// Whether the table function `url` may reach out.
    pub allow_url_functions: bool,
    /// Which system logs are kept: `all`, `none`, or their names with commas between them.
    pub system_logs: String,
    /// Days that rows of system logs are kept; 0: for ever. For tables made from now on.
    pub system_logs_keep_days: u32,
    /// How often system logs are written to their tables.
    pub system_logs_flush_interval_ms: u64,
    /// Bytes of marks and primary indexes of open parts.
    pub mark_cache_size: u64,
    /// Bytes of decoded granules kept for queries with `use_uncompressed_cache`; 0: none.
    pub uncompressed_cache_size: usize,
    /// Bounds of the results kept for queries with `use_query_cache`.
    pub query_cache_max_size_in_bytes: u64,
    pub query_cache_max_entries: u64,
    pub query_cache_max_entry_size_in_bytes: u64,
    pub query_cache_max_entry_size_in_rows: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data_dir: PathBuf::from("pumphouse-data"),
            in_memory: false,
            listen: IpAddr::from([127, 0, 0, 1]),
            http_port: 8123,
            tcp_port: 9000,
            tcp_port_given: false,
            background_message_broker_schedule_pool_size: 16,
            background_pool_size: 2,
            max_server_memory_usage: 0,
            max_memory_usage: 0,
            max_concurrent_queries: 100,
            max_connections: 4096,
            http_receive_timeout: 30,
            http_send_timeout: 30,
            keep_free_space_bytes: 1 << 30,
            password: String::new(),
            log_level: "info".into(),
            log_format: "text".into(),
            backups_path: String::new(),
            format_schema_path: String::new(),
            macros: BTreeMap::new(),
            scrub_bytes_per_second: 4 << 20,
            user_files_path: String::new(),
            files_relative_to: None,
            allow_url_functions: false,
            system_logs: "all".into(),
            system_logs_keep_days: 14,
            system_logs_flush_interval_ms: 7500,
            mark_cache_size: 5 << 30,
            uncompressed_cache_size: 0,
            query_cache_max_size_in_bytes: 1 << 30,
            query_cache_max_entries: 1024,
            query_cache_max_entry_size_in_bytes: 1 << 20,
            query_cache_max_entry_size_in_rows: 30_000_000,
        }
    }
}

/// A value in the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read configuration file {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("configuration file {path}: {message}")]
    Syntax { path: String, message: String },
    #[error("{origin}: `{value}` is no value for `{key}`")]
    Value { origin: String, key: String, value: String },
    #[error("{origin}: unknown key `{key}`; known are {known}")]
    UnknownKey { origin: String, key: String, known: String },
    #[error(
        "refusing to listen on {0} without a password: set `password` in the configuration file \
         or PUMPHOUSE_PASSWORD, or listen on a loopback address"
    )]
    OpenWithoutPassword(IpAddr),
}

const KEYS: [&str; 31] = [
    "data_dir",
    "in_memory",
    "listen",
    "http_port",
    "tcp_port",
    "background_message_broker_schedule_pool_size",
    "background_pool_size",
    "max_server_memory_usage",
    "max_memory_usage",
    "max_concurrent_queries",
    "max_connections",
    "http_receive_timeout",
    "http_send_timeout",
    "keep_free_space_bytes",
    "password",
    "log_level",
    "log_format",
    "backups_path",
    "format_schema_path",
    "scrub_bytes_per_second",
    "user_files_path",
    "allow_url_functions",
    "system_logs",
    "system_logs_keep_days",
    "system_logs_flush_interval_ms",
    "mark_cache_size",
    "uncompressed_cache_size",
    "query_cache_max_size_in_bytes",
    "query_cache_max_entries",
    "query_cache_max_entry_size_in_bytes",
    "query_cache_max_entry_size_in_rows",
];

impl Config {
    /// Defaults, then `file` if given, then the environment as `lookup` shows it.
    pub fn load(
        file: Option<&Path>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = file {
            config.apply_file(path)?;
        }
        for key in KEYS {
            let variable = format!("PUMPHOUSE_{}", key.to_ascii_uppercase());
            if let Some(value) = lookup(&variable) {
                config.set(key, &value, &format!("environment variable {variable}"))?;
            }
        }
        Ok(config)
    }

    fn apply_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            ConfigError::Syntax { path: shown.clone(), message: e.to_string() }
        })?;
        for (key, value) in table {
            if let ("macros", toml::Value::Table(macros)) = (key.as_str(), &value) {
                let text = |v: &toml::Value| match v {
                    toml::Value::String(s) => s.clone(),
                    toml::Value::Integer(n) => n.to_string(),
                    other => format!("{other:?}"),
                };
                self.macros.extend(macros.iter().map(|(name, v)| (name.clone(), text(v))));
                continue;
            }
            let text = match value {
                toml::Value::String(s) => s,
                toml::Value::Integer(n) => n.to_string(),
                toml::Value::Boolean(yes) => yes.to_string(),
                toml::Value::Float(n) => n.to_string(),
                other => {
                    return Err(ConfigError::Value {
                        origin: shown,
                        key,
                        value: format!("a {}", other.type_str()),
                    });
                }
            };
            self.set(&key, &text, &shown)?;
        }
        Ok(())
    }

    /// Sets one key from text; `origin` names where it came from, for the error.
    pub fn set(&mut self, key: &str, value: &str, origin: &str) -> Result<(), ConfigError> {
        let bad = || ConfigError::Value {
            origin: origin.into(),
            key: key.into(),
            value: if key == "password" { "[HIDDEN]".into() } else { value.into() },
        };
        macro_rules! parse {
            ($field:ident) => {
                self.$field = value.trim().parse().map_err(|_| bad())?
            };
        }
        match key {
            "data_dir" => self.data_dir = PathBuf::from(value),
            "in_memory" => match value.trim() {
                "1" | "true" => self.in_memory = true,
                "0" | "false" => self.in_memory = false,
                _ => return Err(bad()),
            },
            "listen" => parse!(listen),
            "http_port" => parse!(http_port),
            "tcp_port" => {
                parse!(tcp_port);
                self.tcp_port_given = true;
            }
            "background_message_broker_schedule_pool_size" => {
                parse!(background_message_broker_schedule_pool_size);
            }
            "background_pool_size" => parse!(background_pool_size),
            "max_server_memory_usage" => parse!(max_server_memory_usage),
            "max_memory_usage" => parse!(max_memory_usage),
            "max_concurrent_queries" => parse!(max_concurrent_queries),
            "max_connections" => parse!(max_connections),
            "http_receive_timeout" => parse!(http_receive_timeout),
            "http_send_timeout" => parse!(http_send_timeout),
            "keep_free_space_bytes" => parse!(keep_free_space_bytes),
            "password" => self.password = value.into(),
            "log_level" => self.log_level = value.into(),
            "log_format" if value == "text" || value == "json" => self.log_format = value.into(),
            "log_format" => return Err(bad()),
            "backups_path" => self.backups_path = value.into(),
            "format_schema_path" => self.format_schema_path = value.into(),
            "scrub_bytes_per_second" => parse!(scrub_bytes_per_second),
            "user_files_path" => self.user_files_path = value.into(),
            "allow_url_functions" => match value.trim() {
                "1" | "true" => self.allow_url_functions = true,
                "0" | "false" => self.allow_url_functions = false,
                _ => return Err(bad()),
            },
            "system_logs" => {
                self.system_logs = value.into();
                if self.kept_logs().is_none() {
                    return Err(bad());
                }
            }
            "system_logs_keep_days" => parse!(system_logs_keep_days),
            "system_logs_flush_interval_ms" => parse!(system_logs_flush_interval_ms),
            "mark_cache_size" => parse!(mark_cache_size),
            "uncompressed_cache_size" => parse!(uncompressed_cache_size),
            "query_cache_max_size_in_bytes" => parse!(query_cache_max_size_in_bytes),
            "query_cache_max_entries" => parse!(query_cache_max_entries),
            "query_cache_max_entry_size_in_bytes" => parse!(query_cache_max_entry_size_in_bytes),
            "query_cache_max_entry_size_in_rows" => parse!(query_cache_max_entry_size_in_rows),
            _ => {
                return Err(ConfigError::UnknownKey {
                    origin: origin.into(),
                    key: key.into(),
                    known: KEYS.join(", "),
                });
            }
        }
        Ok(())
    }

    /// What must hold before anything listens.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.is_loopback() && self.password.is_empty() {
            return Err(ConfigError::OpenWithoutPassword(self.listen));
        }
        Ok(())
    }

    /// The folder that files of users are in.
    pub fn user_files_dir(&self) -> PathBuf {
        if self.user_files_path.is_empty() {
            return self.data_dir.join("user_files");
        }
        PathBuf::from(&self.user_files_path)
    }

    /// The system logs that are kept.
    pub fn kept_logs(&self) -> Option<Vec<crate::logs::Log>> {
        crate::logs::parse_list(&self.system_logs)
    }

    /// The folder below which backups are written.
    pub fn backups_dir(&self) -> PathBuf {
        if self.backups_path.is_empty() {
            return self.data_dir.join("backups");
        }
        PathBuf::from(&self.backups_path)
    }

    /// The folder below which schemas of formats are read.
    pub fn format_schemas_dir(&self) -> PathBuf {
        if self.format_schema_path.is_empty() {
            return self.data_dir.join("format_schemas");
        }
        PathBuf::from(&self.format_schema_path)
    }

    /// The memory limit of all queries together, in bytes.
    pub fn server_memory_bytes(&self) -> u64 {
        match self.max_server_memory_usage {
            0 => machine_memory_bytes() / 10 * 8,
            n => n,
        }
    }
}

/// Memory this process may use: the machine's, or the control group's limit where that is lower.
pub(crate) fn machine_memory_bytes() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(4 << 30, |kib| kib << 10);
    let limit = memory_limit_files()
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .min()
        .unwrap_or(u64::MAX);
    total.min(limit)
}

/// Where the control groups that this process may be in say their limits, of either version.
fn memory_limit_files() -> Vec<String> {
    let mut files = vec![
        "/sys/fs/cgroup/memory.max".to_string(),
        "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_string(),
    ];
    for line in std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default().lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        match (fields.next(), fields.next()) {
            (Some(""), Some(path)) => files.push(format!("/sys/fs/cgroup{path}/memory.max")),
            (Some(kinds), Some(path)) if kinds.split(',').any(|kind| kind == "memory") => {
                files.push(format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"));
            }
            _ => {}
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_wins_over_defaults_and_errors_name_the_place() {
        let env = |name: &str| (name == "PUMPHOUSE_HTTP_PORT").then(|| "9999".to_string());
        assert_eq!(Config::load(None, env).unwrap().http_port, 9999);
        let env = |name: &str| (name == "PUMPHOUSE_HTTP_PORT").then(|| "x".to_string());
        let message = Config::load(None, env).unwrap_err().to_string();
        assert!(message.contains("PUMPHOUSE_HTTP_PORT") && message.contains("`x`"), "{message}");
        let mut config = Config::default();
        assert!(config.set("htp_port", "1", "f").unwrap_err().to_string().contains("http_port"));
    }

    #[test]
    fn open_listening_needs_a_password() {
        let mut config = Config { listen: "0.0.0.0".parse().unwrap(), ..Config::default() };
        assert!(config.check().is_err());
        config.password = "secret".into();
        assert!(config.check().is_ok());
    }
}
