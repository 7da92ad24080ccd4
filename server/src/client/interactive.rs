//! The prompt: line editing, history, `;` optional, a statement may span lines with a trailing `\`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::connection::{Connection, Failure};
use super::{ClientOptions, run_one, statements};

/// Reads and runs statements until `exit`, `quit` or the end of input.
pub fn run(options: &ClientOptions) -> Result<(), Failure> {
    let mut connection = Connection::new(options);
    let version = hello(options, &mut connection)?;
    println!("Connected to {}:{} (version {version}).", options.host, options.port);
    println!("Enter runs a statement, a trailing \\ continues it; `exit` leaves.\n");
    let mut editor =
        DefaultEditor::new().map_err(|e| Failure { message: e.to_string(), unreachable: false })?;
    let history = history_file();
    if let Some(file) = &history {
        // No history yet is no error.
        let _ = editor.load_history(file);
    }
    let mut pending = String::new();
    loop {
        let prompt = if pending.is_empty() { ":) " } else { ":-] " };
        match editor.readline(prompt) {
            Ok(line) => {
                if let Some(head) = line.trim_end().strip_suffix('\\') {
                    pending.push_str(head);
                    pending.push('\n');
                    continue;
                }
                pending.push_str(&line);
                let text = std::mem::take(&mut pending);
                let trimmed = text.trim().trim_end_matches(';').trim();
                if trimmed.is_empty() {
                    continue;
                }
                let _ = editor.add_history_entry(text.trim());
                if matches!(trimmed.to_ascii_lowercase().as_str(), "exit" | "quit" | "\\q" | ":q") {
                    break;
                }
                run_text(options, &mut connection, &text);
            }
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(Failure { message: e.to_string(), unreachable: false }),
        }
    }
    if let Some(file) = &history {
        let _ = editor.save_history(file);
    }
    println!("Bye.");
    Ok(())
}

fn run_text(options: &ClientOptions, connection: &mut Connection, text: &str) {
    let statements = match statements(text) {
        Ok(statements) => statements,
        Err(failure) => return eprintln!("{failure}\n"),
    };
    for statement in statements {
        let started = Instant::now();
        match run_one(options, connection, statement) {
            Ok(()) => {
                if let Some(database) = used_database(statement) {
                    connection.set_database(&database);
                }
                println!("\nElapsed: {:.3} sec.\n", started.elapsed().as_secs_f64());
            }
            Err(failure) => {
                eprintln!("{failure}\n");
                break;
            }
        }
        let _ = io::stdout().flush();
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

fn hello(options: &ClientOptions, connection: &mut Connection) -> Result<String, Failure> {
    let mut answer = Vec::new();
    let _ = options;
    connection.send("SELECT version() FORMAT TabSeparated", &mut |bytes| {
        answer.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(String::from_utf8_lossy(&answer).trim().to_string())
}

fn history_file() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".pumphouse_history"))
}
