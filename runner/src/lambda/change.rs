//! New code and settings: resolved, leased, pulled, tried with one instance, and then flipped in one
//! step. What runs goes on until then, and goes on where the new code doesn't start.

use super::model::{Function, Progress};
use super::pool::Started;
use super::{Lambda, owner};
use crate::aws::now;

impl Lambda {
    /// Brings a function to what it shall be: `next`, or what it is, after a start.
    pub(super) fn spawn_change(&self, name: &str, next: Option<Function>) {
        let (lambda, name) = (self.clone(), name.to_owned());
        self.ground.tracker.spawn(async move {
            let stop = lambda.ground.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = lambda.change(&name, next) => {}
            }
        });
    }

    pub(super) async fn change(&self, name: &str, next: Option<Function>) {
        let turn = {
            let mut changes = self.changes.lock().expect("no holder panics");
            std::sync::Arc::clone(changes.entry(name.to_owned()).or_default())
        };
        let _turn = turn.lock().await;
        let Some(function) = next.or_else(|| self.functions.get(name)) else {
            return;
        };
        if let Err(reason) = self.try_change(function.clone()).await {
            tracing::warn!(function = name, reason, "a function could not be changed");
            let failed = |kept: &mut Function| {
                kept.next = None;
                if kept.state != Progress::Done {
                    kept.state = Progress::Failed(reason.clone());
                }
                kept.update = Progress::Failed(reason);
                kept.refused = function.pinned;
            };
            match self.functions.update(name, failed).await {
                Ok(kept) => {
                    let pinned = kept.and_then(|kept| kept.pinned);
                    let digests = pinned.map(|pinned| pinned.digest);
                    self.ground.leases.need(&owner(name), digests).await;
                }
                Err(error) => {
                    tracing::error!(%error, function = name, "a failure can't be kept");
                }
            }
        }
    }

    async fn try_change(&self, mut next: Function) -> Result<(), String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let registry = &self.ground.registry;
        let pinned = match next.pinned.clone() {
            Some(pinned) => pinned,
            None => {
                let image = registry.image(&next.image).map_err(|error| told(&error))?;
                registry
                    .resolve(&image)
                    .await
                    .map_err(|error| told(&error))?
            }
        };
        let before = self
            .functions
            .get(&next.name)
            .and_then(|function| function.pinned);
        let both = before
            .iter()
            .chain([&pinned])
            .map(|pinned| pinned.digest.clone());
        self.ground.leases.need(&owner(&next.name), both).await;
        self.ground
            .pull(&pinned)
            .await
            .map_err(|error| told(&error))?;
        next.pinned = Some(pinned.clone());

        let instance = match self.start_instance(&next).await {
            Started::Ready(instance) => Some(instance),
            // A first version that doesn't start is kept, and tells why when it is invoked.
            Started::Failed(reason) if next.state == Progress::Done => return Err(reason),
            Started::Failed(reason) => {
                tracing::warn!(function = next.name, reason, "a new function doesn't start");
                None
            }
        };
        let change = |kept: &mut Function| {
            kept.image = next.image;
            kept.pinned = next.pinned;
            kept.timeout_seconds = next.timeout_seconds;
            kept.memory_mib = next.memory_mib;
            kept.environment = next.environment;
            kept.image_config = next.image_config;
            kept.description = next.description;
            kept.role = next.role;
            kept.revision.clone_from(&next.revision);
            kept.state = Progress::Done;
            kept.update = Progress::Done;
            kept.refused = None;
            kept.next = None;
            kept.modified_at = now();
        };
        let changed = self.functions.update(&next.name, change).await;
        let Some(function) = changed.map_err(|error| told(&error))? else {
            // It was deleted meanwhile.
            if let Some(instance) = instance {
                self.retire(instance);
            }
            return Ok(());
        };
        let pool = self.pool(&function.name);
        for old in pool.flip(&function.revision, instance) {
            self.retire(old);
        }
        self.ground
            .leases
            .need(&owner(&function.name), [pinned.digest])
            .await;
        tracing::info!(function = function.name, "a function is as it shall be");
        Ok(())
    }
}
