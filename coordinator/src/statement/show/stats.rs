//! `SHOW TABLE STATS`, `SHOW STATS FOR`, `SHOW COLUMN STATS`: what is known of a table without reading it.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use datafusion::sql::sqlparser::ast::ObjectName;
use quarry_engine::files::DataFile;
use quarry_engine::formats::{DfsTable, FilesState, TableStatistics};

use super::{Row, table};
use crate::error::Result;
use crate::statement::names::FullName;
use crate::statement::scope::Scope;

pub(super) const TABLE_COLUMNS: &[&str] = &[
    "table_schema",
    "table_name",
    "rows#",
    "files#",
    "bytes#",
    "analyzed",
    "up_to_date",
];
pub(super) const COLUMN_COLUMNS: &[&str] = &[
    "column_name",
    "data_type",
    "nulls#",
    "distinct_values#",
    "min",
    "max",
    "analyzed",
    "up_to_date",
];

/// A table, its files now, and what was found out about it.
struct Known {
    name: FullName,
    table: Arc<DfsTable>,
    state: FilesState,
    statistics: Option<Arc<TableStatistics>>,
}

impl Known {
    async fn of(scope: &Scope, name: &ObjectName) -> Result<Self> {
        let (name, _, table) = table(scope, name).await?;
        let files: Vec<DataFile> = table.files().await?.into_iter().map(|found| found.file).collect();
        let view = &scope.view;
        let statistics = view
            .catalog
            .statistics(&view.snapshot, &name.schema, &name.object)
            .await?;
        Ok(Self {
            state: FilesState::of(&files),
            name,
            table,
            statistics,
        })
    }

    /// When, and whether the files are still the same.
    fn age(&self) -> [Option<String>; 2] {
        let Some(statistics) = &self.statistics else {
            return [None, None];
        };
        let when = DateTime::from_timestamp_millis(statistics.analyzed_ms);
        let same = if statistics.files == self.state { "YES" } else { "NO" };
        [
            when.map(|when| when.to_rfc3339_opts(SecondsFormat::Millis, true)),
            Some(same.to_owned()),
        ]
    }
}

pub(super) async fn of_table(scope: &Scope, name: &ObjectName) -> Result<Row> {
    let known = Known::of(scope, name).await?;
    let [analyzed, up_to_date] = known.age();
    Ok(vec![
        Some(known.name.schema.clone()),
        Some(known.name.object.clone()),
        known.statistics.as_ref().map(|statistics| statistics.rows.to_string()),
        Some(known.state.files.to_string()),
        Some(known.state.bytes.to_string()),
        analyzed,
        up_to_date,
    ])
}

pub(super) async fn of_columns(scope: &Scope, name: &ObjectName) -> Result<Vec<Row>> {
    let known = Known::of(scope, name).await?;
    let schema = known.table.definition().table_schema();
    let rows = schema.table_schema().fields().iter().map(|field| {
        let figures = known
            .statistics
            .as_ref()
            .and_then(|statistics| statistics.columns.get(field.name()));
        let [analyzed, up_to_date] = if figures.is_some() { known.age() } else { [None, None] };
        vec![
            Some(field.name().clone()),
            Some(field.data_type().to_string()),
            figures.map(|figures| figures.nulls.to_string()),
            figures
                .and_then(|figures| figures.distinct)
                .map(|distinct| distinct.to_string()),
            figures.and_then(|figures| figures.min.clone()),
            figures.and_then(|figures| figures.max.clone()),
            analyzed,
            up_to_date,
        ]
    });
    Ok(rows.collect())
}
