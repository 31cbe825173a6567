//! Collecting what nothing needs any more, in small steps beside everything else.
//!
//! The steps themselves stand in the metadata, each a transaction; here they are taken in batches,
//! by one server at a time. A run that is broken off has done what it did, and the next one goes on.

use std::sync::Arc;
use std::time::Duration;

use wharf_storage::clock::{Clock, Timestamp};
use wharf_storage::metadata::{Ages, Hold, Metadata, Plan};

use super::Error;

/// How many rows a transaction looks at: others have to wait for so long.
const BATCH: u64 = 200;
/// For how long a server holds the work before it renews that.
const TERM: Duration = Duration::from_secs(60);
/// What the work is called.
const JOB: &str = "collection";
/// How long it can be told why something is gone.
const REMEMBER: Duration = Duration::from_secs(90 * 86_400);
/// A clock that has gone on for so long since the last run, or back, is not believed.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30 * 86_400);

/// How long things stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graces {
    /// What was deleted, in the trash.
    pub trash: Duration,
    /// A blob that no manifest names.
    pub review: Duration,
    /// The bytes of a blob that no repository has.
    pub condemned: Duration,
}

impl Graces {
    /// The longest of them.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.trash.max(self.review).max(self.condemned)
    }

    /// Up to which moments things are old enough.
    #[must_use]
    pub fn ages(&self, now: Timestamp) -> Ages {
        Ages {
            trash: now.before(self.trash),
            review: now.before(self.review),
            condemned: now.before(self.condemned),
        }
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Manifests that left the trash for good.
    pub manifests: u64,
    /// Links of blobs that went.
    pub links: u64,
    /// Blobs that no repository has any more.
    pub condemned: u64,
    /// Blobs that were forgotten.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// All that was due is done.
    Done(Collected),
    /// Another server is at it.
    ByOther,
    /// The clock stands so far from where it stood at the last run that it is not believed.
    Clock {
        /// Where it stood.
        seen_at: Timestamp,
    },
}

/// Whether a clock that stands far from where it stood is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is, since somebody says so.
    Always,
    /// Only near where it stood.
    Near,
}

/// Who collects. It needs no bytes: those go by the queue of removals.
#[derive(Clone, Debug)]
pub struct Collector {
    metadata: Metadata,
    clock: Arc<dyn Clock>,
    graces: Graces,
    holder: Arc<str>,
}

impl Collector {
    /// A collector in this metadata, known to others by a name.
    #[must_use]
    pub fn new(
        metadata: Metadata,
        clock: Arc<dyn Clock>,
        graces: Graces,
        holder: Arc<str>,
    ) -> Self {
        Self {
            metadata,
            clock,
            graces,
            holder,
        }
    }

    /// How long things stay.
    #[must_use]
    pub fn graces(&self) -> Graces {
        self.graces
    }

    /// What waits, and how much of it is due.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn plan(&self) -> Result<Plan, Error> {
        let ages = self.graces.ages(self.clock.now());
        Ok(self.metadata.collection_plan(ages).await?)
    }

    /// Collects what is due, for as long as `goes_on` says so.
    ///
    /// # Errors
    ///
    /// When the metadata fails; what was done until then stays done.
    pub async fn run(&self, trust: Trust, goes_on: impl Fn() -> bool) -> Result<Run, Error> {
        match self.hold().await? {
            Hold::ByOther => return Ok(Run::ByOther),
            Hold::Held { seen_at } => {
                if let (Some(seen_at), Trust::Near) = (seen_at, trust)
                    && !self.is_near(seen_at)
                {
                    let given_up = self.metadata.give_up_job(JOB, &self.holder, seen_at);
                    given_up.await?;
                    return Ok(Run::Clock { seen_at });
                }
            }
        }
        let mut collected = Collected::default();
        while goes_on() && self.step(&mut collected).await? {
            if self.hold().await? == Hold::ByOther {
                break;
            }
        }
        let before = self.clock.now().before(REMEMBER);
        self.metadata.forget_collected(before).await?;
        self.metadata.release_job(JOB, &self.holder).await?;
        Ok(Run::Done(collected))
    }

    async fn hold(&self) -> Result<Hold, Error> {
        let now = self.clock.now();
        Ok(self.metadata.hold_job(JOB, &self.holder, now, TERM).await?)
    }

    fn is_near(&self, seen_at: Timestamp) -> bool {
        let now = self.clock.now();
        // Clocks of different servers may differ a little.
        now >= seen_at.before(TERM) && now <= seen_at.after(LONGEST_ABSENCE)
    }

    /// Takes a batch of each step, and tells whether there is more to do.
    async fn step(&self, collected: &mut Collected) -> Result<bool, Error> {
        let now = self.clock.now();
        let ages = self.graces.ages(now);
        let purged = self.metadata.purge_trash(ages, now, BATCH).await?;
        let reviewed = self.metadata.review_links(ages, now, BATCH).await?;
        let forgotten = self.metadata.forget_condemned(ages, now, BATCH).await?;
        collected.manifests += purged.manifests;
        collected.links += reviewed.unlinked;
        collected.condemned += reviewed.condemned;
        collected.blobs += forgotten.blobs;
        collected.bytes += forgotten.bytes;
        let is_full = purged.manifests == BATCH
            || reviewed.kept + reviewed.unlinked >= BATCH
            || forgotten.blobs == BATCH;
        Ok(is_full)
    }
}
