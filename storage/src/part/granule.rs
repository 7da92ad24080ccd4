//! One granule of one column on its way into a part: hashed, encoded, and noted in the column's directory entry.

use arrow_array::Array;

use super::codec::ColumnCodec;
use super::content_hash::{number_hash, row_hashes, sum};
use super::encode::{Encoder, decoded_bytes};
use super::footer::{ColumnWriter, Mark};
use super::layout::Layout;
use crate::error::{Error, Result};
use crate::xxh3::xxh3;

/// Puts granules into bytes; keeps its memory between them, and leaves it to the next part.
pub(super) struct GranuleEncoder {
    pub(super) encoder: Encoder,
    hashes: Vec<u64>,
}

impl GranuleEncoder {
    /// `sorts_texts`: as [`Encoder::set_sorts_texts`] has it.
    pub(super) fn new(sorts_texts: bool) -> GranuleEncoder {
        let mut encoder = Encoder::take();
        encoder.set_sorts_texts(sorts_texts);
        GranuleEncoder { encoder, hashes: vec![] }
    }

    /// One of the same kind, for another thread.
    pub(super) fn another(&self) -> GranuleEncoder {
        GranuleEncoder::new(self.encoder.sorts_texts())
    }

    /// Appends the granule `array` to `bytes` and to the entry of its column. The offset of its mark counts from the
    /// first of `bytes`.
    pub(super) fn put(
        &mut self,
        column: &mut ColumnWriter,
        codec: &ColumnCodec,
        array: &dyn Array,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let layout = &column.layout;
        check_nulls(column, array)?;
        let numbers = number_hash(layout, array);
        let hash = match numbers {
            Some((hash, _)) => hash,
            None => {
                self.hashes.clear();
                row_hashes(layout, array, &mut self.hashes);
                sum(&self.hashes)
            }
        };
        column.content_hash = column.content_hash.wrapping_add(hash);
        let first = bytes.len();
        let hashes =
            matches!(layout, Layout::Strings | Layout::FixedBytes(_)).then_some(&self.hashes[..]);
        self.encoder.set_codec(codec);
        self.encoder.encode(layout, array, hashes, bytes)?;
        let decoded = decoded_bytes(layout, array);
        let (Ok(length), Ok(decoded32)) =
            (u32::try_from(bytes.len() - first), u32::try_from(decoded))
        else {
            return Err(Error::LimitExceeded(format!(
                "a granule of column {} takes {decoded} bytes, more than 4 GiB",
                column.name
            )));
        };
        column.decoded_bytes += decoded as u64;
        column.marks.push(Mark {
            file_offset: first as u64,
            length,
            decoded: decoded32,
            hash: xxh3(&bytes[first..]),
        });
        column.nulls.push(array.null_count() as u32);
        let distinct = hashes.and(self.encoder.distinct_rows());
        match numbers {
            Some((_, true)) => column.ranges.push(&column.layout, &array.slice(0, 1), None),
            _ => column.ranges.push(&column.layout, array, distinct),
        }
        Ok(())
    }
}

impl Drop for GranuleEncoder {
    fn drop(&mut self) {
        std::mem::take(&mut self.encoder).give_back();
    }
}

fn check_nulls(column: &ColumnWriter, array: &dyn Array) -> Result<()> {
    if array.null_count() > 0 && !column.data_type.is_nullable() {
        return Err(Error::Column(format!(
            "column {} of type {} holds NULL",
            column.name, column.data_type
        )));
    }
    Ok(())
}
