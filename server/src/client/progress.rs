//! The progress line of a running statement: what a second connection sees in `system.processes`, or how
//! much of an INSERT's data is sent, rewritten now and then on standard error.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ClientOptions;
use super::connection::Connection;

/// Quick statements show nothing.
const FIRST_AFTER: Duration = Duration::from_millis(400);
const EVERY: Duration = Duration::from_millis(200);
const BAR_WIDTH: u64 = 20;

/// A line that lives as long as this value.
pub struct Line {
    stop: Arc<AtomicBool>,
    shown: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Where a line's numbers come from.
pub enum Source {
    /// The server's view of the query with this id.
    Query(String),
    /// Bytes of data sent so far.
    Sent(Arc<AtomicU64>),
}

impl Line {
    pub fn start(options: &ClientOptions, source: Source) -> Line {
        let stop = Arc::new(AtomicBool::new(false));
        let shown = Arc::new(AtomicBool::new(false));
        let mut options = options.clone();
        options.format = Some("TabSeparated".into());
        let thread = {
            let (stop, shown) = (stop.clone(), shown.clone());
            std::thread::spawn(move || match source {
                Source::Query(id) => watch(&options, &id, &stop, &shown),
                Source::Sent(bytes) => watch_sent(&bytes, &stop, &shown),
            })
        };
        Line { stop, shown, thread: Some(thread) }
    }

    /// Removes the line before a result is printed; it does not come back.
    pub fn clear(&self) {
        if !self.stop.swap(true, Ordering::SeqCst) && self.shown.load(Ordering::SeqCst) {
            erase();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn erase() {
    eprint!("\r\x1b[2K");
    let _ = std::io::stderr().flush();
}

fn watch(options: &ClientOptions, query_id: &str, stop: &AtomicBool, shown: &AtomicBool) {
    let started = Instant::now();
    std::thread::park_timeout(FIRST_AFTER);
    let mut connection = Connection::without_session(options);
    let query = format!(
        "SELECT read_rows, read_bytes, total_rows_approx, memory_usage FROM system.processes WHERE query_id = '{query_id}'"
    );
    while !stop.load(Ordering::SeqCst) {
        let mut answer = Vec::new();
        let sent = connection.send(&query, &mut |bytes| {
            answer.extend_from_slice(bytes);
            Ok(())
        });
        let numbers: Vec<u64> = String::from_utf8_lossy(&answer)
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        if let (Ok(()), [rows, bytes, total, memory]) = (sent, numbers.as_slice())
            && !stop.load(Ordering::SeqCst)
        {
            shown.store(true, Ordering::SeqCst);
            let seconds = started.elapsed().as_secs_f64();
            eprint!("\r\x1b[2K{}", line(*rows, *bytes, *total, *memory, seconds));
            let _ = std::io::stderr().flush();
        }
        std::thread::park_timeout(EVERY);
    }
}

fn watch_sent(bytes: &AtomicU64, stop: &AtomicBool, shown: &AtomicBool) {
    let started = Instant::now();
    std::thread::park_timeout(FIRST_AFTER);
    while !stop.load(Ordering::SeqCst) {
        shown.store(true, Ordering::SeqCst);
        let (sent, seconds) = (bytes.load(Ordering::Relaxed), started.elapsed().as_secs_f64());
        let rate = bytes_text((sent as f64 / seconds.max(0.001)) as u64);
        eprint!("\r\x1b[2K{} sent ({rate}/s), {seconds:.1} s", bytes_text(sent));
        let _ = std::io::stderr().flush();
        std::thread::park_timeout(EVERY);
    }
}

fn line(rows: u64, bytes: u64, total: u64, memory: u64, seconds: f64) -> String {
    let done = |of: u64| (rows.min(total) * of).checked_div(total);
    let bar = match (done(BAR_WIDTH), done(100)) {
        (Some(filled), Some(percent)) => {
            let open = (BAR_WIDTH - filled) as usize;
            format!(" {}{} {percent}%", "█".repeat(filled as usize), "░".repeat(open))
        }
        _ => String::new(),
    };
    format!(
        "{} rows, {} ({} rows/s), memory {}, {seconds:.1} s{bar}",
        short(rows as f64),
        bytes_text(bytes),
        short(rows as f64 / seconds.max(0.001)),
        bytes_text(memory),
    )
}

fn short(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} billion", n / 1e9),
        n if n >= 1e6 => format!("{:.2} million", n / 1e6),
        n if n >= 1e3 => format!("{:.2} thousand", n / 1e3),
        n => format!("{n:.0}"),
    }
}

fn bytes_text(n: u64) -> String {
    let n = n as f64;
    match n {
        n if n >= 1e9 => format!("{:.2} GB", n / 1e9),
        n if n >= 1e6 => format!("{:.2} MB", n / 1e6),
        n if n >= 1e3 => format!("{:.2} KB", n / 1e3),
        n => format!("{n:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_with_a_bar() {
        let text = line(5_000_000, 80_000_000, 10_000_000, 2_000, 2.0);
        assert!(text.contains("5.00 million rows") && text.contains("50%"), "{text}");
        assert!(!line(1, 1, 0, 0, 0.1).contains('%'));
    }
}
