//! Another registry, asked over its public API.
//!
//! A password goes to the registry that was named, and to nobody else. A registry names the place
//! that gives tokens; one on another host is only asked where that was allowed. Redirects of downloads
//! are followed without any credential, and the digest says whether what came is right.
//!
//! | module | job |
//! |---|---|
//! | `client` | requests, answers, redirects |
//! | `challenge` | what a registry says that it wants, and whether that may be done |
//! | `credentials` | where passwords come from |
//! | `login` | tokens, fetched and kept |
//! | `download` | blobs, going on behind a break |
//! | `upload` | blobs, sent |
//! | `repository` | a repository as a source and a target |

mod challenge;
mod client;
mod credentials;
mod download;
mod login;
mod repository;
mod upload;

#[cfg(any(test, fuzzing))]
pub(crate) use challenge::Challenge;
#[cfg(any(test, fuzzing))]
pub(crate) use client::next_of;
pub use client::{Remote, Transport};
pub use credentials::{Credentials, CredentialsError};
pub use repository::RemoteRepository;
