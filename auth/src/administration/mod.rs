//! Making, changing and removing principals, keys, policies and trusts.
//!
//! The command line and `/admin/v1` both come here. A secret is told once, when it is made, and is
//! kept hashed or sealed.
//!
//! | module | job |
//! |---|---|
//! | `signing` | the keys that sign tokens, and what the server's key opens |

mod signing;

use std::sync::Arc;
use std::time::Duration;

use wharf_storage::clock::{Clock, Timestamp};
use wharf_storage::metadata::{
    self, AccessKeyRecord, Change, Metadata, PolicyRecord, PrincipalChange, PrincipalRecord,
    TrustRecord,
};

use crate::directory::Snapshot;
use crate::identity::{Kind, Principal, is_name};
use crate::oidc::{Trust, TrustError};
use crate::password::{self, PasswordError};
use crate::policy::{Attachment, Document, DocumentError};
use crate::seal::Sealer;
use crate::token::KeyError;
use crate::{random, secret};

/// Names that clients use for something else.
const RESERVED: [&str; 5] = ["AWS", "token", "oidc", "anonymous", "root"];

/// The longest life of a robot or a key: a longer one is a slip, and can't be told as a date.
pub const LONGEST_LIFE: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// What may do everything.
pub const ADMINISTRATOR: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Administrator","Effect":"Allow","Action":"*","Resource":"*"}]}"#;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no name.
    #[error(
        "a name has 1 to 128 of A-Z a-z 0-9 . _ @ + -, begins with a letter or a digit, and is \
         none of AWS, token, oidc, anonymous, root"
    )]
    Name,
    /// The name is taken.
    #[error("{0} exists already")]
    Exists(String),
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(String),
    /// It would be dead at birth, or live for longer than anybody plans.
    #[error("a lifetime is longer than 0s, and of at most ten years")]
    Lifetime,
    /// The password is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The policy is not valid.
    #[error(transparent)]
    Policy(#[from] DocumentError),
    /// The target of a policy is none.
    #[error(
        "a policy is attached to registry, repository/NAME, user/NAME, robot/NAME, federated/TRUST or certificate/NAME, not to {0}"
    )]
    Target(String),
    /// The trust is not valid.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The signing key is none.
    #[error(transparent)]
    SigningKey(#[from] KeyError),
    /// Something is sealed with another key, so nothing more is sealed with this one.
    #[error(
        "the server's key does not open what is sealed in the database ({}): put back the key that \
         did, or give up what it sealed with wharf key drop-unreadable",
        .0.join(", ")
    )]
    OtherKey(Vec<String>),
    /// The database failed.
    #[error("the metadata failed")]
    Metadata(#[from] metadata::Error),
}

/// A principal with the secret that is told once.
#[derive(Clone, Debug)]
pub struct Created {
    /// Who it is.
    pub principal: Principal,
    /// Its secret.
    pub secret: String,
}

/// An access key with the secret that is told once.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    /// Its public part.
    pub id: String,
    /// Its secret part.
    pub secret: String,
}

/// Who does the administrator's work.
#[derive(Clone, Debug)]
pub struct Administration {
    metadata: Metadata,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
}

impl Administration {
    /// Administration of what lies in `metadata`.
    #[must_use]
    pub fn new(metadata: Metadata, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        Self {
            metadata,
            sealer,
            clock,
        }
    }

