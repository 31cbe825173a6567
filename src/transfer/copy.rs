//! Copying an image with all that belongs to it.
//!
//! The manifests are read first, down to the last one, so that the whole is known; then the blobs go,
//! several at once, and then the manifests, each behind what it names. So a target that is asked
//! meanwhile never has a manifest without its content, and a run that broke off is just run again:
//! what is there already is not sent again.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use uuid::Uuid;
use wharf_storage::oci::{Descriptor, Digest, MediaType, Reference, Tag};

use super::ends::{Source, Target, Verified};
use super::{Error, Tally, verify};

/// How many blobs are copied at once.
const PARALLEL: usize = 4;
/// How often a blob or a manifest is tried.
const TRIES: u32 = 4;
/// How long the first pause between two tries is; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// How deep indexes and referrers may nest.
pub(super) const DEEPEST: usize = 16;

/// Whether what refers to an image is copied with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referrers {
    /// It is.
    Copied,
    /// It is left.
    Left,
}

/// The members of a manifest that name content with its length.
#[derive(Deserialize)]
struct Content {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// Who copies from one repository to another.
pub struct Copier {
    source: Arc<dyn Source>,
    target: Arc<dyn Target>,
    referrers: Referrers,
    tally: Arc<Tally>,
    /// What the target has been given by now.
    done: Mutex<HashSet<Digest>>,
}

impl std::fmt::Debug for Copier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Copier").finish_non_exhaustive()
    }
}

/// What has to go to the target.
#[derive(Default)]
struct Plan {
    seen: HashSet<Digest>,
    blobs: Vec<Descriptor>,
    /// Each behind what it names.
    manifests: Vec<Verified>,
}

impl Copier {
    /// A copier that counts what it does.
    #[must_use]
    pub fn new(
        source: Arc<dyn Source>,
        target: Arc<dyn Target>,
        referrers: Referrers,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            source,
            target,
            referrers,
            tally,
            done: Mutex::default(),
        }
    }

    /// Copies what a reference names, and gives its digest. The target names it by `tag`.
    ///
    /// # Errors
    ///
    /// When one of the places fails or content is wrong; what was copied until then stays there.
    pub async fn copy(&self, reference: &Reference, tag: Option<&Tag>) -> Result<Digest, Error> {
        let root = self.manifest(reference, None).await?;
        let digest = root.digest.clone();
        let mut plan = Plan::default();
        self.visit(root, &mut plan, 0).await?;
        stream::iter(&plan.blobs)
            .map(|blob| self.blob(blob))
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await?;
        for manifest in &plan.manifests {
            let is_root = manifest.digest == digest;
            let tag = tag.filter(|_| is_root);
            // A tag always has to be set; another manifest may be there from an image before.
            if !is_root && self.is_done(&manifest.digest) {
                continue;
            }
            again(|| self.target.put_manifest(manifest, tag, is_root)).await?;
            self.set_done(&manifest.digest);
            Tally::add(&self.tally.manifests, 1);
        }
        Ok(digest)
    }

    /// Puts a manifest and all that it names on the plan.
    fn visit<'a>(
        &'a self,
        verified: Verified,
        plan: &'a mut Plan,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
        Box::pin(async move {
            if !plan.seen.insert(verified.digest.clone()) {
                return Ok(());
            }
            if depth > DEEPEST {
                return Err(Error::TooDeep(verified.digest));
            }
            let content: Content =
                serde_json::from_slice(verified.manifest.bytes()).map_err(|source| {
                    Error::Manifest {
                        digest: verified.digest.clone(),
                        source: wharf_storage::oci::ManifestError::Json(source),
                    }
                })?;
            let layers = content.layers.into_iter().chain(content.blobs).flatten();
            for blob in content.config.into_iter().chain(layers) {
                self.plan_blob(plan, blob);
            }
            for child in content.manifests.into_iter().flatten() {
                // An index of a build cache lists blobs.
                if !child.media_type.is_image() && !child.media_type.is_index() {
                    self.plan_blob(plan, child);
                    continue;
                }
                let reference = Reference::Digest(child.digest.clone());
                match self.manifest(&reference, Some(&child.media_type)).await {
                    Ok(child) => self.visit(child, plan, depth + 1).await?,
                    // An index may list more than a repository has.
                    Err(error) if error.is_not_found() => Tally::add(&self.tally.missing, 1),
                    Err(error) => return Err(error),
                }
            }
            let digest = verified.digest.clone();
            plan.manifests.push(verified);
            if self.referrers == Referrers::Copied {
                let referrers = again(|| self.source.referrers(&digest)).await?;
                for referrer in referrers {
                    let reference = Reference::Digest(referrer.digest.clone());
                    let referrer = self
                        .manifest(&reference, Some(&referrer.media_type))
                        .await?;
                    self.visit(referrer, plan, depth + 1).await?;
                }
            }
            Ok(())
        })
    }

    fn plan_blob(&self, plan: &mut Plan, blob: Descriptor) {
        if plan.seen.insert(blob.digest.clone()) && !self.is_done(&blob.digest) {
            Tally::add(&self.tally.bytes_to_copy, blob.size);
            plan.blobs.push(blob);
        }
    }

    async fn manifest(
        &self,
        reference: &Reference,
        listed_as: Option<&MediaType>,
    ) -> Result<Verified, Error> {
        let fetched = again(|| self.source.manifest(reference)).await?;
        verify::manifest(fetched, reference, listed_as)
    }

    async fn blob(&self, blob: &Descriptor) -> Result<(), Error> {
        if again(|| self.target.has_blob(blob)).await? {
            Tally::take(&self.tally.bytes_to_copy, blob.size);
            Tally::add(&self.tally.blobs_there, 1);
            self.set_done(&blob.digest);
            return Ok(());
        }
        match again(|| self.send(blob)).await {
            // Layers of this kind lie somewhere else on purpose.
            Err(error) if blob.media_type.may_be_elsewhere() && error.is_not_found() => {
                Tally::take(&self.tally.bytes_to_copy, blob.size);
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => {
                Tally::add(&self.tally.blobs_copied, 1);
                self.set_done(&blob.digest);
                Ok(())
            }
        }
    }

    async fn send(&self, blob: &Descriptor) -> Result<(), Error> {
        let bytes = self.source.blob(blob).await?;
        let passed = Arc::new(AtomicU64::new(0));
        let (tally, counted) = (Arc::clone(&self.tally), Arc::clone(&passed));
        let bytes = verify::blob(blob, bytes, tally, counted);
        let sent = self.target.put_blob(blob, bytes).await;
        if sent.is_err() {
            Tally::take(&self.tally.bytes_copied, Tally::of(&passed));
        }
        sent
    }

    fn is_done(&self, digest: &Digest) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.contains(digest)
    }

    fn set_done(&self, digest: &Digest) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert(digest.clone());
    }
}

/// Tries again what may pass, with pauses that grow.
async fn again<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match attempt().await {
            Err(error) if error.may_pass() => {
                tracing::debug!(reason = error.line(), "trying again");
            }
            outcome => return outcome,
        }
        // The last bytes of a name that nobody else makes are as good as dice.
        let dice = u32::from(Uuid::now_v7().as_bytes()[15]);
        tokio::time::sleep(pause + pause * dice / 512).await;
        pause *= 2;
    }
    attempt().await
}
