//! The balancer of a service: one address before the tasks that serve at the moment.
//!
//! `lead_to` switches all new requests at once; requests under way stay where they are, and
//! `drained` waits for them. Over HTTP each request is led on its own, so a client keeps its
//! connection while the tasks behind change.
//!
//! | module | job |
//! |---|---|
//! | `http` | requests |
//! | `tcp` | connections |
//! | `check` | whether a target answers |

mod check;
mod http;
mod tcp;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use check::is_answering;

/// How many connections a balancer has at once.
const MOST_CONNECTIONS: usize = 4096;

/// A target, and what it is doing.
#[derive(Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    in_flight: AtomicUsize,
}

/// A request or a connection that a target has; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    target: Arc<Target>,
}

impl Turn {
    fn address(&self) -> SocketAddr {
        self.target.address
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.target.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A balancer.
#[derive(Debug)]
pub(crate) struct Balancer {
    address: SocketAddr,
    targets: RwLock<Vec<Arc<Target>>>,
    /// Targets that may still have requests.
    leaving: RwLock<Vec<Arc<Target>>>,
    next: AtomicUsize,
    stop: CancellationToken,
}

impl Balancer {
    /// Listens, and leads nowhere yet.
    pub(crate) async fn bind(
        address: SocketAddr,
        is_http: bool,
        stop: &CancellationToken,
        tracker: &TaskTracker,
    ) -> std::io::Result<Arc<Self>> {
        let listener = TcpListener::bind(address).await?;
        let balancer = Arc::new(Self {
            address: listener.local_addr()?,
            targets: RwLock::default(),
            leaving: RwLock::default(),
            next: AtomicUsize::new(0),
            stop: stop.child_token(),
        });
        tracker.spawn(Arc::clone(&balancer).run(listener, is_http, tracker.clone()));
        Ok(balancer)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads to these targets from now on, and to no others.
    pub(crate) fn lead_to(&self, addresses: Vec<SocketAddr>) {
        let mut targets = self.targets.write().expect("no holder panics");
        let is_same = targets.len() == addresses.len()
            && targets
                .iter()
                .all(|target| addresses.contains(&target.address));
        if is_same {
            return;
        }
        let before = std::mem::take(&mut *targets);
        *targets = addresses
            .iter()
            .map(|address| {
                let known = before.iter().find(|target| target.address == *address);
                known.cloned().unwrap_or_else(|| {
                    Arc::new(Target {
                        address: *address,
                        in_flight: AtomicUsize::new(0),
                    })
                })
            })
            .collect();
        let mut leaving = self.leaving.write().expect("no holder panics");
        leaving.retain(|target| target.in_flight.load(Ordering::Acquire) > 0);
        leaving.extend(
            before
                .into_iter()
                .filter(|target| !addresses.contains(&target.address)),
        );
    }

    /// Waits until a target that isn't led to any more has no requests.
    pub(crate) async fn drained(&self, address: SocketAddr) {
        let is_busy = || {
            let leaving = self.leaving.read().expect("no holder panics");
            leaving.iter().any(|target| {
                target.address == address && target.in_flight.load(Ordering::Acquire) > 0
            })
        };
        while is_busy() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops listening.
    pub(crate) fn close(&self) {
        self.stop.cancel();
    }

    /// A target for one request, in turn.
    fn turn(&self) -> Option<Turn> {
        let targets = self.targets.read().expect("no holder panics");
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let target = targets.get(next.checked_rem(targets.len())?)?;
        // Counted while the list is held, so that nobody sees it drained in between.
        target.in_flight.fetch_add(1, Ordering::AcqRel);
        Some(Turn {
            target: Arc::clone(target),
        })
    }

    /// Connects to a target: another one where one refuses, since it has seen nothing yet.
    async fn connect(&self) -> Option<(Turn, TcpStream)> {
        for _ in 0..3 {
            let turn = self.turn()?;
            let connected = TcpStream::connect(turn.address());
            if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(2), connected).await {
                let _ = stream.set_nodelay(true);
                return Some((turn, stream));
            }
        }
        None
    }

    async fn run(self: Arc<Self>, listener: TcpListener, is_http: bool, tracker: TaskTracker) {
        let room = Arc::new(tokio::sync::Semaphore::new(MOST_CONNECTIONS));
        loop {
            let permit = Arc::clone(&room).acquire_owned().await;
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((client, _)) = accepted else {
                // No descriptor may be free for a moment.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let _ = client.set_nodelay(true);
            let balancer = Arc::clone(&self);
            tracker.spawn(async move {
                let stop = balancer.stop.clone();
                let work = async {
                    match is_http {
                        true => http::serve(balancer, client).await,
                        false => tcp::serve(&balancer, client).await,
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = work => {}
                }
                drop(permit);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_target_that_leaves_is_drained_when_its_requests_are_done() {
        let stop = CancellationToken::new();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let balancer = Balancer::bind(address, false, &stop, &TaskTracker::new()).await;
        let balancer = balancer.expect("a free port");
        assert!(balancer.turn().is_none());
        let (one, other) = (
            SocketAddr::from(([10, 0, 0, 1], 1)),
            SocketAddr::from(([10, 0, 0, 2], 1)),
        );
        balancer.lead_to(vec![one]);
        let turn = balancer.turn().expect("there is a target");
        balancer.lead_to(vec![other]);
        assert_eq!(balancer.turn().map(|turn| turn.address()), Some(other));
        let waited = tokio::time::timeout(Duration::from_millis(50), balancer.drained(one)).await;
        assert!(waited.is_err());
        drop(turn);
        balancer.drained(one).await;
    }
}
