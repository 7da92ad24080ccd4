//! `system.dashboards`: the boards that `/dashboard` shows, from `pages/boards.sql`.

use pumphouse_query::Result;
use pumphouse_storage::log::State;

use super::rows::{Rows, text};
use crate::server::Server;

/// `(board, title, query)` of every panel, in the file's order.
fn panels() -> Vec<(&'static str, &'static str, String)> {
    let mut panels: Vec<(&str, &str, String)> = vec![];
    for line in include_str!("../pages/boards.sql").lines().skip(1) {
        match line.strip_prefix("-- ").and_then(|head| head.split_once(": ")) {
            Some((board, title)) => panels.push((board, title, String::new())),
            None => {
                if let Some((_, _, query)) = panels.last_mut() {
                    query.push_str(line);
                    query.push('\n');
                }
            }
        }
    }
    panels
}

pub fn dashboards(_: &Server, _: &State, rows: &mut Rows) -> Result<()> {
    for (board, title, query) in panels() {
        rows.push(&[
            ("dashboard", text(board)),
            ("title", text(title)),
            ("query", text(query.trim_end())),
        ]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::panels;

    #[test]
    fn every_panel_is_a_query() {
        let panels = panels();
        assert!(panels.len() > 10);
        for (board, title, query) in panels {
            assert!(!board.is_empty() && !title.is_empty());
            pumphouse_query::sql::parse_query(&query)
                .unwrap_or_else(|e| panic!("{board}, {title}: {e}"));
        }
    }
}
