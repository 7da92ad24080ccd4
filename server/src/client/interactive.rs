//! The prompt: reads statements and its own commands until somebody leaves. Ctrl-C stops the statement that
//! runs, or empties the line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use rustyline::error::ReadlineError;

use super::commands::{Command, HELP, command};
use super::connection::{Connection, Failure};
use super::editor::{self, PromptEditor};
use super::{ClientOptions, run_one, statements};

/// Names that Tab completes, at most so many of a kind.
const NAMES: &str = "SELECT arrayJoin(groupUniqArray(10000)(name)) FROM (\
    SELECT name FROM system.functions UNION ALL SELECT name FROM system.formats \
    UNION ALL SELECT name FROM system.settings UNION ALL SELECT name FROM system.databases \
    UNION ALL SELECT name FROM system.data_type_families UNION ALL SELECT name FROM system.table_functions \
    UNION ALL SELECT name FROM system.table_engines UNION ALL SELECT name FROM system.tables \
    UNION ALL SELECT name FROM system.columns) FORMAT TabSeparated";

/// What the prompt remembers between statements.
struct Shell<'a> {
    options: &'a ClientOptions,
    connection: Connection,
    vertical: bool,
    timing: bool,
}

/// Reads and runs statements until `exit`, `quit` or the end of input.
pub fn run(options: &ClientOptions) -> Result<(), Failure> {
    let mut connection = Connection::new(options);
    let version = ask(&mut connection, "SELECT version() FORMAT TabSeparated")?;
    println!("Connected to {}:{} (version {}).", options.host, options.port, version.trim());
    println!("\\? lists commands, Tab completes names, `exit` leaves.\n");
    // Completion is a comfort: without the names it has keywords only.
    let names = ask(&mut connection, NAMES).unwrap_or_default();
    let given = &options.statements;
    let mut editor =
        editor::editor(names.lines().map(String::from), given.multiline, !given.no_color)
            .map_err(|e| Failure::here(e.to_string()))?;
    let history = history_file();
    if let Some(file) = &history {
        // No history yet is no error.
        let _ = editor.load_history(file);
    }
    signal_hook::flag::register(signal_hook::consts::SIGINT, connection.cancel_flag())
        .map_err(Failure::local)?;
    let mut shell = Shell { options, connection, vertical: given.vertical, timing: true };
    let outcome = shell.read_all(&mut editor);
    if let Some(file) = &history {
        let _ = editor.save_history(file);
    }
    outcome?;
    println!("Bye.");
    Ok(())
}

impl Shell<'_> {
    fn read_all(&mut self, editor: &mut PromptEditor) -> Result<(), Failure> {
        loop {
            match editor.readline(":) ") {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    let _ = editor.add_history_entry(text.trim());
                    if !self.obey(&text) {
                        return Ok(());
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(()),
                Err(e) => return Err(Failure::here(e.to_string())),
            }
        }
    }

    /// Does what the line asks for; false to leave.
    fn obey(&mut self, line: &str) -> bool {
        match command(line) {
            Command::Leave => return false,
            Command::Help => print!("{HELP}"),
            Command::Unknown(message) => eprintln!("{message}\n"),
            Command::ToggleVertical => {
                self.vertical = !self.vertical;
                println!("Results are {}.\n", if self.vertical { "vertical" } else { "tables" });
            }
            Command::ToggleTiming => {
                self.timing = !self.timing;
                println!("Timing is {}.\n", if self.timing { "on" } else { "off" });
            }
            Command::Run(text) => self.run(&text),
            Command::RunFile(file) => match std::fs::read_to_string(&file) {
                Ok(text) => self.run(&text),
                Err(e) => eprintln!("{file}: {e}\n"),
            },
        }
        true
    }

    fn run(&mut self, text: &str) {
        // A `\` at a line's end only meant that it goes on.
        let text = text.replace("\\\n", "\n");
        let (text, once) = match text.trim_end().trim_end_matches(';').strip_suffix("\\G") {
            Some(text) => (text.to_string(), true),
            None => (text, false),
        };
        let vertical = self.vertical || once;
        let format = if vertical { "Vertical" } else { self.options.format() }.to_string();
        self.connection.set_format(&format);
        let statements = match statements(&text) {
            Ok(statements) => statements,
            Err(failure) => return eprintln!("{failure}\n"),
        };
        for statement in statements {
            let started = Instant::now();
            match run_one(self.options, &mut self.connection, statement) {
                Ok(()) => {
                    if let Some(database) = used_database(statement) {
                        self.connection.set_database(&database);
                    }
                    match self.timing {
                        true => {
                            println!("\nElapsed: {:.3} sec.\n", started.elapsed().as_secs_f64())
                        }
                        false => println!(),
                    }
                }
                Err(failure) => {
                    eprintln!("{failure}\n");
                    break;
                }
            }
            let _ = io::stdout().flush();
        }
    }
}

/// The database of a `USE` statement: the URL's database would win over the session's.
fn used_database(statement: &str) -> Option<String> {
    use pumphouse_query::sql::{ast::Statement, parse_statement};
    match parse_statement(statement).ok()?.statement {
        Statement::Use(database) => Some(database),
        _ => None,
    }
}

/// A statement's answer as text.
fn ask(connection: &mut Connection, statement: &str) -> Result<String, Failure> {
    let mut answer = Vec::new();
    connection.send(statement, &mut |bytes| {
        answer.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn history_file() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".pumphouse_history"))
}
