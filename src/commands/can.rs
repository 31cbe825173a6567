//! `wharf can WHO ACTION REPOSITORY`: whether somebody may do something, rule by rule.

use std::net::IpAddr;
use std::sync::Arc;

use wharf_auth::authorizer::Decision;
use wharf_auth::identity::Context;

use super::error::Error;
use super::office;
use crate::config::Flags;
use crate::explanation::{self, Question};

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Who: alice, robot/ci, federated/github/SUBJECT, anonymous
    who: String,
    /// What: PutImage, ecr:BatchGetImage, wharf:Administer
    action: String,
    /// Where; without it the registry itself
    repository: Option<String>,
    /// From where
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// As if the call came encrypted
    #[arg(long)]
    secure: bool,
    /// What a federated token claims, NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    #[command(flatten)]
    flags: Flags,
}

/// Asks; what is denied makes the command fail.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let claims = arguments.claim.iter().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    });
    let context = Context {
        address: arguments.address,
        secure: arguments.secure,
        claims: Arc::new(claims.collect()),
        ..Context::default()
    };
    let repository = arguments.repository.as_deref();
    let question = Question::parse(&arguments.who, &arguments.action, repository, context)?;
    office::run(&arguments.flags, |office, _| async move {
        let explanation =
            explanation::explain(&*office.snapshot().await?, &question, office.clock.now());
        print!("{}", explanation.text());
        match explanation.decision {
            Decision::Allowed => Ok(()),
            Decision::Denied => Err(Error::Denied),
        }
    })
}
