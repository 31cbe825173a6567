//! When images were pulled, recorded beside the pulls.
//!
//! A pull only notes the time in memory. What was noted is written in one transaction every so
//! often; a crash loses the times of the last moments, and no more.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError, RwLock};

use wharf_auth::identity::Principal;
use wharf_storage::metadata::{Change, Pull, Pulled};
use wharf_storage::oci::{Digest, RepositoryName};

use super::{Error, Registry};

/// What principals whose pulls don't count are kept as, by their ARN.
pub const EXCLUSIONS: &str = "pull-time-exclusion";

/// Who writes pulls down.
const ACTOR: &str = "registry";
/// How many images are noted between two writes; more than that are left out.
const MOST: usize = 100_000;
/// How many are written at once.
const BATCH: usize = 500;
/// How many principals can be excluded.
const MOST_EXCLUSIONS: u64 = 1000;

/// The pulls since the last write.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    noted: Mutex<HashMap<Pull, Pulled>>,
    excluded: RwLock<HashSet<String>>,
}

impl Registry {
    /// Notes that an image was pulled.
    pub fn pulled(&self, repository: &RepositoryName, digest: &Digest, by: &Principal) {
        if let Some(principal) = by.policy_target() {
            let excluded = self
                .pulls
                .excluded
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if excluded.contains(&principal) {
                return;
            }
        }
        let mut noted = self
            .pulls
            .noted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let pull = Pull {
            repository: repository.clone(),
            digest: digest.clone(),
        };
        if noted.len() < MOST || noted.contains_key(&pull) {
            let pulled = Pulled {
                at: self.clock.now(),
                by: by.to_string(),
                count: 1,
            };
            merge(&mut noted, pull, pulled);
        }
    }

    /// Writes what was noted.
    ///
    /// # Errors
    ///
    /// When the metadata fails; what was noted is then noted again.
    pub async fn record_pulls(&self) -> Result<(), Error> {
        let noted = {
            let mut noted = self
                .pulls
                .noted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *noted)
        };
        let mut noted: Vec<(Pull, Pulled)> = noted.into_iter().collect();
        while !noted.is_empty() {
            let batch = noted.split_off(noted.len().saturating_sub(BATCH));
            let change = Change::new(ACTOR, self.clock.now());
            let recorded = self.metadata.record_pulls(batch.clone(), change).await;
            if let Err(error) = recorded {
                let mut again = self
                    .pulls
                    .noted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                for (pull, pulled) in noted.into_iter().chain(batch) {
                    merge(&mut again, pull, pulled);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Sees whose pulls don't count.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn refresh_exclusions(&self) -> Result<(), Error> {
        let found = self
            .metadata
            .documents(EXCLUSIONS, None, MOST_EXCLUSIONS)
            .await?;
        let found = found.into_iter().map(|document| document.text).collect();
        *self
            .pulls
            .excluded
            .write()
            .unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }
}

/// Adds to what is noted of an image: the latest time counts, and every pull.
fn merge(noted: &mut HashMap<Pull, Pulled>, pull: Pull, pulled: Pulled) {
    match noted.entry(pull) {
        Entry::Vacant(entry) => {
            entry.insert(pulled);
        }
        Entry::Occupied(mut entry) => {
            let known = entry.get_mut();
            let count = known.count + pulled.count;
            if pulled.at >= known.at {
                *known = pulled;
            }
            known.count = count;
        }
    }
}
