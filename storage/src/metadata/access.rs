//! Who calls and what they may do, as it is kept: principals, keys, policies, trusts.
//!
//! Every change makes the revision grow in its own transaction, so a server that asks for the
//! revision sees by it that what it knows is old. What the texts mean is not known here.

use super::Metadata;
use super::error::Error;
use super::events::{Change, EventDetail, EventKind, Journal};
use super::transaction::{Row, Transaction};
use crate::clock::Timestamp;
use crate::oci::RepositoryName;

/// A user or a robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalRecord {
    /// `user` or `robot`.
    pub kind: String,
    /// Its name, one for each kind.
    pub name: String,
    /// Its password or secret, hashed.
    pub secret: String,
    /// What it is for, in somebody's words.
    pub description: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// Whether it is shut out for now.
    pub disabled: bool,
    /// What was given out to it before this moment counts no more.
    pub valid_from: Timestamp,
}

/// What changes of a principal; nothing stays as it is.
#[derive(Clone, Debug, Default)]
pub struct PrincipalChange {
    /// The new password or secret, hashed.
    pub secret: Option<String>,
    /// Whether it is shut out for now.
    pub disabled: Option<bool>,
    /// From when what is given out to it counts.
    pub valid_from: Option<Timestamp>,
}

/// An AWS-style key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyRecord {
    /// Its public part.
    pub id: String,
    /// Whose it is, `kind/name`.
    pub principal: String,
    /// Its secret part, sealed.
    pub sealed_secret: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// A policy and what it is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRecord {
    /// `registry`, `repository/name` or a principal.
    pub target: String,
    /// The document, JSON.
    pub document: String,
    /// Who wrote it last.
    pub updated_by: String,
    /// When that was.
    pub updated_at: Timestamp,
}

/// A rule about whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRecord {
    /// Its name.
    pub name: String,
    /// The rule, JSON.
    pub document: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What was given out under it before this moment counts no more.
    pub valid_from: Timestamp,
}

/// A key that signs tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// Its name, `kid`.
    pub id: String,
    /// The private key, sealed.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it only verifies.
    pub retired_at: Option<Timestamp>,
}

/// All of it, at one moment.
#[derive(Clone, Debug, Default)]
pub struct AccessRecords {
    /// Grows with every change.
    pub revision: i64,
    /// Users and robots, by kind and name.
    pub principals: Vec<PrincipalRecord>,
    /// AWS-style keys, by id.
    pub access_keys: Vec<AccessKeyRecord>,
    /// Policies, by target.
    pub policies: Vec<PolicyRecord>,
    /// Trusts, by name.
    pub trusts: Vec<TrustRecord>,
    /// Keys that sign tokens, the oldest first.
    pub signing_keys: Vec<SigningKeyRecord>,
    /// Sessions that were left before their end, by the name of their token.
    pub ended_sessions: Vec<String>,
}

