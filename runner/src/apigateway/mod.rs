//! Amazon API Gateway, HTTP APIs: hosts of their own, `ID.execute-api.DOMAIN`, whose routes lead to
//! functions (payload 2.0) and to HTTP addresses.
//!
//! | module | job |
//! |---|---|
//! | `model` | what is kept |
//! | `operations` | the operations of the API |
//! | `routing` | which route a request takes, as a pure function |
//! | `serve` | requests of an API's callers |

mod model;
mod operations;
mod routing;
mod serve;

#[cfg(any(test, fuzzing))]
pub(crate) use routing::fuzz;

use std::sync::Arc;

use axum::response::Response;
use http::Method;
use serde_json::Value;

use crate::aws::Error;
use crate::aws::door::{Call, unknown};
use crate::ground::Ground;
use crate::lambda::Lambda;
use crate::store::{self, Shelf};

use model::Api;

/// The service. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    ground: Ground,
    apis: Arc<Shelf<Api>>,
    lambda: Lambda,
    http: reqwest::Client,
}

impl Gateway {
    pub(crate) async fn open(ground: &Ground, lambda: &Lambda) -> Result<Self, store::Error> {
        Ok(Self {
            ground: ground.clone(),
            apis: Arc::new(Shelf::open(&ground.store, "api").await?),
            lambda: lambda.clone(),
            http: reqwest::Client::new(),
        })
    }

    /// Serves an operation.
    pub(crate) async fn call(&self, call: Call) -> Result<Response, Error> {
        let segments = call.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let input = call.input("BadRequestException")?;
        match (&call.parts.method, &segments[1..]) {
            (&Method::POST, ["apis"]) => self.create(&input).await,
            (&Method::GET, ["apis"]) => Ok(self.list()),
            (&Method::GET, ["apis", id]) => self.get(id),
            (&Method::DELETE, ["apis", id]) => self.delete(id).await,
            (&Method::POST, ["apis", id, kind]) => self.add(id, kind, &input).await,
            (&Method::GET, ["apis", id, kind]) => self.parts(id, kind),
            (&Method::GET, ["apis", id, kind, part]) => self.part(id, kind, part),
            (&Method::DELETE, ["apis", id, kind, part]) => self.remove(id, kind, part).await,
            (method, path) => Err(unknown(&format!("{method} {}", path.join("/")))),
        }
    }

    /// An API that isn't there.
    fn missing(id: &str) -> Error {
        let message = format!("Invalid API identifier specified {id}");
        Error::new("NotFoundException", message).with_status(http::StatusCode::NOT_FOUND)
    }

    fn api(&self, id: &str) -> Result<Api, Error> {
        self.apis.get(id).ok_or_else(|| Self::missing(id))
    }
}

/// A member's text.
fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
