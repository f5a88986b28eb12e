//! Where the checksum chunks of a replica begin and where their checksums are stored. Pure.

use quarry_dfs_wire::checksum::{DataChecksum, META_HEADER_LENGTH};

/// The geometry of one replica's checksums.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunks {
    checksum: DataChecksum,
}

impl Chunks {
    /// The chunks of a replica with this checksum.
    pub(crate) fn new(checksum: DataChecksum) -> Self {
        Self { checksum }
    }

    /// Bytes per chunk.
    pub(crate) fn size(self) -> u64 {
        u64::from(self.checksum.bytes_per_checksum())
    }

    /// Bytes that one chunk's checksum takes; 0 without checksums.
    pub(crate) fn sum_size(self) -> usize {
        self.checksum.checksum_size()
    }

    /// First byte of the chunk that holds `offset`.
    pub(crate) fn floor(self, offset: u64) -> u64 {
        offset - offset % self.size()
    }

    /// First byte after the chunk that ends at or holds `offset`.
    pub(crate) fn ceil(self, offset: u64) -> u64 {
        offset.div_ceil(self.size()).saturating_mul(self.size())
    }

    /// Position in the `.meta` file of the checksum of the chunk that holds `offset`.
    pub(crate) fn meta_position(self, offset: u64) -> u64 {
        META_HEADER_LENGTH as u64 + offset / self.size() * self.sum_size() as u64
    }

    /// Length of the `.meta` file of a replica of `length` bytes.
    pub(crate) fn meta_length(self, length: u64) -> u64 {
        META_HEADER_LENGTH as u64 + self.checksum.checksums_length(length)
    }

    /// Bytes of whole checksums that fit into a `.meta` file of `meta_length`, as the data length that they can cover.
    pub(crate) fn covered_by(self, meta_length: u64) -> u64 {
        match self.sum_size() as u64 {
            0 => u64::MAX,
            size => (meta_length.saturating_sub(META_HEADER_LENGTH as u64) / size).saturating_mul(self.size()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use quarry_dfs_wire::checksum::ChecksumType;

    use super::*;

    #[test]
    fn geometry_of_512_byte_chunks() {
        let chunks = Chunks::new(DataChecksum::default());
        assert_eq!(
            (chunks.floor(511), chunks.floor(512), chunks.ceil(1), chunks.ceil(512)),
            (0, 512, 512, 512)
        );
        assert_eq!(
            (
                chunks.meta_position(0),
                chunks.meta_position(511),
                chunks.meta_position(512)
            ),
            (7, 7, 11)
        );
        assert_eq!(
            (chunks.meta_length(0), chunks.meta_length(1), chunks.meta_length(513)),
            (7, 11, 15)
        );
        assert_eq!(
            (chunks.covered_by(0), chunks.covered_by(10), chunks.covered_by(15)),
            (0, 0, 1024)
        );
    }

    #[test]
    fn without_checksums_the_meta_file_is_its_header() {
        let chunks = Chunks::new(DataChecksum::new(ChecksumType::Null, 512).unwrap());
        assert_eq!((chunks.meta_length(5000), chunks.covered_by(7)), (7, u64::MAX));
    }
}
