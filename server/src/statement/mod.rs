//! Statements: one request's text is parsed and carried out here, whoever sent it. One file a
//! family; results go out through an [`Output`], rows of an INSERT come in through an [`Input`].

mod access;
mod alter;
mod alter_clauses;
mod alter_draft;
mod alter_words;
mod backup;
mod buffer;
mod cached;
mod check;
mod clauses;
mod codec;
mod create;
mod definition;
mod dictionary;
mod drop;
mod engine;
mod external;
mod extremes;
mod file_log_engine;
mod follow;
mod freeze;
mod function;
mod function_table;
mod insert;
mod insert_blocks;
mod insert_function;
mod kafka_engine;
mod mutation;
mod named_collection;
mod names;
mod nested;
mod optimize;
mod other;
mod partition;
mod plain_engine;
mod populate;
mod projection;
mod refresh;
mod rename;
mod secrets;
mod select;
mod settings;
mod show;
mod show_other;
mod stream;
mod stream_select;
mod system;
mod temporary;
pub(crate) mod values;
mod words;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pumphouse_ingest::format::FormatOptions;
use pumphouse_query::context::{MemoryTracker, QueryContext, Settings};
use pumphouse_query::error::codes;
use pumphouse_query::settings::Changes;
use pumphouse_query::sql::access::{AccessStatement, EntityKind, NameSet};
use pumphouse_query::sql::ast::{InsertSource, Query, QueryBody, Setting, Statement};
use pumphouse_query::sql::{self, ParsedStatement};
use pumphouse_query::turns::QueryTurn;
use pumphouse_query::{Error, Result};
use pumphouse_storage::types::TimeZone;
use pumphouse_storage::{Block, DataType};
use uuid::Uuid;

use crate::access::quota::Meter;
use crate::access::{DEFAULT_USER, Granted, RoleChoice, unknown};
use crate::logs::Origin;
use crate::process::{Process, TURN_WAIT};
use crate::server::Server;
use crate::session::SessionState;

pub use definition::ENGINES;
pub use external::{EXTERNAL_BYTES_MAX, ExternalTables};
pub use follow::FollowWish;
pub(crate) use refresh::refresh_view;
pub use secrets::{hide_secrets, hide_strings, names_password};
pub use show::default_kind_name;
pub(crate) use words::Words;

/// Longest statement text that is parsed, in bytes, unless the setting `max_query_size` says otherwise.
const QUERY_BYTES_MAX: u64 = 256 << 10;
/// The most that `max_query_size` may ask for (0 asks for it).
const QUERY_BYTES_CEILING: u64 = 256 << 20;

/// Longest statement text, in bytes, under these settings.
pub fn query_bytes_max(settings: &Settings) -> usize {
    match settings.u64("max_query_size", QUERY_BYTES_MAX) {
        0 => QUERY_BYTES_CEILING as usize,
        bytes => bytes.min(QUERY_BYTES_CEILING) as usize,
    }
}

/// What a request says besides its text.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub query_id: String,
    pub user: String,
    pub database: Option<String>,
    pub settings: Settings,
    pub parameters: BTreeMap<String, String>,
    /// Format of the result (and of inserted data) where the statement names none.
    pub default_format: Option<String>,
    /// Writing statements are refused (HTTP GET).
    pub readonly: bool,
    /// Roles to act in, in place of the session's.
    pub roles: Vec<String>,
    /// Tables that came with the query and live as long as it does.
    pub external_tables: Vec<(String, Block)>,
    /// The query is to be run over what comes into its table, on and on.
    pub follow: Option<FollowWish>,
    pub origin: Origin,
}

/// The statement's text and what follows it.
pub struct Input {
    /// The text; of a text longer than [`query_bytes_max`], at least one byte more than that.
    pub text: Vec<u8>,
    /// The rest of the request, read when an INSERT wants it.
    pub rest: Box<dyn Read + Send>,
    /// How many bytes that is, if somebody said so.
    pub announced: Option<u64>,
}

