//! How often somebody may call: so many times a second, with a burst of as many as ten seconds
//! give.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use wharf_storage::clock::Timestamp;

/// How many callers are remembered at once.
const MOST: usize = 100_000;
/// How many seconds' worth of calls may come at once.
const BURST_SECONDS: i64 = 10;

/// A limit for each of many callers: the generic cell rate algorithm, which keeps one time for
/// each.
#[derive(Debug)]
pub struct RateLimit {
    /// How long a call takes of the caller's time, in microseconds. Zero: there is no limit.
    cost: i64,
    /// Until when each caller's time is used up.
    used: Mutex<HashMap<String, i64>>,
}

impl RateLimit {
    /// A limit of so many calls a second; zero means none.
    #[must_use]
    pub fn per_second(calls: u32) -> Self {
        Self {
            cost: match calls {
                0 => 0,
                calls => (1_000_000 / i64::from(calls)).max(1),
            },
            used: Mutex::default(),
        }
    }

    /// Counts a call.
    ///
    /// # Errors
    ///
    /// How long to wait, when there were too many.
    pub fn call(&self, caller: &str, now: Timestamp) -> Result<(), Duration> {
        if self.cost == 0 {
            return Ok(());
        }
        let now = now.as_micros();
        let burst = BURST_SECONDS * 1_000_000;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MOST && !used.contains_key(caller) {
            used.retain(|_, until| *until > now);
            if used.len() >= MOST {
                used.clear();
            }
        }
        let until = used.entry(caller.to_owned()).or_insert(now);
        // Time that wasn't used is not saved up; a clock that was set back doesn't lock out.
        let start = (*until).clamp(now, now + burst);
        if start + self.cost > now + burst {
            let wait = u64::try_from(start + self.cost - now - burst).unwrap_or_default();
            return Err(Duration::from_micros(wait));
        }
        *until = start + self.cost;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + milliseconds * 1000)
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let limit = RateLimit::per_second(2);
        for _ in 0..20 {
            assert_eq!(limit.call("a", at(0)), Ok(()));
        }
        assert_eq!(limit.call("a", at(0)), Err(Duration::from_millis(500)));
        assert_eq!(limit.call("b", at(0)), Ok(()));
        assert_eq!(limit.call("a", at(500)), Ok(()));
        assert!(limit.call("a", at(500)).is_err());
        assert_eq!(limit.call("a", at(60_000)), Ok(()));
    }

    #[test]
    fn zero_is_no_limit() {
        let limit = RateLimit::per_second(0);
        assert!((0..10_000).all(|_| limit.call("a", at(0)).is_ok()));
    }
}
