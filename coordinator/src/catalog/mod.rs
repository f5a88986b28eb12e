//! The catalog: schemas, tables and views, kept as small files in the distributed file system.
//!
//! One file per object; each change is one atomic step of the file system, so several coordinators share a catalog without talking to
//! each other, and a crash leaves a change done or not begun. Nothing here is held only in memory:
//!
//! 1. [`store`]: what a file system must do; [`dfs`] and [`memory`] do it
//! 2. [`record`]: what is in a file; `name`: what it is called
//! 3. `change`: changing and renaming what is there; `lock`: one change of an object at a time; `statistics`: what `ANALYZE` found out
//! 4. [`snapshot`]: the names of one moment, looked up again when older than `refresh`
//! 5. [`providers`]: the same as DataFusion's catalogs, for the planner
//!
//! Names here are already normalized (see `name`); the only catalog is [`CATALOG`].

mod change;
pub mod dfs;
mod lock;
pub mod memory;
mod name;
pub mod providers;
pub mod record;
pub mod snapshot;
mod statistics;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use parking_lot::Mutex;
use quarry_engine::formats::TableStatistics;
use uuid::Uuid;

pub(crate) use name::encode as encode_name;
pub use record::{CatalogObject, View};
pub use snapshot::Snapshot;
use store::{CatalogStore, Creation, FileVersion};

use crate::error::{Error, Result};

/// The one catalog.
pub const CATALOG: &str = "quarry";
/// The schema that is always there and that a session starts with.
pub const DEFAULT_SCHEMA: &str = "default";
/// Schema of the server's own tables. Its tables are not stored.
pub const SYSTEM_SCHEMA: &str = "system";
/// Schema of the SQL standard's catalog views. Not stored.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// Marks a directory as a schema.
const SCHEMA_FILE: &str = ".schema.json";
/// Files read at the same time when all contents are wanted.
const PARALLEL_READS: usize = 16;

/// What `CREATE` does when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// Error.
    Fail,
    /// `IF NOT EXISTS`: nothing happens.
    Keep,
    /// `OR REPLACE`: the old object is replaced in one step.
    Replace,
}

/// Kinds of object in a schema, for messages and for `DROP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A table over files.
    Table,
    /// A stored query.
    View,
}

impl ObjectKind {
    /// In lower case, for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
        }
    }
}

impl CatalogObject {
    /// Its kind; `None` for a schema.
    #[must_use]
    pub fn kind(&self) -> Option<ObjectKind> {
        match self {
            Self::Schema => None,
            Self::Table { .. } => Some(ObjectKind::Table),
            Self::View(_) => Some(ObjectKind::View),
        }
    }
}

/// The catalog of one coordinator.
#[derive(Debug)]
pub struct Catalog {
    store: Arc<dyn CatalogStore>,
    refresh: Duration,
    /// An async lock, held while listing: statements that come meanwhile wait for that listing rather than start their own.
    current: tokio::sync::Mutex<Option<(Instant, Arc<Snapshot>)>>,
    /// Contents by path, valid for one state of the file.
    contents: Remembered<Arc<CatalogObject>>,
    /// The same for statistics.
    statistics: Remembered<Option<Arc<TableStatistics>>>,
}

/// What was read from files, by path, with the state of the file in which it was.
type Remembered<T> = Mutex<HashMap<String, (FileVersion, T)>>;

impl Catalog {
    /// A catalog in `store` whose list of names is looked up again when older than `refresh`. Own changes are seen at once.
    #[must_use]
    pub fn new(store: Arc<dyn CatalogStore>, refresh: Duration) -> Self {
        Self {
            store,
            refresh,
            current: tokio::sync::Mutex::new(None),
            contents: Mutex::new(HashMap::new()),
            statistics: Mutex::new(HashMap::new()),
        }
    }

