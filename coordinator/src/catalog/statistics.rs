//! Statistics of tables, in files beside those of the tables: `<schema>/.stats-<table>.json`, the JSON form of
//! [`TableStatistics`] with `quarry_catalog_version`.
//!
//! They are hints. A file that is broken or missing costs a better plan, never a query; one that outlived its table says so by the state
//! of the files it was made from.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use quarry_engine::formats::TableStatistics;
use serde::{Deserialize, Serialize};

use super::snapshot::{ENDING, STATISTICS};
use super::store::Renaming;
use super::{Catalog, Snapshot, broken, name};
use crate::error::{Error, Result};

/// Version that this Quarry writes, and the only one that it reads.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    quarry_catalog_version: u32,
    #[serde(flatten)]
    statistics: TableStatistics,
}

fn statistics_path(schema: &str, object: &str) -> Result<String> {
    Ok(format!(
        "{}/{STATISTICS}{}{ENDING}",
        name::encode(schema)?,
        name::encode(object)?
    ))
}

fn decode(content: &Bytes) -> Result<TableStatistics, String> {
    let record: Record = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    if record.quarry_catalog_version != VERSION {
        return Err(format!("has version {}", record.quarry_catalog_version));
    }
    Ok(record.statistics)
}

impl Catalog {
    /// A table's statistics, if there are any that can be read.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn statistics(
        &self,
        snapshot: &Snapshot,
        schema: &str,
        object: &str,
    ) -> Result<Option<Arc<TableStatistics>>> {
        let Some(version) = snapshot.statistics_version(schema, object) else {
            return Ok(None);
        };
        let path = statistics_path(schema, object)?;
        if let Some((known, statistics)) = self.statistics.lock().get(&path)
            && *known == version
        {
            return Ok(statistics.clone());
        }
        let content = self.store.read(&path).await?;
        let statistics = content.and_then(|content| match decode(&content) {
            Ok(statistics) => Some(Arc::new(statistics)),
            Err(problem) => {
                tracing::warn!(
                    path,
                    problem,
                    "statistics cannot be read; ANALYZE TABLE makes them anew"
                );
                None
            }
        });
        self.statistics.lock().insert(path, (version, statistics.clone()));
        Ok(statistics)
    }

    /// Stores a table's statistics in place of older ones. Durable when it returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the schema is gone, errors of the store.
    pub async fn store_statistics(&self, schema: &str, object: &str, statistics: &TableStatistics) -> Result<()> {
        let path = statistics_path(schema, object)?;
        let record = Record {
            quarry_catalog_version: VERSION,
            statistics: statistics.clone(),
        };
        let content = serde_json::to_vec_pretty(&record).map_err(|error| broken(&path, error.to_string()))?;
        let stored = self.store.replace(&path, content.into()).await;
        self.changed().await;
        if stored? {
            Ok(())
        } else {
            Err(Error::not_found("schema", schema))
        }
    }

    /// Drops a table's statistics, if there are any.
    pub(super) async fn drop_statistics(&self, schema: &str, object: &str) -> Result<()> {
        self.store.delete(&statistics_path(schema, object)?).await?;
        Ok(())
    }

    /// Lets statistics follow their table. If that fails, they are computed anew some time.
    pub(super) async fn move_statistics(&self, from: (&str, &str), to: (&str, &str)) {
        let moved = async {
            let target = statistics_path(to.0, to.1)?;
            self.store.delete(&target).await?;
            self.store.rename_file(&statistics_path(from.0, from.1)?, &target).await
        };
        match moved.await {
            Ok(Renaming::Renamed | Renaming::NoFile) => {}
            Ok(other) => tracing::warn!(
                ?other,
                schema = to.0,
                table = to.1,
                "statistics did not follow their table"
            ),
            Err(error) => tracing::warn!(%error, schema = to.0, table = to.1, "statistics did not follow their table"),
        }
    }

    pub(super) fn forget_stale_statistics(&self, snapshot: &Snapshot) {
        let live: HashSet<String> = snapshot
            .schemas()
            .flat_map(|schema| snapshot.objects(schema).map(move |object| (schema, object)))
            .filter_map(|(schema, object)| statistics_path(schema, object).ok())
            .collect();
        self.statistics.lock().retain(|path, _| live.contains(path));
    }
}
