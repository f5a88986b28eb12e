//! `truncate` and `concat`: what changes where files end.

use std::time::Duration;

use async_trait::async_trait;

use super::failure::FsError;
use super::format::Syntax;
use super::item::Item;
use super::session::{Session, Visitor};

const TRUNCATE: Syntax = Syntax::flags(&["w"], 2);
const CONCAT: Syntax = Syntax::flags(&[], 0);

/// Pause between two looks at whether a block is cut.
const RECOVERY_PAUSE: Duration = Duration::from_secs(1);

/// Cuts files to a length.
pub(super) async fn truncate(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = TRUNCATE.parse(words)?;
    let (text, paths) = given.rest.split_first().expect("two arguments or more were asked for");
    let length = match text.parse::<i64>() {
        Ok(length) => u64::try_from(length).map_err(|_| FsError::Usage("length must be >= 0".to_owned()))?,
        Err(_) => {
            session.say_named(&"Illegal length, a non-negative integer expected");
            return Err(FsError::Usage(format!("For input string: \"{text}\"")));
        }
    };
    let mut truncate = Truncate {
        length,
        wait: given.has("w"),
        waiting: Vec::new(),
    };
    session.visit(paths, false, &mut truncate).await;
    for item in std::mem::take(&mut truncate.waiting) {
        let waited = truncate.wait_for(session, item).await;
        session.note(waited);
    }
    Ok(())
}

struct Truncate {
    length: u64,
    wait: bool,
    waiting: Vec<Item>,
}

#[async_trait]
impl Visitor for Truncate {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        let status = item.status()?;
        let (length, shown) = (self.length, &item.shown);
        if status.is_directory() {
            return Err(FsError::is_directory(shown));
        }
        if length > status.length {
            return Err(FsError::Usage(format!(
                "Cannot truncate to a larger file size. Current size: {}, truncate size: {length}.",
                status.length
            )));
        }
        if item.place.dfs()?.truncate(&item.path, length).await? {
            return session.print(format_args!("Truncated {shown} to length: {length}"));
        }
        if self.wait {
            self.waiting.push(item.clone());
            return Ok(());
        }
        session.print(format_args!(
            "Truncating {shown} to length: {length}. Wait for block recovery to complete before further updating this file."
        ))
    }
}

impl Truncate {
    /// Waits until the DataNodes have cut the last block.
    async fn wait_for(&self, session: &mut Session, item: Item) -> Result<(), FsError> {
        session.write(format!("Waiting for {} ...", item.shown).as_bytes())?;
        session.flush()?;
        let dfs = item.place.dfs()?;
        while !dfs.is_file_closed(&item.path).await? {
            session.write(b".")?;
            session.flush()?;
            tokio::time::sleep(RECOVERY_PAUSE).await;
        }
        session.print("")?;
        session.print(format_args!("Truncated {} to length: {}", item.shown, self.length))
    }
}

/// Moves the blocks of files to the end of another.
pub(super) async fn concat(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    const USAGE: &str = "<target path> <src path> <src path> ...";
    let mut items = session.expand_all(&CONCAT.parse(words)?.rest).await;
    if items.is_empty() {
        return Err(FsError::Other(format!("Target path not specified. {USAGE}")));
    }
    let target = items.remove(0);
    if items.len() < 2 {
        return Err(FsError::Other(format!(
            "The number of source paths is less than 2. {USAGE}"
        )));
    }
    if !target.is_file() {
        let text = format!("Target path {} does not exist or is not file.", target.shown);
        return Err(FsError::Other(text));
    }
    if let Some(wrong) = items.iter().find(|item| !item.is_file()) {
        return Err(FsError::Other(format!(
            "{} does not exist or is not file.",
            wrong.shown
        )));
    }
    let sources: Vec<&str> = items.iter().map(|item| item.path.as_str()).collect();
    Ok(target.place.dfs()?.concat(&target.path, &sources).await?)
}

#[cfg(test)]
mod tests {
    use super::super::testing;

    #[tokio::test]
    async fn arguments_that_make_no_sense_are_refused() {
        let dir = testing::tree();
        let file = dir.url("/a.txt");
        let ran = testing::run("truncate", &["-1", &file]).await;
        assert!(ran.err.starts_with("truncate: Illegal option -1\n"), "{}", ran.err);
        let ran = testing::run("truncate", &["many", &file]).await;
        assert!(
            ran.err
                .starts_with("truncate: Illegal length, a non-negative integer expected\n"),
            "{}",
            ran.err
        );
        let ran = testing::run("truncate", &["7", &file]).await;
        let expected = "truncate: Cannot truncate to a larger file size. Current size: 6, truncate size: 7.\n";
        assert!(ran.err.starts_with(expected), "{}", ran.err);
        let ran = testing::run("concat", &[&file, &file]).await;
        assert!(
            ran.err
                .starts_with("concat: The number of source paths is less than 2."),
            "{}",
            ran.err
        );
    }
}
