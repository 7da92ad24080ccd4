//! Statements that the parser keeps as text: which family carries them out.

use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

use super::Run;
use super::words::Words;

impl Run<'_> {
    pub(super) fn other(&mut self, text: &str) -> Result<()> {
        let mut words = Words::of(text);
        if words.keyword("CHECK") {
            return self.check_words(words);
        }
        if words.keyword("BACKUP") {
            return self.backup_or_restore(false, words);
        }
        if words.keyword("RESTORE") {
            return self.backup_or_restore(true, words);
        }
        if words.keyword("SYSTEM RESTORE QUARANTINED PART") {
            return self.quarantined_part(true, words);
        }
        if words.keyword("SYSTEM DETACH QUARANTINED PART") {
            return self.quarantined_part(false, words);
        }
        if words.keyword("CREATE NAMED COLLECTION") {
            return self.create_named_collection(words);
        }
        if words.keyword("ALTER NAMED COLLECTION") {
            return self.alter_named_collection(words);
        }
        if words.keyword("DROP NAMED COLLECTION") {
            return self.drop_named_collection(words);
        }
        Err(Error::new(codes::NOT_IMPLEMENTED, "This statement is not supported yet"))
    }
}
