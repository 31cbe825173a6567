//! The parsers of the runner, each as a function that takes any bytes and asserts what has to hold.
//!
//! The list is used by the tests, with a mutator that a seed decides, and by cargo-fuzz.

#[cfg(test)]
#[path = "../../../tests/support/fuzzer.rs"]
mod fuzzer;

use serde_json::Value;

use crate::aws::{Input, sigv4};
use crate::config::{Config, Span};
use crate::{apigateway, batch, ecs, lambda, registry, rules};

/// A parser's name, and what takes bytes to it.
pub type Target = (&'static str, fn(&[u8]));

/// All parsers.
pub const TARGETS: &[Target] = &[
    ("runner-answer", answer),
    ("runner-configuration", configuration),
    ("runner-image", image),
    ("runner-job", job),
    ("runner-pattern", pattern),
    ("runner-rate", |bytes| text(bytes, rules::fuzz_rate)),
    ("runner-route", route),
    ("runner-signature", signature),
    ("runner-span", span),
    ("runner-task-definition", task_definition),
    ("runner-transformer", transformer),
];

/// Runs a target on texts.
fn text(bytes: &[u8], run: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        run(text);
    }
}

/// Two JSON values, a line each; the second may be missing.
fn values(bytes: &[u8]) -> Option<(Value, Value)> {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let first = serde_json::from_slice(parts.next()?).ok()?;
    let second = parts
        .next()
        .and_then(|part| serde_json::from_slice(part).ok());
    Some((first, second.unwrap_or_default()))
}

fn answer(bytes: &[u8]) {
    lambda::payload::fuzz(bytes);
}

fn configuration(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(config) = Config::from_text(text) {
            let shown = config.without_secrets();
            let is_secret = |line: &&str| {
                line.starts_with("password =") || line.starts_with("secret_access_key =")
            };
            for line in shown.lines().filter(is_secret) {
                assert!(
                    line.ends_with("\"(hidden)\"") || line.ends_with("\"\""),
                    "{line}"
                );
            }
        }
    });
}

fn image(bytes: &[u8]) {
    text(bytes, registry::fuzz);
}

/// A job definition, a line's end, and what is asked for.
fn job(bytes: &[u8]) {
    if let Some((definition, input)) = values(bytes) {
        batch::fuzz(definition, &Input::new(input, "ClientException"));
    }
}

/// A pattern, a line's end, and an event.
fn pattern(bytes: &[u8]) {
    if let Some((pattern, event)) = values(bytes) {
        rules::fuzz_pattern(&pattern, &event);
    }
}

/// A route's key, a method and a path: a line each.
fn route(bytes: &[u8]) {
    text(bytes, |text| {
        let mut lines = text.splitn(3, '\n');
        let mut next = || lines.next().unwrap_or_default();
        let (key, method, path) = (next(), next(), next());
        apigateway::fuzz(key, method, path);
    });
}

fn signature(bytes: &[u8]) {
    text(bytes, sigv4::fuzz);
}

fn span(bytes: &[u8]) {
    text(bytes, |text| {
        if let Ok(span) = text.parse::<Span>() {
            assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
        ecs::fuzz_units(text);
    });
}

fn task_definition(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        ecs::fuzz(value);
    }
}

/// A target, a line's end, and an event.
fn transformer(bytes: &[u8]) {
    if let Some((target, event)) = values(bytes) {
        rules::fuzz_input(&target, &event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_upset_a_parser_of_the_runner() {
        fuzzer::run("runner", TARGETS);
    }
}
