//! `getmerge`: many files become one local file.

use bytes::Bytes;

use super::super::failure::FsError;
use super::super::format::Syntax;
use super::super::item::Item;
use super::super::place::pump;
use super::super::progress::Progress;
use super::super::session::Session;

const SYNTAX: Syntax = Syntax::flags(&["nl", "skip-empty-file"], 2);

/// Writes files, and the files directly in directories, one after the other into a local file.
pub(in crate::fs) async fn getmerge(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = SYNTAX.parse(words)?;
    let (newline, skip_empty) = (given.has("nl"), given.has("skip-empty-file"));
    let mut sources = given.rest;
    let target = sources.pop().unwrap_or_default();
    let target = session.local_item(&target).await?;
    if target.is_directory() {
        return Err(FsError::is_directory(&target.shown));
    }
    let mut files = Vec::new();
    for item in session.expand_all(&sources).await {
        let found = files_of(session, item).await;
        files.extend(session.note(found).unwrap_or_default());
    }
    if session.failures() > 0 {
        return Ok(());
    }
    files.retain(|file| !skip_empty || file.status.as_ref().is_some_and(|status| status.length > 0));
    merge(&files, &target, newline).await
}

async fn files_of(session: &mut Session, item: Item) -> Result<Vec<Item>, FsError> {
    item.status()?;
    if !item.is_directory() {
        return Ok(vec![item]);
    }
    let mut files = session.children(&item).await?;
    files.retain(Item::is_file);
    Ok(files)
}

async fn merge(files: &[Item], target: &Item, newline: bool) -> Result<(), FsError> {
    let length = |file: &Item| file.status.as_ref().map_or(0, |status| status.length);
    let progress = Progress::of_files(files.len(), files.iter().map(length).sum());
    let mut sink = target.place.create(&target.path).await?;
    for file in files {
        let mut source = file.place.open(&file.path).await?;
        pump(&mut source, &mut sink, |bytes| progress.add(bytes)).await?;
        if newline {
            sink.write(Bytes::from_static(b"\n")).await?;
        }
        progress.file_done();
    }
    sink.close().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::testing;

    #[tokio::test]
    async fn files_of_a_directory_are_joined_and_directories_in_it_left_out() {
        let dir = testing::tree();
        let merged = dir.path("merged");
        let to = merged.to_str().unwrap();
        let ran = testing::run("getmerge", &["-nl", &dir.url(""), to]).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(std::fs::read_to_string(&merged).unwrap(), "first\n\n\n");
        std::fs::remove_file(&merged).unwrap();
        testing::run("getmerge", &["-nl", "-skip-empty-file", &dir.url(""), to]).await;
        assert_eq!(std::fs::read_to_string(&merged).unwrap(), "first\n\n");
    }

    #[tokio::test]
    async fn nothing_is_written_when_a_source_is_absent() {
        let dir = testing::tree();
        let merged = dir.path("merged");
        let ran = testing::run("getmerge", &[&dir.url("/absent"), merged.to_str().unwrap()]).await;
        assert_eq!(ran.code, 1);
        assert!(!merged.exists());
    }
}
