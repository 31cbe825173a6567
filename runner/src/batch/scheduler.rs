//! Which job is started next: by the priority of its queue, then by its age, as far as the vCPUs of
//! the queue's environments go.

use std::collections::HashSet;
use std::time::Duration;

use super::Batch;
use super::model::{Job, Queue, Status};
use crate::aws::Error;
use crate::engine::{Found, OWNER, PART, ROLE};

/// How often is looked, whatever happens.
const LOOK: Duration = Duration::from_secs(1);
/// How often is looked for jobs to forget.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// How many jobs of a queue are looked at for one that fits.
const WINDOW: usize = 50;

impl Batch {
    /// Takes up what an earlier runner started, and gives the containers that belong to no job.
    pub(crate) async fn adopt(&self, found: &[Found]) -> Result<Vec<String>, Error> {
        let is_job = |found: &&Found| found.labels.get(ROLE).is_some_and(|role| role == "job");
        let containers: Vec<&Found> = found.iter().filter(is_job).collect();
        let mut known = HashSet::new();
        for job in self.ledger.started().await? {
            // A container of an attempt before may still be there: its end is known.
            let attempt = job.next_attempt();
            let container = containers.iter().find(|found| {
                found.labels.get(OWNER) == Some(&job.id) && found.labels.get(PART) == Some(&attempt)
            });
            let Some(work) = self.work(&job).await? else {
                continue;
            };
            let container = match container {
                // The runner ended between making it and starting it.
                Some(found) if !self.ground.engine.was_started(&found.id).await? => None,
                found => found.map(|found| found.id.clone()),
            };
            match (container, job.status) {
                // It was not begun: it is started again, and that is no attempt.
                (None, Status::Starting) => {
                    self.ledger
                        .change(&job.id, |job| job.status = Status::Runnable)
                        .await?;
                }
                (container, _) => {
                    known.extend(container.clone());
                    self.take_up(job, work, container);
                }
            }
        }
        let needless = containers.iter().filter(|found| !known.contains(&found.id));
        Ok(needless.map(|found| found.id.clone()).collect())
    }

    /// Forgets jobs that ended a while ago, until told to stop.
    pub(crate) async fn forget(self) {
        loop {
            tokio::select! {
                () = self.ground.stop.cancelled() => return,
                () = tokio::time::sleep(FORGET_EVERY) => {}
            }
            let keep = self.ground.config.batch.keep_jobs.duration();
            if let Err(error) = self
                .ledger
                .forget(crate::aws::now() - keep.as_secs_f64())
                .await
            {
                tracing::warn!(%error, "jobs can't be forgotten");
            }
        }
    }

    /// Starts jobs until told to stop.
    pub(crate) async fn schedule(self) {
        loop {
            if let Err(error) = self.start_some().await {
                tracing::warn!(%error, "jobs can't be started; it is tried again");
            }
            tokio::select! {
                () = self.ground.stop.cancelled() => return,
                _ = tokio::time::timeout(LOOK, self.bell.notified()) => {}
            }
        }
    }

    async fn start_some(&self) -> Result<(), Error> {
        let mut queues = self.queues.list();
        queues.sort_by_key(|queue| std::cmp::Reverse(queue.priority));
        for queue in queues {
            let capacity = self.capacity(&queue);
            if self.in_use(&queue) >= capacity {
                continue;
            }
            for job in self.ledger.runnable(&queue.name, WINDOW).await? {
                if job.size.is_some() {
                    continue;
                }
                let Some(work) = self.work(&job).await? else {
                    continue;
                };
                if self.in_use(&queue) + work.vcpus > capacity {
                    // It waits for its turn: a smaller one behind it would keep it waiting.
                    break;
                }
                let started = self.ledger.change(&job.id, |job| {
                    if job.status == Status::Runnable {
                        job.status = Status::Starting;
                    }
                });
                if let Some(job) = started.await?.filter(|job| job.status == Status::Starting) {
                    self.take_up(job, work, None);
                }
            }
        }
        Ok(())
    }

    /// Runs a job, or waits for its container, with its vCPUs taken.
    fn take_up(&self, job: Job, work: super::model::Work, container: Option<String>) {
        let (batch, queue, vcpus) = (self.clone(), job.queue.clone(), work.vcpus);
        *self.used().entry(queue.clone()).or_default() += vcpus;
        self.ground.tracker.spawn(async move {
            let stop = batch.ground.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return,
                () = batch.run(job, &work, container) => {}
            }
            *batch.used().entry(queue).or_default() -= vcpus;
            batch.bell.notify_one();
        });
    }

    /// The vCPUs in use of the environments that a queue has, whichever queue uses them.
    fn in_use(&self, queue: &Queue) -> f64 {
        let shares = |name: &str| {
            let other = self.queues.get(name);
            let other = other.map(|other| other.environments).unwrap_or_default();
            name == queue.name || other.iter().any(|name| queue.environments.contains(name))
        };
        let used = self.used();
        let used = used.iter().filter(|(name, _)| shares(name));
        used.map(|(_, vcpus)| *vcpus).sum()
    }

    fn used(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, f64>> {
        self.used.lock().expect("no holder panics")
    }
}
