//! How jobs are told.

use serde_json::{Map, Value, json};

use super::Batch;
use super::model::{Attempt, Job, Work};
use crate::aws::Error;

impl Batch {
    pub(super) fn summary(&self, job: &Job) -> Value {
        let mut shown = json!({
            "jobArn": self.job_arn(job), "jobId": job.id, "jobName": job.name, "status": job.status,
            "createdAt": milliseconds(job.created_at),
        });
        put(&mut shown, job);
        if let Some(code) = job.attempts.last().and_then(|attempt| attempt.exit_code) {
            shown["container"] = json!({"exitCode": code});
        }
        if job.size.is_some() || job.index.is_some() {
            shown["arrayProperties"] = json!({"size": job.size, "index": job.index});
        }
        shown
    }

    pub(super) async fn shown(&self, job: &Job) -> Result<Value, Error> {
        let work = self.work(job).await?;
        let attempts: Vec<Value> = job
            .attempts
            .iter()
            .map(|found| attempt(job, found))
            .collect();
        let queue = self
            .ground
            .names
            .arn("batch", &format!("job-queue/{}", job.queue));
        let mut shown = json!({
            "jobArn": self.job_arn(job), "jobId": job.id, "jobName": job.name, "jobQueue": queue,
            "status": job.status, "createdAt": milliseconds(job.created_at), "attempts": attempts,
            // The model wants one, begun or not.
            "startedAt": job.started_at.map(milliseconds).unwrap_or(0),
            "isCancelled": job.is_cancelled, "isTerminated": job.terminated.is_some(),
        });
        put(&mut shown, job);
        if let Some(work) = work {
            shown["jobDefinition"] = work.definition.clone().into();
            shown["parameters"] = work.parameters.clone();
            shown["dependsOn"] = json!(work.depends_on.as_array().cloned().unwrap_or_default());
            shown["retryStrategy"] = json!({"attempts": work.attempts, "evaluateOnExit": work.on_exit.as_array().cloned().unwrap_or_default()});
            shown["container"] = container(job, &work);
            shown["tags"] = work.tags.as_object().cloned().unwrap_or_default().into();
            if let Some(seconds) = work.timeout_seconds {
                shown["timeout"] = json!({"attemptDurationSeconds": seconds});
            }
        }
        if let Some(size) = job.size {
            let summary = self.ledger.summary(&job.id).await?;
            let summary: Map<String, Value> = summary
                .into_iter()
                .map(|(status, count)| (status.word().to_owned(), count.into()))
                .collect();
            shown["arrayProperties"] = json!({"size": size, "statusSummary": summary});
        }
        if let Some(index) = job.index {
            shown["arrayProperties"] = json!({"index": index});
        }
        Ok(shown)
    }

    /// What a job runs: its own, or that of its array.
    pub(super) async fn work(&self, job: &Job) -> Result<Option<Work>, Error> {
        match (&job.work, &job.parent) {
            (Some(work), _) => Ok(Some(work.clone())),
            (None, Some(parent)) => Ok(self
                .ledger
                .get(parent)
                .await?
                .and_then(|parent| parent.work)),
            (None, None) => Ok(None),
        }
    }

    fn job_arn(&self, job: &Job) -> String {
        self.ground.names.arn("batch", &format!("job/{}", job.id))
    }
}

fn put(shown: &mut Value, job: &Job) {
    if let Some(at) = job.started_at {
        shown["startedAt"] = milliseconds(at).into();
    }
    if let Some(at) = job.stopped_at {
        shown["stoppedAt"] = milliseconds(at).into();
    }
    if let Some(reason) = &job.status_reason {
        shown["statusReason"] = reason.clone().into();
    }
}

fn container(job: &Job, work: &Work) -> Value {
    let environment: Vec<Value> = work
        .environment
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let mut shown = json!({
        "image": work.image, "command": work.command, "environment": environment,
        "resourceRequirements": [
            {"type": "VCPU", "value": work.vcpus.to_string()},
            {"type": "MEMORY", "value": work.memory_mib.to_string()},
        ],
        "logStreamName": log_name(&job.id), "volumes": [], "mountPoints": [], "ulimits": [],
    });
    if let Some(attempt) = job.attempts.last() {
        if let Some(code) = attempt.exit_code {
            shown["exitCode"] = code.into();
        }
        if let Some(reason) = &attempt.reason {
            shown["reason"] = reason.clone().into();
        }
    }
    shown
}

fn attempt(job: &Job, attempt: &Attempt) -> Value {
    let mut container = json!({"logStreamName": log_name(&job.id), "networkInterfaces": []});
    if let Some(code) = attempt.exit_code {
        container["exitCode"] = code.into();
    }
    if let Some(reason) = &attempt.reason {
        container["reason"] = reason.clone().into();
    }
    let mut shown = json!({"container": container, "statusReason": attempt.status_reason});
    for (name, at) in [
        ("startedAt", attempt.started_at),
        ("stoppedAt", attempt.stopped_at),
    ] {
        if let Some(at) = at {
            shown[name] = milliseconds(at).into();
        }
    }
    shown
}

/// The name of a job's log, as a file has it.
pub(super) fn log_name(id: &str) -> String {
    format!("job-{}", id.replace(':', "-"))
}

fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}
