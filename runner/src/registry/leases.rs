//! A lease on every digest that something runs, so that nothing removes it from the registry.
//!
//! Owners (a service, a function, a job) say which digests they need. A digest is leased before it
//! is pulled, renewed after a third of its term, and given back when no owner needs it any more.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Client;

/// Leases that this runner holds. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    client: Client,
    needs: Arc<Mutex<Needs>>,
}

#[derive(Debug, Default)]
struct Needs {
    by_owner: HashMap<String, BTreeSet<String>>,
    held: BTreeSet<String>,
}

impl Needs {
    fn needed(&self) -> BTreeSet<String> {
        self.by_owner.values().flatten().cloned().collect()
    }
}

impl Leases {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            needs: Arc::default(),
        }
    }

    /// Says which digests an owner needs from now on. New ones are leased before this returns,
    /// where the registry answers; else they are when it does again.
    pub(crate) async fn need(&self, owner: &str, digests: impl IntoIterator<Item = String>) {
        let new: Vec<String> = {
            let mut needs = self.needs();
            let digests: BTreeSet<String> = digests.into_iter().collect();
            let new = digests.difference(&needs.held).cloned().collect();
            match digests.is_empty() {
                true => needs.by_owner.remove(owner),
                false => needs.by_owner.insert(owner.to_owned(), digests),
            };
            new
        };
        for digest in new {
            self.take(&digest).await;
        }
    }

    /// Renews and gives back until told to stop. Leases stay behind: what runs goes on.
    pub(crate) async fn run(self, term: Duration, stop: CancellationToken) {
        let mut renew = tokio::time::interval((term / 3).max(Duration::from_millis(100)));
        let mut give_back = tokio::time::interval(Duration::from_secs(2));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = renew.tick() => {
                    let needed = self.needs().needed();
                    for digest in needed {
                        self.take(&digest).await;
                    }
                }
                _ = give_back.tick() => self.settle().await,
            }
        }
    }

    /// Takes what is missing, and gives back what nobody needs.
    async fn settle(&self) {
        let (missing, needless): (Vec<String>, Vec<String>) = {
            let needs = self.needs();
            let needed = needs.needed();
            let missing = needed.difference(&needs.held).cloned().collect();
            let needless = needs.held.difference(&needed).cloned().collect();
            (missing, needless)
        };
        for digest in missing {
            self.take(&digest).await;
        }
        for digest in needless {
            match self.client.release(&digest).await {
                Ok(()) => {
                    self.needs().held.remove(&digest);
                }
                Err(error) => tracing::debug!(%error, digest, "a lease can't be given back yet"),
            }
        }
    }

    async fn take(&self, digest: &str) {
        match self.client.lease(digest).await {
            Ok(()) => {
                self.needs().held.insert(digest.to_owned());
            }
            Err(error) => {
                tracing::warn!(%error, digest, "no lease on a digest that runs; it is asked for again");
                self.needs().held.remove(digest);
            }
        }
    }

    fn needs(&self) -> std::sync::MutexGuard<'_, Needs> {
        self.needs.lock().expect("no holder panics")
    }
}
