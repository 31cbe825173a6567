//! The audit log: who did what, from where, and whether they were let.

use std::sync::Arc;

use super::Metadata;
use super::error::Error;
use crate::clock::Timestamp;

/// Something that somebody did or tried to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who, `kind/name`, or `anonymous`.
    pub principal: String,
    /// From where.
    pub address: String,
    /// What, such as `ecr:PutImage`.
    pub action: String,
    /// To what: a repository's name, or what else was changed.
    pub resource: String,
    /// `allowed`, `denied` or `failed`.
    pub outcome: String,
    /// The request's name in the log.
    pub request_id: String,
    /// What else helps to understand it.
    pub detail: String,
}

/// A record with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place; a later one is larger.
    pub id: i64,
    /// The record.
    pub record: AuditRecord,
}

/// Which records are asked for; nothing stands for any.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Of this principal.
    pub principal: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this.
    pub resource: Option<String>,
    /// That ended so.
    pub outcome: Option<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Before this place in the log.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: u64,
}

impl Metadata {
    /// Adds records to the log.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn record_audit(&self, records: impl Into<Arc<[AuditRecord]>>) -> Result<(), Error> {
        let records = records.into();
        self.write(move |transaction| {
            for record in records.iter() {
                transaction.execute(
                    "INSERT INTO audit
                         (at, principal, address, action, resource, outcome, request_id, detail)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    &[
                        record.at.into(),
                        record.principal.as_str().into(),
                        record.address.as_str().into(),
                        record.action.as_str().into(),
                        record.resource.as_str().into(),
                        record.outcome.as_str().into(),
                        record.request_id.as_str().into(),
                        record.detail.as_str().into(),
                    ],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Records of the log, the newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditEntry>, Error> {
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT id, at, principal, address, action, resource, outcome, request_id, detail
                 FROM audit
                 WHERE id < $1 AND at >= $2
                   AND principal = COALESCE($3, principal) AND action = COALESCE($4, action)
                   AND resource = COALESCE($5, resource) AND outcome = COALESCE($6, outcome)
                 ORDER BY id DESC LIMIT $7",
                &[
                    query.before.unwrap_or(i64::MAX).into(),
                    query.since.unwrap_or(Timestamp::from_micros(0)).into(),
                    query.principal.as_deref().into(),
                    query.action.as_deref().into(),
                    query.resource.as_deref().into(),
                    query.outcome.as_deref().into(),
                    query.limit.into(),
                ],
            )?;
            rows.into_iter()
                .map(|mut row| {
                    Ok(AuditEntry {
                        id: row.integer("id")?,
                        record: AuditRecord {
                            at: row.time("at")?,
                            principal: row.text("principal")?,
                            address: row.text("address")?,
                            action: row.text("action")?,
                            resource: row.text("resource")?,
                            outcome: row.text("outcome")?,
                            request_id: row.text("request_id")?,
                            detail: row.text("detail")?,
                        },
                    })
                })
                .collect()
        })
        .await
    }

    /// Forgets records from before a moment, `limit` at most, and tells how many.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn forget_audit(&self, before: Timestamp, limit: u64) -> Result<u64, Error> {
        self.write(move |transaction| {
            transaction.execute(
                "DELETE FROM audit WHERE id IN
                     (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)",
                &[before.into(), limit.into()],
            )
        })
        .await
    }
}
