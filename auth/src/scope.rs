//! Scopes: what a docker client asks a token for, `repository:team/app:pull,push`.
//!
//! <https://distribution.github.io/distribution/spec/auth/scope/>

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use wharf_storage::oci::RepositoryName;

use crate::action::Action;

/// Why a text is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope reads type:name:action,action")]
pub struct ScopeError;

/// A permission in the words of docker's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Read manifests, blobs and lists.
    Pull,
    /// Write them.
    Push,
    /// Delete them.
    Delete,
}

impl Permission {
    /// The word that stands for it in a scope.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    /// The actions that it stands for.
    #[must_use]
    pub const fn actions(self) -> &'static [Action] {
        match self {
            Self::Pull => &[
                Action::BatchCheckLayerAvailability,
                Action::BatchGetImage,
                Action::GetDownloadUrlForLayer,
                Action::ListImageReferrers,
                Action::ListImages,
            ],
            // A push makes its repository, where the policy lets it.
            Self::Push => &[
                Action::CompleteLayerUpload,
                Action::CreateRepository,
                Action::InitiateLayerUpload,
                Action::PutImage,
                Action::UploadLayerPart,
            ],
            Self::Delete => &[Action::BatchDeleteImage],
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Permissions in a repository.
    Repository {
        /// The repository, which need not exist.
        name: RepositoryName,
        /// What is asked for.
        permissions: BTreeSet<Permission>,
    },
    /// The list of all repositories.
    Catalog,
    /// Something that this registry does not have. It is asked for in vain, not in error.
    Unknown,
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { name, permissions } => {
                write!(formatter, "repository:{name}:")?;
                for (place, permission) in permissions.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(formatter, "{comma}{permission}")?;
                }
                Ok(())
            }
            Self::Catalog => formatter.write_str("registry:catalog:*"),
            Self::Unknown => formatter.write_str("unknown"),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The name may hold a host with its port, so the type ends at the first colon and the
        // actions begin behind the last one.
        let (kind, rest) = text.split_once(':').ok_or(ScopeError)?;
        let (name, actions) = rest.rsplit_once(':').ok_or(ScopeError)?;
        // A class in brackets, `repository(plugin)`, says what is in it, and changes no right.
        let kind = kind.split('(').next().unwrap_or_default();
        match (kind, name) {
            ("repository", name) => Ok(match name.parse() {
                Ok(name) => Self::Repository {
                    name,
                    permissions: permissions(actions),
                },
                Err(_) => Self::Unknown,
            }),
            ("registry", "catalog") => Ok(Self::Catalog),
            _ => Ok(Self::Unknown),
        }
    }
}

fn permissions(actions: &str) -> BTreeSet<Permission> {
    let every = [Permission::Pull, Permission::Push, Permission::Delete];
    let named = |permission: &Permission| {
        actions
            .split(',')
            .any(|action| action == "*" || action == permission.as_str())
    };
    every.into_iter().filter(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str, permissions: &[Permission]) -> Scope {
        Scope::Repository {
            name: name.parse().expect("a name"),
            permissions: permissions.iter().copied().collect(),
        }
    }

    #[test]
    fn scopes_of_clients_are_understood() {
        use Permission::{Delete, Pull, Push};
        for (text, want) in [
            ("repository:a/b:pull,push", repository("a/b", &[Pull, Push])),
            ("repository:a:*", repository("a", &[Pull, Push, Delete])),
            ("repository(plugin):a:pull", repository("a", &[Pull])),
            ("repository:a:pull,fly", repository("a", &[Pull])),
            ("repository:a:", repository("a", &[])),
            ("repository:host:5000/a:pull", Scope::Unknown),
            ("repository:A:pull", Scope::Unknown),
            ("registry:catalog:*", Scope::Catalog),
            ("aws:x:*", Scope::Unknown),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for text in ["", "repository", "repository:a"] {
            assert_eq!(text.parse::<Scope>(), Err(ScopeError), "{text}");
        }
    }
}
