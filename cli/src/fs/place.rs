//! The two kinds of file system that a command can touch: the distributed one, and this machine's.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use quarry_dfs_client::{CreateOptions, DfsClient, FileReader, FileStatus, FileWriter, MkdirOptions, RenameOptions};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::failure::FsError;
use super::local;

/// Bytes per read and write: large enough to keep a pipeline busy, small enough to show progress.
const CHUNK: usize = 4 << 20;

/// Permission bits of new files and directories before the umask.
const NEW_FILE: u16 = 0o666;
const NEW_DIRECTORY: u16 = 0o777;

/// A file system.
#[derive(Clone)]
pub(super) enum Place {
    /// A distributed one.
    Dfs(Arc<DfsPlace>),
    /// This machine's.
    Local,
}

/// A distributed file system, and how files are made in it.
pub(super) struct DfsPlace {
    /// The client.
    pub(super) client: DfsClient,
    /// `host:port`, or the name of a nameservice.
    pub(super) authority: String,
    /// Permission bits that new files and directories do not get.
    pub(super) umask: u16,
    /// How files are made.
    pub(super) create: CreateOptions,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dfs(dfs) => write!(f, "hdfs://{}", dfs.authority),
            Self::Local => f.write_str("file:"),
        }
    }
}

impl Place {
    /// Whether both are the same file system.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dfs(a), Self::Dfs(b)) => a.authority == b.authority,
            (Self::Local, Self::Local) => true,
            _ => false,
        }
    }

    /// The client of a distributed one.
    ///
    /// # Errors
    /// It is this machine's.
    pub(super) fn dfs(&self) -> Result<&DfsClient, FsError> {
        match self {
            Self::Dfs(dfs) => Ok(&dfs.client),
            Self::Local => Err(FsError::Other("not supported on local files".to_owned())),
        }
    }

    /// A path with the file system's name in front.
    pub(super) fn qualify(&self, path: &str) -> String {
        match self {
            Self::Dfs(dfs) => format!("hdfs://{}{path}", dfs.authority),
            Self::Local => format!("file://{path}"),
        }
    }

    /// The directory at which relative paths begin.
    pub(super) fn home(&self) -> String {
        match self {
            Self::Dfs(dfs) => dfs.client.home_directory(),
            Self::Local => std::env::current_dir().map_or_else(|_| "/".to_owned(), |dir| dir.display().to_string()),
        }
    }

    /// What is at `path`, if anything.
    pub(super) async fn status(&self, path: &str) -> Result<Option<FileStatus>, FsError> {
        match self {
            Self::Dfs(dfs) => Ok(dfs.client.status(path).await?),
            Self::Local => local::status(path),
        }
    }

    /// The entries of a directory in the order of their names.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<FileStatus>, FsError> {
        match self {
            Self::Dfs(dfs) => Ok(dfs.client.list(path).await?),
            Self::Local => local::list(path),
        }
    }

    /// Makes a directory and those missing on the way.
    pub(super) async fn mkdirs(&self, path: &str) -> Result<(), FsError> {
        match self {
            Self::Dfs(dfs) => {
                let options = MkdirOptions {
                    permission: NEW_DIRECTORY & !dfs.umask,
                    unmasked: Some(NEW_DIRECTORY),
                    create_parent: true,
                };
                Ok(dfs.client.mkdir_with(path, options).await?)
            }
            Self::Local => tokio::fs::create_dir_all(path).await.map_err(FsError::local(path)),
        }
    }

    /// Gives a path another name, replacing what has it.
    pub(super) async fn rename_over(&self, from: &str, to: &str) -> Result<(), FsError> {
        match self {
            Self::Dfs(dfs) => Ok(dfs.client.rename(from, to, RenameOptions { overwrite: true }).await?),
            Self::Local => tokio::fs::rename(from, to).await.map_err(FsError::local(to)),
        }
    }

    /// Deletes a file or directory; whether there was one.
    pub(super) async fn delete(&self, path: &str, recursive: bool) -> Result<bool, FsError> {
        match self {
            Self::Dfs(dfs) => Ok(dfs.client.delete(path, recursive).await?),
            Self::Local => local::delete(path, recursive),
        }
    }

    /// Opens a file for reading.
    pub(super) async fn open(&self, path: &str) -> Result<Source, FsError> {
        match self {
            Self::Dfs(dfs) => {
                let reader = dfs.client.open(path).await?;
                let range = 0..reader.len();
                Ok(Source::Dfs { reader, range })
            }
            Self::Local => Ok(Source::Local {
                file: File::open(path).await.map_err(FsError::local(path))?,
                path: path.to_owned(),
            }),
        }
    }

    /// Creates a file, replacing one that is there.
    pub(super) async fn create(&self, path: &str) -> Result<Sink, FsError> {
        match self {
            Self::Dfs(dfs) => {
                let options = CreateOptions {
                    overwrite: true,
                    permission: NEW_FILE & !dfs.umask,
                    unmasked: Some(NEW_FILE),
                    ..dfs.create
                };
                Ok(Sink::Dfs(Box::new(dfs.client.create(path, options).await?)))
            }
            Self::Local => Ok(Sink::Local {
                file: File::create(path).await.map_err(FsError::local(path))?,
                path: path.to_owned(),
            }),
        }
    }

    /// Sets permission bits.
    pub(super) async fn set_permission(&self, path: &str, permission: u16) -> Result<(), FsError> {
        match self {
            Self::Dfs(dfs) => Ok(dfs.client.set_permission(path, permission).await?),
            Self::Local => local::set_permission(Path::new(path), permission),
        }
    }

    /// Sets owner, group or both.
    pub(super) async fn set_owner(&self, path: &str, owner: Option<&str>, group: Option<&str>) -> Result<(), FsError> {
        match self {
            Self::Dfs(dfs) => Ok(dfs.client.set_owner(path, owner, group).await?),
            Self::Local => local::set_owner(Path::new(path), owner, group),
        }
    }

    /// Sets when a file was last changed and read, in milliseconds since 1970.
    pub(super) async fn set_times(&self, path: &str, modified: Option<u64>, read: Option<u64>) -> Result<(), FsError> {
        match self {
            Self::Dfs(dfs) => Ok(dfs.client.set_times(path, modified, read).await?),
            Self::Local => local::set_times(Path::new(path), modified, read),
        }
    }
}

