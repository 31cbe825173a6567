//! Services: made, changed, deleted, described.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Balanced, Deployment, Rollout, tag};
use super::{Definition, Ecs, Service};
use crate::aws::{Error, Input, id, now, page};

impl Ecs {
    pub(crate) async fn create_service(&self, input: &Input) -> Result<Value, Error> {
        let name = input.text("serviceName")?.to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.len() > 255 || !name.bytes().all(is_plain) {
            return Err(input.wrong("serviceName has letters, digits, - and _ only"));
        }
        let cluster = match input.maybe("cluster") {
            None => self.make_cluster("default", &Value::Null).await?,
            name => self.cluster(name)?,
        };
        let key = format!("{}/{name}", cluster.name);
        if self
            .shelves
            .services
            .get(&key)
            .is_some_and(|found| found.status != "INACTIVE")
        {
            return Err(input.wrong("Creation of service was not idempotent."));
        }
        let definition = self.definition(input.text("taskDefinition")?)?;
        let launch_type = input.maybe("launchType").unwrap_or("EC2");
        self.check_launch(&definition, launch_type)?;
        if let Some(reason) = self.too_large(&definition) {
            return Err(input.wrong(format!("no host has room for the task: {reason}")));
        }
        let now = now();
        let mut service = Service {
            arn: self.ground.names.arn("ecs", &format!("service/{key}")),
            name,
            cluster: cluster.name,
            status: "ACTIVE".into(),
            desired: size(input, "desiredCount")?.unwrap_or(1),
            launch_type: launch_type.to_owned(),
            minimum_percent: 100,
            maximum_percent: 200,
            has_breaker: false,
            rolls_back: false,
            grace_seconds: 0,
            balanced: balanced(input, &definition)?,
            tags: input.value()["tags"].clone(),
            deployments: vec![deployment(&definition, now)],
            completed: None,
            refused: None,
            events: Vec::new(),
            created_at: now,
        };
        configure(&mut service, input)?;
        if let Some(balanced) = &mut service.balanced {
            balanced.listen = tag(&service.tags, "wharf:listen").map(str::to_owned);
            self.balance(&key, balanced).await?;
        }
        self.shelves.services.put(&key, service.clone()).await?;
        self.spawn_worker(&key);
        Ok(json!({"service": self.shown_service(&service)}))
    }

    pub(crate) async fn update_service(&self, input: &Input) -> Result<Value, Error> {
        let found = self.service(input, "service")?;
        if found.status != "ACTIVE" {
            return Err(Error::new(
                "ServiceNotActiveException",
                "Service was not ACTIVE.",
            ));
        }
        let definition = match input.maybe("taskDefinition") {
            Some(name) => Some(self.definition(name)?),
            None => None,
        };
        if let Some(definition) = &definition {
            self.check_launch(definition, &found.launch_type)?;
        }
        let is_forced = input.value()["forceNewDeployment"] == true;
        let desired = size(input, "desiredCount")?;
        let mut changed = found.clone();
        configure(&mut changed, input)?;
        if let Some(desired) = desired {
            changed.desired = desired;
        }
        let current = found.primary().map(|primary| primary.definition.clone());
        let wanted = definition.as_ref().map(Definition::key);
        let key = found.key();
        let change = move |service: &mut Service| {
            service.desired = changed.desired;
            service.minimum_percent = changed.minimum_percent;
            service.maximum_percent = changed.maximum_percent;
            service.has_breaker = changed.has_breaker;
            service.rolls_back = changed.rolls_back;
            service.grace_seconds = changed.grace_seconds;
            let is_new = wanted.is_some() && wanted != current;
            if is_new || is_forced {
                let key = wanted.or(current).unwrap_or_default();
                service
                    .deployments
                    .insert(0, fresh(&key, BTreeMap::new(), now()));
            }
        };
        let updated = self.shelves.services.update(&key, change).await?;
        self.bell(&key).notify_one();
        let service = updated.ok_or_else(missing)?;
        Ok(json!({"service": self.shown_service(&service)}))
    }

    pub(crate) async fn delete_service(&self, input: &Input) -> Result<Value, Error> {
        let found = self.service(input, "service")?;
        if found.status == "INACTIVE" {
            return Err(missing());
        }
        if found.desired > 0 && input.value()["force"] != true {
            let message = "The service cannot be stopped while it is scaled above 0.";
            return Err(input.wrong(message));
        }
        let change = |service: &mut Service| {
            service.status = "DRAINING".into();
            service.desired = 0;
        };
        let updated = self.shelves.services.update(&found.key(), change).await?;
        self.bell(&found.key()).notify_one();
        let service = updated.ok_or_else(missing)?;
        Ok(json!({"service": self.shown_service(&service)}))
    }

