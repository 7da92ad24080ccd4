"""Every setting of formats, our server against the real ClickHouse engine, byte for byte.

    settings.py PORT SHARE [PART_OF_A_NAME]

Walks `system.settings` of the real engine: each `format_*`, `input_format_*`, `output_format_*` and their kin takes
values that differ from its default, over small results (written), small inputs (read, and their columns inferred),
and binary files (what either engine wrote is read by ClickHouse). By defaults errors must have ClickHouse's code; under a
setting that input is not made for, which of several errors comes first is not compared. Of all pairs of a setting and
what it is tried on every SHARE-th is compared (1 = all). What differs stands in `LISTED` with its reason, and must. Ends
with 1 and prints the differences if there are any.
"""

import re
import sys
from http.client import HTTPConnection
from urllib.parse import urlencode

from chdb import session

PORT, SHARE, ONLY = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""
ours = HTTPConnection("127.0.0.1", PORT, timeout=60)
oracle = session.Session()
oracle.query("SET output_format_write_statistics = 0, session_timezone = 'UTC'")

# What results look like that the settings of writing change.
RESULTS = [
    "SELECT toInt64(number * 1000003) AS i, toUInt256(number) AS w, number / 3 AS f, toFloat32(number) AS g, toDecimal64(number * 1.5, 4) AS d, if(number % 2 = 0, NULL, toDecimal32(number, 2)) AS nd FROM numbers(3)",
    "SELECT arrayJoin(['', 'a/b<>&', 'it''s \"q\"', 'x\\ty\\nz', ' trail  ', '|p|*_`#', 'NULL', '\\\\N']) AS s, toFixedString('ab', 4) AS fs, true AS b, CAST(NULL AS Nullable(Bool)) AS nb",
    "SELECT (1, 'x', NULL, 1.5)::Tuple(a Int64, b String, c Nullable(Int8), d Float64) AS t, map('k', (1, 'z'), 'l', (2, 'y''')) AS m, [(1, 2.5), (3, 4)] AS at, (1, (2, 'q')) AS nt, (1, NULL)::Tuple(`x y` Int8, z Nullable(String)) AS q",
    "SELECT nan AS a, inf AS b, -inf AS c, toFloat32(nan) AS d, [nan, 1] AS e, 1e100 AS h, 0.1 + 0.2 AS k, -0.0 AS l, map('x', inf) AS m, CAST(nan AS Dynamic) AS dy",
    "SELECT toDateTime('2024-02-29 12:34:56', 'UTC') AS a, toDateTime64('2024-02-29 12:34:56.120', 3, 'UTC') AS b, toDateTime64('2024-02-29 12:34:56.000000', 6, 'Asia/Tokyo') AS c, toDate('2024-02-29') AS d, [toDateTime64('2001-12-31 23:59:59.500', 3, 'UTC')] AS e, toIntervalSecond(90061) AS i, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u",
    "SELECT '{\"a\":1,\"b\":{\"c\":[1,2],\"d\":\"x/y\"},\"n\":9007199254740993}'::JSON AS j, CAST(5 AS Dynamic) AS d, CAST('x' AS Variant(String, Int64)) AS v, toLowCardinality('lc') AS l, toLowCardinality(toNullable('n')) AS ln",
    "SELECT number AS n, toString(number) AS a_rather_long_column_name_indeed_it_is FROM numbers(60)",
    "SELECT number % 3 AS k, count() AS c, sum(number) AS `s x` FROM numbers(12) GROUP BY k WITH TOTALS ORDER BY k",
    "SELECT 1234567890.5 AS x", "SELECT 'a\\nb' AS x, 'c\\nd\\ne' AS y, 1 AS z", "SELECT 12345678901 AS `a b`",
]
JSON = ["JSON", "JSONStrings", "JSONCompact", "JSONEachRow", "JSONStringsEachRow", "JSONCompactEachRow", "JSONObjectEachRow",
        "JSONColumns", "JSONColumnsWithMetadata", "PrettyJSONEachRow", "JSONCompactColumns", "JSONEachRowWithProgress"]
