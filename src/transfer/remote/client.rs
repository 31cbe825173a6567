//! Requests, answers, redirects.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use serde::Deserialize;
use wharf_storage::oci::RepositoryName;

use super::super::Error;
use super::challenge::{is_loopback, same_origin};
use super::credentials::Credentials;
use super::login::{Logins, Right};
use crate::outbound;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);
/// How long nothing may come of an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// How much is read of what a registry says went wrong.
const REASON_LIMIT: usize = 64 << 10;
/// How long a page of a list may be.
const PAGE_LIMIT: usize = 16 << 20;

/// Whether a registry is spoken to in clear text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS, but for this machine itself.
    Secure,
    /// Plain HTTP.
    Plain,
}

/// Another registry.
#[derive(Clone, Debug)]
pub struct Remote {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    base: Url,
    /// For what is read: it may not be silent.
    reading: reqwest::Client,
    /// For what is sent: nothing comes back while it goes.
    writing: reqwest::Client,
    logins: Logins,
}

/// A request without a body, or with a small one.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) right: Right,
}

impl Ask {
    pub(super) fn new(method: Method, url: Url, right: Right) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            right,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value =
            HeaderValue::from_str(value).expect("digests, types and numbers are plain text");
        self.headers.append(name, value);
        self
    }
}

#[derive(Deserialize)]
struct Catalog {
    repositories: Option<Vec<String>>,
}

impl Remote {
    /// A registry by its host.
    ///
    /// # Errors
    ///
    /// When TLS can't be set up.
    pub fn new(
        host: &str,
        transport: Transport,
        credentials: Option<Credentials>,
        mut trusted_realms: Vec<String>,
    ) -> Result<Self, Error> {
        let host = match host {
            "docker.io" => {
                trusted_realms.push("auth.docker.io".to_owned());
                "registry-1.docker.io"
            }
            host => host,
        };
        let failed = |reason: String| Error::Request {
            asked: host.to_owned(),
            reason,
        };
        let url = |scheme: &str| {
            let url = Url::parse(&format!("{scheme}://{host}/"));
            url.map_err(|error| failed(error.to_string()))
        };
        let secure = url("https")?;
        let base = match transport {
            Transport::Secure if !is_loopback(secure.host_str().unwrap_or_default()) => secure,
            Transport::Secure | Transport::Plain => url("http")?,
        };
        let builder = || {
            reqwest::Client::builder()
                .redirect(Policy::none())
                .connect_timeout(CONNECT)
                .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")))
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .build()
                .map_err(|error| failed(outbound::chain(&error)))
        };
        let shared = Shared {
            reading: build(builder().read_timeout(SILENCE))?,
            writing: build(builder())?,
            logins: Logins::new(base.clone(), credentials, trusted_realms),
            base,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The names of all repositories that the registry lists. Names that are none are left out.
    ///
    /// # Errors
    ///
    /// When it doesn't list them.
    pub async fn catalog(&self) -> Result<Vec<RepositoryName>, Error> {
        let mut all = Vec::new();
        let mut next = Some(self.url("/v2/_catalog?n=1000"));
        while let Some(url) = next {
            let (page, link) = self.page::<Catalog>(url, Right::Catalog).await?;
            all.extend(page.repositories.into_iter().flatten().filter_map(|name| {
                let parsed = name.parse();
                if parsed.is_err() {
                    tracing::warn!(name, "the registry lists what is no repository");
                }
                parsed.ok()
            }));
            next = link;
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// The registry's host.
    #[must_use]
    pub fn host(&self) -> String {
        host_of(&self.shared.base)
    }

    pub(super) fn url(&self, path: &str) -> Url {
        self.shared
            .base
            .join(path)
            .expect("paths are made of names and digests")
    }

    /// An address that the registry gave, if it leads to the registry itself.
    pub(super) fn own(&self, seen_at: &Url, location: &str) -> Option<Url> {
        let url = seen_at.join(location).ok()?;
        same_origin(&self.shared.base, &url).then_some(url)
    }

    pub(super) fn writing(&self) -> &reqwest::Client {
        &self.shared.writing
    }

    pub(super) fn known(&self, right: &Right) -> Option<HeaderValue> {
        self.shared.logins.known(right)
    }

    /// Sends a request, logs in where that is wanted, and gives whatever answer there is.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Response, Error> {
        let known = self.shared.logins.known(&ask.right);
        let answer = self.exchange(ask, known.as_ref()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE);
        let mut texts = challenges.iter().filter_map(|value| value.to_str().ok());
        let (logins, reading) = (&self.shared.logins, &self.shared.reading);
        let header = logins.answer(reading, texts.next(), &ask.right).await?;
        self.exchange(ask, Some(&header)).await
    }

    /// The same for a request whose answer has to be a success.
    pub(super) async fn succeed(&self, ask: &Ask) -> Result<Response, Error> {
        let answer = self.send(ask).await?;
        success(ask.method.as_str(), &ask.url, answer).await
    }

    /// A page of a list, and the address of the next one.
    pub(super) async fn page<T: for<'de> Deserialize<'de>>(
        &self,
        url: Url,
        right: Right,
    ) -> Result<(T, Option<Url>), Error> {
        let ask = Ask::new(Method::GET, url, right);
        let answer = self.succeed(&ask).await?;
        let link = answer.headers().get(header::LINK);
        let link = link.and_then(|link| next_of(link.to_str().ok()?));
        let next = link.and_then(|link| self.own(&ask.url, &link));
        let bytes = document("GET", &ask.url, answer, PAGE_LIMIT).await?;
        let page = serde_json::from_slice(&bytes);
        let page = page.map_err(|error| Error::Request {
            asked: asked("GET", &ask.url),
            reason: format!("the answer can not be read: {error}"),
        })?;
        Ok((page, next))
    }

    async fn exchange(&self, ask: &Ask, shown: Option<&HeaderValue>) -> Result<Response, Error> {
        let client = match ask.body.is_empty() {
            true => &self.shared.reading,
            false => &self.shared.writing,
        };
        let may_move = matches!(ask.method, Method::GET | Method::HEAD);
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = client.request(ask.method.clone(), url.clone());
            request = request.headers(ask.headers.clone());
            if ask.method == Method::PUT || ask.method == Method::POST {
                request = request.body(ask.body.clone());
            }
            // What is shown to the registry is shown to nobody else.
            if let Some(header) = shown.filter(|_| same_origin(&self.shared.base, &url)) {
                request = request.header(header::AUTHORIZATION, header);
            }
            let answer = sent(ask.method.as_str(), &url, request.send().await)?;
            if !answer.status().is_redirection() || !may_move {
                return Ok(answer);
            }
            let location = answer.headers().get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let is_fit = |next: &Url| match url.scheme() {
                "https" => next.scheme() == "https",
                _ => matches!(next.scheme(), "http" | "https"),
            };
            url = match next.filter(is_fit) {
                Some(next) => next,
                None => return Ok(answer),
            };
        }
        Err(Error::Request {
            asked: asked(ask.method.as_str(), &ask.url),
            reason: format!("it leads on more than {REDIRECTS} times"),
        })
    }
}

/// `HOST` or `HOST:PORT`.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// What was asked, without a query, which may hold a secret.
pub(super) fn asked(method: &str, url: &Url) -> String {
    format!("{method} {}{}", host_of(url), url.path())
}

/// The answer, if there is one.
pub(super) fn sent(
    method: &str,
    url: &Url,
    outcome: Result<Response, reqwest::Error>,
) -> Result<Response, Error> {
    outcome.map_err(|error| Error::Request {
        asked: asked(method, url),
        reason: outbound::chain(&error),
    })
}

/// The answer, if it is a success.
pub(super) async fn success(method: &str, url: &Url, answer: Response) -> Result<Response, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = read(answer, REASON_LIMIT).await.unwrap_or_default();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let first = &body["errors"][0];
    let texts = [&first["code"], &first["message"]].map(|text| text.as_str().unwrap_or_default());
    let reason: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    let reason: String = reason
        .join(": ")
        .chars()
        .filter(|c| !c.is_control())
        .take(500)
        .collect();
    Err(Error::Answer {
        asked: asked(method, url),
        status: status.as_u16(),
        reason: match reason.as_str() {
            "" => reason,
            text => format!(", {text}"),
        },
    })
}

/// The body of a success, read whole.
pub(super) async fn document(
    method: &str,
    url: &Url,
    answer: Response,
    limit: usize,
) -> Result<Bytes, Error> {
    let answer = success(method, url, answer).await?;
    match read(answer, limit).await {
        Ok(bytes) if bytes.len() > limit => Err(Error::TooLong {
            what: asked(method, url),
            limit,
        }),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(Error::Request {
            asked: asked(method, url),
            reason: outbound::chain(&error),
        }),
    }
}

/// A body, or somewhat more of it than `limit`.
async fn read(answer: Response, limit: usize) -> Result<Bytes, reqwest::Error> {
    let mut bytes = Vec::new();
    let mut body = answer.bytes_stream();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() > limit {
            break;
        }
    }
    Ok(bytes.into())
}

