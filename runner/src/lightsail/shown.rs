//! How container services are told.

use serde_json::{Value, json};

use super::Lightsail;
use super::model::{Container, Deployment};

impl Lightsail {
    pub(super) fn shown(&self, service: &Container) -> Value {
        let underneath = self.underneath(&service.name);
        let deployments = self.shown_deployments(service);
        let of = |state: &str| {
            deployments
                .iter()
                .find(|deployment| deployment["state"] == state)
                .cloned()
        };
        let state = match (&underneath, service.is_disabled) {
            (_, true) => "DISABLED",
            (None, false) => "READY",
            (Some(_), false) if of("ACTIVATING").is_some() => "DEPLOYING",
            (Some(_), false) => "RUNNING",
        };
        let url = underneath.as_ref().and_then(|found| {
            let mut tags = found["tags"].as_array()?.iter();
            let tag = tags.find(|tag| tag["key"] == "wharf:endpoint")?;
            Some(format!("{}/", tag["value"].as_str()?))
        });
        let mut shown = json!({
            "containerServiceName": service.name, "arn": service.arn, "createdAt": service.created_at,
            "location": {"availabilityZone": "all", "regionName": self.ground.names.region()},
            "resourceType": "ContainerService", "tags": service.tags.as_array().cloned().unwrap_or_default(),
            "power": service.power, "powerId": format!("{}-1", service.power), "state": state,
            "scale": service.scale, "isDisabled": service.is_disabled, "publicDomainNames": {},
            "url": url.unwrap_or_default(),
        });
        for (name, found) in [
            ("currentDeployment", of("ACTIVE")),
            ("nextDeployment", of("ACTIVATING")),
        ] {
            if let Some(found) = found {
                shown[name] = found;
            }
        }
        shown
    }

    /// The deployments: the newest one is active or on its way, or has failed.
    pub(super) fn shown_deployments(&self, service: &Container) -> Vec<Value> {
        let underneath = self.underneath(&service.name).unwrap_or_default();
        let running = underneath["deployments"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let shown = service
            .deployments
            .iter()
            .enumerate()
            .map(|(index, deployment)| {
                let place = running
                    .iter()
                    .position(|found| found["taskDefinition"] == deployment.definition);
                let state = match (index, place) {
                    (_, Some(0)) if running[0]["rolloutState"] == "COMPLETED" => "ACTIVE",
                    // What is gone back to was active all the time.
                    (0, Some(0)) => "ACTIVATING",
                    (0, _) => "FAILED",
                    (_, Some(_)) => "ACTIVE",
                    (_, None) => "INACTIVE",
                };
                told(deployment, state)
            });
        shown.collect()
    }
}

fn told(deployment: &Deployment, state: &str) -> Value {
    let mut shown = json!({
        "version": deployment.version, "state": state, "containers": deployment.containers,
        "createdAt": deployment.created_at,
    });
    if deployment.endpoint.is_object() {
        shown["publicEndpoint"] = deployment.endpoint.clone();
    }
    shown
}
