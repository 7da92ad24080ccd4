//! ALTER TABLE and ALTER DATABASE. Commands that change what we have are read into the tree; the rest
//! (partition moves, projections, freezing …) are kept as canonical text.

use super::Parser;
use crate::error::Result;
use crate::sql::access::Manner;
use crate::sql::ast::{Alter, AlterCommand, Expr, Statement};
use crate::sql::format;
use crate::sql::lexer::TokenKind;

impl Parser<'_> {
    /// Behind ALTER.
    pub(super) fn alter(&mut self) -> Result<Statement> {
        if let Some(kind) = self.entity_kind() {
            return self.entity(kind, Manner::Alter);
        }
        if self.keyword_ahead(0, "DATABASE") || self.keyword_ahead(0, "NAMED COLLECTION") {
            return self.kept_as_text("ALTER");
        }
        self.take_any_keyword(&["TEMPORARY", "TEMP"]);
        self.expect_keyword("TABLE")?;
        let name = self.table_name()?;
        let cluster = self.on_cluster()?;
        let commands = self.comma_list(Self::alter_command)?;
        Ok(Statement::Alter(Box::new(Alter { name, cluster, commands })))
    }

    /// One command; ClickHouse prints each in parentheses and reads that too.
    fn alter_command(&mut self) -> Result<AlterCommand> {
        if !self.take_symbol("(") {
            return self.bare_alter_command();
        }
        let command = self.bare_alter_command()?;
        self.expect_symbol(")")?;
        Ok(command)
    }

    fn bare_alter_command(&mut self) -> Result<AlterCommand> {
        let verbs = [
            "ADD",
            "DROP",
            "CLEAR",
            "MODIFY",
            "ALTER",
            "RENAME",
            "COMMENT",
            "UPDATE",
            "DELETE",
            "DETACH",
            "ATTACH",
            "REPLACE",
            "MOVE",
            "FREEZE",
            "UNFREEZE",
            "FETCH",
            "MATERIALIZE",
            "RESET",
            "REMOVE",
            "APPLY",
            "FORGET",
            "REWRITE",
            "EXECUTE",
            "UNLOCK",
        ];
        let Some(verb) = self.take_any_keyword(&verbs) else { return Err(self.unexpected()) };
        match verb {
            "ADD" => self.add(),
            "DROP" => self.drop_command(),
            "CLEAR" => self.clear(),
            "MODIFY" | "ALTER" => self.modify(),
            "RENAME" => self.rename_column(),
            "COMMENT" => self.comment_column(),
            "UPDATE" => self.update_command(),
            "DELETE" => self.delete_command(),
            "DETACH" => self.partition_command("DETACH"),
            "RESET" if self.take_keyword("SETTING") => {
                Ok(AlterCommand::ResetSetting(self.comma_list(Self::name)?))
            }
            "REMOVE" if self.take_keyword("TTL") => Ok(AlterCommand::RemoveTtl),
            "MATERIALIZE" => self.materialize(),
            _ => self.other_command(verb),
        }
    }

    fn add(&mut self) -> Result<AlterCommand> {
        if self.take_keyword("COLUMN") {
            let if_not_exists = self.if_not_exists();
            let column = self.column_declaration()?;
            let (first, after) = self.column_place()?;
            return Ok(AlterCommand::AddColumn { column, if_not_exists, first, after });
        }
        let Some(kind) =
            self.take_any_keyword(&["INDEX", "PROJECTION", "CONSTRAINT", "STATISTICS"])
        else {
            return Err(self.unexpected());
        };
        let if_not_exists = self.if_not_exists();
        match kind {
            "INDEX" => {
                let index = self.index_declaration()?.ok_or_else(|| self.unexpected())?;
                let (first, after) = self.column_place()?;
                Ok(AlterCommand::AddIndex { index, if_not_exists, first, after })
            }
            "PROJECTION" => {
                let (name, query) = self.projection()?;
                let (first, after) = self.column_place()?;
                Ok(AlterCommand::AddProjection { name, query, if_not_exists, first, after })
            }
            "CONSTRAINT" => {
                let (name, assume, expr) = self.constraint()?;
                Ok(AlterCommand::AddConstraint { name, assume, expr, if_not_exists })
            }
            _ => self.other_command("ADD STATISTICS"),
        }
    }

    /// `FIRST`, `AFTER name`.
    fn column_place(&mut self) -> Result<(bool, Option<String>)> {
        if self.take_keyword("FIRST") {
            return Ok((true, None));
        }
        match self.take_keyword("AFTER") {
            true => Ok((false, Some(self.compound_name()?))),
            false => Ok((false, None)),
        }
    }

    fn drop_command(&mut self) -> Result<AlterCommand> {
        if self.take_keyword("COLUMN") {
            let if_exists = self.if_exists();
            return Ok(AlterCommand::DropColumn { name: self.compound_name()?, if_exists });
        }
        if self.keyword_ahead(0, "PARTITION") || self.keyword_ahead(0, "PART") {
            return self.partition_command("DROP");
        }
        self.other_command("DROP")
    }

    /// `PARTITION p` or `PART 'name'` behind DROP or DETACH.
    fn partition_command(&mut self, verb: &str) -> Result<AlterCommand> {
        let is_part = match self.take_any_keyword(&["PARTITION", "PART"]) {
            Some(word) => word == "PART",
            None => return self.other_command(verb),
        };
        let partition =
            if is_part { self.string_literal_or_fail()? } else { self.partition_value()? };
        Ok(AlterCommand::DropPartition { partition, detach: verb == "DETACH", is_part })
    }

    fn string_literal_or_fail(&mut self) -> Result<Expr> {
        match self.token().kind {
            TokenKind::String => self.string_literal(),
            _ => {
                self.want("string literal");
                Err(self.unexpected())
            }
        }
    }

    fn clear(&mut self) -> Result<AlterCommand> {
        if !self.take_keyword("COLUMN") {
            return self.other_command("CLEAR");
        }
        let if_exists = self.if_exists();
        let name = self.compound_name()?;
        let partition = self.in_partition()?;
        Ok(AlterCommand::ClearColumn { name, if_exists, partition })
    }

    fn modify(&mut self) -> Result<AlterCommand> {
        if self.take_keyword("ORDER BY") {
            return Ok(AlterCommand::ModifyOrderBy(self.order_key()?));
        }
        if self.keyword_ahead(0, "TTL") {
            self.index += 1;
            return Ok(AlterCommand::ModifyTtl(self.ttl_items()?));
        }
        if self.keyword_ahead(0, "SETTING") && self.symbol_ahead(2, "=") {
            self.index += 1;
            return Ok(AlterCommand::ModifySetting(self.settings()?));
        }
        if self.keyword_ahead(0, "COMMENT") && self.ahead(1).kind == TokenKind::String {
            self.index += 1;
            return Ok(AlterCommand::ModifyComment(self.string()?));
        }
        if self.keyword_ahead(0, "QUERY")
            && (self.keyword_ahead(1, "SELECT") || self.keyword_ahead(1, "WITH"))
        {
            self.index += 1;
            return Ok(AlterCommand::ModifyQuery(self.query()?));
        }
        let text = ["SAMPLE BY", "REFRESH", "SQL SECURITY", "DEFINER", "STATISTICS"];
        if let Some(word) = self.take_any_keyword(&text) {
            return self.other_command(&format!("MODIFY {word}"));
        }
        self.take_keyword("COLUMN");
        self.modify_column()
    }

    fn modify_column(&mut self) -> Result<AlterCommand> {
        let if_exists = self.if_exists();
        let name_only = self.index;
        let name = self.compound_name()?;
        if self.take_keyword("REMOVE") {
            let words = [
                "DEFAULT",
                "MATERIALIZED",
                "ALIAS",
                "EPHEMERAL",
                "COMMENT",
                "CODEC",
                "TTL",
                "SETTINGS",
            ];
            let Some(word) = self.take_any_keyword(&words) else { return Err(self.unexpected()) };
            let column = crate::sql::ast::ColumnDecl { name, ..Default::default() };
            let remove = Some(word.to_string());
            return Ok(AlterCommand::ModifyColumn {
                column,
                if_exists,
                remove,
                first: false,
                after: None,
            });
        }
        if self.keyword_ahead(0, "MODIFY SETTING") || self.keyword_ahead(0, "RESET SETTING") {
            return self.other_command(&format!("MODIFY COLUMN {}", format::always_quoted(&name)));
        }
        self.index = name_only;
        let is_alter_type = self.keyword_ahead(1, "TYPE");
        let column = match is_alter_type {
            true => {
                let name = self.name()?;
                self.index += 1;
                crate::sql::ast::ColumnDecl {
                    name,
                    data_type: Some(self.data_type()?),
                    ..Default::default()
                }
            }
            false => self.column_declaration()?,
        };
        let (first, after) = self.column_place()?;
        Ok(AlterCommand::ModifyColumn { column, if_exists, remove: None, first, after })
    }

    fn rename_column(&mut self) -> Result<AlterCommand> {
        self.expect_keyword("COLUMN")?;
        let if_exists = self.if_exists();
        let from = self.compound_name()?;
        self.expect_keyword("TO")?;
        Ok(AlterCommand::RenameColumn { from, to: self.compound_name()?, if_exists })
    }

    fn comment_column(&mut self) -> Result<AlterCommand> {
        self.expect_keyword("COLUMN")?;
        let if_exists = self.if_exists();
        let name = self.compound_name()?;
        Ok(AlterCommand::CommentColumn { name, comment: self.string()?, if_exists })
    }

    /// `a = 1, b = 2 [IN PARTITION p] WHERE …`.
    pub(super) fn update_command(&mut self) -> Result<AlterCommand> {
        let assignments = self.comma_list(Self::update_assignment)?;
        let partition = self.in_partition()?;
        self.expect_keyword("WHERE")?;
        let where_ = self.expression()?;
        Ok(AlterCommand::Update { assignments, partition, where_ })
    }

    /// `a = expr`, where `IN PARTITION` behind it is not the operator IN.
    fn update_assignment(&mut self) -> Result<(String, Expr)> {
        let name = self.compound_name()?;
        self.expect_symbol("=")?;
        Ok((name, self.expression()?))
    }

    fn delete_command(&mut self) -> Result<AlterCommand> {
        let partition = self.in_partition()?;
        self.expect_keyword("WHERE")?;
        Ok(AlterCommand::Delete { partition, where_: self.expression()? })
    }

    fn materialize(&mut self) -> Result<AlterCommand> {
        let words = ["COLUMN", "INDEX", "PROJECTION", "TTL", "STATISTICS"];
        let Some(kind) = self.take_any_keyword(&words) else { return Err(self.unexpected()) };
        let mut text = format!("MATERIALIZE {kind}");
        if kind != "TTL" {
            if self.if_exists() {
                text += " IF EXISTS";
            }
            if !(kind == "STATISTICS" && self.take_keyword("ALL")) {
                text += &format!(" {}", format::quote_name(&self.compound_name()?));
            }
        }
        if let Some(partition) = self.in_partition()? {
            text += &format!(" IN PARTITION {}", format::expr(&partition));
        }
        Ok(AlterCommand::Other(text))
    }

    /// Keeps a command as the words it has, up to the comma or the end.
    fn other_command(&mut self, first: &str) -> Result<AlterCommand> {
        let mut text = first.to_string();
        let mut depth = 0usize;
        loop {
            let token = self.token();
            let word = self.text_of(token);
            match token.kind {
                TokenKind::End => break,
                TokenKind::Invalid(_) => return Err(self.unexpected()),
                TokenKind::Symbol if depth == 0 && matches!(word, "," | ";" | ")") => break,
                TokenKind::Symbol if word == "(" => depth += 1,
                TokenKind::Symbol if word == ")" => depth -= 1,
                TokenKind::Word if depth == 0 && word.eq_ignore_ascii_case("FORMAT") => break,
                // A list of settings, and not MODIFY … SETTING.
                TokenKind::Word
                    if depth == 0
                        && word.eq_ignore_ascii_case("SETTINGS")
                        && self.symbol_ahead(2, "=") =>
                {
                    break;
                }
                _ => {}
            }
            let glue = matches!(word, "," | ")" | ".") || text.ends_with(['(', '.']);
            if !glue {
                text.push(' ');
            }
            text.push_str(&known_word(word));
            self.index += 1;
        }
        let checked = !first.starts_with("MODIFY") && !first.starts_with("ADD");
        match checked {
            true if super::kept::command(&text).is_none() => Err(self.unexpected()),
            false if text.len() == first.len() => Err(self.unexpected()),
            _ => Ok(AlterCommand::Other(text)),
        }
    }
}

/// Keywords of kept commands in upper case.
fn known_word(word: &str) -> String {
    const WORDS: [&str; 32] = [
        "PARTITION",
        "PART",
        "INDEX",
        "PROJECTION",
        "CONSTRAINT",
        "FROM",
        "TO",
        "DISK",
        "VOLUME",
        "TABLE",
        "IF",
        "EXISTS",
        "IN",
        "ID",
        "ALL",
        "WITH",
        "NAME",
        "DETACHED",
        "MASK",
        "DELETED",
        "SETTING",
        "STATISTICS",
        "TYPE",
        "PARTS",
        "BY",
        "COLUMN",
        "NOT",
        "MODIFY",
        "RESET",
        "PATCHES",
        "SAMPLE",
        "SHARD",
    ];
    let upper = word.to_ascii_uppercase();
    if WORDS.contains(&upper.as_str()) { upper } else { word.to_string() }
}
