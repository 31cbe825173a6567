//! Runs the checks.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use http::Method;

use crate::arguments::Run;
use crate::check::{Check, Context, Ended, Outcome};
use crate::checks;
use crate::client::{Ask, Client};
use crate::report;

/// A check that was made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) family: &'static str,
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// Why the checks can't be made, or their outcome not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The registry can't be asked.
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    /// A report can't be written.
    #[error("failed to write {path}: {source}")]
    Write {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// No check is left.
    #[error("no check holds the text {0:?}")]
    Nothing(String),
}

/// Makes the checks, tells their outcome, and gives whether none failed.
pub(crate) async fn run(arguments: &Run) -> Result<bool, Error> {
    let client = Client::new(&arguments.target)?;
    // A registry that gives no answer at all would fail each check in the same way.
    client.send(Ask::new(Method::GET, "/v2/")).await?;
    let wanted: Vec<&Check> = checks::all()
        .filter(|check| is_wanted(check, arguments))
        .collect();
    if wanted.is_empty() {
        return Err(Error::Nothing(arguments.only.clone().unwrap_or_default()));
    }
    let shows_progress = !arguments.no_progress && std::io::stderr().is_terminal();
    let mut made = Vec::with_capacity(wanted.len());
    for (number, check) in wanted.iter().enumerate() {
        if shows_progress {
            progress(&format!(
                "{}/{} {}: {}",
                number + 1,
                wanted.len(),
                check.family,
                check.name
            ));
        }
        let context = Context::new(&client, &arguments.target.repository);
        let began = Instant::now();
        let outcome = (check.run)(context).await;
        let took = began.elapsed();
        made.push(Made {
            family: check.family,
            name: check.name,
            outcome,
            took,
        });
    }
    if shows_progress {
        progress("");
    }
    print!("{}", report::table(&made));
    for (path, text) in [
        (&arguments.junit, report::junit(&made)),
        (&arguments.json, report::json(&made)),
    ] {
        if let Some(path) = path {
            std::fs::write(path, text).map_err(|source| Error::Write {
                path: path.display().to_string(),
                source,
            })?;
        }
    }
    Ok(made
        .iter()
        .all(|made| !matches!(made.outcome, Err(Ended::Failed(_)))))
}

fn is_wanted(check: &Check, arguments: &Run) -> bool {
    let text = arguments.only.as_deref().unwrap_or_default();
    check.family.contains(text) || check.name.contains(text)
}

/// Writes over the line of progress.
fn progress(text: &str) {
    // That it can't be shown is no reason to stop.
    let _ = write!(std::io::stderr(), "\r\x1b[2K{text}");
}
