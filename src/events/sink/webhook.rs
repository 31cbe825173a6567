//! Webhooks: a POST for each event, signed as Standard Webhooks has it.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, StatusCode, header};
use wharf_auth::random;
use wharf_storage::clock::Timestamp;
use zeroize::Zeroizing;

use super::{Failure, Message, Sink, Target};
use crate::outbound::chain;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How long a secret may be, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// How much of an answer is read, so that the connection can be used again.
const LONGEST_ANSWER: usize = 64 << 10;
/// The longest pause that an endpoint can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret reads whsec_ and 24 to 64 bytes in base64")]
pub struct SecretError;

/// What deliveries are signed with.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes::<32>().to_vec()))
    }

    /// The secret of a text.
    ///
    /// # Errors
    ///
    /// [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.strip_prefix(PREFIX).ok_or(SecretError)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| SecretError)?;
        match LENGTHS.contains(&bytes.len()) {
            true => Ok(Self(Zeroizing::new(bytes))),
            false => Err(SecretError),
        }
    }

    /// The text, to be told once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&*self.0))
    }

    /// The bytes that sign.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// The value of `webhook-signature`: one signature for each secret.
#[must_use]
pub fn sign<S: AsRef<[u8]>>(secrets: &[S], id: &str, at: i64, body: &[u8]) -> String {
    let signatures = secrets.iter().map(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{at}.").as_bytes());
        context.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

/// A webhook.
#[derive(Debug)]
pub(super) struct Webhook(Target);

impl Webhook {
    pub(super) fn new(target: Target) -> Self {
        Self(target)
    }
}

#[async_trait]
impl Sink for Webhook {
    async fn deliver(&self, message: &Message) -> Result<String, Failure> {
        let target = &self.0;
        let (url, outbound) = (&target.url, &target.outbound);
        // Which networks are open may have changed since the endpoint was made.
        outbound
            .check_host(url)
            .map_err(|error| Failure::retry(error.to_string()))?;
        let now = target.clock.now();
        let at = now.as_seconds();
        let secrets: Vec<&[u8]> = target.secrets_at(now).collect();
        let mut request = outbound
            .client()
            .post(url.clone())
            .header(header::CONTENT_TYPE, message.media_type)
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", at);
        if !secrets.is_empty() {
            let signature = sign(&secrets, &message.id, at, &message.body);
            request = request.header("webhook-signature", signature);
        }
        let answer = request.body(message.body.clone()).send().await;
        let mut answer = answer.map_err(|error| Failure::retry(chain(&error)))?;
        let status = answer.status();
        let after = retry_after(answer.headers(), now);
        let mut read = 0;
        while let Ok(Some(chunk)) = answer.chunk().await {
            read += chunk.len();
            if read > LONGEST_ANSWER {
                break;
            }
        }
        outcome(status, after)
    }
}

/// What a status says about the delivery that it answers.
fn outcome(status: StatusCode, after: Option<Duration>) -> Result<String, Failure> {
    if status.is_success() {
        return Ok(status.as_u16().to_string());
    }
    let reason = format!("it answers {status}");
    Err(match status {
        StatusCode::GONE => Failure::Gone(reason),
        // These are of the moment, and not of the message.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Failure::Retry { reason, after }
        }
        status if status.is_client_error() => Failure::Refused { reason, after },
        _ => Failure::Retry { reason, after },
    })
}

/// For how long an endpoint wants to be left alone, given in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date: Timestamp = httpdate::parse_http_date(text).ok()?.into();
            let seconds = date.as_seconds() - now.as_seconds();
            Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_published_signature_comes_out() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = sign(
            &[secret.as_bytes()],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_while_one_takes_over() {
        let (new, old) = (Secret::generate(), Secret::generate());
        let both = sign(&[new.as_bytes(), old.as_bytes()], "id", 1, b"body");
        let one = sign(&[old.as_bytes()], "id", 1, b"body");
        assert_eq!(both.split(' ').count(), 2);
        assert!(both.ends_with(&one));
    }

    #[test]
    fn a_secret_reads_back_and_is_not_shown() {
        let secret = Secret::generate();
        let again = Secret::parse(&secret.reveal()).expect("its own text");
        assert_eq!(again.as_bytes(), secret.as_bytes());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        for text in ["", "whsec_", "whsec_c2hvcnQ=", "c2hvcnQ=", "whsec_!"] {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_some_answers_are_about_the_message() {
        for (status, refuses) in [
            (302, false),
            (400, true),
            (401, true),
            (404, true),
            (408, false),
            (413, true),
            (422, true),
            (425, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            let code = StatusCode::from_u16(status).expect("a status");
            let failure = outcome(code, None).expect_err("it is not taken");
            let is_refusal = matches!(failure, Failure::Refused { .. });
            assert_eq!(is_refusal, refuses, "{status}");
        }
        let gone = outcome(StatusCode::GONE, None);
        assert!(matches!(gone, Err(Failure::Gone(_))));
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_until_a_date() {
        let now = Timestamp::from_seconds(784_111_777);
        let asked = |text: &'static str| {
            let value = http::HeaderValue::from_static(text);
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value)]), now)
        };
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        let date = asked("Sun, 06 Nov 1994 08:50:37 GMT");
        assert_eq!(date, Some(Duration::from_secs(60)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("99999999"), Some(LONGEST_PAUSE));
        assert_eq!(asked("soon"), None);
    }
}
