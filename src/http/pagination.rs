//! Pages of lists: `n`, `last`, and the `Link` to the next one.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags>

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::{Code, Error};
use super::extract::Parameters;

/// What a query leaves as it is (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// The page that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many entries it gets at most.
    pub limit: u64,
    /// The entry that it goes on behind.
    pub last: Option<String>,
}

impl PageRequest {
    /// Reads `n` and `last`. A number above `most` is taken for `most`.
    ///
    /// # Errors
    ///
    /// When `n` is no number.
    pub(super) fn parse(parameters: &Parameters, most: u64) -> Result<Self, Error> {
        let limit = match parameters.first("n") {
            None | Some("") => most,
            Some(text) => read_limit(text, most)?,
        };
        let last = parameters.first("last").filter(|last| !last.is_empty());
        Ok(Self {
            limit,
            last: last.map(ToOwned::to_owned),
        })
    }

    /// The header that leads to the page behind `last`.
    pub(super) fn link(&self, path: &str, last: &str, kept: &[(&str, &str)]) -> HeaderMap {
        let mut link = format!("<{path}?n={}&last={}", self.limit, escape(last));
        for (name, value) in kept {
            link.push_str(&format!("&{name}={}", escape(value)));
        }
        link.push_str(">; rel=\"next\"");
        let value = HeaderValue::try_from(link).expect("an escaped link is a header's value");
        HeaderMap::from_iter([(header::LINK, value)])
    }
}

fn escape(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}

pub(crate) fn read_limit(text: &str, most: u64) -> Result<u64, Error> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = "n is the number of entries of a page";
        return Err(Error::new(
            StatusCode::BAD_REQUEST,
            Code::PaginationNumberInvalid,
            message,
        ));
    }
    // Digits that fit no number are a number above the most.
    Ok(text.parse().unwrap_or(u64::MAX).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_clamped_and_everything_else_is_refused() {
        for (text, want) in [
            ("0", 0),
            ("7", 7),
            ("1000", 100),
            ("99999999999999999999", 100),
        ] {
            assert_eq!(read_limit(text, 100).expect("a number"), want, "{text}");
        }
        for text in ["-1", "+1", "1.5", "abc", "1e3", " 1", "٣"] {
            assert!(read_limit(text, 100).is_err(), "{text}");
        }
    }

    #[test]
    fn a_link_escapes_what_stands_in_it() {
        let page = PageRequest {
            limit: 2,
            last: None,
        };
        let headers = page.link("/v2/a/tags/list", "x>\r\n&y", &[("artifactType", "a/b+c")]);
        assert_eq!(
            headers[header::LINK],
            "</v2/a/tags/list?n=2&last=x%3E%0D%0A%26y&artifactType=a%2Fb%2Bc>; rel=\"next\""
        );
    }
}
