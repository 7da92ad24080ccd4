//! ALTER, DELETE and UPDATE.

use super::Printer;
use crate::sql::ast::{Alter, AlterCommand, Expr, ExprKind};

impl Printer {
    pub(super) fn alter(&mut self, alter: &Alter) {
        self.word("ALTER TABLE ");
        self.table_name(&alter.name);
        if let Some(cluster) = &alter.cluster {
            self.word(" ON CLUSTER ");
            self.name(cluster);
        }
        self.indent += 1;
        for (i, command) in alter.commands.iter().enumerate() {
            if i > 0 {
                self.word(",");
            }
            self.line();
            self.word("(");
            self.alter_command(command);
            self.word(")");
        }
        self.indent -= 1;
    }

    pub(super) fn delete(&mut self, alter: &Alter) {
        self.word("DELETE FROM ");
        self.table_name(&alter.name);
        if let Some(AlterCommand::Delete { partition, where_ }) = alter.commands.first() {
            self.in_partition(partition);
            self.word(" WHERE ");
            self.expr(where_);
        }
    }

    pub(super) fn update(&mut self, alter: &Alter) {
        self.word("UPDATE ");
        self.table_name(&alter.name);
        if let Some(AlterCommand::Update { assignments, partition, where_ }) =
            alter.commands.first()
        {
            self.word(" SET ");
            self.assignments(assignments);
            self.in_partition(partition);
            self.word(" WHERE ");
            self.expr(where_);
        }
    }

    fn in_partition(&mut self, partition: &Option<Expr>) {
        if let Some(partition) = partition {
            self.word(" IN PARTITION ");
            self.expr(partition);
        }
    }

    fn assignments(&mut self, assignments: &[(String, Expr)]) {
        self.separated(assignments, ", ", |p, (name, value)| {
            p.name(name);
            p.word(" = ");
            p.expr(value);
        });
    }

    fn place(&mut self, first: bool, after: &Option<String>) {
        if first {
            self.word(" FIRST ");
        }
        if let Some(after) = after {
            self.word(" AFTER ");
            self.name(after);
        }
    }

    fn maybe(&mut self, on: bool, word: &str) {
        if on {
            self.word(word);
        }
    }

    pub(super) fn alter_command(&mut self, command: &AlterCommand) {
        match command {
            AlterCommand::AddColumn { column, if_not_exists, first, after } => {
                self.word("ADD COLUMN ");
                self.maybe(*if_not_exists, "IF NOT EXISTS ");
                self.column(column, true);
                self.place(*first, after);
            }
            AlterCommand::DropColumn { name, if_exists } => {
                self.word("DROP COLUMN ");
                self.maybe(*if_exists, "IF EXISTS ");
                self.name(name);
            }
            AlterCommand::ClearColumn { name, if_exists, partition } => {
                self.word("CLEAR COLUMN ");
                self.maybe(*if_exists, "IF EXISTS ");
                self.name(name);
                self.in_partition(partition);
            }
            AlterCommand::ModifyColumn { column, if_exists, remove, first, after } => {
                self.word("MODIFY COLUMN ");
                self.maybe(*if_exists, "IF EXISTS ");
                self.column(column, true);
                if let Some(remove) = remove {
                    self.word(" REMOVE ");
                    self.word(remove);
                }
                self.place(*first, after);
            }
            AlterCommand::RenameColumn { from, to, if_exists } => {
                self.word("RENAME COLUMN ");
                self.maybe(*if_exists, "IF EXISTS ");
                self.name(from);
                self.word(" TO ");
                self.name(to);
            }
            AlterCommand::CommentColumn { name, comment, if_exists } => {
                self.word("COMMENT COLUMN ");
                self.maybe(*if_exists, "IF EXISTS ");
                self.name(name);
                self.word(" ");
                self.string(comment);
            }
            AlterCommand::Update { assignments, partition, where_ } => {
                self.word(if self.pretty { "UPDATE " } else { "UPDATE  " });
                self.assignments(assignments);
                self.in_partition(partition);
                self.word(" WHERE ");
                self.expr(where_);
            }
            AlterCommand::Delete { partition, where_ } => {
                self.word("DELETE");
                self.in_partition(partition);
                self.word(" WHERE ");
                self.expr(where_);
            }
            other => self.table_command(other),
        }
    }

    /// Commands about the table as a whole.
    fn table_command(&mut self, command: &AlterCommand) {
        match command {
            AlterCommand::ModifyComment(comment) => {
                self.word("MODIFY COMMENT ");
                self.string(comment);
            }
            AlterCommand::ModifyOrderBy(key) => {
                self.word("MODIFY ORDER BY ");
                self.key(key);
            }
            AlterCommand::ModifyTtl(items) => {
                self.word("MODIFY TTL ");
                self.ttl(items);
            }
            AlterCommand::RemoveTtl => self.word("REMOVE TTL"),
            AlterCommand::ModifySetting(settings) => {
                self.word("MODIFY SETTING ");
                self.settings(settings);
            }
            AlterCommand::ResetSetting(names) => {
                self.word(if self.pretty { "RESET SETTING " } else { "RESET SETTING  " });
                self.separated(names, ", ", |p, name| p.name(name));
            }
            AlterCommand::ModifyQuery(query) => {
                self.word("MODIFY QUERY");
                self.line();
                self.query(query);
            }
            AlterCommand::DropPartition { partition, detach, is_part } => {
                self.word(if *detach { "DETACH " } else { "DROP " });
                self.word(if *is_part { "PART " } else { "PARTITION " });
                match &partition.kind {
                    ExprKind::Identifier(parts) if parts == &["ALL"] => self.word("ALL"),
                    _ => self.expr(partition),
                }
            }
            AlterCommand::AddProjection { name, query, if_not_exists, first, after } => {
                self.word("ADD PROJECTION ");
                self.maybe(*if_not_exists, "IF NOT EXISTS ");
                self.name(name);
                self.projection(query);
                self.place(*first, after);
            }
            AlterCommand::AddIndex { index, if_not_exists, first, after } => {
                self.word("ADD INDEX ");
                self.maybe(*if_not_exists, "IF NOT EXISTS ");
                self.word(&super::index_body(index));
                self.place(*first, after);
            }
            AlterCommand::AddConstraint { name, assume, expr, if_not_exists } => {
                self.word("ADD CONSTRAINT ");
                self.maybe(*if_not_exists, "IF NOT EXISTS ");
                self.name(name);
                self.word(if *assume { " ASSUME " } else { " CHECK " });
                self.expr(expr);
            }
            AlterCommand::Other(text) => {
                let canonical = crate::sql::parser::kept::command(text);
                self.word(canonical.as_deref().unwrap_or(text));
            }
            _ => {}
        }
    }
}
