//! The file system as a library: [`DfsClient`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use quarry_dfs_wire::path::DfsPath;

use crate::checksum::{self, ChecksumCombine, FileChecksum};
use crate::config::DfsClientConfig;
use crate::error::{Error, Result};
use crate::local::{LocalReads, LocalReplicas};
use crate::location::{FileBlocks, LocatedFile};
use crate::namenode::{NameNode, NewFile};
use crate::read::FileReader;
use crate::shared::Shared;
use crate::stats::ClientFigures;
use crate::status::FileStatus;
use crate::write::{CreateOptions, FileWriter};

/// Permission bits of directories made by [`DfsClient::mkdirs`].
const DIRECTORY_PERMISSION: u16 = 0o755;

/// How [`DfsClient::rename`] treats an existing destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameOptions {
    /// Replaces a file, or an empty directory, at the destination in the same step. Otherwise the rename fails if there is one.
    pub overwrite: bool,
}

/// How [`DfsClient::mkdir_with`] makes a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MkdirOptions {
    /// Permission bits, with the umask already applied.
    pub permission: u16,
    /// Permission bits as they were before the umask: they count where the parent has a default access control list.
    pub unmasked: Option<u16>,
    /// Makes missing directories on the way.
    pub create_parent: bool,
}

impl Default for MkdirOptions {
    fn default() -> Self {
        Self {
            permission: DIRECTORY_PERMISSION,
            unmasked: None,
            create_parent: true,
        }
    }
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
            local: Some(Arc::new(LocalReads::new(
                replicas,
                self.shared.config.verify_local_reads,
            ))),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn namenode(&self) -> &NameNode {
        &self.shared.namenode
    }

    /// Forgets where the blocks of a changed file were.
    pub(crate) fn forget(&self, path: &str) {
        self.shared.locations.invalidate(path);
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
        self.mkdirs_as(path, DIRECTORY_PERMISSION).await
    }

    /// Like [`Self::mkdirs`], with the permission bits that new directories get.
    ///
    /// # Errors
    /// As [`Self::mkdirs`].
    pub async fn mkdirs_as(&self, path: &str, permission: u16) -> Result<()> {
        let options = MkdirOptions {
            permission,
            ..MkdirOptions::default()
        };
        self.mkdir_with(path, options).await
    }

    /// Makes a directory as told.
    ///
    /// # Errors
    /// As [`Self::mkdirs`]; [`Error::NotFound`] if the parent is missing and must not be made.
    pub async fn mkdir_with(&self, path: &str, options: MkdirOptions) -> Result<()> {
        let path = parse(path)?;
        self.shared.namenode.mkdirs(path.as_str(), options).await?;
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
        self.rename_with(src, dst, options, false).await
    }

    pub(crate) async fn rename_with(&self, src: &str, dst: &str, options: RenameOptions, to_trash: bool) -> Result<()> {
        let (src, dst) = (parse(src)?, parse(dst)?);
        let namenode = &self.shared.namenode;
        let renamed = namenode
            .rename(src.as_str(), dst.as_str(), options.overwrite, to_trash)
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
        let checksum = options.checksum.unwrap_or_else(|| self.shared.config.checksum());
        Ok(FileWriter::new(Arc::clone(&self.shared), created, checksum, lease))
    }

    /// Opens a closed file for writing at its end. With `new_block`, what is written begins a block of its own even if the
    /// last one has room.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file; [`Error::LeaseConflict`] if another writer has it open;
    /// [`Error::PipelineLost`] if no DataNode has its last block: the file then stays open until its lease runs out.
    pub async fn append(&self, path: &str, new_block: bool) -> Result<FileWriter> {
        let path = parse(path)?;
        let lease = self.shared.leases.hold();
        let (file, last) = self.shared.namenode.append(path.as_str(), new_block).await?;
        self.shared.locations.invalidate(path.as_str());
        FileWriter::append(Arc::clone(&self.shared), file, last, new_block, lease).await
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
        let checksum = options.checksum.unwrap_or_else(|| config.checksum());
        let chunk = u64::from(checksum.bytes_per_checksum());
        if block_size == 0 || !block_size.is_multiple_of(chunk) {
            let message = format!("block size {block_size}, expected a positive multiple of {chunk} bytes");
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
            unmasked: options.unmasked,
        })
    }

    /// Opens a file for reading. The reader keeps the locations that it gets now; of a file that is being written it sees
    /// what was flushed by now, at least.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file.
    pub async fn open(&self, path: &str) -> Result<FileReader> {
        let path = parse(path)?;
        let blocks = self.shared.file_blocks(path.as_str()).await?;
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

    /// The file's checksum as HDFS makes it by default: a digest of digests of what its DataNodes store.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file; [`Error::BlockUnavailable`] if a block has no replica to ask.
    pub async fn checksum(&self, path: &str) -> Result<FileChecksum> {
        self.checksum_as(path, ChecksumCombine::Md5, u64::MAX).await
    }

    /// The checksum of a file's first `length` bytes, or of all if it has fewer, combined in that way.
    ///
    /// # Errors
    /// As [`Self::checksum`].
    pub async fn checksum_as(&self, path: &str, combine: ChecksumCombine, length: u64) -> Result<FileChecksum> {
        let path = parse(path)?;
        let blocks = self.shared.namenode.block_locations(path.as_str()).await?;
        checksum::file_checksum(&self.shared, path.as_str(), &blocks, combine, length).await
    }

    /// What this client and its clones have done so far.
    pub fn figures(&self) -> ClientFigures {
        let namenode = &self.shared.namenode;
        ClientFigures {
            namenode_calls: namenode.calls.load(Ordering::Relaxed),
            complete_repeats: namenode.complete_repeats.load(Ordering::Relaxed),
            pipeline_recoveries: self.shared.pipeline_recoveries.load(Ordering::Relaxed),
            hedged_reads: self.shared.hedged_reads.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn parse(path: &str) -> Result<DfsPath> {
    DfsPath::parse(path).map_err(|e| Error::Invalid {
        path: path.to_owned(),
        message: e.to_string(),
    })
}

pub(crate) fn absent(path: &str) -> Error {
    Error::NotFound {
        path: path.to_owned(),
        message: "there is no such file or directory".to_owned(),
    }
}
