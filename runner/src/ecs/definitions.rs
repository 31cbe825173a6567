//! Task definitions: revisions of a family, which never change.

use serde_json::{Value, json};

use super::{Definition, Ecs, fargate};
use crate::aws::{Error, Input, now, page};

/// Members that would reach the host, and are therefore refused.
const REFUSED: [&str; 8] = [
    "privileged",
    "devices",
    "systemControls",
    "dockerSecurityOptions",
    "extraHosts",
    "links",
    "volumesFrom",
    "mountPoints",
];

impl Ecs {
    pub(crate) async fn register(&self, input: &Input) -> Result<Value, Error> {
        let family = input.text("family")?.to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if family.len() > 255 || !family.bytes().all(is_plain) {
            return Err(client("family has letters, digits, - and _ only"));
        }
        check(input)?;
        let mut body = input.value().clone();
        let tags = body["tags"].take();
        for container in body["containerDefinitions"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            self.ground
                .registry
                .image(container["image"].as_str().unwrap_or_default())?;
            complete(container);
        }
        let last = self.shelves.revisions.get(&family).unwrap_or(0);
        let revision = last + 1;
        self.shelves.revisions.put(&family, revision).await?;
        let key = format!("{family}:{revision}");
        let definition = Definition {
            arn: self
                .ground
                .names
                .arn("ecs", &format!("task-definition/{key}")),
            family,
            revision,
            is_active: true,
            registered_at: now(),
            body,
            tags,
        };
        self.shelves
            .definitions
            .put(&key, definition.clone())
            .await?;
        let tags = definition.tags.as_array().cloned().unwrap_or_default();
        Ok(json!({"taskDefinition": shown(&definition), "tags": tags}))
    }

    pub(super) fn describe_definition(&self, input: &Input) -> Result<Value, Error> {
        let definition = self.definition(input.text("taskDefinition")?)?;
        let tags = definition.tags.as_array().cloned().unwrap_or_default();
        Ok(json!({"taskDefinition": shown(&definition), "tags": tags}))
    }

    pub(super) fn list_definitions(&self, input: &Input) -> Value {
        let is_active = input.maybe("status") != Some("INACTIVE");
        let family = input.maybe("familyPrefix");
        let mut found = self.shelves.definitions.filtered(|definition| {
            definition.is_active == is_active
                && family.is_none_or(|family| definition.family == family)
        });
        found.sort_by(|one, other| {
            (&one.family, one.revision).cmp(&(&other.family, other.revision))
        });
        if input.maybe("sort") == Some("DESC") {
            found.reverse();
        }
        let arns = found.into_iter().map(|definition| definition.arn).collect();
        let (arns, next) =
            page::<String>(arns, input.maybe("nextToken"), input.number("maxResults"));
        json!({"taskDefinitionArns": arns, "nextToken": next})
    }

    pub(super) async fn deregister(&self, input: &Input) -> Result<Value, Error> {
        let key = self.definition(input.text("taskDefinition")?)?.key();
        let change = |definition: &mut Definition| definition.is_active = false;
        let changed = self.shelves.definitions.update(&key, change).await?;
        let definition = changed.ok_or_else(missing)?;
        Ok(json!({"taskDefinition": shown(&definition)}))
    }

    /// The definition of an ARN, `family:revision`, or the newest active one of a family.
    pub(crate) fn definition(&self, name: &str) -> Result<Definition, Error> {
        let name = Self::short(name);
        if name.contains(':') {
            return self.shelves.definitions.get(name).ok_or_else(missing);
        }
        let found = self
            .shelves
            .definitions
            .filtered(|definition| definition.family == name && definition.is_active);
        let newest = found
            .into_iter()
            .max_by_key(|definition| definition.revision);
        newest.ok_or_else(missing)
    }
}

fn missing() -> Error {
    client("Unable to describe task definition.")
}

fn client(message: impl Into<String>) -> Error {
    Error::new("ClientException", message)
}

