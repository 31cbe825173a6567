//! Amazon Lightsail containers: a service of a power and a scale with a public endpoint.
//!
//! Underneath it is a service of ours in the cluster `wharf-lightsail`, with its balancer,
//! its rolling deployments and its way back.
//!
//! | module | job |
//! |---|---|
//! | `model` | what is kept, and the powers |
//! | `operations` | the operations of the API |
//! | `run` | deployments as task definitions and services |
//! | `shown` | how services are told |

mod model;
mod operations;
mod run;
mod shown;

use std::sync::Arc;

use serde_json::Value;

use crate::aws::Error;
use crate::aws::door::{Call, unknown};
use crate::ecs::Ecs;
use crate::ground::Ground;
use crate::store::{self, Shelf};

use model::Container;

/// The cluster that the services underneath are in.
const CLUSTER: &str = "wharf-lightsail";
/// The error for what isn't understood.
const WRONG: &str = "InvalidInputException";

/// The service. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Lightsail {
    ground: Ground,
    services: Arc<Shelf<Container>>,
    ecs: Ecs,
}

impl Lightsail {
    pub(crate) async fn open(ground: &Ground, ecs: &Ecs) -> Result<Self, store::Error> {
        Ok(Self {
            ground: ground.clone(),
            services: Arc::new(Shelf::open(&ground.store, "lightsail").await?),
            ecs: ecs.clone(),
        })
    }

    /// Serves an operation.
    pub(crate) async fn call(&self, operation: &str, call: Call) -> Result<Value, Error> {
        let input = call.input(WRONG)?;
        match operation {
            "CreateContainerService" => self.create(&input).await,
            "GetContainerServices" => self.get(&input),
            "UpdateContainerService" => self.update(&input).await,
            "DeleteContainerService" => self.delete(&input).await,
            "CreateContainerServiceDeployment" => self.deploy(&input).await,
            "GetContainerServiceDeployments" => self.deployments(&input),
            "GetContainerServicePowers" => Ok(model::powers()),
            "GetContainerLog" => self.log(&input).await,
            "CreateContainerServiceRegistryLogin" => self.login().await,
            other => Err(unknown(other)),
        }
    }
}
