//! Joins (being written).

use pumphouse_storage::DataType;

use super::Env;
use super::pipeline::{Consumer, Driven};
use crate::error::{Error, Result, codes};
use crate::plan::JoinNode;

pub(super) fn drive_join(
    _join: &JoinNode,
    _schema: &[(String, DataType)],
    _env: &Env,
    _base: usize,
    _consumer: &dyn Consumer,
) -> Result<Driven> {
    Err(Error::new(codes::NOT_IMPLEMENTED, "joins are not supported yet"))
}
