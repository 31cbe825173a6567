//! Everything about principals and policies, as one picture in memory.
//!
//! Decisions are made at each request, so they must not ask the database. The picture is made anew
//! when the revision in the database has grown: at once by whoever changed it, and by asking every
//! so often on every other server. A picture is never changed, so a decision sees one moment.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use wharf_storage::clock::Timestamp;
use wharf_storage::metadata::{
    self, AccessKeyRecord, AccessRecords, Metadata, PolicyRecord, PrincipalRecord,
};
use wharf_storage::oci::RepositoryName;

use crate::action::Action;
use crate::identity::{Context, Kind, Principal};
use crate::oidc::Trust;
use crate::policy::{self, Attached, Attachment, Document, Request};
use crate::seal::Sealer;
use crate::token::SigningKey;

/// One moment of it.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The revision that it shows.
    pub revision: i64,
    users: HashMap<String, PrincipalRecord>,
    robots: HashMap<String, PrincipalRecord>,
    access_keys: HashMap<String, AccessKeyRecord>,
    policies: HashMap<String, Attached>,
    documents: BTreeMap<String, PolicyRecord>,
    /// The trusts, by name.
    pub trusts: BTreeMap<String, Trust>,
    /// From when what is given out under a trust counts.
    trusted_from: HashMap<String, Timestamp>,
    signing_keys: Vec<SigningKey>,
    ended_sessions: HashSet<String>,
}

impl Snapshot {
    /// The picture of what was read, as far as the server's key opens it.
    #[must_use]
    pub fn new(records: AccessRecords, sealer: &Sealer) -> Self {
        let (mut users, mut robots) = (HashMap::new(), HashMap::new());
        for record in records.principals {
            match record.kind.as_str() {
                "user" => users.insert(record.name.clone(), record),
                _ => robots.insert(record.name.clone(), record),
            };
        }
        let policies = records.policies.iter().map(attached);
        let trusted_from = records.trusts.iter();
        let trusted_from = trusted_from
            .map(|record| (record.name.clone(), record.valid_from))
            .collect();
        let trusts =
            records
                .trusts
                .into_iter()
                .filter_map(|record| match Trust::parse(&record.document) {
                    Ok(trust) => Some((record.name, trust)),
                    Err(error) => {
                        tracing::error!(trust = record.name, %error, "a trust is left out");
                        None
                    }
                });
        let signing_keys = records.signing_keys.iter().filter_map(|record| {
            let key = sealer.open(&record.id, &record.sealed);
            let key = key.map_err(|error| error.to_string());
            let key = key.and_then(|bytes| {
                SigningKey::read(&bytes, record.retired_at).map_err(|error| error.to_string())
            });
            key.inspect_err(|error| tracing::error!(key = record.id, error, "a key is left out"))
                .ok()
        });
        Self {
            revision: records.revision,
            users,
            robots,
            policies: policies.collect(),
            trusts: trusts.collect(),
            trusted_from,
            signing_keys: signing_keys.collect(),
            ended_sessions: records.ended_sessions.into_iter().collect(),
            access_keys: records
                .access_keys
                .into_iter()
                .map(|key| (key.id.clone(), key))
                .collect(),
            documents: records
                .policies
                .into_iter()
                .map(|policy| (policy.target.clone(), policy))
                .collect(),
        }
    }

    /// A user or a robot that is there, whether or not it is let in.
    #[must_use]
    pub fn record(&self, principal: &Principal) -> Option<&PrincipalRecord> {
        match principal {
            Principal::Named(Kind::User, name) => self.users.get(&**name),
            Principal::Named(Kind::Robot, name) => self.robots.get(&**name),
            Principal::Named(..) | Principal::Anonymous | Principal::Federated { .. } => None,
        }
    }

    /// Whether a principal is let in. Nobody here knows what certificates there are.
    #[must_use]
    pub fn standing(&self, principal: &Principal, now: Timestamp) -> Standing {
        match principal {
            Principal::Anonymous | Principal::Named(Kind::Certificate, _) => Standing::LetIn,
            Principal::Federated { trust, .. } => match self.trusts.contains_key(&**trust) {
                true => Standing::LetIn,
                false => Standing::Unknown,
            },
            Principal::Named(..) => match self.record(principal) {
                None => Standing::Unknown,
                Some(record) if record.disabled => Standing::Disabled,
                Some(record) if is_active(record, now) => Standing::LetIn,
                Some(_) => Standing::Expired,
            },
        }
    }

    /// Whether somebody who is let in could administer the registry, in some circumstances.
    #[must_use]
    pub fn has_administrator(&self, now: Timestamp) -> bool {
        let records = self.users.values().chain(self.robots.values());
        let named = records.map(|record| format!("{}/{}", record.kind, record.name));
        let federated = self.trusts.keys().map(|name| format!("federated/{name}"));
        let certified = self.documents.keys().cloned();
        let certified = certified.filter(|target| target.starts_with("certificate/"));
        let mut principals = named
            .chain(federated)
            .chain(certified)
            .filter_map(|text| text.parse::<Principal>().ok());
        principals.any(|principal| {
            let request = Request {
                principal: &principal,
                action: Action::Administer,
                repository: None,
                context: &Context::default(),
            };
            self.standing(&principal, now) == Standing::LetIn
                && policy::could_allow(self.policies(&principal, None), request)
        })
    }

