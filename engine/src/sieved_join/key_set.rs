//! The keys of a build side as bits: says quickly of most keys that they are not among them.

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use datafusion::error::{DataFusionError, Result};

/// A bit for each possible key is used up to so many bits per key: beyond that, hashed ones take less of the cache.
const DIRECT_BITS_PER_KEY: u64 = 32;
/// And up to so many bits in any case: 32 KiB.
const FEW_BITS: u64 = 1 << 18;
/// Hashed keys have so many bits each, so that one in so many others is taken for one of them.
const HASHED_BITS_PER_KEY: u64 = 16;
/// Largest set: 64 MiB.
const MOST_BITS: u64 = 1 << 29;
/// Fibonacci hashing: 2^64 divided by the golden ratio, odd.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Whether keys of a type can be in a set.
pub(super) fn has_sets(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Date32 | DataType::Date64)
}

/// Which bit is a key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Its distance to the smallest key.
    Direct { smallest: u64 },
    /// The upper bits of its hash.
    Hashed { shift: u32 },
}

/// A set of integers.
#[derive(Debug)]
pub(super) struct KeySet {
    place: Place,
    bits: u64,
    words: Vec<u64>,
}

/// How a set of some keys is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    place: Place,
    bits: u64,
}

impl Layout {
    /// The layout for keys of all `arrays`; `None` for so many that their set would be too large.
    pub(super) fn of(arrays: &[ArrayRef]) -> Result<Option<Self>> {
        let (mut smallest, mut largest, mut count) = (u64::MAX, 0, 0u64);
        for array in arrays {
            count += (array.len() - array.null_count()) as u64;
            for_each(array, |key| {
                smallest = smallest.min(key);
                largest = largest.max(key);
            })?;
        }
        if count == 0 {
            let place = Place::Direct { smallest: 0 };
            return Ok(Some(Self { place, bits: 0 }));
        }
        let range = (largest - smallest).saturating_add(1);
        let layout = if range <= FEW_BITS.max(count.saturating_mul(DIRECT_BITS_PER_KEY)) {
            Self {
                place: Place::Direct { smallest },
                bits: range,
            }
        } else {
            let bits = count.saturating_mul(HASHED_BITS_PER_KEY).max(64);
            let bits = bits.checked_next_power_of_two().unwrap_or(u64::MAX);
            Self {
                place: Place::Hashed {
                    shift: 64 - bits.trailing_zeros(),
                },
                bits,
            }
        };
        Ok((layout.bits <= MOST_BITS).then_some(layout))
    }

    /// Bytes of the set.
    pub(super) fn bytes(self) -> usize {
        self.words() * size_of::<u64>()
    }

    fn words(self) -> usize {
        self.bits.div_ceil(64) as usize
    }

    /// The set of all keys in `arrays`, of which the layout was made.
    ///
    /// # Errors
    /// A type that [has no sets](has_sets).
    pub(super) fn fill(self, arrays: &[ArrayRef]) -> Result<KeySet> {
        let mut words = vec![0u64; self.words()];
        for array in arrays {
            for_each(array, |key| {
                let bit = self.place.of(key);
                words[(bit >> 6) as usize] |= 1 << (bit & 63);
            })?;
        }
        Ok(KeySet {
            place: self.place,
            bits: self.bits,
            words,
        })
    }
}

impl Place {
    fn of(self, key: u64) -> u64 {
        match self {
            Self::Direct { smallest } => key.wrapping_sub(smallest),
            Self::Hashed { shift } => hashed(key, shift),
        }
    }
}

fn hashed(key: u64, shift: u32) -> u64 {
    (key ^ (key >> 32)).wrapping_mul(SPREAD) >> shift
}

impl KeySet {
    /// Of each key in `array` whether it may be in the set. Nulls are not.
    ///
    /// # Errors
    /// A type that [has no sets](has_sets).
    pub(super) fn may_contain(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        with_keys(array, Lookup(self))
    }

    fn of_values<T: Copy>(&self, values: &[T], key: impl Fn(T) -> u64) -> BooleanBuffer {
        let is_set = |bit: u64| self.words[(bit >> 6) as usize] >> (bit & 63) & 1 == 1;
        match self.place {
            Place::Direct { smallest } => BooleanBuffer::collect_bool(values.len(), |row| {
                let bit = key(values[row]).wrapping_sub(smallest);
                bit < self.bits && is_set(bit)
            }),
            Place::Hashed { shift } => {
                BooleanBuffer::collect_bool(values.len(), |row| is_set(hashed(key(values[row]), shift)))
            }
        }
    }
}

/// Something to do with an array of keys, which are given as numbers in an order that does not matter.
trait WithKeys {
    type Output;
    fn with<T: ArrowPrimitiveType>(self, array: &PrimitiveArray<T>, key: impl Fn(T::Native) -> u64) -> Self::Output;
}

struct Lookup<'a>(&'a KeySet);

impl WithKeys for Lookup<'_> {
    type Output = BooleanBuffer;
    fn with<T: ArrowPrimitiveType>(self, array: &PrimitiveArray<T>, key: impl Fn(T::Native) -> u64) -> BooleanBuffer {
        let found = self.0.of_values(array.values(), key);
        match array.nulls() {
            Some(nulls) => &found & nulls.inner(),
            None => found,
        }
    }
}

struct Each<F>(F);

impl<F: FnMut(u64)> WithKeys for Each<F> {
    type Output = ();
    fn with<T: ArrowPrimitiveType>(mut self, array: &PrimitiveArray<T>, key: impl Fn(T::Native) -> u64) {
        match array.null_count() {
            0 => array.values().iter().for_each(|value| (self.0)(key(*value))),
            _ => array.iter().flatten().for_each(|value| (self.0)(key(value))),
        }
    }
}