/// Where the list goes on, `<…>; rel="next"`.
pub(crate) fn next_of(link: &str) -> Option<String> {
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let rel = rest.to_ascii_lowercase();
    (rel.contains("rel=\"next\"") || rel.contains("rel=next")).then(|| target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_where_its_link_says() {
        let next = |link| next_of(link).unwrap_or_default();
        assert_eq!(
            next("</v2/_catalog?last=b&n=1>; rel=\"next\""),
            "/v2/_catalog?last=b&n=1"
        );
        assert_eq!(next("</a>; rel=\"prev\""), "");
        assert_eq!(next("nothing"), "");
    }

    #[test]
    fn https_is_spoken_but_to_this_machine() {
        let base = |host, transport| {
            let remote = Remote::new(host, transport, None, Vec::new()).expect("a client");
            remote.shared.base.to_string()
        };
        assert_eq!(base("h.example", Transport::Secure), "https://h.example/");
        assert_eq!(base("h.example:80", Transport::Plain), "http://h.example/");
        for host in ["localhost:5000", "127.1.2.3:5000", "[::1]:5000"] {
            assert_eq!(base(host, Transport::Secure), format!("http://{host}/"));
        }
        assert_eq!(
            base("docker.io", Transport::Secure),
            "https://registry-1.docker.io/"
        );
    }

    #[test]
    fn a_location_on_another_host_is_not_the_registry() {
        let remote = Remote::new("h.example", Transport::Secure, None, Vec::new());
        let remote = remote.expect("a client");
        let seen_at = remote.url("/v2/a/blobs/uploads/");
        let own = |location| remote.own(&seen_at, location).map(|url| url.to_string());
        let here = Some("https://h.example/v2/a/blobs/uploads/1?x=y".to_owned());
        assert_eq!(own("/v2/a/blobs/uploads/1?x=y"), here);
        assert_eq!(own("https://h.example/v2/a/blobs/uploads/1?x=y"), here);
        for location in [
            "https://evil.example/",
            "//evil.example/",
            "http://h.example/",
        ] {
            assert_eq!(own(location), None, "{location}");
        }
    }
}
