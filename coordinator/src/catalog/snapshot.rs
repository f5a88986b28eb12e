//! Which names the catalog holds at one moment: a listing of its directories, without contents.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};

use super::store::{CatalogStore, Entry, FileVersion};
use super::{DEFAULT_SCHEMA, SCHEMA_FILE, name};
use crate::error::Result;

/// Directories listed at the same time.
const PARALLEL_LISTINGS: usize = 16;
/// Ending of catalog files.
pub(super) const ENDING: &str = ".json";
/// Beginning of files of statistics: hidden, as they are no objects.
pub(super) const STATISTICS: &str = ".stats-";

/// Names and file states of one moment. The schemas were listed one after the other: it is no transaction.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    schemas: BTreeMap<String, Listed>,
}

/// Files of one schema.
#[derive(Debug, Clone, Default)]
struct Listed {
    objects: BTreeMap<String, FileVersion>,
    /// Files of statistics, by object.
    statistics: BTreeMap<String, FileVersion>,
}

impl Snapshot {
    /// Names of the stored schemas, in order; `default` is always among them.
    pub fn schemas(&self) -> impl Iterator<Item = &str> {
        self.schemas.keys().map(String::as_str)
    }

    /// Whether a stored schema has that name.
    #[must_use]
    pub fn has_schema(&self, schema: &str) -> bool {
        self.schemas.contains_key(schema)
    }

    /// Names of a schema's tables and views, in order.
    pub fn objects(&self, schema: &str) -> impl Iterator<Item = &str> {
        self.schemas
            .get(schema)
            .into_iter()
            .flat_map(|listed| listed.objects.keys().map(String::as_str))
    }

    /// State of an object's file; `None` if there is no such object.
    #[must_use]
    pub fn version(&self, schema: &str, object: &str) -> Option<FileVersion> {
        self.schemas.get(schema)?.objects.get(object).copied()
    }

    /// State of the file of an object's statistics; `None` if there is none.
    #[must_use]
    pub fn statistics_version(&self, schema: &str, object: &str) -> Option<FileVersion> {
        self.schemas.get(schema)?.statistics.get(object).copied()
    }
}

/// Lists the catalog.
pub(super) async fn take(store: &dyn CatalogStore) -> Result<Snapshot> {
    let entries = store.list("").await?.unwrap_or_default();
    let directories = entries
        .into_iter()
        .filter(|entry| entry.is_directory)
        .filter_map(|entry| {
            let schema = name::decode(&entry.name)?;
            Some((schema, entry.name))
        });
    let listings = futures::stream::iter(directories).map(|(schema, directory)| async move {
        Ok::<_, crate::error::Error>((schema, store.list(&directory).await?.unwrap_or_default()))
    });
    let listings: Vec<_> = listings.buffer_unordered(PARALLEL_LISTINGS).try_collect().await?;
    let mut schemas: BTreeMap<_, _> = listings
        .into_iter()
        .filter_map(|(schema, entries)| schema_of(schema, &entries))
        .collect();
    schemas.entry(DEFAULT_SCHEMA.to_owned()).or_default();
    Ok(Snapshot { schemas })
}

/// A directory is a schema once its schema file is there: a creation that died before has left only the directory.
fn schema_of(schema: String, entries: &[Entry]) -> Option<(String, Listed)> {
    let exists = schema == DEFAULT_SCHEMA || entries.iter().any(|entry| entry.name == SCHEMA_FILE);
    let mut listed = Listed::default();
    for entry in entries.iter().filter(|entry| !entry.is_directory) {
        let Some(name) = entry.name.strip_suffix(ENDING) else {
            continue;
        };
        if let Some(object) = name.strip_prefix(STATISTICS).and_then(name::decode) {
            listed.statistics.insert(object, entry.version);
        } else if let Some(object) = name::decode(name) {
            listed.objects.insert(object, entry.version);
        }
    }
    exists.then_some((schema, listed))
}
