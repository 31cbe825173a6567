//! Reading a policy document, and telling what is wrong with it.
//!
//! What isn't known is refused: a statement that does less than its writer thought is as bad as one
//! that does more.

use std::fmt;

use serde_json::{Map, Value};

use super::condition::Condition;
use crate::action::Action;
use crate::identity::{Context, Principal};
use wharf_storage::pattern::Pattern;

/// How long a document may be, in bytes; AWS takes 10,240 characters.
const LONGEST: usize = 64 << 10;

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    path: String,
    what: String,
}

impl DocumentError {
    pub(super) fn new(path: &str, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, what } = self;
        write!(formatter, "the policy is not valid: {path} {what}")
    }
}

impl std::error::Error for DocumentError {}

/// What a document is attached to, which decides what it has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// The registry: a statement says who, and which repositories.
    Registry,
    /// A repository: a statement says who.
    Repository,
    /// A principal: a statement says which repositories.
    Principal,
}

impl Attachment {
    /// What the target `registry`, `repository/NAME` or a principal's text is.
    #[must_use]
    pub fn of(target: &str) -> Option<Self> {
        if target == "registry" {
            return Some(Self::Registry);
        }
        if let Some(name) = target.strip_prefix("repository/") {
            let name: Result<wharf_storage::oci::RepositoryName, _> = name.parse();
            return name.is_ok().then_some(Self::Repository);
        }
        let principal: Principal = target.parse().ok()?;
        (principal.policy_target().as_deref() == Some(target)).then_some(Self::Principal)
    }
}

/// Whether a statement allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever else allows.
    Deny,
}

/// A policy document.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its statements.
    pub statements: Vec<Statement>,
}

/// A statement of a document.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its name, if it has one.
    pub id: Option<String>,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// Whom it concerns; nothing stands for whom the document is attached to.
    principals: Option<Vec<Who>>,
    actions: Vec<Pattern>,
    /// Which repositories it concerns; nothing stands for what the document is attached to.
    resources: Option<Vec<What>>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
enum Who {
    Everyone,
    /// Everyone who said who they are.
    Authenticated,
    Like(Pattern),
}

#[derive(Clone, Debug)]
enum What {
    /// The registry itself and every repository.
    Everything,
    Repositories(Pattern),
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// With the first thing that is wrong, and where it is.
    pub fn parse(text: &str, attachment: Attachment) -> Result<Self, DocumentError> {
        let wrong = |what: String| DocumentError::new("it", what);
        if text.len() > LONGEST {
            return Err(wrong(format!("is longer than {LONGEST} bytes")));
        }
        let value =
            serde_json::from_str(text).map_err(|error| wrong(format!("is no JSON: {error}")))?;
        let Value::Object(members) = &value else {
            return Err(wrong("is no JSON object".into()));
        };
        known(members, "", &["Version", "Id", "Statement"])?;
        match members.get("Version") {
            None => {}
            Some(Value::String(version)) if version == "2012-10-17" || version == "2008-10-17" => {}
            Some(_) => return Err(DocumentError::new("Version", "is not 2012-10-17")),
        }
        let statements = match members.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return Err(DocumentError::new("Statement", "is missing or no list")),
        };
        let read = |(place, value): (usize, &Value)| {
            Statement::read(value, &format!("Statement[{place}]"), attachment)
        };
        let statements = statements.into_iter().enumerate().map(read);
        Ok(Self {
            statements: statements.collect::<Result<_, _>>()?,
        })
    }
}

impl Statement {
    fn read(value: &Value, path: &str, attachment: Attachment) -> Result<Self, DocumentError> {
        let Value::Object(members) = value else {
            return Err(DocumentError::new(path, "is no object"));
        };
        known(
            members,
            path,
            &[
                "Sid",
                "Effect",
                "Principal",
                "Action",
                "Resource",
                "Condition",
            ],
        )?;
        let at = |member: &str| format!("{path}.{member}");
        let id = match members.get("Sid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(DocumentError::new(&at("Sid"), "is no text")),
        };
        let effect = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => {
                return Err(DocumentError::new(
                    &at("Effect"),
                    "is neither Allow nor Deny",
                ));
            }
        };
        let principals = match (members.get("Principal"), attachment) {
            (None, Attachment::Principal) => None,
            (Some(_), Attachment::Principal) => {
                let what = "has no place in the policy of a principal";
                return Err(DocumentError::new(&at("Principal"), what));
            }
            (None, _) => return Err(DocumentError::new(&at("Principal"), "is missing")),
            (Some(value), _) => Some(principals(value, &at("Principal"))?),
        };
        let actions = match members.get("Action") {
            None => return Err(DocumentError::new(&at("Action"), "is missing")),
            Some(value) => actions(value, &at("Action"))?,
        };
        let resources = match (members.get("Resource"), attachment) {
            (None, Attachment::Repository) => None,
            (Some(_), Attachment::Repository) => {
                let what = "has no place in the policy of a repository";
                return Err(DocumentError::new(&at("Resource"), what));
            }
            (None, _) => return Err(DocumentError::new(&at("Resource"), "is missing")),
            (Some(value), _) => Some(resources(value, &at("Resource"))?),
        };
        let conditions = match members.get("Condition") {
            None => Vec::new(),
            Some(value) => Condition::read_all(value, &at("Condition"))?,
        };
        Ok(Self {
            id,
            effect,
            principals,
            actions,
            resources,
            conditions,
        })
    }

    pub(super) fn is_about_principal(&self, principal: &Principal, text: &str) -> bool {
        let Some(principals) = &self.principals else {
            return true;
        };
        principals.iter().any(|who| match who {
            Who::Everyone => true,
            Who::Authenticated => *principal != Principal::Anonymous,
            Who::Like(pattern) => pattern.matches(text),
        })
    }

    pub(super) fn is_about_action(&self, action: &str) -> bool {
        self.actions.iter().any(|pattern| pattern.matches(action))
    }

    pub(super) fn is_about_resource(&self, repository: Option<&str>) -> bool {
        let Some(resources) = &self.resources else {
            return true;
        };
        resources.iter().any(|what| match (what, repository) {
            (What::Everything, _) => true,
            (What::Repositories(pattern), Some(name)) => pattern.matches(name),
            (What::Repositories(_), None) => false,
        })
    }

    pub(super) fn has_conditions(&self) -> bool {
        !self.conditions.is_empty()
    }

    pub(super) fn holds(&self, principal: &Principal, context: &Context) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.all(|condition| condition.holds(principal, context))
    }
}

