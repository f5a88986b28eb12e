//! Commands that look: `ls`, `du`, `stat`.

use std::io::{Write, stdout};

use clap::{ArgAction, Args};
use quarry_dfs_client::FileStatus;

use super::target::Target;
use super::{FsError, Session, text};

/// Flags of `ls`. `-h` means sizes for people, as with HDFS; help is `--help`.
#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// List subdirectories too
    #[arg(short = 'R')]
    recursive: bool,
    /// Show sizes as 1.5 K
    #[arg(short = 'h')]
    human: bool,
    /// List a directory itself, not its entries
    #[arg(short = 'd')]
    directory: bool,
    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
    /// Paths [default: the user's home]
    paths: Vec<String>,
}

/// Flags of `du`.
#[derive(Debug, Clone, Args)]
pub struct DuArgs {
    /// One line per path, not one per entry of a directory
    #[arg(short = 's')]
    summary: bool,
    /// Show sizes as 1.5 K
    #[arg(short = 'h')]
    human: bool,
    /// Show a header line
    #[arg(short = 'v')]
    header: bool,
    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    help: Option<bool>,
    /// Paths [default: the user's home]
    paths: Vec<String>,
}

/// Flags of `stat`.
#[derive(Debug, Clone, Args)]
pub struct StatArgs {
    /// [FORMAT] PATH...; %b size, %F type, %n name, %o block size, %r replication, %u owner, %g group, %a %A mode,
    /// %y %Y modified, %x %X read [default format: %y]
    #[arg(required = true)]
    pub(super) paths: Vec<String>,
}

impl LsArgs {
    pub(super) fn paths(&self) -> Vec<&str> {
        self.paths.iter().map(String::as_str).collect()
    }
}

impl DuArgs {
    pub(super) fn paths(&self) -> Vec<&str> {
        self.paths.iter().map(String::as_str).collect()
    }
}

/// The user's home, where no path is given.
fn or_home(paths: Vec<String>) -> Vec<String> {
    if paths.is_empty() { vec![String::new()] } else { paths }
}

fn print(lines: &[String]) -> Result<(), FsError> {
    let mut out = stdout().lock();
    let written = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
    written
        .and_then(|()| out.flush())
        .map_err(FsError::local("standard output"))
}

impl Session {
    pub(super) async fn ls(&mut self, args: LsArgs) -> Result<(), FsError> {
        for argument in or_home(args.paths.clone()) {
            let target = self.target(&argument);
            let outcome = self.ls_one(&args, &target).await;
            self.note(outcome);
        }
        Ok(())
    }

    async fn ls_one(&mut self, args: &LsArgs, target: &Target) -> Result<(), FsError> {
        let status = self.existing(target).await?;
        if !status.is_directory() || args.directory {
            return print(&text::listing(&[(shown(target), status)], args.human));
        }
        let mut waiting = vec![Target {
            shown: shown(target),
            path: target.path.clone(),
        }];
        while let Some(directory) = waiting.pop() {
            let entries = self.entries(&directory).await?;
            if !args.recursive && !entries.is_empty() {
                print(&[format!("Found {} items", entries.len())])?;
            }
            print(&text::listing(&entries, args.human))?;
            if args.recursive {
                let inner = entries.iter().rev().filter(|(_, status)| status.is_directory());
                waiting.extend(inner.map(|(_, status)| directory.child(status.name())));
            }
        }
        Ok(())
    }

    /// A directory's entries, by name, each with the path to show.
    pub(super) async fn entries(&self, directory: &Target) -> Result<Vec<(String, FileStatus)>, FsError> {
        let entries = self.dfs.list(&directory.path).await?;
        Ok(entries
            .into_iter()
            .map(|status| (directory.child(status.name()).shown, status))
            .collect())
    }

    /// The status of a path that must exist.
    pub(super) async fn existing(&self, target: &Target) -> Result<FileStatus, FsError> {
        let status = self.dfs.status(&target.path).await?;
        status.ok_or_else(|| FsError::Absent(shown(target)))
    }

    pub(super) async fn du(&mut self, args: DuArgs) -> Result<(), FsError> {
        for argument in or_home(args.paths.clone()) {
            let target = self.target(&argument);
            let outcome = self.du_one(&args, &target).await;
            self.note(outcome);
        }
        Ok(())
    }

    async fn du_one(&mut self, args: &DuArgs, target: &Target) -> Result<(), FsError> {
        let status = self.existing(target).await?;
        let paths = if args.summary || !status.is_directory() {
            vec![(shown(target), target.path.clone())]
        } else {
            let base = Target {
                shown: shown(target),
                path: target.path.clone(),
            };
            self.entries(&base)
                .await?
                .into_iter()
                .map(|(shown, status)| (shown, status.path))
                .collect()
        };
        let mut rows = Vec::with_capacity(paths.len() + 1);
        if args.header {
            rows.push(["SIZE", "DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS", "FULL_PATH_NAME"].map(str::to_owned));
        }
        for (shown, path) in paths {
            let summary = self.dfs.content_summary(&path).await?;
            rows.push([
                text::size(summary.length, args.human),
                text::size(summary.space_consumed, args.human),
                shown,
            ]);
        }
        print(&text::columns(&rows))
    }

    pub(super) async fn stat(&mut self, args: StatArgs) -> Result<(), FsError> {
        let (format, paths) = match args.paths.split_first() {
            Some((format, paths)) if format.contains('%') && !paths.is_empty() => (format.as_str(), paths),
            _ => ("%y", args.paths.as_slice()),
        };
        for argument in paths {
            let target = self.target(argument);
            let line = match self.existing(&target).await {
                Ok(status) => text::stat(format, &status)
                    .map_err(|directive| FsError::Usage(format!("`{format}': `%{directive}' is not a directive"))),
                Err(error) => Err(error),
            };
            let printed = line.and_then(|line| print(&[line]));
            self.note(printed);
        }
        Ok(())
    }
}

/// How the user wrote a path; the home directory, which is written as nothing, by its path.
fn shown(target: &Target) -> String {
    if target.shown.is_empty() {
        target.path.clone()
    } else {
        target.shown.clone()
    }
}
