//! One request at a time in an upload.
//!
//! A client whose connection broke comes back at once, while the first request may still be
//! writing what it got; so the second one waits for a while before it is sent away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use wharf_storage::upload::UploadId;

use super::Error;

/// How long a request waits for the one before it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The uploads that requests are busy with.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    held: Arc<Mutex<HashMap<UploadId, Arc<tokio::sync::Mutex<()>>>>>,
}

/// The right to be the only request in an upload, until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    leases: Leases,
    id: UploadId,
    /// Taken away when the lease is dropped, before the upload is forgotten.
    guard: Option<OwnedMutexGuard<()>>,
}

impl Leases {
    /// Waits until nobody else is busy with the upload.
    pub(super) async fn acquire(&self, id: UploadId) -> Result<Lease, Error> {
        let turn = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(held.entry(id).or_default())
        };
        match tokio::time::timeout(PATIENCE, turn.lock_owned()).await {
            Ok(guard) => Ok(Lease {
                leases: self.clone(),
                id,
                guard: Some(guard),
            }),
            Err(_) => Err(Error::UploadBusy),
        }
    }

    /// Forgets an upload that nobody is busy with or waits for.
    fn forget_if_idle(&self, id: UploadId) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held
            .get(&id)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            held.remove(&id);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.guard = None;
        self.leases.forget_if_idle(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> UploadId {
        UploadId::new(uuid::Uuid::now_v7())
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_request_waits_for_the_first_and_not_for_ever() {
        let (leases, id) = (Leases::default(), id());
        let first = leases.acquire(id).await.expect("free");
        assert!(matches!(leases.acquire(id).await, Err(Error::UploadBusy)));
        let (second, ()) = tokio::join!(leases.acquire(id), async {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(first);
        });
        drop(second.expect("free again"));
        assert!(leases.held.lock().expect("not poisoned").is_empty());
    }
}