/// Calls `each` with every key that is not null.
fn for_each(array: &ArrayRef, each: impl FnMut(u64)) -> Result<()> {
    with_keys(array, Each(each))
}

/// Numbers for keys: those of signed types are shifted, so that neighbours stay neighbours.
fn with_keys<W: WithKeys>(array: &ArrayRef, what: W) -> Result<W::Output> {
    let signed = |value: i64| value as u64 ^ (1 << 63);
    Ok(match array.data_type() {
        DataType::Int8 => what.with(array.as_primitive::<Int8Type>(), |key| signed(key.into())),
        DataType::Int16 => what.with(array.as_primitive::<Int16Type>(), |key| signed(key.into())),
        DataType::Int32 => what.with(array.as_primitive::<Int32Type>(), |key| signed(key.into())),
        DataType::Int64 => what.with(array.as_primitive::<Int64Type>(), signed),
        DataType::UInt8 => what.with(array.as_primitive::<UInt8Type>(), u64::from),
        DataType::UInt16 => what.with(array.as_primitive::<UInt16Type>(), u64::from),
        DataType::UInt32 => what.with(array.as_primitive::<UInt32Type>(), u64::from),
        DataType::UInt64 => what.with(array.as_primitive::<UInt64Type>(), |key| key),
        DataType::Date32 => what.with(array.as_primitive::<Date32Type>(), |key| signed(key.into())),
        DataType::Date64 => what.with(array.as_primitive::<Date64Type>(), signed),
        other => {
            return Err(DataFusionError::Internal(format!("keys of type {other} are in no set")));
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use datafusion::arrow::array::{Date32Array, Int16Array, Int64Array, UInt64Array};
    use proptest::prelude::*;

    use super::*;

    fn set(arrays: &[ArrayRef]) -> KeySet {
        Layout::of(arrays).unwrap().unwrap().fill(arrays).unwrap()
    }

    fn found(set: &KeySet, array: ArrayRef) -> Vec<bool> {
        set.may_contain(&array).unwrap().iter().collect()
    }

    #[test]
    fn dense_keys_are_told_exactly() {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(-3), Some(5), None, Some(1 << 17)]));
        let set = set(&[keys]);
        assert!(matches!(set.place, Place::Direct { .. }));
        let probe = Int64Array::from(vec![
            Some(-4),
            Some(-3),
            Some(4),
            Some(5),
            None,
            Some(i64::MAX),
            Some(i64::MIN),
            Some(1 << 17),
        ]);
        assert_eq!(
            found(&set, Arc::new(probe)),
            [false, true, false, true, false, false, false, true]
        );
    }

    #[test]
    fn nothing_is_in_an_empty_set() {
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None::<i64>]));
        assert_eq!(
            found(&set(&[none]), Arc::new(Int64Array::from(vec![0, 1]))),
            [false, false]
        );
        assert_eq!(
            found(&set(&[]), Arc::new(UInt64Array::from(vec![0, u64::MAX]))),
            [false, false]
        );
    }

    #[test]
    fn the_ends_of_a_type_are_keys_like_others() {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]));
        assert_eq!(found(&set(&[Arc::clone(&keys)]), keys), [true, true]);
        let keys: ArrayRef = Arc::new(Int16Array::from(vec![i16::MIN, i16::MAX]));
        assert_eq!(
            found(&set(&[keys]), Arc::new(Int16Array::from(vec![i16::MIN, 0, i16::MAX]))),
            [true, false, true]
        );
        let days: ArrayRef = Arc::new(Date32Array::from(vec![-1, 1]));
        assert_eq!(
            found(&set(&[days]), Arc::new(Date32Array::from(vec![-1, 0, 1]))),
            [true, false, true]
        );
    }

    #[test]
    fn keys_far_apart_are_hashed_and_few_others_taken_for_them() {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values((0..10_000).map(|n| n * 1_000_003)));
        let set = set(&[keys]);
        assert!(matches!(set.place, Place::Hashed { .. }));
        let others = Int64Array::from_iter_values((0..100_000).map(|n| n * 1_000_003 + 1));
        let wrong = found(&set, Arc::new(others)).into_iter().filter(|found| *found).count();
        assert!(wrong < 10_000, "{wrong} of 100000");
    }

    #[test]
    fn a_set_of_too_many_keys_is_not_made() {
        let many = Layout {
            place: Place::Direct { smallest: 0 },
            bits: MOST_BITS,
        };
        assert_eq!(many.bytes(), 64 << 20);
        assert!(!has_sets(&DataType::Utf8) && !has_sets(&DataType::Float64));
        let text: ArrayRef = Arc::new(datafusion::arrow::array::StringArray::from(vec!["a"]));
        assert!(Layout::of(&[text]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_set_is_found(keys in proptest::collection::vec(proptest::option::of(any::<i64>()), 0..200), near in any::<i32>()) {
            let near = keys.iter().map(|key| key.map(|key| key % 1000 + i64::from(near)));
            for keys in [keys.clone(), near.collect()] {
                let array: ArrayRef = Arc::new(Int64Array::from(keys.clone()));
                let halves = [array.slice(0, array.len() / 2), array.slice(array.len() / 2, array.len() - array.len() / 2)];
                let found = found(&set(&halves), array);
                for (key, found) in keys.into_iter().zip(found) {
                    prop_assert_eq!(key.is_some(), found);
                }
            }
        }
    }
}
