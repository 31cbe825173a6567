//! Events to targets. What a target does later is kept before the event counts as delivered.

use serde_json::{Value, json};

use super::{Rule, Rules, input, pattern};
use crate::aws::{Error, Input};

impl Rules {
    /// Delivers an event of the registry.
    pub(crate) async fn pushed(&self, event: &Value) {
        let names = &self.ground.names;
        self.deliver(&pattern::envelope(event, names.account(), names.region()))
            .await;
    }

    /// Delivers an event to the targets of all rules that are like it.
    pub(super) async fn deliver(&self, event: &Value) {
        let wanting = self.rules.filtered(|rule| {
            let pattern = rule
                .pattern
                .as_ref()
                .and_then(|text| serde_json::from_str(text).ok());
            rule.is_enabled
                && pattern.is_some_and(|pattern: Value| pattern::is_like(&pattern, event))
        });
        for rule in wanting {
            self.fire(&rule, event).await;
        }
    }

    /// Starts all targets of a rule.
    pub(super) async fn fire(&self, rule: &Rule, event: &Value) {
        for target in &rule.targets {
            let given = input::input(target, event, (&rule.name, &rule.arn));
            let arn = target["Arn"].as_str().unwrap_or_default();
            let started = match arn.split(':').nth(2) {
                Some("lambda") => {
                    self.lambda
                        .invoke_later(arn, given.to_string().as_bytes())
                        .await
                }
                Some("batch") => self.submit(arn, target, &given).await,
                Some("ecs") => self.run(arn, target, &given).await,
                _ => continue,
            };
            match started {
                Ok(()) => tracing::info!(rule = rule.name, arn, "a rule started its target"),
                Err(error) => {
                    tracing::warn!(%error, rule = rule.name, arn, "a rule's target can't be started");
                }
            }
        }
    }

    async fn submit(&self, queue: &str, target: &Value, given: &Value) -> Result<(), Error> {
        let wish = &target["BatchParameters"];
        let mut job = json!({
            "jobQueue": queue,
            "jobDefinition": wish["JobDefinition"],
            "jobName": wish["JobName"].as_str().unwrap_or("event"),
        });
        if let Some(size) = wish["ArrayProperties"]["Size"].as_u64() {
            job["arrayProperties"] = json!({"size": size});
        }
        if let Some(attempts) = wish["RetryStrategy"]["Attempts"].as_u64() {
            job["retryStrategy"] = json!({"attempts": attempts});
        }
        for (from, to) in [
            ("Parameters", "parameters"),
            ("ContainerOverrides", "containerOverrides"),
        ] {
            if given[from].is_object() {
                job[to] = lowered(&given[from], from == "Parameters");
            }
        }
        self.batch
            .submit(&Input::new(job, "ClientException"))
            .await
            .map(drop)
    }

    async fn run(&self, cluster: &str, target: &Value, given: &Value) -> Result<(), Error> {
        let wish = &target["EcsParameters"];
        let mut task = json!({
            "cluster": cluster,
            "taskDefinition": wish["TaskDefinitionArn"],
            "count": wish["TaskCount"].as_u64().unwrap_or(1),
            "launchType": wish["LaunchType"].as_str().unwrap_or("EC2"),
            "startedBy": "events-rule",
        });
        if given["containerOverrides"].is_array() {
            task["overrides"] = given.clone();
        }
        self.ecs
            .run_task(&Input::new(task, "InvalidParameterException"))
            .await
            .map(drop)
    }
}

/// The members' names as Batch has them: with a small letter first.
fn lowered(value: &Value, is_flat: bool) -> Value {
    match value {
        Value::Object(members) if !is_flat => {
            let lower = |name: &str| {
                let mut letters = name.chars();
                let first = letters
                    .next()
                    .map(|first| first.to_lowercase().collect::<String>());
                format!("{}{}", first.unwrap_or_default(), letters.as_str())
            };
            let pairs = members
                .iter()
                .map(|(name, value)| (lower(name), lowered(value, false)));
            Value::Object(pairs.collect())
        }
        Value::Array(entries) => entries
            .iter()
            .map(|entry| lowered(entry, is_flat))
            .collect(),
        other => other.clone(),
    }
}
