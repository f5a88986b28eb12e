//! VERSION files: Java properties (`key=value` lines) that say whose data a directory holds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::layout::LAYOUT_VERSION;
use crate::error::{DiskContext, Error, Result};

/// `<dir>/current/VERSION`: whose volume it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeVersion {
    /// Names this volume in reports; made once, kept for ever.
    pub(crate) storage_id: String,
    /// The cluster that formatted it.
    pub(crate) cluster_id: String,
    /// The DataNode that it belongs to.
    pub(crate) datanode_uuid: String,
}

impl VolumeVersion {
    /// Reads the file; `None` when the volume was never formatted.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>> {
        let Some(properties) = load_properties(path)? else {
            return Ok(None);
        };
        check_layout(path, &properties)?;
        Ok(Some(Self {
            storage_id: required(path, &properties, "storageID")?,
            cluster_id: required(path, &properties, "clusterID")?,
            datanode_uuid: required(path, &properties, "datanodeUuid")?,
        }))
    }

    /// Writes the file durably: it is whole or absent after a crash.
    pub(crate) fn store(&self, path: &Path) -> Result<()> {
        let layout = LAYOUT_VERSION.to_string();
        store_properties(
            path,
            &[
                ("storageID", &self.storage_id),
                ("clusterID", &self.cluster_id),
                ("cTime", "0"),
                ("datanodeUuid", &self.datanode_uuid),
                ("storageType", "DATA_NODE"),
                ("layoutVersion", &layout),
            ],
        )
    }
}

/// Checks `BP-../current/VERSION` against the directory's own name.
pub(crate) fn check_pool_version(path: &Path, pool: &str) -> Result<()> {
    let Some(properties) = load_properties(path)? else {
        return store_pool_version(path, pool);
    };
    check_layout(path, &properties)?;
    let found = required(path, &properties, "blockpoolID")?;
    if found == pool {
        return Ok(());
    }
    Err(foreign(path, format!("it names block pool {found}, expected {pool}")))
}

/// Writes `BP-../current/VERSION` durably.
pub(crate) fn store_pool_version(path: &Path, pool: &str) -> Result<()> {
    let layout = LAYOUT_VERSION.to_string();
    store_properties(
        path,
        &[
            ("namespaceID", "0"),
            ("cTime", "0"),
            ("blockpoolID", pool),
            ("layoutVersion", &layout),
        ],
    )
}

fn load_properties(path: &Path) -> Result<Option<BTreeMap<String, String>>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(parse_properties(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).disk("read", path),
    }
}

/// Lines of `key=value`; `#` starts a comment line; Java escapes `:` and `=` in values with a backslash.
fn parse_properties(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().replace('\\', "")))
        .collect()
}

fn store_properties(path: &Path, properties: &[(&str, &str)]) -> Result<()> {
    let text: String = properties
        .iter()
        .map(|(key, value)| format!("{key}={value}\n"))
        .collect();
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary).disk("create", &temporary)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .disk("write", &temporary)?;
    fs::rename(&temporary, path).disk("rename into place", path)?;
    sync_parent(path)
}

/// Makes the directory entry of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    sync_dir(parent)
}

/// Creates a directory and what is missing above it; not durable yet.
pub(crate) fn create_dir_all(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).disk("create", dir)
}

/// Makes created, renamed and removed entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|file| file.sync_all())
        .disk("fsync directory", dir)
}

fn check_layout(path: &Path, properties: &BTreeMap<String, String>) -> Result<()> {
    let found = required(path, properties, "layoutVersion")?;
    if found == LAYOUT_VERSION.to_string() {
        return Ok(());
    }
    Err(foreign(
        path,
        format!("its layout version is {found}, this DataNode reads {LAYOUT_VERSION} only"),
    ))
}

fn required(path: &Path, properties: &BTreeMap<String, String>, key: &str) -> Result<String> {
    match properties.get(key) {
        Some(value) if !value.is_empty() => Ok(value.clone()),
        _ => Err(foreign(path, format!("its {} has no {key}", path.display()))),
    }
}

fn foreign(path: &Path, reason: String) -> Error {
    Error::ForeignDirectory {
        dir: path.parent().unwrap_or(path).to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn volume_version_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("VERSION");
        assert_eq!(VolumeVersion::load(&path).unwrap(), None);
        let version = VolumeVersion {
            storage_id: "DS-1".into(),
            cluster_id: "CID-1".into(),
            datanode_uuid: "0f".into(),
        };
        version.store(&path).unwrap();
        assert_eq!(VolumeVersion::load(&path).unwrap(), Some(version));
    }

    #[test]
    fn file_of_a_java_datanode_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("VERSION");
        let text = "#Mon Nov 23 05:47:00 UTC 2026\nstorageID=DS-9\nclusterID=CID-a\ncTime=0\ndatanodeUuid=u\n\
                    storageType=DATA_NODE\nlayoutVersion=-57\n";
        fs::write(&path, text).unwrap();
        assert_eq!(VolumeVersion::load(&path).unwrap().unwrap().storage_id, "DS-9");
    }

    #[test]
    fn other_layouts_and_half_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("VERSION");
        for text in [
            "storageID=a\nclusterID=b\ndatanodeUuid=c\nlayoutVersion=-56\n",
            "layoutVersion=-57\n",
            "",
        ] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(VolumeVersion::load(&path), Err(Error::ForeignDirectory { .. })),
                "{text}"
            );
        }
    }
}
