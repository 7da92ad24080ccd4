//! Making a part's projection from the part's rows as they come: evaluated in batches, sorted, written
//! as a part inside the part.
//!
//! Rows gather up to a limit; what is beyond is written as a sorted run, in memory at first, in a file
//! beside the part when those grow; at the end the runs are merged. So memory is bounded whatever the
//! part's size. Runs of an unfinished part are removed with it, or as orphans at the next start.

use std::sync::Arc;

use arrow_array::{Array, UInt32Array};

use super::column_reader::ColumnReader;
use super::index_granularity;
use super::insert::push_rows;
use super::order::SortKeys;
use super::projection::Projection;
use crate::block::{Block, Column};
use crate::disk::{Disk, ReadFile, WriteFile};
use crate::error::Result;
use crate::log::{ColumnDefinition, part_path};
use crate::merge::combine::{Combiner, Purpose, block_groups, combiner};
use crate::merge::combined::CombinedStream;
use crate::merge::stream::{MergeStream, SourceRange};
use crate::merge::worker::WholeGranules;
use crate::part::codec::ColumnCodec;
use crate::part::{
    Described, Image, NestedBuilder, NestedHost, NestedMeta, PartColumn, PartIdentity, PartKeys,
    PartReader, PartWriter, Window,
};
use crate::scan::OpenPart;
use crate::table::key::evaluate;

/// Rows that are evaluated together.
const BATCH_ROWS: usize = 65_536;

/// When rows become a run, and when runs go to a file.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rows_bytes: usize,
    pub(crate) runs_bytes: usize,
}

const LIMITS: Limits = Limits { rows_bytes: 64 << 20, runs_bytes: 32 << 20 };

/// A projection being made for one part.
pub(crate) struct ProjectionBuilder {
    projection: Arc<Projection>,
    limits: Limits,
    /// Inputs that are not evaluated yet.
    pending: Vec<Block>,
    pending_rows: usize,
    /// Rows of the projection, in no order.
    rows: Vec<Vec<Column>>,
    rows_bytes: usize,
    runs: Vec<Vec<u8>>,
    spilled: Option<Spill>,
    /// Where runs can be spilled; known when there is something to spill.
    place: Option<(Arc<dyn Disk>, String)>,
}

/// Runs in a file of their own, which goes when this does.
struct Spill {
    disk: Arc<dyn Disk>,
    path: String,
    file: Box<dyn WriteFile>,
    /// Offsets and lengths.
    runs: Vec<(u64, u64)>,
}

impl Drop for Spill {
    fn drop(&mut self) {
        if let Err(e) = self.disk.remove(&self.path) {
            tracing::warn!("cannot remove {}: {e}", self.path);
        }
    }
}

impl ProjectionBuilder {
    pub(crate) fn boxed(projection: &Arc<Projection>) -> Box<dyn NestedBuilder> {
        Box::new(ProjectionBuilder::new(projection, LIMITS))
    }

    pub(crate) fn new(projection: &Arc<Projection>, limits: Limits) -> ProjectionBuilder {
        ProjectionBuilder {
            projection: projection.clone(),
            limits,
            pending: vec![],
            pending_rows: 0,
            rows: vec![],
            rows_bytes: 0,
            runs: vec![],
            spilled: None,
            place: None,
        }
    }

    fn columns(&self) -> Vec<&ColumnDefinition> {
        self.projection.definition().columns.iter().collect()
    }

    fn combiner(&self) -> Result<Option<Box<dyn Combiner>>> {
        let compiler = self.projection.compiled.compiler();
        let (definition, keys) = (self.projection.definition(), &self.projection.keys);
        combiner(definition, keys, &self.columns(), compiler.as_ref(), Purpose::Merge)
    }

