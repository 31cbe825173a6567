//! Referrers: the manifests that name another one as their subject.

use std::collections::BTreeMap;

use super::Metadata;
use super::error::Error;
use super::transaction::Row;
use crate::oci::{Descriptor, Digest, RepositoryName};

// The repository stands as one value, so that the index gives the rows in their order and none is
// sorted behind a join.
const OF_SUBJECT: &str = "
    SELECT manifests.media_type, manifests.digest, manifests.size_bytes,
           manifests.artifact_type, manifests.annotations
    FROM manifests
    WHERE manifests.repository_id = (SELECT id FROM repositories WHERE name = $1)
      AND manifests.subject = $2 AND manifests.deleted_at IS NULL
      AND manifests.digest > $3
    ORDER BY manifests.digest LIMIT $4";

const OF_SUBJECT_AND_TYPE: &str = "
    SELECT manifests.media_type, manifests.digest, manifests.size_bytes,
           manifests.artifact_type, manifests.annotations
    FROM manifests
    WHERE manifests.repository_id = (SELECT id FROM repositories WHERE name = $1)
      AND manifests.subject = $2 AND manifests.deleted_at IS NULL
      AND manifests.artifact_type = $5 AND manifests.digest > $3
    ORDER BY manifests.digest LIMIT $4";

impl Metadata {
    /// The referrers of `subject` behind the digest `after`, in the order of their digests,
    /// `limit` at most; with `artifact_type` only those of that type. A repository or a subject
    /// that isn't there has none. Archived ones are listed too.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Descriptor>, Error> {
        let (repository, subject) = (repository.clone(), subject.clone());
        let artifact_type = artifact_type.map(ToOwned::to_owned);
        let after = after.unwrap_or_default().to_owned();
        self.read(move |transaction| {
            let mut values = vec![
                repository.as_str().into(),
                subject.as_str().into(),
                after.as_str().into(),
                limit.into(),
            ];
            let sql = match artifact_type.as_deref() {
                None => OF_SUBJECT,
                Some(artifact_type) => {
                    values.push(artifact_type.into());
                    OF_SUBJECT_AND_TYPE
                }
            };
            transaction
                .query(sql, &values)?
                .into_iter()
                .map(read)
                .collect()
        })
        .await
    }
}

fn read(mut row: Row) -> Result<Descriptor, Error> {
    let media_type = row.parsed("a manifest's type")?;
    let digest = row.parsed("a manifest's digest")?;
    let size = row.size("a manifest's size")?;
    let artifact_type = row.optional_text("an artifact's type")?;
    let annotations = match row.optional_text("a manifest's annotations")? {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(&text)
            .map_err(|error| Error::corrupt("a manifest's annotations", error))?,
    };
    Ok(Descriptor {
        media_type,
        digest,
        size,
        artifact_type,
        annotations,
    })
}
