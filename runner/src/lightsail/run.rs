//! Deployments as task definitions and services.

use serde_json::{Value, json};

use super::model::{Container, Deployment, find};
use super::{CLUSTER, Lightsail};
use crate::aws::{Error, Input};

/// The error of what is asked of ourselves.
const WRONG: &str = "InvalidInputException";

impl Lightsail {
    /// Brings the service underneath to the newest deployment, power and scale.
    pub(super) async fn run(&self, service: &mut Container) -> Result<(), Error> {
        let Some(deployment) = service.deployments.first().cloned() else {
            return Ok(());
        };
        self.ecs.make_cluster(CLUSTER, &Value::Null).await?;
        let definition = self
            .ecs
            .register(&Input::new(definition(service, &deployment), WRONG))
            .await?;
        let arn = &definition["taskDefinition"]["taskDefinitionArn"];
        arn.as_str()
            .unwrap_or_default()
            .clone_into(&mut service.deployments[0].definition);
        let desired = if service.is_disabled {
            0
        } else {
            service.scale
        };
        let is_there = self
            .underneath(&service.name)
            .is_some_and(|found| found["status"] == "ACTIVE");
        let mut wish = json!({
            "cluster": CLUSTER, "taskDefinition": arn, "desiredCount": desired,
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
        });
        if is_there {
            wish["service"] = service.name.clone().into();
            return self
                .ecs
                .update_service(&Input::new(wish, WRONG))
                .await
                .map(drop);
        }
        wish["serviceName"] = service.name.clone().into();
        let endpoint = &deployment.endpoint;
        if endpoint.is_object() {
            wish["loadBalancers"] = json!([{
                "containerName": endpoint["containerName"], "containerPort": endpoint["containerPort"],
            }]);
            let path = endpoint["healthCheck"]["path"].as_str().unwrap_or("/");
            wish["tags"] = json!([{"key": "wharf:health-path", "value": path}]);
        }
        self.ecs
            .create_service(&Input::new(wish, WRONG))
            .await
            .map(drop)
    }

    /// Ends the service underneath.
    pub(super) async fn end(&self, service: &Container) -> Result<(), Error> {
        if self
            .underneath(&service.name)
            .is_none_or(|found| found["status"] != "ACTIVE")
        {
            return Ok(());
        }
        let wish = json!({"cluster": CLUSTER, "service": service.name, "force": true});
        self.ecs
            .delete_service(&Input::new(wish, WRONG))
            .await
            .map(drop)
    }

    /// The service underneath, as it is told.
    pub(super) fn underneath(&self, name: &str) -> Option<Value> {
        let wish = json!({"cluster": CLUSTER, "services": [name]});
        let told = self.ecs.describe_services(&Input::new(wish, WRONG)).ok()?;
        told["services"].get(0).cloned()
    }

    /// What a container of a service printed lately.
    pub(super) async fn log(&self, input: &Input) -> Result<Value, Error> {
        let service = self.found(input)?;
        let container = input.text("containerName")?;
        let pattern = input.maybe("filterPattern").unwrap_or_default();
        let mut events = Vec::new();
        for id in self.ecs.containers(CLUSTER, &service.name, container) {
            for line in self.ground.engine.last_lines(&id, 1000).await {
                if line.text.contains(pattern) {
                    events.push(json!({"createdAt": seconds(&line.time), "message": line.text}));
                }
            }
        }
        let at = |event: &Value| event["createdAt"].as_f64().unwrap_or(0.0);
        events.sort_by(|one, other| at(one).total_cmp(&at(other)));
        Ok(json!({"logEvents": events}))
    }
}

fn seconds(time: &str) -> f64 {
    let at = time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339);
    at.map(|at| at.unix_timestamp_nanos() as f64 / 1e9)
        .unwrap_or(0.0)
}

fn definition(service: &Container, deployment: &Deployment) -> Value {
    let members = deployment.containers.as_object().into_iter().flatten();
    let containers: Vec<Value> = members
        .map(|(name, container)| {
            let environment = container["environment"].as_object().into_iter().flatten();
            let environment: Vec<Value> = environment
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            let ports = container["ports"].as_object().into_iter().flatten();
            let ports: Vec<Value> = ports
                .filter_map(|(port, _)| Some(json!({"containerPort": port.parse::<u16>().ok()?})))
                .collect();
            let mut definition = json!({
                "name": name, "image": container["image"], "essential": true,
                "environment": environment, "portMappings": ports,
            });
            if container["command"].is_array() {
                definition["command"] = container["command"].clone();
            }
            definition
        })
        .collect();
    let power = find(&service.power);
    json!({
        "family": format!("lightsail-{}", service.name),
        "cpu": power.map(|power| ((power.vcpus * 1024.0) as u64).to_string()),
        "memory": power.map(|power| power.memory_mib.to_string()),
        "containerDefinitions": containers,
    })
}
