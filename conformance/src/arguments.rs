//! The command line.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Asks any registry about every endpoint of the OCI distribution specification.
///
/// Exit code: 0 when no check failed, 1 when one did, 2 when the registry can't be asked.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the checks; without a command that is done too
    Run(Run),
    /// Measure the registry under load
    Load(Load),
}

/// Which registry, and who asks.
#[derive(Clone, Debug, Args)]
pub(crate) struct Target {
    /// The registry, such as http://127.0.0.1:5000
    #[arg(value_name = "URL", required = true)]
    pub(crate) url: Option<String>,
    /// The name to log in with; without it requests are anonymous
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// The password to log in with
    #[arg(long, env = "WHARF_CONFORMANCE_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// What the names of repositories begin with
    #[arg(long, value_name = "PREFIX", default_value = "conformance")]
    pub(crate) repository: String,
}

/// The checks.
#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only the checks whose family and name hold this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
    /// Where to write the outcome as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Where to write the outcome as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// No line of progress, on a terminal either
    #[arg(long)]
    pub(crate) no_progress: bool,
}

/// The load.
#[derive(Clone, Debug, Args)]
pub(crate) struct Load {
    #[command(flatten)]
    pub(crate) target: Target,
    /// What each client does again and again
    #[arg(long, value_enum, default_value_t = Mode::Pull)]
    pub(crate) mode: Mode,
    /// How large a blob is
    #[arg(long, default_value = "1MiB")]
    pub(crate) size: ByteSize,
    /// How many clients there are, each with a connection of its own
    #[arg(long, default_value_t = 8)]
    pub(crate) clients: usize,
    /// For how many seconds they ask
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// How many different blobs are pulled
    #[arg(long, default_value_t = 8)]
    pub(crate) blobs: usize,
    /// Where to write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What a client of a load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// GET whole blobs
    Pull,
    /// POST and PUT new blobs
    Push,
    /// Every other client pulls, the others push
    Mixed,
    /// GET a manifest by its tag
    Manifest,
    /// HEAD a blob
    Head,
    /// Push small images: a config, a layer and a manifest
    Image,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_url_alone_runs_the_checks() {
        let parsed = Arguments::try_parse_from(["x", "http://h:1", "--only", "blobs"]);
        let parsed = parsed.expect("it is understood");
        assert!(parsed.command.is_none());
        assert_eq!(parsed.run.target.url.as_deref(), Some("http://h:1"));
        assert!(Arguments::try_parse_from(["x"]).is_err());
    }

    #[test]
    fn a_load_has_a_size_with_a_unit() {
        let parsed = Arguments::try_parse_from(["x", "load", "http://h:1", "--size", "64KiB"]);
        match parsed.expect("it is understood").command {
            Some(Command::Load(load)) => assert_eq!(load.size.as_u64(), 65_536),
            other => panic!("{other:?}"),
        }
    }
}
