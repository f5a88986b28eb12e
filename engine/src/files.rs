//! Where the bytes of tables are: file systems by the authority of an `hdfs://` location.
//!
//! [`FileSystem`] is what the engine needs of one: an object store, a listing with block locations in one round trip, and reads
//! whose bytes are counted by where they came from. [`DfsFileSystem`](crate::dfs_files::DfsFileSystem) is the real one. [`FileSystems`] finds them, also for
//! DataFusion as its only object store registry: no other scheme, and above all no `file://`, reaches a disk.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::ObjectStore;
use parking_lot::Mutex;
use url::Url;

use crate::split::BlockSpan;

/// A file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Absolute path.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: DateTime<Utc>,
    /// Its blocks in order, with the nodes that hold them.
    pub blocks: Vec<BlockSpan>,
}

/// Bytes read so far, by where they came from.
pub trait ByteCounts: Send + Sync {
    /// Bytes from replicas of the reader's own node.
    fn local(&self) -> u64;
    /// Bytes that came over a socket.
    fn remote(&self) -> u64;
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Name within the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// When it was last changed, on the file system's clock.
    pub modified: DateTime<Utc>,
}

/// How a rename ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renamed {
    /// The old name is gone, the new one is there.
    Done,
    /// Something has the new name; nothing was changed.
    TargetExists,
    /// The old name, or the directory for the new one, is not there.
    Missing,
}

/// A new file that is being written. Dropped without [`close`](Self::close) it is left unfinished, for whoever deletes its directory.
#[async_trait]
pub trait NewFile: Send {
    /// Appends bytes. Waits while the file system is behind.
    ///
    /// # Errors
    /// If the file system fails; the file is of no more use.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Ends the file. When this returns its bytes are durable.
    ///
    /// # Errors
    /// If the file system fails.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// A file system that holds tables.
///
/// The methods that change something have bodies that refuse: a file system to read from needs none of them.
#[async_trait]
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Its files as objects; object paths are file paths without the leading slash.
    fn store(&self) -> Arc<dyn ObjectStore>;

    /// The same, with the bytes read through this very store counted.
    fn counted_store(&self) -> (Arc<dyn ObjectStore>, Arc<dyn ByteCounts>);

    /// The file at `path`, or all files below the directory at `path`, with their block locations.
    ///
    /// # Errors
    /// If there is nothing at `path`, or the file system does not answer.
    async fn list_located(&self, path: &str) -> Result<Vec<DataFile>>;

    /// What is in the directory at `path`; `None` if there is no such directory.
    ///
    /// # Errors
    /// If the file system does not answer, or a file is there.
    async fn entries(&self, path: &str) -> Result<Option<Vec<DirectoryEntry>>> {
        Err(read_only(path))
    }

    /// The whole content of a small file; `None` if there is none.
    ///
    /// # Errors
    /// If the file system does not answer.
    async fn read(&self, path: &str) -> Result<Option<Bytes>> {
        let path = object_store::path::Path::parse(path)?;
        match object_store::ObjectStoreExt::get(self.store().as_ref(), &path).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is a file, not a directory, at `path`.
    ///
    /// # Errors
    /// If the file system does not answer.
    async fn is_file(&self, path: &str) -> Result<bool> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entries = self.entries(if directory.is_empty() { "/" } else { directory }).await?;
        Ok(entries
            .into_iter()
            .flatten()
            .any(|entry| entry.name == name && !entry.is_directory))
    }

    /// Bytes of a block of new files.
    ///
    /// # Errors
    /// If the file system does not answer.
    async fn block_size(&self) -> Result<u64> {
        Err(read_only("/"))
    }

    /// Begins a file in a directory that is there, under a name that is free. Its first replicas go to the writer's own node.
    ///
    /// # Errors
    /// If the name is taken, the directory is not there, or the file system does not answer.
    async fn create(&self, path: &str) -> Result<Box<dyn NewFile>> {
        Err(read_only(path))
    }

