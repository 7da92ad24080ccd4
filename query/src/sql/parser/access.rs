//! Statements about users, roles, row policies, settings profiles and quotas: CREATE, ALTER and ATTACH, DROP, SET
//! ROLE, and what stands behind SHOW GRANTS and SHOW CREATE USER.
//!
//! Names are words or strings; `ID('…')` where definitions are read back. Clauses stand in any order.

use super::Parser;
use crate::error::{Error, Result, codes};
use crate::sql::access::*;
use crate::sql::ast::Statement;
use crate::sql::lexer::TokenKind;

/// Kinds of entities as they stand behind CREATE, ALTER and DROP.
const KINDS: [(&str, EntityKind); 7] = [
    ("USER", EntityKind::User),
    ("ROLE", EntityKind::Role),
    ("ROW POLICY", EntityKind::RowPolicy),
    ("POLICY", EntityKind::RowPolicy),
    ("SETTINGS PROFILE", EntityKind::SettingsProfile),
    ("PROFILE", EntityKind::SettingsProfile),
    ("QUOTA", EntityKind::Quota),
];

/// The methods that IDENTIFIED WITH knows, and whether a secret follows.
const METHODS: [(&str, bool); 11] = [
    ("no_password", false),
    ("no_authentication", false),
    ("plaintext_password", true),
    ("sha256_password", true),
    ("sha256_hash", true),
    ("double_sha1_password", true),
    ("double_sha1_hash", true),
    ("bcrypt_password", true),
    ("bcrypt_hash", true),
    ("scram_sha256_password", true),
    ("scram_sha256_hash", true),
];

pub(super) fn access(statement: AccessStatement) -> Statement {
    Statement::Access(Box::new(statement))
}

