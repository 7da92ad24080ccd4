//! Telling the disk of the morsels that come next, so that it has many reads before it where threads would have one
//! each. What is in memory already costs a look at a few bits.

use parking_lot::Mutex;

use super::open::{Morsel, OpenPart};

/// Bytes of a column, and its morsels, that are told of at a time, at most.
const BYTES_MAX: u64 = 4 << 20;
const MORSELS_MAX: usize = 16;

/// How far each column of a scan was told of.
#[derive(Default)]
pub(super) struct Ahead(Mutex<Vec<Told>>);

struct Told {
    column: u32,
    /// The first morsel that was not, and how many were told of last.
    next: usize,
    step: usize,
}

impl Ahead {
    /// To be called before morsel `i` of the column is read.
    pub(super) fn tell(&self, parts: &[OpenPart], morsels: &[Morsel], i: usize, column: u32) {
        let from = {
            let mut columns = self.0.lock();
            let place = columns.iter().position(|told| told.column == column);
            let place = place.unwrap_or_else(|| {
                columns.push(Told { column, next: i, step: 0 });
                columns.len() - 1
            });
            let told = &mut columns[place];
            if i + told.step.div_ceil(2) < told.next {
                return;
            }
            let from = told.next.max(i);
            let count = count_of(parts, &morsels[from..], column);
            (told.next, told.step) = (from + count, count);
            from..from + count
        };
        for morsel in &morsels[from] {
            let reader = &parts[morsel.part].reader;
            if let Some(index) = reader.column_index(column) {
                reader.will_need(index, &morsel.granules);
            }
        }
    }
}

/// How many of `morsels` to tell of.
fn count_of(parts: &[OpenPart], morsels: &[Morsel], column: u32) -> usize {
    let mut bytes = 0;
    let is_within = |morsel: &&Morsel| {
        let reader = &parts[morsel.part].reader;
        let is_first = bytes == 0;
        if let Some(index) = reader.column_index(column) {
            bytes += reader.stored_bytes(index, &morsel.granules);
        }
        is_first || bytes <= BYTES_MAX
    };
    morsels.iter().take(MORSELS_MAX).take_while(is_within).count()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::{Disk, MemoryDisk, ReadFile, WriteFile};
    use crate::error::Result;
    use crate::scan::{Scan, open};
    use crate::table::tests::{block, definition, insert, store_on, table_of};
    use crate::types::Value;

    type Spans = Arc<Mutex<Vec<(bool, u64, u64)>>>;

    /// A memory disk whose files note what is read of them, and what is told to be.
    struct Noting {
        disk: MemoryDisk,
        spans: Spans,
    }

    struct NotingFile {
        file: Arc<dyn ReadFile>,
        spans: Spans,
    }

    impl ReadFile for NotingFile {
        fn read_at(&self, file_offset: u64, buffer: &mut [u8]) -> Result<()> {
            self.spans.lock().push((false, file_offset, file_offset + buffer.len() as u64));
            self.file.read_at(file_offset, buffer)
        }
        fn will_need(&self, file_offset: u64, length: u64) {
            self.spans.lock().push((true, file_offset, file_offset + length));
        }
        fn len(&self) -> u64 {
            self.file.len()
        }
    }

    impl Disk for Noting {
        fn create(&self, path: &str) -> Result<Box<dyn WriteFile>> {
            self.disk.create(path)
        }
        fn open(&self, path: &str) -> Result<Arc<dyn ReadFile>> {
            let (file, spans) = (self.disk.open(path)?, self.spans.clone());
            Ok(Arc::new(NotingFile { file, spans }))
        }
        fn open_write(&self, path: &str) -> Result<Box<dyn WriteFile>> {
            self.disk.open_write(path)
        }
        fn exists(&self, path: &str) -> Result<bool> {
            self.disk.exists(path)
        }
        fn remove(&self, path: &str) -> Result<()> {
            self.disk.remove(path)
        }
        fn rename(&self, from: &str, to: &str) -> Result<()> {
            self.disk.rename(from, to)
        }
        fn list(&self, dir: &str) -> Result<Vec<String>> {
            self.disk.list(dir)
        }
        fn create_dir(&self, dir: &str) -> Result<()> {
            self.disk.create_dir(dir)
        }
        fn sync_dir(&self, dir: &str) -> Result<()> {
            self.disk.sync_dir(dir)
        }
        fn free_bytes(&self) -> Result<Option<u64>> {
            self.disk.free_bytes()
        }
        fn lock(&self) -> Result<Box<dyn Send + Sync>> {
            self.disk.lock()
        }
    }

    #[test]
    fn what_is_read_was_told_of_before_once_and_nothing_else_was() {
        let mut d = definition(&[("k", "UInt64"), ("v", "UInt64"), ("w", "String")], &["k"], &[]);
        d.settings.insert("index_granularity".into(), "100".into());
        let spans = Spans::default();
        let store =
            store_on(Arc::new(Noting { disk: MemoryDisk::new(), spans: spans.clone() }), d.clone());
        let rows: Vec<Vec<Value>> = (0..120_000u64)
            .map(|i| {
                let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                vec![Value::UInt(i), Value::UInt(mixed), Value::string(format!("w{mixed}"))]
            })
            .collect();
        insert(&store, &block(&d, &rows));
        let scan = |columns: &[&str]| -> Scan {
            let state = store.snapshot();
            let table = table_of(&state);
            let columns: Vec<String> = columns.iter().map(|c| c.to_string()).collect();
            open(&store, state, &table, &columns, &[]).unwrap()
        };
        let open = scan(&["v", "w"]);
        spans.lock().clear();
        for i in 0..open.morsel_count() {
            open.read(i, &["v".into(), "w".into()], None).unwrap();
        }
        let noted = std::mem::take(&mut *spans.lock());
        let (told, read): (Vec<_>, Vec<_>) = noted.iter().partition(|span| span.0);
        let bytes = |spans: &[(bool, u64, u64)]| spans.iter().map(|s| s.2 - s.1).sum::<u64>();
        assert!(open.morsel_count() > 4 && bytes(&read) > 120_000 * 8);
        assert_eq!(bytes(&told), bytes(&read));
        let mut so_far: Vec<(u64, u64)> = vec![];
        for (is_told, from, to) in noted {
            match is_told {
                true => so_far.push((from, to)),
                false => assert!(so_far.iter().any(|(f, t)| *f <= from && to <= *t)),
            }
        }
        // One morsel alone: those behind it are told of, those before it are not.
        let open = scan(&["v"]);
        open.read(5, &["v".into()], None).unwrap();
        let noted = std::mem::take(&mut *spans.lock());
        let first_read = noted.iter().find(|span| !span.0).unwrap();
        assert!(noted.iter().filter(|span| span.0).all(|span| span.1 >= first_read.1));
    }
}
