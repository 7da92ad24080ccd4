//! kill -9 at random moments during mutations, OPTIMIZE, ALTER and partition operations, with inserts
//! going on: what was acknowledged is there, and the statement that was cut off happened whole or not
//! at all.
//!
//! One table, with a projection, is changed by one thread only, whose model says what it must hold. Another
//! one is changed while others insert into it. `PUMPHOUSE_KILLS` sets how many kills (default 15), `PUMPHOUSE_SEED`
//! the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::http;
use crate::harness::server::Server;
use crate::harness::{Random, TestFolder, free_port, from_environment};

/// Rows of one insert into the busy table.
const BATCH_ROWS: u64 = 10;

/// Rows by id: partition and value.
type Rows = BTreeMap<u64, (u64, u64)>;

/// What the quiet tables hold.
#[derive(Clone, PartialEq, Debug)]
struct Model {
    main: Rows,
    side: Rows,
    /// Detached from `main`.
    detached: Rows,
    /// What the value's column is called in both.
    column: String,
    next_id: u64,
}

impl Model {
    fn partition(&self, p: u64) -> Rows {
        self.main.iter().filter(|(_, row)| row.0 == p).map(|(id, row)| (*id, *row)).collect()
    }

    /// A random statement, and what is there after it.
    fn step(&self, random: &mut Random) -> (String, Model) {
        let mut after = self.clone();
        let (p, n, column) = (random.below(4), 2 + random.below(4), &self.column);
        let sql = match random.below(14) {
            0..=3 => {
                let ids = self.next_id..self.next_id + 1 + random.below(30);
                after.next_id = ids.end;
                let values: Vec<String> =
                    ids.clone().map(|id| format!("({}, {id}, 1)", id % 4)).collect();
                after.main.extend(ids.map(|id| (id, (id % 4, 1))));
                format!("INSERT INTO main (p, id, {column}) VALUES {}", values.join(", "))
            }
            4 | 5 => {
                let hit = after.main.iter_mut().filter(|(id, _)| **id % n == 0);
                hit.for_each(|(_, row)| row.1 += 1);
                format!("ALTER TABLE main UPDATE {column} = {column} + 1 WHERE id % {n} = 0")
            }
            6 => {
                after.main.retain(|id, _| id % 17 != n);
                format!("ALTER TABLE main DELETE WHERE id % 17 = {n}")
            }
            7 => {
                after.main.retain(|id, _| id % 19 != n);
                format!("DELETE FROM main WHERE id % 19 = {n}")
            }
            8 => {
                after.detached.extend(self.partition(p));
                after.main.retain(|_, row| row.0 != p);
                format!("ALTER TABLE main DETACH PARTITION {p}")
            }
            9 => {
                let back: Rows =
                    self.detached.iter().filter(|(_, r)| r.0 == p).map(|(i, r)| (*i, *r)).collect();
                after.detached.retain(|_, row| row.0 != p);
                after.main.extend(back);
                format!("ALTER TABLE main ATTACH PARTITION {p}")
            }
            // What was copied there before would be there twice.
            10 if self.side.values().any(|row| row.0 == p) => {
                after.side.retain(|_, row| row.0 != p);
                format!("ALTER TABLE side DROP PARTITION {p}")
            }
            10 => {
                after.side.extend(self.partition(p));
                after.main.retain(|_, row| row.0 != p);
                format!("ALTER TABLE main MOVE PARTITION {p} TO TABLE side")
            }
            11 => {
                after.side.retain(|_, row| row.0 != p);
                after.side.extend(self.partition(p));
                format!(
                    "ALTER TABLE side REPLACE PARTITION {p} FROM main SETTINGS allow_replace_partition_from_empty_source = 1"
                )
            }
            12 if self.detached.is_empty() => {
                after.column = format!("v{}", self.next_id + random.below(1000));
                return match after.column == *column {
                    true => ("SELECT 1".into(), self.clone()),
                    false => {
                        // Both tables, so that partitions go on fitting: one after the other.
                        (format!("RENAME {column} {}", after.column), after)
                    }
                };
            }
            _ => "OPTIMIZE TABLE main FINAL".into(),
        };
        (sql, after)
    }
}

fn ask(port: u16, sql: &str) -> Option<(u16, String)> {
    let path = "/?mutations_sync=1";
    let answer = http::request(port, "POST", path, &[], sql.as_bytes()).ok()?;
    answer.complete.then(|| (answer.status, answer.text()))
}

