//! GRANT, REVOKE and CHECK GRANT: privileges with their columns, and what they are granted on; roles.
//!
//! What stands before ON must be privileges by their names (`privileges`); what does not read so is roles. What a
//! privilege cannot be granted on is error 509, as in ClickHouse.

use super::Parser;
use super::access::access;
use crate::error::{Error, Result, codes};
use crate::privileges::{Level, Privileges};
use crate::sql::access::*;
use crate::sql::ast::Statement;
use crate::sql::lexer::TokenKind;

/// What READ and WRITE are granted on.
const SOURCES: [&str; 21] = [
    "FILE",
    "URL",
    "REMOTE",
    "MONGO",
    "REDIS",
    "MYSQL",
    "POSTGRES",
    "SQLITE",
    "ODBC",
    "JDBC",
    "HDFS",
    "S3",
    "HIVE",
    "AZURE",
    "KAFKA",
    "NATS",
    "RABBITMQ",
    "YTSAURUS",
    "BIGQUERY",
    "DISK",
    "ARROW_FLIGHT",
];

impl Parser<'_> {
    /// Behind GRANT or REVOKE.
    pub(super) fn grant(&mut self, revoke: bool) -> Result<Statement> {
        let mut grant = Grant { revoke, cluster: self.on_cluster()?, ..Grant::default() };
        if revoke {
            grant.option =
                self.take_any_keyword(&["GRANT OPTION FOR", "ADMIN OPTION FOR"]).is_some();
        }
        let before = self.index;
        match self.grant_elements(&mut grant) {
            Ok(()) => {}
            Err(e) if e.code() != codes::SYNTAX_ERROR => return Err(e),
            Err(e) => {
                let furthest = self.index;
                self.index = before;
                grant.elements.clear();
                // Roles, if no privilege stands there.
                match self.name_set() {
                    Ok(roles) if self.keyword_ahead(0, if revoke { "FROM" } else { "TO" }) => {
                        grant.roles = Some(roles);
                    }
                    _ => {
                        self.index = furthest;
                        return Err(e);
                    }
                }
            }
        }
        if grant.cluster.is_none() {
            grant.cluster = self.on_cluster()?;
        }
        self.expect_keyword(if revoke { "FROM" } else { "TO" })?;
        grant.to = self.name_set()?;
        if !revoke {
            let option =
                if grant.roles.is_some() { "WITH ADMIN OPTION" } else { "WITH GRANT OPTION" };
            grant.option = self.take_keyword(option);
            grant.replace = self.take_keyword("WITH REPLACE OPTION");
        }
        Ok(access(AccessStatement::Grant(Box::new(grant))))
    }

    fn grant_elements(&mut self, grant: &mut Grant) -> Result<()> {
        if !grant.revoke && self.take_keyword("CURRENT GRANTS") {
            grant.current_grants = true;
            if self.take_symbol("(") {
                grant.elements = self.privileges_on()?;
                return self.expect_symbol(")");
            }
            let everything = vec![(Privileges::everything(), vec![])];
            self.expect_keyword("ON")?;
            grant.elements = self.on_target(everything)?;
            return Ok(());
        }
        // `REVOKE ALL FROM u` is of roles; `ALL EXCEPT r` as well.
        grant.elements = self.privileges_on()?;
        Ok(())
    }

    /// `SELECT(a), INSERT ON db.t, SHOW ON *.*`.
    pub(super) fn privileges_on(&mut self) -> Result<Vec<GrantElement>> {
        let mut elements = vec![];
        loop {
            let list = self.comma_list(Self::privilege_columns)?;
            self.expect_keyword("ON")?;
            elements.extend(self.on_target(list)?);
            if !self.take_symbol(",") {
                return Ok(elements);
            }
        }
    }

    fn privilege_columns(&mut self) -> Result<(Privileges, Vec<String>)> {
        let start = self.index;
        let (mut words, mut found) = (String::new(), None);
        while self.token().kind == TokenKind::Word {
            let token = self.token();
            if ["ON", "TO", "FROM"].iter().any(|w| self.keyword_ahead(0, w)) {
                break;
            }
            words = format!(
                "{words}{}{}",
                if words.is_empty() { "" } else { " " },
                self.text_of(token)
            );
            self.index += 1;
            if let Some(privileges) = Privileges::named(&words) {
                found = Some((privileges, self.index));
            }
        }
        let Some((privileges, end)) = found.filter(|(_, end)| *end == self.index) else {
            let end = found.map_or(start, |(_, end)| end);
            self.index = end;
            return Err(self.unexpected());
        };
        self.index = end;
        let mut columns = vec![];
        if self.take_symbol("(") {
            columns = self.comma_list(Self::name)?;
            self.expect_symbol(")")?;
        }
        Ok((privileges, columns))
    }

    fn on_target(&mut self, list: Vec<(Privileges, Vec<String>)>) -> Result<Vec<GrantElement>> {
        let is_parameter = list.iter().all(|(set, _)| set.parameter_level().is_some());
        let with_columns = list.iter().any(|(_, columns)| !columns.is_empty());
        let is_source = list.iter().any(|(set, _)| set.parameter_level() == Some(Level::Source));
        let target = self.target(is_parameter, is_source, with_columns)?;
        let level = |columns: &[String]| match &target {
            Target::Global => Level::Global,
            Target::Database { .. } => Level::Database,
            Target::Table { .. } if columns.is_empty() => Level::Table,
            Target::Table { .. } => Level::Column,
            Target::Parameter { .. } => Level::Group,
        };
        let mut elements = vec![];
        for (privileges, columns) in list {
            let level = level(&columns);
            let granted = privileges & Privileges::grantable_on(level);
            // A group is cut to what fits; of a privilege alone nothing is left.
            if granted.is_empty() && !privileges.is_empty() {
                let place = match level {
                    Level::Database => "database",
                    Level::Table => "table",
                    Level::Column => "column",
                    _ => "global",
                };
                let message = format!(
                    "{} cannot be granted on the {place} level",
                    privileges.keywords().join(", ")
                );
                return Err(Error::new(codes::INVALID_GRANT, message));
            }
            elements.push(GrantElement { privileges, columns, target: target.clone() });
        }
        Ok(elements)
    }

    fn target(
        &mut self,
        is_parameter: bool,
        is_source: bool,
        with_columns: bool,
    ) -> Result<Target> {
        if self.take_symbol("*") {
            if self.symbol_ahead(0, ".") {
                self.index += 1;
                self.expect_symbol("*")?;
                return Ok(Target::Global);
            }
            return Ok(match is_parameter {
                true => Target::Global,
                false => Target::Database { name: None, prefix: false },
            });
        }
        let first = self.name()?;
        let prefix = self.symbol_ahead(0, "*") && !with_columns;
        if is_parameter {
            if is_source && !SOURCES.contains(&first.as_str()) {
                self.index -= 1;
                self.want("FILE, URL, REMOTE or another source");
                return Err(self.unexpected());
            }
            self.index += usize::from(prefix);
            let mut filter = None;
            if self.take_symbol("(") {
                filter = Some(self.string()?);
                self.expect_symbol(")")?;
            }
            return Ok(Target::Parameter { name: first, prefix, filter });
        }
        if prefix && self.symbol_ahead(1, ".") {
            self.index += 2;
            self.expect_symbol("*")?;
            return Ok(Target::Database { name: Some(first), prefix: true });
        }
        if !self.symbol_ahead(0, ".") {
            self.index += usize::from(prefix);
            return Ok(Target::Table { database: None, name: first, prefix });
        }
        self.index += 1;
        if self.take_symbol("*") {
            return Ok(Target::Database { name: Some(first), prefix: false });
        }
        let name = self.name()?;
        let prefix = self.symbol_ahead(0, "*") && !with_columns;
        self.index += usize::from(prefix);
        Ok(Target::Table { database: Some(first), name, prefix })
    }

    /// Behind CHECK GRANT.
    pub(super) fn check_grant(&mut self) -> Result<Statement> {
        Ok(access(AccessStatement::CheckGrant(self.privileges_on()?)))
    }
}
