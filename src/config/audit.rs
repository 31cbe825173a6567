//! `[audit]`: the log of who did what.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::Span;

/// The log of who did what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Whether what only reads is recorded too.
    pub reads: bool,
    /// How long a record is kept.
    pub keep: Span,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            reads: false,
            keep: Span::new(Duration::from_secs(90 * 86_400)),
        }
    }
}
