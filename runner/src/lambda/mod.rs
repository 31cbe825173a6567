//! AWS Lambda: functions of container images that speak the Runtime API.
//!
//! | module | job |
//! |---|---|
//! | `model` | what is kept |
//! | `functions`, `settings` | the operations of the API |
//! | `shown` | how functions are told |
//! | `change` | new code and settings: pulled, pre-warmed, flipped |
//! | `pool` | the instances of a function |
//! | `instance` | a container that runs one invocation at a time |
//! | `runtime_api` | what an instance asks of us |
//! | `extensions` | processes beside the function that are told of invocations |
//! | `invoke`, `later` | invocations that are waited for, and others |
//! | `url` | function URLs |
//! | `payload` | HTTP requests as events, format 2.0 |
//! | `follow` | pushes change functions that opted in |

mod change;
mod extensions;
mod follow;
mod functions;
mod instance;
mod invoke;
mod later;
mod model;
pub(crate) mod payload;
mod pool;
mod runtime_api;
mod settings;
mod shown;
mod url;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::response::Response;
use http::Method;

use crate::aws::Error;
use crate::aws::door::{Call, unknown};
use crate::ground::Ground;
use crate::store::{self, Shelf};

use model::{Function, Queued};
use pool::Pool;

pub(crate) use invoke::{Answer, Asked};
pub(crate) use url::source;

/// The service. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Lambda {
    pub(crate) ground: Ground,
    functions: Arc<Shelf<Function>>,
    queued: Arc<Shelf<Queued>>,
    pools: Arc<Mutex<HashMap<String, Arc<Pool>>>>,
    /// One change of a function at a time.
    changes: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Lambda {
    pub(crate) async fn open(ground: &Ground) -> Result<Self, store::Error> {
        Ok(Self {
            ground: ground.clone(),
            functions: Arc::new(Shelf::open(&ground.store, "lambda-function").await?),
            queued: Arc::new(Shelf::open(&ground.store, "lambda-queued").await?),
            pools: Arc::default(),
            changes: Arc::default(),
        })
    }

    /// Goes on where an earlier runner stopped: instances are made anew, since their connections
    /// went with it, and what was queued is invoked.
    pub(crate) async fn resume(&self) {
        for function in self.functions.list() {
            let digests = function.pinned.iter().map(|pinned| pinned.digest.clone());
            self.ground
                .leases
                .need(&owner(&function.name), digests)
                .await;
            self.spawn_change(&function.name, function.next.map(|next| *next));
        }
        for queued in self.queued.list() {
            self.spawn_later(queued);
        }
        let lambda = self.clone();
        self.ground
            .tracker
            .spawn(async move { lambda.reap().await });
    }

    /// Serves an operation.
    pub(crate) async fn call(&self, call: Call) -> Result<Response, Error> {
        let segments = call.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = call.parts.method.clone();
        match (&method, &segments[1..]) {
            (&Method::POST, ["functions"]) => self.create(&call).await,
            (&Method::GET, ["functions"]) => Ok(self.list(&call)),
            (&Method::GET, ["functions", name]) => self.get(name),
            (&Method::DELETE, ["functions", name]) => self.delete(name).await,
            (&Method::GET, ["functions", name, "configuration"]) => self.get_configuration(name),
            (&Method::PUT, ["functions", name, "configuration"]) => {
                self.update_configuration(name, &call).await
            }
            (&Method::PUT, ["functions", name, "code"]) => self.update_code(name, &call).await,
            (&Method::POST, ["functions", name, "invocations"]) => self.invoke(name, &call).await,
            (&Method::PUT, ["functions", name, "concurrency"]) => self.reserve(name, &call).await,
            (&Method::GET, ["functions", name, "concurrency"]) => self.reserved(name),
            (&Method::DELETE, ["functions", name, "concurrency"]) => self.unreserve(name).await,
            (&Method::POST, ["functions", name, "url"]) => self.create_url(name, &call).await,
            (&Method::GET, ["functions", name, "url"]) => self.get_url(name),
            (&Method::DELETE, ["functions", name, "url"]) => self.delete_url(name).await,
            (&Method::POST, ["functions", name, "policy"]) => self.permit(name, &call).await,
            (&Method::GET, ["functions", name, "policy"]) => self.policy(name),
            (method, path) => Err(unknown(&format!("{method} {}", path.join("/")))),
        }
    }

    /// The function of a name or an ARN, with or without a qualifier.
    fn function(&self, name: &str) -> Result<Function, Error> {
        let short = match name.split_once(":function:") {
            Some((_, rest)) => rest,
            None => name,
        };
        let (short, qualifier) = short.split_once(':').unwrap_or((short, "$LATEST"));
        let found = self.functions.get(short).filter(|_| qualifier == "$LATEST");
        found.ok_or_else(|| {
            let arn = self.ground.names.arn("lambda", &format!("function:{name}"));
            Error::new(
                "ResourceNotFoundException",
                format!("Function not found: {arn}"),
            )
            .with_status(http::StatusCode::NOT_FOUND)
        })
    }

    fn pool(&self, name: &str) -> Arc<Pool> {
        let mut pools = self.pools.lock().expect("no holder panics");
        Arc::clone(pools.entry(name.to_owned()).or_default())
    }
}

/// The name that a function's leases are under.
fn owner(name: &str) -> String {
    format!("function/{name}")
}
