//! Commands that move bytes: `put`, `get`, `cat`.
//!
//! A file is written under a temporary name and renamed when it is whole, on both sides: a broken copy never looks
//! like a file. In the file system the temporary name ends in `._COPYING_`, as with HDFS.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use clap::Args;
use quarry_dfs_client::{CreateOptions, FileStatus, RenameOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::target::Target;
use super::{FsError, Session, progress};

/// Bytes per read and write: large enough to keep a pipeline busy, small enough to show progress.
const CHUNK: usize = 4 << 20;
/// Ending of a file that is still being copied.
const COPYING: &str = "._COPYING_";

/// Flags of `put`.
#[derive(Debug, Clone, Args)]
pub struct PutArgs {
    /// Replace what exists
    #[arg(short = 'f')]
    force: bool,
    /// LOCAL... DESTINATION; `-` for standard input
    #[arg(required = true, num_args = 2..)]
    paths: Vec<String>,
}

/// Flags of `get`.
#[derive(Debug, Clone, Args)]
pub struct GetArgs {
    /// Replace what exists
    #[arg(short = 'f')]
    force: bool,
    /// SOURCE... LOCAL; `-` for standard output
    #[arg(required = true, num_args = 2..)]
    paths: Vec<String>,
}

/// Flags of `cat`.
#[derive(Debug, Clone, Args)]
pub struct CatArgs {
    /// Files to write to standard output
    #[arg(required = true)]
    pub(super) paths: Vec<String>,
}

impl PutArgs {
    pub(super) fn destination(&self) -> &str {
        self.paths.last().map_or("", String::as_str)
    }
}

impl GetArgs {
    pub(super) fn sources(&self) -> Vec<&str> {
        self.paths[..self.paths.len() - 1].iter().map(String::as_str).collect()
    }
}

impl Session {
    pub(super) async fn put(&mut self, args: PutArgs) -> Result<(), FsError> {
        let (destination, sources) = args.paths.split_last().expect("the parser asks for two paths or more");
        let destination = self.target(destination);
        let status = self.dfs.status(&destination.path).await?;
        let into = status.as_ref().is_some_and(FileStatus::is_directory);
        if sources.len() > 1 && !into {
            return Err(FsError::NotADirectory(destination.shown));
        }
        if status.is_none() && self.dfs.status(destination.parent()).await?.is_none() {
            return Err(FsError::Absent(destination.parent().to_owned()));
        }
        for source in sources {
            let to = if into {
                destination.child(&local_name(source))
            } else {
                destination.clone()
            };
            let outcome = self.put_tree(Path::new(source), to, args.force).await;
            self.note(outcome);
        }
        Ok(())
    }

    async fn put_tree(&mut self, source: &Path, to: Target, force: bool) -> Result<(), FsError> {
        let mut waiting = vec![(source.to_owned(), to)];
        while let Some((source, to)) = waiting.pop() {
            if source.as_os_str() != "-" && source.is_dir() {
                self.dfs.mkdirs(&to.path).await?;
                for name in local_entries(&source)? {
                    waiting.push((source.join(&name), to.child(&name)));
                }
            } else {
                self.put_file(&source, &to, force).await?;
            }
        }
        Ok(())
    }

    async fn put_file(&self, source: &Path, to: &Target, force: bool) -> Result<(), FsError> {
        match self.dfs.status(&to.path).await? {
            Some(status) if status.is_directory() => return Err(FsError::IsDirectory(to.shown.clone())),
            Some(_) if !force => return Err(FsError::Exists(to.shown.clone())),
            _ => {}
        }
        if source.as_os_str() == "-" {
            return self.upload(tokio::io::stdin(), None, to).await;
        }
        let shown = source.display();
        let file = tokio::fs::File::open(source)
            .await
            .map_err(|error| absent_or_local(&shown, error))?;
        let length = file.metadata().await.map_err(FsError::local(&shown))?.len();
        self.upload(file, Some(length), to).await
    }

    async fn upload(&self, from: impl AsyncRead + Unpin, length: Option<u64>, to: &Target) -> Result<(), FsError> {
        let copying = format!("{}{COPYING}", to.path);
        let written = self.write_all(from, length, &copying, to).await;
        let published = match written {
            Ok(()) => {
                let options = RenameOptions { overwrite: true };
                self.dfs
                    .rename(&copying, &to.path, options)
                    .await
                    .map_err(FsError::from)
            }
            Err(error) => Err(error),
        };
        if published.is_err() {
            // The copy failed and says why; that its rest may stay behind would only hide that.
            let _ = self.dfs.delete(&copying, false).await;
        }
        published
    }

    async fn write_all(
        &self,
        mut from: impl AsyncRead + Unpin,
        length: Option<u64>,
        copying: &str,
        to: &Target,
    ) -> Result<(), FsError> {
        let bar = progress::bar(to.name(), length);
        let mut writer = self
            .dfs
            .create(
                copying,
                CreateOptions {
                    overwrite: true,
                    ..CreateOptions::default()
                },
            )
            .await?;
        loop {
            let chunk = next_chunk(&mut from).await.map_err(FsError::local("source"))?;
            if chunk.is_empty() {
                break;
            }
            bar.inc(chunk.len() as u64);
            writer.write(chunk).await?;
        }
        writer.close().await?;
        bar.finish_and_clear();
        Ok(())
    }

    pub(super) async fn get(&mut self, args: GetArgs) -> Result<(), FsError> {
        let (destination, sources) = args.paths.split_last().expect("the parser asks for two paths or more");
        let to_stdout = destination == "-";
        let destination = PathBuf::from(destination);
        if sources.len() > 1 && !to_stdout && !destination.is_dir() {
            return Err(FsError::NotADirectory(destination.display().to_string()));
        }
        for argument in sources {
            let source = self.target(argument);
            let outcome = if to_stdout {
                self.print_file(&source).await
            } else {
                let to = if destination.is_dir() {
                    destination.join(source.name())
                } else {
                    destination.clone()
                };
                self.get_tree(source, to, args.force).await
            };
            self.note(outcome);
        }
        Ok(())
    }

    async fn get_tree(&self, source: Target, to: PathBuf, force: bool) -> Result<(), FsError> {
        let status = self.existing(&source).await?;
        let mut waiting = vec![(source, status, to)];
        while let Some((source, status, to)) = waiting.pop() {
            if !status.is_directory() {
                self.download(&source, &to, force).await?;
                continue;
            }
            tokio::fs::create_dir_all(&to)
                .await
                .map_err(FsError::local(to.display()))?;
            for (_, entry) in self.entries(&source).await? {
                let name = entry.name().to_owned();
                waiting.push((source.child(&name), entry, to.join(&name)));
            }
        }
        Ok(())
    }

    async fn download(&self, source: &Target, to: &Path, force: bool) -> Result<(), FsError> {
        if to.exists() && !force {
            return Err(FsError::Exists(to.display().to_string()));
        }
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(COPYING);
        let copying = to.with_file_name(name);
        let outcome = self.download_as(source, &copying).await;
        let renamed = match outcome {
            Ok(()) => tokio::fs::rename(&copying, to)
                .await
                .map_err(FsError::local(to.display())),
            Err(error) => Err(error),
        };
        if renamed.is_err() {
            let _ = tokio::fs::remove_file(&copying).await;
        }
        renamed
    }

    async fn download_as(&self, source: &Target, copying: &Path) -> Result<(), FsError> {
        let shown = copying.display();
        let mut file = tokio::fs::File::create(copying)
            .await
            .map_err(|error| absent_or_local(&shown, error))?;
        self.read_all(source, &mut file, &shown.to_string()).await?;
        file.flush().await.map_err(FsError::local(&shown))
    }

    pub(super) async fn cat(&mut self, args: CatArgs) -> Result<(), FsError> {
        for argument in &args.paths {
            let target = self.target(argument);
            let outcome = self.print_file(&target).await;
            self.note(outcome);
        }
        Ok(())
    }

    async fn print_file(&self, source: &Target) -> Result<(), FsError> {
        if self.existing(source).await?.is_directory() {
            return Err(FsError::IsDirectory(source.shown.clone()));
        }
        let mut out = tokio::io::stdout();
        self.read_all(source, &mut out, "standard output").await?;
        out.flush().await.map_err(FsError::local("standard output"))
    }

    async fn read_all(&self, source: &Target, to: &mut (impl AsyncWrite + Unpin), shown: &str) -> Result<(), FsError> {
        let reader = self.dfs.open(&source.path).await?;
        let length = reader.len();
        let bar = progress::bar(source.name(), Some(length));
        let mut at = 0;
        while at < length {
            let end = length.min(at + CHUNK as u64);
            let chunk = reader.read_range(at..end).await?;
            to.write_all(&chunk).await.map_err(FsError::local(shown))?;
            bar.inc(chunk.len() as u64);
            at = end;
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// Reads up to a chunk; empty at the end.
async fn next_chunk(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let mut chunk = BytesMut::with_capacity(CHUNK);
    while chunk.len() < CHUNK && from.read_buf(&mut chunk).await? > 0 {}
    Ok(chunk.freeze())
}

fn local_name(source: &str) -> String {
    Path::new(source)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn local_entries(directory: &Path) -> Result<Vec<String>, FsError> {
    let shown = directory.display();
    let entries = std::fs::read_dir(directory).map_err(FsError::local(&shown))?;
    let names: Result<Vec<_>, _> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.map_err(FsError::local(&shown))
}

fn absent_or_local(path: &dyn std::fmt::Display, source: std::io::Error) -> FsError {
    if source.kind() == std::io::ErrorKind::NotFound {
        FsError::Absent(path.to_string())
    } else {
        FsError::Local {
            path: path.to_string(),
            source,
        }
    }
}
