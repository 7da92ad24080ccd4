//! The command-line client: interactive with history and a progress line, one `--query`, or
//! statements from standard input. It speaks HTTP to any server.

mod connection;
mod interactive;
mod progress;

use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

pub use self::connection::{Connection, Failure};

/// Flags of `pumphouse client`.
#[derive(Debug, Clone, clap::Args)]
pub struct ClientOptions {
    /// Server to connect to.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Its HTTP port.
    #[arg(long, default_value_t = 8123)]
    pub port: u16,
    #[arg(long, short = 'u', default_value = "default")]
    pub user: String,
    #[arg(long, default_value = "", env = "PUMPHOUSE_PASSWORD", hide_env_values = true)]
    pub password: String,
    /// Current database.
    #[arg(long, short = 'd', default_value = "default")]
    pub database: String,
    /// Output format [default: PrettyCompact on a terminal, else TabSeparated].
    #[arg(long, short = 'f')]
    pub format: Option<String>,
    /// Run this and exit; data for an INSERT comes from standard input.
    #[arg(long, short = 'q')]
    pub query: Option<String>,
    /// No progress line.
    #[arg(long)]
    pub no_progress: bool,
    /// Print how long each statement took, to standard error.
    #[arg(long, short = 't')]
    pub time: bool,
}

impl ClientOptions {
    /// Options of a program that talks to its own server: plain text, no progress.
    pub fn plain(host: &str, port: u16) -> ClientOptions {
        ClientOptions {
            host: host.into(),
            port,
            user: "default".into(),
            password: String::new(),
            database: "default".into(),
            format: Some("TabSeparated".into()),
            query: None,
            no_progress: true,
            time: false,
        }
    }

    fn format(&self) -> &str {
        let terminal = io::stdout().is_terminal();
        self.format.as_deref().unwrap_or(if terminal { "PrettyCompact" } else { "TabSeparated" })
    }
}

/// Runs the client; the exit code is 0, or 1 after an error.
pub fn run(options: &ClientOptions) -> ExitCode {
    let outcome = match &options.query {
        Some(query) => run_query(options, query),
        None if io::stdin().is_terminal() => interactive::run(options),
        None => run_script(options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// `--query`: one or more statements; the data of a lone INSERT follows on standard input.
fn run_query(options: &ClientOptions, query: &str) -> Result<(), Failure> {
    let statements = statements(query)?;
    let mut connection = Connection::new(options);
    if let [statement] = statements.as_slice()
        && is_insert_without_data(statement)
        && !io::stdin().is_terminal()
    {
        return connection.send_with_data(statement, Box::new(io::stdin()), &mut io::stdout());
    }
    run_all(options, &mut connection, &statements)
}

/// The statements of a script.
fn statements(text: &str) -> Result<Vec<&str>, Failure> {
    let ranges = pumphouse_query::sql::split_statements(text)
        .map_err(|e| Failure { message: e.to_string(), unreachable: false })?;
    Ok(ranges.into_iter().map(|range| &text[range]).collect())
}

fn run_script(options: &ClientOptions) -> Result<(), Failure> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(Failure::local)?;
    run_all(options, &mut Connection::new(options), &statements(&text)?)
}

fn run_all(
    options: &ClientOptions,
    connection: &mut Connection,
    statements: &[&str],
) -> Result<(), Failure> {
    for statement in statements {
        run_one(options, connection, statement)?;
    }
    Ok(())
}

fn run_one(
    options: &ClientOptions,
    connection: &mut Connection,
    statement: &str,
) -> Result<(), Failure> {
    let started = std::time::Instant::now();
    let shows_progress = !options.no_progress && io::stderr().is_terminal();
    let progress = shows_progress.then(|| progress::Line::start(options, connection.next_id()));
    let mut out = io::stdout().lock();
    let outcome = connection.send(statement, &mut |bytes| {
        if let Some(line) = &progress {
            line.clear();
        }
        out.write_all(bytes)
    });
    drop(progress);
    out.flush().map_err(Failure::local)?;
    if options.time {
        eprintln!("{:.3}", started.elapsed().as_secs_f64());
    }
    outcome
}

/// `INSERT … FORMAT x` or `INSERT … VALUES` with nothing behind it.
fn is_insert_without_data(statement: &str) -> bool {
    use pumphouse_query::sql::{self, ast};
    match sql::parse_statement(statement).map(|p| p.statement) {
        Ok(ast::Statement::Insert(insert)) => match insert.source {
            ast::InsertSource::Format { data_offset, .. }
            | ast::InsertSource::Values { data_offset } => {
                statement.get(data_offset..).is_none_or(|rest| rest.trim().is_empty())
            }
            ast::InsertSource::Query(_) => false,
        },
        _ => false,
    }
}
