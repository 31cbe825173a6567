//! What a statement asks of a call besides who, what and where.
//!
//! The operators and their meaning are those of AWS: every condition has to hold, one of its values
//! is enough, and what a call doesn't have meets only the negated operators and `…IfExists`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::document::DocumentError;
use crate::identity::{Context, Principal};
use wharf_storage::pattern::Pattern;

/// A condition.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    key: Key,
    test: Test,
    negated: bool,
    /// Whether a call without the key meets it.
    if_exists: bool,
}

#[derive(Clone, Debug)]
enum Key {
    SourceIp,
    SecureTransport,
    Username,
    Claim(String),
}

#[derive(Clone, Debug)]
enum Test {
    Equals(Vec<String>),
    EqualsIgnoringCase(Vec<String>),
    Like(Vec<Pattern>),
    Address(Vec<IpNet>),
    Bool(bool),
}

impl Condition {
    /// Reads the conditions of a statement.
    pub(super) fn read_all(value: &Value, path: &str) -> Result<Vec<Self>, DocumentError> {
        let object = |value: &Value, path: &str| match value {
            Value::Object(members) => Ok(members.clone()),
            _ => Err(DocumentError::new(path, "is no object")),
        };
        let mut conditions = Vec::new();
        for (operator, keys) in object(value, path)? {
            let path = format!("{path}.{operator}");
            for (key, values) in object(&keys, &path)? {
                let path = format!("{path}.{key}");
                conditions.push(Self::read(&operator, &key, &values, &path)?);
            }
        }
        Ok(conditions)
    }

    fn read(operator: &str, key: &str, values: &Value, path: &str) -> Result<Self, DocumentError> {
        let wrong = |what: &str| DocumentError::new(path, what);
        let (operator, if_exists) = match operator.strip_suffix("IfExists") {
            Some(operator) => (operator, true),
            None => (operator, false),
        };
        let values = super::document::texts(values, path)?;
        let patterns = || values.iter().map(Pattern::new).collect();
        let (test, negated) = match operator {
            "StringEquals" => (Test::Equals(values), false),
            "StringNotEquals" => (Test::Equals(values), true),
            "StringEqualsIgnoreCase" => (Test::EqualsIgnoringCase(values), false),
            "StringNotEqualsIgnoreCase" => (Test::EqualsIgnoringCase(values), true),
            "StringLike" => (Test::Like(patterns()), false),
            "StringNotLike" => (Test::Like(patterns()), true),
            "IpAddress" | "NotIpAddress" => {
                let networks = values.iter().map(|text| network(text)).collect();
                let networks: Option<Vec<IpNet>> = networks;
                let networks = networks.ok_or_else(|| wrong("is no address or network"))?;
                (Test::Address(networks), operator == "NotIpAddress")
            }
            "Bool" => match values.as_slice() {
                [value] if value == "true" => (Test::Bool(true), false),
                [value] if value == "false" => (Test::Bool(false), false),
                _ => return Err(wrong("is neither true nor false")),
            },
            _ => return Err(wrong("has an operator that is not known here")),
        };
        let lower = key.to_ascii_lowercase();
        let key = match (lower.as_str(), &test) {
            ("aws:sourceip", Test::Address(_)) => Key::SourceIp,
            ("aws:securetransport", Test::Bool(_)) => Key::SecureTransport,
            ("aws:sourceip" | "aws:securetransport", _) => {
                return Err(wrong("has an operator that its key does not go with"));
            }
            (_, Test::Address(_) | Test::Bool(_)) => {
                return Err(wrong("has an operator that its key does not go with"));
            }
            ("aws:username", _) => Key::Username,
            _ => match key.split_once(':') {
                // The names of claims keep their case.
                Some(("claim", claim)) if !claim.is_empty() => Key::Claim(claim.to_owned()),
                _ => return Err(wrong("has a key that is not known here")),
            },
        };
        Ok(Self {
            key,
            test,
            negated,
            if_exists,
        })
    }

    /// Whether a call meets it.
    pub(super) fn holds(&self, principal: &Principal, context: &Context) -> bool {
        let met = match &self.key {
            Key::SourceIp => Some(self.test.address(context.address)),
            Key::SecureTransport => Some(self.test.truth(context.secure)),
            Key::Username => match principal {
                Principal::Named(_, name) => Some(self.test.text(name)),
                Principal::Anonymous | Principal::Federated { .. } => None,
            },
            Key::Claim(claim) => context.claims.get(claim).map(|value| self.test.text(value)),
        };
        match met {
            Some(met) => met != self.negated,
            None => self.negated || self.if_exists,
        }
    }
}

impl Test {
    fn text(&self, text: &str) -> bool {
        match self {
            Self::Equals(values) => values.iter().any(|value| value == text),
            Self::EqualsIgnoringCase(values) => {
                values.iter().any(|value| value.eq_ignore_ascii_case(text))
            }
            Self::Like(patterns) => patterns.iter().any(|pattern| pattern.matches(text)),
            Self::Address(_) | Self::Bool(_) => false,
        }
    }

    fn address(&self, address: IpAddr) -> bool {
        // ::ffff:10.0.0.1 is 10.0.0.1.
        let address = address.to_canonical();
        matches!(self, Self::Address(networks)
            if networks.iter().any(|network| network.contains(&address)))
    }

    fn truth(&self, truth: bool) -> bool {
        matches!(self, Self::Bool(wanted) if *wanted == truth)
    }
}

/// An address stands for the network of itself.
fn network(text: &str) -> Option<IpNet> {
    match text.parse() {
        Ok(network) => Some(network),
        Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
    }
}
