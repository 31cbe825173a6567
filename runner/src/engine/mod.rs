//! The container engine, through Docker's API: Docker, or podman's service.
//!
//! What an image says of itself (labels, annotations, ports, volumes, health checks) never changes
//! what the host does; `spec` is the one place where a container's limits are set.
//!
//! | module | job |
//! |---|---|
//! | `spec` | what a container is, and what it may not |
//! | `files` | what lies in a container, and what is started in it |
//! | `images` | pulls by digest, each once |
//! | `logs` | what containers printed |

mod files;
mod images;
mod logs;
mod spec;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as Fault;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, NetworkCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, RemoveContainerOptions, StopContainerOptions,
    WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;

use crate::config;

pub(crate) use images::Pulls;
pub(crate) use logs::Line;
pub(crate) use spec::{Limits, Network, Spec};

/// The label that says whose container it is.
pub(crate) const HOLDER: &str = "wharf-runner.holder";
/// The label that says what it is: `task`, `function`, `job`.
pub(crate) const ROLE: &str = "wharf-runner.role";
/// The label that says which one.
pub(crate) const OWNER: &str = "wharf-runner.owner";
/// The label that says which container of it.
pub(crate) const PART: &str = "wharf-runner.part";

/// How long a call may take, less waiting for a container's end.
const PATIENCE: u64 = 120;

/// Why the engine didn't do something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine can't be reached, or failed.
    #[error("the engine failed: {0}")]
    Engine(#[from] Fault),
    /// The network has no address of the host in it.
    #[error("the network {0} has no gateway")]
    NoGateway(String),
    /// A pull failed.
    #[error("CannotPullContainerError: {0}")]
    Pull(String),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code; nothing where the container is gone.
    pub(crate) code: Option<i64>,
    /// Whether it wanted more memory than it may have.
    pub(crate) out_of_memory: bool,
}

/// A container of ours, as the engine tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) labels: HashMap<String, String>,
}

/// The engine. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    docker: Docker,
    config: Arc<config::Engine>,
    gateway: IpAddr,
    cpus: f64,
}

impl Engine {
    /// Connects, and makes the network where it isn't there.
    pub(crate) async fn connect(config: &config::Engine) -> Result<Self, Error> {
        let docker = connect(&config.socket).await?;
        let gateway = network(&docker, &config.network).await?;
        let info = docker.info().await?;
        Ok(Self {
            docker,
            config: Arc::new(config.clone()),
            gateway,
            cpus: info.ncpu.unwrap_or(1) as f64,
        })
    }

    /// The host's address that containers can reach.
    pub(crate) fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// How many CPUs it has.
    pub(crate) fn cpus(&self) -> f64 {
        self.cpus
    }

    /// Makes a container, and gives its id.
    pub(crate) async fn create(&self, spec: &Spec) -> Result<String, Error> {
        let options = CreateContainerOptions {
            name: Some(spec.name.clone()),
            ..Default::default()
        };
        let body = spec.body(&self.config, self.cpus);
        let created = self.docker.create_container(Some(options), body).await?;
        Ok(created.id)
    }

    /// Starts a container.
    pub(crate) async fn start(&self, id: &str) -> Result<(), Error> {
        Ok(self.docker.start_container(id, None).await?)
    }

    /// Whether a container was ever started.
    pub(crate) async fn was_started(&self, id: &str) -> Result<bool, Error> {
        let found = self.docker.inspect_container(id, None).await?;
        let started_at = found.state.and_then(|state| state.started_at);
        Ok(started_at.is_some_and(|at| !at.starts_with("0001")))
    }

    /// Its address in our network, while it runs.
    pub(crate) async fn address(&self, id: &str) -> Result<Option<IpAddr>, Error> {
        let found = self.docker.inspect_container(id, None).await?;
        Ok(address(&found, &self.config.network))
    }

