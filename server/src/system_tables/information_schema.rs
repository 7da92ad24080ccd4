//! `INFORMATION_SCHEMA`, in both cases: views over system tables. Every column is there in lower case and in
//! capitals, group by group as in ClickHouse. Catalogs and schemas are both databases.

use std::sync::Arc;

use pumphouse_query::catalog::{MorselSource, SourceColumn, TableSource};
use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::Query;
use pumphouse_query::{Error, Result, sql};
use pumphouse_storage::DataType;
use pumphouse_storage::scan::ColumnCondition;
use pumphouse_storage::types::parse_data_type;

/// Name, type and expression.
type Item = (&'static str, &'static str, &'static str);

/// A view: its columns in groups, and what stands behind the SELECT's list.
struct View {
    name: &'static str,
    groups: &'static [&'static [Item]],
    tail: &'static str,
}

const TEXT: &str = "String";
const NULL_TEXT: &str = "Nullable(String)";
const NULL_NUMBER: &str = "Nullable(UInt64)";
const NO_YES: &str = "Enum8('NO' = 0, 'YES' = 1)";
const COLLATION: &str = "'utf8mb4_0900_ai_ci'";

const VIEWS: &[View] = &[
    View {
        name: "schemata",
        groups: &[
            &[
                ("catalog_name", TEXT, "name"),
                ("schema_name", TEXT, "name"),
                ("schema_owner", TEXT, "'default'"),
                ("default_character_set_catalog", NULL_TEXT, "NULL"),
                ("default_character_set_schema", NULL_TEXT, "NULL"),
                ("default_character_set_name", NULL_TEXT, "NULL"),
                ("sql_path", NULL_TEXT, "NULL"),
            ],
            &[("default_collation_name", TEXT, COLLATION), ("default_encryption", TEXT, "'NO'")],
        ],
        tail: "FROM system.databases",
    },
    View {
        name: "tables",
        groups: &[
            &[
                ("table_catalog", TEXT, "database"),
                ("table_schema", TEXT, "database"),
                ("table_name", TEXT, "name"),
                (
                    "table_type",
                    TEXT,
                    "multiIf(is_temporary, 'LOCAL TEMPORARY', t.engine LIKE '%View', 'VIEW', \
                     t.engine LIKE 'System%', 'SYSTEM VIEW', has_own_data = 0, 'FOREIGN TABLE', \
                     'BASE TABLE')",
                ),
                ("table_rows", NULL_NUMBER, "total_rows"),
                ("data_length", NULL_NUMBER, "total_bytes"),
                ("index_length", NULL_NUMBER, "0"),
                ("table_collation", NULL_TEXT, COLLATION),
                ("table_comment", NULL_TEXT, "comment"),
            ],
            &[
                ("engine", NULL_TEXT, "if(t.engine LIKE '%View', NULL, t.engine)"),
                ("version", NULL_NUMBER, "NULL"),
                ("row_format", NULL_TEXT, "NULL"),
                ("avg_row_length", NULL_NUMBER, "NULL"),
                ("max_data_length", NULL_NUMBER, "NULL"),
                ("data_free", NULL_NUMBER, "NULL"),
                ("auto_increment", NULL_NUMBER, "NULL"),
                ("create_time", "Nullable(DateTime)", "NULL"),
                ("update_time", "Nullable(DateTime)", "NULL"),
                ("check_time", "Nullable(DateTime)", "NULL"),
                ("checksum", "Nullable(Int64)", "NULL"),
                ("create_options", NULL_TEXT, "NULL"),
            ],
        ],
        tail: "FROM system.tables AS t",
    },
    View {
        name: "columns",
        groups: &[
            &[
                ("table_catalog", TEXT, "database"),
                ("table_schema", TEXT, "database"),
                ("table_name", TEXT, "table"),
                ("column_name", TEXT, "name"),
                ("ordinal_position", "UInt64", "position"),
                ("column_default", TEXT, "default_expression"),
                ("is_nullable", TEXT, "toString(type LIKE 'Nullable(%)')"),
                ("data_type", TEXT, "type"),
                ("character_maximum_length", NULL_NUMBER, "character_octet_length"),
                ("character_octet_length", NULL_NUMBER, "character_octet_length"),
                ("numeric_precision", NULL_NUMBER, "numeric_precision"),
                ("numeric_precision_radix", NULL_NUMBER, "numeric_precision_radix"),
                ("numeric_scale", NULL_NUMBER, "numeric_scale"),
                ("datetime_precision", NULL_NUMBER, "datetime_precision"),
                ("character_set_catalog", NULL_TEXT, "NULL"),
                ("character_set_schema", NULL_TEXT, "NULL"),
                ("character_set_name", NULL_TEXT, "NULL"),
                ("collation_catalog", NULL_TEXT, "NULL"),
                ("collation_schema", NULL_TEXT, "NULL"),
                ("collation_name", NULL_TEXT, "NULL"),
                ("domain_catalog", NULL_TEXT, "NULL"),
                ("domain_schema", NULL_TEXT, "NULL"),
                ("domain_name", NULL_TEXT, "NULL"),
                (
                    "extra",
                    NULL_TEXT,
                    "multiIf(default_kind = 'DEFAULT', 'DEFAULT_GENERATED', default_kind = \
                     'MATERIALIZED', 'STORED GENERATED', default_kind = 'ALIAS', \
                     'VIRTUAL GENERATED', '')",
                ),
                ("column_comment", TEXT, "comment"),
                ("column_type", TEXT, "type"),
            ],
            &[
                ("column_key", TEXT, "if(is_in_primary_key, 'PRI', '')"),
                ("privileges", TEXT, "''"),
                ("generation_expression", TEXT, "''"),
                ("srs_id", "Nullable(UInt32)", "NULL"),
            ],
        ],
        tail: "FROM system.columns",
    },
    View {
        name: "views",
        groups: &[&[
            ("table_catalog", TEXT, "database"),
            ("table_schema", TEXT, "database"),
            ("table_name", TEXT, "name"),
            ("view_definition", TEXT, "as_select"),
            ("check_option", TEXT, "'NONE'"),
            ("is_updatable", NO_YES, "'NO'"),
            ("is_insertable_into", NO_YES, "if(engine = 'MaterializedView', 'YES', 'NO')"),
            ("is_trigger_updatable", NO_YES, "'NO'"),
            ("is_trigger_deletable", NO_YES, "'NO'"),
            ("is_trigger_insertable_into", NO_YES, "'NO'"),
        ]],
        tail: "FROM system.tables WHERE engine IN ('View', 'MaterializedView')",
    },
    View {
        name: "key_column_usage",
        groups: &[&[
            ("constraint_catalog", TEXT, "'def'"),
            ("constraint_schema", TEXT, "database"),
            ("constraint_name", NULL_TEXT, "'PRIMARY'"),
            ("table_catalog", TEXT, "'def'"),
            ("table_schema", TEXT, "database"),
            ("table_name", TEXT, "table"),
            ("column_name", NULL_TEXT, "name"),
            ("ordinal_position", "UInt32", "1"),
            ("position_in_unique_constraint", "Nullable(UInt32)", "NULL"),
            ("referenced_table_schema", NULL_TEXT, "NULL"),
            ("referenced_table_name", NULL_TEXT, "NULL"),
            ("referenced_column_name", NULL_TEXT, "NULL"),
        ]],
        tail: "FROM system.columns WHERE is_in_primary_key",
    },
    View {
        name: "referential_constraints",
        groups: &[&[
            ("constraint_catalog", TEXT, "''"),
            ("constraint_schema", TEXT, "''"),
            ("constraint_name", NULL_TEXT, "NULL"),
            ("unique_constraint_catalog", TEXT, "''"),
            ("unique_constraint_schema", TEXT, "''"),
            ("unique_constraint_name", NULL_TEXT, "NULL"),
            ("match_option", TEXT, "''"),
            ("update_rule", TEXT, "''"),
            ("delete_rule", TEXT, "''"),
            ("table_name", TEXT, "''"),
            ("referenced_table_name", TEXT, "''"),
        ]],
        tail: "WHERE 0",
    },
    View {
        name: "statistics",
        groups: &[&[
            ("table_catalog", TEXT, "''"),
            ("table_schema", TEXT, "''"),
            ("table_name", TEXT, "''"),
            ("non_unique", "Int32", "0"),
            ("index_schema", TEXT, "''"),
            ("index_name", NULL_TEXT, "NULL"),
            ("seq_in_index", "UInt32", "0"),
            ("column_name", NULL_TEXT, "NULL"),
            ("collation", NULL_TEXT, "NULL"),
            ("cardinality", "Nullable(Int64)", "NULL"),
            ("sub_part", "Nullable(Int64)", "NULL"),
            ("packed", NULL_TEXT, "NULL"),
            ("nullable", TEXT, "''"),
            ("index_type", TEXT, "''"),
            ("comment", TEXT, "''"),
            ("index_comment", TEXT, "''"),
            ("is_visible", TEXT, "''"),
            ("expression", NULL_TEXT, "NULL"),
        ]],
        tail: "WHERE 0",
    },
];
/// Both names of the database.
pub(super) fn is_database(name: &str) -> bool {
    name == "INFORMATION_SCHEMA" || name == "information_schema"
}

