//! SELECT and EXPLAIN: bind, run, format, stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pumphouse_ingest::format::{self, FormatWriter, WriterStatistics};
use pumphouse_query::context::QueryContext;
use pumphouse_query::execute::{self, ResultSink};
use pumphouse_query::explained;
use pumphouse_query::plan::{Plan, PlanNode};
use pumphouse_query::sql::ast::{Explain, ExplainKind, Query};
use pumphouse_query::{Error, Result, prepare};
use pumphouse_storage::{Block, DataType};

use super::cached::{Keeping, Kept};
use super::extremes::Extremes;
use super::{BlockOutput, Output, Run};

impl Run<'_> {
    pub(super) fn select(&mut self, query: &Query, format: Option<&str>) -> Result<()> {
        match self.context.settings.bool("use_query_cache", false) {
            true => self.cached_select(query, format),
            false => self.plain_select(query, format),
        }
    }

    /// Runs the query, whatever is in the cache.
    pub(super) fn plain_select(&mut self, query: &Query, format: Option<&str>) -> Result<()> {
        let catalog = self.select_catalog();
        let plan = match prepare(query, &catalog, self.context) {
            Ok(plan) => self.cut(plan),
            Err(e) => return self.failed(&[], format, e),
        };
        self.stream(&plan, format, None)
    }

    /// The rows that the settings `limit` and `offset` leave of the whole result.
    pub(super) fn cut(&self, plan: Plan) -> Plan {
        let of = |name| self.context.settings.u64(name, 0);
        let (limit, offset) = (of("limit"), of("offset"));
        if limit == 0 && offset == 0 {
            return plan;
        }
        let limit = (limit > 0).then_some(limit);
        let schema = plan.schema.clone();
        let node = PlanNode::Limit { input: Box::new(plan), limit, offset, ties: None };
        Plan { node, schema }
    }

    /// Runs `plan` and writes its rows in `format` (or the request's default), and into `kept`.
    pub(super) fn stream(
        &mut self,
        plan: &Plan,
        format: Option<&str>,
        kept: Option<&mut Kept>,
    ) -> Result<()> {
        if let Some(output) = self.output.blocks() {
            output.header(&plan.schema)?;
            let extremes = wanted(self.context);
            let mut sink = BlockSink { output, schema: &plan.schema, extremes };
            run(plan, self.context, &mut Keeping { sink: &mut sink, kept })?;
            let rows = sink.extremes.map_or(Ok(None), Extremes::take)?;
            return rows.map_or(Ok(()), |rows| output.extremes(&rows));
        }
        let mut writer = self.writer(format)?;
        let mut buffer = Vec::with_capacity(64 << 10);
        writer.prefix(&plan.schema, &mut buffer)?;
        let mut sink = FormatSink {
            writer: writer.as_mut(),
            output: self.output,
            context: self.context,
            buffer,
            totals: None,
            extremes: wanted(self.context),
        };
        let outcome = run(plan, self.context, &mut Keeping { sink: &mut sink, kept });
        let outcome = outcome.and_then(|()| sink.finish());
        let left = sink.buffer;
        match outcome {
            Err(e) if self.tells_in_format() => {
                if self.output.starts_over() {
                    return self.failed(&plan.schema, format, e);
                }
                self.output.write(&left)?;
                self.tell(writer.as_mut(), vec![], e)
            }
            outcome => outcome,
        }
    }

    /// `http_write_exception_in_output_format`: the error stands in the result, if the format has a place for it.
    fn tells_in_format(&self) -> bool {
        self.context.settings.bool("http_write_exception_in_output_format", false)
    }

    /// A result that is nothing but its error.
    fn failed(
        &mut self,
        schema: &[(String, DataType)],
        format: Option<&str>,
        error: Error,
    ) -> Result<()> {
        if !self.tells_in_format() || self.output.blocks().is_some() {
            return Err(error);
        }
        let Ok(mut writer) = self.writer(format) else { return Err(error) };
        let mut begun = vec![];
        writer.prefix(schema, &mut begun)?;
        self.tell(writer.as_mut(), begun, error)
    }

    /// Ends the output behind `begun` with the error, and gives the error back.
    fn tell(&mut self, writer: &mut dyn FormatWriter, mut begun: Vec<u8>, e: Error) -> Result<()> {
        if let Some(text) = self.output.error_text(&e)
            && writer.exception(&text, &statistics(self.context), &mut begun)
        {
            self.output.write_error(&begun);
        }
        Err(e)
    }

    /// Writes blocks that are already there: the answers of SHOW, DESCRIBE and the like.
    pub(super) fn write_block(&mut self, block: &Block, format: Option<&str>) -> Result<()> {
        if let Some(output) = self.output.blocks() {
            output.header(&block.schema())?;
            return output.block(block);
        }
        let mut writer = self.writer(format)?;
        let mut buffer = Vec::new();
        writer.prefix(&block.schema(), &mut buffer)?;
        let mut sink = FormatSink {
            writer: writer.as_mut(),
            output: self.output,
            context: self.context,
            buffer,
            totals: None,
            extremes: None,
        };
        sink.block(block.clone())?;
        sink.finish()
    }

    /// The writer of the result, announced to the output.
    fn writer(&mut self, format: Option<&str>) -> Result<Box<dyn FormatWriter>> {
        let name =
            format.or(self.request.default_format.as_deref()).unwrap_or("TabSeparated").to_string();
        let writer = format::writer(&name, &self.format_options())?;
        self.output.begin(&name, writer.content_type(), self.context.time_zone.name())?;
        Ok(writer)
    }

    pub(super) fn explain(&mut self, explain: &Explain, format: Option<&str>) -> Result<()> {
        let catalog = self.select_catalog();
        let block = explained::explain(explain, format, &catalog, self.context)?;
        // FORMAT behind a statement whose text is shown is part of that text.
        let format = format.filter(|_| explain.kind != ExplainKind::Ast);
        self.write_block(&block, format)
    }
}

