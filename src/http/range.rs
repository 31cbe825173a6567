//! Parts of blobs: the `Range` of a download (RFC 9110, 14.2) and the `Content-Range` of a chunk.

use std::ops::Range;

/// How many parts a client may ask for at once. One that reads single files out of a compressed
/// layer asks for up to 1,024.
const MOST_PARTS: usize = 2048;

/// What a client gets of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it.
    Whole,
    /// These parts, in the order asked for; at least one, each not empty and inside the blob.
    Parts(Vec<Range<u64>>),
    /// Nothing: no byte lies where the client asked.
    Unsatisfiable,
}

/// What a `Range` header selects of `size` bytes.
///
/// A unit that isn't bytes is passed over, as the RFC has it. A range of bytes that is none, such
/// as `500-0`, could be passed over or refused; it is refused, since whoever sends it would take
/// the whole blob for a part.
#[must_use]
pub fn select(header: Option<&str>, size: u64) -> Selection {
    let Some((unit, list)) = header.and_then(|text| text.split_once('=')) else {
        return Selection::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Selection::Whole;
    }
    let mut parts = Vec::new();
    for (number, text) in list.split(',').enumerate() {
        let Some(part) = parse_part(text.trim(), size) else {
            return Selection::Unsatisfiable;
        };
        if number >= MOST_PARTS {
            return Selection::Unsatisfiable;
        }
        if !part.is_empty() {
            parts.push(part);
        }
    }
    let mut lengths = parts.iter().map(|part| part.end - part.start);
    let asked = lengths.try_fold(0, u64::checked_add);
    match parts.len() {
        0 => Selection::Unsatisfiable,
        // Parts that overlap would make an answer longer than the blob (RFC 9110, 17.15).
        length if length > 1 && asked.is_none_or(|asked| asked > size) => Selection::Whole,
        _ => Selection::Parts(parts),
    }
}

/// The bytes that one part selects, none where it lies behind the end.
fn parse_part(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    if first.is_empty() {
        let suffix = parse_number(last)?;
        return Some(size.saturating_sub(suffix)..size);
    }
    let first = parse_number(first)?;
    let end = match last {
        "" => size,
        last => {
            let last = parse_number(last)?;
            if last < first {
                return None;
            }
            last.saturating_add(1).min(size)
        }
    };
    Some(first.min(end)..end)
}

/// Digits as a number; more than fit are the largest one.
fn parse_number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The first and the last byte of a chunk, as `Content-Range: N-M` says; `bytes=` and `bytes ` in
/// front and a size behind are tolerated.
#[must_use]
pub fn parse_content_range(text: &str) -> Option<Range<u64>> {
    let text = text.trim();
    let text = text
        .strip_prefix("bytes")
        .map_or(text, |rest| rest.trim_start_matches(['=', ' ']));
    let text = text.split('/').next().unwrap_or_default();
    let (first, last) = text.split_once('-')?;
    let (first, last) = (parse_number(first)?, parse_number(last)?);
    (first <= last && last < u64::MAX).then(|| first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(bounds: &[(u64, u64)]) -> Selection {
        Selection::Parts(bounds.iter().map(|(start, end)| *start..*end).collect())
    }

    #[test]
    fn ranges_select_what_the_rfc_says() {
        for (header, want) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=10-19", parts(&[(10, 20)])),
            ("bytes=90-", parts(&[(90, 100)])),
            ("bytes=-10", parts(&[(90, 100)])),
            ("bytes=-1000", parts(&[(0, 100)])),
            ("bytes=90-1000", parts(&[(90, 100)])),
            ("bytes=0-", parts(&[(0, 100)])),
            ("Bytes=0-1", parts(&[(0, 2)])),
            ("bytes=0-1, 50-59,-1", parts(&[(0, 2), (50, 60), (99, 100)])),
            ("bytes=0-1,1000-", parts(&[(0, 2)])),
            ("bytes=99999999999999999999999-", Selection::Unsatisfiable),
            ("bytes=0-99999999999999999999999", parts(&[(0, 100)])),
            ("bytes=100-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=50-0", Selection::Unsatisfiable),
            ("bytes=0-1,50-0", Selection::Unsatisfiable),
            ("bytes=", Selection::Unsatisfiable),
            ("bytes=-", Selection::Unsatisfiable),
            ("bytes=a-b", Selection::Unsatisfiable),
            ("bytes=1-2-3", Selection::Unsatisfiable),
            ("bytes=--1", Selection::Unsatisfiable),
            ("lines=0-1", Selection::Whole),
            ("0-1", Selection::Whole),
            ("bytes=0-,0-", Selection::Whole),
        ] {
            assert_eq!(select(Some(header), 100), want, "{header}");
        }
        assert_eq!(select(None, 100), Selection::Whole);
        assert_eq!(select(Some("bytes=0-"), 0), Selection::Unsatisfiable);
        assert_eq!(select(Some("bytes=0-,0-"), u64::MAX), Selection::Whole);
        let many = format!("bytes={}", vec!["0-0"; 3000].join(","));
        assert_eq!(select(Some(&many), 10_000), Selection::Unsatisfiable);
    }

    #[test]
    fn chunks_say_where_they_lie() {
        for text in ["0-9", "bytes=0-9", "bytes 0-9/100", "bytes 0-9/*", " 0-9 "] {
            assert_eq!(parse_content_range(text), Some(0..10), "{text}");
        }
        for text in [
            "",
            "-",
            "9",
            "9-0",
            "-9",
            "0-",
            "a-b",
            "0-99999999999999999999999",
        ] {
            assert_eq!(parse_content_range(text), None, "{text}");
        }
    }
}
