//! The trash: deleted files wait under `/user/<user>/.Trash/Current`, in the place that they had, until a checkpoint
//! (`.Trash/<time>`) grows older than the trash interval. Names and rules are those of HDFS's default trash policy, so that
//! its shell and ours empty each other's trash.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{Local, NaiveDateTime, TimeZone};

use crate::client::{DfsClient, RenameOptions, absent, parse};
use crate::error::{Error, Result};

/// Permission of the directories in the trash: the owner's business only.
const PERMISSION: u16 = 0o700;

/// How the name of a checkpoint tells its time, in local time as HDFS does.
const CHECKPOINT: &str = "%y%m%d%H%M%S";

/// The same in older versions, to the minute.
const OLD_CHECKPOINT: &str = "%y%m%d%H%M";

/// Checkpoints of one second at most.
const MAX_SAME_SECOND: u32 = 1000;

/// What became of something that was to go to the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trashed {
    /// It lies at that path now.
    Moved(String),
    /// It lies in the trash already: delete it if it must go.
    AlreadyInTrash,
}

impl DfsClient {
    /// The home directory of this client's user.
    pub fn home_directory(&self) -> String {
        format!("/user/{}", self.config().user)
    }

    /// The trash of this client's user.
    pub fn trash_root(&self) -> String {
        format!("{}/.Trash", self.home_directory())
    }

    /// Moves a file or directory to the trash, whatever the trash interval is: ask
    /// [`server_defaults`](Self::server_defaults) whether it is in use.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such path; [`Error::Invalid`] if the trash lies in it.
    pub async fn move_to_trash(&self, path: &str) -> Result<Trashed> {
        let path = parse(path)?.to_string();
        let root = self.trash_root();
        if self.status(&path).await?.is_none() {
            return Err(absent(&path));
        }
        if is_or_below(&path, &root) {
            return Ok(Trashed::AlreadyInTrash);
        }
        if is_or_below(&root, &path) {
            return Err(Error::Invalid {
                message: format!("Cannot move \"{path}\" to the trash, as it contains the trash"),
                path,
            });
        }
        let base = self.make_room(&path).await?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let place = self.free_name(format!("{base}/{name}")).await?;
        let options = RenameOptions::default();
        self.rename_with(&path, &place, options, true).await?;
        Ok(Trashed::Moved(place))
    }

    /// Makes the directory in the trash that `path`'s parent corresponds to. A file in its way (deleted earlier, when its
    /// name was a directory's) is walked around by a name with the time behind it.
    async fn make_room(&self, path: &str) -> Result<String> {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut base = format!("{}/Current{parent}", self.trash_root());
        let refused = match self.mkdirs_as(&base, PERMISSION).await {
            Ok(()) => return Ok(base),
            Err(error @ (Error::AlreadyExists { .. } | Error::ParentNotDirectory { .. })) => error,
            Err(error) => return Err(error),
        };
        let Some(obstacle) = self.file_on_the_way(&base).await? else {
            return Err(refused);
        };
        base = format!("{obstacle}{}{}", now_ms(), &base[obstacle.len()..]);
        self.mkdirs_as(&base, PERMISSION).await?;
        Ok(base)
    }

    /// The ancestor of `path`, or `path`, that is a file.
    async fn file_on_the_way(&self, path: &str) -> Result<Option<String>> {
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
        for end in ends.chain([path.len()]) {
            match self.status(&path[..end]).await? {
                Some(status) if status.is_directory() => {}
                Some(_) => return Ok(Some(path[..end].to_owned())),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// `place`, or if that is taken, `place` with the time behind it.
    async fn free_name(&self, place: String) -> Result<String> {
        let mut free = place.clone();
        while self.status(&free).await?.is_some() {
            free = format!("{place}{}", now_ms());
        }
        Ok(free)
    }

    /// Turns what lies in the trash now into a checkpoint, whose time begins to count; its path, if there was anything.
    pub async fn checkpoint_trash(&self) -> Result<Option<String>> {
        let root = self.trash_root();
        let current = format!("{root}/Current");
        if self.status(&current).await?.is_none() {
            return Ok(None);
        }
        let base = format!("{root}/{}", Local::now().format(CHECKPOINT));
        let mut checkpoint = base.clone();
        for attempt in 1..=MAX_SAME_SECOND {
            match self.rename(&current, &checkpoint, RenameOptions::default()).await {
                Ok(()) => return Ok(Some(checkpoint)),
                Err(Error::AlreadyExists { .. }) => checkpoint = format!("{base}-{attempt}"),
                Err(error) => return Err(error),
            }
        }
        Err(Error::AlreadyExists {
            message: format!("Failed to checkpoint trash: {checkpoint}"),
            path: checkpoint,
        })
    }

    /// Deletes the checkpoints that are older than `interval`; how many.
    pub async fn delete_trash_checkpoints(&self, interval: Duration) -> Result<usize> {
        let root = self.trash_root();
        let checkpoints = match self.list(&root).await {
            Ok(entries) => entries,
            Err(error) if error.is_not_found() => return Ok(0),
            Err(error) => return Err(error),
        };
        let now = now_ms();
        let mut deleted = 0;
        for checkpoint in checkpoints {
            let Some(made) = checkpoint_time(checkpoint.name()) else {
                continue;
            };
            if made + interval.as_millis() < now && self.delete(&checkpoint.path, true).await? {
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// Empties the trash: what lies in it now and every checkpoint.
    pub async fn empty_trash(&self) -> Result<usize> {
        self.checkpoint_trash().await?;
        let root = self.trash_root();
        let mut deleted = 0;
        let checkpoints = match self.list(&root).await {
            Ok(entries) => entries,
            Err(error) if error.is_not_found() => return Ok(0),
            Err(error) => return Err(error),
        };
        for checkpoint in checkpoints.iter().filter(|c| checkpoint_time(c.name()).is_some()) {
            deleted += usize::from(self.delete(&checkpoint.path, true).await?);
        }
        Ok(deleted)
    }
}

fn is_or_below(path: &str, directory: &str) -> bool {
    let rest = path.strip_prefix(directory.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn now_ms() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
}

/// When a checkpoint was made, in milliseconds since 1970; nothing for other names.
fn checkpoint_time(name: &str) -> Option<u128> {
    let stamp = name.split('-').next()?;
    if !stamp.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let format = match stamp.len() {
        12 => CHECKPOINT,
        10 => OLD_CHECKPOINT,
        _ => return None,
    };
    let time = NaiveDateTime::parse_from_str(stamp, format).ok()?;
    let local = Local.from_local_datetime(&time).earliest()?;
    u128::try_from(local.timestamp_millis()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn checkpoints_tell_their_time() {
        let now = Local::now();
        let name = now.format(CHECKPOINT).to_string();
        let made = checkpoint_time(&name).unwrap();
        assert_eq!(made / 1000, now.timestamp() as u128);
        assert_eq!(checkpoint_time(&format!("{name}-3")), Some(made));
        assert_eq!(checkpoint_time(&name[..10]).unwrap() / 60_000, made / 60_000);
        assert_eq!(checkpoint_time("Current"), None);
        assert_eq!(checkpoint_time("259999999999"), None);
    }

    #[test]
    fn below_is_by_component() {
        assert!(is_or_below("/a/b", "/a"));
        assert!(is_or_below("/a", "/a"));
        assert!(!is_or_below("/ab", "/a"));
        assert!(is_or_below("/ab", "/"));
    }
}
