//! A call that binding could not make and whose error only those shall see who compute it: checks of
//! plans raise it where somebody reads the call, and so does evaluating it.

use std::sync::Arc;

use pumphouse_storage::{Column, DataType};

use super::{ArgumentType, FunctionCall, Nulls, ScalarFunction};
use crate::error::{Error, Result};

const NAME: &str = "_refused";

struct Refused {
    code: u32,
    message: String,
    result: DataType,
}

/// What stands for a call that failed with `error` and would yield `result`.
pub fn refused(error: Error, result: DataType) -> Arc<dyn ScalarFunction> {
    Arc::new(Refused { code: error.code(), message: error.to_string(), result })
}

pub fn is_refused(function: &Arc<dyn ScalarFunction>) -> bool {
    function.name() == NAME
}

impl Refused {
    fn error(&self) -> Error {
        Error::new(self.code, self.message.clone())
    }
}

impl ScalarFunction for Refused {
    fn name(&self) -> &str {
        NAME
    }

    fn nulls(&self) -> Nulls {
        Nulls::Own
    }

    fn return_type(&self, _: &[ArgumentType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn checks_columns(&self) -> bool {
        true
    }

    fn check_columns(&self, _: &[ArgumentType]) -> Result<()> {
        Err(self.error())
    }

    fn evaluate(&self, _: &FunctionCall) -> Result<Column> {
        Err(self.error())
    }
}
