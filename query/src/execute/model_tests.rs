//! Operators against naive models: random rows in blocks of random sizes, on one and two threads, with
//! the same SQL computed by plain loops over the values.

use std::collections::{BTreeMap, BTreeSet};

use pumphouse_storage::{Column, DataType, Value};

use super::sql_tests::{TestCatalog, answer, context};

/// A small xorshift, so that failures can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[derive(Clone, Debug)]
struct Row {
    k: u64,
    s: String,
    n: Option<i64>,
    v: u64,
}

fn rows(random: &mut Random, count: usize, keys: u64) -> Vec<Row> {
    (0..count)
        .map(|_| Row {
            k: random.below(keys),
            s: format!("s{}", random.below(keys / 2 + 1)),
            n: (random.below(4) > 0).then(|| random.below(50) as i64 - 25),
            v: random.below(1000),
        })
        .collect()
}

fn catalog(table: &str, rows: &[Row], block_rows: usize, into: &mut TestCatalog) {
    let column = |t: DataType, values: Vec<Value>| Column::from_values(t, &values).unwrap();
    let k = column(DataType::UInt64, rows.iter().map(|r| Value::UInt(r.k)).collect());
    let s = column(DataType::String, rows.iter().map(|r| Value::string(r.s.as_bytes())).collect());
    let n = column(
        DataType::nullable(DataType::Int64),
        rows.iter().map(|r| r.n.map_or(Value::Null, Value::Int)).collect(),
    );
    let v = column(DataType::UInt32, rows.iter().map(|r| Value::UInt(r.v)).collect());
    into.add(table, vec![("k", k), ("s", s), ("n", n), ("v", v)], block_rows);
}

fn show(n: Option<i64>) -> String {
    n.map_or("\\N".into(), |v| v.to_string())
}

/// The lines of `sql`'s answer, sorted.
fn lines(sql: &str, catalog: &TestCatalog, threads: usize) -> Vec<String> {
    let text = answer(sql, catalog, &context(threads, 0)).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    lines.sort();
    lines
}

fn check(sql: &str, catalog: &TestCatalog, mut expected: Vec<String>) {
    expected.sort();
    for threads in [1, 2] {
        let got = lines(sql, catalog, threads);
        assert!(
            got == expected,
            "{sql} on {threads} threads: {} lines, expected {}",
            got.len(),
            expected.len()
        );
    }
}

#[test]
fn grouping_agrees_with_a_map() {
    let mut random = Random(7);
    for (count, keys, block) in [(1000, 20, 77), (50_000, 300, 4096), (400_000, 300_000, 30_000)] {
        let rows = rows(&mut random, count, keys);
        let mut tables = TestCatalog::default();
        catalog("t", &rows, block, &mut tables);
        let mut by_k: BTreeMap<u64, (u64, u64, u64, BTreeSet<u64>)> = BTreeMap::new();
        let mut by_all: BTreeMap<(String, Option<i64>, u64), u64> = BTreeMap::new();
        for row in &rows {
            let group = by_k.entry(row.k).or_insert((0, 0, u64::MAX, BTreeSet::new()));
            group.0 += 1;
            group.1 += row.v;
            group.2 = group.2.min(row.v);
            group.3.insert(row.v % 7);
            *by_all.entry((row.s.clone(), row.n, row.k)).or_default() += 1;
        }
        let expected = by_k
            .iter()
            .map(|(k, g)| format!("{k}\t{}\t{}\t{}\t{}", g.0, g.1, g.2, g.3.len()))
            .collect();
        let sql = "SELECT k, count(), sum(v), min(v), uniqExact(v % 7) FROM t GROUP BY k";
        check(sql, &tables, expected);
        let expected =
            by_all.iter().map(|((s, n, k), c)| format!("{s}\t{}\t{k}\t{c}", show(*n))).collect();
        check("SELECT s, n, k, count() FROM t GROUP BY s, n, k", &tables, expected);
        let distinct: BTreeSet<&str> = rows.iter().map(|r| r.s.as_str()).collect();
        check("SELECT count(DISTINCT s) FROM t", &tables, vec![distinct.len().to_string()]);
    }
}

