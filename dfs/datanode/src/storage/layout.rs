//! Names and places of files in a data directory: HDFS's layout -57. Pure.
//!
//! ```text
//! <dir>/in_use.lock
//! <dir>/current/VERSION
//! <dir>/current/BP-<n>-<ip>-<ms>/current/VERSION
//! <dir>/current/BP-../current/finalized/subdir<(id>>16)&31>/subdir<(id>>8)&31>/blk_<id>, blk_<id>_<gs>.meta
//! <dir>/current/BP-../current/rbw/     replicas being written
//! <dir>/current/BP-../tmp/             copies under way
//! <dir>/current/BP-../scanner.cursor   how far the block scanner got
//! ```

use std::path::{Path, PathBuf};

use quarry_dfs_wire::block::{BlockId, GenerationStamp};

/// The on-disk layout of HDFS 3.x DataNodes, which this is.
pub(crate) const LAYOUT_VERSION: i32 = -57;

/// Sub-directories per level; HDFS masks with 31 since layout -57.
const SUBDIR_MASK: u64 = 31;

/// `blk_<id>`: the file with the block's bytes.
#[must_use]
pub(crate) fn block_file_name(id: BlockId) -> String {
    format!("blk_{}", id.0)
}

/// `blk_<id>_<gs>.meta`: the file with the block's checksums.
#[must_use]
pub(crate) fn meta_file_name(id: BlockId, stamp: GenerationStamp) -> String {
    format!("blk_{}_{}.meta", id.0, stamp.0)
}

/// What a file name in a block directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockFileName {
    /// The bytes of a block.
    Data(BlockId),
    /// The checksums of a block of this version.
    Meta(BlockId, GenerationStamp),
}

/// Reads a file name; `None` for anything that [`block_file_name`] and [`meta_file_name`] do not write.
#[must_use]
pub(crate) fn parse_file_name(name: &str) -> Option<BlockFileName> {
    let rest = name.strip_prefix("blk_")?;
    let parsed = match rest.strip_suffix(".meta") {
        Some(numbers) => {
            let (id, stamp) = numbers.split_once('_')?;
            BlockFileName::Meta(BlockId(id.parse().ok()?), GenerationStamp(stamp.parse().ok()?))
        }
        None => BlockFileName::Data(BlockId(rest.parse().ok()?)),
    };
    let written = match parsed {
        BlockFileName::Data(id) => block_file_name(id),
        BlockFileName::Meta(id, stamp) => meta_file_name(id, stamp),
    };
    (written == name).then_some(parsed)
}

/// `subdirX/subdirY` of a finalized block, relative to `finalized`.
#[must_use]
pub(crate) fn finalized_subdir(id: BlockId) -> PathBuf {
    let (first, second) = ((id.0 >> 16) & SUBDIR_MASK, (id.0 >> 8) & SUBDIR_MASK);
    Path::new(&format!("subdir{first}")).join(format!("subdir{second}"))
}

/// The directories of one block pool on one volume.
#[derive(Debug, Clone)]
pub(crate) struct PoolLayout {
    root: PathBuf,
}

impl PoolLayout {
    /// The pool's directories below a volume's data directory.
    #[must_use]
    pub(crate) fn new(data_dir: &Path, pool: &str) -> Self {
        Self {
            root: data_dir.join("current").join(pool),
        }
    }

    /// `BP-../current`, which holds everything that survives a restart.
    #[must_use]
    pub(crate) fn current(&self) -> PathBuf {
        self.root.join("current")
    }

    /// The pool's own VERSION file.
    #[must_use]
    pub(crate) fn version_file(&self) -> PathBuf {
        self.current().join("VERSION")
    }

    /// Root of the finalized replicas.
    #[must_use]
    pub(crate) fn finalized(&self) -> PathBuf {
        self.current().join("finalized")
    }

    /// Replicas being written.
    #[must_use]
    pub(crate) fn rbw(&self) -> PathBuf {
        self.current().join("rbw")
    }

    /// Copies under way.
    #[must_use]
    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// How far the block scanner got.
    #[must_use]
    pub(crate) fn scanner_cursor(&self) -> PathBuf {
        self.root.join("scanner.cursor")
    }

    /// Directory of a finalized block.
    #[must_use]
    pub(crate) fn finalized_dir(&self, id: BlockId) -> PathBuf {
        self.finalized().join(finalized_subdir(id))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn first_block_of_a_cluster_is_in_subdir0_subdir0() {
        assert_eq!(finalized_subdir(BlockId(1_073_741_825)), Path::new("subdir0/subdir0"));
        assert_eq!(finalized_subdir(BlockId(0x0012_3456)), Path::new("subdir18/subdir20"));
    }

    #[test]
    fn foreign_file_names_are_not_blocks() {
        for name in [
            "VERSION",
            "blk_",
            "blk_x",
            "blk_01",
            "blk_+1",
            "blk_1.meta",
            "blk_1_2",
            "blk_1_2.meta.tmp",
            "blk_-5",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_read_back(id: u64, stamp: u64) {
            let (id, stamp) = (BlockId(id), GenerationStamp(stamp));
            prop_assert_eq!(parse_file_name(&block_file_name(id)), Some(BlockFileName::Data(id)));
            prop_assert_eq!(parse_file_name(&meta_file_name(id, stamp)), Some(BlockFileName::Meta(id, stamp)));
        }

        #[test]
        fn any_name_parses_or_not_without_panic(name in ".*") {
            let _ = parse_file_name(&name);
        }
    }
}
