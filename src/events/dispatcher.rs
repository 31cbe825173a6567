//! Holds endpoints, so that one server at a time delivers for each.
//!
//! Every server asks again and again for the endpoints that nobody holds, and renews its hold on
//! its own. One that is killed renews nothing, and another one takes over when its term is over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wharf_auth::seal::Sealer;
use wharf_storage::clock::{Ageing, Clock, Timestamp};
use wharf_storage::metadata::{EndpointRecord, Metadata, Stream};

use super::courier::Courier;
use super::endpoints;
use super::feed::Feed;
use super::format::Origin;
use super::ledger::Ledger;
use super::sink::{self, Target};
use crate::metrics::Metrics;
use crate::outbound::Outbound;

/// How long a hold lasts. With the time between two looks it stays under ten seconds until another
/// server takes over.
const TERM: Duration = Duration::from_secs(6);
/// How often holds are renewed, and changes of endpoints seen.
const LOOK_EVERY: Duration = Duration::from_millis(1500);
/// How many attempts are kept for each endpoint.
const KEPT_DELIVERIES: u64 = 1000;
/// How often old ones are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long that takes at most, before holds are renewed.
const TIDY_FOR: Duration = Duration::from_secs(1);
/// How many events are forgotten at once.
const FORGET: u64 = 2000;

/// How long a courier may take to go home before it is called off.
const PARTING: Duration = Duration::from_secs(1);

/// What of the events can be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long they are kept.
    pub keep: Duration,
    /// How large each stream may get, in bytes.
    pub keep_bytes: u64,
    /// How old an event is before it is given up for an endpoint that is down.
    pub give_up_after: Duration,
}

/// What delivers events, and forgets old ones.
#[derive(Debug)]
pub struct Dispatcher {
    /// The log.
    pub metadata: Metadata,
    /// The same, as it is read.
    pub feed: Arc<Feed>,
    /// What opens the secrets of endpoints.
    pub sealer: Arc<Sealer>,
    /// Requests to the outside.
    pub outbound: Arc<Outbound>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The registry that events tell of.
    pub origin: Arc<Origin>,
    /// The name of this server, which no other one has.
    pub holder: Arc<str>,
    /// What can be chosen.
    pub settings: Settings,
}

/// A courier at work.
struct AtWork {
    revision: i64,
    stop: CancellationToken,
    task: JoinHandle<()>,
    letters: watch::Sender<u64>,
}