    /// The names, not older than `refresh`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        self.snapshot_since(Instant::now().checked_sub(self.refresh)).await
    }

    /// The names as they are now.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn fresh_snapshot(&self) -> Result<Arc<Snapshot>> {
        self.snapshot_since(Some(Instant::now())).await
    }

    async fn snapshot_since(&self, oldest: Option<Instant>) -> Result<Arc<Snapshot>> {
        let mut current = self.current.lock().await;
        if let Some((taken, snapshot)) = &*current
            && oldest.is_none_or(|oldest| *taken >= oldest)
        {
            return Ok(Arc::clone(snapshot));
        }
        let started = Instant::now();
        let snapshot = Arc::new(snapshot::take(self.store.as_ref()).await?);
        *current = Some((started, Arc::clone(&snapshot)));
        self.forget_stale(&snapshot);
        Ok(snapshot)
    }

    /// Drops contents of files that are gone or changed.
    fn forget_stale(&self, snapshot: &Snapshot) {
        let mut live = std::collections::HashSet::new();
        for schema in snapshot.schemas() {
            live.extend(
                snapshot
                    .objects(schema)
                    .filter_map(|object| object_path(schema, object).ok()),
            );
        }
        self.contents.lock().retain(|path, _| live.contains(path));
        self.forget_stale_statistics(snapshot);
    }

    async fn changed(&self) {
        *self.current.lock().await = None;
    }

    /// What a name of a snapshot stands for; `None` if it stands for nothing, or was dropped since.
    ///
    /// # Errors
    /// [`Error::CatalogFile`] if the file is not one of ours, is broken or was written by a newer Quarry; errors of the store.
    pub async fn object(&self, snapshot: &Snapshot, schema: &str, object: &str) -> Result<Option<Arc<CatalogObject>>> {
        let Some(version) = snapshot.version(schema, object) else {
            return Ok(None);
        };
        let path = object_path(schema, object)?;
        if let Some((known, content)) = self.contents.lock().get(&path)
            && *known == version
        {
            return Ok(Some(Arc::clone(content)));
        }
        let Some(content) = self.load(&path).await? else {
            return Ok(None);
        };
        let content = Arc::new(content);
        self.contents.lock().insert(path, (version, Arc::clone(&content)));
        Ok(Some(content))
    }

    async fn load(&self, path: &str) -> Result<Option<CatalogObject>> {
        let Some(content) = self.store.read(path).await? else {
            return Ok(None);
        };
        match record::decode(&content) {
            Ok(CatalogObject::Schema) => Err(broken(path, "is a schema's file, in the place of a table or view")),
            Ok(object) => Ok(Some(object)),
            Err(problem) => Err(broken(path, problem)),
        }
    }

    /// Everything in a schema, by name. Files that cannot be understood are left out, with a warning in the log: one broken
    /// file must not hide the others.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn objects(&self, snapshot: &Snapshot, schema: &str) -> Result<Vec<(String, Arc<CatalogObject>)>> {
        let reads = futures::stream::iter(snapshot.objects(schema)).map(|object| async move {
            match self.object(snapshot, schema, object).await {
                Ok(content) => Ok(content.map(|content| (object.to_owned(), content))),
                Err(error @ Error::CatalogFile { .. }) => {
                    tracing::warn!(%error, "left out of a listing");
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        });
        let found: Vec<Result<Option<_>>> = reads.buffered(PARALLEL_READS).collect().await;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    /// Creates a schema. Durable when it returns.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Invalid`] for a name that cannot be used, errors of the store.
    pub async fn create_schema(&self, schema: &str, if_not_exists: bool, user: &str) -> Result<()> {
        let directory = name::encode(schema)?;
        let creation = if is_builtin(schema) {
            Creation::Exists
        } else {
            self.write_schema(&directory, user).await?
        };
        self.changed().await;
        match creation {
            Creation::Created => Ok(()),
            Creation::Exists if if_not_exists => Ok(()),
            Creation::Exists => Err(Error::already_exists("schema", schema)),
            Creation::NoDirectory => Err(Error::Unavailable(format!(
                "schema {schema} is being dropped; try again"
            ))),
        }
    }

    async fn write_schema(&self, directory: &str, user: &str) -> Result<Creation> {
        let path = format!("{directory}/{SCHEMA_FILE}");
        let content = record::encode(&CatalogObject::Schema, user).map_err(|problem| broken(&path, problem))?;
        self.store.make_directory(directory).await?;
        self.store.create(&path, content).await
    }

    /// Drops a schema; with `cascade` also what is in it. The tables' files stay.
    ///
    /// Its directory is first renamed out of sight: from then on nobody can create a table in it, so that a look inside is reliable.
    ///
    /// # Errors
    /// [`Error::NotFound`] (unless `if_exists`), [`Error::Invalid`] if it is not empty or built in, errors of the store.
    pub async fn drop_schema(&self, schema: &str, if_exists: bool, cascade: bool) -> Result<()> {
        if is_builtin(schema) {
            return Err(Error::invalid(format!(
                "schema {schema} is built in and cannot be dropped"
            )));
        }
        let snapshot = self.fresh_snapshot().await?;
        if !snapshot.has_schema(schema) {
            return if if_exists {
                Ok(())
            } else {
                Err(Error::not_found("schema", schema))
            };
        }
        let directory = name::encode(schema)?;
        let hidden = format!(".dropped-{}", Uuid::new_v4().simple());
        let renamed = self.store.rename_directory(&directory, &hidden).await;
        self.changed().await;
        if !renamed? {
            return if if_exists {
                Ok(())
            } else {
                Err(Error::not_found("schema", schema))
            };
        }
        let result = self.drop_hidden(schema, &directory, &hidden, cascade).await;
        self.changed().await;
        result
    }

    async fn drop_hidden(&self, schema: &str, directory: &str, hidden: &str, cascade: bool) -> Result<()> {
        let entries = self.store.list(hidden).await?.unwrap_or_default();
        let objects = entries
            .iter()
            .filter(|entry| entry.name.ends_with(snapshot::ENDING) && !entry.name.starts_with('.'))
            .count();
        if objects > 0 && !cascade {
            self.store.rename_directory(hidden, directory).await?;
            let hint = "drop them first, or use DROP SCHEMA ... CASCADE";
            return Err(Error::invalid(format!(
                "schema {schema} is not empty: it has {objects} tables and views; {hint}"
            )));
        }
        self.store.delete(hidden).await?;
        Ok(())
    }

    /// Creates a table or view. Durable when it returns; of several coordinators that create one name, one succeeds.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::NotFound`] for the schema, [`Error::Invalid`] for a name that cannot be used or a
    /// built-in schema, errors of the store.
    pub async fn create_object(
        &self,
        schema: &str,
        object: &str,
        content: &CatalogObject,
        exists: IfExists,
        user: &str,
    ) -> Result<()> {
        if schema == SYSTEM_SCHEMA || schema == INFORMATION_SCHEMA {
            return Err(Error::invalid(format!(
                "schema {schema} is built in; nothing can be created in it"
            )));
        }
        if schema == DEFAULT_SCHEMA {
            self.store.make_directory(DEFAULT_SCHEMA).await?;
        } else if !self.has_schema(schema).await? {
            return Err(Error::not_found("schema", schema));
        }
        let path = object_path(schema, object)?;
        let bytes = record::encode(content, user).map_err(|problem| broken(&path, problem))?;
        let creation = if exists == IfExists::Replace {
            self.drop_statistics(schema, object).await?;
            lock::locked(self.store.as_ref(), &path, self.replace(&path, bytes, content.kind())).await
        } else {
            self.store.create(&path, bytes).await
        };
        self.changed().await;
        match creation? {
            Creation::Created => Ok(()),
            Creation::Exists if exists == IfExists::Keep => Ok(()),
            Creation::Exists => Err(Error::already_exists("table or view", format!("{schema}.{object}"))),
            Creation::NoDirectory => Err(Error::not_found("schema", schema)),
        }
    }

    async fn has_schema(&self, schema: &str) -> Result<bool> {
        if self.snapshot().await?.has_schema(schema) {
            return Ok(true);
        }
        Ok(self.fresh_snapshot().await?.has_schema(schema))
    }

    /// A view does not replace a table, nor a table a view: that is more likely a mistake. A broken file may be replaced.
    async fn replace(&self, path: &str, content: bytes::Bytes, kind: Option<ObjectKind>) -> Result<Creation> {
        if let Ok(Some(old)) = self.load(path).await
            && let (Some(old), Some(new)) = (old.kind(), kind)
            && old != new
        {
            return Err(Error::invalid(format!(
                "a {} of that name exists; a {} cannot replace it",
                old.name(),
                new.name()
            )));
        }
        Ok(if self.store.replace(path, content).await? {
            Creation::Created
        } else {
            Creation::NoDirectory
        })
    }

    /// Drops a table or view; a table's files stay. A file that cannot be understood can be dropped as either.
    ///
    /// # Errors
    /// [`Error::NotFound`] (unless `if_exists`), [`Error::Invalid`] if the object is of the other kind, errors of the store.
    pub async fn drop_object(&self, schema: &str, object: &str, kind: ObjectKind, if_exists: bool) -> Result<()> {
        let snapshot = self.fresh_snapshot().await?;
        let missing = || {
            if if_exists {
                Ok(())
            } else {
                Err(Error::not_found(kind.name(), format!("{schema}.{object}")))
            }
        };
        if snapshot.version(schema, object).is_none() {
            return missing();
        }
        match self.object(&snapshot, schema, object).await {
            Ok(Some(found)) if found.kind().is_some_and(|found| found != kind) => {
                let other = if kind == ObjectKind::Table { "VIEW" } else { "TABLE" };
                return Err(Error::invalid(format!(
                    "{schema}.{object} is not a {}; use DROP {other}",
                    kind.name()
                )));
            }
            Ok(_) | Err(Error::CatalogFile { .. }) => {}
            Err(error) => return Err(error),
        }
        let path = object_path(schema, object)?;
        let deleted = lock::locked(self.store.as_ref(), &path, self.store.delete(&path)).await;
        self.drop_statistics(schema, object).await?;
        self.changed().await;
        if deleted? { Ok(()) } else { missing() }
    }
}

fn object_path(schema: &str, object: &str) -> Result<String> {
    Ok(format!(
        "{}/{}{}",
        name::encode(schema)?,
        name::encode(object)?,
        snapshot::ENDING
    ))
}

fn is_builtin(schema: &str) -> bool {
    [DEFAULT_SCHEMA, SYSTEM_SCHEMA, INFORMATION_SCHEMA].contains(&schema)
}

fn broken(path: &str, problem: impl Into<String>) -> Error {
    Error::CatalogFile {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod race_tests;
#[cfg(test)]
mod tests;
