//! Window functions (being written).

use pumphouse_storage::DataType;

use super::Env;
use super::pipeline::{Consumer, Driven};
use crate::error::{Error, Result, codes};
use crate::plan::{Plan, WindowFunction};

pub(super) fn drive(
    _input: &Plan,
    _functions: &[WindowFunction],
    _schema: &[(String, DataType)],
    _env: &Env,
    _base: usize,
    _consumer: &dyn Consumer,
) -> Result<Driven> {
    Err(Error::new(codes::NOT_IMPLEMENTED, "window functions are not supported yet"))
}