PRETTY = ["Pretty", "PrettyCompact", "PrettySpace", "PrettyCompactMonoBlock", "PrettyNoEscapes"]
TABS = ["TSV", "TSKV", "TSVWithNamesAndTypes", "TSVRaw", "LineAsString"]
COMMAS = ["CSV", "CSVWithNames", "CSVWithNamesAndTypes"]
CUSTOM = ["CustomSeparated", "CustomSeparatedWithNames", "CustomSeparatedWithNamesAndTypes"]
BINARY = ["Native", "RowBinary", "RowBinaryWithNamesAndTypes", "MsgPack", "BSONEachRow"]
TEXT = TABS[:3] + COMMAS + CUSTOM[1:2] + ["Values", "SQLInsert", "Vertical", "Markdown", "XML", "HiveText"] + JSON + PRETTY[:3]
# Which formats a setting of writing may touch, by part of its name; the first that fits counts.
TOUCHED = [
    ("_csv_", COMMAS + CUSTOM[1:2]), ("_tsv_", TABS), ("_custom_", CUSTOM), ("_pretty_", PRETTY + ["Vertical"]), ("json_object_each_row", JSON),
    ("_json_", JSON + ["TSV", "CSV", "Values", "Pretty", "Vertical", "XML"]), ("sql_insert", ["SQLInsert"]), ("_values_", ["Values", "SQLInsert"]),
    ("markdown", ["Markdown"]), ("msgpack", ["MsgPack"]), ("bson", ["BSONEachRow"]), ("native", ["Native"]), ("_binary_", BINARY[:3]),
    ("hive_text", ["HiveText"]), ("low_cardinality_allow", ["Native"]),
]
FILES = {"arrow": ["Arrow", "ArrowStream"], "parquet": ["Parquet"], "orc": ["ORC"], "avro": ["Avro"]}
FILED = [
    "SELECT toInt32(number) AS i, toUInt64(number) AS u, number / 4 AS f, toString(number) AS s, toFixedString('ab', 3) AS fs, toLowCardinality(toString(number % 2)) AS lc, if(number = 1, NULL, number) AS n FROM numbers(3)",
    "SELECT toDate('2024-02-29') AS d, toDateTime('2024-02-29 12:34:56', 'UTC') AS t, toDateTime64('2024-02-29 12:34:56.120', 3, 'UTC') AS t6, CAST('b' AS Enum8('a' = 1, 'b' = 2)) AS e, [1, 2] AS a, (1, 'x')::Tuple(a Int32, b String) AS tu, map('k', 1) AS m",
    "SELECT toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u, toIPv4('1.2.3.4') AS ip",
    "SELECT toInt128(-5) AS w, toUInt256(7) AS w2, toDecimal64(1.5, 3) AS d",
]

# The results of types that HiveText has.
HIVE = ["a_rather_long", "1234567890.5", "'c\\nd"]

