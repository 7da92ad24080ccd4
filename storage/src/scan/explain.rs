//! What pruning did, in the words of ClickHouse's `EXPLAIN indexes = 1`.

use std::ops::Bound;

use super::{ColumnCondition, PruningReport, PruningStage, PruningStep};
use crate::types::Value;

/// Points beyond which a condition is shown by their number.
const POINTS_SHOWN: usize = 1;

/// Lines for `Indexes:`.
pub fn explain_lines(report: &PruningReport) -> Vec<String> {
    let mut lines = vec![];
    for step in &report.steps {
        let unused = step.granules_before == step.granules_after;
        if step.stage == PruningStage::GranuleMinMax && unused {
            continue;
        }
        step_lines(step, &mut lines);
    }
    lines.push(format!("Ranges: {}", report.ranges_selected));
    lines
}

fn step_lines(step: &PruningStep, lines: &mut Vec<String>) {
    lines.push(
        match &step.stage {
            PruningStage::MinMax => "Min-Max",
            PruningStage::Partition => "Partition",
            PruningStage::PrimaryKey => "PrimaryKey",
            PruningStage::GranuleMinMax => "Statistics",
            PruningStage::Skip { .. } => "Skip",
        }
        .into(),
    );
    if let PruningStage::Skip { name, description } = &step.stage {
        lines.push(format!("  Name: {name}"));
        lines.push(format!("  Description: {description}"));
    }
    if !step.keys.is_empty() {
        lines.push("  Keys:".into());
        lines.extend(step.keys.iter().map(|k| format!("    {k}")));
    }
    if !step.condition.is_empty() {
        lines.push(format!("  Condition: {}", step.condition));
    }
    lines.push(format!("  Parts: {}/{}", step.parts_after, step.parts_before));
    lines.push(format!("  Granules: {}/{}", step.granules_after, step.granules_before));
}

impl ColumnCondition {
    /// The condition as EXPLAIN shows it: `(k in [1, 5])`.
    pub(super) fn text(&self) -> String {
        let points = self.ranges.iter().all(|r| {
            matches!((&r.lower, &r.upper),
            (Bound::Included(a), Bound::Included(b)) if a == b)
        });
        let mut texts = vec![];
        if points && self.ranges.len() > POINTS_SHOWN {
            texts.push(format!("({} in {}-element set)", self.column, self.ranges.len()));
        } else {
            texts.extend(self.ranges.iter().map(|range| {
                let lower = match &range.lower {
                    Bound::Unbounded => "(-Inf".into(),
                    Bound::Included(v) => format!("[{}", shown(v)),
                    Bound::Excluded(v) => format!("({}", shown(v)),
                };
                let upper = match &range.upper {
                    Bound::Unbounded => "+Inf)".into(),
                    Bound::Included(v) => format!("{}]", shown(v)),
                    Bound::Excluded(v) => format!("{})", shown(v)),
                };
                format!("({} in {lower}, {upper})", self.column)
            }));
        }
        if self.may_be_null {
            texts.push(format!("({} isNull)", self.column));
        }
        match texts.len() {
            0 => "false".into(),
            1 => texts.remove(0),
            _ => format!("or({})", texts.join(", ")),
        }
    }
}

fn shown(value: &Value) -> String {
    value.to_sql()
}