    fn evaluate(&mut self) -> Result<()> {
        if self.pending_rows == 0 {
            return Ok(());
        }
        let block = match self.pending.len() {
            1 => self.pending.swap_remove(0),
            _ => Block::concat(&self.pending)?,
        };
        self.pending.clear();
        self.pending_rows = 0;
        let rows = self.projection.rows(&block)?;
        self.rows_bytes += rows.iter().map(shown_bytes).sum::<usize>();
        self.rows.push(rows);
        if self.rows_bytes > self.limits.rows_bytes {
            self.make_run()?;
        }
        Ok(())
    }

    /// What has gathered, sorted and combined.
    fn sorted(&mut self) -> Result<Vec<Column>> {
        self.rows_bytes = 0;
        let mut gathered = std::mem::take(&mut self.rows);
        let columns = match gathered.len() {
            1 => gathered.swap_remove(0),
            _ => (0..self.projection.definition().columns.len())
                .map(|i| Column::concat(&gathered.iter().map(|r| r[i].clone()).collect::<Vec<_>>()))
                .collect::<Result<Vec<_>>>()?,
        };
        drop(gathered);
        let names = self.projection.definition().columns.iter().map(|c| c.name.clone());
        let block = Block::new(names.zip(columns.iter().cloned()).collect());
        let sorting = evaluate(&self.projection.keys.sorting, &block)?;
        let count = columns.first().map_or(0, Column::len);
        let keys = SortKeys::encode(&sorting, count);
        let order = keys.sorted_rows(None);
        let groups = block_groups(&keys, order.as_deref());
        let columns = match order {
            Some(order) => {
                let order = UInt32Array::from(order);
                columns.iter().map(|c| c.take(&order)).collect()
            }
            None => columns,
        };
        match self.combiner()? {
            Some(mut combiner) => combiner.combine(&columns, &groups),
            None => Ok(columns),
        }
    }

    fn make_run(&mut self) -> Result<()> {
        let columns = self.sorted()?;
        let image = Image::default();
        let nobody = PartIdentity::nobody(self.projection.definition().uuid);
        let disk: Arc<dyn Disk> = Arc::new(crate::disk::MemoryDisk::new());
        let mut writer = self.writer(&disk, nobody, vec![], Box::new(image.clone()));
        self.write(&mut writer, &columns)?;
        writer.finish_nested()?;
        self.runs.push(image.take());
        self.spill()
    }

