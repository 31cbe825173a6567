//! `[lifecycle]`: policies that remove images.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::Span;

/// Policies that remove images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lifecycle {
    /// How often all policies are run.
    pub run_every: Span,
    /// The policy of new repositories, JSON; empty: none.
    pub default_policy: String,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            run_every: Span::new(Duration::from_secs(3600)),
            default_policy: String::new(),
        }
    }
}
