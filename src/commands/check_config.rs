//! `wharf check-config`: what is wrong with a configuration, or what it comes to.

use super::Failure;
use crate::config::{Config, Flags};

/// Reads the configuration as `serve` does, and prints it as TOML.
pub(super) fn run(flags: &Flags) -> Result<(), Failure> {
    let config = Config::load(flags, std::env::vars())?;
    print!("{}", toml::to_string(&config)?);
    Ok(())
}