/// Takes a result. `begin` comes once before the first `write`, and only if there is a result.
pub trait Output: Send {
    fn begin(&mut self, format: &str, content_type: &'static str, time_zone: &str) -> Result<()>;
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// The same; leaves `bytes` empty, and may keep what they lay in.
    fn write_all(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.write(bytes)?;
        bytes.clear();
        Ok(())
    }
    /// What was written is to reach the client now.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
    /// Forgets what was written if none of it has left yet and nobody is to see it of a failed statement.
    /// True: it has; the result begins anew.
    fn starts_over(&mut self) -> bool {
        false
    }
    /// An error as it stands in a result; None: where this goes, none does.
    fn error_text(&self, _error: &Error) -> Option<String> {
        None
    }
    /// The end of the result when the statement failed: the error in the result's format.
    fn write_error(&mut self, _bytes: &[u8]) {}
    /// Where results go as blocks rather than as text in a format; `begin` and `write` are not called then.
    fn blocks(&mut self) -> Option<&mut dyn BlockOutput> {
        None
    }
}

/// Takes a result block by block (the native protocol).
pub trait BlockOutput: Send {
    /// Names and types; once, before the first block.
    fn header(&mut self, schema: &[(String, DataType)]) -> Result<()>;
    fn block(&mut self, block: &Block) -> Result<()>;
    fn totals(&mut self, block: &Block) -> Result<()>;
    /// Two rows: the minima and the maxima.
    fn extremes(&mut self, block: &Block) -> Result<()>;
    /// An INSERT waits for blocks of these columns: they come through [`Input::rest`] in the Native format.
    fn expect(&mut self, columns: &[(String, DataType)]) -> Result<()>;
}

/// Carries out one statement. The query is registered while it runs and logged when it ends.
pub fn execute(
    server: &Arc<Server>,
    request: Request,
    session: &mut SessionState,
    input: Input,
    output: &mut dyn Output,
    started: impl FnOnce(&Arc<QueryContext>),
) -> Result<()> {
    let text = statement_text(&input.text)?;
    let (parsed, context, access) = match begin(server, &request, session, text, input.text.len()) {
        Ok(begun) => begun,
        Err(e) => {
            let now_us = server.clock.now_us();
            let mut context = QueryContext::new(request.query_id.clone(), now_us, 0);
            context.user = request.user.clone();
            context.settings = request.settings.clone();
            server.processes.refused(&context, text, &request.origin, &e);
            return Err(e);
        }
    };
    let process = Process {
        context: context.clone(),
        query: crate::process::shown_text(text),
        origin: request.origin.clone(),
        kind: kind_of(&parsed.statement),
        names: names::of_statement(&parsed.statement, &context.database),
        start_logged: Default::default(),
    };
    let guard = server.processes.enter(process, turn_wait(&parsed.statement, &context))?;
    started(&context);
    let meter = Meter::of(server, &access, &parsed.statement);
    let mut run = Run { server, request: &request, session, context: &context, access, output };
    let result = match &meter {
        Some(meter) => meter.begin(&context).and_then(|()| run.statement(parsed, input)),
        None => run.statement(parsed, input),
    };
    if let Some(meter) = &meter {
        meter.end(&context, result.is_err());
    }
    guard.finish(result.as_ref().err());
    result
}

/// Parses the text and makes the query's context, whose clock runs since before the parsing.
fn begin(
    server: &Arc<Server>,
    request: &Request,
    session: &mut SessionState,
    text: &str,
    bytes: usize,
) -> Result<(ParsedStatement, Arc<QueryContext>, Arc<Granted>)> {
    let started = Instant::now();
    let access = granted(server, request, session)?;
    let mut parameters = session.parameters.clone();
    parameters.extend(request.parameters.clone());
    let mut settings = access.values.clone();
    settings.values.extend(session.settings.values.clone());
    let changes = Changes::under(&settings).within(access.constraints.clone());
    for (name, value) in &request.settings.values {
        changes.apply(&mut settings, name.clone(), Some(value.clone()))?;
    }
    if request.readonly && changes.readonly() == 0 && settings.u64("readonly", 0) == 0 {
        settings.set("readonly", "2");
    }
    let bytes_max = query_bytes_max(&settings);
    let dialect = settings.get("dialect").unwrap_or_default().to_string();
    let text = &*sql::dialect::to_clickhouse(text, &dialect)?;
    if matches!(sql::dialect::is_own(&dialect), Ok(false)) {
        for (name, value) in sql::dialect::SETTINGS {
            settings.values.entry(name.to_string()).or_insert_with(|| value.to_string());
        }
    }
    let mut parsed = match sql::parse_statement_with(text, &parameters) {
        // A view may keep parameters, to be given when it is read.
        Err(e) if e.code() == codes::UNKNOWN_QUERY_PARAMETER => match sql::parse_statement(text) {
            Ok(kept) if matches!(kept.statement, Statement::CreateView(_)) => Ok(kept),
            _ => Err(e),
        },
        parsed => parsed,
    }
    .map_err(|e| if bytes > bytes_max { too_long(bytes_max) } else { e })?;
    // A text that was cut may read as another statement; only data of an INSERT may be cut.
    if bytes > bytes_max && !matches!(parsed.statement, Statement::Insert(_)) {
        return Err(too_long(bytes_max));
    }
    let changes = Changes::under(&settings).within(access.constraints.clone());
    changes.apply_all(&mut settings, own_settings(&parsed.statement))?;
    changes.apply_all(&mut settings, &parsed.settings)?;
    if settings.bool("enable_global_with_statement", true) {
        sql::share_with(&mut parsed.statement);
    }
    let mut context = query_context(server, request, session, settings, &access)?;
    context.temporary = temporary::tables(request, session, &context)?;
    context.started = started;
    Ok((parsed, Arc::new(context), access))
}

/// What the user of a request may do, with the roles that the request or the session chose.
fn granted(server: &Server, request: &Request, session: &SessionState) -> Result<Arc<Granted>> {
    let state = server.store.snapshot();
    let is_default = request.user == DEFAULT_USER && state.access_entities.is_empty();
    if request.user.is_empty() || is_default && request.roles.is_empty() {
        return Ok(Granted::everything());
    }
    let entities = server.access.entities(&state);
    let gone = || unknown(EntityKind::User, &request.user);
    let chosen = entities.granted(&request.user, &session.roles).ok_or_else(gone)?;
    if request.roles.is_empty() {
        return Ok(chosen);
    }
    let set = NameSet { names: request.roles.clone(), ..NameSet::default() };
    let roles = RoleChoice::These(access::chosen_roles(&entities, &chosen, &set)?);
    entities.granted(&request.user, &roles).ok_or_else(gone)
}

/// Carries out a statement of the server itself: it has no result, is not listed and not logged.
pub(crate) fn internal(server: &Arc<Server>, text: &str) -> Result<()> {
    let request =
        Request { query_id: format!("internal-{}", Uuid::new_v4()), ..Request::default() };
    let mut session = SessionState::default();
    let (parsed, context, access) = begin(server, &request, &mut session, text, text.len())?;
    let input = Input { text: vec![], rest: Box::new(std::io::empty()), announced: None };
    let (session, output) = (&mut session, &mut NoOutput);
    let mut run = Run { server, request: &request, session, context: &context, access, output };
    run.statement(parsed, input)
}

/// Takes what nobody reads.
struct NoOutput;

impl Output for NoOutput {
    fn begin(&mut self, _: &str, _: &'static str, _: &str) -> Result<()> {
        Ok(())
    }
    fn write(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// One statement being carried out.
struct Run<'a> {
    server: &'a Arc<Server>,
    request: &'a Request,
    session: &'a mut SessionState,
    context: &'a Arc<QueryContext>,
    /// What the user may do.
    access: Arc<Granted>,
    output: &'a mut dyn Output,
}

impl Run<'_> {
    fn statement(&mut self, parsed: ParsedStatement, input: Input) -> Result<()> {
        let format = parsed.format.clone();
        self.require_allowed(&parsed.statement)?;
        self.require_access(&parsed.statement)?;
        if let Some(wish) = &self.request.follow {
            return match &parsed.statement {
                Statement::Query(query) => self.follow(query, format.as_deref(), wish),
                _ => Err(Error::new(codes::INCORRECT_QUERY, "Only a SELECT can be followed")),
            };
        }
        match parsed.statement {
            Statement::Query(query) => self.select(&query, format.as_deref()),
            Statement::Explain(explain) => self.explain(&explain, format.as_deref()),
            Statement::Insert(insert) => self.insert(&insert, format.as_deref(), input),
            Statement::CreateDatabase { name, if_not_exists, engine, comment } => {
                self.create_database(&name, if_not_exists, engine.as_ref(), comment)
            }
            Statement::CreateTable(create) => self.create_table(*create),
            Statement::CreateView(create) => self.create_view(*create),
            Statement::Drop { kind, names, if_exists, temporary, .. }
                if temporary || self.names_temporary(kind, &names) =>
            {
                self.drop_temporary(&names, if_exists)
            }
            Statement::Drop { kind, names, if_exists, if_empty, sync, .. } => {
                self.drop_objects(kind, &names, if_exists, if_empty, sync)
            }
            Statement::Detach { kind, name, if_exists, .. } => self.detach(kind, &name, if_exists),
            Statement::Attach { kind, name, if_not_exists } => {
                self.attach(kind, &name, if_not_exists)
            }
            Statement::Truncate { kind, name, .. }
                if self.names_temporary(kind, std::slice::from_ref(&name)) =>
            {
                self.truncate_temporary(&name)
            }
            Statement::Truncate { kind, name, if_exists, .. } => {
                self.truncate(kind, &name, if_exists)
            }
            Statement::Other(text) if function::is_create(&text) => self.create_function(&text),
            Statement::Other(text) if dictionary::is_create(&text) => self.create_dictionary(&text),
            Statement::Other(text) if function::is_drop(&text) => self.drop_function(&text),
            Statement::Other(text) if text.starts_with("UNDROP") => self.undrop(&text),
            Statement::Other(text) if text.starts_with("TRUNCATE") => self.truncate_all(&text),
            Statement::Rename { kind, pairs, exchange } => self.rename(kind, &pairs, exchange),
            Statement::Optimize {
                name,
                partition,
                final_,
                deduplicate,
                deduplicate_by,
                cleanup,
            } => self.optimize(&optimize::Request {
                name,
                partition,
                final_,
                deduplicate: deduplicate.then_some(deduplicate_by),
                cleanup,
            }),
            Statement::Set(settings) => self.set(&settings),
            Statement::Use(database) => self.use_database(&database),
            Statement::Describe { table, .. } => self.describe(&table, format.as_deref()),
            Statement::Exists { name, temporary: true, .. } => {
                self.exists_temporary(&name, format.as_deref())
            }
            Statement::Exists { kind, name, .. } => self.exists(kind, &name, format.as_deref()),
            Statement::Show(show) => self.show(&show, format.as_deref()),
            Statement::System(command) => self.system(&command),
            Statement::KillQuery { mutation, where_, sync } => {
                self.kill_query(mutation, &where_, sync, format.as_deref())
            }
            Statement::Alter(alter) => self.alter(&alter),
            Statement::Delete(alter) => self.delete_rows(&alter),
            Statement::Update(alter) => self.update_rows(&alter),
            Statement::Check { name } => self.check_table(&name, format.as_deref()),
            Statement::Access(statement) => self.access_statement(*statement, format.as_deref()),
            Statement::Other(text) => self.other(&text),
        }
    }

