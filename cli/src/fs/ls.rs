//! `ls`.

use std::cmp::Ordering;

use quarry_dfs_client::FileStatus;

use super::failure::FsError;
use super::format::Syntax;
use super::item::Item;
use super::session::Session;
use super::units::{kind_letter, local_time, size, symbolic};

const SYNTAX: Syntax = Syntax::flags(&["C", "d", "h", "q", "R", "t", "S", "r", "u", "e"], 0);

/// Entries of a directory that share column widths in a recursive listing, as with HDFS.
const GROUP: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Name,
    Time,
    Size,
}

struct Ls {
    paths_only: bool,
    directory_itself: bool,
    recursive: bool,
    reverse: bool,
    order: Order,
    line: Line,
}

/// How a line looks. Columns only ever grow while a command runs.
struct Line {
    human: bool,
    hide_unprintable: bool,
    read_time: bool,
    erasure_coding: bool,
    widths: Widths,
}

#[derive(Default)]
struct Widths {
    replication: usize,
    owner: usize,
    group: usize,
    policy: usize,
    length: usize,
}

/// Lists files and directories.
pub(super) async fn ls(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = SYNTAX.parse(words)?;
    let has = |flag| given.has(flag);
    let order = match (has("t"), has("S")) {
        (true, _) => Order::Time,
        (false, true) => Order::Size,
        (false, false) => Order::Name,
    };
    let mut ls = Ls {
        paths_only: has("C"),
        directory_itself: has("d"),
        recursive: has("R") && !has("d"),
        reverse: has("r"),
        order,
        line: Line {
            human: has("h"),
            hide_unprintable: has("q"),
            read_time: has("u"),
            erasure_coding: has("e"),
            widths: Widths {
                replication: 3,
                length: 10,
                ..Widths::default()
            },
        },
    };
    for item in session.expand_all(&given.rest_or(".")).await {
        let listed = ls.list(session, item).await;
        session.note(listed);
    }
    Ok(())
}

/// What is still to be listed.
enum Step {
    /// Entries that share column widths.
    Group(Vec<Item>),
    /// One of them.
    Entry(Item),
}

impl Ls {
    async fn list(&mut self, session: &mut Session, item: Item) -> Result<(), FsError> {
        item.status()?;
        let mut waiting = if item.is_directory() && !self.directory_itself {
            self.directory(session, &item).await?
        } else {
            vec![Step::Group(vec![item])]
        };
        while let Some(step) = waiting.pop() {
            match step {
                Step::Group(entries) => {
                    self.line.widen(&entries);
                    waiting.extend(entries.into_iter().rev().map(Step::Entry));
                }
                Step::Entry(entry) => {
                    self.show(session, &entry)?;
                    if self.recursive && entry.is_directory() {
                        // One that cannot be read does not hide the others.
                        let inner = self.directory(session, &entry).await;
                        waiting.extend(session.note(inner).unwrap_or_default());
                    }
                }
            }
        }
        Ok(())
    }

    /// The entries of a directory as steps, the first one last.
    async fn directory(&self, session: &mut Session, directory: &Item) -> Result<Vec<Step>, FsError> {
        let mut entries = session.children(directory).await?;
        let by_name = self.order == Order::Name && !self.reverse;
        if !by_name {
            entries.sort_by(|a, b| self.compare(a, b));
        }
        if !self.recursive && !entries.is_empty() && !self.paths_only {
            session.print(format_args!("Found {} items", entries.len()))?;
        }
        let group = if self.recursive && by_name { GROUP } else { usize::MAX };
        let mut steps = Vec::new();
        while !entries.is_empty() {
            let rest = entries.split_off(group.min(entries.len()));
            steps.push(Step::Group(std::mem::replace(&mut entries, rest)));
        }
        steps.reverse();
        Ok(steps)
    }

    fn compare(&self, a: &Item, b: &Item) -> Ordering {
        let figure = |item: &Item| match (&item.status, self.order) {
            (Some(status), Order::Time) => self.line.time(status),
            (Some(status), Order::Size) => status.length,
            _ => 0,
        };
        let order = figure(b).cmp(&figure(a)).then_with(|| a.path.cmp(&b.path));
        if self.reverse { order.reverse() } else { order }
    }

    fn show(&self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        if self.paths_only {
            return session.print(&item.shown);
        }
        session.print(self.line.of(item.status()?, &item.shown))
    }
}

impl Line {
    fn time(&self, status: &FileStatus) -> u64 {
        if self.read_time {
            status.access_time_ms
        } else {
            status.modification_time_ms
        }
    }

