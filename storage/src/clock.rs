//! The time as this crate keeps it, and where it comes from.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in microseconds since 1970 (UTC), as it is kept in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment that lies `microseconds` after 1970.
    #[must_use]
    pub const fn from_micros(microseconds: i64) -> Self {
        Self(microseconds)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The moment `duration` earlier; the earliest one that can be told where it would lie before.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(microseconds))
    }

    /// The moment `duration` later; the latest one that can be told where it would lie behind.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(microseconds))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The moment that lies `seconds` after 1970.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let microseconds = time
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_micros());
        Self(i64::try_from(microseconds).unwrap_or(i64::MAX))
    }
}

/// Where the time comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_before_the_beginning_of_time_is_the_earliest_one() {
        let moment = Timestamp::from_micros(i64::MIN + 5);
        assert_eq!(
            moment.before(Duration::from_secs(1)),
            Timestamp::from_micros(i64::MIN)
        );
    }
}