#[test]
fn grouping_many_keys_agrees_with_a_map() {
    let mut random = Random(23);
    let rows = rows(&mut random, 300_000, 150_000);
    let mut tables = TestCatalog::default();
    catalog("t", &rows, 20_000, &mut tables);
    let mut by_s: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| by_s.entry(&row.s).or_default().push(row));
    let signed = |r: &&Row| r.v as i64 - 500;
    let groups: Vec<(&str, usize, i64, i64, usize)> = by_s
        .iter()
        .map(|(s, rows)| {
            let sum = rows.iter().map(signed).sum::<i64>();
            let most = rows.iter().map(signed).max().unwrap();
            let users: BTreeSet<u64> = rows.iter().map(|r| r.k).collect();
            (*s, rows.len(), sum, most, users.len())
        })
        .collect();
    let line = |g: &(&str, usize, i64, i64, usize)| format!("{}\t{}\t{}\t{}", g.0, g.1, g.2, g.3);
    let signed = "toInt32(v) - 500";
    let sql =
        format!("SELECT s, count() AS c, sum({signed}) AS t, max({signed}) FROM t GROUP BY s");
    check(&sql, &tables, groups.iter().map(line).collect());
    let users = groups.iter().map(|g| format!("{}\t{}", g.0, g.4)).collect();
    check("SELECT s, count(DISTINCT k) FROM t GROUP BY s", &tables, users);
    // Only the best groups are looked at closely; ties are decided by the other key.
    let mut sorted = groups.clone();
    sorted.sort_by_key(|g| (std::cmp::Reverse(g.1), g.0));
    let top = |sorted: &[(&str, usize, i64, i64, usize)]| sorted[..40].iter().map(line).collect();
    check(&format!("{sql} ORDER BY c DESC, s LIMIT 40"), &tables, top(&sorted));
    sorted.sort_by_key(|g| (g.2, g.0));
    check(&format!("{sql} ORDER BY t, s LIMIT 40"), &tables, top(&sorted));
    let mut means: Vec<(f64, &str)> =
        groups.iter().map(|g| (g.2 as f64 / g.1 as f64, g.0)).collect();
    means.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let best = means[..30].iter().map(|m| m.1.to_string()).collect();
    let sql = format!("SELECT s FROM t GROUP BY s ORDER BY avg({signed}) DESC, s LIMIT 30");
    check(&sql, &tables, best);
    let pairs: BTreeSet<(Option<i64>, u64)> = rows.iter().map(|r| (r.n, r.k)).collect();
    let pairs = pairs.iter().filter(|p| p.0.is_some()).count();
    check("SELECT count(DISTINCT n, k) FROM t", &tables, vec![pairs.to_string()]);
}

#[test]
fn sorting_agrees_with_a_sort() {
    let mut random = Random(11);
    for (count, block) in [(500, 64), (250_000, 10_000)] {
        let rows = rows(&mut random, count, 1000);
        let mut tables = TestCatalog::default();
        catalog("t", &rows, block, &mut tables);
        let mut sorted = rows.clone();
        // NULLs last in either direction.
        sorted.sort_by(|a, b| {
            let n = |r: &Row| (r.n.is_none(), std::cmp::Reverse(r.n));
            n(a).cmp(&n(b)).then(a.s.cmp(&b.s)).then(a.k.cmp(&b.k)).then(a.v.cmp(&b.v))
        });
        let line = |r: &Row| format!("{}\t{}\t{}\t{}", show(r.n), r.s, r.k, r.v);
        let expected: Vec<String> = sorted.iter().map(line).collect();
        for threads in [1, 2] {
            let ctx = context(threads, 0);
            let sql = "SELECT n, s, k, v FROM t ORDER BY n DESC, s, k, v";
            let got = answer(sql, &tables, &ctx).unwrap();
            assert!(got.lines().eq(expected.iter().map(String::as_str)), "{threads} threads");
            let top = answer(&format!("{sql} LIMIT 10 OFFSET 5"), &tables, &ctx).unwrap();
            let expected = expected[5..15].iter().map(String::as_str);
            assert!(top.lines().eq(expected), "top of {threads} threads");
        }
    }
}

