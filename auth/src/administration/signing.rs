//! The keys that sign tokens, and what of all that is sealed the server's key opens.
//!
//! A server whose key was lost must not go on with a new one in silence: nobody could log in with what
//! the old one sealed, and what the new one seals would be lost with the old one's return.

use std::time::Duration;

use wharf_storage::metadata::{AccessRecords, SigningKeyRecord};

use super::{Administration, Error, found};
use crate::token::SigningKey;

/// What the server's key doesn't open.
#[derive(Clone, Debug, Default)]
struct Unreadable {
    signing_keys: Vec<String>,
    access_keys: Vec<String>,
}

impl Administration {
    /// Makes the key that signs tokens when there is none.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn first_signing_key(&self) -> Result<(), Error> {
        let key = self.signing_key(&SigningKey::generate())?;
        self.metadata.add_first_signing_key(key).await?;
        Ok(())
    }

    /// The keys that sign tokens or did, the oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRecord>, Error> {
        Ok(self.metadata.access_records().await?.signing_keys)
    }

    /// Makes another key sign from now on; `pem` brings one along. Older ones verify for as long as
    /// any token lives, `lifetime`. Gives the new key's name.
    ///
    /// # Errors
    ///
    /// When what is brought is no key, and [`Error::OtherKey`].
    pub async fn rotate_signing_key(
        &self,
        pem: Option<&[u8]>,
        lifetime: Duration,
    ) -> Result<String, Error> {
        self.require_readable(&self.metadata.access_records().await?)?;
        let stored = match pem {
            Some(pem) => SigningKey::import(pem)?,
            None => SigningKey::generate(),
        };
        let key = self.signing_key(&stored)?;
        let (id, forget) = (key.id.clone(), key.created_at.before(lifetime));
        self.metadata.rotate_signing_key(key, forget).await?;
        Ok(id)
    }

    /// Removes a key that signs tokens or did: what it signed counts no more. Where it was the one
    /// that signs, a new one takes its place.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::OtherKey`].
    pub async fn remove_signing_key(&self, id: &str) -> Result<(), Error> {
        self.require_readable(&self.metadata.access_records().await?)?;
        let next = self.signing_key(&SigningKey::generate())?;
        let removed = self.metadata.remove_signing_key(id, next).await?;
        found(removed, || format!("signing key {id}"))
    }

    /// Asserts that the server's key opens all that is sealed.
    ///
    /// # Errors
    ///
    /// [`Error::OtherKey`], or when the database fails.
    pub async fn check_key(&self) -> Result<(), Error> {
        self.require_readable(&self.metadata.access_records().await?)
    }

    /// Removes the keys that the server's key doesn't open, and gives their names. What they signed
    /// counts no more; where none is left that signs, a new one does.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn drop_unreadable(&self) -> Result<Vec<String>, Error> {
        let unreadable = self.unreadable(&self.metadata.access_records().await?);
        for id in &unreadable.access_keys {
            self.metadata.remove_access_key(id).await?;
        }
        for id in &unreadable.signing_keys {
            let next = self.signing_key(&SigningKey::generate())?;
            self.metadata.remove_signing_key(id, next).await?;
        }
        Ok(unreadable.names())
    }

    pub(super) fn require_readable(&self, records: &AccessRecords) -> Result<(), Error> {
        match self.unreadable(records).names() {
            names if names.is_empty() => Ok(()),
            names => Err(Error::OtherKey(names)),
        }
    }

    fn unreadable(&self, records: &AccessRecords) -> Unreadable {
        let fails = |id: &str, sealed: &[u8]| self.sealer.open(id, sealed).is_err();
        let signing_keys = records.signing_keys.iter();
        let access_keys = records.access_keys.iter();
        Unreadable {
            signing_keys: signing_keys
                .filter(|key| fails(&key.id, &key.sealed))
                .map(|key| key.id.clone())
                .collect(),
            access_keys: access_keys
                .filter(|key| fails(&key.id, &key.sealed_secret))
                .map(|key| key.id.clone())
                .collect(),
        }
    }

    fn signing_key(&self, stored: &[u8]) -> Result<SigningKeyRecord, Error> {
        let key = SigningKey::read(stored, None)?;
        Ok(SigningKeyRecord {
            id: key.id().to_owned(),
            sealed: self.sealer.seal(key.id(), stored),
            created_at: self.clock.now(),
            retired_at: None,
        })
    }
}

impl Unreadable {
    fn names(&self) -> Vec<String> {
        let signing = self
            .signing_keys
            .iter()
            .map(|id| format!("signing key {id}"));
        let access = self.access_keys.iter().map(|id| format!("access key {id}"));
        signing.chain(access).collect()
    }
}
