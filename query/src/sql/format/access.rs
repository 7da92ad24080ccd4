//! Statements about users, roles and grants as ClickHouse prints them, on one line in both forms. Clauses have one
//! order, whatever was written; sets of privileges are written by their names; names of profiles are always quoted.

use super::{Printer, literal_value};
use crate::sql::access::*;

impl Printer {
    pub(super) fn access(&mut self, statement: &AccessStatement) {
        match statement {
            AccessStatement::User(user) => self.user(user),
            AccessStatement::Role(role) => {
                self.entity_head("ROLE", &role.head);
                self.settings_clauses(&role.settings, role.head.manner.is_alter());
            }
            AccessStatement::Policy(policy) => self.policy(policy),
            AccessStatement::Profile(profile) => {
                let head = &profile.head;
                self.manner("SETTINGS PROFILE", head.manner);
                self.separated(&head.names, ", ", |p, name| p.word(&super::always_quoted(name)));
                self.behind_names(head);
                self.settings_clauses(&profile.settings, head.manner.is_alter());
                self.to(&profile.to);
            }
            AccessStatement::Quota(quota) => self.quota(quota),
            AccessStatement::Drop(drop) => self.drop_entities(drop),
            AccessStatement::Grant(grant) => self.grant(grant),
            AccessStatement::SetRole(ChosenRoles::Default) => self.word("SET ROLE DEFAULT"),
            AccessStatement::SetRole(ChosenRoles::These(roles)) => {
                self.word("SET ROLE ");
                self.name_set(roles);
            }
            AccessStatement::SetDefaultRole { roles, to } => {
                self.word("SET DEFAULT ROLE ");
                self.name_set(roles);
                self.word(" TO ");
                self.name_set(to);
            }
            AccessStatement::CheckGrant(elements) => {
                self.word("CHECK GRANT ");
                self.grant_elements(elements);
            }
        }
    }

    fn manner(&mut self, kind: &str, manner: Manner) {
        let (verb, more) = match manner {
            Manner::Create => ("CREATE", ""),
            Manner::CreateIfNotExists => ("CREATE", " IF NOT EXISTS"),
            Manner::CreateOrReplace => ("CREATE", " OR REPLACE"),
            Manner::Alter => ("ALTER", ""),
            Manner::AlterIfExists => ("ALTER", " IF EXISTS"),
            Manner::Attach => ("ATTACH", ""),
        };
        self.word(&format!("{verb} {kind}{more} "));
    }

    fn entity_head(&mut self, kind: &str, head: &Head) {
        self.manner(kind, head.manner);
        self.separated(&head.names, ", ", |p, name| p.name(name));
        self.behind_names(head);
    }

    fn behind_names(&mut self, head: &Head) {
        if let Some(storage) = &head.storage {
            self.word(" IN ");
            self.name(storage);
        }
        self.cluster(&head.cluster);
        if let Some(name) = &head.rename_to {
            self.word(" RENAME TO ");
            self.string(name);
        }
    }

    fn user(&mut self, user: &UserDefinition) {
        self.manner("USER", user.head.manner);
        let hosts = user.name_hosts.iter().map(Option::as_deref);
        let named: Vec<_> =
            user.head.names.iter().zip(hosts.chain(std::iter::repeat(None))).collect();
        self.separated(&named, ", ", |p, (name, host)| {
            let bare = host.and_then(|h| name.strip_suffix(h)?.strip_suffix('@'));
            p.name(bare.unwrap_or(name));
            if let Some(host) = host.filter(|_| bare.is_some()) {
                p.word("@");
                p.string(host);
            }
        });
        self.behind_names(&user.head);
        if user.reset_methods {
            self.word(" RESET AUTHENTICATION METHODS TO NEW");
        }
        // Of a single password the time is printed where it was written.
        if let Some(until) = &user.valid_until {
            self.word(" VALID UNTIL ");
            self.string(until);
        }
        self.methods(user);
        let of_names = user.name_hosts.iter().flatten().cloned().map(Host::Like);
        let of_names: Vec<Host> =
            of_names.filter(|h| *h != Host::Like("localhost".into())).collect();
        match &user.hosts {
            Some(hosts) => self.hosts(" HOST ", hosts),
            None if user.name_hosts.len() == 1 => self.hosts(" HOST ", &of_names),
            None => {}
        }
        self.hosts(" ADD HOST ", user.add_hosts.as_deref().unwrap_or_default());
        self.hosts(" DROP HOST ", user.drop_hosts.as_deref().unwrap_or_default());
        if let Some(database) = &user.default_database {
            self.word(" DEFAULT DATABASE ");
            match database {
                Some(database) => self.name(database),
                None => self.word("NONE"),
            }
        }
        if let Some(roles) = &user.default_roles {
            self.word(" DEFAULT ROLE ");
            self.name_set(roles);
        }
        self.settings_clauses(&user.settings, user.head.manner.is_alter());
        if let Some(grantees) = &user.grantees {
            self.word(" GRANTEES ");
            self.name_set(grantees);
        }
    }

