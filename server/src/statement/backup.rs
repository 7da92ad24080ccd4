//! BACKUP and RESTORE: what is named becomes a set of tables at one version; `Disk` and `File` both
//! name a folder below the configured backups path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::backup::{Backup, BackupProgress, MANIFEST, Placement, restore, write};
use pumphouse_storage::disk::{Disk, RealDisk};
use pumphouse_storage::log::{State, Table};
use pumphouse_storage::types::parse_data_type;
use pumphouse_storage::{Block, Column, DataType, Value};
use uuid::Uuid;

use super::Run;
use super::rename::renamed;
use super::words::Words;
use crate::backups::{BackupEntry, STATUS_TYPE, backup_folder};
use crate::server::Server;

type Name = (String, String);

/// One thing that the statement names.
#[derive(Debug, Clone)]
enum Element {
    Table { name: Name, rename: Option<Name> },
    Database { name: String, rename: Option<String> },
    All,
}

/// A statement, read.
struct Order {
    elements: Vec<Element>,
    except_databases: BTreeSet<String>,
    except_tables: BTreeSet<Name>,
    /// As written, for `system.backups`.
    place_text: String,
    folder: PathBuf,
    settings: BTreeMap<String, String>,
    run_async: bool,
    format: Option<String>,
}

impl Order {
    fn flag(&self, name: &str) -> bool {
        self.settings.get(name).is_some_and(|v| v == "1" || v.eq_ignore_ascii_case("true"))
    }
}

impl Run<'_> {
    /// Behind BACKUP or RESTORE.
    pub(super) fn backup_or_restore(
        &mut self,
        is_restore: bool,
        mut words: Words<'_>,
    ) -> Result<()> {
        let order = self.read_order(is_restore, &mut words)?;
        let id = order.settings.get("id").cloned();
        let now = self.server.clock.now_us();
        let entry = self.server.backups.begin(
            id,
            order.place_text.clone(),
            &self.context.query_id,
            is_restore,
            now,
        )?;
        let format = order.format.clone();
        if order.run_async {
            let (server, id) = (self.server.clone(), entry.id.clone());
            let progress = entry.progress.clone();
            let started = std::thread::Builder::new().name("backup".into()).spawn(move || {
                let outcome = carry_out(&server, &order, is_restore, &progress);
                server.backups.end(&id, &outcome, server.clock.now_us());
            });
            if let Err(e) = started {
                let failed = Err(Error::new(codes::ABORTED, format!("cannot start a thread: {e}")));
                self.server.backups.end(&entry.id, &failed, self.server.clock.now_us());
                return failed;
            }
            return self.answer(&entry, entry.status as i64, format.as_deref());
        }
        let outcome = carry_out(self.server, &order, is_restore, &entry.progress);
        self.server.backups.end(&entry.id, &outcome, self.server.clock.now_us());
        outcome?;
        // The next number but one is "done" for both.
        let done = if is_restore { 4 } else { 1 };
        self.answer(&entry, done, format.as_deref())
    }

    fn answer(&mut self, entry: &BackupEntry, status: i64, format: Option<&str>) -> Result<()> {
        let id = Column::from_values(DataType::String, &[Value::string(entry.id.clone())])?;
        let status = Column::from_values(parse_data_type(STATUS_TYPE)?, &[Value::Int(status)])?;
        self.write_block(&Block::new(vec![("id".into(), id), ("status".into(), status)]), format)
    }

    fn read_order(&self, is_restore: bool, words: &mut Words<'_>) -> Result<Order> {
        let (mut elements, mut except_databases, mut except_tables) =
            (vec![], BTreeSet::new(), BTreeSet::new());
        loop {
            elements.push(self.read_element(words)?);
            if words.keyword("EXCEPT DATABASES") || words.keyword("EXCEPT DATABASE") {
                except_databases.insert(words.name()?);
                while words.symbol(",") {
                    except_databases.insert(words.name()?);
                }
            } else if words.keyword("EXCEPT TABLES") || words.keyword("EXCEPT TABLE") {
                except_tables.insert(self.full_name(words.table_name()?));
                while words.symbol(",") {
                    except_tables.insert(self.full_name(words.table_name()?));
                }
            }
            if !words.symbol(",") {
                break;
            }
        }
        words.expect_keyword(if is_restore { "FROM" } else { "TO" })?;
        let (place_text, folder) = self.read_place(words)?;
        let settings = words.settings()?;
        let mut run_async = words.keyword("ASYNC");
        if !run_async {
            words.keyword("SYNC");
        }
        let format = words.format_and_end()?;
        let asked = settings.get("async").is_some_and(|v| v == "1" || v == "true");
        run_async |= asked;
        if settings.contains_key("base_backup") {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "Incremental backups (base_backup) are not supported",
            ));
        }
        Ok(Order {
            elements,
            except_databases,
            except_tables,
            place_text,
            folder,
            settings,
            run_async,
            format,
        })
    }

    fn full_name(&self, (database, name): (Option<String>, String)) -> Name {
        (database.unwrap_or_else(|| self.context.database.clone()), name)
    }

    fn read_element(&self, words: &mut Words<'_>) -> Result<Element> {
        if words.keyword("ALL") {
            return Ok(Element::All);
        }
        if words.keyword("DATABASE") {
            let name = words.name()?;
            let rename = if words.keyword("AS") { Some(words.name()?) } else { None };
            return Ok(Element::Database { name, rename });
        }
        if !(words.keyword("TABLE") || words.keyword("VIEW") || words.keyword("DICTIONARY")) {
            return Err(words.unexpected("TABLE, DATABASE, ALL"));
        }
        let name = self.full_name(words.table_name()?);
        let rename =
            if words.keyword("AS") { Some(self.full_name(words.table_name()?)) } else { None };
        if words.keyword("PARTITION") || words.keyword("PARTITIONS") {
            return Err(Error::new(
                codes::NOT_IMPLEMENTED,
                "BACKUP and RESTORE of single partitions is not supported",
            ));
        }
        Ok(Element::Table { name, rename })
    }

    fn read_place(&self, words: &mut Words<'_>) -> Result<(String, PathBuf)> {
        let engine = words.name()?;
        words.expect_symbol("(")?;
        let mut arguments = vec![words.string()?];
        while words.symbol(",") {
            arguments.push(words.string()?);
        }
        words.expect_symbol(")")?;
        let name = match (engine.as_str(), &arguments[..]) {
            ("File", [name]) | ("Disk", [_, name]) => name,
            ("File" | "Disk", _) => {
                return Err(Error::new(
                    codes::NUMBER_OF_ARGUMENTS_DOESNT_MATCH,
                    format!("Backup engine '{engine}' requires 1 (File) or 2 (Disk) arguments"),
                ));
            }
            _ => {
                return Err(Error::new(
                    codes::BACKUP_ENGINE_NOT_FOUND,
                    format!("Not found backup engine '{engine}'; there are Disk and File"),
                ));
            }
        };
        let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
        let text = format!("{engine}({})", quoted.join(", "));
        Ok((text, backup_folder(&self.server.config.backups_dir(), name)?))
    }
}

