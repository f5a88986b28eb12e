//! What one statement sees: the session as it was when the statement came, and one snapshot of the catalog.

use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::{CatalogProviderList, TableProvider};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;
use quarry_engine::files::Location;

use super::names::{FullName, NameRules};
use crate::catalog::CATALOG;
use crate::catalog::providers::{CatalogView, StatementCatalogs, state_with_catalogs};
use crate::config::StatementLimits;
use crate::error::{Error, Result};
use crate::guard;
use crate::settings::Settings;
use crate::writes::Writes;

/// One statement's view of the world. Planning in it belongs on a planning thread.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Catalog and base state.
    pub(crate) view: CatalogView,
    /// How names are read.
    pub(crate) names: NameRules,
    /// The session's settings.
    pub(crate) settings: Settings,
    /// The statement's time limit.
    pub(crate) statement_timeout: Duration,
    /// Limits on plans.
    pub(crate) limits: Arc<StatementLimits>,
    /// What statements that write share.
    pub(crate) writes: Arc<Writes>,
}

impl Scope {
    /// The state to plan in.
    pub(crate) fn state(&self) -> SessionState {
        let mut state = state_with_catalogs(&self.view);
        // `now()` is the moment the statement is planned.
        state.mark_start_execution();
        state
    }

    /// Plans a query and checks that it is one and nothing more.
    ///
    /// # Errors
    /// Planning errors, [`Error::TooComplex`], [`Error::Unsupported`] if it would change anything.
    pub(crate) async fn plan(&self, query: DfStatement) -> Result<LogicalPlan> {
        let plan = self.state().statement_to_plan(query).await?;
        guard::check_plan(&plan, &self.limits)?;
        self.check_read_only(&plan)?;
        Ok(plan)
    }

    /// Whether a plan is a query and nothing more.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it would change anything.
    pub(crate) fn check_read_only(&self, plan: &LogicalPlan) -> Result<()> {
        read_only()
            .verify_plan(plan)
            .map_err(|error| Error::Unsupported(error.strip_backtrace()))
    }

    /// A place that users may write to: not among Quarry's own files.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other schemes, the root, and Quarry's own directories.
    pub(crate) fn writable_location(&self, text: &str) -> Result<Location> {
        let location = Location::parse(text)?;
        let warehouse = &self.writes.warehouse;
        let own = warehouse.rsplit_once('/').map_or("", |(parent, _)| parent);
        let reserved = [warehouse.as_str(), own];
        let is_reserved = |directory: &&str| {
            let below = location.path.strip_prefix(*directory);
            !directory.is_empty() && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        if location.path == "/" || reserved.iter().any(is_reserved) {
            return Err(Error::invalid(format!(
                "{location} is among Quarry's own files or the root; name a directory of your own"
            )));
        }
        Ok(location)
    }

    /// Opens a table or view.
    ///
    /// # Errors
    /// [`Error::NotFound`], errors of the catalog, planning errors of a view.
    pub(crate) async fn open(&self, name: &FullName) -> Result<Arc<dyn TableProvider>> {
        let catalogs = StatementCatalogs::new(self.view.clone());
        let catalog = catalogs
            .catalog(CATALOG)
            .ok_or_else(|| Error::not_found("catalog", CATALOG))?;
        let schema = catalog
            .schema(&name.schema)
            .ok_or_else(|| Error::not_found("schema", &name.schema))?;
        let table = schema.table(&name.object).await?;
        table.ok_or_else(|| Error::not_found("table", format!("{}.{}", name.schema, name.object)))
    }
}

fn read_only() -> SQLOptions {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
}