    fn methods(&mut self, user: &UserDefinition) {
        if user.methods.is_empty() {
            return;
        }
        self.word(if user.add_methods { " ADD IDENTIFIED" } else { " IDENTIFIED" });
        let mut word = " WITH ";
        for method in &user.methods {
            if !method.kind.is_empty() {
                self.word(word);
                self.word(&method.kind);
                word = ", ";
            }
            if let Some(secret) = &method.secret {
                self.word(" BY ");
                self.string(secret);
            }
            if let Some(salt) = &method.salt {
                self.word(" SALT ");
                self.string(salt);
            }
            if let Some(until) = &method.valid_until {
                self.word(" VALID UNTIL ");
                self.string(until);
            }
        }
    }

    fn hosts(&mut self, word: &str, hosts: &[Host]) {
        if hosts.is_empty() {
            return;
        }
        self.word(word);
        if hosts.contains(&Host::Any) {
            return self.word("ANY");
        }
        self.separated(hosts, ", ", |p, host| match host {
            Host::Any => p.word("ANY"),
            Host::None => p.word("NONE"),
            Host::Local => p.word("LOCAL"),
            Host::Ip(text) => p.host_text("IP ", text),
            Host::Name(text) => p.host_text("NAME ", text),
            Host::Regexp(text) => p.host_text("REGEXP ", text),
            Host::Like(text) => p.host_text("LIKE ", text),
        });
    }

    fn host_text(&mut self, word: &str, text: &str) {
        self.word(word);
        self.string(text);
    }