    /// Makes a directory; nothing happens if it is there. `with_parents` also makes those above it, otherwise they must be there.
    ///
    /// # Errors
    /// If a parent is missing, a file is in the way, or the file system does not answer.
    async fn make_directory(&self, path: &str, _with_parents: bool) -> Result<()> {
        Err(read_only(path))
    }

    /// Gives a file or directory another name in one step, unless something has that name. Parents must be there.
    ///
    /// # Errors
    /// If the file system does not answer.
    async fn rename(&self, from: &str, _to: &str) -> Result<Renamed> {
        Err(read_only(from))
    }

    /// Deletes a file, or a directory with all that is in it; whether there was one.
    ///
    /// # Errors
    /// If the file system does not answer.
    async fn delete(&self, path: &str) -> Result<bool> {
        Err(read_only(path))
    }

    /// Deletes a directory if it is there and nothing is in it.
    ///
    /// # Errors
    /// If the file system does not answer.
    async fn delete_empty(&self, path: &str) -> Result<()> {
        Err(read_only(path))
    }
}

fn read_only(path: &str) -> DataFusionError {
    DataFusionError::NotImplemented(format!("{path}: this file system is for reading only"))
}

/// Puts a small file in its place in one step: written beside it under a hidden name, closed durably, renamed. Nobody sees a part of
/// it. False if something has that name already.
///
/// # Errors
/// If the directory is not there, or the file system does not answer.
pub async fn publish(files: &dyn FileSystem, path: &str, content: Bytes) -> Result<bool> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let hidden = format!("{directory}/.{name}-{}", uuid::Uuid::new_v4().simple());
    let mut file = files.create(&hidden).await?;
    file.write(content).await?;
    file.close().await?;
    match files.rename(&hidden, path).await? {
        Renamed::Done => Ok(true),
        Renamed::TargetExists => {
            files.delete(&hidden).await?;
            Ok(false)
        }
        Renamed::Missing => Err(DataFusionError::Execution(format!(
            "{path}: its directory was removed while it was written"
        ))),
    }
}

/// A table's location, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// `host:port` of a NameNode; `None` for the cluster's own.
    pub authority: Option<String>,
    /// Absolute path, no slash at its end (but `/` itself).
    pub path: String,
}

/// Port that HDFS's clients assume when a location names none.
const DEFAULT_NAMENODE_PORT: u16 = 8020;

