//! The time as this crate keeps it, and where it comes from.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// How far a clock may go apart from one that nobody can set, between two looks.
const TOLERANCE: Duration = Duration::from_secs(30);

/// Sees a clock jump, by another one that nobody can set.
#[derive(Debug)]
pub struct Watch {
    pause: Duration,
    wall: Timestamp,
    elapsed: Duration,
    paused_until: Duration,
}

impl Watch {
    /// A watch that doesn't believe the clock for `pause` after a jump, nor for `at_first`.
    #[must_use]
    pub fn new(wall: Timestamp, pause: Duration, at_first: Duration) -> Self {
        Self {
            pause,
            wall,
            elapsed: Duration::ZERO,
            paused_until: at_first,
        }
    }

    /// Looks at both clocks, the second of which counts from the beginning of the watch, and tells
    /// whether what the first one says can be believed for now.
    pub fn look(&mut self, wall: Timestamp, elapsed: Duration) -> bool {
        let expected = self.wall.after(elapsed.saturating_sub(self.elapsed));
        let is_near = wall >= expected.before(TOLERANCE) && wall <= expected.after(TOLERANCE);
        if !is_near {
            let pause = self.pause.as_secs();
            tracing::warn!(
                seconds = pause,
                "the clock has jumped: nothing counts as old for now"
            );
            self.distrust(elapsed);
        }
        self.wall = wall;
        self.elapsed = elapsed;
        elapsed >= self.paused_until
    }

    /// Doesn't believe the clock for as long as after a jump.
    pub fn distrust(&mut self, elapsed: Duration) {
        self.paused_until = elapsed + self.pause;
    }
}

/// How long nothing is old after the start: who sets a clock that is wrong has that long.
const AFTER_START: Duration = Duration::from_secs(3600);

/// Tells what is older than it is kept, by a clock that may jump: for as long after a jump, nothing
/// is, since a clock that is wrong by years would make everything old.
#[derive(Debug)]
pub struct Ageing {
    clock: Arc<dyn Clock>,
    keep: Duration,
    began: Instant,
    watch: Mutex<Watch>,
}

impl Ageing {
    /// For what is kept for so long.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, keep: Duration) -> Self {
        let watch = Watch::new(clock.now(), keep, keep.min(AFTER_START));
        Self {
            clock,
            keep,
            began: Instant::now(),
            watch: Mutex::new(watch),
        }
    }

    /// The moment before which things are too old; none while the clock is not believed.
    #[must_use]
    pub fn limit(&self) -> Option<Timestamp> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let is_believed = watch.look(now, self.began.elapsed());
        is_believed.then(|| now.before(self.keep))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_moment_before_the_beginning_of_time_is_the_earliest_one() {
        let moment = Timestamp::from_micros(i64::MIN + 5);
        assert_eq!(
            moment.before(Duration::from_secs(1)),
            Timestamp::from_micros(i64::MIN)
        );
    }

    #[test]
    fn a_clock_that_jumps_pauses_collection_for_a_grace() {
        let start = Timestamp::from_seconds(1_800_000_000);
        let mut watch = Watch::new(start, 24 * HOUR, HOUR);
        assert!(
            !watch.look(start.after(HOUR / 2), HOUR / 2),
            "it has just started"
        );
        assert!(watch.look(start.after(HOUR), HOUR));
        // A day ahead, and then it goes on as it should.
        assert!(!watch.look(start.after(26 * HOUR), 2 * HOUR));
        assert!(!watch.look(start.after(49 * HOUR), 25 * HOUR));
        assert!(watch.look(start.after(50 * HOUR), 26 * HOUR));
        // Ten years back.
        let past = start.before(87_600 * HOUR);
        assert!(!watch.look(past, 27 * HOUR));
        assert!(!watch.look(past.after(23 * HOUR), 50 * HOUR));
        assert!(watch.look(past.after(24 * HOUR), 51 * HOUR));
    }

    #[test]
    fn a_clock_that_is_corrected_a_little_changes_nothing() {
        let start = Timestamp::from_seconds(1_800_000_000);
        let mut watch = Watch::new(start, HOUR, HOUR);
        assert!(watch.look(start.after(HOUR), HOUR));
        assert!(watch.look(start.after(2 * HOUR + TOLERANCE), 2 * HOUR));
    }

    #[test]
    fn nothing_is_old_by_a_clock_that_jumped() {
        #[derive(Debug)]
        struct Set(Mutex<Timestamp>);
        impl Clock for Set {
            fn now(&self) -> Timestamp {
                *self.0.lock().expect("not poisoned")
            }
        }
        let start = Timestamp::from_seconds(1_800_000_000);
        let clock = Arc::new(Set(Mutex::new(start)));
        let keep = Duration::from_millis(1);
        let ageing = Ageing::new(Arc::clone(&clock) as Arc<dyn Clock>, keep);
        std::thread::sleep(2 * keep);
        assert_eq!(ageing.limit(), Some(start.before(keep)));
        for hours in [24, 87_600, 0] {
            *clock.0.lock().expect("not poisoned") = start.after(hours * HOUR);
            assert_eq!(ageing.limit(), None, "{hours} hours");
        }
    }
}
