//! What a statement that writes leaves in the distributed file system, from its first staged file to its commit or its clean-up.
//!
//! 1. [`journal`]: before anything is staged, an intent says what would have to be cleaned up. Its coordinator keeps a sign of life beside it
//! 2. the engine stages files; nobody sees them
//! 3. [`commit`]: one step makes all of them visible: the table's next version, or a rename
//! 4. [`clean`]: what an intent speaks of and nothing uses is removed, at the statement's end by its own coordinator, or by whichever
//!    coordinator finds the intent of a dead one ([`sweep`])
//!
//! Nothing is removed but what an intent names.

pub(crate) mod clean;
pub(crate) mod commit;
pub(crate) mod copy;
pub(crate) mod external;
pub(crate) mod journal;
pub(crate) mod managed;
pub(crate) mod sweep;

use std::sync::Arc;

use quarry_engine::files::{FileSystem, FileSystems, Location};
use quarry_engine::id::QueryId;

use crate::catalog::Catalog;
use journal::Journal;

/// Part of a block that a file is to fill at most, so that encoding more than was estimated does not spill into a second one.
const BLOCK_SHARE: (u64, u64) = (9, 10);
/// Smallest length at which a file is ended: with tiny blocks, files need not be tiny.
const MIN_TARGET: u64 = 1 << 20;

/// What statements that write share.
#[derive(Debug)]
pub(crate) struct Writes {
    /// File systems of tables.
    pub(crate) files: Arc<FileSystems>,
    /// The catalog.
    pub(crate) catalog: Arc<Catalog>,
    /// Directory for tables that are managed.
    pub(crate) warehouse: String,
    /// Intents of this coordinator.
    pub(crate) journal: Journal,
}

impl Writes {
    /// Keeps tables and intents below `warehouse`.
    pub(crate) fn new(files: Arc<FileSystems>, catalog: Arc<Catalog>, warehouse: &str) -> Self {
        let journal = Journal::new(own(&files), warehouse);
        Self {
            files,
            catalog,
            warehouse: warehouse.trim_end_matches('/').to_owned(),
            journal,
        }
    }

    /// Length at which files on this file system are ended: within a block.
    pub(crate) async fn target_bytes(&self, location: &Location) -> datafusion::error::Result<u64> {
        let block = self.files.get(location).block_size().await?;
        Ok((block / BLOCK_SHARE.1 * BLOCK_SHARE.0).max(MIN_TARGET))
    }
}

/// The cluster's own file system.
pub(crate) fn own(files: &FileSystems) -> Arc<dyn FileSystem> {
    files.get(&Location {
        authority: None,
        path: "/".to_owned(),
    })
}

/// Name of a statement in paths.
pub(crate) fn statement_name(query: QueryId) -> String {
    query.to_string()
}
