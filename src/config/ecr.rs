//! `[ecr]`: what the ECR API says of itself.

use serde::{Deserialize, Serialize};

/// What the ECR API says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ecr {
    /// The account that everything belongs to, twelve digits.
    pub account_id: String,
    /// The region of callers that don't say one.
    pub region: String,
    /// The host that images are named by and `docker login` goes to, with `{account}` and
    /// `{region}`, such as `{account}.dkr.ecr.{region}.example.com`; empty: as the caller reaches
    /// the server.
    pub host: String,
}

impl Default for Ecr {
    fn default() -> Self {
        Self {
            account_id: "000000000000".into(),
            region: "us-east-1".into(),
            host: String::new(),
        }
    }
}
