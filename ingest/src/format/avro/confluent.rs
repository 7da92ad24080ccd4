//! Rows that name their schema in a registry: a zero, the schema's number, the row.
//!
//! Schemas are fetched once and kept by the process (`schema_registry`); a plan per schema is kept by the
//! reader. A registry that cannot be reached is an error of the surroundings, never of a message.

use std::collections::HashMap;
use std::sync::Arc;

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::{Block, DataType};

use super::super::columns::RowBuilder;
use super::super::row_layout::{LayoutReader, Parsed, RowLayout};
use super::super::schema_registry::Registry;
use super::super::{
    FormatOptions, FormatReader, FormatWriter, InputColumn, ParseError, WriterStatistics,
};
use super::broken;
use super::decode::Cursor;
use super::encode::Encoder;
use super::plan::Plan;
use super::schema::Schema;

const MAGIC: u8 = 0;
/// Plans that one reader keeps.
const PLANS_MAX: usize = 256;

pub struct ConfluentReader {
    registry: Registry,
    options: FormatOptions,
    plans: HashMap<u32, Arc<Plan>>,
}

impl ConfluentReader {
    pub fn boxed(
        columns: &[InputColumn],
        options: &FormatOptions,
    ) -> Result<Box<dyn FormatReader>> {
        let layout = ConfluentReader {
            registry: Registry::new(&options.settings)?,
            options: options.clone(),
            plans: HashMap::new(),
        };
        Ok(Box::new(LayoutReader::new(RowBuilder::new(columns, options.time_zone), layout)))
    }

    fn plan(&mut self, id: u32, rows: &RowBuilder) -> Parsed<Arc<Plan>> {
        if let Some(plan) = self.plans.get(&id) {
            return Ok(plan.clone());
        }
        let text = self.registry.schema(id)?;
        let plan = Arc::new(Plan::new(Schema::parse(text.as_bytes())?, rows, &self.options)?);
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        self.plans.insert(id, plan.clone());
        Ok(plan)
    }
}

impl RowLayout for ConfluentReader {
    fn row(
        &mut self,
        rows: &mut RowBuilder,
        bytes: &[u8],
        at: usize,
        _row: usize,
        last: bool,
    ) -> Parsed<Option<usize>> {
        let mut cursor = Cursor::new(bytes);
        cursor.at = at;
        let Ok(head) = cursor.take(5) else {
            return if last { Err(missing_head()) } else { Ok(None) };
        };
        if head[0] != MAGIC {
            let message = format!(
                "Invalid magic byte before AvroConfluent schema identifier. Must be zero, found 0x{:02x} \
                 instead",
                head[0]
            );
            return Err(ParseError { code: codes::INCORRECT_DATA, message });
        }
        let id = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let plan = self.plan(id, rows)?;
        plan.row(&mut cursor, rows)?;
        Ok(Some(cursor.at))
    }
}

fn missing_head() -> ParseError {
    broken("Missing AvroConfluent magic byte or schema identifier")
}

pub struct ConfluentWriter {
    options: FormatOptions,
    registry: Registry,
    subject: String,
    encoder: Option<Encoder>,
    id: u32,
}

impl ConfluentWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let subject = options.settings.get("output_format_avro_confluent_subject");
        let subject = subject.unwrap_or_default().to_string();
        if subject.is_empty() {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "output_format_avro_confluent_subject must be set to write AvroConfluent",
            ));
        }
        Ok(Box::new(ConfluentWriter {
            options: options.clone(),
            registry: Registry::new(&options.settings)?,
            subject,
            encoder: None,
            id: 0,
        }))
    }
}

impl FormatWriter for ConfluentWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], _out: &mut Vec<u8>) -> Result<()> {
        let encoder = Encoder::new(schema, &self.options)?;
        self.id = self.registry.register(&self.subject, &encoder.schema)?;
        self.encoder = Some(encoder);
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        for row in 0..block.rows() {
            out.push(MAGIC);
            out.extend_from_slice(&self.id.to_be_bytes());
            if let Some(encoder) = &self.encoder {
                encoder.row(block, row, out);
            }
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }
}