    fn database<'n>(&'n self, name: &'n Option<String>) -> &'n str {
        name.as_deref().unwrap_or(&self.context.database)
    }

    fn format_options(&self) -> FormatOptions {
        FormatOptions { settings: self.context.settings.clone(), time_zone: self.context.time_zone }
    }

    fn set(&mut self, settings: &[Setting]) -> Result<()> {
        for setting in settings {
            if let Some(parameter) = setting.name.strip_prefix("param_") {
                let text = setting.text();
                self.session.parameters.insert(parameter.into(), text);
            }
        }
        let plain: Vec<Setting> =
            settings.iter().filter(|s| !s.name.starts_with("param_")).cloned().collect();
        // All or none.
        let mut new = self.session.settings.clone();
        let changes =
            Changes::under(&self.context.settings).within(self.access.constraints.clone());
        changes.apply_all(&mut new, &plain)?;
        self.session.settings = new;
        Ok(())
    }

    fn use_database(&mut self, database: &str) -> Result<()> {
        self.require_database(database)?;
        self.session.database = Some(database.into());
        Ok(())
    }

    fn require_database(&self, database: &str) -> Result<()> {
        known_database(self.server, database)
    }
}

/// Error 81 if there is no such database.
pub fn known_database(server: &Server, database: &str) -> Result<()> {
    let known = server.store.snapshot().databases.contains_key(database);
    if known || crate::system_tables::is_virtual_database(database) {
        return Ok(());
    }
    Err(Error::new(codes::UNKNOWN_DATABASE, format!("Database {database} does not exist")))
}

/// How long a statement waits while as many run as may. Only what works on data waits: KILL, SHOW and
/// SYSTEM must get through on a busy server.
fn turn_wait(statement: &Statement, context: &QueryContext) -> Option<Duration> {
    match statement {
        Statement::Query(_) | Statement::Insert(_) | Statement::Explain(_) => {
            let own = context.settings.u64("queue_max_wait_ms", 0);
            Some(if own == 0 { TURN_WAIT } else { Duration::from_millis(own) })
        }
        _ => None,
    }
}

/// The parser saw only the beginning of a statement.
fn too_long(bytes_max: usize) -> Error {
    Error::new(
        codes::SYNTAX_ERROR,
        format!(
            "Syntax error: Max query size exceeded: the statement is longer than {bytes_max} bytes \
             (can be increased with the `max_query_size` setting)"
        ),
    )
}

/// The longest valid UTF-8 prefix of the text; data behind an INSERT may be anything.
fn statement_text(bytes: &[u8]) -> Result<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The error says how far the text is valid.
        Err(e) => std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or(""),
    };
    if text.trim().is_empty() {
        return Err(Error::new(codes::SYNTAX_ERROR, "Syntax error: Empty query"));
    }
    Ok(text)
}

