//! A file system in memory with blocks, nodes that hold them, counted reads, and faults on demand.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use parking_lot::Mutex;
use quarry_engine::files::{ByteCounts, DataFile, DirectoryEntry, FileSystem, NewFile, Renamed};
use quarry_engine::split::{BlockSpan, ReplicaHost};

/// What a read of matching files does instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Panic,
    Fail,
    /// Never answers.
    Hang,
}

#[derive(Debug)]
struct Disk {
    objects: InMemory,
    block: u64,
    nodes: usize,
    replication: usize,
    /// Part of a path, what happens there, and how often it happened.
    fault: Mutex<Option<(String, Fault)>>,
    fired: AtomicU64,
    /// Directories that were made, by absolute path. Held for writing while several objects change together.
    directories: tokio::sync::RwLock<BTreeSet<String>>,
    /// What was located, in the order in which it was asked for.
    located: Mutex<Vec<String>>,
}

/// The files, as one node sees them.
#[derive(Debug, Clone)]
pub(crate) struct MemoryFiles {
    disk: Arc<Disk>,
    node: Option<usize>,
}

pub(crate) fn node_uuid(node: usize) -> String {
    format!("datanode-{node}")
}

impl MemoryFiles {
    pub(crate) fn new(block: u64, nodes: usize, replication: usize) -> Self {
        let disk = Disk {
            objects: InMemory::new(),
            block,
            nodes,
            replication,
            fault: Mutex::new(None),
            fired: AtomicU64::new(0),
            directories: tokio::sync::RwLock::default(),
            located: Mutex::default(),
        };
        Self {
            disk: Arc::new(disk),
            node: None,
        }
    }

    pub(crate) fn seen_by(&self, node: usize) -> Self {
        Self {
            disk: Arc::clone(&self.disk),
            node: Some(node),
        }
    }

    pub(crate) async fn put(&self, path: &str, bytes: Vec<u8>) {
        self.disk
            .objects
            .put(&Path::parse(path).unwrap(), bytes.into())
            .await
            .unwrap();
    }

    pub(crate) async fn remove(&self, path: &str) {
        self.disk.objects.delete(&Path::parse(path).unwrap()).await.unwrap();
    }

    /// Paths of all files at or below `root`.
    pub(crate) async fn paths(&self, root: &str) -> Vec<String> {
        let paths = self.disk.paths_at(root).await.unwrap();
        let mut paths: Vec<String> = paths.into_iter().map(|path| format!("/{path}")).collect();
        paths.sort();
        paths
    }

    pub(crate) fn set_fault(&self, path: &str, fault: Fault) {
        *self.disk.fault.lock() = Some((path.to_owned(), fault));
    }

    pub(crate) fn fired(&self) -> u64 {
        self.disk.fired.load(Ordering::SeqCst)
    }

    /// The paths that were located since the last call.
    pub(crate) fn take_located(&self) -> Vec<String> {
        std::mem::take(&mut self.disk.located.lock())
    }

    fn holders(&self, path: &str, block: u64) -> Vec<usize> {
        let first = path.bytes().map(u64::from).sum::<u64>() + block;
        (0..self.disk.replication)
            .map(|replica| (first as usize + replica) % self.disk.nodes)
            .collect()
    }

    fn blocks(&self, path: &str, size: u64) -> Vec<BlockSpan> {
        let block = self.disk.block;
        let host = |node: usize| ReplicaHost {
            datanode_uuid: node_uuid(node),
            ip: "127.0.0.1".to_owned(),
            rack: "/default-rack".to_owned(),
        };
        let span = |index: u64| BlockSpan {
            offset: index * block,
            length: block.min(size - index * block),
            hosts: self.holders(path, index).into_iter().map(host).collect(),
        };
        (0..size.div_ceil(block)).map(span).collect()
    }

    async fn strike(&self, path: &Path) -> object_store::Result<()> {
        let fault = self.disk.fault.lock().clone();
        let Some((_, fault)) = fault.filter(|(part, _)| self.node.is_some() && path.as_ref().contains(part)) else {
            return Ok(());
        };
        self.disk.fired.fetch_add(1, Ordering::SeqCst);
        match fault {
            Fault::Panic => panic!("injected panic in a read"),
            Fault::Fail => Err(object_store::Error::Generic {
                store: "memory",
                source: "all replicas are gone".into(),
            }),
            Fault::Hang => std::future::pending().await,
        }
    }
}

