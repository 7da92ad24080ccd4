//! The syntax tree of ClickHouse SQL. Plain data, no behaviour: the parser makes it, the formatter
//! prints it in ClickHouse's canonical form, the binder gives it meaning.
//!
//! One node kind for every call: operators are functions (`plus`, `equals`, `in` …) with a flag for
//! printing. Every expression may carry an alias. Literals keep their source text, because casts and
//! result column names need it.

use super::access::{AccessStatement, ShownEntities, ShownGrants};
use pumphouse_storage::Value;

/// Byte range in the statement's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// An expression with its optional alias. Equality looks at meaning only: kind and alias.
#[derive(Debug, Clone)]
pub struct Expr {
    pub kind: ExprKind,
    pub alias: Option<String>,
    /// Written inside parentheses of its own; only the formatter cares.
    pub parenthesized: bool,
    pub span: Span,
}

impl Expr {
    /// An expression without alias and place, as rewriting code makes it.
    pub fn new(kind: ExprKind) -> Expr {
        Expr { kind, alias: None, parenthesized: false, span: Span::default() }
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Expr) -> bool {
        self.kind == other.kind && self.alias == other.alias
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A literal; `text` is how it was written (without a leading minus that was folded in:
    /// that is in both). Arrays and tuples of literals are calls of `array` / `tuple`.
    Literal { value: Value, text: String },
    /// `a`, `t.a`, `db.t.a`: parts in order, unquoted.
    Identifier(Vec<String>),
    /// Any function call or operator.
    Call(Box<Call>),
    /// `x -> expr`, `(x, y) -> expr`.
    Lambda { parameters: Vec<String>, body: Box<Expr> },
    /// `*`, with transformers.
    Asterisk(Vec<ColumnTransformer>),
    /// `t.*`.
    QualifiedAsterisk { qualifier: Vec<String>, transformers: Vec<ColumnTransformer> },
    /// `COLUMNS('re')`, `COLUMNS(a, b)`, optionally qualified.
    Columns {
        qualifier: Vec<String>,
        pattern: Option<String>,
        names: Vec<String>,
        transformers: Vec<ColumnTransformer>,
    },
    /// `(SELECT …)` as a value or as the right side of IN.
    Subquery(Box<Query>),
    /// `{name:Type}`.
    Parameter { name: String, data_type: String },
}

/// A call: `name(params)(args)`, or an operator.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Call {
    /// As written for named functions; ClickHouse's function name for operators (`plus`).
    pub name: String,
    /// `quantile(0.9)(x)`: Some([0.9]).
    pub parameters: Option<Vec<Expr>>,
    pub arguments: Vec<Expr>,
    pub distinct: bool,
    /// Written as an operator (or CASE, BETWEEN, CAST AS, INTERVAL, subscript …): see `OperatorForm`.
    pub form: CallForm,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Box<Expr>>,
    pub nulls: Option<NullsAction>,
    pub over: Option<WindowSpec>,
}

/// How a call was written; only the formatter cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallForm {
    #[default]
    Function,
    /// Prefix, infix, postfix operators, subscripts, tuple access, `::`, CASE, BETWEEN, IN, INTERVAL,
    /// array and tuple literals; `count` without arguments that was written `count(*)`.
    Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullsAction {
    Respect,
    Ignore,
}

/// `EXCEPT`, `REPLACE`, `APPLY` behind `*` or COLUMNS.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnTransformer {
    Except {
        names: Vec<String>,
        pattern: Option<String>,
        strict: bool,
    },
    Replace {
        items: Vec<(Expr, String)>,
        strict: bool,
    },
    /// `APPLY(f)`, `APPLY f(params)`, `APPLY(x -> …)`; the expression is an Identifier, a Call with
    /// parameters, or a Lambda.
    Apply(Box<Expr>),
}

/// `OVER name` or `OVER (…)`.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowSpec {
    Named(String),
    Inline(WindowDefinition),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct WindowDefinition {
    pub parent: Option<String>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<OrderItem>,
    pub frame: Option<WindowFrame>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WindowFrame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    pub end: FrameBound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameUnit {
    Rows,
    Range,
    Groups,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Box<Expr>),
    CurrentRow,
    Following(Box<Expr>),
    UnboundedFollowing,
}

/// A query: one SELECT, or several joined by set operations.
#[derive(Debug, Clone)]
pub struct Query {
    pub body: QueryBody,
    /// Written in parentheses inside a set operation; only the formatter cares.
    pub parenthesized: bool,
}

impl Query {
    pub fn new(body: QueryBody) -> Query {
        Query { body, parenthesized: false }
    }
}

