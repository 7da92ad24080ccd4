//! ALTER TABLE … FREEZE: copies of a table's part files, as they are at one version, in
//! `shadow/<name>` below the data directory; UNFREEZE removes them.
//!
//! Names are checked to be plain words, so they stay inside that folder. A copy is a plain copy: the
//! files do not change while the state is held.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};
use pumphouse_storage::log::{Table, mask_path};

use crate::server::Server;

pub(super) fn freeze(
    server: &Server,
    table: &Arc<Table>,
    partition_id: Option<&str>,
    name: Option<&str>,
) -> Result<()> {
    if server.config.in_memory {
        return Err(Error::new(
            codes::NOT_IMPLEMENTED,
            "FREEZE copies files, and with in_memory there are none",
        ));
    }
    let root = server.config.data_dir.join("shadow");
    let name = match name {
        Some(name) => name.to_string(),
        None => next_number(&root).to_string(),
    };
    let folder = folder(server, &name)?.join(table.definition.uuid.to_string());
    fs::create_dir_all(&folder).map_err(|e| failed("create", &e))?;
    let meant = table.parts.iter().filter(|p| partition_id.is_none_or(|id| p.partition_id == id));
    for part in meant {
        let mask = part.mask.as_ref().map(|m| (mask_path(m.id), format!("{}.mask", part.name())));
        let files = [Some((part.path(), format!("{}.part", part.name()))), mask];
        for (from, to) in files.into_iter().flatten() {
            let target = folder.join(to);
            fs::copy(server.config.data_dir.join(from), &target)
                .and_then(|_| fs::File::open(&target)?.sync_all())
                .map_err(|e| failed("copy a part for", &e))?;
        }
    }
    let definition = folder.join("create.sql");
    fs::write(definition, &table.definition.create_query).map_err(|e| failed("write", &e))
}

pub(super) fn unfreeze(server: &Server, name: &str) -> Result<()> {
    let folder = folder(server, name)?;
    match fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &e)),
        _ => Ok(()),
    }
}

fn folder(server: &Server, name: &str) -> Result<PathBuf> {
    let plain = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if !plain {
        return Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("The name of a frozen copy is of letters, digits, _, - and ., not '{name}'"),
        ));
    }
    Ok(server.config.data_dir.join("shadow").join(name))
}

/// One more than the largest number among the names there.
fn next_number(root: &std::path::Path) -> u64 {
    let names = fs::read_dir(root).into_iter().flatten().flatten();
    names.filter_map(|e| e.file_name().to_str()?.parse::<u64>().ok()).max().unwrap_or(0) + 1
}

fn failed(what: &str, e: &std::io::Error) -> Error {
    Error::new(codes::CANNOT_OPEN_FILE, format!("Cannot {what} the frozen copy: {e}"))
}
