//! Manifests: the documents that tie blobs and other manifests together.
//!
//! A manifest is kept as the bytes that were pushed; this module reads from them what the registry
//! needs, and refuses what two readers could understand differently.
//!
//! - <https://github.com/opencontainers/image-spec/blob/main/manifest.md>
//! - <https://github.com/opencontainers/image-spec/blob/main/image-index.md>

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::descriptor::{Descriptor, unique_annotations};
use super::digest::{Algorithm, Digest};
use super::media_type::MediaType;
use super::sound;

/// Why bytes are no manifest that the registry takes.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// They are not JSON of a manifest's shape.
    #[error("not a manifest: {0}")]
    Json(#[source] serde_json::Error),
    /// The schema version is not 2.
    #[error("schema version {0} is not supported, 2 is")]
    SchemaVersion(u64),
    /// The document says one type and the request another.
    #[error("mediaType {document} differs from the content type {header}")]
    TypesDiffer {
        /// What stands in the document.
        document: MediaType,
        /// What stood in the request.
        header: MediaType,
    },
    /// Neither the request, nor the document, nor its shape tells the type.
    #[error("the manifest's media type is missing, and its members do not tell it")]
    TypeUnknown,
    /// The type is of something else.
    #[error("{0} is not the media type of a manifest")]
    OtherType(MediaType),
    /// It could be read as an image and as an index.
    #[error("a manifest has either manifests, or a config and layers, and not both")]
    Ambiguous,
    /// It has layers in the way of before 2017.
    #[error("fsLayers is a member of the first schema, which is not supported")]
    FirstSchema,
    /// An image without a config.
    #[error("an image manifest has a config")]
    ConfigMissing,
    /// An index without a list.
    #[error("an index has a list of manifests")]
    ManifestsMissing,
    /// The artifact's type is too long, or has signs that no type has.
    #[error("artifactType is a media type, of at most {LONGEST_ARTIFACT_TYPE} letters")]
    ArtifactType,
}

/// RFC 6838 allows 127 letters on each side of the slash. Referrers are looked up by this type, so
/// it stands in an index, which takes no longer ones on every database.
const LONGEST_ARTIFACT_TYPE: usize = 255;

/// What a manifest refers to a piece of content as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentKind {
    /// A blob in the same repository: a config or a layer.
    Blob,
    /// A blob that may lie outside the registry, a "foreign" layer.
    ForeignBlob,
    /// A manifest in the same repository, listed by an index.
    Manifest,
    /// Content listed by an index whose type is no manifest's: `BuildKit` lists its cache's blobs so.
    Either,
}

impl ContentKind {
    /// The word that stands for it in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::ForeignBlob => "foreign",
            Self::Manifest => "manifest",
            Self::Either => "either",
        }
    }
}

/// A piece of content that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentReference {
    /// What it is named as.
    pub kind: ContentKind,
    /// Its digest.
    pub digest: Digest,
}

/// A manifest that has been read.
#[derive(Clone, Debug)]
pub struct Manifest {
    bytes: Bytes,
    media_type: MediaType,
    artifact_type: Option<String>,
    subject: Option<Digest>,
    annotations: BTreeMap<String, String>,
    references: Vec<ContentReference>,
}

