//! Catalog files in the distributed file system.
//!
//! A file is written under a temporary name, closed durably, and renamed to its own: `rename` without overwrite decides races, with
//! overwrite it replaces atomically. Both are single edits of the NameNode.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use quarry_dfs_client::{CreateOptions, DfsClient, Error as DfsError, FileStatus, RenameOptions};
use uuid::Uuid;

use super::record::MAX_BYTES;
use super::store::{CatalogStore, Creation, Entry, FileVersion, Renaming};
use crate::error::{Error, Result};

/// A directory of the distributed file system as catalog store.
pub struct DfsStore {
    client: DfsClient,
    root: String,
}

impl DfsStore {
    /// Keeps the catalog below the absolute directory `root`.
    #[must_use]
    pub fn new(client: DfsClient, root: impl Into<String>) -> Self {
        Self {
            client,
            root: root.into(),
        }
    }

    fn absolute(&self, path: &str) -> String {
        if path.is_empty() {
            self.root.clone()
        } else {
            format!("{}/{path}", self.root)
        }
    }

    /// Writes a temporary file beside `path` and returns its name; `None` if the directory is not there.
    async fn write_beside(&self, path: &str, content: Bytes) -> Result<Option<String>> {
        let directory = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let temporary = self.absolute(&format!("{directory}/.tmp-{}", Uuid::new_v4().simple()));
        let options = CreateOptions {
            overwrite: false,
            create_parent: false,
            ..CreateOptions::default()
        };
        let mut writer = match self.client.create(&temporary, options).await {
            Ok(writer) => writer,
            Err(DfsError::NotFound { .. } | DfsError::ParentNotDirectory { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        writer.write(content).await?;
        writer.close().await?;
        Ok(Some(temporary))
    }

    /// Puts the temporary file in its place. On failure it is removed again, as far as that is possible.
    async fn publish(&self, temporary: &str, path: &str, overwrite: bool) -> Result<(), DfsError> {
        let renamed = self
            .client
            .rename(temporary, &self.absolute(path), RenameOptions { overwrite })
            .await;
        if renamed.is_err()
            && let Err(error) = self.client.delete(temporary, false).await
        {
            tracing::warn!(path = temporary, %error, "cannot remove a temporary catalog file");
        }
        renamed
    }
}

impl fmt::Debug for DfsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DfsStore")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

fn entry(status: &FileStatus) -> Entry {
    Entry {
        name: status.name().to_owned(),
        is_directory: status.is_directory(),
        version: FileVersion {
            file_id: status.file_id,
            modified_ms: status.modification_time_ms,
        },
    }
}

#[async_trait]
impl CatalogStore for DfsStore {
    async fn list(&self, directory: &str) -> Result<Option<Vec<Entry>>> {
        match self.client.list(&self.absolute(directory)).await {
            Ok(entries) => Ok(Some(entries.iter().map(entry).collect())),
            Err(DfsError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn read(&self, path: &str) -> Result<Option<Bytes>> {
        let path = self.absolute(path);
        let reader = match self.client.open(&path).await {
            Ok(reader) => reader,
            Err(DfsError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let length = reader.len();
        if length > MAX_BYTES {
            let problem = format!("has {length} bytes; a catalog file has at most {MAX_BYTES}");
            return Err(Error::CatalogFile { path, problem });
        }
        Ok(Some(reader.read_range(0..length).await?))
    }

    async fn create(&self, path: &str, content: Bytes) -> Result<Creation> {
        let Some(temporary) = self.write_beside(path, content).await? else {
            return Ok(Creation::NoDirectory);
        };
        match self.publish(&temporary, path, false).await {
            Ok(()) => Ok(Creation::Created),
            Err(DfsError::AlreadyExists { .. }) => Ok(Creation::Exists),
            Err(DfsError::NotFound { .. } | DfsError::ParentNotDirectory { .. }) => Ok(Creation::NoDirectory),
            Err(error) => Err(error.into()),
        }
    }

    async fn replace(&self, path: &str, content: Bytes) -> Result<bool> {
        let Some(temporary) = self.write_beside(path, content).await? else {
            return Ok(false);
        };
        match self.publish(&temporary, path, true).await {
            Ok(()) => Ok(true),
            Err(DfsError::NotFound { .. } | DfsError::ParentNotDirectory { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn delete(&self, path: &str) -> Result<bool> {
        Ok(self.client.delete(&self.absolute(path), true).await?)
    }

    async fn make_directory(&self, path: &str) -> Result<()> {
        self.client.mkdirs(&self.absolute(path)).await?;
        Ok(())
    }

    async fn rename_file(&self, from: &str, to: &str) -> Result<Renaming> {
        let options = RenameOptions { overwrite: false };
        let (source, target) = (self.absolute(from), self.absolute(to));
        match self.client.rename(&source, &target, options).await {
            Ok(()) => Ok(Renaming::Renamed),
            Err(DfsError::AlreadyExists { .. }) => Ok(Renaming::Exists),
            // Either end may be missing.
            Err(DfsError::NotFound { .. } | DfsError::ParentNotDirectory { .. }) => {
                let directory = to.rsplit_once('/').map_or("", |(parent, _)| parent);
                let there = self.list(directory).await?.is_some();
                Ok(if there { Renaming::NoFile } else { Renaming::NoDirectory })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn rename_directory(&self, from: &str, to: &str) -> Result<bool> {
        match self
            .client
            .rename(
                &self.absolute(from),
                &self.absolute(to),
                RenameOptions { overwrite: false },
            )
            .await
        {
            Ok(()) => Ok(true),
            Err(DfsError::NotFound { .. } | DfsError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
