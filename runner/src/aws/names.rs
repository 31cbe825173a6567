//! ARNs, ids and times.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::macros::format_description;

/// What ARNs are made of.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    account: String,
    region: String,
}

impl Names {
    pub(crate) fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }

    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// `arn:aws:SERVICE:REGION:ACCOUNT:REST`.
    pub(crate) fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{rest}", self.region, self.account)
    }
}

/// An id that nothing else has, 32 digits.
pub(crate) fn id() -> String {
    // The random part comes first, so that ids differ in their first digits too.
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{}{}", &id[16..], &id[..16])
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.expect("the clock is past 1970").as_secs_f64();
    (seconds * 1000.0).round() / 1000.0
}

/// Seconds since 1970 as ISO 8601 with milliseconds and `+0000`, as Lambda writes them.
pub(crate) fn iso(seconds: f64) -> String {
    let format = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+0000"
    );
    let nanoseconds = (seconds * 1e9) as i128;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds);
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format).unwrap_or_default()
}
