//! NATS JetStream: a message for each event, acknowledged when the stream has it.
//!
//! `nats://[USER@]HOST[:PORT][/PREFIX][?stream=NAME]`. The subject is the event's type behind the
//! prefix, such as `wharf.image.pushed`; the stream is made where there is none. Its deduplication
//! knows an event by its id, so an event that is told twice is in the stream once. The secret is
//! the password of the user, or the token where the address names no user.
//!
//! The host's address is looked up and checked here, and the connection goes to the address that
//! was checked. With `tls://` it goes to the name, since the certificate is for that.

use std::net::IpAddr;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use async_nats::{ConnectOptions, HeaderMap};
use async_trait::async_trait;
use tokio::sync::Mutex;
use url::Url;

use super::{Failure, Message, Sink, Target};

const PORT: u16 = 4222;
/// The stream that is made where the address names none.
const STREAM: &str = "WHARF";
/// How long connecting may take, and handing over a message.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long the stream knows an event again.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(1800);

/// A stream of messages.
#[derive(Debug)]
pub(super) struct JetStream {
    target: Target,
    /// Empty until the first message, and after a failure.
    context: Mutex<Option<jetstream::Context>>,
}

impl JetStream {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            context: Mutex::new(None),
        }
    }

    /// What stands before the type in a subject.
    fn prefix(&self) -> String {
        let path = self.target.url.path().trim_matches('/');
        match path {
            "" => String::new(),
            path => format!("{}.", path.replace('/', ".")),
        }
    }

    /// The connection there is, or a new one.
    async fn context(&self) -> Result<jetstream::Context, String> {
        let mut kept = self.context.lock().await;
        if let Some(context) = &*kept {
            return Ok(context.clone());
        }
        let connected = tokio::time::timeout(PATIENCE, self.connect()).await;
        let context = connected.map_err(|_| "connecting takes too long")??;
        *kept = Some(context.clone());
        Ok(context)
    }

    async fn connect(&self) -> Result<jetstream::Context, String> {
        let url = &self.target.url;
        let server = self.server(url).await?;
        let secret = self.target.secrets_at(self.target.clock.now()).next();
        let secret = secret.map(String::from_utf8_lossy);
        let mut options = ConnectOptions::new()
            .name("wharf")
            .max_reconnects(0)
            .ignore_discovered_servers()
            .request_timeout(Some(PATIENCE));
        options = match (url.username(), secret) {
            ("", None) => options,
            ("", Some(token)) => options.token(token.into_owned()),
            (user, password) => {
                let password = password.unwrap_or_default().into_owned();
                options.user_and_password(user.to_owned(), password)
            }
        };
        let client = options.connect(server).await;
        let client = client.map_err(|error| error.to_string())?;
        let context = jetstream::new(client);
        let named = url.query_pairs().find(|(key, _)| key == "stream");
        let config = stream::Config {
            name: named.map_or_else(|| STREAM.to_owned(), |(_, name)| name.into_owned()),
            subjects: vec![format!("{}wharf.>", self.prefix())],
            duplicate_window: DUPLICATE_WINDOW,
            ..stream::Config::default()
        };
        let made = context.get_or_create_stream(config).await;
        made.map_err(|error| error.to_string())?;
        Ok(context)
    }

    /// The server to connect to, once it is known not to lie inside.
    async fn server(&self, url: &Url) -> Result<String, String> {
        let outbound = &self.target.outbound;
        outbound
            .check_host(url)
            .map_err(|error| error.to_string())?;
        let host = url.host_str().ok_or("the address has no host")?;
        let port = url.port().unwrap_or(PORT);
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((name, port)).await;
        let found = found.map_err(|error| error.to_string())?;
        let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        let open = addresses
            .into_iter()
            .find(|address| outbound.is_open(*address));
        let address = open.ok_or("the name leads inside; outbound.allow opens networks")?;
        Ok(match url.scheme() {
            "tls" => format!("tls://{host}:{port}"),
            _ => format!("nats://{}", std::net::SocketAddr::new(address, port)),
        })
    }

    async fn publish(&self, message: &Message) -> Result<String, String> {
        let context = self.context().await?;
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, message.id.as_str());
        headers.insert("Content-Type", message.media_type);
        let subject = format!("{}{}", self.prefix(), message.kind);
        let body = message.body.clone();
        let sent = context.publish_with_headers(subject, headers, body).await;
        let kept = sent.map_err(|error| error.to_string())?.await;
        let kept = kept.map_err(|error| error.to_string())?;
        Ok(match kept.duplicate {
            true => format!("{} {}, there already", kept.stream, kept.sequence),
            false => format!("{} {}", kept.stream, kept.sequence),
        })
    }
}

#[async_trait]
impl Sink for JetStream {
    async fn deliver(&self, message: &Message) -> Result<String, Failure> {
        let sent = tokio::time::timeout(2 * PATIENCE, self.publish(message)).await;
        let sent = sent.unwrap_or_else(|_| Err("it takes too long".into()));
        if sent.is_err() {
            // The next attempt connects anew, wherever the name leads by then.
            *self.context.lock().await = None;
        }
        sent.map_err(Failure::retry)
    }
}
