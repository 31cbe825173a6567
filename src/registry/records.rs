//! Records of manifests and tags beside the bytes, and making a lost database anew from them.
//!
//! The recorder follows the log of events: for each manifest that an event is about it writes what
//! the metadata says now. So a push costs nothing more, and the records lag behind by a moment. How
//! far it came stands in the metadata; where that isn't known, all of it is written once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use wharf_storage::clock::Clock;
use wharf_storage::metadata::{self, EventKind, Hold, Image, Metadata, Replace, Stream};
use wharf_storage::oci::{MediaType, RepositoryName, Tag};
use wharf_storage::record::{RecordName, RecordStore};

use super::Error;

/// What the work is called.
const JOB: &str = "records";
/// For how long a server holds the work before it renews that.
const TERM: Duration = Duration::from_secs(60);
/// How many events are looked at at once, and images.
const PAGE: u64 = 500;
/// The document that says how far the recorder came.
const DOCUMENT: (&str, &str) = ("records", "cursor");

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) media_type: MediaType,
    pub(super) tags: Vec<Tag>,
    /// The manifest's bytes, which are UTF-8 as all JSON is.
    pub(super) manifest: String,
}

/// Who keeps the records.
#[derive(Clone, Debug)]
pub struct Recorder {
    metadata: Metadata,
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    holder: Arc<str>,
}

impl Recorder {
    /// A recorder of this metadata, known to others by a name.
    #[must_use]
    pub fn new(
        metadata: Metadata,
        records: Arc<dyn RecordStore>,
        clock: Arc<dyn Clock>,
        holder: Arc<str>,
    ) -> Self {
        Self {
            metadata,
            records,
            clock,
            holder,
        }
    }

    /// Writes what has changed since the last time, a page of it, and tells whether there is more.
    ///
    /// # Errors
    ///
    /// When a store fails; the same is written again then.
    pub async fn step(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        let held = self.metadata.hold_job(JOB, &self.holder, now, TERM).await?;
        if held == Hold::ByOther {
            return Ok(false);
        }
        let (kind, key) = DOCUMENT;
        let cursor = self.metadata.document(kind, key).await?;
        let cursor: Option<i64> = cursor.and_then(|document| document.text.parse().ok());
        let Some(cursor) = cursor else {
            return self.write_all().await;
        };
        let log = self.metadata.events(Stream::Changes, cursor, PAGE).await?;
        if log.oldest > cursor + 1 || cursor > log.head {
            return self.write_all().await;
        }
        let Some(last) = log.events.last().map(|event| event.seq) else {
            return Ok(false);
        };
        let mut touched = BTreeSet::new();
        for event in log.events {
            let Some(repository) = event.repository else {
                continue;
            };
            if event.kind == EventKind::RepositoryDeleted {
                let names = self.records.records(Some(&repository)).await?;
                touched.extend(names.try_collect::<Vec<_>>().await?);
            }
            let detail = event.detail;
            for digest in [detail.digest, detail.previous].into_iter().flatten() {
                let repository = repository.clone();
                touched.insert(RecordName { repository, digest });
            }
        }
        for name in touched {
            self.write(&name).await?;
        }
        self.came_to(last).await?;
        Ok(last < log.head)
    }

    /// Lets others do the work.
    ///
    /// # Errors
    ///
    /// When the metadata fails.
    pub async fn release(&self) -> Result<(), Error> {
        Ok(self.metadata.release_job(JOB, &self.holder).await?)
    }

    /// Writes a record of every manifest. None is removed: records that the metadata doesn't know
    /// may be all that is left of another database.
    async fn write_all(&self) -> Result<bool, Error> {
        let [head, _] = self.metadata.event_heads().await?;
        let mut after: Option<RepositoryName> = None;
        loop {
            let from = after.as_ref().map(RepositoryName::as_str);
            let page = self.metadata.repositories(from, PAGE).await?;
            let Some(last) = page.last().cloned() else {
                break;
            };
            after = Some(last);
            for repository in page {
                self.write_repository(&repository).await?;
                let now = self.clock.now();
                self.metadata.hold_job(JOB, &self.holder, now, TERM).await?;
            }
        }
        self.came_to(head).await?;
        Ok(true)
    }

    async fn write_repository(&self, repository: &RepositoryName) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let images = self.metadata.images(repository, after.as_deref(), PAGE);
            let images = match images.await {
                // It was deleted meanwhile, which an event tells of.
                Err(metadata::Error::RepositoryUnknown(_)) => return Ok(()),
                images => images?,
            };
            let Some(last) = images.last() else {
                return Ok(());
            };
            after = Some(last.digest.to_string());
            for image in images {
                self.put(repository, image).await?;
            }
        }
    }

    /// Writes or removes the record of a manifest, as the metadata says now.
    async fn write(&self, name: &RecordName) -> Result<(), Error> {
        let image = match self.metadata.image(&name.repository, &name.digest).await {
            Err(metadata::Error::RepositoryUnknown(_)) => None,
            image => image?,
        };
        match image {
            Some(image) => self.put(&name.repository, image).await,
            None => Ok(self.records.remove_record(name).await?),
        }
    }

    async fn put(&self, repository: &RepositoryName, image: Image) -> Result<(), Error> {
        let name = RecordName {
            repository: repository.clone(),
            digest: image.digest,
        };
        let record = Record {
            media_type: image.media_type,
            tags: image.tags,
            manifest: String::from_utf8_lossy(&image.bytes).into_owned(),
        };
        let text = serde_json::to_vec(&record).expect("texts have a JSON form");
        Ok(self.records.put_record(&name, Bytes::from(text)).await?)
    }

    async fn came_to(&self, cursor: i64) -> Result<(), Error> {
        // The records are durable before the cursor says that they are there.
        self.records.sync_records().await?;
        let ((kind, key), now) = (DOCUMENT, self.clock.now());
        let text = cursor.to_string();
        self.metadata
            .put_document(kind, key, &text, Replace::Allowed, now)
            .await?;
        Ok(())
    }
}
