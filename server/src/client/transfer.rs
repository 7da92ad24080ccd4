//! Files on the client's side: `INTO OUTFILE` takes a result, `FROM INFILE` gives an INSERT its data. Both
//! are cut out of the statement; the server never sees them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};

use pumphouse_query::sql::lexer::{Lexer, Token, TokenKind};
use pumphouse_query::sql::{self, ParsedStatement, unescape};

use super::Failure;
use crate::compression::encodings::{Encoding, PackedWriter, decoder};

/// What a client does with one statement.
pub struct Prepared {
    /// What is sent.
    pub text: String,
    pub outfile: Option<Outfile>,
    pub infile: Option<Infile>,
}

/// `INTO OUTFILE 'path' [APPEND | TRUNCATE] [AND STDOUT] [COMPRESSION 'method' [LEVEL n]]`.
#[derive(Debug, PartialEq, Eq)]
pub struct Outfile {
    pub path: String,
    pub append: bool,
    pub truncate: bool,
    pub and_stdout: bool,
    method: Option<String>,
    level: u32,
}

/// `FROM INFILE 'path' [COMPRESSION 'method']`.
#[derive(Debug, PartialEq, Eq)]
pub struct Infile {
    pub path: String,
    method: Option<String>,
}

/// Cuts files out of `statement`. A statement that is no SQL goes to the server as it is: its error is
/// the better one.
pub fn prepare(statement: &str) -> Result<Prepared, Failure> {
    if let Some((text, infile)) = cut_infile(statement)? {
        return Ok(Prepared { text, outfile: None, infile: Some(infile) });
    }
    let plain = || Prepared { text: statement.into(), outfile: None, infile: None };
    if !statement.to_ascii_uppercase().contains("OUTFILE") {
        return Ok(plain());
    }
    let Ok(mut parsed) = sql::parse_statement(statement) else { return Ok(plain()) };
    let Some(outfile) = Outfile::of(&mut parsed)? else { return Ok(plain()) };
    if parsed.format.is_none() {
        parsed.format = Some(format_by_name(&outfile.path).unwrap_or("TabSeparated").into());
    }
    let text = sql::format::parsed(&parsed, false);
    Ok(Prepared { text, outfile: Some(outfile), infile: None })
}

impl Outfile {
    fn of(parsed: &mut ParsedStatement) -> Result<Option<Outfile>, Failure> {
        let Some(path) = parsed.outfile.take() else { return Ok(None) };
        let options = std::mem::take(&mut parsed.outfile_options);
        let mut words = options.split_whitespace().peekable();
        let mut outfile = Outfile {
            path,
            append: false,
            truncate: false,
            and_stdout: false,
            method: None,
            level: 3,
        };
        while let Some(word) = words.next() {
            match word {
                "APPEND" => outfile.append = true,
                "TRUNCATE" => outfile.truncate = true,
                "STDOUT" => outfile.and_stdout = true,
                "COMPRESSION" => {
                    outfile.method = words.next().map(|m| m.trim_matches('\'').to_string());
                }
                "LEVEL" => outfile.level = words.next().and_then(|l| l.parse().ok()).unwrap_or(3),
                _ => {}
            }
        }
        Ok(Some(outfile))
    }

    /// Opens the file; one that exists is an error unless the statement says what to do with it.
    pub fn open(&self) -> Result<Box<dyn Finish>, Failure> {
        let file = OpenOptions::new()
            .write(true)
            .append(self.append)
            .truncate(self.truncate)
            .create(self.append || self.truncate)
            .create_new(!self.append && !self.truncate)
            .open(&self.path)
            .map_err(|e| about(&self.path, &e))?;
        let file = BufWriter::new(file);
        Ok(match method(self.method.as_deref(), &self.path)? {
            None => Box::new(file),
            Some(name) => {
                let encoding = Encoding::named(name).ok_or_else(|| {
                    Failure::here(format!("Files are not written with the compression {name}"))
                })?;
                let writer = PackedWriter::new(file, encoding, self.level);
                Box::new(writer.map_err(|e| about(&self.path, &e))?)
            }
        })
    }
}

impl Infile {
    /// Opens the file, unpacking it.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, Failure> {
        let file = File::open(&self.path).map_err(|e| about(&self.path, &e))?;
        let method = method(self.method.as_deref(), &self.path)?;
        decoder(Box::new(file), method).map_err(|e| Failure::here(e.to_string()))
    }
}

/// A writer whose end must be written, too.
pub trait Finish: Write {
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl Finish for BufWriter<File> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

impl Finish for PackedWriter<BufWriter<File>> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        (*self).finish()?.flush()
    }
}

fn about(path: &str, e: &io::Error) -> Failure {
    Failure::here(format!("{path}: {e}"))
}

/// The method that is named, or that the file's ending tells.
fn method(named: Option<&str>, path: &str) -> Result<Option<&'static str>, Failure> {
    let ending = path.rsplit('.').next().unwrap_or("");
    let name = match named {
        None | Some("auto") => ending,
        Some(name) => name,
    };
    match Encoding::of_file(name) {
        None if !named.is_none_or(|n| n == "auto" || n == "none") => Err(Failure::here(format!(
            "Unknown compression method '{name}'; known are none, gzip, zstd, br, lz4, xz, snappy, deflate, bz2"
        ))),
        found => Ok(found),
    }
}