/// SETTINGS inside the statement that hold for all of it.
fn own_settings(statement: &Statement) -> &[Setting] {
    match statement {
        Statement::Query(query) => query_settings(query),
        Statement::Insert(insert) => match &insert.source {
            InsertSource::Query(query) if insert.settings.is_empty() => query_settings(query),
            _ => &insert.settings,
        },
        Statement::Explain(explain) => own_settings(&explain.statement),
        Statement::Describe { settings, .. } => settings,
        _ => &[],
    }
}

fn query_settings(query: &Query) -> &[Setting] {
    match &query.body {
        QueryBody::Select(select) => &select.settings,
        // Behind the last SELECT of a UNION they mean the whole.
        QueryBody::SetOperation { inputs, .. } => inputs.last().map_or(&[], query_settings),
    }
}

fn query_context(
    server: &Server,
    request: &Request,
    session: &SessionState,
    settings: Settings,
    access: &Granted,
) -> Result<QueryContext> {
    let memory_max = match settings.u64("max_memory_usage", 0) {
        0 => server.config.max_memory_usage,
        n => n,
    };
    let mut context = QueryContext::new(request.query_id.clone(), server.clock.now_us(), 0);
    context.turn = Some(QueryTurn::new(server.turns.clone()));
    context.memory = MemoryTracker::with_parent(memory_max, Some(server.memory.clone()));
    context.user = request.user.clone();
    context.roles = access.roles.clone();
    context.row_filters = access.row_filters.clone();
    context.spill = Some(server.spill.of_query(&request.user));
    context.database = request
        .database
        .clone()
        .or_else(|| session.database.clone())
        .or_else(|| access.default_database.clone())
        .unwrap_or_else(|| "default".into());
    if request.database.is_some() {
        known_database(server, &context.database)?;
    }
    context.parameters = session.parameters.clone();
    context.parameters.extend(request.parameters.clone());
    if let Some(zone) = settings.get("session_timezone").filter(|z| !z.is_empty()) {
        context.time_zone = TimeZone::parse(zone).ok_or_else(|| {
            Error::new(codes::BAD_ARGUMENTS, format!("Invalid time zone: {zone}"))
        })?;
    }
    let seconds = settings
        .get("max_execution_time")
        .and_then(|s| s.parse::<f64>().ok())
        .filter(|s| *s > 0.0 && s.is_finite());
    if let Some(seconds) = seconds {
        context.deadline = Instant::now().checked_add(Duration::from_secs_f64(seconds.min(1e9)));
    }
    context.settings = settings;
    Ok(context)
}

