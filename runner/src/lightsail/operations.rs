//! Container services: created, told, changed, deleted, deployed.

use serde_json::{Value, json};

use super::model::{Container, Deployment, LARGEST_SCALE, find};
use super::{Lightsail, WRONG};
use crate::aws::{Error, Input, now};

impl Lightsail {
    pub(super) async fn create(&self, input: &Input) -> Result<Value, Error> {
        let name = input.text("serviceName")?.to_owned();
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.len() > 63 || !name.bytes().all(is_plain) || name.starts_with('-') {
            return Err(input.wrong("serviceName has up to 63 small letters, digits and -"));
        }
        if self.services.get(&name).is_some() {
            return Err(input.wrong(format!("Some names are already in use: {name}")));
        }
        let mut service = Container {
            arn: self
                .ground
                .names
                .arn("lightsail", &format!("ContainerService/{name}")),
            name: name.clone(),
            power: power(input, input.text("power")?)?,
            scale: scale(input)?.ok_or_else(|| input.wrong("scale is missing"))?,
            is_disabled: false,
            tags: input.value()["tags"].clone(),
            created_at: now(),
            deployments: Vec::new(),
        };
        let wish = &input.value()["deployment"];
        if wish.is_object() {
            service
                .deployments
                .push(self.deployment(&Input::new(wish.clone(), WRONG), 1)?);
            self.run(&mut service).await?;
        }
        self.services.put(&name, service.clone()).await?;
        Ok(json!({"containerService": self.shown(&service)}))
    }

    pub(super) fn get(&self, input: &Input) -> Result<Value, Error> {
        let found = match input.maybe("serviceName") {
            Some(_) => vec![self.found(input)?],
            None => self.services.list(),
        };
        let shown: Vec<Value> = found.iter().map(|service| self.shown(service)).collect();
        Ok(json!({"containerServices": shown}))
    }

    pub(super) async fn update(&self, input: &Input) -> Result<Value, Error> {
        let mut service = self.found(input)?;
        if let Some(name) = input.maybe("power") {
            service.power = power(input, name)?;
        }
        if let Some(scale) = scale(input)? {
            service.scale = scale;
        }
        if let Some(is_disabled) = input.value()["isDisabled"].as_bool() {
            service.is_disabled = is_disabled;
        }
        self.run(&mut service).await?;
        self.services.put(&service.name, service.clone()).await?;
        Ok(json!({"containerService": self.shown(&service)}))
    }

    pub(super) async fn delete(&self, input: &Input) -> Result<Value, Error> {
        let service = self.found(input)?;
        self.end(&service).await?;
        self.services.remove(&service.name).await?;
        Ok(json!({}))
    }

    pub(super) async fn deploy(&self, input: &Input) -> Result<Value, Error> {
        let mut service = self.found(input)?;
        let version = service
            .deployments
            .first()
            .map_or(1, |last| last.version + 1);
        service
            .deployments
            .insert(0, self.deployment(input, version)?);
        // As many as Lightsail keeps.
        service.deployments.truncate(50);
        self.run(&mut service).await?;
        self.services.put(&service.name, service.clone()).await?;
        Ok(json!({"containerService": self.shown(&service)}))
    }

    pub(super) fn deployments(&self, input: &Input) -> Result<Value, Error> {
        let service = self.found(input)?;
        Ok(json!({"deployments": self.shown_deployments(&service)}))
    }

    /// Credentials of the registry, for pushing.
    pub(super) async fn login(&self) -> Result<Value, Error> {
        let credentials = self.ground.registry.credentials().await?;
        let (username, password) = credentials.unwrap_or_default();
        let expires_at = now() + 300.0;
        Ok(json!({"registryLogin": {
            "username": username, "password": password, "expiresAt": expires_at,
            "registry": self.ground.registry.host(),
        }}))
    }

    fn deployment(&self, input: &Input, version: u64) -> Result<Deployment, Error> {
        let containers = input.object("containers");
        if containers.is_empty() {
            return Err(input.wrong("a deployment has one container at least"));
        }
        for container in containers.values() {
            let image = container["image"].as_str().unwrap_or_default();
            self.ground
                .registry
                .image(image)
                .map_err(|error| input.wrong(error.to_string()))?;
        }
        let endpoint = input.value()["publicEndpoint"].clone();
        if endpoint.is_object() {
            let name = endpoint["containerName"].as_str().unwrap_or_default();
            let port = endpoint["containerPort"].as_u64().unwrap_or(0);
            let ports = containers
                .get(name)
                .map(|container| container["ports"].clone());
            if ports.is_none_or(|ports| ports[port.to_string()].is_null()) {
                return Err(input.wrong("publicEndpoint names a port of a container"));
            }
        }
        Ok(Deployment {
            version,
            definition: String::new(),
            containers: Value::Object(containers),
            endpoint,
            created_at: now(),
        })
    }

    pub(super) fn found(&self, input: &Input) -> Result<Container, Error> {
        let name = input.text("serviceName")?;
        self.services.get(name).ok_or_else(|| {
            let message = format!("The ContainerService does not exist: {name}");
            Error::new("NotFoundException", message).with_status(http::StatusCode::NOT_FOUND)
        })
    }
}

fn power(input: &Input, name: &str) -> Result<String, Error> {
    match find(name) {
        Some(power) => Ok(power.name.to_owned()),
        None => Err(input.wrong("power is nano, micro, small, medium, large or xlarge")),
    }
}

fn scale(input: &Input) -> Result<Option<u64>, Error> {
    match input.number("scale") {
        None => Ok(None),
        Some(scale) if (1..=LARGEST_SCALE).contains(&scale) => Ok(Some(scale)),
        Some(_) => Err(input.wrong(format!("scale is 1 to {LARGEST_SCALE}"))),
    }
}
