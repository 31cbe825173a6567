//! Pushes change the functions that opted in with the tag `wharf:redeploy-on-push`: the new code is
//! pre-warmed, then all invocations go to it in one step.

use tokio::sync::broadcast;

use super::Lambda;
use super::model::{Function, Progress};
use crate::aws::door::uuid;
use crate::follow::{Gathered, Repositories};
use crate::registry::Told;

impl Lambda {
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
            for function in self.functions.filtered(Function::follows) {
                self.look(&function, &repositories).await;
            }
        }
    }

    async fn look(&self, function: &Function, repositories: &Repositories) {
        let Ok(image) = self.ground.registry.image(&function.image) else {
            return;
        };
        if image.is_pinned() || !repositories.has(&image.repository) {
            return;
        }
        let pinned = match self.ground.registry.resolve(&image).await {
            Ok(pinned) => Some(pinned),
            Err(error) => {
                tracing::warn!(%error, function = function.name, "a tag can't be looked up");
                return;
            }
        };
        if pinned == function.pinned || pinned == function.refused {
            return;
        }
        tracing::info!(function = function.name, "a push changes a function");
        let mut next = function.clone();
        next.pinned = pinned;
        next.revision = uuid();
        next.next = None;
        let kept = Box::new(next.clone());
        let pending = |function: &mut Function| {
            function.update = Progress::Pending;
            function.next = Some(kept);
        };
        if let Err(error) = self.functions.update(&next.name, pending).await {
            tracing::error!(%error, function = next.name, "a change can't be kept");
        }
        // One after another in the background, so that a slow start holds up no other function.
        self.spawn_change(&function.name, Some(next));
    }
}
