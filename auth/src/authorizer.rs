//! The decision whether a principal may do something.

use wharf_storage::oci::RepositoryName;

use crate::action::Action;
use crate::identity::Principal;

/// The answer to «may they?».
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They may.
    Allowed,
    /// They may not.
    Denied,
}

/// Something that decides.
pub trait Authorizer: std::fmt::Debug + Send + Sync {
    /// Whether `principal` may do `action` to `repository`, which need not exist.
    fn decide(
        &self,
        principal: &Principal,
        action: Action,
        repository: &RepositoryName,
    ) -> Decision;
}

/// Lets everybody do everything: a registry on loopback that nobody has set up.
#[derive(Clone, Copy, Debug)]
pub struct Open;

impl Authorizer for Open {
    fn decide(&self, _: &Principal, _: Action, _: &RepositoryName) -> Decision {
        Decision::Allowed
    }
}
