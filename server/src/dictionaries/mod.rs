//! Dictionaries of the server: loaded when first asked for, kept, and loaded again in the background when
//! their LIFETIME is over. What a failed reload leaves is the content before it.
//!
//! One thread reloads, one dictionary at a time. DIRECT ones are read anew for every query; CACHE ones
//! are kept whole for their lifetime. A dictionary's bytes are part of the server's memory account.

pub mod definition;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pumphouse_query::context::{MemoryTracker, QueryContext};
use pumphouse_query::dictionary::Dictionary;
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result, execute, prepare, sql};
use pumphouse_storage::log::{State, Table};
use uuid::Uuid;

use self::definition::{DictionaryDefinition, Source};
use crate::server::Server;

/// How long a query waits for another one that loads the same dictionary.
const LOAD_WAIT: Duration = Duration::from_secs(60);
/// How often lifetimes are looked at.
const RELOAD_STEP: Duration = Duration::from_secs(1);

/// Whether the table is what CREATE DICTIONARY made.
pub fn is_dictionary(table: &Table) -> bool {
    let definition = &table.definition;
    definition.engine == "Dictionary" && definition.clauses.engine_arguments.is_empty()
}

/// What is known of one dictionary's content.
#[derive(Default)]
pub struct Loaded {
    pub dictionary: Option<Arc<Dictionary>>,
    /// The definition that it was loaded by.
    text: String,
    loaded_at: Option<Instant>,
    pub started_us: u64,
    pub succeeded_us: u64,
    pub seconds: f64,
    pub errors: u64,
    pub last_error: String,
}

#[derive(Default)]
struct Entry {
    loaded: Mutex<Loaded>,
    loading: Mutex<()>,
}

/// All loaded dictionaries, by the id of their definition.
#[derive(Default)]
pub struct Dictionaries {
    entries: Mutex<BTreeMap<Uuid, Arc<Entry>>>,
}

impl Dictionaries {
    fn entry(&self, id: Uuid) -> Arc<Entry> {
        self.entries.lock().entry(id).or_default().clone()
    }

    /// Reads what is known of a dictionary.
    pub fn look<T>(&self, id: Uuid, read: impl FnOnce(&Loaded) -> T) -> Option<T> {
        let entry = self.entries.lock().get(&id).cloned()?;
        let loaded = entry.loaded.lock();
        Some(read(&loaded))
    }

    /// The dictionary of `table`, loaded if it is not yet.
    pub fn get(&self, server: &Server, table: &Table) -> Result<Arc<Dictionary>> {
        let text = &table.definition.create_query;
        let definition = DictionaryDefinition::parse(text, &table.definition.database)?;
        let name = table.definition.full_name();
        if definition.is_direct() {
            return Ok(Arc::new(load(server, &definition, name)?));
        }
        let entry = self.entry(table.definition.uuid);
        let current = |loaded: &Loaded| {
            let expired = definition.is_cache() && is_over(&definition, loaded);
            loaded.dictionary.clone().filter(|_| loaded.text == *text && !expired)
        };
        if let Some(dictionary) = current(&entry.loaded.lock()) {
            return Ok(dictionary);
        }
        let Some(_loading) = entry.loading.try_lock_for(LOAD_WAIT) else {
            return Err(Error::new(
                codes::TIMEOUT_EXCEEDED,
                format!("Dictionary {name} is being loaded for too long (does it read itself?)"),
            ));
        };
        if let Some(dictionary) = current(&entry.loaded.lock()) {
            return Ok(dictionary);
        }
        reload(server, &entry, &definition, table)
    }

    /// Loads the dictionary of `table` again, now.
    pub fn reload(&self, server: &Server, table: &Table) -> Result<()> {
        let text = &table.definition.create_query;
        let definition = DictionaryDefinition::parse(text, &table.definition.database)?;
        if definition.is_direct() {
            return Ok(());
        }
        let entry = self.entry(table.definition.uuid);
        let Some(_loading) = entry.loading.try_lock_for(LOAD_WAIT) else {
            return Err(Error::new(codes::TIMEOUT_EXCEEDED, "The dictionary is being loaded"));
        };
        reload(server, &entry, &definition, table).map(|_| ())
    }

    /// Reloads all that are loaded.
    pub fn reload_loaded(&self, server: &Server, only_expired: bool) {
        let state = server.store.snapshot();
        self.entries.lock().retain(|id, _| state.tables.contains_key(id));
        let known: Vec<(Uuid, Arc<Entry>)> =
            self.entries.lock().iter().map(|(id, e)| (*id, e.clone())).collect();
        for (id, entry) in known {
            let Some(table) = state.tables.get(&id).filter(|t| is_dictionary(t)) else { continue };
            let (text, database) = (&table.definition.create_query, &table.definition.database);
            let Ok(definition) = DictionaryDefinition::parse(text, database) else { continue };
            let wanted = {
                let loaded = entry.loaded.lock();
                loaded.dictionary.is_some()
                    && (!only_expired || !definition.is_cache() && is_over(&definition, &loaded))
            };
            // One that is being loaded needs no second load; a failure is kept to be shown.
            if wanted && let Some(_loading) = entry.loading.try_lock() {
                let _ = reload(server, &entry, &definition, table);
            }
        }
    }
}

