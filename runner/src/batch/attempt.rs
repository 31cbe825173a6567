//! One try of a job in the engine, and what its end means.

use std::collections::HashMap;
use std::time::Duration;

use super::Batch;
use super::model::{Attempt, Job, Status, Work};
use super::shown::log_name;
use crate::aws::{Error, now};
use crate::engine::{Exit, Limits, Network, OWNER, PART, ROLE, Spec};
use crate::registry::Pinned;

/// What is said of a job whose container was taken away.
const INTERRUPTED: &str = "Host EC2 (instance) terminated.";

/// The exit code of what was killed.
const KILLED: i64 = 137;
/// How long it takes to take a container away that was killed.
const TAKEN_AWAY: Duration = Duration::from_millis(500);

/// How an attempt ended.
#[derive(Debug)]
struct End {
    exit_code: Option<i64>,
    reason: Option<String>,
    status_reason: String,
    /// Whether another try makes sense at all.
    is_final: bool,
}

impl Batch {
    /// Runs a job that was marked as starting, or waits for the container that it has already.
    pub(super) async fn run(&self, job: Job, work: &Work, container: Option<String>) {
        let id = job.id.clone();
        match self.try_run(job, work, container).await {
            Ok(None) => {}
            // Until the end is kept, the container is the only one who knows its exit code. What is
            // left behind here the next runner takes away.
            Ok(Some(ended)) => {
                if let Err(error) = self.ground.engine.remove(&ended).await {
                    tracing::warn!(%error, job = id, "a job's container can't be removed");
                }
            }
            Err(error) => tracing::error!(%error, job = id, "a job's state can't be kept"),
        }
    }

    /// Gives the container that is of no use any more.
    async fn try_run(
        &self,
        job: Job,
        work: &Work,
        container: Option<String>,
    ) -> Result<Option<String>, Error> {
        let was_running = job.status == Status::Running;
        let begun = match (container, was_running) {
            (Some(container), _) => Ok(container),
            (None, true) => Err(INTERRUPTED.to_owned()),
            (None, false) => self.begin(&job, work).await,
        };
        let container = match begun {
            Ok(container) => container,
            Err(reason) => {
                let end = End {
                    exit_code: None,
                    is_final: false,
                    reason: Some(reason.clone()),
                    status_reason: match was_running {
                        true => reason,
                        false => "Task failed to start".into(),
                    },
                };
                self.settle(&job.id, work, end).await?;
                return Ok(None);
            }
        };
        let running = self.ledger.change(&job.id, |job| {
            job.status = Status::Running;
            job.started_at.get_or_insert(now());
        });
        if let Some(job) = running.await? {
            let end = self.await_end(&job, work, &container).await;
            let lines = self.ground.engine.last_lines(&container, 1000).await;
            self.ground.keep_log(&log_name(&job.id), &lines).await;
            self.settle(&job.id, work, end).await?;
        } else {
            self.let_go(&job.id).await;
        }
        Ok(Some(container))
    }

    async fn begin(&self, job: &Job, work: &Work) -> Result<String, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let registry = &self.ground.registry;
        let image = registry.image(&work.image).map_err(|error| told(&error))?;
        let pinned = registry
            .resolve(&image)
            .await
            .map_err(|error| format!("CannotPullContainerError: {error}"))?;
        self.ground
            .leases
            .need(&format!("job/{}", job.id), [pinned.digest.clone()])
            .await;
        self.ground
            .pull(&pinned)
            .await
            .map_err(|error| told(&error))?;
        let digest = pinned.digest.clone();
        let changed = self
            .ledger
            .change(&job.id, |job| job.digest = Some(digest))
            .await;
        changed.map_err(|error| told(&error))?;
        let spec = spec(job, work, &pinned);
        let engine = &self.ground.engine;
        let container = engine.create(&spec).await.map_err(|error| told(&error))?;
        match engine.start(&container).await {
            Ok(()) => Ok(container),
            Err(error) => {
                let _ = engine.remove(&container).await;
                Err(told(&error))
            }
        }
    }

    /// Waits until a container has ended, its time is over, or somebody wants its end.
    async fn await_end(&self, job: &Job, work: &Work, container: &str) -> End {
        let stop = self.stopping(&job.id);
        let engine = &self.ground.engine;
        let since = now() - job.started_at.unwrap_or_else(now);
        let rest = work
            .timeout_seconds
            .map(|seconds| (seconds as f64 - since).max(0.0));
        let timeout = async {
            match rest {
                Some(rest) => tokio::time::sleep(Duration::from_secs_f64(rest)).await,
                None => std::future::pending().await,
            }
        };
        if job.terminated.is_some() {
            stop.notify_one();
        }
        let status_reason = tokio::select! {
            exit = engine.ended(container) => return ended(&self.looked_again(container, exit).await),
            () = timeout => "Job attempt duration exceeded timeout".to_owned(),
            () = stop.notified() => {
                let kept = self.ledger.get(&job.id).await.ok().flatten();
                kept.and_then(|job| job.terminated).unwrap_or_default()
            }
        };
        // Asked first, as Batch does.
        if let Err(error) = engine.stop(container, Duration::from_secs(5)).await {
            tracing::warn!(%error, job = job.id, "a job's container can't be stopped");
        }
        let exit = engine.ended(container).await;
        End {
            exit_code: exit.code,
            reason: None,
            status_reason,
            is_final: true,
        }
    }

    /// How a container ended that was killed: whoever kills it may be taking it away.
    async fn looked_again(&self, container: &str, exit: Exit) -> Exit {
        if exit.code != Some(KILLED) || exit.out_of_memory {
            return exit;
        }
        tokio::time::sleep(TAKEN_AWAY).await;
        match self.ground.engine.exit(container).await {
            Ok(Some(exit)) => exit,
            Ok(None) | Err(_) => exit,
        }
    }

    /// Notes an attempt, and decides whether there is another one.
    async fn settle(&self, id: &str, work: &Work, end: End) -> Result<(), Error> {
        let is_good = end.exit_code == Some(0) && !end.is_final;
        let wants_more = !is_good && !end.is_final && is_retried(work, &end);
        let attempts = work.attempts;
        // Before the job may be taken up again: what the next attempt has stays.
        self.let_go(id).await;
        let settled = self.ledger.settle(id, move |job| {
            job.attempts.push(Attempt {
                started_at: job.started_at,
                stopped_at: Some(now()),
                exit_code: end.exit_code,
                reason: end.reason,
                status_reason: end.status_reason.clone(),
            });
            let has_more = u64::try_from(job.attempts.len()).is_ok_and(|made| made < attempts);
            if wants_more && has_more && job.terminated.is_none() {
                tracing::info!(
                    job = job.id,
                    reason = end.status_reason,
                    "a job is tried again"
                );
                job.status = Status::Runnable;
                job.started_at = None;
                return None;
            }
            let status = match is_good {
                true => Status::Succeeded,
                false => Status::Failed,
            };
            Some((status, end.status_reason))
        });
        settled.await?;
        Ok(())
    }

    /// Gives up what is held for an attempt.
    async fn let_go(&self, id: &str) {
        self.ground.leases.need(&format!("job/{id}"), []).await;
        self.stops.lock().expect("no holder panics").remove(id);
    }
}

