//! Collects what nothing needs, again and again, where the clock can be believed.
//!
//! A grace is only worth something if it really passed. So while a server runs, its clock is
//! compared with one that nobody can set, and a jump pauses collection for a whole grace. A server
//! that has just started waits for a while, since a push that it broke off may go on.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wharf_storage::clock::{Clock, Timestamp};

use crate::registry::{Collector, Run, Trust};

/// How long collection waits after the start.
const AFTER_START: Duration = Duration::from_secs(3600);
/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How far the clocks may go apart between two looks.
const TOLERANCE: Duration = Duration::from_secs(30);

/// Collects `every` so often until `stop`.
pub async fn run(
    collector: Collector,
    clock: &dyn Clock,
    every: Duration,
    grace: Duration,
    stop: CancellationToken,
) {
    let began = Instant::now();
    let mut watch = Watch::new(clock.now(), grace);
    let mut due = every;
    let look_every = LOOK_EVERY.min(every);
    while stop
        .run_until_cancelled(tokio::time::sleep(look_every))
        .await
        .is_some()
    {
        let elapsed = began.elapsed();
        let can_be_believed = watch.look(clock.now(), elapsed);
        if !can_be_believed || elapsed < due {
            continue;
        }
        due = elapsed + every;
        match collector.run(Trust::Near, || !stop.is_cancelled()).await {
            Ok(Run::Done(done)) if done == crate::registry::Collected::default() => {}
            Ok(Run::Done(done)) => tracing::info!(
                manifests = done.manifests,
                links = done.links,
                condemned = done.condemned,
                blobs = done.blobs,
                bytes = done.bytes,
                "collected what nothing needs"
            ),
            Ok(Run::ByOther) => {}
            Ok(Run::Clock { seen_at }) => {
                tracing::error!(
                    last_run = seen_at.as_seconds(),
                    "the clock is far from where it was: nothing is collected for a while"
                );
                watch.pause(elapsed);
            }
            Err(error) => tracing::error!(%error, "collection failed"),
        }
    }
}

/// Sees a clock jump, by another one that nobody can set.
#[derive(Debug)]
struct Watch {
    grace: Duration,
    wall: Timestamp,
    elapsed: Duration,
    paused_until: Duration,
}

impl Watch {
    fn new(wall: Timestamp, grace: Duration) -> Self {
        Self {
            grace,
            wall,
            elapsed: Duration::ZERO,
            paused_until: AFTER_START.min(grace),
        }
    }

    /// Looks at both clocks, and tells whether what the first one says can be believed for now.
    fn look(&mut self, wall: Timestamp, elapsed: Duration) -> bool {
        let expected = self.wall.after(elapsed.saturating_sub(self.elapsed));
        let is_near = wall >= expected.before(TOLERANCE) && wall <= expected.after(TOLERANCE);
        if !is_near {
            tracing::warn!("the clock has jumped: nothing is collected until a grace has passed");
            self.pause(elapsed);
        }
        self.wall = wall;
        self.elapsed = elapsed;
        elapsed >= self.paused_until
    }

    fn pause(&mut self, elapsed: Duration) {
        self.paused_until = elapsed + self.grace;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_that_jumps_pauses_collection_for_a_grace() {
        let start = Timestamp::from_seconds(1_800_000_000);
        let mut watch = Watch::new(start, 24 * HOUR);
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
        let mut watch = Watch::new(start, HOUR);
        assert!(watch.look(start.after(HOUR), HOUR));
        assert!(watch.look(start.after(2 * HOUR + TOLERANCE), 2 * HOUR));
    }
}
