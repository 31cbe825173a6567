//! The command line.
//!
//! | command | job |
//! |---|---|
//! | `serve` | runs the registry |
//! | `check-config` | tells what is wrong with a configuration, or what it comes to |
//! | `healthcheck` | asks a running server whether it is ready |
//! | `user`, `robot`, `key` | who there is, and what they show |
//! | `policy` | who may do what, and whose tokens are taken |
//! | `lifecycle`, `tag` | what removes images, and what keeps them; where a tag has been |
//! | `gc`, `trash`, `why` | what nothing needs any more, what can be restored, and why |
//! | `scrub` | whether the bytes are still right |
//! | `export`, `import` | images, to and from layouts and other registries |
//! | `adopt` | a docker-registry's folder, taken over in place |
//! | `rebuild` | a lost database, made anew |
//! | `can` | whether somebody may, and why |
//! | `audit` | who did what |
//! | `events` | what happened |
//! | `endpoint` | where events are delivered to |
//!
//! `office` and `grant` are what the commands of administration share; `transfer` and `progress` what
//! those that copy share; `environment`, `open_files` and `error` are what they share with the system: variables, limits,
//! and how a failure is told; `printable` is how a text of others is.

mod adopt;
mod audit;
mod can;
mod check_config;
mod endpoint;
mod environment;
mod error;
mod events;
mod export;
mod gc;
mod grant;
mod healthcheck;
mod import;
mod key;
mod lifecycle;
mod office;
mod open_files;
mod policy;
mod printable;
mod progress;
mod rebuild;
mod robot;
mod scrub;
mod serve;
mod tag;
mod transfer;
mod trash;
mod user;
mod why;

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
    /// Make, change and remove users
    #[command(subcommand)]
    User(user::Command),
    /// Make, change and remove robots
    #[command(subcommand)]
    Robot(robot::Command),
    /// Make and remove AWS-style keys, and the keys that sign tokens
    #[command(subcommand)]
    Key(key::Command),
    /// Say who may do what
    #[command(subcommand)]
    Policy(policy::Command),
    /// Say whose tokens of other issuers are taken
    #[command(subcommand)]
    Trust(policy::TrustCommand),
    /// Tell what lifecycle policies would do, or run them
    #[command(subcommand)]
    Lifecycle(lifecycle::Command),
    /// Lock tags against lifecycle policies, tell where they have been, take them back
    #[command(subcommand)]
    Tag(tag::Command),
    /// Collect what nothing needs any more, or tell what would go
    #[command(subcommand)]
    Gc(gc::Command),
    /// Show what was deleted, and restore it
    #[command(subcommand)]
    Trash(trash::Command),
    /// Read the bytes of all blobs again, to find those that have changed
    Scrub(scrub::Arguments),
    /// Copy images of this registry to a layout, an archive or another registry
    Export(export::Arguments),
    /// Copy images of a layout, an archive or another registry into this one
    Import(import::Arguments),
    /// Take over a docker-registry's folder or bucket in place, without copying its bytes
    Adopt(adopt::Arguments),
    /// Make a lost database anew, as far as the bytes and the records beside them tell
    Rebuild(rebuild::Arguments),
    /// Tell what keeps a digest, or what removed it
    Why(why::Arguments),
    /// Tell whether somebody may do something, and why
    Can(can::Arguments),
    /// Show who did what
    Audit(audit::Arguments),
    /// Show what happened
    #[command(subcommand)]
    Events(events::Command),
    /// Say where events are delivered to
    #[command(subcommand)]
    Endpoint(endpoint::Command),
}

/// Runs what the command line asks for. What fails is told on the standard error, a line for each
/// thing that is wrong.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    open_files::keep_to_ourselves();
    let outcome = match cli.command {
        Command::Serve(flags) => serve::run(&flags),
        Command::CheckConfig(flags) => check_config::run(&flags),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::User(command) => user::run(command),
        Command::Robot(command) => robot::run(command),
        Command::Key(command) => key::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Trust(command) => policy::run_trust(command),
        Command::Lifecycle(command) => lifecycle::run(command),
        Command::Tag(command) => tag::run(command),
        Command::Gc(command) => gc::run(command),
        Command::Trash(command) => trash::run(command),
        Command::Scrub(arguments) => scrub::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Adopt(arguments) => adopt::run(arguments),
        Command::Rebuild(arguments) => rebuild::run(arguments),
        Command::Why(arguments) => why::run(arguments),
        Command::Can(arguments) => can::run(arguments),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Events(command) => events::run(command),
        Command::Endpoint(command) => endpoint::run(command),
    };
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    for line in error.lines() {
        // A fault in a file is drawn over several lines.
        let line: Vec<_> = line.split('\n').map(printable::printable).collect();
        eprintln!("error: {}", line.join("\n"));
    }
    ExitCode::FAILURE
}