    /// Moves runs to a file once they take too much memory.
    fn spill(&mut self) -> Result<()> {
        let Some((disk, path)) = &self.place else { return Ok(()) };
        if self.runs.iter().map(Vec::len).sum::<usize>() <= self.limits.runs_bytes {
            return Ok(());
        }
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            None => self.spilled.insert(Spill {
                file: disk.create(path)?,
                disk: disk.clone(),
                path: path.clone(),
                runs: vec![],
            }),
        };
        for run in self.runs.drain(..) {
            spilled.runs.push((spilled.file.len(), run.len() as u64));
            spilled.file.append(&run)?;
        }
        Ok(())
    }

    fn writer(
        &self,
        disk: &Arc<dyn Disk>,
        identity: PartIdentity,
        partition: Vec<crate::part::KeyColumn>,
        file: Box<dyn WriteFile>,
    ) -> PartWriter {
        let definition = self.projection.definition();
        let by_default = super::default_codec(definition);
        let columns: Vec<PartColumn<'_>> = definition
            .columns
            .iter()
            .map(|c| PartColumn {
                id: c.id,
                name: &c.name,
                data_type: &c.data_type,
                codec: ColumnCodec::of(&c.codec, &c.data_type, by_default),
            })
            .collect();
        let sorting = &self.projection.keys.sorting;
        let keys = PartKeys {
            partition,
            sorting_key: sorting.iter().map(|e| e.text.clone()).collect(),
            primary_key: sorting.iter().map(|e| (e.text.clone(), e.data_type())).collect(),
        };
        PartWriter::nested(disk, identity, keys, &columns, file)
    }

    fn write(&self, writer: &mut PartWriter, columns: &[Column]) -> Result<()> {
        let granularity = index_granularity(self.projection.definition());
        push_rows(writer, &self.columns(), columns, &self.projection.keys, granularity)
    }

    /// The runs, open.
    fn open_runs(&mut self) -> Result<Vec<OpenPart>> {
        let mut files: Vec<Arc<dyn ReadFile>> = vec![];
        if let Some(spilled) = &self.spilled {
            let whole = spilled.disk.open(&spilled.path)?;
            for (offset, length) in &spilled.runs {
                files.push(Arc::new(Window::new(whole.clone(), *offset, *length)));
            }
        }
        for run in self.runs.drain(..) {
            let mut image = Image::default();
            image.append(&run)?;
            files.push(Arc::new(image));
        }
        files
            .into_iter()
            .map(|file| {
                let reader = Arc::new(PartReader::of_file(file, "a run of a projection")?);
                Ok(OpenPart { reader, mask: None })
            })
            .collect()
    }

    fn merge_runs(&mut self, writer: &mut PartWriter) -> Result<()> {
        let runs = self.open_runs()?;
        let projection = self.projection.clone();
        let compiler = projection.compiled.compiler();
        let reader = Arc::new(ColumnReader::new(projection.definition(), &compiler));
        let columns: Vec<&ColumnDefinition> = projection.definition().columns.iter().collect();
        let granularity = index_granularity(projection.definition());
        let ranges = runs.into_iter().map(SourceRange::whole).collect();
        let stream =
            MergeStream::new(ranges, reader, &columns, &projection.keys, granularity, None)?;
        let mut stream = CombinedStream::new(stream, self.combiner()?);
        let mut whole = WholeGranules::new(granularity);
        let mut push =
            |rows: &[Column]| push_rows(writer, &columns, rows, &projection.keys, granularity);
        while let Some(outputs) = stream.next()? {
            for rows in outputs {
                whole.add(rows, &mut push)?;
            }
        }
        whole.finish(&mut push)
    }
}

/// Bytes of the rows that a column shows, also if it is a slice of something larger.
fn shown_bytes(column: &Column) -> usize {
    column.array.to_data().get_slice_memory_size().unwrap_or(0)
}

impl NestedBuilder for ProjectionBuilder {
    fn name(&self) -> &str {
        self.projection.name()
    }

    fn describe(&self) -> Described {
        self.projection.described.clone()
    }

    fn begin(&mut self, disk: &Arc<dyn Disk>, identity: &PartIdentity, number: usize) {
        let part = part_path(identity.id);
        let path = format!("{}.{number}.run", part.trim_end_matches(".part"));
        self.place = Some((disk.clone(), path));
    }

    fn push(&mut self, rows: &Block) -> Result<()> {
        let count = rows.rows();
        let mut from = 0;
        while from < count {
            let take = (BATCH_ROWS - self.pending_rows).min(count - from);
            let mut inputs = Block::of_rows(take);
            for name in self.projection.compiled.inputs() {
                if let Some(column) = rows.column(name) {
                    inputs.push(name.clone(), column.slice(from, take));
                }
            }
            self.pending.push(inputs);
            self.pending_rows += take;
            from += take;
            if self.pending_rows >= BATCH_ROWS {
                self.evaluate()?;
            }
        }
        Ok(())
    }

    fn finish(
        mut self: Box<Self>,
        host: &NestedHost<'_>,
        out: Box<dyn WriteFile>,
    ) -> Result<NestedMeta> {
        self.evaluate()?;
        let partition = host.partition.to_vec();
        let mut writer = self.writer(host.disk, host.identity.clone(), partition, out);
        if self.runs.is_empty() && self.spilled.is_none() {
            let columns = self.sorted()?;
            self.write(&mut writer, &columns)?;
        } else {
            if !self.rows.is_empty() {
                self.make_run()?;
            }
            self.merge_runs(&mut writer)?;
        }
        writer.finish_nested()
    }
}
