//! `wharf key`: AWS-style keys, and the keys that sign tokens.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use wharf_auth::identity::Principal;

use super::error::Error;
use super::office::{self, shown};
use crate::app::Opening;
use crate::config::Flags;

/// What to do about keys.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an AWS-style key, and tell its secret once
    Add {
        /// Whose it is: user/NAME or robot/NAME
        principal: Principal,
        /// How long it lives, such as 90days
        #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show all AWS-style keys
    List {
        #[command(flatten)]
        flags: Flags,
    },
    /// Remove an AWS-style key
    Remove {
        /// Its public part
        id: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Make another key sign tokens; tokens of older ones hold until they end
    RotateSigning {
        /// A private key of your own, Ed25519 or P-256, PEM (PKCS#8)
        #[arg(long, value_name = "FILE")]
        pem: Option<PathBuf>,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show the keys that sign tokens, and those that did
    ListSigning {
        #[command(flatten)]
        flags: Flags,
    },
    /// Remove a key that signs tokens or did: all that it signed ends at once
    RemoveSigning {
        /// Its name
        id: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Remove the keys that the server's key does not open, because the one that did is lost
    DropUnreadable {
        #[command(flatten)]
        flags: Flags,
    },
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Add {
            principal,
            expires_in,
            flags,
        } => office::run(&flags, |office, _| async move {
            let key = office
                .admin()
                .add_access_key(&principal, expires_in)
                .await?;
            office.did("key add", &key.id).await?;
            println!("AWS_ACCESS_KEY_ID={}", key.id);
            println!("AWS_SECRET_ACCESS_KEY={}", key.secret);
            Ok(())
        }),
        Command::List { flags } => office::run(&flags, |office, _| async move {
            let snapshot = office.snapshot().await?;
            for key in snapshot.access_keys() {
                let ends = shown(key.expires_at);
                println!("{}\t{}\t{ends}", key.id, key.principal);
            }
            Ok(())
        }),
        Command::Remove { id, flags } => office::run(&flags, |office, _| async move {
            office.admin().remove_access_key(&id).await?;
            office.did("key remove", &id).await
        }),
        Command::RotateSigning { pem, flags } => office::run(&flags, |office, config| async move {
            let pem =
                pem.map(|path| std::fs::read(&path).map_err(|source| Error::Data { path, source }));
            let auth = &config.auth;
            let longest = [
                auth.token_lifetime,
                auth.refresh_lifetime,
                auth.login_lifetime,
                auth.session_lifetime,
            ];
            let longest = longest.iter().map(|span| span.duration()).max();
            let longest = longest.unwrap_or_default();
            let pem = pem.transpose()?;
            let id = office
                .admin()
                .rotate_signing_key(pem.as_deref(), longest)
                .await?;
            office.did("key rotate-signing", &id).await?;
            println!("{id}");
            Ok(())
        }),
        Command::ListSigning { flags } => office::run(&flags, |office, _| async move {
            for key in office.admin().signing_keys().await? {
                let made = shown(Some(key.created_at));
                let retired = shown(key.retired_at);
                println!("{}\t{made}\t{retired}", key.id);
            }
            Ok(())
        }),
        Command::RemoveSigning { id, flags } => office::run(&flags, |office, _| async move {
            office.admin().remove_signing_key(&id).await?;
            office.did("key remove-signing", &id).await
        }),
        Command::DropUnreadable { flags } => {
            office::run_in(Opening::NewKey, &flags, |office, _| async move {
                for name in office.take_over().await? {
                    office.did("key drop-unreadable", &name).await?;
                    println!("removed {name}");
                }
                Ok(())
            })
        }
    }
}
