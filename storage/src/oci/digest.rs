//! Digests: `algorithm:hex`, the name of content by its hash.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Sha256, Sha512};

/// A hash algorithm that Wharf verifies content by: the two that the image specification registers
/// as required and optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, which every client speaks.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, in the order of their names.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name as it stands before the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits stand behind the colon.
    #[must_use]
    pub const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or(DigestError::Algorithm)
    }
}

/// Why a text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no colon in it.
    #[error("a digest reads algorithm:hex")]
    Shape,
    /// The algorithm is not one of [`Algorithm::ALL`].
    #[error("the digest's algorithm is not supported: sha256 and sha512 are")]
    Algorithm,
    /// The digits are too few, too many, or not lower-case hexadecimal.
    #[error("a {0} digest has {length} lower-case hexadecimal digits", length = .0.hex_length())]
    Hex(Algorithm),
}

/// The name of content by its hash.
///
/// Invariant: `text` is `algorithm:hex` with the algorithm's exact number of lower-case digits, so
/// it is safe as part of a path and equal digests are equal texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    text: Box<str>,
}

impl Digest {
    /// The digest that has these hash bytes.
    ///
    /// # Panics
    ///
    /// When the number of bytes is not the algorithm's.
    #[must_use]
    pub fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        assert_eq!(
            hash.len() * 2,
            algorithm.hex_length(),
            "a {algorithm} hash has its own length"
        );
        let mut text = String::with_capacity(7 + algorithm.hex_length());
        text.push_str(algorithm.as_str());
        text.push(':');
        for byte in hash {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Self { text: text.into() }
    }

    /// Hashes bytes that are in memory as a whole.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        match algorithm {
            Algorithm::Sha256 => Self::from_hash(algorithm, &Sha256::digest(bytes)),
            Algorithm::Sha512 => Self::from_hash(algorithm, &Sha512::digest(bytes)),
        }
    }

    /// The whole text, `algorithm:hex`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The algorithm before the colon.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        if self.text.starts_with("sha256:") {
            Algorithm::Sha256
        } else {
            Algorithm::Sha512
        }
    }

    /// The digits behind the colon.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm().as_str().len() + 1..]
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Shape)?;
        let algorithm: Algorithm = algorithm.parse()?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if hex.len() != algorithm.hex_length() || !hex.bytes().all(is_digit) {
            return Err(DigestError::Hex(algorithm));
        }
        Ok(Self { text: text.into() })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.text.into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_hash_of_nothing_is_the_known_one() {
        assert_eq!(Digest::of(Algorithm::Sha256, b"").as_str(), EMPTY);
        assert_eq!(Digest::of(Algorithm::Sha512, b"").hex().len(), 128);
    }

    #[test]
    fn texts_that_are_no_digests_say_why() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for (text, want) in [
            ("", DigestError::Shape),
            ("latest", DigestError::Shape),
            (":", DigestError::Algorithm),
            (
                "md5:d41d8cd98f00b204e9800998ecf8427e",
                DigestError::Algorithm,
            ),
            ("SHA256:00", DigestError::Algorithm),
            ("sha256:", DigestError::Hex(Algorithm::Sha256)),
            ("sha256:00", DigestError::Hex(Algorithm::Sha256)),
            (
                "sha256:../../../etc/passwd",
                DigestError::Hex(Algorithm::Sha256),
            ),
            (&upper, DigestError::Hex(Algorithm::Sha256)),
            (
                &EMPTY.replace("sha256", "sha512"),
                DigestError::Hex(Algorithm::Sha512),
            ),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(want), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_digest_reads_back_as_it_was_written(bytes: Vec<u8>) {
            for algorithm in Algorithm::ALL {
                let digest = Digest::of(algorithm, &bytes);
                prop_assert_eq!(digest.as_str().parse::<Digest>(), Ok(digest.clone()));
                prop_assert_eq!(digest.algorithm(), algorithm);
                prop_assert_eq!(format!("{algorithm}:{}", digest.hex()), digest.to_string());
            }
        }

        #[test]
        fn no_text_crashes_the_parser(text: String) {
            let _ = text.parse::<Digest>();
        }
    }
}
