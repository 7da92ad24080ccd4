//! A block's rows into a part column by column: one is in the cache while its rows are gathered from all over it,
//! no more than one gathered granule of it is held, and several threads can each be at another column.
//!
//! Granules become ready in pieces of about a megabyte, which go to the file as they come; a column of several
//! pieces may have others' between them.

use arrow_array::UInt32Array;
use parking_lot::Mutex;

use super::codec::ColumnCodec;
use super::footer::ColumnWriter;
use super::gather::{gather, is_constant};
use super::granule::GranuleEncoder;
use super::part_file::PartFile;
use crate::block::Column;
use crate::error::{Error, Result};

/// Encoded bytes that are written at once: few enough to be in the cache still, and memory that is used again for
/// the next.
const READY_BYTES: usize = 1 << 20;
/// Values that are work enough for one more thread.
pub(super) const VALUES_PER_HELPER: usize = 1 << 19;

/// A column that is to be written, and its entry in the directory.
pub(super) struct Source<'a> {
    pub(super) entry: &'a mut ColumnWriter,
    pub(super) codec: &'a ColumnCodec,
    pub(super) column: &'a Column,
}

/// The rows to write.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Their order; None if they lie in it.
    pub(super) order: Option<&'a UInt32Array>,
    /// Where granules end.
    pub(super) ends: &'a [usize],
}

/// Granules that were not written yet.
#[derive(Default)]
struct Ready<'a> {
    bytes: Vec<u8>,
    /// Whose they are, and how many marks each had before; the last is the one being worked at.
    entries: Vec<(&'a mut ColumnWriter, usize)>,
}

impl Ready<'_> {
    /// The bytes stand at `file_offset`.
    fn place(&mut self, file_offset: u64) {
        for (entry, first) in &mut self.entries {
            entry.marks[*first..].iter_mut().for_each(|mark| mark.file_offset += file_offset);
            *first = entry.marks.len();
        }
    }

    fn write(&mut self, file: &Mutex<&mut PartFile>) -> Result<()> {
        let file_offset = {
            let mut file = file.lock();
            let end = file.end();
            file.append(&[&self.bytes])?;
            end
        };
        self.place(file_offset);
        self.bytes.clear();
        let written = self.entries.len().saturating_sub(1);
        self.entries.drain(..written);
        Ok(())
    }
}

/// Puts the columns into the file, on the calling thread and `helpers` more. What is given back was not written: it
/// belongs at the end of the file, where its marks say that it is.
pub(super) fn write(
    columns: Vec<Source<'_>>,
    rows: Rows<'_>,
    helpers: usize,
    granules: &mut GranuleEncoder,
    file: &mut PartFile,
) -> Result<Vec<u8>> {
    let (columns, file) = (Mutex::new(columns.into_iter()), Mutex::new(file));
    let work = |granules: &mut GranuleEncoder| {
        let ready = ready(&columns, rows, granules, &file);
        if ready.is_err() {
            // Nobody needs the rest.
            columns.lock().by_ref().for_each(drop);
        }
        ready
    };
    let mut all = std::thread::scope(|scope| {
        let helping: Vec<_> = (0..helpers)
            .map(|_| {
                let mut granules = granules.another();
                let work = &work;
                let helper = std::thread::Builder::new().name("part-writer".into());
                helper.spawn_scoped(scope, move || work(&mut granules))
            })
            .collect();
        let own = work(granules);
        // Where no thread could be had, the others did its work.
        let theirs =
            helping.into_iter().flatten().map(|h| h.join().unwrap_or_else(|_| Err(panicked())));
        std::iter::once(own).chain(theirs).collect::<Result<Vec<Ready<'_>>>>()
    })?;
    let mut last = all.pop().unwrap_or_default();
    for ready in &mut all {
        ready.write(&file)?;
    }
    last.place(file.lock().end());
    Ok(last.bytes)
}

/// Takes column by column until none is left.
fn ready<'a>(
    columns: &Mutex<std::vec::IntoIter<Source<'a>>>,
    rows: Rows<'_>,
    granules: &mut GranuleEncoder,
    file: &Mutex<&mut PartFile>,
) -> Result<Ready<'a>> {
    let mut ready = Ready::default();
    loop {
        let Some(Source { entry, codec, column }) = columns.lock().next() else {
            return Ok(ready);
        };
        let marks = entry.marks.len();
        ready.entries.push((entry, marks));
        let order = rows.order.filter(|_| !is_constant(column));
        let mut from = 0;
        for to in rows.ends {
            let granule = match order {
                Some(order) => gather(column, &order.slice(from, to - from)),
                None => column.slice(from, to - from),
            };
            if let Some((entry, _)) = ready.entries.last_mut() {
                granules.put(entry, codec, granule.array.as_ref(), &mut ready.bytes)?;
            }
            if ready.bytes.len() >= READY_BYTES {
                ready.write(file)?;
            }
            from = *to;
        }
    }
}

