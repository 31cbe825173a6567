//! `index.json`: what a layout has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wharf_storage::oci::{Digest, MediaType, Reference, Tag};

/// The file that says that a folder is a layout.
pub(super) const MARKER: &str = "oci-layout";
/// The file that lists what it has.
pub(super) const INDEX: &str = "index.json";
/// What stands in the marker.
pub(super) const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The annotation with the tag.
const TAG: &str = "org.opencontainers.image.ref.name";
/// The annotation with the full name.
const NAME: &str = "io.containerd.image.name";

/// What a layout has. Members that are not known here stay as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    schema_version: u64,
    #[serde(default = "index_type")]
    media_type: MediaType,
    #[serde(default)]
    pub(crate) manifests: Vec<Entry>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// One image, index or artifact.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(super) media_type: MediaType,
    pub(super) digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn index_type() -> MediaType {
    MediaType::known(MediaType::OCI_INDEX)
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: index_type(),
            manifests: Vec::new(),
            rest: Map::new(),
        }
    }
}

impl Entry {
    pub(super) fn new(
        media_type: MediaType,
        digest: Digest,
        size: u64,
        tag: Option<&Tag>,
        name: Option<String>,
    ) -> Self {
        let tag = tag.map(|tag| (TAG.to_owned(), tag.to_string()));
        let name = name.map(|name| (NAME.to_owned(), name));
        Self {
            media_type,
            digest,
            size,
            annotations: tag.into_iter().chain(name).collect(),
            rest: Map::new(),
        }
    }

    /// Its tag. Some write the full name there.
    pub(crate) fn tag(&self) -> Option<Tag> {
        let text = self.annotations.get(TAG)?;
        let last = text
            .rsplit_once(':')
            .map_or(text.as_str(), |(_, last)| last);
        text.parse().or_else(|_| last.parse()).ok()
    }

    /// Its full name, `HOST/REPOSITORY:TAG`.
    pub(crate) fn name(&self) -> Option<&str> {
        self.annotations.get(NAME).map(String::as_str)
    }

    /// Whether it was put there for itself, and not for what it refers to.
    pub(crate) fn is_named(&self) -> bool {
        self.annotations.contains_key(TAG) || self.annotations.contains_key(NAME)
    }
}

impl Index {
    /// The entry that a reference means.
    pub(super) fn find(&self, reference: &Reference) -> Option<&Entry> {
        self.manifests.iter().find(|entry| match reference {
            Reference::Tag(tag) => entry.tag().as_ref() == Some(tag),
            Reference::Digest(digest) => entry.digest == *digest,
        })
    }

    /// Adds an entry, in the place of the one that had its name.
    pub(crate) fn put(&mut self, entry: Entry) {
        let names_same = |other: &Entry| match entry.is_named() {
            true => other.name() == entry.name() && other.tag() == entry.tag() && other.is_named(),
            false => !other.is_named() && other.digest == entry.digest,
        };
        self.manifests.retain(|other| !names_same(other));
        self.manifests.push(entry);
    }

    pub(crate) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index has a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use wharf_storage::oci::Algorithm;

    use super::*;

    fn entry(content: &str, tag: Option<&str>, name: Option<&str>) -> Entry {
        let tag: Option<Tag> = tag.map(|tag| tag.parse().expect("a tag"));
        Entry::new(
            MediaType::known(MediaType::OCI_IMAGE),
            Digest::of(Algorithm::Sha256, content.as_bytes()),
            1,
            tag.as_ref(),
            name.map(ToOwned::to_owned),
        )
    }

    #[test]
    fn an_entry_takes_the_place_of_the_one_with_its_name() {
        let mut index = Index::default();
        index.put(entry("a", Some("v1"), Some("h/a:v1")));
        index.put(entry("b", Some("v1"), Some("h/b:v1")));
        index.put(entry("r", None, None));
        index.put(entry("r", None, None));
        index.put(entry("c", Some("v1"), Some("h/a:v1")));
        let names: Vec<_> = index.manifests.iter().map(Entry::name).collect();
        assert_eq!(names, [Some("h/b:v1"), None, Some("h/a:v1")]);
    }

    #[test]
    fn what_others_wrote_stays() {
        let text = r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":3,"annotations":{"org.opencontainers.image.ref.name":"h.example/app:v2"},"platform":{"os":"linux"}}],"x":1}"#;
        let index: Index = serde_json::from_str(text).expect("an index");
        assert_eq!(index.manifests[0].tag().expect("a tag").as_str(), "v2");
        let written: Value = serde_json::from_slice(&index.text()).expect("JSON");
        assert_eq!(written["x"], 1);
        assert_eq!(written["manifests"][0]["platform"]["os"], "linux");
    }
}
