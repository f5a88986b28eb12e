//! `rm`, `rmdir` and `expunge`, and the trash.

use std::io::{BufRead, Write};
use std::time::Duration;

use async_trait::async_trait;
use quarry_dfs_client::Trashed;

use super::failure::FsError;
use super::format::{Syntax, take_value};
use super::item::Item;
use super::place::Place;
use super::session::{Session, Visitor};

const RM: Syntax = Syntax::flags(&["f", "r", "R", "skipTrash", "safely"], 1);
const RMDIR: Syntax = Syntax::flags(&["-ignore-fail-on-non-empty"], 1);
const EXPUNGE: Syntax = Syntax::flags(&["immediate"], 0).at_most(0);

/// Deletes files and directories.
pub(super) async fn rm(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = RM.parse(words)?;
    let mut rm = Rm {
        recursive: given.has("r") || given.has("R"),
        ignore_absent: given.has("f"),
        skip_trash: given.has("skipTrash"),
        safely: given.has("safely"),
    };
    for argument in &given.rest {
        match session.expand(argument).await {
            // A pattern that nothing matches.
            Err(error) if rm.ignore_absent && error.is_absent() => {}
            expanded => {
                for item in session.note(expanded).unwrap_or_default() {
                    let removed = rm.remove(session, &item).await;
                    session.note(removed);
                }
            }
        }
    }
    Ok(())
}

struct Rm {
    recursive: bool,
    ignore_absent: bool,
    skip_trash: bool,
    safely: bool,
}

impl Rm {
    async fn remove(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        if !item.exists() && self.ignore_absent {
            return Ok(());
        }
        if item.status()?.is_directory() && !self.recursive {
            return Err(FsError::is_directory(&item.shown));
        }
        if !self.skip_trash && to_trash(session, item).await? {
            return Ok(());
        }
        if self.safely && !is_confirmed(session, item).await? {
            return Ok(());
        }
        if !item.place.delete(&item.path, self.recursive).await? {
            return Err(FsError::wrong(&item.shown, "Input/output error"));
        }
        session.print(format_args!("Deleted {}", item.shown))
    }
}

/// Minutes that deleted files stay in the trash of that file system; 0: there is none.
async fn trash_interval(session: &Session, place: &Place) -> Result<u64, FsError> {
    let Place::Dfs(dfs) = place else { return Ok(0) };
    let of_server = dfs.client.server_defaults().await?.trash_interval_minutes;
    Ok(if of_server > 0 {
        of_server
    } else {
        session.generic().trash_interval
    })
}

/// Moves it to the trash, if there is one and it is not in there already.
async fn to_trash(session: &mut Session, item: &Item) -> Result<bool, FsError> {
    if trash_interval(session, &item.place).await? == 0 {
        return Ok(false);
    }
    let moved = item.place.dfs()?.move_to_trash(&item.path).await;
    match moved.map_err(FsError::from) {
        Ok(Trashed::Moved(to)) => {
            let (from, to) = (item.qualified(), item.place.qualify(&to));
            session.say(format_args!("Moved: '{from}' to trash at: {to}"));
            Ok(true)
        }
        Ok(Trashed::AlreadyInTrash) => Ok(false),
        Err(error) if error.is_absent() => Err(error),
        Err(error) => Err(FsError::Other(format!("{error}. Consider using -skipTrash option"))),
    }
}

/// Asks before many files are deleted.
async fn is_confirmed(session: &mut Session, item: &Item) -> Result<bool, FsError> {
    let limit = session.generic().safe_delete_limit;
    let Place::Dfs(dfs) = &item.place else { return Ok(true) };
    let files = dfs.client.content_summary(&item.path).await?.file_count;
    if limit == 0 || files <= limit {
        return Ok(true);
    }
    session.flush()?;
    let confirmed = ask(&format!("Proceed deleting {files} files?"));
    if !confirmed {
        session.say("Delete aborted at user request.\n");
    }
    Ok(confirmed)
}

