-- INFORMATION_SCHEMA in both cases.
CREATE TABLE t (a Int32, b Nullable(String) COMMENT 'c', d Decimal(10, 2), e DateTime64(3), f FixedString(3), g Array(UInt8)) ENGINE = MergeTree ORDER BY a;
CREATE VIEW v AS SELECT 1 AS x;
SELECT * FROM information_schema.tables WHERE table_schema = 'default' AND table_name = 'v';
SELECT table_name, table_type, table_rows, engine, ENGINE FROM INFORMATION_SCHEMA.TABLES WHERE table_schema = 'default' ORDER BY table_name;
SELECT table_name, column_name, ordinal_position, column_default, is_nullable, data_type, column_comment, column_key FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position;
SELECT column_name, character_maximum_length, character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision FROM INFORMATION_SCHEMA.columns WHERE table_name = 't' ORDER BY ordinal_position;
SELECT * FROM information_schema.schemata WHERE schema_name = 'default';
SELECT table_name, view_definition, check_option, is_updatable, IS_UPDATABLE FROM information_schema.views WHERE table_schema = 'default';
SELECT * FROM information_schema.key_column_usage WHERE table_name = 't';
SELECT * FROM information_schema.referential_constraints;
SELECT * FROM information_schema.statistics;
DESCRIBE TABLE information_schema.schemata;
USE INFORMATION_SCHEMA;
SELECT schema_name FROM SCHEMATA WHERE schema_name = 'default';
