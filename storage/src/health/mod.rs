//! The health of parts: who is quarantined, checks on demand ([`check`]), a slow scrub ([`scrub`]).
//!
//! A part is quarantined when its file is missing or its bytes are not what was written. From then on
//! whoever needs it gets an error with its name, merges leave it alone, and everything else works. It
//! leaves quarantine by [`Store::release_part`] (which reads all of it first) or, on an operator's
//! word, by [`Store::detach_quarantined`].
//!
//! Rules: never fewer rows in silence; a broken part's file is never deleted by what is here.

pub mod check;
pub mod scrub;
#[cfg(test)]
mod tests;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::log::change::Change;
use crate::log::{Commit, Edit, PartId, PartMeta, Precondition};
use crate::store::Store;

impl Store {
    /// Takes a part out of service. Queries that need it fail with `what`, merges leave it out.
    pub fn quarantine(&self, id: PartId, what: &str) {
        let mut quarantined = self.quarantined.lock();
        if quarantined.len() < QUARANTINED_MAX && !quarantined.contains_key(&id) {
            tracing::error!("part {id} is quarantined: {what}");
            quarantined.insert(id, what.to_string());
        }
        drop(quarantined);
        self.open_parts.lock().remove(id);
    }

    /// What is wrong with a part, if it is quarantined.
    pub fn quarantine_reason(&self, id: PartId) -> Option<String> {
        self.notice_damage();
        self.quarantined.lock().get(&id).cloned()
    }

    /// Whether no part is quarantined; cheap.
    pub fn is_healthy(&self) -> bool {
        self.notice_damage();
        self.quarantined.lock().is_empty()
    }

    /// Reads the whole part and lifts its quarantine if it is what was written (its file was put back,
    /// a cable was plugged in).
    pub fn release_part(&self, meta: &PartMeta) -> Result<()> {
        self.forget_reader(meta);
        check::verify_file(self, meta)?;
        self.quarantined.lock().remove(&meta.id);
        tracing::info!("part {} is whole again and back in service", meta.id);
        Ok(())
    }

    /// Moves a quarantined part to the table's detached ones: its rows are given up, its file stays
    /// for whoever wants to look, and ATTACH PART takes it back. Fails if it is not quarantined.
    pub fn detach_quarantined(&self, table: Uuid, id: PartId) -> Result<u64> {
        if self.quarantine_reason(id).is_none() {
            return Err(Error::Column(format!("part {id} is not quarantined")));
        }
        let commit = Commit {
            preconditions: vec![Precondition::PartsLive { table, parts: vec![id] }],
            edits: vec![Edit::Change(Change::DetachPart { table, part: id })],
        };
        self.commit(commit, vec![])
    }
}

/// More parts than this are not remembered; each is found again when it is needed.
const QUARANTINED_MAX: usize = 100_000;
