//! The life of the `server` command: log, start, listen, wait for a signal, stop in order.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pumphouse_query::Error;
use pumphouse_query::execute::let_idle_slabs_go;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::allocator;
use crate::config::{Config, machine_memory_bytes};
use crate::http::HttpServer;
use crate::log_format::JsonLines;
use crate::logs::text::TextLog;
use crate::native::NativeServer;
use crate::server::Server;

/// Runs until SIGTERM, SIGINT or SIGQUIT. The exit code is 0 after a clean stop, 1 if it could not
/// start.
pub fn server(config: Config) -> ExitCode {
    start_logging_as(&config.log_level, &config.log_format);
    if let Err(e) = allocator::keep(machine_memory_bytes(), let_idle_slabs_go) {
        tracing::warn!("memory is not kept for reuse: {e}");
    }
    let stop = match stop_signal() {
        Ok(stop) => stop,
        Err(e) => return failed(&format!("cannot install signal handlers: {e}")),
    };
    let address = SocketAddr::new(config.listen, config.http_port);
    let data_dir = config.data_dir.display().to_string();
    let server = match Server::start(config) {
        Ok(server) => server,
        Err(e) => return failed(&start_error(&data_dir, &e)),
    };
    let http = match HttpServer::start(server.clone(), address) {
        Ok(http) => http,
        Err(e) => {
            server.stop();
            return failed(&format!("cannot listen on {address}: {e}"));
        }
    };
    let native = match start_native(&server) {
        Ok(native) => native,
        Err(message) => {
            stop_in_order(&server, http);
            return failed(&message);
        }
    };
    let tcp = native.as_ref().map_or(String::new(), |n| format!(" and tcp://{}", n.address));
    tracing::info!("ready: http://{}{tcp} serves {data_dir}", http.address);
    wait(&stop);
    tracing::info!("stopping: consumers finish or abandon their blocks");
    stop_in_order(&server, http);
    if let Some(native) = native {
        native.stop();
    }
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

/// The native protocol, if it is wanted. A port that nobody asked for may be somebody else's.
fn start_native(server: &Arc<Server>) -> Result<Option<NativeServer>, String> {
    let config = &server.config;
    if config.tcp_port == 0 {
        return Ok(None);
    }
    let address = SocketAddr::new(config.listen, config.tcp_port);
    match NativeServer::start(server.clone(), address) {
        Ok(native) => Ok(Some(native)),
        Err(e) if config.tcp_port_given => Err(format!("cannot listen on {address}: {e}")),
        Err(e) => {
            tracing::warn!("no native protocol: cannot listen on {address}: {e}");
            Ok(None)
        }
    }
}

/// Queries first, then sockets, so that clients see their errors; the store last.
pub fn stop_in_order(server: &Arc<Server>, http: HttpServer) {
    server.stop();
    http.stop();
}

/// Logs to standard error at `level`, as JSON lines if `format` is `json`.
fn start_logging_as(level: &str, format: &str) {
    if format != "json" {
        return start_logging(level);
    }
    let _ = tracing_subscriber::fmt()
        .event_format(JsonLines)
        .with_max_level(level.parse().unwrap_or(tracing::Level::INFO))
        .with_writer(std::io::stderr)
        .finish()
        .with(TextLog)
        .try_init();
}

/// Logs to standard error at `level` (or as PUMPHOUSE_LOG says).
pub fn start_logging(level: &str) {
    let level = level.parse().unwrap_or(tracing::Level::INFO);
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .finish()
        .with(TextLog)
        .try_init();
}

/// A flag that the usual signals raise; a second signal ends the process at once.
pub fn stop_signal() -> std::io::Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGQUIT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, stop.clone())?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}

fn wait(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn start_error(data_dir: &str, e: &Error) -> String {
    format!("cannot open the data directory {data_dir}: {e}")
}

fn failed(message: &str) -> ExitCode {
    eprintln!("pumphouse: {message}");
    ExitCode::FAILURE
}
