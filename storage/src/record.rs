//! Records: copies of what the metadata says, beside the bytes.
//!
//! A record has a manifest with its tags, as they were a moment ago. Nothing reads them while the
//! database is there; a lost one is made anew from them, as far as they tell.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;

use bytes::Bytes;
use futures_util::Stream;

use crate::blob::Error;
use crate::oci::{Digest, RepositoryName};

/// What stands between the repository and the digest in a record's name. No repository's name has a
/// component like it.
const FOLDER: &str = "/_manifests/";
const SUFFIX: &str = ".json";

/// The name of a record: whose manifest it has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName {
    /// The repository.
    pub repository: RepositoryName,
    /// The manifest.
    pub digest: Digest,
}

/// A text that names no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record's name reads REPOSITORY/_manifests/ALGORITHM-HEX.json")]
pub struct RecordNameError;

impl RecordName {
    /// What the names of a repository's records begin with.
    #[must_use]
    pub fn prefix(repository: &RepositoryName) -> String {
        format!("{repository}{FOLDER}")
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, digest } = self;
        let (algorithm, hex) = (digest.algorithm(), digest.hex());
        write!(formatter, "{repository}{FOLDER}{algorithm}-{hex}{SUFFIX}")
    }
}

impl FromStr for RecordName {
    type Err = RecordNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (repository, file) = text.split_once(FOLDER).ok_or(RecordNameError)?;
        let file = file.strip_suffix(SUFFIX).ok_or(RecordNameError)?;
        let digest = file.replacen('-', ":", 1);
        Ok(Self {
            repository: repository.parse().map_err(|_| RecordNameError)?,
            digest: digest.parse().map_err(|_| RecordNameError)?,
        })
    }
}

/// The names of records, in no order.
pub type RecordNames = Pin<Box<dyn Stream<Item = Result<RecordName, Error>> + Send>>;

/// A place where records lie.
#[async_trait::async_trait]
pub trait RecordStore: fmt::Debug + Send + Sync {
    /// Puts a record in the place of the one before. It is durable after the next
    /// [`sync_records`](Self::sync_records).
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn put_record(&self, name: &RecordName, bytes: Bytes) -> Result<(), Error>;

    /// A record.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or when the store fails.
    async fn record(&self, name: &RecordName) -> Result<Bytes, Error>;

    /// Removes a record. That there is none is no error.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn remove_record(&self, name: &RecordName) -> Result<(), Error>;

    /// Makes durable what was put and removed.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn sync_records(&self) -> Result<(), Error>;

    /// The names of all records, or of one repository's.
    ///
    /// # Errors
    ///
    /// When the store fails, at once or later from the stream.
    async fn records(&self, repository: Option<&RepositoryName>) -> Result<RecordNames, Error>;
}

#[cfg(test)]
pub(crate) mod contract {
    //! What every store of records must do.

    use futures_util::TryStreamExt as _;

    use super::*;
    use crate::oci::Algorithm;

    fn name(repository: &str, content: &str) -> RecordName {
        RecordName {
            repository: repository.parse().expect("a name"),
            digest: Digest::of(Algorithm::Sha256, content.as_bytes()),
        }
    }

    /// Runs the whole contract against an empty store.
    pub(crate) async fn holds(store: &dyn RecordStore) {
        let names = [name("a/b", "1"), name("a/b", "2"), name("a", "1")];
        assert!(listed(store, None).await.is_empty());
        for one in &names {
            let bytes = Bytes::from(one.to_string());
            store.put_record(one, bytes).await.expect("put");
        }
        let again = Bytes::from_static(b"again");
        store
            .put_record(&names[0], again.clone())
            .await
            .expect("put");
        store.sync_records().await.expect("synced");
        assert_eq!(store.record(&names[0]).await.expect("read"), again);
        let mut all = names.to_vec();
        all.sort();
        assert_eq!(listed(store, None).await, all);
        let own = listed(store, Some("a")).await;
        assert_eq!(
            own,
            [name("a", "1")],
            "a repository below it is another one"
        );

        store.remove_record(&names[0]).await.expect("removed");
        store.remove_record(&names[0]).await.expect("gone already");
        let gone = store.record(&names[0]).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
        assert_eq!(listed(store, Some("a/b")).await, [name("a/b", "2")]);
        assert!(listed(store, Some("none")).await.is_empty());
    }

    async fn listed(store: &dyn RecordStore, repository: Option<&str>) -> Vec<RecordName> {
        let repository = repository.map(|name| name.parse().expect("a name"));
        let names = store.records(repository.as_ref()).await.expect("listed");
        let mut names: Vec<RecordName> = names.try_collect().await.expect("listed");
        names.sort();
        names
    }

    #[test]
    fn a_name_reads_back() {
        let one = name("team/app", "content");
        assert_eq!(one.to_string().parse(), Ok(one));
        for text in ["", "a/_manifests/x.json", "a/b.json", "/_manifests/.json"] {
            assert_eq!(text.parse::<RecordName>(), Err(RecordNameError), "{text}");
        }
    }
}
