//! `[scrub]`: reading all bytes again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::{Size, Span};

/// Reading all bytes again, to find those that have changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scrub {
    /// How often; 0: never.
    pub run_every: Span,
    /// How fast, at most; 0: as fast as can be.
    pub bytes_per_second: Size,
}

impl Default for Scrub {
    fn default() -> Self {
        Self {
            run_every: Span::new(Duration::from_secs(30 * 86_400)),
            bytes_per_second: Size::new(32 << 20),
        }
    }
}
