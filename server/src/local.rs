//! `pumphouse local`: the engine without a server that anybody knows of. It starts one on a free loopback
//! port behind a password that nobody is told, runs the client against it, and removes it again.
//!
//! Tables live in a folder that goes with the process, or in a data directory named by `--path`. `file(…)` reads any
//! file, from the current folder on; `--file`, or standard input, is a table by itself.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use pumphouse_query::sql::format as sql_format;

use crate::client::{self, ClientOptions, Connection, Failure, FreeFlags, StatementOptions};
use crate::config::Config;
use crate::http::HttpServer;
use crate::run::{start_logging, stop_in_order};
use crate::server::Server;

/// Flags of `pumphouse local`. Every setting is a flag, too, and so is every query parameter.
#[derive(Debug, Clone, clap::Args)]
pub struct LocalOptions {
    /// A data directory to work on; it must not be in use [default: an empty one, removed at the end].
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// A file, or - for standard input, that is a table [default: standard input if --input-format or
    /// --structure is given].
    #[arg(long, short = 'F', value_name = "FILE")]
    pub file: Option<String>,
    /// The file's format [default: by its name; TabSeparated for standard input].
    #[arg(long, value_name = "FORMAT")]
    pub input_format: Option<String>,
    /// The file's columns, `name Type, …` [default: found out by looking at it].
    #[arg(long, short = 'S', value_name = "COLUMNS")]
    pub structure: Option<String>,
    /// The name of the file's table.
    #[arg(long, short = 'N', default_value = "table")]
    pub table: String,
    #[command(flatten)]
    pub statements: StatementOptions,
    #[arg(skip)]
    pub free: FreeFlags,
}

/// A folder that goes with the process.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the statements; the exit code is the client's.
pub fn run(options: LocalOptions) -> ExitCode {
    start_logging("error");
    let temporary = std::env::temp_dir().join(format!("pumphouse-local-{}", uuid::Uuid::new_v4()));
    let data_dir = options.path.clone().unwrap_or_else(|| temporary.clone());
    let scratch = options.path.is_none().then_some(Scratch(temporary));
    let password = uuid::Uuid::new_v4().to_string();
    let stdin_copy = data_dir.join("standard_input");
    let config = Config {
        data_dir,
        user_files_path: "/".into(),
        files_relative_to: std::env::current_dir().ok(),
        allow_url_functions: true,
        tcp_port: 0,
        http_port: 0,
        password: password.clone(),
        keep_free_space_bytes: 0,
        scrub_bytes_per_second: 0,
        ..Config::default()
    };
    let (server, http) = match start(config) {
        Ok(started) => started,
        Err(message) => {
            eprintln!("pumphouse: {message}");
            return ExitCode::FAILURE;
        }
    };
    let host = http.address.ip().to_string();
    let plain = ClientOptions { password, ..ClientOptions::plain(&host, http.address.port()) };
    let outcome = match options
        .file_table(&stdin_copy)
        .and_then(|made| made.map_or(Ok(()), |sql| send(&plain, &sql)))
    {
        Ok(()) => client::run(&ClientOptions {
            statements: options.statements,
            free: options.free,
            format: None,
            ..plain
        }),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    };
    let _ = std::fs::remove_file(&stdin_copy);
    stop_in_order(&server, http);
    drop(scratch);
    outcome
}

impl LocalOptions {
    /// The statement that makes the file a table, if there is one. Standard input is copied to `copy` first: it
    /// may be read more than once.
    fn file_table(&self, copy: &Path) -> Result<Option<String>, Failure> {
        let described = self.input_format.is_some() || self.structure.is_some();
        let path = match self.file.as_deref() {
            None if !described => return Ok(None),
            None | Some("-") => {
                let mut file = File::create(copy).map_err(Failure::local)?;
                io::copy(&mut io::stdin().lock(), &mut file).map_err(Failure::local)?;
                copy.display().to_string()
            }
            Some(path) => path.to_string(),
        };
        let standard_input = Path::new(&path) == copy;
        let by_default = if standard_input { "TabSeparated" } else { "auto" };
        let quoted = |text: &str| sql_format::quote_string(text.as_bytes());
        let mut arguments =
            vec![quoted(&path), quoted(self.input_format.as_deref().unwrap_or(by_default))];
        arguments.extend(self.structure.as_deref().map(quoted));
        Ok(Some(format!(
            "CREATE OR REPLACE VIEW {} AS SELECT * FROM file({})",
            sql_format::quote_name(&self.table),
            arguments.join(", ")
        )))
    }
}

fn send(options: &ClientOptions, statement: &str) -> Result<(), Failure> {
    Connection::new(options).send(statement, &mut |_| Ok(()))
}

fn start(config: Config) -> Result<(Arc<Server>, HttpServer), String> {
    let data_dir = config.data_dir.display().to_string();
    let server = Server::start(config).map_err(|e| format!("cannot open {data_dir}: {e}"))?;
    match HttpServer::start(server.clone(), SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)) {
        Ok(http) => Ok((server, http)),
        Err(e) => {
            server.stop();
            Err(format!("cannot listen on a loopback port: {e}"))
        }
    }
}