impl PartialEq for Query {
    fn eq(&self, other: &Query) -> bool {
        self.body == other.body
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum QueryBody {
    Select(Box<Select>),
    /// `a UNION ALL b UNION ALL c`, flattened for one and the same operator.
    SetOperation {
        operator: SetOperator,
        quantifier: SetQuantifier,
        inputs: Vec<Query>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOperator {
    Union,
    Intersect,
    Except,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetQuantifier {
    /// Not written; `union_default_mode` decides for UNION.
    Default,
    All,
    Distinct,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Select {
    pub with: Vec<WithItem>,
    pub recursive: bool,
    pub distinct: Option<Distinct>,
    pub items: Vec<Expr>,
    pub from: Option<TableExpr>,
    pub array_join: Option<ArrayJoin>,
    pub prewhere: Option<Expr>,
    pub where_: Option<Expr>,
    pub group_by: Option<GroupBy>,
    pub having: Option<Expr>,
    pub windows: Vec<(String, WindowDefinition)>,
    pub qualify: Option<Expr>,
    pub order_by: Vec<OrderItem>,
    pub order_by_all: bool,
    pub interpolate: Option<Vec<(String, Option<Expr>)>>,
    pub limit_by: Option<LimitBy>,
    pub limit: Option<Limit>,
    /// SETTINGS of this SELECT; those behind FORMAT are in `ParsedStatement`, like FORMAT itself.
    pub settings: Vec<Setting>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum WithItem {
    /// `WITH expr AS name` (the name is the expression's alias).
    Expression(Expr),
    /// `WITH name [(columns)] AS (SELECT …)`.
    Query { name: String, columns: Vec<String>, query: Box<Query> },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Distinct {
    All,
    On(Vec<Expr>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum TableExpr {
    Table {
        database: Option<String>,
        name: String,
        alias: Option<String>,
        final_: bool,
        sample: Option<(Expr, Option<Expr>)>,
    },
    Function {
        name: String,
        arguments: Vec<Expr>,
        settings: Vec<Setting>,
        alias: Option<String>,
        final_: bool,
    },
    Subquery {
        query: Box<Query>,
        alias: Option<String>,
        /// `AS t (a, b)`: names of the query's columns.
        columns: Vec<String>,
        final_: bool,
    },
    Join(Box<Join>),
    /// ARRAY JOIN followed by another join; one at the end of FROM is in `Select::array_join`.
    ArrayJoin {
        input: Box<TableExpr>,
        join: ArrayJoin,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub left: TableExpr,
    pub right: TableExpr,
    pub kind: JoinKind,
    pub strictness: JoinStrictness,
    pub global: bool,
    pub constraint: JoinConstraint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
    /// `FROM a, b`.
    Comma,
    Paste,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinStrictness {
    Unspecified,
    All,
    Any,
    Semi,
    Anti,
    Asof,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JoinConstraint {
    None,
    On(Expr),
    Using(Vec<Expr>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct ArrayJoin {
    pub left: bool,
    pub items: Vec<Expr>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupBy {
    pub all: bool,
    pub kind: GroupByKind,
    pub items: Vec<Expr>,
    /// For GROUPING SETS.
    pub sets: Vec<Vec<Expr>>,
    pub with_totals: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupByKind {
    #[default]
    Plain,
    Rollup,
    Cube,
    GroupingSets,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OrderItem {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: Option<bool>,
    pub collate: Option<String>,
    pub fill: Option<WithFill>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct WithFill {
    pub from: Option<Expr>,
    pub to: Option<Expr>,
    pub step: Option<Expr>,
    pub staleness: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LimitBy {
    pub limit: Expr,
    pub offset: Option<Expr>,
    pub by: Vec<Expr>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limit {
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub with_ties: bool,
}

/// `name = value` in SETTINGS or SET; the value as its plain text (strings unquoted).
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub name: String,
    pub value: Value,
}

impl Setting {
    /// The value as plain text.
    pub fn text(&self) -> String {
        match &self.value {
            Value::String(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => other.to_sql(),
        }
    }
}

/// `[database.]name`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableName {
    pub database: Option<String>,
    pub name: String,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    Query(Box<Query>),
    Insert(Box<Insert>),
    CreateDatabase {
        name: String,
        if_not_exists: bool,
        engine: Option<EngineClause>,
        comment: Option<String>,
    },
    CreateTable(Box<CreateTable>),
    CreateView(Box<CreateView>),
    Drop {
        kind: ObjectKind,
        names: Vec<TableName>,
        cluster: Option<String>,
        if_exists: bool,
        if_empty: bool,
        temporary: bool,
        sync: bool,
    },
    Detach {
        kind: ObjectKind,
        name: TableName,
        if_exists: bool,
        permanently: bool,
        sync: bool,
    },
    Attach {
        kind: ObjectKind,
        name: TableName,
        if_not_exists: bool,
    },
    Truncate {
        kind: ObjectKind,
        name: TableName,
        if_exists: bool,
        sync: bool,
    },
    Rename {
        kind: ObjectKind,
        pairs: Vec<(TableName, TableName)>,
        exchange: bool,
    },
    Optimize {
        name: TableName,
        partition: Option<Expr>,
        final_: bool,
        deduplicate: bool,
        /// DEDUPLICATE BY these columns or matchers.
        deduplicate_by: Vec<Expr>,
        cleanup: bool,
    },
    Alter(Box<Alter>),
    /// `DELETE FROM t WHERE …`, with one `AlterCommand::Delete`.
    Delete(Box<Alter>),
    /// `UPDATE t SET …`, with one `AlterCommand::Update`.
    Update(Box<Alter>),
    Check {
        name: TableName,
    },
    /// Users, roles, grants and what else says who may do what.
    Access(Box<AccessStatement>),
    /// What is parsed only as words (BACKUP, CREATE FUNCTION …).
    Other(String),
    Set(Vec<Setting>),
    Use(String),
    Describe {
        table: TableExpr,
        settings: Vec<Setting>,
    },
    Exists {
        kind: ObjectKind,
        name: TableName,
        temporary: bool,
    },
    Explain(Box<Explain>),
    Show(Show),
    System(SystemCommand),
    KillQuery {
        mutation: bool,
        where_: Expr,
        sync: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Database,
    Table,
    View,
    Dictionary,
}

/// INSERT. Data behind VALUES or FORMAT is never lexed: `data_offset` says where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Insert {
    pub table: Option<TableName>,
    /// `INSERT INTO FUNCTION f(…)`.
    pub function: Option<TableExpr>,
    pub columns: Option<Vec<Expr>>,
    pub settings: Vec<Setting>,
    pub source: InsertSource,
    /// Format of the data behind a SELECT that reads `input(…)`, and where the data begins.
    pub input: Option<(String, usize)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum InsertSource {
    Values {
        data_offset: usize,
    },
    /// `format` is None when the statement names none (HTTP's `default_format` decides).
    Format {
        format: Option<String>,
        data_offset: usize,
    },
    Query(Box<Query>),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateTable {
    pub name: TableName,
    pub uuid: Option<String>,
    pub if_not_exists: bool,
    pub or_replace: bool,
    /// `REPLACE TABLE`: as CREATE OR REPLACE, but the table must exist.
    pub replace: bool,
    pub temporary: bool,
    pub attach: bool,
    pub cluster: Option<String>,
    pub columns: Vec<ColumnDecl>,
    pub indexes: Vec<IndexDecl>,
    /// `(name, canonical SELECT text)`.
    pub projections: Vec<(String, Query)>,
    /// `(name, is_assume, expression)`.
    pub constraints: Vec<(String, bool, Expr)>,
    /// A PRIMARY KEY inside the column list is here too.
    pub engine: EngineClause,
    /// `EMPTY AS SELECT`: the table's structure only.
    pub empty: bool,
    /// `CLONE AS other_table`: with its data.
    pub clone_as: bool,
    /// `AS other_table`.
    pub as_table: Option<TableName>,
    /// `AS SELECT …` and `AS f(…)`.
    pub as_query: Option<Box<Query>>,
    pub as_function: Option<TableExpr>,
    pub comment: Option<String>,
}

/// ENGINE and the clauses behind it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EngineClause {
    /// None if no ENGINE was written.
    pub name: Option<String>,
    /// None without parentheses.
    pub arguments: Option<Vec<Expr>>,
    pub partition_by: Option<Expr>,
    pub primary_key: Option<Expr>,
    /// A key that is DESC is a call of `__descending`.
    pub order_by: Option<Expr>,
    pub sample_by: Option<Expr>,
    pub ttl: Vec<TtlItem>,
    pub settings: Vec<Setting>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TtlItem {
    pub expr: Expr,
    pub action: TtlAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TtlAction {
    Delete { where_: Option<Expr> },
    ToDisk(String),
    ToVolume(String),
    Recompress(Expr),
    GroupBy { keys: Vec<Expr>, set: Vec<(String, Expr)> },
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColumnDecl {
    pub name: String,
    /// The type's text as written, blanks normalised; None for `a DEFAULT 1`.
    pub data_type: Option<String>,
    /// `NULL` / `NOT NULL` behind the type.
    pub nullable: Option<bool>,
    /// `DEFAULT`, `MATERIALIZED`, `ALIAS`, `EPHEMERAL` and the expression (EPHEMERAL may have none).
    pub default: Option<(pumphouse_storage::log::DefaultKind, Option<Expr>)>,
    pub comment: Option<String>,
    /// The call list inside `CODEC(...)`.
    pub codec: Option<Vec<Expr>>,
    pub ttl: Option<Expr>,
    pub primary_key: bool,
    /// The kinds inside `STATISTICS(...)`.
    pub statistics: Option<Vec<Expr>>,
    pub settings: Vec<Setting>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct IndexDecl {
    pub name: String,
    pub expr: Expr,
    /// `minmax`, `set(100)`, `bloom_filter(0.01)` …
    pub index_type: Expr,
    pub granularity: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    pub name: TableName,
    pub uuid: Option<String>,
    pub materialized: bool,
    pub if_not_exists: bool,
    pub or_replace: bool,
    pub attach: bool,
    pub cluster: Option<String>,
    pub columns: Vec<ColumnDecl>,
    /// `TO db.table`.
    pub to: Option<TableName>,
    pub engine: EngineClause,
    pub populate: bool,
    /// `POPULATE FROM TIMESTAMP '…'`: of a stream, from then on.
    pub populate_from: Option<String>,
    pub empty: bool,
    /// `REFRESH EVERY …` as text.
    pub refresh: Option<String>,
    /// `DEFINER = u SQL SECURITY DEFINER` as text.
    pub security: Option<String>,
    pub select: Query,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Alter {
    pub name: TableName,
    pub cluster: Option<String>,
    pub commands: Vec<AlterCommand>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterCommand {
    AddColumn {
        column: ColumnDecl,
        if_not_exists: bool,
        first: bool,
        after: Option<String>,
    },
    DropColumn {
        name: String,
        if_exists: bool,
    },
    ClearColumn {
        name: String,
        if_exists: bool,
        partition: Option<Expr>,
    },
    ModifyColumn {
        column: ColumnDecl,
        if_exists: bool,
        remove: Option<String>,
        first: bool,
        after: Option<String>,
    },
    RenameColumn {
        from: String,
        to: String,
        if_exists: bool,
    },
    CommentColumn {
        name: String,
        comment: String,
        if_exists: bool,
    },
    ModifyComment(String),
    ModifyOrderBy(Expr),
    ModifyTtl(Vec<TtlItem>),
    RemoveTtl,
    ModifySetting(Vec<Setting>),
    ResetSetting(Vec<String>),
    ModifyQuery(Query),
    Update {
        assignments: Vec<(String, Expr)>,
        partition: Option<Expr>,
        where_: Expr,
    },
    Delete {
        partition: Option<Expr>,
        where_: Expr,
    },
    DropPartition {
        partition: Expr,
        detach: bool,
        is_part: bool,
    },
    AddProjection {
        name: String,
        query: Query,
        if_not_exists: bool,
        first: bool,
        after: Option<String>,
    },
    AddIndex {
        index: IndexDecl,
        if_not_exists: bool,
        first: bool,
        after: Option<String>,
    },
    AddConstraint {
        name: String,
        assume: bool,
        expr: Expr,
        if_not_exists: bool,
    },
    /// Anything else: parsed for validity of its words, kept as text.
    Other(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    pub kind: ExplainKind,
    pub settings: Vec<Setting>,
    pub statement: Statement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainKind {
    Plan,
    Ast,
    Syntax,
    QueryTree,
    Pipeline,
    Estimate,
    /// `CURRENT TRANSACTION`: no statement behind it.
    Transaction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Show {
    Databases(ShowFilter),
    Tables {
        from: Option<String>,
        full: bool,
        temporary: bool,
        filter: ShowFilter,
    },
    Dictionaries {
        from: Option<String>,
        filter: ShowFilter,
    },
    Indexes {
        table: TableName,
        extended: bool,
        where_: Option<Expr>,
    },
    Columns {
        table: TableName,
        full: bool,
        extended: bool,
        filter: ShowFilter,
    },
    Create {
        kind: ObjectKind,
        name: TableName,
    },
    Processlist,
    Settings {
        changed: bool,
        filter: ShowFilter,
    },
    Functions(ShowFilter),
    Engines,
    Grants(ShownGrants),
    /// `SHOW CREATE USER`, `SHOW CREATE ROLES` …
    CreateEntities(ShownEntities),
    /// Anything else (CLUSTERS, USERS, ACCESS …): the words, in upper case.
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShowFilter {
    /// `(pattern, case_insensitive, negated)`.
    pub like: Option<(String, bool, bool)>,
    pub where_: Option<Expr>,
    pub limit: Option<Expr>,
}

/// `SYSTEM …`; words in upper case and the table it names, if any.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemCommand {
    pub words: Vec<String>,
    pub table: Option<TableName>,
    /// What stands behind the table, token by token.
    pub rest: Vec<String>,
}
