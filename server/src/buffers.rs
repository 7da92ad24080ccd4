//! Tables of the engine Buffer in the server: how queries see them, and the thread that writes rows on by
//! the clock. Rows themselves are `pumphouse_ingest::buffer`'s.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pumphouse_ingest::buffer::{self, BufferRule};
use pumphouse_ingest::materialized_view::source_columns;
use pumphouse_query::catalog::{BufferedSource, Catalog, TableSource};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::TableDefinition;

use crate::server::Server;

/// How often the clock is looked at.
const STEP: Duration = Duration::from_millis(200);
/// Flushes run views, on such a stack; only what is touched is memory.
const STACK_BYTES: usize = 16 << 20;

/// Starts the thread that writes what is due.
pub fn start(server: &Arc<Server>) -> Result<()> {
    let weak: Weak<Server> = Arc::downgrade(server);
    let work = move || {
        loop {
            std::thread::sleep(STEP);
            let Some(server) = weak.upgrade() else { return };
            if server.stopping.load(Ordering::SeqCst) {
                return;
            }
            server.inserter.buffers().flush_due(&server.inserter);
        }
    };
    let thread = std::thread::Builder::new().name("buffers".into()).stack_size(STACK_BYTES);
    thread
        .spawn(work)
        .map(|_| ())
        .map_err(|e| Error::new(codes::CANNOT_SCHEDULE_TASK, format!("Cannot start a thread: {e}")))
}

/// Writes all that is in memory, as a clean stop does.
pub fn stop(server: &Server) {
    let left = server.inserter.buffers().flush_all(&server.inserter);
    if left > 0 {
        tracing::error!("{left} rows of Buffer tables could not be written and are lost");
    }
}

/// The rows in memory and the destination, at one moment.
pub fn source(server: &Server, definition: &TableDefinition) -> Result<Arc<dyn TableSource>> {
    let rule = BufferRule::of(definition)?;
    buffer::destination(&server.store.snapshot(), definition, false)?;
    server.inserter.buffers().read(definition.uuid, |blocks| {
        let catalog = server.catalog();
        let destination = match &rule.destination {
            Some((database, table)) if catalog.state.table(database, table).is_some() => {
                Some(catalog.table(database, table)?)
            }
            _ => None,
        };
        let columns = source_columns(definition);
        let source = BufferedSource::new(definition.full_name(), columns, blocks, destination)?;
        Ok(Arc::new(source) as Arc<dyn TableSource>)
    })
}
