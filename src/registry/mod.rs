//! The registry itself: what a push, a pull and a delete mean.
//!
//! Both doors, `/v2` and the ECR API, come here, so what they do is the same. Nothing here knows
//! HTTP; whether a caller may do something is decided before, at the door.
//!
//! | module | job |
//! |---|---|
//! | `pull` | reading blobs and manifests, and the lists |
//! | `push` | taking a manifest |
//! | `upload` | taking a blob: sessions, mounts |
//! | `repository` | how repositories come to be |
//! | `pulls` | when images were pulled |
//! | `lifecycle` | running lifecycle policies |
//! | `lease` | one request at a time in an upload |
//! | `referrers` | the referrers of a manifest, of both kinds |
//! | `collection` | collecting what nothing needs any more |
//! | `delete` | taking manifests, tags and blobs out of sight |
//! | `records` | copies of manifests and tags beside the bytes |
//! | `rebuild` | making a lost database anew |
//! | `scrub` | reading all bytes again, to find those that have changed |
//! | `sweep` | ending forgotten uploads, removing needless bytes |
//! | `error` | what can be wrong, in the domain's words |

mod collection;
mod delete;
mod error;
mod lease;
mod lifecycle;
mod page;
mod pull;
mod pulls;
mod push;
mod rebuild;
mod records;
mod referrers;
mod repository;
mod scrub;
mod sweep;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use wharf_auth::identity::Principal;
use wharf_storage::blob::BlobStore;
use wharf_storage::clock::{Ageing, Clock, Timestamp};
use wharf_storage::metadata::{Change, Creation, Metadata, MissingContent};
use wharf_storage::upload::UploadStore;

use self::lease::Leases;

pub use collection::{Collected, Collector, Graces, Run, Trust};
pub use error::Error;
pub use lifecycle::{Lifecycles, Ran};
pub use page::Page;
pub use pulls::EXCLUSIONS;
pub use push::{ManifestTarget, PushedManifest};
pub use rebuild::{Rebuilder, Rebuilt};
pub use records::Recorder;
pub use repository::TEMPLATES;
pub use scrub::{Scrubbed, Scrubber};
pub use sweep::Swept;
pub use upload::{Body, BodyError, Chunk, Session, UploadStatus};

/// What of a registry's behaviour can be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether a repository appears at the first push to it.
    pub creation: Creation,
    /// Whether a manifest may name what its repository doesn't have.
    pub missing_content: MissingContent,
    /// How many uploads one principal may have open.
    pub uploads_per_principal: u64,
    /// After how long without a byte an upload is forgotten.
    pub upload_expiry: Duration,
    /// The lifecycle policy of new repositories, JSON.
    pub default_lifecycle_policy: Option<String>,
    /// How long a blob stays that no manifest names.
    pub grace: Duration,
    /// How long the addresses are good that clients are sent to; nothing: the bytes come from here.
    pub redirects: Option<Duration>,
}

/// Who asks for a change, and by which request.
#[derive(Clone, Debug)]
pub struct Requester {
    /// Who it is.
    pub principal: Principal,
    /// The request's name in the log.
    pub request_id: String,
}

impl Requester {
    /// A change of theirs.
    #[must_use]
    pub fn change(&self, now: Timestamp) -> Change {
        Change::new(self.principal.to_string(), now).of_request(&self.request_id)
    }
}

/// Who pushes, and whether they may make a repository by it.
#[derive(Clone, Debug)]
pub struct Pusher {
    /// Who it is.
    pub by: Requester,
    /// Whether a repository appears for them.
    pub creation: Creation,
}

/// A registry over its stores.
#[derive(Debug)]
pub struct Registry {
    metadata: Metadata,
    blobs: Arc<dyn BlobStore>,
    uploads: Arc<dyn UploadStore>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    leases: Leases,
    pulls: pulls::Pulls,
    /// Which uploads are forgotten.
    expiry: Ageing,
    swept: sweep::Mark,
    tasks: TaskTracker,
}

impl Registry {
    /// A registry over these stores.
    #[must_use]
    pub fn new(
        metadata: Metadata,
        blobs: Arc<dyn BlobStore>,
        uploads: Arc<dyn UploadStore>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self {
            metadata,
            blobs,
            uploads,
            expiry: Ageing::new(Arc::clone(&clock), settings.upload_expiry),
            clock,
            settings,
            leases: Leases::default(),
            pulls: pulls::Pulls::default(),
            swept: sweep::Mark::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Whether a repository appears at this push.
    fn creation(&self, pusher: &Pusher) -> Creation {
        match self.settings.creation {
            Creation::Allowed => pusher.creation,
            Creation::Forbidden => Creation::Forbidden,
        }
    }

    /// Looks whether the metadata answers.
    ///
    /// # Errors
    ///
    /// When it doesn't.
    pub async fn check(&self) -> Result<(), Error> {
        Ok(self.metadata.check().await?)
    }

    /// Waits until the uploads that are being written have been recorded. Call it when no more
    /// requests come.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