/// Changes the quiet tables until the server is gone: the states it may be in then.
fn quiet(port: u16, mut model: Model, random: &mut Random, done: &AtomicU64) -> Vec<Model> {
    loop {
        let (sql, after) = model.step(random);
        let statements = match sql.strip_prefix("RENAME ") {
            Some(names) => {
                let names = names.replace(' ', " TO ");
                ["main", "side"].map(|t| format!("ALTER TABLE {t} RENAME COLUMN {names}")).to_vec()
            }
            None => vec![sql],
        };
        for sql in &statements {
            match ask(port, sql) {
                Some((200, _)) => {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Some((_, text)) => panic!("{sql}: {text}"),
                None => return vec![model, after],
            }
        }
        model = after;
    }
}

fn rows_of(server: &Server, table: &str, column: &str) -> Rows {
    let text = server.sql(&format!("SELECT id, p, {column} FROM {table} ORDER BY id"));
    let numbers = |line: &str| -> Vec<u64> {
        line.split('\t').map(|n| n.parse().expect("a number")).collect()
    };
    let rows: Vec<Vec<u64>> = text.lines().map(numbers).collect();
    let found: Rows = rows.iter().map(|r| (r[0], (r[1], r[2]))).collect();
    assert_eq!(found.len(), rows.len(), "{table} has rows twice");
    // The projection says what the rows say.
    let mut sums: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (id, (p, _)) in &found {
        let sum = sums.entry(*p).or_default();
        (sum.0, sum.1) = (sum.0 + 1, sum.1 + id);
    }
    let text: Vec<String> = sums.iter().map(|(p, (n, sum))| format!("{p}\t{n}\t{sum}")).collect();
    let projected =
        server.sql(&format!("SELECT p, count(), sum(id) FROM {table} GROUP BY p ORDER BY p"));
    assert_eq!(projected, text.join("\n"), "{table} by its projection");
    found
}

/// What `table` calls its value.
fn column_of(server: &Server, table: &str) -> String {
    server.sql(&format!(
        "SELECT name FROM system.columns WHERE database = 'default' AND table = '{table}' AND startsWith(name, 'v')"
    ))
}

/// The one of `candidates` that the tables show, with what is detached believed.
fn observed(server: &Server, candidates: &[Model]) -> Model {
    let (main, side) = (column_of(server, "main"), column_of(server, "side"));
    let found = (rows_of(server, "main", &main), rows_of(server, "side", &side));
    let fits = |m: &&Model| m.main == found.0 && m.side == found.1;
    let names: Vec<&String> = candidates.iter().map(|m| &m.column).collect();
    assert!(names.contains(&&main) && names.contains(&&side), "{main}, {side} of {names:?}");
    let mut model = match candidates.iter().find(fits) {
        Some(model) => model.clone(),
        None => panic!("the tables hold\n{found:?}\nwhich is none of\n{candidates:?}"),
    };
    if main != side {
        // Cut off between the two: the second follows.
        server.sql(&format!("ALTER TABLE side RENAME COLUMN {side} TO {main}"));
    }
    model.column = main;
    model
}

/// Inserts batches until told to stop; those acknowledged.
fn busy_inserts(
    port: u16,
    stop: &AtomicBool,
    acknowledged: &Mutex<BTreeSet<u64>>,
    next: &AtomicU64,
) {
    while !stop.load(Ordering::Relaxed) {
        let batch = next.fetch_add(1, Ordering::Relaxed);
        let ids = batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS;
        let rows: Vec<String> = ids.map(|id| format!("({}, {batch}, {id}, 0)", id % 3)).collect();
        let sql = format!("INSERT INTO busy (p, batch, id, g) VALUES {}", rows.join(", "));
        match ask(port, &sql) {
            Some((200, _)) => drop(acknowledged.lock().expect("the set").insert(batch)),
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Changes the busy table until the server is gone: the last generation begun, and the batches that
/// were in before it.
fn busy_changes(
    port: u16,
    first: u64,
    acknowledged: &Mutex<BTreeSet<u64>>,
    done: &AtomicU64,
) -> (u64, BTreeSet<u64>) {
    let mut generation = first;
    loop {
        generation += 1;
        let before = acknowledged.lock().expect("the set").clone();
        for sql in [
            format!("ALTER TABLE busy UPDATE g = {generation} WHERE 1"),
            format!("ALTER TABLE busy ADD COLUMN x{generation} UInt64 DEFAULT id * 2"),
            "OPTIMIZE TABLE busy FINAL".to_string(),
            format!("ALTER TABLE busy DROP COLUMN x{generation}"),
        ] {
            match ask(port, &sql) {
                Some((200, _)) => drop(done.fetch_add(1, Ordering::Relaxed)),
                Some((_, text)) => panic!("{sql}: {text}"),
                None => return (generation, before),
            }
        }
    }
}

fn check_busy(
    server: &Server,
    acknowledged: &BTreeSet<u64>,
    generation: u64,
    before: &BTreeSet<u64>,
) {
    let text = server.sql(
        "SELECT batch, count(), uniqExact(id), countIf(intDiv(id, 10) = batch), min(g), max(g) FROM busy GROUP BY batch",
    );
    let mut changed: BTreeMap<u64, bool> = BTreeMap::new();
    for line in text.lines() {
        let n: Vec<u64> = line.split('\t').map(|n| n.parse().expect("a number")).collect();
        assert_eq!(n[1..4], [BATCH_ROWS; 3], "batch {} is not whole", n[0]);
        changed.insert(n[0], n[4] == generation && n[5] == generation);
        assert!(
            n[5] <= generation && (n[5] < generation || n[4] == generation),
            "batch {line} half changed"
        );
    }
    let lost: Vec<&u64> = acknowledged.iter().filter(|b| !changed.contains_key(b)).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    let states: BTreeSet<bool> = before.iter().map(|b| changed[b]).collect();
    assert!(states.len() < 2, "generation {generation} is half done");
    let extra = "SELECT count() FROM system.columns WHERE table = 'busy' AND name LIKE 'x%'";
    assert!(server.number(extra) <= 1);
    for name in server
        .sql("SELECT name FROM system.columns WHERE table = 'busy' AND name LIKE 'x%'")
        .lines()
    {
        assert_eq!(server.number(&format!("SELECT count() FROM busy WHERE {name} != id * 2")), 0);
        server.sql(&format!("ALTER TABLE busy DROP COLUMN {name}"));
    }
}

#[test]
fn killed_during_changes() {
    let kills = from_environment("PUMPHOUSE_KILLS", 15);
    let seed = from_environment("PUMPHOUSE_SEED", 20_261_126);
    eprintln!("{kills} kills, seed {seed}");
    let mut random = Random::new(seed);
    let folder = TestFolder::new("killed_ddl");
    let (data_dir, port) = (folder.0.join("data"), free_port());
    let mut server = Server::start_with(&data_dir, port, &[]);
    for table in ["main", "side"] {
        server.sql(&format!(
            "CREATE TABLE {table} (p UInt8, id UInt64, v UInt64, PROJECTION sums (SELECT p, count(), sum(id) GROUP BY p)) ENGINE = MergeTree PARTITION BY p ORDER BY id SETTINGS lightweight_mutation_projection_mode = 'rebuild'"
        ));
    }
    server.sql("CREATE TABLE busy (p UInt8, batch UInt64, id UInt64, g UInt64) ENGINE = MergeTree PARTITION BY p ORDER BY id");
    let mut model = Model {
        main: Rows::new(),
        side: Rows::new(),
        detached: Rows::new(),
        column: "v".into(),
        next_id: 0,
    };
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let inserts: Vec<_> = (0..2)
        .map(|_| {
            let (stop, acknowledged, next) = (stop.clone(), acknowledged.clone(), next.clone());
            std::thread::spawn(move || busy_inserts(port, &stop, &acknowledged, &next))
        })
        .collect();
    let (done, mut generation) = (AtomicU64::new(0), 0);
    for _ in 0..kills {
        let wait = Duration::from_millis(200 + random.below(1500));
        let (candidates, begun, before) = std::thread::scope(|scope| {
            let mut own = Random::new(1 + random.below(1 << 40));
            let (done, acknowledged, start) = (&done, &acknowledged, model.clone());
            let quiet = scope.spawn(move || quiet(port, start, &mut own, done));
            let busy = scope.spawn(move || busy_changes(port, generation, acknowledged, done));
            std::thread::sleep(wait);
            server.kill();
            let (begun, before) = busy.join().expect("the changes of the busy table");
            (quiet.join().expect("the changes of the quiet tables"), begun, before)
        });
        server = Server::start_with(&data_dir, port, &[]);
        let pending = "SELECT count() FROM system.mutations WHERE NOT is_done";
        server.until(pending, "0", Duration::from_secs(120));
        model = observed(&server, &candidates);
        generation = begun;
        let known = acknowledged.lock().expect("the set").clone();
        check_busy(&server, &known, begun, &before);
    }
    stop.store(true, Ordering::Relaxed);
    inserts.into_iter().for_each(|i| i.join().expect("the inserts end"));
    for p in 0..4 {
        server.sql(&format!("ALTER TABLE main ATTACH PARTITION {p}"));
    }
    model.main.append(&mut model.detached);
    assert_eq!(rows_of(&server, "main", &model.column), model.main);
    let (done, batches) = (done.into_inner(), acknowledged.lock().expect("the set").len());
    assert!(done > kills && batches > 0);
    eprintln!(
        "{kills} kills, {done} changes and {batches} inserts acknowledged: lost 0, half done 0"
    );
}
