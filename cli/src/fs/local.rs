//! This machine's files, seen as the file system commands see files.

use std::fs::{self, FileTimes, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use quarry_dfs_client::{FileKind, FileStatus};

use super::failure::FsError;

/// Block size that HDFS's shell shows for local files.
const BLOCK_SIZE: u64 = 32 << 20;

/// What is at `path`, if anything. Links are followed.
pub(super) fn status(path: &str) -> Result<Option<FileStatus>, FsError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(describe(path, &metadata))),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(FsError::local(path)(error)),
    }
}

/// The entries of a directory in the order of their names, or the one entry of a file.
pub(super) fn list(path: &str) -> Result<Vec<FileStatus>, FsError> {
    if let Some(file) = status(path)?.filter(|status| !status.is_directory()) {
        return Ok(vec![file]);
    }
    let names: std::io::Result<Vec<_>> =
        fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let mut names = names.map_err(FsError::local(path))?;
    names.sort();
    let mut entries = Vec::new();
    for name in names {
        let name = name.into_string().map_err(|name| {
            let shown = Path::new(path).join(name);
            FsError::wrong(shown.display(), "the name is not UTF-8")
        })?;
        // One that is gone meanwhile, or a link to nowhere, is left out.
        entries.extend(status(&super::item::join(path, &name))?);
    }
    Ok(entries)
}

fn describe(path: &str, metadata: &Metadata) -> FileStatus {
    let is_directory = metadata.is_dir();
    FileStatus {
        path: path.to_owned(),
        kind: if is_directory {
            FileKind::Directory
        } else {
            FileKind::File
        },
        length: if is_directory { 0 } else { metadata.len() },
        replication: u16::from(!is_directory),
        block_size: BLOCK_SIZE,
        modification_time_ms: milliseconds(metadata.mtime(), metadata.mtime_nsec()),
        access_time_ms: milliseconds(metadata.atime(), metadata.atime_nsec()),
        owner: name_of_id("/etc/passwd", metadata.uid()),
        group: name_of_id("/etc/group", metadata.gid()),
        permission: (metadata.mode() & 0o1777) as u16,
        file_id: metadata.ino(),
        children: None,
        has_acl: false,
        encrypted: false,
        erasure_coding: None,
        storage_policy: 0,
    }
}

fn milliseconds(seconds: i64, nanoseconds: i64) -> u64 {
    u64::try_from(seconds * 1000 + nanoseconds / 1_000_000).unwrap_or(0)
}

/// The name of a user or group in one of the system's tables, or its number.
fn name_of_id(table: &str, id: u32) -> String {
    let text = fs::read_to_string(table).unwrap_or_default();
    let number = id.to_string();
    find_row(&text, |fields| fields.get(2) == Some(&number.as_str()))
        .and_then(|fields| fields.first().copied())
        .map_or(number.clone(), str::to_owned)
}

fn id_of_name(table: &str, name: &str) -> Option<u32> {
    let text = fs::read_to_string(table).unwrap_or_default();
    let row = find_row(&text, |fields| fields.first() == Some(&name));
    row.and_then(|fields| fields.get(2)?.parse().ok())
        .or_else(|| name.parse().ok())
}

fn find_row(table: &str, is_it: impl Fn(&[&str]) -> bool) -> Option<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| is_it(fields))
}

/// Deletes a file or directory; whether there was one.
pub(super) fn delete(path: &str, recursive: bool) -> Result<bool, FsError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        found => found.map_err(FsError::local(path))?,
    };
    let deleted = match (metadata.is_dir(), recursive) {
        (false, _) => fs::remove_file(path),
        (true, false) => fs::remove_dir(path),
        (true, true) => fs::remove_dir_all(path),
    };
    deleted.map(|()| true).map_err(FsError::local(path))
}

/// Sets permission bits.
pub(super) fn set_permission(path: &Path, permission: u16) -> Result<(), FsError> {
    fs::set_permissions(path, fs::Permissions::from_mode(permission.into())).map_err(FsError::local(path.display()))
}

/// Sets owner, group or both.
pub(super) fn set_owner(path: &Path, owner: Option<&str>, group: Option<&str>) -> Result<(), FsError> {
    let number = |table: &str, name: Option<&str>| match name {
        None => Ok(None),
        Some(name) => {
            let unknown = || FsError::Other(format!("invalid user or group: '{name}'"));
            id_of_name(table, name).map(Some).ok_or_else(unknown)
        }
    };
    let (owner, group) = (number("/etc/passwd", owner)?, number("/etc/group", group)?);
    std::os::unix::fs::chown(path, owner, group).map_err(FsError::local(path.display()))
}

/// Sets when a file was last changed and read, in milliseconds since 1970.
pub(super) fn set_times(path: &Path, modified: Option<u64>, read: Option<u64>) -> Result<(), FsError> {
    let moment = |milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
    let mut times = FileTimes::new();
    times = modified.map_or(times, |modified| times.set_modified(moment(modified)));
    times = read.map_or(times, |read| times.set_accessed(moment(read)));
    let set = fs::File::open(path).and_then(|file| file.set_times(times));
    set.map_err(FsError::local(path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn local_files_look_like_distributed_ones() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, b"four").unwrap();
        set_permission(&file, 0o640).unwrap();
        set_times(&file, Some(1_700_000_000_123), None).unwrap();
        let found = status(file.to_str().unwrap()).unwrap().unwrap();
        assert_eq!(
            (found.length, found.permission, found.modification_time_ms),
            (4, 0o640, 1_700_000_000_123)
        );
        assert!(found.is_file() && !found.owner.is_empty());
        assert!(status("/no/such/file").unwrap().is_none());
        let entries = list(dir.path().to_str().unwrap()).unwrap();
        assert_eq!((entries.len(), entries[0].name()), (1, "f"));
    }

    #[test]
    fn names_and_numbers_of_users() {
        assert_eq!(name_of_id("/etc/passwd", 0), "root");
        assert_eq!(id_of_name("/etc/passwd", "root"), Some(0));
        assert_eq!(name_of_id("/etc/passwd", 4_000_000), "4000000");
    }
}
