//! Chance that can be had again: everything random in a test comes from one seed, which a failure
//! prints and `WHARF_GAUNTLET_SEED` sets.

use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of a test. Prints itself where the test fails.
#[derive(Debug)]
pub(crate) struct Seed(u64);

/// A generator (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Seed {
    /// The seed that `WHARF_GAUNTLET_SEED` sets, or one of this moment.
    pub(crate) fn of_this_run() -> Self {
        if let Some(seed) = given() {
            return Self(seed);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(now.expect("it is later than 1970").as_micros() as u64)
    }

    /// What it seeds. Several of one seed are told apart by a number.
    pub(crate) fn dice(&self, number: u64) -> Dice {
        let mut dice = Dice(self.0 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.next();
        dice
    }

    /// The seed itself.
    pub(crate) fn number(&self) -> u64 {
        self.0
    }

    /// The one that follows.
    pub(crate) fn following(&self) -> Self {
        Self(self.0 + 1)
    }
}

/// The seed that the environment sets.
pub(crate) fn given() -> Option<u64> {
    let text = std::env::var("WHARF_GAUNTLET_SEED").ok()?;
    Some(text.parse().expect("WHARF_GAUNTLET_SEED is a number"))
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same again: WHARF_GAUNTLET_SEED={}", self.0);
        }
    }
}

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another one.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Whether something happens that happens once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub(crate) fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// Bytes that nothing else has.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
