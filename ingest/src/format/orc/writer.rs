//! Results as ORC files: rows gather until a stripe is large enough, then its columns are written.
//!
//! Settings: `output_format_orc_compression_method`, `…_compression_block_size`, `…_string_as_string`,
//! `…_dictionary_key_size_threshold`, `…_writer_time_zone_name`. Row indexes are not written.

use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::{Block, DataType};

use super::directory::{Kind, MAGIC, Stripe, Type};
use super::encode::{Column, Rules, Streams};
use super::packing::{Codec, Packing};
use super::reader::zone_of;
use super::types::append;
use super::wire::Message;
use crate::format::{FormatOptions, FormatWriter, WriterStatistics};

/// Bytes of values that make a stripe.
const STRIPE_BYTES: usize = 32 << 20;
/// The version of the layout, and of a writer without known flaws (ORC-135).
const VERSION: [u64; 2] = [0, 12];
const WRITER_VERSION: u64 = 6;
/// A chunk's head has 23 bits for its length.
const CHUNK_BYTES_MAX: u64 = (1 << 23) - 1;

pub struct OrcWriter {
    packing: Packing,
    texts: Kind,
    rules: Rules,
    zone: String,
    types: Vec<Type>,
    root: Option<Column>,
    /// Bytes written so far.
    at: u64,
    stripes: Vec<Stripe>,
    statistics: Vec<Message>,
}

impl OrcWriter {
    pub fn boxed(options: &FormatOptions) -> Result<Box<dyn FormatWriter>> {
        let settings = &options.settings;
        let name = settings.get("output_format_orc_compression_method").unwrap_or("zstd");
        let codec = Codec::named(name).ok_or_else(|| {
            let message = format!("Unexpected value of ORCCompression: '{name}'");
            Error::new(codes::BAD_ARGUMENTS, message)
        })?;
        let chunk = settings.u64("output_format_orc_compression_block_size", 262_144);
        let as_string = settings.bool("output_format_orc_string_as_string", true);
        let zone = settings.get("output_format_orc_writer_time_zone_name").unwrap_or("GMT");
        let share = settings.get("output_format_orc_dictionary_key_size_threshold");
        Ok(Box::new(OrcWriter {
            packing: Packing { codec, chunk_bytes: chunk.clamp(1, CHUNK_BYTES_MAX) as usize },
            texts: if as_string { Kind::String } else { Kind::Binary },
            rules: Rules {
                dictionary_share: share.and_then(|s| s.parse().ok()).unwrap_or(0.0),
                zone: zone_of(options, "output_format_orc_writer_time_zone_name")?,
            },
            zone: zone.to_string(),
            types: vec![],
            root: None,
            at: 0,
            stripes: vec![],
            statistics: vec![],
        }))
    }

    fn write_stripe(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let Some(root) = &mut self.root else { return Ok(()) };
        let rows = *root.rows_mut().0;
        if rows == 0 {
            return Ok(());
        }
        let before = out.len();
        let mut streams =
            Streams { packing: self.packing, out, footer: Message::default(), statistics: vec![] };
        root.flush(&self.rules, &mut streams)?;
        let (mut footer, statistics) = (streams.footer, streams.statistics);
        footer.bytes(3, self.zone.as_bytes());
        let data_bytes = (out.len() - before) as u64;
        let footer_bytes = self.packing.pack(&footer.0, out).map_err(failed)? as u64;
        self.stripes.push(Stripe {
            offset: self.at,
            index_bytes: 0,
            data_bytes,
            footer_bytes,
            rows,
        });
        self.at += data_bytes + footer_bytes;
        let mut all = Message::default();
        statistics.iter().for_each(|one| {
            all.bytes(1, &one.0);
        });
        self.statistics.push(all);
        Ok(())
    }

    fn write_end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut metadata = Message::default();
        self.statistics.iter().for_each(|stripe| {
            metadata.bytes(1, &stripe.0);
        });
        let metadata_bytes = self.packing.pack(&metadata.0, out).map_err(failed)?;
        let mut footer = Message::default();
        footer.number(1, MAGIC.len() as u64).number(2, self.at - MAGIC.len() as u64);
        self.stripes.iter().for_each(|stripe| {
            footer.bytes(3, &stripe.message().0);
        });
        self.types.iter().for_each(|one| {
            footer.bytes(4, &one.message().0);
        });
        footer.number(6, self.stripes.iter().map(|s| s.rows).sum());
        let mut totals = vec![];
        if let Some(root) = &self.root {
            root.totals(&mut totals);
        }
        totals.iter().for_each(|one| {
            footer.bytes(7, &one.0);
        });
        footer.number(8, 0);
        let footer_bytes = self.packing.pack(&footer.0, out).map_err(failed)?;
        let mut postscript = Message::default();
        postscript.number(1, footer_bytes as u64).number(2, self.packing.codec.number());
        postscript.number(3, self.packing.chunk_bytes as u64).packed(4, VERSION.into_iter());
        postscript.number(5, metadata_bytes as u64).number(6, WRITER_VERSION).bytes(8000, MAGIC);
        out.extend_from_slice(&postscript.0);
        out.push(postscript.0.len() as u8);
        Ok(())
    }
}

fn failed(e: std::io::Error) -> Error {
    Error::new(codes::INCORRECT_DATA, format!("orc: cannot compress: {e}"))
}

impl FormatWriter for OrcWriter {
    fn prefix(&mut self, schema: &[(String, DataType)], out: &mut Vec<u8>) -> Result<()> {
        let mut types = vec![Type::plain(Kind::Struct)];
        for (name, data_type) in schema {
            let id = append(data_type, self.texts, &mut types)?;
            types[0].names.push(name.clone());
            types[0].children.push(id);
        }
        self.root = Some(Column::new(&types, 0));
        self.types = types;
        self.at = MAGIC.len() as u64;
        out.extend_from_slice(MAGIC);
        Ok(())
    }

    fn block(&mut self, block: &Block, out: &mut Vec<u8>) -> Result<()> {
        let Some(root) = &mut self.root else { return Ok(()) };
        let (rows, children) = root.rows_mut();
        *rows += block.rows() as u64;
        for (child, column) in children.iter_mut().zip(&block.columns) {
            child.push(&column.data_type, column.array.as_ref(), &self.rules)?;
        }
        if root.waiting() >= STRIPE_BYTES {
            self.write_stripe(out)?;
        }
        Ok(())
    }

    fn suffix(&mut self, _statistics: &WriterStatistics, out: &mut Vec<u8>) -> Result<()> {
        self.write_stripe(out)?;
        self.write_end(out)
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }
}