/// Whether `path` is `root` or below it.
fn is_at(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

impl Disk {
    async fn paths_at(&self, root: &str) -> Result<Vec<Path>> {
        let all: Vec<ObjectMeta> = self.objects.list(None).try_collect().await?;
        let paths = all.into_iter().map(|meta| meta.location);
        Ok(paths.filter(|path| is_at(&format!("/{path}"), root)).collect())
    }

    async fn is_there(&self, directories: &BTreeSet<String>, path: &str) -> bool {
        directories.contains(path) || !self.paths_at(path).await.unwrap().is_empty()
    }

    async fn must_be_in_a_directory(&self, directories: &BTreeSet<String>, path: &str) -> Result<()> {
        let (parent, _) = path.rsplit_once('/').unwrap();
        if parent.is_empty() || self.is_there(directories, parent).await {
            return Ok(());
        }
        Err(DataFusionError::Execution(format!("{parent} is not there")))
    }

    async fn entries(&self, directories: &BTreeSet<String>, path: &str) -> Result<Option<Vec<DirectoryEntry>>> {
        let path = path.trim_end_matches('/');
        if !path.is_empty() && !self.is_there(directories, path).await {
            return Ok(None);
        }
        let files: Vec<ObjectMeta> = self.objects.list(None).try_collect().await?;
        let files = files
            .into_iter()
            .map(|meta| (format!("/{}", meta.location), Some(meta.last_modified)));
        let mut entries: Vec<DirectoryEntry> = Vec::new();
        for (found, modified) in files.chain(directories.iter().map(|directory| (directory.clone(), None))) {
            let Some(below) = found.strip_prefix(path).and_then(|below| below.strip_prefix('/')) else {
                continue;
            };
            let (name, deeper) = below.split_once('/').map_or((below, false), |(name, _)| (name, true));
            if entries.iter().any(|entry| entry.name == name) {
                continue;
            }
            entries.push(DirectoryEntry {
                name: name.to_owned(),
                is_directory: deeper || modified.is_none(),
                modified: modified.unwrap_or_default(),
            });
        }
        Ok(Some(entries))
    }
}

struct NewMemoryFile {
    disk: Arc<Disk>,
    path: String,
    bytes: Vec<u8>,
}

#[async_trait]
impl NewFile for NewMemoryFile {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let directories = self.disk.directories.read().await;
        self.disk.must_be_in_a_directory(&directories, &self.path).await?;
        let path = Path::parse(&self.path).unwrap();
        self.disk.objects.put(&path, self.bytes.into()).await?;
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Counts {
    local: AtomicU64,
    remote: AtomicU64,
}

impl ByteCounts for Counts {
    fn local(&self) -> u64 {
        self.local.load(Ordering::SeqCst)
    }

    fn remote(&self) -> u64 {
        self.remote.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl FileSystem for MemoryFiles {
    fn store(&self) -> Arc<dyn ObjectStore> {
        self.counted_store().0
    }

    fn counted_store(&self) -> (Arc<dyn ObjectStore>, Arc<dyn ByteCounts>) {
        let counts = Arc::new(Counts::default());
        (
            Arc::new(Counted {
                files: self.clone(),
                counts: Arc::clone(&counts),
            }),
            counts,
        )
    }

    async fn entries(&self, path: &str) -> Result<Option<Vec<DirectoryEntry>>> {
        let directories = self.disk.directories.read().await;
        self.disk.entries(&directories, path).await
    }

    async fn block_size(&self) -> Result<u64> {
        Ok(self.disk.block)
    }

    async fn create(&self, path: &str) -> Result<Box<dyn NewFile>> {
        let directories = self.disk.directories.read().await;
        self.disk.must_be_in_a_directory(&directories, path).await?;
        if self.disk.objects.head(&Path::parse(path).unwrap()).await.is_ok() {
            return Err(DataFusionError::Execution(format!("{path} is there already")));
        }
        Ok(Box::new(NewMemoryFile {
            disk: Arc::clone(&self.disk),
            path: path.to_owned(),
            bytes: Vec::new(),
        }))
    }

    async fn make_directory(&self, path: &str, with_parents: bool) -> Result<()> {
        let mut directories = self.disk.directories.write().await;
        if !with_parents {
            self.disk.must_be_in_a_directory(&directories, path).await?;
        }
        let ends = path.match_indices('/').map(|(end, _)| end).skip(1).chain([path.len()]);
        directories.extend(ends.map(|end| path[..end].to_owned()));
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<Renamed> {
        let mut directories = self.disk.directories.write().await;
        let disk = &self.disk;
        if disk.must_be_in_a_directory(&directories, to).await.is_err() || !disk.is_there(&directories, from).await {
            return Ok(Renamed::Missing);
        }
        if disk.is_there(&directories, to).await {
            return Ok(Renamed::TargetExists);
        }
        for old in disk.paths_at(from).await? {
            let new = Path::parse(format!("{to}{}", &format!("/{old}")[from.len()..])).unwrap();
            disk.objects.rename(&old, &new).await?;
        }
        let moved: Vec<String> = directories.iter().filter(|path| is_at(path, from)).cloned().collect();
        for path in moved {
            directories.remove(&path);
            directories.insert(format!("{to}{}", &path[from.len()..]));
        }
        Ok(Renamed::Done)
    }

    async fn delete(&self, path: &str) -> Result<bool> {
        let mut directories = self.disk.directories.write().await;
        let there = self.disk.is_there(&directories, path).await;
        for object in self.disk.paths_at(path).await? {
            self.disk.objects.delete(&object).await?;
        }
        directories.retain(|directory| !is_at(directory, path));
        Ok(there)
    }

    async fn delete_empty(&self, path: &str) -> Result<()> {
        let mut directories = self.disk.directories.write().await;
        let entries = self.disk.entries(&directories, path).await?;
        if entries.is_some_and(|entries| entries.is_empty()) {
            directories.remove(path);
        }
        Ok(())
    }

    async fn list_located(&self, path: &str) -> Result<Vec<DataFile>> {
        let directories = self.disk.directories.read().await;
        self.disk.located.lock().push(path.to_owned());
        let prefix = Path::parse(path).unwrap();
        let listed: Vec<ObjectMeta> = self.disk.objects.list(Some(&prefix)).try_collect().await?;
        if listed.is_empty() && !directories.contains(path) {
            return Err(DataFusionError::Plan(format!("{path}: not found")));
        }
        let file = |meta: ObjectMeta| {
            let path = format!("/{}", meta.location);
            let blocks = self.blocks(&path, meta.size);
            DataFile {
                path,
                size: meta.size,
                modified: meta.last_modified,
                blocks,
            }
        };
        Ok(listed.into_iter().map(file).collect())
    }
}

struct Counted {
    files: MemoryFiles,
    counts: Arc<Counts>,
}

impl Counted {
    fn count(&self, path: &Path, range: &Range<u64>) {
        let path = format!("/{path}");
        let block = self.files.disk.block;
        let mut at = range.start;
        while at < range.end {
            let end = ((at / block + 1) * block).min(range.end);
            let local = self
                .files
                .node
                .is_some_and(|node| self.files.holders(&path, at / block).contains(&node));
            let counter = if local { &self.counts.local } else { &self.counts.remote };
            counter.fetch_add(end - at, Ordering::SeqCst);
            at = end;
        }
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.files.disk.objects.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.files.disk.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.files.strike(path).await?;
        let bounded = matches!(&options.range, Some(GetRange::Bounded(_)));
        let head = options.head;
        let result = self.files.disk.objects.get_opts(path, options).await?;
        if !head && (bounded || result.range.end > result.range.start) {
            self.count(path, &result.range);
        }
        Ok(result)
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.files.strike(path).await?;
        ranges.iter().for_each(|range| self.count(path, range));
        self.files.disk.objects.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.files.disk.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.files.disk.objects.list(prefix).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.files.disk.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.files.disk.objects.copy_opts(from, to, options).await
    }
}
