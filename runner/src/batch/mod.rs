//! AWS Batch: queues of jobs that are kept before they are acknowledged.
//!
//! | module | job |
//! |---|---|
//! | `model` | what is kept |
//! | `environments`, `definitions`, `submit`, `jobs` | the operations of the API |
//! | `shown` | how jobs are told |
//! | `ledger` | jobs in the database |
//! | `scheduler` | which job is started next |
//! | `attempt` | one try of a job in the engine |

mod attempt;
mod definitions;
mod environments;
mod jobs;
mod ledger;
mod model;
mod scheduler;
mod shown;
mod submit;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::Notify;

use crate::aws::Error;
use crate::aws::door::{Call, unknown};
use crate::ground::Ground;
use crate::store::{self, Shelf};

#[cfg(any(test, fuzzing))]
pub(crate) use submit::fuzz;

use ledger::Ledger;
use model::{Definition, Environment, Queue};

/// The error for what isn't understood.
const WRONG: &str = "ClientException";

/// The service. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    ground: Ground,
    environments: Arc<Shelf<Environment>>,
    queues: Arc<Shelf<Queue>>,
    definitions: Arc<Shelf<Definition>>,
    ledger: Ledger,
    /// Woken when a job may be started.
    bell: Arc<Notify>,
    /// Woken when a job shall end.
    stops: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
    /// The vCPUs in use, by queue.
    used: Arc<Mutex<HashMap<String, f64>>>,
}

impl Batch {
    pub(crate) async fn open(ground: &Ground) -> Result<Self, store::Error> {
        let store = &ground.store;
        Ok(Self {
            ground: ground.clone(),
            environments: Arc::new(Shelf::open(store, "batch-environment").await?),
            queues: Arc::new(Shelf::open(store, "batch-queue").await?),
            definitions: Arc::new(Shelf::open(store, "batch-definition").await?),
            ledger: Ledger::new(store),
            bell: Arc::default(),
            stops: Arc::default(),
            used: Arc::default(),
        })
    }

    /// Serves an operation.
    pub(crate) async fn call(&self, call: Call) -> Result<Value, Error> {
        let operation = call.segments().pop().unwrap_or_default();
        let input = call.input(WRONG)?;
        match operation.as_str() {
            "createcomputeenvironment" => self.create_environment(&input).await,
            "describecomputeenvironments" => Ok(self.describe_environments(&input)),
            "updatecomputeenvironment" => self.update_environment(&input).await,
            "deletecomputeenvironment" => self.delete_environment(&input).await,
            "createjobqueue" => self.create_queue(&input).await,
            "describejobqueues" => Ok(self.describe_queues(&input)),
            "updatejobqueue" => self.update_queue(&input).await,
            "deletejobqueue" => self.delete_queue(&input).await,
            "registerjobdefinition" => self.register(&input).await,
            "describejobdefinitions" => Ok(self.describe_definitions(&input)),
            "deregisterjobdefinition" => self.deregister(&input).await,
            "submitjob" => self.submit(&input).await,
            "describejobs" => self.describe_jobs(&input).await,
            "listjobs" => self.list_jobs(&input).await,
            "canceljob" => self.cancel(&input).await,
            "terminatejob" => self.terminate(&input).await,
            other => Err(unknown(other)),
        }
    }

    fn stopping(&self, job: &str) -> Arc<Notify> {
        let mut stops = self.stops.lock().expect("no holder panics");
        Arc::clone(stops.entry(job.to_owned()).or_default())
    }
}

/// The last part of an ARN, or the name itself.
fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
