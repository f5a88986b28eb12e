//! The one check of foreign data: messages become types that the rest may trust, and types become messages.

use crate::block::{Block, BlockId, ExtendedBlock, GenerationStamp};
use crate::checksum::{ChecksumError, ChecksumType, DataChecksum};
use crate::proto::dfs_v1::BlockRef;
use crate::proto::hadoop::hdfs::{BlockProto, ChecksumProto, ChecksumTypeProto, ExtendedBlockProto};
use crate::rpc::exception::RpcException;

/// Longest block pool id, in bytes. HDFS's own have about 40; a directory name may have 255.
pub const MAX_POOL_ID_LENGTH: usize = 255;

/// A message that decodes but cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The block pool id could not be a directory's name.
    #[error("bad block pool id {0:?}: expected 1 to {MAX_POOL_ID_LENGTH} letters, digits, '-', '_', '.' or ':'")]
    PoolId(String),
    /// A length or an offset that is not below 2^63.
    #[error("bad length {length} of block {id}: expected less than 2^63")]
    Length {
        /// The block.
        id: u64,
        /// The length.
        length: u64,
    },
    /// See [`ChecksumError`].
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
}

impl From<ConvertError> for RpcException {
    fn from(error: ConvertError) -> Self {
        Self::illegal_argument(error.to_string())
    }
}

/// Checks that a block pool id is safe as a directory name on any DataNode.
///
/// # Errors
/// `PoolId` when it is not.
pub fn check_pool_id(pool: &str) -> Result<(), ConvertError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if pool.is_empty() || pool.len() > MAX_POOL_ID_LENGTH || pool.starts_with('.') || !pool.chars().all(legal) {
        return Err(ConvertError::PoolId(pool.chars().take(MAX_POOL_ID_LENGTH).collect()));
    }
    Ok(())
}

fn block(id: u64, generation_stamp: u64, length: u64) -> Result<Block, ConvertError> {
    if length > i64::MAX as u64 {
        return Err(ConvertError::Length { id, length });
    }
    Ok(Block {
        id: BlockId(id),
        generation_stamp: GenerationStamp(generation_stamp),
        length,
    })
}

impl TryFrom<&ExtendedBlockProto> for ExtendedBlock {
    type Error = ConvertError;

    fn try_from(proto: &ExtendedBlockProto) -> Result<Self, ConvertError> {
        check_pool_id(&proto.pool_id)?;
        Ok(Self::new(
            proto.pool_id.as_str(),
            block(proto.block_id, proto.generation_stamp, proto.num_bytes())?,
        ))
    }
}

impl From<&ExtendedBlock> for ExtendedBlockProto {
    fn from(extended: &ExtendedBlock) -> Self {
        Self {
            pool_id: extended.pool.as_ref().to_owned(),
            block_id: extended.block.id.0,
            generation_stamp: extended.block.generation_stamp.0,
            num_bytes: Some(extended.block.length),
        }
    }
}

impl TryFrom<&BlockProto> for Block {
    type Error = ConvertError;

    fn try_from(proto: &BlockProto) -> Result<Self, ConvertError> {
        block(proto.block_id, proto.gen_stamp, proto.num_bytes())
    }
}

impl From<Block> for BlockProto {
    fn from(block: Block) -> Self {
        Self {
            block_id: block.id.0,
            gen_stamp: block.generation_stamp.0,
            num_bytes: Some(block.length),
        }
    }
}

impl TryFrom<&BlockRef> for Block {
    type Error = ConvertError;

    fn try_from(proto: &BlockRef) -> Result<Self, ConvertError> {
        block(proto.block_id, proto.generation_stamp, proto.length)
    }
}

impl From<Block> for BlockRef {
    fn from(block: Block) -> Self {
        Self {
            block_id: block.id.0,
            generation_stamp: block.generation_stamp.0,
            length: block.length,
        }
    }
}

impl TryFrom<&ChecksumProto> for DataChecksum {
    type Error = ConvertError;

    fn try_from(proto: &ChecksumProto) -> Result<Self, ConvertError> {
        Ok(Self::new(
            ChecksumType::try_from(proto.r#type)?,
            proto.bytes_per_checksum,
        )?)
    }
}

impl From<DataChecksum> for ChecksumProto {
    fn from(checksum: DataChecksum) -> Self {
        Self {
            r#type: ChecksumTypeProto::from(checksum.kind()) as i32,
            bytes_per_checksum: checksum.bytes_per_checksum(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pool_ids_that_could_leave_their_directory_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            ".hidden",
            "a\0",
            "BP 1",
            "ö",
            &"x".repeat(256),
        ] {
            assert!(check_pool_id(bad).is_err(), "{bad:?}");
        }
        check_pool_id("BP-1283712-127.0.0.1-1763900000000").unwrap();
        check_pool_id("BP-1-::1-1").unwrap();
    }

    #[test]
    fn absurd_lengths_are_refused() {
        let proto = BlockProto {
            block_id: 1,
            gen_stamp: 2,
            num_bytes: Some(u64::MAX),
        };
        assert_eq!(
            Block::try_from(&proto),
            Err(ConvertError::Length {
                id: 1,
                length: u64::MAX
            })
        );
    }

    #[test]
    fn checksum_descriptions_are_checked() {
        for (kind, chunk) in [(3, 512), (-1, 512), (2, 0), (2, u32::MAX)] {
            assert!(
                DataChecksum::try_from(&ChecksumProto {
                    r#type: kind,
                    bytes_per_checksum: chunk
                })
                .is_err()
            );
        }
    }

    proptest! {
        #[test]
        fn round_trips(id in any::<u64>(), gs in any::<u64>(), length in 0..=i64::MAX as u64, chunk in 1u32..9999) {
            let block = Block { id: BlockId(id), generation_stamp: GenerationStamp(gs), length };
            prop_assert_eq!(Block::try_from(&BlockProto::from(block)).unwrap(), block);
            prop_assert_eq!(Block::try_from(&BlockRef::from(block)).unwrap(), block);
            let extended = ExtendedBlock::new("BP-1", block);
            prop_assert_eq!(ExtendedBlock::try_from(&ExtendedBlockProto::from(&extended)).unwrap(), extended);
            let checksum = DataChecksum::new(ChecksumType::Crc32, chunk).unwrap();
            prop_assert_eq!(DataChecksum::try_from(&ChecksumProto::from(checksum)).unwrap(), checksum);
        }
    }
}
