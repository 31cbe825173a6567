//! The shapes of inputs, and what is wrong with one: required members, lengths, patterns, enums.
//!
//! The table `model.json` beside this file holds the constraints of the service model 2015-09-21,
//! for each operation its input and its errors, and for each shape that an input has its limits.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

/// The model.
pub(super) static MODEL: LazyLock<Model> = LazyLock::new(|| {
    serde_json::from_str(include_str!("model.json")).expect("the model can be read")
});

/// What the model says.
#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
    #[serde(skip)]
    patterns: std::sync::Mutex<BTreeMap<String, Regex>>,
}

/// An operation.
#[derive(Debug, Deserialize)]
pub(super) struct Operation {
    input: String,
    errors: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Shape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    members: BTreeMap<String, String>,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<String>,
    #[serde(default, rename = "enum")]
    allowed: Vec<String>,
}

impl Model {
    /// What is wrong with the input of an operation, in the words that AWS has for it.
    pub(super) fn fault(&self, operation: &Operation, input: &Value) -> Option<String> {
        self.check(&operation.input, input, "").err()
    }

    fn check(&self, name: &str, value: &Value, path: &str) -> Result<(), String> {
        let shape = &self.shapes[name];
        let wrong = |constraint: String| {
            let place = if path.is_empty() { "input" } else { path };
            Err(format!(
                "Invalid parameter at '{place}' failed to satisfy constraint: '{constraint}'"
            ))
        };
        let within = |length: usize, what: &str| {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            if shape.min.is_some_and(|min| length < min) {
                let min = shape.min.unwrap_or_default();
                return wrong(format!("{what} must be greater than or equal to {min}"));
            }
            if shape.max.is_some_and(|max| length > max) {
                let max = shape.max.unwrap_or_default();
                return wrong(format!("{what} must be less than or equal to {max}"));
            }
            Ok(())
        };
        let below = |member: &str| match path {
            "" => member.to_owned(),
            path => format!("{path}.{member}"),
        };
        match (shape.kind.as_str(), value) {
            ("structure", Value::Object(members)) => {
                for required in &shape.required {
                    if members.get(required).is_none_or(Value::is_null) {
                        let path = below(required);
                        return Err(format!(
                            "Invalid parameter at '{path}' failed to satisfy constraint: 'must not be null'"
                        ));
                    }
                }
                // AWS passes over members that it doesn't know.
                for (member, shape) in &shape.members {
                    match members.get(member) {
                        None | Some(Value::Null) => {}
                        Some(value) => self.check(shape, value, &below(member))?,
                    }
                }
                Ok(())
            }
            ("list", Value::Array(values)) => {
                within(values.len(), "Member count")?;
                let member = shape.member.as_deref().expect("a list has members");
                for (place, value) in values.iter().enumerate() {
                    self.check(member, value, &format!("{path}[{place}]"))?;
                }
                Ok(())
            }
            ("map", Value::Object(members)) => {
                let key = shape.key.as_deref().expect("a map has keys");
                let of = shape.value.as_deref().expect("a map has values");
                for (name, value) in members {
                    self.check(key, &Value::from(name.as_str()), path)?;
                    self.check(of, value, path)?;
                }
                Ok(())
            }
            ("string", Value::String(text)) => {
                within(text.chars().count(), "Member length")?;
                if !shape.allowed.is_empty() && !shape.allowed.contains(text) {
                    let allowed = shape.allowed.join(", ");
                    return wrong(format!("Member must satisfy enum value set: [{allowed}]"));
                }
                match &shape.pattern {
                    Some(pattern) if !self.matches(pattern, text) => {
                        wrong(format!("must satisfy regular expression '{pattern}'"))
                    }
                    _ => Ok(()),
                }
            }
            ("integer" | "long", Value::Number(number)) => {
                let Some(number) = number.as_i64() else {
                    return wrong("must be a whole number".into());
                };
                if shape.min.is_some_and(|min| number < min) {
                    let min = shape.min.unwrap_or_default();
                    return wrong(format!(
                        "Member must have value greater than or equal to {min}"
                    ));
                }
                if shape.max.is_some_and(|max| number > max) {
                    let max = shape.max.unwrap_or_default();
                    return wrong(format!(
                        "Member must have value less than or equal to {max}"
                    ));
                }
                Ok(())
            }
            ("boolean", Value::Bool(_)) | ("timestamp" | "double", Value::Number(_)) => Ok(()),
            ("blob", Value::String(text)) => match BASE64_STANDARD.decode(text) {
                Ok(bytes) => within(bytes.len(), "Member length"),
                Err(_) => wrong("must be base64".into()),
            },
            (kind, _) => wrong(format!("must be of type {kind}")),
        }
    }

