//! Whether an event is like a pattern.
//!
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>

use serde_json::{Map, Value};

/// What is wrong with a pattern; nothing where it can be used.
pub(super) fn fault(pattern: &Value) -> Option<String> {
    let Some(members) = pattern.as_object().filter(|members| !members.is_empty()) else {
        return Some("Event pattern is not valid. Reason: it is an object with members".into());
    };
    members
        .iter()
        .find_map(|(name, wish)| match (name.as_str(), wish) {
            ("$or", Value::Array(choices)) => choices.iter().find_map(fault),
            (_, Value::Object(_)) => fault(wish),
            (_, Value::Array(choices)) if !choices.is_empty() => choices
                .iter()
                .find_map(|choice| fault_of_choice(name, choice)),
            _ => Some(format!(
                "Event pattern is not valid. Reason: \"{name}\" must be an object or an array"
            )),
        })
}

/// Asks whether any event is like any pattern. What is taken for a pattern is like itself where it
/// holds nothing but texts.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(pattern: &Value, event: &Value) {
    let fault = fault(pattern);
    let _ = is_like(pattern, event);
    let _ = envelope(event, "000000000000", "us-east-1");
    let is_plain = |value: &Value| {
        let list = value.as_array();
        list.is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string))
    };
    let members = pattern.as_object().filter(|members| !members.is_empty());
    if let Some(members) = members
        && !members.contains_key("$or")
        && members.values().all(is_plain)
    {
        assert_eq!(fault, None, "{pattern}");
        assert!(is_like(pattern, pattern), "{pattern}");
    }
}

fn fault_of_choice(name: &str, choice: &Value) -> Option<String> {
    let members = choice.as_object()?;
    let known = [
        "prefix",
        "suffix",
        "anything-but",
        "exists",
        "numeric",
        "equals-ignore-case",
        "wildcard",
    ];
    let is_known = members.len() == 1
        && members
            .keys()
            .all(|operator| known.contains(&operator.as_str()));
    (!is_known).then(|| {
        format!("Event pattern is not valid. Reason: unrecognized match type in \"{name}\"")
    })
}

/// Whether an event has all that a pattern wants.
pub(super) fn is_like(pattern: &Value, event: &Value) -> bool {
    let Some(wishes) = pattern.as_object() else {
        return false;
    };
    wishes
        .iter()
        .all(|(name, wish)| match (name.as_str(), wish) {
            ("$or", Value::Array(choices)) => choices.iter().any(|choice| is_like(choice, event)),
            (_, Value::Object(_)) => is_like(wish, &event[name]),
            (_, Value::Array(choices)) => {
                let there = event.get(name);
                choices.iter().any(|choice| has(choice, there))
            }
            _ => false,
        })
}

/// Whether a member, or one entry of it where it is a list, is like a choice.
fn has(choice: &Value, there: Option<&Value>) -> bool {
    if let Some(wanted) = choice["exists"].as_bool() {
        return there.is_some() == wanted;
    }
    match there {
        None => false,
        Some(Value::Array(entries)) => entries.iter().any(|entry| fits(choice, entry)),
        Some(value) => fits(choice, value),
    }
}

fn fits(choice: &Value, value: &Value) -> bool {
    let Some(operators) = choice.as_object() else {
        return choice == value;
    };
    operators
        .iter()
        .all(|(name, wish)| operator(name, wish, value))
}

fn operator(name: &str, wish: &Value, value: &Value) -> bool {
    let text = value.as_str();
    let both = |decide: fn(&str, &str) -> bool| match (text, wish.as_str()) {
        (Some(text), Some(wish)) => decide(text, wish),
        // `{"prefix": {"equals-ignore-case": …}}`
        (Some(text), None) => wish["equals-ignore-case"]
            .as_str()
            .is_some_and(|wish| decide(&text.to_lowercase(), &wish.to_lowercase())),
        _ => false,
    };
    match name {
        "prefix" => both(|text, wish| text.starts_with(wish)),
        "suffix" => both(|text, wish| text.ends_with(wish)),
        "equals-ignore-case" => both(|text, wish| text.to_lowercase() == wish.to_lowercase()),
        "wildcard" => both(|text, wish| is_wildcard(wish.as_bytes(), text.as_bytes())),
        "anything-but" => !match wish {
            Value::Array(choices) => choices.iter().any(|choice| fits(choice, value)),
            other => fits(other, value),
        },
        "numeric" => value.as_f64().is_some_and(|number| is_within(number, wish)),
        _ => false,
    }
}

