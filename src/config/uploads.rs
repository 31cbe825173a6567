//! `[uploads]`: uploads under way.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::Span;

/// Uploads under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uploads {
    /// After how long without a byte an upload is ended.
    pub expire_after: Span,
    /// How many uploads one caller may have open.
    pub open_per_principal: u64,
    /// How often forgotten uploads and needless bytes are looked for.
    pub sweep_every: Span,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            expire_after: Span::new(Duration::from_secs(24 * 60 * 60)),
            open_per_principal: 1000,
            sweep_every: Span::new(Duration::from_secs(10 * 60)),
        }
    }
}
