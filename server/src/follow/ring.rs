//! The newest inserts of one table, each by its range of block numbers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{PartMeta, Table};

/// What a ring keeps at most.
const PARTS_MAX: usize = 5_000;
const BYTES_MAX: u64 = 2 << 30;
const AGE_MAX: Duration = Duration::from_secs(600);

/// Rows that a follower has not seen.
#[derive(Debug, Clone)]
pub struct Fresh {
    pub parts: Vec<Arc<PartMeta>>,
    /// The next block that is not among them.
    pub next: u64,
}

pub(super) struct Ring {
    kept: VecDeque<(Instant, Arc<PartMeta>)>,
    bytes: u64,
    /// Blocks below are not told apart any more.
    first: u64,
    /// Blocks below have been looked at.
    next: u64,
    pub(super) followers: usize,
    pub(super) last_used: Instant,
}

impl Ring {
    pub(super) fn new(table: &Table) -> Ring {
        let mut ring = Ring {
            kept: VecDeque::new(),
            bytes: 0,
            first: 0,
            next: table.next_block,
            followers: 0,
            last_used: Instant::now(),
        };
        // The newest parts that no merge has touched may serve a cursor from before.
        for part in table.parts.iter().rev() {
            if part.level > 0 {
                ring.first = part.max_block + 1;
                break;
            }
            ring.bytes += part.bytes;
            ring.kept.push_front((Instant::now(), part.clone()));
        }
        ring.tidy();
        ring
    }

    pub(super) fn next_block(&self) -> u64 {
        self.next
    }

    /// Takes in what the table has gained.
    pub(super) fn look(&mut self, table: &Table) {
        if table.next_block <= self.next {
            return;
        }
        let from = self.next;
        self.next = table.next_block;
        for part in table.parts.iter().filter(|p| p.max_block >= from) {
            if part.min_block < from {
                // Merged with what was there before, before we looked.
                self.kept.clear();
                self.bytes = 0;
                self.first = part.max_block + 1;
                continue;
            }
            self.bytes += part.bytes;
            self.kept.push_back((Instant::now(), part.clone()));
        }
        self.kept.make_contiguous().sort_by_key(|(_, part)| part.min_block);
        self.tidy();
    }

    /// Lets go of what is too old or too much.
    pub(super) fn tidy(&mut self) {
        while let Some((since, part)) = self.kept.front()
            && (self.kept.len() > PARTS_MAX || self.bytes > BYTES_MAX || since.elapsed() > AGE_MAX)
        {
            self.first = self.first.max(part.max_block + 1);
            self.bytes = self.bytes.saturating_sub(part.bytes);
            self.kept.pop_front();
        }
    }

    /// The parts of the oldest insert at or behind `next`: those of one commit have numbers in a row and
    /// the same time.
    pub(super) fn fresh(&mut self, next: u64) -> Result<Option<Fresh>> {
        self.last_used = Instant::now();
        if next < self.first {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!(
                    "The cursor is too old: rows of block {next} to {} can no longer be told apart from earlier ones",
                    self.first - 1
                ),
            ));
        }
        let mut parts: Vec<Arc<PartMeta>> = vec![];
        for (_, part) in self.kept.iter().filter(|(_, p)| p.min_block >= next) {
            let together = parts.last().is_none_or(|last| {
                last.max_block + 1 == part.min_block && last.created_us == part.created_us
            });
            if !together {
                break;
            }
            parts.push(part.clone());
        }
        let Some(last) = parts.last() else { return Ok(None) };
        Ok(Some(Fresh { next: last.max_block + 1, parts }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pumphouse_storage::log::{PartId, TableDefinition};
    use uuid::Uuid;

    use super::*;

    fn part(min: u64, max: u64, level: u32) -> Arc<PartMeta> {
        Arc::new(PartMeta {
            id: PartId { epoch: 1, number: (min * 100 + max) as u32 },
            table: Uuid::nil(),
            partition_id: "all".into(),
            rows: 1,
            bytes: 1,
            bytes_uncompressed: 1,
            footer_hash: 0,
            min_block: min,
            max_block: max,
            level,
            created_us: min,
            data_version: 0,
            mask: None,
            ttl_seconds: None,
        })
    }

    fn table(parts: &[(u64, u64, u32)], next_block: u64) -> Table {
        let definition = TableDefinition {
            uuid: Uuid::nil(),
            database: "d".into(),
            name: "t".into(),
            engine: "MergeTree".into(),
            columns: vec![],
            sorting_key: vec![],
            primary_key: vec![],
            partition_key: vec![],
            settings: Default::default(),
            select: None,
            target: None,
            source: None,
            comment: String::new(),
            create_query: String::new(),
            clauses: Default::default(),
        };
        let mut table = Table::empty(Arc::new(definition));
        table.parts = parts.iter().map(|(min, max, level)| part(*min, *max, *level)).collect();
        table.next_block = next_block;
        table
    }

    fn blocks(ring: &mut Ring, mut next: u64) -> Vec<(u64, u64)> {
        let mut found = vec![];
        while let Some(fresh) = ring.fresh(next).unwrap() {
            found.extend(fresh.parts.iter().map(|p| (p.min_block, p.max_block)));
            next = fresh.next;
        }
        found
    }

    #[test]
    fn inserts_stay_apart_when_merges_fold_them() {
        let mut ring = Ring::new(&table(&[(1, 4, 1), (5, 5, 0)], 6));
        assert_eq!(blocks(&mut ring, 5), [(5, 5)], "what came shortly before");
        assert!(ring.fresh(4).is_err(), "merged before anybody looked");
        ring.look(&table(&[(1, 4, 1), (5, 5, 0), (6, 6, 0)], 7));
        ring.look(&table(&[(1, 4, 1), (5, 5, 0), (6, 6, 0), (7, 7, 0)], 8));
        // A merge of all; then one more insert, and a mutation that takes a number.
        ring.look(&table(&[(1, 7, 2)], 8));
        ring.look(&table(&[(1, 7, 2), (8, 8, 0)], 10));
        assert_eq!(blocks(&mut ring, 6), [(6, 6), (7, 7), (8, 8)]);
        assert!(ring.fresh(9).unwrap().is_none());
    }

    #[test]
    fn what_was_missed_is_an_error() {
        let mut ring = Ring::new(&table(&[(1, 1, 0)], 2));
        ring.look(&table(&[(1, 3, 1), (4, 4, 0)], 5));
        assert!(ring.fresh(2).is_err(), "2 and 3 are folded into 1");
        assert_eq!(blocks(&mut ring, 4), [(4, 4)]);
        // Folded among themselves they are all new.
        ring.look(&table(&[(1, 3, 1), (4, 4, 0), (5, 7, 1)], 8));
        assert_eq!(blocks(&mut ring, 5), [(5, 7)]);
    }
}
