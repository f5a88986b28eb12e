//! CRC32C of three chunks at a time.
//!
//! The processor's instruction takes 3 cycles but another can begin in each: one chunk after the other leaves two thirds of it idle, and a
//! chunk of 512 bytes is too short to be cut and joined again. Chunks side by side need no joining.

/// The checksums of three chunks of the same length, if this processor has the instruction.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "whether the processor has the instruction is known at run time only"
)]
pub(crate) fn three(chunks: [&[u8]; 3]) -> Option<[u32; 3]> {
    if !std::arch::is_x86_feature_detected!("sse4.2") {
        return None;
    }
    // SAFETY: the processor was just asked for the one feature that the function needs.
    Some(unsafe { hardware(chunks) })
}

/// The checksums of three chunks of the same length, if this processor has the instruction.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn three(_: [&[u8]; 3]) -> Option<[u32; 3]> {
    None
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn hardware([a, b, c]: [&[u8]; 3]) -> [u32; 3] {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};

    let (words_a, rest_a) = a.as_chunks::<8>();
    let (words_b, rest_b) = b.as_chunks::<8>();
    let (words_c, rest_c) = c.as_chunks::<8>();
    let mut sums = [u64::from(u32::MAX); 3];
    for ((a, b), c) in words_a.iter().zip(words_b).zip(words_c) {
        sums[0] = _mm_crc32_u64(sums[0], u64::from_le_bytes(*a));
        sums[1] = _mm_crc32_u64(sums[1], u64::from_le_bytes(*b));
        sums[2] = _mm_crc32_u64(sums[2], u64::from_le_bytes(*c));
    }
    let mut sums = sums.map(|sum| sum as u32);
    for (sum, rest) in sums.iter_mut().zip([rest_a, rest_b, rest_c]) {
        *sum = !rest.iter().fold(*sum, |sum, byte| _mm_crc32_u8(sum, *byte));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_give_what_each_chunk_gives_alone() {
        let bytes: Vec<u8> = (0..3000_u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for length in [0, 1, 7, 8, 9, 511, 512, 513, 1000] {
            let chunks = [
                &bytes[..length],
                &bytes[length..2 * length],
                &bytes[2000 - length..2000],
            ];
            if let Some(sums) = three(chunks) {
                assert_eq!(sums, chunks.map(crc32c::crc32c), "{length}");
            }
        }
    }
}
