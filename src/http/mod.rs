//! The doors: HTTP in front of the registry.
//!
//! A handler parses what came into the domain's types, calls [`registry`](crate::registry), and
//! writes its answer; it decides nothing about images.
//!
//! | module | job |
//! |---|---|
//! | [`routes`] | every URL, on one page |
//! | [`repository_path`] | makes names with slashes one segment, for the router |
//! | [`access`] | asks whether the caller may, before a handler runs |
//! | `caller` | who calls, and from where |
//! | `token`, `session` | what callers show in place of a password |
//! | [`admin`] | administration, as JSON |
//! | `leases` | what keeps digests from being removed |
//! | `events` | what happened, as a stream or page by page |
//! | [`ecr`] | Amazon ECR's API |
//! | `extract` | references, digests and parameters out of a request |
//! | [`error`] | failures as the OCI error body |
//! | [`range`], [`pagination`] | parts of blobs, pages of lists |
//! | [`v2`] | the OCI distribution API |
//! | `health`, `exposition` | what operators ask |
//! | [`listener`] | connections and their limits |
//! | [`request_id`], `observe` | the name, the log line and the measures of a request |
//! | [`steady`] | bodies that must keep coming |

pub mod access;
pub mod admin;
pub(crate) mod caller;
pub mod ecr;
pub mod error;
pub(crate) mod events;
mod exposition;
mod extract;
mod health;
mod leases;
pub mod listener;
mod observe;
pub mod pagination;
pub mod range;
pub mod repository_path;
pub mod request_id;
pub mod routes;
mod session;
pub mod steady;
mod token;
pub mod v2;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use wharf_auth::administration::Administration;
use wharf_auth::authority::Authority;
use wharf_auth::seal::Sealer;
use wharf_storage::clock::Clock;
use wharf_storage::metadata::Metadata;

use crate::audit::Audit;
use crate::events::{Endpoints, Feed, Origin};
use crate::metrics::Metrics;
use crate::registry::Registry;

/// What the handlers share. Every layer of every request has one, so it is one pointer.
#[derive(Clone, Debug)]
pub struct State(Arc<Doors>);

impl State {
    /// What the handlers of these doors share.
    #[must_use]
    pub fn new(doors: Doors) -> Self {
        Self(Arc::new(doors))
    }
}

impl std::ops::Deref for State {
    type Target = Doors;

    fn deref(&self) -> &Doors {
        &self.0
    }
}

/// The parts behind the doors.
#[derive(Debug)]
pub struct Doors {
    /// The registry behind the doors.
    pub registry: Arc<Registry>,
    /// Who decides what a caller may do.
    pub authority: Arc<Authority>,
    /// Who makes and removes principals, keys and policies.
    pub administration: Administration,
    /// The metadata, for what only administrators read.
    pub metadata: Metadata,
    /// Where what callers did is recorded.
    pub audit: Audit,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The log of what happened.
    pub feed: Arc<Feed>,
    /// Who makes and removes endpoints of events.
    pub endpoints: Endpoints,
    /// The registry that events tell of.
    pub origin: Arc<Origin>,
    /// The server's key, for addresses that it signs.
    pub sealer: Arc<Sealer>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server drains.
    pub stopping: CancellationToken,
    /// What of the doors can be chosen.
    pub settings: Arc<Settings>,
}

impl Doors {
    /// Whether what a proxy at this address says is believed.
    fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut networks = self.settings.trusted_proxies.iter();
        networks.any(|network| network.contains(&address))
    }
}

/// What of the doors can be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Parts of the names of clients that are not sent to the store for blobs.
    pub no_redirect_for: Vec<String>,
    /// How many bytes a manifest may have.
    pub manifest_limit: usize,
    /// How many entries a page of a list has at most.
    pub page_limit: u64,
    /// How many bytes of a body must arrive in a second.
    pub min_bytes_per_second: u64,
    /// Whether `/metrics` answers.
    pub metrics: bool,
    /// How callers reach the server, where that isn't told from their requests.
    pub external_url: Option<String>,
    /// The networks of proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What the ECR door says of itself.
    pub ecr: ecr::Settings,
}
