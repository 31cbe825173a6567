//! Tasks: run, stopped, described, listed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Part, Status};
use super::{Definition, Ecs, Task, fargate};
use crate::aws::{Error, Input, id, now, page};
use crate::registry::Pinned;

/// Who a task is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) cluster: String,
    pub(crate) group: String,
    pub(crate) service: Option<(String, String)>,
    pub(crate) launch_type: String,
    pub(crate) started_by: String,
    pub(crate) overrides: Value,
    pub(crate) tags: Value,
    pub(crate) pins: BTreeMap<String, Pinned>,
}

impl Ecs {
    pub(crate) async fn run_task(&self, input: &Input) -> Result<Value, Error> {
        let cluster = match input.maybe("cluster") {
            None => self.make_cluster("default", &Value::Null).await?,
            name => self.cluster(name)?,
        };
        let definition = self.definition(input.text("taskDefinition")?)?;
        if !definition.is_active {
            return Err(Error::new("ClientException", "TaskDefinition is inactive"));
        }
        let count = input.number("count").unwrap_or(1);
        if !(1..=10).contains(&count) {
            return Err(input.wrong("count is 1 to 10"));
        }
        let launch_type = input.maybe("launchType").unwrap_or("EC2");
        self.check_launch(&definition, launch_type)?;
        if let Some(reason) = self.too_large(&definition) {
            let failure = json!({"arn": cluster.arn, "reason": reason});
            return Ok(json!({"tasks": [], "failures": vec![failure; count as usize]}));
        }
        let group = format!("family:{}", definition.family);
        let wish = Wish {
            cluster: cluster.name,
            group: input.maybe("group").map_or(group, str::to_owned),
            launch_type: launch_type.to_owned(),
            started_by: input.maybe("startedBy").unwrap_or_default().to_owned(),
            overrides: input.value()["overrides"].clone(),
            tags: input.value()["tags"].clone(),
            ..Wish::default()
        };
        let mut tasks = Vec::new();
        for _ in 0..count {
            let task = self.begin(&definition, wish.clone()).await?;
            tasks.push(self.shown_task(&task));
        }
        Ok(json!({"tasks": tasks, "failures": []}))
    }

    /// Keeps a task and starts its life.
    pub(super) async fn begin(&self, definition: &Definition, wish: Wish) -> Result<Task, Error> {
        let id = id();
        let part = |container: &Value| Part {
            name: container["name"].as_str().unwrap_or_default().to_owned(),
            image: container["image"].as_str().unwrap_or_default().to_owned(),
            is_essential: container["essential"].as_bool().unwrap_or(true),
            ..Part::default()
        };
        let rest = format!("task/{}/{id}", wish.cluster);
        let task = Task {
            arn: self.ground.names.arn("ecs", &rest),
            id: id.clone(),
            cluster: wish.cluster,
            definition: definition.key(),
            group: wish.group,
            service: wish.service,
            launch_type: wish.launch_type,
            started_by: wish.started_by,
            overrides: wish.overrides,
            tags: wish.tags,
            pins: wish.pins,
            parts: definition.containers().iter().map(part).collect(),
            status: Status::Provisioning,
            is_to_stop: false,
            created_at: now(),
            started_at: None,
            stopped_at: None,
            stop_code: None,
            stopped_reason: None,
        };
        self.shelves.tasks.put(&id, task.clone()).await?;
        self.spawn_launch(&id);
        Ok(task)
    }

    pub(super) async fn stop_task(&self, input: &Input) -> Result<Value, Error> {
        self.cluster(input.maybe("cluster"))?;
        let id = Self::short(input.text("task")?).to_owned();
        let reason = input.maybe("reason").unwrap_or("Task stopped by user");
        let stopped = self.stop(&id, "UserInitiated", reason).await?;
        let task = stopped.ok_or_else(|| input.wrong("The referenced task was not found."))?;
        Ok(json!({"task": self.shown_task(&task)}))
    }

