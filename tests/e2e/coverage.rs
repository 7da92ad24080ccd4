//! `docs/coverage.md` is made from the registries: which of ClickHouse's functions, types, formats and
//! settings are there. The test fails when it is out of date; `PUMPHOUSE_WRITE_COVERAGE=1` writes it.
//! `tests/coverage/functions.tsv` lists the functions that ClickHouse has, with how often real queries
//! use them (tier 1 most).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use pumphouse_query::coverage::is_function;
use pumphouse_storage::types::parse_data_type;

/// Functions left out for a reason, whatever their tier.
const LEFT_OUT: &[(&str, &str)] = &[
    ("flameGraph", "symbols of ClickHouse's own binary"),
    ("estimateCompressionRatio", "the codecs' bytes are our own"),
];

fn known() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    include_str!("../coverage/functions.tsv").lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some((fields.next()?, fields.next()?, fields.next()?))
    })
}

fn functions(out: &mut String) {
    let mut counts: BTreeMap<(&str, &str), (usize, Vec<&str>)> = BTreeMap::new();
    for (tier, kind, name) in known() {
        let (there, missing) = counts.entry((tier, kind)).or_default();
        if is_function(name) {
            *there += 1;
        } else {
            missing.push(name);
        }
    }
    out.push_str("## Functions\n\n| tier | kind | there | of |\n|---|---|---|---|\n");
    for ((tier, kind), (there, missing)) in &counts {
        let _ = writeln!(out, "| {tier} | {kind} | {there} | {} |", there + missing.len());
    }
    for ((tier, kind), (_, missing)) in &counts {
        if !missing.is_empty() {
            let _ = writeln!(out, "\nMissing, tier {tier}, {kind}:\n{}", missing.join(" "));
        }
    }
    out.push_str("\nLeft out on purpose:\n");
    for (name, why) in LEFT_OUT {
        let _ = writeln!(out, "- {name}: {why}");
    }
}

fn types(out: &mut String) {
    let families = include_str!("../../server/src/system_tables/data_types.tsv");
    let (mut there, mut missing) = (vec![], vec![]);
    for line in families.lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(""), true) = (fields.next(), fields.nth(1), !line.is_empty()) else {
            continue;
        };
        let argument = match name {
            "Array" | "Nullable" | "LowCardinality" | "Tuple" | "Variant" => "(String)",
            "Map" => "(String, String)",
            "FixedString" => "(1)",
            "Enum" | "Enum8" | "Enum16" => "('a' = 1)",
            "AggregateFunction" | "SimpleAggregateFunction" => "(sum, UInt64)",
            "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => "(2)",
            _ => "",
        };
        match parse_data_type(&format!("{name}{argument}")) {
            Ok(_) => there.push(name),
            Err(_) => missing.push(name),
        }
    }
    let _ = writeln!(out, "\n## Types\n\n{} there: {}", there.len(), there.join(" "));
    let _ = writeln!(out, "\n{} missing: {}", missing.len(), missing.join(" "));
}

fn counts(out: &mut String) {
    let settings = include_str!("../../query/src/settings/known.tsv").lines().count();
    let formats: Vec<_> = pumphouse_ingest::format::names().collect();
    let readers = formats.iter().filter(|f| f.reader.is_some()).count();
    let writers = formats.iter().filter(|f| f.writer.is_some()).count();
    let _ = writeln!(
        out,
        "\n## Counts\n\n- settings accepted by name: {settings}\n- formats: {} ({readers} read, {writers} written)\n- table engines: {}",
        formats.len(),
        pumphouse_server::statement::ENGINES.len()
    );
}

#[test]
fn the_coverage_list_is_current() {
    let mut text = String::from(
        "# What of ClickHouse's SQL is there\n\nMade from the registries by `tests/e2e/coverage.rs`; do not edit. Tiers say how often real queries use a\nfunction: 1 covers about 80 % of them, 1 and 2 about 95 %.\n\n",
    );
    functions(&mut text);
    types(&mut text);
    counts(&mut text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/coverage.md");
    if std::env::var("PUMPHOUSE_WRITE_COVERAGE").is_ok() {
        std::fs::write(&path, &text).expect("docs/coverage.md");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "docs/coverage.md is out of date: run this test with PUMPHOUSE_WRITE_COVERAGE=1"
    );
}

#[test]
fn often_used_functions_are_there() {
    let missing: Vec<&str> = known()
        .filter(|(tier, _, name)| {
            *tier < "3" && !is_function(name) && LEFT_OUT.iter().all(|(n, _)| n != name)
        })
        .map(|(_, _, name)| name)
        .collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
}