    pub(crate) fn describe_services(&self, input: &Input) -> Result<Value, Error> {
        let cluster = self.cluster(input.maybe("cluster"))?;
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for name in input.texts("services") {
            let key = format!("{}/{}", cluster.name, Self::short(&name));
            match self.shelves.services.get(&key) {
                Some(service) => services.push(self.shown_service(&service)),
                None => failures.push(json!({
                    "arn": self.ground.names.arn("ecs", &format!("service/{key}")), "reason": "MISSING",
                })),
            }
        }
        Ok(json!({"services": services, "failures": failures}))
    }

    pub(super) fn list_services(&self, input: &Input) -> Result<Value, Error> {
        let cluster = self.cluster(input.maybe("cluster"))?.name;
        let kind = input.maybe("launchType");
        let found = self.shelves.services.filtered(|service| {
            let is_wanted = kind.is_none_or(|kind| service.launch_type == kind);
            service.cluster == cluster && service.status != "INACTIVE" && is_wanted
        });
        let arns: Vec<String> = found.into_iter().map(|service| service.arn).collect();
        let most = input.number("maxResults").or(Some(10));
        let (arns, next) = page(arns, input.maybe("nextToken"), most);
        Ok(json!({"serviceArns": arns, "nextToken": next}))
    }

    /// The service that an input names.
    pub(super) fn service(&self, input: &Input, member: &str) -> Result<Service, Error> {
        let cluster = self.cluster(input.maybe("cluster"))?;
        let key = format!("{}/{}", cluster.name, Self::short(input.text(member)?));
        self.shelves.services.get(&key).ok_or_else(missing)
    }
}

fn missing() -> Error {
    Error::new("ServiceNotFoundException", "Service not found.")
}

fn deployment(definition: &Definition, now: f64) -> Deployment {
    fresh(&definition.key(), BTreeMap::new(), now)
}

/// A deployment that begins.
pub(super) fn fresh(
    definition: &str,
    pins: BTreeMap<String, crate::registry::Pinned>,
    now: f64,
) -> Deployment {
    Deployment {
        id: format!("ecs-svc/{}", &id()[..19]),
        definition: definition.to_owned(),
        pins,
        rollout: Rollout::InProgress,
        reason: "the deployment is in progress".into(),
        failed: 0,
        created_at: now,
        updated_at: now,
    }
}

fn size(input: &Input, name: &str) -> Result<Option<usize>, Error> {
    match &input.value()[name] {
        Value::Null => Ok(None),
        value => {
            let number = value.as_u64().filter(|number| *number <= 1000);
            let number = number.ok_or_else(|| input.wrong(format!("{name} is 0 to 1000")))?;
            Ok(usize::try_from(number).ok())
        }
    }
}

/// Takes over how a service is deployed.
fn configure(service: &mut Service, input: &Input) -> Result<(), Error> {
    if let Some(seconds) = input.number("healthCheckGracePeriodSeconds") {
        service.grace_seconds = seconds;
    }
    let wish = &input.value()["deploymentConfiguration"];
    let percent = |name: &str, usual: usize| {
        let number = wish[name]
            .as_u64()
            .and_then(|number| usize::try_from(number).ok());
        number.unwrap_or(usual)
    };
    service.minimum_percent = percent("minimumHealthyPercent", service.minimum_percent);
    service.maximum_percent = percent("maximumPercent", service.maximum_percent);
    if service.maximum_percent < 100 || service.minimum_percent > service.maximum_percent {
        return Err(
            input.wrong("maximumPercent is 100 at least, and not below minimumHealthyPercent")
        );
    }
    if service.maximum_percent == service.minimum_percent {
        return Err(input.wrong("no deployment could go on between these percentages"));
    }
    let breaker = &wish["deploymentCircuitBreaker"];
    if breaker.is_object() {
        service.has_breaker = breaker["enable"] == true;
        service.rolls_back = breaker["rollback"] == true;
    }
    Ok(())
}

/// What a balancer is wanted for.
fn balanced(input: &Input, definition: &Definition) -> Result<Option<Balanced>, Error> {
    let wishes = input.list("loadBalancers");
    let Some(wish) = wishes.first() else {
        return Ok(None);
    };
    if wishes.len() > 1 {
        return Err(input.wrong("a service has one balancer here"));
    }
    let container = wish["containerName"].as_str().unwrap_or_default();
    let port = wish["containerPort"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let mut containers = definition.containers().iter();
    let has = containers.any(|found| {
        let mut ports = found["portMappings"].as_array().into_iter().flatten();
        found["name"] == container
            && ports.any(|mapping| mapping["containerPort"].as_u64() == port.map(u64::from))
    });
    let Some(port) = port.filter(|_| has) else {
        return Err(input.wrong(format!(
            "The container {container} does not have such a container port."
        )));
    };
    let tags = &input.value()["tags"];
    Ok(Some(Balanced {
        wish: wish.clone(),
        container: container.to_owned(),
        port,
        listen: None,
        is_http: tag(tags, "wharf:protocol") != Some("tcp"),
        health_path: tag(tags, "wharf:health-path").map(str::to_owned),
    }))
}
