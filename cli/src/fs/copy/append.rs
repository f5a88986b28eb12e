//! `appendToFile`.

use super::super::failure::FsError;
use super::super::format::Syntax;
use super::super::item::Item;
use super::super::place::{Place, Sink, Source, pump};
use super::super::progress::Progress;
use super::super::session::Session;

const SYNTAX: Syntax = Syntax::flags(&["n"], 2);

/// Appends local files, or standard input, to a file, which is made if it is absent.
pub(in crate::fs) async fn append_to_file(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = SYNTAX.parse(words)?;
    let new_block = given.has("n");
    let mut sources = given.rest;
    let target = sources.pop().unwrap_or_default();
    let has_stdin = sources.iter().any(|source| source == "-");
    if has_stdin && sources.len() > 1 {
        return Err(FsError::Other(
            "stdin (-) must be the sole input argument when present".to_owned(),
        ));
    }
    let mut opened = Vec::new();
    for source in &sources {
        opened.push(open(session, source).await?);
    }
    let target = session.item(&target).await?;
    if !target.exists() {
        target.place.create(&target.path).await?.close().await?;
    }
    let mut sink = end_of(&target, new_block).await?;
    let progress = Progress::of_stream(target.name());
    for mut source in opened {
        pump(&mut source, &mut sink, |bytes| progress.add(bytes)).await?;
    }
    sink.close().await
}

async fn open(session: &mut Session, argument: &str) -> Result<Source, FsError> {
    if argument == "-" {
        return Ok(Source::Stdin(tokio::io::stdin()));
    }
    let item = session.local_item(argument).await?;
    match item.status()?.is_directory() {
        true => Err(FsError::is_directory(&item.shown)),
        false => item.place.open(&item.path).await,
    }
}

async fn end_of(target: &Item, new_block: bool) -> Result<Sink, FsError> {
    match &target.place {
        Place::Dfs(dfs) => Ok(Sink::Dfs(Box::new(dfs.client.append(&target.path, new_block).await?))),
        Place::Local => {
            let file = tokio::fs::OpenOptions::new().append(true).open(&target.path).await;
            Ok(Sink::Local {
                file: file.map_err(FsError::local(&target.shown))?,
                path: target.path.clone(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::testing;

    #[tokio::test]
    async fn local_files_go_to_the_end_of_a_file_that_is_made_if_need_be() {
        let dir = testing::tree();
        let (one, two) = (dir.path("a.txt"), dir.path("sub/b.txt"));
        let (one, two, all) = (one.to_str().unwrap(), two.to_str().unwrap(), dir.url("/all"));
        for _ in 0..2 {
            let ran = testing::run("appendToFile", &[one, two, &all]).await;
            assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        }
        assert_eq!(
            std::fs::read_to_string(dir.path("all")).unwrap(),
            "first\ntwo\nfirst\ntwo\n"
        );
    }

    #[tokio::test]
    async fn standard_input_comes_alone() {
        let dir = testing::tree();
        let one = dir.path("a.txt");
        let ran = testing::run("appendToFile", &["-", one.to_str().unwrap(), &dir.url("/all")]).await;
        assert_eq!(
            ran.err,
            "appendToFile: stdin (-) must be the sole input argument when present\n"
        );
        assert!(!dir.path("all").exists());
    }
}
