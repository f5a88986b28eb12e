//! Doors for the fuzz targets (package `quarry-dfs-fuzz`): readers of files that no other crate calls.

use std::path::Path;

use crate::error::Result;
use crate::storage::scan;
use crate::storage::version_file::VolumeVersion;

/// Bytes of a replica that match its checksums, as found at a start after a crash.
///
/// # Errors
/// The checksum file is of no use, or cannot be read.
pub fn valid_length(data: &Path, meta: &Path) -> Result<u64> {
    scan::valid_length(data, meta)
}

/// Reads a volume's `VERSION`.
///
/// # Errors
/// What is wrong with it.
pub fn volume_version(path: &Path) -> Result<()> {
    VolumeVersion::load(path).map(drop)
}
