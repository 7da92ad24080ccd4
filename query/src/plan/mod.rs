//! The logical plan: what binding yields, what rules rewrite, what execution runs. Names are gone:
//! a column is an index into its input's output.

pub mod explain;

use std::sync::Arc;

use pumphouse_storage::scan::{ColumnCondition, Predicate};
use pumphouse_storage::{Block, DataType, Value};

use crate::aggregates::AggregateFunction;
use crate::catalog::{MorselSource, TableSource};
use crate::execute::runtime_filter::RuntimeFilter;
use crate::functions::ScalarFunction;

/// An expression over the columns of one input.
#[derive(Clone)]
pub enum BoundExpr {
    /// Column `index` of the input.
    Column {
        index: usize,
        data_type: DataType,
    },
    /// Parameter `index` of the innermost lambda (or of the one `depth` levels out).
    LambdaParameter {
        depth: usize,
        index: usize,
        data_type: DataType,
    },
    Constant {
        value: Value,
        data_type: DataType,
    },
    Call {
        function: Arc<dyn ScalarFunction>,
        arguments: Vec<BoundExpr>,
        data_type: DataType,
    },
    /// Inside `Call.arguments` only.
    Lambda {
        parameters: Vec<DataType>,
        body: Box<BoundExpr>,
    },
    /// `expr IN set`; `negated` for NOT IN. The set is filled before the plan that holds it runs.
    InSet {
        expr: Box<BoundExpr>,
        set: Arc<PlannedSet>,
        negated: bool,
    },
    /// A scalar subquery, run once before the plan that holds it.
    Scalar {
        subquery: Arc<PlannedScalar>,
        data_type: DataType,
    },
}

impl BoundExpr {
    pub fn data_type(&self) -> DataType {
        match self {
            BoundExpr::Column { data_type, .. }
            | BoundExpr::LambdaParameter { data_type, .. }
            | BoundExpr::Constant { data_type, .. }
            | BoundExpr::Call { data_type, .. }
            | BoundExpr::Scalar { data_type, .. } => data_type.clone(),
            BoundExpr::Lambda { body, .. } => body.data_type(),
            BoundExpr::InSet { expr, .. } => in_set_type(&expr.data_type()),
        }
    }
}

/// The type of `x IN …` for an `x` of this type: NULL stays NULL, LowCardinality stays as it is.
pub fn in_set_type(tested: &DataType) -> DataType {
    let flag = match tested.is_nullable() {
        true => DataType::nullable(DataType::UInt8),
        false => DataType::UInt8,
    };
    match tested {
        DataType::LowCardinality(_) => DataType::LowCardinality(Box::new(flag)),
        _ => flag,
    }
}

/// The right side of IN: constant values, or a subquery's rows.
pub struct PlannedSet {
    /// Types of the left side's elements (one, or one per tuple element).
    pub element_types: Vec<DataType>,
    pub source: SetSource,
    /// Filled by execution (once).
    pub built: std::sync::OnceLock<Arc<dyn std::any::Any + Send + Sync>>,
}

pub enum SetSource {
    /// Rows of elements, already converted to `element_types`.
    Values(Vec<Vec<Value>>),
    Subquery(Box<Plan>),
}

pub struct PlannedScalar {
    pub plan: Plan,
    pub built: std::sync::OnceLock<Value>,
}

/// One aggregate of an `Aggregate` node.
#[derive(Clone)]
pub struct BoundAggregate {
    pub function: Arc<dyn AggregateFunction>,
    pub arguments: Vec<BoundExpr>,
}

#[derive(Clone)]
pub struct SortKey {
    pub expr: BoundExpr,
    pub descending: bool,
    pub nulls_first: bool,
    pub fill: Option<FillSpec>,
}

/// WITH FILL of one sort key; values already in the key's type.
#[derive(Clone)]
pub struct FillSpec {
    pub from: Option<Value>,
    pub to: Option<Value>,
    /// The step, or an interval step `(count, unit)`.
    pub step: Value,
    pub step_unit: Option<&'static str>,
    /// What other columns of added rows are; with the first filled key only.
    pub interpolation: Option<Interpolation>,
}

/// INTERPOLATE: expressions over the row before, whose columns go by name.
#[derive(Clone)]
pub struct Interpolation {
    pub inputs: Vec<String>,
    /// Column and its expression over `inputs`.
    pub items: Vec<(String, BoundExpr)>,
}

/// A node and the columns it yields.
pub struct Plan {
    pub node: PlanNode,
    /// Names (as results show them) and types of the output columns.
    pub schema: Vec<(String, DataType)>,
}

