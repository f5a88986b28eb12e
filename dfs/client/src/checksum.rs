//! The checksum of a whole file as HDFS defines it: a digest of digests of stored checksums. No data is read or sent.
//!
//! It depends on the block size and the bytes per checksum: equal checksums mean equal files, but not the other way round.

use std::fmt;
use std::sync::Arc;

use md5::{Digest, Md5};
use quarry_dfs_wire::checksum::{ChecksumType, DataChecksum};
use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::transfer::op::Op;

use crate::connections;
use crate::error::{Error, Failures, ReplicaFailure, Result, TransferError};
use crate::location::{BlockLocation, DataNodeInfo, FileBlocks};
use crate::shared::Shared;

/// Bytes of an MD5 digest.
const MD5_LENGTH: usize = 16;

/// Bytes of a CRC.
const CRC_LENGTH: usize = 4;

/// HDFS digests the buffer that it collected the blocks' digests in, and the buffer begins with this many bytes.
const FIRST_BUFFER: usize = 32;

/// How the checksums of a file's blocks become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumCombine {
    /// A digest of digests, HDFS's default: files can be compared only if block size and bytes per checksum are equal.
    #[default]
    Md5,
    /// The CRC of all bytes, whatever the blocks.
    Composite,
}

/// A file's checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChecksum {
    /// `MD5-of-<checksums per block>MD5-of-<bytes per checksum><type>` in HDFS's words.
    Md5 {
        /// Bytes of data per stored checksum; 0 for a file without blocks.
        bytes_per_checksum: u32,
        /// Stored checksums per full block; 0 for a file of one block.
        checksums_per_block: u64,
        /// How they are made.
        kind: ChecksumType,
        /// The digest.
        md5: [u8; MD5_LENGTH],
    },
    /// `COMPOSITE-<type>` in HDFS's words.
    Composite {
        /// How the stored checksums are made.
        kind: ChecksumType,
        /// The CRC of all bytes.
        crc: u32,
    },
}

impl FileChecksum {
    /// The algorithm's name, as HDFS's shell prints it.
    pub fn algorithm(&self) -> String {
        match self {
            Self::Md5 {
                bytes_per_checksum,
                checksums_per_block,
                kind,
                ..
            } => format!("MD5-of-{checksums_per_block}MD5-of-{bytes_per_checksum}{}", name(*kind)),
            Self::Composite { kind, .. } => format!("COMPOSITE-{}", name(*kind)),
        }
    }

    /// The value in hexadecimal, as HDFS's shell prints it: of digests both parameters, then the digest.
    pub fn hex(&self) -> String {
        match self {
            Self::Md5 {
                bytes_per_checksum,
                checksums_per_block,
                md5,
                ..
            } => {
                let digest: String = md5.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{bytes_per_checksum:08x}{checksums_per_block:016x}{digest}")
            }
            Self::Composite { crc, .. } => format!("{crc:08x}"),
        }
    }
}

impl fmt::Display for FileChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm(), self.hex())
    }
}

fn name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::Null => "NULL",
        ChecksumType::Crc32 => "CRC32",
        ChecksumType::Crc32c => "CRC32C",
    }
}

/// What one block's DataNode answered.
struct BlockChecksum {
    bytes_per_checksum: u32,
    checksums_per_block: u64,
    kind: ChecksumType,
    value: Vec<u8>,
    length: u64,
}

/// Asks one replica of each block of the file's first `limit` bytes for its checksum.
pub(crate) async fn file_checksum(
    shared: &Arc<Shared>,
    path: &str,
    file: &FileBlocks,
    combine: ChecksumCombine,
    limit: u64,
) -> Result<FileChecksum> {
    let mut blocks = Vec::with_capacity(file.blocks.len());
    for location in file.blocks.iter().take_while(|location| location.offset < limit) {
        let mut location = location.clone();
        location.block.block.length = location.block.block.length.min(limit - location.offset);
        blocks.push(block_checksum(shared, path, &location, combine).await?);
    }
    // Of an empty file HDFS gives the digest of nothing, however it is to be combined.
    if combine == ChecksumCombine::Composite && !blocks.is_empty() {
        return composite(path, &blocks);
    }
    Ok(digest(&blocks))
}

fn digest(blocks: &[BlockChecksum]) -> FileChecksum {
    let first = blocks.first();
    FileChecksum::Md5 {
        bytes_per_checksum: first.map_or(0, |block| block.bytes_per_checksum),
        checksums_per_block: first
            .filter(|_| blocks.len() > 1)
            .map_or(0, |block| block.checksums_per_block),
        kind: first.map_or(ChecksumType::Crc32, |block| block.kind),
        md5: digest_as_hdfs(blocks.iter().flat_map(|block| block.value.iter().copied()).collect()),
    }
}

