//! Who is calling.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;

use wharf_storage::clock::Timestamp;
use wharf_storage::oci::RepositoryName;

use crate::action::Action;
use crate::scope::{Permission, Scope};

/// Why a text names no principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a principal reads user/NAME, robot/NAME, federated/TRUST or certificate/NAME, and a name has \
     at most 128 of A-Z a-z 0-9 . _ @ + -"
)]
pub struct PrincipalError;

/// What kind of principal somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A person with a password.
    User,
    /// A program with a secret.
    Robot,
    /// Whoever comes with a token of an issuer that a trust names.
    Federated,
    /// Whoever comes with a certificate of the configured authority.
    Certificate,
}

impl Kind {
    /// The word in front of the name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Robot => "robot",
            Self::Federated => "federated",
            Self::Certificate => "certificate",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Somebody, or something, that calls the registry.
///
/// Written `user/alice`, `robot/ci`, `federated/github/repo:org/app`, `certificate/node-7`, or
/// `anonymous`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A caller that didn't say who it is.
    Anonymous,
    /// A user, a robot, or the owner of a certificate.
    Named(Kind, Arc<str>),
    /// Whoever comes with another issuer's token.
    Federated {
        /// The trust that the token meets.
        trust: Arc<str>,
        /// The token's own subject.
        subject: Arc<str>,
    },
}

impl Principal {
    /// A user.
    #[must_use]
    pub fn user(name: &str) -> Self {
        Self::Named(Kind::User, name.into())
    }

    /// A robot.
    #[must_use]
    pub fn robot(name: &str) -> Self {
        Self::Named(Kind::Robot, name.into())
    }

    /// What the principal's own policy is attached to; nobody in particular has none.
    #[must_use]
    pub fn policy_target(&self) -> Option<String> {
        match self {
            Self::Anonymous => None,
            Self::Named(..) => Some(self.to_string()),
            Self::Federated { trust, .. } => Some(format!("federated/{trust}")),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => formatter.write_str("anonymous"),
            Self::Named(kind, name) => write!(formatter, "{kind}/{name}"),
            Self::Federated { trust, subject } => write!(formatter, "federated/{trust}/{subject}"),
        }
    }
}

impl FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "anonymous" {
            return Ok(Self::Anonymous);
        }
        let (kind, name) = text.split_once('/').ok_or(PrincipalError)?;
        match kind {
            "user" if is_name(name) => Ok(Self::user(name)),
            "robot" if is_name(name) => Ok(Self::robot(name)),
            "certificate" if is_certificate_name(name) => {
                Ok(Self::Named(Kind::Certificate, name.into()))
            }
            "federated" => {
                let (trust, subject) = name.split_once('/').unwrap_or((name, ""));
                match is_name(trust) && (subject.is_empty() || is_subject(subject)) {
                    true => Ok(Self::Federated {
                        trust: trust.into(),
                        subject: subject.into(),
                    }),
                    false => Err(PrincipalError),
                }
            }
            _ => Err(PrincipalError),
        }
    }
}

/// Whether a text can be the name of a user, a robot or a trust.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
    (1..=128).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(known)
}

/// Whether a text can be the name in a certificate, which may be a URI.
#[must_use]
pub fn is_certificate_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-:/ *".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(known)
}

/// Whether a text can be the subject of another issuer's token.
#[must_use]
pub fn is_subject(text: &str) -> bool {
    (1..=512).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What is known of a call besides who makes it; conditions of policies look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Where the call comes from.
    pub address: IpAddr,
    /// Whether it came encrypted.
    pub secure: bool,
    /// What another issuer's token says of its owner.
    pub claims: Arc<BTreeMap<String, String>>,
    /// The name in the certificate that the connection was made with.
    pub certificate: Option<Arc<str>>,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            secure: false,
            claims: Arc::default(),
            certificate: None,
        }
    }
}

/// How much of what the principal may do this call may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grants {
    /// All of it: the principal's own password, secret, key or certificate came along.
    Everything,
    /// What a token was given for.
    Scopes(Arc<[Scope]>),
}

impl Grants {
    /// Whether the call may do `action` to `repository` as far as its token goes.
    #[must_use]
    pub fn allow(&self, action: Action, repository: Option<&RepositoryName>) -> bool {
        match self {
            Self::Everything => true,
            Self::Scopes(scopes) => scopes.iter().any(|scope| scope.allows(action, repository)),
        }
    }
}

/// What a call's maker is believed for, as far as what it is given depends on that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Basis {
    /// When it ends. No token lives longer than what it was given for.
    pub ends_at: Option<Timestamp>,
    /// The AWS-style key that signed, or that a token goes back to. What is given for it goes with it.
    pub access_key: Option<Arc<str>>,
}

/// A call's maker, as far as it could be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// How much it may do at most.
    pub grants: Grants,
    /// What it is believed for.
    pub basis: Basis,
    /// What else is known.
    pub context: Context,
}

impl Caller {
    /// A caller that said nothing.
    #[must_use]
    pub fn anonymous(context: Context) -> Self {
        Self {
            principal: Principal::Anonymous,
            grants: Grants::Everything,
            basis: Basis::default(),
            context,
        }
    }

    /// Whether it can be given a token to come back with: it showed a secret of its own, or what
    /// stands for one. Another issuer's token and a certificate are shown anew each time, and a
    /// token that is good for its scopes only must not become one that is good for all.
    #[must_use]
    pub fn may_come_back(&self) -> bool {
        let is_kept_here = matches!(
            self.principal,
            Principal::Named(Kind::User | Kind::Robot, _)
        );
        is_kept_here && self.grants == Grants::Everything
    }
}

impl Scope {
    /// Whether a token of this scope is good for `action` on `repository`.
    fn allows(&self, action: Action, repository: Option<&RepositoryName>) -> bool {
        match self {
            Self::Repository { name, permissions } => {
                let permitted = |permission: &Permission| permission.actions().contains(&action);
                repository == Some(name) && permissions.iter().any(permitted)
            }
            // The catalog is a list of repositories that may be described.
            Self::Catalog => action == Action::DescribeRepositories,
            Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_read_back_as_they_are_written() {
        for text in [
            "anonymous",
            "user/alice",
            "user/alice@example.com",
            "robot/ci-1",
            "federated/github/repo:org/app:ref:refs/heads/main",
            "certificate/spiffe://cluster/ns/a",
        ] {
            let principal: Principal = text.parse().expect(text);
            assert_eq!(principal.to_string(), text);
        }
        for text in [
            "",
            "alice",
            "user/",
            "user/a b",
            "user/-a",
            "robot/a:b",
            "god/a",
            "user/a/b",
            "federated/",
            "certificate/\n",
        ] {
            assert_eq!(text.parse::<Principal>(), Err(PrincipalError), "{text:?}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_repository_and_permissions_only() {
        let name: RepositoryName = "a/b".parse().expect("a name");
        let other: RepositoryName = "a/c".parse().expect("a name");
        let scope: Scope = "repository:a/b:pull".parse().expect("a scope");
        let grants = Grants::Scopes([scope].into());
        assert!(grants.allow(Action::BatchGetImage, Some(&name)));
        assert!(!grants.allow(Action::PutImage, Some(&name)));
        assert!(!grants.allow(Action::BatchGetImage, Some(&other)));
        assert!(!grants.allow(Action::BatchGetImage, None));
        assert!(!grants.allow(Action::Administer, None));
    }
}
