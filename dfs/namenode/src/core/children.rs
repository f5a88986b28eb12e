//! A directory's entries: inode positions sorted by name, in chunks.
//!
//! Names are not kept here: comparisons look them up through a function, so an entry costs four bytes. Chunks bound the
//! cost of an insertion in a directory of a million entries, which one flat sorted vector would not.

use std::cmp::Ordering;

use super::inode::Slot;

/// Entries per chunk before it is split. 1024 keeps a shift within a few cache lines' time and a split rare.
const CHUNK_LIMIT: usize = 1024;

/// Entries of one directory in byte order of their names.
#[derive(Debug, Clone, Default)]
pub struct Children {
    chunks: Vec<Vec<Slot>>,
    len: usize,
}

/// Where an entry is, or where it would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    chunk: usize,
    index: usize,
}

impl Children {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Finds the entry for which `compare` says `Equal`; `compare` orders an entry against the sought name.
    ///
    /// # Errors
    /// The place where it belongs, if there is none.
    pub fn find(&self, compare: impl Fn(Slot) -> Ordering) -> Result<(Position, Slot), Position> {
        let after = self
            .chunks
            .partition_point(|chunk| compare(chunk[0]) != Ordering::Greater);
        let Some(chunk) = after.checked_sub(1) else {
            return Err(Position { chunk: 0, index: 0 });
        };
        match self.chunks[chunk].binary_search_by(|slot| compare(*slot)) {
            Ok(index) => Ok((Position { chunk, index }, self.chunks[chunk][index])),
            Err(index) => Err(Position { chunk, index }),
        }
    }

    /// Inserts at the place that [`Self::find`] named.
    pub fn insert(&mut self, at: Position, slot: Slot) {
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        self.len += 1;
        let chunk = &mut self.chunks[at.chunk];
        if chunk.len() < CHUNK_LIMIT {
            chunk.insert(at.index, slot);
            return;
        }
        // Names often arrive in ascending order: then the full chunk stays full and the new one starts small. A chunk is never
        // filled beyond the limit, for which its vector would double.
        let keep = if at.index == CHUNK_LIMIT {
            CHUNK_LIMIT
        } else {
            CHUNK_LIMIT / 2
        };
        let mut tail = chunk.split_off(keep);
        if at.index < keep {
            chunk.insert(at.index, slot);
        } else {
            tail.insert(at.index - keep, slot);
        }
        self.chunks.insert(at.chunk + 1, tail);
    }

    /// Inserts after all others, whose names come before.
    pub fn push(&mut self, slot: Slot) {
        let chunk = self.chunks.len().saturating_sub(1);
        let index = self.chunks.last().map_or(0, Vec::len);
        self.insert(Position { chunk, index }, slot);
    }

    /// The last entry.
    pub fn last(&self) -> Option<Slot> {
        self.chunks.last().and_then(|chunk| chunk.last()).copied()
    }

    /// Removes the entry at a found place.
    pub fn remove(&mut self, at: Position) {
        let chunk = &mut self.chunks[at.chunk];
        chunk.remove(at.index);
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(at.chunk);
        }
    }

    /// All entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Slot> + '_ {
        self.chunks.iter().flatten().copied()
    }

    /// Entries from `at` on, in order.
    pub fn iter_from(&self, at: Position) -> impl Iterator<Item = Slot> + '_ {
        let rest = self
            .chunks
            .get(at.chunk)
            .map_or(&[][..], |chunk| &chunk[at.index.min(chunk.len())..]);
        rest.iter()
            .chain(self.chunks.iter().skip(at.chunk + 1).flatten())
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn find(children: &Children, key: u32) -> Result<(Position, Slot), Position> {
        children.find(|slot| slot.0.cmp(&key))
    }

    #[test]
    fn agrees_with_a_sorted_set_across_splits_and_removals() {
        let mut children = Children::default();
        let mut model = BTreeSet::new();
        // A multiplicative walk visits keys in a scattered but repeatable order.
        for step in 0..6000_u32 {
            let key = step.wrapping_mul(2_654_435_761) % 5000;
            match find(&children, key) {
                Ok((at, slot)) => {
                    assert_eq!(slot, Slot(key));
                    assert!(model.remove(&key));
                    children.remove(at);
                }
                Err(at) => {
                    assert!(model.insert(key));
                    children.insert(at, Slot(key));
                }
            }
        }
        assert_eq!(children.len(), model.len());
        assert!(children.iter().map(|slot| slot.0).eq(model.iter().copied()));
        for key in [0, 1, 2499, 4999, 6000] {
            let from = find(&children, key).map_or_else(|at| at, |(at, _)| at);
            assert!(
                children
                    .iter_from(from)
                    .map(|slot| slot.0)
                    .eq(model.range(key..).copied()),
                "from {key}"
            );
        }
    }
}