    /// Says that a task shall end.
    pub(super) async fn stop(
        &self,
        id: &str,
        code: &str,
        reason: &str,
    ) -> Result<Option<Task>, Error> {
        let change = |task: &mut Task| {
            if task.status != Status::Stopped && !task.is_to_stop {
                task.is_to_stop = true;
                task.stop_code = Some(code.to_owned());
                task.stopped_reason = Some(reason.to_owned());
            }
        };
        let task = self.shelves.tasks.update(id, change).await?;
        self.stopping(id).notify_one();
        Ok(task)
    }

    pub(super) fn describe_tasks(&self, input: &Input) -> Result<Value, Error> {
        let cluster = self.cluster(input.maybe("cluster"))?;
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for name in input.texts("tasks") {
            let found = self.shelves.tasks.get(Self::short(&name));
            match found.filter(|task| task.cluster == cluster.name) {
                Some(task) => tasks.push(self.shown_task(&task)),
                None => failures.push(json!({"arn": name, "reason": "MISSING"})),
            }
        }
        Ok(json!({"tasks": tasks, "failures": failures}))
    }

    pub(super) fn list_tasks(&self, input: &Input) -> Result<Value, Error> {
        let cluster = self.cluster(input.maybe("cluster"))?.name;
        let is_stopped = input.maybe("desiredStatus") == Some("STOPPED");
        let service = input
            .maybe("serviceName")
            .map(|name| format!("service:{}", Self::short(name)));
        let (family, started_by) = (input.maybe("family"), input.maybe("startedBy"));
        let launch_type = input.maybe("launchType");
        let found = self.shelves.tasks.filtered(|task| {
            let has_ended = task.is_to_stop || task.status == Status::Stopped;
            task.cluster == cluster
                && has_ended == is_stopped
                && service
                    .as_ref()
                    .is_none_or(|service| task.group == *service)
                && started_by.is_none_or(|by| task.started_by == by)
                && launch_type.is_none_or(|kind| task.launch_type == kind)
                && family.is_none_or(|family| task.definition.split(':').next() == Some(family))
        });
        let arns: Vec<String> = found.into_iter().map(|task| task.arn).collect();
        let (arns, next) = page(arns, input.maybe("nextToken"), input.number("maxResults"));
        Ok(json!({"taskArns": arns, "nextToken": next}))
    }

    /// The engine's ids of one container of a service, in all tasks that aren't over.
    pub(crate) fn containers(&self, cluster: &str, service: &str, name: &str) -> Vec<String> {
        let group = format!("service:{service}");
        let tasks = self
            .shelves
            .tasks
            .filtered(|task| task.cluster == cluster && task.group == group);
        let parts = tasks.into_iter().flat_map(|task| task.parts);
        parts
            .filter(|part| part.name == name && part.exit_code.is_none())
            .filter_map(|part| part.container)
            .collect()
    }

    /// Whether a definition can be run under a launch type.
    pub(super) fn check_launch(
        &self,
        definition: &Definition,
        launch_type: &str,
    ) -> Result<(), Error> {
        let names = definition.body["requiresCompatibilities"].as_array();
        let has = |name: &str| names.is_some_and(|names| names.iter().any(|found| found == name));
        match launch_type {
            "EC2" => Ok(()),
            "FARGATE" if has("FARGATE") => Ok(()),
            "FARGATE" => Err(Error::new(
                "InvalidParameterException",
                "Task definition does not support launch_type FARGATE.",
            )),
            other => {
                let message = format!("there is no launch type {other} here");
                Err(Error::new("InvalidParameterException", message))
            }
        }
    }

    /// Why no host has room for a definition.
    pub(super) fn too_large(&self, definition: &Definition) -> Option<&'static str> {
        let size = |name: &str, word| fargate::units(definition.body[name].as_str()?, word, 1024.0);
        let cpus = size("cpu", "vcpu").unwrap_or(0) as f64 / 1024.0;
        if cpus > self.ground.engine.cpus() {
            return Some("RESOURCE:CPU");
        }
        let memory = size("memory", "gb").unwrap_or(0);
        (memory > self.ground.config.engine.max_memory_mib).then_some("RESOURCE:MEMORY")
    }
}
