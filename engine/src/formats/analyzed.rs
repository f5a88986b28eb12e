//! A table whose scans know what `ANALYZE TABLE` found out.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::statistics::TableStatistics;
use super::table::DfsTable;

/// A table and its statistics.
#[derive(Debug)]
pub struct AnalyzedTable {
    table: Arc<DfsTable>,
    statistics: Arc<TableStatistics>,
}

impl AnalyzedTable {
    /// `table`, with statistics of some state of its files.
    #[must_use]
    pub fn new(table: Arc<DfsTable>, statistics: Arc<TableStatistics>) -> Self {
        Self { table, statistics }
    }
}

#[async_trait]
impl TableProvider for AnalyzedTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = super::table::Scan {
            projection,
            filters,
            limit,
            analyzed: Some(&self.statistics),
        };
        self.table.plan_scan(state, scan).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }
}