# Inputs: format, structure, text. Each is read as the structure says, and its columns inferred.
STRINGS, NUMBERS = "a String, b Int64", "a Int64, b Nullable(Int64)"
INPUTS = [
    ("CSV", STRINGS, '"x, y",1\n z ,2\n"q""r", 3 \n'), ("CSV", STRINGS, "'x,y',1\n'z',2\n"), ("CSV", STRINGS, "a|1\n'b'|2\n"), ("CSV", STRINGS, "a,1\rb,2\rc,3"),
    ("CSV", STRINGS, "x\ny,2,3\nz,3\n"), ("CSV", STRINGS, "x 1\ny\t2\n"), ("CSV", STRINGS, "a,b\nx,1\n"), ("CSV", STRINGS, "skip\nme,1\nx,2\n"),
    ("CSV", STRINGS, "x,1\n\n\n"), ("CSV", STRINGS, "x,bad\ny,2\n"), ("CSV", STRINGS, "x,\n,2\n"), ("CSV", NUMBERS, "1,\n,2\n\\N,\\N\n"), ("CSV", NUMBERS, "1,nil\nnil,2\n"),
    ("CSV", "a Array(String), b Int64", '"[""x"", ""y, z""]",1\n"""x"",""y""",2\n'), ("CSV", "a Array(String), b Int64", "\"['x','y']\",1\n"), ("CSV", "a Array(Int64), b Int64", '"1,2",1\n"[3]",2\n'),
    ("CSV", "a Tuple(x Int64, y String), b Int64", '1,"p",2\n3,q,4\n'), ("CSV", "a Tuple(x Int64, y String), b Int64", "\"(1,'p')\",2\n"), ("CSV", "a Enum8('x' = 1, 'y' = 2), b Int64", "x,1\n2,2\n"),
    ("CSV", "a Nullable(String), b Nullable(String)", 'x,\n,"y"\n"",\\N\n'), ("CSV", "a DateTime('UTC'), b DateTime64(3, 'UTC')", '"2024-02-29 12:34:56","2024-02-29 12:34:56.5"\n1700000000,1700000000\n2024-02-29T12:34:56Z,"Feb 29 2024 12:34"\n'),
    ("CSV", "a Int64, b Int64", '"1","2"\n"3","4"\n'), ("CSV", "a Tuple(Int64, Int64), b String", '"(1,2)","[3]"\n'), ("CSV", "a Int64, b Float64", "1,1e5\n2,3.5\n"), ("CSV", "a String, b String", '2024-02-29,"2024-02-29 12:34:56"\n'),
    ("CSV", "a IPv4, b IPv6", "1.2.3.4,::1\nx,y\n"), ("CSV", "a Bool, b Bool", "true,false\nyes,no\n1,0\n"),
    ("CSVWithNames", STRINGS, "b,a,c\n1,x,2\n2,y,3\n"), ("CSVWithNames", STRINGS, "B,A\n1,x\n"), ("CSVWithNames", STRINGS, "a\nx\n"), ("CSVWithNamesAndTypes", STRINGS, "a,b\nString,Int32\nx,1\n"),
    ("CSVWithNames", "a String, b Nullable(Int64)", "a\nx\n"),
    ("TSV", STRINGS, "x\t1\ny\t2\n"), ("TSV", STRINGS, "x\t1\r\ny\t2\r\n"), ("TSV", STRINGS, "x\ny\t2\t3\nz\t3\n"), ("TSV", STRINGS, "a\tb\nx\t1\n"), ("TSV", STRINGS, "skip\nme\t1\nx\t2\n"),
    ("TSV", STRINGS, "x\t1\n\n\n"), ("TSV", STRINGS, "x\tbad\ny\t2\n"), ("TSV", NUMBERS, "1\t\n\t2\n\\N\t\\N\n"), ("TSV", NUMBERS, "1\tnil\nnil\t2\n"), ("TSV", "a Enum8('x' = 1, 'y' = 2), b Int64", "x\t1\n2\t2\n"),
    ("TSV", "a Int64, b Float64", "1\t1e5\n2\t3.5\n"), ("TSV", "a Array(Int64), b String", "[1,2]\t2024-02-29\n[]\t2024-02-29\n"), ("TSV", "a DateTime('UTC'), b DateTime64(3, 'UTC')", "1700000000\t1700000000\n"),
    ("TSVWithNames", STRINGS, "b\ta\tc\n1\tx\t2\n"), ("TSVWithNamesAndTypes", STRINGS, "a\tb\nString\tInt32\nx\t1\n"), ("TSKV", STRINGS, "a=x\tb=1\nb=2\tc=3\n"), ("TSKV", NUMBERS, "a=\\N\tb=nil\n"),
    ("TSVRaw", STRINGS, "x\\t\t1\n"), ("TSV", "a Bool, b Bool", "true\tfalse\nyes\tno\n"),
    ("JSONEachRow", STRINGS, '{"a": "x", "b": 1, "c": 3}\n{"b": "2", "a": 5}\n'), ("JSONEachRow", STRINGS, '{"a": true, "b": true}\n{"a": {"x": 1}, "b": 2}\n{"a": [1, "y"], "b": 3}\n'),
    ("JSONEachRow", STRINGS, '{"a": 12.50, "b": 1}\n'), ("JSONEachRow", STRINGS, '{"a": {"x" : 1}}\n'), ("JSONEachRow", STRINGS, '{"a": [1 , 2]}\n'), ("JSONEachRow", STRINGS, '{"a": false}\n'), ("JSONEachRow", "a Int64, b Float64", '{"a": true, "b": false}\n'),
    ("JSONEachRow", STRINGS, '{"A": "x", "B": 1}\n'), ("JSONEachRow", NUMBERS, '{"a": null, "b": null}\n{}\n'), ("JSONEachRow", NUMBERS, '{"a": "", "b": ""}\n'),
    ("JSONEachRow", "a Tuple(x Int64, y String), b Int64", '{"a": {"x": 1, "y": "p", "z": 3}, "b": 2}\n'), ("JSONEachRow", "a Tuple(x Int64, y String), b Int64", '{"a": {"x": 1}, "b": 2}\n'), ("JSONEachRow", "a Tuple(x Int64, y String), b Int64", '{"a": [1, "p"], "b": 2}\n'),
    ("JSONEachRow", "a Map(String, Int64), b Int64", '{"a": {"k": 1}, "b": 2}\n'), ("JSONEachRow", "a Map(String, Int64), b Int64", '{"a": [["k", 1]], "b": 2}\n'), ("JSONEachRow", "`a.x` Int64, b Int64", '{"a": {"x": 5}, "b": 2}\n'),
    ("JSONEachRow", STRINGS, '{"a": "x\\qy", "b": 1}\n'), ("JSONEachRow", STRINGS, '{"a": "x", "b": "bad"}\n{"a": "y", "b": 2}\n'), ("JSONEachRow", "a Array(Array(Array(Int64))), b Int64", '{"a": [[[1]]], "b": 2}\n'),
    ("JSONEachRow", "a String, b String", '{"a": "1", "b": "2024-02-29"}\n{"a": "2.5", "b": "2024-02-29 12:34:56"}\n'), ("JSONEachRow", "a String, b String", '{"a": {"x": {"y": 1}}, "b": [1, "s", [2]]}\n{"a": {"x": 2}, "b": null}\n'),
    ("JSONEachRow", "a String, b String", '{"a": {"x": 1}, "b": {}}\n{"a": {"z": "t"}, "b": null}\n'), ("JSONEachRow", "a String, b String", '{"a": [], "b": [null]}\n'), ("JSONEachRow", "a String, b String", '{"a": [1, 2.5, true], "b": [{"p": 1}, {"q": 2}]}\n'),
    ("JSONEachRow", "a Int64, b Int64", '{"a": 1, "b": 1}\n{"a": "t", "b": true}\n'), ("JSONEachRow", "a DateTime('UTC'), b DateTime64(3, 'UTC')", '{"a": 1700000000, "b": 1700000000}\n{"a": "2024-02-29T12:34:56Z", "b": "1700000000.5"}\n'),
    ("JSONEachRow", "a IPv4, b IPv6", '{"a": "x", "b": "y"}\n'), ("JSONEachRow", "a Bool, b Bool", '{"a": "yes", "b": 1}\n'), ("JSONEachRow", "a JSON, b Int64", '{"a": {"x": "2024-02-29", "y": [1, "2"]}, "b": 1}\n'),
    ("JSONEachRow", STRINGS, '{"a": "x", "b": 1, "a": "y"}\n'), ("JSONEachRow", STRINGS, '{"a": "x", "b": 1, "c": "\\q", "d": [1,}\n'),
    ("JSONStringsEachRow", NUMBERS, '{"a": "1", "b": "\u1d3a\u1d41\u1d38\u1d38"}\n{"a": "", "b": "2"}\n'), ("JSONCompactEachRow", STRINGS, '["x", 1]\n["y"]\n["z", 2, 3]\n'), ("JSONCompactEachRow", STRINGS, '["x", 1, "more"]\n'), ("JSONCompactEachRow", STRINGS, '["x"]\n'),
    ("JSONCompactEachRowWithNames", STRINGS, '["b", "a", "c"]\n[1, "x", 3]\n'), ("JSONCompactEachRowWithNamesAndTypes", STRINGS, '["a", "b"]\n["String", "Int32"]\n["x", 1]\n'), ("JSONCompactStringsEachRow", NUMBERS, '["1", "2"]\n["3", ""]\n'),
    ("JSON", STRINGS, '{"meta": [{"name": "a", "type": "String"}, {"name": "b", "type": "Int32"}], "data": [{"a": "x", "b": 1}]}'), ("JSONCompact", STRINGS, '{"meta": [{"name": "a", "type": "String"}, {"name": "b", "type": "Int32"}], "data": [["x", 1]]}'),
    ("JSONColumnsWithMetadata", STRINGS, '{"meta": [{"name": "a", "type": "String"}, {"name": "b", "type": "Int32"}], "data": {"a": ["x"], "b": [1]}}'), ("JSONColumns", STRINGS, '{"b": [1, 2], "a": ["x", "y"]}'), ("JSONColumns", STRINGS, '{"B": [1], "c": [3]}'),
    ("JSONObjectEachRow", STRINGS, '{"row_1": {"a": "x", "b": 1}, "row_2": {"b": 2}}'), ("JSONAsString", "a String", '{"a": 1} {"b": [1, 2]}'), ("JSONAsObject", "a JSON", '{"a": 1} {"b": [1, 2]}'),
    ("Values", STRINGS, "('x', 1), ('y', 1 + 1), (concat('a', 'b'), 3)"), ("Values", "a Int64, b Float64", "(1 + 1, 0.1 + 0.2), (NULL, 3), ('7', '8')"), ("Values", "a UInt8, b Float64", "(256 + 1, 1 / 3), (300, 1)"), ("Values", "a DateTime('UTC'), b DateTime64(3, 'UTC')", "(1700000000, 1700000000), ('2024-02-29 12:34:56', '2024-02-29')"),
    ("CustomSeparated", STRINGS, "x\t1\ny\t2\n\n"), ("CustomSeparated", STRINGS, "x\ny\t2\t3\n"), ("CustomSeparated", STRINGS, "a\tb\nx\t1\n"), ("CustomSeparated", STRINGS, "x;1|y;2|"), ("CustomSeparated", STRINGS, "<<x\t1\ny\t2\n>>"), ("CustomSeparated", STRINGS, "'x'\t1\n"), ("CustomSeparated", STRINGS, '"x"\t1\n'),
    ("Regexp", STRINGS, "x-1\ny-2\n"), ("Regexp", STRINGS, "x-1\nnone\ny-2\n"), ("Regexp", STRINGS, '"x"-1\n'), ("Regexp", STRINGS, "'x'-1\n"),
    ("LineAsString", "a String", "x\ny\n"), ("Form", STRINGS, "a=x&b=1"), ("HiveText", STRINGS, "x\x011\n"), ("HiveText", "a Array(Int64), b Map(String, Int64)", "1\x022\x01k\x031\n"), ("HiveText", STRINGS, "x,1\ny\n"),
]
# Values that say more than "the other of two".
VALUES = {
    "aggregate_function_input_format": ["value", "array"], "bool_true_representation": ["yes"], "bool_false_representation": ["no"], "column_names_for_schema_inference": ["x,y"],
    "date_time_input_format": ["basic", "best_effort_us"], "date_time_output_format": ["iso", "unix_timestamp", "unix_timestamp_numeric"][:2], "format_csv_delimiter": ["|", "\t", " ", ";"], "format_csv_null_representation": ["nil", ""],
    "format_custom_escaping_rule": ["CSV", "JSON", "Quoted", "Raw", "XML"], "format_custom_field_delimiter": [";", "::"], "format_custom_result_after_delimiter": [">>"], "format_custom_result_before_delimiter": ["<<"], "format_custom_row_after_delimiter": ["|", "\n\n"], "format_custom_row_before_delimiter": ["<"], "format_custom_row_between_delimiter": [";"],
    "format_hive_text_rows_delimiter": ["|"], "input_format_hive_text_fields_delimiter": [","], "input_format_hive_text_collection_items_delimiter": [";"], "input_format_hive_text_map_keys_delimiter": [":"],
    "format_json_object_each_row_column_for_object_name": ["s", "a"], "format_regexp": ["(\\\\w+)-(\\\\d+)", "(.)"], "format_regexp_escaping_rule": ["CSV", "JSON", "Quoted", "Escaped"], "format_tsv_null_representation": ["nil", ""],
    "input_format_allow_errors_num": ["1"], "input_format_allow_errors_ratio": ["0.9"], "input_format_column_name_matching_mode": ["match_case", "ignore_case"], "input_format_csv_skip_first_lines": ["1", "2"], "input_format_tsv_skip_first_lines": ["1", "2"],
    "input_format_json_max_depth": ["2"], "input_format_json_max_object_size": ["10"], "input_format_max_rows_to_read_for_schema_inference": ["1"], "input_format_max_bytes_to_read_for_schema_inference": ["10"],
    "interval_output_format": ["kusto"], "output_format_float_precision": ["3", "10"], "output_format_msgpack_uuid_representation": ["str", "bin"],
    "output_format_pretty_color": ["1", "0"], "output_format_pretty_display_footer_column_names": ["0"], "output_format_pretty_display_footer_column_names_min_rows": ["5"], "output_format_pretty_fallback_to_vertical_max_rows_per_chunk": ["2"], "output_format_pretty_fallback_to_vertical_min_columns": ["2"], "output_format_pretty_fallback_to_vertical_min_table_width": ["20"],
    "output_format_pretty_glue_chunks": ["0", "1"], "output_format_pretty_grid_charset": ["ASCII"], "output_format_pretty_max_column_name_width_cut_to": ["10"], "output_format_pretty_max_column_name_width_min_chars_to_cut": ["1"], "output_format_pretty_max_column_pad_width": ["5"], "output_format_pretty_max_rows": ["7"],
    "output_format_pretty_max_value_width": ["5"], "output_format_pretty_max_value_width_apply_for_single_value": ["1"], "output_format_pretty_single_large_number_tip_threshold": ["10", "0"], "output_format_sql_insert_max_batch_size": ["2"], "output_format_sql_insert_table_name": ["db.t x", "t"],
    "schema_inference_hints": ["a String", "b UInt8"], "schema_inference_make_columns_nullable": ["0", "1", "2", "auto"],
    "output_format_arrow_compression_method": ["none", "zstd"], "output_format_parquet_compression_method": ["none", "snappy", "lz4", "gzip", "brotli"], "output_format_orc_compression_method": ["none", "lz4", "zlib", "snappy"], "output_format_parquet_version": ["1.0", "2.4"], "output_format_avro_codec": ["null", "deflate", "snappy", "zstd"], "output_format_avro_string_column_pattern": ["s"],
    "output_format_arrow_record_batch_size": ["1"], "output_format_parquet_row_group_size": ["1"], "output_format_orc_dictionary_key_size_threshold": ["0.9"], "output_format_orc_writer_time_zone_name": ["Asia/Tokyo"], "input_format_orc_reader_time_zone_name": ["Asia/Tokyo"], "output_format_avro_sync_interval": ["64"], "output_format_avro_rows_in_file": ["2"],
    "format_binary_max_string_size": ["1"], "format_binary_max_array_size": ["1"],
}
# What differs: the setting ("default" for none), part of what is compared, the reason.
LISTED = [
    # What cannot be the same.
    ("default|.*", "Parquet file: SELECT toUUID", "UUIDs of Parquet are read as 16 bytes, and written so"),
    ("default|.*", "inferring CSV a String, b Int64 'a,1\\rb", "format() reads its text when it is described: an error of reading"),
    ("default|.*", "inferring TSV a String, b Int64 'x\\t1\\r", "the same"),
    ("default|.*", "inferring CustomSeparated a String, b Int64 'x;1|y;2|'", "the same"),
    ("default|.*", "inferring Values a DateTime", "columns of other types in other rows are strings, not an error"),
    ("default|.*", "inferring Form", "ClickHouse infers numbers of the first field only"),
    # Without effect here, see docs/differences.md.
    ("interval_output_format", "", "'kusto' is refused"),
    ("output_format_(arrow|parquet)_.*", " file", "how values lie in the files of other systems"),
    ("format_binary_max_string_size", "RowBinary", "nothing is allocated before it has come"),
    ("input_format_(csv|tsv)_use_best_effort_in_schema_inference", "inferring", "what is found is found by best effort"),
    ("input_format_max_(rows|bytes)_to_read_for_schema_inference", "inferring", "a line of names is not one of the rows; bytes are cut at a line's end"),
    ("input_format_json_(defaults_for_missing_elements_in_named_tuple|read_objects_as_strings)", "inferring JSONEachRow a String, b String", "the same: what is found is then refused"),
    ("input_format_json_read_bools_as_numbers", "inferring JSONEachRow a String, b String '{\"a\": [1, 2.5, true]", "a Bool beside numbers is a number for inference all the same"),
    ("input_format_json_try_infer_named_tuples_from_objects", "inferring JSONEachRow a String, b String", "objects are strings then, by ClickHouse empty ones are maps"),
    ("input_format_json_named_tuples_as_objects", "inferring", "format() reads its text when it is described: an error of reading"),
    ("input_format_values_.*", "reading Values", "there are no templates of expressions"),
    ("input_format_json_max_object_size", "", "objects are measured one by one, by ClickHouse in pieces of the input"),
    ("input_format_(try_infer_.*|json_try_infer_numbers_from_strings|json_infer_array_of_dynamic_.*)", "a JSON, b", "values within JSON columns are found by the defaults"),
    # Smaller ones.
    ("bool_(true|false)_representation", "inferring TSV a Bool", "words of one's own are not found as Bool"),
    ("column_names_for_schema_inference", "inferring", "as many names as there are columns are not asked for"),
    ("format_csv_allow_double_quotes", "CSV", "arrays may stand in quotes all the same"),
    ("format_csv_delimiter", "CSV", "spaces and tabs delimit without a further setting"),
    ("format_csv_null_representation", "inferring CSV", "what stands for NULL is no NULL for inference"),
    ("format_tsv_null_representation", "inferring TS", "the same"),
    ("format_custom_escaping_rule", "CustomSeparated", "by the rule CSV single quotes are quotes"),
    ("format_custom_(field|result_after)_delimiter", "CustomSeparated", "the end of a result may be missing; delimiters that are nowhere are no error for inference"),
    ("format_json_object_each_row_column_for_object_name", "JSONObjectEachRow", "names of rows are escaped as all strings are, by ClickHouse as none"),
    ("format_regexp_escaping_rule", "reading Regexp", "by the rule CSV single quotes are quotes"),
    ("input_format_allow_errors_num", "reading", "types of a header that differ are a bad row"),
    ("input_format_csv_arrays_as_nested_csv", "reading CSV", "single quotes are part of an item"),
    ("input_format_(csv|tsv)_skip_(first|trailing_empty)_lines", "", "lines that are left out are so for inference, too"),
    ("input_format_csv_try_infer_strings_from_quoted_tuples", "inferring CSV", "tuples are found in quotes alone"),
    ("input_format_csv_use_default_on_bad_values", "reading CSV a Tuple", "a tuple over several fields has them all"),
    ("input_format_json_compact_allow_variable_number_of_columns", "inferring", "columns beyond those of the first row are none"),
    ("input_format_json_infer_incomplete_types_as_strings", "inferring", "a list without items has no type then"),
    ("input_format_read_datetime_number_as_raw_value", "reading Values", "numbers in Values are seconds"),
    ("input_format_try_infer_(integers|variants|dates)", "inferring", "UInt64 and variants in nested types"),
    ("output_format_json_(escape_forward_slashes|quote_64bit_integers)", "Pretty", "the widths of columns are those of other settings there"),
    ("output_format_pretty_color", "PrettyNoEscapes", "a row that is written upright has no colours either"),
    ("schema_inference_hints", "inferring", "a hint does not keep a column's rows from being looked at"),
    ("schema_inference_make_columns_nullable", "inferring", "empty fields count as NULL; items of lists are as their column"),
]
NAMES = ("name LIKE 'format\\_%' OR name LIKE 'input\\_format\\_%' OR name LIKE 'output\\_format\\_%' OR name LIKE '%schema\\_inference%' OR name LIKE 'bool\\_%representation' "
         "OR name LIKE 'date\\_time%put\\_format%' OR name IN ('interval_output_format', 'aggregate_function_input_format', 'precise_float_parsing', 'low_cardinality_allow_in_native_format')")


