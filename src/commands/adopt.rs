//! `wharf adopt`: taking over a docker-registry's folder, or its part of the bucket, in place.

use wharf_storage::disk::TakeIn;

use super::error::Error;
use super::office;
use super::progress::{Line, shown};
use crate::app::{self, OldPlace, Opening};
use crate::config::Flags;
use crate::transfer::adopt::{Adopted, Check, How, Tags};

/// What is told where the tree and the blobs can't come together.
const ELSEWHERE: &str = "a folder is taken over where blobs lie on the disk, and s3:KEY where they lie \
                         in that bucket (s3.bucket)";

/// What to take over, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The root of the docker-registry, which holds docker/registry/v2: a folder, or s3:KEY where blobs
    /// lie in the same bucket
    #[arg(value_name = "FOLDER")]
    folder: String,
    /// Copy the bytes instead of giving them a second name
    #[arg(long)]
    copy: bool,
    /// Read all bytes, and leave blobs that are not what their digest says
    #[arg(long)]
    verify: bool,
    /// Move tags that name something else here
    #[arg(long)]
    move_tags: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Does it. It fails where something could not be taken over.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        folder,
        copy,
        verify,
        move_tags,
        flags,
    } = arguments;
    let how = How {
        bytes: match copy {
            true => TakeIn::Copy,
            false => TakeIn::Link,
        },
        check: match verify {
            true => Check::Read,
            false => Check::Trust,
        },
        tags: match move_tags {
            true => Tags::Moved,
            false => Tags::Kept,
        },
    };
    office::run_in(Opening::New, &flags, |office, config| async move {
        let place = match folder.strip_prefix("s3:") {
            Some(key) => OldPlace::Bucket(key.trim_matches('/').to_owned()),
            None => OldPlace::Folder(folder.clone().into()),
        };
        if copy && matches!(place, OldPlace::Bucket(_)) {
            return Err(Error::Transfer("in the bucket, nothing is copied".into()));
        }
        let adopter = app::adopter(&config, &office, place).await?;
        let adopter = adopter.ok_or_else(|| Error::Transfer(ELSEWHERE.into()))?;
        let progress = Line::new();
        let adopted = adopter
            .run(how, |so_far| progress.tell(|| line(so_far)))
            .await;
        progress.end();
        let adopted = adopted?;
        println!(
            "took over {} repositories: {} manifests, {} tags, {} blobs with {}; {} blobs were known",
            adopted.repositories,
            adopted.manifests,
            adopted.tags,
            adopted.blobs,
            shown(adopted.bytes),
            adopted.known_blobs
        );
        for tag in &adopted.kept_tags {
            println!("{tag} names something else here, and stays; --move-tags moves it");
        }
        office.did("adopt", &folder).await?;
        match adopted.left.is_empty() {
            true => Ok(()),
            false => Err(Error::NotCopied(adopted.left)),
        }
    })
}

fn line(so_far: &Adopted) -> String {
    let (done, of) = (so_far.repositories, so_far.of_repositories);
    let (blobs, bytes) = (so_far.blobs, shown(so_far.bytes));
    let manifests = so_far.manifests;
    format!("{done} of {of} repositories, {blobs} blobs with {bytes}, {manifests} manifests")
}
