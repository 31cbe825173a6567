//! `wharf tag`: locking tags against lifecycle policies.

use clap::Subcommand;
use wharf_storage::clock::Timestamp;
use wharf_storage::oci::{RepositoryName, Tag};

use super::error::Error;
use super::office;
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
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    let (repository, tag, flags, locks) = match command {
        Command::Lock {
            repository,
            tag,
            flags,
        } => (repository, tag, flags, true),
        Command::Unlock {
            repository,
            tag,
            flags,
        } => (repository, tag, flags, false),
    };
    office::run(&flags, |office, _| async move {
        let locked_at: Option<Timestamp> = locks.then(|| office.clock.now());
        let changed = office.metadata.lock_tag(&repository, &tag, locked_at).await;
        let changed = changed.map_err(crate::registry::Error::from);
        match changed.map_err(Error::Registry)? {
            true => {
                let action = if locks { "tag lock" } else { "tag unlock" };
                office.did(action, &format!("{repository}:{tag}")).await
            }
            false => Err(Error::NoTag(tag)),
        }
    })
}
