//! `wharf audit`: who did what, the newest first.

use wharf_storage::metadata::{AuditEntry, AuditQuery};

use super::error::Error;
use super::office::{self, shown};
use crate::audit::{Outcome, moment};
use crate::config::Flags;

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only of this principal, such as user/alice
    #[arg(long)]
    principal: Option<String>,
    /// Only this, such as ecr:PutImage or login
    #[arg(long)]
    action: Option<String>,
    /// Only about this repository
    #[arg(long)]
    resource: Option<String>,
    /// Only what ended so: allowed, denied, failed
    #[arg(long)]
    outcome: Option<Outcome>,
    /// Only from this moment on: 2026-01-31T12:00:00Z, or 2h for the last two hours
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
    /// Only before this record, by the number that its line begins with
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// How many records at most
    #[arg(long, default_value_t = 100)]
    limit: u64,
    #[command(flatten)]
    flags: Flags,
}

/// Prints the records, a line each, which begins with the record's number: `--before` leads on.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        principal,
        action,
        resource,
        outcome,
        since,
        before,
        limit,
        flags,
    } = arguments;
    office::run(&flags, |office, _| async move {
        let now = office.clock.now();
        let since = since.map(|text| moment(&text, now)).transpose()?;
        let query = AuditQuery {
            principal,
            action,
            resource,
            outcome: outcome.map(|outcome| outcome.as_str().to_owned()),
            since,
            before,
            limit,
        };
        let entries = office.metadata.audit(query).await;
        for AuditEntry { id, record } in entries.map_err(crate::app::Error::Metadata)? {
            println!(
                "{id}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                shown(Some(record.at)),
                record.outcome,
                record.principal,
                record.address,
                record.action,
                record.resource,
                record.detail,
                record.request_id
            );
        }
        Ok(())
    })
}
