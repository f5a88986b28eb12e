//! The file system as a library: [`DfsClient`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt};
use quarry_dfs_wire::path::DfsPath;

use crate::checksum::{self, FileChecksum};
use crate::config::DfsClientConfig;
use crate::error::{Error, Result};
use crate::local::{LocalReads, LocalReplicas};
use crate::location::{FileBlocks, LocatedFile};
use crate::namenode::NewFile;
use crate::read::FileReader;
use crate::shared::Shared;
use crate::stats::ClientFigures;
use crate::status::{ContentSummary, FileStatus, FsStats, ServerDefaults};
use crate::write::{CreateOptions, FileWriter};

/// Directories that one recursive listing asks for at the same time.
const LIST_PARALLELISM: usize = 8;

/// Permission bits of directories made by [`DfsClient::mkdirs`].
const DIRECTORY_PERMISSION: u16 = 0o755;

/// How [`DfsClient::rename`] treats an existing destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameOptions {
    /// Replaces a file, or an empty directory, at the destination in the same step. Otherwise the rename fails if there is one.
    pub overwrite: bool,
}

/// A client of one HDFS-compatible cluster. Clones share connections, caches and leases; needs a Tokio runtime.
///
/// Paths are absolute. Every operation is atomic at the NameNode and durable there when it returns. Calls are repeated
/// after lost connections and while the NameNode starts, for up to [`DfsClientConfig::namenode_timeout`]; an
/// [`Error::NameNodeUnreachable`] leaves open whether a change happened.
#[derive(Clone, Debug)]
pub struct DfsClient {
    shared: Arc<Shared>,
    local: Option<Arc<LocalReads>>,
}

impl DfsClient {
    /// A client of the NameNode that `config` names. Connects when first used.
    pub fn new(config: DfsClientConfig) -> Self {
        Self {
            shared: Arc::new(Shared::new(config)),
            local: None,
        }
    }

