//! `system.view_refreshes`: refreshable materialized views and their last refresh.

use std::sync::atomic::Ordering;

use pumphouse_query::Result;
use pumphouse_storage::Value;
use pumphouse_storage::log::State;

use super::rows::{Rows, number, seconds, text};
use crate::server::Server;

pub fn view_refreshes(server: &Server, state: &State, rows: &mut Rows) -> Result<()> {
    for (id, refresh) in server.refreshes.list() {
        let Some(table) = state.tables.get(&id) else { continue };
        let status = match &refresh.running {
            Some(_) => "Running",
            None if refresh.stopped => "Disabled",
            None if refresh.waiting => "WaitingForDependencies",
            None => "Scheduled",
        };
        let time = |us: Option<u64>| us.map_or(Value::Null, seconds);
        let mut values = vec![
            ("database", text(&table.definition.database)),
            ("view", text(&table.definition.name)),
            ("uuid", Value::String(id.as_bytes().to_vec())),
            ("status", text(status)),
            ("last_success_time", time(refresh.last_success_us)),
            ("last_success_duration_ms", refresh.last_duration_ms.map_or(Value::Null, number)),
            ("last_refresh_time", time(refresh.last_refresh_us)),
            ("next_refresh_time", time(Some(refresh.next_us))),
            ("exception", text(&refresh.exception)),
            ("retry", number(refresh.retry)),
            ("written_rows", number(refresh.rows)),
        ];
        if let Some(context) = &refresh.running {
            let progress = &context.progress;
            values.extend([
                ("read_rows", number(progress.read_rows.load(Ordering::Relaxed))),
                ("read_bytes", number(progress.read_bytes.load(Ordering::Relaxed))),
            ]);
        }
        rows.push(&values);
    }
    Ok(())
}
