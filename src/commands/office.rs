//! What the commands of administration share: they work on the database itself, also while the
//! server runs, which sees what has changed within `auth.refresh_every`.

use std::future::Future;
use std::io::Read as _;
use std::time::Duration;

use wharf_auth::administration::Administration;
use wharf_auth::directory::{Directory, Snapshot};
use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{AuditRecord, Change};

use super::environment::variables;
use super::error::Error;
use crate::app::{Office, Opening};
use crate::config::{Config, Flags};

/// The longest password or document that is read.
const LONGEST: u64 = 1 << 20;

/// Who is behind the command line, in the audit log and in policies.
const ACTOR: &str = "command line";

/// Does the work of a command in the registry that the configuration describes.
pub(super) fn run<F, W>(flags: &Flags, work: W) -> Result<(), Error>
where
    W: FnOnce(Office, Config) -> F,
    F: Future<Output = Result<(), Error>>,
{
    run_in(Opening::Existing, flags, work)
}

/// The same, where what is missing may be made.
pub(super) fn run_in<F, W>(opening: Opening, flags: &Flags, work: W) -> Result<(), Error>
where
    W: FnOnce(Office, Config) -> F,
    F: Future<Output = Result<(), Error>>,
{
    // What is wrong with the listener is no matter here.
    let config = Config::read(flags, variables())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(async {
        if opening == Opening::New {
            wharf_storage::folder::make(config.data()).map_err(|source| Error::Data {
                path: config.data().to_owned(),
                source,
            })?;
        }
        let office = Office::open(&config, opening).await?;
        work(office, config).await
    })
}

impl Office {
    /// The present picture of principals and policies.
    pub(super) async fn snapshot(&self) -> Result<std::sync::Arc<Snapshot>, Error> {
        let directory = Directory::load(self.metadata.clone(), self.sealer.clone()).await;
        Ok(directory.map_err(crate::app::Error::Metadata)?.snapshot())
    }

    /// Writes what was done to the audit log.
    pub(super) async fn did(&self, action: &str, resource: &str) -> Result<(), Error> {
        let record = AuditRecord {
            at: self.clock.now(),
            principal: ACTOR.to_owned(),
            address: String::new(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            outcome: "allowed".to_owned(),
            request_id: String::new(),
            detail: String::new(),
        };
        let recorded = self.metadata.record_audit(vec![record]).await;
        Ok(recorded.map_err(crate::app::Error::Metadata)?)
    }

    /// Something that the command line changes.
    pub(super) fn change(&self) -> Change {
        Change::new(ACTOR, self.clock.now())
    }

    pub(super) fn admin(&self) -> &Administration {
        &self.administration
    }
}

/// What stands on the standard input, without the end of its last line.
pub(super) fn read_stdin() -> Result<String, Error> {
    let mut text = String::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(Error::Input)?;
    let text = text.trim_end_matches(['\r', '\n']);
    Ok(text.to_owned())
}

/// A moment as people read it; one behind the year 9999 as the last of that.
pub(super) fn shown(time: Option<Timestamp>) -> String {
    const LAST: u64 = 253_402_300_799;
    let Some(time) = time else {
        return "-".to_owned();
    };
    let seconds = u64::try_from(time.as_seconds()).unwrap_or_default();
    let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST));
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_can_be_shown() {
        for (microseconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (i64::MIN, "1970-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            let time = Timestamp::from_micros(microseconds);
            assert_eq!(shown(Some(time)), want);
        }
        assert_eq!(shown(None), "-");
    }
}
