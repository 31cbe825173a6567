//! Job definitions: revisions that never change.

use serde_json::{Value, json};

use super::environments::name;
use super::model::Definition;
use super::{Batch, short};
use crate::aws::{Error, Input, page};

/// Members that would reach the host, and are therefore refused.
const REFUSED: [&str; 5] = [
    "privileged",
    "volumes",
    "mountPoints",
    "ulimits",
    "linuxParameters",
];

impl Batch {
    pub(super) async fn register(&self, input: &Input) -> Result<Value, Error> {
        let name = name(input, "jobDefinitionName")?;
        if input.text("type")? != "container" {
            return Err(input.wrong("jobs are containers here: type container"));
        }
        let container = &input.value()["containerProperties"];
        let image = container["image"].as_str().unwrap_or_default();
        self.ground
            .registry
            .image(image)
            .map_err(|error| input.wrong(error.to_string()))?;
        for member in REFUSED {
            let is_nothing = match &container[member] {
                Value::Null | Value::Bool(false) => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(members) => members.is_empty(),
                _ => false,
            };
            if !is_nothing {
                return Err(input.wrong(format!("{member} would reach the host, and is refused")));
            }
        }
        let last = self.definitions.filtered(|found| found.name == name);
        let revision = last.iter().map(|found| found.revision).max().unwrap_or(0) + 1;
        let key = format!("{name}:{revision}");
        let definition = Definition {
            arn: self
                .ground
                .names
                .arn("batch", &format!("job-definition/{key}")),
            name: name.clone(),
            revision,
            is_active: true,
            body: input.value().clone(),
        };
        let told = json!({"jobDefinitionName": name, "jobDefinitionArn": definition.arn, "revision": revision});
        self.definitions.put(&key, definition).await?;
        Ok(told)
    }

    pub(super) fn describe_definitions(&self, input: &Input) -> Value {
        let wanted = input.texts("jobDefinitions");
        let (name, status) = (input.maybe("jobDefinitionName"), input.maybe("status"));
        let mut found = self.definitions.filtered(|found| {
            let is_named = wanted.is_empty()
                || wanted.iter().any(|wanted| {
                    short(wanted) == found.name
                        || short(wanted) == format!("{}:{}", found.name, found.revision)
                });
            is_named
                && name.is_none_or(|name| found.name == name)
                && status.is_none_or(|status| (status == "ACTIVE") == found.is_active)
        });
        found.sort_by_key(|found| (found.name.clone(), std::cmp::Reverse(found.revision)));
        let (found, next) = page(found, input.maybe("nextToken"), input.number("maxResults"));
        let shown: Vec<Value> = found
            .into_iter()
            .map(|found| {
                let mut shown = found.body;
                shown["jobDefinitionName"] = found.name.into();
                shown["jobDefinitionArn"] = found.arn.into();
                shown["revision"] = found.revision.into();
                shown["status"] = if found.is_active {
                    "ACTIVE"
                } else {
                    "INACTIVE"
                }
                .into();
                shown
            })
            .collect();
        json!({"jobDefinitions": shown, "nextToken": next})
    }

    pub(super) async fn deregister(&self, input: &Input) -> Result<Value, Error> {
        let found = self.definition(input.text("jobDefinition")?, input)?;
        let key = format!("{}:{}", found.name, found.revision);
        self.definitions
            .update(&key, |found| found.is_active = false)
            .await?;
        Ok(json!({}))
    }

    /// The definition of an ARN, `name:revision`, or the newest active one of a name.
    pub(super) fn definition(&self, text: &str, input: &Input) -> Result<Definition, Error> {
        let name = short(text);
        let found = match name.contains(':') {
            true => self.definitions.get(name).filter(|found| found.is_active),
            false => {
                let found = self
                    .definitions
                    .filtered(|found| found.name == name && found.is_active);
                found.into_iter().max_by_key(|found| found.revision)
            }
        };
        found.ok_or_else(|| {
            input.wrong(format!(
                "JobDefinition {text} is not active or does not exist"
            ))
        })
    }
}
