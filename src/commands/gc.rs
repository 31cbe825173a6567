//! `wharf gc`: what nothing needs any more, and collecting it.

use std::sync::Arc;

use clap::Subcommand;
use uuid::Uuid;
use wharf_storage::metadata::Plan;

use super::error::Error;
use super::office::{self, shown};
use crate::app::{self, Office};
use crate::config::{Config, Flags, Size};
use crate::registry::{Collected, Run, Trust};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell what waits for collection, and how much of it is due
    Plan {
        #[command(flatten)]
        flags: Flags,
    },
    /// Collect now what is due, also while servers run
    Run {
        /// Believe the clock, wherever it stood at the last run
        #[arg(long)]
        trust_clock: bool,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Plan { flags } => office::run(&flags, |office, config| async move {
            let plan = collector(&config, &office).plan().await;
            print(plan.map_err(Error::Registry)?, &config);
            Ok(())
        }),
        Command::Run { trust_clock, flags } => office::run(&flags, |office, config| async move {
            collect(&office, &config, trust_clock).await
        }),
    }
}

fn collector(config: &Config, office: &Office) -> crate::registry::Collector {
    let holder: Arc<str> = format!("command line {}", Uuid::now_v7()).into();
    app::collector(config, office, holder)
}

fn print(plan: Plan, config: &Config) {
    let gc = &config.gc;
    let (keep_deleted, grace, condemned) = (gc.keep_deleted, gc.grace, gc.keep_condemned);
    println!(
        "manifests in the trash: {}, of which {} were deleted more than {keep_deleted} ago",
        plan.trashed_manifests, plan.due_manifests
    );
    println!(
        "blobs of repositories under review: {}, of which {} for more than {grace}; \
         no manifest names {} of these",
        plan.reviews, plan.due_reviews, plan.needless_links
    );
    println!(
        "blobs that no repository has: {} with {}, of which {} with {} for more than {condemned}",
        plan.condemned_blobs,
        Size::new(plan.condemned_bytes),
        plan.due_blobs,
        Size::new(plan.due_bytes)
    );
    println!("blobs whose bytes wait for removal: {}", plan.removals);
}

async fn collect(office: &Office, config: &Config, trust_clock: bool) -> Result<(), Error> {
    let trust = match trust_clock {
        true => Trust::Always,
        false => Trust::Near,
    };
    let ran = collector(config, office).run(trust, || true).await;
    let Collected {
        manifests,
        links,
        condemned,
        blobs,
        bytes,
    } = match ran.map_err(Error::Registry)? {
        Run::Done(collected) => collected,
        Run::ByOther => {
            let message = "a server is collecting; try again in a minute";
            return Err(Error::Collection(message.into()));
        }
        Run::Clock { seen_at } => {
            let last = shown(Some(seen_at));
            let message = format!(
                "the clock is far from where it was at the last run, {last}; if it is right, add \
                 --trust-clock"
            );
            return Err(Error::Collection(message));
        }
    };
    println!(
        "purged {manifests} manifests from the trash, unlinked {links} blobs, condemned \
         {condemned}, dropped {blobs} with {}",
        Size::new(bytes)
    );
    match app::remove_needless_bytes(config, office).await? {
        Some(removed) => println!("removed the bytes of {removed}"),
        None => println!(
            "the running server removes their bytes within {}",
            config.uploads.sweep_every
        ),
    }
    office.did("gc run", "registry").await
}
