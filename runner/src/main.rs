//! The program `wharf-runner`.

use std::process::ExitCode;

use clap::Parser as _;
use wharf_runner::commands::Cli;

fn main() -> ExitCode {
    wharf_runner::commands::run(Cli::parse())
}