fn carry_out(
    server: &Arc<Server>,
    order: &Order,
    is_restore: bool,
    progress: &BackupProgress,
) -> Result<()> {
    if is_restore {
        run_restore(server, order, progress)
    } else {
        run_backup(server, order, progress)
    }
}

fn run_backup(server: &Server, order: &Order, progress: &BackupProgress) -> Result<()> {
    if order.folder.join(MANIFEST).exists() {
        return Err(Error::new(
            codes::BACKUP_ALREADY_EXISTS,
            format!("Backup {} already exists", order.place_text),
        ));
    }
    let state = server.store.snapshot();
    let chosen = choose(&state, order)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&order.folder)?);
    if !disk.list("")?.is_empty() {
        return Err(Error::new(
            codes::BACKUP_ALREADY_EXISTS,
            format!("The folder of {} is not empty (an unfinished backup?)", order.place_text),
        ));
    }
    let tables: BTreeSet<Uuid> = chosen.iter().map(|t| t.definition.uuid).collect();
    let databases: BTreeSet<String> = chosen
        .iter()
        .map(|t| t.definition.database.clone())
        .chain(named_databases(order))
        .collect();
    write(&server.store, &state, &tables, &databases, &disk, progress)?;
    Ok(())
}

fn named_databases(order: &Order) -> Vec<String> {
    let named = |e: &Element| match e {
        Element::Database { name, .. } => Some(name.clone()),
        _ => None,
    };
    order.elements.iter().filter_map(named).collect()
}

/// The attached tables that the statement means. Logs of the server itself stay out of ALL.
fn choose(state: &State, order: &Order) -> Result<Vec<Arc<Table>>> {
    let mut chosen: BTreeMap<Uuid, Arc<Table>> = BTreeMap::new();
    let attached = || state.tables.values().filter(|t| !t.detached);
    for element in &order.elements {
        let before = chosen.len();
        match element {
            Element::All => {
                let all = attached().filter(|t| t.definition.database != "system");
                chosen.extend(all.map(|t| (t.definition.uuid, t.clone())));
            }
            Element::Database { name, .. } => {
                if !state.databases.contains_key(name) {
                    return Err(Error::new(
                        codes::UNKNOWN_DATABASE,
                        format!("Database {name} does not exist"),
                    ));
                }
                let own = attached().filter(|t| t.definition.database == *name);
                chosen.extend(own.map(|t| (t.definition.uuid, t.clone())));
            }
            Element::Table { name, .. } => {
                let table = state.table(&name.0, &name.1).ok_or_else(|| {
                    Error::new(
                        codes::UNKNOWN_TABLE,
                        format!("Table {}.{} does not exist", name.0, name.1),
                    )
                })?;
                chosen.insert(table.definition.uuid, table.clone());
                // The hidden table of a materialized view belongs to it.
                if let Some((database, target)) = &table.definition.target
                    && target.starts_with(".inner_id.")
                    && let Some(inner) = state.table(database, target)
                {
                    chosen.insert(inner.definition.uuid, inner.clone());
                }
            }
        }
        tracing::debug!("{element:?}: {} tables", chosen.len() - before);
    }
    chosen.retain(|_, table| {
        let d = &table.definition;
        !order.except_databases.contains(&d.database)
            && !order.except_tables.contains(&(d.database.clone(), d.name.clone()))
    });
    Ok(chosen.into_values().collect())
}

