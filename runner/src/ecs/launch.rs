//! A task's life in the engine: pulled, started, watched, ended, removed.
//!
//! A life begins when its task is kept, and again after a restart of the runner, from what the
//! labels of containers say.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::HealthConfig;
use futures_util::future::select_all;
use serde_json::Value;

use super::model::{Part, Status};
use super::shown::sizes;
use super::{Definition, Ecs, Task, fargate};
use crate::aws::now;
use crate::engine::{Exit, Found, Limits, Network, OWNER, PART, ROLE, Spec};
use crate::registry::Pinned;
use crate::{engine, registry, store};

/// How long a container may take to end when it is asked to.
const STOP_PATIENCE: u64 = 30;

/// Why a task could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("CannotPullContainerError: {0}")]
    Registry(#[from] registry::Error),
    #[error("{0}")]
    Engine(#[from] engine::Error),
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("the task was stopped before it ran")]
    Stopped,
    #[error("its definition is gone")]
    NoDefinition,
}

impl Ecs {
    /// Begins a life.
    pub(super) fn spawn_launch(&self, id: &str) {
        let (ecs, id) = (self.clone(), id.to_owned());
        self.ground.tracker.spawn(async move {
            let stop = ecs.ground.stop.clone();
            tokio::select! {
                // Containers go on; the next runner adopts them.
                () = stop.cancelled() => {}
                () = ecs.live(&id) => {}
            }
        });
    }

    async fn live(&self, id: &str) {
        if let Err(failure) = self.start(id).await {
            tracing::info!(task = id, %failure, "a task could not be started");
            self.end(id, &failure.to_string(), "TaskFailedToStart")
                .await;
            return;
        }
        self.watch_task(id).await;
    }

    async fn start(&self, id: &str) -> Result<(), Failure> {
        let task = self.shelves.tasks.get(id).ok_or(Failure::NoDefinition)?;
        let definition = self.shelves.definitions.get(&task.definition);
        let definition = definition.ok_or(Failure::NoDefinition)?;
        let mut pins: Vec<Pinned> = Vec::new();
        for part in &task.parts {
            pins.push(match task.pins.get(&part.name) {
                Some(pin) => pin.clone(),
                None => {
                    self.ground
                        .registry
                        .resolve(&self.ground.registry.image(&part.image)?)
                        .await?
                }
            });
        }
        self.set(id, |task| {
            task.status = Status::Pending;
            for (part, pin) in task.parts.iter_mut().zip(&pins) {
                part.digest = Some(pin.digest.clone());
            }
        })?;
        let digests = pins.iter().map(|pin| pin.digest.clone());
        self.ground
            .leases
            .need(&format!("task/{id}"), digests)
            .await;
        for pin in &pins {
            self.ground.pull(pin).await?;
        }
        let mut network = Network::Own;
        for (index, pin) in pins.iter().enumerate() {
            if self
                .shelves
                .tasks
                .get(id)
                .is_none_or(|task| task.is_to_stop)
            {
                return Err(Failure::Stopped);
            }
            let spec = spec(&task, &definition, index, pin, network.clone());
            let container = self.ground.engine.create(&spec).await?;
            self.set(id, |task| {
                task.parts[index].container = Some(container.clone());
            })?;
            self.ground.engine.start(&container).await?;
            if index == 0 {
                let address = self.ground.engine.address(&container).await?;
                let address = address.map(|address| address.to_string());
                self.set(id, |task| task.parts[0].address = address)?;
                network = Network::Of(container);
            }
        }
        self.set(id, |task| {
            task.status = Status::Running;
            task.started_at = Some(now());
        })?;
        self.ring(&task);
        Ok(())
    }

    /// Waits until a task has ended or shall end, and ends it.
    async fn watch_task(&self, id: &str) {
        let stop = self.stopping(id);
        loop {
            let Some(task) = self.shelves.tasks.get(id) else {
                return;
            };
            if task.is_to_stop {
                self.end(id, "", "").await;
                return;
            }
            let open = task
                .parts
                .iter()
                .enumerate()
                .filter(|(_, part)| part.exit_code.is_none());
            let ends: Vec<_> = open
                .filter_map(|(index, part)| Some((index, part.container.clone()?)))
                .map(|(index, container)| {
                    Box::pin(async move { (index, self.ground.engine.ended(&container).await) })
                })
                .collect();
            if ends.is_empty() {
                self.end(id, "all containers ended", "EssentialContainerExited")
                    .await;
                return;
            }
            let (index, exit) = tokio::select! {
                () = stop.notified() => continue,
                ((index, exit), _, _) = select_all(ends) => (index, exit),
            };
            let noted = self.set(id, |task| note(&mut task.parts[index], &exit));
            if noted.is_err() || task.parts[index].is_essential {
                let reason = "Essential container in task exited";
                self.end(id, reason, "EssentialContainerExited").await;
                return;
            }
        }
    }

