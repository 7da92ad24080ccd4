//! SQL scripts end to end: text, binding, optimizing, execution, against golden answers of the real
//! engine (`testdata/*.golden`, made by `testdata/generate.py`).
//!
//! Rows are compared in order if the query says ORDER BY, else sorted. Errors are compared by code.
//! `PUMPHOUSE_GOLDEN=name` runs one file and prints every difference in full.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pumphouse_storage::types::{TimeZone, parse_data_type};
use pumphouse_storage::{Block, Column, DataType, Value};

use crate::catalog::{BlockSource, Catalog, SourceColumn, TableSource, numbers};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::execute::{ResultSink, run};
use crate::sql::unescaped;
use crate::{prepare, sql};

struct Tables {
    tables: BTreeMap<String, Arc<dyn TableSource>>,
}

impl Catalog for Tables {
    fn table(&self, database: &str, name: &str) -> Result<Arc<dyn TableSource>> {
        if database == "system"
            && let Some(source) = numbers::system_table(name)
        {
            return Ok(source);
        }
        if database != "default" {
            let message = format!("Database {database} does not exist");
            return Err(Error::new(codes::UNKNOWN_DATABASE, message));
        }
        self.tables.get(name).cloned().ok_or_else(|| {
            let message = format!("Unknown table expression identifier '{name}'");
            Error::new(codes::UNKNOWN_TABLE, message)
        })
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        _ctx: &QueryContext,
    ) -> Result<Arc<dyn TableSource>> {
        numbers::table_function(name, arguments)
            .unwrap_or_else(|| Err(super::from::unknown_table_function(name, &["numbers"])))
    }
}

#[derive(Default)]
struct Text {
    rows: Vec<String>,
    totals: Vec<String>,
    blocks: Vec<Block>,
}

impl ResultSink for Text {
    fn block(&mut self, block: Block) -> Result<()> {
        self.rows.extend(text_rows(&block));
        self.blocks.push(block);
        Ok(())
    }

    fn totals(&mut self, block: Block) -> Result<()> {
        self.totals.extend(text_rows(&block));
        Ok(())
    }
}

fn text_rows(block: &Block) -> Vec<String> {
    (0..block.rows())
        .map(|row| {
            let fields: Vec<String> = block
                .columns
                .iter()
                .map(|c| {
                    if c.is_null(row) {
                        return "\\N".to_string();
                    }
                    let mut out = vec![];
                    let array = c.array.as_ref();
                    crate::text::write_text(&c.data_type, array, row, TimeZone::UTC, &mut out);
                    escaped(&String::from_utf8_lossy(&out))
                })
                .collect();
            fields.join("\t")
        })
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\'', "\\'")
}

/// Like [`escaped`], but composite values keep their quotes.
fn header(names: impl Iterator<Item = String>) -> String {
    names.map(|n| escaped(&n)).collect::<Vec<_>>().join("\t")
}

