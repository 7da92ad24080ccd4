//! Opening Parquet files so that texts are taken as bytes: a String is bytes, and what is not UTF-8 is no fault
//! of the input, so the library need not look at each.
//!
//! Only columns at the top level, and only of files that do not bring Arrow's own schema, which says itself what
//! texts are to be.

use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{ConvertedType, Type as PhysicalType};
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// A reader of the file.
pub(super) fn open(file: Bytes) -> Result<ParquetRecordBatchReaderBuilder<Bytes>> {
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())?;
    let own = metadata.metadata().file_metadata().key_value_metadata();
    let has_own = own.is_some_and(|all| all.iter().any(|kv| kv.key == ARROW_SCHEMA_META_KEY));
    let metadata = match has_own {
        true => metadata,
        false => {
            let plain = Arc::new(without_texts(metadata.metadata())?);
            ArrowReaderMetadata::try_new(plain, ArrowReaderOptions::default())?
        }
    };
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata))
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
