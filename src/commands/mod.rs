//! The command line.
//!
//! | command | job |
//! |---|---|
//! | `serve` | runs the registry |
//! | `check-config` | tells what is wrong with a configuration, or what it comes to |
//! | `healthcheck` | asks a running server whether it is ready |

mod check_config;
mod healthcheck;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Flags;

/// A private OCI container registry, compatible with Amazon ECR.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the registry
    Serve(Flags),
    /// Check the configuration and print what it comes to
    CheckConfig(Flags),
    /// Ask a running server whether it is ready
    Healthcheck(healthcheck::Arguments),
}

/// What a command fails with.
type Failure = Box<dyn std::error::Error>;

/// Runs what the command line asks for.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(flags) => serve::run(&flags),
        Command::CheckConfig(flags) => check_config::run(&flags),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", chain(failure.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// A failure with its causes, in one line.
fn chain(failure: &dyn std::error::Error) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