fn context(settings: &[sql::ast::Setting]) -> Arc<QueryContext> {
    let mut ctx = QueryContext::new("test", 1_750_000_000_000_000, 1 << 30);
    ctx.settings.set("max_threads", "2");
    ctx.deadline = Some(std::time::Instant::now() + std::time::Duration::from_secs(10));
    for setting in settings {
        let text = match &setting.value {
            Value::String(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => other.to_sql(),
        };
        ctx.settings.set(setting.name.clone(), text);
    }
    Arc::new(ctx)
}

fn answer(text: &str, catalog: &Tables) -> Result<String> {
    let parsed = sql::parse_statement(text)?;
    let sql::ast::Statement::Query(query) = &parsed.statement else {
        return Err(Error::new(codes::NOT_IMPLEMENTED, "not a query"));
    };
    let mut settings = parsed.settings.clone();
    let mut last = &**query;
    while let sql::ast::QueryBody::SetOperation { inputs, .. } = &last.body {
        last = inputs.last().expect("inputs");
    }
    if let sql::ast::QueryBody::Select(select) = &last.body {
        settings.extend(select.settings.iter().cloned());
    }
    let ctx = context(&settings);
    let plan = prepare(query, catalog, &ctx)?;
    let mut sink = Text::default();
    run(&plan, &ctx, &mut sink)?;
    for block in &sink.blocks {
        let types: Vec<_> = block.columns.iter().map(|c| c.data_type.clone()).collect();
        let promised: Vec<_> = plan.schema.iter().map(|(_, t)| t.clone()).collect();
        assert_eq!(types, promised, "types of {text}");
    }
    let mut lines = vec![
        header(plan.schema.iter().map(|(n, _)| n.clone())),
        header(plan.schema.iter().map(|(_, t)| t.to_string())),
    ];
    lines.extend(sink.rows);
    if !sink.totals.is_empty() {
        lines.push(String::new());
        lines.extend(sink.totals);
    }
    Ok(lines.join("\n"))
}

/// The tables of `*.rows`: names, types, then rows, tab-separated.
fn tables() -> Tables {
    let mut catalog = Tables { tables: BTreeMap::new() };
    for entry in std::fs::read_dir(testdata()).expect("testdata").flatten() {
        let file = entry.file_name().into_string().expect("a plain name");
        let Some(name) = file.strip_suffix(".rows") else { continue };
        let text = std::fs::read_to_string(entry.path()).expect("rows");
        catalog.tables.insert(name.to_string(), Arc::new(table(name, &text)));
    }
    catalog
}

fn table(name: &str, text: &str) -> BlockSource {
    let mut lines = text.lines();
    let fields = |line: &str| -> Vec<Vec<u8>> { line.split('\t').map(unescaped).collect() };
    let words = |line: Option<&str>| -> Vec<String> {
        let fields = fields(line.expect("a header"));
        fields.into_iter().map(|f| String::from_utf8(f).expect("UTF-8")).collect()
    };
    let names = words(lines.next());
    let types: Vec<DataType> = words(lines.next())
        .iter()
        .map(|t| parse_data_type(t).unwrap_or_else(|e| panic!("{t}: {e}")))
        .collect();
    let rows: Vec<&str> = lines.collect();
    let mut block = Block::of_rows(rows.len());
    for (i, (name, data_type)) in names.iter().zip(&types).enumerate() {
        let values: Vec<Value> = rows
            .iter()
            .map(|row| {
                let field = row.split('\t').nth(i).expect("a field");
                if field == "\\N" {
                    return Value::Null;
                }
                let bytes = unescaped(field);
                crate::text::parse_value(data_type, &bytes, TimeZone::UTC)
                    .unwrap_or_else(|e| panic!("{field} as {data_type}: {e:?}"))
            })
            .collect();
        let column = Column::from_values(data_type.clone(), &values).expect("values of the type");
        block.push(name.clone(), column);
    }
    let columns = names.iter().zip(types).map(|(n, t)| SourceColumn::plain(n, t)).collect();
    BlockSource::new(format!("default.{name}"), columns, vec![block])
}

fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/bind/testdata")
}

/// `(query, answer)` pairs of a golden file.
fn golden(text: &str) -> Vec<(String, String)> {
    let mut cases = vec![];
    for case in text.trim_start_matches(">> ").split("\n>> ") {
        let (query, answer) = case.split_once('\n').unwrap_or((case, ""));
        cases.push((query.to_string(), answer.trim_end_matches('\n').to_string()));
    }
    cases
}

/// Rows in a comparable order: the header stays, the rest is sorted unless the query orders them.
fn comparable(query: &str, answer: &str) -> String {
    // Named tuples are spread over lines by the reference; their names are the same.
    let answer = answer.replace("(\\n    ", "(").replace(",\\n    ", ", ").replace("\\n)", ")");
    if query.to_uppercase().contains("ORDER BY") || answer.starts_with("ERR") {
        return answer;
    }
    let lines: Vec<&str> = answer.split('\n').collect();
    let (head, body) = lines.split_at(lines.len().min(2));
    let mut body = body.to_vec();
    body.sort_unstable();
    head.iter().chain(&body).copied().collect::<Vec<_>>().join("\n")
}

