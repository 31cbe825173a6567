//! `[storage]`: where the data lies.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the data lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// The folder that holds the database, the blobs and the uploads.
    pub data: PathBuf,
    /// Whether copies of manifests and tags are kept beside the bytes, to make a lost database anew.
    pub records: bool,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            records: true,
        }
    }
}
