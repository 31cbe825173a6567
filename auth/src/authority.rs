//! The authority: who calls, by what they show, and what they may do.
//!
//! What callers show is believed here and nowhere else. Each of both doors brings its credentials in
//! the form of [`Credential`], and asks [`Authority::decide`] with the same actions.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::Semaphore;
use uuid::Uuid;
use wharf_storage::clock::{Clock, Timestamp};
use wharf_storage::metadata;
use wharf_storage::oci::RepositoryName;

use crate::action::Action;
use crate::authorizer::{Answer, Decision};
use crate::directory::{Directory, Snapshot, is_active};
use crate::identity::{Basis, Caller, Context, Grants, Kind, Principal, is_certificate_name};
use crate::lockout::Lockout;
use crate::oidc::{self, FederationError, Fetcher, Issuers};
use crate::policy::{self, Request};
use crate::rate::RateLimit;
use crate::scope::{Permission, Scope};
use crate::seal::Sealer;
use crate::sigv4::{self, Authorization, SignatureError, SignedRequest};
use crate::token::{self, Access, Cache, Claims, TokenError};
use crate::{password, secret};

/// How many passwords are hashed at once; each takes 19 MiB and a core.
const HASHES_AT_ONCE: usize = 2;
/// How long a password that was right is not hashed again.
const REMEMBER: Duration = Duration::from_secs(60);
/// How many right passwords are remembered.
const MOST_REMEMBERED: usize = 10_000;

/// Whether anybody is asked for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Everybody may do everything: a registry on loopback that nobody has set up.
    Open,
    /// The policies decide.
    Policies,
}

/// What of the authority can be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether anybody is asked for anything.
    pub enforcement: Enforcement,
    /// The registry's own name in tokens.
    pub service: String,
    /// How long an access token lives.
    pub access_lifetime: Duration,
    /// How long a refresh token lives.
    pub refresh_lifetime: Duration,
    /// How long the password of `aws ecr get-login-password` lives.
    pub login_lifetime: Duration,
    /// How long a browser's session lives.
    pub session_lifetime: Duration,
    /// How many calls a principal may make in a second; zero: any number.
    pub calls_per_principal: u32,
    /// How many calls an address may make in a second; zero: any number.
    pub calls_per_address: u32,
}

impl Settings {
    /// How long any token lives at most.
    #[must_use]
    pub fn longest_lifetime(&self) -> Duration {
        let all = [
            self.access_lifetime,
            self.refresh_lifetime,
            self.login_lifetime,
            self.session_lifetime,
        ];
        all.into_iter().max().unwrap_or_default()
    }
}