fn unquoted(text: &str) -> String {
    text.replace("\\'", "'")
}

fn failures(name: &str, catalog: &Tables, loud: bool) -> (usize, Vec<String>) {
    let text = std::fs::read_to_string(testdata().join(name)).expect("a golden file");
    let cases = golden(&text);
    let mut failed = vec![];
    for (query, want) in &cases {
        if loud {
            eprintln!("{query}");
        }
        let got = match answer(query, catalog) {
            Ok(answer) => answer,
            Err(e) => format!("ERR {} {e}", e.code()),
        };
        let code = |t: &str| t.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let same = if want.starts_with("ERR") || got.starts_with("ERR") {
            want.starts_with("ERR") && got.starts_with("ERR") && code(want) == code(&got)
        } else {
            unquoted(&comparable(query, want)) == unquoted(&comparable(query, &got))
        };
        if loud && want.starts_with("ERR") && *want != got {
            eprintln!("message of {query}\n  want {want}\n  got  {got}");
        }
        if !same {
            failed.push(format!(">> {query}\n-- want\n{want}\n-- got\n{got}\n"));
        }
    }
    (cases.len(), failed)
}

#[test]
fn golden_answers() {
    let only = std::env::var("PUMPHOUSE_GOLDEN").ok();
    let catalog = tables();
    let mut names: Vec<String> = std::fs::read_dir(testdata())
        .expect("testdata")
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| n.ends_with(".golden"))
        .filter(|n| only.as_ref().is_none_or(|o| n.starts_with(o.as_str())))
        .collect();
    names.sort();
    let (mut count, mut failed) = (0, vec![]);
    for name in names {
        let (cases, differing) = failures(&name, &catalog, only.is_some());
        count += cases;
        failed.extend(differing);
    }
    eprintln!("{count} queries, {} differ", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Deep queries are answered or refused; they never overflow a 2 MiB stack.
#[test]
fn depth_is_bounded() {
    let catalog = tables();
    let sums = format!("SELECT {} FROM t", vec!["a"; 400].join(" + "));
    let nested = |n: usize| format!("SELECT {}a{} FROM t", "abs(".repeat(n), ")".repeat(n));
    let subqueries =
        |n: usize| format!("{}SELECT a FROM t{}", "SELECT a FROM (".repeat(n), ")".repeat(n));
    let scalars = |n: usize| format!("SELECT {}1{}", "(SELECT ".repeat(n), ")".repeat(n));
    let lambdas =
        |n: usize| format!("SELECT {}[1]{}", "arrayMap(x -> x, ".repeat(n), ")".repeat(n));
    let aliases: Vec<String> = (1..300).map(|i| format!("a{} + 1 AS a{i}", i - 1)).collect();
    let aliases = format!("SELECT 0 AS a0, {} FROM t", aliases.join(", "));
    let ctes: Vec<String> =
        (1..40).map(|i| format!("c{i} AS (SELECT * FROM c{p}, c{p} AS q)", p = i - 1)).collect();
    let ctes = format!("WITH c0 AS (SELECT 1 AS x), {} SELECT count() FROM c39", ctes.join(", "));
    let ors = vec!["a = 1"; 2000].join(" OR ");
    let ors = format!("SELECT a FROM t WHERE {ors}");
    let mut texts = vec![sums, aliases, ctes, ors];
    for n in [10, 100, 250, 1000] {
        texts.extend([nested(n), subqueries(n), scalars(n), lambdas(n)]);
    }
    for text in texts {
        eprintln!("{}", &text[..text.len().min(60)]);
        let done = std::thread::scope(|threads| {
            std::thread::Builder::new()
                .stack_size(2 << 20)
                .spawn_scoped(threads, || answer(&text, &catalog).map_err(|e| e.code()))
                .expect("a thread")
                .join()
                .expect("no panic")
        });
        if let Err(code) = done {
            let refused = [306, 167, 168, 62].contains(&code);
            assert!(refused, "{code} for {}", &text[..text.len().min(80)]);
        }
    }
}
