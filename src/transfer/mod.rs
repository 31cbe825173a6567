//! Images on their way between this registry and other places, and taking over what another registry
//! left on the disk.
//!
//! | module | job |
//! |---|---|
//! | [`place`](Place) | places, as the command line names them |
//! | `ends` | what a place to copy from and one to copy to can do |
//! | [`copy`](Copier) | copying an image with all that belongs to it |
//! | `verify` | hashing what passes |
//! | [`own`](Own) | this registry's store as a place, also beside a running server |
//! | [`layout`] | OCI image layouts, as folders and tar files |
//! | [`remote`] | other registries |
//! | [`adopt`] | docker-registry's folder, taken over in place |
//! | [`tally`](Tally) | how far it got |
//!
//! Nothing here prints or knows the configuration.

pub mod adopt;
mod copy;
mod ends;
mod error;
pub mod layout;
mod own;
mod place;
pub mod remote;
mod tally;
mod verify;

pub use copy::{Copier, Referrers};
pub use ends::{BlobStream, Fetched, Source, Target, Verified};
pub use error::Error;
pub use own::Own;
pub use place::{Files, Place, PlaceError};
pub use tally::Tally;

/// How long a manifest may be.
const MANIFEST_LIMIT: usize = 16 << 20;
