//! `mkdir`, `touchz` and `touch`: what makes new names.

use async_trait::async_trait;
use chrono::{Local, NaiveDateTime, TimeZone};

use super::failure::FsError;
use super::format::{Syntax, take_value};
use super::item::Item;
use super::session::{Session, Visitor};

const MKDIR: Syntax = Syntax::flags(&["p"], 1);
const TOUCHZ: Syntax = Syntax::flags(&[], 1);
const TOUCH: Syntax = Syntax::flags(&["a", "m", "c"], 1);

/// How `touch -t` takes a time, in HDFS's words and in `strftime`'s.
const TIME_FORM: (&str, &str) = ("yyyyMMdd:HHmmss", "%Y%m%d:%H%M%S");

/// Makes directories.
pub(super) async fn mkdir(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = MKDIR.parse(words)?;
    let mut mkdir = Mkdir {
        parents: given.has("p"),
    };
    session.visit(&given.rest, false, &mut mkdir).await;
    Ok(())
}

struct Mkdir {
    parents: bool,
}

#[async_trait]
impl Visitor for Mkdir {
    async fn visit(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        match (item.is_directory(), self.parents) {
            (true, true) => Ok(()),
            (true, false) => Err(FsError::exists(&item.shown)),
            (false, _) => Err(FsError::not_a_directory(&item.shown)),
        }
    }

    async fn absent(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        if !self.parents && item.place.status(item.parent()).await?.is_none() {
            return Err(FsError::absent(item.place.qualify(item.parent())));
        }
        item.place.mkdirs(&item.path).await
    }
}

/// Makes empty files.
pub(super) async fn touchz(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = TOUCHZ.parse(words)?;
    session.visit(&given.rest, false, &mut Touchz).await;
    Ok(())
}

struct Touchz;

#[async_trait]
impl Visitor for Touchz {
    async fn visit(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        let status = item.status()?;
        if status.is_directory() {
            return Err(FsError::is_directory(&item.shown));
        }
        if status.length > 0 {
            return Err(FsError::wrong(&item.shown, "Not a zero-length file"));
        }
        make_empty(item).await
    }

    async fn absent(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        check_parent(item).await?;
        make_empty(item).await
    }
}

async fn make_empty(item: &Item) -> Result<(), FsError> {
    item.place.create(&item.path).await?.close().await
}

async fn check_parent(item: &Item) -> Result<(), FsError> {
    match item.place.status(item.parent()).await? {
        Some(_) => Ok(()),
        None => Err(FsError::absent_parent(&item.shown, item.qualified())),
    }
}

/// Sets the times of files, making those that are not there.
pub(super) async fn touch(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    let stamp = take_value(&mut words, "-t")?;
    let given = TOUCH.parse(words)?;
    let mut touch = Touch {
        stamp: stamp.as_deref().map(moment).transpose()?,
        read_only: given.has("a") && !given.has("m"),
        changed_only: given.has("m") && !given.has("a"),
        make: !given.has("c"),
    };
    session.visit(&given.rest, false, &mut touch).await;
    Ok(())
}

/// Milliseconds since 1970 of a time in this machine's zone.
fn moment(text: &str) -> Result<u64, FsError> {
    let parsed = NaiveDateTime::parse_from_str(text, TIME_FORM.1).ok();
    let moment = parsed.and_then(|time| Local.from_local_datetime(&time).earliest());
    let milliseconds = moment.and_then(|moment| u64::try_from(moment.timestamp_millis()).ok());
    milliseconds.ok_or_else(|| {
        FsError::Usage(format!(
            "Unable to parse the specified timestamp {text}. The expected format is {}",
            TIME_FORM.0
        ))
    })
}

struct Touch {
    stamp: Option<u64>,
    read_only: bool,
    changed_only: bool,
    make: bool,
}

#[async_trait]
impl Visitor for Touch {
    async fn visit(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        let now = chrono::Utc::now().timestamp_millis();
        self.set(item, self.stamp.unwrap_or(u64::try_from(now).unwrap_or(0)))
            .await
    }

    async fn absent(&mut self, _session: &mut Session, item: &Item) -> Result<(), FsError> {
        if !self.make {
            return Ok(());
        }
        check_parent(item).await?;
        make_empty(item).await?;
        match self.stamp {
            Some(stamp) => self.set(item, stamp).await,
            None => Ok(()),
        }
    }
}

impl Touch {
    async fn set(&self, item: &Item, time: u64) -> Result<(), FsError> {
        let changed = (!self.read_only).then_some(time);
        let read = (!self.changed_only).then_some(time);
        item.place.set_times(&item.path, changed, read).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing;

    #[tokio::test]
    async fn mkdir_says_what_hdfs_says() {
        let dir = testing::tree();
        let (sub, file, deep) = (dir.url("/sub"), dir.url("/a.txt"), dir.url("/no/deep"));
        let ran = testing::run("mkdir", &[&sub, &file, &deep, &dir.url("/new")]).await;
        let expected = format!(
            "mkdir: `{sub}': File exists\nmkdir: `{file}': Is not a directory\nmkdir: `{}': No such file or directory\n",
            dir.url("/no")
        );
        assert_eq!((ran.code, ran.err), (1, expected));
        assert!(dir.path("new").is_dir());
        assert_eq!(testing::run("mkdir", &["-p", &sub, &deep]).await.code, 0);
        assert!(dir.path("no/deep").is_dir());
    }

    #[tokio::test]
    async fn touch_makes_files_and_sets_times() {
        let dir = testing::tree();
        let new = dir.url("/new");
        assert_eq!(testing::run("touch", &["-c", &new]).await.code, 0);
        assert!(!dir.path("new").exists());
        assert_eq!(testing::run("touch", &["-t", "20200102:030405", &new]).await.code, 0);
        assert_eq!(testing::run("stat", &["%b", &new]).await.out, "0\n");
        let ran = testing::run("touch", &["-t", "yesterday", &new]).await;
        assert_eq!(ran.code, super::super::USAGE_CODE);
        assert!(
            ran.err
                .starts_with("touch: Unable to parse the specified timestamp yesterday."),
            "{}",
            ran.err
        );
    }

    #[tokio::test]
    async fn touchz_refuses_files_with_bytes() {
        let dir = testing::tree();
        let full = dir.url("/a.txt");
        let ran = testing::run("touchz", &[&full, &dir.url("/empty"), &dir.url("/sub")]).await;
        assert!(
            ran.err
                .starts_with(&format!("touchz: `{full}': Not a zero-length file\n")),
            "{}",
            ran.err
        );
        assert!(
            ran.err.ends_with("': Is a directory\n") && ran.err.lines().count() == 2,
            "{}",
            ran.err
        );
    }
}
