//! Passwords of people, hashed with argon2id.
//!
//! Both functions take tens of milliseconds and 19 MiB on purpose; run them where blocking is
//! allowed, a few at a time.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use crate::random;

/// The shortest password that is taken, in characters.
pub const SHORTEST: usize = 8;
/// The longest, in bytes; hashing costs no more for it, but somebody has to send it.
pub const LONGEST: usize = 1024;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has {SHORTEST} characters at least and {LONGEST} bytes at most")]
pub struct PasswordError;

/// The hash of a password, with its salt and costs, as a PHC string.
///
/// # Errors
///
/// When the password is too short or too long.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        return Err(PasswordError);
    }
    let salt: [u8; 16] = random::bytes();
    let hash: PasswordHash = Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .expect("the default costs and a salt of 16 bytes are valid");
    Ok(hash.to_string())
}

/// Whether `password` is the one that `hash` was made of. Without a hash the answer is no, after
/// as much time as with one, so that nobody learns which names there are.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    /// Of a password that nobody knows.
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                          AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(NOBODY)) else {
        return false;
    };
    let is_right = password.len() <= LONGEST
        && Argon2::default()
            .verify_password(password.as_bytes(), &parsed)
            .is_ok();
    is_right && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_verified_and_another_is_not() {
        let hashed = hash("correct horse").expect("long enough");
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse", Some(&hashed)));
        assert!(!verify("correct horsf", Some(&hashed)));
        assert!(!verify("", Some(&hashed)));
        assert!(!verify("correct horse", Some("no hash")));
        assert!(!verify("correct horse", None));
        assert_ne!(hashed, hash("correct horse").expect("long enough"));
        assert_eq!(hash("short"), Err(PasswordError));
        assert_eq!(hash(&"x".repeat(2000)), Err(PasswordError));
    }
}
