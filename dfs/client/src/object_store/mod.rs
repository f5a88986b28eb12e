//! The file system as an `object_store::ObjectStore`.
//!
//! What is promised beyond the trait:
//!
//! - `put`, `copy` and multipart uploads write a hidden file beside the destination and rename it: a reader sees the
//!   whole object or none of it, and `PutMode::Create` lets exactly one of several writers win.
//! - `rename` is one atomic step of the NameNode.
//! - A ranged read is one read of the file, with locations remembered from the last two seconds (or whatever
//!   [`DfsClientConfig::location_ttl`](crate::DfsClientConfig) says); `head`, whole reads and conditional reads ask the
//!   NameNode every time.
//!
//! Directories are no objects: they are not listed as such, and not found by `head` or `delete`. Attributes, tags, versions and
//! `PutMode::Update` are not supported.

mod error;
mod get;
mod paths;
mod staged;
mod upload;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, RenameTargetMode, Result, coalesce_ranges,
};

use crate::client::DfsClient;
use crate::error::Error;
use crate::stats::ReadStats;
use error::{not_implemented, to_object_store};
use paths::{Root, is_hidden};
use staged::StagedFile;
use upload::Upload;

/// Ranges of one object that lie closer than this are read together: a seek costs more than a few skipped bytes.
const COALESCE_BYTES: u64 = 64 << 10;

/// Deletions of one stream that are under way at the same time.
const DELETE_PARALLELISM: usize = 16;

/// A directory of the file system as an object store. Clones share the client.
#[derive(Clone, Debug)]
pub struct DfsObjectStore {
    client: DfsClient,
    root: Root,
    stats: Option<Arc<ReadStats>>,
}

impl DfsObjectStore {
    /// The tree below the absolute path `root` as an object store; `/` for everything.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `root` is not an absolute path.
    pub fn new(client: DfsClient, root: &str) -> crate::Result<Self> {
        Ok(Self {
            client,
            root: Root::parse(root)?,
            stats: None,
        })
    }

    /// The same store, counting what is read through it in `stats`.
    #[must_use]
    pub fn with_stats(&self, stats: Arc<ReadStats>) -> Self {
        Self {
            stats: Some(stats),
            ..self.clone()
        }
    }

    /// The client underneath.
    pub fn client(&self) -> &DfsClient {
        &self.client
    }

    /// The absolute path of an object.
    pub fn absolute(&self, location: &Path) -> String {
        self.root.absolute(location)
    }

    /// The entries of a directory that may be shown; none if it is not there or is a file.
    async fn entries(&self, directory: &str) -> Result<Vec<crate::FileStatus>> {
        match self.client.list(directory).await {
            Ok(entries) if entries.iter().any(|e| e.path == directory) => Ok(Vec::new()),
            Ok(mut entries) => {
                entries.retain(|e| !is_hidden(e.name()));
                Ok(entries)
            }
            Err(Error::NotFound { .. } | Error::ParentNotDirectory { .. }) => Ok(Vec::new()),
            Err(e) => Err(to_object_store(e)),
        }
    }

    /// One directory's objects, and its directories.
    async fn list_directory(&self, directory: String) -> Result<(Vec<ObjectMeta>, Vec<String>)> {
        let (mut objects, mut below) = (Vec::new(), Vec::new());
        for entry in self.entries(&directory).await? {
            if entry.is_directory() {
                below.push(entry.path);
            } else {
                objects.push(self.root.meta(&entry)?);
            }
        }
        Ok((objects, below))
    }

    async fn delete_object(&self, location: Path) -> Result<Path> {
        let path = self.root.absolute(&location);
        let status = self.client.status(&path).await.map_err(to_object_store)?;
        if status.is_none_or(|s| s.is_directory())
            || !self.client.delete(&path, false).await.map_err(to_object_store)?
        {
            return Err(object_store::Error::NotFound {
                path: location.to_string(),
                source: "there is no such object".into(),
            });
        }
        Ok(location)
    }

