//! The native protocol over TCP: what clickhouse-client, clickhouse-driver, clickhouse-go and ODBC speak.
//!
//! Reads top-down: the listener here → [`connection`] (greeting, then one query after the other) →
//! [`packets`] (what client and server say) → [`wire`] (numbers, texts, blocks on the socket). One thread a
//! connection, which alone reads the socket; a statement runs on a thread of its own and answers through
//! [`output`]. Announces revision [`REVISION`]; every layout depends on the lesser of both sides' revisions.
//!
//! Leaves out: TLS, distributed queries.

mod connection;
mod log;
mod output;
mod packets;
mod wire;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::server::Server;

/// The newest revision of the protocol that is spoken here.
pub const REVISION: u64 = 54_470;
/// Between looks whether the server stops.
const ACCEPT_WAIT: Duration = Duration::from_millis(50);
/// A connection's thread only reads packets, but types in them may be nested; statements have stacks of
/// their own. Only what is touched is memory.
const STACK_BYTES: usize = 8 << 20;

/// The listening socket: where it listens, and how to stop it.
pub struct NativeServer {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl NativeServer {
    /// Binds and serves on its own threads. Fails if the address cannot be bound.
    pub fn start(server: Arc<Server>, address: SocketAddr) -> io::Result<NativeServer> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("native-accept".into())
            .spawn(move || accept(&listener, &server, &stopped))?;
        Ok(NativeServer { address, stop, thread: Some(thread) })
    }

    /// Takes no more connections; open ones end when they notice.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, server: &Arc<Server>, stop: &Arc<AtomicBool>) {
    let open = Arc::new(AtomicUsize::new(0));
    while !stop.load(Ordering::Relaxed) {
        // A connection beyond the limit waits in the listen queue.
        if open.load(Ordering::Relaxed) >= server.config.max_connections {
            std::thread::sleep(ACCEPT_WAIT);
            continue;
        }
        match listener.accept() {
            Ok((socket, peer)) => {
                let slot = Slot::take(&open);
                if let Err(e) = start(socket, peer, server.clone(), stop.clone(), slot) {
                    tracing::warn!("cannot serve {peer}: {e}");
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(ACCEPT_WAIT),
            Err(e) => {
                // Out of file descriptors and the like: not a reason to spin.
                tracing::warn!("cannot accept a connection: {e}");
                std::thread::sleep(ACCEPT_WAIT);
            }
        }
    }
}

/// One of the connections that may be open.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(open: &Arc<AtomicUsize>) -> Slot {
        open.fetch_add(1, Ordering::Relaxed);
        Slot(open.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn start(
    socket: TcpStream,
    peer: SocketAddr,
    server: Arc<Server>,
    stop: Arc<AtomicBool>,
    slot: Slot,
) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    let serve = move || {
        let _slot = slot;
        if let Err(e) = connection::serve(socket, peer, &server, &stop) {
            tracing::debug!("native connection from {peer} ended: {e}");
        }
    };
    std::thread::Builder::new().name("native".into()).stack_size(STACK_BYTES).spawn(serve)?;
    Ok(())
}
