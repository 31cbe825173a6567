//! Media types, and the ones that the registry tells apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const LONGEST: usize = 255;

/// Why a text is no media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a media type reads type/subtype, in at most 255 letters, digits and !#$&-^_.+")]
pub struct MediaTypeError;

/// A media type without parameters, such as `application/vnd.oci.image.index.v1+json`.
///
/// Invariant: `type/subtype` of RFC 6838, so it is safe in a header. Parsing drops parameters
/// (`; charset=utf-8`), which clients add to types that define none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediaType(Box<str>);

impl MediaType {
    /// An OCI image manifest.
    pub const OCI_IMAGE: &'static str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI index of manifests.
    pub const OCI_INDEX: &'static str = "application/vnd.oci.image.index.v1+json";
    /// A Docker image manifest, schema 2.
    pub const DOCKER_IMAGE: &'static str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    pub const DOCKER_LIST: &'static str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The configurations of container images, OCI's and Docker's.
    pub const IMAGE_CONFIGS: [&'static str; 2] = [
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    ];

    /// Types of JSON documents in images that are no manifests.
    const NO_MANIFESTS: [&'static str; 6] = [
        Self::IMAGE_CONFIGS[0],
        Self::IMAGE_CONFIGS[1],
        "application/vnd.oci.descriptor.v1+json",
        "application/vnd.oci.empty.v1+json",
        "application/vnd.oci.layout.header.v1+json",
        // Docker's schema 1, which no client writes any more.
        "application/vnd.docker.distribution.manifest.v1+json",
    ];

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One of the constants above.
    ///
    /// # Panics
    ///
    /// When the text is no media type.
    #[must_use]
    pub fn known(text: &'static str) -> Self {
        text.parse().expect("a constant media type is well formed")
    }

    /// Whether it names a single image (or artifact) manifest.
    #[must_use]
    pub fn is_image(&self) -> bool {
        matches!(self.as_str(), Self::OCI_IMAGE | Self::DOCKER_IMAGE)
    }

    /// Whether it names a list of manifests.
    #[must_use]
    pub fn is_index(&self) -> bool {
        matches!(self.as_str(), Self::OCI_INDEX | Self::DOCKER_LIST)
    }

    /// Whether it tells no more than that there are bytes, or JSON, as clients send it that don't
    /// know better.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        let is = |text: &str| self.as_str().eq_ignore_ascii_case(text);
        is("application/json") || is("application/octet-stream")
    }

    /// Whether it could name a manifest, of a kind that need not be known here: a type of JSON or of
    /// some vendor's. What a browser would show as a page or run is none.
    #[must_use]
    pub fn may_be_manifest(&self) -> bool {
        let text = self.as_str().to_ascii_lowercase();
        let Some(subtype) = text.strip_prefix("application/") else {
            return false;
        };
        let is_json = subtype.ends_with("+json");
        let is_vendors = subtype.starts_with("vnd.") && !subtype.contains('+');
        (is_json || is_vendors) && !Self::NO_MANIFESTS.contains(&text.as_str())
    }

    /// Whether content of this type may lie outside the registry: layers that their owner does
    /// not allow to be copied, which an image names by URL.
    #[must_use]
    pub fn may_be_elsewhere(&self) -> bool {
        self.as_str().contains(".nondistributable.") || self.as_str().contains(".foreign.")
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let is_name = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
            !part.is_empty() && part.bytes().all(allowed)
        };
        match essence.split_once('/') {
            Some((kind, subtype))
                if essence.len() <= LONGEST && is_name(kind) && is_name(subtype) =>
            {
                Ok(Self(essence.into()))
            }
            _ => Err(MediaTypeError),
        }
    }
}

impl TryFrom<String> for MediaType {
    type Error = MediaTypeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MediaType> for String {
    fn from(media_type: MediaType) -> Self {
        media_type.0.into()
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_dropped() {
        let parsed: MediaType = "application/json ; charset=utf-8"
            .parse()
            .expect("well formed");
        assert_eq!(parsed.as_str(), "application/json");
    }

    #[test]
    fn types_of_manifests_need_not_be_known_and_pages_are_none() {
        let may = |text: &str| {
            let parsed: MediaType = text.parse().expect("well formed");
            parsed.may_be_manifest()
        };
        for text in [
            MediaType::OCI_IMAGE,
            MediaType::OCI_INDEX,
            MediaType::DOCKER_IMAGE,
            MediaType::DOCKER_LIST,
            "application/vnd.oci.artifact.manifest.v1+json",
            "application/vnd.cncf.oras.artifact.manifest.v1+json",
            "application/vnd.example.thing",
            "application/x.example+json",
        ] {
            assert!(may(text), "{text}");
        }
        for text in [
            "text/html",
            "text/plain",
            "image/svg+xml",
            "application/xhtml+xml",
            "application/vnd.example+xml",
            "application/pdf",
            "application/javascript",
            "application/x-www-form-urlencoded",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "application/vnd.docker.distribution.manifest.v1+json",
            "application/vnd.oci.image.config.v1+json",
        ] {
            assert!(!may(text), "{text}");
        }
    }

    #[test]
    fn texts_that_could_harm_a_header_are_refused() {
        for text in [
            "",
            "a",
            "/",
            "a/",
            "/b",
            "a/b\r\nX: y",
            "a/b c",
            "a/b/c",
            "a/\u{e4}",
        ] {
            assert_eq!(text.parse::<MediaType>(), Err(MediaTypeError), "{text:?}");
        }
    }
}