/// The members that the registry reads. Each stands once, as [`members`] has seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<MediaType>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<IgnoredAny>,
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "unique_annotations")]
    annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a manifest's bytes, which came with this `content_type`.
    ///
    /// # Errors
    ///
    /// When the bytes are no manifest, or one that could be read in two ways.
    pub fn parse(bytes: Bytes, content_type: Option<&MediaType>) -> Result<Self, ManifestError> {
        let document: Document = serde_json::from_slice(&bytes).map_err(ManifestError::Json)?;
        sound::check(&bytes).map_err(ManifestError::Json)?;
        let media_type = document.resolve_type(content_type)?;
        document.check_shape(&media_type)?;
        let is_wrong = |text: &String| {
            text.len() > LONGEST_ARTIFACT_TYPE || text.chars().any(char::is_control)
        };
        if document.artifact_type.as_ref().is_some_and(is_wrong) {
            return Err(ManifestError::ArtifactType);
        }

        // An artifact's type falls back to its config's, and only for images: the specification
        // has indexes say it themselves.
        let artifact_type = document
            .artifact_type
            .filter(|text| !text.is_empty())
            .or_else(|| {
                let config = document.config.as_ref().filter(|_| media_type.is_image())?;
                Some(config.media_type.to_string())
            });
        let blob = |descriptor: Descriptor| ContentReference {
            kind: if descriptor.media_type.may_be_elsewhere() {
                ContentKind::ForeignBlob
            } else {
                ContentKind::Blob
            },
            digest: descriptor.digest,
        };
        let child = |descriptor: Descriptor| ContentReference {
            kind: if descriptor.media_type.is_image() || descriptor.media_type.is_index() {
                ContentKind::Manifest
            } else {
                ContentKind::Either
            },
            digest: descriptor.digest,
        };
        let blobs = document
            .config
            .into_iter()
            .chain(document.layers.into_iter().flatten());
        let blobs = blobs.chain(document.blobs.into_iter().flatten());
        let children = document.manifests.into_iter().flatten();
        let references = blobs.map(blob).chain(children.map(child)).collect();

        Ok(Self {
            bytes,
            media_type,
            artifact_type,
            subject: document.subject.map(|subject| subject.digest),
            annotations: document.annotations,
            references,
        })
    }

    /// The bytes as they were pushed.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The digest of the bytes.
    #[must_use]
    pub fn digest(&self, algorithm: Algorithm) -> Digest {
        Digest::of(algorithm, &self.bytes)
    }

    /// The type it was pushed as, or says that it is.
    #[must_use]
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// What kind of artifact it is: `artifactType`, else for an image its config's type.
    #[must_use]
    pub fn artifact_type(&self) -> Option<&str> {
        self.artifact_type.as_deref()
    }

    /// Whether it is something else than a container image or a list of them.
    #[must_use]
    pub fn is_artifact(&self) -> bool {
        let kind = self.artifact_type();
        kind.is_some_and(|kind| !MediaType::IMAGE_CONFIGS.contains(&kind))
    }

    /// The manifest that this one refers to as its subject.
    #[must_use]
    pub fn subject(&self) -> Option<&Digest> {
        self.subject.as_ref()
    }

    /// Its own annotations.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// The content that it names, in its order; one digest may stand several times.
    #[must_use]
    pub fn references(&self) -> &[ContentReference] {
        &self.references
    }
}

impl Document {
    fn resolve_type(&self, header: Option<&MediaType>) -> Result<MediaType, ManifestError> {
        let header = header.filter(|header| !header.is_generic());
        let media_type = self.told_type(header)?;
        match media_type.may_be_manifest() {
            true => Ok(media_type),
            false => Err(ManifestError::OtherType(media_type)),
        }
    }

    fn told_type(&self, header: Option<&MediaType>) -> Result<MediaType, ManifestError> {
        match (&self.media_type, header) {
            (Some(document), Some(header)) if document != header => {
                Err(ManifestError::TypesDiffer {
                    document: document.clone(),
                    header: header.clone(),
                })
            }
            (Some(media_type), _) => Ok(media_type.clone()),
            (None, Some(media_type)) => Ok(media_type.clone()),
            (None, None) if self.manifests.is_some() => Ok(MediaType::known(MediaType::OCI_INDEX)),
            (None, None) if self.config.is_some() || self.layers.is_some() => {
                Ok(MediaType::known(MediaType::OCI_IMAGE))
            }
            (None, None) => Err(ManifestError::TypeUnknown),
        }
    }

    fn check_shape(&self, media_type: &MediaType) -> Result<(), ManifestError> {
        let is_known = media_type.is_image() || media_type.is_index();
        match self.schema_version {
            Some(2) => {}
            None if !is_known => {}
            version => return Err(ManifestError::SchemaVersion(version.unwrap_or(0))),
        }
        // What reads as an image to one client and as an index to another is a way to run
        // something else than what was checked (CVE-2021-41190).
        let reads_as_image = self.config.is_some() || self.layers.is_some();
        if self.manifests.is_some() && (reads_as_image || self.blobs.is_some()) {
            return Err(ManifestError::Ambiguous);
        }
        if self.fs_layers.is_some() {
            return Err(ManifestError::FirstSchema);
        }
        if media_type.is_image() && self.config.is_none() {
            return Err(ManifestError::ConfigMissing);
        }
        if media_type.is_index() && self.manifests.is_none() {
            return Err(ManifestError::ManifestsMissing);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
