//! Intents: what a statement under way would leave behind if it ended now.
//!
//! ```text
//! <warehouse>/_writes/<coordinator>/alive             written again and again while that coordinator lives
//! <warehouse>/_writes/<coordinator>/<statement>.json  an intent, there before the first file is staged
//! ```
//!
//! `<coordinator>` is drawn at each start. Signs of life are compared by the file system's clock alone.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use quarry_engine::files::{FileSystem, publish};
use serde::{Deserialize, Serialize};

/// Directory of all intents in the warehouse.
pub(crate) const WRITES: &str = "_writes";
/// Name of the sign of life.
pub(crate) const ALIVE: &str = "alive";
const ENDING: &str = ".json";

/// What may have to be removed. Every part is removed only if nothing uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Intent {
    /// Id of the statement: its data files' names begin with it.
    pub(crate) statement: String,
    /// URL of a directory that is removed in any case.
    pub(crate) staging: Option<String>,
    /// URL of a managed table's directory: files of the statement there go unless the newest version names them.
    pub(crate) data: Option<String>,
    /// A managed table's directory that goes unless the catalog's table of that name lies there.
    pub(crate) table: Option<TableRoot>,
    /// Files below `data` that a version no longer names. They are kept for a while, for readers of the version before.
    pub(crate) retired: Vec<String>,
}

/// A managed table's directory, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableRoot {
    /// URL of the directory.
    pub(crate) root: String,
    /// Schema of the table.
    pub(crate) schema: String,
    /// Name of the table.
    pub(crate) name: String,
    /// The statement that made the directory its own; absent: nobody else can have.
    #[serde(default)]
    pub(crate) claim: Option<String>,
}

/// Intents of this coordinator.
#[derive(Debug)]
pub(crate) struct Journal {
    files: Arc<dyn FileSystem>,
    all: String,
    owner: String,
}

impl Journal {
    pub(crate) fn new(files: Arc<dyn FileSystem>, warehouse: &str) -> Self {
        Self {
            files,
            all: format!("{}/{WRITES}", warehouse.trim_end_matches('/')),
            owner: uuid::Uuid::new_v4().simple().to_string(),
        }
    }

    /// Directory of the intents of all coordinators.
    pub(crate) fn all(&self) -> &str {
        &self.all
    }

    /// This coordinator's directory in it.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    pub(crate) fn files(&self) -> &Arc<dyn FileSystem> {
        &self.files
    }

    fn directory(&self) -> String {
        format!("{}/{}", self.all, self.owner)
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}{ENDING}", self.directory())
    }

    /// Gives a sign of life.
    pub(crate) async fn beat(&self) -> Result<()> {
        let alive = Path::parse(format!("{}/{ALIVE}", self.directory()))?;
        self.files.store().put(&alive, Bytes::new().into()).await?;
        Ok(())
    }

    /// Notes an intent under `name`. Durable when this returns.
    pub(crate) async fn note(&self, name: &str, intent: &Intent) -> Result<()> {
        let text = serde_json::to_vec(intent).map_err(|error| DataFusionError::External(Box::new(error)))?;
        self.files.make_directory(&self.directory(), true).await?;
        if publish(self.files.as_ref(), &self.path(name), Bytes::from(text)).await? {
            Ok(())
        } else {
            Err(DataFusionError::Internal(format!("an intent {name} is there already")))
        }
    }

    /// Whether an intent is still noted: one that was swept away by another coordinator must not be carried out.
    pub(crate) async fn is_noted(&self, name: &str) -> Result<bool> {
        Ok(self.files.read(&self.path(name)).await?.is_some())
    }

    /// Strikes an intent off.
    pub(crate) async fn strike(&self, name: &str) -> Result<()> {
        self.files.delete(&self.path(name)).await?;
        Ok(())
    }
}

/// The intents in a coordinator's directory, by file name. What cannot be read is left out, with a warning in the log.
pub(crate) async fn intents_in(files: &dyn FileSystem, directory: &str) -> Result<Vec<(String, Intent)>> {
    let mut intents = Vec::new();
    for entry in files.entries(directory).await?.into_iter().flatten() {
        if entry.name.starts_with('.') || !entry.name.ends_with(ENDING) {
            continue;
        }
        let path = format!("{directory}/{}", entry.name);
        let Some(bytes) = files.read(&path).await? else {
            continue;
        };
        match serde_json::from_slice(&bytes) {
            Ok(intent) => intents.push((path, intent)),
            Err(error) => tracing::warn!(path, %error, "an intent that cannot be read is left as it is"),
        }
    }
    Ok(intents)
}
