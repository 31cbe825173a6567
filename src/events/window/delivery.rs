//! A delivery: what shall be made, and what may come of it.

use std::sync::Arc;

use wharf_storage::metadata::Event;

/// A delivery that shall be made.
#[derive(Clone, Debug)]
pub struct Next {
    /// What.
    pub event: Arc<Event>,
    /// Which attempt it is, from 1.
    pub attempt: u64,
    /// Where it comes from.
    pub source: Source,
}

/// Where a delivery comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The log, in its order.
    Log,
    /// The dead letters.
    Letters,
}

/// Why a delivery was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The endpoint can't take it now.
    Unavailable,
    /// The endpoint doesn't want this event.
    Refused,
}

/// An event that was given up.
#[derive(Clone, Debug)]
pub struct Dead {
    /// What.
    pub event: Arc<Event>,
    /// How often it was tried.
    pub attempts: u64,
}
