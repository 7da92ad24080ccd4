//! Queries of other dialects and what they become.

use super::to_clickhouse;

fn lowered(text: &str, dialect: &str) -> String {
    let own = to_clickhouse(text, dialect).unwrap_or_else(|e| panic!("{text}: {e}"));
    crate::sql::parse_statement(&own).unwrap_or_else(|e| panic!("{own}: {e}"));
    own.into_owned()
}

#[test]
fn postgresql() {
    for (text, wanted) in [
        ("SELECT a::int FROM public.t", "SELECT CAST(a, 'Nullable(Int32)') AS `a::INT` FROM t"),
        ("SELECT a / b FROM t", "SELECT __integerOrRealDivision(a, b) AS `a / b` FROM t"),
        ("SELECT a ~* 'x\\d' AS m FROM t", "SELECT match(a, concat('(?i)', 'x\\\\d')) AS m FROM t"),
        (
            "SELECT a FROM t ORDER BY a DESC, b",
            "SELECT a FROM t ORDER BY a DESC NULLS FIRST, b NULLS LAST",
        ),
        (
            "SELECT string_agg(a, ', ' ORDER BY b DESC) AS s FROM t",
            "SELECT arrayStringConcat(arrayMap(p -> toString(p), arrayMap(p -> tupleElement(p, 2), \
             arrayReverseSort(p -> tupleElement(p, 1), groupArray(tuple(b, a))))), ', ') AS s FROM t",
        ),
        (
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) AS m FROM t FORMAT JSON",
            "SELECT quantileExactInclusiveOrNull(0.5)(a) AS m FROM t FORMAT JSON",
        ),
        ("SELECT EXTRACT(dow FROM d) AS x FROM t", "SELECT modulo(toDayOfWeek(d), 7) AS x FROM t"),
        ("SELECT 'it''s \\ here' AS x", "SELECT 'it\\'s \\\\ here' AS x"),
        ("SELECT a FROM t WHERE b = ANY(ARRAY[1, 2])", "SELECT a FROM t WHERE has([1, 2], b)"),
        (
            "SELECT to_char(d, 'YYYY-MM-DD HH24:MI') AS c FROM t",
            "SELECT formatDateTime(d, '%Y-%m-%d %H:%i') AS c FROM t",
        ),
    ] {
        assert_eq!(lowered(text, "postgresql"), wanted);
    }
}

#[test]
fn mysql() {
    for (text, wanted) in [
        ("SELECT `a` FROM `t` WHERE b = \"x\"", "SELECT `a` FROM `t` WHERE b = 'x'"),
        ("SELECT a DIV b AS q FROM t", "SELECT intDiv(a, b) AS q FROM t"),
        (
            "SELECT GROUP_CONCAT(a SEPARATOR ';') AS s FROM t",
            "SELECT arrayStringConcat(arrayMap(p -> toString(p), groupArray(a)), ';') AS s FROM t",
        ),
        ("SELECT CAST(a AS SIGNED) AS s FROM t", "SELECT CAST(a, 'Nullable(Int64)') AS s FROM t"),
        ("SELECT 'a\\'b' AS x", "SELECT 'a\\'b' AS x"),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a NULLS FIRST"),
    ] {
        assert_eq!(lowered(text, "mysql"), wanted);
    }
}

#[test]
fn what_has_no_counterpart_is_refused() {
    for (text, dialect, code) in [
        ("SELECT a SIMILAR TO 'x' FROM t", "postgresql", 48),
        ("SELECT a LIKE 'x' ESCAPE '#' FROM t", "postgresql", 48),
        ("SELECT a::regclass FROM t", "postgresql", 48),
        ("SELECT to_char(d, 'Q') FROM t", "postgresql", 48),
        ("SELECT FROM WHERE", "postgresql", 62),
        ("SELECT 1; SELECT 2", "postgresql", 62),
        ("SELECT 1", "klingon", 36),
    ] {
        let found = to_clickhouse(text, dialect).map(|t| t.into_owned());
        assert_eq!(found.map_err(|e| e.code()), Err(code), "{text}");
    }
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(to_clickhouse(&deep, "postgresql").map_err(|e| e.code()), Err(62));
}

#[test]
fn statements_that_are_no_queries_stay() {
    for text in ["SET dialect = 'clickhouse'", "SHOW TABLES", "INSERT INTO t VALUES ('a')"] {
        assert_eq!(to_clickhouse(text, "mysql").unwrap(), text);
    }
    assert_eq!(to_clickhouse("SELECT 1 ~ 2", "clickhouse").unwrap(), "SELECT 1 ~ 2");
}
