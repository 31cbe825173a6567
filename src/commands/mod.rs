//! The command line.
//!
//! | command | job |
//! |---|---|
//! | `serve` | runs the registry |
//! | `check-config` | tells what is wrong with a configuration, or what it comes to |
//! | `healthcheck` | asks a running server whether it is ready |
//!
//! `environment`, `open_files` and `error` are what they share with the system: variables, limits,
//! and how a failure is told.

mod check_config;
mod environment;
mod error;
mod healthcheck;
mod open_files;
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

/// Runs what the command line asks for. What fails is told on the standard error, a line for each
/// thing that is wrong.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(flags) => serve::run(&flags),
        Command::CheckConfig(flags) => check_config::run(&flags),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
    };
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    for line in error.lines() {
        eprintln!("error: {line}");
    }
    ExitCode::FAILURE
}
