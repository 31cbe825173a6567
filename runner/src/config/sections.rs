//! Every section and key, with its default.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Span;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The listener and the state.
    pub server: Server,
    /// The registry that images come from.
    pub registry: Registry,
    /// The container engine.
    pub engine: Engine,
    /// What the AWS APIs say of themselves, and who may call them.
    pub aws: Aws,
    /// Services and tasks.
    pub ecs: Ecs,
    /// Functions.
    pub lambda: Lambda,
    /// Jobs.
    pub batch: Batch,
    /// What is logged.
    pub log: Log,
}

/// `[server]`: the listener and the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Where the AWS APIs are.
    pub listen: SocketAddr,
    /// The folder that holds the state.
    pub data: PathBuf,
    /// How long the logs of containers that are gone are kept.
    pub keep_logs: Span,
    /// The domain under which function URLs and HTTP APIs are hosts of their own.
    pub domain: String,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5080)),
            data: "runner".into(),
            keep_logs: Span::seconds(7 * 86_400),
            domain: "localhost".into(),
        }
    }
}

/// `[registry]`: where images come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Its base address, as this process reaches it.
    pub url: String,
    /// The host that the engine pulls from; empty: that of the address.
    pub host: String,
    /// Other hosts that mean this registry in the names of images.
    pub aliases: Vec<String>,
    /// An AWS-style key for GetAuthorizationToken.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// A user or a robot, where there is no such key.
    pub username: String,
    /// Its password.
    pub password: String,
    /// How often all tags that something follows are looked at, whatever the events say.
    pub look_every: Span,
    /// How long the events of one repository are gathered.
    pub debounce: Span,
    /// How long a lease on a running digest lasts; it is renewed after a third of that.
    pub lease_term: Span,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:5000".into(),
            host: String::new(),
            aliases: Vec::new(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            username: String::new(),
            password: String::new(),
            look_every: Span::seconds(60),
            debounce: Span::milliseconds(100),
            lease_term: Span::seconds(600),
        }
    }
}

/// `[engine]`: what runs containers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    /// The socket of Docker or of podman's service.
    pub socket: PathBuf,
    /// The network of our own that containers are in.
    pub network: String,
    /// The name of this runner, in the labels of its containers and in its leases.
    pub holder: String,
    /// The memory of a container that doesn't say, in MiB.
    pub memory_mib: u64,
    /// The most memory of one container, in MiB.
    pub max_memory_mib: u64,
    /// How many processes a container may have.
    pub pids_limit: i64,
    /// Capabilities that containers keep; all others are dropped.
    pub capabilities: Vec<String>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            socket: "/var/run/docker.sock".into(),
            network: "wharf-runner".into(),
            holder: "runner".into(),
            memory_mib: 512,
            max_memory_mib: 10_240,
            pids_limit: 256,
            capabilities: Vec::new(),
        }
    }
}

/// `[aws]`: account, region, and the one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Aws {
    /// The account in ARNs.
    pub account_id: String,
    /// The region in ARNs.
    pub region: String,
    /// The key that callers sign with; empty: nobody has to sign.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            account_id: "000000000000".into(),
            region: "us-east-1".into(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
        }
    }
}

/// `[ecs]`: services and tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ecs {
    /// How often a balancer asks a target that serves already.
    pub health_interval: Span,
    /// How long a target may take to its first healthy answer.
    pub health_grace: Span,
    /// How long a target that leaves may finish its requests.
    pub drain: Span,
    /// How long stopped tasks are told of.
    pub keep_stopped: Span,
}

impl Default for Ecs {
    fn default() -> Self {
        Self {
            health_interval: Span::seconds(2),
            health_grace: Span::seconds(15),
            drain: Span::seconds(10),
            keep_stopped: Span::seconds(3600),
        }
    }
}

/// `[lambda]`: functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lambda {
    /// How many instances a function without a reserved concurrency has at most.
    pub concurrency: usize,
    /// How long an instance is kept that nobody calls.
    pub keep_warm: Span,
    /// How long an instance may take until it asks for its first invocation.
    pub init_timeout: Span,
    /// The wait before the first retry of an asynchronous invocation; the second is twice as long.
    pub retry_after: Span,
}

impl Default for Lambda {
    fn default() -> Self {
        Self {
            concurrency: 10,
            keep_warm: Span::seconds(600),
            init_timeout: Span::seconds(10),
            retry_after: Span::seconds(60),
        }
    }
}

/// `[batch]`: jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// How many vCPUs run at once; 0: as many as the environments say.
    pub max_vcpus: u32,
    /// How long jobs that are over are told of.
    pub keep_jobs: Span,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            max_vcpus: 0,
            keep_jobs: Span::seconds(7 * 86_400),
        }
    }
}

/// `[log]`: what is logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
        }
    }
}
