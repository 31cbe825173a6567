//! Wharf: a private OCI container registry.
//!
//! `ARCHITECTURE.md` says where to start reading.

pub mod app;
pub mod commands;
pub mod config;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod registry;
pub mod shutdown;
pub mod telemetry;
