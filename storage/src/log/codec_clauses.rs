//! The clauses of a table's definition and a part's mask to bytes and back (log format 2 on).

use super::codec::{read_pair, read_part_id, write_pair, write_part_id};
use super::edit::{
    ConstraintDefinition, IndexDefinition, MaskMeta, ProjectionDefinition, TableClauses, TtlRule,
    TtlRuleAction,
};
use super::wire::{Reader, WireResult, Writer};

pub(super) fn write_mask(w: &mut Writer, mask: &MaskMeta) {
    write_part_id(w, mask.id);
    w.uint(mask.deleted_rows);
    w.uint(mask.bytes);
    w.fixed_u64(mask.hash);
}

pub(super) fn read_mask(r: &mut Reader) -> WireResult<MaskMeta> {
    Ok(MaskMeta {
        id: read_part_id(r)?,
        deleted_rows: r.uint()?,
        bytes: r.uint()?,
        hash: r.fixed_u64()?,
    })
}

pub(super) fn write_clauses(w: &mut Writer, clauses: &TableClauses) {
    w.list(&clauses.engine_arguments, |w, text| w.text(text));
    w.option(clauses.sample_by.as_ref(), |w, text| w.text(text));
    w.list(&clauses.ttl, write_ttl);
    w.list(&clauses.indexes, |w, index| {
        w.text(&index.name);
        w.text(&index.expression);
        w.text(&index.index_type);
        w.uint(index.granularity);
    });
    w.list(&clauses.projections, |w, projection| {
        w.text(&projection.name);
        w.text(&projection.select);
    });
    w.list(&clauses.constraints, |w, constraint| {
        w.text(&constraint.name);
        w.bool(constraint.assume);
        w.text(&constraint.expression);
    });
}

pub(super) fn read_clauses(r: &mut Reader) -> WireResult<TableClauses> {
    Ok(TableClauses {
        engine_arguments: r.list(Reader::text)?,
        sample_by: r.option(Reader::text)?,
        ttl: r.list(read_ttl)?,
        indexes: r.list(|r| {
            Ok(IndexDefinition {
                name: r.text()?,
                expression: r.text()?,
                index_type: r.text()?,
                granularity: r.uint()?,
            })
        })?,
        projections: r.list(|r| Ok(ProjectionDefinition { name: r.text()?, select: r.text()? }))?,
        constraints: r.list(|r| {
            Ok(ConstraintDefinition { name: r.text()?, assume: r.bool()?, expression: r.text()? })
        })?,
    })
}

fn write_ttl(w: &mut Writer, rule: &TtlRule) {
    w.text(&rule.expression);
    match &rule.action {
        TtlRuleAction::Delete { condition } => {
            w.u8(0);
            w.option(condition.as_ref(), |w, text| w.text(text));
        }
        TtlRuleAction::Recompress { codec } => {
            w.u8(1);
            w.text(codec);
        }
        TtlRuleAction::GroupBy { keys, set } => {
            w.u8(2);
            w.list(keys, |w, text| w.text(text));
            w.list(set, write_pair);
        }
        TtlRuleAction::Move { target } => {
            w.u8(3);
            w.text(target);
        }
    }
}

fn read_ttl(r: &mut Reader) -> WireResult<TtlRule> {
    let expression = r.text()?;
    let action = match r.u8()? {
        0 => TtlRuleAction::Delete { condition: r.option(Reader::text)? },
        1 => TtlRuleAction::Recompress { codec: r.text()? },
        2 => TtlRuleAction::GroupBy { keys: r.list(Reader::text)?, set: r.list(read_pair)? },
        3 => TtlRuleAction::Move { target: r.text()? },
        other => return r.error(format!("unknown TTL action {other}")),
    };
    Ok(TtlRule { expression, action })
}
