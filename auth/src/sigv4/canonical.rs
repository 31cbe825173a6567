//! The text of a request that is signed.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What stays as it is: the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, as it was sent.
    pub path: &'a str,
    /// The query, as it was sent; empty without one.
    pub query: &'a str,
    /// The headers, their names in lower case.
    pub headers: &'a [(String, String)],
    /// The SHA-256 of the body, in 64 digits.
    pub payload: &'a str,
}

impl SignedRequest<'_> {
    /// All values of a header, joined as they are signed. Nothing when it isn't there.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        let mut joined = trimmed(&values.next()?.1);
        for (_, value) in values {
            joined.push(',');
            joined.push_str(&trimmed(value));
        }
        Some(joined)
    }

    /// The canonical request. Nothing when a header that should be signed isn't there.
    pub(super) fn canonical(&self, signed_headers: &[String]) -> Option<String> {
        let mut text = format!(
            "{}\n{}\n{}\n",
            self.method,
            canonical_path(self.path),
            canonical_query(self.query)
        );
        for name in signed_headers {
            let value = self.header(name)?;
            let _ = writeln!(text, "{name}:{value}");
        }
        let _ = write!(text, "\n{}\n{}", signed_headers.join(";"), self.payload);
        Some(text)
    }
}

/// Without spaces around it, and single ones within.
fn trimmed(value: &str) -> String {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        text.push(' ');
        text.push_str(word);
    }
    text
}

/// Without `.`, `..` and empty segments, and each segment encoded again.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut text = String::new();
    for segment in &segments {
        let _ = write!(text, "/{}", utf8_percent_encode(segment, RESERVED));
    }
    if text.is_empty() || path.ends_with('/') {
        text.push('/');
    }
    text
}

/// The parameters, encoded in one way and in order.
fn canonical_query(query: &str) -> String {
    let encode = |text: &str| {
        let bytes: Vec<u8> = percent_decode_str(text).collect();
        percent_encoding::percent_encode(&bytes, RESERVED).to_string()
    };
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (encode(name), encode(value))
        })
        .collect();
    parameters.sort_unstable();
    let parameters: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parameters.join("&")
}