impl Dispatcher {
    /// Delivers until `stop`, then lets go of all endpoints.
    pub async fn run(self, stop: CancellationToken) {
        let ledger = Ledger::new(
            self.metadata.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.holder),
        );
        let ageing = Ageing::new(Arc::clone(&self.clock), self.settings.keep);
        let writing = CancellationToken::new();
        let writer = tokio::spawn(ledger.clone().run(writing.clone()));
        let mut at_work: HashMap<String, AtWork> = HashMap::new();
        let mut measured = HashSet::new();
        let mut renewed = Instant::now();
        let mut tidied: Option<Instant> = None;
        let mut could_tell = false;
        let mut turns = tokio::time::interval(LOOK_EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            let (began, now) = (Instant::now(), self.clock.now());
            let until = now.after(TERM);
            match self.metadata.hold_endpoints(&self.holder, now, until).await {
                Ok(held) => {
                    renewed = began;
                    self.assign(&held, &mut at_work, &ledger).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "endpoints of events can not be held");
                    // Somebody else may hold them by now.
                    if renewed.elapsed() >= TERM {
                        self.dismiss(at_work.drain()).await;
                    }
                }
            }
            // What could not be told to be old is looked at as soon as it can.
            let can_tell = ageing.limit().is_some();
            let is_due = tidied.is_none_or(|last| last.elapsed() >= TIDY_EVERY);
            if is_due || (can_tell && !could_tell) {
                could_tell = can_tell;
                // What is left is done at the next look: holds are renewed meanwhile.
                let began = Instant::now();
                tidied = self.tidy(&ageing, began + TIDY_FOR).await.then_some(began);
            }
            self.measure(&mut measured).await;
        }
        self.dismiss(at_work.drain()).await;
        writing.cancel();
        let _ = writer.await;
        ledger.write().await;
        if let Err(error) = self.metadata.release_endpoints(&self.holder).await {
            tracing::warn!(%error, "endpoints are held until their term is over");
        }
    }

    /// Lets couriers go whose endpoints are no more ours or have changed, and sends new ones.
    async fn assign(
        &self,
        held: &[EndpointRecord],
        at_work: &mut HashMap<String, AtWork>,
        ledger: &Ledger,
    ) {
        let stale = at_work.extract_if(|name, one| {
            let same = |endpoint: &&EndpointRecord| {
                endpoint.name == *name && endpoint.revision == one.revision
            };
            !held.iter().any(|endpoint| same(&endpoint)) || one.task.is_finished()
        });
        self.dismiss(stale.collect::<Vec<_>>().into_iter()).await;
        for endpoint in held {
            if let Some(one) = at_work.get(&endpoint.name) {
                if endpoint.dead_letters > 0 {
                    one.letters.send_replace(endpoint.dead_letters);
                }
                continue;
            }
            match self.courier(endpoint, ledger) {
                Ok((courier, letters)) => {
                    let stop = CancellationToken::new();
                    let task = tokio::spawn(courier.run(stop.clone()));
                    let one = AtWork {
                        revision: endpoint.revision,
                        stop,
                        task,
                        letters,
                    };
                    at_work.insert(endpoint.name.clone(), one);
                }
                Err(error) => {
                    let endpoint = &endpoint.name;
                    tracing::error!(endpoint, %error, "an endpoint can not be used");
                }
            }
        }
    }

    fn courier(
        &self,
        endpoint: &EndpointRecord,
        ledger: &Ledger,
    ) -> Result<(Courier, watch::Sender<u64>), endpoints::Error> {
        let secrets = endpoints::secrets(&self.sealer, endpoint)?;
        let url = sink::check(&endpoint.url, &self.outbound);
        let url = match url {
            // It may be opened again; until then its deliveries fail, and say why.
            Err(sink::TargetError::Refused(_)) => {
                url::Url::parse(&endpoint.url).map_err(sink::TargetError::Malformed)
            }
            other => other,
        };
        let sink = sink::open(Target {
            url: url?,
            secrets,
            outbound: Arc::clone(&self.outbound),
            clock: Arc::clone(&self.clock),
        })?;
        let (letters, waiting) = watch::channel(0);
        let courier = Courier {
            endpoint: endpoint.clone(),
            sink,
            format: endpoint.format.parse()?,
            origin: Arc::clone(&self.origin),
            feed: Arc::clone(&self.feed),
            ledger: ledger.clone(),
            metadata: self.metadata.clone(),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            give_up_after: self.settings.give_up_after,
            letters: waiting,
        };
        Ok((courier, letters))
    }

    /// Forgets old events and attempts, until about a moment, and tells whether that is done.
    async fn tidy(&self, ageing: &Ageing, until: Instant) -> bool {
        let forgotten = async {
            self.metadata.forget_deliveries(KEPT_DELIVERIES).await?;
            let endpoints = self.metadata.endpoints().await?;
            let before = ageing.limit().unwrap_or(Timestamp::from_micros(0));
            for stream in Stream::ALL {
                let needed = endpoints
                    .iter()
                    .filter(|endpoint| endpoint.stream == stream && endpoint.disabled.is_none())
                    .map(|endpoint| endpoint.cursor);
                let needed = needed.min().unwrap_or(i64::MAX);
                let bytes = self.settings.keep_bytes;
                loop {
                    let gone = self
                        .metadata
                        .forget_events(stream, before, bytes, needed, FORGET)
                        .await?;
                    if gone < FORGET {
                        break;
                    }
                    if Instant::now() >= until {
                        return Ok(false);
                    }
                }
            }
            Ok::<_, wharf_storage::metadata::Error>(true)
        };
        forgotten.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "old events could not be forgotten");
            // The next time is soon enough.
            true
        })
    }

    /// Measures how far endpoints are behind, and forgets those that were `measured` and are gone.
    async fn measure(&self, measured: &mut HashSet<String>) {
        let Ok(endpoints) = self.metadata.endpoints().await else {
            return;
        };
        for endpoint in &endpoints {
            let head = *self.feed.head(endpoint.stream).borrow();
            let waiting = (head - endpoint.cursor).max(0);
            self.metrics
                .event_queue(&endpoint.name, waiting, endpoint.dead_letters);
        }
        let names: HashSet<String> = endpoints.into_iter().map(|one| one.name).collect();
        for gone in measured.difference(&names) {
            self.metrics.forget_endpoint(gone);
        }
        *measured = names;
    }

    /// Sends couriers home. What they had under way is cut, and told again by the next one; nobody
    /// waits for a target that hangs.
    async fn dismiss(&self, couriers: impl Iterator<Item = (String, AtWork)>) {
        let couriers: Vec<(String, AtWork)> = couriers.collect();
        for (_, one) in &couriers {
            one.stop.cancel();
        }
        let deadline = tokio::time::Instant::now() + PARTING;
        for (name, mut one) in couriers {
            let parted = tokio::time::timeout_at(deadline, &mut one.task).await;
            if parted.is_err() {
                one.task.abort();
                let _ = one.task.await;
            }
            self.metrics.forget_event_queue_age(&name);
        }
    }
}

#[cfg(test)]
mod tests;