fn is_within(number: f64, wish: &Value) -> bool {
    let parts = wish.as_array().map(Vec::as_slice).unwrap_or_default();
    !parts.is_empty()
        && parts.chunks(2).all(|pair| {
            let (Some(sign), Some(bound)) = (pair[0].as_str(), pair.get(1).and_then(Value::as_f64))
            else {
                return false;
            };
            match sign {
                "=" => number == bound,
                "<" => number < bound,
                "<=" => number <= bound,
                ">" => number > bound,
                ">=" => number >= bound,
                _ => false,
            }
        })
}

/// Whether a text is like a pattern with `*`, in time linear in both.
fn is_wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            back = Some((at + 1, read));
            at += 1;
        } else if pattern.get(at) == Some(&text[read]) {
            at += 1;
            read += 1;
        } else if let Some((next, from)) = back {
            at = next;
            read = from + 1;
            back = Some((next, read));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// An event of the registry in the envelope of EventBridge.
pub(super) fn envelope(event: &Value, account: &str, region: &str) -> Value {
    let kind = event["type"].as_str().unwrap_or_default();
    let (source, detail_type) = match kind {
        "wharf.image.pushed"
        | "wharf.artifact.pushed"
        | "wharf.image.deleted"
        | "wharf.tag.deleted"
        | "wharf.image.archived"
        | "wharf.image.restored" => ("aws.ecr", "ECR Image Action"),
        "wharf.referrer.pushed" => ("aws.ecr", "ECR Referrer Action"),
        "wharf.repository.created" | "wharf.repository.deleted" => {
            ("wharf", "Wharf Repository Action")
        }
        _ => ("wharf", "Wharf Policy Action"),
    };
    let time = event["time"].as_str().unwrap_or_default();
    let seconds = time
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end_matches('Z');
    let mut members = Map::new();
    let pairs = [
        ("version", "0".into()),
        ("id", event["id"].clone()),
        ("detail-type", detail_type.into()),
        ("source", source.into()),
        ("account", account.into()),
        ("time", format!("{seconds}Z").into()),
        ("region", region.into()),
        ("resources", Value::Array(Vec::new())),
        ("detail", event["data"].clone()),
    ];
    members.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_mean_what_eventbridge_says() {
        let event = json!({
            "source": "aws.ecr", "detail-type": "ECR Image Action", "resources": ["a", "b"],
            "detail": {"action-type": "PUSH", "repository-name": "team/app", "image-tag": "v1.2", "size": 12},
        });
        for (pattern, want) in [
            (json!({"source": ["aws.ecr"]}), true),
            (
                json!({"source": ["aws.ec2", "aws.ecr"], "detail": {"action-type": ["PUSH"]}}),
                true,
            ),
            (json!({"detail": {"action-type": ["DELETE"]}}), false),
            (
                json!({"detail": {"repository-name": [{"prefix": "team/"}]}}),
                true,
            ),
            (
                json!({"detail": {"repository-name": [{"suffix": "/web"}]}}),
                false,
            ),
            (
                json!({"detail": {"image-tag": [{"wildcard": "v*.*"}]}}),
                true,
            ),
            (
                json!({"detail": {"image-tag": [{"wildcard": "v*.3*"}]}}),
                false,
            ),
            (
                json!({"detail": {"image-tag": [{"anything-but": ["latest", {"prefix": "x"}]}]}}),
                true,
            ),
            (
                json!({"detail": {"image-tag": [{"anything-but": {"prefix": "v"}}]}}),
                false,
            ),
            (
                json!({"detail": {"image-tag": [{"exists": true}], "none": [{"exists": false}]}}),
                true,
            ),
            (
                json!({"detail": {"size": [{"numeric": [">", 10, "<=", 12]}]}}),
                true,
            ),
            (json!({"detail": {"size": [{"numeric": ["<", 12]}]}}), false),
            (json!({"resources": ["b"]}), true),
            (
                json!({"$or": [{"source": ["x"]}, {"resources": ["a"]}]}),
                true,
            ),
            (
                json!({"detail": {"action-type": [{"equals-ignore-case": "push"}]}}),
                true,
            ),
        ] {
            assert_eq!(fault(&pattern), None, "{pattern}");
            assert_eq!(is_like(&pattern, &event), want, "{pattern}");
        }
        for pattern in [
            json!({}),
            json!([]),
            json!({"source": "aws.ecr"}),
            json!({"a": [{"regex": "x"}]}),
        ] {
            assert!(fault(&pattern).is_some(), "{pattern}");
        }
    }
}
