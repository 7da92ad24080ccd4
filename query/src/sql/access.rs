//! The tree of statements about access: users, roles, what is granted to them, row policies, settings profiles
//! and quotas. `parser/access` makes it, `format/access` prints it.
//!
//! Definitions of entities are kept as such statements too: `ATTACH USER …` and `ATTACH GRANT …`, in which names
//! of other entities may stand as `ID('uuid')`.

use pumphouse_storage::Value;

use super::ast::Expr;
use crate::privileges::Privileges;

#[derive(Debug, Clone, PartialEq)]
pub enum AccessStatement {
    User(Box<UserDefinition>),
    Role(Box<RoleDefinition>),
    Policy(Box<PolicyDefinition>),
    Profile(Box<ProfileDefinition>),
    Quota(Box<QuotaDefinition>),
    Drop(DropEntities),
    Grant(Box<Grant>),
    SetRole(ChosenRoles),
    SetDefaultRole { roles: NameSet, to: NameSet },
    CheckGrant(Vec<GrantElement>),
}

/// What kinds of entities there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum EntityKind {
    #[default]
    User,
    Role,
    RowPolicy,
    SettingsProfile,
    Quota,
}

impl EntityKind {
    /// As in `CREATE USER`.
    pub fn words(self) -> &'static str {
        match self {
            EntityKind::User => "USER",
            EntityKind::Role => "ROLE",
            EntityKind::RowPolicy => "ROW POLICY",
            EntityKind::SettingsProfile => "SETTINGS PROFILE",
            EntityKind::Quota => "QUOTA",
        }
    }

    /// As in `SHOW CREATE USERS`.
    pub fn words_of_many(self) -> &'static str {
        match self {
            EntityKind::User => "USERS",
            EntityKind::Role => "ROLES",
            EntityKind::RowPolicy => "ROW POLICIES",
            EntityKind::SettingsProfile => "SETTINGS PROFILES",
            EntityKind::Quota => "QUOTAS",
        }
    }
}

/// How a definition is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    #[default]
    Create,
    CreateIfNotExists,
    CreateOrReplace,
    Alter,
    AlterIfExists,
    Attach,
}

impl Manner {
    pub fn is_alter(self) -> bool {
        matches!(self, Manner::Alter | Manner::AlterIfExists)
    }
}

/// What all definitions have.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Head {
    pub manner: Manner,
    pub names: Vec<String>,
    pub cluster: Option<String>,
    pub rename_to: Option<String>,
    /// `IN storage`.
    pub storage: Option<String>,
}

/// A policy's database (None: the current one) and table (None: all).
pub type PolicyTable = (Option<String>, Option<String>);

#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserDefinition {
    pub head: Head,
    /// Host patterns of `name@'pattern'`, by the index of the name.
    pub name_hosts: Vec<Option<String>>,
    /// `ADD IDENTIFIED …`: beside what there is.
    pub add_methods: bool,
    /// `RESET AUTHENTICATION METHODS TO NEW`.
    pub reset_methods: bool,
    pub methods: Vec<AuthenticationMethod>,
    /// Of all methods.
    pub valid_until: Option<String>,
    pub hosts: Option<Vec<Host>>,
    pub add_hosts: Option<Vec<Host>>,
    pub drop_hosts: Option<Vec<Host>>,
    pub default_roles: Option<NameSet>,
    /// `DEFAULT DATABASE NONE` is `Some(None)`.
    pub default_database: Option<Option<String>>,
    pub settings: SettingsClauses,
    pub grantees: Option<NameSet>,
}

/// `sha256_password BY 'secret'`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuthenticationMethod {
    /// Empty where only `IDENTIFIED BY` was written.
    pub kind: String,
    pub secret: Option<String>,
    pub salt: Option<String>,
    pub valid_until: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Any,
    None,
    Local,
    Ip(String),
    Name(String),
    Regexp(String),
    Like(String),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RoleDefinition {
    pub head: Head,
    pub settings: SettingsClauses,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProfileDefinition {
    pub head: Head,
    pub settings: SettingsClauses,
    pub to: Option<NameSet>,
}

/// `SETTINGS …` (all anew), or what ALTER adds, modifies and drops.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SettingsClauses {
    pub all: Option<Vec<SettingElement>>,
    pub add: Vec<SettingElement>,
    pub modify: Vec<SettingElement>,
    pub drop: Vec<String>,
    pub drop_profiles: Vec<String>,
    pub drop_all_settings: bool,
    pub drop_all_profiles: bool,
}

