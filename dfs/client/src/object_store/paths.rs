//! Objects' locations and the file system's paths.

use std::fmt;

use chrono::DateTime;
use object_store::path::Path;
use object_store::{ObjectMeta, Result};
use quarry_dfs_wire::path::DfsPath;

use crate::error::Error;
use crate::status::FileStatus;

/// What Hadoop's own shell appends to the name of a file that is not whole yet. Such files are no objects.
const UNFINISHED: &str = "._COPYING_";

/// Whether a file or directory of that name is left out of listings.
pub(super) fn is_hidden(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}

/// A new hidden name in the directory of `path`.
pub(super) fn staging_path(path: &str) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    format!("{directory}/.{}{UNFINISHED}", uuid::Uuid::new_v4().simple())
}

/// What identifies one content of one object: a file's bytes never change under one inode, time and length.
pub(super) fn e_tag(status: &FileStatus) -> String {
    format!(
        "{:x}-{:x}-{:x}",
        status.file_id, status.modification_time_ms, status.length
    )
}

/// The directory that is the store's root. `/` ends no other root's text.
#[derive(Clone, Debug)]
pub(super) struct Root(DfsPath);

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Root {
    pub(super) fn parse(root: &str) -> crate::Result<Self> {
        DfsPath::parse(root).map(Self).map_err(|e| Error::Invalid {
            path: root.to_owned(),
            message: e.to_string(),
        })
    }

    pub(super) fn absolute(&self, location: &Path) -> String {
        match (self.0.is_root(), location.as_ref()) {
            (_, "") => self.0.to_string(),
            (true, location) => format!("/{location}"),
            (false, location) => format!("{}/{location}", self.0),
        }
    }

    pub(super) fn location(&self, absolute: &str) -> Result<Path> {
        let root = if self.0.is_root() { "" } else { self.0.as_str() };
        let relative = absolute.strip_prefix(root).unwrap_or(absolute);
        Ok(Path::parse(relative)?)
    }

    pub(super) fn meta(&self, status: &FileStatus) -> Result<ObjectMeta> {
        let milliseconds = i64::try_from(status.modification_time_ms).unwrap_or(i64::MAX);
        Ok(ObjectMeta {
            location: self.location(&status.path)?,
            last_modified: DateTime::from_timestamp_millis(milliseconds).unwrap_or(DateTime::UNIX_EPOCH),
            size: status.length,
            e_tag: Some(e_tag(status)),
            version: None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn locations_and_paths_round_trip_below_any_root() {
        for root in ["/", "/quarry/warehouse"] {
            let root = Root::parse(root).unwrap();
            for location in ["a", "a/b c.parquet", "a/b%2Fc/foo", "ü/😀"] {
                let location = Path::parse(location).unwrap();
                assert_eq!(root.location(&root.absolute(&location)).unwrap(), location);
            }
        }
        assert_eq!(Root::parse("/").unwrap().absolute(&Path::from("")), "/");
        assert_eq!(Root::parse("/r/").unwrap().absolute(&Path::from("a")), "/r/a");
    }

    #[test]
    fn staged_files_lie_beside_their_destination_and_are_hidden() {
        let staged = staging_path("/a/b/c");
        let name = staged.strip_prefix("/a/b/").unwrap();
        assert!(is_hidden(name) && name.starts_with('.') && !name.contains('/'));
        assert_ne!(staged, staging_path("/a/b/c"));
        assert!(is_hidden(staging_path("/top").strip_prefix('/').unwrap()));
    }
}
