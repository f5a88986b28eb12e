//! BLOCK_CHECKSUM: one value for all of a block's checksums, so that copies can be compared without reading their bytes.

use std::sync::Arc;

use md5::{Digest, Md5};
use quarry_dfs_wire::block::{Block, ExtendedBlock};
use quarry_dfs_wire::checksum::{ChecksumType, DataChecksum};
use quarry_dfs_wire::proto::hadoop::hdfs::{
    BlockChecksumOptionsProto, BlockChecksumTypeProto, BlockOpResponseProto, ChecksumTypeProto, OpBlockChecksumProto,
    OpBlockChecksumResponseProto, Status,
};

use super::connection::{Connection, Next, refuse_with};
use super::error::TransferError;
use crate::node::Node;
use crate::storage::reader::ReadError;

/// Serves one BLOCK_CHECKSUM.
pub(crate) async fn checksum(
    node: &Arc<Node>,
    connection: &mut Connection,
    request: OpBlockChecksumProto,
) -> Result<Next, TransferError> {
    let answer = match ExtendedBlock::try_from(&request.header.block) {
        Ok(block) => compute(node, block, request.block_checksum_options.unwrap_or_default()).await,
        Err(error) => Err(error.into()),
    };
    match answer {
        Ok(answer) => {
            let reply = BlockOpResponseProto {
                status: Status::Success.into(),
                checksum_response: Some(answer),
                ..BlockOpResponseProto::default()
            };
            connection.send(&reply, node.config.handshake_timeout).await?;
            Ok(Next::Close)
        }
        Err(error) => refuse_with(node, connection, error).await,
    }
}

async fn compute(
    node: &Arc<Node>,
    block: ExtendedBlock,
    options: BlockChecksumOptionsProto,
) -> Result<OpBlockChecksumResponseProto, TransferError> {
    node.check_pool(&block.pool)?;
    let node = Arc::clone(node);
    Node::blocking(move || compute_now(&node, &block.block, options)).await
}

fn compute_now(
    node: &Node,
    block: &Block,
    options: BlockChecksumOptionsProto,
) -> Result<OpBlockChecksumResponseProto, TransferError> {
    let replica = node.dataset.open_for_read(block.id, block.generation_stamp)?;
    // A length of 0 is that of a block whose length the client does not know: all of it.
    let length = if block.length == 0 {
        replica.length
    } else {
        block.length.min(replica.length)
    };
    let sums = replica.sums_of_prefix(length)?;
    let checksum = replica.checksum;
    let value = match options.block_checksum_type() {
        BlockChecksumTypeProto::Md5crc => Md5::digest(&sums).to_vec(),
        BlockChecksumTypeProto::CompositeCrc => composite(checksum, &sums, length)?.to_be_bytes().to_vec(),
    };
    Ok(OpBlockChecksumResponseProto {
        bytes_per_crc: checksum.bytes_per_checksum(),
        crc_per_block: sums.len() as u64 / 4,
        block_checksum: value.into(),
        crc_type: Some(ChecksumTypeProto::from(checksum.kind()).into()),
        block_checksum_options: Some(options),
    })
}

/// The CRC of the whole block, from the CRCs of its chunks.
fn composite(checksum: DataChecksum, sums: &[u8], length: u64) -> Result<u32, TransferError> {
    let polynomial = match checksum.kind() {
        ChecksumType::Crc32 => 0xedb8_8320,
        ChecksumType::Crc32c => 0x82f6_3b78,
        ChecksumType::Null => {
            let text = "the block is stored without checksums, so it has no composite one".to_owned();
            return Err(ReadError::Damaged(text).into());
        }
    };
    let size = u64::from(checksum.bytes_per_checksum());
    let full_shift = shift(polynomial, size);
    let (mut crc, mut rest) = (0, length);
    for sum in sums.chunks_exact(4) {
        let sum = u32::from_be_bytes([sum[0], sum[1], sum[2], sum[3]]);
        let by = if rest >= size {
            full_shift
        } else {
            shift(polynomial, rest)
        };
        crc = multiply(polynomial, crc, by) ^ sum;
        rest = rest.saturating_sub(size);
    }
    Ok(crc)
}

/// The product of two polynomials over GF(2) modulo a CRC's polynomial. Bits are reflected: the highest is x^0.
fn multiply(polynomial: u32, a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ polynomial };
        bit >>= 1;
    }
    product
}

/// x^(8 * bytes): multiplying a CRC by it gives the CRC's share in that of `bytes` more bytes.
fn shift(polynomial: u32, bytes: u64) -> u32 {
    let (mut result, mut power, mut exponent) = (1 << 31, 1 << 23, bytes);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(polynomial, result, power);
        }
        power = multiply(polynomial, power, power);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn composite_is_the_crc_of_all_bytes(data in proptest::collection::vec(any::<u8>(), 1..3000), size in 1_u32..700) {
            for kind in [ChecksumType::Crc32, ChecksumType::Crc32c] {
                let checksum = DataChecksum::new(kind, size).unwrap();
                let mut sums = Vec::new();
                checksum.compute(&data, &mut sums);
                let composite = composite(checksum, &sums, data.len() as u64).unwrap();
                prop_assert_eq!(composite, checksum.chunk_checksum(&data));
            }
        }
    }
}