    /// Renames, making the destination's directory if that is what is missing.
    async fn rename_object(&self, from: &str, to: &str, overwrite: bool) -> crate::Result<()> {
        let options = crate::RenameOptions { overwrite };
        match self.client.rename(from, to, options).await {
            Err(Error::NotFound { .. }) if self.client.status(from).await?.is_some() => {
                let parent = to.rsplit_once('/').map_or("/", |(parent, _)| parent);
                self.client.mkdirs(if parent.is_empty() { "/" } else { parent }).await?;
                self.client.rename(from, to, options).await
            }
            renamed => renamed,
        }
    }

    /// An object onto itself: nothing to do, unless it is missing or must not exist.
    async fn rename_onto_itself(&self, location: &Path, mode: RenameTargetMode) -> Result<()> {
        self.get_opts(location, GetOptions::new().with_head(true)).await?;
        match mode {
            RenameTargetMode::Overwrite => Ok(()),
            RenameTargetMode::Create => Err(object_store::Error::AlreadyExists {
                path: location.to_string(),
                source: "source and destination are the same".into(),
            }),
        }
    }
}

impl fmt::Display for DfsObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hdfs://{}{}", self.client.config().namenode, self.root)
    }
}

#[async_trait]
impl ObjectStore for DfsObjectStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let overwrite = match opts.mode {
            PutMode::Overwrite => true,
            PutMode::Create => false,
            PutMode::Update(_) => return Err(not_implemented("put_opts with PutMode::Update")),
        };
        if !opts.attributes.is_empty() {
            return Err(not_implemented("put_opts with attributes"));
        }
        let mut staged = StagedFile::create(&self.client, self.root.absolute(location))
            .await
            .map_err(to_object_store)?;
        for chunk in &payload {
            staged.write(chunk.clone()).await.map_err(to_object_store)?;
        }
        staged.publish(overwrite).await.map_err(to_object_store)
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() {
            return Err(not_implemented("put_multipart_opts with attributes"));
        }
        let staged = StagedFile::create(&self.client, self.root.absolute(location))
            .await
            .map_err(to_object_store)?;
        Ok(Box::new(Upload::start(staged)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.get(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        coalesce_ranges(ranges, |range| self.read_range(location, range), COALESCE_BYTES).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .map(move |location| {
                let this = this.clone();
                async move { this.delete_object(location?).await }
            })
            .buffered(DELETE_PARALLELISM)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let start = prefix.map_or_else(|| self.root.to_string(), |prefix| self.root.absolute(prefix));
        let this = self.clone();
        // Depth first: what waits is at most the siblings on the way down.
        futures::stream::try_unfold(vec![start], move |mut waiting| {
            let this = this.clone();
            async move {
                let Some(directory) = waiting.pop() else {
                    return Ok::<_, object_store::Error>(None);
                };
                let (objects, below) = this.list_directory(directory).await?;
                waiting.extend(below.into_iter().rev());
                let objects = objects.into_iter().map(Ok);
                Ok(Some((futures::stream::iter(objects), waiting)))
            }
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let directory = prefix.map_or_else(|| self.root.to_string(), |prefix| self.root.absolute(prefix));
        let (objects, below) = self.list_directory(directory).await?;
        let common_prefixes = below
            .iter()
            .map(|path| self.root.location(path))
            .collect::<Result<_>>()?;
        Ok(ListResult {
            common_prefixes,
            objects,
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let overwrite = options.mode == CopyMode::Overwrite;
        let mut source = self.get(from, GetOptions::default()).await?.into_stream();
        let mut staged = StagedFile::create(&self.client, self.root.absolute(to))
            .await
            .map_err(to_object_store)?;
        while let Some(chunk) = source.try_next().await? {
            staged.write(chunk).await.map_err(to_object_store)?;
        }
        staged.publish(overwrite).await.map_err(to_object_store)?;
        Ok(())
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        if from == to {
            return self.rename_onto_itself(from, options.target_mode).await;
        }
        let overwrite = options.target_mode == RenameTargetMode::Overwrite;
        let (from, to) = (self.root.absolute(from), self.root.absolute(to));
        self.rename_object(&from, &to, overwrite).await.map_err(to_object_store)
    }
}