impl Parser<'_> {
    /// Takes the word of an entity's kind.
    pub(super) fn entity_kind(&mut self) -> Option<EntityKind> {
        let kinds = KINDS.iter();
        let at = kinds.clone().position(|(word, _)| self.take_keyword(word))?;
        Some(KINDS[at].1)
    }

    /// Behind the kind of an entity that is created, altered or attached.
    pub(super) fn entity(&mut self, kind: EntityKind, manner: Manner) -> Result<Statement> {
        let manner = match manner {
            Manner::Alter if self.take_keyword("IF EXISTS") => Manner::AlterIfExists,
            Manner::Create if self.take_keyword("IF NOT EXISTS") => Manner::CreateIfNotExists,
            Manner::Create if self.take_keyword("OR REPLACE") => Manner::CreateOrReplace,
            other => other,
        };
        let head = Head { manner, ..Head::default() };
        Ok(access(match kind {
            EntityKind::User => AccessStatement::User(Box::new(self.user(head)?)),
            EntityKind::Role => AccessStatement::Role(Box::new(self.role(head)?)),
            EntityKind::RowPolicy => AccessStatement::Policy(Box::new(self.policy(head)?)),
            EntityKind::SettingsProfile => AccessStatement::Profile(Box::new(self.profile(head)?)),
            EntityKind::Quota => AccessStatement::Quota(Box::new(self.quota(head)?)),
        }))
    }

    fn head_clauses(&mut self, head: &mut Head) -> Result<()> {
        if head.cluster.is_none() {
            head.cluster = self.on_cluster()?;
        }
        if head.manner.is_alter() && head.rename_to.is_none() && self.take_keyword("RENAME TO") {
            head.rename_to = Some(self.string_or_name()?);
        }
        if head.storage.is_none() && !head.manner.is_alter() && self.take_keyword("IN") {
            head.storage = Some(self.string_or_name()?);
        }
        Ok(())
    }

    fn user(&mut self, mut head: Head) -> Result<UserDefinition> {
        let named = self.comma_list(Self::user_and_host)?;
        let (names, name_hosts) = named.into_iter().unzip();
        head.names = names;
        let mut user = UserDefinition { name_hosts, ..UserDefinition::default() };
        loop {
            let before = self.index;
            self.head_clauses(&mut head)?;
            self.user_clause(&mut user, head.manner)?;
            if self.index == before {
                user.head = head;
                return Ok(user);
            }
        }
    }

    fn user_clause(&mut self, user: &mut UserDefinition, manner: Manner) -> Result<()> {
        let alter = manner.is_alter();
        if user.methods.is_empty() && self.take_keyword("NOT IDENTIFIED") {
            let kind = "no_password".to_string();
            user.methods.push(AuthenticationMethod { kind, ..AuthenticationMethod::default() });
        } else if alter && self.take_keyword("RESET AUTHENTICATION METHODS TO NEW") {
            user.reset_methods = true;
        } else if alter && user.methods.is_empty() && self.take_keyword("ADD IDENTIFIED") {
            user.add_methods = true;
            user.methods = self.methods()?;
        } else if user.methods.is_empty() && self.take_keyword("IDENTIFIED") {
            user.methods = self.methods()?;
        } else if user.valid_until.is_none() && self.take_keyword("VALID UNTIL") {
            user.valid_until = Some(self.string()?);
        } else if user.hosts.is_none() && self.take_keyword("HOST") {
            user.hosts = Some(self.comma_list(Self::host)?);
        } else if alter && user.add_hosts.is_none() && self.take_keyword("ADD HOST") {
            user.add_hosts = Some(self.comma_list(Self::host)?);
        } else if alter && user.drop_hosts.is_none() && self.take_keyword("DROP HOST") {
            user.drop_hosts = Some(self.comma_list(Self::host)?);
        } else if user.default_roles.is_none() && self.take_keyword("DEFAULT ROLE") {
            user.default_roles = Some(self.name_set()?);
        } else if user.default_database.is_none() && self.take_keyword("DEFAULT DATABASE") {
            let none = self.take_keyword("NONE");
            user.default_database = Some(if none { None } else { Some(self.name()?) });
        } else if user.grantees.is_none() && self.take_keyword("GRANTEES") {
            user.grantees = Some(self.name_set()?);
        } else {
            self.settings_clauses(&mut user.settings, alter)?;
        }
        Ok(())
    }

    /// `WITH sha256_password BY 'x', …` or `BY 'x'`.
    fn methods(&mut self) -> Result<Vec<AuthenticationMethod>> {
        if !self.take_keyword("WITH") {
            self.expect_keyword("BY")?;
            let secret = Some(self.string()?);
            let valid_until = self.valid_until()?;
            let kind = String::new();
            return Ok(vec![AuthenticationMethod { kind, secret, salt: None, valid_until }]);
        }
        let mut methods = vec![self.method()?];
        // A comma may also end the list of users' clauses elsewhere; here only methods follow.
        while self.take_symbol(",") {
            methods.push(self.method()?);
        }
        Ok(methods)
    }

    fn method(&mut self) -> Result<AuthenticationMethod> {
        let Some(at) = METHODS.iter().position(|(word, _)| self.take_keyword(word)) else {
            // `IDENTIFIED WITH BY 'x'` is nothing; others (LDAP, keys, certificates) are known by name.
            let other = ["ldap", "kerberos", "ssl_certificate", "ssh_key", "http", "jwt"];
            if let Some(word) = self.take_any_keyword(&other) {
                let message = format!("Authentication by {word} is not supported");
                return Err(Error::new(codes::NOT_IMPLEMENTED, message));
            }
            return Err(self.unexpected());
        };
        let (kind, with_secret) = METHODS[at];
        let mut method = AuthenticationMethod { kind: kind.into(), ..Default::default() };
        if with_secret {
            // A definition that is shown leaves the secret out.
            self.expect_keyword("BY")?;
            method.secret = Some(self.string()?);
            if self.take_keyword("SALT") {
                method.salt = Some(self.string()?);
            }
        }
        method.valid_until = self.valid_until()?;
        Ok(method)
    }

    fn valid_until(&mut self) -> Result<Option<String>> {
        match self.take_keyword("VALID UNTIL") {
            true => self.string().map(Some),
            false => Ok(None),
        }
    }

    fn host(&mut self) -> Result<Host> {
        let words = ["ANY", "NONE", "LOCAL", "IP", "NAME", "REGEXP", "LIKE"];
        Ok(match self.take_any_keyword(&words) {
            Some("ANY") => Host::Any,
            Some("NONE") => Host::None,
            Some("LOCAL") => Host::Local,
            Some("IP") => match self.string()?.as_str() {
                "127.0.0.1" | "::1" => Host::Local,
                "::/0" | "0.0.0.0/0" => Host::Any,
                other => Host::Ip(other.to_string()),
            },
            Some("NAME") => match self.string()?.as_str() {
                "localhost" => Host::Local,
                other => Host::Name(other.to_string()),
            },
            Some("REGEXP") => Host::Regexp(self.string()?),
            Some(_) => match self.string()?.as_str() {
                "%" => Host::Any,
                other => Host::Like(other.to_string()),
            },
            None => return Err(self.unexpected()),
        })
    }

    /// `u`, `u@'host'`: the whole name, and the host.
    fn user_and_host(&mut self) -> Result<(String, Option<String>)> {
        let name = self.entity_name()?;
        if !self.symbol_ahead(0, "@") {
            return Ok((name, None));
        }
        self.index += 1;
        let host = self.string_or_name()?;
        Ok(match host.as_str() {
            "%" => (name, None),
            _ => (format!("{name}@{host}"), Some(host)),
        })
    }

    fn entity_name(&mut self) -> Result<String> {
        if self.keyword_ahead(0, "ID") && self.symbol_ahead(1, "(") {
            self.index += 2;
            let id = self.string()?;
            self.expect_symbol(")")?;
            return Ok(id);
        }
        self.string_or_name()
    }

    fn role(&mut self, mut head: Head) -> Result<RoleDefinition> {
        head.names = self.comma_list(Self::entity_name)?;
        let mut settings = SettingsClauses::default();
        loop {
            let before = self.index;
            self.head_clauses(&mut head)?;
            self.settings_clauses(&mut settings, head.manner.is_alter())?;
            if self.index == before {
                return Ok(RoleDefinition { head, settings });
            }
        }
    }

    fn profile(&mut self, mut head: Head) -> Result<ProfileDefinition> {
        head.names = self.comma_list(Self::entity_name)?;
        let (mut settings, mut to) = (SettingsClauses::default(), None);
        loop {
            let before = self.index;
            self.head_clauses(&mut head)?;
            self.settings_clauses(&mut settings, head.manner.is_alter())?;
            if to.is_none() && self.take_keyword("TO") {
                to = Some(self.name_set()?);
            }
            if self.index == before {
                return Ok(ProfileDefinition { head, settings, to });
            }
        }
    }

    /// Whether ADD, MODIFY or DROP of settings stands so many tokens ahead.
    fn settings_clause_ahead(&mut self, at: usize) -> bool {
        let verbs = ["ADD", "MODIFY", "DROP"];
        let words = ["SETTINGS", "SETTING", "PROFILES", "PROFILE", "ALL"];
        verbs.iter().any(|w| self.keyword_ahead(at, w))
            && words.iter().any(|w| self.keyword_ahead(at + 1, w))
    }

    /// Items up to the comma that another clause follows.
    fn clause_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.symbol_ahead(0, ",") && !self.settings_clause_ahead(1) {
            self.index += 1;
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn settings_clauses(&mut self, settings: &mut SettingsClauses, alter: bool) -> Result<()> {
        let begins = |p: &mut Self, verb: &str| {
            let words = ["SETTINGS", "SETTING", "PROFILES", "PROFILE"];
            p.keyword_ahead(0, verb) && words.iter().any(|w| p.keyword_ahead(1, w))
        };
        if settings.all.is_none() && self.take_any_keyword(&["SETTINGS", "SETTING"]).is_some() {
            let none = self.take_keyword("NONE");
            settings.all =
                Some(if none { vec![] } else { self.clause_list(Self::setting_element)? });
            return Ok(());
        }
        loop {
            let before = self.index;
            if !alter {
                return Ok(());
            }
            if self.take_any_keyword(&["DROP ALL SETTINGS"]).is_some() {
                settings.drop_all_settings = true;
            } else if self.take_keyword("DROP ALL PROFILES") {
                settings.drop_all_profiles = true;
            } else if begins(self, "DROP") {
                self.index += 1;
                let of_profiles =
                    self.keyword_ahead(0, "PROFILE") || self.keyword_ahead(0, "PROFILES");
                self.index += 1;
                let names = self.clause_list(Self::entity_name)?;
                let list =
                    if of_profiles { &mut settings.drop_profiles } else { &mut settings.drop };
                list.extend(names);
            } else if begins(self, "ADD") || begins(self, "MODIFY") {
                let modify = self.keyword_ahead(0, "MODIFY");
                self.index += 1;
                let of_profiles =
                    self.keyword_ahead(0, "PROFILE") || self.keyword_ahead(0, "PROFILES");
                self.index += 1;
                let elements = match of_profiles {
                    true => self.clause_list(|p| {
                        let inherit = Some(p.entity_name()?);
                        Ok(SettingElement { inherit, profile: true, ..SettingElement::default() })
                    })?,
                    false => self.clause_list(Self::setting_element)?,
                };
                let list = if modify { &mut settings.modify } else { &mut settings.add };
                list.extend(elements);
            }
            if self.index == before {
                return Ok(());
            }
            // Clauses may be separated by commas.
            let next = self.index;
            if self.symbol_ahead(0, ",") {
                self.index += 1;
                let follows = ["ADD", "MODIFY", "DROP"].iter().any(|w| self.keyword_ahead(0, w));
                if !follows {
                    self.index = next;
                    return Ok(());
                }
            }
        }
    }

    fn setting_element(&mut self) -> Result<SettingElement> {
        let mut element = SettingElement::default();
        let inherits = self.keyword_ahead(0, "INHERIT") || self.keyword_ahead(0, "PROFILE");
        let named = matches!(
            self.ahead(1).kind,
            TokenKind::Word | TokenKind::QuotedName | TokenKind::String
        );
        if inherits
            && named
            && !["MIN", "MAX", "CONST", "READONLY", "WRITABLE"]
                .iter()
                .any(|w| self.keyword_ahead(1, w))
        {
            element.profile = self.keyword_ahead(0, "PROFILE");
            self.index += 1;
            element.inherit = Some(self.entity_name()?);
            return Ok(element);
        }
        element.name = self.compound_name()?;
        if self.take_symbol("=") {
            element.value = Some(self.setting_value()?);
        }
        loop {
            if element.min.is_none() && self.take_keyword("MIN") {
                self.take_symbol("=");
                element.min = Some(self.setting_value()?);
            } else if element.max.is_none() && self.take_keyword("MAX") {
                self.take_symbol("=");
                element.max = Some(self.setting_value()?);
            } else {
                break;
            }
        }
        let words = ["CONST", "READONLY", "WRITABLE", "CHANGEABLE_IN_READONLY"];
        element.writability = self.take_any_keyword(&words).map(|word| match word {
            "WRITABLE" => Writability::Writable,
            "CHANGEABLE_IN_READONLY" => Writability::ChangeableInReadonly,
            _ => Writability::Const,
        });
        Ok(element)
    }

    /// `name ON db.t, name ON t`, or names before one ON.
    fn policy_names(&mut self) -> Result<(Vec<String>, Vec<PolicyTable>)> {
        let (mut names, mut tables) = (vec![], vec![]);
        loop {
            names.push(self.entity_name()?);
            if self.keyword_ahead(0, "ON") && !self.keyword_ahead(0, "ON CLUSTER") {
                self.index += 1;
                let first = self.policy_table()?;
                // Several names before it are of this table, or several tables behind it of one name.
                let one_name = names.len() - tables.len() == 1;
                while tables.len() + 1 < names.len() {
                    tables.push(first.clone());
                }
                tables.push(first);
                while one_name && self.symbol_ahead(0, ",") && self.is_policy_table(1) {
                    self.index += 1;
                    names.push(names[names.len() - 1].clone());
                    tables.push(self.policy_table()?);
                }
            }
            if !self.take_symbol(",") {
                break;
            }
        }
        match names.len() == tables.len() {
            true => Ok((names, tables)),
            false => {
                self.want("ON");
                Err(self.unexpected())
            }
        }
    }

    /// Whether a table and no `name ON` stands so many tokens ahead.
    fn is_policy_table(&mut self, ahead: usize) -> bool {
        let behind = if self.symbol_ahead(ahead + 1, ".") { ahead + 3 } else { ahead + 1 };
        !self.keyword_ahead(behind, "ON") && !self.symbol_ahead(behind, ",")
            || self.symbol_ahead(ahead + 1, ".")
    }

    fn policy_table(&mut self) -> Result<PolicyTable> {
        if self.take_symbol("*") {
            return Ok((None, None));
        }
        let first = self.name()?;
        if !self.symbol_ahead(0, ".") {
            return Ok((None, Some(first)));
        }
        self.index += 1;
        if self.take_symbol("*") {
            return Ok((Some(first), None));
        }
        Ok((Some(first), Some(self.name()?)))
    }

    fn policy(&mut self, mut head: Head) -> Result<PolicyDefinition> {
        let (names, tables) = self.policy_names()?;
        head.names = names;
        let mut policy = PolicyDefinition { tables, ..PolicyDefinition::default() };
        loop {
            let before = self.index;
            self.head_clauses(&mut head)?;
            if policy.restrictive.is_none() && self.take_keyword("AS RESTRICTIVE") {
                policy.restrictive = Some(true);
            } else if policy.restrictive.is_none() && self.take_keyword("AS PERMISSIVE") {
                policy.restrictive = Some(false);
            } else if self.take_any_keyword(&["FOR SELECT", "FOR ALL"]).is_some() {
            } else if policy.using.is_none() && self.take_keyword("USING") {
                let none = self.take_keyword("NONE");
                policy.using = Some(if none { None } else { Some(self.expression()?) });
            } else if policy.to.is_none() && self.take_keyword("TO") {
                policy.to = Some(self.name_set()?);
            }
            if self.index == before {
                policy.head = head;
                return Ok(policy);
            }
        }
    }

    fn quota(&mut self, mut head: Head) -> Result<QuotaDefinition> {
        head.names = self.comma_list(Self::entity_name)?;
        let mut quota = QuotaDefinition::default();
        loop {
            let before = self.index;
            self.head_clauses(&mut head)?;
            if quota.keyed_by.is_none() && self.take_keyword("NOT KEYED") {
                quota.keyed_by = Some(vec![]);
            } else if quota.keyed_by.is_none()
                && self.take_any_keyword(&["KEYED BY", "KEY BY"]).is_some()
            {
                let keys = self.comma_list(|p| {
                    Ok(p.string_or_name()?.to_ascii_lowercase().replace(' ', "_"))
                })?;
                quota.keyed_by = Some(keys);
            } else if quota.limits.is_empty() && self.take_keyword("FOR") {
                quota.limits.push(self.quota_interval()?);
                while self.symbol_ahead(0, ",") {
                    self.index += 1;
                    self.expect_keyword("FOR")?;
                    quota.limits.push(self.quota_interval()?);
                }
            } else if quota.to.is_none() && self.take_keyword("TO") {
                quota.to = Some(self.name_set()?);
            }
            if self.index == before {
                quota.head = head;
                return Ok(quota);
            }
        }
    }

    fn quota_interval(&mut self) -> Result<QuotaInterval> {
        let randomized = self.take_keyword("RANDOMIZED");
        let mut interval = QuotaInterval { randomized, ..QuotaInterval::default() };
        self.take_keyword("INTERVAL");
        interval.count = self.unsigned()?;
        interval.unit = self.unit()?.to_ascii_lowercase();
        if self.take_keyword("NO LIMITS") {
            interval.drop = true;
        } else if !self.take_keyword("TRACKING ONLY") {
            let first = self.quota_limit(true)?;
            interval.max.push(first);
            while self.symbol_ahead(0, ",") && !self.keyword_ahead(1, "FOR") {
                self.index += 1;
                let limit = self.quota_limit(false)?;
                interval.max.push(limit);
            }
        }
        Ok(interval)
    }

    /// `MAX queries = 3`, `queries MAX 3`, `queries = 3` behind the first.
    fn quota_limit(&mut self, first: bool) -> Result<(String, pumphouse_storage::Value)> {
        let before = self.take_keyword("MAX");
        let name = self.name()?.to_ascii_lowercase();
        let behind = self.take_keyword("MAX");
        if first && !before && !behind {
            self.want("MAX");
            return Err(self.unexpected());
        }
        self.take_symbol("=");
        Ok((name, self.setting_value()?))
    }

    /// Behind DROP and the kind.
    pub(super) fn drop_entities(&mut self, kind: EntityKind) -> Result<Statement> {
        let if_exists = self.if_exists();
        let (names, tables) = match kind {
            EntityKind::RowPolicy => self.policy_names()?,
            EntityKind::User => {
                let names = self.comma_list(Self::user_and_host)?;
                (names.into_iter().map(|(name, _)| name).collect(), vec![])
            }
            _ => (self.comma_list(Self::entity_name)?, vec![]),
        };
        let cluster = self.on_cluster()?;
        let storage = match self.take_keyword("FROM") {
            true => Some(self.string_or_name()?),
            false => None,
        };
        Ok(access(AccessStatement::Drop(DropEntities {
            kind,
            if_exists,
            names,
            tables,
            cluster,
            storage,
        })))
    }

    /// `NONE`, `ALL EXCEPT a`, `a, CURRENT_USER`.
    pub(super) fn name_set(&mut self) -> Result<NameSet> {
        let mut set = NameSet::default();
        if self.take_keyword("NONE") {
            return Ok(set);
        }
        if let Some(word) = self.take_any_keyword(&["ALL", "ANY"]) {
            set.all = true;
            set.any = word == "ANY";
        } else {
            self.names_of_set(&mut set.names, &mut set.current_user, &mut set.ids)?;
        }
        if self.take_keyword("EXCEPT") && !self.take_keyword("NONE") {
            self.names_of_set(&mut set.except, &mut set.except_current_user, &mut set.ids)?;
        }
        Ok(set)
    }

    fn names_of_set(
        &mut self,
        names: &mut Vec<String>,
        current_user: &mut bool,
        ids: &mut bool,
    ) -> Result<()> {
        loop {
            if self.take_any_keyword(&["CURRENT_USER", "CURRENTUSER"]).is_some() {
                if self.take_symbol("(") {
                    self.expect_symbol(")")?;
                }
                *current_user = true;
            } else {
                *ids |= self.keyword_ahead(0, "ID") && self.symbol_ahead(1, "(");
                names.push(self.user_and_host()?.0);
            }
            if !self.take_symbol(",") {
                return Ok(());
            }
        }
    }

    /// Behind SET, if it is ROLE or DEFAULT ROLE.
    pub(super) fn set_roles(&mut self) -> Result<Option<Statement>> {
        if self.take_keyword("DEFAULT ROLE") {
            let roles = self.name_set()?;
            self.expect_keyword("TO")?;
            let to = self.name_set()?;
            return Ok(Some(access(AccessStatement::SetDefaultRole { roles, to })));
        }
        if !self.keyword_ahead(0, "ROLE") || self.symbol_ahead(1, "=") {
            return Ok(None);
        }
        self.index += 1;
        let chosen = match self.take_keyword("DEFAULT") {
            true => ChosenRoles::Default,
            false => ChosenRoles::These(self.name_set()?),
        };
        Ok(Some(access(AccessStatement::SetRole(chosen))))
    }

    /// Behind SHOW GRANTS.
    pub(super) fn show_grants(&mut self) -> Result<ShownGrants> {
        let of = match self.take_keyword("FOR") {
            true => Some(self.name_set()?),
            false => None,
        };
        let implicit = self.take_keyword("WITH IMPLICIT");
        let merged = self.take_keyword("FINAL");
        Ok(ShownGrants { of, implicit, merged })
    }

    /// Behind SHOW CREATE, if an entity's kind is there.
    pub(super) fn shown_entities(&mut self) -> Result<Option<ShownEntities>> {
        const MANY: [(&str, EntityKind); 7] = [
            ("USERS", EntityKind::User),
            ("ROLES", EntityKind::Role),
            ("ROW POLICIES", EntityKind::RowPolicy),
            ("POLICIES", EntityKind::RowPolicy),
            ("SETTINGS PROFILES", EntityKind::SettingsProfile),
            ("PROFILES", EntityKind::SettingsProfile),
            ("QUOTAS", EntityKind::Quota),
        ];
        let found = MANY.iter().chain(&KINDS).position(|(word, _)| {
            let words = word.split(' ').count();
            self.keyword_ahead(0, word) && !self.symbol_ahead(words, ".")
        });
        let Some(at) = found else { return Ok(None) };
        let (word, kind) = *MANY.iter().chain(&KINDS).nth(at).unwrap_or(&MANY[0]);
        self.index += word.split(' ').count();
        let mut shown = ShownEntities { kind, many: at < MANY.len(), ..ShownEntities::default() };
        let end = self.at_end() || self.symbol_ahead(0, ";") || self.keyword_ahead(0, "FORMAT");
        if end {
            return Ok(Some(shown));
        }
        if kind == EntityKind::RowPolicy {
            (shown.names, shown.tables) = self.policy_names()?;
        } else if self.take_keyword("CURRENT_USER") {
        } else {
            shown.names = self.comma_list(|p| p.user_and_host().map(|(name, _)| name))?;
        }
        Ok(Some(shown))
    }
}
