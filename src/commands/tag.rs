//! `wharf tag`: locking tags against lifecycle policies, where they have been, taking them back.

use clap::Subcommand;
use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{RolledBack, TagMove};
use wharf_storage::oci::{Digest, RepositoryName, Tag};

use super::error::Error;
use super::office::{self, shown};
use crate::config::Flags;

/// What to do about a tag.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Keep the image that the tag names from lifecycle policies
    Lock {
        /// The repository
        repository: RepositoryName,
        /// The tag
        tag: Tag,
        #[command(flatten)]
        flags: Flags,
    },
    /// Let policies have it again
    Unlock {
        /// The repository
        repository: RepositoryName,
        /// The tag
        tag: Tag,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show where the tag has been, the newest first: when, what it named, by whom
    History {
        /// The repository
        repository: RepositoryName,
        /// The tag
        tag: Tag,
        /// How many moves at most
        #[arg(long, default_value_t = 100)]
        limit: u64,
        #[command(flatten)]
        flags: Flags,
    },
    /// Let the tag name again what it named before
    Rollback {
        /// The repository
        repository: RepositoryName,
        /// The tag
        tag: Tag,
        /// What it has named; without it, what it named before its last move
        #[arg(long, value_name = "DIGEST")]
        to: Option<Digest>,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Lock {
            repository,
            tag,
            flags,
        } => lock(repository, tag, &flags, true),
        Command::Unlock {
            repository,
            tag,
            flags,
        } => lock(repository, tag, &flags, false),
        Command::History {
            repository,
            tag,
            limit,
            flags,
        } => office::run(&flags, |office, _| async move {
            let moves = office.metadata.tag_history(&repository, &tag, limit).await;
            for moved in moves.map_err(failed)? {
                println!("{}", line(&moved));
            }
            Ok(())
        }),
        Command::Rollback {
            repository,
            tag,
            to,
            flags,
        } => roll_back(repository, tag, to, &flags),
    }
}

fn lock(repository: RepositoryName, tag: Tag, flags: &Flags, locks: bool) -> Result<(), Error> {
    office::run(flags, |office, _| async move {
        let locked_at: Option<Timestamp> = locks.then(|| office.clock.now());
        let changed = office.metadata.lock_tag(&repository, &tag, locked_at).await;
        match changed.map_err(failed)? {
            true => {
                let action = if locks { "tag lock" } else { "tag unlock" };
                office.did(action, &format!("{repository}:{tag}")).await
            }
            false => Err(Error::NoTag(tag)),
        }
    })
}

fn roll_back(
    repository: RepositoryName,
    tag: Tag,
    to: Option<Digest>,
    flags: &Flags,
) -> Result<(), Error> {
    office::run(flags, |office, _| async move {
        let change = office.change();
        let done = office
            .metadata
            .roll_back_tag(&repository, &tag, to, change)
            .await;
        match done.map_err(failed)? {
            RolledBack::Done => {}
            RolledBack::Purged => {
                let message = format!("what {tag} named has left the trash for good");
                return Err(Error::RollBack(message));
            }
            RolledBack::NoHistory => {
                let message =
                    format!("{tag} has not named that; wharf tag history shows what it has");
                return Err(Error::RollBack(message));
            }
        }
        office
            .did("tag rollback", &format!("{repository}:{tag}"))
            .await
    })
}

fn failed(error: wharf_storage::metadata::Error) -> Error {
    Error::Registry(error.into())
}

fn line(moved: &TagMove) -> String {
    let named = |digest: &Option<Digest>| digest.as_ref().map_or("-".to_owned(), Digest::to_string);
    let (at, actor) = (shown(Some(moved.at)), &moved.actor);
    let (previous, digest) = (named(&moved.previous), named(&moved.digest));
    format!("{at}\t{previous}\t{digest}\t{actor}")
}
