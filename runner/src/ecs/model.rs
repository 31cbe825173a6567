//! What is kept of clusters, task definitions, services and tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::registry::Pinned;

/// A cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) tags: Value,
}

/// A revision of a task definition, as it was registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub(crate) arn: String,
    pub(crate) family: String,
    pub(crate) revision: u64,
    pub(crate) is_active: bool,
    pub(crate) registered_at: f64,
    pub(crate) body: Value,
    pub(crate) tags: Value,
}

impl Definition {
    /// `family:revision`.
    pub(crate) fn key(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }

    /// Its containers, as they were registered.
    pub(crate) fn containers(&self) -> &[Value] {
        let list = self.body["containerDefinitions"].as_array();
        list.map(Vec::as_slice).unwrap_or_default()
    }
}

/// How far a task is. The names are those of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Provisioning,
    Pending,
    Running,
    Stopping,
    Stopped,
}

/// A task, which stays for a while after its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) cluster: String,
    /// The key of its definition.
    pub(crate) definition: String,
    pub(crate) group: String,
    /// The key of its service and the id of its deployment, where a service runs it.
    pub(crate) service: Option<(String, String)>,
    pub(crate) launch_type: String,
    pub(crate) started_by: String,
    pub(crate) overrides: Value,
    pub(crate) tags: Value,
    /// The images to run, where they were decided on before; else the tags are asked.
    pub(crate) pins: BTreeMap<String, Pinned>,
    pub(crate) parts: Vec<Part>,
    pub(crate) status: Status,
    /// Whether somebody wants its end.
    pub(crate) is_to_stop: bool,
    pub(crate) created_at: f64,
    pub(crate) started_at: Option<f64>,
    pub(crate) stopped_at: Option<f64>,
    pub(crate) stop_code: Option<String>,
    pub(crate) stopped_reason: Option<String>,
}

/// A container of a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) digest: Option<String>,
    pub(crate) is_essential: bool,
    /// The engine's id.
    pub(crate) container: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) reason: Option<String>,
}

impl Task {
    /// Where the task is reached.
    pub(crate) fn address(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| part.address.as_deref())
    }

    /// Whether it runs, and nobody wants its end.
    pub(crate) fn is_up(&self) -> bool {
        self.status == Status::Running && !self.is_to_stop
    }
}

/// How a rollout goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

/// What a service shall run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    /// The key of its definition.
    pub(crate) definition: String,
    /// The images that its tags named when it began; empty until they are known.
    pub(crate) pins: BTreeMap<String, Pinned>,
    pub(crate) rollout: Rollout,
    pub(crate) reason: String,
    pub(crate) failed: u64,
    pub(crate) created_at: f64,
    pub(crate) updated_at: f64,
}

/// The balancer of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Balanced {
    /// As the caller gave it.
    pub(crate) wish: Value,
    pub(crate) container: String,
    pub(crate) port: u16,
    /// Where it listens; nothing until it does.
    pub(crate) listen: Option<String>,
    pub(crate) is_http: bool,
    /// The path of its checks; nothing: a connection is enough.
    pub(crate) health_path: Option<String>,
}

/// A service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) cluster: String,
    pub(crate) status: String,
    pub(crate) desired: usize,
    pub(crate) launch_type: String,
    pub(crate) minimum_percent: usize,
    pub(crate) maximum_percent: usize,
    pub(crate) has_breaker: bool,
    pub(crate) rolls_back: bool,
    pub(crate) grace_seconds: u64,
    pub(crate) balanced: Option<Balanced>,
    pub(crate) tags: Value,
    /// The first is the primary one.
    pub(crate) deployments: Vec<Deployment>,
    /// What to go back to.
    pub(crate) completed: Option<Deployment>,
    /// The images that failed last, so that the same push isn't tried for ever.
    #[serde(default)]
    pub(crate) refused: Option<BTreeMap<String, Pinned>>,
    pub(crate) events: Vec<(f64, String)>,
    pub(crate) created_at: f64,
}

/// How many events a service tells.
const EVENTS: usize = 100;

impl Service {
    /// `cluster/name`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.cluster, self.name)
    }

    /// What is to be run now.
    pub(crate) fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }

    /// Whether a push shall make a new deployment.
    pub(crate) fn follows(&self) -> bool {
        let value = tag(&self.tags, "wharf:redeploy-on-push");
        self.status == "ACTIVE" && value.is_some_and(|value| value != "false")
    }

    /// Notes what happened, the newest first.
    pub(crate) fn tell(&mut self, now: f64, message: &str) {
        let message = format!("(service {}) {message}", self.name);
        if self
            .events
            .first()
            .is_some_and(|(_, last)| *last == message)
        {
            return;
        }
        self.events.insert(0, (now, message));
        self.events.truncate(EVENTS);
    }
}

/// The value of a resource tag.
pub(crate) fn tag<'a>(tags: &'a Value, key: &str) -> Option<&'a str> {
    let tags = tags.as_array()?;
    let found = tags.iter().find(|tag| tag["key"] == key)?;
    found["value"].as_str()
}
