//! A TCP proxy on loopback whose network fails as it is told: slow, silent, cutting, resetting.
//!
//! Its threads end with their connections, and all of them when the proxy is dropped. What it carries is not
//! looked into.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    Fine,
    /// Each piece takes its time.
    Slow,
    /// Taken and lost; nobody is told. A connection that was so once stays so.
    Silent,
    /// Half of a piece arrives, then the connection ends.
    Cut,
    /// Connections end at once, old and new.
    Reset,
}

const ALL: [Weather; 5] =
    [Weather::Fine, Weather::Slow, Weather::Silent, Weather::Cut, Weather::Reset];

struct Shared {
    weather: AtomicU8,
    closed: AtomicBool,
    accepted: AtomicUsize,
}

impl Shared {
    fn weather(&self) -> Weather {
        ALL[usize::from(self.weather.load(Ordering::Relaxed)) % ALL.len()]
    }
}

pub struct Proxy {
    pub port: u16,
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens; nothing is passed on before [`Proxy::pass_to`].
    pub fn new() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            weather: AtomicU8::new(Weather::Fine as u8),
            closed: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
        });
        Proxy { port, listener, shared }
    }

    pub fn pass_to(&self, port: u16) {
        let listener = self.listener.try_clone().expect("a second handle");
        let shared = self.shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.closed.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                if shared.weather() == Weather::Reset {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (Ok(a), Ok(b)) = (client.try_clone(), server.try_clone()) else { continue };
                for (from, to) in [(client, server), (b, a)] {
                    let shared = shared.clone();
                    std::thread::spawn(move || pump(from, to, &shared));
                }
            }
        });
    }

    pub fn set(&self, weather: Weather) {
        self.shared.weather.store(weather as u8, Ordering::Relaxed);
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let _ = from.set_read_timeout(Some(Duration::from_millis(50)));
    let (mut piece, mut silent) = (vec![0; 64 << 10], false);
    while !shared.closed.load(Ordering::Relaxed) {
        let weather = shared.weather();
        silent |= weather == Weather::Silent;
        if weather == Weather::Reset && !silent {
            break;
        }
        let size = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(size) => size,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        };
        if silent {
            continue;
        }
        let passed = match shared.weather() {
            Weather::Cut => size / 2,
            Weather::Slow => {
                std::thread::sleep(Duration::from_millis(30));
                size
            }
            _ => size,
        };
        if to.write_all(&piece[..passed]).is_err() || passed < size {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
