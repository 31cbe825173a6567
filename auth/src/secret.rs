//! Secrets of programs: random, so a plain hash keeps them.

use aws_lc_rs::constant_time;
use sha2::{Digest as _, Sha256};

use crate::random;

/// What every robot's secret begins with, so that scanners of source code find one.
pub const PREFIX: &str = "wharf_rs_";

/// A new secret, 256 random bits.
#[must_use]
pub fn generate() -> String {
    format!("{PREFIX}{}", random::text())
}

/// What is kept of a secret.
#[must_use]
pub fn hash(secret: &str) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(secret) {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Whether `secret` is the one that `hash` was made of, in a time that tells nothing.
#[must_use]
pub fn verify(secret: &str, hash: &str) -> bool {
    let own = self::hash(secret);
    constant_time::verify_slices_are_equal(own.as_bytes(), hash.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_verified_and_another_is_not() {
        let secret = generate();
        assert!(verify(&secret, &hash(&secret)));
        assert!(!verify(&generate(), &hash(&secret)));
        assert!(!verify(&secret, ""));
    }
}
