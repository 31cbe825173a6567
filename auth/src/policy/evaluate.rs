//! The answer of policies to a request, and how it came about.

use wharf_storage::oci::RepositoryName;

use super::document::{Document, Effect, Statement};
use crate::action::Action;
use crate::authorizer::Decision;
use crate::identity::{Context, Principal};

/// A document and what it is attached to.
#[derive(Clone, Debug)]
pub struct Attached {
    /// `registry`, `repository/NAME`, or a principal.
    pub target: String,
    /// Nothing where the text can't be read: such a document denies, since it may have meant to.
    pub document: Option<Document>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What they want to do.
    pub action: Action,
    /// Where; nothing for what concerns the whole registry.
    pub repository: Option<&'a RepositoryName>,
    /// What else is known of the call.
    pub context: &'a Context,
}

/// Why a statement has no say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is about other principals.
    Principal,
    /// It is about other actions.
    Action,
    /// It is about other repositories.
    Resource,
    /// A condition is not met.
    Condition,
}

/// What one statement said.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the document is attached to.
    pub target: String,
    /// The statement's name, or its place.
    pub statement: String,
    /// Whether it allows or denies, if it has a say.
    pub effect: Effect,
    /// Why it has none.
    pub mismatch: Option<Mismatch>,
}

/// Whether the policies let the request through.
pub fn decide<'a>(
    policies: impl IntoIterator<Item = &'a Attached>,
    request: Request<'_>,
) -> Decision {
    let request = Prepared::new(request);
    let mut decision = Decision::Denied;
    for policy in policies {
        let Some(document) = &policy.document else {
            return Decision::Denied;
        };
        for statement in &document.statements {
            if request.mismatch(statement).is_some() {
                continue;
            }
            match statement.effect {
                Effect::Deny => return Decision::Denied,
                Effect::Allow => decision = Decision::Allowed,
            }
        }
    }
    decision
}

/// Whether the policies could let the request through, whatever its context: a condition that allows
/// may be met, and one that denies may not.
pub fn could_allow<'a>(
    policies: impl IntoIterator<Item = &'a Attached>,
    request: Request<'_>,
) -> bool {
    let request = Prepared::new(request);
    let mut could = false;
    for policy in policies {
        let Some(document) = &policy.document else {
            return false;
        };
        for statement in &document.statements {
            let is_about = matches!(
                request.mismatch(statement),
                None | Some(Mismatch::Condition)
            );
            match statement.effect {
                _ if !is_about => {}
                Effect::Deny if statement.has_conditions() => {}
                Effect::Deny => return false,
                Effect::Allow => could = true,
            }
        }
    }
    could
}

/// What each statement of the policies says to the request.
pub fn explain<'a>(
    policies: impl IntoIterator<Item = &'a Attached>,
    request: Request<'_>,
) -> Vec<Step> {
    let request = Prepared::new(request);
    let mut steps = Vec::new();
    for policy in policies {
        let Some(document) = &policy.document else {
            steps.push(Step {
                target: policy.target.clone(),
                statement: "the document can not be read".into(),
                effect: Effect::Deny,
                mismatch: None,
            });
            continue;
        };
        for (place, statement) in document.statements.iter().enumerate() {
            steps.push(Step {
                target: policy.target.clone(),
                statement: match &statement.id {
                    Some(id) => id.clone(),
                    None => format!("Statement[{place}]"),
                },
                effect: statement.effect,
                mismatch: request.mismatch(statement),
            });
        }
    }
    steps
}

/// A request with its texts.
struct Prepared<'a> {
    request: Request<'a>,
    principal: String,
    action: String,
}

impl<'a> Prepared<'a> {
    fn new(request: Request<'a>) -> Self {
        Self {
            principal: request.principal.to_string(),
            action: request.action.as_str().to_ascii_lowercase(),
            request,
        }
    }

    fn mismatch(&self, statement: &Statement) -> Option<Mismatch> {
        let Request {
            principal,
            repository,
            context,
            ..
        } = self.request;
        let repository = repository.map(RepositoryName::as_str);
        if !statement.is_about_principal(principal, &self.principal) {
            Some(Mismatch::Principal)
        } else if !statement.is_about_action(&self.action) {
            Some(Mismatch::Action)
        } else if !statement.is_about_resource(repository) {
            Some(Mismatch::Resource)
        } else if !statement.holds(principal, context) {
            Some(Mismatch::Condition)
        } else {
            None
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
