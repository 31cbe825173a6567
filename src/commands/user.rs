//! `wharf user`: people, with passwords.

use clap::Subcommand;
use wharf_auth::identity::Kind;
use wharf_auth::random;

use super::error::Error;
use super::grant::Grant;
use super::office::{self, read_stdin, shown};
use super::printable::printable;
use crate::app::Opening;
use crate::config::Flags;

/// What to do about users.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a user; without --password-stdin a password is made up and told once
    Add {
        /// The name
        name: String,
        /// Read the password from the standard input
        #[arg(long)]
        password_stdin: bool,
        /// What the user is for
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        grant: Grant,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show all users
    List {
        #[command(flatten)]
        flags: Flags,
    },
    /// Set another password; sessions and tokens end
    Password {
        /// The name
        name: String,
        /// Read the password from the standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Shut a user out; sessions and tokens end
    Disable {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Let a user in again
    Enable {
        /// The name
        name: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Remove a user with its keys and its policy
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
            password_stdin,
            description,
            grant,
            flags,
        } => office::run_in(Opening::New, &flags, |office, _| async move {
            let password = password(password_stdin)?;
            let user = office
                .admin()
                .add_user(&name, password.text(), &description)
                .await?;
            office.did("user add", &user.to_string()).await?;
            if let Some(document) = grant.document() {
                office
                    .admin()
                    .put_policy(&user.to_string(), &document, office.change())
                    .await?;
            }
            println!("{user}");
            password.tell();
            Ok(())
        }),
        Command::List { flags } => office::run(&flags, |office, _| async move {
            let snapshot = office.snapshot().await?;
            for user in snapshot.principals(Kind::User) {
                let state = if user.disabled { "disabled" } else { "active" };
                let made = shown(Some(user.created_at));
                let description = printable(&user.description);
                println!("{}\t{state}\t{made}\t{description}", user.name);
            }
            Ok(())
        }),
        Command::Password {
            name,
            password_stdin,
            flags,
        } => office::run(&flags, |office, _| async move {
            let password = password(password_stdin)?;
            office.admin().set_password(&name, password.text()).await?;
            office.did("user password", &format!("user/{name}")).await?;
            password.tell();
            Ok(())
        }),
        Command::Disable { name, flags } => switch(&flags, name, true),
        Command::Enable { name, flags } => switch(&flags, name, false),
        Command::Remove { name, flags } => office::run(&flags, |office, _| async move {
            office.admin().remove(Kind::User, &name).await?;
            office.did("user remove", &format!("user/{name}")).await
        }),
    }
}

fn switch(flags: &Flags, name: String, disabled: bool) -> Result<(), Error> {
    office::run(flags, |office, _| async move {
        office
            .admin()
            .set_disabled(Kind::User, &name, disabled)
            .await?;
        let action = if disabled {
            "user disable"
        } else {
            "user enable"
        };
        office.did(action, &format!("user/{name}")).await
    })
}

/// A password that somebody knows already, or has to be told.
enum Password {
    Given(String),
    MadeUp(String),
}

impl Password {
    fn text(&self) -> &str {
        match self {
            Self::Given(text) | Self::MadeUp(text) => text,
        }
    }

    fn tell(&self) {
        if let Self::MadeUp(text) = self {
            println!("password: {text}");
        }
    }
}

fn password(from_stdin: bool) -> Result<Password, Error> {
    match from_stdin {
        true => Ok(Password::Given(read_stdin()?)),
        false => Ok(Password::MadeUp(random::text())),
    }
}
