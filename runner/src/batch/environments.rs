//! Compute environments and job queues.

use serde_json::{Value, json};

use super::model::{Environment, Queue, Status};
use super::{Batch, short};
use crate::aws::{Error, Input, page, texts};

impl Batch {
    pub(super) async fn create_environment(&self, input: &Input) -> Result<Value, Error> {
        let name = name(input, "computeEnvironmentName")?;
        if self.environments.get(&name).is_some() {
            return Err(input.wrong("Object already exists"));
        }
        let resources = input.value()["computeResources"].clone();
        let vcpus = resources["maxvCpus"]
            .as_f64()
            .or(input.value()["unmanagedvCpus"].as_f64());
        let environment = Environment {
            arn: self
                .ground
                .names
                .arn("batch", &format!("compute-environment/{name}")),
            name: name.clone(),
            kind: input.text("type")?.to_owned(),
            is_enabled: input.maybe("state") != Some("DISABLED"),
            max_vcpus: vcpus.unwrap_or(self.ground.engine.cpus()),
            resources,
            tags: input.value()["tags"].clone(),
        };
        let told =
            json!({"computeEnvironmentName": name, "computeEnvironmentArn": environment.arn});
        self.environments.put(&name, environment).await?;
        Ok(told)
    }

    pub(super) fn describe_environments(&self, input: &Input) -> Value {
        let wanted = input.texts("computeEnvironments");
        let found = self
            .environments
            .filtered(|found| is_wanted(&wanted, &found.name));
        let (found, next) = page(found, input.maybe("nextToken"), input.number("maxResults"));
        let shown: Vec<Value> = found.into_iter().map(|found| json!({
            "computeEnvironmentName": found.name, "computeEnvironmentArn": found.arn, "type": found.kind,
            "state": if found.is_enabled { "ENABLED" } else { "DISABLED" }, "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy", "computeResources": found.resources,
            "tags": found.tags.as_object().cloned().unwrap_or_default(),
            "containerOrchestrationType": "ECS",
        })).collect();
        json!({"computeEnvironments": shown, "nextToken": next})
    }

    pub(super) async fn update_environment(&self, input: &Input) -> Result<Value, Error> {
        let name = short(input.text("computeEnvironment")?).to_owned();
        let state = input.maybe("state").map(|state| state != "DISABLED");
        let vcpus = input.value()["computeResources"]["maxvCpus"].as_f64();
        let change = |found: &mut Environment| {
            found.is_enabled = state.unwrap_or(found.is_enabled);
            found.max_vcpus = vcpus.unwrap_or(found.max_vcpus);
            if let Some(vcpus) = vcpus {
                found.resources["maxvCpus"] = vcpus.into();
            }
        };
        let changed = self.environments.update(&name, change).await?;
        let changed = changed.ok_or_else(|| input.wrong(format!("{name} does not exist")))?;
        self.bell.notify_one();
        Ok(json!({"computeEnvironmentName": changed.name, "computeEnvironmentArn": changed.arn}))
    }

    pub(super) async fn delete_environment(&self, input: &Input) -> Result<Value, Error> {
        let name = short(input.text("computeEnvironment")?).to_owned();
        if self
            .queues
            .list()
            .iter()
            .any(|queue| queue.environments.contains(&name))
        {
            return Err(input.wrong("Cannot delete, found existing JobQueue relationship"));
        }
        self.environments.remove(&name).await?;
        Ok(json!({}))
    }

    pub(super) async fn create_queue(&self, input: &Input) -> Result<Value, Error> {
        let name = name(input, "jobQueueName")?;
        if self.queues.get(&name).is_some() {
            return Err(input.wrong("Object already exists"));
        }
        let queue = Queue {
            arn: self.ground.names.arn("batch", &format!("job-queue/{name}")),
            name: name.clone(),
            is_enabled: input.maybe("state") != Some("DISABLED"),
            priority: input.value()["priority"].as_i64().unwrap_or(0),
            environments: self.ordered(input)?,
            tags: input.value()["tags"].clone(),
        };
        let told = json!({"jobQueueName": name, "jobQueueArn": queue.arn});
        self.queues.put(&name, queue).await?;
        Ok(told)
    }

