//! Settings of the registry, as documents.

use super::Metadata;
use super::error::Error;
use super::transaction::Row;
use crate::clock::Timestamp;

/// What previews of lifecycle policies are kept as, by the names of their repositories. They go with
/// these.
pub const LIFECYCLE_PREVIEW: &str = "lifecycle-preview";

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What tells it apart from others of its kind.
    pub key: String,
    /// The text.
    pub text: String,
    /// When the first one of this key was put.
    pub created_at: Timestamp,
    /// When this one was put.
    pub updated_at: Timestamp,
}

/// Whether a document may take the place of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It may; or there is none.
    Allowed,
    /// There must be none.
    Never,
    /// There must be one.
    Always,
}

impl Metadata {
    /// A document.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn document(&self, kind: &'static str, key: &str) -> Result<Option<Document>, Error> {
        let key = key.to_owned();
        self.read(move |transaction| {
            let row = transaction.query_one(
                "SELECT key, document, created_at, updated_at FROM documents
                 WHERE kind = $1 AND key = $2",
                &[kind.into(), key.as_str().into()],
            )?;
            row.map(read).transpose()
        })
        .await
    }

    /// The documents of a kind behind `after`, by key, `limit` at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn documents(
        &self,
        kind: &'static str,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Document>, Error> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |transaction| {
            let rows = transaction.query(
                "SELECT key, document, created_at, updated_at FROM documents
                 WHERE kind = $1 AND key > $2 ORDER BY key LIMIT $3",
                &[kind.into(), after.as_str().into(), limit.into()],
            )?;
            rows.into_iter().map(read).collect()
        })
        .await
    }

    /// Puts a document. Nothing when `replace` is against it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn put_document(
        &self,
        kind: &'static str,
        key: &str,
        text: &str,
        replace: Replace,
        now: Timestamp,
    ) -> Result<Option<Document>, Error> {
        let (key, text) = (key.to_owned(), text.to_owned());
        self.write(move |transaction| {
            let found = transaction.query_one(
                "SELECT created_at FROM documents WHERE kind = $1 AND key = $2",
                &[kind.into(), key.as_str().into()],
            )?;
            let created_at = match (found, replace) {
                (Some(_), Replace::Never) | (None, Replace::Always) => return Ok(None),
                (Some(mut row), _) => row.time("created_at")?,
                (None, _) => now,
            };
            transaction.execute(
                "INSERT INTO documents (kind, key, document, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (kind, key) DO UPDATE SET document = excluded.document,
                     updated_at = excluded.updated_at",
                &[
                    kind.into(),
                    key.as_str().into(),
                    text.as_str().into(),
                    created_at.into(),
                    now.into(),
                ],
            )?;
            Ok(Some(Document {
                key: key.clone(),
                text: text.clone(),
                created_at,
                updated_at: now,
            }))
        })
        .await
    }

    /// Removes a document, and gives what it was.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_document(
        &self,
        kind: &'static str,
        key: &str,
    ) -> Result<Option<Document>, Error> {
        let key = key.to_owned();
        self.write(move |transaction| {
            let row = transaction.query_one(
                "DELETE FROM documents WHERE kind = $1 AND key = $2
                 RETURNING key, document, created_at, updated_at",
                &[kind.into(), key.as_str().into()],
            )?;
            row.map(read).transpose()
        })
        .await
    }
}

fn read(mut row: Row) -> Result<Document, Error> {
    Ok(Document {
        key: row.text("key")?,
        text: row.text("document")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
