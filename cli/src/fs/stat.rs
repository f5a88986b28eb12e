//! `stat` and `test`: facts about files.

use async_trait::async_trait;
use quarry_dfs_client::{FileKind, FileStatus};

use super::failure::FsError;
use super::format::Syntax;
use super::item::Item;
use super::place::Place;
use super::session::{Session, Visitor};
use super::units::{symbolic, utc_time};

const STAT: Syntax = Syntax::flags(&["R"], 1);
const TEST: Syntax = Syntax::flags(&["e", "d", "f", "s", "z", "w", "r"], 1).at_most(1);

/// Shows facts about files in a format of the user's choice.
pub(super) async fn stat(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = STAT.parse(words)?;
    let recursive = given.has("R");
    let mut paths = given.rest;
    let format = match paths[0].contains('%') {
        true => paths.remove(0),
        false => "%y".to_owned(),
    };
    let paths = STAT.parse(paths)?.rest;
    session.visit(&paths, recursive, &mut Stat { format }).await;
    Ok(())
}

struct Stat {
    format: String,
}

#[async_trait]
impl Visitor for Stat {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        session.print(fill_in(&self.format, item.status()?, item.name()))
    }
}

/// Fills in the `%` directives; what is none of them stands for itself, and a `%` at the end for nothing.
fn fill_in(format: &str, status: &FileStatus, name: &str) -> String {
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(next) = rest.next() {
        match next {
            '%' => {
                if let Some(letter) = rest.next() {
                    text.push_str(&directive(letter, status, name));
                }
            }
            plain => text.push(plain),
        }
    }
    text
}

fn directive(letter: char, status: &FileStatus, name: &str) -> String {
    const MOMENT: &str = "%Y-%m-%d %H:%M:%S";
    let kind = match status.kind {
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
        FileKind::File => "regular file",
    };
    match letter {
        'a' => format!("{:o}", status.permission),
        'A' => symbolic(status.permission),
        'b' => status.length.to_string(),
        'F' => kind.to_owned(),
        'g' => status.group.clone(),
        'n' => name.to_owned(),
        'o' => status.block_size.to_string(),
        'r' => status.replication.to_string(),
        'u' => status.owner.clone(),
        'x' => utc_time(status.access_time_ms, MOMENT),
        'X' => status.access_time_ms.to_string(),
        'y' => utc_time(status.modification_time_ms, MOMENT),
        'Y' => status.modification_time_ms.to_string(),
        other => other.to_string(),
    }
}

/// Answers a question about a path by the exit code: 0 for yes, 1 for no.
pub(super) async fn test(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = TEST.parse(words)?;
    let asked: Vec<_> = TEST.flags.iter().filter(|flag| given.has(flag)).collect();
    let question = match asked[..] {
        [] => return Err(FsError::Usage("No test flag given".to_owned())),
        [one] => *one,
        _ => return Err(FsError::Usage("Only one test flag is allowed".to_owned())),
    };
    session.visit(&given.rest, false, &mut Test { question }).await;
    Ok(())
}

struct Test {
    question: &'static str,
}

#[async_trait]
impl Visitor for Test {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        let status = item.status()?;
        let yes = match self.question {
            "d" => status.is_directory(),
            "f" => status.is_file(),
            "s" => status.length > 0,
            "z" => status.length == 0,
            "w" => may(item, 2).await?,
            "r" => may(item, 4).await?,
            _ => true,
        };
        session.answer = u8::from(!yes);
        Ok(())
    }

    async fn absent(&mut self, session: &mut Session, _item: &Item) -> Result<(), FsError> {
        session.answer = 1;
        Ok(())
    }
}

/// Whether the user has those rights, the bits `rwx` as a number.
async fn may(item: &Item, rights: u8) -> Result<bool, FsError> {
    let Place::Dfs(dfs) = &item.place else {
        let access = match rights {
            2 => rustix::fs::Access::WRITE_OK,
            _ => rustix::fs::Access::READ_OK,
        };
        return Ok(rustix::fs::access(item.path.as_str(), access).is_ok());
    };
    match dfs.client.check_access(&item.path, rights).await {
        Ok(()) => Ok(true),
        Err(quarry_dfs_client::Error::PermissionDenied { .. } | quarry_dfs_client::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;

    #[tokio::test]
    async fn directives_are_filled_in() {
        let dir = testing::tree();
        let touched = testing::run("touch", &["-m", "-t", "20231114:221320", &dir.url("/a.txt")]).await;
        assert_eq!(touched.code, 0, "{}", touched.err);
        let ran = testing::run(
            "stat",
            &["%F|%n|%b|%r|%a|%A|%q|%%|100%", &dir.url("/a.txt"), &dir.url("/sub")],
        )
        .await;
        assert_eq!(
            ran.out,
            "regular file|a.txt|6|1|644|rw-r--r--|q|%|100\ndirectory|sub|0|0|755|rwxr-xr-x|q|%|100\n"
        );
        assert_eq!(testing::run("stat", &["%b", "/x"]).await.code, 1);
    }

    #[tokio::test]
    async fn test_answers_by_its_code() {
        let dir = testing::tree();
        for (flag, name, code) in [
            ("-e", "/a.txt", 0),
            ("-e", "/absent", 1),
            ("-d", "/sub", 0),
            ("-d", "/a.txt", 1),
            ("-f", "/a.txt", 0),
            ("-f", "/sub", 1),
            ("-s", "/a.txt", 0),
            ("-s", "/empty", 1),
            ("-z", "/empty", 0),
            ("-z", "/absent", 1),
            ("-r", "/a.txt", 0),
            ("-w", "/a.txt", 0),
        ] {
            let ran = testing::run("test", &[flag, &dir.url(name)]).await;
            assert_eq!(
                (ran.code, ran.out.as_str(), ran.err.as_str()),
                (code, "", ""),
                "{flag} {name}"
            );
        }
        let ran = testing::run("test", &["-e", "-d", "/x"]).await;
        assert!(
            ran.err.starts_with("test: Only one test flag is allowed\n"),
            "{}",
            ran.err
        );
        assert_eq!(testing::run("test", &["/x"]).await.code, super::super::USAGE_CODE);
    }
}