impl Location {
    /// Reads `hdfs://host:port/path`, `hdfs:///path` or a bare absolute path.
    ///
    /// # Errors
    /// If the scheme is another one, or the path is missing or not plain text.
    pub fn parse(text: &str) -> Result<Self> {
        let plan = |problem: &str| {
            Err(DataFusionError::Plan(format!(
                "location {text:?}: {problem}; expected hdfs://HOST:PORT/PATH, or hdfs:///PATH for this cluster's own files"
            )))
        };
        let (authority, path) = match text.split_once("://") {
            None => ("", text),
            Some(("hdfs", rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            Some(_) => return plan("scheme is not hdfs"),
        };
        if !path.starts_with('/') {
            return plan("path is missing or not absolute");
        }
        if path.split('/').any(|part| part == ".." || part == ".") || path.contains('\0') {
            return plan("path must not hold '.', '..' or NUL");
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        Ok(Self {
            authority: authority_of(authority),
            path: format!("/{}", parts.join("/")),
        })
    }

    /// URL of the file system, as scans carry it.
    ///
    /// # Errors
    /// If the authority cannot stand in a URL.
    pub fn store_url(&self) -> Result<ObjectStoreUrl> {
        ObjectStoreUrl::parse(format!("hdfs://{}/", self.authority.as_deref().unwrap_or_default()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "hdfs://{}{}",
            self.authority.as_deref().unwrap_or_default(),
            self.path
        )
    }
}

fn authority_of(text: &str) -> Option<String> {
    match text {
        "" => None,
        text if text.contains(':') => Some(text.to_ascii_lowercase()),
        host => Some(format!("{}:{DEFAULT_NAMENODE_PORT}", host.to_ascii_lowercase())),
    }
}

type Opener = Box<dyn Fn(&str) -> Arc<dyn FileSystem> + Send + Sync>;

/// Finds file systems by authority.
pub struct FileSystems {
    own: Arc<dyn FileSystem>,
    own_authority: String,
    others: Mutex<HashMap<String, Arc<dyn FileSystem>>>,
    opener: Opener,
}

/// Foreign NameNodes known at a time; beyond that the list starts anew.
const MAX_FOREIGN: usize = 256;

impl FileSystems {
    /// `own` answers for locations without authority and for `own_authority` (`host:port` of its NameNode); `opener` makes the
    /// file system of any other NameNode on first use.
    pub fn new(
        own: Arc<dyn FileSystem>,
        own_authority: &str,
        opener: impl Fn(&str) -> Arc<dyn FileSystem> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let own_authority = authority_of(own_authority).unwrap_or_default();
        Arc::new(Self {
            own,
            own_authority,
            others: Mutex::default(),
            opener: Box::new(opener),
        })
    }

    /// The file system of a location.
    #[must_use]
    pub fn get(&self, location: &Location) -> Arc<dyn FileSystem> {
        match location.authority.as_deref() {
            None => Arc::clone(&self.own),
            Some(authority) if authority == self.own_authority => Arc::clone(&self.own),
            Some(authority) => self.foreign(authority),
        }
    }

    fn foreign(&self, authority: &str) -> Arc<dyn FileSystem> {
        let mut others = self.others.lock();
        if others.len() >= MAX_FOREIGN && !others.contains_key(authority) {
            others.clear();
        }
        Arc::clone(
            others
                .entry(authority.to_owned())
                .or_insert_with(|| (self.opener)(authority)),
        )
    }

    /// The file system that a scan's URL means.
    ///
    /// # Errors
    /// If the URL's scheme is not `hdfs`.
    pub fn of_url(&self, url: &Url) -> Result<Arc<dyn FileSystem>> {
        if url.scheme() != "hdfs" {
            let scheme = url.scheme();
            return Err(DataFusionError::Plan(format!(
                "{scheme}:// cannot be read: tables lie in hdfs:// only"
            )));
        }
        let host = url.host_str().unwrap_or_default();
        let authority = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(self.get(&Location {
            authority: authority_of(&authority),
            path: "/".to_owned(),
        }))
    }
}

impl fmt::Debug for FileSystems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSystems")
            .field("own_authority", &self.own_authority)
            .finish_non_exhaustive()
    }
}

/// [`FileSystems`] as DataFusion's registry. Nothing can be added to it.
#[derive(Debug)]
pub(crate) struct HdfsOnly(pub(crate) Arc<FileSystems>);

impl ObjectStoreRegistry for HdfsOnly {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        Ok(self.0.of_url(url)?.store())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn locations_are_taken_apart() {
        let cases = [
            ("hdfs:///a/b", None, "/a/b"),
            ("hdfs:///a//b/", None, "/a/b"),
            ("/a", None, "/a"),
            ("hdfs://NN:9000/a", Some("nn:9000"), "/a"),
            ("hdfs://nn/a", Some("nn:8020"), "/a"),
            ("hdfs://nn:9000/", Some("nn:9000"), "/"),
        ];
        for (text, authority, path) in cases {
            let location = Location::parse(text).unwrap();
            assert_eq!(
                (location.authority.as_deref(), location.path.as_str()),
                (authority, path),
                "{text}"
            );
            location.store_url().unwrap();
        }
    }

    #[test]
    fn other_places_are_refused() {
        for text in [
            "file:///etc/passwd",
            "s3://b/k",
            "etc/passwd",
            "hdfs://nn:9000",
            "hdfs:///a/../b",
            "",
        ] {
            let error = Location::parse(text).unwrap_err();
            assert!(error.to_string().contains("hdfs://HOST:PORT/PATH"), "{error}");
        }
    }
}
