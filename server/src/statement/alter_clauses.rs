//! ALTER of what stands beside the columns: keys, TTL, settings, comment, indexes, projections,
//! constraints.

use pumphouse_query::error::codes;
use pumphouse_query::sql::ast::{AlterCommand, Expr, Setting};
use pumphouse_query::sql::{format, names_in};
use pumphouse_query::{Error, Result};

use super::Run;
use super::alter_draft::Draft;
use super::alter_words::{Kept, kept};

/// Settings of a MergeTree table that cannot change once it has parts.
const READONLY: [&str; 4] =
    ["index_granularity", "index_granularity_bytes", "allow_nullable_key", "disk"];

impl Draft {
    pub(super) fn apply_clause(&mut self, run: &Run<'_>, command: &AlterCommand) -> Result<()> {
        let engine = self.table.definition.engine.clone();
        let is_merge_tree = engine.ends_with("MergeTree");
        let needs_merge_tree = !matches!(
            command,
            AlterCommand::ModifyComment(_)
                | AlterCommand::ModifySetting(_)
                | AlterCommand::ResetSetting(_)
        );
        if needs_merge_tree && !is_merge_tree {
            return Err(super::alter::not_supported("ALTER", &engine));
        }
        match command {
            AlterCommand::ModifyComment(comment) => {
                self.create.comment = Some(comment.clone()).filter(|c| !c.is_empty());
                Ok(())
            }
            AlterCommand::ModifyOrderBy(key) => self.modify_order_by(key),
            AlterCommand::ModifyTtl(items) => {
                self.create.engine.ttl = items.clone();
                Ok(())
            }
            AlterCommand::RemoveTtl => {
                if self.create.engine.ttl.is_empty() {
                    return Err(Error::new(
                        codes::BAD_ARGUMENTS,
                        "Table doesn't have any table TTL expression, cannot remove.",
                    ));
                }
                self.create.engine.ttl.clear();
                Ok(())
            }
            AlterCommand::ModifySetting(settings) => {
                settings.iter().try_for_each(|setting| self.modify_setting(setting))
            }
            AlterCommand::ResetSetting(names) => {
                names.iter().try_for_each(|name| self.reset_setting(name))
            }
            AlterCommand::AddIndex { index, if_not_exists, first, after } => {
                if self.create.indexes.iter().any(|i| i.name == index.name) {
                    return exists("index", &index.name, *if_not_exists);
                }
                self.check_names(run, &index.expr)?;
                let names: Vec<&str> =
                    self.create.indexes.iter().map(|i| i.name.as_str()).collect();
                let at = place("index", &names, *first, after.as_deref())?;
                self.create.indexes.insert(at, index.clone());
                Ok(())
            }
            AlterCommand::AddConstraint { name, assume, expr, if_not_exists } => {
                if self.create.constraints.iter().any(|(n, _, _)| n == name) {
                    return exists("constraint", name, *if_not_exists);
                }
                self.check_names(run, expr)?;
                self.create.constraints.push((name.clone(), *assume, expr.clone()));
                Ok(())
            }
            AlterCommand::AddProjection { name, query, if_not_exists, first, after } => {
                if self.create.projections.iter().any(|(n, _)| n == name) {
                    return exists("projection", name, *if_not_exists);
                }
                let names: Vec<&str> =
                    self.create.projections.iter().map(|(n, _)| n.as_str()).collect();
                let at = place("projection", &names, *first, after.as_deref())?;
                self.create.projections.insert(at, (name.clone(), query.clone()));
                Ok(())
            }
            AlterCommand::Other(text) => match kept(text) {
                Some(Kept::Drop { kind, name, if_exists }) => self.drop(kind, &name, if_exists),
                // What parts have of it goes when they are written anew.
                Some(Kept::Clear { kind: "INDEX", name, if_exists, .. }) => {
                    match if_exists || self.create.indexes.iter().any(|i| i.name == name) {
                        true => Ok(()),
                        false => self.drop("INDEX", &name, false),
                    }
                }
                _ => Err(unsupported(text)),
            },
            other => Err(unsupported(&format::alter_command(other))),
        }
    }

