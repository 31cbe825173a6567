//! The metadata: which repositories, manifests, tags and blobs there are, in SQL.
//!
//! # Layers
//!
//! [`Metadata`] is what callers hold. Each of its methods is one transaction: when it returns
//! well, what it did is durable as a whole, and when it fails, nothing of it happened. A method is
//! written once, against [`Transaction`], in SQL that SQLite and PostgreSQL both take (`$1`
//! placeholders, `ON CONFLICT`, `RETURNING`). A [`Database`] runs such methods on threads of its
//! own, since both drivers block.
//!
//! | module | job |
//! |---|---|
//! | `blobs` | links of blobs to repositories, mounts |
//! | `manifests` | pushing, reading and deleting manifests |
//! | `tags`, `referrers`, `repositories` | lists, a page at a time |
//! | `uploads` | the rows of uploads under way |
//! | `collection` | what nothing needs any more, step by step until it is forgotten |
//! | `removals` | bytes that wait to be removed |
//! | `scrub` | which bytes were found to be right or wrong |
//! | `adopt` | taking in what lies in a store already |
//! | `trash` | what was deleted, and bringing it back; the history of tags |
//! | [`provenance`] | what keeps a digest, or what removed it |
//! | `jobs` | work that one server does at a time |
//! | `settings` | what a repository is besides its images |
//! | `images` | lists of images, their times, leases |
//! | `groups` | an index, its images and what refers to them, as one |
//! | `storage_class` | archiving images and restoring them |
//! | `lifecycle` | what policies decide about, and doing what they decided |
//! | `documents` | settings of the registry |
//! | `events` | what happened, as a log that is written with what it tells |
//! | `endpoints` | who is told of events, and how far that has come |
//! | `access` | principals, keys, policies and trusts, as they are kept |
//! | `audit` | who did what |
//! | `transaction` | the face of a database that methods are written against |
//! | `database` | running methods on a database's threads |
//! | [`sqlite`] | the driver for SQLite |
//! | [`postgres`] | the driver for PostgreSQL |
//!
//! Times and names come in as values; nothing here looks at a clock or makes up a name.

mod access;
mod adopt;
mod audit;
mod blobs;
mod collection;
mod database;
mod documents;
mod endpoints;
mod error;
mod events;
mod groups;
mod images;
mod jobs;
mod lifecycle;
mod manifests;
pub mod postgres;
pub mod provenance;
mod referrers;
mod removals;
mod repositories;
mod scrub;
mod settings;
pub mod sqlite;
mod storage_class;
mod tags;
mod transaction;
mod trash;
mod uploads;

use std::sync::Arc;

use tokio::sync::watch;

pub use access::{
    AccessKeyRecord, AccessRecords, PolicyRecord, PrincipalChange, PrincipalRecord,
    SigningKeyRecord, TrustRecord,
};
pub use audit::{AuditEntry, AuditQuery, AuditRecord};
pub use blobs::{Blob, FinishedUpload, Stored};
pub use collection::{Ages, Forgotten, Plan, Purged, Reviewed};
pub use database::{Database, Job};
pub use documents::{Document, LIFECYCLE_PREVIEW, Replace};
pub use endpoints::{
    DeadLetter, DeliveryRecord, EndpointChange, EndpointProgress, EndpointRecord, NewEndpoint,
    Resent,
};
pub use error::Error;
pub use events::{Cause, Change, Event, EventDetail, EventKind, Events, Stream, StreamError};
pub use images::{Image, ImageFilter, ImageName, Pull, Pulled};
pub use jobs::Hold;
pub use lifecycle::{Chosen, ImageFacts};
pub use manifests::{ManifestBytes, ManifestHead, ManifestPush, MissingContent, Pushed};
pub use repositories::Creation;
pub use scrub::{Check, ToCheck, Verdict};
pub use settings::{
    Deleted, RepositoryRecord, RepositorySettings, TagMutability, TagMutabilityError,
};
pub use storage_class::StorageClass;
pub use transaction::{Row, Transaction, Value};
pub use trash::{Restored, RolledBack, TagMove, Trashed};
pub use uploads::{NewUpload, Upload};

/// The metadata of a registry.
#[derive(Clone, Debug)]
pub struct Metadata {
    database: Arc<dyn Database>,
    /// Touched when events were written.
    written: watch::Sender<()>,
}

impl Metadata {
    /// The metadata that lies in `database`.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self {
            database,
            written: watch::Sender::new(()),
        }
    }

    /// Looks whether there is space for new content, and not only for deletes.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] where there isn't, or when the database fails.
    pub async fn room(&self) -> Result<(), Error> {
        if !self.database.is_short() {
            return Ok(());
        }
        // The database looks again now.
        self.write(|_| Ok(())).await?;
        match self.database.is_short() {
            true => Err(Error::Full("the rest is kept for deletes".into())),
            false => Ok(()),
        }
    }

    /// Looks whether the database answers.
    ///
    /// # Errors
    ///
    /// When it doesn't.
    pub async fn check(&self) -> Result<(), Error> {
        self.read(|transaction| {
            transaction.query("SELECT id FROM repositories LIMIT 1", &[])?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
pub(crate) mod contract;