/// The format that a file's ending tells, below the ending of its packing.
pub fn format_by_name(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next()?.to_ascii_lowercase();
    name.rsplit('.').take(2).find_map(|ending| {
        Some(match ending {
            "csv" => "CSV",
            "tsv" => "TabSeparated",
            "json" => "JSON",
            "jsonl" | "ndjson" => "JSONEachRow",
            "parquet" => "Parquet",
            "arrow" => "Arrow",
            "orc" => "ORC",
            "avro" => "Avro",
            "native" => "Native",
            "md" => "Markdown",
            "xml" => "XML",
            "sql" => "SQLInsert",
            "msgpack" => "MsgPack",
            _ => return None,
        })
    })
}

/// `INSERT … FROM INFILE 'x' [COMPRESSION 'y'] …` without that clause, and the clause.
fn cut_infile(statement: &str) -> Result<Option<(String, Infile)>, Failure> {
    let mut lexer = Lexer::new(statement);
    let mut tokens: Vec<Token> = vec![];
    // An INSERT's head is short; its data is not looked at.
    while tokens.len() < 10_000 {
        let token = lexer.next_token();
        if matches!(token.kind, TokenKind::End | TokenKind::Invalid(_)) {
            break;
        }
        tokens.push(token);
        let word = |back: usize| {
            let at = tokens.len().checked_sub(back + 1)?;
            Some(statement[tokens[at].start..tokens[at].end].to_ascii_uppercase())
        };
        if tokens.len() == 1 && word(0).as_deref() != Some("INSERT") {
            return Ok(None);
        }
        if word(0).as_deref() == Some("INFILE") && word(1).as_deref() == Some("FROM") {
            let from = tokens[tokens.len() - 2].start;
            return rest_of_infile(statement, from, lexer).map(Some);
        }
    }
    Ok(None)
}

fn rest_of_infile(
    statement: &str,
    from: usize,
    mut lexer: Lexer<'_>,
) -> Result<(String, Infile), Failure> {
    let mut end;
    let string = |lexer: &mut Lexer<'_>| {
        let token = lexer.next_token();
        if token.kind != TokenKind::String {
            return Err(Failure::here(
                "INFILE and COMPRESSION want a text in single quotes".into(),
            ));
        }
        let inner = unescape(&statement[token.start..token.end]);
        Ok((String::from_utf8_lossy(&inner).into_owned(), token.end))
    };
    let (path, after) = string(&mut lexer)?;
    end = after;
    let mut ahead = lexer.clone();
    let next = ahead.next_token();
    let mut method = None;
    if statement[next.start..next.end].eq_ignore_ascii_case("COMPRESSION") {
        let (name, after) = string(&mut ahead)?;
        (method, end) = (Some(name), after);
    }
    let rest = statement[end..].trim();
    let gap = if rest.is_empty() { "" } else { " " };
    let mut text = format!("{}{gap}{rest}", statement[..from].trim_end());
    if !text.to_ascii_uppercase().contains("FORMAT") {
        text.push_str(&format!(" FORMAT {}", format_by_name(&path).unwrap_or("TabSeparated")));
    }
    Ok((text, Infile { path, method }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_cut_out_of_statements() {
        let p = prepare(
            "INSERT INTO t (a, b) FROM INFILE 'x\\'y.csv.gz' COMPRESSION 'gzip' FORMAT CSV",
        )
        .unwrap();
        assert_eq!(p.text, "INSERT INTO t (a, b) FORMAT CSV");
        assert_eq!(
            p.infile,
            Some(Infile { path: "x'y.csv.gz".into(), method: Some("gzip".into()) })
        );
        let p = prepare("INSERT INTO t FROM INFILE 'rows.jsonl'").unwrap();
        assert_eq!(p.text, "INSERT INTO t FORMAT JSONEachRow");
        let p = prepare("SELECT 1 INTO OUTFILE 'a.csv.zst' TRUNCATE AND STDOUT").unwrap();
        assert_eq!(p.text, "SELECT 1 FORMAT CSV");
        let outfile = p.outfile.unwrap();
        assert!(outfile.truncate && outfile.and_stdout && !outfile.append);
        assert_eq!(method(None, &outfile.path).unwrap(), Some("zstd"));
        // Nothing to cut: the statement stays letter by letter.
        let text = "SELECT  'INTO OUTFILE'";
        assert_eq!(prepare(text).unwrap().text, text);
        assert!(method(Some("rar"), "x").is_err());
    }

    #[test]
    fn files_are_packed_and_unpacked_by_their_names() {
        let folder = std::env::temp_dir().join(format!("outfile-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for ending in ["csv", "csv.gz", "csv.zst", "csv.br", "csv.lz4", "csv.xz", "csv.snappy"] {
            let path = folder.join(format!("f.{ending}")).display().to_string();
            let p = prepare(&format!("SELECT 1 INTO OUTFILE '{path}'")).unwrap();
            let outfile = p.outfile.unwrap();
            let mut file = outfile.open().unwrap();
            file.write_all(b"1,2\n").unwrap();
            file.finish().unwrap();
            let mut text = String::new();
            Infile { path, method: None }.open().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "1,2\n", "{ending}");
            assert!(outfile.open().is_err(), "an existing file is not overwritten unasked");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
