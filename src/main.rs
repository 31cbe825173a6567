//! The program `wharf`.

use std::process::ExitCode;

use clap::Parser as _;
use wharf::commands::Cli;

fn main() -> ExitCode {
    wharf::commands::run(Cli::parse())
}
