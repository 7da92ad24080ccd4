//! A catalog in which one table is replaced: a materialized view runs its SELECT with its source
//! table being just the block that was inserted.

use std::sync::Arc;

use pumphouse_storage::Value;

use super::{Catalog, TableSource};
use crate::context::QueryContext;
use crate::dictionary::Dictionary;
use crate::error::Result;

pub struct OverlayCatalog<'a> {
    inner: &'a dyn Catalog,
    database: String,
    name: String,
    source: Arc<dyn TableSource>,
}

impl<'a> OverlayCatalog<'a> {
    /// `inner`, but `database.name` is `source`.
    pub fn new(
        inner: &'a dyn Catalog,
        database: &str,
        name: &str,
        source: Arc<dyn TableSource>,
    ) -> OverlayCatalog<'a> {
        OverlayCatalog { inner, database: database.into(), name: name.into(), source }
    }
}

impl Catalog for OverlayCatalog<'_> {
    fn table(&self, database: &str, name: &str) -> Result<Arc<dyn TableSource>> {
        if database == self.database && name == self.name {
            return Ok(self.source.clone());
        }
        self.inner.table(database, name)
    }

    fn table_function(
        &self,
        name: &str,
        arguments: &[Value],
        ctx: &QueryContext,
    ) -> Result<Arc<dyn TableSource>> {
        self.inner.table_function(name, arguments, ctx)
    }

    fn dictionary(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        self.inner.dictionary(database, name)
    }

    fn join_table(&self, database: &str, name: &str) -> Result<Arc<Dictionary>> {
        self.inner.join_table(database, name)
    }

    fn user_function(&self, name: &str) -> Option<Arc<str>> {
        self.inner.user_function(name)
    }
}
