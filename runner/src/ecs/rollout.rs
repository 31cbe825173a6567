//! Deployments of a service: their images, their end, and the way back.

use super::Ecs;
use super::model::{Deployment, Rollout, Service, Task};
use super::services::fresh;
use crate::aws::{Error, now};

impl Ecs {
    /// The primary deployment with its images; nothing where they can't be told yet.
    pub(super) async fn pinned(
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
        let id = primary.id.clone();
        self.change(key, |service| {
            if let Some(found) = service.deployments.iter_mut().find(|found| found.id == id) {
                found.pins = pins;
            }
        })
        .await?;
        self.lease(key).await;
        Ok(Some(primary))
    }

    /// Leases the images of all deployments of a service, and of the one to go back to.
    pub(super) async fn lease(&self, key: &str) {
        let Some(service) = self.shelves.services.get(key) else {
            return;
        };
        let mut digests = Vec::new();
        for deployment in service.deployments.iter().chain(&service.completed) {
            digests.extend(deployment.pins.values().map(|pin| pin.digest.clone()));
        }
        let owner = format!("service/{key}");
        self.ground.leases.need(&owner, digests).await;
    }

    /// Whether too many tasks of a deployment have failed.
    pub(super) fn breaks(&self, service: &Service, primary: &Deployment) -> bool {
        let most = service.desired.div_ceil(2).clamp(3, 200) as u64;
        service.has_breaker && primary.rollout == Rollout::InProgress && primary.failed >= most
    }

    pub(super) async fn roll_back(
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

    pub(super) async fn complete(
        &self,
        key: &str,
        service: &Service,
        primary: &Deployment,
    ) -> Result<(), Error> {
        if service.deployments.len() == 1 && primary.rollout == Rollout::Completed {
            return Ok(());
        }
        let id = primary.id.clone();
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
                found.reason = format!("ECS deployment {id} completed.");
                found.updated_at = now();
                // What failed before counts no more.
                found.failed = 0;
                service.completed = Some(found.clone());
                service.tell(now(), &format!("(deployment {id}) deployment completed."));
                service.tell(now(), "has reached a steady state.");
            }
        })
        .await?;
        self.lease(key).await;
        tracing::info!(
            service = key,
            deployment = primary.id,
            "a deployment is complete"
        );
        Ok(())
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
}
