//! Whether a signature is right, and recent.

use std::time::Duration;

use aws_lc_rs::constant_time;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign};
use sha2::{Digest as _, Sha256};
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use wharf_storage::clock::Timestamp;

use super::authorization::{ALGORITHM, Authorization};
use super::canonical::SignedRequest;

/// How far the client's clock may be off, and how long a request can be sent again.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

const DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// Why a signature is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// What has to be signed isn't, or isn't there.
    #[error("the signature does not cover what it has to: host, x-amz-date and every x-amz header")]
    Incomplete,
    /// The time is missing or no time, or the scope is of another day.
    #[error("the date of the signature is missing or not its scope's")]
    Date,
    /// The request was signed too long ago, or in the future.
    #[error("the signature has expired or is not valid yet: the clocks differ")]
    Expired,
    /// It was not made with this key over this request.
    #[error("the signature does not match the request")]
    Mismatch,
}

/// Whether `secret` signed the request in the last while.
///
/// # Errors
///
/// When it did not.
pub fn verify(
    authorization: &Authorization,
    request: &SignedRequest<'_>,
    secret: &str,
    now: Timestamp,
) -> Result<(), SignatureError> {
    let signed = &authorization.signed_headers;
    let is_signed = |name: &str| signed.iter().any(|signed| signed == name);
    let mut amazon = request
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-amz-"));
    if !is_signed("host") || !amazon.all(|(name, _)| is_signed(name)) {
        return Err(SignatureError::Incomplete);
    }
    let date = request
        .header("x-amz-date")
        .ok_or(SignatureError::Incomplete)?;
    let at = PrimitiveDateTime::parse(&date, DATE).map_err(|_| SignatureError::Date)?;
    if !date.starts_with(&authorization.date) || authorization.date.len() != 8 {
        return Err(SignatureError::Date);
    }
    let at = Timestamp::from_seconds(at.assume_utc().unix_timestamp());
    if now > at.after(WINDOW) || at > now.after(WINDOW) {
        return Err(SignatureError::Expired);
    }
    let canonical = request
        .canonical(signed)
        .ok_or(SignatureError::Incomplete)?;
    let scope = authorization.scope();
    let text = format!(
        "{ALGORITHM}\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let signature = hex(chain(authorization, secret, &text).as_ref());
    constant_time::verify_slices_are_equal(signature.as_bytes(), authorization.signature.as_bytes())
        .map_err(|_| SignatureError::Mismatch)
}

fn chain(authorization: &Authorization, secret: &str, text: &str) -> Tag {
    let step = |key: &[u8], text: &str| sign(&Key::new(HMAC_SHA256, key), text.as_bytes());
    let mut key = step(format!("AWS4{secret}").as_bytes(), &authorization.date);
    for part in [
        &authorization.region,
        &authorization.service,
        "aws4_request",
    ] {
        key = step(key.as_ref(), part);
    }
    step(key.as_ref(), text)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
