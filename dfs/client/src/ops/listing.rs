//! Directories, whole or page by page.

use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt};

use crate::client::{DfsClient, absent, parse};
use crate::error::Result;
use crate::location::LocatedFile;
use crate::namenode::{Entry, Page};
use crate::status::FileStatus;

/// Directories that one recursive listing asks for at the same time.
const LIST_PARALLELISM: usize = 8;

impl DfsClient {
    /// The entries of a directory in byte order of their names, or the one entry of a file. A directory larger than a page
    /// is read in several calls and may change between them.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such path.
    pub async fn list(&self, path: &str) -> Result<Vec<FileStatus>> {
        let path = parse(path)?;
        let entries = self.namenode().list(path.as_str(), false).await?;
        let entries = entries.ok_or_else(|| absent(path.as_str()))?;
        Ok(entries.into_iter().map(|(status, _)| status).collect())
    }

    /// Like [`Self::list`], a page at a time: for directories that need not fit into memory.
    ///
    /// # Errors
    /// If the path is malformed; the first page tells whether it exists.
    pub fn list_pages(&self, path: &str) -> Result<StatusPages> {
        Ok(StatusPages(Pages::new(self, path, false)?))
    }

    /// The files of one directory with their blocks, and its directories, a page at a time.
    ///
    /// # Errors
    /// If the path is malformed; the first page tells whether it exists.
    pub fn list_located_pages(&self, path: &str) -> Result<LocatedPages> {
        Ok(LocatedPages(Pages::new(self, path, true)?))
    }

    /// The files of a directory (and, if `recursive`, of those below it) or the one file at `path`, with their blocks:
    /// one call per page of a directory. In byte order of their paths within each directory.
    ///
    /// The locations are remembered: reading these files through the object store soon needs no further call.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such path.
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
        let Some(entries) = self.namenode().list(&directory, true).await? else {
            return Ok(None);
        };
        let (mut files, mut below) = (Vec::new(), Vec::new());
        for (status, blocks) in entries {
            match blocks {
                Some(blocks) => {
                    let blocks = Arc::new(blocks);
                    let file = LocatedFile { status, blocks };
                    self.shared().locations.insert(Arc::new(file.clone()), asked);
                    files.push(file);
                }
                None if status.is_directory() => below.push(status.path),
                None => {}
            }
        }
        Ok(Some((files, below)))
    }
}

/// The pages of a directory.
#[derive(Debug)]
struct Pages {
    client: DfsClient,
    path: String,
    locations: bool,
    /// The name that the next page begins after.
    next: Option<Vec<u8>>,
}

impl Pages {
    fn new(client: &DfsClient, path: &str, locations: bool) -> Result<Self> {
        Ok(Self {
            client: client.clone(),
            path: parse(path)?.to_string(),
            locations,
            next: Some(Vec::new()),
        })
    }

    async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        let Some(start_after) = self.next.clone() else {
            return Ok(None);
        };
        let first = start_after.is_empty();
        let page = self
            .client
            .namenode()
            .list_page(&self.path, start_after, self.locations)
            .await?;
        // Deleted between two pages: nothing more is there.
        let gone = Page {
            entries: Vec::new(),
            next: None,
        };
        let page = match page {
            None if first => return Err(absent(&self.path)),
            page => page.unwrap_or(gone),
        };
        self.next = page.next;
        Ok(Some(page.entries))
    }
}

/// A directory's entries, a page at a time.
#[derive(Debug)]
pub struct StatusPages(Pages);

impl StatusPages {
    /// The next page, or nothing after the last.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), on the first page, if there is no such path.
    pub async fn next(&mut self) -> Result<Option<Vec<FileStatus>>> {
        let page = self.0.next().await?;
        Ok(page.map(|entries| entries.into_iter().map(|(status, _)| status).collect()))
    }
}

/// A directory's files with their blocks, a page at a time.
#[derive(Debug)]
pub struct LocatedPages(Pages);

impl LocatedPages {
    /// The next page: its files with their blocks, and its directories. Nothing after the last.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), on the first page, if there is no such path.
    pub async fn next(&mut self) -> Result<Option<(Vec<LocatedFile>, Vec<FileStatus>)>> {
        let Some(entries) = self.0.next().await? else {
            return Ok(None);
        };
        let (mut files, mut others) = (Vec::new(), Vec::new());
        for (status, blocks) in entries {
            match blocks {
                Some(blocks) => files.push(LocatedFile {
                    status,
                    blocks: Arc::new(blocks),
                }),
                None => others.push(status),
            }
        }
        Ok(Some((files, others)))
    }
}