def code(text):
    found = re.search(r"Code: (\d+)", text)
    return f"error {found.group(1) if found else text[:200]}"


def clickhouse(sql, form="TSV"):
    try:
        return oracle.query(sql, form).bytes()
    except Exception as error:
        # What a failed query has written already stands before the next answer, else.
        oracle.query("SELECT 1")
        return code(str(error))


def pumphouse(sql, form="TSV"):
    settings = {"default_format": form, "output_format_write_statistics": "0", "session_timezone": "UTC"}
    ours.request("POST", "/?" + urlencode(settings), sql.encode())
    answer = ours.getresponse()
    data = answer.read()
    return data if answer.status == 200 else code(data.decode())


def comparable(data):
    """Without what says how the query ran rather than what it gave."""
    if isinstance(data, bytes):
        data = re.sub(rb'\{"progress".*\n', b"", data)
        data = re.sub(rb'(,\n\n\t)?"rows_before_limit_at_least": \d+', b"", data)
        data = re.sub(rb'\{"rows_before_limit_at_least":\d+\}\n?', b"", data)
        data = re.sub(rb"\t<rows_before_limit_at_least>\d+</rows_before_limit_at_least>\n", b"", data)
    return data


def plain_types(data):
    """Columns without Nullable around tuples, which is no type here, and without line breaks."""
    if isinstance(data, str):
        return data
    text = data.decode().replace("\\n", "").replace("    ", "")
    text = re.sub(r", *", ", ", text)
    while "Nullable(Tuple(" in text:
        start = text.index("Nullable(Tuple(")
        at, depth = start + len("Nullable("), 0
        while True:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
            if depth == 0 and text[at - 1] == ")":
                break
        text = text[:start] + text[start + len("Nullable("):at] + text[at + 1:]
    return text


