//! What Wharf keeps: the OCI vocabulary, the bytes of blobs, uploads under way, and the metadata.
//!
//! | module | job |
//! |---|---|
//! | [`oci`] | the words of the specifications as parsed types; no I/O |
//! | [`blob`] | immutable bytes that lie at a location |
//! | [`upload`] | bytes that are still arriving, and their running hash |
//! | [`disk`] | both of them on a local disk |
//! | [`s3`] | both of them in a bucket that servers share |
//! | [`metadata`] | who has what: repositories, manifests, tags, links, in SQL |
//! | [`record`] | copies of what the metadata says, beside the bytes |
//! | `fuzzing` | the parsers, for tests that take random bytes to them |
//! | [`pattern`] | texts with `*` and `?` |
//! | [`clock`] | the time, handed in so that it can be chosen in a test |
//!
//! Nothing here knows users or configuration, and HTTP only `s3`, as a client. The rule that ties the parts together: bytes
//! are durable before the metadata names them, and the metadata stops naming them before they go.

pub mod blob;
pub mod clock;
pub mod disk;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod metadata;
pub mod oci;
pub mod pattern;
pub mod record;
pub mod s3;
pub mod upload;
