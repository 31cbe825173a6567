//! `wharf-conformance`: asks any registry about every endpoint of the OCI distribution
//! specification, and measures it under load.
//!
//! It is a black box's other side: it knows the specification and the registry's address, and
//! shares no code with Wharf.
//!
//! | module | job |
//! |---|---|
//! | `arguments` | the command line |
//! | `client` | requests and answers, with the docker token flow |
//! | `content` | blobs and manifests that no registry has seen before |
//! | `check` | what a check is, and what it can come to |
//! | `checks` | the checks, one file for each family of endpoints |
//! | `suite` | runs the checks |
//! | `report` | the table, JUnit and JSON |
//! | `load` | the load generator |

mod arguments;
mod check;
mod checks;
mod client;
mod content;
mod load;
mod report;
mod suite;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

/// A check failed, or a request of a load did.
const FAILED: u8 = 1;
/// The command line is wrong, or the registry can't be asked at all.
const UNUSABLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Some(Command::Load(load)) => load::run(load).await,
        Some(Command::Run(run)) => suite::run(run).await.map_err(Into::into),
        None => suite::run(&arguments.run).await.map_err(Into::into),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}
