//! Where each file of a copy goes: the rules for destinations, and the walk through the sources.

use super::super::failure::FsError;
use super::super::item::{Item, join};
use super::super::place::Place;
use super::super::session::Session;
use super::transfer::{self, How, Job};

/// Where a copy goes.
#[derive(Debug, Clone)]
pub(super) struct Destination(pub(super) Item);

impl Destination {
    /// A destination in the distributed file system: a pattern may stand for it, if it matches one path only.
    pub(super) async fn remote(session: &mut Session, argument: Option<String>) -> Result<Self, FsError> {
        let argument = argument.unwrap_or_else(|| ".".to_owned());
        let mut found = session.expand(&argument).await?;
        match found.pop() {
            Some(one) if found.is_empty() => {
                // How it was written tells whether a directory is meant.
                let shown = if one.exists() { one.shown } else { argument };
                Ok(Self(Item { shown, ..one }))
            }
            _ => Err(FsError::wrong(argument, "Too many matches")),
        }
    }

    /// A destination on this machine.
    pub(super) async fn local(session: &mut Session, argument: Option<String>) -> Result<Self, FsError> {
        let argument = argument.unwrap_or_else(|| ".".to_owned());
        Ok(Self(session.local_item(&argument).await?))
    }

    /// Checks that it suits so many sources.
    pub(super) async fn check(&self, sources: usize, overwrite: bool) -> Result<(), FsError> {
        let item = &self.0;
        if sources > 1 {
            return match (item.exists(), item.is_directory()) {
                (_, true) => Ok(()),
                (true, false) => Err(FsError::not_a_directory(&item.shown)),
                (false, _) => Err(FsError::absent(&item.shown)),
            };
        }
        if item.exists() {
            return match item.is_directory() || overwrite {
                true => Ok(()),
                false => Err(FsError::exists(&item.shown)),
            };
        }
        match item.place.status(item.parent()).await? {
            Some(_) => Ok(()),
            None => Err(FsError::absent_parent(&item.shown, item.qualified())),
        }
    }

    /// What a source named `name` becomes: an entry of a directory, or the destination itself.
    pub(super) fn for_source(&self, name: &str) -> Item {
        match self.0.is_directory() || self.0.looks_like_directory() {
            true => self.0.child(name),
            false => self.0.clone(),
        }
    }
}

/// Copies files and directories to a destination. What cannot be copied is reported, and the rest copied.
pub(super) async fn copy(
    session: &mut Session,
    sources: Vec<Item>,
    destination: Destination,
    how: &How,
) -> Result<(), FsError> {
    destination.check(sources.len(), how.overwrite).await?;
    let mut plan = Plan::default();
    for source in sources {
        let target = destination.for_source(source.name());
        let planned = check_pair(&source, &target);
        if session.note(planned).is_some() {
            plan.add_tree(session, source, target, how).await;
        }
    }
    let arrived = transfer::run(session, plan.jobs, how).await;
    for (source, target) in plan.directories.iter().rev() {
        let finished = finish_directory(source, target, how).await;
        session.note(finished);
    }
    tracing::debug!(files = arrived, "copied");
    Ok(())
}

/// Checks that a source may go there.
fn check_pair(source: &Item, target: &Item) -> Result<(), FsError> {
    if source.status()?.is_directory() && source.place.is(&target.place) {
        return check_not_inside(source, target);
    }
    Ok(())
}

/// Refuses to put a directory into itself.
pub(super) fn check_not_inside(source: &Item, target: &Item) -> Result<(), FsError> {
    if source.path == target.path {
        return Err(FsError::between(
            None,
            &source.shown,
            target.qualified(),
            "are identical",
        ));
    }
    if target.path.starts_with(&join(&source.path, "")) {
        return Err(FsError::between(
            None,
            &source.shown,
            &target.shown,
            "is a subdirectory of itself",
        ));
    }
    Ok(())
}

/// What there is to copy.
#[derive(Default)]
struct Plan {
    jobs: Vec<Job>,
    /// Directories whose attributes are set, or which are deleted, once all that they hold is copied; outer ones first.
    directories: Vec<(Item, Item)>,
}

impl Plan {
    /// Makes the directories of a tree, and plans its files.
    async fn add_tree(&mut self, session: &mut Session, source: Item, target: Item, how: &How) {
        let mut waiting = vec![(source, target)];
        while let Some((source, target)) = waiting.pop() {
            if !source.is_directory() {
                self.jobs.push(Job { source, target });
                continue;
            }
            let inner = open_directory(session, &source, &target, how).await;
            if let Some(inner) = session.note(inner) {
                let pair = |child: Item| {
                    let target = target.child(child.name());
                    (child, target)
                };
                waiting.extend(inner.into_iter().map(pair).rev());
                self.directories.push((source, target));
            }
        }
    }
}

/// Makes the directory `target` and returns what goes into it.
async fn open_directory(session: &mut Session, source: &Item, target: &Item, how: &How) -> Result<Vec<Item>, FsError> {
    match target.place.status(&target.path).await? {
        // Unlike a copy, a move does not merge with what is there.
        Some(status) if status.is_directory() && how.remove_source => return Err(FsError::exists(&target.shown)),
        Some(status) if status.is_directory() => {}
        Some(_) => return Err(FsError::not_a_directory(&target.shown)),
        None => target.place.mkdirs(&target.path).await?,
    }
    session.children(source).await
}

async fn finish_directory(source: &Item, target: &Item, how: &How) -> Result<(), FsError> {
    transfer::preserve(source, target, &how.attributes).await?;
    if how.remove_source && matches!(source.place, Place::Local) {
        source.place.delete(&source.path, false).await?;
    }
    Ok(())
}
