//! A worker for each service: it looks at what runs, asks `plan`, and takes that step.

use std::time::Duration;

use super::health::{Health, target};
use super::model::{Balanced, Deployment, Rollout, Service, Status, Task};
use super::plan::{Seen, Wish, plan};
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
            // The registry may be away; then it is asked again later.
            self.lease(&key).await;
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
            let bell = self.bell(&service.key());
            let rung = tokio::time::timeout(pause.min(LONGEST_PAUSE), bell.notified()).await;
            if rung.is_ok() {
                // Something changed meanwhile: it is looked at again first.
                bell.notify_one();
                return Ok(());
            }
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