/// What a caller shows.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// A name and a password, a secret, or a token in its place.
    Basic {
        /// The name.
        username: &'a str,
        /// The password.
        password: &'a str,
    },
    /// An access token.
    Bearer(&'a str),
    /// A token to come back with.
    Refresh(&'a str),
    /// Another issuer's token, to be taken by any trust.
    Exchange(&'a str),
    /// A browser's session.
    Session(&'a str),
    /// A certificate whose chain was verified, by its name.
    Certificate(&'a str),
}

/// Why a caller is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The name or the password is wrong, or the principal is not let in.
    #[error("the name or the password is wrong")]
    WrongPassword,
    /// The token is not to be believed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token was revoked, or its owner is not let in any more.
    #[error("the token has been revoked")]
    Revoked,
    /// The token is for the owner of a certificate, which the connection was not made with.
    #[error("the token is for a connection with its owner's certificate")]
    NoCertificate,
    /// Another issuer's token is not taken.
    #[error(transparent)]
    Federation(#[from] FederationError),
    /// There is no such access key, or it has ended.
    #[error("the access key is unknown or has expired")]
    UnknownKey,
    /// The signature is not taken.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Too many failures: try again later.
    #[error("too many failed attempts: try again in {} s", after.as_secs().max(1))]
    LockedOut {
        /// How much later.
        after: Duration,
    },
    /// Too many calls: try again later.
    #[error("too many requests: try again in {} s", after.as_secs().max(1))]
    TooManyCalls {
        /// How much later.
        after: Duration,
    },
}

/// A token as it is given.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// How long it lives.
    pub lifetime: Duration,
    /// When it was given.
    pub issued_at: Timestamp,
}

/// Who decides.
#[derive(Debug)]
pub struct Authority {
    directory: Directory,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
    issuers: Issuers,
    settings: Settings,
    tokens: Cache,
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
    hashing: Semaphore,
    lockout: Lockout,
    by_principal: RateLimit,
    by_address: RateLimit,
}

/// A password that was right.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    until: Timestamp,
    /// Of the principal at that time: it grows when the password changes.
    valid_from: Timestamp,
}

impl Authority {
    /// An authority over a directory.
    #[must_use]
    pub fn new(
        directory: Directory,
        sealer: Arc<Sealer>,
        clock: Arc<dyn Clock>,
        fetcher: Arc<dyn Fetcher>,
        settings: Settings,
    ) -> Self {
        Self {
            by_principal: RateLimit::per_second(settings.calls_per_principal),
            by_address: RateLimit::per_second(settings.calls_per_address),
            directory,
            sealer,
            clock,
            issuers: Issuers::new(fetcher),
            settings,
            tokens: Cache::default(),
            remembered: Mutex::default(),
            hashing: Semaphore::new(HASHES_AT_ONCE),
            lockout: Lockout::default(),
        }
    }

    /// What was chosen.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether anybody is asked for anything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.settings.enforcement == Enforcement::Open
    }

    /// The present picture of principals and policies.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.directory.snapshot()
    }

    /// Sees what has changed since the last time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn refresh(&self) -> Result<(), metadata::Error> {
        self.directory.refresh().await
    }

    /// Who calls.
    ///
    /// # Errors
    ///
    /// When what they show is not to be believed, or they call too often.
    pub async fn identify(
        &self,
        credential: Credential<'_>,
        context: Context,
    ) -> Result<Caller, Refusal> {
        if self.is_open() {
            return Ok(Caller::anonymous(context));
        }
        let now = self.clock.now();
        limited(self.by_address.call(&context.address.to_string(), now))?;
        let caller = match credential {
            Credential::None => Caller::anonymous(context),
            Credential::Bearer(token) => self.bearer(token, context, now)?,
            Credential::Refresh(token) => self.refreshed(token, context, now)?,
            Credential::Exchange(token) => self.federated(None, token, context, now).await?,
            Credential::Session(token) => {
                let claims = self.own_token(token, token::Kind::Session, &context, now)?;
                owner(&claims, Grants::Everything, context)?
            }
            Credential::Certificate(name) => certificate(name, context)?,
            Credential::Basic { username, password } => {
                self.basic(username, password, context, now).await?
            }
        };
        if caller.principal != Principal::Anonymous {
            limited(self.by_principal.call(&caller.principal.to_string(), now))?;
        }
        Ok(caller)
    }

    /// The name of a session that goes on, whose it is, and when it would end by itself.
    #[must_use]
    pub fn session(&self, token: &str, context: Context) -> Option<(String, Caller, Timestamp)> {
        let now = self.clock.now();
        let claims = self.own_token(token, token::Kind::Session, &context, now);
        let claims = claims.ok()?;
        let caller = owner(&claims, Grants::Everything, context).ok()?;
        let end = Timestamp::from_seconds(claims.exp);
        Some((claims.jti.clone(), caller, end))
    }

    /// Who signed a request with an access key.
    ///
    /// # Errors
    ///
    /// When nobody did who is let in.
    pub fn identify_signer(
        &self,
        authorization: &Authorization,
        request: &SignedRequest<'_>,
        context: Context,
    ) -> Result<Caller, Refusal> {
        let now = self.clock.now();
        limited(self.by_address.call(&context.address.to_string(), now))?;
        let id = &authorization.access_key;
        self.locked_out(&context, id, now)?;
        let outcome = self.signer(authorization, request, now);
        match outcome {
            Ok((principal, basis)) => {
                limited(self.by_principal.call(&principal.to_string(), now))?;
                Ok(Caller {
                    principal,
                    grants: Grants::Everything,
                    basis,
                    context,
                })
            }
            Err(refusal) => {
                if matches!(
                    refusal,
                    Refusal::UnknownKey | Refusal::Signature(SignatureError::Mismatch)
                ) {
                    self.lockout.failed(context.address, id, now);
                }
                Err(refusal)
            }
        }
    }

    fn signer(
        &self,
        authorization: &Authorization,
        request: &SignedRequest<'_>,
        now: Timestamp,
    ) -> Result<(Principal, Basis), Refusal> {
        let snapshot = self.snapshot();
        let key = snapshot.active_access_key(&authorization.access_key, now);
        let key = key.ok_or(Refusal::UnknownKey)?;
        let secret = self.sealer.open(&key.id, &key.sealed_secret);
        let secret = secret.map_err(|_| Refusal::UnknownKey)?;
        let secret = std::str::from_utf8(&secret).map_err(|_| Refusal::UnknownKey)?;
        sigv4::verify(authorization, request, secret, now)?;
        let principal: Principal = key.principal.parse().map_err(|_| Refusal::UnknownKey)?;
        let record = snapshot.record(&principal).ok_or(Refusal::UnknownKey)?;
        let basis = Basis {
            ends_at: key.expires_at,
            access_key: Some(key.id.as_str().into()),
        };
        match is_active(record, now) {
            true => Ok((principal, basis)),
            false => Err(Refusal::Revoked),
        }
    }

    /// Whether a call may do `action` to a repository, which need not exist, or to the registry.
    #[must_use]
    pub fn decide(
        &self,
        caller: &Caller,
        action: Action,
        repository: Option<&RepositoryName>,
    ) -> Answer {
        if self.is_open() {
            return Answer::Allowed;
        }
        let snapshot = self.snapshot();
        let request = Request {
            principal: &caller.principal,
            action,
            repository,
            context: &caller.context,
        };
        match policy::decide(snapshot.policies(&caller.principal, repository), request) {
            Decision::Denied => Answer::Denied,
            Decision::Allowed if caller.grants.allow(action, repository) => Answer::Allowed,
            Decision::Allowed => Answer::BeyondToken,
        }
    }

    /// What of the scopes a caller may have: of each repository the permissions that some policy
    /// gives a part of. The policies are asked again whenever the token is used.
    #[must_use]
    pub fn grant(&self, caller: &Caller, asked: &[Scope]) -> Vec<Scope> {
        let mut repositories: BTreeMap<&RepositoryName, Vec<Permission>> = BTreeMap::new();
        let mut granted = Vec::new();
        for scope in asked {
            match scope {
                Scope::Repository { name, permissions } => {
                    let may = |permission: &&Permission| {
                        let mut actions = permission.actions().iter();
                        actions.any(|action| {
                            self.decide(caller, *action, Some(name)) == Answer::Allowed
                        })
                    };
                    let permissions = permissions.iter().filter(may).copied();
                    repositories.entry(name).or_default().extend(permissions);
                }
                Scope::Catalog if !granted.contains(scope) => granted.push(scope.clone()),
                Scope::Catalog | Scope::Unknown => {}
            }
        }
        let united = repositories
            .into_iter()
            .map(|(name, permissions)| Scope::Repository {
                name: name.clone(),
                permissions: permissions.into_iter().collect(),
            });
        granted.extend(united);
        granted
    }

    /// A token for a caller, which ends with what the caller showed at the latest. Nothing when
    /// there is no key that signs.
    #[must_use]
    pub fn issue(&self, kind: token::Kind, caller: &Caller, scopes: &[Scope]) -> Option<Issued> {
        let settings = &self.settings;
        let lifetime = match kind {
            token::Kind::Access => settings.access_lifetime,
            token::Kind::Refresh => settings.refresh_lifetime,
            token::Kind::Login => settings.login_lifetime,
            token::Kind::Session => settings.session_lifetime,
        };
        let now = self.clock.now();
        let ends_at = now.after(lifetime);
        let ends_at = caller.basis.ends_at.map_or(ends_at, |end| end.min(ends_at));
        let claims = Claims {
            iss: settings.service.clone(),
            sub: caller.principal.to_string(),
            aud: settings.service.clone(),
            exp: ends_at.as_seconds(),
            nbf: now.as_seconds(),
            iat: now.as_seconds(),
            iat_us: now.as_micros(),
            jti: Uuid::now_v7().to_string(),
            kind,
            access: scopes.iter().filter_map(Access::of).collect(),
            key: caller.basis.access_key.as_deref().map(Into::into),
            claims: (*caller.context.claims).clone(),
        };
        let snapshot = self.snapshot();
        Some(Issued {
            token: snapshot.signing_key()?.sign(&claims),
            lifetime: Duration::from_secs(
                u64::try_from(claims.exp - claims.iat).unwrap_or_default(),
            ),
            issued_at: now,
        })
    }

    /// Who shows a refresh token.
    fn refreshed(&self, token: &str, context: Context, now: Timestamp) -> Result<Caller, Refusal> {
        // Each token waits for itself: of those behind one address each has its own. Who tries many
        // is found out by its address.
        let name = BASE64_STANDARD.encode(self.sealer.fingerprint(token));
        self.locked_out(&context, &name, now)?;
        let claims = self.own_token(token, token::Kind::Refresh, &context, now);
        if let Err(Refusal::Token(TokenError::Invalid)) = claims {
            self.lockout.failed(context.address, &name, now);
        }
        let caller = owner(&*claims?, Grants::Everything, context)?;
        match caller.may_come_back() {
            true => Ok(caller),
            false => Err(Refusal::Revoked),
        }
    }

    /// Who shows another issuer's token. `only` names the trust that it has to meet.
    async fn federated(
        &self,
        only: Option<&str>,
        token: &str,
        context: Context,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        self.locked_out(&context, "federated", now)?;
        let snapshot = self.snapshot();
        let found = oidc::identify(&snapshot.trusts, only, &self.issuers, token, now).await;
        // An issuer that doesn't answer, or a token that has ended, is no guess.
        let found = found.inspect_err(|error| {
            if matches!(error, FederationError::Refused) {
                self.lockout.failed(context.address, "federated", now);
            }
        })?;
        Ok(Caller {
            principal: Principal::Federated {
                trust: found.trust.into(),
                subject: found.subject.into(),
            },
            grants: Grants::Everything,
            basis: Basis {
                ends_at: Some(found.ends_at),
                access_key: None,
            },
            context: Context {
                claims: Arc::new(found.claims),
                ..context
            },
        })
    }

    fn bearer(&self, token: &str, context: Context, now: Timestamp) -> Result<Caller, Refusal> {
        let claims = self.own_token(token, token::Kind::Access, &context, now)?;
        let scopes: Arc<[Scope]> = claims.scopes().into();
        owner(&claims, Grants::Scopes(scopes), context)
    }

    /// What a token of ours says, when it is of this kind and was not revoked.
    fn own_token(
        &self,
        token: &str,
        kind: token::Kind,
        context: &Context,
        now: Timestamp,
    ) -> Result<Arc<Claims>, Refusal> {
        let snapshot = self.snapshot();
        let claims = self.tokens.verify(
            snapshot.signing_keys(),
            snapshot.revision,
            &self.settings.service,
            token,
            now,
        )?;
        if claims.kind != kind {
            return Err(TokenError::Invalid.into());
        }
        let principal: Principal = claims.sub.parse().map_err(|_| TokenError::Invalid)?;
        // A certificate's token is of no use without the certificate.
        if let Principal::Named(Kind::Certificate, name) = &principal
            && context.certificate.as_ref() != Some(name)
        {
            return Err(Refusal::NoCertificate);
        }
        let is_key_there = |id: &String| snapshot.active_access_key(id, now).is_some();
        let stands = snapshot.stands(&principal, claims.issued_at(), now)
            && claims.key.as_ref().is_none_or(is_key_there)
            && !(kind == token::Kind::Session && snapshot.has_ended(&claims.jti));
        match stands {
            true => Ok(claims),
            false => Err(Refusal::Revoked),
        }
    }

    async fn basic(
        &self,
        username: &str,
        password: &str,
        context: Context,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        self.locked_out(&context, username, now)?;
        let outcome = match username.split_once('/').unwrap_or((username, "")) {
            // What `aws ecr get-login-password` gives.
            ("AWS", "") => {
                let claims = self.own_token(password, token::Kind::Login, &context, now);
                claims.and_then(|claims| owner(&claims, Grants::Everything, context.clone()))
            }
            ("<token>" | "token", "") => self.bearer(password, context.clone(), now),
            ("oidc", only) => {
                let only = (!only.is_empty()).then_some(only);
                return self.federated(only, password, context, now).await;
            }
            ("robot", name) => self.robot(name, password, &context, now),
            ("user", name) if !name.is_empty() => self.user(name, password, &context).await,
            _ => self.user(username, password, &context).await,
        };
        match &outcome {
            Ok(_) => self.lockout.succeeded(context.address, username),
            // A token that has ended is no guess.
            Err(
                Refusal::Token(TokenError::Expired) | Refusal::Revoked | Refusal::NoCertificate,
            ) => {}
            Err(_) => self.lockout.failed(context.address, username, now),
        }
        outcome
    }

    fn robot(
        &self,
        name: &str,
        password: &str,
        context: &Context,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        let principal = Principal::robot(name);
        let snapshot = self.snapshot();
        let record = snapshot.record(&principal).ok_or(Refusal::WrongPassword)?;
        match secret::verify(password, &record.secret) && is_active(record, now) {
            true => Ok(itself(principal, context)),
            false => Err(Refusal::WrongPassword),
        }
    }

    async fn user(&self, name: &str, password: &str, context: &Context) -> Result<Caller, Refusal> {
        let principal = Principal::user(name);
        let snapshot = self.snapshot();
        let record = snapshot.record(&principal);
        let fingerprint = self.sealer.fingerprint(&format!("{name}\0{password}"));
        if let Some(record) = record
            && self.remembers(&fingerprint, record.valid_from)
            && is_active(record, self.clock.now())
        {
            return Ok(itself(principal, context));
        }
        let permit = self.hashing.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let (hash, password) = (
            record.map(|record| record.secret.clone()),
            password.to_owned(),
        );
        let verify = move || password::verify(&password, hash.as_deref());
        let is_right = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
        let now = self.clock.now();
        match record {
            Some(record) if is_right && is_active(record, now) => {
                self.remember(fingerprint, record.valid_from, now);
                Ok(itself(principal, context))
            }
            _ => Err(Refusal::WrongPassword),
        }
    }

    fn remembers(&self, fingerprint: &[u8; 32], valid_from: Timestamp) -> bool {
        let now = self.clock.now();
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        remembered.get(fingerprint).is_some_and(|found| {
            found.valid_from == valid_from
                && now < found.until
                && found.until <= now.after(REMEMBER)
        })
    }

    fn remember(&self, fingerprint: [u8; 32], valid_from: Timestamp, now: Timestamp) {
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        let until = now.after(REMEMBER);
        remembered.insert(fingerprint, Remembered { until, valid_from });
    }

    fn locked_out(&self, context: &Context, name: &str, now: Timestamp) -> Result<(), Refusal> {
        match self.lockout.wait(context.address, name, now) {
            None => Ok(()),
            Some(after) => Err(Refusal::LockedOut { after }),
        }
    }
}

fn limited(outcome: Result<(), Duration>) -> Result<(), Refusal> {
    outcome.map_err(|after| Refusal::TooManyCalls { after })
}

/// A principal that showed what is its own.
fn itself(principal: Principal, context: &Context) -> Caller {
    Caller {
        principal,
        grants: Grants::Everything,
        basis: Basis::default(),
        context: context.clone(),
    }
}

/// Whose token it is.
fn owner(claims: &Claims, grants: Grants, context: Context) -> Result<Caller, Refusal> {
    let principal = claims.sub.parse().map_err(|_| TokenError::Invalid)?;
    Ok(Caller {
        principal,
        grants,
        basis: Basis {
            ends_at: Some(Timestamp::from_seconds(claims.exp)),
            access_key: claims.key.as_deref().map(Into::into),
        },
        context: Context {
            claims: Arc::new(claims.claims.clone()),
            ..context
        },
    })
}

fn certificate(name: &str, context: Context) -> Result<Caller, Refusal> {
    match is_certificate_name(name) {
        true => Ok(Caller {
            principal: Principal::Named(Kind::Certificate, name.into()),
            grants: Grants::Everything,
            basis: Basis::default(),
            context,
        }),
        false => Err(Refusal::WrongPassword),
    }
}
