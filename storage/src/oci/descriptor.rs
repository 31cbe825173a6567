//! Descriptors: what a manifest says about content that lies elsewhere.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/descriptor.md>

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::digest::Digest;
use super::media_type::MediaType;

/// The part of a descriptor that the registry reads and writes; what else stands in a manifest's
/// descriptors stays in the manifest's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: MediaType,
    /// The content's name.
    pub digest: Digest,
    /// The content's length in bytes.
    pub size: u64,
    /// What kind of artifact a manifest holds, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free texts, as the manifest that is described carries them.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique_annotations"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Reads a map of texts in which every key stands once: of two equal keys one reader would take
/// the first and another the last, and so they would see two manifests under one digest.
pub(super) fn unique_annotations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Unique;

    impl<'de> Visitor<'de> for Unique {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map from text to text")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut annotations = BTreeMap::new();
            while let Some((key, value)) = entries.next_entry::<String, String>()? {
                if annotations.contains_key(&key) {
                    return Err(A::Error::custom(format_args!(
                        "duplicate annotation {key:?}"
                    )));
                }
                annotations.insert(key, value);
            }
            Ok(annotations)
        }
    }

    deserializer.deserialize_any(Unique)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn empty_members_are_left_out() {
        let descriptor = Descriptor {
            media_type: MediaType::known(MediaType::OCI_IMAGE),
            digest: Digest::of(Algorithm::Sha256, b""),
            size: 7,
            artifact_type: None,
            annotations: BTreeMap::new(),
        };
        let text = serde_json::to_string(&descriptor).expect("descriptors serialize");
        assert_eq!(
            text,
            format!(
                r#"{{"mediaType":"{}","digest":"{}","size":7}}"#,
                descriptor.media_type, descriptor.digest
            )
        );
        assert_eq!(
            serde_json::from_str::<Descriptor>(&text).ok(),
            Some(descriptor)
        );
    }
}
