//! `wharf check-config`: what is wrong with a configuration, or what it comes to.

use super::environment::variables;
use super::error::Error;
use crate::config::{Config, Flags};

/// Reads the configuration as `serve` does, and prints it as TOML. The first line, `# ok`, is a
/// comment there, so that the output is a file that `serve` takes.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    let config = Config::load(flags, variables())?;
    print!("# ok\n\n{}", toml::to_string(&config)?);
    Ok(())
}
