//! The catalog as DataFusion sees it while it plans one statement.
//!
//! A [`StatementCatalogs`] shows one snapshot of names; contents are read when a name is used. Views are planned from their text, in the
//! schema they were created in. For `information_schema` a *lenient* twin is used, in which an object that cannot be
//! opened (a broken file, a view over a dropped table) is left out instead of failing the whole listing.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::datasource::{MemTable, TableType, ViewTable};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use quarry_engine::formats::{AnalyzedTable, TableDefinition, Tables};

use super::{CATALOG, Catalog, CatalogObject, INFORMATION_SCHEMA, SYSTEM_SCHEMA, Snapshot, View};
use crate::error::Error;
use crate::system::SystemTables;

/// Views over views over views: deeper than this is taken for a circle.
const MAX_VIEW_DEPTH: usize = 16;

/// What every provider of one statement shares.
#[derive(Clone)]
pub struct CatalogView {
    /// Where contents are read.
    pub catalog: Arc<Catalog>,
    /// The names.
    pub snapshot: Arc<Snapshot>,
    /// Opens tables over files.
    pub tables: Arc<Tables>,
    /// The `system` schema.
    pub system: Arc<SystemTables>,
    /// Plans views: the session's state, without catalogs.
    pub base: Arc<SessionState>,
    /// Schema and name of a view that is being defined: it must not be used, by itself or through other views.
    pub defining: Option<(String, String)>,
}

impl fmt::Debug for CatalogView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogView")
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
}

/// A state of `view.base` that sees the catalog.
#[must_use]
pub fn state_with_catalogs(view: &CatalogView) -> SessionState {
    let mut state = (*view.base).clone();
    state.register_catalog_list(Arc::new(StatementCatalogs::new(view.clone())));
    state
}

/// All catalogs: the one there is.
#[derive(Debug)]
pub struct StatementCatalogs {
    quarry: Arc<QuarryCatalog>,
}

impl StatementCatalogs {
    /// The catalogs of one statement.
    #[must_use]
    pub fn new(view: CatalogView) -> Self {
        Self::at(view, 0, false)
    }

    fn at(view: CatalogView, depth: usize, lenient: bool) -> Self {
        Self {
            quarry: Arc::new(QuarryCatalog { view, depth, lenient }),
        }
    }
}

impl CatalogProviderList for StatementCatalogs {
    fn register_catalog(&self, _name: String, _catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::clone(&self.quarry) as Arc<dyn CatalogProvider>)
    }
}

#[derive(Debug, Clone)]
struct QuarryCatalog {
    view: CatalogView,
    /// How many views we are inside of.
    depth: usize,
    lenient: bool,
}

impl CatalogProvider for QuarryCatalog {
    fn schema_names(&self) -> Vec<String> {
        let stored = self.view.snapshot.schemas().map(str::to_owned);
        stored
            .chain([SYSTEM_SCHEMA.to_owned(), INFORMATION_SCHEMA.to_owned()])
            .collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            SYSTEM_SCHEMA => Some(Arc::new(SystemSchema(Arc::clone(&self.view.system)))),
            INFORMATION_SCHEMA => {
                let lenient = StatementCatalogs::at(self.view.clone(), self.depth, true);
                Some(Arc::new(InformationSchemaProvider::new(Arc::new(lenient))))
            }
            _ => self.view.snapshot.has_schema(name).then(|| {
                Arc::new(StoredSchema {
                    name: name.to_owned(),
                    catalog: self.clone(),
                }) as Arc<dyn SchemaProvider>
            }),
        }
    }
}

/// A schema whose objects are catalog files.
#[derive(Debug)]
struct StoredSchema {
    name: String,
    catalog: QuarryCatalog,
}

impl StoredSchema {
    async fn object(&self, name: &str) -> Result<Option<Arc<CatalogObject>>> {
        let view = &self.catalog.view;
        Ok(view.catalog.object(&view.snapshot, &self.name, name).await?)
    }

    async fn open(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if self
            .catalog
            .view
            .defining
            .as_ref()
            .is_some_and(|(schema, view)| *schema == self.name && view == name)
        {
            return Err(Error::invalid(format!("view {}.{name} would contain itself", self.name)).into());
        }
        let Some(object) = self.object(name).await? else {
            return Ok(None);
        };
        match object.as_ref() {
            CatalogObject::Table { table } => self.open_table(name, table).await.map(Some),
            CatalogObject::View(stored) => {
                let plan = plan_view(&self.catalog.view, stored, self.catalog.depth + 1).await;
                let plan = plan.map_err(|error| error.context(format!("view {}.{name}", self.name)))?;
                Ok(Some(Arc::new(ViewTable::new(plan, Some(stored.sql.clone())))))
            }
            CatalogObject::Schema => Ok(None),
        }
    }

    async fn open_table(&self, name: &str, definition: &TableDefinition) -> Result<Arc<dyn TableProvider>> {
        let view = &self.catalog.view;
        let table = view.tables.open(definition)?;
        let statistics = view.catalog.statistics(&view.snapshot, &self.name, name).await?;
        Ok(match statistics {
            Some(statistics) => Arc::new(AnalyzedTable::new(table, statistics)),
            None => table,
        })
    }

    /// In a lenient listing what cannot be opened is not there.
    fn forgive<T>(&self, name: &str, result: Result<Option<T>>) -> Result<Option<T>> {
        match result {
            Err(error) if self.catalog.lenient => {
                tracing::warn!(schema = self.name, table = name, %error, "left out of information_schema");
                Ok(None)
            }
            other => other,
        }
    }
}

#[async_trait]
impl SchemaProvider for StoredSchema {
    fn table_names(&self) -> Vec<String> {
        self.catalog
            .view
            .snapshot
            .objects(&self.name)
            .map(str::to_owned)
            .collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let opened = self.open(name).await;
        self.forgive(name, opened)
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        let object = self.forgive(name, self.object(name).await)?;
        Ok(object.map(|object| match object.as_ref() {
            CatalogObject::View(_) => TableType::View,
            CatalogObject::Table { .. } | CatalogObject::Schema => TableType::Base,
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.catalog.view.snapshot.version(&self.name, name).is_some()
    }
}

/// Plans a view's text as it was meant when it was created, whatever the session has set since.
///
/// # Errors
/// Planning errors, for instance if a table of the view is gone, and views nested too deep.
pub async fn plan_view(view: &CatalogView, stored: &View, depth: usize) -> Result<LogicalPlan> {
    if depth > MAX_VIEW_DEPTH {
        let problem = format!("views are nested deeper than {MAX_VIEW_DEPTH}, perhaps in a circle");
        return Err(Error::invalid(problem).into());
    }
    let mut state = (*view.base).clone();
    let options = state.config_mut().options_mut();
    options.sql_parser = datafusion::config::SqlParserOptions::default();
    options.catalog.default_catalog = CATALOG.to_owned();
    options.catalog.default_schema = stored.default_schema.clone();
    state.register_catalog_list(Arc::new(StatementCatalogs::at(view.clone(), depth, false)));
    match Box::pin(state.create_logical_plan(&stored.sql)).await? {
        LogicalPlan::Ddl(DdlStatement::CreateView(plan)) => Ok(Arc::unwrap_or_clone(plan.input)),
        _ => Err(Error::Internal("the stored text of a view is not CREATE VIEW".to_owned()).into()),
    }
}

/// The server's own tables.
#[derive(Debug)]
struct SystemSchema(Arc<SystemTables>);

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        self.0.names().map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Some(rows) = self.0.rows(name)? else {
            return Ok(None);
        };
        Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.names().any(|known| known == name)
    }
}
