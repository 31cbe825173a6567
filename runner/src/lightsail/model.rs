//! What is kept of a container service, and the powers that there are.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A container service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) power: String,
    pub(super) scale: u64,
    pub(super) is_disabled: bool,
    pub(super) tags: Value,
    pub(super) created_at: f64,
    /// The newest first.
    pub(super) deployments: Vec<Deployment>,
}

/// What such a service shall run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Deployment {
    pub(super) version: u64,
    /// The ARN of the task definition underneath; empty before there is one.
    pub(super) definition: String,
    pub(super) containers: Value,
    pub(super) endpoint: Value,
    pub(super) created_at: f64,
}

/// A size: its name, its vCPUs and its memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Power {
    pub(super) name: &'static str,
    pub(super) vcpus: f64,
    pub(super) memory_mib: u64,
}

/// <https://docs.aws.amazon.com/lightsail/latest/userguide/amazon-lightsail-container-services.html>
const POWERS: [Power; 6] = [
    power("nano", 0.25, 512),
    power("micro", 0.25, 1024),
    power("small", 0.5, 2048),
    power("medium", 1.0, 4096),
    power("large", 2.0, 8192),
    power("xlarge", 4.0, 16_384),
];

/// How many nodes a service has at most.
pub(super) const LARGEST_SCALE: u64 = 20;

const fn power(name: &'static str, vcpus: f64, memory_mib: u64) -> Power {
    Power {
        name,
        vcpus,
        memory_mib,
    }
}

/// The power of a name.
pub(super) fn find(name: &str) -> Option<Power> {
    POWERS.into_iter().find(|power| power.name == name)
}

/// All powers, as they are told. They cost nothing here.
pub(super) fn powers() -> Value {
    let told = POWERS.iter().map(|power| json!({
        "powerId": format!("{}-1", power.name), "name": power.name, "price": 0.0,
        "cpuCount": power.vcpus, "ramSizeInGb": power.memory_mib as f64 / 1024.0, "isActive": true,
    }));
    json!({"powers": told.collect::<Vec<Value>>()})
}