    /// Whether the whole of a text matches. Takes linear time in the text.
    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut patterns = self
            .patterns
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let regex = patterns.entry(pattern.to_owned()).or_insert_with(|| {
            let whole = format!("^(?:{pattern})$");
            Regex::new(&whole).expect("the model's patterns can be read")
        });
        regex.is_match(text)
    }
}

impl Operation {
    /// The error that this operation has for an input that makes no sense.
    pub(super) fn invalid(&self) -> &'static str {
        let has = |name: &str| self.errors.iter().any(|error| error == name);
        match has("InvalidParameterException") {
            true => "InvalidParameterException",
            false => "ValidationException",
        }
    }

    /// Whether the operation has this error.
    pub(super) fn has_error(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error == name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(operation: &str, input: &Value) -> String {
        MODEL
            .fault(&MODEL.operations[operation], input)
            .unwrap_or_default()
    }

    #[test]
    fn the_model_has_every_operation_and_every_pattern_can_be_read() {
        assert_eq!(MODEL.operations.len(), 62);
        for shape in MODEL.shapes.values() {
            if let Some(pattern) = &shape.pattern {
                MODEL.matches(pattern, "x");
            }
            let of = shape.members.values();
            let of = of
                .chain(&shape.member)
                .chain(&shape.key)
                .chain(&shape.value);
            for name in of {
                assert!(MODEL.shapes.contains_key(name), "{name}");
            }
        }
    }

    #[test]
    fn inputs_are_checked_against_the_constraints() {
        for (operation, input, want) in [
            (
                "CreateRepository",
                json!({"repositoryName": "team/app"}),
                "",
            ),
            (
                "CreateRepository",
                json!({"repositoryName": "team/app", "unknown": 1}),
                "",
            ),
            (
                "CreateRepository",
                json!({}),
                "'repositoryName' failed to satisfy constraint: 'must not be null'",
            ),
            (
                "CreateRepository",
                json!({"repositoryName": null}),
                "must not be null",
            ),
            (
                "CreateRepository",
                json!({"repositoryName": 7}),
                "must be of type string",
            ),
            (
                "CreateRepository",
                json!({"repositoryName": "Team"}),
                "must satisfy regular expression",
            ),
            (
                "CreateRepository",
                json!({"repositoryName": "a"}),
                "greater than or equal to 2",
            ),
            (
                "CreateRepository",
                json!({"repositoryName": "a".repeat(257)}),
                "less than or equal to 256",
            ),
            (
                "CreateRepository",
                json!({"repositoryName": "ab", "imageTagMutability": "MAYBE"}),
                "enum value set: [MUTABLE, IMMUTABLE",
            ),
            (
                "CreateRepository",
                json!({"repositoryName": "ab", "tags": [{"Key": "a"}]}),
                "'tags[0].Value' failed",
            ),
            (
                "DescribeRepositories",
                json!({"maxResults": 0}),
                "greater than or equal to 1",
            ),
            (
                "DescribeRepositories",
                json!({"maxResults": 1001}),
                "less than or equal to 1000",
            ),
            (
                "DescribeRepositories",
                json!({"repositoryNames": []}),
                "Member count",
            ),
            (
                "BatchGetImage",
                json!({"repositoryName": "ab", "imageIds": []}),
                "Member count",
            ),
            (
                "UploadLayerPart",
                json!({"repositoryName": "ab", "uploadId": "x", "partFirstByte": 0, "partLastByte": 1, "layerPartBlob": ""}),
                "'uploadId' failed",
            ),
            (
                "PutLifecyclePolicy",
                json!({"repositoryName": "ab", "lifecyclePolicyText": "{}"}),
                "equal to 100",
            ),
            ("DescribeRepositories", json!([]), "'input' failed"),
        ] {
            let fault = fault(operation, &input);
            match want {
                "" => assert_eq!(fault, "", "{operation} {input}"),
                want => assert!(fault.contains(want), "{operation} {input}: {fault}"),
            }
        }
    }
}
