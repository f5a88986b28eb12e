//! Hadoop's generic options (`-D key=value`), as far as a file system command looks at them.

use bytesize::ByteSize;
use quarry_dfs_client::{ChecksumType, CreateOptions, DfsClientConfig};

/// Permission bits that new files and directories do not get, as with HDFS.
const DEFAULT_UMASK: u16 = 0o022;
/// From this many files on, `rm -safely` asks, as with HDFS.
const SAFE_DELETE_LIMIT: u64 = 100;

/// What the options say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generic {
    /// `fs.permissions.umask-mode`.
    pub(super) umask: u16,
    /// `dfs.replication`.
    pub(super) replication: Option<u16>,
    /// `dfs.blocksize`, bytes.
    pub(super) block_size: Option<u64>,
    /// `dfs.checksum.type`.
    pub(super) checksum_type: Option<ChecksumType>,
    /// `dfs.bytes-per-checksum`.
    pub(super) bytes_per_checksum: Option<u32>,
    /// `fs.trash.interval`, minutes; counts where the NameNode has none.
    pub(super) trash_interval: u64,
    /// `hadoop.shell.safely.delete.limit.num.files`.
    pub(super) safe_delete_limit: u64,
}

impl Default for Generic {
    fn default() -> Self {
        Self {
            umask: DEFAULT_UMASK,
            replication: None,
            block_size: None,
            checksum_type: None,
            bytes_per_checksum: None,
            trash_interval: 0,
            safe_delete_limit: SAFE_DELETE_LIMIT,
        }
    }
}

impl Generic {
    /// Reads `key=value` pairs; keys that no command looks at are passed over, as Hadoop does.
    ///
    /// # Errors
    /// A value that does not fit its key.
    pub(super) fn parse(pairs: &[String]) -> anyhow::Result<Self> {
        let mut generic = Self::default();
        for pair in pairs {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let known = generic.set(key, value);
            anyhow::ensure!(known.is_some(), "-D {pair}: the value does not fit the key");
        }
        Ok(generic)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "fs.permissions.umask-mode" => self.umask = umask(value)?,
            "dfs.replication" => self.replication = Some(value.parse().ok()?),
            "dfs.blocksize" | "dfs.block.size" => self.block_size = Some(binary_size(value)?),
            "dfs.checksum.type" => self.checksum_type = Some(checksum_type(value)?),
            "dfs.bytes-per-checksum" => self.bytes_per_checksum = Some(value.parse().ok()?),
            "fs.trash.interval" => self.trash_interval = value.parse::<f64>().ok()? as u64,
            "hadoop.shell.safely.delete.limit.num.files" => self.safe_delete_limit = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }

    /// How files are made.
    pub(super) fn create_options(&self) -> CreateOptions {
        CreateOptions {
            create_parent: true,
            replication: self.replication,
            block_size: self.block_size,
            ..CreateOptions::default()
        }
    }

    /// A client's configuration with what the options say.
    pub(super) fn configure(&self, config: DfsClientConfig) -> DfsClientConfig {
        DfsClientConfig {
            replication: self.replication.or(config.replication),
            block_size: self.block_size.map(ByteSize::b).or(config.block_size),
            checksum_type: self.checksum_type.unwrap_or(config.checksum_type),
            bytes_per_checksum: self.bytes_per_checksum.unwrap_or(config.bytes_per_checksum),
            ..config
        }
    }
}

fn checksum_type(name: &str) -> Option<ChecksumType> {
    match name {
        "NULL" => Some(ChecksumType::Null),
        "CRC32" => Some(ChecksumType::Crc32),
        "CRC32C" => Some(ChecksumType::Crc32c),
        _ => None,
    }
}

fn umask(text: &str) -> Option<u16> {
    u16::from_str_radix(text, 8).ok().filter(|umask| *umask <= 0o777)
}

/// Bytes, or with a binary prefix as in `128m`.
fn binary_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let power = text.chars().last().and_then(|letter| "kmgtpe".find(letter));
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = power.map_or(1, |power| 1u64 << (10 * (power + 1)));
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn known_keys_count_and_others_are_passed_over() {
        let pairs = [
            "fs.permissions.umask-mode=077",
            "dfs.blocksize=2m",
            "dfs.replication=1",
            "io.unknown=x",
        ];
        let generic = Generic::parse(&pairs.map(String::from)).unwrap();
        assert_eq!(
            (generic.umask, generic.block_size, generic.replication),
            (0o077, Some(2 << 20), Some(1))
        );
        assert_eq!(Generic::parse(&[]).unwrap(), Generic::default());
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let error = Generic::parse(&["dfs.replication=many".into()]).unwrap_err();
        assert!(error.to_string().contains("dfs.replication=many"));
    }
}