/// Asks until the answer is yes or no; the end of the input is no.
fn ask(question: &str) -> bool {
    let mut lines = std::io::stdin().lock().lines();
    loop {
        // A question that cannot be shown is answered with no.
        let mut err = std::io::stderr();
        if write!(err, "{question} (Y or N) ").and_then(|()| err.flush()).is_err() {
            return false;
        }
        let Some(Ok(answer)) = lines.next() else { return false };
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return true,
            "n" | "no" => return false,
            other => eprintln!("Invalid input: {other}"),
        }
    }
}

/// Deletes empty directories.
pub(super) async fn rmdir(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = RMDIR.parse(words)?;
    let mut rmdir = Rmdir {
        ignore_full: given.has("-ignore-fail-on-non-empty"),
    };
    session.visit(&given.rest, false, &mut rmdir).await;
    Ok(())
}

struct Rmdir {
    ignore_full: bool,
}

#[async_trait]
impl Visitor for Rmdir {
    async fn visit(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        if !item.is_directory() {
            return Err(FsError::not_a_directory(&item.shown));
        }
        if !item.place.list(&item.path).await?.is_empty() {
            return match self.ignore_full {
                true => Ok(()),
                false => Err(FsError::wrong(&item.shown, "Directory is not empty")),
            };
        }
        match item.place.delete(&item.path, false).await? {
            true => Ok(()),
            false => Err(FsError::wrong(&item.shown, "Input/output error")),
        }
    }
}

/// Turns the trash into a checkpoint and deletes old ones; with `-immediate`, empties it.
pub(super) async fn expunge(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    let named = take_value(&mut words, "-fs")?;
    let immediate = EXPUNGE.parse(words)?.has("immediate");
    let place = match &named {
        Some(url) => session.item(url).await?.place,
        None => session.cluster(None)?,
    };
    let dfs = place.dfs()?;
    if immediate {
        dfs.empty_trash().await?;
        return Ok(());
    }
    let minutes = trash_interval(session, &place).await?;
    if minutes == 0 {
        return Ok(());
    }
    dfs.delete_trash_checkpoints(Duration::from_secs(minutes * 60)).await?;
    if let Some(checkpoint) = dfs.checkpoint_trash().await? {
        session.say(format_args!("Created trash checkpoint: {checkpoint}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing;

    #[tokio::test]
    async fn directories_need_to_be_asked_for() {
        let dir = testing::tree();
        let sub = dir.url("/sub");
        let ran = testing::run("rm", &[&sub, &dir.url("/a.txt")]).await;
        assert_eq!(ran.err, format!("rm: `{sub}': Is a directory\n"));
        assert_eq!((ran.code, ran.out), (1, format!("Deleted {}\n", dir.url("/a.txt"))));
        assert_eq!(testing::run("rm", &["-r", &sub]).await.out, format!("Deleted {sub}\n"));
        assert!(!dir.path("sub").exists());
    }

    #[tokio::test]
    async fn what_is_absent_may_be_passed_over() {
        let dir = testing::tree();
        let absent = dir.url("/absent");
        let ran = testing::run("rm", &[&absent]).await;
        assert_eq!(
            (ran.code, ran.err),
            (1, format!("rm: `{absent}': No such file or directory\n"))
        );
        let ran = testing::run("rm", &["-f", &absent, &dir.url("/*.none")]).await;
        assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (0, "", ""));
    }

    #[tokio::test]
    async fn rmdir_takes_empty_directories_only() {
        let dir = testing::tree();
        let sub = dir.url("/sub");
        let ran = testing::run("rmdir", &[&sub]).await;
        assert_eq!(
            (ran.code, ran.err),
            (1, format!("rmdir: `{sub}': Directory is not empty\n"))
        );
        assert_eq!(
            testing::run("rmdir", &["--ignore-fail-on-non-empty", &sub]).await.code,
            0
        );
        assert!(dir.path("sub").exists());
    }
}
