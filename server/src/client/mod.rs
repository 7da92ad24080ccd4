//! The command-line client: interactive with completion, colours, history and a progress line; `--query`,
//! `--queries-file`, or statements from standard input. It speaks HTTP to any server.
//!
//! The pieces: [`arguments`] (settings as flags), [`connection`], [`editor`] and [`commands`] (the prompt),
//! [`transfer`] (INTO OUTFILE, FROM INFILE), [`progress`].

mod arguments;
mod commands;
mod connection;
mod editor;
mod follow;
mod interactive;
mod progress;
mod transfer;

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::arguments::FreeFlags;
pub use self::connection::{Connection, Failure};
use self::progress::{Line, Source};

/// Flags of `pumphouse client`. Every setting is a flag, too (`--max_threads 4`), and so is every query
/// parameter (`--param_name value`).
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
    #[command(flatten)]
    pub statements: StatementOptions,
    /// Print new rows of this SELECT's table as they are committed, until interrupted.
    #[arg(long, value_name = "SELECT")]
    pub follow: Option<String>,
    #[arg(skip)]
    pub free: FreeFlags,
    /// Output format where neither statement nor flag names one.
    #[arg(skip)]
    pub format: Option<String>,
}

/// Flags about statements and results, shared by `client` and `local`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StatementOptions {
    /// Current database.
    #[arg(long, short = 'd', default_value = "default")]
    pub database: String,
    /// Output format [default: PrettyCompact on a terminal, else TabSeparated].
    #[arg(long, short = 'f', alias = "output-format")]
    pub format: Option<String>,
    /// Run this and exit; data for a lone INSERT comes from standard input. May be repeated.
    #[arg(long, short = 'q')]
    pub query: Vec<String>,
    /// Run the statements of these files and exit. May be repeated.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub queries_file: Vec<PathBuf>,
    /// Results upside down (format Vertical).
    #[arg(long, short = 'E')]
    pub vertical: bool,
    /// At the prompt, statements end with a semicolon rather than with Enter.
    #[arg(long, short = 'm')]
    pub multiline: bool,
    /// Accepted for scripts of other clients: several statements are always allowed.
    #[arg(long, short = 'n', hide = true)]
    pub multiquery: bool,
    /// Print each statement before it runs.
    #[arg(long)]
    pub echo: bool,
    /// Go on after a statement that failed; the exit code tells of the last failure.
    #[arg(long)]
    pub ignore_error: bool,
    /// No progress line.
    #[arg(long)]
    pub no_progress: bool,
    /// No colours at the prompt.
    #[arg(long, env = "NO_COLOR", value_parser = clap::builder::FalseyValueParser::new())]
    pub no_color: bool,
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
            statements: StatementOptions {
                database: "default".into(),
                no_progress: true,
                ..StatementOptions::default()
            },
            follow: None,
            free: FreeFlags::default(),
            format: Some("TabSeparated".into()),
        }
    }

    fn format(&self) -> &str {
        if let Some(format) = &self.format {
            return format;
        }
        let terminal = io::stdout().is_terminal();
        match &self.statements.format {
            _ if self.statements.vertical => "Vertical",
            Some(format) => format,
            None if terminal => "PrettyCompact",
            None => "TabSeparated",
        }
    }
}

