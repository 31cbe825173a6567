//! The log: one line an event, as text or JSON, on the standard error.
//!
//! What comes from a client is logged with `?`, whose form escapes line breaks and control
//! characters, so that no name or user agent can forge a line.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Log, LogFormat};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level isn't understood.
    #[error("log.level is not understood")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// There is one already.
    #[error("failed to start the log")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts the log of this process.
///
/// # Errors
///
/// When the level isn't understood, or a log was started before.
pub fn start(config: &Log) -> Result<(), Error> {
    let builder = fmt()
        .with_env_filter(config.level.parse::<EnvFilter>()?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(Error::Start)
}
