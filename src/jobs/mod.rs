//! Work that no request waits for.
//!
//! | module | job |
//! |---|---|
//! | `sweep` | ends forgotten uploads and removes needless bytes, again and again |
//!
//! Each job is a task with a name, and ends when the server drains.

pub mod sweep;