/// Runs the client; the exit code is 0, or tells the error (see [`Failure::exit_code`]).
pub fn run(options: &ClientOptions) -> ExitCode {
    match run_whole(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run_whole(options: &ClientOptions) -> Result<(), Failure> {
    if let Some(query) = &options.follow {
        return follow::run(options, query);
    }
    let given = &options.statements;
    if given.query.is_empty() && given.queries_file.is_empty() {
        return match io::stdin().is_terminal() {
            true => interactive::run(options),
            false => run_script(options),
        };
    }
    let mut connection = Connection::new(options);
    for query in &given.query {
        run_query(options, &mut connection, query)?;
    }
    for file in &given.queries_file {
        run_file(options, &mut connection, file)?;
    }
    Ok(())
}

/// `--query`: one or more statements; the data of a lone INSERT follows on standard input.
fn run_query(
    options: &ClientOptions,
    connection: &mut Connection,
    query: &str,
) -> Result<(), Failure> {
    let statements = statements(query)?;
    if let [statement] = statements.as_slice()
        && is_insert_without_data(statement)
        && !io::stdin().is_terminal()
    {
        return insert_from(options, connection, statement, Box::new(io::stdin()));
    }
    run_all(options, connection, &statements)
}

/// The statements of a script.
fn statements(text: &str) -> Result<Vec<&str>, Failure> {
    let ranges =
        pumphouse_query::sql::split_statements(text).map_err(|e| Failure::here(e.to_string()))?;
    Ok(ranges.into_iter().map(|range| &text[range]).collect())
}

fn run_file(
    options: &ClientOptions,
    connection: &mut Connection,
    file: &PathBuf,
) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::here(format!("{}: {e}", file.display())))?;
    run_all(options, connection, &statements(&text)?)
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
    let mut last = Ok(());
    for statement in statements {
        if options.statements.echo {
            println!("{statement}");
        }
        match run_one(options, connection, statement) {
            Err(failure) if options.statements.ignore_error && !failure.unreachable => {
                eprintln!("{failure}");
                last = Err(failure);
            }
            outcome => outcome?,
        }
    }
    last.map_err(|failure| Failure { message: "A statement failed (see above)".into(), ..failure })
}

/// Runs one statement; its result goes to standard output or to the file that it names.
fn run_one(
    options: &ClientOptions,
    connection: &mut Connection,
    statement: &str,
) -> Result<(), Failure> {
    let prepared = transfer::prepare(statement)?;
    if let Some(infile) = &prepared.infile {
        return insert_from(options, connection, &prepared.text, infile.open()?);
    }
    let started = std::time::Instant::now();
    let progress = progress(options, || Source::Query(connection.next_id()));
    let mut file = prepared.outfile.as_ref().map(|outfile| outfile.open()).transpose()?;
    let shown = prepared.outfile.as_ref().is_none_or(|outfile| outfile.and_stdout);
    let mut out = io::stdout().lock();
    let outcome = connection.send(&prepared.text, &mut |bytes| {
        if let Some(line) = &progress {
            line.clear();
        }
        if let Some(file) = &mut file {
            file.write_all(bytes)?;
        }
        if shown { out.write_all(bytes) } else { Ok(()) }
    });
    drop(progress);
    if let Some(file) = file {
        file.finish().map_err(Failure::local)?;
    }
    out.flush().map_err(Failure::local)?;
    if options.statements.time {
        eprintln!("{:.3}", started.elapsed().as_secs_f64());
    }
    outcome
}

/// An INSERT whose data comes from `data`.
fn insert_from(
    options: &ClientOptions,
    connection: &mut Connection,
    statement: &str,
    data: Box<dyn Read + Send>,
) -> Result<(), Failure> {
    let started = std::time::Instant::now();
    let sent = Arc::new(AtomicU64::new(0));
    let progress = progress(options, || Source::Sent(sent.clone()));
    let mut out = io::stdout().lock();
    let data = Box::new(Counted { data, sent: sent.clone() });
    let outcome = connection.send_with_data(statement, data, &mut |bytes| out.write_all(bytes));
    drop(progress);
    if options.statements.time {
        eprintln!("{:.3}", started.elapsed().as_secs_f64());
    }
    outcome
}

fn progress(options: &ClientOptions, source: impl FnOnce() -> Source) -> Option<Line> {
    let shows = !options.statements.no_progress && io::stderr().is_terminal();
    shows.then(|| Line::start(options, source()))
}

/// Data on its way, counted.
struct Counted {
    data: Box<dyn Read + Send>,
    sent: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.data.read(buffer)?;
        self.sent.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
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