/// What helps a scan to read less.
#[derive(Clone, Default)]
pub struct ScanHints {
    /// Necessary for a row to pass the filter, beyond the scan's conditions.
    pub predicate: Predicate,
    /// Conjuncts `… IN (subquery)` over the scan's columns: conditions once their sets are filled.
    pub late_sets: Vec<BoundExpr>,
    /// Columns that nobody above PREWHERE looks at: any values will do.
    pub unread: Vec<String>,
    /// The scan to read from, if it is open already. The last column of the schema is then not one
    /// of the source: it says where the row lies (morsel and row in it).
    pub opened: Option<Arc<dyn MorselSource>>,
    /// Columns whose values joins above will want to be among those of their other side.
    pub filters: Vec<(String, Arc<RuntimeFilter>)>,
}

pub enum PlanNode {
    /// One row, no columns: `SELECT 1`.
    OneRow,
    /// Rows in memory.
    Blocks(Vec<Block>),
    /// Reads `columns` of `source` (they are the schema).
    Scan {
        source: Arc<dyn TableSource>,
        columns: Vec<String>,
        /// Necessary conditions for pruning.
        conditions: Vec<ColumnCondition>,
        /// Filter to apply while reading: its columns are read first, the rest for survivors.
        prewhere: Option<BoundExpr>,
        final_: bool,
        sample: Option<f64>,
        hints: Box<ScanHints>,
    },
    Filter {
        input: Box<Plan>,
        predicate: BoundExpr,
    },
    Project {
        input: Box<Plan>,
        exprs: Vec<BoundExpr>,
    },
    /// Output: keys, then aggregates. `grouping_sets` are indexes into `keys` (empty: one set, all);
    /// with them the schema may have one column more, the number of the row's set (UInt64).
    Aggregate {
        input: Box<Plan>,
        keys: Vec<BoundExpr>,
        aggregates: Vec<BoundAggregate>,
        grouping_sets: Vec<Vec<usize>>,
        /// A set of no keys gives a row even of no rows.
        rows_of_nothing: bool,
        with_totals: bool,
        /// LIMIT without ORDER BY above: no more groups than this are needed.
        groups_max: Option<u64>,
    },
    /// Splits rows that passed HAVING from totals; `predicate` over the aggregate's output.
    Having {
        input: Box<Plan>,
        predicate: BoundExpr,
    },
    /// `limit`: only the first so many rows are needed (top-N).
    Sort {
        input: Box<Plan>,
        keys: Vec<SortKey>,
        limit: Option<u64>,
    },
    Limit {
        input: Box<Plan>,
        limit: Option<u64>,
        offset: u64,
        ties: Option<Vec<SortKey>>,
    },
    LimitBy {
        input: Box<Plan>,
        limit: u64,
        offset: u64,
        keys: Vec<BoundExpr>,
    },
    /// Distinct rows by `keys` (all columns if empty).
    Distinct {
        input: Box<Plan>,
        keys: Vec<BoundExpr>,
        limit: Option<u64>,
    },
    UnionAll {
        inputs: Vec<Plan>,
    },
    /// INTERSECT / EXCEPT on whole rows.
    SetOperation {
        left: Box<Plan>,
        right: Box<Plan>,
        except: bool,
        all: bool,
    },
    /// Output: left columns, then right columns.
    Join(Box<JoinNode>),
    /// Output: the input's columns with those in `arrays` replaced by their elements, then one
    /// column per computed array in `exprs`.
    ArrayJoin {
        input: Box<Plan>,
        exprs: Vec<BoundExpr>,
        left: bool,
    },
    /// Output: the input's columns, then one per function.
    Window {
        input: Box<Plan>,
        functions: Vec<WindowFunction>,
    },
}

pub struct JoinNode {
    pub left: Plan,
    pub right: Plan,
    pub kind: crate::sql::ast::JoinKind,
    pub strictness: crate::sql::ast::JoinStrictness,
    /// Equal pairs: left key over the left input, right key over the right input.
    pub left_keys: Vec<BoundExpr>,
    pub right_keys: Vec<BoundExpr>,
    /// ASOF: the inequality, left over the left input, right over the right one.
    pub asof: Option<(BoundExpr, AsofOperator, BoundExpr)>,
    /// What else must hold, over left columns then right columns.
    pub residual: Option<BoundExpr>,
    /// Unmatched sides become NULL (join_use_nulls = 1) instead of defaults.
    pub use_nulls: bool,
    /// Output columns that nobody above looks at: any values will do. Empty: none.
    pub unread: Vec<bool>,
    /// Filled from the values of these right keys, for scans on the left side.
    pub filters: Vec<(usize, Arc<RuntimeFilter>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsofOperator {
    Greater,
    GreaterOrEquals,
    Less,
    LessOrEquals,
}

pub struct WindowFunction {
    pub function: WindowKind,
    pub arguments: Vec<BoundExpr>,
    pub partition_by: Vec<BoundExpr>,
    pub order_by: Vec<SortKey>,
    pub frame: Option<crate::sql::ast::WindowFrame>,
    pub data_type: DataType,
}

pub enum WindowKind {
    /// row_number, rank, dense_rank, lagInFrame … by canonical name.
    Ranking(String),
    Aggregate(Arc<dyn AggregateFunction>),
}
