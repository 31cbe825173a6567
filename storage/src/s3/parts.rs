//! How long the parts of a multipart are.
//!
//! A store takes 10,000 parts. Small ones at the beginning keep what is in memory small and serve
//! nearly every blob; for giants they grow, so that 10,000 of them hold more than the 5 TiB that a
//! key may have. Some stores want all parts but the last to be of one length; there the length
//! that is chosen decides how long a blob may be. No rule gives both: with one length, 5 TiB need
//! parts of 525 MiB from the first on.

/// How many parts a multipart has at most.
pub(super) const MOST_PARTS: u64 = 10_000;

/// How many parts at the beginning have the first length.
const FIRST_PARTS: u64 = 1000;

/// After how many more parts they grow by the first length.
const STEP: u64 = 100;

/// How long a part may be.
const MOST_PART_BYTES: u64 = 5 << 30;

/// How long the bytes of a key may be.
const MOST_BYTES: u64 = 5 << 40;

/// How parts grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// All have the first length.
    Equal,
    /// Behind the first thousand they grow.
    Growing,
}

/// The lengths of parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) first: u64,
    pub(super) growth: Growth,
}

impl Lengths {
    /// The length of the part with this index, from 0, unless it is the last one.
    pub(super) const fn of(self, index: u64) -> u64 {
        match self.growth {
            Growth::Equal => self.first,
            Growth::Growing => {
                let steps = index.saturating_sub(FIRST_PARTS) / STEP;
                let length = self.first.saturating_mul(1 + steps);
                if length < MOST_PART_BYTES {
                    length
                } else {
                    MOST_PART_BYTES
                }
            }
        }
    }

    /// How long a blob may be.
    pub(super) fn most(self) -> u64 {
        let whole: u64 = (0..MOST_PARTS).map(|index| self.of(index)).sum();
        whole.min(MOST_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn growing_parts_reach_the_longest_key_and_none_is_too_long() {
        for first in [14, 16, 32, 64, 512] {
            let lengths = Lengths {
                first: first * MIB,
                growth: Growth::Growing,
            };
            assert_eq!(lengths.most(), MOST_BYTES);
            assert!(lengths.of(MOST_PARTS - 1) <= 5 << 30);
            assert_eq!(lengths.of(999), first * MIB);
        }
    }

    #[test]
    fn equal_parts_limit_a_blob() {
        let lengths = Lengths {
            first: 16 * MIB,
            growth: Growth::Equal,
        };
        assert_eq!(lengths.most(), 160_000 * MIB);
    }

    proptest! {
        #[test]
        fn parts_never_shrink_and_are_never_under_the_first(
            first in 5 * MIB..64 * MIB,
            index in 0..MOST_PARTS - 1,
        ) {
            for growth in [Growth::Equal, Growth::Growing] {
                let lengths = Lengths { first, growth };
                prop_assert!(lengths.of(index) >= first);
                prop_assert!(lengths.of(index + 1) >= lengths.of(index));
                if growth == Growth::Equal {
                    prop_assert_eq!(lengths.of(index), first);
                }
            }
        }
    }
}
