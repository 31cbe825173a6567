//! What every shape of running needs.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::Names;
use crate::config::Config;
use crate::engine::{self, Engine, Line, Pulls};
use crate::registry::{Client, Leases, Pinned};
use crate::store::Store;

/// What every shape of running needs. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) config: Arc<Config>,
    pub(crate) names: Names,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) registry: Client,
    pub(crate) leases: Leases,
    pub(crate) pulls: Pulls,
    /// Where the front door is.
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    /// What goes on in the background, so that the end can wait for it.
    pub(crate) tracker: TaskTracker,
}

impl Ground {
    /// The address of a host of its own on the front door.
    pub(crate) fn hosted(&self, kind: &str, id: &str) -> String {
        let Self {
            config, address, ..
        } = self;
        format!(
            "http://{id}.{kind}.{}:{}",
            config.server.domain,
            address.port()
        )
    }

    /// Pulls an image, where the engine doesn't have it, with credentials for this pull.
    pub(crate) async fn pull(&self, image: &Pinned) -> Result<(), engine::Error> {
        let name = image.to_string();
        let turn = self.pulls.turn(&name);
        let _turn = turn.lock().await;
        if self.engine.has(&name).await {
            return Ok(());
        }
        let credentials = self.registry.credentials().await;
        let credentials = credentials.map_err(|error| engine::Error::Pull(error.to_string()))?;
        self.engine
            .pull(&image.name, &image.digest, credentials)
            .await
    }

    /// Keeps what a container printed before it is removed.
    pub(crate) async fn keep_log(&self, name: &str, lines: &[Line]) {
        let text: String = lines
            .iter()
            .map(|line| format!("{} {}\n", line.time, line.text))
            .collect();
        let folder = self.config.server.data.join("logs");
        let path = folder.join(format!("{name}.log"));
        let written = async {
            tokio::fs::create_dir_all(&folder).await?;
            tokio::fs::write(path, text).await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, name, "a log can't be kept");
        }
    }
}
