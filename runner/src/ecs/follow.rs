//! Pushes make deployments of the services that opted in with the resource tag
//! `wharf:redeploy-on-push`, where the tag of an image names another digest than what runs.

use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::services::fresh;
use super::{Ecs, Service};
use crate::aws::now;
use crate::follow::Gathered;
use crate::registry::{Pinned, Told};

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

    /// Pulls what was pushed while more may come, so that a deployment finds it. One at a time: a
    /// burst doesn't pull what nobody will run.
    pub(crate) async fn prefetch(self, mut receiver: broadcast::Receiver<Told>) {
        loop {
            let told = tokio::select! {
                () = self.ground.stop.cancelled() => return,
                told = receiver.recv() => told,
            };
            // Of what has gathered meanwhile only the last counts.
            let last = std::iter::from_fn(|| told_later(&mut receiver)).last();
            match last.map_or(told, Ok) {
                Ok(Told::Event(event)) => self.prefetch_one(&event).await,
                Ok(Told::Look) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn prefetch_one(&self, event: &Value) {
        let data = &event["data"];
        let text = |name: &str| data[name].as_str();
        let (Some("wharf.image.pushed"), Some(repository), Some(tag), Some(digest)) = (
            event["type"].as_str(),
            text("repository-name"),
            text("image-tag"),
            text("image-digest"),
        ) else {
            return;
        };
        let is_followed =
            |service: &Service| service.follows() && self.names(service, repository, tag);
        if self.shelves.services.filtered(is_followed).is_empty() {
            return;
        }
        let pinned = Pinned {
            name: format!("{}/{repository}", self.ground.registry.host()),
            digest: digest.to_owned(),
        };
        if let Err(error) = self.ground.pull(&pinned).await {
            tracing::debug!(%error, "what was pushed can't be pulled ahead");
        }
    }

    /// Whether a service runs what a tag names.
    fn names(&self, service: &Service, repository: &str, tag: &str) -> bool {
        let Some(definition) = service
            .primary()
            .and_then(|primary| self.definition(&primary.definition).ok())
        else {
            return false;
        };
        let images = definition
            .containers()
            .iter()
            .filter_map(|container| container["image"].as_str());
        let mut images = images.filter_map(|text| self.ground.registry.image(text).ok());
        images.any(|image| image.repository == repository && image.reference == tag)
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
        self.lease(&key).await;
    }
}

/// What was told already.
fn told_later(receiver: &mut broadcast::Receiver<Told>) -> Option<Told> {
    receiver.try_recv().ok()
}