/// Checks a definition and completes it, as it is registered.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(mut body: Value) {
    let input = Input::new(body.clone(), "ClientException");
    if check(&input).is_err() {
        return;
    }
    let containers = body["containerDefinitions"]
        .as_array_mut()
        .expect("it was checked");
    for container in containers {
        assert!(container["privileged"] != true, "it would reach the host");
        complete(container);
        assert!(container["essential"].is_boolean() || !container["essential"].is_null());
    }
}

/// Adds what a container has when nobody says.
fn complete(container: &mut Value) {
    let defaults = [
        ("essential", json!(true)),
        ("cpu", json!(0)),
        ("environment", json!([])),
        ("portMappings", json!([])),
        ("mountPoints", json!([])),
        ("volumesFrom", json!([])),
    ];
    for (name, value) in defaults {
        if container[name].is_null() {
            container[name] = value;
        }
    }
    for mapping in container["portMappings"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        if mapping["protocol"].is_null() {
            mapping["protocol"] = "tcp".into();
        }
        if mapping["hostPort"].is_null() {
            mapping["hostPort"] = mapping["containerPort"].clone();
        }
    }
}

fn check(input: &Input) -> Result<(), Error> {
    let containers = input.list("containerDefinitions");
    if containers.is_empty() {
        return Err(client("Container list cannot be empty."));
    }
    let mut names = std::collections::BTreeSet::new();
    for container in &containers {
        let name = container["name"].as_str().unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) || !names.insert(name) {
            return Err(client(
                "each container has a name of its own of letters, digits, - and _",
            ));
        }
        let mut mappings = container["portMappings"].as_array().into_iter().flatten();
        if !mappings.all(Value::is_object) {
            return Err(client("portMappings is a list of objects."));
        }
        for member in REFUSED {
            let is_nothing = match &container[member] {
                Value::Null | Value::Bool(false) => true,
                Value::Array(list) => list.is_empty(),
                _ => false,
            };
            if !is_nothing {
                return Err(client(format!(
                    "{member} would reach the host, and is refused"
                )));
            }
        }
    }
    if !input.list("volumes").is_empty() {
        return Err(client("volumes would reach the host, and are refused"));
    }
    if input
        .maybe("networkMode")
        .is_some_and(|mode| mode == "host")
    {
        return Err(client(
            "networkMode host would reach the host, and is refused",
        ));
    }
    let size = |name: &str, word: &str| match input.maybe(name) {
        None => Ok(None),
        Some(text) => fargate::units(text, word, 1024.0)
            .map(Some)
            .ok_or_else(|| client(format!("Invalid '{name}' setting for task."))),
    };
    let (cpu, memory) = (size("cpu", "vcpu")?, size("memory", "gb")?);
    let compatibilities = input.texts("requiresCompatibilities");
    if compatibilities.iter().any(|name| name == "FARGATE") {
        let (Some(cpu), Some(memory)) = (cpu, memory) else {
            return Err(client(
                "Fargate requires task definition to have cpu and memory.",
            ));
        };
        if !fargate::is_pair(cpu, memory) {
            return Err(client("No Fargate configuration exists for given values."));
        }
        if input
            .maybe("networkMode")
            .is_some_and(|mode| mode != "awsvpc")
        {
            return Err(client("Fargate only supports network mode 'awsvpc'."));
        }
    }
    Ok(())
}

/// How it is told.
fn shown(definition: &Definition) -> Value {
    let mut value = definition.body.clone();
    let fargate = value["requiresCompatibilities"].as_array();
    let fargate = fargate.is_some_and(|list| list.iter().any(|name| name == "FARGATE"));
    value["taskDefinitionArn"] = definition.arn.clone().into();
    value["family"] = definition.family.clone().into();
    value["revision"] = definition.revision.into();
    value["status"] = if definition.is_active {
        "ACTIVE"
    } else {
        "INACTIVE"
    }
    .into();
    value["registeredAt"] = definition.registered_at.into();
    value["compatibilities"] = if fargate {
        json!(["EC2", "FARGATE"])
    } else {
        json!(["EC2"])
    };
    if value["volumes"].is_null() {
        value["volumes"] = json!([]);
    }
    if let Some(members) = value.as_object_mut() {
        members.remove("tags");
    }
    value
}
