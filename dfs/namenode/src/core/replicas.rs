//! The storages that hold a block: a few small numbers kept inline, because every block has such a list.

/// A DataNode's storage, as a position in [`super::datanodes::DataNodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageIx(pub u16);

/// Replicas kept without an allocation of their own: replication 3 plus one over while balancing.
const INLINE: usize = 5;

/// A set of storages in order of arrival.
#[derive(Debug, Clone)]
pub enum Replicas {
    /// The usual few.
    Inline {
        /// How many of `slots` count.
        len: u8,
        /// The storages; only the first `len` count.
        slots: [StorageIx; INLINE],
    },
    /// More than [`INLINE`].
    Heap(Box<Vec<StorageIx>>),
}

impl Default for Replicas {
    fn default() -> Self {
        Self::Inline {
            len: 0,
            slots: [StorageIx(0); INLINE],
        }
    }
}

impl Replicas {
    /// The storages.
    pub fn as_slice(&self) -> &[StorageIx] {
        match self {
            Self::Inline { len, slots } => &slots[..*len as usize],
            Self::Heap(all) => all,
        }
    }

    /// Whether `storage` is among them.
    pub fn contains(&self, storage: StorageIx) -> bool {
        self.as_slice().contains(&storage)
    }

    /// Adds a storage; false if it was there.
    pub fn insert(&mut self, storage: StorageIx) -> bool {
        if self.contains(storage) {
            return false;
        }
        match self {
            Self::Inline { len, slots } if (*len as usize) < INLINE => {
                slots[*len as usize] = storage;
                *len += 1;
            }
            Self::Inline { slots, .. } => {
                let mut all = slots.to_vec();
                all.push(storage);
                *self = Self::Heap(Box::new(all));
            }
            Self::Heap(all) => all.push(storage),
        }
        true
    }

    /// Removes a storage; false if it was not there.
    pub fn remove(&mut self, storage: StorageIx) -> bool {
        let Some(at) = self.as_slice().iter().position(|other| *other == storage) else {
            return false;
        };
        match self {
            Self::Inline { len, slots } => {
                slots.copy_within(at + 1..*len as usize, at);
                *len -= 1;
            }
            Self::Heap(all) => {
                all.remove(at);
            }
        }
        true
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_a_set_beyond_the_inline_size() {
        let mut set = Replicas::default();
        for n in 0..9 {
            assert!(set.insert(StorageIx(n)) && !set.insert(StorageIx(n)));
        }
        assert!(set.remove(StorageIx(4)) && !set.remove(StorageIx(4)));
        let left: Vec<u16> = set.as_slice().iter().map(|s| s.0).collect();
        assert_eq!(left, [0, 1, 2, 3, 5, 6, 7, 8]);
        let mut small = Replicas::default();
        small.insert(StorageIx(7));
        small.insert(StorageIx(8));
        assert!(small.remove(StorageIx(7)));
        assert_eq!(small.as_slice(), [StorageIx(8)]);
    }
}
