//! Whether somebody may do something, told rule by rule.

use std::fmt::Write as _;

use serde_json::{Value, json};
use wharf_auth::action::Action;
use wharf_auth::authorizer::Decision;
use wharf_auth::directory::{Snapshot, Standing};
use wharf_auth::identity::{Context, Principal};
use wharf_auth::policy::{self, Effect, Mismatch, Request, Step};
use wharf_storage::clock::Timestamp;
use wharf_storage::oci::RepositoryName;

/// Why a question can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Nobody is called so.
    #[error(transparent)]
    Principal(#[from] wharf_auth::identity::PrincipalError),
    /// Nothing is called so.
    #[error("{0} is no action; they read ecr:PutImage or wharf:Administer")]
    Action(String),
    /// No repository is called so.
    #[error(transparent)]
    Repository(#[from] wharf_storage::oci::NameError),
}

/// Who, what, and where.
#[derive(Clone, Debug)]
pub struct Question {
    principal: Principal,
    action: Action,
    repository: Option<RepositoryName>,
    context: Context,
}

/// The answer, and what each rule said.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The answer. Who isn't let in may nothing, whatever the policies say.
    pub decision: Decision,
    standing: Standing,
    question: Question,
    steps: Vec<Step>,
}

impl Question {
    /// Reads a question. A principal without its kind is a user, an action without its service one
    /// of ECR's.
    ///
    /// # Errors
    ///
    /// With what isn't known.
    pub fn parse(
        principal: &str,
        action: &str,
        repository: Option<&str>,
        context: Context,
    ) -> Result<Self, QuestionError> {
        let is_whole = principal.contains('/') || principal == "anonymous";
        let principal = match is_whole {
            true => principal.parse()?,
            false => format!("user/{principal}").parse()?,
        };
        let unknown = || QuestionError::Action(action.to_owned());
        let action = match action.contains(':') {
            true => action.parse().map_err(|_| unknown())?,
            false => format!("ecr:{action}").parse().map_err(|_| unknown())?,
        };
        Ok(Self {
            principal,
            action,
            repository: repository.map(str::parse).transpose()?,
            context,
        })
    }
}

/// Asks the policies, and whether the principal is let in at all.
#[must_use]
pub fn explain(snapshot: &Snapshot, question: &Question, now: Timestamp) -> Explanation {
    let repository = question.repository.as_ref();
    let request = Request {
        principal: &question.principal,
        action: question.action,
        repository,
        context: &question.context,
    };
    let policies = || snapshot.policies(&question.principal, repository);
    let standing = snapshot.standing(&question.principal, now);
    Explanation {
        decision: match standing {
            Standing::LetIn => policy::decide(policies(), request),
            Standing::Unknown | Standing::Disabled | Standing::Expired => Decision::Denied,
        },
        standing,
        steps: policy::explain(policies(), request),
        question: question.clone(),
    }
}

impl Explanation {
    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let Question {
            principal,
            action,
            repository,
            ..
        } = &self.question;
        let place = match repository {
            Some(name) => format!("repository/{name}"),
            None => "the registry".into(),
        };
        let answer = match self.decision {
            Decision::Allowed => "allowed",
            Decision::Denied => "denied",
        };
        let mut text = format!("{answer}: {principal} {action} on {place}\n");
        let out = match self.standing {
            Standing::LetIn => None,
            Standing::Unknown => Some("is not known here, so nobody is let in as that"),
            Standing::Disabled => Some("is disabled, and not let in"),
            Standing::Expired => Some("has expired, and is not let in"),
        };
        // Writing to a text doesn't fail.
        if let Some(out) = out {
            let _ = writeln!(text, "  {principal} {out}");
        }
        if self.steps.is_empty() {
            text.push_str("  no policy concerns them, and what nothing allows is denied\n");
        }
        for step in &self.steps {
            let Step {
                target, statement, ..
            } = step;
            let said = match step.mismatch {
                None => match step.effect {
                    Effect::Allow => "allows",
                    Effect::Deny => "denies",
                },
                Some(Mismatch::Principal) => "is about other principals",
                Some(Mismatch::Action) => "is about other actions",
                Some(Mismatch::Resource) => "is about other repositories",
                Some(Mismatch::Condition) => "has a condition that is not met",
            };
            let _ = writeln!(text, "  {target}: {statement} {said}");
        }
        text
    }

    /// For a program.
    #[must_use]
    pub fn json(&self) -> Value {
        let step = |step: &Step| {
            json!({
                "policy": step.target,
                "statement": step.statement,
                "effect": format!("{:?}", step.effect),
                "matches": step.mismatch.is_none(),
                "differs_in": step.mismatch.map(|mismatch| format!("{mismatch:?}").to_lowercase()),
            })
        };
        let steps: Vec<Value> = self.steps.iter().map(step).collect();
        json!({
            "allowed": self.decision == Decision::Allowed,
            "principal": self.standing.as_str(),
            "rules": steps,
        })
    }
}
