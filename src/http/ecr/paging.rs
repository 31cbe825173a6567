//! Tokens that lead on: the last key of a page, with a seal of this server, so that one is good for the
//! operation and the repository that it was given for, and no other.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Call;
use super::download::is_same;
use super::error::Error;
use super::input::{Input, malformed};

/// How many entries a page has where nobody says.
const USUAL: u64 = 100;
/// How many bytes of the seal a token has before its key.
const SEAL_BYTES: usize = 16;

/// Where a page begins, and how long it is.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) after: Option<String>,
    pub(super) limit: u64,
    call: &'a Call,
    /// The list that it is a page of.
    list: String,
}

impl<'a> Page<'a> {
    pub(super) fn of(call: &'a Call, input: &Input) -> Result<Self, Error> {
        let repository = input.text("repositoryName").unwrap_or_default();
        let limit = input.number("maxResults").map_or(USUAL, i64::unsigned_abs);
        let mut page = Self {
            after: None,
            limit,
            call,
            list: format!("page\0{}\0{repository}", call.operation),
        };
        if let Some(token) = input.text("nextToken").filter(|token| !token.is_empty()) {
            let key = page.open(token);
            page.after = Some(key.ok_or_else(|| malformed("nextToken", "Invalid token"))?);
        }
        Ok(page)
    }

    /// The entries of a page without the one beyond it that tells whether there are more, and the
    /// token that leads on.
    pub(super) fn cut<T>(&self, mut found: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Value) {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if found.len() <= limit {
            return (found, Value::Null);
        }
        found.truncate(limit);
        let token = found.last().map(|last| self.token(&key(last)));
        (found, token.into())
    }

    /// The token that leads on behind a key.
    pub(super) fn token(&self, key: &str) -> String {
        let mut bytes = self.seal(key).to_vec();
        bytes.extend_from_slice(key.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The key in a token of this list.
    fn open(&self, token: &str) -> Option<String> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (seal, key) = bytes.split_at_checked(SEAL_BYTES)?;
        let key = String::from_utf8(key.to_vec()).ok()?;
        is_same(seal, &self.seal(&key)).then_some(key)
    }

    fn seal(&self, key: &str) -> [u8; SEAL_BYTES] {
        let text = format!("{}\0{key}", self.list);
        let seal = self.call.state.sealer.fingerprint(&text);
        *seal.first_chunk().expect("a fingerprint is longer")
    }
}

/// An answer with the token, where there is more.
pub(super) fn with_token(mut answer: Value, token: Value) -> Value {
    if !token.is_null() {
        answer["nextToken"] = token;
    }
    answer
}
