//! Expressions against the reference engine: `testdata/*.tsv` has an expression a line with the type
//! and text (or the error code) that the engine answers; `generate.py` makes them.
//!
//! Where we differ on purpose or know that we do, `testdata/differences.txt` says so, with the reason;
//! any other difference fails. The same expressions then run with columns in place of literals, which
//! must not change what they yield.

use std::collections::BTreeMap;
use std::sync::Arc;

use pumphouse_storage::{Block, Column};

use crate::context::QueryContext;
use crate::error::{Error, Result, codes};
use crate::sql::ast::{Call, Expr, ExprKind};
use crate::text::write_text;

const CASES: &[(&str, &str)] = &[
    ("arithmetic", include_str!("testdata/arithmetic.tsv")),
    ("casts", include_str!("testdata/casts.tsv")),
    ("dates", include_str!("testdata/dates.tsv")),
    ("numbers", include_str!("testdata/numbers.tsv")),
    ("array", include_str!("testdata/array.tsv")),
    ("comparison", include_str!("testdata/comparison.tsv")),
    ("conversion", include_str!("testdata/conversion.tsv")),
    ("date_time", include_str!("testdata/date_time.tsv")),
    ("further", include_str!("testdata/further.tsv")),
    ("hash", include_str!("testdata/hash.tsv")),
    ("json", include_str!("testdata/json.tsv")),
    ("math", include_str!("testdata/math.tsv")),
    ("string", include_str!("testdata/string.tsv")),
    ("url", include_str!("testdata/url.tsv")),
];

fn context() -> Arc<QueryContext> {
    Arc::new(QueryContext::new("oracle", 1_700_000_000_123_456, 0))
}

fn evaluate(expr: &Expr, rows: usize) -> Result<Column> {
    let context = context();
    let bound = crate::bind::bind_expression(expr, &[], &context)?;
    crate::execute::evaluate(&bound, &Block::of_rows(rows), &context)
}

fn text_of(column: &Column, row: usize) -> String {
    if column.is_null(row) {
        return "\\N".into();
    }
    let mut out = vec![];
    write_text(&column.data_type, column.array.as_ref(), row, context().time_zone, &mut out);
    escape(&String::from_utf8_lossy(&out))
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
}

/// (type, text) or (`ERROR`, code).
fn answer(expression: &str) -> (String, String) {
    let column = crate::sql::parse_expression(expression).and_then(|e| evaluate(&e, 1));
    match column {
        Ok(column) => (escape(&column.data_type.to_string()), text_of(&column, 0)),
        Err(e) => ("ERROR".into(), e.code().to_string()),
    }
}

fn differences() -> BTreeMap<&'static str, &'static str> {
    include_str!("testdata/differences.txt")
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .map(|l| l.split_once('\t').unwrap_or((l, "")))
        .collect()
}

