//! What Arrow's messages announce, checked before the library believes it: where they end, that their
//! blocks lie within the input, and how large their packed buffers say to become (the library reserves
//! that much memory at once).

use arrow_ipc::{BodyCompression, CompressionType, Message, RecordBatch};

use super::bad;
use crate::format::ParseError;
use crate::format::columns::BUFFERED_BYTES_MAX;

type Checked<T> = Result<T, ParseError>;

const CONTINUATION: u32 = u32::MAX;
/// The most that LZ4 can make of a byte, rounded up.
const LZ4_RATIO_MAX: usize = 256;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.first_chunk().map(|w| u32::from_le_bytes(*w))
}

/// Where the message ends that stands at the beginning of `bytes`; None while it is not whole.
pub fn message_end(bytes: &[u8]) -> Checked<Option<usize>> {
    let Some(mut size) = word(bytes, 0) else { return Ok(None) };
    let mut at = 4;
    if size == CONTINUATION {
        let Some(next) = word(bytes, 4) else { return Ok(None) };
        (size, at) = (next, 8);
    }
    // The mark of the stream's end.
    if size == 0 {
        return Ok(Some(at));
    }
    let body = at + size as usize;
    let Some(head) = bytes.get(at..body) else { return Ok(None) };
    let message = arrow_ipc::root_as_message(head).map_err(bad)?;
    let length = usize::try_from(message.bodyLength()).map_err(|_| bad("a negative length"))?;
    let end = body.checked_add(length).ok_or_else(|| bad("a length beyond all memory"))?;
    match bytes.get(body..end) {
        None => Ok(None),
        Some(body) => check_buffers(&message, body).map(|()| Some(end)),
    }
}

fn check_buffers(message: &Message, body: &[u8]) -> Checked<()> {
    let dictionary = message.header_as_dictionary_batch().and_then(|d| d.data());
    for batch in message.header_as_record_batch().into_iter().chain(dictionary) {
        if let Some(compression) = batch.compression() {
            check_packed(&batch, &compression, body)?;
        }
    }
    Ok(())
}

fn check_packed(batch: &RecordBatch, compression: &BodyCompression, body: &[u8]) -> Checked<()> {
    let mut total = 0usize;
    for buffer in batch.buffers().into_iter().flatten() {
        let from = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
        let length = usize::try_from(buffer.length()).unwrap_or(usize::MAX);
        if length == 0 {
            continue;
        }
        let packed = from.checked_add(length).and_then(|end| body.get(from..end));
        let packed = packed.ok_or_else(|| bad("a buffer lies outside of its message"))?;
        let announced = packed.first_chunk().map(|w| i64::from_le_bytes(*w));
        let announced = match announced.ok_or_else(|| bad("a packed buffer has no length"))? {
            -1 => packed.len(),
            n => usize::try_from(n).map_err(|_| bad("a negative length of a packed buffer"))?,
        };
        let lz4 = compression.codec() == CompressionType::LZ4_FRAME;
        if lz4 && announced > packed.len().saturating_mul(LZ4_RATIO_MAX) {
            return Err(bad("a packed buffer says to become more than it can"));
        }
        total = total.saturating_add(announced);
    }
    if total > BUFFERED_BYTES_MAX {
        return Err(bad(format!(
            "a batch says to become {total} bytes, more than the maximum of {BUFFERED_BYTES_MAX}"
        )));
    }
    Ok(())
}

/// Checks all that a file's directory, at its end, points to.
pub fn check_file(bytes: &[u8]) -> Checked<()> {
    let directory = || {
        let tail = bytes.len().checked_sub(10)?;
        let size = word(bytes, tail)? as usize;
        bytes.get(tail.checked_sub(size)?..tail)
    };
    let directory = directory().ok_or_else(|| bad("the file ends before its directory"))?;
    let footer = arrow_ipc::root_as_footer(directory).map_err(bad)?;
    let batches = footer.recordBatches().into_iter().flatten();
    for block in footer.dictionaries().into_iter().flatten().chain(batches) {
        let from = usize::try_from(block.offset()).unwrap_or(usize::MAX);
        let head = usize::try_from(block.metaDataLength()).unwrap_or(usize::MAX);
        let body = usize::try_from(block.bodyLength()).unwrap_or(usize::MAX);
        let end = from.saturating_add(head).saturating_add(body);
        let block = bytes.get(from..end).ok_or_else(|| bad("a batch lies outside of the file"))?;
        if message_end(block)?.is_none() {
            return Err(bad("a batch is longer than the directory says"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

    use super::*;
    use crate::format::{FormatOptions, InputColumn, reader};

    fn packed(file: bool, how: CompressionType) -> Vec<u8> {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["the same text again"; 500]));
        let batch = RecordBatch::try_from_iter([("s", texts)]).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(Some(how)).unwrap();
        let schema = batch.schema();
        if file {
            let mut w = FileWriter::try_new_with_options(vec![], &schema, options).unwrap();
            w.write(&batch).unwrap();
            return w.into_inner().unwrap();
        }
        let mut w = StreamWriter::try_new_with_options(vec![], &schema, options).unwrap();
        w.write(&batch).unwrap();
        w.into_inner().unwrap()
    }

    fn read(format: &str, bytes: &[u8]) -> Result<usize, ParseError> {
        let data_type = pumphouse_storage::DataType::String;
        let columns = [InputColumn { name: "s".into(), data_type }];
        let time_zone = pumphouse_storage::types::TimeZone::UTC;
        let options = FormatOptions { settings: Default::default(), time_zone };
        reader(format, &columns, &options).unwrap().read_message(bytes)
    }

    #[test]
    fn packed_buffers_are_read_and_lies_about_them_refused() {
        for how in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
            for (file, format) in [(true, "Arrow"), (false, "ArrowStream")] {
                let good = packed(file, how);
                assert_eq!(read(format, &good), Ok(500), "{format}");
                // What the texts say to become.
                for length in [19 * 500i64] {
                    let at = good.windows(8).position(|w| w == length.to_le_bytes()).unwrap();
                    for lie in [i64::MAX, i64::MIN, length + 1, 1 << 40] {
                        let mut bad = good.clone();
                        bad[at..at + 8].copy_from_slice(&lie.to_le_bytes());
                        assert_eq!(read(format, &bad).unwrap_err().code, 117, "{format} {lie}");
                    }
                }
                for cut in (0..good.len() - 8).step_by(7).skip(1) {
                    assert!(read(format, &good[..cut]).is_err(), "{format} {cut}");
                }
            }
        }
    }
}
