//! Whether somebody has touched a replica's files: their times of change, in four bytes.
//!
//! A finalized replica's files never change until it is appended to, and then they are moved. A changed time means that something else
//! wrote to them; the scanner then reads them at once, not when their turn comes in weeks. Bits that rot by themselves change
//! no time and are left to the scanner's rounds.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The two files' times of change; [`Fingerprint::UNKNOWN`] equals none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fingerprint(u32);

impl Fingerprint {
    /// Of files that could not be asked.
    pub(crate) const UNKNOWN: Self = Self(0);

    /// Of the block file and the checksum file as they are now.
    pub(crate) fn of((data, meta): &(PathBuf, PathBuf)) -> Self {
        match (fs::metadata(data), fs::metadata(meta)) {
            (Ok(data), Ok(meta)) => Self::new(&data, &meta),
            _ => Self::UNKNOWN,
        }
    }

    /// Of files whose metadata is at hand.
    pub(crate) fn new(data: &Metadata, meta: &Metadata) -> Self {
        // FNV-1a over the times; two different pairs agree by chance once in four thousand million.
        let times = [data.mtime(), data.mtime_nsec(), meta.mtime(), meta.mtime_nsec()];
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in times.into_iter().flat_map(i64::to_le_bytes) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(((hash >> 32) as u32 ^ hash as u32).max(1))
    }
}
