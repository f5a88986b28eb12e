//! Where catalog files are kept: what the catalog needs of a file system, and no more.
//!
//! Paths are relative to the catalog's directory: `<schema>/.schema.json`, `<schema>/<table>.json`.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;

/// A file's state; another state of the same path never has an equal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileVersion {
    /// Number of the file, never given to another one.
    pub file_id: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: u64,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name within the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its state.
    pub version: FileVersion,
}

/// How an exclusive creation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// The file is there, whole and durable.
    Created,
    /// Somebody else's file was there first and is untouched.
    Exists,
    /// The directory for it is not there.
    NoDirectory,
}

/// How a renaming ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renaming {
    /// The file has its new name.
    Renamed,
    /// There was no such file.
    NoFile,
    /// Something has the new name; nothing was changed.
    Exists,
    /// The directory for the new name is not there.
    NoDirectory,
}

/// A small file system with atomic, durable changes. Each method takes effect as a whole or not at all, also if the process dies
/// within it; a reader never sees a part of a file. Temporary files that a dead process leaves behind begin with a dot.
#[async_trait]
pub trait CatalogStore: fmt::Debug + Send + Sync {
    /// Entries of a directory in any order; `None` if there is no such directory. `""` is the catalog's own.
    async fn list(&self, directory: &str) -> Result<Option<Vec<Entry>>>;

    /// Content of a file; `None` if there is none.
    async fn read(&self, path: &str) -> Result<Option<Bytes>>;

    /// Creates a file unless something has that name. Of several creators exactly one succeeds.
    async fn create(&self, path: &str, content: Bytes) -> Result<Creation>;

    /// Creates or replaces a file. False if the directory for it is not there.
    async fn replace(&self, path: &str, content: Bytes) -> Result<bool>;

    /// Deletes a file, or a directory with all that is in it. False if there was none.
    async fn delete(&self, path: &str) -> Result<bool>;

    /// Makes a directory and its parents; nothing happens if it is there.
    async fn make_directory(&self, path: &str) -> Result<()>;

    /// Renames a file, also into another directory, unless something has the new name. Of several renamers of one file exactly one
    /// succeeds.
    async fn rename_file(&self, from: &str, to: &str) -> Result<Renaming>;

    /// Renames a directory. False if it is not there, or if something has the new name.
    async fn rename_directory(&self, from: &str, to: &str) -> Result<bool>;
}