    pub(super) fn describe_queues(&self, input: &Input) -> Value {
        let wanted = input.texts("jobQueues");
        let found = self
            .queues
            .filtered(|found| is_wanted(&wanted, &found.name));
        let (found, next) = page(found, input.maybe("nextToken"), input.number("maxResults"));
        let shown: Vec<Value> = found.into_iter().map(|found| {
            let order: Vec<Value> = found.environments.iter().enumerate().map(|(index, name)| json!({
                "order": index + 1,
                "computeEnvironment": self.ground.names.arn("batch", &format!("compute-environment/{name}")),
            })).collect();
            json!({
                "jobQueueName": found.name, "jobQueueArn": found.arn, "priority": found.priority,
                "state": if found.is_enabled { "ENABLED" } else { "DISABLED" }, "status": "VALID",
                "statusReason": "JobQueue Healthy", "computeEnvironmentOrder": order,
                "tags": found.tags.as_object().cloned().unwrap_or_default(),
            })
        }).collect();
        json!({"jobQueues": shown, "nextToken": next})
    }

    pub(super) async fn update_queue(&self, input: &Input) -> Result<Value, Error> {
        let name = short(input.text("jobQueue")?).to_owned();
        let (state, priority) = (
            input.maybe("state").map(|state| state != "DISABLED"),
            input.value()["priority"].as_i64(),
        );
        let environments = match input.value()["computeEnvironmentOrder"].is_array() {
            true => Some(self.ordered(input)?),
            false => None,
        };
        let change = |queue: &mut Queue| {
            queue.is_enabled = state.unwrap_or(queue.is_enabled);
            queue.priority = priority.unwrap_or(queue.priority);
            if let Some(environments) = environments {
                queue.environments = environments;
            }
        };
        let changed = self.queues.update(&name, change).await?;
        let changed = changed.ok_or_else(|| input.wrong(format!("{name} does not exist")))?;
        self.bell.notify_one();
        Ok(json!({"jobQueueName": changed.name, "jobQueueArn": changed.arn}))
    }

    pub(super) async fn delete_queue(&self, input: &Input) -> Result<Value, Error> {
        let name = short(input.text("jobQueue")?).to_owned();
        if self.queues.get(&name).is_some_and(|queue| queue.is_enabled) {
            return Err(input.wrong("Cannot delete, resource is not disabled"));
        }
        for status in [
            Status::Submitted,
            Status::Pending,
            Status::Runnable,
            Status::Starting,
            Status::Running,
        ] {
            if !self
                .ledger
                .with_status(&name, status, 0, 1)
                .await?
                .is_empty()
            {
                return Err(input.wrong("Cannot delete, the queue has jobs that are not over"));
            }
        }
        self.queues.remove(&name).await?;
        Ok(json!({}))
    }

    /// The environments of a queue, in the order that was asked for.
    fn ordered(&self, input: &Input) -> Result<Vec<String>, Error> {
        let mut order = input.list("computeEnvironmentOrder");
        order.sort_by_key(|entry| entry["order"].as_i64());
        let names = order.iter().map(|entry| {
            let name = short(entry["computeEnvironment"].as_str().unwrap_or_default()).to_owned();
            match self.environments.get(&name) {
                Some(_) => Ok(name),
                None => Err(input.wrong(format!("{name} does not exist"))),
            }
        });
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        match names.is_empty() {
            true => Err(input.wrong("a queue has one compute environment at least")),
            false => Ok(names),
        }
    }

    /// How many vCPUs a queue may use.
    pub(super) fn capacity(&self, queue: &Queue) -> f64 {
        let environments = queue
            .environments
            .iter()
            .filter_map(|name| self.environments.get(name));
        let all: f64 = environments
            .filter(|found| found.is_enabled)
            .map(|found| found.max_vcpus)
            .sum();
        match self.ground.config.batch.max_vcpus {
            0 => all,
            most => all.min(f64::from(most)),
        }
    }
}

fn is_wanted(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| short(wanted) == name)
}

pub(super) fn name(input: &Input, member: &str) -> Result<String, Error> {
    let name = input.text(member)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match name.len() <= 128 && name.bytes().all(is_plain) {
        true => Ok(name.to_owned()),
        false => Err(input.wrong(format!("{member} has up to 128 letters, digits, - and _"))),
    }
}

/// Texts of a list, for members that are optional.
pub(super) fn listed(value: &Value) -> Option<Vec<String>> {
    value.is_array().then(|| texts(value))
}
