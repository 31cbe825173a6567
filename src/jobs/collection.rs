//! Collects what nothing needs, again and again, where the clock can be believed.
//!
//! A grace is only worth something if it really passed. So while a server runs, its clock is
//! compared with one that nobody can set, and a jump pauses collection for as long as anything is
//! kept. A server that has just started waits for a while, since a push that it broke off may go on.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wharf_storage::clock::{Clock, Watch};

use crate::registry::{Collector, Run, Trust};

/// How long collection waits after the start.
const AFTER_START: Duration = Duration::from_secs(3600);
/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Collects `every` so often until `stop`.
pub async fn run(
    collector: Collector,
    clock: &dyn Clock,
    every: Duration,
    stop: CancellationToken,
) {
    let began = Instant::now();
    let graces = collector.graces();
    let at_first = AFTER_START.min(graces.review);
    let mut watch = Watch::new(clock.now(), graces.longest(), at_first);
    let mut due = every;
    let mut trust = Trust::Near;
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
        match collector.run(trust, || !stop.is_cancelled()).await {
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
                watch.distrust(elapsed);
                // Once it was watched for so long, it may stand where it likes.
                trust = Trust::Always;
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "collection failed");
                continue;
            }
        }
        trust = Trust::Near;
    }
}
