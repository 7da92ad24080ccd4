//! The real binary as a child process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::http::{self, Answer};
use super::{TestFolder, eventually, free_port};

/// A running `pumphouse server`; killed on drop.
pub struct Server {
    child: Child,
    pub port: u16,
    pub data_dir: PathBuf,
    log: PathBuf,
    _folder: Option<TestFolder>,
}

/// The binary under test.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_pumphouse")
}

impl Server {
    /// Starts on an empty directory of its own.
    pub fn start(name: &str) -> Server {
        Server::start_configured(name, &[])
    }

    /// Starts on an empty directory of its own with these environment variables.
    pub fn start_configured(name: &str, environment: &[(&str, &str)]) -> Server {
        let folder = TestFolder::new(name);
        let mut server = Server::start_with(&folder.0.join("data"), free_port(), environment);
        server._folder = Some(folder);
        server
    }

    /// Starts on `data_dir` and waits until it answers.
    pub fn start_in(data_dir: &Path) -> Server {
        Server::start_with(data_dir, free_port(), &[])
    }

    pub fn start_with(data_dir: &Path, port: u16, environment: &[(&str, &str)]) -> Server {
        let server = Server::spawn(data_dir, port, environment);
        server.wait_ready()
    }

    /// Starts in the memory control group of this folder.
    pub fn start_limited(data_dir: &Path, port: u16, group: &Path) -> Server {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]);
        command.arg(group).arg(binary());
        Server::spawn_as(command, data_dir, port, &[]).wait_ready()
    }

    /// Starts without waiting.
    pub fn spawn(data_dir: &Path, port: u16, environment: &[(&str, &str)]) -> Server {
        Server::spawn_as(Command::new(binary()), data_dir, port, environment)
    }

    fn spawn_as(
        mut command: Command,
        data_dir: &Path,
        port: u16,
        environment: &[(&str, &str)],
    ) -> Server {
        std::fs::create_dir_all(data_dir).expect("the data directory can be made");
        let log = data_dir.with_extension("log");
        let output = std::fs::File::options().create(true).append(true).open(&log).expect("log");
        let child = command
            .args(["server", "--data-dir"])
            .arg(data_dir)
            .args(["--http-port", &port.to_string()])
            .env("PUMPHOUSE_KEEP_FREE_SPACE_BYTES", "1048576")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .expect("the binary starts");
        Server { child, port, data_dir: data_dir.into(), log, _folder: None }
    }

    pub fn wait_ready(mut self) -> Server {
        let port = self.port;
        let mut died = None;
        let log = self.log.clone();
        eventually("the server answers", Duration::from_secs(60), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                died = Some(status);
            }
            assert!(died.is_none(), "server ended with {died:?}:\n{}", tail(&log));
            http::request(port, "GET", "/ping", &[], b"").ok().filter(|a| a.status == 200)
        });
        self
    }

    /// Sends a statement; the raw answer.
    pub fn send(&self, sql: &str) -> std::io::Result<Answer> {
        http::request(self.port, "POST", "/", &[], sql.as_bytes())
    }

    /// As [`Self::send`], all in one session.
    pub fn send_in_session(&self, sql: &str) -> std::io::Result<Answer> {
        http::request(self.port, "POST", "/?session_id=one", &[], sql.as_bytes())
    }

    /// Runs a statement that must succeed; its TabSeparated result without the last newline.
    pub fn sql(&self, sql: &str) -> String {
        let answer = self.send(sql).unwrap_or_else(|e| panic!("{sql}: {e}\n{}", tail(&self.log)));
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.text().trim_end_matches('\n').to_string()
    }

    /// Runs a statement that must fail; the code and text.
    pub fn error(&self, sql: &str) -> (u32, String) {
        let answer = self.send(sql).expect("an answer");
        let code = answer.header("x-clickhouse-exception-code").and_then(|c| c.parse().ok());
        (code.unwrap_or_else(|| panic!("{sql} did not fail: {}", answer.text())), answer.text())
    }

    pub fn number(&self, sql: &str) -> i64 {
        let text = self.sql(sql);
        text.parse().unwrap_or_else(|_| panic!("{sql} gave {text}"))
    }

    /// Waits until `sql` gives `expected`.
    pub fn until(&self, sql: &str, expected: &str, limit: Duration) {
        let mut last = String::new();
        let began = std::time::Instant::now();
        while began.elapsed() < limit {
            last = self.sql(sql);
            if last == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!(
            "{sql} is {last}, not {expected}, after {limit:?}\nconsumers: {}\nlog: {}",
            self.sql("SELECT table, consumer_id, state, paused_reason, last_error, lag FROM system.kafka_consumers"),
            tail(&self.log)
        );
    }

    /// Whether the process is gone.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and the exit code once it has ended.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        eventually("the server ends", Duration::from_secs(60), || {
            self.child.try_wait().ok().flatten()
        })
        .code()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("server log:\n{}", tail(&self.log));
        }
        self.kill();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