fn kind_of(statement: &Statement) -> &'static str {
    match statement {
        Statement::Query(_) => "Select",
        Statement::Insert(_) => "Insert",
        Statement::CreateDatabase { .. } | Statement::CreateTable(_) | Statement::CreateView(_) => {
            "Create"
        }
        Statement::Drop { .. } => "Drop",
        Statement::Explain(_) => "Explain",
        Statement::Show(_) | Statement::Exists { .. } => "Show",
        Statement::Describe { .. } => "Describe",
        Statement::Set(_) => "Set",
        Statement::Use(_) => "Use",
        Statement::System(_) => "System",
        Statement::Alter(_) | Statement::Delete(_) | Statement::Update(_) => "Alter",
        Statement::Check { .. } => "Check",
        Statement::Other(text) if text.starts_with("BACKUP") => "Backup",
        Statement::Other(text) if text.starts_with("RESTORE") => "Restore",
        Statement::Access(access) => match &**access {
            AccessStatement::Grant(grant) if grant.revoke => "Revoke",
            AccessStatement::Grant(_) => "Grant",
            AccessStatement::SetRole(_) | AccessStatement::SetDefaultRole { .. } => "Set",
            AccessStatement::Drop(_) => "Drop",
            AccessStatement::CheckGrant(_) => "Check",
            AccessStatement::User(user) if user.head.manner.is_alter() => "Alter",
            AccessStatement::Role(role) if role.head.manner.is_alter() => "Alter",
            _ => "Create",
        },
        Statement::Other(_) => "",
        Statement::Rename { .. } => "Rename",
        Statement::Optimize { .. } => "Optimize",
        Statement::KillQuery { .. } => "KillQuery",
        Statement::Detach { .. } => "Detach",
        Statement::Attach { .. } => "Attach",
        Statement::Truncate { .. } => "Truncate",
    }
}

/// The bare names that a query's expressions use.
fn query_names(query: &Query) -> Vec<String> {
    sql::names_in_query(query)
}

/// Whether the view's SELECT may read column `name` of its source.
fn view_reads(view: &pumphouse_storage::log::Table, name: &str) -> bool {
    let text = view.definition.select.as_deref().unwrap_or_default();
    let names = sql::parse_query(text).map(|query| query_names(&query)).unwrap_or_default();
    names.iter().any(|n| n == name || n.ends_with(&format!(".{name}")))
}
