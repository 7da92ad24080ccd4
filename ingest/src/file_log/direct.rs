//! SELECT from a FileLog table itself: what its files hold behind the log's positions, taken by the SELECT.
//!
//! Only for tables without views (their lines are the views'). Positions move by the same compare-and-swap as
//! everywhere, so that of two SELECTs at once each line goes to one. A line that cannot be parsed fails the
//! SELECT in the mode `default`, and nothing is taken; dead letters need a view, so their mode is refused.

use pumphouse_query::catalog::SourceColumn;
use pumphouse_query::error::{Error, Result, codes};
use pumphouse_storage::Block;
use pumphouse_storage::log::{Commit, Precondition};

use super::follower::{Follower, Gathered};
use crate::insert::{advance, offset_equals};
use crate::kafka::settings::ErrorMode;

impl Follower {
    /// What waits in the files, as rows of these columns: a block at most, what is left is the next SELECT's.
    pub(super) fn read_direct(&self) -> Result<(Vec<SourceColumn>, Vec<Block>)> {
        let mut session = self.begin()?;
        if session.settings.error_mode == ErrorMode::DeadLetter {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "SELECT from a FileLog table with handle_error_mode = 'dead_letter_queue' is not there: its \
                 letters come with the rows of a view",
            ));
        }
        session.settings.rows_max = usize::MAX;
        let all = session.all_virtuals.clone();
        self.use_virtuals(&mut session, all)?;
        let mut gathered = Gathered::Again;
        while matches!(gathered, Gathered::Again) {
            gathered = self.gather(&mut session)?;
        }
        if let Some(blocked) = session.blocked.values().next() {
            let code = codes::CANNOT_PARSE_INPUT_ASSERTION_FAILED;
            return Err(Error::new(code, blocked.reason.clone()));
        }
        let Gathered::Lines(built, taken) = gathered else {
            return Ok((session.source_columns, vec![]));
        };
        let (uuid, wall_us) = (self.table.definition.uuid, self.config.clock.now_us());
        let mut commit = Commit::default();
        commit.preconditions.push(Precondition::TableExists { table: uuid });
        for range in self.ranges(&taken) {
            commit.preconditions.push(offset_equals(uuid, &range));
            commit.edits.push(advance(uuid, &range, wall_us));
        }
        commit.edits.extend(taken.iter().filter_map(|t| self.identity(t)));
        self.config.store.commit(commit, vec![])?;
        let blocks = (!built.block.is_empty()).then_some(built.block);
        Ok((session.source_columns, blocks.into_iter().collect()))
    }
}
