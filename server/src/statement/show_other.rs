//! The kinds of SHOW that are kept as text: CLUSTERS, MERGES, SETTING, users and what belongs to them. Each
//! is a query over system tables; lists of what this server does not have (roles, policies) are empty.

use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use super::show::quote;

/// The query that stands for `SHOW text`.
pub(super) fn query_of(text: &str, user: &str) -> Result<String> {
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
        ["USERS"] => format!("SELECT {} AS name", quote(user)),
        ["ACCESS"] => format!("SELECT {} AS ACCESS", quote(&format!("GRANT ALL ON *.* TO {user}"))),
        ["CURRENT", "ROLES"] => nothing("'' AS role_name, 0 AS with_admin_option, 0 AS is_default"),
        ["ENABLED", "ROLES"] => {
            nothing("'' AS role_name, 0 AS with_admin_option, 0 AS is_current, 0 AS is_default")
        }
        ["PRIVILEGES"] => "SELECT * FROM system.privileges".into(),
        ["ROLES" | "POLICIES" | "QUOTAS" | "PROFILES", ..]
        | ["ROW", "POLICIES", ..]
        | ["SETTINGS", "PROFILES", ..] => nothing("'' AS name"),
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