fn ended(exit: &Exit) -> End {
    let Some(code) = exit.code else {
        return End {
            exit_code: None,
            reason: Some("the container is gone".into()),
            status_reason: INTERRUPTED.into(),
            is_final: false,
        };
    };
    End {
        exit_code: Some(code),
        reason: exit
            .out_of_memory
            .then(|| "OutOfMemoryError: Container killed due to memory usage".to_owned()),
        status_reason: "Essential container in task exited".into(),
        is_final: false,
    }
}

/// Whether an end like this is tried again: the first rule that is like it says so.
fn is_retried(work: &Work, end: &End) -> bool {
    let rules = work
        .on_exit
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for rule in rules {
        let is_like = |name: &str, text: &str| {
            rule[name]
                .as_str()
                .is_none_or(|pattern| glob(pattern, text))
        };
        let code = end
            .exit_code
            .map(|code| code.to_string())
            .unwrap_or_default();
        if is_like("onExitCode", &code)
            && is_like("onReason", end.reason.as_deref().unwrap_or_default())
            && is_like("onStatusReason", &end.status_reason)
        {
            return rule["action"]
                .as_str()
                .is_some_and(|action| action.eq_ignore_ascii_case("retry"));
        }
    }
    true
}

/// A pattern with `*` at its end, or none.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}

fn spec(job: &Job, work: &Work, image: &Pinned) -> Spec {
    let attempt = job.next_attempt();
    let own = [
        ("AWS_BATCH_JOB_ID", job.id.clone()),
        ("AWS_BATCH_JQ_NAME", job.queue.clone()),
        ("AWS_BATCH_JOB_ATTEMPT", attempt.clone()),
    ];
    let index = job
        .index
        .map(|index| format!("AWS_BATCH_JOB_ARRAY_INDEX={index}"));
    let chosen = work
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let own = own.iter().map(|(name, value)| format!("{name}={value}"));
    Spec {
        name: format!("wharf-{}-{attempt}", log_name(&job.id)),
        image: image.to_string(),
        entrypoint: None,
        command: (!work.command.is_empty()).then(|| work.command.clone()),
        environment: chosen.chain(own).chain(index).collect(),
        working_directory: None,
        user: work.user.clone(),
        is_read_only: work.is_read_only,
        limits: Limits {
            memory_mib: work.memory_mib,
            cpus: work.vcpus,
        },
        network: Network::Own,
        health: None,
        labels: HashMap::from([
            (ROLE.to_owned(), "job".to_owned()),
            (OWNER.to_owned(), job.id.clone()),
            (PART.to_owned(), attempt),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_rule_that_is_like_an_end_decides() {
        let mut work = Work {
            image: String::new(),
            command: Vec::new(),
            environment: Default::default(),
            vcpus: 1.0,
            memory_mib: 4,
            user: None,
            is_read_only: false,
            attempts: 3,
            on_exit: json!([
                {"onStatusReason": "Host EC2*", "action": "RETRY"},
                {"onExitCode": "1*", "action": "retry"},
                {"onReason": "*", "action": "EXIT"},
            ]),
            timeout_seconds: None,
            definition: String::new(),
            parameters: json!({}),
            depends_on: json!([]),
            tags: json!({}),
        };
        let end = |exit_code, status_reason: &str| End {
            exit_code,
            reason: None,
            status_reason: status_reason.to_owned(),
            is_final: false,
        };
        assert!(is_retried(&work, &end(None, INTERRUPTED)));
        assert!(is_retried(&work, &end(Some(137), "")));
        assert!(!is_retried(&work, &end(Some(2), "")));
        work.on_exit = json!(null);
        assert!(is_retried(&work, &end(Some(2), "")));
    }
}
