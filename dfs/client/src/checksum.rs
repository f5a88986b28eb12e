//! The checksum of a whole file as HDFS defines it: a digest of digests of stored checksums. No data is read or sent.
//!
//! It depends on the block size and the bytes per checksum: equal checksums mean equal files, but not the other way round.

use std::fmt;
use std::sync::Arc;

use md5::{Digest, Md5};
use quarry_dfs_wire::proto::hadoop::hdfs as pb;
use quarry_dfs_wire::transfer::op::Op;

use crate::connections;
use crate::error::{Error, Failures, ReplicaFailure, Result, TransferError};
use crate::location::{BlockLocation, DataNodeInfo, FileBlocks};
use crate::shared::Shared;

/// Bytes of an MD5 digest.
const MD5_LENGTH: usize = 16;

/// HDFS digests the buffer that it collected the blocks' digests in, and the buffer begins with this many bytes.
const FIRST_BUFFER: usize = 32;

/// A file's checksum, `MD5-of-<checksums per block>MD5-of-<bytes per checksum><type>` in HDFS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChecksum {
    /// Bytes of data per stored checksum; 0 for a file without blocks.
    pub bytes_per_checksum: u32,
    /// Stored checksums per full block; 0 for a file of one block.
    pub checksums_per_block: u64,
    /// `CRC32` or `CRC32C`.
    pub kind: &'static str,
    /// The digest.
    pub md5: [u8; MD5_LENGTH],
}

impl FileChecksum {
    /// The algorithm's name, as HDFS's shell prints it.
    pub fn algorithm(&self) -> String {
        format!(
            "MD5-of-{}MD5-of-{}{}",
            self.checksums_per_block, self.bytes_per_checksum, self.kind
        )
    }

    /// The value in hexadecimal, as HDFS's shell prints it: both parameters, then the digest.
    pub fn hex(&self) -> String {
        let digest: String = self.md5.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "{:08x}{:016x}{digest}",
            self.bytes_per_checksum, self.checksums_per_block
        )
    }
}

impl fmt::Display for FileChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm(), self.hex())
    }
}

/// Asks one replica of each block for its checksum.
pub(crate) async fn file_checksum(shared: &Arc<Shared>, path: &str, file: &FileBlocks) -> Result<FileChecksum> {
    let mut digests = Vec::with_capacity(file.blocks.len() * MD5_LENGTH);
    let mut checksum = FileChecksum {
        bytes_per_checksum: 0,
        checksums_per_block: 0,
        kind: "CRC32",
        md5: [0; MD5_LENGTH],
    };
    for (i, location) in file.blocks.iter().enumerate() {
        let block = block_checksum(shared, path, location).await?;
        if i == 0 {
            checksum.bytes_per_checksum = block.bytes_per_crc;
            checksum.kind = kind(block.crc_type());
            checksum.checksums_per_block = if file.blocks.len() > 1 { block.crc_per_block } else { 0 };
        }
        digests.extend_from_slice(&block.block_checksum);
    }
    checksum.md5 = digest_as_hdfs(digests);
    Ok(checksum)
}

fn kind(kind: pb::ChecksumTypeProto) -> &'static str {
    match kind {
        pb::ChecksumTypeProto::ChecksumNull => "NULL",
        pb::ChecksumTypeProto::ChecksumCrc32 => "CRC32",
        pb::ChecksumTypeProto::ChecksumCrc32c => "CRC32C",
    }
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
) -> Result<pb::OpBlockChecksumResponseProto> {
    let mut failures = Vec::new();
    for node in &location.datanodes {
        match ask(shared, location, node).await {
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
) -> Result<pb::OpBlockChecksumResponseProto, TransferError> {
    let mut connection = connections::connect(node, shared.config.connect_timeout).await?;
    let header = connections::operation_header(&location.block, &location.token, "").base_header;
    let op = Op::BlockChecksum(Box::new(pb::OpBlockChecksumProto {
        header,
        block_checksum_options: None,
    }));
    let answer = connections::ask(&mut connection, &op, shared.config.datanode_timeout).await?;
    match answer.checksum_response {
        Some(checksum) if checksum.block_checksum.len() == MD5_LENGTH => Ok(checksum),
        _ => Err(TransferError::Refused(format!(
            "no block checksum: {}",
            answer.message.unwrap_or_default()
        ))),
    }
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
        let checksum = FileChecksum {
            bytes_per_checksum: 512,
            checksums_per_block: 2048,
            kind: "CRC32C",
            md5: [0xab; MD5_LENGTH],
        };
        let expected = format!(
            "MD5-of-2048MD5-of-512CRC32C 000002000000000000000800{}",
            "ab".repeat(16)
        );
        assert_eq!(checksum.to_string(), expected);
    }
}
