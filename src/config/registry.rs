//! `[registry]`: what a push may do.

use serde::{Deserialize, Serialize};
use wharf_storage::metadata;

use super::units::Size;

/// What a push may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Whether a repository appears at the first push to it.
    pub create_on_push: bool,
    /// How many bytes a manifest may have.
    pub manifest_limit: Size,
    /// Whether a manifest may name content that its repository doesn't have.
    pub missing_content: MissingContent,
    /// How many entries a page of tags, repositories or referrers has at most.
    pub page_limit: u64,
}

/// Whether a manifest may name content that its repository doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingContent {
    /// It may: sparse images and indexes are legal.
    Accept,
    /// It is refused with `MANIFEST_BLOB_UNKNOWN`.
    Reject,
}

impl From<MissingContent> for metadata::MissingContent {
    fn from(choice: MissingContent) -> Self {
        match choice {
            MissingContent::Accept => Self::Accepted,
            MissingContent::Reject => Self::Refused,
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            create_on_push: true,
            manifest_limit: Size::new(8 << 20),
            missing_content: MissingContent::Accept,
            page_limit: 1000,
        }
    }
}
