//! `wharf endpoint`: where events are delivered to. A running server sees what has changed within
//! two seconds.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;

use super::error::Error;
use super::office::{self, read_stdin, shown};
use super::printable::printable;
use crate::app::{self, Office};
use crate::config::{Config, Flags};
use crate::events::Endpoints;
use crate::events::endpoints::{Alteration, Description};
use crate::outbound::Outbound;

/// How many dead letters or attempts are read at once.
const PAGE: u64 = 500;

/// What to do about endpoints.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an endpoint and print its secret, which is told once
    Add {
        /// The name
        name: String,
        /// https://…, http://…, nats://[USER@]HOST[:PORT][/PREFIX][?stream=NAME] or tls://…
        url: String,
        /// cloudevents, eventbridge or docker
        #[arg(long)]
        format: Option<String>,
        /// Tell of what is pulled, in the place of what changes
        #[arg(long)]
        pulls: bool,
        /// Read the secret from the standard input: whsec_… for a webhook, the password for NATS
        #[arg(long)]
        secret_stdin: bool,
        /// Tell of all behind this cursor; without it, of what comes from now on
        #[arg(long, value_name = "CURSOR")]
        after: Option<i64>,
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show all endpoints
    List {
        #[command(flatten)]
        flags: Flags,
    },
    /// Change an endpoint; patterns replace the ones there were
    Set {
        /// The name
        name: String,
        /// The address
        #[arg(long)]
        url: Option<String>,
        /// cloudevents, eventbridge or docker
        #[arg(long)]
        format: Option<String>,
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        flags: Flags,
    },
    /// Deliver to an endpoint again, from where it was
    Enable {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Deliver nothing to an endpoint for now
    Disable {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Remove an endpoint with its dead letters
    Remove {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Give an endpoint another secret; the old one signs too for a while
    RotateSecret {
        /// The name
        name: String,
        /// For how long
        #[arg(long, value_parser = humantime::parse_duration, default_value = "1day")]
        overlap: Duration,
        /// Read the secret from the standard input
        #[arg(long)]
        secret_stdin: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Tell an endpoint again of all behind a cursor
    Replay {
        /// The name
        name: String,
        /// The cursor
        #[arg(long, value_name = "CURSOR")]
        after: i64,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show what was tried lately, the newest first
    Deliveries {
        /// The name
        name: String,
        /// How many attempts at most
        #[arg(long, default_value_t = 100)]
        limit: u64,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show what was given up, the oldest first
    DeadLetters {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Send dead letters again
    Resend {
        /// The name
        name: String,
        /// Only this one
        #[arg(long)]
        sequence: Option<i64>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Throw dead letters away
    Discard {
        /// The name
        name: String,
        /// Only this one
        #[arg(long)]
        sequence: Option<i64>,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Which events an endpoint is told of.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    /// Only of these types, such as wharf.image.*
    #[arg(long = "type", value_name = "PATTERN")]
    types: Vec<String>,
    /// Only of these repositories, * for any characters
    #[arg(long, value_name = "PATTERN")]
    repository: Vec<String>,
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Add {
            name,
            url,
            format,
            pulls,
            secret_stdin,
            after,
            wanted,
            flags,
        } => office::run(&flags, |office, config| async move {
            let secret = secret_stdin.then(read_stdin).transpose()?;
            let description = Description {
                name: name.clone(),
                url,
                format,
                stream: pulls.then(|| "pulls".to_owned()),
                types: wanted.types,
                repositories: wanted.repository,
                secret,
                after,
            };
            let secret = office.endpoints(&config)?.add(description).await?;
            office.did("endpoint add", &name).await?;
            tell(secret);
            Ok(())
        }),
        Command::Set {
            name,
            url,
            format,
            wanted,
            flags,
        } => {
            let some = |patterns: Vec<String>| (!patterns.is_empty()).then_some(patterns);
            let alteration = Alteration {
                url,
                format,
                types: some(wanted.types),
                repositories: some(wanted.repository),
                enabled: None,
            };
            change(name, "endpoint set", alteration, &flags)
        }
        Command::Enable { name, flags } => switch(name, true, &flags),
        Command::Disable { name, flags } => switch(name, false, &flags),
        Command::Remove { name, flags } => office::run(&flags, |office, config| async move {
            office.endpoints(&config)?.remove(&name).await?;
            office.did("endpoint remove", &name).await
        }),
        Command::RotateSecret {
            name,
            overlap,
            secret_stdin,
            flags,
        } => office::run(&flags, |office, config| async move {
            let secret = secret_stdin.then(read_stdin).transpose()?;
            let endpoints = office.endpoints(&config)?;
            let secret = endpoints.rotate_secret(&name, secret, overlap).await?;
            office.did("endpoint rotate-secret", &name).await?;
            tell(secret);
            Ok(())
        }),
        Command::Replay { name, after, flags } => {
            office::run(&flags, |office, config| async move {
                office.endpoints(&config)?.replay(&name, after).await?;
                office.did("endpoint replay", &name).await
            })
        }
        Command::List { flags } => office::run(&flags, list),
        Command::Deliveries { name, limit, flags } => {
            office::run(&flags, |office, config| async move {
                office.endpoints(&config)?.get(&name).await?;
                deliveries(&office, &name, limit).await
            })
        }
        Command::DeadLetters { name, flags } => office::run(&flags, |office, config| async move {
            office.endpoints(&config)?.get(&name).await?;
            dead_letters(&office, &name).await
        }),
        Command::Resend {
            name,
            sequence,
            flags,
        } => office::run(&flags, |office, config| async move {
            office.endpoints(&config)?.get(&name).await?;
            let now = office.clock.now();
            let count = office.metadata.resend_dead_letters(&name, sequence, now);
            println!("{}", count.await.map_err(app::Error::Metadata)?);
            office.did("endpoint resend", &name).await
        }),
        Command::Discard {
            name,
            sequence,
            flags,
        } => office::run(&flags, |office, config| async move {
            office.endpoints(&config)?.get(&name).await?;
            let count = office.metadata.discard_dead_letters(&name, sequence);
            println!("{}", count.await.map_err(app::Error::Metadata)?);
            office.did("endpoint discard", &name).await
        }),
    }
}

impl Office {
    /// Who makes and removes endpoints.
    fn endpoints(&self, config: &Config) -> Result<Endpoints, Error> {
        let outbound = Outbound::new(config.outbound.allow.clone());
        Ok(Endpoints::new(
            self.metadata.clone(),
            Arc::clone(&self.sealer),
            Arc::new(outbound.map_err(app::Error::Outbound)?),
            Arc::clone(&self.clock),
        ))
    }
}

fn change(
    name: String,
    action: &'static str,
    alteration: Alteration,
    flags: &Flags,
) -> Result<(), Error> {
    office::run(flags, |office, config| async move {
        office.endpoints(&config)?.change(&name, alteration).await?;
        office.did(action, &name).await
    })
}

fn switch(name: String, enabled: bool, flags: &Flags) -> Result<(), Error> {
    let alteration = Alteration {
        enabled: Some(enabled),
        ..Alteration::default()
    };
    let action = match enabled {
        true => "endpoint enable",
        false => "endpoint disable",
    };
    change(name, action, alteration, flags)
}

fn tell(secret: Option<String>) {
    if let Some(secret) = secret {
        println!("secret: {secret}");
    }
}

async fn list(office: Office, config: Config) -> Result<(), Error> {
    for endpoint in office.endpoints(&config)?.list().await? {
        let state = match &endpoint.disabled {
            Some((_, reason)) => format!("disabled: {reason}"),
            None => "enabled".to_owned(),
        };
        println!(
            "{}\t{}\t{}\t{}\tcursor {}\t{} dead\t{state}",
            endpoint.name,
            endpoint.url,
            endpoint.format,
            endpoint.stream.as_str(),
            endpoint.cursor,
            endpoint.dead_letters
        );
    }
    Ok(())
}

async fn deliveries(office: &Office, name: &str, limit: u64) -> Result<(), Error> {
    let found = office.metadata.deliveries(name, None, limit).await;
    let mut out = io::stdout().lock();
    for delivery in found.map_err(app::Error::Metadata)? {
        let outcome = match delivery.delivered {
            true => "delivered",
            false => "failed",
        };
        writeln!(
            out,
            "{}\t{}\t{}\tattempt {}\t{outcome}\t{}\t{} µs",
            shown(Some(delivery.at)),
            delivery.seq,
            delivery.event_id,
            delivery.attempt,
            printable(&delivery.detail),
            delivery.took_us
        )
        .map_err(Error::Output)?;
    }
    Ok(())
}

async fn dead_letters(office: &Office, name: &str) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let found = office.metadata.dead_letters(name, after, false, PAGE).await;
        let found = found.map_err(app::Error::Metadata)?;
        let Some(last) = found.last() else {
            return Ok(());
        };
        after = last.event.seq;
        let mut out = io::stdout().lock();
        for letter in &found {
            let event = &letter.event;
            let repository = event.repository.as_ref().map_or("-", |name| name.as_str());
            writeln!(
                out,
                "{}\t{}\t{}\t{repository}\t{} attempts\t{}",
                event.seq,
                shown(Some(letter.died_at)),
                event.kind.as_str(),
                letter.attempts,
                printable(&letter.reason)
            )
            .map_err(Error::Output)?;
        }
    }
}
