//! SQL through the whole crate, over a catalog in memory, on one and on several threads, compared
//! with what ClickHouse answered (`testdata/*.tsv`: a statement, then its rows, then a blank line).

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, Column, DataType, Value};

use super::{ResultSink, run};
use crate::catalog::{BlockSource, Catalog, SourceColumn, TableSource, numbers};
use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::sql::ast::{QueryBody, Statement};
use crate::{sql, text};

/// Tables in memory and the computed ones.
#[derive(Default)]
pub(crate) struct TestCatalog {
    pub tables: BTreeMap<String, Arc<dyn TableSource>>,
}

impl Catalog for TestCatalog {
    fn table(&self, database: &str, name: &str) -> Result<Arc<dyn TableSource>> {
        if database == "system"
            && let Some(table) = numbers::system_table(name)
        {
            return Ok(table);
        }
        self.tables.get(name).cloned().ok_or_else(|| {
            Error::new(
                codes::UNKNOWN_TABLE,
                format!("Unknown table expression identifier '{name}'"),
            )
        })
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        _ctx: &QueryContext,
    ) -> Result<Arc<dyn TableSource>> {
        crate::catalog::table_function(name, arguments).unwrap_or_else(|| {
            Err(Error::new(codes::UNKNOWN_FUNCTION, format!("Unknown table function {name}")))
        })
    }
}

impl TestCatalog {
    pub fn add(&mut self, name: &str, columns: Vec<(&str, Column)>, block_rows: usize) {
        let schema =
            columns.iter().map(|(n, c)| SourceColumn::plain(*n, c.data_type.clone())).collect();
        let block = Block::new(columns.into_iter().map(|(n, c)| (n.to_string(), c)).collect());
        let mut blocks = vec![];
        let mut from = 0;
        while from < block.rows() {
            let rows = block_rows.min(block.rows() - from);
            blocks.push(block.slice(from, rows));
            from += rows;
        }
        self.tables.insert(name.into(), Arc::new(BlockSource::new(name, schema, blocks)));
    }
}

pub(crate) fn context(threads: usize, memory_bytes_max: u64) -> Arc<QueryContext> {
    let mut ctx = QueryContext::new("test", 1_700_000_000_000_000, memory_bytes_max);
    ctx.settings.set("max_threads", threads.to_string());
    Arc::new(ctx)
}

struct Text {
    out: Vec<u8>,
    totals: Vec<u8>,
}

fn write_block(block: &Block, out: &mut Vec<u8>) {
    for row in 0..block.rows() {
        for (i, column) in block.columns.iter().enumerate() {
            if i > 0 {
                out.push(b'\t');
            }
            if column.is_null(row) {
                out.extend_from_slice(b"\\N");
            } else {
                let array = column.array.as_ref();
                text::write_text(&column.data_type, array, row, TimeZone::UTC, out);
            }
        }
        out.push(b'\n');
    }
}

impl ResultSink for Text {
    fn block(&mut self, block: Block) -> Result<()> {
        write_block(&block, &mut self.out);
        Ok(())
    }
    fn totals(&mut self, block: Block) -> Result<()> {
        write_block(&block, &mut self.totals);
        Ok(())
    }
}

/// The rows of `query` as tab-separated text; totals behind a blank line.
pub(crate) fn answer(
    query: &str,
    catalog: &dyn Catalog,
    ctx: &Arc<QueryContext>,
) -> Result<String> {
    let parsed = sql::parse_statement(query)?;
    let Statement::Query(query) = &parsed.statement else {
        return Err(Error::new(codes::SYNTAX_ERROR, "not a query"));
    };
    let mut settings = parsed.settings.clone();
    if let QueryBody::Select(select) = &query.body {
        settings.extend(select.settings.iter().cloned());
    }
    let mut own = QueryContext::new("test", ctx.now_us, 0);
    own.settings = ctx.settings.clone();
    for setting in &settings {
        own.settings.set(&setting.name, setting.value.to_sql().trim_matches('\''));
    }
    let ctx = if settings.is_empty() { ctx } else { &Arc::new(own) };
    let plan = crate::prepare(query, catalog, ctx)?;
    let mut text = Text { out: vec![], totals: vec![] };
    run(&plan, ctx, &mut text)?;
    if !text.totals.is_empty() {
        text.out.push(b'\n');
        text.out.extend_from_slice(&text.totals);
    }
    Ok(String::from_utf8_lossy(&text.out).into_owned())
}

/// Runs every statement of a golden file on one and on two threads; collects what differs.
fn check_golden(name: &str, golden: &str) {
    let catalog = TestCatalog::default();
    let mut wrong = vec![];
    let mut count = 0;
    for case in golden.split("\n---\n") {
        let Some((statement, expected)) = case.split_once("\n=>\n") else { continue };
        count += 1;
        for threads in [1, 2] {
            let got = answer(statement.trim(), &catalog, &context(threads, 0));
            let got = got.unwrap_or_else(|e| format!("error {}: {e}", e.code()));
            if got.trim_end() != expected.trim_end() {
                wrong.push(format!("{statement}\n  expected {expected}\n  got      {got}"));
                break;
            }
        }
    }
    assert!(count > 0, "{name} has no cases");
    assert!(
        wrong.is_empty(),
        "{} of {count} cases of {name} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn aggregates_answer_as_clickhouse_does() {
    check_golden("aggregates", include_str!("../aggregates/testdata/aggregates.txt"));
}

#[test]
fn operators_answer_as_clickhouse_does() {
    check_golden("operators", include_str!("testdata/operators.txt"));
}

#[test]
fn group_by_over_the_memory_limit_fails_and_releases() {
    let ctx = context(2, 20 << 20);
    let catalog = TestCatalog::default();
    let query = "SELECT number, count() FROM numbers(3000000) GROUP BY number FORMAT Null";
    let error = answer(&query.replace(" FORMAT Null", ""), &catalog, &ctx).unwrap_err();
    assert_eq!(error.code(), codes::MEMORY_LIMIT_EXCEEDED);
    assert_eq!(ctx.memory.used_bytes(), 0);
}

#[test]
fn a_cancelled_query_stops() {
    let ctx = context(2, 0);
    ctx.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = answer("SELECT sum(number) FROM system.numbers", &TestCatalog::default(), &ctx);
    assert_eq!(error.unwrap_err().code(), codes::QUERY_WAS_CANCELLED);
}

#[test]
fn limit_stops_an_endless_source() {
    let ctx = context(2, 0);
    let got = answer("SELECT number FROM system.numbers LIMIT 3", &TestCatalog::default(), &ctx);
    assert_eq!(got.unwrap(), "0\n1\n2\n");
}

#[test]
fn a_table_in_blocks_is_read_in_order() {
    let mut catalog = TestCatalog::default();
    let values: Vec<Value> = (0..10).map(Value::UInt).collect();
    let column = Column::from_values(DataType::UInt32, &values).unwrap();
    catalog.add("t", vec![("x", column)], 3);
    let got = answer("SELECT x FROM t WHERE x % 4 = 1", &catalog, &context(2, 0));
    assert_eq!(got.unwrap(), "1\n5\n9\n");
}