impl Metadata {
    /// The revision of what callers may do.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn access_revision(&self) -> Result<i64, Error> {
        self.read(revision).await
    }

    /// Everything about who calls and what they may do.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn access_records(&self) -> Result<AccessRecords, Error> {
        self.read(records).await
    }

    /// Adds a user or a robot, and tells whether the name was free.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn add_principal(&self, principal: PrincipalRecord) -> Result<bool, Error> {
        self.change_access(move |transaction| add_principal(transaction, &principal))
            .await
    }

    /// Adds a user or a robot with its policy, when nothing has changed since `revision`, and tells
    /// whether it did.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn add_principal_at(
        &self,
        revision: i64,
        principal: PrincipalRecord,
        policy: PolicyRecord,
    ) -> Result<bool, Error> {
        self.write(move |transaction| {
            // The row is locked from here on, so of several that have seen the same one goes on.
            let seen = transaction.execute(
                "UPDATE access_revision SET revision = revision + 1
                 WHERE id = 1 AND revision = $1",
                &[revision.into()],
            )?;
            if seen == 0 || !add_principal(transaction, &principal)? {
                return Ok(false);
            }
            put_policy(transaction, &policy)?;
            Ok(true)
        })
        .await
    }

    /// Changes a user or a robot, and tells whether it is there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn change_principal(
        &self,
        kind: &str,
        name: &str,
        change: PrincipalChange,
    ) -> Result<bool, Error> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.change_access(move |transaction| {
            let changed = transaction.execute(
                "UPDATE principals SET secret = COALESCE($3, secret),
                     disabled = COALESCE($4, disabled), valid_from = COALESCE($5, valid_from)
                 WHERE kind = $1 AND name = $2",
                &[
                    kind.as_str().into(),
                    name.as_str().into(),
                    change.secret.as_deref().into(),
                    change.disabled.map(i64::from).into(),
                    change.valid_from.into(),
                ],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    /// Removes a user or a robot with its keys and its policy, and tells whether it was there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_principal(&self, kind: &str, name: &str) -> Result<bool, Error> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        self.change_access(move |transaction| {
            let principal = format!("{kind}/{name}");
            transaction.execute(
                "DELETE FROM access_keys WHERE principal = $1",
                &[principal.as_str().into()],
            )?;
            transaction.execute(
                "DELETE FROM policies WHERE target = $1",
                &[principal.as_str().into()],
            )?;
            let removed = transaction.execute(
                "DELETE FROM principals WHERE kind = $1 AND name = $2",
                &[kind.as_str().into(), name.as_str().into()],
            )?;
            Ok(removed > 0)
        })
        .await
    }

    /// Adds an AWS-style key.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn add_access_key(&self, key: AccessKeyRecord) -> Result<(), Error> {
        self.change_access(move |transaction| {
            transaction.execute(
                "INSERT INTO access_keys (id, principal, sealed_secret, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5)",
                &[
                    key.id.as_str().into(),
                    key.principal.as_str().into(),
                    key.sealed_secret.as_slice().into(),
                    key.created_at.into(),
                    key.expires_at.into(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Removes an AWS-style key, and tells whether it was there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_access_key(&self, id: &str) -> Result<bool, Error> {
        self.remove("DELETE FROM access_keys WHERE id = $1", id)
            .await
    }

    /// Attaches a policy, in the place of the one that was attached there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn put_policy(&self, policy: PolicyRecord, change: Change) -> Result<(), Error> {
        self.commit(change, move |transaction, journal| {
            grow(transaction)?;
            note_policy(journal, &policy.target, false);
            put_policy(transaction, &policy)
        })
        .await
    }

    /// Takes a policy away, and tells whether there was one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_policy(&self, target: &str, change: Change) -> Result<bool, Error> {
        let target = target.to_owned();
        self.commit(change, move |transaction, journal| {
            let removed = transaction.execute(
                "DELETE FROM policies WHERE target = $1",
                &[target.as_str().into()],
            )?;
            if removed > 0 {
                grow(transaction)?;
                note_policy(journal, &target, true);
            }
            Ok(removed > 0)
        })
        .await
    }

    /// Adds a trust, in the place of the one that had its name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn put_trust(&self, trust: TrustRecord) -> Result<(), Error> {
        self.change_access(move |transaction| {
            transaction.execute(
                "INSERT INTO trusts (name, document, created_at, valid_from)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO UPDATE SET document = EXCLUDED.document,
                     valid_from = EXCLUDED.valid_from",
                &[
                    trust.name.as_str().into(),
                    trust.document.as_str().into(),
                    trust.created_at.into(),
                    trust.valid_from.into(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Removes a trust with the policy of those who come by it, and tells whether it was there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_trust(&self, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        self.change_access(move |transaction| {
            let principal = format!("federated/{name}");
            transaction.execute(
                "DELETE FROM policies WHERE target = $1",
                &[principal.as_str().into()],
            )?;
            let removed = transaction.execute(
                "DELETE FROM trusts WHERE name = $1",
                &[name.as_str().into()],
            )?;
            Ok(removed > 0)
        })
        .await
    }

    /// Adds the key that signs from now on. Those before it only verify, and those that were
    /// retired before `forget` are removed.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn rotate_signing_key(
        &self,
        key: SigningKeyRecord,
        forget: Timestamp,
    ) -> Result<(), Error> {
        self.change_access(move |transaction| {
            transaction.execute(
                "UPDATE signing_keys SET retired_at = $1 WHERE retired_at IS NULL",
                &[key.created_at.into()],
            )?;
            transaction.execute(
                "DELETE FROM signing_keys WHERE retired_at < $1",
                &[forget.into()],
            )?;
            add_signing_key(transaction, &key)
        })
        .await
    }

    /// Adds a signing key when there is none, and tells whether it did.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn add_first_signing_key(&self, key: SigningKeyRecord) -> Result<bool, Error> {
        self.change_access(move |transaction| {
            let found = transaction.query_one("SELECT id FROM signing_keys LIMIT 1", &[])?;
            if found.is_some() {
                return Ok(false);
            }
            add_signing_key(transaction, &key)?;
            Ok(true)
        })
        .await
    }

    /// Removes a signing key, and tells whether it was there. Where no key is left that signs, `next`
    /// does.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn remove_signing_key(
        &self,
        id: &str,
        next: SigningKeyRecord,
    ) -> Result<bool, Error> {
        let id = id.to_owned();
        self.change_access(move |transaction| {
            let removed = transaction.execute(
                "DELETE FROM signing_keys WHERE id = $1",
                &[id.as_str().into()],
            )?;
            let sql = "SELECT id FROM signing_keys WHERE retired_at IS NULL LIMIT 1";
            if removed > 0 && transaction.query_one(sql, &[])?.is_none() {
                add_signing_key(transaction, &next)?;
            }
            Ok(removed > 0)
        })
        .await
    }

    /// Notes that a session was left that would go on until `expires_at`, and forgets those whose own
    /// end has come.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn end_session(
        &self,
        id: &str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = id.to_owned();
        self.change_access(move |transaction| {
            transaction.execute(
                "DELETE FROM ended_sessions WHERE expires_at < $1",
                &[now.into()],
            )?;
            transaction.execute(
                "INSERT INTO ended_sessions (id, expires_at) VALUES ($1, $2)
                 ON CONFLICT (id) DO NOTHING",
                &[id.as_str().into(), expires_at.into()],
            )?;
            Ok(())
        })
        .await
    }

    /// Removes the row that a statement names.
    async fn remove(&self, sql: &'static str, key: &str) -> Result<bool, Error> {
        let key = key.to_owned();
        self.change_access(move |transaction| {
            Ok(transaction.execute(sql, &[key.as_str().into()])? > 0)
        })
        .await
    }

    /// A transaction that changes what callers may do.
    async fn change_access<T, F>(&self, mut work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut dyn Transaction) -> Result<T, Error> + Send + 'static,
    {
        self.write(move |transaction| {
            grow(transaction)?;
            work(transaction)
        })
        .await
    }
}

/// Lets every server see that something has changed.
fn grow(transaction: &mut dyn Transaction) -> Result<(), Error> {
    transaction.execute(
        "UPDATE access_revision SET revision = revision + 1 WHERE id = 1",
        &[],
    )?;
    Ok(())
}

/// Notes that a policy changed; the event of a repository's policy is the repository's.
fn note_policy(journal: &mut Journal, target: &str, removed: bool) {
    let name = target.strip_prefix("repository/");
    let repository: Option<RepositoryName> = name.and_then(|name| name.parse().ok());
    let detail = EventDetail {
        target: Some(target.to_owned()),
        removed,
        ..EventDetail::default()
    };
    journal.note(EventKind::PolicyChanged, repository.as_ref(), detail);
}

fn add_principal(
    transaction: &mut dyn Transaction,
    principal: &PrincipalRecord,
) -> Result<bool, Error> {
    let added = transaction.execute(
        "INSERT INTO principals
             (kind, name, secret, description, created_at, expires_at, disabled, valid_from)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (kind, name) DO NOTHING",
        &[
            principal.kind.as_str().into(),
            principal.name.as_str().into(),
            principal.secret.as_str().into(),
            principal.description.as_str().into(),
            principal.created_at.into(),
            principal.expires_at.into(),
            i64::from(principal.disabled).into(),
            principal.valid_from.into(),
        ],
    )?;
    Ok(added > 0)
}

fn put_policy(transaction: &mut dyn Transaction, policy: &PolicyRecord) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO policies (target, document, updated_by, updated_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (target) DO UPDATE SET document = EXCLUDED.document,
             updated_by = EXCLUDED.updated_by, updated_at = EXCLUDED.updated_at",
        &[
            policy.target.as_str().into(),
            policy.document.as_str().into(),
            policy.updated_by.as_str().into(),
            policy.updated_at.into(),
        ],
    )?;
    Ok(())
}

fn add_signing_key(transaction: &mut dyn Transaction, key: &SigningKeyRecord) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO signing_keys (id, sealed, created_at, retired_at) VALUES ($1, $2, $3, $4)",
        &[
            key.id.as_str().into(),
            key.sealed.as_slice().into(),
            key.created_at.into(),
            key.retired_at.into(),
        ],
    )?;
    Ok(())
}

