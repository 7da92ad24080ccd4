//! The formats by name. A new format is a file and a line here.

use super::Format;
use super::arrow::{ArrowReader, ArrowWriter, Container};
use super::avro::{AvroReader, AvroWriter, ConfluentReader, ConfluentWriter};
use super::bson::{BsonLayout, BsonWriter};
use super::capn_proto::{CapnProtoLayout, CapnProtoWriter};
use super::csv::CsvWriter;
use super::csv_reader::CsvReader;
use super::custom::{CustomLayout, CustomWriter};
use super::form::{FormLayout, OneReader};
use super::geo_json::{GeoJsonLayout, GeoJsonWriter};
use super::hash::HashWriter;
use super::header::Header;
use super::hive_text::HiveTextWriter;
use super::json_compact::JsonCompactReader;
use super::json_document::{JsonDocumentWriter, Layout};
use super::json_each_row::JsonEachRowReader;
use super::json_input::{Document, JsonDocumentReader};
use super::json_progress::JsonProgressWriter;
use super::json_rows::{JsonRowsWriter, Row};
use super::keyed::KeyedLayout;
use super::markdown::MarkdownWriter;
use super::msg_pack::{MsgPackLayout, MsgPackWriter};
use super::native::{NativeReader, NativeWriter};
use super::npy::{NpyLayout, NpyWriter};
use super::orc::{OrcReader, OrcWriter};
use super::plain::{PlainReader, PlainWriter, Unit};
use super::pretty::{PrettyWriter, Style};
use super::prometheus::PrometheusWriter;
use super::protobuf::{Framing, ProtobufReader, ProtobufWriter};
use super::regexp::RegexpLayout;
use super::row_binary::{RowBinaryReader, RowBinaryWriter};
use super::tab_separated::{TabSeparatedReader, TabSeparatedWriter};
use super::template::{TemplateLayout, TemplateWriter};
use super::values::{ValuesReader, ValuesWriter};
use super::vertical::VerticalWriter;
use super::xml::XmlWriter;

macro_rules! formats {
    ($($name:literal: $reader:expr, $writer:expr;)*) => {
        &[$(Format { name: $name, reader: $reader, writer: $writer }),*]
    };
}

