//! Projections in parts: made of runs in memory and in files, kept by merges, found damaged.

use std::any::Any;
use std::sync::Arc;

use super::projection::Projection;
use super::projection_build::{Limits, ProjectionBuilder};
use super::tests::{block, definition};
use crate::block::Block;
use crate::disk::{Disk, MemoryDisk};
use crate::error::Result;
use crate::expression::{
    ColumnNames, CompiledExpression, CompiledProjection, ExpressionCompiler, ProjectedColumn,
};
use crate::log::{ProjectionDefinition, TableDefinition};
use crate::part::tests::Random;
use crate::part::{Image, NestedBuilder, NestedHost, PartIdentity, PartReader};
use crate::types::{DataType, Value};

/// Knows projections that are lists of columns, sorted by the first.
struct Lists;

struct List {
    columns: Vec<ProjectedColumn>,
    names: Vec<String>,
}

impl ExpressionCompiler for Lists {
    fn compile(
        &self,
        text: &str,
        columns: &[(String, DataType)],
    ) -> Result<Arc<dyn CompiledExpression>> {
        ColumnNames.compile(text, columns)
    }

    fn projection(
        &self,
        select: &str,
        columns: &[(String, DataType)],
    ) -> Result<Arc<dyn CompiledProjection>> {
        let names: Vec<String> = select.split(", ").map(str::to_string).collect();
        let columns = names.iter().map(|name| ProjectedColumn {
            name: name.clone(),
            data_type: columns.iter().find(|(n, _)| n == name).unwrap().1.clone(),
            source: Some(name.clone()),
        });
        Ok(Arc::new(List { columns: columns.collect(), names }))
    }
}

impl CompiledProjection for List {
    fn columns(&self) -> &[ProjectedColumn] {
        &self.columns
    }
    fn sorting(&self) -> &[String] {
        &self.names[..1]
    }
    fn inputs(&self) -> &[String] {
        &self.names
    }
    fn groups(&self) -> bool {
        false
    }
    fn rows(&self, block: &Block) -> Result<Block> {
        let columns = self.names.iter().map(|n| (n.clone(), block.column(n).unwrap().clone()));
        Ok(Block::new(columns.collect()))
    }
    fn compiler(&self) -> Arc<dyn ExpressionCompiler> {
        Arc::new(Lists)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn example() -> (TableDefinition, Arc<Projection>) {
    let mut d = definition(&[("k", "UInt32"), ("v", "UInt32")], &["k"], &[]);
    d.settings.insert("index_granularity".into(), "64".into());
    let text = ProjectionDefinition { name: "p".into(), select: "v, k".into() };
    let projection = Arc::new(Projection::compile(&d, &text, &Lists).unwrap());
    (d, projection)
}

/// Builds the projection of random rows within `limits`; gives them sorted by `v`, and its bytes.
fn build(limits: Limits, disk: &Arc<dyn Disk>) -> (Vec<(u64, u64)>, Vec<u8>) {
    let (d, projection) = example();
    let mut random = Random(7);
    let mut identity = PartIdentity::nobody(d.uuid);
    identity.id.number = 9;
    let mut builder = Box::new(ProjectionBuilder::new(&projection, limits));
    builder.begin(disk, &identity, 0);
    let mut rows = vec![];
    for _ in 0..20 {
        let more: Vec<Vec<Value>> = (0..20_000)
            .map(|_| vec![Value::UInt(random.below(1 << 30)), Value::UInt(random.below(5000))])
            .collect();
        rows.extend(more.iter().map(|r| (r[1].as_u64().unwrap(), r[0].as_u64().unwrap())));
        builder.push(&block(&d, &more)).unwrap();
    }
    let image = Image::default();
    let host = NestedHost { disk, identity: &identity, partition: &[] };
    let meta = builder.finish(&host, Box::new(image.clone())).unwrap();
    assert_eq!(meta.rows as usize, rows.len());
    rows.sort();
    (rows, image.take())
}

fn read(bytes: &[u8]) -> Vec<(u64, u64)> {
    use crate::disk::WriteFile;
    let mut image = Image::default();
    image.append(bytes).unwrap();
    let reader = PartReader::of_file(Arc::new(image), "p").unwrap();
    reader.verify_all().unwrap();
    let granules: Vec<usize> = (0..reader.granules()).collect();
    let columns: Vec<_> = (0..2).map(|i| reader.read_column(i, &granules).unwrap()).collect();
    let value = |i: usize, row: usize| columns[i].value(row).as_u64().unwrap();
    (0..columns[0].len()).map(|row| (value(0, row), value(1, row))).collect()
}

#[test]
fn runs_in_memory_and_in_files_give_the_same_rows() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let whole = Limits { rows_bytes: usize::MAX, runs_bytes: usize::MAX };
    let runs = Limits { rows_bytes: 1 << 20, runs_bytes: usize::MAX };
    let files = Limits { rows_bytes: 1 << 20, runs_bytes: 1 };
    for limits in [whole, runs, files] {
        let (expected, bytes) = build(limits, &disk);
        let mut found = read(&bytes);
        assert!(found.is_sorted_by_key(|row| row.0));
        found.sort();
        assert_eq!(found, expected);
        assert_eq!(disk.list("parts").unwrap(), Vec::<String>::new(), "runs left over");
    }
}
