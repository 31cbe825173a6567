//! Whether the targets of balancers answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::Ecs;
use super::model::{Service, Status, Task};
use crate::proxy;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between questions until the first good answer.
const EAGER: Duration = Duration::from_millis(15);
/// How many questions in a row may stay without an answer.
const FAILURES: u32 = 3;
/// How long a task without a check has to run to count as healthy.
const SETTLED: Duration = Duration::from_millis(500);

/// What is known of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It has not answered yet.
    Starting,
    Healthy,
    /// It took too long, or doesn't answer any more.
    Unhealthy,
}

/// What is known of all tasks of services.
#[derive(Debug, Default)]
pub(super) struct Board {
    known: Mutex<HashMap<String, Health>>,
}

impl Board {
    pub(super) fn get(&self, task: &str) -> Option<Health> {
        self.known
            .lock()
            .expect("no holder panics")
            .get(task)
            .copied()
    }

    fn set(&self, task: &str, health: Health) -> bool {
        let mut known = self.known.lock().expect("no holder panics");
        known.insert(task.to_owned(), health) != Some(health)
    }

    pub(super) fn forget(&self, task: &str) {
        self.known.lock().expect("no holder panics").remove(task);
    }

    /// As the API tells it.
    pub(super) fn word(&self, task: &str) -> &'static str {
        match self.get(task) {
            Some(Health::Healthy) => "HEALTHY",
            Some(Health::Unhealthy) => "UNHEALTHY",
            Some(Health::Starting) | None => "UNKNOWN",
        }
    }
}

impl Ecs {
    /// Watches a running task of a service until it has ended.
    pub(super) fn watch(&self, service: &Service, task: &Task) {
        if self.health.get(&task.id).is_some() {
            return;
        }
        self.health.set(&task.id, Health::Starting);
        let (ecs, service, task) = (self.clone(), service.clone(), task.clone());
        self.ground.tracker.spawn(async move {
            let stop = ecs.ground.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = ecs.keep_watching(&service, &task) => {}
            }
        });
    }

    async fn keep_watching(&self, service: &Service, task: &Task) {
        let config = &self.ground.config.ecs;
        let grace = config.health_grace.duration();
        let grace = grace.max(Duration::from_secs(service.grace_seconds));
        let begun = Instant::now();
        let mut failures = 0;
        while self.is_there(&task.id) {
            let is_good = self.is_answering(service, task, begun).await;
            let is_known = self.health.get(&task.id) == Some(Health::Healthy);
            let health = match (is_good, is_known) {
                (true, _) => {
                    failures = 0;
                    Health::Healthy
                }
                (false, true) => {
                    failures += 1;
                    if failures < FAILURES {
                        Health::Healthy
                    } else {
                        Health::Unhealthy
                    }
                }
                (false, false) if begun.elapsed() < grace => Health::Starting,
                (false, false) => Health::Unhealthy,
            };
            if self.health.set(&task.id, health) {
                self.bell(&service.key()).notify_one();
            }
            let pause = match health {
                Health::Healthy => config.health_interval.duration(),
                Health::Starting => EAGER.max(begun.elapsed() / 20).min(PATIENCE),
                Health::Unhealthy => return,
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn is_there(&self, task: &str) -> bool {
        let task = self.shelves.tasks.get(task);
        task.is_some_and(|task| task.status != Status::Stopped)
    }

    async fn is_answering(&self, service: &Service, task: &Task, begun: Instant) -> bool {
        let mut has_check = false;
        for part in &task.parts {
            let Some(container) = part.container.as_ref().filter(|_| part.is_essential) else {
                continue;
            };
            match self.ground.engine.health(container).await.as_deref() {
                None | Some("NONE" | "") => {}
                Some("HEALTHY") => has_check = true,
                Some(_) => return false,
            }
        }
        let Some(balanced) = &service.balanced else {
            return has_check || begun.elapsed() >= SETTLED;
        };
        let Some(address) = target(task, balanced.port) else {
            return false;
        };
        let path = balanced.health_path.as_deref().filter(|_| balanced.is_http);
        let asked = proxy::is_answering(address, path);
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(false)
    }
}

/// Where a task's port is.
pub(super) fn target(task: &Task, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::new(task.address()?.parse().ok()?, port))
}