    /// Whether what was given to a principal at `since` still counts.
    #[must_use]
    pub fn stands(&self, principal: &Principal, since: Timestamp, now: Timestamp) -> bool {
        match principal {
            Principal::Anonymous => true,
            // Who has a certificate shows it on each connection, whatever else comes along.
            Principal::Named(Kind::Certificate, _) => true,
            Principal::Federated { trust, .. } => {
                let from = self.trusted_from.get(&**trust);
                self.trusts.contains_key(&**trust) && from.is_some_and(|from| since >= *from)
            }
            Principal::Named(..) => self
                .record(principal)
                .is_some_and(|record| is_active(record, now) && since >= record.valid_from),
        }
    }

    /// A key that has not ended, whether or not its owner is let in.
    #[must_use]
    pub fn active_access_key(&self, id: &str, now: Timestamp) -> Option<&AccessKeyRecord> {
        let key = self.access_keys.get(id);
        key.filter(|key| key.expires_at.is_none_or(|end| now < end))
    }

    /// Whether a session was left before its end, by the name of its token.
    #[must_use]
    pub fn has_ended(&self, session: &str) -> bool {
        self.ended_sessions.contains(session)
    }

    /// The policies that concern a principal in a repository.
    pub fn policies<'a>(
        &'a self,
        principal: &Principal,
        repository: Option<&RepositoryName>,
    ) -> impl Iterator<Item = &'a Attached> + use<'a> {
        let registry = Some("registry".to_owned());
        let repository = repository.map(|name| format!("repository/{name}"));
        let targets = [registry, repository, principal.policy_target()];
        targets
            .into_iter()
            .flatten()
            .filter_map(|target| self.policies.get(&target))
    }

    /// The keys that verify tokens; the one that signs is the last.
    pub fn signing_keys(&self) -> impl DoubleEndedIterator<Item = &SigningKey> + Clone {
        self.signing_keys.iter()
    }

    /// The key that signs tokens.
    #[must_use]
    pub fn signing_key(&self) -> Option<&SigningKey> {
        let mut keys = self.signing_keys.iter().rev();
        keys.find(|key| key.retired_at().is_none())
    }

    /// Users or robots, by name.
    #[must_use]
    pub fn principals(&self, kind: Kind) -> Vec<&PrincipalRecord> {
        let records = match kind {
            Kind::User => &self.users,
            _ => &self.robots,
        };
        let mut records: Vec<_> = records.values().collect();
        records.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        records
    }

    /// Access keys, by id.
    #[must_use]
    pub fn access_keys(&self) -> Vec<&AccessKeyRecord> {
        let mut keys: Vec<_> = self.access_keys.values().collect();
        keys.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        keys
    }

    /// Policies as they were written, by target.
    #[must_use]
    pub fn documents(&self) -> &BTreeMap<String, PolicyRecord> {
        &self.documents
    }
}

/// Whether a principal is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is, with what it has to show.
    LetIn,
    /// There is no such user, robot or trust.
    Unknown,
    /// It is shut out for now.
    Disabled,
    /// It has ended.
    Expired,
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LetIn => "active",
            Self::Unknown => "unknown",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
        }
    }
}

/// Whether a user or a robot is let in now.
#[must_use]
pub fn is_active(record: &PrincipalRecord, now: Timestamp) -> bool {
    !record.disabled && record.expires_at.is_none_or(|end| now < end)
}

fn attached(record: &PolicyRecord) -> (String, Attached) {
    let target = record.target.clone();
    let document = Attachment::of(&target).and_then(|attachment| {
        Document::parse(&record.document, attachment)
            .inspect_err(|error| tracing::error!(target, %error, "a policy denies everything"))
            .ok()
    });
    (target.clone(), Attached { target, document })
}

/// The present picture.
#[derive(Debug)]
pub struct Directory {
    metadata: Metadata,
    sealer: Arc<Sealer>,
    present: RwLock<Arc<Snapshot>>,
}

impl Directory {
    /// Makes the first picture.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn load(metadata: Metadata, sealer: Arc<Sealer>) -> Result<Self, metadata::Error> {
        let records = metadata.access_records().await?;
        let present = RwLock::new(Arc::new(Snapshot::new(records, &sealer)));
        Ok(Self {
            metadata,
            sealer,
            present,
        })
    }

    /// The present picture.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&present)
    }

    /// Makes the picture anew when something has changed.
    ///
    /// # Errors
    ///
    /// When the database fails; the old picture stays.
    pub async fn refresh(&self) -> Result<(), metadata::Error> {
        if self.metadata.access_revision().await? == self.snapshot().revision {
            return Ok(());
        }
        let records = self.metadata.access_records().await?;
        let snapshot = Arc::new(Snapshot::new(records, &self.sealer));
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        // Two may have asked at once; the later picture stays.
        if snapshot.revision > present.revision {
            *present = snapshot;
        }
        Ok(())
    }
}