/// The view called `name`, in small letters or in capitals.
pub(super) fn view(database: &str, name: &str) -> Option<Arc<dyn TableSource>> {
    let found = VIEWS.iter().find(|v| v.name == name || v.name.to_uppercase() == name)?;
    let (mut items, mut columns) = (vec![], vec![]);
    for group in found.groups {
        for capitals in [false, true] {
            for (name, kind, expression) in *group {
                let name = if capitals { name.to_uppercase() } else { name.to_string() };
                items.push(format!(
                    "CAST(({expression}), '{}') AS `{name}`",
                    kind.replace('\'', "\\'")
                ));
                let data_type = parse_data_type(kind).unwrap_or(DataType::String);
                columns.push(SourceColumn::plain(name, data_type));
            }
        }
    }
    let text = format!("SELECT {} {}", items.join(", "), found.tail);
    let query = sql::parse_query(&text).ok()?;
    Some(Arc::new(SchemaView { name: format!("{database}.{name}"), columns, query }))
}

struct SchemaView {
    name: String,
    columns: Vec<SourceColumn>,
    query: Query,
}

impl TableSource for SchemaView {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn view_query(&self) -> Option<&Query> {
        Some(&self.query)
    }

    fn scan(&self, _: &[String], _: &[ColumnCondition]) -> Result<Arc<dyn MorselSource>> {
        Err(Error::new(codes::LOGICAL_ERROR, "a view is not scanned but planned"))
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn engine(&self) -> String {
        "View".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_parses() {
        for found in VIEWS {
            let source = view("information_schema", found.name).expect(found.name);
            let width: usize = found.groups.iter().map(|g| 2 * g.len()).sum();
            assert_eq!(source.columns().len(), width, "{}", found.name);
        }
        assert!(view("INFORMATION_SCHEMA", "TABLES").is_some());
        assert!(view("INFORMATION_SCHEMA", "nothing").is_none());
    }
}
