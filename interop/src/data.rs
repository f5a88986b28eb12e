//! Files with known content.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

/// Length of the big file: a little over 300 MB, and a multiple of neither the checksum chunk (512) nor the block (128 MiB), so
/// that the last chunk and the last block are short.
pub const BIG_FILE_LEN: u64 = 300_000_007;

/// Writes `len` bytes that are the same on every machine and do not compress: a 64-bit linear congruential generator (Knuth's MMIX
/// constants, seed 42), eight big-endian bytes per step.
///
/// # Errors
/// Those of the file.
pub fn write_noise(path: &Path, len: u64) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state = 42_u64;
    let mut left = len;
    while left > 0 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bytes = state.to_be_bytes();
        let take = left.min(8);
        out.write_all(&bytes[..take as usize])?;
        left -= take;
    }
    out.flush()
}

/// Whether two files hold the same bytes.
///
/// # Errors
/// Those of the files.
pub fn same_content(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            return Ok(true);
        }
        b.read_exact(&mut right[..n])?;
        if left[..n] != right[..n] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn noise_is_the_same_everywhere_and_cut_at_any_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (long, short) = (dir.path().join("long"), dir.path().join("short"));
        write_noise(&long, 24).unwrap();
        write_noise(&short, 19).unwrap();
        let long = std::fs::read(long).unwrap();
        assert_eq!(
            long[..8],
            0x9177_8aed_87ee_5eb1_u64.to_be_bytes(),
            "computed apart from this code"
        );
        assert_eq!(std::fs::read(short).unwrap(), long[..19]);
    }

    #[test]
    fn a_single_changed_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        write_noise(&a, 3_000_001).unwrap();
        std::fs::copy(&a, &b).unwrap();
        assert!(same_content(&a, &b).unwrap());
        let mut bytes = std::fs::read(&b).unwrap();
        bytes[3_000_000] ^= 1;
        std::fs::write(&b, bytes).unwrap();
        assert!(!same_content(&a, &b).unwrap());
    }
}
