//! A hash whose state can be stored, so that an upload goes on without hashing again.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

use crate::oci::{Algorithm, Digest};

/// Bytes that are no stored state of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the stored state of a hash")]
pub struct HasherStateError;

/// A running hash.
///
/// Its stored form is one byte for the algorithm and then the state as the sha2 crate writes it:
/// 1 + 104 bytes for SHA-256, 1 + 208 for SHA-512. A change of that form ends the uploads that are
/// under way, and nothing else.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// The hash of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Which hash it is.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of the bytes so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self.clone() {
            Self::Sha256(state) => Digest::from_hash(Algorithm::Sha256, &state.finalize()),
            Self::Sha512(state) => Digest::from_hash(Algorithm::Sha512, &state.finalize()),
        }
    }

    /// The state as bytes, for [`restore`](Self::restore).
    #[must_use]
    pub fn store(&self) -> Vec<u8> {
        match self {
            Self::Sha256(state) => [&[1], state.serialize().as_slice()].concat(),
            Self::Sha512(state) => [&[2], state.serialize().as_slice()].concat(),
        }
    }

    /// Takes up a state that [`store`](Self::store) gave.
    ///
    /// # Errors
    ///
    /// When the bytes are no such state.
    pub fn restore(bytes: &[u8]) -> Result<Self, HasherStateError> {
        let (kind, state) = bytes.split_first().ok_or(HasherStateError)?;
        match kind {
            1 => {
                let state = SerializedState::<Sha256>::try_from(state);
                let state = state.map_err(|_| HasherStateError)?;
                check_length(&state[32..40])?;
                let state = Sha256::deserialize(&state).map_err(|_| HasherStateError)?;
                Ok(Self::Sha256(state))
            }
            2 => {
                let state = SerializedState::<Sha512>::try_from(state);
                let state = state.map_err(|_| HasherStateError)?;
                check_length(&state[64..80])?;
                let state = Sha512::deserialize(&state).map_err(|_| HasherStateError)?;
                Ok(Self::Sha512(state))
            }
            _ => Err(HasherStateError),
        }
    }
}

/// Looks at the number of blocks that a state has taken, in little endian behind the state itself. The
/// hash counts bits in as many, and would overflow: no upload has 2^48 blocks.
fn check_length(number: &[u8]) -> Result<(), HasherStateError> {
    match number.iter().skip(6).all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(HasherStateError),
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Hasher({})", self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stored_state_goes_on_where_it_stopped(first: Vec<u8>, second: Vec<u8>) {
            for algorithm in Algorithm::ALL {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(&first);
                let mut hasher = Hasher::restore(&hasher.store()).expect("a stored state");
                hasher.update(&second);
                let whole = [first.as_slice(), &second].concat();
                prop_assert_eq!(hasher.digest(), Digest::of(algorithm, &whole));
            }
        }

        #[test]
        fn no_bytes_crash_the_restorer(bytes: Vec<u8>) {
            let _ = Hasher::restore(&bytes);
        }
    }

    #[test]
    fn a_state_of_more_blocks_than_there_are_is_none() {
        for (algorithm, blocks) in [(Algorithm::Sha256, 33..41), (Algorithm::Sha512, 65..81)] {
            let mut state = Hasher::new(algorithm).store();
            state[blocks.start] = 7;
            let counted = Hasher::restore(&state).expect("seven blocks");
            let _ = counted.digest();
            state[blocks.end - 1] = 0x10;
            assert!(Hasher::restore(&state).is_err(), "{algorithm}");
        }
    }
}
