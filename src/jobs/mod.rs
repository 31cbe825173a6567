//! Work that no request waits for.
//!
//! | module | job |
//! |---|---|
//! | `sweep` | ends forgotten uploads and removes needless bytes, again and again |
//! | `collection` | collects what nothing needs |
//! | `lifecycle` | runs lifecycle policies, writes when images were pulled |
//! | `scrub` | reads all bytes again, to find those that have changed |
//! | `records` | writes copies of manifests and tags beside the bytes |
//! | `refresh` | sees what has changed about who may do what |
//!
//! Each job is a task with a name, and ends when the server drains.

pub mod collection;
pub mod lifecycle;
pub mod records;
pub mod refresh;
pub mod scrub;
pub mod sweep;
