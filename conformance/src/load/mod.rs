//! The load generator: clients that ask the same again and again, each on a connection of its own.
//!
//! It shares the machine with what it measures, so it does little itself: a connection is driven by
//! the task that uses it, bodies are counted and dropped, and what is pushed shares one buffer.
//!
//! | module | job |
//! |---|---|
//! | `connection` | a connection and its requests |
//! | `work` | what a client does in each mode |
//! | `figures` | latencies and rates |

mod connection;
mod figures;
mod work;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::arguments::Load;
use crate::check::Ended;
use figures::{Figures, Tally};
use work::{Prepared, Worker};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The registry can't be asked.
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    /// What is asked for could not be pushed.
    #[error("the content could not be pushed: {0}")]
    Prepare(String),
    /// The figures can't be written.
    #[error("failed to write the figures: {0}")]
    Write(#[from] std::io::Error),
    /// The command line makes no sense.
    #[error("{0}")]
    Arguments(&'static str),
}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Failed(reason) | Ended::Skipped(reason) => Self::Prepare(reason),
        }
    }
}

/// Runs the load, tells its figures, and gives whether no request failed.
pub(crate) async fn run(arguments: &Load) -> Result<bool, Box<dyn std::error::Error>> {
    Ok(measure(arguments).await?)
}

async fn measure(arguments: &Load) -> Result<bool, Error> {
    if arguments.clients == 0 || arguments.blobs == 0 || arguments.seconds == 0 {
        return Err(Error::Arguments(
            "--clients, --blobs and --seconds are at least 1",
        ));
    }
    let prepared = Arc::new(Prepared::push(arguments).await?);
    if std::io::stderr().is_terminal() {
        eprintln!(
            "{} clients ask for {} s ...",
            arguments.clients, arguments.seconds
        );
    }
    let began = Instant::now();
    let deadline = began + Duration::from_secs(arguments.seconds);
    let mut clients = JoinSet::new();
    for number in 0..arguments.clients {
        let mut worker = Worker::new(Arc::clone(&prepared), number);
        clients.spawn(async move {
            let mut tally = Tally::default();
            while Instant::now() < deadline {
                let asked = Instant::now();
                match worker.once().await {
                    Ok(bytes) => tally.succeeded(asked.elapsed(), bytes),
                    Err(reason) => {
                        tally.failed(reason);
                        worker.forget_connection();
                    }
                }
            }
            tally
        });
    }
    let tallies = clients.join_all().await;
    let figures = Figures::of(tallies, began.elapsed());
    print!("{}", figures.text(arguments));
    if let Some(path) = &arguments.json {
        std::fs::write(path, figures.json(arguments))?;
    }
    Ok(figures.errors == 0)
}
