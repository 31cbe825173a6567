//! What the server and the command line open alike: the metadata and the server's key.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use wharf_auth::administration::Administration;
use wharf_auth::seal::{self, Sealer};
use wharf_storage::clock::{Clock, SystemClock};
use wharf_storage::metadata::postgres::{self, Postgres};
use wharf_storage::metadata::sqlite::Sqlite;
use wharf_storage::metadata::{Database, Metadata, Replace};

use super::Error;
use crate::config::Config;

/// What the server and the command line open alike: the metadata and the server's key.
#[derive(Clone, Debug)]
pub struct Office {
    /// The metadata.
    pub metadata: Metadata,
    /// The server's key.
    pub sealer: Arc<Sealer>,
    /// Who makes and removes principals, keys and policies.
    pub administration: Administration,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where the server's key lies.
    key_path: PathBuf,
}

/// What is made where it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nothing: there is a registry.
    Existing,
    /// The database and the server's key, as at a first start. What lies there sealed has to be
    /// opened by the key.
    New,
    /// The server's key alone, whatever is sealed with the one that was lost.
    NewKey,
}

/// The document that tells whether a server has the key that the database was set up with.
const KEY_CHECK: (&str, &str) = ("server", "key-check");

impl Office {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// When the database or the key can't be used.
    pub async fn open(config: &Config, opening: Opening) -> Result<Self, Error> {
        let database: Arc<dyn Database> = match config.database.postgres() {
            None => {
                let path = config.database_path();
                if opening != Opening::New && !path.exists() {
                    return Err(Error::NoRegistry(config.data().to_owned()));
                }
                Arc::new(Sqlite::open(&path)?)
            }
            Some(settings) => {
                let settings = settings.map_err(postgres::OpenError::Address)?;
                Arc::new(Postgres::open(settings)?)
            }
        };
        let metadata = Metadata::new(database);
        let sealer = Arc::new(sealer(config, opening, &metadata).await?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let administration =
            Administration::new(metadata.clone(), Arc::clone(&sealer), Arc::clone(&clock));
        let office = Self {
            metadata,
            sealer,
            administration,
            clock,
            key_path: config.secret_key_path(),
        };
        match opening {
            Opening::New => {
                office.administration.check_key().await?;
                office.confirm_key().await?;
            }
            Opening::Existing => office.confirm_key().await?,
            Opening::NewKey => {}
        }
        Ok(office)
    }

    /// Gives up what another key sealed, so that this one is the database's, and tells the names of
    /// what is gone.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn take_over(&self) -> Result<Vec<String>, Error> {
        let dropped = self.administration.drop_unreadable().await?;
        let (kind, key) = KEY_CHECK;
        let (replace, now) = (Replace::Allowed, self.clock.now());
        let sealed = self.sealed_check();
        let put = self.metadata.put_document(kind, key, &sealed, replace, now);
        put.await?;
        Ok(dropped)
    }

    fn sealed_check(&self) -> String {
        let (kind, key) = KEY_CHECK;
        BASE64_STANDARD.encode(self.sealer.seal(key, kind.as_bytes()))
    }

    /// Looks whether the server's key is the one that this database was set up with; the first
    /// server sets it up. With another key nothing that is sealed could be opened, and what is
    /// sealed with it nobody else could open.
    ///
    /// # Errors
    ///
    /// When it is another one, or the database fails.
    async fn confirm_key(&self) -> Result<(), Error> {
        let (kind, key) = KEY_CHECK;
        let found = self.metadata.document(kind, key).await?;
        let found = match found {
            Some(document) => document,
            None => {
                let sealed = self.sealed_check();
                let (never, now) = (Replace::Never, self.clock.now());
                let put = self.metadata.put_document(kind, key, &sealed, never, now);
                put.await?;
                // Another server may have been faster.
                let found = self.metadata.document(kind, key).await?;
                found.ok_or_else(|| Error::OtherKey(self.key_path.clone()))?
            }
        };
        let sealed = BASE64_STANDARD.decode(found.text).unwrap_or_default();
        match self.sealer.open(key, &sealed) {
            Ok(_) => Ok(()),
            Err(seal::OpenError) => Err(Error::OtherKey(self.key_path.clone())),
        }
    }
}

/// The server's key. A new one is made only where nothing is lost with the one before.
async fn sealer(config: &Config, opening: Opening, metadata: &Metadata) -> Result<Sealer, Error> {
    let path = config.secret_key_path();
    let (kind, key) = KEY_CHECK;
    let is_set_up = metadata.document(kind, key).await?.is_some();
    if path.exists() {
        // One that nothing was sealed with may be what a crash left, and not be durable.
        return Ok(match opening == Opening::New && !is_set_up {
            true => Sealer::load_or_create(&path)?,
            false => Sealer::load(&path)?,
        });
    }
    let records = metadata.access_records().await?;
    let is_lost = is_set_up || !records.signing_keys.is_empty() || !records.access_keys.is_empty();
    match opening {
        Opening::NewKey => Ok(Sealer::load_or_create(&path)?),
        Opening::New if !is_lost => Ok(Sealer::load_or_create(&path)?),
        Opening::New | Opening::Existing => Err(Error::KeyLost(path)),
    }
}
