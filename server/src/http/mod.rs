//! HTTP: ClickHouse's interface. Listener and limits here, paths in [`router`]; one file each for
//! parameters, authentication, the query handler, the response stream and error texts.
//!
//! tokio serves sockets only: statements run on blocking threads and talk to the response through a
//! bounded channel.

pub mod authentication;
mod body;
mod error_text;
mod form;
mod kafka_metrics;
mod long_targets;
mod monitoring;
mod output;
mod pages;
mod parameters;
mod query;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use self::long_targets::LongTargets;
use self::socket::PatientSocket;
use crate::server::Server;

/// How long a connection may stand idle between requests: longer than `Keep-Alive` says, so that a client that goes by
/// that never sends into a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long open requests may go on after shutdown began.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

/// Stack of the threads that statements run on; only what is touched is memory.
const STACK_BYTES: usize = 16 << 20;

/// Threads that wait for sockets: statements run on others. A second one is woken, and given the sockets, whenever
/// the first has something to do, which on two cores only delays the answer.
fn reactor_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, 2))
}

/// The listening server: where it listens and how to stop it.
pub struct HttpServer {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl HttpServer {
    /// Binds and serves on its own threads. Fails if the address cannot be bound.
    pub fn start(server: Arc<Server>, address: SocketAddr) -> io::Result<HttpServer> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(reactor_threads())
            .max_blocking_threads(512)
            // Statements are bound and run on these threads; deep ones need the room.
            .thread_stack_size(STACK_BYTES)
            .thread_name("http")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let limits = Limits {
            connections: server.config.max_connections,
            patience: Duration::from_secs(server.config.http_send_timeout.max(1)),
        };
        runtime.spawn(accept(listener, router(server), limits, stopped));
        Ok(HttpServer { address, stop, runtime: Some(runtime) })
    }

    /// Takes no more connections, lets open requests end for a while, then drops them.
    pub fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(DRAIN_WAIT);
        }
    }
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", any(query::handle))
        .route("/query", any(query::handle))
        .route("/follow", any(query::handle))
        .route("/ping", get(pages::ping))
        .route("/replicas_status", get(pages::ping))
        .route("/metrics", get(monitoring::metrics))
        .route("/health", get(monitoring::health))
        .route("/play", get(pages::play))
        .route("/dashboard", get(pages::dashboard))
        .route("/kafka", get(pages::kafka))
        .route("/merges", get(pages::merges))
        .route("/binary", get(pages::binary))
        .route("/jemalloc", get(pages::jemalloc))
        .route("/demo", get(pages::demo))
        .route("/assets/{name}", get(pages::asset))
        .fallback(pages::not_found)
        .with_state(server)
}

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at a time.
    connections: usize,
    /// How long a write to a client may stand still.
    patience: Duration,
}

async fn accept(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    loop {
        // A connection beyond the limit waits in the listen queue.
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let (socket, peer) = match accepted {
            Ok(pair) => pair,
            Err(e) => {
                // Out of file descriptors and the like: not a reason to spin.
                tracing::warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = socket.set_nodelay(true);
        let targets = LongTargets::default();
        let service = router
            .clone()
            .layer(axum::Extension(Peer(peer)))
            .layer(axum::Extension(targets.clone()));
        let mut stopped = stopped.clone();
        let socket = PatientSocket::new(socket, limits.patience, targets);
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE_TIMEOUT)
                .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().await
                }
            };
            if let Err(e) = ended {
                tracing::debug!("connection from {peer} ended: {e}");
            }
            drop(slot);
        });
    }
}

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);
