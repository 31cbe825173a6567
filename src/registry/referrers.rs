//! The referrers of a manifest: those that name it as their subject, and those that a client
//! without this API listed under the subject's fallback tag.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>

use std::collections::BTreeMap;

use serde::Deserialize;
use wharf_storage::oci::{Descriptor, Digest, Reference, RepositoryName, Tag};

use super::{Error, Page, Registry};

/// How long an answer may get. Clients refuse manifests above 4 MiB, and read this as one.
const PAGE_BYTES: usize = 3 << 20;

/// The part of an index that is listed.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

impl Registry {
    /// The referrers of `subject` behind the digest `after`, in the order of their digests; with
    /// `artifact_type` only those of that type. A subject that isn't there has referrers too.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Page<Descriptor>, Error> {
        let enough = limit.saturating_add(1);
        let found = self
            .metadata
            .referrers(repository, subject, artifact_type, after, enough)
            .await?;
        let mut merged: BTreeMap<Digest, Descriptor> = BTreeMap::new();
        let is_asked = |listed: &Descriptor| {
            let is_behind = after.is_none_or(|after| listed.digest.as_str() > after);
            let kind = listed.artifact_type.as_deref();
            is_behind && (artifact_type.is_none() || kind == artifact_type)
        };
        let listed = self.fallback_referrers(repository, subject, is_asked, enough);
        for listed in listed.await? {
            merged.insert(listed.digest.clone(), listed);
        }
        merged.extend(found.into_iter().map(|found| (found.digest.clone(), found)));
        let mut page = Page::of(merged.into_values().collect(), limit);
        cut_to_size(&mut page);
        Ok(page)
    }

    /// What of this stands in the index under the subject's fallback tag and is still there, in the
    /// order of the digests, `limit` at most.
    async fn fallback_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        is_asked: impl Fn(&Descriptor) -> bool,
        limit: u64,
    ) -> Result<Vec<Descriptor>, Error> {
        let tag = Reference::Tag(Tag::of_referrers(subject));
        let Some(index) = self.metadata.manifest(repository, &tag).await? else {
            return Ok(Vec::new());
        };
        // Anybody may push anything under that tag; what is no index lists nothing.
        let Ok(index) = serde_json::from_slice::<Index>(&index.bytes) else {
            return Ok(Vec::new());
        };
        let mut asked: Vec<Descriptor> = index.manifests.into_iter().filter(is_asked).collect();
        asked.sort_by(|a, b| a.digest.cmp(&b.digest));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut listed = Vec::new();
        for descriptor in asked {
            if listed.len() >= limit {
                break;
            }
            let reference = Reference::Digest(descriptor.digest.clone());
            if self
                .metadata
                .manifest_head(repository, &reference)
                .await?
                .is_some()
            {
                listed.push(descriptor);
            }
        }
        Ok(listed)
    }
}

/// Ends a page before it gets too long for a client, but not before its first entry.
fn cut_to_size(page: &mut Page<Descriptor>) {
    let mut total = 0;
    let fits = |descriptor: &Descriptor| {
        let texts = descriptor
            .annotations
            .iter()
            .map(|(key, value)| key.len() + value.len() + 8);
        total += 256 + texts.sum::<usize>();
        total <= PAGE_BYTES
    };
    let fitting = page
        .items
        .iter()
        .map(fits)
        .take_while(|fits| *fits)
        .count()
        .max(1);
    if fitting < page.items.len() {
        page.items.truncate(fitting);
        page.more = true;
    }
}