#[test]
fn expressions_yield_what_the_reference_yields() {
    let known = differences();
    let (mut same, mut total) = (0, 0);
    let mut wrong = vec![];
    for (family, cases) in CASES {
        for line in cases.lines() {
            let mut fields = line.split('\t');
            let expression = fields.next().unwrap_or_default();
            let wanted = (
                fields.next().unwrap_or_default().to_string(),
                fields.next().unwrap_or_default().to_string(),
            );
            total += 1;
            let got = answer(expression);
            match (got == wanted, known.contains_key(expression)) {
                (true, false) => same += 1,
                (true, true) => {
                    wrong.push(format!("{family}: no difference any more: {expression}"))
                }
                (false, true) => {}
                (false, false) => wrong.push(format!(
                    "{family}: {expression}\n  wanted {} | {}\n  got    {} | {}",
                    wanted.0, wanted.1, got.0, got.1
                )),
            }
        }
    }
    println!("{same} of {total} expressions agree, {} differ knowingly", known.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Which literals become columns.
#[derive(Clone, Copy, PartialEq)]
enum Turned {
    All,
    Numbers,
    Texts,
}

fn with_columns(expr: &Expr, turned: Turned, changed: &mut bool) -> Expr {
    let mut out = expr.clone();
    match &mut out.kind {
        ExprKind::Literal { value, .. } if !value.is_null() => {
            let text = value.as_bytes().is_some();
            if turned == Turned::All || (turned == Turned::Texts) == text {
                *changed = true;
                return Expr::new(ExprKind::Call(Box::new(Call {
                    name: "materialize".into(),
                    arguments: vec![expr.clone()],
                    ..Default::default()
                })));
            }
        }
        ExprKind::Call(call) => {
            for argument in &mut call.arguments {
                *argument = with_columns(argument, turned, changed);
            }
        }
        _ => {}
    }
    out
}

/// Functions whose answer is about constants or chance.
const ABOUT_CONSTANTS: &[&str] = &[
    "isConstant",
    "toColumnTypeName",
    "dumpColumnStructure",
    "rand",
    "Variant",
    "rowNumberInBlock",
    "blockSize",
    // Literals lose the type that only literals have, or their short circuit.
    "4294967296",
    "if(1,",
    "toUInt64(1),-1",
    "getSetting",
    // Tuples written out are compared part by part, in ClickHouse too: one pair that differs decides.
    "(1,NULL)=(2,NULL)",
];

#[test]
fn columns_yield_what_literals_yield() {
    const ROWS: usize = 3;
    let (mut compared, mut wrong) = (0, vec![]);
    for (_, cases) in CASES {
        for line in cases.lines() {
            let expression = line.split('\t').next().unwrap_or_default();
            if ABOUT_CONSTANTS.iter().any(|name| expression.contains(name)) {
                continue;
            }
            let Ok(expr) = crate::sql::parse_expression(expression) else { continue };
            let Ok(constant) = evaluate(&expr, 1) else { continue };
            for turned in [Turned::All, Turned::Numbers, Turned::Texts] {
                let mut changed = false;
                let columns = with_columns(&expr, turned, &mut changed);
                // Many functions want some of their arguments constant.
                let Ok(column) = evaluate(&columns, ROWS) else { continue };
                if !changed {
                    continue;
                }
                compared += 1;
                let wanted = text_of(&constant, 0);
                let same =
                    column.len() == ROWS && (0..ROWS).all(|row| text_of(&column, row) == wanted);
                let types = column.data_type.inner() == constant.data_type.inner();
                if !same || !types {
                    wrong.push(format!(
                        "{expression}\n  literals {} {wanted}\n  columns  {} {}",
                        constant.data_type,
                        column.data_type,
                        text_of(&column, 0)
                    ));
                }
            }
        }
    }
    println!("{compared} comparisons");
    assert!(compared > 2000, "only {compared} comparisons");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn names_lead_to_functions() {
    for (name, canonical) in [
        ("substr", "substring"),
        ("SUBSTR", "substring"),
        ("CEILING", "ceil"),
        ("lcase", "lower"),
        ("mapContains", "mapContainsKey"),
        ("toTimeZone", "toTimezone"),
        ("IF", "if"),
        ("Coalesce", "coalesce"),
    ] {
        assert_eq!(super::lookup(name).map(|f| f.name().to_string()).as_deref(), Some(canonical));
    }
    assert!(super::lookup("tostring").is_none());
    let mut names: Vec<_> = super::names().map(|n| n.name).collect();
    names.dedup();
    assert_eq!(names.len(), super::names().count(), "a name stands twice");
    assert!(names.len() > 800);
}

#[test]
fn values_under_null_raise_no_error() -> Result<()> {
    for expression in [
        "intDiv(1, if(number_ = 0, NULL, number_))",
        "toInt32(if(number_ = 0, NULL, toString(number_)))",
        "toDate(if(number_ = 0, NULL, '2024-01-01'))",
    ] {
        let expr = crate::sql::parse_expression(expression)?;
        let context = context();
        let columns = [("number_".to_string(), pumphouse_storage::DataType::UInt8)];
        let bound = crate::bind::bind_expression(&expr, &columns, &context)?;
        let values: Vec<_> = (0..4).map(pumphouse_storage::Value::UInt).collect();
        let column = Column::from_values(pumphouse_storage::DataType::UInt8, &values)?;
        let block = Block::new(vec![("number_".into(), column)]);
        let result = crate::execute::evaluate(&bound, &block, &context)?;
        assert!(result.is_null(0) && !result.is_null(1), "{expression}");
    }
    let zero = answer("intDiv(1, materialize(0))");
    assert_eq!(zero, ("ERROR".into(), codes::ILLEGAL_DIVISION.to_string()));
    Ok::<(), Error>(())
}