    /// Waits until a container has ended. What the engine forgot has ended too.
    pub(crate) async fn ended(&self, id: &str) -> Exit {
        loop {
            let options: Option<WaitContainerOptions> = None;
            // The answer comes with the end, or with the end of the engine.
            let _ = self.docker.wait_container(id, options).next().await;
            match self.exit(id).await {
                Ok(Some(exit)) => return exit,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, container = id, "no word of a container"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How a container ended, where it has.
    pub(crate) async fn exit(&self, id: &str) -> Result<Option<Exit>, Error> {
        let found = match self.docker.inspect_container(id, None).await {
            Ok(found) => found,
            Err(error) if is_missing(&error) => {
                return Ok(Some(Exit {
                    code: None,
                    out_of_memory: false,
                }));
            }
            Err(error) => return Err(error.into()),
        };
        let state = found.state.unwrap_or_default();
        // What was made and could not be started never runs.
        if state.status == Some(ContainerStateStatusEnum::CREATED) {
            return Ok(Some(Exit {
                code: None,
                out_of_memory: false,
            }));
        }
        if state.running == Some(true) || state.status.is_none() {
            return Ok(None);
        }
        let is_ended = state.finished_at.is_some_and(|at| !at.starts_with("0001"));
        Ok(is_ended.then_some(Exit {
            code: state.exit_code,
            out_of_memory: state.oom_killed == Some(true),
        }))
    }

    /// What the engine's own check says of a container: nothing where it has none.
    pub(crate) async fn health(&self, id: &str) -> Option<String> {
        let found = self.docker.inspect_container(id, None).await.ok()?;
        let status = found.state?.health?.status?;
        Some(status.to_string().to_uppercase())
    }

    /// Asks a container to end, and kills it after `patience`.
    pub(crate) async fn stop(&self, id: &str, patience: Duration) -> Result<(), Error> {
        let options = StopContainerOptions {
            t: Some(i32::try_from(patience.as_secs()).unwrap_or(i32::MAX)),
            ..Default::default()
        };
        let work = self.docker.stop_container(id, Some(options));
        // The engine answers after the end; its own clock decides.
        match work.await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a container at once, and removes it with what it wrote.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), Error> {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..Default::default()
        };
        match self.docker.remove_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) || is_conflict(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// All containers of this runner, ended ones too.
    pub(crate) async fn ours(&self) -> Result<Vec<Found>, Error> {
        let label = format!("{HOLDER}={}", self.config.holder);
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
            ..Default::default()
        };
        let found = self.docker.list_containers(Some(options)).await?;
        let known = found.into_iter().filter_map(|found| {
            Some(Found {
                id: found.id?,
                labels: found.labels.unwrap_or_default(),
            })
        });
        Ok(known.collect())
    }
}

async fn connect(socket: &Path) -> Result<Docker, Error> {
    let path = socket.to_string_lossy();
    let docker = Docker::connect_with_unix(&path, PATIENCE, API_DEFAULT_VERSION)?;
    Ok(docker.negotiate_version().await?)
}

/// Makes our network, where containers don't reach each other, and gives the host's address in it.
async fn network(docker: &Docker, name: &str) -> Result<IpAddr, Error> {
    if let Err(error) = docker.inspect_network(name, None).await {
        if !is_missing(&error) {
            return Err(error.into());
        }
        let apart = ("com.docker.network.bridge.enable_icc", "false");
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".into()),
            options: Some(HashMap::from([(apart.0.into(), apart.1.into())])),
            labels: Some(HashMap::from([(HOLDER.into(), name.into())])),
            ..Default::default()
        };
        docker.create_network(request).await?;
    }
    let found = docker.inspect_network(name, None).await?;
    let configs = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let gateways = configs.into_iter().filter_map(|config| config.gateway);
    let mut addresses = gateways.filter_map(|gateway| gateway.parse().ok());
    addresses
        .find(IpAddr::is_ipv4)
        .ok_or_else(|| Error::NoGateway(name.to_owned()))
}

fn address(found: &ContainerInspectResponse, network: &str) -> Option<IpAddr> {
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    networks.get(network)?.ip_address.as_ref()?.parse().ok()
}

fn is_missing(error: &Fault) -> bool {
    matches!(
        error,
        Fault::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

fn is_conflict(error: &Fault) -> bool {
    matches!(
        error,
        Fault::DockerResponseServerError {
            status_code: 409,
            ..
        }
    )
}
