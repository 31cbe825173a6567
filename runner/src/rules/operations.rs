//! Rules and targets: put, described, listed, removed.

use serde_json::{Value, json};

use super::{Rule, Rules, pattern, schedule};
use crate::aws::door::uuid;
use crate::aws::{Error, Input, page};

/// How many targets a rule has at most.
const MOST_TARGETS: usize = 5;

impl Rules {
    pub(super) async fn put_rule(&self, input: &Input) -> Result<Value, Error> {
        let name = input.text("Name")?.to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(input.wrong("Name has up to 64 letters, digits, ., - and _"));
        }
        own_bus(input)?;
        let (text, every) = (
            input.maybe("EventPattern"),
            input.maybe("ScheduleExpression"),
        );
        if text.is_none() && every.is_none() {
            return Err(
                input.wrong("Parameter(s) EventPattern or ScheduleExpression must be specified.")
            );
        }
        if let Some(text) = text {
            let invalid = |reason: String| Error::new("InvalidEventPatternException", reason);
            let pattern = serde_json::from_str(text)
                .map_err(|error| invalid(format!("Event pattern is not valid. Reason: {error}")))?;
            if let Some(fault) = pattern::fault(&pattern) {
                return Err(invalid(fault));
            }
        }
        if let Some(every) = every
            && schedule::rate(every).is_none()
        {
            return Err(input.wrong("ScheduleExpression reads rate(5 minutes) here"));
        }
        let arn = self.ground.names.arn("events", &format!("rule/{name}"));
        let before = self.rules.get(&name);
        let rule = Rule {
            arn: arn.clone(),
            name: name.clone(),
            pattern: text.map(str::to_owned),
            schedule: every.map(str::to_owned),
            is_enabled: input.maybe("State") != Some("DISABLED"),
            description: input.maybe("Description").map(str::to_owned),
            targets: before.map(|rule| rule.targets).unwrap_or_default(),
        };
        self.rules.put(&name, rule).await?;
        self.spawn_schedule(&name);
        Ok(json!({"RuleArn": arn}))
    }

    pub(super) fn describe_rule(&self, input: &Input) -> Result<Value, Error> {
        Ok(shown(&self.rule(input, "Name")?))
    }

    pub(super) fn list_rules(&self, input: &Input) -> Value {
        let prefix = input.maybe("NamePrefix").unwrap_or_default();
        let found = self.rules.filtered(|rule| rule.name.starts_with(prefix));
        let (found, next) = page(found, input.maybe("NextToken"), input.number("Limit"));
        let found: Vec<Value> = found.iter().map(shown).collect();
        json!({"Rules": found, "NextToken": next})
    }

    pub(super) async fn delete_rule(&self, input: &Input) -> Result<Value, Error> {
        let name = input.text("Name")?;
        if self
            .rules
            .get(name)
            .is_some_and(|rule| !rule.targets.is_empty())
        {
            return Err(input.wrong("Rule can't be deleted since it has targets."));
        }
        self.rules.remove(name).await?;
        Ok(json!({}))
    }

    pub(super) async fn enable(&self, input: &Input, is_enabled: bool) -> Result<Value, Error> {
        let name = self.rule(input, "Name")?.name;
        self.rules
            .update(&name, |rule| rule.is_enabled = is_enabled)
            .await?;
        Ok(json!({}))
    }

    pub(super) async fn put_targets(&self, input: &Input) -> Result<Value, Error> {
        let rule = self.rule(input, "Rule")?;
        let (mut targets, mut failed) = (rule.targets, Vec::new());
        for target in input.list("Targets") {
            if let Some(fault) = fault(&target) {
                let id = target["Id"].clone();
                failed.push(json!({"TargetId": id, "ErrorCode": "ValidationException", "ErrorMessage": fault}));
                continue;
            }
            targets.retain(|known| known["Id"] != target["Id"]);
            targets.push(target);
        }
        if targets.len() > MOST_TARGETS {
            let message = format!("a rule has {MOST_TARGETS} targets at most");
            return Err(Error::new("LimitExceededException", message));
        }
        self.rules
            .update(&rule.name, |rule| rule.targets = targets)
            .await?;
        Ok(json!({"FailedEntryCount": failed.len(), "FailedEntries": failed}))
    }

    pub(super) fn list_targets(&self, input: &Input) -> Result<Value, Error> {
        Ok(json!({"Targets": self.rule(input, "Rule")?.targets}))
    }

    pub(super) async fn remove_targets(&self, input: &Input) -> Result<Value, Error> {
        let name = self.rule(input, "Rule")?.name;
        let ids = input.texts("Ids");
        let change = |rule: &mut Rule| {
            rule.targets
                .retain(|target| !ids.iter().any(|id| target["Id"] == *id));
        };
        self.rules.update(&name, change).await?;
        Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
    }

    pub(super) async fn put_events(&self, input: &Input) -> Result<Value, Error> {
        let mut entries = Vec::new();
        for entry in input.list("Entries") {
            let detail = entry["Detail"]
                .as_str()
                .and_then(|text| serde_json::from_str::<Value>(text).ok());
            let (Some(source), Some(kind), Some(detail)) = (
                entry["Source"].as_str(),
                entry["DetailType"].as_str(),
                detail,
            ) else {
                entries.push(json!({"ErrorCode": "MalformedDetail", "ErrorMessage": "Source, DetailType and a Detail of JSON are needed"}));
                continue;
            };
            if source.starts_with("aws.") {
                entries.push(json!({"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "sources of AWS are not told by others"}));
                continue;
            }
            let id = uuid();
            let event = json!({
                "version": "0", "id": id, "detail-type": kind, "source": source,
                "account": self.ground.names.account(), "region": self.ground.names.region(),
                "time": crate::aws::iso(crate::aws::now()).replace("+0000", "Z"),
                "resources": entry["Resources"].as_array().cloned().unwrap_or_default(), "detail": detail,
            });
            self.deliver(&event).await;
            entries.push(json!({"EventId": id}));
        }
        let failed = entries
            .iter()
            .filter(|entry| entry["EventId"].is_null())
            .count();
        Ok(json!({"FailedEntryCount": failed, "Entries": entries}))
    }

    fn rule(&self, input: &Input, member: &str) -> Result<Rule, Error> {
        own_bus(input)?;
        let name = input.text(member)?;
        let name = name.rsplit('/').next().unwrap_or(name);
        self.rules.get(name).ok_or_else(|| {
            let message = format!("Rule {name} does not exist on EventBus default.");
            Error::new("ResourceNotFoundException", message)
        })
    }
}

/// There is one bus.
fn own_bus(input: &Input) -> Result<(), Error> {
    match input.maybe("EventBusName") {
        None => Ok(()),
        Some(name) if name == "default" || name.ends_with("event-bus/default") => Ok(()),
        Some(name) => {
            let message = format!("Event bus {name} does not exist.");
            Err(Error::new("ResourceNotFoundException", message))
        }
    }
}

fn fault(target: &Value) -> Option<&'static str> {
    let arn = target["Arn"].as_str().unwrap_or_default();
    if target["Id"].as_str().is_none_or(str::is_empty) {
        return Some("a target has an Id");
    }
    let kind = arn.split(':').nth(2).unwrap_or_default();
    match kind {
        "lambda" => None,
        "batch" if target["BatchParameters"]["JobDefinition"].is_string() => None,
        "batch" => Some("BatchParameters with JobDefinition and JobName are needed"),
        "ecs" if target["EcsParameters"]["TaskDefinitionArn"].is_string() => None,
        "ecs" => Some("EcsParameters with TaskDefinitionArn are needed"),
        _ => Some("targets are functions, job queues and clusters here"),
    }
}

fn shown(rule: &Rule) -> Value {
    let mut shown = json!({
        "Name": rule.name, "Arn": rule.arn, "EventBusName": "default",
        "State": if rule.is_enabled { "ENABLED" } else { "DISABLED" },
    });
    let optional = [
        ("EventPattern", &rule.pattern),
        ("ScheduleExpression", &rule.schedule),
        ("Description", &rule.description),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            shown[name] = value.clone().into();
        }
    }
    shown
}
