//! Cutting a stream of bytes into packets with their checksums.

use bytes::{Buf, Bytes, BytesMut};
use quarry_dfs_wire::checksum::DataChecksum;

/// A packet of a block, kept until every DataNode of the pipeline acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) seqno: i64,
    /// Where its data begins in the block.
    pub(crate) offset: u64,
    /// The empty packet that ends the block.
    pub(crate) last: bool,
    pub(crate) checksums: Bytes,
    pub(crate) data: Bytes,
}

impl Packet {
    /// One past its last byte in the block.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

/// Collects bytes until they make a packet. Packets begin on a chunk and are whole chunks, but for the last of a block.
#[derive(Debug)]
pub(crate) struct PacketBuilder {
    checksum: DataChecksum,
    /// Data bytes of a full packet, whole chunks.
    capacity: usize,
    block_size: u64,
    /// Where the buffered bytes begin in the block.
    offset: u64,
    seqno: i64,
    buffer: BytesMut,
}

impl PacketBuilder {
    pub(crate) fn new(checksum: DataChecksum, capacity: usize, block_size: u64) -> Self {
        Self {
            checksum,
            capacity,
            block_size,
            offset: 0,
            seqno: 0,
            buffer: BytesMut::new(),
        }
    }

    /// Takes bytes from `data` up to the end of a packet or of the block; the packet when it is full.
    pub(crate) fn fill(&mut self, data: &mut Bytes) -> Option<Packet> {
        let size = (self.block_size - self.offset).min(self.capacity as u64) as usize;
        if self.buffer.is_empty() && data.len() >= size {
            // A full packet in one piece needs no copy.
            return Some(self.packet(data.split_to(size)));
        }
        self.buffer.reserve(size - self.buffer.len());
        let taken = (size - self.buffer.len()).min(data.len());
        self.buffer.extend_from_slice(&data[..taken]);
        data.advance(taken);
        if self.buffer.len() < size {
            return None;
        }
        let full = self.buffer.split().freeze();
        Some(self.packet(full))
    }

    /// What is buffered, as a packet.
    pub(crate) fn flush(&mut self) -> Option<Packet> {
        if self.buffer.is_empty() {
            return None;
        }
        let rest = self.buffer.split().freeze();
        Some(self.packet(rest))
    }

    /// Whether the packets so far fill the block.
    pub(crate) fn block_is_full(&self) -> bool {
        self.offset == self.block_size
    }

    /// The packet that ends the block; the next packet opens another block.
    pub(crate) fn end_block(&mut self) -> Packet {
        assert!(self.buffer.is_empty(), "a block ends after its last byte was sent");
        let packet = self.packet(Bytes::new());
        self.offset = 0;
        self.seqno = 0;
        packet
    }

    fn packet(&mut self, data: Bytes) -> Packet {
        let mut checksums = BytesMut::with_capacity(self.checksum.checksums_length(data.len() as u64) as usize);
        self.checksum.compute(&data, &mut checksums);
        let packet = Packet {
            seqno: self.seqno,
            offset: self.offset,
            last: data.is_empty(),
            checksums: checksums.freeze(),
            data,
        };
        self.seqno += 1;
        self.offset = packet.end();
        packet
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Cuts `pieces` and returns the packets of each block.
    fn cut(pieces: &[Vec<u8>], capacity: usize, block_size: u64) -> Vec<Vec<Packet>> {
        let mut builder = PacketBuilder::new(DataChecksum::default(), capacity, block_size);
        let (mut blocks, mut block) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut data = Bytes::from(piece.clone());
            while !data.is_empty() {
                block.extend(builder.fill(&mut data));
                if builder.block_is_full() {
                    block.push(builder.end_block());
                    blocks.push(std::mem::take(&mut block));
                }
            }
        }
        block.extend(builder.flush());
        if !block.is_empty() {
            block.push(builder.end_block());
            blocks.push(block);
        }
        blocks
    }

    proptest! {
        #[test]
        fn packets_hold_the_bytes_in_order_and_keep_the_rules(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..12),
            capacity in 1usize..4,
            chunks_per_block in 1u64..12,
        ) {
            let (capacity, block_size) = (capacity * 512, chunks_per_block * 512);
            let blocks = cut(&pieces, capacity, block_size);
            let bytes: Vec<u8> = blocks.iter().flatten().flat_map(|p| p.data.to_vec()).collect();
            prop_assert_eq!(bytes, pieces.concat());
            for (i, block) in blocks.iter().enumerate() {
                let mut offset = 0;
                for (seqno, packet) in block.iter().enumerate() {
                    prop_assert_eq!(packet.seqno, seqno as i64);
                    prop_assert_eq!(packet.offset, offset);
                    prop_assert_eq!(packet.last, seqno + 1 == block.len());
                    prop_assert_eq!(packet.checksums.len(), packet.data.len().div_ceil(512) * 4);
                    prop_assert!(packet.offset % 512 == 0 || packet.last);
                    prop_assert!(packet.data.len() <= capacity);
                    offset = packet.end();
                }
                prop_assert!(offset == block_size || i + 1 == blocks.len());
            }
        }
    }
}
