//! What is kept of queues, definitions and jobs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A compute environment: how many vCPUs its queues may use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Environment {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) kind: String,
    pub(super) is_enabled: bool,
    pub(super) max_vcpus: f64,
    pub(super) resources: Value,
    pub(super) tags: Value,
}

/// A job queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) is_enabled: bool,
    pub(super) priority: i64,
    /// The names of its environments, in their order.
    pub(super) environments: Vec<String>,
    pub(super) tags: Value,
}

/// A revision of a job definition, as it was registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) revision: u64,
    pub(super) arn: String,
    pub(super) is_active: bool,
    pub(super) body: Value,
}

/// How far a job is. The names are those of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Status {
    Submitted,
    Pending,
    Runnable,
    Starting,
    Running,
    Succeeded,
    Failed,
}

/// All of them, in their order.
pub(super) const STATUSES: [Status; 7] = [
    Status::Submitted,
    Status::Pending,
    Status::Runnable,
    Status::Starting,
    Status::Running,
    Status::Succeeded,
    Status::Failed,
];

impl Status {
    /// As the API and the table write it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Pending => "PENDING",
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether nothing more happens.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// What a job runs. The children of an array share that of their parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) image: String,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) vcpus: f64,
    pub(super) memory_mib: u64,
    pub(super) user: Option<String>,
    pub(super) is_read_only: bool,
    pub(super) attempts: u64,
    /// `evaluateOnExit`, as it was given.
    pub(super) on_exit: Value,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) definition: String,
    pub(super) parameters: Value,
    pub(super) depends_on: Value,
    pub(super) tags: Value,
}

/// One try of a job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) started_at: Option<f64>,
    pub(super) stopped_at: Option<f64>,
    pub(super) exit_code: Option<i64>,
    pub(super) reason: Option<String>,
    pub(super) status_reason: String,
}

/// A job: alone, an array, or a child of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) queue: String,
    pub(super) status: Status,
    pub(super) status_reason: Option<String>,
    /// Nothing: that of the parent.
    pub(super) work: Option<Work>,
    /// Of an array.
    pub(super) size: Option<u64>,
    /// Of a child.
    pub(super) parent: Option<String>,
    pub(super) index: Option<u64>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) created_at: f64,
    pub(super) started_at: Option<f64>,
    pub(super) stopped_at: Option<f64>,
    pub(super) digest: Option<String>,
    /// Why somebody wants its end.
    pub(super) terminated: Option<String>,
    pub(super) is_cancelled: bool,
}

impl Job {
    /// The number of the attempt that comes next or is under way, from 1.
    pub(super) fn next_attempt(&self) -> String {
        (self.attempts.len() + 1).to_string()
    }
}
