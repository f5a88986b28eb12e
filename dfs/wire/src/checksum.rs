//! Chunk checksums: one CRC for every `bytes_per_checksum` bytes of a block, on the wire and in the meta file alike.

use bytes::{Buf, BufMut};

use crate::crc32c_lanes;
use crate::proto::hadoop::hdfs::ChecksumTypeProto;

/// Length of the header that begins every meta file, in bytes.
pub const META_HEADER_LENGTH: usize = 7;
/// Version of the meta file format that HDFS writes and we read.
pub const META_VERSION: u16 = 1;
/// Largest chunk that we accept, in bytes: a packet must hold at least one.
pub const MAX_BYTES_PER_CHECKSUM: u32 = 8 * 1024 * 1024;

/// How the bytes of a chunk become a checksum. The numbers are HDFS's, on the wire and on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChecksumType {
    /// No checksums at all.
    Null = 0,
    /// CRC-32 as in zip files.
    Crc32 = 1,
    /// CRC-32 with Castagnoli's polynomial, which processors compute in hardware. The default.
    Crc32c = 2,
}

/// Checksum type and chunk length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataChecksum {
    kind: ChecksumType,
    bytes_per_checksum: u32,
}

/// Data and checksums do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// The bytes of one chunk are not those that the checksum was made of.
    #[error("checksum mismatch in the chunk at offset {offset}: expected {expected:#010x}, found {found:#010x}")]
    Mismatch {
        /// Offset of the chunk, counted as the caller's base offset is.
        offset: u64,
        /// What the checksum says.
        expected: u32,
        /// What the data gives.
        found: u32,
    },
    /// There are too few or too many checksums.
    #[error("{data} bytes of data need {expected} bytes of checksums, found {found}")]
    Length {
        /// Bytes of data.
        data: usize,
        /// Bytes of checksums for that data.
        expected: usize,
        /// Bytes of checksums that came.
        found: usize,
    },
    /// A checksum description that makes no sense.
    #[error("bad checksum description: {0}")]
    Description(String),
}

impl Default for DataChecksum {
    /// What HDFS uses unless told otherwise: CRC32C over 512 bytes.
    fn default() -> Self {
        Self {
            kind: ChecksumType::Crc32c,
            bytes_per_checksum: 512,
        }
    }
}

impl DataChecksum {
    /// Puts type and chunk length together.
    ///
    /// # Errors
    /// `Description` when the chunk length is zero or over [`MAX_BYTES_PER_CHECKSUM`].
    pub fn new(kind: ChecksumType, bytes_per_checksum: u32) -> Result<Self, ChecksumError> {
        if bytes_per_checksum == 0 || bytes_per_checksum > MAX_BYTES_PER_CHECKSUM {
            return Err(ChecksumError::Description(format!(
                "{bytes_per_checksum} bytes per checksum, expected 1 to {MAX_BYTES_PER_CHECKSUM}"
            )));
        }
        Ok(Self {
            kind,
            bytes_per_checksum,
        })
    }

    /// How checksums are made.
    pub fn kind(self) -> ChecksumType {
        self.kind
    }

    /// Length of a chunk, in bytes.
    pub fn bytes_per_checksum(self) -> u32 {
        self.bytes_per_checksum
    }

    /// Length of one checksum: 4 bytes, or 0 for [`ChecksumType::Null`].
    pub fn checksum_size(self) -> usize {
        if self.kind == ChecksumType::Null { 0 } else { 4 }
    }

    /// How many bytes of checksums belong to `data_length` bytes of data that begin at a chunk.
    pub fn checksums_length(self, data_length: u64) -> u64 {
        data_length.div_ceil(u64::from(self.bytes_per_checksum)) * self.checksum_size() as u64
    }

    /// The checksum of one chunk.
    pub fn chunk_checksum(self, chunk: &[u8]) -> u32 {
        self.extend_checksum(0, chunk)
    }

    /// The checksum of a chunk whose first bytes have the checksum `so_far` and whose further bytes are `more`.
    pub fn extend_checksum(self, so_far: u32, more: &[u8]) -> u32 {
        match self.kind {
            ChecksumType::Null => 0,
            ChecksumType::Crc32 => {
                let mut hasher = crc32fast::Hasher::new_with_initial(so_far);
                hasher.update(more);
                hasher.finalize()
            }
            ChecksumType::Crc32c => crc32c::crc32c_append(so_far, more),
        }
    }

