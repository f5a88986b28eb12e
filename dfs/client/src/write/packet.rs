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
    /// Whether the DataNodes shall bring the block to their disks before they acknowledge it.
    pub(crate) sync: bool,
    pub(crate) checksums: Bytes,
    pub(crate) data: Bytes,
}

impl Packet {
    /// One past its last byte in the block.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

/// Collects bytes until they make a packet. Packets begin on a chunk and are whole chunks, with two exceptions:
///
/// - The last of a block, and one that is flushed, may end inside a chunk. After a flush the next packet begins at that
///   chunk once more, so that its checksum is always made of bytes that this client has.
/// - A block that is appended to may end inside a chunk whose bytes are not here. The first packets then go on inside
///   that chunk and end in it, with checksums of their own bytes; the DataNodes put them together.
#[derive(Debug)]
pub(crate) struct PacketBuilder {
    checksum: DataChecksum,
    /// Data bytes of a full packet, whole chunks.
    capacity: usize,
    block_size: u64,
    /// Where the buffered bytes begin in the block.
    offset: u64,
    /// Where the packets so far end in the block.
    packed: u64,
    seqno: i64,
    buffer: BytesMut,
}

impl PacketBuilder {
    /// For a block that has `offset` bytes already.
    pub(crate) fn new(checksum: DataChecksum, capacity: usize, block_size: u64, offset: u64) -> Self {
        let chunk = checksum.bytes_per_checksum() as usize;
        Self {
            checksum,
            capacity: (capacity / chunk).max(1) * chunk,
            block_size,
            offset,
            packed: offset,
            seqno: 0,
            buffer: BytesMut::new(),
        }
    }

    fn chunk(&self) -> u64 {
        u64::from(self.checksum.bytes_per_checksum())
    }

    /// The most that a packet which begins where the buffer does can hold.
    fn size(&self) -> usize {
        let begun = self.offset % self.chunk();
        let most = if begun > 0 {
            self.chunk() - begun
        } else {
            self.capacity as u64
        };
        (self.block_size - self.offset).min(most) as usize
    }

    /// Takes bytes from `data` up to the end of a packet or of the block; the packet when it is full.
    pub(crate) fn fill(&mut self, data: &mut Bytes) -> Option<Packet> {
        let size = self.size();
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

    /// What is buffered and not yet in a packet, as a packet.
    pub(crate) fn flush(&mut self) -> Option<Packet> {
        if self.offset + self.buffer.len() as u64 == self.packed {
            return None;
        }
        let rest = self.buffer.split().freeze();
        let begins_on_a_chunk = self.offset.is_multiple_of(self.chunk());
        let packet = self.packet(rest);
        let open = (packet.end() % self.chunk()) as usize;
        if begins_on_a_chunk && open > 0 {
            self.buffer.extend_from_slice(&packet.data[packet.data.len() - open..]);
            self.offset = packet.end() - open as u64;
        }
        Some(packet)
    }

    /// Bytes of the block that are in packets.
    pub(crate) fn packed(&self) -> u64 {
        self.packed
    }

    /// Whether the packets so far fill the block.
    pub(crate) fn block_is_full(&self) -> bool {
        self.packed == self.block_size
    }

    /// An empty packet that has the block brought to the disks.
    pub(crate) fn sync(&mut self) -> Packet {
        Packet {
            sync: true,
            ..self.empty()
        }
    }

    /// The packet that ends the block; the next packet opens another block.
    pub(crate) fn end_block(&mut self) -> Packet {
        assert!(
            self.offset + self.buffer.len() as u64 == self.packed,
            "a block ends after its last byte was sent"
        );
        let packet = Packet {
            last: true,
            sync: true,
            ..self.empty()
        };
        self.buffer.clear();
        self.offset = 0;
        self.packed = 0;
        self.seqno = 0;
        packet
    }

    fn empty(&mut self) -> Packet {
        let packet = Packet {
            seqno: self.seqno,
            offset: self.packed,
            last: false,
            sync: false,
            checksums: Bytes::new(),
            data: Bytes::new(),
        };
        self.seqno += 1;
        packet
    }

    fn packet(&mut self, data: Bytes) -> Packet {
        let mut checksums = BytesMut::with_capacity(self.checksum.checksums_length(data.len() as u64) as usize);
        self.checksum.compute(&data, &mut checksums);
        let packet = Packet {
            seqno: self.seqno,
            offset: self.offset,
            last: false,
            sync: false,
            checksums: checksums.freeze(),
            data,
        };
        self.seqno += 1;
        self.offset = packet.end();
        self.packed = packet.end();
        packet
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Cuts `pieces`, flushing after those that say so, and returns the packets of each block.
    fn cut(pieces: &[(Vec<u8>, bool)], capacity: usize, block_size: u64, begun: u64) -> Vec<Vec<Packet>> {
        let mut builder = PacketBuilder::new(DataChecksum::default(), capacity, block_size, begun);
        let (mut blocks, mut block) = (Vec::new(), Vec::new());
        for (piece, flush) in pieces {
            let mut data = Bytes::from(piece.clone());
            while !data.is_empty() {
                block.extend(builder.fill(&mut data));
                if builder.block_is_full() {
                    block.push(builder.end_block());
                    blocks.push(std::mem::take(&mut block));
                }
            }
            if *flush {
                block.extend(builder.flush());
                assert!(builder.flush().is_none(), "nothing is left after a flush");
                assert!(
                    !builder.block_is_full() || builder.packed() == 0,
                    "a full block ended when it was full"
                );
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
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..3000), any::<bool>()), 0..12),
            capacity in 1usize..4,
            chunks_per_block in 1u64..12,
            begun in 0u64..5000,
        ) {
            let (capacity, block_size) = (capacity * 512, chunks_per_block * 512);
            let begun = begun % block_size;
            let blocks = cut(&pieces, capacity, block_size, begun);
            let expected: Vec<u8> = pieces.iter().flat_map(|(piece, _)| piece.clone()).collect();
            let mut bytes = Vec::new();
            for (i, block) in blocks.iter().enumerate() {
                // What a DataNode would have: later packets may repeat the end of earlier ones.
                let start = if i == 0 { begun } else { 0 };
                let mut stored = vec![0; start as usize];
                for (seqno, packet) in block.iter().enumerate() {
                    prop_assert_eq!(packet.seqno, seqno as i64);
                    prop_assert_eq!(packet.last, seqno + 1 == block.len());
                    prop_assert_eq!(packet.checksums.len(), packet.data.len().div_ceil(512) * 4);
                    prop_assert!(packet.data.len() <= capacity);
                    let (from, length) = (packet.offset as usize, stored.len());
                    if packet.last {
                        prop_assert_eq!(from, length);
                    } else if from % 512 == 0 {
                        prop_assert_eq!(from, if i == 0 && length as u64 == begun { length } else { length / 512 * 512 });
                        prop_assert!(packet.end() as usize > length, "something new");
                        prop_assert_eq!(&stored[from..], &packet.data[..length - from]);
                        stored.truncate(from);
                        stored.extend_from_slice(&packet.data);
                    } else {
                        prop_assert!(i == 0 && from == length, "goes on where the appended block ended");
                        prop_assert_eq!(from as u64 / 512, begun / 512, "in its chunk");
                        prop_assert!((from + packet.data.len() - 1) / 512 == from / 512);
                        stored.extend_from_slice(&packet.data);
                    }
                }
                prop_assert!(stored.len() as u64 == block_size || i + 1 == blocks.len());
                bytes.extend_from_slice(&stored[start as usize..]);
            }
            prop_assert_eq!(bytes, expected);
        }
    }
}
