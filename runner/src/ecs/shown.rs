//! How tasks and services are told.

use serde_json::{Value, json};

use super::model::{Part, Status};
use super::{Definition, Ecs, Service, Task};

impl Ecs {
    pub(super) fn shown_task(&self, task: &Task) -> Value {
        let definition = self.shelves.definitions.get(&task.definition);
        let (cpu, memory) = sizes(definition.as_ref(), &task.overrides);
        let cluster = format!("cluster/{}", task.cluster);
        let cluster = self.ground.names.arn("ecs", &cluster);
        let desired = match task.is_to_stop || task.status == Status::Stopped {
            true => "STOPPED",
            false => "RUNNING",
        };
        let containers: Vec<Value> = task
            .parts
            .iter()
            .map(|part| container(task, part))
            .collect();
        let mut shown = json!({
            "taskArn": task.arn, "clusterArn": cluster, "group": task.group,
            "taskDefinitionArn": definition.map(|definition| definition.arn),
            "lastStatus": task.status, "desiredStatus": desired, "launchType": task.launch_type,
            "startedBy": task.started_by, "cpu": cpu, "memory": memory,
            "createdAt": task.created_at, "version": 1, "containers": containers,
            "overrides": task.overrides.as_object().cloned().unwrap_or_default(),
            "tags": task.tags.as_array().cloned().unwrap_or_default(),
            "healthStatus": self.health.word(&task.id), "attachments": [], "attributes": [],
            "enableExecuteCommand": false,
        });
        if task.launch_type == "FARGATE" {
            shown["platformVersion"] = "1.4.0".into();
            shown["platformFamily"] = "Linux".into();
        }
        let optional = [
            ("startedAt", task.started_at.map(Value::from)),
            ("connectivityAt", task.started_at.map(Value::from)),
            ("stoppedAt", task.stopped_at.map(Value::from)),
            ("stopCode", task.stop_code.clone().map(Value::from)),
            (
                "stoppedReason",
                task.stopped_reason.clone().map(Value::from),
            ),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                shown[name] = value;
            }
        }
        if task.started_at.is_some() {
            shown["connectivity"] = "CONNECTED".into();
        }
        shown
    }

    pub(super) fn shown_service(&self, service: &Service) -> Value {
        let key = service.key();
        let tasks = self.shelves.tasks.filtered(|task| {
            task.status != Status::Stopped
                && task
                    .service
                    .as_ref()
                    .is_some_and(|(service, _)| *service == key)
        });
        let count = |deployment: Option<&str>, is_running: bool| {
            let wanted = tasks.iter().filter(|task| {
                let of = task.service.as_ref().map(|(_, of)| of.as_str());
                (deployment.is_none() || of == deployment) && !task.is_to_stop
            });
            wanted
                .filter(|task| (task.status == Status::Running) == is_running)
                .count()
        };
        let arn_of = |key: &str| self.shelves.definitions.get(key).map(|found| found.arn);
        let deployments: Vec<Value> = service
            .deployments
            .iter()
            .enumerate()
            .map(|(index, found)| {
                let id = Some(found.id.as_str());
                json!({
                    "id": found.id, "status": if index == 0 { "PRIMARY" } else { "ACTIVE" },
                    "taskDefinition": arn_of(&found.definition), "launchType": service.launch_type,
                    "desiredCount": if index == 0 { service.desired } else { 0 },
                    "runningCount": count(id, true), "pendingCount": count(id, false),
                    "failedTasks": found.failed, "rolloutState": found.rollout,
                    "rolloutStateReason": found.reason, "createdAt": found.created_at,
                    "updatedAt": found.updated_at,
                })
            })
            .collect();
        let events: Vec<Value> = service.events.iter().enumerate().map(|(index, (at, message))| {
            json!({"id": format!("{at}-{index}"), "createdAt": at, "message": message})
        }).collect();
        let mut tags = service.tags.as_array().cloned().unwrap_or_default();
        if let Some(listen) = service
            .balanced
            .as_ref()
            .and_then(|found| found.listen.as_ref())
        {
            let scheme = if service.balanced.as_ref().is_some_and(|found| found.is_http) {
                "http"
            } else {
                "tcp"
            };
            tags.push(json!({"key": "wharf:endpoint", "value": format!("{scheme}://{listen}")}));
        }
        let cluster = format!("cluster/{}", service.cluster);
        json!({
            "serviceArn": service.arn, "serviceName": service.name,
            "clusterArn": self.ground.names.arn("ecs", &cluster), "status": service.status,
            "desiredCount": service.desired, "runningCount": count(None, true),
            "pendingCount": count(None, false), "launchType": service.launch_type,
            "taskDefinition": service.primary().and_then(|found| arn_of(&found.definition)),
            "loadBalancers": service.balanced.iter().map(|found| found.wish.clone()).collect::<Vec<_>>(),
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": {"enable": service.has_breaker, "rollback": service.rolls_back},
                "maximumPercent": service.maximum_percent,
                "minimumHealthyPercent": service.minimum_percent,
            },
            "deployments": deployments, "events": events, "tags": tags,
            "healthCheckGracePeriodSeconds": service.grace_seconds,
            "schedulingStrategy": "REPLICA", "deploymentController": {"type": "ECS"},
            "createdAt": service.created_at, "serviceRegistries": [], "placementConstraints": [],
            "placementStrategy": [], "enableECSManagedTags": false, "propagateTags": "NONE",
            "enableExecuteCommand": false,
        })
    }
}

fn container(task: &Task, part: &Part) -> Value {
    let status = match (&part.exit_code, task.status) {
        (Some(_), _) => Status::Stopped,
        (None, status) => status,
    };
    let mut shown = json!({
        "name": part.name, "image": part.image, "lastStatus": status, "taskArn": task.arn,
        "containerArn": format!("{}/{}", task.arn.replace(":task/", ":container/"), part.name),
        "networkInterfaces": part.address.iter()
            .map(|address| json!({"privateIpv4Address": address})).collect::<Vec<_>>(),
        "networkBindings": [],
    });
    let optional = [
        ("imageDigest", part.digest.clone().map(Value::from)),
        ("runtimeId", part.container.clone().map(Value::from)),
        ("exitCode", part.exit_code.map(Value::from)),
        ("reason", part.reason.clone().map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            shown[name] = value;
        }
    }
    shown
}

/// CPU and memory of a task, as its overrides or its definition say.
pub(super) fn sizes(
    definition: Option<&Definition>,
    overrides: &Value,
) -> (Option<String>, Option<String>) {
    let size = |name: &str| {
        let own = definition.and_then(|definition| definition.body[name].as_str());
        overrides[name].as_str().or(own).map(str::to_owned)
    };
    (size("cpu"), size("memory"))
}