    /// The checksum of two pieces of data together, from that of the first and that of the second, which has `length` bytes.
    pub fn joined_checksum(self, first: u32, second: u32, length: u64) -> u32 {
        match self.kind {
            ChecksumType::Null => 0,
            ChecksumType::Crc32 => {
                let mut hasher = crc32fast::Hasher::new_with_initial(first);
                hasher.combine(&crc32fast::Hasher::new_with_initial_len(second, length));
                hasher.finalize()
            }
            ChecksumType::Crc32c => crc32c::crc32c_combine(first, second, length as usize),
        }
    }

    /// Appends the big-endian checksums of `data`, which begins at a chunk; its last chunk may be short.
    pub fn compute(self, data: &[u8], checksums: &mut impl BufMut) {
        if self.kind == ChecksumType::Null {
            return;
        }
        self.for_each(data, |sum| {
            checksums.put_u32(sum);
            true
        });
    }

    /// Hands the checksum of each chunk to `take`, in order, until that says no.
    fn for_each(self, data: &[u8], mut take: impl FnMut(u32) -> bool) {
        let size = self.bytes_per_checksum as usize;
        let mut rest = data;
        while self.kind == ChecksumType::Crc32c && rest.len() >= 3 * size {
            let (three, more) = rest.split_at(3 * size);
            let Some(sums) = crc32c_lanes::three([&three[..size], &three[size..2 * size], &three[2 * size..]]) else {
                break;
            };
            if !sums.into_iter().all(&mut take) {
                return;
            }
            rest = more;
        }
        for chunk in rest.chunks(size) {
            if !take(self.chunk_checksum(chunk)) {
                return;
            }
        }
    }

    /// Compares `data`, which begins at a chunk, with its big-endian checksums. Errors count from `base_offset`, the
    /// offset of `data` in its block.
    ///
    /// # Errors
    /// `Mismatch` for the first chunk that is damaged, `Length` when there is not one checksum for each chunk.
    pub fn verify(self, data: &[u8], checksums: &[u8], base_offset: u64) -> Result<(), ChecksumError> {
        let expected = self.checksums_length(data.len() as u64) as usize;
        if checksums.len() != expected {
            return Err(ChecksumError::Length {
                data: data.len(),
                expected,
                found: checksums.len(),
            });
        }
        if self.kind == ChecksumType::Null {
            return Ok(());
        }
        let mut expected = checksums.chunks_exact(4).map(|mut sum| sum.get_u32());
        let (mut verified, mut mismatch) = (0, None);
        self.for_each(data, |found| {
            // There are as many checksums as chunks, see above.
            let expected = expected.next().unwrap_or(!found);
            if expected == found {
                verified += 1;
                return true;
            }
            mismatch = Some((expected, found));
            false
        });
        match mismatch {
            None => Ok(()),
            Some((expected, found)) => Err(ChecksumError::Mismatch {
                offset: base_offset + verified * u64::from(self.bytes_per_checksum),
                expected,
                found,
            }),
        }
    }

    /// The header of a meta file: version (u16), type (u8), bytes per checksum (u32), all big-endian.
    pub fn encode_meta_header(self) -> [u8; META_HEADER_LENGTH] {
        let [v0, v1] = META_VERSION.to_be_bytes();
        let [b0, b1, b2, b3] = self.bytes_per_checksum.to_be_bytes();
        [v0, v1, self.kind as u8, b0, b1, b2, b3]
    }

    /// Reads what [`Self::encode_meta_header`] writes; bytes after the header are left alone.
    ///
    /// # Errors
    /// `Description` for too few bytes, another version, an unknown type or an absurd chunk length.
    pub fn decode_meta_header(mut header: &[u8]) -> Result<Self, ChecksumError> {
        if header.len() < META_HEADER_LENGTH {
            let found = header.len();
            return Err(ChecksumError::Description(format!(
                "meta header of {found} bytes, expected {META_HEADER_LENGTH}"
            )));
        }
        let version = header.get_u16();
        if version != META_VERSION {
            return Err(ChecksumError::Description(format!(
                "meta file version {version}, expected {META_VERSION}"
            )));
        }
        let kind = ChecksumType::try_from(i32::from(header.get_u8()))?;
        Self::new(kind, header.get_u32())
    }
}

impl TryFrom<i32> for ChecksumType {
    type Error = ChecksumError;

