//! Running lifecycle policies.
//!
//! The decision was made on a picture of the repository. It is done a group at a time, each in its
//! own transaction that looks again: whether the images still have the tags that they had, whether
//! an index that was pushed meanwhile names one, whether somebody has taken a lease or locked a tag.

use std::sync::Arc;

use wharf_storage::clock::Clock;
use wharf_storage::metadata::{Cause, Change, ImageFacts, Metadata};
use wharf_storage::oci::RepositoryName;

use super::Error;
use crate::lifecycle::{Outcome, Policy, Step, select, steps};

/// Who removes by policy, in the history of tags.
const ACTOR: &str = "lifecycle";
/// How many repositories are looked at at once.
const PAGE: u64 = 100;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Images that went.
    pub expired: u64,
    /// Images that were archived.
    pub archived: u64,
    /// Tags that went from images that stayed.
    pub untagged: u64,
}

/// Who runs lifecycle policies. They need no bytes: what nothing names any more is collected later.
#[derive(Clone, Debug)]
pub struct Lifecycles {
    metadata: Metadata,
    clock: Arc<dyn Clock>,
}

impl Lifecycles {
    /// Policies over this metadata.
    #[must_use]
    pub fn new(metadata: Metadata, clock: Arc<dyn Clock>) -> Self {
        Self { metadata, clock }
    }

    /// What a policy would do to a repository; its own when none is given. Nothing when it has
    /// none.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the metadata fails.
    pub async fn preview(
        &self,
        name: &RepositoryName,
        policy: Option<Policy>,
    ) -> Result<Option<Vec<(ImageFacts, Outcome)>>, Error> {
        let unknown = || Error::RepositoryUnknown(name.clone());
        let record = self.metadata.repository(name).await?.ok_or_else(unknown)?;
        let own = record.lifecycle_policy.as_deref().map(Policy::parse);
        let policy = match (policy, own) {
            (Some(policy), _) | (None, Some(Ok(policy))) => policy,
            (None, Some(Err(error))) => return Err(Error::Internal(Box::new(error))),
            (None, None) => return Ok(None),
        };
        let now = self.clock.now();
        let images = self.metadata.image_facts(name, now).await?;
        let work = move || {
            let outcomes = select(&policy, &images, now);
            images.into_iter().zip(outcomes).collect()
        };
        let decided = tokio::task::spawn_blocking(work).await;
        decided
            .map(Some)
            .map_err(|error| Error::Internal(Box::new(error)))
    }

    /// Runs the policy of a repository.
    ///
    /// # Errors
    ///
    /// [`Error::RepositoryUnknown`], or when the metadata fails.
    pub async fn run(&self, name: &RepositoryName) -> Result<Ran, Error> {
        match self.preview(name, None).await? {
            None => Ok(Ran::default()),
            Some(decided) => self.apply(name, decided).await,
        }
    }

    /// Does what was decided, as far as nothing has changed that is against it.
    async fn apply(
        &self,
        name: &RepositoryName,
        decided: Vec<(ImageFacts, Outcome)>,
    ) -> Result<Ran, Error> {
        let mut ran = Ran::default();
        let now = self.clock.now();
        let change = || Change::new(ACTOR, now).because(Cause::Lifecycle);
        for step in steps(&decided) {
            match step {
                Step::Expire(chosen) => {
                    let gone = self.metadata.expire_images(name, chosen, change());
                    ran.expired += gone.await?;
                }
                Step::Archive(chosen) => {
                    let moved = self.metadata.archive_images(name, chosen, change());
                    ran.archived += moved.await?;
                }
                Step::Untag(digest, tags) => {
                    let gone = self.metadata.untag_image(name, &digest, tags, change());
                    ran.untagged += gone.await?;
                }
            }
        }
        self.metadata.lifecycle_evaluated(name, now).await?;
        Ok(ran)
    }

    /// Runs the policies of all repositories. One that fails keeps none of the others from theirs.
    ///
    /// # Errors
    ///
    /// When the list of repositories can't be read.
    pub async fn run_all(&self) -> Result<Ran, Error> {
        let (mut total, mut after) = (Ran::default(), None::<String>);
        loop {
            let page = self
                .metadata
                .repository_records(after.as_deref(), PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(total);
            };
            after = Some(last.name.to_string());
            for record in page
                .iter()
                .filter(|record| record.lifecycle_policy.is_some())
            {
                match self.run(&record.name).await {
                    Ok(ran) => {
                        total.expired += ran.expired;
                        total.archived += ran.archived;
                        total.untagged += ran.untagged;
                    }
                    Err(error) => {
                        tracing::error!(repository = %record.name, %error, "a lifecycle policy failed");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