    fn widen(&mut self, entries: &[Item]) {
        let widths = &mut self.widths;
        for status in entries.iter().filter_map(|entry| entry.status.as_ref()) {
            widths.replication = widths.replication.max(status.replication.to_string().len());
            widths.owner = widths.owner.max(status.owner.chars().count());
            widths.group = widths.group.max(status.group.chars().count());
            widths.length = widths.length.max(status.length.to_string().len());
            if self.erasure_coding {
                widths.policy = widths.policy.max(policy(status).len());
            }
        }
    }

    fn of(&self, status: &FileStatus, shown: &str) -> String {
        let replication = match status.is_directory() {
            true => "-".to_owned(),
            false => status.replication.to_string(),
        };
        let widths = &self.widths;
        let named = |name: &str, width: usize| match width {
            0 => name.to_owned(),
            width => format!("{name:<width$} "),
        };
        let policy = match self.erasure_coding {
            true => named(policy(status), widths.policy),
            false => String::new(),
        };
        format!(
            "{}{}{} {:>copies$} {}{}{policy}{:>length$} {} {}",
            kind_letter(status),
            symbolic(status.permission),
            if status.has_acl { "+" } else { "" },
            replication,
            named(&status.owner, widths.owner),
            named(&status.group, widths.group),
            size(status.length, self.human),
            local_time(self.time(status), "%Y-%m-%d %H:%M"),
            if self.hide_unprintable {
                printable(shown)
            } else {
                shown.to_owned()
            },
            copies = widths.replication - usize::from(status.has_acl),
            length = widths.length,
        )
    }
}

/// The name of a file's erasure coding policy, as HDFS lists it.
fn policy(status: &FileStatus) -> &str {
    match &status.erasure_coding {
        Some(policy) => policy,
        None if status.is_directory() => "",
        None => "Replicated",
    }
}

/// The text with a question mark for each character that a terminal does not show.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing;

    #[tokio::test]
    async fn local_directories_are_listed_as_hdfs_lists() {
        let dir = testing::tree();
        let ran = testing::run("ls", &["-C", &dir.url("")]).await;
        let paths: Vec<_> = ran
            .out
            .lines()
            .map(|line| line.strip_prefix(&dir.url("/")).unwrap())
            .collect();
        assert_eq!(paths, ["a.txt", "empty", "sub"]);
        let ran = testing::run("ls", &[&dir.url("")]).await;
        let lines: Vec<_> = ran.out.lines().collect();
        assert_eq!(lines[0], "Found 3 items");
        assert!(
            lines[1].starts_with("-rw-r--r--   1 ") && lines[1].contains("          6 20"),
            "{}",
            lines[1]
        );
        assert!(lines[3].starts_with("drwxr-xr-x   - "), "{}", lines[3]);
    }

    #[tokio::test]
    async fn recursion_goes_into_a_directory_before_its_next_sibling() {
        let dir = testing::tree();
        std::fs::write(dir.path("z"), "").unwrap();
        let ran = testing::run("ls", &["-C", "-R", &dir.url("")]).await;
        let paths: Vec<_> = ran
            .out
            .lines()
            .map(|line| line.strip_prefix(&dir.url("/")).unwrap())
            .collect();
        assert_eq!(paths, ["a.txt", "empty", "sub", "sub/b.txt", "z"]);
    }

    #[tokio::test]
    async fn sizes_order_from_large_to_small_and_back() {
        let dir = testing::tree();
        std::fs::write(dir.path("sub/c"), vec![0; 2048]).unwrap();
        let ran = testing::run("ls", &["-C", "-S", &dir.url("/sub")]).await;
        assert!(ran.out.lines().next().unwrap().ends_with("/sub/c"), "{}", ran.out);
        let ran = testing::run("ls", &["-S", "-r", "-h", &dir.url("/sub")]).await;
        assert!(ran.out.lines().last().unwrap().contains("       2 K "), "{}", ran.out);
    }

    #[tokio::test]
    async fn what_is_absent_is_reported_and_the_rest_listed() {
        let dir = testing::tree();
        let absent = dir.url("/absent");
        let ran = testing::run("ls", &["-C", &absent, &dir.url("/a.txt")]).await;
        assert_eq!(ran.err, format!("ls: `{absent}': No such file or directory\n"));
        assert_eq!((ran.code, ran.out), (1, format!("{}\n", dir.url("/a.txt"))));
        let pattern = dir.url("/*.none");
        let ran = testing::run("ls", &[&pattern]).await;
        assert_eq!(ran.err, format!("ls: `{pattern}': No such file or directory\n"));
    }

    #[tokio::test]
    async fn patterns_match_in_their_order() {
        let dir = testing::tree();
        let ran = testing::run("ls", &["-C", "-d", &dir.url("/{sub,a*,*y}")]).await;
        let names: Vec<_> = ran.out.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["a.txt", "empty", "sub"]);
    }
}
