//! The prompt's own commands, in the style of psql: each is a line that begins with a backslash and stands
//! for a statement or changes how results are shown.

/// What a line at the prompt asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run these statements.
    Run(String),
    /// Run the statements of a file.
    RunFile(String),
    /// Show results upside down, or no longer.
    ToggleVertical,
    /// Print how long statements take, or no longer.
    ToggleTiming,
    Help,
    Leave,
    Unknown(String),
}

pub const HELP: &str = "\
  \\l               databases
  \\d, \\dt          tables            \\d TABLE     a table's columns
  \\c DATABASE      go to a database
  \\s TABLE         the statement that makes a table
  \\p               running queries   \\k ID        stop one
  \\x               results upside down on and off; \\G at a statement's end does it once
  \\timing          time of each statement on and off
  \\i FILE          run the statements of a file
  \\? or help       this text
  \\q, exit, quit   leave

  Enter runs a statement once its brackets and quotes are closed; a trailing \\ goes on in the next line.
  Tab completes names. Ctrl-C stops a running query. SELECT … INTO OUTFILE 'file.csv' and
  INSERT INTO t FROM INFILE 'file.csv.gz' read and write files on this side.
";

/// Words that leave the prompt without a backslash.
pub fn is_farewell(text: &str) -> bool {
    let text = text.trim().trim_end_matches(';').trim().to_ascii_lowercase();
    matches!(text.as_str(), "exit" | "quit" | "logout" | ":q" | "q")
}

/// What `line` asks for.
pub fn command(line: &str) -> Command {
    let text = line.trim();
    if is_farewell(text) {
        return Command::Leave;
    }
    if matches!(text.trim_end_matches(';').trim(), "help" | "HELP" | "?") {
        return Command::Help;
    }
    let Some(rest) = text.strip_prefix('\\') else { return Command::Run(line.to_string()) };
    let (name, argument) = match rest.split_once(char::is_whitespace) {
        Some((name, argument)) => (name, argument.trim().trim_end_matches(';').trim()),
        None => (rest.trim_end_matches(';'), ""),
    };
    let run = |text: String| Command::Run(text);
    match (name, argument) {
        ("q", _) => Command::Leave,
        ("?" | "h" | "help", _) => Command::Help,
        ("x", _) => Command::ToggleVertical,
        ("timing", _) => Command::ToggleTiming,
        ("l", _) => run("SHOW DATABASES".into()),
        ("d" | "dt", "") => run("SHOW TABLES".into()),
        ("p", _) => run(
            "SELECT query_id, user, elapsed, read_rows, memory_usage, query FROM system.processes"
                .into(),
        ),
        ("d" | "dt", table) => run(format!("DESCRIBE TABLE {table}")),
        ("c", database) if !database.is_empty() => run(format!("USE {database}")),
        ("s", table) if !table.is_empty() => {
            run(format!("SHOW CREATE TABLE {table} FORMAT TSVRaw"))
        }
        ("k", id) if !id.is_empty() => {
            run(format!("KILL QUERY WHERE query_id = '{}'", id.replace('\'', "\\'")))
        }
        ("i", file) if !file.is_empty() => Command::RunFile(file.to_string()),
        _ => Command::Unknown(format!("Unknown command \\{name}; \\? lists them")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, command};

    #[test]
    fn commands_stand_for_statements() {
        assert_eq!(command("\\d"), Command::Run("SHOW TABLES".into()));
        assert_eq!(command("\\d db.t;"), Command::Run("DESCRIBE TABLE db.t".into()));
        assert_eq!(command("\\c x"), Command::Run("USE x".into()));
        assert_eq!(command("SELECT 1"), Command::Run("SELECT 1".into()));
        assert_eq!(command(" Exit; "), Command::Leave);
        assert_eq!(command("\\i a b.sql"), Command::RunFile("a b.sql".into()));
        assert!(matches!(command("\\nothing"), Command::Unknown(_)));
    }
}
