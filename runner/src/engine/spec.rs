//! What a container is, and what it may not: the same limits for every image.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::HOLDER;
use crate::config;

/// What a container may use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    /// Memory in MiB; 0: as configured.
    pub(crate) memory_mib: u64,
    /// CPUs; 0: as many as there are.
    pub(crate) cpus: f64,
}

/// Which network a container is in. The host's is not to be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// Ours, with an address of its own.
    #[default]
    Own,
    /// That of another container.
    Of(String),
}

/// A container to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    /// Its name in the engine.
    pub(crate) name: String,
    /// The image, by digest.
    pub(crate) image: String,
    /// Instead of the image's own.
    pub(crate) entrypoint: Option<Vec<String>>,
    /// Instead of the image's own.
    pub(crate) command: Option<Vec<String>>,
    /// `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// Instead of the image's own.
    pub(crate) working_directory: Option<String>,
    /// Instead of the image's own.
    pub(crate) user: Option<String>,
    /// Whether its files can't be changed.
    pub(crate) is_read_only: bool,
    /// What it may use.
    pub(crate) limits: Limits,
    /// Which network it is in.
    pub(crate) network: Network,
    /// A check that the caller asked for; the image's own is never run.
    pub(crate) health: Option<HealthConfig>,
    /// Labels of ours.
    pub(crate) labels: HashMap<String, String>,
}

impl Spec {
    /// As the engine takes it.
    pub(super) fn body(&self, config: &config::Engine, cpus: f64) -> ContainerCreateBody {
        let mut labels = self.labels.clone();
        labels.insert(HOLDER.into(), config.holder.clone());
        let nothing = || HealthConfig {
            test: Some(vec!["NONE".into()]),
            ..Default::default()
        };
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: self.entrypoint.clone(),
            cmd: self.command.clone(),
            env: Some(self.environment.clone()),
            working_dir: self.working_directory.clone(),
            user: self.user.clone(),
            healthcheck: Some(self.health.clone().unwrap_or_else(nothing)),
            labels: Some(labels),
            host_config: Some(self.host(config, cpus)),
            ..Default::default()
        }
    }

    fn host(&self, config: &config::Engine, cpus: f64) -> HostConfig {
        let mib = match self.limits.memory_mib {
            0 => config.memory_mib,
            mib => mib,
        };
        let memory = i64::try_from(mib.min(config.max_memory_mib) << 20).unwrap_or(i64::MAX);
        let wanted = match self.limits.cpus {
            none if none <= 0.0 => cpus,
            wanted => wanted.min(cpus),
        };
        HostConfig {
            memory: Some(memory),
            // The same as the memory: no swap.
            memory_swap: Some(memory),
            nano_cpus: Some((wanted * 1e9) as i64),
            pids_limit: Some(config.pids_limit),
            cap_drop: Some(vec!["ALL".into()]),
            cap_add: Some(config.capabilities.clone()),
            security_opt: Some(vec!["no-new-privileges".into()]),
            readonly_rootfs: Some(self.is_read_only),
            privileged: Some(false),
            publish_all_ports: Some(false),
            ipc_mode: Some("private".into()),
            network_mode: Some(match &self.network {
                Network::Own => config.network.clone(),
                Network::Of(id) => format!("container:{id}"),
            }),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            // What a container prints doesn't fill the host's disk.
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".into()),
                config: Some(HashMap::from([
                    ("max-size".into(), "10m".into()),
                    ("max-file".into(), "2".into()),
                ])),
            }),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_is_inside_the_same_limits() {
        let config = config::Engine::default();
        let spec = Spec {
            limits: Limits {
                memory_mib: 1 << 40,
                cpus: 400.0,
            },
            ..Spec::default()
        };
        let body = spec.body(&config, 2.0);
        let host = body.host_config.expect("there are limits");
        assert_eq!(host.memory, Some(10_240 << 20));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.nano_cpus, Some(2_000_000_000));
        assert_eq!(host.pids_limit, Some(256));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.cap_add, Some(vec![]));
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.network_mode.as_deref(), Some("wharf-runner"));
        assert_eq!((host.binds, host.mounts, host.devices), (None, None, None));
        let health = body.healthcheck.and_then(|health| health.test);
        assert_eq!(health, Some(vec!["NONE".to_owned()]));
    }
}
