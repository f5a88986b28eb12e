//! `mv`.

use quarry_dfs_client::RenameOptions;

use super::super::failure::FsError;
use super::super::format::Syntax;
use super::super::item::Item;
use super::super::session::Session;
use super::take_target;
use super::tree::{Destination, check_not_inside};

const SYNTAX: Syntax = Syntax::flags(&[], 2);

/// Renames files and directories; several go into a directory.
pub(in crate::fs) async fn mv(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let mut sources = SYNTAX.parse(words)?.rest;
    let destination = Destination::remote(session, take_target(&mut sources)).await?;
    let items = session.expand_all(&sources).await;
    destination.check(items.len(), false).await?;
    for source in items {
        let target = destination.for_source(source.name());
        let renamed = rename(&source, &target).await;
        session.note(renamed);
    }
    Ok(())
}

async fn rename(source: &Item, target: &Item) -> Result<(), FsError> {
    if source.status()?.is_directory() && source.place.is(&target.place) {
        check_not_inside(source, target)?;
    }
    if !source.place.is(&target.place) {
        return Err(FsError::wrong(&source.shown, "Does not match target filesystem"));
    }
    if target.place.status(&target.path).await?.is_some() {
        return Err(FsError::exists(&target.shown));
    }
    let options = RenameOptions::default();
    Ok(source.place.dfs()?.rename(&source.path, &target.path, options).await?)
}
