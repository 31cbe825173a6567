//! Requests to the registry.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::image::{Image, Pinned};
use super::login::{Credentials, Login};
use crate::config::{self, Config};

/// What manifests a client takes.
const KINDS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// How long an answer may take, unless it is waited for on purpose.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the registry didn't answer as wanted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the registry can't be asked: {}", chain(.0))]
    Request(#[from] reqwest::Error),
    #[error("the registry answered {0}")]
    Status(StatusCode),
    #[error("the registry's answer is not understood: {0}")]
    Answer(&'static str),
    #[error("{0} is not an image of this registry; images are named {1}/REPOSITORY:TAG")]
    Elsewhere(String, String),
    #[error("there is no image {0}")]
    Missing(String),
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// A client of the registry. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    config: Arc<config::Registry>,
    login: Arc<Login>,
    hosts: Arc<Vec<String>>,
    holder: Arc<str>,
}

/// A page of events.
#[derive(Debug)]
pub(super) enum Page {
    /// What happened, and the cursor behind it.
    Events(Vec<Value>, u64),
    /// The cursor leads nowhere; the one to go on from.
    Gone(u64),
}

impl Client {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        let own = config.registry.url.split("://").nth(1).unwrap_or_default();
        let mut hosts = vec![config.registry.host.clone()];
        if hosts[0].is_empty() {
            own.trim_end_matches('/').clone_into(&mut hosts[0]);
        }
        hosts.extend(config.registry.aliases.iter().cloned());
        Ok(Self {
            http,
            login: Arc::new(Login::new(&config.registry, &config.aws.region)),
            config: Arc::new(config.registry.clone()),
            hosts: Arc::new(hosts),
            holder: format!("wharf-runner/{}", config.engine.holder).into(),
        })
    }

    /// The host that the engine knows the registry by.
    pub(crate) fn host(&self) -> &str {
        &self.hosts[0]
    }

    /// Reads an image's name.
    pub(crate) fn image(&self, text: &str) -> Result<Image, Error> {
        let image = Image::parse(text, &self.hosts);
        image.ok_or_else(|| Error::Elsewhere(text.to_owned(), self.host().to_owned()))
    }

    /// The digest that an image's tag names now.
    pub(crate) async fn resolve(&self, image: &Image) -> Result<Pinned, Error> {
        let pinned = |digest: &str| Pinned {
            name: format!("{}/{}", self.host(), image.repository),
            digest: digest.to_owned(),
        };
        if image.is_pinned() {
            return Ok(pinned(&image.reference));
        }
        let path = format!("/v2/{}/manifests/{}", image.repository, image.reference);
        let request = self.request(Method::HEAD, &path).await?;
        let answer = request.header("accept", KINDS).timeout(PATIENCE).send();
        let answer = answer.await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                let name = format!("{}:{}", image.repository, image.reference);
                return Err(Error::Missing(name));
            }
            status => return Err(Error::Status(status)),
        }
        let digest = answer.headers().get("docker-content-digest");
        let digest = digest.and_then(|digest| digest.to_str().ok());
        Ok(pinned(digest.ok_or(Error::Answer("no digest"))?))
    }

    /// Credentials for one pull.
    pub(crate) async fn credentials(&self) -> Result<Option<Credentials>, Error> {
        self.login.credentials(&self.http).await
    }

    /// What happened behind a cursor; without one, the cursor of now.
    pub(super) async fn events(&self, after: Option<u64>, wait: u64) -> Result<Page, Error> {
        let path = match after {
            Some(after) => format!("/events?after={after}&wait={wait}&limit=1000"),
            None => "/events?limit=1".to_owned(),
        };
        let request = self.request(Method::GET, &path).await?;
        let patience = PATIENCE + Duration::from_secs(wait);
        let answer = request.timeout(patience).send().await?;
        let status = answer.status();
        if status != StatusCode::OK && status != StatusCode::GONE {
            return Err(Error::Status(status));
        }
        let body: Value = answer.json().await?;
        if status == StatusCode::GONE {
            let newest = body["errors"][0]["detail"]["newest"].as_u64();
            return Ok(Page::Gone(newest.ok_or(Error::Answer("no newest cursor"))?));
        }
        let next = body["next"].as_u64().ok_or(Error::Answer("no cursor"))?;
        let events = body["events"].as_array().cloned().unwrap_or_default();
        Ok(Page::Events(events, next))
    }

    /// Takes or renews a lease on a digest.
    pub(super) async fn lease(&self, digest: &str) -> Result<(), Error> {
        let seconds = self.config.lease_term.duration().as_secs().max(1);
        let body = json!({"holder": &*self.holder, "term_seconds": seconds});
        let path = format!("/leases/{digest}");
        let request = self.request(Method::PUT, &path).await?;
        settled(request.json(&body).timeout(PATIENCE).send().await?)
    }

    /// Gives a lease back.
    pub(super) async fn release(&self, digest: &str) -> Result<(), Error> {
        let path = format!("/leases/{digest}");
        let request = self.request(Method::DELETE, &path).await?;
        let body = json!({"holder": &*self.holder});
        let answer = request.json(&body).timeout(PATIENCE).send().await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(()),
            _ => settled(answer),
        }
    }

    async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Error> {
        let url = format!("{}{path}", self.config.url.trim_end_matches('/'));
        let request = self.http.request(method, url);
        Ok(match self.credentials().await? {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        })
    }
}

fn settled(answer: reqwest::Response) -> Result<(), Error> {
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(Error::Status(status)),
    }
}
