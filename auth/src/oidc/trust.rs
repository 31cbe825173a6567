//! The rule: which issuer, which audience, which claims.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::policy::Pattern;

/// Why a text is no trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is not of the right form.
    #[error("the trust is not valid: {0}")]
    Form(#[from] serde_json::Error),
    /// The issuer is no address.
    #[error("the trust is not valid: issuer is no http or https address")]
    Issuer,
    /// Anyone whom the issuer knows would meet it.
    #[error(
        "the trust is not valid: claims names nothing in particular, so everyone whom the issuer gives a token would \
         be let in; name at least one claim, such as sub"
    )]
    Anyone,
}

/// Whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// The issuer, exactly as its tokens say it, such as
    /// `https://token.actions.githubusercontent.com`.
    pub issuer: String,
    /// What the token must be meant for.
    pub audience: String,
    /// What the token must claim; a value may have `*` and `?`.
    pub claims: BTreeMap<String, String>,
    /// Where the issuer's keys are, if not where its discovery document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
}

impl Trust {
    /// Reads a trust.
    ///
    /// # Errors
    ///
    /// When it is of another form, or would let everyone in.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let trust: Self = serde_json::from_str(text)?;
        let is_address = |text: &str| text.starts_with("https://") || text.starts_with("http://");
        if !is_address(&trust.issuer) || !trust.jwks_uri.as_deref().is_none_or(is_address) {
            return Err(TrustError::Issuer);
        }
        let says_something = |pattern: &String| pattern.bytes().any(|byte| !b"*?".contains(&byte));
        // The issuer and the audience are asked for anyway.
        let mut own = trust
            .claims
            .iter()
            .filter(|(name, _)| !["iss", "aud"].contains(&name.as_str()));
        if !own.any(|(_, pattern)| says_something(pattern)) {
            return Err(TrustError::Anyone);
        }
        Ok(trust)
    }

    /// Whether a token's claims meet it.
    pub(super) fn is_met_by(&self, claims: &Map<String, Value>) -> bool {
        let names_audience = match claims.get("aud") {
            Some(Value::String(audience)) => *audience == self.audience,
            // RFC 7519, 4.1.3: a token may be meant for several.
            Some(Value::Array(audiences)) => audiences.iter().any(|one| *one == self.audience),
            _ => false,
        };
        names_audience
            && claims.get("iss").and_then(Value::as_str) == Some(&self.issuer)
            && self.claims.iter().all(|(name, pattern)| {
                let pattern = Pattern::new(pattern.as_str());
                claims
                    .get(name)
                    .is_some_and(|value| is_like(&pattern, value))
            })
    }
}

/// Whether a claim is like a pattern; of a list one entry is enough.
fn is_like(pattern: &Pattern, value: &Value) -> bool {
    match value {
        Value::String(text) => pattern.matches(text),
        Value::Bool(truth) => pattern.matches(&truth.to_string()),
        Value::Number(number) => pattern.matches(&number.to_string()),
        Value::Array(values) => values
            .iter()
            .any(|value| value.as_str().is_some_and(|text| pattern.matches(text))),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trust_that_everyone_would_meet_is_refused() {
        let parse = |claims: Value| {
            let trust = json!({"issuer": "https://a.example", "audience": "a", "claims": claims});
            Trust::parse(&trust.to_string())
        };
        for claims in [
            json!({}),
            json!({"sub": ""}),
            json!({"sub": "*"}),
            json!({"sub": "?*"}),
            json!({"sub": "**?", "ref": "?"}),
            json!({"iss": "https://a.example", "aud": "a"}),
        ] {
            let told = claims.to_string();
            assert!(matches!(parse(claims), Err(TrustError::Anyone)), "{told}");
        }
        assert!(parse(json!({"sub": "repo:org/*"})).is_ok());
        assert!(parse(json!({"sub": "*", "repository": "org/?"})).is_ok());
    }
}