    /// Ends what is left of a task, and says so.
    async fn end(&self, id: &str, reason: &str, code: &str) {
        let Some(task) = self.shelves.tasks.get(id) else {
            return;
        };
        let was_wanted = task.is_to_stop;
        let _ = self.set(id, |task| task.status = Status::Stopping);
        self.ring(&task);
        for index in (0..task.parts.len()).rev() {
            let Some(container) = task.parts[index].container.clone() else {
                continue;
            };
            let patience = Duration::from_secs(self.stop_seconds(&task, index));
            if let Err(error) = self.ground.engine.stop(&container, patience).await {
                tracing::warn!(%error, task = id, "a container can't be stopped");
            }
            let exit = self.ground.engine.ended(&container).await;
            let lines = self.ground.engine.last_lines(&container, 1000).await;
            self.ground
                .keep_log(&format!("task-{id}-{}", task.parts[index].name), &lines)
                .await;
            // Until this is kept, the container is the only one who knows its exit code.
            let tasks = &self.shelves.tasks;
            let kept = tasks.update(id, |task| note(&mut task.parts[index], &exit));
            if let Err(error) = kept.await {
                tracing::error!(%error, task = id, "the end of a container can't be kept");
                continue;
            }
            let _ = self.ground.engine.remove(&container).await;
        }
        let changed = self.set(id, |task| {
            task.status = Status::Stopped;
            task.stopped_at = Some(now());
            if !was_wanted {
                task.stop_code = Some(code.to_owned());
                task.stopped_reason = Some(reason.to_owned());
            }
        });
        if let Err(error) = changed {
            tracing::error!(%error, task = id, "the end of a task can't be kept");
        }
        self.ground.leases.need(&format!("task/{id}"), []).await;
        self.health.forget(id);
        self.stops.lock().expect("no holder panics").remove(id);
        if !was_wanted && let Some((service, deployment)) = &task.service {
            self.failed(service, deployment, &task, reason).await;
        }
        self.ring(&task);
    }

    fn stop_seconds(&self, task: &Task, index: usize) -> u64 {
        let definition = self.shelves.definitions.get(&task.definition);
        let seconds =
            definition.and_then(|found| found.containers().get(index)?["stopTimeout"].as_u64());
        seconds.unwrap_or(STOP_PATIENCE).min(120)
    }

    /// Notes how far a task is. Labels in the engine tell it after a crash, so nobody waits for the
    /// disk.
    fn set(&self, id: &str, change: impl FnOnce(&mut Task)) -> Result<(), store::Error> {
        self.shelves.tasks.note(id, change)
    }

    /// Wakes the worker of a task's service.
    fn ring(&self, task: &Task) {
        if let Some((service, _)) = &task.service {
            self.bell(service).notify_one();
        }
    }

    /// Takes up the tasks of an earlier runner by the labels of their containers, and gives those
    /// containers that belong to none.
    pub(crate) async fn adopt(&self, found: &[Found]) -> Result<Vec<String>, store::Error> {
        let mut by_task: HashMap<&str, Vec<&Found>> = HashMap::new();
        for container in found
            .iter()
            .filter(|found| found.labels.get(ROLE).is_some_and(|role| role == "task"))
        {
            let owner = container
                .labels
                .get(OWNER)
                .map(String::as_str)
                .unwrap_or_default();
            by_task.entry(owner).or_default().push(container);
        }
        for task in self
            .shelves
            .tasks
            .filtered(|task| task.status != Status::Stopped)
        {
            let containers = by_task.remove(task.id.as_str()).unwrap_or_default();
            let was_up = matches!(task.status, Status::Running | Status::Stopping);
            self.set(&task.id, |task| {
                for part in &mut task.parts {
                    let is_it = |found: &&&Found| found.labels.get(PART) == Some(&part.name);
                    part.container = containers.iter().find(is_it).map(|found| found.id.clone());
                    if was_up && part.container.is_none() && part.exit_code.is_none() {
                        part.reason = Some("the container is gone".into());
                        part.exit_code = Some(137);
                    }
                }
            })?;
            if was_up {
                let digests = task.parts.iter().filter_map(|part| part.digest.clone());
                self.ground
                    .leases
                    .need(&format!("task/{}", task.id), digests)
                    .await;
                let (ecs, id) = (self.clone(), task.id.clone());
                self.ground.tracker.spawn(async move {
                    let stop = ecs.ground.stop.clone();
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = ecs.watch_task(&id) => {}
                    }
                });
            } else {
                for container in containers {
                    let _ = self.ground.engine.remove(&container.id).await;
                }
                self.spawn_launch(&task.id);
            }
        }
        Ok(by_task
            .into_values()
            .flatten()
            .map(|found| found.id.clone())
            .collect())
    }
}

