//! `[gc]`: the trash, and the collection of what nothing needs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::Span;

/// The trash, and the collection of what nothing needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gc {
    /// How long what was deleted can be restored.
    pub keep_deleted: Span,
    /// How long a blob stays that no manifest names: at least as long as the longest push takes.
    pub grace: Span,
    /// How long the bytes stay after that, as for downloads under way.
    pub keep_condemned: Span,
    /// How often it is looked for; 0: only `wharf gc run` collects.
    pub run_every: Span,
}

impl Default for Gc {
    fn default() -> Self {
        Self {
            keep_deleted: Span::new(Duration::from_secs(7 * 86_400)),
            grace: Span::new(Duration::from_secs(86_400)),
            keep_condemned: Span::new(Duration::from_secs(86_400)),
            run_every: Span::new(Duration::from_secs(3600)),
        }
    }
}
