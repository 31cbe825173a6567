//! Wharf: a private OCI container registry.
//!
//! `ARCHITECTURE.md` says where to start reading.

pub mod app;
pub mod audit;
pub mod commands;
pub mod config;
pub mod events;
pub mod explanation;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod jobs;
pub mod lifecycle;
pub mod metrics;
pub mod outbound;
pub mod registry;
pub mod shutdown;
pub mod telemetry;
pub mod transfer;
