//! `wharf lifecycle`: what a policy would do, and doing it.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Subcommand;
use wharf_storage::metadata::ImageFacts;
use wharf_storage::oci::{RepositoryName, Tag};

use super::error::Error;
use super::office;
use crate::config::Flags;
use crate::lifecycle::{Decision, Outcome, Policy, Reason};
use crate::registry::{Lifecycles, Ran};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell what the policy would do to each image, and why
    Preview {
        /// The repository
        repository: RepositoryName,
        /// A policy to try in place of the repository's own
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Run the policy now
    Run {
        /// The repository; without it all of them
        repository: Option<RepositoryName>,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Preview {
            repository,
            policy,
            flags,
        } => office::run(&flags, |office, _| async move {
            let policy = policy.map(read).transpose()?;
            let lifecycles = Lifecycles::new(office.metadata.clone(), office.clock.clone());
            let decided = lifecycles.preview(&repository, policy).await;
            let decided = decided.map_err(Error::Registry)?.ok_or(Error::NoPolicy)?;
            print(&decided).map_err(Error::Output)
        }),
        Command::Run { repository, flags } => office::run(&flags, |office, _| async move {
            let lifecycles = Lifecycles::new(office.metadata.clone(), office.clock.clone());
            let ran = match &repository {
                Some(repository) => lifecycles.run(repository).await,
                None => lifecycles.run_all().await,
            };
            let Ran {
                expired,
                archived,
                untagged,
            } = ran.map_err(Error::Registry)?;
            println!("expired {expired}, archived {archived}, untagged {untagged}");
            let resource = repository.as_ref().map_or("all", RepositoryName::as_str);
            office.did("lifecycle run", resource).await
        }),
    }
}

fn read(path: PathBuf) -> Result<Policy, Error> {
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Data { path, source })?;
    Ok(Policy::parse(&text)?)
}

/// A line for each image, all of them in few writes.
fn print(decided: &[(ImageFacts, Outcome)]) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (facts, outcome) in decided {
        let tags: Vec<&str> = facts.image.tags.iter().map(Tag::as_str).collect();
        let digest = &outcome.digest;
        let (decision, reason) = (told(&outcome.decision), why(&outcome.reason));
        writeln!(out, "{digest}\t{}\t{decision}\t{reason}", tags.join(","))?;
    }
    out.flush()
}

fn told(decision: &Decision) -> String {
    match decision {
        Decision::Keep => "keep".into(),
        Decision::Expire => "expire".into(),
        Decision::Archive => "archive".into(),
        Decision::Untag(tags) => {
            let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
            format!("untag {}", tags.join(","))
        }
    }
}

fn why(reason: &Reason) -> String {
    match reason {
        Reason::Rule(priority) => format!("rule {priority} selects it"),
        Reason::NoRule => "no rule is about it".into(),
        Reason::KeptBy(priority) => format!("rule {priority} is about it, and keeps it"),
        Reason::ShieldedBy(priority) => format!("rule {priority} comes first, and keeps it"),
        Reason::Leased => "somebody runs it, or what goes with it".into(),
        Reason::Locked => "a tag is locked, of it or of what goes with it".into(),
        Reason::TooNewInArchive => {
            "it, or what goes with it, was archived less than 90 days ago".into()
        }
        Reason::Settling => "it was pushed within the last hour".into(),
        Reason::With(digest) => format!("it goes with {digest}"),
    }
}
