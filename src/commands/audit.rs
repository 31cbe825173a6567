//! `wharf audit`: who did what, the newest first.

use wharf_storage::metadata::{AuditEntry, AuditQuery};

use super::error::Error;
use super::office::{self, shown};
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
    outcome: Option<String>,
    /// How many records at most
    #[arg(long, default_value_t = 100)]
    limit: u64,
    #[command(flatten)]
    flags: Flags,
}

/// Prints the records, a line each.
pub(super) fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        principal,
        action,
        resource,
        outcome,
        limit,
        flags,
    } = arguments;
    office::run(&flags, |office, _| async move {
        let query = AuditQuery {
            principal,
            action,
            resource,
            outcome,
            limit,
            ..AuditQuery::default()
        };
        let entries = office.metadata.audit(query).await;
        for AuditEntry { record, .. } in entries.map_err(crate::app::Error::Metadata)? {
            println!(
                "{}\t{}\t{}\t{}\t{}\t{}\t{}",
                shown(Some(record.at)),
                record.outcome,
                record.principal,
                record.address,
                record.action,
                record.resource,
                record.request_id
            );
        }
        Ok(())
    })
}
