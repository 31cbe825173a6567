//! What can be chosen: a TOML file, the variables `WHARF_RUNNER__SECTION__KEY`, and flags; later ones
//! win. A key that nobody knows is refused.
//!
//! | module | job |
//! |---|---|
//! | `sections` | every key with its default |
//! | `check` | what makes no sense as a whole |
//! | `span` | durations as texts |

mod check;
mod sections;
mod span;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize as _;
use toml::{Table, Value};

pub use sections::{Aws, Batch, Config, Ecs, Engine, Lambda, Log, Registry, Server};
pub use span::Span;

/// What the variables begin with that set a key.
const PREFIX: &str = "WHARF_RUNNER__";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{} is not TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A variable doesn't name a section and a key.
    #[error("the variable {0} does not read WHARF_RUNNER__SECTION__KEY")]
    Variable(String),
    /// A key or a value isn't understood.
    #[error("{0}")]
    Key(String),
    /// The parts are right, but not the whole.
    #[error("{0}")]
    Whole(String),
}

/// What the command line says of the configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// The configuration file, TOML
    #[arg(long, value_name = "FILE", env = "WHARF_RUNNER_CONFIG")]
    pub config: Option<PathBuf>,
    /// The address to listen on; with port 0 a free one is taken and printed
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// The folder that holds the state
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The registry's base address
    #[arg(long, value_name = "URL")]
    pub registry: Option<String>,
}

impl Config {
    /// Reads the configuration from its sources, and checks it.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or something isn't understood or makes no sense.
    pub fn load(
        flags: &Flags,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut table = match &flags.config {
            Some(path) => read(path)?,
            None => Table::new(),
        };
        merge(&mut table, variables)?;
        let mut config =
            Self::deserialize(table).map_err(|error| Error::Key(error.message().to_owned()))?;
        if let Some(listen) = flags.listen {
            config.server.listen = listen;
        }
        if let Some(data) = &flags.data {
            config.server.data.clone_from(data);
        }
        if let Some(url) = &flags.registry {
            config.registry.url.clone_from(url);
        }
        check::check(&config)?;
        Ok(config)
    }

    /// The configuration that a file of this text stands for.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let table: Table = text.parse().map_err(|error| format!("{error}"))?;
        let config = Self::deserialize(table).map_err(|error| error.message().to_owned())?;
        check::check(&config).map_err(|error| error.to_string())?;
        Ok(config)
    }

    /// As TOML, without what nobody else may know.
    #[must_use]
    pub fn without_secrets(&self) -> String {
        let mut shown = self.clone();
        let secrets = [
            &mut shown.registry.secret_access_key,
            &mut shown.registry.password,
            &mut shown.aws.secret_access_key,
        ];
        for secret in secrets {
            if !secret.is_empty() {
                "(hidden)".clone_into(secret);
            }
        }
        toml::to_string(&shown).expect("a configuration has a TOML form")
    }
}

fn read(path: &std::path::Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    text.parse().map_err(|source| Error::Syntax {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn merge(
    table: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), Error> {
    let defaults = Table::try_from(Config::default()).expect("a configuration has a TOML form");
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = path.to_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            return Err(Error::Variable(name));
        };
        let default = defaults.get(section).and_then(|section| section.get(key));
        let value = match default {
            None | Some(Value::String(_)) => None,
            Some(default) => {
                let value: Option<Value> = text.trim().parse().ok();
                value.filter(|value| value.same_type(default))
            }
        };
        let section = table.entry(section).or_insert(Value::Table(Table::new()));
        if let Value::Table(section) = section {
            section.insert(key.to_owned(), value.unwrap_or(Value::String(text)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Config, Error> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::load(&Flags::default(), variables.iter().map(pair))
    }

    #[test]
    fn variables_win_over_defaults_in_their_types() {
        let config = load(&[
            ("WHARF_RUNNER__LAMBDA__CONCURRENCY", "7"),
            ("WHARF_RUNNER__REGISTRY__DEBOUNCE", "40ms"),
            ("UNRELATED", "x"),
        ]);
        let config = config.expect("it is understood");
        assert_eq!(config.lambda.concurrency, 7);
        assert_eq!(config.registry.debounce.duration().as_millis(), 40);
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        for name in [
            "WHARF_RUNNER__LAMBDA__COLOUR",
            "WHARF_RUNNER__LAMDBA__CONCURRENCY",
            "WHARF_RUNNER__X",
        ] {
            assert!(load(&[(name, "1")]).is_err(), "{name}");
        }
    }

    #[test]
    fn nobody_else_may_reach_a_runner_without_a_key() {
        let open = ("WHARF_RUNNER__SERVER__LISTEN", "0.0.0.0:4500");
        assert!(load(&[open]).is_err());
        let key = [
            open,
            ("WHARF_RUNNER__AWS__ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("WHARF_RUNNER__AWS__SECRET_ACCESS_KEY", "secret"),
        ];
        let config = load(&key).expect("a key is set");
        assert!(!config.without_secrets().contains("\"secret\""));
    }
}
