//! `wharf trash`: what was deleted, and bringing it back.

use std::io::{self, Write as _};

use clap::Subcommand;
use wharf_storage::metadata::Restored;
use wharf_storage::oci::{Digest, RepositoryName, Tag};

use super::error::Error;
use super::office::{self, shown};
use crate::app::{self, Office};
use crate::config::{Config, Flags};

/// How many rows are read at once.
const PAGE: u64 = 500;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the manifests that can be restored: when each was deleted, and until when it can be
    List {
        /// Only of this repository
        repository: Option<RepositoryName>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Restore a manifest with its tags, a blob, or a whole repository
    Restore {
        /// The repository
        repository: RepositoryName,
        /// What of it; without it, the repository that was deleted as a whole
        digest: Option<Digest>,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::List { repository, flags } => office::run(&flags, |office, config| async move {
            list(&office, &config, repository.as_ref()).await
        }),
        Command::Restore {
            repository,
            digest,
            flags,
        } => office::run(&flags, |office, _| async move {
            restore(&office, &repository, digest.as_ref()).await
        }),
    }
}

async fn list(
    office: &Office,
    config: &Config,
    repository: Option<&RepositoryName>,
) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let page = office.metadata.trash(repository, after, PAGE).await;
        let page = page.map_err(app::Error::Metadata)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.id;
        let mut out = io::BufWriter::new(io::stdout().lock());
        for trashed in page {
            let until = trashed.deleted_at.after(config.gc.keep_deleted.duration());
            let (deleted, until) = (shown(Some(trashed.deleted_at)), shown(Some(until)));
            let (name, digest, tags) = (trashed.repository, trashed.digest, joined(&trashed.tags));
            writeln!(out, "{name}@{digest}\t{tags}\t{deleted}\t{until}").map_err(Error::Output)?;
        }
        out.flush().map_err(Error::Output)?;
    }
}

async fn restore(
    office: &Office,
    repository: &RepositoryName,
    digest: Option<&Digest>,
) -> Result<(), Error> {
    let change = office.change();
    let (restored, what) = match digest {
        Some(digest) => (
            office.metadata.restore(repository, digest, change).await,
            format!("{repository}@{digest}"),
        ),
        None => (
            office.metadata.restore_repository(repository, change).await,
            format!("repository {repository}"),
        ),
    };
    let restored = restored.map_err(app::Error::Metadata)?;
    let Restored {
        manifests,
        blobs,
        tags,
        taken,
    } = restored.ok_or_else(|| Error::NotInTrash(what.clone()))?;
    println!("restored {manifests} manifests and {blobs} blobs");
    if !tags.is_empty() {
        println!("tags: {}", joined(&tags));
    }
    if !taken.is_empty() {
        println!("tags that name something else by now: {}", joined(&taken));
    }
    office.did("trash restore", &what).await
}

/// Tags as one column.
fn joined(tags: &[Tag]) -> String {
    let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
    match tags.is_empty() {
        true => "-".to_owned(),
        false => tags.join(","),
    }
}
