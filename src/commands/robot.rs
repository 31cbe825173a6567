//! `wharf robot`: programs, with secrets.

use std::time::Duration;

use clap::Subcommand;
use wharf_auth::identity::Kind;

use super::error::Error;
use super::grant::Grant;
use super::office::{self, shown};
use super::printable::printable;
use crate::app::Opening;
use crate::config::Flags;

/// What to do about robots.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a robot, and tell its secret once; it logs in as robot/NAME
    Add {
        /// The name
        name: String,
        /// How long it lives, such as 90days
        #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
        /// What the robot is for
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        grant: Grant,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show all robots
    List {
        #[command(flatten)]
        flags: Flags,
    },
    /// Make another secret, and tell it once; the old one ends
    Rotate {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Shut a robot out; tokens end
    Disable {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Let a robot in again
    Enable {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Remove a robot with its keys and its policy
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
        Command::Add {
            name,
            expires_in,
            description,
            grant,
            flags,
        } => office::run_in(Opening::New, &flags, |office, _| async move {
            let robot = office
                .admin()
                .add_robot(&name, &description, expires_in)
                .await?;
            let principal = robot.principal.to_string();
            office.did("robot add", &principal).await?;
            if let Some(document) = grant.document() {
                office
                    .admin()
                    .put_policy(&principal, &document, office.change())
                    .await?;
            }
            println!("{principal}\nsecret: {}", robot.secret);
            Ok(())
        }),
        Command::List { flags } => office::run(&flags, |office, _| async move {
            let snapshot = office.snapshot().await?;
            for robot in snapshot.principals(Kind::Robot) {
                let state = if robot.disabled { "disabled" } else { "active" };
                let ends = shown(robot.expires_at);
                let description = printable(&robot.description);
                println!("{}\t{state}\t{ends}\t{description}", robot.name);
            }
            Ok(())
        }),
        Command::Rotate { name, flags } => office::run(&flags, |office, _| async move {
            let robot = office.admin().rotate_secret(&name).await?;
            let principal = robot.principal.to_string();
            office.did("robot rotate", &principal).await?;
            println!("{principal}\nsecret: {}", robot.secret);
            Ok(())
        }),
        Command::Disable { name, flags } => switch(&flags, name, true),
        Command::Enable { name, flags } => switch(&flags, name, false),
        Command::Remove { name, flags } => office::run(&flags, |office, _| async move {
            office.admin().remove(Kind::Robot, &name).await?;
            office.did("robot remove", &format!("robot/{name}")).await
        }),
    }
}

fn switch(flags: &Flags, name: String, disabled: bool) -> Result<(), Error> {
    office::run(flags, |office, _| async move {
        office
            .admin()
            .set_disabled(Kind::Robot, &name, disabled)
            .await?;
        let action = if disabled {
            "robot disable"
        } else {
            "robot enable"
        };
        office.did(action, &format!("robot/{name}")).await
    })
}
