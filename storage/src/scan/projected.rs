//! Reading a table through its projections.
//!
//! Rows: a projection sorted by what a query asks for stands in for the parts that have it, as other
//! parts with the same columns; the rest is read as it is ([`through_rows`]). It is taken where that
//! leaves fewer granules. Groups: their states are read from the parts that have them and made of the
//! rows of the others ([`ProjectionScan`]). Parts with deleted rows count as having no projection.

use std::sync::Arc;

use super::open::{OpenPart, Scan};
use super::prune::Pruner;
use super::{Predicate, PruningReport, ScanOptions};
use crate::block::Block;
use crate::error::{Error, Result};
use crate::expression::CompiledProjection;
use crate::log::{self, State};
use crate::store::Store;
use crate::table::column_reader::ColumnReader;
use crate::table::key::TableKeys;
use crate::table::projection::Projection;

/// What a query says about projections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectionUse {
    pub allowed: bool,
    /// Taken even where it does not save anything, if it can be used.
    pub preferred: String,
}

/// What a scan is opened over.
pub(super) struct Target<'a> {
    pub(super) store: &'a Arc<Store>,
    pub(super) state: &'a Arc<State>,
    pub(super) table: &'a Arc<log::Table>,
    pub(super) keys: &'a TableKeys,
    pub(super) parts: &'a [OpenPart],
    pub(super) columns: &'a [String],
    pub(super) predicate: &'a Predicate,
    pub(super) options: &'a ScanOptions,
}

impl Target<'_> {
    /// The parts that have the projection, as parts of it, and those that have not.
    fn split(&self, projection: &Projection) -> Result<(Vec<OpenPart>, Vec<OpenPart>)> {
        let (mut with, mut without) = (vec![], vec![]);
        for part in self.parts {
            match projection.open(&part.reader)? {
                Some(reader) if part.mask.is_none() => with.push(OpenPart { reader, mask: None }),
                _ => without.push(part.clone()),
            }
        }
        Ok((with, without))
    }

    fn scan_rows(&self, parts: Vec<OpenPart>, columns: &[String]) -> Result<Scan> {
        let reader = ColumnReader::new(&self.table.definition, self.store.compiler());
        let skip = &self.keys.skip_indexes;
        let mut pruner = Pruner::new(self.table, skip, self.predicate, self.options);
        let state = self.state.clone();
        let mut scan = Scan::over(state, self.table, reader, parts, columns, &mut pruner)?;
        scan.report = pruner.report();
        Ok(scan)
    }
}

/// The scan of the least granules through a projection of rows, if it has fewer than `base`.
pub(super) fn through_rows(target: &Target<'_>, base: &PruningReport) -> Result<Option<Scan>> {
    let uses = &target.options.projections;
    let preferred = |p: &Projection| !uses.preferred.is_empty() && p.name() == uses.preferred;
    let mut usable: Vec<&Arc<Projection>> = target
        .keys
        .projections
        .iter()
        .filter(|p| !p.compiled.groups() && has_columns(p, target.columns))
        .collect();
    if usable.iter().any(|p| preferred(p)) {
        usable.retain(|p| preferred(p));
    }
    let mut best: Option<Scan> = None;
    for projection in usable {
        let sorting = &projection.definition().sorting_key;
        let must = preferred(projection);
        if !must && !target.predicate.restricts(&Pruner::on(sorting)) {
            continue;
        }
        let (with, without) = target.split(projection)?;
        if with.is_empty() {
            continue;
        }
        let reader = ColumnReader::new(&target.table.definition, target.store.compiler());
        let mut pruner = Pruner::new(target.table, &[], target.predicate, target.options);
        pruner.set_primary_key(sorting);
        let state = target.state.clone();
        let mut scan = Scan::over(state, target.table, reader, with, target.columns, &mut pruner)?;
        scan.report = pruner.report();
        scan.report.projection = Some(projection.name().to_string());
        scan.append(target.scan_rows(without, target.columns)?);
        let least = best.as_ref().map_or(base.granules_selected, |b| b.report.granules_selected);
        if scan.report.granules_selected < least || (must && best.is_none()) {
            best = Some(scan);
        }
    }
    Ok(best)
}

