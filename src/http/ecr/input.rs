//! Members of an input as parsed types. The model's table has looked at their form already.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use wharf_storage::oci::{Digest, RepositoryName, Tag};

use super::error::Error;

/// An input.
#[derive(Debug)]
pub(super) struct Input(Value);

/// How an image is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageId {
    pub(super) digest: Option<String>,
    pub(super) tag: Option<String>,
}

impl Input {
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    /// A member as it is; null where it isn't there.
    pub(super) fn value(&self, name: &str) -> &Value {
        &self.0[name]
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    /// A text that the model requires.
    pub(super) fn required(&self, name: &str) -> Result<&str, Error> {
        self.text(name)
            .ok_or_else(|| malformed(name, "must not be null"))
    }

    /// The tags and digests that it names, for the audit log.
    pub(super) fn images(&self) -> String {
        let members = ["imageTag", "imageDigest", "layerDigest"];
        let single = members.iter().filter_map(|name| self.text(name));
        let listed = self.0["imageIds"].as_array().into_iter().flatten();
        let listed = listed.flat_map(|image| members.map(|name| image[name].as_str()));
        let layers = self.texts("layerDigests").into_iter();
        let names: Vec<&str> = single.chain(listed.flatten()).chain(layers).collect();
        names.join(" ")
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.0[name].as_i64()
    }

    pub(super) fn truth(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap_or(false)
    }

    pub(super) fn texts(&self, name: &str) -> Vec<&str> {
        let values = self.0[name].as_array().into_iter().flatten();
        values.filter_map(Value::as_str).collect()
    }

    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        let text = self.required(name)?;
        BASE64_STANDARD
            .decode(text)
            .map_err(|_| malformed(name, "must be base64"))
    }

    pub(super) fn repository(&self) -> Result<RepositoryName, Error> {
        let text = self.required("repositoryName")?;
        text.parse()
            .map_err(|error: wharf_storage::oci::NameError| {
                malformed("repositoryName", &error.to_string())
            })
    }

    pub(super) fn repositories(&self) -> Result<Vec<RepositoryName>, Error> {
        let names = self.texts("repositoryNames").into_iter();
        names
            .map(|text| {
                text.parse()
                    .map_err(|error: wharf_storage::oci::NameError| {
                        malformed("repositoryNames", &error.to_string())
                    })
            })
            .collect()
    }

    pub(super) fn digest(&self, name: &str) -> Result<Digest, Error> {
        let text = self.required(name)?;
        text.parse().map_err(|_| malformed(name, "Invalid digest"))
    }

    pub(super) fn image_ids(&self) -> Vec<ImageId> {
        let ids = self.0["imageIds"].as_array().into_iter().flatten();
        ids.map(ImageId::of).collect()
    }

    pub(super) fn image_id(&self) -> ImageId {
        ImageId::of(&self.0["imageId"])
    }
}

impl ImageId {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().map(ToOwned::to_owned);
        Self {
            digest: text("imageDigest"),
            tag: text("imageTag"),
        }
    }

    pub(super) fn tag(&self) -> Option<Tag> {
        self.tag.as_deref()?.parse().ok()
    }

    pub(super) fn json(&self) -> Value {
        let mut value = serde_json::json!({});
        if let Some(digest) = &self.digest {
            value["imageDigest"] = digest.as_str().into();
        }
        if let Some(tag) = &self.tag {
            value["imageTag"] = tag.as_str().into();
        }
        value
    }
}

pub(super) fn malformed(name: &str, constraint: &str) -> Error {
    Error::invalid(format!(
        "Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'"
    ))
}