    /// The same client, reading the replicas of the DataNode in this process from its disks.
    #[must_use]
    pub fn with_local_replicas(&self, replicas: Arc<dyn LocalReplicas>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            local: Some(Arc::new(LocalReads::new(replicas))),
        }
    }

    /// The settings it was made with.
    pub fn config(&self) -> &DfsClientConfig {
        &self.shared.config
    }

    /// What `path` names, if anything.
    pub async fn status(&self, path: &str) -> Result<Option<FileStatus>> {
        let path = parse(path)?;
        self.shared.namenode.status(path.as_str()).await
    }

    /// The entries of a directory in byte order of their names, or the one entry of a file. A directory larger than a page
    /// is read in several calls and may change between them.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such path.
    pub async fn list(&self, path: &str) -> Result<Vec<FileStatus>> {
        let path = parse(path)?;
        let entries = self.shared.namenode.list(path.as_str(), false).await?;
        let entries = entries.ok_or_else(|| absent(path.as_str()))?;
        Ok(entries.into_iter().map(|(status, _)| status).collect())
    }

    /// The files of a directory (and, if `recursive`, of those below it) or the one file at `path`, with their blocks:
    /// one call per page of a directory. In byte order of their paths within each directory.
    ///
    /// The locations are remembered: reading these files through the object store soon needs no further call.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such path.
    pub async fn list_located(&self, path: &str, recursive: bool) -> Result<Vec<LocatedFile>> {
        let root = parse(path)?;
        let mut files = Vec::new();
        let mut directories = vec![root.as_str().to_owned()];
        while !directories.is_empty() {
            let is_root = directories.len() == 1 && directories[0] == root.as_str();
            let pages: Vec<_> = futures::stream::iter(std::mem::take(&mut directories))
                .map(|directory| self.list_located_directory(directory))
                .buffered(LIST_PARALLELISM)
                .try_collect()
                .await?;
            for page in pages {
                match page {
                    Some((found, below)) => {
                        files.extend(found);
                        if recursive {
                            directories.extend(below);
                        }
                    }
                    None if is_root => return Err(absent(root.as_str())),
                    // A directory that was deleted while its siblings were listed.
                    None => {}
                }
            }
        }
        Ok(files)
    }

    /// The files in one directory, and the directories in it.
    async fn list_located_directory(&self, directory: String) -> Result<Option<(Vec<LocatedFile>, Vec<String>)>> {
        let asked = Instant::now();
        let Some(entries) = self.shared.namenode.list(&directory, true).await? else {
            return Ok(None);
        };
        let (mut files, mut below) = (Vec::new(), Vec::new());
        for (status, blocks) in entries {
            match blocks {
                Some(blocks) => {
                    let blocks = Arc::new(blocks);
                    let file = LocatedFile { status, blocks };
                    self.shared.locations.insert(Arc::new(file.clone()), asked);
                    files.push(file);
                }
                None if status.is_directory() => below.push(status.path),
                None => {}
            }
        }
        Ok(Some((files, below)))
    }

    /// Where the blocks of a file lie.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file.
    pub async fn block_locations(&self, path: &str) -> Result<FileBlocks> {
        let path = parse(path)?;
        self.shared.namenode.block_locations(path.as_str()).await
    }

    /// Makes a directory and those missing on the way; one that is there already is fine.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] or [`Error::ParentNotDirectory`] if a file is in the way.
    pub async fn mkdirs(&self, path: &str) -> Result<()> {
        let path = parse(path)?;
        self.shared.namenode.mkdirs(path.as_str(), DIRECTORY_PERMISSION).await?;
        Ok(())
    }

    /// Deletes a file or directory; whether there was one.
    ///
    /// # Errors
    /// [`Error::DirectoryNotEmpty`] for a directory with entries unless `recursive`.
    pub async fn delete(&self, path: &str, recursive: bool) -> Result<bool> {
        let path = parse(path)?;
        self.shared.locations.invalidate(path.as_str());
        let deleted = self.shared.namenode.delete(path.as_str(), recursive).await;
        self.shared.locations.invalidate(path.as_str());
        deleted
    }

    /// Gives a file or directory another path, in one step. The destination's parent must exist.
    ///
    /// # Errors
    /// [`Error::NotFound`] if `src`, or the parent of `dst`, is not there; [`Error::AlreadyExists`] if `dst` is there and
    /// may not be replaced.
    pub async fn rename(&self, src: &str, dst: &str, options: RenameOptions) -> Result<()> {
        let (src, dst) = (parse(src)?, parse(dst)?);
        let renamed = self
            .shared
            .namenode
            .rename(src.as_str(), dst.as_str(), options.overwrite)
            .await;
        self.shared.locations.invalidate(src.as_str());
        self.shared.locations.invalidate(dst.as_str());
        renamed
    }

    /// Creates a file and opens it for writing. It is visible at once, empty, and grows as its blocks end.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] unless it may be overwritten; [`Error::LeaseConflict`] if another writer has it open;
    /// [`Error::NotFound`] if the parent is missing and must not be made.
    pub async fn create(&self, path: &str, options: CreateOptions) -> Result<FileWriter> {
        let path = parse(path)?;
        let file = self.new_file(&path, options).await?;
        // Held before the call: a lease exists from the moment that the NameNode decides.
        let lease = self.shared.leases.hold();
        let created = self.shared.namenode.create(&file).await?;
        self.shared.locations.invalidate(path.as_str());
        Ok(FileWriter::new(Arc::clone(&self.shared), created, lease))
    }

    async fn new_file(&self, path: &DfsPath, options: CreateOptions) -> Result<NewFile> {
        let config = &self.shared.config;
        let replication = options.replication.or(config.replication);
        let block_size = options.block_size.or(config.block_size.map(|size| size.as_u64()));
        let (replication, block_size) = match (replication, block_size) {
            (Some(replication), Some(block_size)) => (replication, block_size),
            _ => {
                let defaults = self.shared.server_defaults().await?;
                (
                    replication.unwrap_or(defaults.replication),
                    block_size.unwrap_or(defaults.block_size),
                )
            }
        };
        if block_size == 0 || !block_size.is_multiple_of(512) {
            let message = format!("block size {block_size}, expected a positive multiple of 512 bytes");
            return Err(Error::Invalid {
                path: path.to_string(),
                message,
            });
        }
        Ok(NewFile {
            path: path.to_string(),
            overwrite: options.overwrite,
            create_parent: options.create_parent,
            replication,
            block_size,
            permission: options.permission,
        })
    }

    /// Opens a file for reading. The reader keeps the locations that it gets now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file.
    pub async fn open(&self, path: &str) -> Result<FileReader> {
        let path = parse(path)?;
        let blocks = self.shared.namenode.block_locations(path.as_str()).await?;
        Ok(self.reader(path.as_str(), Arc::new(blocks)))
    }

    /// Opens a file whose blocks are known from a listing, without a call.
    pub fn open_located(&self, file: &LocatedFile) -> FileReader {
        self.reader(&file.status.path, Arc::clone(&file.blocks))
    }

    fn reader(&self, path: &str, blocks: Arc<FileBlocks>) -> FileReader {
        FileReader::new(Arc::clone(&self.shared), self.local.clone(), path.to_owned(), blocks)
    }

    /// The file at `path` with its blocks: as remembered from less than [`DfsClientConfig::location_ttl`] ago, or asked for.
    pub(crate) async fn located(&self, path: &str) -> Result<Arc<LocatedFile>> {
        match self.shared.locations.get(path, Instant::now()) {
            Some(file) => Ok(file),
            None => self.located_now(path).await,
        }
    }

    /// The file at `path` with its blocks, in one call.
    pub(crate) async fn located_now(&self, path: &str) -> Result<Arc<LocatedFile>> {
        let asked = Instant::now();
        self.shared.locations.invalidate(path);
        let file = self.shared.namenode.located_file(path).await?;
        let file = Arc::new(file.ok_or_else(|| absent(path))?);
        self.shared.locations.insert(Arc::clone(&file), asked);
        Ok(file)
    }

    /// The file's checksum as HDFS defines it, made by the DataNodes from what they store.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file; [`Error::BlockUnavailable`] if a block has no replica to ask.
    pub async fn checksum(&self, path: &str) -> Result<FileChecksum> {
        let path = parse(path)?;
        let blocks = self.shared.namenode.block_locations(path.as_str()).await?;
        checksum::file_checksum(&self.shared, path.as_str(), &blocks).await
    }

    /// What the tree at `path` holds.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such path.
    pub async fn content_summary(&self, path: &str) -> Result<ContentSummary> {
        let path = parse(path)?;
        self.shared.namenode.content_summary(path.as_str()).await
    }

    /// Space of the whole file system.
    pub async fn fs_stats(&self) -> Result<FsStats> {
        self.shared.namenode.fs_stats().await
    }

    /// The NameNode's defaults for new files, asked for once.
    pub async fn server_defaults(&self) -> Result<ServerDefaults> {
        self.shared.server_defaults().await
    }

    /// Sets permission bits.
    pub async fn set_permission(&self, path: &str, permission: u16) -> Result<()> {
        let path = parse(path)?;
        self.shared.namenode.set_permission(path.as_str(), permission).await
    }

    /// Sets owner, group or both.
    pub async fn set_owner(&self, path: &str, owner: Option<&str>, group: Option<&str>) -> Result<()> {
        let path = parse(path)?;
        self.shared.namenode.set_owner(path.as_str(), owner, group).await
    }

    /// Sets how many replicas a file's blocks shall have; false for directories. The copies come and go in the background.
    pub async fn set_replication(&self, path: &str, replication: u16) -> Result<bool> {
        let path = parse(path)?;
        self.shared.namenode.set_replication(path.as_str(), replication).await
    }

    /// What this client and its clones have done so far.
    pub fn figures(&self) -> ClientFigures {
        let namenode = &self.shared.namenode;
        ClientFigures {
            namenode_calls: namenode.calls.load(Ordering::Relaxed),
            complete_repeats: namenode.complete_repeats.load(Ordering::Relaxed),
            pipeline_recoveries: self.shared.pipeline_recoveries.load(Ordering::Relaxed),
        }
    }
}

fn parse(path: &str) -> Result<DfsPath> {
    DfsPath::parse(path).map_err(|e| Error::Invalid {
        path: path.to_owned(),
        message: e.to_string(),
    })
}

fn absent(path: &str) -> Error {
    Error::NotFound {
        path: path.to_owned(),
        message: "there is no such file or directory".to_owned(),
    }
}
