//! Amazon ECS: clusters, task definitions, tasks, and services behind a balancer.
//!
//! | module | job |
//! |---|---|
//! | `model` | what is kept |
//! | `clusters`, `definitions`, `tasks`, `services` | the operations of the API |
//! | `shown` | how they are told |
//! | `fargate` | pairs of CPU and memory |
//! | `launch` | a task's life in the engine |
//! | `plan` | what a service's next step is, as a pure function |
//! | `deploy` | a worker for each service, which takes those steps |
//! | `rollout` | a deployment's images, its end, and the way back |
//! | `health` | whether a target answers |
//! | `follow` | pushes make deployments of services that opted in |

mod clusters;
mod definitions;
mod deploy;
mod fargate;
mod follow;
mod health;
mod launch;
mod model;
mod plan;
mod rollout;
mod services;
mod shown;
mod tasks;

#[cfg(any(test, fuzzing))]
pub(crate) use definitions::fuzz;
#[cfg(any(test, fuzzing))]
pub(crate) use fargate::fuzz as fuzz_units;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::Notify;

use crate::aws::Error;
use crate::aws::door::{Call, unknown};
use crate::ground::Ground;
use crate::proxy::Balancer;
use crate::store::{self, Shelf};

pub(crate) use model::{Cluster, Definition, Service, Task};

/// The service. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ecs {
    pub(crate) ground: Ground,
    shelves: Arc<Shelves>,
    /// Woken when something about a service may have changed.
    bells: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
    /// Woken when a task shall stop.
    stops: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
    balancers: Arc<Mutex<HashMap<String, Arc<Balancer>>>>,
    health: Arc<health::Board>,
}

#[derive(Debug)]
struct Shelves {
    clusters: Shelf<Cluster>,
    definitions: Shelf<Definition>,
    /// The last revision of each family, which deregistering doesn't give back.
    revisions: Shelf<u64>,
    tasks: Shelf<Task>,
    services: Shelf<Service>,
}

impl Ecs {
    pub(crate) async fn open(ground: &Ground) -> Result<Self, store::Error> {
        let store = &ground.store;
        let shelves = Shelves {
            clusters: Shelf::open(store, "ecs-cluster").await?,
            definitions: Shelf::open(store, "ecs-definition").await?,
            revisions: Shelf::open(store, "ecs-revision").await?,
            tasks: Shelf::open(store, "ecs-task").await?,
            services: Shelf::open(store, "ecs-service").await?,
        };
        Ok(Self {
            ground: ground.clone(),
            shelves: Arc::new(shelves),
            bells: Arc::default(),
            stops: Arc::default(),
            balancers: Arc::default(),
            health: Arc::default(),
        })
    }

    /// Serves an operation.
    pub(crate) async fn call(&self, operation: &str, call: Call) -> Result<Value, Error> {
        let input = call.input("InvalidParameterException")?;
        match operation {
            "CreateCluster" => self.create_cluster(&input).await,
            "DescribeClusters" => self.describe_clusters(&input),
            "ListClusters" => Ok(self.list_clusters(&input)),
            "DeleteCluster" => self.delete_cluster(&input).await,
            "RegisterTaskDefinition" => self.register(&input).await,
            "DescribeTaskDefinition" => self.describe_definition(&input),
            "ListTaskDefinitions" => Ok(self.list_definitions(&input)),
            "DeregisterTaskDefinition" => self.deregister(&input).await,
            "RunTask" => self.run_task(&input).await,
            "StopTask" => self.stop_task(&input).await,
            "DescribeTasks" => self.describe_tasks(&input),
            "ListTasks" => self.list_tasks(&input),
            "CreateService" => self.create_service(&input).await,
            "UpdateService" => self.update_service(&input).await,
            "DeleteService" => self.delete_service(&input).await,
            "DescribeServices" => self.describe_services(&input),
            "ListServices" => self.list_services(&input),
            other => Err(unknown(other)),
        }
    }

    /// The last part of an ARN, or the name itself.
    fn short(name: &str) -> &str {
        name.rsplit('/').next().unwrap_or(name)
    }

    fn bell(&self, service: &str) -> Arc<Notify> {
        let mut bells = self.bells.lock().expect("no holder panics");
        Arc::clone(bells.entry(service.to_owned()).or_default())
    }

    fn stopping(&self, task: &str) -> Arc<Notify> {
        let mut stops = self.stops.lock().expect("no holder panics");
        Arc::clone(stops.entry(task.to_owned()).or_default())
    }
}
