//! Requests of our own to the outside: to issuers of tokens, and to whoever wants events.
//!
//! The addresses come from administrators, or from documents that strangers serve, so a request
//! must not reach what only this machine can: names are resolved by [`resolver`], which drops
//! inner addresses, and so the connection goes where the check looked, whatever a name resolves to
//! the next moment. Redirects are not followed, and nothing is taken from a proxy's variables.

mod address;
mod resolver;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use ipnet::IpNet;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use wharf_auth::oidc::{FetchError, Fetcher};

use self::resolver::Resolver;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole request may take.
const TOTAL: Duration = Duration::from_secs(15);
/// How long a document may be.
const LONGEST: usize = 1 << 20;

/// Why an address is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no address of the web.
    #[error("the address is not http://HOST or https://HOST")]
    Scheme,
    /// It leads inside.
    #[error("the address leads to {0}, which is inside; outbound.allow opens networks")]
    Inside(IpAddr),
    /// Its name is one of this machine (RFC 6761, section 6.3).
    #[error("the address leads to {0}, which is inside; outbound.allow opens networks")]
    Local(String),
}

/// A client that doesn't reach inside.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client,
    allow: Arc<[IpNet]>,
}

impl Outbound {
    /// A client that reaches the outside, and inside only the networks of `allow`.
    ///
    /// # Errors
    ///
    /// When TLS can't be set up.
    pub fn new(allow: Vec<IpNet>) -> Result<Self, reqwest::Error> {
        let allow: Arc<[IpNet]> = allow.into();
        let builder = || {
            Client::builder()
                .dns_resolver(Arc::new(Resolver::new(Arc::clone(&allow))))
                .redirect(Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT)
                .timeout(TOTAL)
                .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        };
        let client = match builder().build() {
            Ok(client) => client,
            // A small container has no authorities; most registries never ask anybody.
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(reason, "no https address outside can be trusted");
                builder().tls_certs_only([]).build()?
            }
        };
        Ok(Self { client, allow })
    }

    /// The client. Check an address before it is asked: the resolver sees names only.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads an address, and looks whether it may be asked.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn check(&self, text: &str) -> Result<Url, Refused> {
        let url = Url::parse(text).map_err(|_| Refused::Scheme)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        self.check_host(&url)?;
        Ok(url)
    }

    /// Looks whether the host of an address may be asked, as far as its text tells.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn check_host(&self, url: &Url) -> Result<(), Refused> {
        // The parser has read 127.1, 0x7f000001 and 2130706433 as the addresses that they are; but
        // not for schemes that the web doesn't know.
        let host = match url.host() {
            Some(url::Host::Domain(name)) => url::Host::parse(name).ok(),
            Some(host) => Some(host.to_owned()),
            None => None,
        };
        let literal = match host.ok_or(Refused::Scheme)? {
            url::Host::Ipv4(address) => IpAddr::V4(address),
            url::Host::Ipv6(address) => IpAddr::V6(address),
            url::Host::Domain(name) => return self.check_name(name),
        };
        match self.is_open(literal) {
            true => Ok(()),
            false => Err(Refused::Inside(literal)),
        }
    }

    /// Refuses the names that lead inside wherever they are resolved; others the resolver sees.
    fn check_name(&self, name: String) -> Result<(), Refused> {
        let loopback = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        let is_open = loopback.into_iter().any(|address| self.is_open(address));
        match is_open || !address::is_local(&name) {
            true => Ok(()),
            false => Err(Refused::Local(name)),
        }
    }

    /// Whether an address may be connected to.
    #[must_use]
    pub fn is_open(&self, address: IpAddr) -> bool {
        address::is_open(address, &self.allow)
    }
}

#[async_trait]
impl Fetcher for Outbound {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let failed = |reason: String| FetchError {
            url: url.to_owned(),
            reason,
        };
        let address = self.check(url).map_err(|error| failed(error.to_string()))?;
        let answer = self.client.get(address).send().await;
        let answer = answer.map_err(|error| failed(chain(&error)))?;
        if !answer.status().is_success() {
            return Err(failed(format!("it answers {}", answer.status())));
        }
        let mut bytes = Vec::new();
        let mut body = answer.bytes_stream();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| failed(chain(&error)))?);
            if bytes.len() > LONGEST {
                return Err(failed(format!("it is longer than {LONGEST} bytes")));
            }
        }
        Ok(bytes)
    }
}

/// A failure with its causes, without the address, which may hold a secret.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&next.to_string());
        cause = next.source();
    }
    match text.is_empty() {
        true if error.is_timeout() => "it takes too long".into(),
        true => "the request failed".into(),
        false => text,
    }
}

#[cfg(test)]
mod tests;