def literal(data):
    return "'" + "".join(f"\\x{byte:02X}" for byte in data) + "'"


def near(a, b):
    """The two answers around their first difference."""
    if isinstance(a, str) or isinstance(b, str):
        return a[:300], b[:300]
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return a[max(0, at - 60):at + 100], b[max(0, at - 60):at + 100]


class Walk:
    def __init__(self):
        self.compared, self.differing, self.listed, self.place = 0, [], set(), 0

    def skips(self):
        """Whether the next comparison is not of the share."""
        self.place += 1
        return self.place % SHARE != 0

    def both(self, name, value, what, theirs, mine):
        self.compared += 1
        if name and isinstance(theirs, str) and theirs.startswith("error") and isinstance(mine, str) and mine.startswith("error"):
            return
        if theirs == mine:
            return
        for number, (setting, part, _) in enumerate(LISTED):
            if re.fullmatch(setting, name or "default") and part in what:
                self.listed.add(number)
                return
        a, b = near(theirs, mine)
        self.differing.append((name, value, f"{name} = {value!r}: {what}\n   ClickHouse: {a!r}\n   Pumphouse:  {b!r}"))

    def clause(self, name, value):
        return "" if name is None else f" SETTINGS {name} = '" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def written(self, name, value, forms):
        for form in forms:
            for sql in RESULTS:
                # The paths of JSON come in the order of a hash table there; HiveText has few types.
                if (form.startswith("RowBinary") and "::JSON" in sql) or (form == "HiveText" and not any(s in sql for s in HIVE)):
                    continue
                if self.skips():
                    continue
                asked = sql + self.clause(name, value)
                theirs, mine = comparable(clickhouse(asked, form)), comparable(pumphouse(asked, form))
                if theirs != mine:
                    # The library hands over foreign memory now and then.
                    theirs = comparable(clickhouse(asked, form))
                self.both(name, value, f"{form}: {sql[:200]}", theirs, mine)

    def read(self, name, value, family):
        for form, structure, text in INPUTS:
            if not form.startswith(family) or self.skips():
                continue
            extra = ", format_regexp = '(.+)-(.+)'" if form == "Regexp" and name != "format_regexp" else ""
            clause = self.clause(name, value)
            if extra:
                clause = clause + extra if clause else " SETTINGS" + extra[1:]
            data = literal(text.encode())
            structured = structure.replace("'", "\\'")
            for what, sql in (("reading", f"SELECT * FROM format({form}, '{structured}', {data})"), ("inferring", f"DESCRIBE format({form}, {data})")):
                sql += clause
                theirs, mine = clickhouse(sql), pumphouse(sql)
                if theirs != mine:
                    theirs = clickhouse(sql)
                if what == "inferring":
                    theirs, mine = plain_types(theirs), plain_types(mine)
                self.both(name, value, f"{what} {form} {structure} {text!r}", theirs, mine)

    def filed(self, name, value, forms):
        for form in forms:
            for sql in FILED:
                if self.skips():
                    continue
                asked = sql + self.clause(name, value)
                seen = []
                for data in (clickhouse(asked, form), pumphouse(asked, form)):
                    if isinstance(data, str):
                        seen.append(data)
                        continue
                    seen.append(tuple(clickhouse(f"{what} format({form}, {literal(data)})") for what in ("DESCRIBE", "SELECT * FROM")))
                self.both(name, value, f"{form} file: {sql[:200]}", *map(repr, seen))
                theirs = clickhouse(sql, form)
                if not isinstance(theirs, str) and (name is None or name.startswith(("input", "schema", "format"))):
                    read = f"SELECT * FROM format({form}, {literal(theirs)})" + self.clause(name, value)
                    self.both(name, value, f"reading {form} file: {sql[:200]}", clickhouse(read), pumphouse(read))


