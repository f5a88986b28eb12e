//! Memory for large reads, used again: fresh memory costs as much as the read itself, in page faults and zeros.
//!
//! A buffer comes from the pool of its size class and goes back when the last [`Bytes`] that shows it is dropped.

use bytes::Bytes;
use parking_lot::Mutex;

/// Shorter reads take memory from the allocator, which is quick at that.
const SMALLEST: usize = 128 << 10;
/// Size classes: 128 KiB, 256 KiB .. 8 MiB. Longer reads take memory from the allocator.
const CLASSES: usize = 7;
/// Idle bytes kept per class.
const KEPT_PER_CLASS: usize = 8 << 20;

static POOL: [Mutex<Vec<Vec<u8>>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];

/// Initialized memory of a wanted length; its contents have no meaning until they are written.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// As long as its class, or exactly as long as wanted if it has none.
    memory: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// Memory of `length` bytes.
    pub(crate) fn new(length: usize) -> Self {
        let memory = match class_of(length) {
            Some(class) => {
                let kept = POOL[class].lock().pop();
                kept.unwrap_or_else(|| vec![0; SMALLEST << class])
            }
            None => vec![0; length],
        };
        Self { memory, length }
    }

    /// The memory.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }

    /// The bytes, without a copy.
    pub(crate) fn freeze(mut self) -> Bytes {
        if class_of(self.length).is_none() {
            return std::mem::take(&mut self.memory).into();
        }
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(class) = class_of(self.memory.len()).filter(|class| self.memory.len() == SMALLEST << class) else {
            return;
        };
        let mut kept = POOL[class].lock();
        if (kept.len() + 1) * self.memory.len() <= KEPT_PER_CLASS {
            kept.push(std::mem::take(&mut self.memory));
        }
    }
}

fn class_of(length: usize) -> Option<usize> {
    if length < SMALLEST {
        return None;
    }
    let class = length.next_power_of_two().trailing_zeros() - SMALLEST.trailing_zeros();
    Some(class as usize).filter(|class| *class < CLASSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_served_as_it_was_wanted() {
        for length in [
            0,
            1,
            SMALLEST - 1,
            SMALLEST,
            SMALLEST + 1,
            1 << 20,
            8 << 20,
            (8 << 20) + 1,
        ] {
            let mut buffer = Buffer::new(length);
            buffer.as_mut_slice().fill(3);
            let bytes = buffer.freeze();
            assert_eq!(bytes.len(), length);
            assert!(bytes.iter().all(|byte| *byte == 3));
        }
    }

    #[test]
    fn memory_that_is_still_shown_is_not_used_again() {
        let mut first = Buffer::new(SMALLEST);
        first.as_mut_slice().fill(1);
        let first = first.freeze();
        let part = first.slice(10..20);
        drop(first);
        let mut second = Buffer::new(SMALLEST);
        second.as_mut_slice().fill(2);
        assert_eq!(part[..], [1; 10]);
    }
}