fn run_restore(server: &Arc<Server>, order: &Order, progress: &BackupProgress) -> Result<()> {
    if !order.folder.join(MANIFEST).exists() {
        return Err(Error::new(
            codes::BACKUP_NOT_FOUND,
            format!("Backup {} not found (or it was never finished)", order.place_text),
        ));
    }
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(&order.folder)?);
    let backup = Backup::open(disk).map_err(|e| damaged(order, &e.into()))?;
    let chosen = choose(&backup.state, order).map_err(|e| {
        Error::new(codes::BACKUP_ENTRY_NOT_FOUND, format!("{e} in backup {}", order.place_text))
    })?;
    let names = new_names(&chosen, order);
    let state = server.store.snapshot();
    let mut databases: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut placements = vec![];
    for table in &chosen {
        let to = &names[&table.definition.uuid];
        if let Some(existing) = state.table(&to.0, &to.1) {
            return Err(already_there(existing, order));
        }
        if !state.databases.contains_key(&to.0) {
            let old = backup.state.databases.get(&table.definition.database);
            let (engine, comment) = old.map_or(("Atomic".into(), String::new()), |d| {
                (d.engine.clone(), d.comment.clone())
            });
            databases.insert(to.0.clone(), (engine, comment));
        }
        placements.push(place(table, to, &chosen, &names)?);
    }
    let databases = databases.into_iter().map(|(n, (e, c))| (n, e, c)).collect();
    let structure_only = order.flag("structure_only");
    restore(&server.store, &backup, databases, &placements, structure_only, progress).map_err(
        |e| match e {
            e @ pumphouse_storage::Error::Damaged { .. } => damaged(order, &e.into()),
            e => e.into(),
        },
    )?;
    server.kafka.sync();
    server.merges.wake();
    Ok(())
}

fn damaged(order: &Order, e: &Error) -> Error {
    Error::new(codes::BACKUP_DAMAGED, format!("Backup {} is damaged: {e}", order.place_text))
}

fn already_there(table: &Table, order: &Order) -> Error {
    Error::new(
        codes::CANNOT_RESTORE_TABLE,
        format!(
            "Cannot restore {} from {}: a table of that name exists. Restore it under another name \
             (AS) or drop the table first",
            table.definition.full_name(),
            order.place_text
        ),
    )
}

/// What each table is to be called.
fn new_names(chosen: &[Arc<Table>], order: &Order) -> BTreeMap<Uuid, Name> {
    let mut names = BTreeMap::new();
    for table in chosen {
        let d = &table.definition;
        let old = (d.database.clone(), d.name.clone());
        let mut new = old.clone();
        for element in &order.elements {
            match element {
                Element::Table { name, rename: Some(to) } if *name == old => new = to.clone(),
                Element::Database { name, rename: Some(to) } if *name == old.0 => {
                    new.0 = to.clone();
                }
                _ => {}
            }
        }
        names.insert(d.uuid, new);
    }
    // A hidden table is named by the new id of its view, see `place`.
    names
}

/// The table's definition under its new name, with what it points at following along.
fn place(
    table: &Arc<Table>,
    to: &Name,
    chosen: &[Arc<Table>],
    names: &BTreeMap<Uuid, Name>,
) -> Result<Placement> {
    let old = &table.definition;
    let moved = |name: &Name| {
        let target =
            chosen.iter().find(|t| t.definition.database == name.0 && t.definition.name == name.1);
        target.map_or_else(|| name.clone(), |t| names[&t.definition.uuid].clone())
    };
    if old.select.is_some() && *to != (old.database.clone(), old.name.clone()) {
        return Err(Error::new(
            codes::NOT_IMPLEMENTED,
            format!("The view {} can only be restored under its own name", old.full_name()),
        ));
    }
    let mut definition = (*renamed(&table.definition, to)?).clone();
    definition.uuid = Uuid::new_v4();
    definition.target = old.target.as_ref().map(moved);
    definition.source = old.source.as_ref().map(moved);
    Ok(Placement { table: old.uuid, definition: Arc::new(definition) })
}