/// Runs the plan; then the query needs the processor no more.
fn run(plan: &Plan, context: &Arc<QueryContext>, sink: &mut dyn ResultSink) -> Result<()> {
    let outcome = execute::run(plan, context, sink);
    context.end_turn();
    outcome
}

fn statistics(context: &QueryContext) -> WriterStatistics {
    let progress = &context.progress;
    WriterStatistics {
        rows_before_limit: progress.before_limit.get(),
        elapsed_seconds: context.elapsed().as_secs_f64(),
        rows_read: progress.read_rows.load(Ordering::Relaxed),
        bytes_read: progress.read_bytes.load(Ordering::Relaxed),
    }
}

/// A gatherer if the query has `extremes = 1`.
fn wanted(context: &QueryContext) -> Option<Extremes> {
    (context.settings.u64("extremes", 0) != 0).then(Extremes::default)
}

/// Hands blocks on as they are.
struct BlockSink<'a> {
    output: &'a mut dyn BlockOutput,
    schema: &'a [(String, DataType)],
    extremes: Option<Extremes>,
}

impl ResultSink for BlockSink<'_> {
    fn block(&mut self, block: Block) -> Result<()> {
        if let Some(extremes) = &mut self.extremes {
            extremes.add(&block);
        }
        self.output.block(&block)
    }

    /// Totals are of the result's names, whatever they were computed under.
    fn totals(&mut self, block: Block) -> Result<()> {
        let names = self.schema.iter().map(|(name, _)| name.clone());
        self.output.totals(&Block::new(names.zip(block.columns).collect()))
    }
}

/// Formats blocks as they come and hands the bytes on.
struct FormatSink<'a> {
    writer: &'a mut dyn FormatWriter,
    output: &'a mut dyn Output,
    context: &'a QueryContext,
    buffer: Vec<u8>,
    totals: Option<Block>,
    extremes: Option<Extremes>,
}

impl FormatSink<'_> {
    fn flush(&mut self) -> Result<()> {
        self.output.write_all(&mut self.buffer)
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(totals) = self.totals.take() {
            self.writer.totals(&totals, &mut self.buffer)?;
        }
        if let Some(rows) = self.extremes.take().map_or(Ok(None), Extremes::take)? {
            self.writer.extremes(&rows, &mut self.buffer)?;
        }
        self.writer.suffix(&statistics(self.context), &mut self.buffer)?;
        self.flush()
    }
}

impl ResultSink for FormatSink<'_> {
    fn block(&mut self, block: Block) -> Result<()> {
        if let Some(extremes) = &mut self.extremes {
            extremes.add(&block);
        }
        self.writer.block(&block, &mut self.buffer)?;
        // Small results go out in one piece.
        if self.buffer.len() >= 64 << 10 {
            self.flush()?;
        }
        Ok(())
    }

    fn totals(&mut self, block: Block) -> Result<()> {
        self.totals = Some(block);
        Ok(())
    }
}
