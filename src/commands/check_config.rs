//! `wharf check-config`: what is wrong with a configuration, or what it comes to.

use wharf_auth::seal::Sealer;

use super::environment::variables;
use super::error::Error;
use crate::app;
use crate::config::{Config, Flags};
use crate::http::listener::tls::Tls;

/// Reads the configuration as `serve` does, with the files of keys and certificates that it names,
/// and prints it as TOML. The first line, `# ok`, is a
/// comment there, so that the output is a file that `serve` takes.
pub(super) fn run(flags: &Flags) -> Result<(), Error> {
    let config = Config::load(flags, variables())?;
    if config.tls.is_on() {
        Tls::load(&config.tls).map_err(app::Error::Tls)?;
    }
    if config.secret_key_path().exists() {
        Sealer::load(&config.secret_key_path()).map_err(app::Error::Key)?;
    }
    print!("# ok\n\n{}", toml::to_string(&config)?);
    Ok(())
}
