//! Which kept statements there are, as patterns of `pattern`: backups, functions,
//! indexes outside of CREATE TABLE, SYSTEM, what SHOW asks, and the ALTER commands that stay words.

use super::pattern::{canonical, dictionary};

/// Statements by their first word.
const STATEMENTS: &[&str] = &[
    "< CREATE OR REPLACE | CREATE > FUNCTION [ IF NOT EXISTS ] $id [ ON CLUSTER $id ] AS $expr",
    "DROP FUNCTION [ IF EXISTS ] $id [ ON CLUSTER $id ]",
    "CREATE [ UNIQUE ] INDEX [ IF NOT EXISTS ] $id ON $table [ ON CLUSTER $id ] $key [ TYPE $call ] $granularity",
    "DROP INDEX [ IF EXISTS ] $id ON $table [ ON CLUSTER $id ]",
    "CHECK TABLE $table [ < PARTITION $partition | PART $str > ] [ FORMAT $id ] [ SETTINGS $settings ]",
    "CHECK ALL TABLES [ FORMAT $id ] [ SETTINGS $settings ]",
    "UNDROP TABLE $table [ UUID $str ] [ ON CLUSTER $id ]",
    "TRUNCATE ALL TABLES FROM [ IF EXISTS ] $id [ [ NOT ] < LIKE | ILIKE > $str ] [ ON CLUSTER $id ] [ SYNC ]",
    "TRUNCATE TABLES FROM [ IF EXISTS ] $id [ [ NOT ] < LIKE | ILIKE > $str ] [ ON CLUSTER $id ] [ SYNC ]",
    "BACKUP $element { ', $element } [ ON CLUSTER $id ] TO $function $backup",
    "RESTORE $element { ', $element } [ ON CLUSTER $id ] FROM $function $backup",
    "CREATE NAMED COLLECTION [ IF NOT EXISTS ] $id [ ON CLUSTER $id ] AS $pair { ', $pair }",
    "ALTER NAMED COLLECTION [ IF EXISTS ] $id [ ON CLUSTER $id ] [ SET $pair { ', $pair } ] [ DELETE $dotted { ', $dotted } ]",
    "DROP NAMED COLLECTION [ IF EXISTS ] $id [ ON CLUSTER $id ]",
    "SET TRANSACTION SNAPSHOT $number",
    "BEGIN TRANSACTION",
    "COMMIT",
    "ROLLBACK",
    "MOVE < USER | ROLE | QUOTA > $user { ', $user } TO $id",
    "KILL < TRANSACTION | PART_MOVE_TO_SHARD > [ ON CLUSTER $id ] WHERE $expr < SYNC | ASYNC | TEST | +ASYNC >",
    "ALTER DATABASE $id [ ON CLUSTER $id ] < ~( | $nothing > +( < MODIFY SETTING $settings | MODIFY COMMENT $str > \
     < ~) | $nothing > +)",
    "< CREATE OR REPLACE | CREATE > < WORKLOAD | RESOURCE > $any",
    "SYSTEM < RESTORE | DETACH > QUARANTINED $any",
];

/// What stands behind SHOW.
const SHOWN: &[&str] = &[
    "< USERS | ROLES | CURRENT ROLES | ENABLED ROLES | QUOTAS | ACCESS | PRIVILEGES | FILESYSTEM CACHES >",
    "< ROW | +ROW > POLICIES < ON $target | $id [ ON $target ] | $nothing >",
    "< CURRENT QUOTA | +CURRENT QUOTA >",
    "< SETTINGS | +SETTINGS > PROFILES",
    "SETTING $id",
    "< CLUSTERS | MERGES > [ [ NOT ] < LIKE | ILIKE > $str ] [ LIMIT $expr ]",
    "CLUSTER $user",
];

/// ALTER commands that stay words.
const COMMANDS: &[&str] = &[
    "< DROP | ATTACH | DETACH > PART $str",
    "< DROP | DETACH > PARTITION $partition",
    "DROP DETACHED < PARTITION $partition | PART $str >",
    "ATTACH PARTITION $partition [ FROM $table ]",
    "REPLACE PARTITION $partition FROM $table",
    "MOVE < PARTITION $partition | PART $str > TO < TABLE $table | DISK $str | VOLUME $str | SHARD $str >",
    "FETCH < PARTITION $partition | PART $str > FROM $str",
    "FREEZE [ PARTITION $partition ] [ WITH NAME $str ]",
    "UNFREEZE [ PARTITION $partition ] WITH NAME $str",
    "DROP < INDEX | PROJECTION | CONSTRAINT > [ IF EXISTS ] $dotted",
    "DROP STATISTICS [ IF EXISTS ] < ALL | $id { ', $id } >",
    "CLEAR < INDEX | PROJECTION > [ IF EXISTS ] $dotted [ IN PARTITION $partition ]",
    "CLEAR STATISTICS [ IF EXISTS ] < ALL | $id { ', $id } >",
    "APPLY < DELETED MASK | PATCHES > [ IN PARTITION $partition ]",
    "REWRITE PARTS [ IN PARTITION $partition ]",
    "FORGET PARTITION $partition",
    "REMOVE < SAMPLE BY | TTL >",
    "UNLOCK SNAPSHOT $str",
    "EXECUTE $any",
];

