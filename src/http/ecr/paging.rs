//! Tokens that lead on: the last key of a page, unreadable on purpose, for this list only.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::error::Error;
use super::input::{Input, malformed};

/// How many entries a page has where nobody says.
const USUAL: u64 = 100;

/// Where a page begins, and how long it is.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) after: Option<String>,
    pub(super) limit: u64,
}

impl Page {
    pub(super) fn of(input: &Input) -> Result<Self, Error> {
        let after = match input.text("nextToken") {
            None | Some("") => None,
            Some(token) => {
                let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
                let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                let text = text.ok_or_else(|| malformed("nextToken", "Invalid token"))?;
                Some(text)
            }
        };
        let limit = input.number("maxResults").map_or(USUAL, i64::unsigned_abs);
        Ok(Self { after, limit })
    }

    /// The entries of a page without the one beyond it that tells whether there are more, and the
    /// token that leads on.
    pub(super) fn cut<T>(&self, mut found: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Value) {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if found.len() <= limit {
            return (found, Value::Null);
        }
        found.truncate(limit);
        let token = found
            .last()
            .map(key)
            .map(|key| BASE64_URL_SAFE_NO_PAD.encode(key));
        (found, token.into())
    }
}

/// An answer with the token, where there is more.
pub(super) fn with_token(mut answer: Value, token: Value) -> Value {
    if !token.is_null() {
        answer["nextToken"] = token;
    }
    answer
}
