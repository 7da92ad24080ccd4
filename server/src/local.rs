//! `pumphouse local`: the engine without a server that anybody knows of. It starts one on a free loopback
//! port behind a password that nobody is told, runs the client against it, and removes it again.
//!
//! Tables live in a folder that goes with the process, or in a data directory named by `--path`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use crate::client::{self, ClientOptions, FreeFlags, StatementOptions};
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
    let config = Config {
        data_dir,
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
    let outcome = client::run(&ClientOptions {
        password,
        statements: options.statements,
        free: options.free,
        format: None,
        ..ClientOptions::plain(&host, http.address.port())
    });
    stop_in_order(&server, http);
    drop(scratch);
    outcome
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