    fn check_names(&self, run: &Run<'_>, expr: &Expr) -> Result<()> {
        let schema: Vec<_> = self
            .create
            .columns
            .iter()
            .filter_map(|c| {
                let data_type =
                    pumphouse_storage::types::parse_data_type(c.data_type.as_ref()?).ok()?;
                Some((c.name.clone(), data_type))
            })
            .collect();
        pumphouse_query::bind::bind_expression(expr, &schema, run.context)?;
        Ok(())
    }

    fn drop(&mut self, kind: &str, name: &str, if_exists: bool) -> Result<()> {
        let removed = match kind {
            "INDEX" => remove(&mut self.create.indexes, |i| i.name == name),
            "PROJECTION" => remove(&mut self.create.projections, |(n, _)| n == name),
            "CONSTRAINT" => remove(&mut self.create.constraints, |(n, _, _)| n == name),
            _ => return Err(unsupported("DROP STATISTICS")),
        };
        if removed || if_exists {
            return Ok(());
        }
        if kind == "PROJECTION" {
            return Err(Error::new(
                codes::NO_SUCH_PROJECTION_IN_TABLE,
                format!("There is no projection {name} in table."),
            ));
        }
        let kind = kind.to_lowercase();
        Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Wrong {kind} name. Cannot find {kind} `{name}` to drop."),
        ))
    }

    /// Only expressions over columns that this statement adds may be appended: in parts that are there
    /// they are constant, so the parts are in order already.
    fn modify_order_by(&mut self, key: &Expr) -> Result<()> {
        let new = super::definition::key_list(key);
        let old = self.table.definition.sorting_key.clone();
        let primary = self.table.definition.primary_key.clone();
        for (i, text) in primary.iter().enumerate() {
            if new.get(i) != Some(text) {
                let found = new.get(i).map_or("nothing", String::as_str);
                return Err(Error::new(
                    codes::BAD_ARGUMENTS,
                    format!(
                        "Primary key must be a prefix of the sorting key, but the column in the position {i} is {found}, not {text}."
                    ),
                ));
            }
        }
        for text in new.iter().skip(old.len()).chain(&new[..old.len().min(new.len())]) {
            if old.contains(text) {
                continue;
            }
            let expr = pumphouse_query::sql::parse_expression(text)?;
            for name in names_in(&expr) {
                self.check_appended(&name)?;
            }
        }
        let kept = new.iter().filter(|text| old.contains(text));
        if !kept.eq(old.iter().take(new.iter().filter(|t| old.contains(t)).count())) {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                "The old sorting key must be a prefix of the new one, but for what is cut at its end",
            ));
        }
        if self.create.engine.primary_key.is_none() {
            self.create.engine.primary_key = self.create.engine.order_by.clone();
        }
        self.create.engine.order_by = Some(key.clone());
        Ok(())
    }

    fn check_appended(&self, name: &str) -> Result<()> {
        let Some(at) = self.position(name) else {
            return Err(Error::new(
                codes::UNKNOWN_IDENTIFIER,
                format!("Missing columns: '{name}'"),
            ));
        };
        if !self.added.contains(name) {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!(
                    "Existing column {name} is used in the expression that was added to the sorting key. You can add expressions that use only the newly added columns"
                ),
            ));
        }
        if self.create.columns[at].default.is_some() {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!(
                    "Newly added column {name} has a default expression, so adding expressions that use it to the sorting key is forbidden."
                ),
            ));
        }
        Ok(())
    }

    fn modify_setting(&mut self, setting: &Setting) -> Result<()> {
        let engine = &self.table.definition.engine;
        if READONLY.contains(&setting.name.as_str()) {
            return Err(Error::new(
                codes::READONLY_SETTING,
                format!("Setting '{}' is readonly for storage '{engine}'.", setting.name),
            ));
        }
        if engine.ends_with("MergeTree") && !is_merge_tree_setting(&setting.name) {
            return Err(Error::new(
                codes::UNKNOWN_SETTING,
                format!("Unknown setting '{}'.", setting.name),
            ));
        }
        let settings = &mut self.create.engine.settings;
        settings.retain(|s| s.name != setting.name);
        settings.push(setting.clone());
        self.settings.insert(setting.name.clone(), Some(setting.text()));
        Ok(())
    }

    fn reset_setting(&mut self, name: &str) -> Result<()> {
        if !is_merge_tree_setting(name)
            && !self.create.engine.settings.iter().any(|s| s.name == name)
        {
            return Err(Error::new(
                codes::BAD_ARGUMENTS,
                format!(
                    "Cannot reset setting '{name}' because it doesn't exist for MergeTree engines family."
                ),
            ));
        }
        self.create.engine.settings.retain(|s| s.name != name);
        self.settings.insert(name.to_string(), None);
        Ok(())
    }
}

