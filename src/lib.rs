//! Wharf: a private OCI container registry.
//!
//! `ARCHITECTURE.md` says where to start reading.

pub mod http;
pub mod jobs;
pub mod registry;
