//! The OCI distribution API.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>
//!
//! One file for each family of endpoints. `Location` is always relative, so that no proxy's scheme
//! or host gets into it.

pub(super) mod blobs;
pub(super) mod catalog;
pub(super) mod manifests;
pub(super) mod referrers;
pub(super) mod tags;
pub(super) mod uploads;
pub(super) mod version;

use std::fmt::Display;

use http::{HeaderName, HeaderValue};

/// The digest of what was asked for or taken.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
pub(super) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// A checked text of the domain, none of which holds a character that a header refuses.
fn header_value(text: impl Display) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).expect("names, tags and digests are plain ASCII")
}
