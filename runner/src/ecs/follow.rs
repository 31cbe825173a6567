//! Pushes make deployments of the services that opted in with the resource tag
//! `wharf:redeploy-on-push`, where the tag of an image names another digest than what runs.

use tokio::sync::broadcast;

use super::services::fresh;
use super::{Ecs, Service};
use crate::aws::now;
use crate::follow::Gathered;
use crate::registry::Told;

impl Ecs {
    /// Follows until told to stop.
    pub(crate) async fn follow(self, told: broadcast::Receiver<Told>) {
        let mut gathered = Gathered::new(told, self.ground.config.registry.debounce.duration());
        loop {
            let repositories = tokio::select! {
                () = self.ground.stop.cancelled() => return,
                repositories = gathered.next() => repositories,
            };
            let Some(repositories) = repositories else {
                return;
            };
            for service in self.shelves.services.filtered(Service::follows) {
                self.look(&service, &repositories).await;
            }
        }
    }

    async fn look(&self, service: &Service, repositories: &crate::follow::Repositories) {
        let Some(primary) = service.primary().filter(|primary| !primary.pins.is_empty()) else {
            return;
        };
        let Ok(definition) = self.definition(&primary.definition) else {
            return;
        };
        let mut pins = std::collections::BTreeMap::new();
        for container in definition.containers() {
            let name = container["name"].as_str().unwrap_or_default();
            let text = container["image"].as_str().unwrap_or_default();
            let Ok(image) = self.ground.registry.image(text) else {
                return;
            };
            let before = primary.pins.get(name);
            let is_touched = repositories.has(&image.repository);
            let pin = match before.filter(|_| !is_touched || image.is_pinned()) {
                Some(pin) => pin.clone(),
                None => match self.ground.registry.resolve(&image).await {
                    Ok(pin) => pin,
                    Err(error) => {
                        tracing::warn!(%error, service = service.name, "a tag can't be looked up");
                        return;
                    }
                },
            };
            pins.insert(name.to_owned(), pin);
        }
        if primary.pins == pins || service.refused.as_ref() == Some(&pins) {
            return;
        }
        let next = fresh(&primary.definition, pins, now());
        tracing::info!(
            service = service.name,
            deployment = next.id,
            "a push makes a deployment"
        );
        let key = service.key();
        let digests: Vec<String> = service
            .deployments
            .iter()
            .chain([&next])
            .flat_map(|found| found.pins.values().map(|pin| pin.digest.clone()))
            .collect();
        self.ground
            .leases
            .need(&format!("service/{key}"), digests)
            .await;
        let changed = self
            .change(&key, |service| {
                service.tell(
                    now(),
                    &format!("(deployment {}) a push made a deployment.", next.id),
                );
                service.deployments.insert(0, next);
            })
            .await;
        if let Err(error) = changed {
            tracing::error!(%error, service = key, "a deployment can't be kept");
        }
        self.bell(&key).notify_one();
    }
}
