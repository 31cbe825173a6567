//! `[events]`: the log of what happened, and its deliveries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::{Size, Span};

/// The log of what happened, and its deliveries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// How long events are kept; longer where an endpoint still waits for them.
    pub keep: Span,
    /// How large each stream may get; the oldest events go first, whoever waits for them.
    pub keep_size: Size,
    /// How old an event gets before it is given up for an endpoint that is down.
    pub give_up_after: Span,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            keep: Span::new(Duration::from_secs(7 * 86_400)),
            keep_size: Size::new(1 << 30),
            give_up_after: Span::new(Duration::from_secs(3 * 86_400)),
        }
    }
}
