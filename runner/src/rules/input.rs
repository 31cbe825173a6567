//! What a target is given: the event, a part of it, a constant, or a text made of it.

use serde_json::Value;

/// The input of a target for an event.
pub(super) fn input(target: &Value, event: &Value, rule: (&str, &str)) -> Value {
    if let Some(text) = target["Input"].as_str() {
        return serde_json::from_str(text).unwrap_or_else(|_| text.into());
    }
    if let Some(path) = target["InputPath"].as_str() {
        return part(event, path).cloned().unwrap_or_default();
    }
    let transformer = &target["InputTransformer"];
    if let Some(template) = transformer["InputTemplate"].as_str() {
        return made(template, &transformer["InputPathsMap"], event, rule);
    }
    event.clone()
}

/// Makes the input of any target for any event. One without a wish of its own gets the event.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(target: &Value, event: &Value) {
    let made = input(target, event, ("rule", "arn:rule"));
    let wishes = ["Input", "InputPath", "InputTransformer"];
    if wishes.iter().all(|wish| target[wish].is_null()) {
        assert_eq!(made, *event);
    }
}

/// `$.detail.image-tag`
fn part<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    let mut found = event;
    for name in path
        .strip_prefix('$')?
        .split('.')
        .filter(|name| !name.is_empty())
    {
        let (name, index) = match name.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (name, None),
        };
        found = found.get(name)?;
        if let Some(index) = index {
            found = found.get(index)?;
        }
    }
    Some(found)
}

/// A template whose `<name>` are values: as they are inside of texts, as JSON elsewhere.
fn made(template: &str, paths: &Value, event: &Value, (name, arn): (&str, &str)) -> Value {
    let mut text = String::new();
    let (mut is_quoted, mut rest) = (false, template);
    while let Some(letter) = rest.chars().next() {
        let end = rest.find('>').filter(|_| letter == '<');
        let known =
            end.and_then(|end| Some((end, value(&rest[1..end], paths, event, (name, arn))?)));
        if let Some((end, value)) = known {
            let written = match (&value, is_quoted) {
                (Value::String(text), true) => {
                    let quoted = Value::from(text.as_str()).to_string();
                    quoted[1..quoted.len() - 1].to_owned()
                }
                (other, true) => other.to_string().replace('"', "\\\""),
                (other, false) => other.to_string(),
            };
            text.push_str(&written);
            rest = &rest[end + 1..];
            continue;
        }
        is_quoted ^= letter == '"' && !text.ends_with('\\');
        text.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

fn value(name: &str, paths: &Value, event: &Value, rule: (&str, &str)) -> Option<Value> {
    match name {
        "aws.events.rule-name" => Some(rule.0.into()),
        "aws.events.rule-arn" => Some(rule.1.into()),
        "aws.events.event" | "aws.events.event.json" => Some(event.clone()),
        _ => {
            let path = paths[name].as_str()?;
            Some(part(event, path).cloned().unwrap_or_else(|| "".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_target_is_given_what_it_asks_for() {
        let event = json!({"source": "aws.ecr", "detail": {"image-tag": "v\"1", "list": [1, 2]}});
        let rule = ("pushes", "arn:r");
        let given = |target: Value| input(&target, &event, rule);
        assert_eq!(given(json!({})), event);
        assert_eq!(given(json!({"Input": "{\"a\": 1}"})), json!({"a": 1}));
        assert_eq!(given(json!({"InputPath": "$.detail.list[1]"})), json!(2));
        let transformer = json!({"InputTransformer": {
            "InputPathsMap": {"tag": "$.detail.image-tag", "all": "$.detail.list"},
            "InputTemplate": "{\"text\": \"tag <tag> of <aws.events.rule-name>\", \"tag\": <tag>, \"all\": <all>}",
        }});
        let want = json!({"text": "tag v\"1 of pushes", "tag": "v\"1", "all": [1, 2]});
        assert_eq!(given(transformer), want);
    }
}
