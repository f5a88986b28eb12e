//! Values by a small position, in chunks: growing never copies what is there and never claims more than one chunk ahead.

/// Values per chunk. A vector that doubles would at its worst claim twice what it holds; this claims 8192 values ahead.
const CHUNK: usize = 8192;

/// Values by position, with reuse of freed positions.
#[derive(Debug, Clone)]
pub struct Slab<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    used: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            used: 0,
        }
    }
}

impl<T> Slab<T> {
    /// The value at `position`; none if it was freed or never given out.
    pub fn get(&self, position: u32) -> Option<&T> {
        let position = position as usize;
        self.chunks.get(position / CHUNK)?.get(position % CHUNK)?.as_ref()
    }

    /// The value at `position`, for change.
    pub fn get_mut(&mut self, position: u32) -> Option<&mut T> {
        let position = position as usize;
        self.chunks
            .get_mut(position / CHUNK)?
            .get_mut(position % CHUNK)?
            .as_mut()
    }

    /// Stores a value.
    pub fn insert(&mut self, value: T) -> u32 {
        if let Some(position) = self.free.pop() {
            let at = position as usize;
            self.chunks[at / CHUNK][at % CHUNK] = Some(value);
            return position;
        }
        let position = u32::try_from(self.used).expect("fewer than 2^32 values");
        if self.used.is_multiple_of(CHUNK) {
            // The first chunk grows as needed: most clusters in tests, and some in the field, never fill it.
            let ahead = if self.used == 0 { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(ahead));
        }
        let last = self.chunks.last_mut().expect("a chunk was added above");
        last.push(Some(value));
        self.used += 1;
        position
    }

    /// Takes a value out; its position is free for the next one.
    pub fn remove(&mut self, position: u32) -> Option<T> {
        let at = position as usize;
        let value = self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)?.take()?;
        self.free.push(position);
        Some(value)
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        self.used - self.free.len()
    }

    /// Positions given out so far are below this one.
    pub fn end(&self) -> u32 {
        self.used as u32
    }

    /// All values by position.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().flatten()
    }

    /// All values by position, for change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_stay_across_chunks_and_are_reused() {
        let mut slab = Slab::default();
        let count = 2 * CHUNK as u32 + 5;
        for n in 0..count {
            assert_eq!(slab.insert(n), n);
        }
        assert_eq!(slab.remove(7), Some(7));
        assert_eq!(slab.remove(7), None);
        assert_eq!((slab.get(7), slab.get(count)), (None, None));
        assert_eq!(slab.count(), count as usize - 1);
        assert_eq!(slab.insert(100), 7);
        assert_eq!(slab.get(7), Some(&100));
        assert_eq!(slab.iter().count(), count as usize);
        assert_eq!((slab.get(count - 1), slab.end()), (Some(&(count - 1)), count));
    }

    #[test]
    fn no_more_than_a_chunk_is_claimed_ahead() {
        let mut slab = Slab::default();
        for n in 0..=3 * CHUNK {
            slab.insert(n);
        }
        let claimed: usize = slab.chunks.iter().map(Vec::capacity).sum();
        assert!(claimed <= 4 * CHUNK, "{claimed}");
    }
}
