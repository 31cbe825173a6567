//! The instances of a function: idle ones are taken again, new ones are started up to a limit.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Lambda;
use super::instance::Instance;
use super::model::Function;

/// How often instances are looked for that nobody calls.
const REAP_EVERY: Duration = Duration::from_secs(5);

/// The instances of a function.
#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<(Instant, Arc<Instance>)>,
    /// How many there are, busy and starting ones too.
    number: usize,
    revision: String,
}

/// What an invocation gets.
#[derive(Debug)]
pub(super) enum Taken {
    /// An instance that waits for it.
    Idle(Arc<Instance>),
    /// The right to start one.
    Room,
    /// Nothing: all are busy.
    Throttled,
}

/// How the start of an instance ended.
#[derive(Debug)]
pub(super) enum Started {
    Ready(Arc<Instance>),
    Failed(String),
}

impl Pool {
    /// An idle instance of a revision, the one used last, or the right to start one.
    pub(super) fn take(&self, revision: &str, limit: usize) -> (Taken, Vec<Arc<Instance>>) {
        let mut state = self.state();
        let mut needless = Vec::new();
        while let Some((_, instance)) = state.idle.pop() {
            if instance.is_alive() && instance.revision() == revision {
                return (Taken::Idle(instance), needless);
            }
            state.number -= 1;
            needless.push(instance);
        }
        if state.number >= limit {
            return (Taken::Throttled, needless);
        }
        state.number += 1;
        (Taken::Room, needless)
    }

    /// Gives an instance back; false where it isn't wanted any more.
    pub(super) fn give_back(&self, instance: &Arc<Instance>) -> bool {
        let mut state = self.state();
        let is_wanted = instance.is_alive()
            && (state.revision.is_empty() || instance.revision() == state.revision);
        match is_wanted {
            true => state.idle.push((Instant::now(), Arc::clone(instance))),
            false => state.number = state.number.saturating_sub(1),
        }
        is_wanted
    }

    /// An instance, or the right to one, is no more.
    pub(super) fn lost(&self) {
        let mut state = self.state();
        state.number = state.number.saturating_sub(1);
    }

    /// Goes over to a revision, with an instance that is warm already; gives the idle old ones.
    pub(super) fn flip(&self, revision: &str, warm: Option<Arc<Instance>>) -> Vec<Arc<Instance>> {
        let mut state = self.state();
        revision.clone_into(&mut state.revision);
        let old: Vec<_> = state.idle.drain(..).map(|(_, instance)| instance).collect();
        state.number = state.number.saturating_sub(old.len());
        if let Some(warm) = warm {
            state.number += 1;
            state.idle.push((Instant::now(), warm));
        }
        old
    }

    /// All idle instances, which are no more in it.
    pub(super) fn empty(&self) -> Vec<Arc<Instance>> {
        self.flip("deleted", None)
    }

    /// Takes out an instance that died while it was idle.
    pub(super) fn forget(&self, instance: &Instance) {
        let mut state = self.state();
        let before = state.idle.len();
        state.idle.retain(|(_, idle)| idle.id() != instance.id());
        state.number = state.number.saturating_sub(before - state.idle.len());
    }

    /// Takes out those that are idle for too long.
    fn stale(&self, keep: Duration) -> Vec<Arc<Instance>> {
        let mut state = self.state();
        let (stale, fresh): (Vec<_>, Vec<_>) = state
            .idle
            .drain(..)
            .partition(|(since, _)| since.elapsed() > keep);
        state.idle = fresh;
        state.number = state.number.saturating_sub(stale.len());
        stale.into_iter().map(|(_, instance)| instance).collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl Lambda {
    /// How many instances a function may have.
    pub(super) fn limit(&self, function: &Function) -> usize {
        function
            .reserved
            .unwrap_or(self.ground.config.lambda.concurrency)
    }

    /// Ends an instance in the background.
    pub(super) fn retire(&self, instance: Arc<Instance>) {
        let engine = self.ground.engine.clone();
        self.ground
            .tracker
            .spawn(async move { instance.end(&engine).await });
    }

    /// Ends all idle instances, and waits until they have.
    pub(crate) async fn end_instances(&self) {
        let idle: Vec<_> = {
            let pools = self.pools.lock().expect("no holder panics");
            pools.values().flat_map(|pool| pool.empty()).collect()
        };
        let ends = idle
            .iter()
            .map(|instance| instance.end(&self.ground.engine));
        futures_util::future::join_all(ends).await;
    }

    /// Ends instances that nobody calls, until told to stop.
    pub(super) async fn reap(&self) {
        loop {
            tokio::select! {
                () = self.ground.stop.cancelled() => return,
                () = tokio::time::sleep(REAP_EVERY) => {}
            }
            let pools: Vec<_> = {
                let pools = self.pools.lock().expect("no holder panics");
                pools.values().cloned().collect()
            };
            for pool in pools {
                for instance in pool.stale(self.ground.config.lambda.keep_warm.duration()) {
                    self.retire(instance);
                }
            }
        }
    }
}
