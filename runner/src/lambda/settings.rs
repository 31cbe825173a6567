//! New code and settings, concurrency, permissions.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::Lambda;
use super::functions::{WRONG, configure};
use super::model::{Function, Progress};
use super::shown::configuration;
use crate::aws::door::{Call, uuid, written};
use crate::aws::{Error, now};

impl Lambda {
    pub(super) async fn update_code(&self, name: &str, call: &Call) -> Result<Response, Error> {
        let input = call.input(WRONG)?;
        let function = self.changeable(name)?;
        let image = input.text("ImageUri")?.to_owned();
        self.ground
            .registry
            .image(&image)
            .map_err(|error| input.wrong(error.to_string()))?;
        if input.value()["DryRun"] == true {
            return Ok(written(StatusCode::OK, &configuration(&function)));
        }
        let mut next = function.clone();
        next.image = image;
        next.pinned = None;
        self.begin_change(next).await
    }

    pub(super) async fn update_configuration(
        &self,
        name: &str,
        call: &Call,
    ) -> Result<Response, Error> {
        let input = call.input(WRONG)?;
        let mut next = self.changeable(name)?;
        configure(&mut next, &input, self.ground.config.engine.max_memory_mib)?;
        self.begin_change(next).await
    }

    async fn begin_change(&self, mut next: Function) -> Result<Response, Error> {
        next.revision = uuid();
        next.modified_at = now();
        next.update = Progress::Pending;
        next.next = None;
        let kept = Box::new(next.clone());
        let pending = |function: &mut Function| {
            function.update = Progress::Pending;
            function.next = Some(kept);
        };
        self.functions.update(&next.name, pending).await?;
        let shown = configuration(&next);
        self.spawn_change(&next.name.clone(), Some(next));
        Ok(written(StatusCode::OK, &shown))
    }

    /// A function that no change is under way of.
    fn changeable(&self, name: &str) -> Result<Function, Error> {
        let function = self.function(name)?;
        if function.state == Progress::Pending || function.update == Progress::Pending {
            let message = format!("an update is in progress for resource: {}", function.arn);
            return Err(
                Error::new("ResourceConflictException", message).with_status(StatusCode::CONFLICT)
            );
        }
        Ok(function)
    }

    pub(super) async fn reserve(&self, name: &str, call: &Call) -> Result<Response, Error> {
        let input = call.input(WRONG)?;
        let function = self.function(name)?;
        let number = input
            .number("ReservedConcurrentExecutions")
            .filter(|number| *number <= 1000);
        let number =
            number.ok_or_else(|| input.wrong("ReservedConcurrentExecutions is 0 to 1000"))?;
        let reserved = usize::try_from(number).ok();
        self.functions
            .update(&function.name, |function| function.reserved = reserved)
            .await?;
        Ok(written(
            StatusCode::OK,
            &json!({"ReservedConcurrentExecutions": number}),
        ))
    }

    pub(super) fn reserved(&self, name: &str) -> Result<Response, Error> {
        let shown = match self.function(name)?.reserved {
            Some(number) => json!({"ReservedConcurrentExecutions": number}),
            None => json!({}),
        };
        Ok(written(StatusCode::OK, &shown))
    }

    pub(super) async fn unreserve(&self, name: &str) -> Result<Response, Error> {
        let function = self.function(name)?;
        self.functions
            .update(&function.name, |function| function.reserved = None)
            .await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    /// Keeps a statement and returns it. Who may invoke is decided by the key alone.
    pub(super) async fn permit(&self, name: &str, call: &Call) -> Result<Response, Error> {
        let input = call.input(WRONG)?;
        let function = self.function(name)?;
        let id = input.text("StatementId")?.to_owned();
        if function.statements.contains_key(&id) {
            let message = format!("The statement id ({id}) provided already exists.");
            return Err(
                Error::new("ResourceConflictException", message).with_status(StatusCode::CONFLICT)
            );
        }
        let statement = json!({
            "Sid": id, "Effect": "Allow", "Action": input.text("Action")?,
            "Principal": input.text("Principal")?, "Resource": function.arn,
        });
        let kept = statement.clone();
        let change = |function: &mut Function| drop(function.statements.insert(id, kept));
        self.functions.update(&function.name, change).await?;
        Ok(written(
            StatusCode::CREATED,
            &json!({"Statement": statement.to_string()}),
        ))
    }

    pub(super) fn policy(&self, name: &str) -> Result<Response, Error> {
        let function = self.function(name)?;
        if function.statements.is_empty() {
            let message = "The resource you requested does not exist.";
            return Err(
                Error::new("ResourceNotFoundException", message).with_status(StatusCode::NOT_FOUND)
            );
        }
        let statements: Vec<Value> = function.statements.into_values().collect();
        let policy = json!({"Version": "2012-10-17", "Id": "default", "Statement": statements});
        let shown = json!({"Policy": policy.to_string(), "RevisionId": function.revision});
        Ok(written(StatusCode::OK, &shown))
    }
}