/// Names that ClickHouse's MergeTree family knows, by how they begin or as a whole.
fn is_merge_tree_setting(name: &str) -> bool {
    const BEGINNINGS: [&str; 44] = [
        "add_",
        "allow_",
        "always_",
        "assign_",
        "async_",
        "cache_",
        "check_",
        "clean_",
        "cleanup_",
        "clone_",
        "columns_",
        "compact_",
        "compatibility_",
        "concurrent_",
        "deduplicate_",
        "default_",
        "detach_",
        "disable_",
        "disk",
        "enable_",
        "enforce_",
        "exclude_",
        "execute_",
        "fault_",
        "finished_",
        "force_",
        "fsync_",
        "in_memory_",
        "inactive_",
        "index_",
        "initialization_",
        "initial_",
        "load_",
        "lightweight_",
        "lock_",
        "map_",
        "marks_",
        "materialize_",
        "max_",
        "merge_",
        "merge_selecting_",
        "merge_with_",
        "metadata_",
        "min_",
    ];
    const MORE: [&str; 26] = [
        "non_replicated_",
        "notify_",
        "nullable_",
        "number_of_",
        "object_",
        "old_parts_",
        "optimize_",
        "part_",
        "parts_to_",
        "prefer_",
        "prewarm_",
        "primary_",
        "ratio_",
        "reduce_",
        "refresh_",
        "remote_",
        "remove_",
        "replace_",
        "replicated_",
        "search_",
        "serialization_",
        "shared_",
        "sleep_",
        "storage_policy",
        "string_",
        "table_disk",
    ];
    const LAST: [&str; 8] =
        ["temporary_", "try_", "ttl_", "use_", "vertical_", "wait_", "write_", "zero_copy_"];
    let all = BEGINNINGS.iter().chain(&MORE).chain(&LAST);
    all.into_iter().any(|beginning| name.starts_with(beginning))
}

fn remove<T>(items: &mut Vec<T>, is: impl Fn(&T) -> bool) -> bool {
    let before = items.len();
    items.retain(|item| !is(item));
    items.len() < before
}

fn exists(kind: &str, name: &str, allowed: bool) -> Result<()> {
    if allowed {
        return Ok(());
    }
    let code = match kind {
        "projection" => codes::ILLEGAL_PROJECTION,
        _ => codes::ILLEGAL_COLUMN,
    };
    Err(Error::new(
        code,
        format!("Cannot add {kind} {name}: {kind} with this name already exists."),
    ))
}

fn place(kind: &str, names: &[&str], first: bool, after: Option<&str>) -> Result<usize> {
    if first {
        return Ok(0);
    }
    let Some(after) = after else { return Ok(names.len()) };
    match names.iter().position(|n| *n == after) {
        Some(at) => Ok(at + 1),
        None => Err(Error::new(
            codes::BAD_ARGUMENTS,
            format!("Wrong {kind} name. Cannot find {kind} `{after}` to insert after."),
        )),
    }
}

fn unsupported(text: &str) -> Error {
    Error::new(codes::NOT_IMPLEMENTED, format!("ALTER TABLE … {text} is not supported"))
}
