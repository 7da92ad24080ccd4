//! Opening Parquet files so that texts are taken as bytes: a String is bytes, and what is not UTF-8 is no fault
//! of the input, so the library need not look at each.
//!
//! Only columns at the top level, and only of files that do not bring Arrow's own schema, which says itself what
//! texts are to be.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{ConvertedType, Type as PhysicalType};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// The directory of a file, as the file has it.
pub(super) fn directory(file: &[u8]) -> Result<ArrowReaderMetadata> {
    ArrowReaderMetadata::load(&Slice(file), ArrowReaderOptions::default())
}

/// A file of which only pieces are copied.
struct Slice<'a>(&'a [u8]);

impl Slice<'_> {
    fn from(&self, start: u64) -> Result<&[u8]> {
        let rest = usize::try_from(start).ok().and_then(|start| self.0.get(start..));
        rest.ok_or_else(|| ParquetError::EOF(format!("byte {start} of {}", self.0.len())))
    }
}

impl Length for Slice<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl<'a> ChunkReader for Slice<'a> {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Cursor<Bytes>> {
        Ok(Cursor::new(Bytes::copy_from_slice(self.from(start)?)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let piece = self.from(start)?.get(..length);
        let short = || ParquetError::EOF(format!("{length} bytes from {start} on"));
        piece.map(Bytes::copy_from_slice).ok_or_else(short)
    }
}

/// The directory of the file, with texts as bytes.
pub(super) fn metadata(file: &Bytes) -> Result<ArrowReaderMetadata> {
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::default())?;
    let own = metadata.metadata().file_metadata().key_value_metadata();
    let has_own = own.is_some_and(|all| all.iter().any(|kv| kv.key == ARROW_SCHEMA_META_KEY));
    match has_own {
        true => Ok(metadata),
        false => {
            let plain = Arc::new(without_texts(metadata.metadata())?);
            ArrowReaderMetadata::try_new(plain, ArrowReaderOptions::default())
        }
    }
}

fn without_texts(metadata: &ParquetMetaData) -> Result<ParquetMetaData> {
    let file = metadata.file_metadata();
    let root = file.schema_descr().root_schema();
    let fields = root.get_fields().iter().map(as_bytes).collect::<Result<Vec<_>>>()?;
    let root = Type::group_type_builder(root.name()).with_fields(fields).build()?;
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_string),
        file.key_value_metadata().cloned(),
        Arc::new(SchemaDescriptor::new(Arc::new(root))),
        file.column_orders().cloned(),
    );
    Ok(ParquetMetaData::new(file, metadata.row_groups().to_vec()))
}

/// The field as plain bytes if it is a text.
fn as_bytes(field: &TypePtr) -> Result<TypePtr> {
    let info = field.get_basic_info();
    let is_text = field.is_primitive()
        && field.get_physical_type() == PhysicalType::BYTE_ARRAY
        && info.converted_type() == ConvertedType::UTF8;
    if !is_text {
        return Ok(field.clone());
    }
    let bytes = Type::primitive_type_builder(field.name(), PhysicalType::BYTE_ARRAY)
        .with_repetition(info.repetition())
        .with_id(info.has_id().then(|| info.id()))
        .build()?;
    Ok(Arc::new(bytes))
}
