//! `wharf scrub`: whether the bytes are still right.

use std::sync::Arc;

use uuid::Uuid;

use super::error::Error;
use super::office;
use super::progress::{Line, bar};
use crate::app;
use crate::config::{Flags, Size};
use crate::registry::Scrubbed;

/// How many quarantined blobs are told of.
const MOST_TOLD: u64 = 1000;

/// How to scrub.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How fast, at most, such as 100MiB; 0B: as fast as can be. Without it as configured
    #[arg(long, value_name = "SIZE")]
    bytes_per_second: Option<Size>,
    #[command(flatten)]
    flags: Flags,
}

/// Does it. It fails where bytes are wrong.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        bytes_per_second,
        flags,
    } = arguments;
    office::run(&flags, |office, config| async move {
        let rate = bytes_per_second.unwrap_or(config.scrub.bytes_per_second);
        let holder: Arc<str> = format!("command line {}", Uuid::now_v7()).into();
        let blobs = app::blobs_to_read(&config, &office).await?;
        let scrubber = app::scrubber(&office, blobs, holder, rate.bytes());
        let total = office.metadata.count_blobs(0).await;
        let (_, total) = total.map_err(app::Error::Metadata)?;
        let progress = Line::new();
        let scrubbed = scrubber
            .run(|so_far| {
                progress.tell(|| line(so_far, total));
                true
            })
            .await;
        progress.leave();
        let scrubbed = scrubbed.map_err(Error::Registry)?;
        let Scrubbed {
            blobs,
            bytes,
            wrong,
            unreadable,
            ..
        } = scrubbed.ok_or_else(|| Error::Collection("a server is scrubbing".into()))?;
        let size = Size::new(bytes);
        println!("read {blobs} blobs with {size}: {wrong} are wrong, {unreadable} can not be read");
        let quarantined = office.metadata.quarantined_blobs(MOST_TOLD).await;
        for digest in quarantined.map_err(app::Error::Metadata)? {
            println!("{digest} is quarantined until it is pushed again");
        }
        office.did("scrub", "registry").await?;
        match wrong + unreadable {
            0 => Ok(()),
            _ => Err(Error::Damaged),
        }
    })
}

fn line(so_far: &Scrubbed, total: u64) -> String {
    let percent = match total {
        0 => 100,
        total => (so_far.bytes.saturating_mul(100) / total).min(100),
    };
    let (bytes, of, wrong) = (Size::new(so_far.bytes), Size::new(total), so_far.wrong);
    let bar = bar(percent);
    format!("[{bar}] {percent:3} %  {bytes} of {of}, {wrong} wrong ")
}