/// A file being read, from its start to its end.
pub(super) enum Source {
    /// Of a distributed file system.
    Dfs {
        /// The file.
        reader: FileReader,
        /// What is still to be read.
        range: Range<u64>,
    },
    /// Of this machine.
    Local {
        /// The file.
        file: File,
        /// For messages.
        path: String,
    },
    /// Standard input.
    Stdin(tokio::io::Stdin),
}

impl Source {
    /// The next bytes; empty at the end.
    pub(super) async fn next(&mut self) -> Result<Bytes, FsError> {
        match self {
            Self::Dfs { reader, range } => {
                let end = range.end.min(range.start + CHUNK as u64);
                let chunk = reader.read_range(range.start..end).await?;
                range.start = end;
                Ok(chunk)
            }
            Self::Local { file, path } => next_chunk(file).await.map_err(FsError::local(&path)),
            Self::Stdin(stdin) => next_chunk(stdin).await.map_err(FsError::local("-")),
        }
    }

    /// How many bytes are to come, where that is known.
    pub(super) async fn length(&self) -> Option<u64> {
        match self {
            Self::Dfs { range, .. } => Some(range.end - range.start),
            Self::Local { file, .. } => file.metadata().await.ok().map(|metadata| metadata.len()),
            Self::Stdin(_) => None,
        }
    }
}

/// Reads up to a chunk; empty at the end.
async fn next_chunk(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let mut chunk = BytesMut::with_capacity(CHUNK);
    while chunk.len() < CHUNK && from.read_buf(&mut chunk).await? > 0 {}
    Ok(chunk.freeze())
}

/// A file being written.
pub(super) enum Sink {
    /// Of a distributed file system.
    Dfs(Box<FileWriter>),
    /// Of this machine.
    Local {
        /// The file.
        file: File,
        /// For messages.
        path: String,
    },
}

impl Sink {
    /// Appends bytes.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), FsError> {
        match self {
            Self::Dfs(writer) => Ok(writer.write(bytes).await?),
            Self::Local { file, path } => file.write_all(&bytes).await.map_err(FsError::local(&path)),
        }
    }

    /// Ends the file: a distributed one is safe on its DataNodes then.
    pub(super) async fn close(self) -> Result<(), FsError> {
        match self {
            Self::Dfs(writer) => writer.close().await.map(drop).map_err(FsError::from),
            Self::Local { mut file, path } => file.flush().await.map_err(FsError::local(path)),
        }
    }
}

/// Copies all of `source` to `sink`, the next bytes being read while the last ones are written; tells `progress` how many.
pub(super) async fn pump(source: &mut Source, sink: &mut Sink, progress: impl Fn(u64)) -> Result<(), FsError> {
    let mut chunk = source.next().await?;
    while !chunk.is_empty() {
        let length = chunk.len() as u64;
        let (written, next) = tokio::join!(sink.write(chunk), source.next());
        written?;
        progress(length);
        chunk = next?;
    }
    Ok(())
}
