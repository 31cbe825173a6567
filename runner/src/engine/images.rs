//! Pulls by digest: each image once, with credentials for just that pull.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt as _;

use super::{Engine, Error};

/// Pulls under way, by image, so that an image is pulled by one caller while others wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulls {
    under_way: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Pulls {
    /// The turn to pull an image.
    pub(crate) fn turn(&self, image: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.under_way.lock().expect("no holder panics");
        // Turns that nobody waits for are done.
        under_way.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(under_way.entry(image.to_owned()).or_default())
    }
}

impl Engine {
    /// Whether the engine has an image, `host/repository@digest`.
    pub(crate) async fn has(&self, image: &str) -> bool {
        self.docker.inspect_image(image).await.is_ok()
    }

    /// Pulls `name@digest`. The credentials go to the engine with the request, and nowhere else.
    pub(crate) async fn pull(
        &self,
        name: &str,
        digest: &str,
        credentials: Option<(String, String)>,
    ) -> Result<(), Error> {
        let host = name.split('/').next().unwrap_or_default().to_owned();
        let credentials = credentials.map(|(username, password)| DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress: Some(host),
            ..Default::default()
        });
        let options = CreateImageOptions {
            from_image: Some(format!("{name}@{digest}")),
            ..Default::default()
        };
        let mut steps = self.docker.create_image(Some(options), None, credentials);
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| Error::Pull(error.to_string()))?;
            if let Some(detail) = step.error_detail {
                return Err(Error::Pull(detail.message.unwrap_or_default()));
            }
        }
        Ok(())
    }
}
