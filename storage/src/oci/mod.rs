//! The vocabulary of the OCI specifications, as types that are parsed once at the edge.
//!
//! A value of these types has been checked: code that holds a [`Digest`], a [`RepositoryName`] or
//! a [`Tag`] never looks at its grammar again. Each type has exactly one validator, its `FromStr`,
//! and serde goes through it.

mod descriptor;
mod digest;
mod manifest;
mod media_type;
mod name;
mod reference;
mod sound;
mod tag;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, DigestError};
pub use manifest::{ContentKind, ContentReference, Manifest, ManifestError};
pub use media_type::{MediaType, MediaTypeError};
pub use name::{NameError, RepositoryName};
pub use reference::{Reference, ReferenceError};
pub use tag::{Tag, TagError};