    fn try_from(number: i32) -> Result<Self, ChecksumError> {
        match number {
            0 => Ok(Self::Null),
            1 => Ok(Self::Crc32),
            2 => Ok(Self::Crc32c),
            _ => Err(ChecksumError::Description(format!(
                "unknown checksum type {number}, expected 0, 1 or 2"
            ))),
        }
    }
}

impl From<ChecksumType> for ChecksumTypeProto {
    fn from(kind: ChecksumType) -> Self {
        match kind {
            ChecksumType::Null => Self::ChecksumNull,
            ChecksumType::Crc32 => Self::ChecksumCrc32,
            ChecksumType::Crc32c => Self::ChecksumCrc32c,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = ChecksumType> {
        prop_oneof![
            Just(ChecksumType::Null),
            Just(ChecksumType::Crc32),
            Just(ChecksumType::Crc32c)
        ]
    }

    #[test]
    fn check_values_of_the_crc_catalogue() {
        let crc32c = DataChecksum::default();
        let crc32 = DataChecksum::new(ChecksumType::Crc32, 512).unwrap();
        assert_eq!(crc32c.chunk_checksum(b"123456789"), 0xe306_9283);
        assert_eq!(crc32.chunk_checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn meta_header_is_that_of_hdfs() {
        assert_eq!(DataChecksum::default().encode_meta_header(), [0, 1, 2, 0, 0, 2, 0]);
        for bad in [
            &[0, 1, 2][..],
            &[0, 2, 2, 0, 0, 2, 0],
            &[0, 1, 3, 0, 0, 2, 0],
            &[0, 1, 2, 0, 0, 0, 0],
        ] {
            assert!(DataChecksum::decode_meta_header(bad).is_err());
        }
    }

    #[test]
    fn damage_is_found_in_its_chunk() {
        let checksum = DataChecksum::default();
        let mut data = vec![7; 1300];
        let mut sums = Vec::new();
        checksum.compute(&data, &mut sums);
        assert_eq!(sums.len(), 12);
        checksum.verify(&data, &sums, 0).unwrap();
        data[600] ^= 1;
        let error = checksum.verify(&data, &sums, 4096).unwrap_err();
        assert!(matches!(error, ChecksumError::Mismatch { offset: 4608, .. }), "{error}");
        assert!(matches!(
            checksum.verify(&data, &sums[..8], 0),
            Err(ChecksumError::Length {
                expected: 12,
                found: 8,
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn computed_checksums_verify(kind in kinds(), chunk in 1u32..700, data in prop::collection::vec(any::<u8>(), 0..2000)) {
            let checksum = DataChecksum::new(kind, chunk).unwrap();
            let mut sums = Vec::new();
            checksum.compute(&data, &mut sums);
            prop_assert_eq!(sums.len() as u64, checksum.checksums_length(data.len() as u64));
            prop_assert!(checksum.verify(&data, &sums, 0).is_ok());
            prop_assert_eq!(DataChecksum::decode_meta_header(&checksum.encode_meta_header()).unwrap(), checksum);
        }

        #[test]
        fn checksums_of_pieces_join(kind in kinds(), a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            let checksum = DataChecksum::new(kind, 512).unwrap();
            let (first, second) = (checksum.chunk_checksum(&a), checksum.chunk_checksum(&b));
            let joined = checksum.joined_checksum(first, second, b.len() as u64);
            prop_assert_eq!(joined, checksum.chunk_checksum(&[a, b].concat()));
        }

        #[test]
        fn a_chunk_may_grow(kind in kinds(), a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            let checksum = DataChecksum::new(kind, 512).unwrap();
            let grown = checksum.extend_checksum(checksum.chunk_checksum(&a), &b);
            prop_assert_eq!(grown, checksum.chunk_checksum(&[a, b].concat()));
        }

        #[test]
        fn any_flipped_bit_is_found(data in prop::collection::vec(any::<u8>(), 1..2000), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let checksum = DataChecksum::default();
            let mut sums = Vec::new();
            checksum.compute(&data, &mut sums);
            let mut data = data;
            let at = at.index(data.len());
            data[at] ^= 1u8 << bit;
            let found = checksum.verify(&data, &sums, 0);
            let expected_offset = (at / 512 * 512) as u64;
            let in_its_chunk = matches!(found, Err(ChecksumError::Mismatch { offset, .. }) if offset == expected_offset);
            prop_assert!(in_its_chunk, "{:?}", found);
        }

        #[test]
        fn no_meta_header_panics(bytes in any::<Vec<u8>>()) {
            let _ = DataChecksum::decode_meta_header(&bytes);
        }
    }
}
