//! The public vectors, then a flipped bit in each signed part, then the clock.

use serde::Deserialize;

use super::*;
use crate::sigv4::AuthorizationError;

/// As AWS publishes them, all but the one whose header is folded over several lines, which no
/// HTTP server takes any more (RFC 9112, 5.2).
const VECTORS: &str = include_str!("../../testdata/sigv4.json");
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[derive(Clone, Deserialize)]
struct Vector {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    authorization: String,
}

impl Vector {
    fn check(&self, secret: &str, now: Timestamp) -> Result<(), SignatureError> {
        let authorization = Authorization::parse(&self.authorization).expect("it can be read");
        let payload = hex(&Sha256::digest(&self.body));
        let request = SignedRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            payload: &payload,
        };
        verify(&authorization, &request, secret, now)
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(VECTORS).expect("the vectors can be read")
}

/// 2015-08-30T12:36:00Z, when the vectors were signed.
fn then() -> Timestamp {
    Timestamp::from_seconds(1_440_938_160)
}

#[test]
fn the_public_vectors_are_verified() {
    let vectors = vectors();
    assert!(vectors.len() > 25);
    for vector in vectors {
        assert_eq!(vector.check(SECRET, then()), Ok(()), "{}", vector.name);
    }
}

#[test]
fn a_flipped_bit_in_any_signed_part_is_found() {
    for vector in vectors() {
        let mut forged = Vec::new();
        let mut forge = |change: &dyn Fn(&mut Vector)| {
            let mut vector = vector.clone();
            change(&mut vector);
            forged.push(vector);
        };
        forge(&|vector| vector.method = "PUT".into());
        forge(&|vector| vector.path.push('x'));
        forge(&|vector| vector.query.push_str("&x=y"));
        forge(&|vector| vector.body.push('x'));
        for place in 0..vector.headers.len() {
            // The date has its own answer, below.
            let name = &vector.headers[place].0;
            if name != "x-amz-date" && vector.authorization.contains(name.as_str()) {
                forge(&|vector| vector.headers[place].1.push('x'));
            }
        }
        let signature = vector.authorization.len() - 64;
        for place in signature..vector.authorization.len() {
            forge(&|vector| {
                let digit = match &vector.authorization[place..=place] {
                    "0" => "1",
                    _ => "0",
                };
                vector.authorization.replace_range(place..=place, digit);
            });
        }
        for part in ["us-east-1", "/service/"] {
            forge(&|vector| {
                vector.authorization = vector.authorization.replace(part, &part.replace('e', "f"));
            });
        }
        for forged in forged {
            let answer = forged.check(SECRET, then());
            assert_eq!(answer, Err(SignatureError::Mismatch), "{}", vector.name);
        }
        let answer = vector.check("another secret", then());
        assert_eq!(answer, Err(SignatureError::Mismatch), "{}", vector.name);
    }
}

#[test]
fn a_request_is_taken_within_its_window_only() {
    let vector = vectors().remove(0);
    for (seconds, want) in [
        (0, Ok(())),
        (900, Ok(())),
        (-900, Ok(())),
        (901, Err(SignatureError::Expired)),
        (-901, Err(SignatureError::Expired)),
        (86_400, Err(SignatureError::Expired)),
    ] {
        let now = Timestamp::from_seconds(then().as_seconds() + seconds);
        assert_eq!(vector.check(SECRET, now), want, "{seconds}");
    }
}

#[test]
fn what_has_to_be_signed_is_signed() {
    let vector = vectors()
        .into_iter()
        .find(|vector| vector.name == "get-vanilla");
    let vector = vector.expect("it is there");
    let check = |change: &dyn Fn(&mut Vector)| {
        let mut vector = vector.clone();
        change(&mut vector);
        vector.check(SECRET, then())
    };
    let unsigned = |vector: &mut Vector| {
        vector
            .headers
            .push(("x-amz-target".into(), "Delete".into()));
    };
    assert_eq!(check(&unsigned), Err(SignatureError::Incomplete));
    let no_date = |vector: &mut Vector| {
        vector.headers.retain(|(name, _)| name != "x-amz-date");
    };
    assert_eq!(check(&no_date), Err(SignatureError::Incomplete));
    let no_host = |vector: &mut Vector| {
        vector.authorization = vector.authorization.replace("host;", "");
    };
    assert_eq!(check(&no_host), Err(SignatureError::Incomplete));
    let lists_more = |vector: &mut Vector| {
        vector.authorization = vector.authorization.replace("host;", "host;missing;");
    };
    assert_eq!(check(&lists_more), Err(SignatureError::Incomplete));
    let another_day = |vector: &mut Vector| {
        vector.authorization = vector.authorization.replace("20150830", "20150829");
    };
    assert_eq!(check(&another_day), Err(SignatureError::Date));
}

#[test]
fn headers_of_another_form_are_not_read() {
    let whole = vectors().remove(0).authorization;
    assert!(Authorization::parse(&whole).is_ok());
    for (from, to) in [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
        ("aws4_request", "aws3_request"),
        ("/us-east-1", ""),
        ("/us-east-1", "/us-east-1/more"),
        ("Signature=", "Signature=x"),
        ("SignedHeaders=host", "SignedHeaders=HOST"),
        ("SignedHeaders=host", "SignedHeaders=zz;host"),
        ("Signature=", "Extra=1, Signature="),
        ("Signature=", "Credential=a/b/c/d/aws4_request, Signature="),
    ] {
        let text = whole.replacen(from, to, 1);
        assert_eq!(
            Authorization::parse(&text),
            Err(AuthorizationError),
            "{text}"
        );
    }
    for text in ["", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "Bearer x"] {
        assert_eq!(
            Authorization::parse(text),
            Err(AuthorizationError),
            "{text}"
        );
    }
}