    fn settings_clauses(&mut self, settings: &SettingsClauses, alter: bool) {
        if let Some(all) = &settings.all {
            if alter {
                self.word(" DROP ALL SETTINGS, DROP ALL PROFILES");
                if !all.is_empty() {
                    self.word(",");
                    self.changed_settings("ADD", all);
                }
            } else {
                self.word(" SETTINGS ");
                match all.is_empty() {
                    true => self.word("NONE"),
                    false => self.separated(all, ", ", |p, e| p.setting_element(e)),
                }
            }
        }
        let mut clauses: Vec<String> = vec![];
        if settings.drop_all_settings {
            clauses.push(" DROP ALL SETTINGS".into());
        }
        if settings.drop_all_profiles {
            clauses.push(" DROP ALL PROFILES".into());
        }
        let names = |list: &[String], quoted: bool| {
            let name =
                |n: &String| if quoted { super::always_quoted(n) } else { super::quote_name(n) };
            list.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        let plural = |n: usize| if n > 1 { "S" } else { "" };
        if !settings.drop_profiles.is_empty() {
            let list = names(&settings.drop_profiles, true);
            clauses.push(format!(" DROP PROFILE{} {list}", plural(settings.drop_profiles.len())));
        }
        if !settings.drop.is_empty() {
            let list = names(&settings.drop, false);
            clauses.push(format!(" DROP SETTING{} {list}", plural(settings.drop.len())));
        }
        for (verb, list) in [("ADD", &settings.add), ("MODIFY", &settings.modify)] {
            if !list.is_empty() {
                let mut inner = Printer::new(false);
                inner.changed_settings(verb, list);
                clauses.push(inner.out);
            }
        }
        self.word(&clauses.join(","));
    }

    /// ` ADD SETTINGS a = 1, b = 2`, ` ADD PROFILE p`.
    fn changed_settings(&mut self, verb: &str, list: &[SettingElement]) {
        let (profiles, plain): (Vec<_>, Vec<_>) = list.iter().partition(|e| e.inherit.is_some());
        let mut comma = "";
        if !plain.is_empty() {
            let plural = if plain.len() > 1 { "S" } else { "" };
            self.word(&format!(" {verb} SETTING{plural} "));
            self.separated(&plain, ", ", |p, e| p.setting_element(e));
            comma = ",";
        }
        if !profiles.is_empty() {
            let plural = if profiles.len() > 1 { "S" } else { "" };
            self.word(&format!("{comma} {verb} PROFILE{plural} "));
            self.separated(&profiles, ", ", |p, e| {
                p.word(&super::always_quoted(e.inherit.as_deref().unwrap_or_default()));
            });
        }
    }

    fn setting_element(&mut self, element: &SettingElement) {
        if let Some(profile) = &element.inherit {
            self.word(if element.profile { "PROFILE " } else { "INHERIT " });
            return self.word(&super::always_quoted(profile));
        }
        self.name(&element.name);
        let parts = [(" = ", &element.value), (" MIN ", &element.min), (" MAX ", &element.max)];
        for (word, value) in parts {
            if let Some(value) = value {
                self.word(word);
                self.word(&literal_value(value));
            }
        }
        self.word(match element.writability {
            None => "",
            Some(Writability::Writable) => " WRITABLE",
            Some(Writability::Const) => " CONST",
            Some(Writability::ChangeableInReadonly) => " CHANGEABLE_IN_READONLY",
        });
    }

    pub(super) fn policy_names(&mut self, names: &[String], tables: &[PolicyTable]) {
        let same_table = tables.iter().all(|t| Some(t) == tables.first());
        let same_name = names.iter().all(|n| Some(n) == names.first());
        if same_name && !same_table {
            self.name(&names[0]);
            self.word(" ON ");
            return self.separated(tables, ", ", |p, t| p.policy_table(t));
        }
        if same_table {
            self.separated(names, ", ", |p, name| p.name(name));
            if let Some(table) = tables.first() {
                self.word(" ON ");
                self.policy_table(table);
            }
            return;
        }
        let pairs: Vec<_> = names.iter().zip(tables).collect();
        self.separated(&pairs, ", ", |p, (name, table)| {
            p.name(name);
            p.word(" ON ");
            p.policy_table(table);
        });
    }

    fn policy_table(&mut self, (database, table): &PolicyTable) {
        if let Some(database) = database {
            self.name(database);
            self.word(".");
        }
        match table {
            Some(table) => self.name(table),
            None => self.word("*"),
        }
    }

    fn policy(&mut self, policy: &PolicyDefinition) {
        self.manner("ROW POLICY", policy.head.manner);
        self.policy_names(&policy.head.names, &policy.tables);
        if let Some(storage) = &policy.head.storage {
            self.word(" IN ");
            self.name(storage);
        }
        self.cluster(&policy.head.cluster);
        if let Some(name) = &policy.head.rename_to {
            self.word(" RENAME TO ");
            self.name(name);
        }
        if let Some(restrictive) = policy.restrictive {
            self.word(if restrictive { " AS RESTRICTIVE" } else { " AS PERMISSIVE" });
        }
        if let Some(using) = &policy.using {
            self.word(" FOR SELECT USING ");
            match using {
                Some(expr) => self.expr(expr),
                None => self.word("NONE"),
            }
        }
        self.to(&policy.to);
    }

    fn to(&mut self, to: &Option<NameSet>) {
        if let Some(to) = to {
            self.word(" TO ");
            self.name_set(to);
        }
    }

    fn quota(&mut self, quota: &QuotaDefinition) {
        self.entity_head("QUOTA", &quota.head);
        match quota.keyed_by.as_deref() {
            None => {}
            Some([]) => self.word(" NOT KEYED"),
            Some(keys) => {
                self.word(" KEYED BY ");
                self.word(&keys.join(", "));
            }
        }
        for (i, interval) in quota.limits.iter().enumerate() {
            self.word(if i > 0 { ", FOR" } else { " FOR" });
            self.word(if interval.randomized { " RANDOMIZED" } else { "" });
            self.word(&format!(" INTERVAL {} {}", interval.count, interval.unit));
            if interval.drop {
                self.word(" NO LIMITS");
            } else if interval.max.is_empty() {
                self.word(" TRACKING ONLY");
            } else {
                self.word(" MAX ");
                self.separated(&interval.max, ", ", |p, (name, value)| {
                    p.word(&format!("{name} = {}", literal_value(value)));
                });
            }
        }
        self.to(&quota.to);
    }

    fn drop_entities(&mut self, drop: &DropEntities) {
        self.word(&format!("DROP {} ", drop.kind.words()));
        self.word(if drop.if_exists { "IF EXISTS " } else { "" });
        match drop.kind {
            EntityKind::RowPolicy => self.policy_names(&drop.names, &drop.tables),
            _ => self.separated(&drop.names, ", ", |p, name| p.name(name)),
        }
        if let Some(storage) = &drop.storage {
            self.word(" FROM ");
            self.name(storage);
        }
        self.cluster(&drop.cluster);
    }

    pub(super) fn name_set(&mut self, set: &NameSet) {
        let name = |p: &mut Printer, name: &String| match set.ids {
            true => p.word(&format!("ID({})", super::quote_string(name.as_bytes()))),
            false => p.name(name),
        };
        if set.is_none() {
            self.word("NONE");
        } else if set.all {
            self.word(if set.any { "ANY" } else { "ALL" });
        }
        if !set.all {
            self.separated(&set.names, ", ", name);
            if set.current_user {
                self.word(if set.names.is_empty() { "" } else { ", " });
                self.word("CURRENT_USER");
            }
        }
        if !set.except.is_empty() || set.except_current_user {
            self.word(" EXCEPT ");
            self.separated(&set.except, ", ", name);
            if set.except_current_user {
                self.word(if set.except.is_empty() { "" } else { ", " });
                self.word("CURRENT_USER");
            }
        }
    }

    fn grant(&mut self, grant: &Grant) {
        self.word(if grant.revoke { "REVOKE" } else { "GRANT" });
        self.cluster(&grant.cluster);
        if grant.revoke && grant.option {
            let word =
                if grant.roles.is_some() { " ADMIN OPTION FOR" } else { " GRANT OPTION FOR" };
            self.word(word);
        }
        self.word(" ");
        match &grant.roles {
            Some(roles) => self.name_set(roles),
            None if grant.current_grants => {
                self.word("CURRENT GRANTS(");
                self.grant_elements(&grant.elements);
                self.word(")");
            }
            None => self.grant_elements(&grant.elements),
        }
        self.word(if grant.revoke { " FROM " } else { " TO " });
        self.name_set(&grant.to);
        if !grant.revoke && grant.option {
            let word =
                if grant.roles.is_some() { " WITH ADMIN OPTION" } else { " WITH GRANT OPTION" };
            self.word(word);
        }
        self.word(if grant.replace { " WITH REPLACE OPTION" } else { "" });
    }

    pub(super) fn grant_elements(&mut self, elements: &[GrantElement]) {
        for (i, element) in elements.iter().enumerate() {
            self.word(if i > 0 { ", " } else { "" });
            let columns = match element.columns.as_slice() {
                [] => String::new(),
                names => {
                    let names: Vec<String> = names.iter().map(|n| super::quote_name(n)).collect();
                    format!("({})", names.join(", "))
                }
            };
            let words = element.privileges.keywords();
            self.separated(&words, ", ", |p, word| p.word(&format!("{word}{columns}")));
            if elements.get(i + 1).is_none_or(|next| next.target != element.target) {
                self.word(" ON ");
                self.target(&element.target, element.privileges.parameter_level().is_some());
            }
        }
    }

    fn target(&mut self, target: &Target, is_parameter: bool) {
        let star = |prefix: bool| if prefix { "*" } else { "" };
        match target {
            Target::Global => self.word(if is_parameter { "*" } else { "*.*" }),
            Target::Database { name: None, .. } => self.word("*"),
            Target::Database { name: Some(name), prefix } => {
                self.name(name);
                self.word(star(*prefix));
                self.word(".*");
            }
            Target::Table { database, name, prefix } => {
                if let Some(database) = database {
                    self.name(database);
                    self.word(".");
                }
                self.name(name);
                self.word(star(*prefix));
            }
            Target::Parameter { name, prefix, filter } => {
                self.name(name);
                self.word(star(*prefix));
                if let Some(filter) = filter {
                    self.word(&format!("({})", super::quote_string(filter.as_bytes())));
                }
            }
        }
    }

    pub(super) fn shown_grants(&mut self, shown: &ShownGrants) {
        self.word("SHOW GRANTS");
        let current = NameSet { current_user: true, ..NameSet::default() };
        if let Some(of) = shown.of.as_ref().filter(|of| **of != current) {
            self.word(" FOR ");
            self.name_set(of);
        }
        self.word(if shown.implicit { " WITH IMPLICIT" } else { "" });
        self.word(if shown.merged { " FINAL" } else { "" });
    }

    pub(super) fn shown_entities(&mut self, shown: &ShownEntities) {
        let many = match shown.names.len() {
            0 => shown.many,
            n => n > 1,
        };
        let kind = if many { shown.kind.words_of_many() } else { shown.kind.words() };
        self.word(&format!("SHOW CREATE {kind}"));
        if !shown.names.is_empty() {
            self.word(" ");
            match shown.kind {
                EntityKind::RowPolicy => self.policy_names(&shown.names, &shown.tables),
                _ => self.separated(&shown.names, ", ", |p, name| p.name(name)),
            }
        }
    }
}