fn panicked() -> Error {
    Error::Column("writing a column panicked".into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::{Disk, MemoryDisk};
    use crate::log::PartId;
    use crate::types::{DataType, Value};

    /// What lies where the marks of each column say, one after the other, and its content hash.
    fn written(
        columns: &[Column],
        order: Option<&UInt32Array>,
        helpers: usize,
    ) -> Vec<(Vec<u8>, u64)> {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let id = PartId { epoch: 1, number: 1 };
        let mut entries: Vec<ColumnWriter> =
            columns.iter().map(|c| ColumnWriter::new(1, "c", &c.data_type)).collect();
        let codec = ColumnCodec::default();
        let rows = columns[0].len();
        let ends: Vec<usize> = (1..=rows.div_ceil(8192)).map(|n| rows.min(n * 8192)).collect();
        let mut file = PartFile::new(&disk, id);
        let mut granules = GranuleEncoder::new(false);
        let sources = entries.iter_mut().zip(columns);
        let sources = sources.map(|(entry, column)| Source { entry, codec: &codec, column });
        let rows = Rows { order, ends: &ends };
        let left = write(sources.collect(), rows, helpers, &mut granules, &mut file).unwrap();
        file.append(&[&left]).unwrap();
        file.finish().unwrap();
        let file = disk.open(&crate::log::part_path(id)).unwrap();
        let bytes = |entry: &ColumnWriter| {
            assert_eq!(entry.marks.len(), ends.len());
            let node = |mark: &crate::part::footer::Mark| {
                let mut node = vec![0; mark.length as usize];
                file.read_at(mark.file_offset, &mut node).unwrap();
                assert_eq!(xxhash_rust::xxh3::xxh3_64(&node), mark.hash);
                node
            };
            entry.marks.iter().flat_map(node).collect::<Vec<u8>>()
        };
        entries.iter().map(|entry| (bytes(entry), entry.content_hash)).collect()
    }

    #[test]
    fn however_many_threads_write_them_columns_are_the_same() {
        let rows = 60_000u64;
        let scattered = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut columns: Vec<Column> = (0..9)
            .map(|c| {
                let word = |n| {
                    Value::UInt(match c % 3 {
                        0 => scattered(n + c),
                        1 => n / 1000,
                        _ => 7,
                    })
                };
                let values: Vec<Value> = (0..rows).map(word).collect();
                Column::from_values(DataType::UInt64, &values).unwrap()
            })
            .collect();
        // More than is written at once.
        let text = |n: u64| {
            Value::String(format!("{:x}{:x}", scattered(n), scattered(n ^ 77)).into_bytes())
        };
        let texts: Vec<Value> = (0..rows).map(text).collect();
        columns.push(Column::from_values(DataType::String, &texts).unwrap());
        columns.push(Column::default_values(DataType::String, rows as usize));
        let order: UInt32Array =
            (0..rows as u32).map(|n| n * 7919 % rows as u32).collect::<Vec<_>>().into();
        let sorted: Vec<Column> = columns.iter().map(|c| c.take(&order)).collect();
        let expected = written(&sorted, None, 0);
        for helpers in [0, 1, 4] {
            assert!(written(&columns, Some(&order), helpers) == expected);
        }
    }

    #[test]
    fn an_error_in_one_column_ends_all() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let good = Column::from_values(DataType::UInt8, &[Value::UInt(1)]).unwrap();
        let null =
            Column::from_values(DataType::nullable(DataType::UInt8), &[Value::Null]).unwrap();
        let mut entries: Vec<ColumnWriter> =
            (0..9).map(|_| ColumnWriter::new(1, "c", &DataType::UInt8)).collect();
        let codec = ColumnCodec::default();
        let sources = entries.iter_mut().enumerate();
        let sources = sources.map(|(i, entry)| {
            let column = if i == 4 { &null } else { &good };
            Source { entry, codec: &codec, column }
        });
        let rows = Rows { order: None, ends: &[1] };
        let mut file = PartFile::new(&disk, PartId { epoch: 1, number: 1 });
        let mut granules = GranuleEncoder::new(false);
        let error = write(sources.collect(), rows, 2, &mut granules, &mut file).unwrap_err();
        assert!(error.to_string().contains("holds NULL"), "{error}");
    }
}
