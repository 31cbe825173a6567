//! Why a command fails, and how that is told.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use wharf_auth::administration;

use crate::events::{endpoints, feed};
use crate::explanation::QuestionError;
use crate::transfer::remote::CredentialsError;
use crate::{app, config, telemetry, transfer};

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// There is no configuration.
    #[error(transparent)]
    Configuration(#[from] config::Error),
    /// There is no log.
    #[error(transparent)]
    Log(#[from] telemetry::Error),
    /// The program's threads can't be started.
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
    /// Signals can't be listened to.
    #[error("failed to listen to signals")]
    Signals(#[source] io::Error),
    /// The listener doesn't know its address.
    #[error("failed to ask for the address of the listener")]
    Address(#[source] io::Error),
    /// The server can't start.
    #[error(transparent)]
    Start(#[from] app::Error),
    /// The configuration can't be printed.
    #[error("the configuration has no TOML form")]
    Print(#[from] toml::ser::Error),
    /// What administration was asked for was not done.
    #[error(transparent)]
    Administration(#[from] administration::Error),
    /// The registry did not do what it was asked to.
    #[error(transparent)]
    Registry(crate::registry::Error),
    /// The policy is not valid.
    #[error(transparent)]
    Policy(#[from] crate::lifecycle::Error),
    /// There is nothing to run.
    #[error("the repository has no lifecycle policy; --policy tries one")]
    NoPolicy,
    /// There is no such tag.
    #[error("there is no tag {0}")]
    NoTag(wharf_storage::oci::Tag),
    /// There is no such thing in the trash.
    #[error("there is no {0} in the trash")]
    NotInTrash(String),
    /// A tag can't be taken back.
    #[error("{0}")]
    RollBack(String),
    /// Nothing was collected.
    #[error("{0}")]
    Collection(String),
    /// The database is not made anew.
    #[error("{0}")]
    Rebuild(String),
    /// The command line makes no sense.
    #[error("{0}")]
    Transfer(String),
    /// Nothing was copied.
    #[error(transparent)]
    Copy(#[from] transfer::Error),
    /// There is no login for another registry.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Some things were not copied.
    #[error("{} could not be copied", .0.len())]
    NotCopied(Vec<String>),
    /// Bytes are wrong, or can't be read.
    #[error("bytes are damaged")]
    Damaged,
    /// The cursor leads nowhere.
    #[error(transparent)]
    Cursor(feed::Error),
    /// What was asked for about an endpoint was not done.
    #[error(transparent)]
    Endpoint(#[from] endpoints::Error),
    /// A text names no moment.
    #[error("--since: {0}")]
    Moment(#[from] crate::audit::MomentError),
    /// The question makes no sense.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// The answer is no.
    #[error("denied")]
    Denied,
    /// A file or a folder can't be used.
    #[error("failed to use {}", path.display())]
    Data {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The standard input can't be read.
    #[error("failed to read the standard input")]
    Input(#[source] io::Error),
    /// The standard output takes no more.
    #[error("failed to write the answer")]
    Output(#[source] io::Error),
    /// The address to ask is none.
    #[error("{0} does not read http://HOST:PORT or https://HOST:PORT")]
    Url(String),
    /// Nobody answers there.
    #[error("no server answers at {host}")]
    NoAnswer {
        /// Where.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The server there says that it can't serve.
    #[error("the server at {address} is not ready: {answer}")]
    NotReady {
        /// Where.
        address: SocketAddr,
        /// What it said.
        answer: String,
    },
}

impl Error {
    /// The failure with its causes; several lines where several things are wrong.
    pub(super) fn lines(&self) -> Vec<String> {
        if let Self::Configuration(config::Error::Invalid(faults)) = self {
            return faults.iter().map(ToString::to_string).collect();
        }
        if let Self::NotCopied(failures) = self {
            return failures.clone();
        }
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(next) = cause {
            line.push_str(": ");
            line.push_str(next.to_string().trim_end());
            cause = next.source();
        }
        vec![line]
    }
}
