//! Memory that the host has already given to this machine.
//!
//! A virtual machine gets its memory when it first touches it, page by page, and each time waits for its host: writing a file into fresh
//! memory can take ten times as long as into memory that something else used before. Which of two systems meets the fresh pages is chance.

use std::fs;

/// Bytes per step: every page has one byte written.
const PAGE: usize = 4096;

/// Writes to so many bytes of memory and gives them back, at most half of what is available; how many it were.
pub fn touch(bytes: u64) -> u64 {
    let bytes = bytes.min(available() / 2);
    let mut memory = vec![0_u8; usize::try_from(bytes).unwrap_or(usize::MAX)];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
    bytes
}

fn available() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes: u64 = line
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default();
    kibibytes << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_asked_for_is_touched_but_not_more_than_half_of_all() {
        assert_eq!(touch(10 << 20), 10 << 20);
        assert!(available() > 100 << 20);
    }
}