/// All formats, sorted by name as ClickHouse spells it: reader, writer.
#[rustfmt::skip]
static FORMATS: &[Format] = formats! {
    "Arrow": Some(|c, o| ArrowReader::boxed(c, o, Container::File)), Some(|o| ArrowWriter::boxed(o, Container::File));
    "ArrowStream": Some(|c, o| ArrowReader::boxed(c, o, Container::Stream)), Some(|o| ArrowWriter::boxed(o, Container::Stream));
    "Avro": Some(AvroReader::boxed), Some(AvroWriter::boxed);
    "AvroConfluent": Some(ConfluentReader::boxed), Some(ConfluentWriter::boxed);
    "BSONEachRow": Some(BsonLayout::boxed), Some(BsonWriter::boxed);
    "CSV": Some(|c, o| CsvReader::boxed(c, o, Header::None)), Some(|o| CsvWriter::boxed(o, Header::None));
    "CSVWithNames": Some(|c, o| CsvReader::boxed(c, o, Header::Names)), Some(|o| CsvWriter::boxed(o, Header::Names));
    "CSVWithNamesAndTypes": Some(|c, o| CsvReader::boxed(c, o, Header::NamesAndTypes)), Some(|o| CsvWriter::boxed(o, Header::NamesAndTypes));
    "CapnProto": Some(CapnProtoLayout::boxed), Some(CapnProtoWriter::boxed);
    "CustomSeparated": Some(|c, o| CustomLayout::boxed(c, o, Header::None)), Some(|o| CustomWriter::boxed(o, Header::None));
    "CustomSeparatedWithNames": Some(|c, o| CustomLayout::boxed(c, o, Header::Names)), Some(|o| CustomWriter::boxed(o, Header::Names));
    "CustomSeparatedWithNamesAndTypes": Some(|c, o| CustomLayout::boxed(c, o, Header::NamesAndTypes)), Some(|o| CustomWriter::boxed(o, Header::NamesAndTypes));
    "Form": Some(FormLayout::boxed), None;
    "GeoJSON": Some(GeoJsonLayout::boxed), Some(GeoJsonWriter::boxed);
    "Hash": None, Some(HashWriter::boxed);
    "HiveText": None, Some(HiveTextWriter::boxed);
    "JSON": Some(|c, o| JsonDocumentReader::boxed(c, o, Document::Rows(Layout::Objects))), Some(|o| JsonDocumentWriter::boxed(o, Layout::Objects, false));
    "JSONAsObject": Some(|c, o| PlainReader::boxed(c, o, Unit::JsonObject)), None;
    "JSONAsString": Some(|c, o| PlainReader::boxed(c, o, Unit::JsonObject)), None;
    "JSONColumns": Some(|c, o| JsonDocumentReader::boxed(c, o, Document::Rows(Layout::Columns))), Some(|o| JsonDocumentWriter::boxed(o, Layout::Columns, false));
    "JSONColumnsWithMetadata": Some(|c, o| JsonDocumentReader::boxed(c, o, Document::Rows(Layout::ColumnsWithMetadata))), Some(|o| JsonDocumentWriter::boxed(o, Layout::ColumnsWithMetadata, false));
    "JSONCompact": Some(|c, o| JsonDocumentReader::boxed(c, o, Document::Rows(Layout::Arrays))), Some(|o| JsonDocumentWriter::boxed(o, Layout::Arrays, false));
    "JSONCompactColumns": Some(|c, o| JsonDocumentReader::boxed(c, o, Document::Rows(Layout::CompactColumns))), Some(|o| JsonDocumentWriter::boxed(o, Layout::CompactColumns, false));
    "JSONCompactEachRow": Some(|c, o| JsonCompactReader::boxed(c, o, Header::None, false)), Some(|o| JsonRowsWriter::boxed(o, Row::Array, Header::None, false));
    "JSONCompactEachRowWithNames": Some(|c, o| JsonCompactReader::boxed(c, o, Header::Names, false)), Some(|o| JsonRowsWriter::boxed(o, Row::Array, Header::Names, false));
    "JSONCompactEachRowWithNamesAndTypes": Some(|c, o| JsonCompactReader::boxed(c, o, Header::NamesAndTypes, false)), Some(|o| JsonRowsWriter::boxed(o, Row::Array, Header::NamesAndTypes, false));
    "JSONCompactEachRowWithProgress": None, Some(|o| JsonProgressWriter::boxed(o, true, false));
    "JSONCompactStrings": None, Some(|o| JsonDocumentWriter::boxed(o, Layout::Arrays, true));
    "JSONCompactStringsEachRow": Some(|c, o| JsonCompactReader::boxed(c, o, Header::None, true)), Some(|o| JsonRowsWriter::boxed(o, Row::Array, Header::None, true));
    "JSONCompactStringsEachRowWithNames": Some(|c, o| JsonCompactReader::boxed(c, o, Header::Names, true)), Some(|o| JsonRowsWriter::boxed(o, Row::Array, Header::Names, true));
    "JSONCompactStringsEachRowWithNamesAndTypes": Some(|c, o| JsonCompactReader::boxed(c, o, Header::NamesAndTypes, true)), Some(|o| JsonRowsWriter::boxed(o, Row::Array, Header::NamesAndTypes, true));
    "JSONCompactStringsEachRowWithProgress": None, Some(|o| JsonProgressWriter::boxed(o, true, true));
    "JSONEachRow": Some(|c, o| JsonEachRowReader::boxed(c, o, false)), Some(|o| JsonRowsWriter::boxed(o, Row::Object, Header::None, false));
    "JSONEachRowWithProgress": None, Some(|o| JsonProgressWriter::boxed(o, false, false));
    "JSONL": Some(|c, o| JsonEachRowReader::boxed(c, o, false)), Some(|o| JsonRowsWriter::boxed(o, Row::Object, Header::None, false));
    "JSONLines": Some(|c, o| JsonEachRowReader::boxed(c, o, false)), Some(|o| JsonRowsWriter::boxed(o, Row::Object, Header::None, false));
    "JSONObjectEachRow": Some(|c, o| JsonDocumentReader::boxed(c, o, Document::NamedRows)), Some(|o| JsonRowsWriter::boxed(o, Row::Named, Header::None, false));
    "JSONStrings": None, Some(|o| JsonDocumentWriter::boxed(o, Layout::Objects, true));
    "JSONStringsEachRow": Some(|c, o| JsonEachRowReader::boxed(c, o, true)), Some(|o| JsonRowsWriter::boxed(o, Row::Object, Header::None, true));
    "JSONStringsEachRowWithProgress": None, Some(|o| JsonProgressWriter::boxed(o, false, true));
    "LineAsString": Some(|c, o| PlainReader::boxed(c, o, Unit::Line)), Some(|o| TabSeparatedWriter::boxed(o, Header::None, true));
    "LineAsStringWithNames": None, Some(|o| TabSeparatedWriter::boxed(o, Header::Names, true));
    "LineAsStringWithNamesAndTypes": None, Some(|o| TabSeparatedWriter::boxed(o, Header::NamesAndTypes, true));
    "MD": None, Some(MarkdownWriter::boxed);
    "Markdown": None, Some(MarkdownWriter::boxed);
    "MsgPack": Some(MsgPackLayout::boxed), Some(MsgPackWriter::boxed);
    "NDJSON": Some(|c, o| JsonEachRowReader::boxed(c, o, false)), Some(|o| JsonRowsWriter::boxed(o, Row::Object, Header::None, false));
    "Native": Some(NativeReader::boxed), Some(NativeWriter::boxed);
    "Npy": Some(NpyLayout::boxed), Some(NpyWriter::boxed);
    "Null": None, Some(PlainWriter::null);
    "ORC": Some(OrcReader::boxed), Some(OrcWriter::boxed);
    "One": Some(OneReader::boxed), None;
    "Parquet": Some(|c, o| ArrowReader::boxed(c, o, Container::Parquet)), Some(|o| ArrowWriter::boxed(o, Container::Parquet));
    "Pretty": None, Some(|o| PrettyWriter::boxed(o, Style::Grid));
    "PrettyCompact": None, Some(|o| PrettyWriter::boxed(o, Style::Compact));
    "PrettyCompactMonoBlock": None, Some(|o| PrettyWriter::boxed(o, Style::Compact));
    "PrettyCompactNoEscapes": None, Some(|o| PrettyWriter::plain(o, Style::Compact));
    "PrettyCompactNoEscapesMonoBlock": None, Some(|o| PrettyWriter::plain(o, Style::Compact));
    "PrettyJSONEachRow": None, Some(|o| JsonRowsWriter::boxed(o, Row::Indented, Header::None, false));
    "PrettyJSONLines": None, Some(|o| JsonRowsWriter::boxed(o, Row::Indented, Header::None, false));
    "PrettyMonoBlock": None, Some(|o| PrettyWriter::boxed(o, Style::Grid));
    "PrettyNDJSON": None, Some(|o| JsonRowsWriter::boxed(o, Row::Indented, Header::None, false));
    "PrettyNoEscapes": None, Some(|o| PrettyWriter::plain(o, Style::Grid));
    "PrettyNoEscapesMonoBlock": None, Some(|o| PrettyWriter::plain(o, Style::Grid));
    "PrettySpace": None, Some(|o| PrettyWriter::boxed(o, Style::Space));
    "PrettySpaceMonoBlock": None, Some(|o| PrettyWriter::boxed(o, Style::Space));
    "PrettySpaceNoEscapes": None, Some(|o| PrettyWriter::plain(o, Style::Space));
    "PrettySpaceNoEscapesMonoBlock": None, Some(|o| PrettyWriter::plain(o, Style::Space));
    "Prometheus": None, Some(PrometheusWriter::boxed);
    "Protobuf": Some(|c, o| ProtobufReader::boxed(c, o, Framing::Lengths)), Some(|o| ProtobufWriter::boxed(o, Framing::Lengths));
    "ProtobufList": Some(|c, o| ProtobufReader::boxed(c, o, Framing::List)), Some(|o| ProtobufWriter::boxed(o, Framing::List));
    "ProtobufSingle": Some(|c, o| ProtobufReader::boxed(c, o, Framing::Single)), Some(|o| ProtobufWriter::boxed(o, Framing::Single));
    "Raw": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::None, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::None, true));
    "RawBLOB": Some(|c, o| PlainReader::boxed(c, o, Unit::Everything)), Some(PlainWriter::raw_blob);
    "RawWithNames": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::Names, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::Names, true));
    "RawWithNamesAndTypes": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::NamesAndTypes, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::NamesAndTypes, true));
    "Regexp": Some(RegexpLayout::boxed), None;
    "RowBinary": Some(|c, o| RowBinaryReader::boxed(c, o, Header::None, false)), Some(|o| RowBinaryWriter::boxed(o, Header::None));
    "RowBinaryWithDefaults": Some(|c, o| RowBinaryReader::boxed(c, o, Header::None, true)), None;
    "RowBinaryWithNames": Some(|c, o| RowBinaryReader::boxed(c, o, Header::Names, false)), Some(|o| RowBinaryWriter::boxed(o, Header::Names));
    "RowBinaryWithNamesAndTypes": Some(|c, o| RowBinaryReader::boxed(c, o, Header::NamesAndTypes, false)), Some(|o| RowBinaryWriter::boxed(o, Header::NamesAndTypes));
    "RowBinaryWithNamesAndTypesAndDefaults": Some(|c, o| RowBinaryReader::boxed(c, o, Header::NamesAndTypes, true)), None;
    "SQLInsert": None, Some(ValuesWriter::sql_insert);
    "TSKV": Some(KeyedLayout::boxed), Some(TabSeparatedWriter::keyed);
    "TSV": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::None, false)), Some(|o| TabSeparatedWriter::boxed(o, Header::None, false));
    "TSVRaw": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::None, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::None, true));
    "TSVRawWithNames": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::Names, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::Names, true));
    "TSVRawWithNamesAndTypes": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::NamesAndTypes, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::NamesAndTypes, true));
    "TSVWithNames": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::Names, false)), Some(|o| TabSeparatedWriter::boxed(o, Header::Names, false));
    "TSVWithNamesAndTypes": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::NamesAndTypes, false)), Some(|o| TabSeparatedWriter::boxed(o, Header::NamesAndTypes, false));
    "TabSeparated": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::None, false)), Some(|o| TabSeparatedWriter::boxed(o, Header::None, false));
    "TabSeparatedRaw": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::None, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::None, true));
    "TabSeparatedRawWithNames": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::Names, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::Names, true));
    "TabSeparatedRawWithNamesAndTypes": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::NamesAndTypes, true)), Some(|o| TabSeparatedWriter::boxed(o, Header::NamesAndTypes, true));
    "TabSeparatedWithNames": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::Names, false)), Some(|o| TabSeparatedWriter::boxed(o, Header::Names, false));
    "TabSeparatedWithNamesAndTypes": Some(|c, o| TabSeparatedReader::boxed(c, o, Header::NamesAndTypes, false)), Some(|o| TabSeparatedWriter::boxed(o, Header::NamesAndTypes, false));
    "Template": Some(TemplateLayout::boxed), Some(TemplateWriter::boxed);
    "TemplateIgnoreSpaces": Some(TemplateLayout::without_spaces), None;
    "Values": Some(ValuesReader::boxed), Some(ValuesWriter::boxed);
    "Vertical": None, Some(VerticalWriter::boxed);
    "XML": None, Some(XmlWriter::boxed);
};

/// The format called `name`; its exact name, else in any case.
pub fn lookup(name: &str) -> Option<&'static Format> {
    FORMATS
        .iter()
        .find(|f| f.name == name)
        .or_else(|| FORMATS.iter().find(|f| f.name.eq_ignore_ascii_case(name)))
}

/// All formats, in the order of their names.
pub fn names() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter()
}