fn composite(path: &str, blocks: &[BlockChecksum]) -> Result<FileChecksum> {
    let kind = blocks[0].kind;
    let checksum = DataChecksum::new(kind, blocks[0].bytes_per_checksum).unwrap_or_default();
    let mut crc = 0;
    for block in blocks {
        let value = <[u8; 4]>::try_from(block.value.as_slice());
        let (Ok(value), true) = (value, block.kind == kind) else {
            return Err(Error::Invalid {
                path: path.to_owned(),
                message: "its blocks have checksums of different kinds, which do not combine".to_owned(),
            });
        };
        crc = checksum.joined_checksum(crc, u32::from_be_bytes(value), block.length);
    }
    Ok(FileChecksum::Composite { kind, crc })
}

/// The digest of `digests` and of the zeros behind them: HDFS's buffer doubles when it is full and is digested whole.
fn digest_as_hdfs(mut digests: Vec<u8>) -> [u8; MD5_LENGTH] {
    let mut buffer = FIRST_BUFFER;
    while buffer < digests.len() {
        buffer *= 2;
    }
    digests.resize(buffer, 0);
    Md5::digest(&digests).into()
}

async fn block_checksum(
    shared: &Arc<Shared>,
    path: &str,
    location: &BlockLocation,
    combine: ChecksumCombine,
) -> Result<BlockChecksum> {
    let mut failures = Vec::new();
    for node in &location.datanodes {
        match ask(shared, location, node, combine).await {
            Ok(checksum) => return Ok(checksum),
            Err(reason) => failures.push(ReplicaFailure {
                datanode: node.label(),
                reason,
            }),
        }
    }
    Err(Error::BlockUnavailable {
        path: path.to_owned(),
        block: location.block.block.to_string(),
        failures: Failures(failures),
    })
}

async fn ask(
    shared: &Shared,
    location: &BlockLocation,
    node: &DataNodeInfo,
    combine: ChecksumCombine,
) -> Result<BlockChecksum, TransferError> {
    let mut connection = connections::connect(node, shared.config.connect_timeout).await?;
    let header = connections::operation_header(&location.block, &location.token, "").base_header;
    let (kind, expected) = match combine {
        ChecksumCombine::Md5 => (pb::BlockChecksumTypeProto::Md5crc, MD5_LENGTH),
        ChecksumCombine::Composite => (pb::BlockChecksumTypeProto::CompositeCrc, CRC_LENGTH),
    };
    let op = Op::BlockChecksum(Box::new(pb::OpBlockChecksumProto {
        header,
        block_checksum_options: Some(pb::BlockChecksumOptionsProto {
            block_checksum_type: Some(kind as i32),
            stripe_length: None,
        }),
    }));
    let answer = connections::ask(&mut connection, &op, shared.config.datanode_timeout).await?;
    let message = answer.message.unwrap_or_default();
    let found = answer
        .checksum_response
        .filter(|found| found.block_checksum.len() == expected);
    let found = found.ok_or_else(|| TransferError::Refused(format!("no block checksum: {message}")))?;
    let kind = ChecksumType::try_from(found.crc_type() as i32).map_err(|e| TransferError::Protocol(e.to_string()))?;
    Ok(BlockChecksum {
        bytes_per_checksum: found.bytes_per_crc,
        checksums_per_block: found.crc_per_block,
        kind,
        value: found.block_checksum.to_vec(),
        length: location.block.block.length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: [u8; MD5_LENGTH]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_digest_covers_the_padding_of_a_doubling_buffer() {
        // What HDFS's shell prints for every empty file.
        assert_eq!(hex(digest_as_hdfs(Vec::new())), "70bc8f4b72a86921468bf8e8441dce51");
        for (digests, buffer) in [(1, 32), (2, 32), (3, 64), (4, 64), (5, 128), (9, 256)] {
            let mut padded = vec![7; digests * MD5_LENGTH];
            let digest = digest_as_hdfs(padded.clone());
            padded.resize(buffer, 0);
            assert_eq!(
                digest,
                <[u8; MD5_LENGTH]>::from(Md5::digest(&padded)),
                "{digests} blocks"
            );
        }
    }

    #[test]
    fn shown_as_the_shell_shows_it() {
        let checksum = FileChecksum::Md5 {
            bytes_per_checksum: 512,
            checksums_per_block: 2048,
            kind: ChecksumType::Crc32c,
            md5: [0xab; MD5_LENGTH],
        };
        let expected = format!(
            "MD5-of-2048MD5-of-512CRC32C 000002000000000000000800{}",
            "ab".repeat(16)
        );
        assert_eq!(checksum.to_string(), expected);
        let composite = FileChecksum::Composite {
            kind: ChecksumType::Crc32c,
            crc: 0xab,
        };
        assert_eq!(composite.to_string(), "COMPOSITE-CRC32C 000000ab");
    }
}
