//! SETTINGS inside a query: they hold while it and what is inside of it is bound, and then those around it again.
//!
//! What execution reads (threads, limits on resources) is the whole statement's. `limit` and `offset` cut the result of
//! the subquery that they stand behind, whatever it limits itself.

use std::cell::RefCell;
use std::sync::Arc;

use super::Binder;
use crate::plan::{Plan, PlanNode};
use crate::settings::{Changes, Settings};
use crate::sql::ast::{Query, QueryBody};

/// Puts the settings back that held before.
pub(super) struct OwnSettings<'b> {
    held: &'b RefCell<Option<Arc<Settings>>>,
    before: Option<Arc<Settings>>,
    limit: u64,
    offset: u64,
}

impl Drop for OwnSettings<'_> {
    fn drop(&mut self) {
        self.held.replace(self.before.take());
    }
}

impl OwnSettings<'_> {
    /// The rows of `plan` that `limit` and `offset` leave.
    pub fn limited(&self, plan: Plan) -> Plan {
        if (self.limit, self.offset) == (0, 0) {
            return plan;
        }
        let schema = plan.schema.clone();
        let limit = (self.limit > 0).then_some(self.limit);
        let node =
            PlanNode::Limit { input: Box::new(plan), limit, offset: self.offset, ties: None };
        Plan { node, schema }
    }
}

impl Binder<'_> {
    /// What `read` finds in the settings that hold here.
    pub(super) fn setting<T>(&self, read: impl FnOnce(&Settings) -> T) -> T {
        match &*self.own_settings.borrow() {
            Some(settings) => read(settings),
            None => read(&self.ctx.settings),
        }
    }

    /// Lets the settings of `query` hold; None if it has none.
    pub(super) fn enter_settings(&self, query: &Query) -> Option<OwnSettings<'_>> {
        let QueryBody::Select(select) = &query.body else { return None };
        if select.settings.is_empty() {
            return None;
        }
        let mut settings = self.setting(Settings::clone);
        for setting in &select.settings {
            // As in ClickHouse: behind a subquery, what is unknown or no value changes nothing.
            let _ = Changes::free().apply_all(&mut settings, std::slice::from_ref(setting));
        }
        // What stands behind the whole query cuts its result, which is not done here.
        let inside = self.open_selects.get() > 0;
        let own = |name: &str| match inside && select.settings.iter().any(|s| s.name == name) {
            true => settings.u64(name, 0),
            false => 0,
        };
        let (limit, offset) = (own("limit"), own("offset"));
        let before = self.own_settings.replace(Some(Arc::new(settings)));
        Some(OwnSettings { held: &self.own_settings, before, limit, offset })
    }
}