/// `max_threads = 4 MIN 1 MAX 8 CONST`, or `INHERIT profile`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SettingElement {
    pub inherit: Option<String>,
    /// Written PROFILE instead of INHERIT.
    pub profile: bool,
    pub name: String,
    pub value: Option<Value>,
    pub min: Option<Value>,
    pub max: Option<Value>,
    pub writability: Option<Writability>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writability {
    Writable,
    Const,
    ChangeableInReadonly,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct PolicyDefinition {
    /// Names without tables.
    pub head: Head,
    /// One for each name.
    pub tables: Vec<PolicyTable>,
    pub restrictive: Option<bool>,
    /// `USING NONE` is `Some(None)`.
    pub using: Option<Option<Expr>>,
    pub to: Option<NameSet>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuotaDefinition {
    pub head: Head,
    /// `NOT KEYED` is an empty list.
    pub keyed_by: Option<Vec<String>>,
    pub limits: Vec<QuotaInterval>,
    pub to: Option<NameSet>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct QuotaInterval {
    pub randomized: bool,
    pub count: u64,
    /// `hour`, in small letters.
    pub unit: String,
    /// `NO LIMITS`: the interval is taken away.
    pub drop: bool,
    /// Empty: tracking only.
    pub max: Vec<(String, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DropEntities {
    pub kind: EntityKind,
    pub if_exists: bool,
    pub names: Vec<String>,
    /// Of row policies.
    pub tables: Vec<PolicyTable>,
    pub cluster: Option<String>,
    pub storage: Option<String>,
}

/// GRANT and REVOKE, of privileges or of roles.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grant {
    pub revoke: bool,
    pub cluster: Option<String>,
    pub elements: Vec<GrantElement>,
    /// None: privileges are granted.
    pub roles: Option<NameSet>,
    pub to: NameSet,
    /// WITH GRANT OPTION or WITH ADMIN OPTION; of REVOKE: only that option.
    pub option: bool,
    /// WITH REPLACE OPTION.
    pub replace: bool,
    /// `CURRENT GRANTS(…)`: what the giver may give of these.
    pub current_grants: bool,
}

/// `SELECT(a, b) ON db.t`.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantElement {
    pub privileges: Privileges,
    pub columns: Vec<String>,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `*.*`, and `*` for privileges that are granted on other names than those of databases.
    Global,
    /// `db.*`; None: the current one. With `prefix` `db*.*`.
    Database { name: Option<String>, prefix: bool },
    /// With `prefix` `db.t*`.
    Table { database: Option<String>, name: String, prefix: bool },
    /// `ON FILE`, `ON u*`, `ON URL('http://…')`.
    Parameter { name: String, prefix: bool, filter: Option<String> },
}

/// `a, b`, `ALL EXCEPT a`, `NONE`: roles, or users and roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameSet {
    pub all: bool,
    /// Written ANY, where that is the word.
    pub any: bool,
    pub current_user: bool,
    pub names: Vec<String>,
    pub except_current_user: bool,
    pub except: Vec<String>,
    /// Names are identities.
    pub ids: bool,
}

impl NameSet {
    pub fn is_none(&self) -> bool {
        !self.all && !self.current_user && self.names.is_empty()
    }
}

/// Behind SET ROLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChosenRoles {
    Default,
    These(NameSet),
}

/// Behind SHOW GRANTS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownGrants {
    /// None: of the current user.
    pub of: Option<NameSet>,
    /// WITH IMPLICIT.
    pub implicit: bool,
    /// FINAL: with those of the roles.
    pub merged: bool,
}

/// Behind SHOW CREATE: entities of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShownEntities {
    pub kind: EntityKind,
    /// Written in the plural.
    pub many: bool,
    /// Empty: all, or the current user.
    pub names: Vec<String>,
    pub tables: Vec<PolicyTable>,
}