fn revision(transaction: &mut dyn Transaction) -> Result<i64, Error> {
    let row = transaction.query_one("SELECT revision FROM access_revision WHERE id = 1", &[])?;
    match row {
        Some(mut row) => row.integer("revision"),
        None => Err(Error::corrupt("revision", "no row")),
    }
}

fn records(transaction: &mut dyn Transaction) -> Result<AccessRecords, Error> {
    fn all<T>(
        transaction: &mut dyn Transaction,
        sql: &'static str,
        read: fn(Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        transaction.query(sql, &[])?.into_iter().map(read).collect()
    }
    Ok(AccessRecords {
        revision: revision(transaction)?,
        principals: all(
            transaction,
            "SELECT kind, name, secret, description, created_at, expires_at, disabled, valid_from
             FROM principals ORDER BY kind, name",
            |mut row| {
                Ok(PrincipalRecord {
                    kind: row.text("kind")?,
                    name: row.text("name")?,
                    secret: row.text("secret")?,
                    description: row.text("description")?,
                    created_at: row.time("created_at")?,
                    expires_at: row.optional_time("expires_at")?,
                    disabled: row.integer("disabled")? != 0,
                    valid_from: row.time("valid_from")?,
                })
            },
        )?,
        access_keys: all(
            transaction,
            "SELECT id, principal, sealed_secret, created_at, expires_at
             FROM access_keys ORDER BY id",
            |mut row| {
                Ok(AccessKeyRecord {
                    id: row.text("id")?,
                    principal: row.text("principal")?,
                    sealed_secret: row.bytes("sealed_secret")?,
                    created_at: row.time("created_at")?,
                    expires_at: row.optional_time("expires_at")?,
                })
            },
        )?,
        policies: all(
            transaction,
            "SELECT target, document, updated_by, updated_at FROM policies ORDER BY target",
            |mut row| {
                Ok(PolicyRecord {
                    target: row.text("target")?,
                    document: row.text("document")?,
                    updated_by: row.text("updated_by")?,
                    updated_at: row.time("updated_at")?,
                })
            },
        )?,
        trusts: all(
            transaction,
            "SELECT name, document, created_at, valid_from FROM trusts ORDER BY name",
            |mut row| {
                Ok(TrustRecord {
                    name: row.text("name")?,
                    document: row.text("document")?,
                    created_at: row.time("created_at")?,
                    valid_from: row.time("valid_from")?,
                })
            },
        )?,
        signing_keys: all(
            transaction,
            "SELECT id, sealed, created_at, retired_at FROM signing_keys
             ORDER BY created_at, id",
            |mut row| {
                Ok(SigningKeyRecord {
                    id: row.text("id")?,
                    sealed: row.bytes("sealed")?,
                    created_at: row.time("created_at")?,
                    retired_at: row.optional_time("retired_at")?,
                })
            },
        )?,
        ended_sessions: all(
            transaction,
            "SELECT id FROM ended_sessions ORDER BY id",
            |mut row| row.text("id"),
        )?,
    })
}