fn note(part: &mut Part, exit: &Exit) {
    if part.exit_code.is_some() {
        return;
    }
    part.exit_code = Some(exit.code.unwrap_or(137));
    part.reason = match (exit.out_of_memory, exit.code) {
        (true, _) => Some("OutOfMemoryError: Container killed due to memory usage".into()),
        (false, None) => Some("the container is gone".into()),
        (false, Some(_)) => None,
    };
}

fn spec(
    task: &Task,
    definition: &Definition,
    index: usize,
    pin: &Pinned,
    network: Network,
) -> Spec {
    let container = &definition.containers()[index];
    let name = task.parts[index].name.clone();
    let overridden = task.overrides["containerOverrides"].as_array();
    let overridden = overridden.and_then(|list| list.iter().find(|found| found["name"] == *name));
    let nothing = Value::Null;
    let overridden = overridden.unwrap_or(&nothing);
    let list = |value: &Value| value.as_array().map(|_| crate::aws::texts(value));
    let mut environment: Vec<String> = Vec::new();
    for source in [container, overridden] {
        for entry in source["environment"].as_array().into_iter().flatten() {
            let (name, value) = (entry["name"].as_str(), entry["value"].as_str());
            environment.push(format!(
                "{}={}",
                name.unwrap_or_default(),
                value.unwrap_or_default()
            ));
        }
    }
    Spec {
        name: format!("wharf-task-{}-{name}", task.id),
        image: pin.to_string(),
        entrypoint: list(&container["entryPoint"]),
        command: list(&overridden["command"]).or_else(|| list(&container["command"])),
        environment,
        working_directory: container["workingDirectory"].as_str().map(str::to_owned),
        user: container["user"].as_str().map(str::to_owned),
        is_read_only: container["readonlyRootFilesystem"] == true,
        limits: limits(task, definition, container, overridden),
        network,
        health: health(&container["healthCheck"]),
        labels: HashMap::from([
            (ROLE.to_owned(), "task".to_owned()),
            (OWNER.to_owned(), task.id.clone()),
            (PART.to_owned(), name),
        ]),
    }
}

/// A container's own limits, else its share of the task's: no container has more than the task.
fn limits(task: &Task, definition: &Definition, container: &Value, overridden: &Value) -> Limits {
    let (cpu, memory) = sizes(Some(definition), &task.overrides);
    let cpu = cpu
        .and_then(|text| fargate::units(&text, "vcpu", 1024.0))
        .unwrap_or(0);
    let memory = memory
        .and_then(|text| fargate::units(&text, "gb", 1024.0))
        .unwrap_or(0);
    let own = |name: &str| {
        overridden[name]
            .as_u64()
            .or(container[name].as_u64())
            .filter(|own| *own > 0)
    };
    let within = |own: Option<u64>, whole: u64| match (own, whole) {
        (Some(own), 0) => own,
        (Some(own), whole) => own.min(whole),
        (None, whole) => whole,
    };
    Limits {
        memory_mib: within(own("memory"), memory),
        cpus: within(own("cpu"), cpu) as f64 / 1024.0,
    }
}

fn health(check: &Value) -> Option<HealthConfig> {
    check.as_object()?;
    let nanoseconds =
        |name: &str, usual: i64| Some(check[name].as_i64().unwrap_or(usual) * 1_000_000_000);
    Some(HealthConfig {
        test: Some(crate::aws::texts(&check["command"])),
        interval: nanoseconds("interval", 30),
        timeout: nanoseconds("timeout", 5),
        retries: Some(check["retries"].as_i64().unwrap_or(3)),
        start_period: nanoseconds("startPeriod", 0),
        start_interval: None,
    })
}
