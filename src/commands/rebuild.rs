//! `wharf rebuild`: making a lost database anew.

use std::io;

use super::environment::variables;
use super::error::Error;
use super::office;
use super::progress::Line;
use crate::app::{self, Opening};
use crate::config::{Config, Flags};
use crate::registry::Rebuilt;

/// How to rebuild.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Add to what the database has already
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Does it.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments { merge, flags } = arguments;
    let config = Config::read(&flags, variables())?;
    // The database may be lost, but not the folder with the bytes.
    if !config.s3.is_on() && !config.data().is_dir() {
        let path = config.data().to_owned();
        let source = io::ErrorKind::NotFound.into();
        return Err(Error::Data { path, source });
    }
    office::run_in(Opening::New, &flags, |office, config| async move {
        let some = office.metadata.repositories(None, 1).await;
        if !merge && !some.map_err(app::Error::Metadata)?.is_empty() {
            let message = "the database has repositories; --merge adds to them what is missing";
            return Err(Error::Rebuild(message.into()));
        }
        let line = Line::new();
        let rebuilt = app::rebuilder(&office, &config)
            .await?
            .run(|so_far| {
                let (blobs, manifests) = (so_far.blobs, so_far.manifests);
                line.tell(|| format!("found {blobs} blobs, {manifests} manifests "));
            })
            .await;
        line.leave();
        let Rebuilt {
            blobs,
            new_blobs,
            manifests,
            broken_records,
        } = rebuilt.map_err(Error::Registry)?;
        println!("found {blobs} blobs, of which {new_blobs} are new, and {manifests} manifests");
        if broken_records > 0 {
            println!("{broken_records} records could not be read");
        }
        office.did("rebuild", "registry").await
    })
}
