//! What a token says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_storage::clock::Timestamp;

use crate::scope::{Permission, Scope};

/// What a token is for. One kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Shown to the registry as a bearer token; good for its scopes only.
    Access,
    /// Shown to the token endpoint to get others.
    Refresh,
    /// Shown as a password, as `aws ecr get-login-password` gives one.
    Login,
    /// Kept by a browser as a cookie.
    Session,
}

/// The claims of a token, as RFC 7519 and the docker token protocol name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who gave it: the registry's service name.
    pub iss: String,
    /// Whose it is, a principal.
    pub sub: String,
    /// Whom it is for: the registry's service name. A list is refused.
    pub aud: String,
    /// When it ends, seconds since 1970.
    pub exp: i64,
    /// From when it counts.
    pub nbf: i64,
    /// When it was given.
    pub iat: i64,
    /// The same in microseconds, so that what is revoked in that second is told apart.
    pub iat_us: i64,
    /// Its own name.
    pub jti: String,
    /// What it is for.
    pub kind: Kind,
    /// What it is good for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<Access>,
    /// The AWS-style key that it was given for; without that it counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What another issuer said of its owner.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
}

/// What a token is good for in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `repository` or `registry`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The repository, or `catalog`.
    pub name: String,
    /// `pull`, `push`, `delete`; `*` for the catalog.
    pub actions: Vec<String>,
}

impl Claims {
    /// What it is good for, as scopes.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let read = |access: &Access| {
            let Access {
                kind,
                name,
                actions,
            } = access;
            format!("{kind}:{name}:{}", actions.join(",")).parse().ok()
        };
        self.access.iter().filter_map(read).collect()
    }

    /// When it was given.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        Timestamp::from_micros(self.iat_us)
    }
}

impl Access {
    /// What a scope is in a token; one that nothing was granted of is not in it.
    #[must_use]
    pub fn of(scope: &Scope) -> Option<Self> {
        let (kind, name, actions) = match scope {
            Scope::Repository { permissions, .. } if permissions.is_empty() => return None,
            Scope::Repository { name, permissions } => {
                let word = |permission: &Permission| permission.to_string();
                let actions = permissions.iter().map(word).collect();
                ("repository", name.to_string(), actions)
            }
            Scope::Catalog => ("registry", "catalog".into(), vec!["*".into()]),
            Scope::Unknown => return None,
        };
        Some(Self {
            kind: kind.into(),
            name,
            actions,
        })
    }
}

/// The claims of another issuer's token that policies can look at: short texts, numbers, truths.
#[must_use]
pub(crate) fn plain(claims: &serde_json::Map<String, Value>) -> BTreeMap<String, String> {
    const MOST: usize = 64;
    const LONGEST: usize = 512;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    claims
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
        .filter(|(key, value)| key.len() + value.len() <= LONGEST)
        .take(MOST)
        .collect()
}