/// What stands behind SYSTEM. START, STOP, PAUSE, RESUME, CANCEL, REFRESH and SEEK of streams are our own.
const SYSTEM: &[&str] = &[
    "FLUSH LOGS [ ON CLUSTER $id ] [ $table { ', $table } ]",
    "FLUSH ASYNC INSERT QUEUE [ ON CLUSTER $id ] [ $table ]",
    "FLUSH DISTRIBUTED [ ON CLUSTER $id ] $table [ SETTINGS $settings ]",
    "< START | STOP > < MERGES | TTL MERGES | MOVES | FETCHES | REPLICATED SENDS | REPLICATION QUEUES | \
     PULLING REPLICATION LOG | DISTRIBUTED SENDS | CLEANUP | VIRTUAL PARTS UPDATE > [ ON CLUSTER $id ] \
     [ < ON VOLUME $id ^. $id | $table > ]",
    "< START | STOP > < VIEWS | REPLICATED VIEW $table | THREAD FUZZER | VIEW $table >",
    "< START | STOP > LISTEN [ ON CLUSTER $id ] < QUERIES < ALL | DEFAULT | CUSTOM > [ EXCEPT $upper { ', $upper } ] | \
     CUSTOM $str | $upper >",
    "RELOAD < DICTIONARIES | EMBEDDED DICTIONARIES | CONFIG | USERS | FUNCTIONS | ASYNCHRONOUS METRICS > [ ON CLUSTER $id ]",
    "RELOAD < DICTIONARY | FUNCTION > [ ON CLUSTER $id ] < $table | $user >",
    "SYNC REPLICA [ ON CLUSTER $id ] $table [ < STRICT | PULL | DEFAULT | LIGHTWEIGHT [ FROM $str { ', $str } ] > ]",
    "SYNC DATABASE REPLICA [ ON CLUSTER $id ] $id",
    "SYNC < FILE CACHE | TRANSACTION LOG > [ ON CLUSTER $id ]",
    "< RESTART | RESTORE > REPLICA [ ON CLUSTER $id ] $table",
    "RESTART REPLICAS [ ON CLUSTER $id ]",
    "DROP REPLICA [ ON CLUSTER $id ] $str [ FROM < DATABASE $id | TABLE $table | ZKPATH $str > ]",
    "DROP DATABASE REPLICA [ ON CLUSTER $id ] $str [ FROM < DATABASE $id | ZKPATH $str > ]",
    "< ~DROP +CLEAR | CLEAR > < MARK | INDEX MARK | INDEX UNCOMPRESSED | UNCOMPRESSED | PRIMARY INDEX | DNS | \
     CONNECTIONS | COMPILED EXPRESSION | MMAP | PAGE | QUERY CONDITION | S3 CLIENT | ICEBERG METADATA | \
     PARQUET METADATA | VECTOR SIMILARITY INDEX | TEXT INDEX | TEXT INDEX HEADER | TEXT INDEX POSTINGS | \
     TEXT INDEX TOKENS | DISTRIBUTED | DISK METADATA > < CACHE | CACHES > [ ON CLUSTER $id ]",
    "< ~DROP +CLEAR | CLEAR > QUERY CACHE [ ON CLUSTER $id ] [ TAG $str ]",
    "< ~DROP +CLEAR | CLEAR > FILESYSTEM CACHE [ ON CLUSTER $id ] [ $str [ KEY $id ] ]",
    "< ~DROP +CLEAR | CLEAR > SCHEMA CACHE [ ON CLUSTER $id ] [ FOR $upper ]",
    "< ~DROP +CLEAR | CLEAR > FORMAT SCHEMA CACHE [ ON CLUSTER $id ] [ FOR $id ]",
    "< REFRESH | CANCEL | WAIT | PAUSE > VIEW $table",
    "TEST VIEW $table < SET FAKE TIME $str | UNSET FAKE TIME >",
    "SHUTDOWN",
    "KILL",
    "SUSPEND [ ON CLUSTER $id ] FOR $number SECOND",
    "< ENABLE | DISABLE | NOTIFY > FAILPOINT $id",
    "WAIT FAILPOINT $id [ < PAUSE | RESUME > ]",
    "UNFREEZE [ ON CLUSTER $id ] WITH NAME $str",
    "UNLOCK SNAPSHOT $str [ FROM $function ]",
    "JEMALLOC < PURGE | ENABLE PROFILE | DISABLE PROFILE | FLUSH PROFILE >",
    "< LOAD | UNLOAD > PRIMARY KEY [ ON CLUSTER $id ] [ $table ]",
    "PREWARM < MARK | PRIMARY INDEX > CACHE [ ON CLUSTER $id ] $table",
    "WAIT LOADING PARTS [ ON CLUSTER $id ] [ $table ]",
    "RESET COVERAGE",
    "< START | STOP > ALL [ BACKGROUND ]",
    "< START | STOP | PAUSE | RESUME | CANCEL | REFRESH > [ ALL ] [ BACKGROUND ]",
    "< START | STOP | PAUSE | RESUME | CANCEL | REFRESH > $table",
    "SEEK $any",
];

/// What stands behind SYSTEM as ClickHouse prints it.
pub(in crate::sql) fn system(text: &str) -> Option<String> {
    let first = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let forms: Vec<&str> = SYSTEM
        .iter()
        .copied()
        .filter(|form| form.starts_with('<') || form.starts_with(&first))
        .collect();
    canonical(text, &forms)
}

/// A kept statement as ClickHouse prints it; None if the text is none.
pub(in crate::sql) fn statement(text: &str) -> Option<String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    let forms: Vec<&str> = STATEMENTS
        .iter()
        .copied()
        .filter(|form| form.starts_with('<') || form.starts_with(first))
        .collect();
    canonical(text, &forms).or_else(|| dictionary(text))
}

/// What stands behind SHOW, likewise.
pub(in crate::sql) fn shown(text: &str) -> Option<String> {
    canonical(text, SHOWN)
}

/// A command of ALTER, likewise.
pub(in crate::sql) fn command(text: &str) -> Option<String> {
    canonical(text, COMMANDS)
}
