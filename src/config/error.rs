//! Why there is no configuration.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

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
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{}, line {line}: not TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong, without the line itself, which may have a secret.
        #[source]
        source: toml::de::Error,
    },
    /// What was said makes no sense; all that is wrong with it.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Fault>),
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A variable doesn't name a section and a key.
    #[error("the variable {0} does not read WHARF__SECTION__KEY")]
    Variable(String),
    /// Nobody knows this section or this key.
    #[error("{key} is unknown; {}", advice(suggestion.as_ref(), known))]
    Unknown {
        /// What was written.
        key: String,
        /// What was probably meant.
        suggestion: Option<String>,
        /// What could have been written.
        known: Vec<String>,
    },
    /// A value isn't understood.
    #[error("{key}{}: {message}", origin(variable.as_ref()))]
    Value {
        /// The key's full path.
        key: String,
        /// What is wrong.
        message: String,
        /// The variable that says so, where it is not the file.
        variable: Option<String>,
    },
    /// The parts are right, but not the whole.
    #[error("{0}")]
    Whole(String),
    /// The server could be reached by anyone, and nothing asks them who they are.
    #[error(
        "server.listen = {listen} can be reached from other machines, and nothing asks callers who \
         they are: set auth.enabled = true, or listen on 127.0.0.1, or set \
         server.allow_anonymous = true to let anyone push and pull"
    )]
    Exposed {
        /// The address.
        listen: SocketAddr,
    },
    /// A limit is so low that nobody could be served.
    #[error("{key} is too small to serve anybody: at least {least}")]
    TooSmall {
        /// The key's full path.
        key: &'static str,
        /// The least that works.
        least: String,
    },
    /// A span is so long that a promise wouldn't hold.
    #[error("{key} is too long: at most {most}, {why}")]
    TooLong {
        /// The key's full path.
        key: &'static str,
        /// The most that works.
        most: String,
        /// What wouldn't hold.
        why: &'static str,
    },
    /// The filter of the log isn't understood.
    #[error("log.level: {0}")]
    Level(String),
}

fn advice(suggestion: Option<&String>, known: &[String]) -> String {
    match suggestion {
        Some(suggestion) => format!("did you mean {suggestion}?"),
        None => format!("known are {}", known.join(", ")),
    }
}

fn origin(variable: Option<&String>) -> String {
    variable.map_or_else(String::new, |name| format!(" (from {name})"))
}

struct Lines<'a>(&'a [Fault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}
