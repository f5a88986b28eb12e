//! The walk over the namespace: depth first, in the order of listings, a page of a directory at a time.

use std::collections::VecDeque;

use super::report::Report;
use super::{Check, MAX_NAMED, Stop};
use crate::core::command::{AdminOperation, FsckEntry};
use crate::core::error::FsError;

/// A directory that is walked.
struct Level {
    path: String,
    /// Entries that were fetched and not reported.
    waiting: VecDeque<FsckEntry>,
    /// Name of the last one fetched.
    after: String,
    /// There are more.
    more: bool,
}

impl Level {
    fn of(path: String) -> Self {
        Self {
            path,
            waiting: VecDeque::new(),
            after: String::new(),
            more: true,
        }
    }
}

impl Check {
    /// Reports `first` and all below it. Returns the report and the files that lack bytes.
    pub(super) async fn walk(&mut self, mut report: Report, first: FsckEntry) -> Result<(Report, Vec<String>), Stop> {
        let (mut levels, mut lacking) = (Vec::new(), Vec::new());
        let mut entry = Some(first);
        loop {
            match entry {
                Some(directory) if directory.is_directory => {
                    let mut text = String::new();
                    report.directory(&directory.path, &mut text);
                    self.tell(&report, &text).await?;
                    levels.push(Level::of(directory.path));
                }
                Some(file) => self.file(&mut report, &file, &mut lacking).await?,
                None => {}
            }
            let Some(level) = levels.last_mut() else {
                return Ok((report, lacking));
            };
            if level.waiting.is_empty() && level.more {
                self.fetch(level).await?;
            }
            entry = level.waiting.pop_front();
            if entry.is_none() && !level.more {
                levels.pop();
            }
        }
    }

    async fn file(&mut self, report: &mut Report, file: &FsckEntry, lacking: &mut Vec<String>) -> Result<(), Stop> {
        let mut text = String::new();
        let lacks = report.file(file, &mut text);
        self.tell(report, &text).await?;
        if lacks {
            if lacking.len() < MAX_NAMED {
                lacking.push(file.path.clone());
            }
            self.repair(report, file).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, report: &Report, text: &str) -> Result<(), Stop> {
        if report.options.json {
            return Ok(());
        }
        Ok(self.out.write(text).await?)
    }

    async fn fetch(&self, level: &mut Level) -> Result<(), FsError> {
        let operation = AdminOperation::FsckList {
            path: level.path.clone(),
            entries_after: Some(level.after.clone()),
        };
        let (entries, more) = self.entries(operation).await?;
        // A directory that was deleted meanwhile has nothing more to check.
        let entries = entries.unwrap_or_default();
        if let Some(last) = entries.last() {
            let name = last.path.rsplit('/').next().unwrap_or_default();
            name.clone_into(&mut level.after);
        }
        level.more = more && !entries.is_empty();
        level.waiting = entries.into();
        Ok(())
    }
}