/// Whether the projection has all these columns of the table as they stand.
fn has_columns(projection: &Projection, columns: &[String]) -> bool {
    let kept = projection.compiled.columns();
    columns.iter().all(|name| kept.iter().any(|c| c.source.as_ref() == Some(name)))
}

/// The projections of the table that compile, by name.
pub fn projections(
    store: &Store,
    table: &log::Table,
) -> Result<Vec<(String, Arc<dyn CompiledProjection>)>> {
    if table.definition.clauses.projections.is_empty() {
        return Ok(vec![]);
    }
    let keys = TableKeys::of(&table.definition, store.compiler().as_ref())?;
    Ok(keys.projections.iter().map(|p| (p.name().to_string(), p.compiled.clone())).collect())
}

/// The groups of a whole table as a projection has them: several rows may be of one group.
pub struct ProjectionScan {
    pub report: PruningReport,
    projection: Arc<Projection>,
    groups: Scan,
    /// Rows of the parts that lack it.
    rows: Scan,
    inputs: Vec<String>,
}

/// Opens the projection `name`, which keeps groups, for rows for which `predicate`, over its keys,
/// holds. None if no part has it.
pub fn open_groups(
    store: &Arc<Store>,
    state: &Arc<State>,
    table: &Arc<log::Table>,
    name: &str,
    columns: &[String],
    predicate: &Predicate,
) -> Result<Option<ProjectionScan>> {
    let keys = TableKeys::of(&table.definition, store.compiler().as_ref())?;
    let projection = keys.projections.iter().find(|p| p.name() == name && p.compiled.groups());
    let Some(projection) = projection else {
        return Err(Error::Column(format!("there is no projection {name}")));
    };
    let parts =
        table.parts.iter().map(|meta| OpenPart::open(store, meta)).collect::<Result<Vec<_>>>()?;
    let options = ScanOptions::default();
    let target = Target {
        store,
        state,
        table,
        keys: &keys,
        parts: &parts,
        columns,
        predicate,
        options: &options,
    };
    let (with, without) = target.split(projection)?;
    if with.is_empty() {
        return Ok(None);
    }
    let reader = ColumnReader::new(projection.definition(), store.compiler());
    let mut pruner = Pruner::new(&projection.table, &[], predicate, &options);
    let groups = Scan::over(state.clone(), &projection.table, reader, with, columns, &mut pruner)?;
    let mut report = pruner.report();
    report.projection = Some(name.to_string());
    let inputs = projection.compiled.inputs().to_vec();
    let rows = target.scan_rows(without, &inputs)?;
    report.add(&rows.report);
    Ok(Some(ProjectionScan { report, projection: projection.clone(), groups, rows, inputs }))
}

impl ProjectionScan {
    pub fn morsel_count(&self) -> usize {
        self.groups.morsel_count() + self.rows.morsel_count()
    }

    /// Rows that are read for a morsel.
    pub fn morsel_rows(&self, i: usize) -> usize {
        match i.checked_sub(self.groups.morsel_count()) {
            None => self.groups.morsel_rows(i),
            Some(i) => self.rows.morsel_rows(i),
        }
    }

    /// `columns` of the groups of a morsel.
    pub fn read(&self, i: usize, columns: &[String]) -> Result<Block> {
        let Some(i) = i.checked_sub(self.groups.morsel_count()) else {
            return self.groups.read(i, columns, None);
        };
        let block = self.rows.read(i, &self.inputs, None)?;
        let made = self.projection.compiled.rows(&block)?;
        let mut picked = Block::of_rows(made.rows());
        for name in columns {
            let column = made
                .column(name)
                .ok_or_else(|| Error::Column(format!("a projection gave no column {name}")))?;
            picked.push(name.clone(), column.clone());
        }
        Ok(picked)
    }
}