#[test]
fn joins_agree_with_nested_loops() {
    let mut random = Random(13);
    for (left, right, keys) in [(300, 200, 40), (2000, 1500, 3000)] {
        let (l, r) = (rows(&mut random, left, keys), rows(&mut random, right, keys));
        let mut tables = TestCatalog::default();
        catalog("l", &l, 130, &mut tables);
        catalog("r", &r, 90, &mut tables);
        let pair = |a: Option<&Row>, b: Option<&Row>| {
            let part = |row: Option<&Row>| match row {
                Some(row) => format!("{}\t{}\t{}", row.k, show(row.n), row.v),
                None => "0\t\\N\t0".to_string(),
            };
            format!("{}\t{}", part(a), part(b))
        };
        let select = "SELECT l.k, l.n, l.v, r.k, r.n, r.v FROM l";
        let (mut inner, mut left_only, mut right_only, mut residual) =
            (vec![], vec![], vec![], vec![]);
        let mut on_null = vec![];
        for a in &l {
            let matches: Vec<&Row> = r.iter().filter(|b| a.k == b.k).collect();
            inner.extend(matches.iter().map(|b| pair(Some(a), Some(b))));
            if matches.is_empty() {
                left_only.push(pair(Some(a), None));
            }
            let kept: Vec<&&Row> = matches.iter().filter(|b| a.v < b.v).collect();
            residual.extend(kept.iter().map(|b| pair(Some(a), Some(b))));
            if kept.is_empty() {
                residual.push(pair(Some(a), None));
            }
            let same = r.iter().filter(|b| a.n.is_some() && a.n == b.n && a.k == b.k);
            on_null.extend(same.map(|b| pair(Some(a), Some(b))));
        }
        for b in &r {
            if !l.iter().any(|a| a.k == b.k) {
                right_only.push(pair(None, Some(b)));
            }
        }
        let joined =
            |parts: &[&Vec<String>]| parts.iter().flat_map(|p| p.iter().cloned()).collect();
        check(&format!("{select} INNER JOIN r ON l.k = r.k"), &tables, inner.clone());
        let all = joined(&[&inner, &left_only]);
        check(&format!("{select} LEFT JOIN r ON l.k = r.k"), &tables, all);
        let all = joined(&[&inner, &right_only]);
        check(&format!("{select} RIGHT JOIN r ON l.k = r.k"), &tables, all);
        let all = joined(&[&inner, &left_only, &right_only]);
        check(&format!("{select} FULL JOIN r ON l.k = r.k"), &tables, all);
        check(&format!("{select} LEFT JOIN r ON l.k = r.k AND l.v < r.v"), &tables, residual);
        check(&format!("{select} INNER JOIN r ON l.n = r.n AND l.k = r.k"), &tables, on_null);
    }
}

#[test]
fn windows_agree_with_loops() {
    let mut random = Random(17);
    let mut rows = rows(&mut random, 3000, 30);
    for (i, row) in rows.iter_mut().enumerate() {
        row.v = i as u64;
    }
    let mut tables = TestCatalog::default();
    catalog("t", &rows, 500, &mut tables);
    let mut expected = vec![];
    for row in &rows {
        let partition: Vec<&Row> = rows.iter().filter(|r| r.k == row.k).collect();
        let at = partition.iter().position(|r| r.v == row.v).unwrap();
        let running: u64 = partition[..=at].iter().map(|r| r.v).sum();
        let frame = &partition[at.saturating_sub(2)..(at + 2).min(partition.len())];
        let most = frame.iter().map(|r| r.v % 100).max().unwrap();
        let before = at.checked_sub(1).map_or(0, |b| partition[b].v);
        expected.push(format!(
            "{}\t{}\t{running}\t{most}\t{before}\t{}",
            row.v,
            at + 1,
            partition.len()
        ));
    }
    let sql = "SELECT v, row_number() OVER (PARTITION BY k ORDER BY v), \
        sum(v) OVER (PARTITION BY k ORDER BY v), \
        max(v % 100) OVER (PARTITION BY k ORDER BY v ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING), \
        lag(v) OVER (PARTITION BY k ORDER BY v), count() OVER (PARTITION BY k) FROM t";
    check(sql, &tables, expected);
}

#[test]
fn distinct_and_limit_by_keep_first_rows() {
    let mut random = Random(19);
    let rows = rows(&mut random, 20_000, 500);
    let mut tables = TestCatalog::default();
    catalog("t", &rows, 700, &mut tables);
    let distinct: BTreeSet<String> =
        rows.iter().map(|r| format!("{}\t{}", r.s, show(r.n))).collect();
    check("SELECT DISTINCT s, n FROM t", &tables, distinct.into_iter().collect());
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    let mut expected = vec![];
    for row in &rows {
        let count = seen.entry(row.k).or_default();
        *count += 1;
        if (2..=3).contains(count) {
            expected.push(format!("{}\t{}", row.k, row.v));
        }
    }
    check("SELECT k, v FROM t LIMIT 2 OFFSET 1 BY k", &tables, expected);
}
