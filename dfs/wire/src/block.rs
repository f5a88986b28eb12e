//! Blocks and how they are named.

use std::fmt;
use std::sync::Arc;

/// Identifies a block for its whole life, across all its generation stamps and replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u64);

impl BlockId {
    /// The first id that HDFS gives out: smaller ones belonged to releases that drew them at random.
    pub const FIRST: Self = Self(1_073_741_825);

    /// The id that is given out after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of a block. It grows with every append and every recovery; a replica with a smaller one is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GenerationStamp(pub u64);

impl GenerationStamp {
    /// The first one that HDFS gives out.
    pub const FIRST: Self = Self(1001);

    /// The stamp that is given out after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for GenerationStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A piece of a file at one generation stamp. Its name for people is `blk_<id>_<generation stamp>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Block {
    /// Which block.
    pub id: BlockId,
    /// Which version of it.
    pub generation_stamp: GenerationStamp,
    /// Bytes.
    pub length: u64,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blk_{}_{}", self.id, self.generation_stamp)
    }
}

/// A block together with the cluster that it belongs to: what travels between processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtendedBlock {
    /// The block pool, which names the cluster. DataNodes use it as a directory name.
    pub pool: Arc<str>,
    /// The block.
    pub block: Block,
}

impl ExtendedBlock {
    /// Puts a block into its pool.
    pub fn new(pool: impl Into<Arc<str>>, block: Block) -> Self {
        Self {
            pool: pool.into(),
            block,
        }
    }
}

impl fmt::Display for ExtendedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pool, self.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hdfs() {
        let block = Block {
            id: BlockId::FIRST,
            generation_stamp: GenerationStamp::FIRST,
            length: 7,
        };
        assert_eq!(block.to_string(), "blk_1073741825_1001");
        assert_eq!(
            ExtendedBlock::new("BP-1", block).to_string(),
            "BP-1:blk_1073741825_1001"
        );
    }
}
