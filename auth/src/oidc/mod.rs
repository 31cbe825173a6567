//! Workload identity: whose tokens of other issuers are taken, and as whom.
//!
//! A job of GitHub Actions, GitLab or Kubernetes has a token that its platform signed. A trust says
//! which issuer is believed, for which audience, and what the token has to claim; who meets it is
//! `federated/TRUST`, and gets what the policies give to that.
//!
//! | module | job |
//! |---|---|
//! | `trust` | the rule |
//! | `issuers` | the public keys of issuers, fetched and kept for a while |
//! | `verify` | whether to believe a token |

mod issuers;
mod trust;
mod verify;

pub use issuers::{FetchError, Fetcher, Issuers};
pub use trust::{Trust, TrustError};
pub use verify::{Federated, FederationError, identify};
