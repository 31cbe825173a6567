//! Functions: created, described, listed, deleted.

use std::collections::BTreeMap;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::model::{Function, Progress};
use super::shown::{configuration, texts};
use super::{Lambda, owner};
use crate::aws::door::{Call, uuid, written};
use crate::aws::{Error, Input, now, page};

/// The error for what isn't understood.
pub(super) const WRONG: &str = "InvalidParameterValueException";

impl Lambda {
    pub(super) async fn create(&self, call: &Call) -> Result<Response, Error> {
        let input = call.input(WRONG)?;
        let name = input
            .text("FunctionName")?
            .rsplit(':')
            .next()
            .unwrap_or_default()
            .to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(input.wrong("FunctionName has up to 64 letters, digits, - and _"));
        }
        let code = &input.value()["Code"];
        let Some(image) = code["ImageUri"]
            .as_str()
            .filter(|_| input.maybe("PackageType") == Some("Image"))
        else {
            return Err(
                input.wrong("functions are images here: PackageType Image with Code.ImageUri")
            );
        };
        self.ground
            .registry
            .image(image)
            .map_err(|error| input.wrong(error.to_string()))?;
        if self.functions.get(&name).is_some() {
            return Err(Error::new(
                "ResourceConflictException",
                format!("Function already exist: {name}"),
            )
            .with_status(StatusCode::CONFLICT));
        }
        let mut function = Function {
            arn: self.ground.names.arn("lambda", &format!("function:{name}")),
            name: name.clone(),
            role: input.text("Role")?.to_owned(),
            description: String::new(),
            image: image.to_owned(),
            pinned: None,
            timeout_seconds: 3,
            memory_mib: 128,
            environment: BTreeMap::new(),
            image_config: Value::Null,
            architectures: json!(["x86_64"]),
            tags: texts(&input.value()["Tags"]),
            state: Progress::Pending,
            update: Progress::Done,
            revision: uuid(),
            modified_at: now(),
            reserved: None,
            url: None,
            statements: BTreeMap::new(),
            next: None,
            refused: None,
        };
        configure(
            &mut function,
            &input,
            self.ground.config.engine.max_memory_mib,
        )?;
        self.functions.put(&name, function.clone()).await?;
        self.spawn_change(&name, None);
        Ok(written(StatusCode::CREATED, &configuration(&function)))
    }

    pub(super) fn get(&self, name: &str) -> Result<Response, Error> {
        let function = self.function(name)?;
        let resolved = function.pinned.as_ref().map(ToString::to_string);
        let mut shown = json!({
            "Configuration": configuration(&function),
            "Code": {"RepositoryType": "ECR", "ImageUri": function.image, "ResolvedImageUri": resolved},
            "Tags": function.tags,
        });
        if let Some(reserved) = function.reserved {
            shown["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
        }
        Ok(written(StatusCode::OK, &shown))
    }

    pub(super) fn get_configuration(&self, name: &str) -> Result<Response, Error> {
        Ok(written(
            StatusCode::OK,
            &configuration(&self.function(name)?),
        ))
    }

    pub(super) fn list(&self, call: &Call) -> Response {
        let most = call
            .parameter("MaxItems")
            .and_then(|most| most.parse().ok());
        let all = self.functions.list();
        let (found, next) = page(all, call.parameter("Marker").as_deref(), most.or(Some(50)));
        let found: Vec<Value> = found.iter().map(configuration).collect();
        written(
            StatusCode::OK,
            &json!({"Functions": found, "NextMarker": next}),
        )
    }

    pub(super) async fn delete(&self, name: &str) -> Result<Response, Error> {
        let function = self.function(name)?;
        self.functions.remove(&function.name).await?;
        let pool = self
            .pools
            .lock()
            .expect("no holder panics")
            .remove(&function.name);
        if let Some(pool) = pool {
            for instance in pool.empty() {
                self.retire(instance);
            }
        }
        self.ground.leases.need(&owner(&function.name), []).await;
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}

/// Takes over what a caller says about how a function runs.
pub(super) fn configure(
    function: &mut Function,
    input: &Input,
    most_mib: u64,
) -> Result<(), Error> {
    let number = |name: &str, usual: u64, most: u64| match &input.value()[name] {
        Value::Null => Ok(usual),
        value => {
            let number = value.as_u64().filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| input.wrong(format!("{name} is 1 to {most}")))
        }
    };
    function.timeout_seconds = number("Timeout", function.timeout_seconds, 900)?;
    function.memory_mib = number("MemorySize", function.memory_mib, most_mib)?;
    if function.memory_mib < 128 {
        return Err(input.wrong("MemorySize is 128 at least"));
    }
    if let Some(text) = input.value()["Description"].as_str() {
        text.clone_into(&mut function.description);
    }
    if let Some(role) = input.maybe("Role") {
        role.clone_into(&mut function.role);
    }
    if input.value()["Environment"].is_object() {
        let variables = texts(&input.value()["Environment"]["Variables"]);
        let reserved = |name: &&String| name.starts_with("AWS_LAMBDA_") || name.starts_with('_');
        if let Some(name) = variables.keys().find(reserved) {
            return Err(input.wrong(format!("the variable {name} is reserved")));
        }
        function.environment = variables;
    }
    if input.value()["ImageConfig"].is_object() {
        function.image_config = input.value()["ImageConfig"].clone();
    }
    Ok(())
}
