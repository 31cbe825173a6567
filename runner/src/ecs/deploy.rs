//! A worker for each service: it looks at what runs, asks `plan`, and takes that step.

use std::time::Duration;

use super::health::{Health, target};
use super::model::{Balanced, Deployment, Rollout, Service, Status, Task};
use super::plan::{Seen, Wish, plan};
use super::services::fresh;
use super::shown::word;
use super::{Ecs, tasks};
use crate::aws::{Error, now};
use crate::proxy::Balancer;
use crate::store;

/// How often a service is looked at that nothing happened to.
const LOOK: Duration = Duration::from_secs(2);
/// How often is looked for tasks to forget.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// The longest pause between starts that fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl Ecs {
    /// Starts the workers of all services that are there.
    pub(crate) async fn resume(&self) -> Result<(), Error> {
        for service in self
            .shelves
            .services
            .filtered(|service| service.status != "INACTIVE")
        {
            let key = service.key();
            if let Some(mut balanced) = service.balanced.clone() {
                self.balance(&key, &mut balanced).await?;
                self.change(&key, |service| service.balanced = Some(balanced))
                    .await?;
            }
            self.spawn_worker(&key);
        }
        Ok(())
    }

    /// Forgets tasks that ended a while ago, until told to stop.
    pub(crate) async fn forget(self) {
        loop {
            tokio::select! {
                () = self.ground.stop.cancelled() => return,
                () = tokio::time::sleep(FORGET_EVERY) => {}
            }
            let oldest = now() - self.ground.config.ecs.keep_stopped.duration().as_secs_f64();
            let over = self
                .shelves
                .tasks
                .filtered(|task| task.stopped_at.is_some_and(|at| at < oldest));
            for task in over {
                if let Err(error) = self.shelves.tasks.remove(&task.id).await {
                    tracing::warn!(%error, task = task.id, "a task can't be forgotten");
                }
            }
        }
    }

    /// Starts a service's balancer, where it wants one: at its address, or at a free one.
    pub(super) async fn balance(&self, key: &str, balanced: &mut Balanced) -> Result<(), Error> {
        let listen = balanced.listen.as_deref().unwrap_or("127.0.0.1:0");
        let wrong = |error: &dyn std::fmt::Display| {
            let message = format!("the balancer can't listen on {listen}: {error}");
            Error::new("InvalidParameterException", message)
        };
        let address = listen.parse().map_err(|error| wrong(&error))?;
        let ground = &self.ground;
        let bound = Balancer::bind(address, balanced.is_http, &ground.stop, &ground.tracker).await;
        let balancer = bound.map_err(|error| wrong(&error))?;
        balanced.listen = Some(balancer.address().to_string());
        let mut balancers = self.balancers.lock().expect("no holder panics");
        if let Some(before) = balancers.insert(key.to_owned(), balancer) {
            before.close();
        }
        Ok(())
    }

    pub(super) fn spawn_worker(&self, key: &str) {
        let (ecs, key) = (self.clone(), key.to_owned());
        self.ground.tracker.spawn(async move {
            let stop = ecs.ground.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = ecs.work(&key) => {}
            }
        });
    }

    async fn work(&self, key: &str) {
        let bell = self.bell(key);
        loop {
            match self.step(key).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, service = key, "a step failed; it is tried again");
                }
            }
            let _ = tokio::time::timeout(LOOK, bell.notified()).await;
        }
    }

    /// Takes one step; true when the service is gone.
    async fn step(&self, key: &str) -> Result<bool, Error> {
        let Some(service) = self.shelves.services.get(key) else {
            return Ok(true);
        };
        let tasks = self.shelves.tasks.filtered(|task| {
            let of = task.service.as_ref().map(|(of, _)| of.as_str());
            of == Some(key) && task.status != Status::Stopped
        });
        if service.status == "DRAINING" {
            return self.drain(key, &tasks).await;
        }
        let Some(primary) = service.primary().cloned() else {
            return Ok(false);
        };
        let Some(primary) = self.pinned(key, primary).await? else {
            return Ok(false);
        };
        if self.breaks(&service, &primary) {
            self.roll_back(key, &service, &primary).await?;
            return Ok(false);
        }
        self.replace_unhealthy(&tasks).await?;
        let seen: Vec<Seen> = tasks
            .iter()
            .filter(|task| !task.is_to_stop)
            .map(|task| {
                if task.is_up() {
                    self.watch(&service, task);
                }
                Seen {
                    id: task.id.clone(),
                    is_new: task
                        .service
                        .as_ref()
                        .is_some_and(|(_, of)| *of == primary.id),
                    is_healthy: task.is_up() && self.health.get(&task.id) == Some(Health::Healthy),
                }
            })
            .collect();
        let wish = Wish {
            desired: service.desired,
            minimum_percent: service.minimum_percent,
            maximum_percent: service.maximum_percent,
            may_start: primary.rollout != Rollout::Failed,
        };
        let step = plan(wish, &seen);
        self.serve(&service, &tasks, &step.serve);
        if step.start > 0 {
            self.start_tasks(&service, &primary, step.start).await?;
        }
        for id in &step.stop {
            self.retire(&service, id).await?;
        }
        // Old tasks that are on their way out belong to their deployments until they are gone.
        let is_alone = tasks.iter().all(|task| {
            task.service
                .as_ref()
                .is_some_and(|(_, of)| *of == primary.id)
        });
        if step.is_complete && is_alone {
            self.complete(key, &service, &primary).await?;
        }
        Ok(false)
    }

    /// The primary deployment with its images; nothing where they can't be told yet.
    async fn pinned(
        &self,
        key: &str,
        mut primary: Deployment,
    ) -> Result<Option<Deployment>, Error> {
        if !primary.pins.is_empty() {
            return Ok(Some(primary));
        }
        let definition = self.definition(&primary.definition)?;
        for container in definition.containers() {
            let text = container["image"].as_str().unwrap_or_default();
            let image = self.ground.registry.image(text)?;
            match self.ground.registry.resolve(&image).await {
                Ok(pin) => {
                    let name = container["name"].as_str().unwrap_or_default();
                    primary.pins.insert(name.to_owned(), pin);
                }
                Err(error) => {
                    let message = format!("was unable to find its image: {error}");
                    self.change(key, |service| service.tell(now(), &message))
                        .await?;
                    return Ok(None);
                }
            }
        }
        let pins = primary.pins.clone();
        let digests = pins
            .values()
            .map(|pin| pin.digest.clone())
            .collect::<Vec<_>>();
        self.ground
            .leases
            .need(&format!("service/{key}"), digests)
            .await;
        let id = primary.id.clone();
        self.change(key, |service| {
            if let Some(found) = service.deployments.iter_mut().find(|found| found.id == id) {
                found.pins = pins;
            }
        })
        .await?;
        Ok(Some(primary))
    }

    /// Whether too many tasks of a deployment have failed.
    fn breaks(&self, service: &Service, primary: &Deployment) -> bool {
        let most = service.desired.div_ceil(2).clamp(3, 200) as u64;
        service.has_breaker && primary.rollout == Rollout::InProgress && primary.failed >= most
    }

    async fn roll_back(
        &self,
        key: &str,
        service: &Service,
        failed: &Deployment,
    ) -> Result<(), Error> {
        let completed = service.completed.clone().filter(|_| service.rolls_back);
        tracing::warn!(service = key, deployment = failed.id, "a deployment failed");
        self.change(key, |service| {
            let Some(primary) = service.deployments.first_mut() else {
                return;
            };
            primary.rollout = Rollout::Failed;
            primary.reason = "ECS deployment circuit breaker: tasks failed to start.".into();
            primary.updated_at = now();
            let id = primary.id.clone();
            service.refused = Some(primary.pins.clone());
            service.tell(
                now(),
                &format!("(deployment {id}) deployment failed: tasks failed to start."),
            );
            if let Some(completed) = completed {
                let mut back = fresh(&completed.definition, completed.pins, now());
                back.reason = format!(
                    "ECS deployment circuit breaker: rolling back to {}.",
                    completed.id
                );
                service.tell(
                    now(),
                    &format!("rolling back to deployment {}.", completed.id),
                );
                service.deployments.insert(0, back);
            }
        })
        .await?;
        self.bell(key).notify_one();
        Ok(())
    }

    /// Ends tasks that don't answer; their deployment starts others.
    async fn replace_unhealthy(&self, tasks: &[Task]) -> Result<(), Error> {
        for task in tasks.iter().filter(|task| task.is_up()) {
            if self.health.get(&task.id) != Some(Health::Unhealthy) {
                continue;
            }
            let reason = "Task failed container health checks";
            self.stop(&task.id, "ServiceSchedulerInitiated", reason)
                .await?;
            if let Some((service, deployment)) = &task.service {
                self.failed(service, deployment, task, reason).await;
            }
        }
        Ok(())
    }

    async fn start_tasks(
        &self,
        service: &Service,
        primary: &Deployment,
        number: usize,
    ) -> Result<(), Error> {
        let pause =
            Duration::from_millis(100) * u32::try_from(primary.failed).unwrap_or(u32::MAX).min(100);
        if primary.failed > 0 {
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
        let definition = self.definition(&primary.definition)?;
        for _ in 0..number {
            let wish = tasks::Wish {
                cluster: service.cluster.clone(),
                group: format!("service:{}", service.name),
                service: Some((service.key(), primary.id.clone())),
                launch_type: service.launch_type.clone(),
                started_by: primary.id.clone(),
                pins: primary.pins.clone(),
                ..tasks::Wish::default()
            };
            self.begin(&definition, wish).await?;
        }
        let message = format!("has started {number} tasks of deployment {}.", primary.id);
        self.change(&service.key(), |service| service.tell(now(), &message))
            .await?;
        Ok(())
    }

    /// Leads the balancer to these tasks and no others, in one step.
    fn serve(&self, service: &Service, tasks: &[Task], wanted: &[String]) {
        let Some(balanced) = &service.balanced else {
            return;
        };
        let wanted = tasks.iter().filter(|task| wanted.contains(&task.id));
        let targets = wanted
            .filter_map(|task| target(task, balanced.port))
            .collect();
        if let Some(balancer) = self.balancer(&service.key()) {
            balancer.lead_to(targets);
        }
    }

    /// Ends a task that the balancer doesn't lead to any more, after its requests.
    async fn retire(&self, service: &Service, id: &str) -> Result<(), Error> {
        let Some(task) = self.shelves.tasks.get(id) else {
            return Ok(());
        };
        // Marked at once, so that no other step counts it.
        self.set_retired(id).await?;
        let (ecs, drain) = (self.clone(), self.ground.config.ecs.drain.duration());
        let port = service.balanced.as_ref().map(|balanced| balanced.port);
        let (balancer, id) = (self.balancer(&service.key()), id.to_owned());
        self.ground.tracker.spawn(async move {
            if let (Some(balancer), Some(port)) = (balancer, port)
                && let Some(address) = target(&task, port)
            {
                let stop = ecs.ground.stop.clone();
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = tokio::time::timeout(drain, balancer.drained(address)) => {}
                }
            }
            ecs.stopping(&id).notify_one();
        });
        Ok(())
    }

    async fn set_retired(&self, id: &str) -> Result<(), store::Error> {
        let change = |task: &mut Task| {
            task.is_to_stop = true;
            task.stop_code = Some("ServiceSchedulerInitiated".into());
            task.stopped_reason = Some("Scaling activity initiated by deployment".into());
        };
        self.shelves.tasks.update(id, change).await.map(drop)
    }

    async fn complete(
        &self,
        key: &str,
        service: &Service,
        primary: &Deployment,
    ) -> Result<(), Error> {
        if service.deployments.len() == 1 && primary.rollout == Rollout::Completed {
            return Ok(());
        }
        let id = primary.id.clone();
        let digests: Vec<String> = primary
            .pins
            .values()
            .map(|pin| pin.digest.clone())
            .collect();
        self.change(key, |service| {
            if service
                .deployments
                .first()
                .is_none_or(|found| found.id != id)
            {
                return;
            }
            service.deployments.truncate(1);
            let found = &mut service.deployments[0];
            if found.rollout == Rollout::InProgress {
                found.rollout = Rollout::Completed;
                found.reason = format!("ECS deployment {id} {}.", word(Rollout::Completed));
                found.updated_at = now();
                // What failed before counts no more.
                found.failed = 0;
                service.completed = Some(found.clone());
                service.tell(now(), &format!("(deployment {id}) deployment completed."));
                service.tell(now(), "has reached a steady state.");
            }
        })
        .await?;
        self.ground
            .leases
            .need(&format!("service/{key}"), digests)
            .await;
        tracing::info!(
            service = key,
            deployment = primary.id,
            "a deployment is complete"
        );
        Ok(())
    }

    async fn drain(&self, key: &str, tasks: &[Task]) -> Result<bool, Error> {
        if let Some(balancer) = self.balancer(key) {
            balancer.lead_to(Vec::new());
        }
        for task in tasks.iter().filter(|task| !task.is_to_stop) {
            self.stop(
                &task.id,
                "ServiceSchedulerInitiated",
                "the service was deleted",
            )
            .await?;
        }
        if !tasks.is_empty() {
            return Ok(false);
        }
        let balancer = self.balancers.lock().expect("no holder panics").remove(key);
        if let Some(balancer) = balancer {
            balancer.close();
        }
        self.change(key, |service| {
            service.status = "INACTIVE".into();
            service.deployments.clear();
        })
        .await?;
        self.ground.leases.need(&format!("service/{key}"), []).await;
        Ok(true)
    }

    /// Counts a task that ended although nobody wanted it.
    pub(super) async fn failed(&self, key: &str, deployment: &str, task: &Task, reason: &str) {
        let message = format!("(task {}) ended: {reason}", task.id);
        let changed = self
            .change(key, |service| {
                service.tell(now(), &message);
                if let Some(found) = service
                    .deployments
                    .iter_mut()
                    .find(|found| found.id == deployment)
                {
                    found.failed += 1;
                }
            })
            .await;
        if let Err(error) = changed {
            tracing::error!(%error, service = key, "a failure can't be kept");
        }
        self.bell(key).notify_one();
    }

    pub(super) async fn change(
        &self,
        key: &str,
        change: impl FnOnce(&mut Service),
    ) -> Result<(), store::Error> {
        self.shelves.services.update(key, change).await.map(drop)
    }

    fn balancer(&self, key: &str) -> Option<std::sync::Arc<Balancer>> {
        self.balancers
            .lock()
            .expect("no holder panics")
            .get(key)
            .cloned()
    }
}
