//! The command line.
//!
//! | command | module |
//! |---|---|
//! | `serve` | `serve`: runs what the registry holds |
//! | `check-config` | here: what the configuration comes to, or what is wrong with it |

mod serve;

use std::error::Error as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, Flags};
use crate::{app, store};

/// Runs images of a registry in the shapes of Amazon ECS, Lambda, Batch and Lightsail.
#[derive(Debug, Parser)]
#[command(name = "wharf-runner", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run images until told to stop; what runs goes on without the runner
    Serve(Flags),
    /// Print what the configuration comes to, or what is wrong with it
    CheckConfig(Flags),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the configuration can't be used")]
    Config(#[from] config::Error),
    #[error("failed to start the log")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("failed to start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("failed to listen to signals")]
    Signals(#[source] std::io::Error),
    #[error("failed to open the state")]
    Store(#[from] store::Error),
    #[error("failed to start")]
    App(#[from] app::Error),
}

/// Runs a command, and tells how the process shall end.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(flags) => serve::run(&flags),
        Command::CheckConfig(flags) => check(&flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wharf-runner: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn check(flags: &Flags) -> Result<(), Error> {
    let config = Config::load(flags, std::env::vars())?;
    print!("{}", config.without_secrets());
    Ok(())
}
