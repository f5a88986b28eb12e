//! Sets of block ids. Ids are dense, so a set is kept as chunks of 65,536 ids: sorted lists while few, bitmaps when many.
//!
//! Two bytes per id at most (plus a list's slack), an eighth of one in a full chunk: every replica costs one entry in its storage's set.

use std::collections::BTreeMap;

use quarry_dfs_wire::block::BlockId;

/// Ids in a sorted list; more become a bitmap, which is smaller from here on.
const MAX_LIST: usize = 4096;
const WORDS: usize = (1 << 16) / 64;

#[derive(Debug, Clone)]
enum Chunk {
    List(Vec<u16>),
    Bits { words: Box<[u64; WORDS]>, count: u32 },
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Bits { count, .. } => *count as usize,
        }
    }

    fn contains(&self, low: u16) -> bool {
        match self {
            Self::List(list) => list.binary_search(&low).is_ok(),
            Self::Bits { words, .. } => words[usize::from(low) / 64] >> (low % 64) & 1 == 1,
        }
    }

    fn insert(&mut self, low: u16) -> bool {
        match self {
            Self::List(list) => {
                let Err(at) = list.binary_search(&low) else {
                    return false;
                };
                if list.len() < MAX_LIST {
                    if list.len() == list.capacity() {
                        // A quarter more rather than twice as much: most lists are long-lived.
                        list.reserve_exact(list.len() / 4 + 4);
                    }
                    list.insert(at, low);
                    return true;
                }
                *self = Self::bits_of(list);
                self.insert(low)
            }
            Self::Bits { words, count } => {
                let (word, bit) = (&mut words[usize::from(low) / 64], 1 << (low % 64));
                let new = *word & bit == 0;
                *word |= bit;
                *count += u32::from(new);
                new
            }
        }
    }

    fn bits_of(list: &[u16]) -> Self {
        let mut words = Box::new([0; WORDS]);
        for low in list {
            words[usize::from(*low) / 64] |= 1 << (low % 64);
        }
        let count = list.len() as u32;
        Self::Bits { words, count }
    }

    fn remove(&mut self, low: u16) -> bool {
        match self {
            Self::List(list) => {
                let found = list.binary_search(&low);
                found.is_ok_and(|at| {
                    list.remove(at);
                    true
                })
            }
            Self::Bits { words, count } => {
                let (word, bit) = (&mut words[usize::from(low) / 64], 1 << (low % 64));
                let had = *word & bit != 0;
                *word &= !bit;
                *count -= u32::from(had);
                // Half of the limit, so that a chunk does not go to and fro.
                if had && (*count as usize) < MAX_LIST / 2 {
                    *self = Self::List(self.iter_from(0).collect());
                }
                had
            }
        }
    }

    fn iter_from(&self, low: u16) -> Box<dyn Iterator<Item = u16> + '_> {
        match self {
            Self::List(list) => {
                let start = list.partition_point(|other| *other < low);
                Box::new(list[start..].iter().copied())
            }
            Self::Bits { words, .. } => Box::new(bits_from(words, low)),
        }
    }
}

fn bits_from(words: &[u64; WORDS], low: u16) -> impl Iterator<Item = u16> + '_ {
    let first = usize::from(low) / 64;
    (first..WORDS).flat_map(move |n| {
        let mut word = words[n];
        if n == first {
            word &= u64::MAX << (low % 64);
        }
        std::iter::from_fn(move || {
            let bit = word.trailing_zeros();
            word &= word.wrapping_sub(1);
            (bit < 64).then(|| (n * 64) as u16 + bit as u16)
        })
    })
}

fn split(id: BlockId) -> (u64, u16) {
    (id.0 >> 16, id.0 as u16)
}

/// A set of block ids in order.
#[derive(Debug, Clone, Default)]
pub struct IdSet {
    chunks: BTreeMap<u64, Chunk>,
    count: usize,
}

impl IdSet {
    /// Number of ids.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether `id` is in it.
    pub fn contains(&self, id: BlockId) -> bool {
        let (high, low) = split(id);
        self.chunks.get(&high).is_some_and(|chunk| chunk.contains(low))
    }

    /// Adds an id; false if it was there.
    pub fn insert(&mut self, id: BlockId) -> bool {
        let (high, low) = split(id);
        let chunk = self.chunks.entry(high).or_insert_with(|| Chunk::List(Vec::new()));
        let new = chunk.insert(low);
        self.count += usize::from(new);
        new
    }

    /// Removes an id; false if it was not there.
    pub fn remove(&mut self, id: BlockId) -> bool {
        let (high, low) = split(id);
        let Some(chunk) = self.chunks.get_mut(&high) else {
            return false;
        };
        let had = chunk.remove(low);
        if chunk.len() == 0 {
            self.chunks.remove(&high);
        }
        self.count -= usize::from(had);
        had
    }

    /// All ids in order.
    pub fn iter(&self) -> impl Iterator<Item = BlockId> + '_ {
        self.iter_from(BlockId(0))
    }

    /// The ids from `id` on, in order.
    pub fn iter_from(&self, id: BlockId) -> impl Iterator<Item = BlockId> + '_ {
        let (first, low) = split(id);
        self.chunks.range(first..).flat_map(move |(high, chunk)| {
            let low = if *high == first { low } else { 0 };
            chunk
                .iter_from(low)
                .map(move |low| BlockId(high << 16 | u64::from(low)))
        })
    }

    /// Up to `count` ids from `id` on, and where to go on; the end is `None`.
    pub fn slice(&self, id: BlockId, count: usize) -> (Vec<BlockId>, Option<BlockId>) {
        let ids: Vec<BlockId> = self.iter_from(id).take(count).collect();
        let next = ids
            .last()
            .filter(|_| ids.len() == count)
            .map(|last| BlockId(last.0 + 1));
        (ids, next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunk_becomes_a_bitmap_and_a_list_again() {
        let mut set = IdSet::default();
        let ids: Vec<BlockId> = (0..200_000).map(|n| BlockId((1 << 30) + n)).collect();
        assert!(ids.iter().all(|id| set.insert(*id)) && !set.insert(ids[70_000]));
        assert!(set.len() == ids.len() && set.iter().eq(ids.iter().copied()));
        assert!(set.iter_from(ids[65_600]).eq(ids[65_600..].iter().copied()));
        for id in ids.iter().filter(|id| id.0 % 100 != 0) {
            assert!(set.remove(*id) && !set.remove(*id));
        }
        assert!(set.iter().eq(ids.iter().copied().filter(|id| id.0 % 100 == 0)));
        let (some, next) = set.slice(BlockId(0), 3);
        assert!(some.len() == 3 && next == Some(BlockId(some[2].0 + 1)));
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(steps in proptest::collection::vec((any::<bool>(), 0_u64..300_000), 0..400)) {
            let (mut set, mut model) = (IdSet::default(), BTreeSet::new());
            for (add, id) in steps {
                let id = BlockId(id);
                let (did, should) = if add { (set.insert(id), model.insert(id)) } else { (set.remove(id), model.remove(&id)) };
                prop_assert_eq!(did, should);
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert!(set.iter().eq(model.iter().copied()));
            let from = BlockId(100_000);
            prop_assert!(set.iter_from(from).eq(model.range(from..).copied()));
        }
    }
}