fn known(members: &Map<String, Value>, path: &str, names: &[&str]) -> Result<(), DocumentError> {
    match members.keys().find(|key| !names.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", key.escape_debug());
            Err(DocumentError::new(&path, "is not known here"))
        }
    }
}

/// A text, or a list of texts. Numbers and truths are taken as texts, as AWS does.
pub(super) fn texts(value: &Value, path: &str) -> Result<Vec<String>, DocumentError> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(DocumentError::new(path, "is no text and no list of texts")),
    };
    match value {
        Value::Array(values) if values.is_empty() => Err(DocumentError::new(path, "is empty")),
        Value::Array(values) => values.iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

fn actions(value: &Value, path: &str) -> Result<Vec<Pattern>, DocumentError> {
    let mut patterns = Vec::new();
    for text in texts(value, path)? {
        // AWS compares actions without regard to case.
        let pattern = Pattern::new(text.to_ascii_lowercase());
        let is_known = Action::ALL
            .iter()
            .any(|action| pattern.matches(&action.as_str().to_ascii_lowercase()));
        if !is_known {
            let what = format!("names no action: {}", text.escape_debug());
            return Err(DocumentError::new(path, what));
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}

/// `*`, `repository/PATTERN`, `arn:aws:ecr:REGION:ACCOUNT:repository/PATTERN`.
fn resources(value: &Value, path: &str) -> Result<Vec<What>, DocumentError> {
    let mut all = Vec::new();
    for text in texts(value, path)? {
        let resource = match text.strip_prefix("arn:") {
            // arn:partition:service:region:account:resource
            Some(rest) => rest.splitn(5, ':').nth(4).unwrap_or_default(),
            None => &text,
        };
        all.push(match resource.strip_prefix("repository/") {
            Some(pattern) if !pattern.is_empty() => What::Repositories(Pattern::new(pattern)),
            _ if resource == "*" => What::Everything,
            _ => {
                let what = format!(
                    "is neither * nor repository/NAME nor an ARN of one: {}",
                    text.escape_debug()
                );
                return Err(DocumentError::new(path, what));
            }
        });
    }
    Ok(all)
}

/// `"*"`, or `{"AWS": [...]}` or `{"Wharf": [...]}` with `*`, `user/alice`, `robot/*`, an account
/// (everyone who said who they are), or an ARN of one of those.
fn principals(value: &Value, path: &str) -> Result<Vec<Who>, DocumentError> {
    let members = match value {
        Value::String(text) if text == "*" => return Ok(vec![Who::Everyone]),
        Value::Object(members) if !members.is_empty() => members,
        _ => return Err(DocumentError::new(path, "is neither * nor an object")),
    };
    known(members, path, &["AWS", "Wharf"])?;
    let mut all = Vec::new();
    for (kind, value) in members {
        let path = format!("{path}.{kind}");
        for text in texts(value, &path)? {
            all.push(who(&text).ok_or_else(|| {
                let what = format!("names no principal: {}", text.escape_debug());
                DocumentError::new(&path, what)
            })?);
        }
    }
    Ok(all)
}

fn who(text: &str) -> Option<Who> {
    let is_account =
        |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match text.strip_prefix("arn:") {
        // arn:aws:iam::123456789012:user/alice
        Some(rest) => rest.splitn(5, ':').nth(4)?,
        None => text,
    };
    if name == "*" {
        return Some(Who::Everyone);
    }
    if name == "root" || is_account(name) {
        return Some(Who::Authenticated);
    }
    let (kind, rest) = name.split_once('/')?;
    // What AWS calls a role is what comes here with another issuer's token.
    let kind = if kind == "role" { "federated" } else { kind };
    let is_kind = ["user", "robot", "federated", "certificate"].contains(&kind);
    (is_kind && !rest.is_empty()).then(|| {
        let subject = match kind == "federated" && !rest.contains('/') && !rest.ends_with('*') {
            // Everyone who comes by this trust, whatever the subject.
            true => "/*",
            false => "",
        };
        Who::Like(Pattern::new(format!("{kind}/{rest}{subject}")))
    })
}
