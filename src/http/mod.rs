//! The doors: HTTP in front of the registry.
//!
//! A handler parses what came into the domain's types, calls [`registry`](crate::registry), and
//! writes its answer; it decides nothing about images.
//!
//! | module | job |
//! |---|---|
//! | [`routes`] | every URL, on one page |
//! | [`repository_path`] | makes names with slashes one segment, for the router |
//! | [`access`] | gives a handler its repository, after asking whether the caller may |
//! | `extract` | references, digests and parameters out of a request |
//! | [`error`] | failures as the OCI error body |
//! | [`range`], [`pagination`] | parts of blobs, pages of lists |
//! | [`v2`] | the OCI distribution API |
//! | `health`, `exposition` | what operators ask |
//! | [`listener`] | connections and their limits |
//! | [`request_id`], `observe` | the name, the log line and the measures of a request |
//! | [`steady`] | bodies that must keep coming |

pub mod access;
pub mod error;
mod exposition;
mod extract;
mod health;
pub mod listener;
mod observe;
pub mod pagination;
pub mod range;
pub mod repository_path;
pub mod request_id;
pub mod routes;
pub mod steady;
pub mod v2;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wharf_auth::authorizer::Authorizer;

use crate::metrics::Metrics;
use crate::registry::Registry;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct State {
    /// The registry behind the doors.
    pub registry: Arc<Registry>,
    /// Who decides what a caller may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server drains.
    pub stopping: CancellationToken,
    /// What of the doors can be chosen.
    pub settings: Settings,
}

/// What of the doors can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many bytes a manifest may have.
    pub manifest_limit: usize,
    /// How many entries a page of a list has at most.
    pub page_limit: u64,
    /// How many bytes of a body must arrive in a second.
    pub min_bytes_per_second: u64,
    /// Whether `/metrics` answers.
    pub metrics: bool,
}
