//! `chmod`, `chown`, `chgrp` and `setrep`.

use std::time::Duration;

use async_trait::async_trait;

use super::failure::FsError;
use super::format::Syntax;
use super::item::Item;
use super::mode::Mode;
use super::session::{Session, Visitor};

const CHANGE: Syntax = Syntax::flags(&["R"], 2);

/// Changes permissions.
pub(super) async fn chmod(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    // A mode such as `-w` is not an option.
    let is_mode = |word: &String| word.starts_with('-') && word != "-R" && word != "--" && Mode::parse(word).is_some();
    let words = match words.iter().position(is_mode) {
        Some(at) => [&words[..at], &["--".to_owned()], &words[at..]].concat(),
        None => words,
    };
    let given = CHANGE.parse(words)?;
    let (text, paths) = given.rest.split_first().expect("two arguments or more were asked for");
    let mode = Mode::parse(text)
        .ok_or_else(|| FsError::Usage(format!("chmod : mode '{text}' does not match the expected pattern.")))?;
    session.visit(paths, given.has("R"), &mut Chmod { mode }).await;
    Ok(())
}

struct Chmod {
    mode: Mode,
}

#[async_trait]
impl Visitor for Chmod {
    async fn visit(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        let status = item.status()?;
        let wanted = self.mode.applied_to(status.permission, status.is_directory());
        if wanted == status.permission {
            return Ok(());
        }
        let set = item.place.set_permission(&item.path, wanted).await;
        set.map_err(|error| FsError::Other(format!("changing permissions of '{}': {error}", item.shown)))
    }
}

/// Changes owners.
pub(super) async fn chown(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = CHANGE.parse(words)?;
    let (text, paths) = given.rest.split_first().expect("two arguments or more were asked for");
    let (owner, group) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
    if !is_name(owner) || !is_name(group) {
        let complaint = format!("'{text}' does not match expected pattern for [owner][:group].");
        return Err(FsError::Usage(complaint));
    }
    if owner.is_empty() && group.is_empty() {
        return Err(FsError::Usage(format!("'{text}' does not specify owner or group.")));
    }
    let mut chown = Chown::new(owner, group);
    session.visit(paths, given.has("R"), &mut chown).await;
    Ok(())
}

/// Changes groups.
pub(super) async fn chgrp(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = CHANGE.parse(words)?;
    let (text, paths) = given.rest.split_first().expect("two arguments or more were asked for");
    let group = text.trim();
    if group.is_empty() || !is_name(group) {
        return Err(FsError::Usage(format!(
            "'{text}' does not match expected pattern for group"
        )));
    }
    let mut chown = Chown::new("", group);
    session.visit(paths, given.has("R"), &mut chown).await;
    Ok(())
}

/// Whether HDFS's shell takes it as the name of a user or group; empty is one.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-+_./@".contains(c))
}

struct Chown {
    owner: Option<String>,
    group: Option<String>,
}

impl Chown {
    fn new(owner: &str, group: &str) -> Self {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        Self {
            owner: named(owner),
            group: named(group),
        }
    }
}

#[async_trait]
impl Visitor for Chown {
    async fn visit(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        let status = item.status()?;
        let owner = self.owner.as_deref().filter(|owner| *owner != status.owner);
        let group = self.group.as_deref().filter(|group| *group != status.group);
        if owner.is_none() && group.is_none() {
            return Ok(());
        }
        let set = item.place.set_owner(&item.path, owner, group).await;
        set.map_err(|error| FsError::Other(format!("changing ownership of '{}': {error}", item.shown)))
    }
}

const SETREP: Syntax = Syntax::flags(&["R", "w"], 2);

/// Pause between two looks at whether the replicas are there.
const REPLICAS_PAUSE: Duration = Duration::from_secs(1);

/// Sets how many replicas files have, in whole trees.
pub(super) async fn setrep(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = SETREP.parse(words)?;
    let (text, paths) = given.rest.split_first().expect("two arguments or more were asked for");
    let replication = match text.parse::<i32>() {
        Ok(number) => match u16::try_from(number) {
            Ok(number) if number > 0 => number,
            _ => return Err(FsError::Usage("replication must be >= 1".to_owned())),
        },
        Err(_) => {
            session.say_named(&"Illegal replication, a positive integer expected");
            return Err(FsError::Usage(format!("For input string: \"{text}\"")));
        }
    };
    let mut setrep = Setrep {
        replication,
        waiting: Vec::new(),
    };
    session.visit(paths, true, &mut setrep).await;
    if given.has("w") {
        for item in std::mem::take(&mut setrep.waiting) {
            let waited = setrep.wait(session, &item).await;
            session.note(waited);
        }
    }
    Ok(())
}

struct Setrep {
    replication: u16,
    waiting: Vec<Item>,
}

#[async_trait]
impl Visitor for Setrep {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        if !item.is_file() {
            return Ok(());
        }
        if !item.place.dfs()?.set_replication(&item.path, self.replication).await? {
            return Err(FsError::Other(format!("Could not set replication for: {}", item.shown)));
        }
        session.print(format_args!("Replication {} set: {}", self.replication, item.shown))?;
        self.waiting.push(item.clone());
        Ok(())
    }
}

impl Setrep {
    /// Waits until each block of a file has as many replicas.
    async fn wait(&self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        session.write(format!("Waiting for {} ...", item.shown).as_bytes())?;
        session.flush()?;
        let wanted = usize::from(self.replication);
        let mut warned = false;
        loop {
            let blocks = item.place.dfs()?.block_locations(&item.path).await?;
            let counts = || blocks.blocks.iter().map(|block| block.datanodes.len());
            if counts().all(|count| count == wanted) {
                return session.print(" done");
            }
            if !warned && counts().any(|count| count > wanted) {
                let warning = "\nWARNING: the waiting time may be long for DECREASING the number of replications.";
                session.write(warning.as_bytes())?;
                warned = true;
            }
            session.write(b".")?;
            session.flush()?;
            tokio::time::sleep(REPLICAS_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::super::testing;

    #[tokio::test]
    async fn modes_are_set_below_a_directory_too() {
        let dir = testing::tree();
        assert_eq!(testing::run("chmod", &["-R", "700", &dir.url("/sub")]).await.code, 0);
        assert_eq!(testing::run("chmod", &["-x,g+r", &dir.url("/sub/b.txt")]).await.code, 0);
        let mode = std::fs::metadata(dir.path("sub/b.txt")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[tokio::test]
    async fn names_and_modes_that_make_no_sense_are_usage_errors() {
        for (verb, words, message) in [
            (
                "chmod",
                ["999", "/x"],
                "chmod: chmod : mode '999' does not match the expected pattern.",
            ),
            (
                "chown",
                ["a:b:c", "/x"],
                "chown: 'a:b:c' does not match expected pattern for [owner][:group].",
            ),
            ("chown", [":", "/x"], "chown: ':' does not specify owner or group."),
            (
                "chgrp",
                ["a b!", "/x"],
                "chgrp: 'a b!' does not match expected pattern for group",
            ),
            ("setrep", ["0", "/x"], "setrep: replication must be >= 1"),
        ] {
            let ran = testing::run(verb, &words).await;
            assert_eq!(ran.err.lines().next(), Some(message));
            assert_eq!(ran.code, super::super::USAGE_CODE);
        }
    }
}