    /// Makes an administrator when nobody who is let in could be one, and tells its password. Of
    /// several servers that start at once, one does.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn first_administrator(&self) -> Result<Option<Created>, Error> {
        let (password, now) = (random::text(), self.clock.now());
        let secret = hashed(password.clone()).await?;
        loop {
            let snapshot = Snapshot::new(self.metadata.access_records().await?, &self.sealer);
            if snapshot.has_administrator(now) {
                return Ok(None);
            }
            let principal = (1..)
                .map(|number| match number {
                    1 => Principal::user("admin"),
                    number => Principal::user(&format!("admin-{number}")),
                })
                .find(|principal| snapshot.record(principal).is_none())
                .expect("numbers don't end");
            let target = principal.to_string();
            let record = PrincipalRecord {
                description: "made when there was no administrator".into(),
                ..self.record(
                    "user",
                    target.trim_start_matches("user/"),
                    secret.clone(),
                    "",
                )
            };
            let policy = PolicyRecord {
                target,
                document: ADMINISTRATOR.into(),
                updated_by: "wharf".into(),
                updated_at: now,
            };
            // What was read is still so, or it is read again.
            let seen = snapshot.revision;
            if self.metadata.add_principal_at(seen, record, policy).await? {
                return Ok(Some(Created {
                    principal,
                    secret: password,
                }));
            }
        }
    }

    /// Makes a user with a password.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::Exists`], [`Error::Password`].
    pub async fn add_user(
        &self,
        name: &str,
        password: &str,
        description: &str,
    ) -> Result<Principal, Error> {
        let name = checked(name)?;
        let record = self.record(
            "user",
            name,
            hashed(password.to_owned()).await?,
            description,
        );
        self.add(record).await?;
        Ok(Principal::user(name))
    }

    /// Makes a robot, and tells its secret.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::Lifetime`], [`Error::Exists`].
    pub async fn add_robot(
        &self,
        name: &str,
        description: &str,
        lifetime: Option<Duration>,
    ) -> Result<Created, Error> {
        let name = checked(name)?;
        let expires_at = self.end(lifetime)?;
        let secret = secret::generate();
        let mut record = self.record("robot", name, secret::hash(&secret), description);
        record.expires_at = expires_at;
        self.add(record).await?;
        let principal = Principal::robot(name);
        Ok(Created { principal, secret })
    }

    /// When something ends that lives for so long from now.
    fn end(&self, lifetime: Option<Duration>) -> Result<Option<Timestamp>, Error> {
        match lifetime {
            None => Ok(None),
            Some(lifetime) if lifetime.is_zero() || lifetime > LONGEST_LIFE => Err(Error::Lifetime),
            Some(lifetime) => Ok(Some(self.clock.now().after(lifetime))),
        }
    }

    fn record(&self, kind: &str, name: &str, secret: String, description: &str) -> PrincipalRecord {
        let now = self.clock.now();
        PrincipalRecord {
            kind: kind.into(),
            name: name.into(),
            secret,
            description: description.into(),
            created_at: now,
            expires_at: None,
            disabled: false,
            valid_from: now,
        }
    }

    async fn add(&self, record: PrincipalRecord) -> Result<(), Error> {
        let name = format!("{}/{}", record.kind, record.name);
        match self.metadata.add_principal(record).await? {
            true => Ok(()),
            false => Err(Error::Exists(name)),
        }
    }

    /// Gives a user another password, shuts it out, or lets it in again. What was given out before
    /// counts no more.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::Password`].
    pub async fn change_user(
        &self,
        name: &str,
        password: Option<&str>,
        disabled: Option<bool>,
    ) -> Result<(), Error> {
        let secret = match password {
            None => None,
            Some(password) => Some(hashed(password.to_owned()).await?),
        };
        let is_change = secret.is_some() || disabled.is_some();
        let change = PrincipalChange {
            valid_from: is_change.then(|| self.clock.now()),
            secret,
            disabled,
        };
        self.change(Kind::User, name, change).await
    }

    /// Gives a user another password. What was given out before counts no more.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::Password`].
    pub async fn set_password(&self, name: &str, password: &str) -> Result<(), Error> {
        self.change_user(name, Some(password), None).await
    }

    /// Gives a robot another secret, and tells it. The old one counts no more.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub async fn rotate_secret(&self, name: &str) -> Result<Created, Error> {
        let secret = secret::generate();
        let change = PrincipalChange {
            secret: Some(secret::hash(&secret)),
            valid_from: Some(self.clock.now()),
            ..PrincipalChange::default()
        };
        self.change(Kind::Robot, name, change).await?;
        let principal = Principal::robot(name);
        Ok(Created { principal, secret })
    }

    /// Shuts a user or a robot out, or lets it in again. Its tokens count no more either way.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub async fn set_disabled(&self, kind: Kind, name: &str, disabled: bool) -> Result<(), Error> {
        let change = PrincipalChange {
            disabled: Some(disabled),
            valid_from: Some(self.clock.now()),
            ..PrincipalChange::default()
        };
        self.change(kind, name, change).await
    }

    async fn change(&self, kind: Kind, name: &str, change: PrincipalChange) -> Result<(), Error> {
        let changed = self.metadata.change_principal(kind.as_str(), name, change);
        found(changed.await?, || format!("{kind}/{name}"))
    }

    /// Removes a user or a robot with its keys and its policy.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub async fn remove(&self, kind: Kind, name: &str) -> Result<(), Error> {
        let removed = self.metadata.remove_principal(kind.as_str(), name).await?;
        found(removed, || format!("{kind}/{name}"))
    }

    /// Makes an AWS-style key for a user or a robot, and tells its secret.
    ///
    /// # Errors
    ///
    /// [`Error::Lifetime`], [`Error::Missing`], [`Error::OtherKey`].
    pub async fn add_access_key(
        &self,
        owner: &Principal,
        lifetime: Option<Duration>,
    ) -> Result<CreatedKey, Error> {
        let expires_at = self.end(lifetime)?;
        let records = self.metadata.access_records().await?;
        self.require_readable(&records)?;
        let is_there = records
            .principals
            .iter()
            .any(|record| format!("{}/{}", record.kind, record.name) == owner.to_string());
        found(is_there, || owner.to_string())?;
        let id = format!("WKIA{}", random::base32(16));
        let secret = random::text();
        let record = AccessKeyRecord {
            sealed_secret: self.sealer.seal(&id, secret.as_bytes()),
            id: id.clone(),
            principal: owner.to_string(),
            created_at: self.clock.now(),
            expires_at,
        };
        self.metadata.add_access_key(record).await?;
        Ok(CreatedKey { id, secret })
    }

    /// Removes an AWS-style key.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub async fn remove_access_key(&self, id: &str) -> Result<(), Error> {
        let removed = self.metadata.remove_access_key(id).await?;
        found(removed, || format!("access key {id}"))
    }

    /// Ends a session that would go on until `expires_at`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn end_session(&self, id: &str, expires_at: Timestamp) -> Result<(), Error> {
        let now = self.clock.now();
        Ok(self.metadata.end_session(id, expires_at, now).await?)
    }

    /// Attaches a policy, in the place of the one that was attached there.
    ///
    /// # Errors
    ///
    /// [`Error::Target`], [`Error::Policy`].
    pub async fn put_policy(
        &self,
        target: &str,
        document: &str,
        change: Change,
    ) -> Result<(), Error> {
        let attachment = Attachment::of(target).ok_or_else(|| Error::Target(target.into()))?;
        Document::parse(document, attachment)?;
        let policy = PolicyRecord {
            target: target.into(),
            document: document.into(),
            updated_by: change.actor.clone(),
            updated_at: change.now,
        };
        Ok(self.metadata.put_policy(policy, change).await?)
    }

    /// Takes a policy away.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub async fn remove_policy(&self, target: &str, change: Change) -> Result<(), Error> {
        let removed = self.metadata.remove_policy(target, change).await?;
        found(removed, || format!("policy of {target}"))
    }

    /// Adds a trust, in the place of the one that had its name. What was given out under that one
    /// counts no more.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::Trust`].
    pub async fn put_trust(&self, name: &str, document: &str) -> Result<(), Error> {
        let name = checked(name)?;
        Trust::parse(document)?;
        let now = self.clock.now();
        let trust = TrustRecord {
            name: name.into(),
            document: document.into(),
            created_at: now,
            valid_from: now,
        };
        Ok(self.metadata.put_trust(trust).await?)
    }

    /// Removes a trust with the policy of those who come by it.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`].
    pub async fn remove_trust(&self, name: &str) -> Result<(), Error> {
        let removed = self.metadata.remove_trust(name).await?;
        found(removed, || format!("trust {name}"))
    }
}

fn checked(name: &str) -> Result<&str, Error> {
    match is_name(name) && !RESERVED.contains(&name) {
        true => Ok(name),
        false => Err(Error::Name),
    }
}

fn found(is_there: bool, name: impl FnOnce() -> String) -> Result<(), Error> {
    match is_there {
        true => Ok(()),
        false => Err(Error::Missing(name())),
    }
}

/// Hashes a password where that may take its time.
async fn hashed(password: String) -> Result<String, PasswordError> {
    tokio::task::spawn_blocking(move || password::hash(&password))
        .await
        .expect("hashing does not panic")
}

#[cfg(test)]
mod tests;
