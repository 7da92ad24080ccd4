//! The kinds of SHOW that are kept as text: CLUSTERS, MERGES, SETTING, users and what belongs to them. Each
//! is a query over system tables.

use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use super::show::quote;

/// The query that stands for `SHOW text`.
pub(super) fn query_of(text: &str) -> Result<String> {
    let words: Vec<String> = text.split_whitespace().map(str::to_uppercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let rest = |n: usize| text.split_whitespace().skip(n).collect::<Vec<_>>().join(" ");
    Ok(match words.as_slice() {
        ["SETTING", _] => {
            let name = rest(1).trim_matches(['`', '"']).to_string();
            format!("SELECT value FROM system.settings WHERE name = {}", quote(&name))
        }
        ["CLUSTERS", ..] => {
            let list = "SELECT cluster FROM (SELECT DISTINCT cluster FROM system.clusters ORDER BY cluster)";
            format!("{list}{}", filtered("cluster", &rest(1)))
        }
        ["CLUSTER", _, ..] => format!(
            "SELECT cluster, shard_num, replica_num, host_name, host_address, port \
             FROM system.clusters WHERE cluster = {}",
            quote(rest(1).trim_matches(['\'', '`', '"'])),
        ),
        ["MERGES", ..] => format!("{MERGES}{}", filtered("`table`", &rest(1))),
        ["FILESYSTEM", "CACHES"] => nothing("'' AS Caches"),
        ["USERS"] => "SELECT name FROM system.users ORDER BY name".into(),
        ["ROLES"] => "SELECT name FROM system.roles ORDER BY name".into(),
        ["CURRENT", "ROLES"] => "SELECT * FROM system.current_roles ORDER BY role_name".into(),
        ["ENABLED", "ROLES"] => "SELECT * FROM system.enabled_roles ORDER BY role_name".into(),
        ["QUOTAS"] => "SELECT name FROM system.quotas ORDER BY name".into(),
        ["PROFILES"] | ["SETTINGS", "PROFILES"] => {
            "SELECT name FROM system.settings_profiles ORDER BY name".into()
        }
        ["POLICIES"] | ["ROW", "POLICIES"] => {
            "SELECT name FROM system.row_policies ORDER BY name".into()
        }
        ["PRIVILEGES"] => "SELECT * FROM system.privileges".into(),
        ["POLICIES", ..] | ["ROW", "POLICIES", ..] => {
            let behind = if words[0] == "ROW" { 2 } else { 1 };
            policies_query(&rest(behind))
        }
        _ => {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                format!("SHOW {text} is not supported yet"),
            ));
        }
    })
}

const MERGES: &str = "SELECT * FROM (SELECT `table`, database, \
    if(progress > 0, round(elapsed / progress - elapsed, 2), NULL) AS estimate_complete, \
    round(elapsed, 2) AS elapsed, round(progress * 100, 2) AS progress, is_mutation, \
    formatReadableSize(total_size_bytes_compressed) AS size_compressed, \
    formatReadableSize(memory_usage) AS memory_usage FROM system.merges)";

/// `ON db.table`, or a policy's name: the other half of each.
fn policies_query(rest: &str) -> String {
    let names = |text: &str| text.replace(' ', "").replace(['`', '"'], "");
    match rest.split_once(' ') {
        Some((on, table)) if on.eq_ignore_ascii_case("ON") => {
            let table = names(table);
            let (database, table) = table.split_once('.').unwrap_or(("", &table));
            let database = match database {
                "" => "currentDatabase()".into(),
                named => quote(named),
            };
            format!(
                "SELECT short_name AS name FROM system.row_policies WHERE database = {database} \
                 AND `table` = {} ORDER BY name",
                quote(table.trim_matches('*'))
            )
        }
        _ => format!(
            "SELECT substring(name, position(name, ' ON ') + 4) AS name FROM system.row_policies \
             WHERE short_name = {} ORDER BY name",
            quote(&names(rest))
        ),
    }
}

/// No rows of these columns.
fn nothing(columns: &str) -> String {
    format!("SELECT {columns} WHERE 0")
}

/// `[[NOT] LIKE …] [LIMIT n]` behind a list.
fn filtered(name: &str, rest: &str) -> String {
    let first = rest.split_whitespace().next().unwrap_or_default().to_uppercase();
    match first.as_str() {
        "" => String::new(),
        "LIMIT" => format!(" {rest}"),
        _ => format!(" WHERE {name} {rest}"),
    }
}
