//! Credentials: GetAuthorizationToken for an AWS-style key, else a name and a password.
//!
//! They are in memory only, and asked for anew well before they end.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::sync::Mutex;

use super::Error;
use crate::aws::sigv4;
use crate::config;

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";

/// How long a password from GetAuthorizationToken is used.
const FRESH: Duration = Duration::from_secs(300);

/// A name and a password.
pub(crate) type Credentials = (String, String);

/// Where credentials come from.
#[derive(Debug)]
pub(super) struct Login {
    config: config::Registry,
    region: String,
    last: Mutex<Option<(Instant, Credentials)>>,
}

impl Login {
    pub(super) fn new(config: &config::Registry, region: &str) -> Self {
        Self {
            config: config.clone(),
            region: region.to_owned(),
            last: Mutex::default(),
        }
    }

    /// Credentials that hold for some while; nothing where the registry asks for none.
    pub(super) async fn credentials(
        &self,
        http: &reqwest::Client,
    ) -> Result<Option<Credentials>, Error> {
        if self.config.access_key_id.is_empty() {
            let (name, password) = (&self.config.username, &self.config.password);
            return Ok((!name.is_empty()).then(|| (name.clone(), password.clone())));
        }
        let mut last = self.last.lock().await;
        if let Some((at, credentials)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(Some(credentials.clone()));
        }
        let credentials = self.ask(http).await?;
        *last = Some((Instant::now(), credentials.clone()));
        Ok(Some(credentials))
    }

    async fn ask(&self, http: &reqwest::Client) -> Result<Credentials, Error> {
        let url = format!("{}/", self.config.url.trim_end_matches('/'));
        let host = url.split("://").nth(1).unwrap_or_default();
        let body = "{}";
        let mut headers = vec![
            (
                "content-type".to_owned(),
                "application/x-amz-json-1.1".to_owned(),
            ),
            ("host".to_owned(), host.trim_end_matches('/').to_owned()),
            ("x-amz-target".to_owned(), TARGET.to_owned()),
        ];
        let key = (&*self.config.access_key_id, &*self.config.secret_access_key);
        sigv4::sign(
            &mut headers,
            "/",
            body.as_bytes(),
            key,
            (&self.region, "ecr"),
        );
        let mut request = http.post(url).body(body);
        for (name, value) in headers.iter().filter(|(name, _)| name != "host") {
            request = request.header(name, value);
        }
        let answer = request.send().await?.error_for_status()?;
        let answer: Value = answer.json().await?;
        let token = answer["authorizationData"][0]["authorizationToken"].as_str();
        let pair = token.and_then(|token| BASE64_STANDARD.decode(token).ok());
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
        let pair = pair.ok_or(Error::Answer("GetAuthorizationToken has no token"))?;
        let (name, password) = pair.split_once(':').ok_or(Error::Answer("no password"))?;
        Ok((name.to_owned(), password.to_owned()))
    }
}