/// Whether the lifetime is over. Between MIN and MAX each dictionary has its own moment.
fn is_over(definition: &DictionaryDefinition, loaded: &Loaded) -> bool {
    let (min, max) = definition.lifetime.unwrap_or((0, 0));
    if max == 0 {
        return false;
    }
    let spread = max.saturating_sub(min);
    let seconds = min + (loaded.succeeded_us ^ loaded.started_us.rotate_left(17)) % (spread + 1);
    loaded.loaded_at.is_none_or(|at| at.elapsed() >= Duration::from_secs(seconds.max(1)))
}

fn reload(
    server: &Server,
    entry: &Entry,
    definition: &DictionaryDefinition,
    table: &Table,
) -> Result<Arc<Dictionary>> {
    let (began, started_us) = (Instant::now(), server.clock.now_us());
    let result = load(server, definition, table.definition.full_name());
    let mut loaded = entry.loaded.lock();
    loaded.started_us = started_us;
    loaded.loaded_at = Some(Instant::now());
    loaded.seconds = began.elapsed().as_secs_f64();
    match result {
        Ok(dictionary) => {
            let dictionary = Arc::new(dictionary);
            if let Some(before) = &loaded.dictionary {
                let count = before.queries.load(Ordering::Relaxed);
                dictionary.queries.store(count, Ordering::Relaxed);
                dictionary.found.store(before.found.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            loaded.text = table.definition.create_query.clone();
            loaded.succeeded_us = server.clock.now_us();
            loaded.last_error.clear();
            loaded.dictionary = Some(dictionary.clone());
            Ok(dictionary)
        }
        Err(e) => {
            loaded.errors += 1;
            loaded.last_error = e.to_string();
            Err(e)
        }
    }
}

/// Reads the source and indexes it.
fn load(server: &Server, definition: &DictionaryDefinition, name: String) -> Result<Dictionary> {
    let id = format!("dictionary-{}", Uuid::new_v4());
    let mut context = QueryContext::new(id, server.clock.now_us(), 0);
    let max = server.config.max_memory_usage;
    context.memory = MemoryTracker::with_parent(max, Some(server.memory.clone()));
    context.database = definition.database.clone();
    let context = Arc::new(context);
    let blocks = match definition.query() {
        Some(text) => {
            let query = sql::parse_query(&text)?;
            let plan = prepare(&query, &server.catalog(), &context)?;
            execute::collect(&plan, &context)?
        }
        None => vec![],
    };
    let mut structure = definition.structure.clone();
    structure.name = name;
    Dictionary::build(structure, blocks, &server.memory, &context)
}

/// The dictionary that `name`, with a database or not, means in `database`.
pub fn find<'s>(state: &'s State, database: &str, name: &str) -> Option<&'s Arc<Table>> {
    let own = state.table(database, name);
    let qualified = || name.split_once('.').and_then(|(d, n)| state.table(d, n));
    own.or_else(qualified).filter(|t| is_dictionary(t))
}

/// Dictionaries and dictionary tables that read `database.name`.
pub fn dependents(state: &State, database: &str, name: &str) -> Vec<String> {
    let mut names = vec![];
    for table in state.tables.values().filter(|t| t.definition.engine == "Dictionary") {
        let definition = &table.definition;
        let reads = match definition.clauses.engine_arguments.first() {
            Some(text) => text.trim_matches('\'') == format!("{database}.{name}"),
            None => {
                let parsed =
                    DictionaryDefinition::parse(&definition.create_query, &definition.database);
                parsed.is_ok_and(|d| match &d.source {
                    Source::Table { database: d, table, .. } => d == database && table == name,
                    _ => false,
                })
            }
        };
        if reads && !table.detached && state.table(&definition.database, &definition.name).is_some()
        {
            names.push(definition.full_name());
        }
    }
    names
}

/// Starts the thread that reloads what is over; it ends with the server.
pub fn start_reloading(server: &Arc<Server>) -> Result<()> {
    let server: Weak<Server> = Arc::downgrade(server);
    let work = move || {
        loop {
            std::thread::sleep(RELOAD_STEP);
            let Some(server) = server.upgrade() else { return };
            if server.stopping.load(Ordering::SeqCst) {
                return;
            }
            server.dictionaries.reload_loaded(&server, true);
        }
    };
    let thread = std::thread::Builder::new().name("dictionaries".into()).spawn(work);
    thread
        .map(|_| ())
        .map_err(|e| Error::new(codes::CANNOT_SCHEDULE_TASK, format!("Cannot start a thread: {e}")))
}
