//! Values that every inode has, in as few bytes as they need.

use std::fmt;
use std::ops::Deref;

/// An unsigned number of 48 bits: milliseconds for 8,900 years, or 256 TiB.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct U48([u8; 6]);

impl U48 {
    /// The largest one.
    pub const MAX: u64 = (1 << 48) - 1;

    /// The number.
    pub fn get(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

impl From<u64> for U48 {
    /// Larger numbers become [`Self::MAX`].
    fn from(number: u64) -> Self {
        let [a, b, c, d, e, f, _, _] = number.min(Self::MAX).to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl fmt::Debug for U48 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Bytes of a name that are kept without an allocation of its own.
const INLINE: usize = 22;

/// A name: text that mostly is short and never changes.
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Box<str>),
}

impl Name {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(text) => text.as_bytes(),
        }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        if text.len() > INLINE {
            return Self(Repr::Heap(text.into()));
        }
        let mut bytes = [0; INLINE];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self(Repr::Inline {
            len: text.len() as u8,
            bytes,
        })
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Repr::Inline { .. } => std::str::from_utf8(self.as_bytes()).expect("a name is made from text"),
            Repr::Heap(text) => text,
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_48_bits() {
        for number in [0, 1, 1_763_900_000_000, U48::MAX] {
            assert_eq!(U48::from(number).get(), number);
        }
        assert_eq!(U48::from(u64::MAX).get(), U48::MAX);
        assert_eq!(std::mem::size_of::<U48>(), 6);
    }

    #[test]
    fn names_keep_their_text_at_any_length() {
        for length in 0..60 {
            let text: String = "äbc€".chars().cycle().take(length).collect();
            assert_eq!(&*Name::from(text.as_str()), text);
            assert_eq!(Name::from(text.as_str()).as_bytes(), text.as_bytes());
        }
        assert_eq!(std::mem::size_of::<Name>(), 24);
    }
}
