//! `wharf policy` and `wharf trust`: who may do what, and whose tokens are taken.

use clap::Subcommand;

use super::error::Error;
use super::office::{self, read_stdin, shown};
use crate::config::Flags;

/// What to do about policies. A target is registry, repository/NAME, user/NAME, robot/NAME,
/// federated/TRUST or certificate/NAME.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Attach the document on the standard input, in the place of the one that was attached
    Set {
        /// What it is attached to
        target: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Print a document
    Get {
        /// What it is attached to
        target: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show all targets
    List {
        #[command(flatten)]
        flags: Flags,
    },
    /// Take a policy away
    Remove {
        /// What it is attached to
        target: String,
        #[command(flatten)]
        flags: Flags,
    },
}

/// What to do about trusts.
#[derive(Debug, Subcommand)]
pub(super) enum TrustCommand {
    /// Take the tokens that the rule on the standard input describes; who comes is federated/NAME
    Set {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show all trusts
    List {
        #[command(flatten)]
        flags: Flags,
    },
    /// Take no such tokens any more
    Remove {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
}

/// Does it.
pub(super) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Set { target, flags } => office::run(&flags, |office, _| async move {
            let document = read_stdin()?;
            let change = office.change();
            office
                .admin()
                .put_policy(&target, &document, change)
                .await?;
            office.did("policy set", &target).await
        }),
        Command::Get { target, flags } => office::run(&flags, |office, _| async move {
            let snapshot = office.snapshot().await?;
            let policy = snapshot.documents().get(&target);
            let policy = policy.ok_or_else(|| {
                let what = format!("policy of {target}");
                wharf_auth::administration::Error::Missing(what)
            })?;
            println!("{}", policy.document);
            Ok(())
        }),
        Command::List { flags } => office::run(&flags, |office, _| async move {
            for policy in office.snapshot().await?.documents().values() {
                let changed = shown(Some(policy.updated_at));
                println!("{}\t{changed}\t{}", policy.target, policy.updated_by);
            }
            Ok(())
        }),
        Command::Remove { target, flags } => office::run(&flags, |office, _| async move {
            office
                .admin()
                .remove_policy(&target, office.change())
                .await?;
            office.did("policy remove", &target).await
        }),
    }
}

/// Does it.
pub(super) fn run_trust(command: TrustCommand) -> Result<(), Error> {
    match command {
        TrustCommand::Set { name, flags } => office::run(&flags, |office, _| async move {
            let document = read_stdin()?;
            office.admin().put_trust(&name, &document).await?;
            office.did("trust set", &name).await
        }),
        TrustCommand::List { flags } => office::run(&flags, |office, _| async move {
            for (name, trust) in &office.snapshot().await?.trusts {
                println!("{name}\t{}\t{}", trust.issuer, trust.audience);
            }
            Ok(())
        }),
        TrustCommand::Remove { name, flags } => office::run(&flags, |office, _| async move {
            office.admin().remove_trust(&name).await?;
            office.did("trust remove", &name).await
        }),
    }
}
