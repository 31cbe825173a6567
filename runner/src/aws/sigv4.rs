//! Signature Version 4: requests of callers are verified, and our own are signed.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign as hmac};
use http::{HeaderMap, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far clocks may be apart.
const WINDOW_SECONDS: i64 = 15 * 60;
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why a signature isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is none.
    Missing,
    /// It isn't of the right form, or doesn't cover what it has to.
    Incomplete,
    /// Nobody knows the key.
    UnknownKey,
    /// It is too old, or of the future.
    Expired,
    /// It was not made with the key over this request.
    Mismatch,
}

/// What a signature says it was made for.
#[derive(Debug, Default)]
struct Scope<'a> {
    access_key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

/// The service in a signature's scope, before anything is verified.
pub(crate) fn service(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("authorization")?.to_str().ok()?;
    Some(parse(text)?.service)
}

/// Whether the key signed the request lately.
pub(crate) fn verify(
    method: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    key: (&str, &str),
    now: OffsetDateTime,
) -> Result<(), Refusal> {
    let text = headers.get("authorization").ok_or(Refusal::Missing)?;
    let text = text.to_str().map_err(|_| Refusal::Incomplete)?;
    let scope = parse(text).ok_or(Refusal::Incomplete)?;
    if scope.access_key != key.0 {
        return Err(Refusal::UnknownKey);
    }
    let is_signed = |name: &str| scope.signed.contains(&name);
    let mut amazon = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz-"));
    if !is_signed("host") || !amazon.all(|name| is_signed(name.as_str())) {
        return Err(Refusal::Incomplete);
    }
    let date = joined(headers, "x-amz-date").ok_or(Refusal::Incomplete)?;
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = PrimitiveDateTime::parse(&date, format).map_err(|_| Refusal::Incomplete)?;
    if !date.starts_with(scope.date) || scope.date.len() != 8 {
        return Err(Refusal::Incomplete);
    }
    if (now - at.assume_utc()).whole_seconds().abs() > WINDOW_SECONDS {
        return Err(Refusal::Expired);
    }
    let signed: Option<Vec<(String, String)>> = scope
        .signed
        .iter()
        .map(|name| Some(((*name).to_owned(), joined(headers, name)?)))
        .collect();
    let signed = signed.ok_or(Refusal::Incomplete)?;
    let query = uri.query().unwrap_or_default();
    let canonical = canonical(method, uri.path(), query, &signed, body);
    let made = signature(&canonical, &date, key.1, (scope.region, scope.service));
    verify_slices_are_equal(made.as_bytes(), scope.signature.as_bytes())
        .map_err(|_| Refusal::Mismatch)
}

/// Signs a `POST` of ours: adds the headers that say so.
pub(crate) fn sign(
    headers: &mut Vec<(String, String)>,
    path: &str,
    body: &[u8],
    key: (&str, &str),
    (region, service): (&str, &str),
) {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = OffsetDateTime::now_utc().format(format).unwrap_or_default();
    headers.push(("x-amz-date".into(), date.clone()));
    headers.sort();
    let canonical = canonical("POST", path, "", headers, body);
    let signature = signature(&canonical, &date, key.1, (region, service));
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}/{region}/{service}/aws4_request, SignedHeaders={}, \
         Signature={signature}",
        key.0,
        &date[..8],
        names.join(";"),
    );
    headers.push(("authorization".into(), authorization));
}

/// An `Authorization`, a path with a query, and headers: a line each. Nobody signed it.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    let Ok(uri) = lines.next().unwrap_or("/").parse::<Uri>() else {
        return;
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    if let Ok(value) = http::HeaderValue::from_str(first) {
        headers.insert("authorization", value);
    }
    let _ = service(&headers);
    let key = ("AKIDEXAMPLE", "a secret of nobody");
    let now = OffsetDateTime::from_unix_timestamp(1_440_938_160).expect("a moment");
    assert!(
        verify("GET", &uri, &headers, b"", key, now).is_err(),
        "nobody signed it"
    );
}

fn parse(text: &str) -> Option<Scope<'_>> {
    let rest = text.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
    let mut scope = Scope::default();
    for part in rest.split(',') {
        let (name, value) = part.trim().split_once('=')?;
        match name {
            "Credential" => {
                let mut parts = value.split('/');
                scope.access_key = parts.next()?;
                scope.date = parts.next()?;
                scope.region = parts.next()?;
                scope.service = parts.next()?;
                (parts.next()? == "aws4_request" && parts.next().is_none()).then_some(())?;
            }
            "SignedHeaders" => scope.signed = value.split(';').collect(),
            "Signature" => scope.signature = value,
            _ => return None,
        }
    }
    let is_ordered = scope.signed.is_sorted_by(|one, other| one < other);
    (is_ordered && !scope.access_key.is_empty()).then_some(scope)
}

fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts: Option<Vec<String>> = values
        .map(|value| Some(trimmed(value.to_str().ok()?)))
        .collect();
    Some(texts?.join(","))
}

fn trimmed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn canonical(
    method: &str,
    path: &str,
    query: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> String {
    // Every service but S3 signs the path encoded once more.
    let segments = path.split('/').map(encode);
    let path = segments.collect::<Vec<_>>().join("/");
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let again = |text: &str| encode(&percent_decode_str(text).decode_utf8_lossy());
            (again(name), again(value))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut text = format!("{method}\n{path}\n{}\n", pairs.join("&"));
    for (name, value) in headers {
        text.push_str(&format!("{name}:{}\n", trimmed(value)));
    }
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    text.push_str(&format!("\n{}\n{}", names.join(";"), hash(body)));
    text
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

fn signature(canonical: &str, date: &str, secret: &str, scope: (&str, &str)) -> String {
    let (region, service) = scope;
    let day = date.get(..8).unwrap_or_default();
    let text = format!(
        "{ALGORITHM}\n{date}\n{day}/{region}/{service}/aws4_request\n{}",
        hash(canonical.as_bytes())
    );
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, region, service, "aws4_request", &text] {
        key = hmac(&Key::new(HMAC_SHA256, &key), part.as_bytes())
            .as_ref()
            .to_vec();
    }
    hex(&key)
}

fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");

    fn signed(body: &[u8]) -> HeaderMap {
        let mut headers = vec![
            ("host".to_owned(), "127.0.0.1:5080".to_owned()),
            ("x-amz-target".to_owned(), "A.B".to_owned()),
        ];
        sign(&mut headers, "/v1/a%20b", body, KEY, ("us-east-1", "batch"));
        let pair = |(name, value): (String, String)| {
            let name = http::HeaderName::try_from(name).expect("a name");
            (name, value.parse().expect("a value"))
        };
        headers.into_iter().map(pair).collect()
    }

    #[test]
    fn what_was_signed_is_believed_and_nothing_else() {
        let uri: Uri = "/v1/a%20b".parse().expect("a path");
        let now = OffsetDateTime::now_utc();
        let headers = signed(b"{}");
        let check = |uri: &Uri, body: &[u8], key, at| verify("POST", uri, &headers, body, key, at);
        assert_eq!(check(&uri, b"{}", KEY, now), Ok(()));
        assert_eq!(service(&headers), Some("batch"));
        assert_eq!(check(&uri, b"{ }", KEY, now), Err(Refusal::Mismatch));
        let other = "/v1/b".parse().expect("a path");
        assert_eq!(check(&other, b"{}", KEY, now), Err(Refusal::Mismatch));
        let secret = (KEY.0, "other");
        assert_eq!(check(&uri, b"{}", secret, now), Err(Refusal::Mismatch));
        assert_eq!(
            check(&uri, b"{}", ("B", KEY.1), now),
            Err(Refusal::UnknownKey)
        );
        let late = now + time::Duration::minutes(16);
        assert_eq!(check(&uri, b"{}", KEY, late), Err(Refusal::Expired));
    }

    #[test]
    fn a_header_that_was_added_is_not_believed() {
        let uri: Uri = "/v1/a%20b".parse().expect("a path");
        let mut headers = signed(b"{}");
        headers.insert("x-amz-invocation-type", "Event".parse().expect("a value"));
        let outcome = verify(
            "POST",
            &uri,
            &headers,
            b"{}",
            KEY,
            OffsetDateTime::now_utc(),
        );
        assert_eq!(outcome, Err(Refusal::Incomplete));
    }

    #[test]
    fn a_published_example_has_its_published_signature() {
        // The suite of AWS: get-vanilla.
        let headers = [
            ("host".to_owned(), "example.amazonaws.com".to_owned()),
            ("x-amz-date".to_owned(), "20150830T123600Z".to_owned()),
        ];
        let text = canonical("GET", "/", "", &headers, b"");
        let made = signature(&text, "20150830T123600Z", KEY.1, ("us-east-1", "service"));
        assert_eq!(
            made,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }
}
