//! `--follow`: prints new rows of a query's table as they are committed, for as long as it runs.
//!
//! When the connection is lost it comes back with the cursor of the last line, after growing delays:
//! every row is printed once, unless the server has let go of what lies between (an error then).

use std::io::{self, Write};
use std::time::Duration;

use super::{ClientOptions, Connection, Failure};

/// The server says something at least this often.
const HEARTBEAT_MS: u64 = 5_000;
const DELAY_MAX: Duration = Duration::from_secs(10);

/// Runs until the server refuses, or standard output is closed.
pub fn run(options: &ClientOptions, query: &str) -> Result<(), Failure> {
    let mut options = options.clone();
    if options.format.is_none() && options.statements.format.is_none() {
        options.format = Some("TabSeparated".into());
    }
    let mut connection = Connection::without_session(&options);
    let mut cursor: Option<String> = None;
    let mut delay = Duration::from_millis(200);
    loop {
        let mut lines = Lines::default();
        let mut path = format!("/follow?heartbeat_ms={HEARTBEAT_MS}&");
        if let Some(cursor) = &cursor {
            path.push_str(&format!("cursor={cursor}&"));
        }
        let outcome = connection.send_to(&path, query, &mut |bytes| lines.take(bytes));
        if let Some(last) = lines.cursor {
            cursor = Some(last);
            delay = Duration::from_millis(200);
        }
        match (lines.closed, outcome) {
            (true, _) => return Ok(()),
            // What the server says about the query itself is final; a lost connection is not.
            (_, Err(failure)) if failure.code != 0 || cursor.is_none() => return Err(failure),
            _ => {}
        }
        std::thread::sleep(delay);
        delay = (delay * 2).min(DELAY_MAX);
    }
}

/// Bytes of the stream, line by line.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    cursor: Option<String>,
    /// Nobody reads what is printed.
    closed: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let Ok(line) = serde_json::from_slice::<serde_json::Value>(&line) else { continue };
            if let Some(data) = line.get("data").and_then(|d| d.as_str()) {
                let mut out = io::stdout().lock();
                if let Err(e) = out.write_all(data.as_bytes()).and_then(|()| out.flush()) {
                    self.closed = true;
                    return Err(e);
                }
            }
            if let Some(cursor) = line.get("cursor").and_then(|c| c.as_str()) {
                self.cursor = Some(cursor.to_string());
            }
        }
        Ok(())
    }
}