def formats_of(name):
    return next((forms for part, forms in TOUCHED if part in name), TEXT + BINARY)


def families_of(name):
    for part, families in (("_csv_", ("CSV",)), ("_tsv_", ("TS",)), ("_json_", ("JSON",)), ("_values_", ("Values",)), ("_custom_", ("Custom",)), ("regexp", ("Regexp",)), ("hive_text", ("HiveText",))):
        if part in name:
            return families
    return ("",)


def values_of(name, default, kind):
    if name in VALUES:
        return VALUES[name]
    if kind == "Bool":
        return ["0" if default == "1" else "1"]
    return []


def main():
    walk = Walk()
    if not ONLY or ONLY == "base":
        walk.written(None, None, sorted(set(TEXT + PRETTY + TABS + CUSTOM + BINARY)))
        walk.read(None, None, ("",))
        for forms in FILES.values():
            walk.filed(None, None, forms)
    listed = clickhouse(f"SELECT name, default, type FROM system.settings WHERE ({NAMES}) AND NOT is_obsolete AND alias_for = '' ORDER BY name").decode()
    rows = [line.split("\t") for line in listed.splitlines()]
    for name, default, kind in rows:
        if ONLY not in name:
            continue
        for value in values_of(name, default, kind):
            family = next((forms for part, forms in FILES.items() if f"_{part}_" in name), None)
            if family:
                walk.filed(name, value, family)
                continue
            if name.startswith(("output", "format", "bool", "date_time_output", "date_time_64", "interval", "low_card")):
                walk.written(name, value, formats_of(name))
            if not name.startswith("output"):
                walk.read(name, value, families_of(name))
    stale = [LISTED[n] for n in range(len(LISTED)) if n not in walk.listed and SHARE == 1 and not ONLY]
    print(f"{walk.compared} comparisons over {len(rows)} settings, {len(walk.differing)} differ, {len(stale)} listed do not")
    for _, _, text in walk.differing:
        print(text)
    for entry in stale:
        print("is listed and does not differ any more:", entry)
    sys.exit(1 if walk.differing or stale else 0)


main()
