//! Randomness from the system.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Random bytes.
///
/// # Panics
///
/// When the system has no randomness, and nothing secret could be made.
#[must_use]
pub fn bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    rand::fill(&mut bytes).expect("the system gives randomness");
    bytes
}

/// A random text of 43 characters, 256 bits, that needs no escaping in a URL or a shell.
#[must_use]
pub fn text() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// `length` random characters of A-Z and 2-7.
#[must_use]
pub fn base32(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    (0..length)
        .map(|_| {
            let [byte] = bytes::<1>();
            char::from(ALPHABET[usize::from(byte % 32)])
        })
        .collect()
}
