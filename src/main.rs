//! The program `wharf`.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use wharf::commands::Cli;

/// A request makes and frees many small things, some of them on another thread than the one that
/// made them. The system's allocator took a sixth of the time of a pull by tag for that, and waited
/// for locks of its own; this one takes a sixteenth.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    wharf::commands::run(Cli::parse())
}
