//! What stands in the head of a request.

use http::{HeaderMap, HeaderValue, Request, Uri};

use super::text;
use crate::http::range::{Selection, parse_content_range, select};
use crate::http::{self as door, repository_path};

/// A size, a line's end, and a `Range`.
pub(super) fn range(bytes: &[u8]) {
    text(bytes, |both| {
        let (size, header) = both.split_once('\n').unwrap_or(("1000", both));
        let size: u64 = size.parse().unwrap_or(1000);
        let inside = |range: &std::ops::Range<u64>| {
            assert!(
                range.start < range.end && range.end <= size,
                "{range:?} of {size}"
            );
        };
        match select(Some(header), size) {
            Selection::Whole | Selection::Unsatisfiable => {}
            Selection::Parts(ranges) => {
                assert!(!ranges.is_empty());
                ranges.iter().for_each(inside);
                let sum: u128 = ranges
                    .iter()
                    .map(|range| u128::from(range.end - range.start))
                    .sum();
                assert!(
                    sum <= u128::from(size),
                    "no more than all of it: {ranges:?} of {size}"
                );
            }
        }
    });
}

pub(super) fn content_range(bytes: &[u8]) {
    text(bytes, |text| {
        if let Some(range) = parse_content_range(text) {
            assert!(range.start < range.end, "{range:?}");
            let written = format!("{}-{}", range.start, range.end - 1);
            assert_eq!(parse_content_range(&written), Some(range));
        }
    });
}

/// The headers of proxies, and those that say who calls: a line each.
pub(super) fn forwarded(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("x-forwarded-for", value.clone());
            headers.append("if-none-match", value);
        }
    }
    let addresses = door::caller::addresses(&headers);
    assert!(
        addresses
            .iter()
            .all(|address| address.to_canonical() == *address)
    );
    text(bytes, |text| {
        if door::caller::is_host(text) {
            assert!(text.is_ascii() && !text.contains(['/', '@', ' ', '\r', '\n', '"', '<']));
        }
        if let Some((username, _)) = door::caller::basic(text) {
            assert!(!username.contains(':'));
        }
    });
}

pub(super) fn repository_path(bytes: &[u8]) {
    let Ok(uri) = Uri::try_from(bytes) else {
        return;
    };
    let request = Request::builder().uri(uri.clone()).body(());
    let folded = repository_path::fold(request.expect("a request of an address"));
    // Only slashes became something else, or one was added to the end.
    let plain = |uri: &Uri| {
        uri.path()
            .replace("%2F", "/")
            .trim_end_matches('/')
            .to_owned()
    };
    assert_eq!(plain(folded.uri()), plain(&uri));
    assert_eq!(folded.uri().query(), uri.query());
}

pub(super) fn page_number(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(limit) = door::pagination::read_limit(text, 1000) {
            assert!(limit <= 1000);
        }
    });
}

pub(super) fn cursor(bytes: &[u8]) {
    text(bytes, |text| {
        if let Some(place) = door::events::read_cursor(text) {
            assert!(place >= 0, "{text:?}");
        }
    });
}
