//! NATS JetStream: a message for each event, acknowledged when the stream has it.
//!
//! `nats://[USER@]HOST[:PORT][/PREFIX][?stream=NAME]`. The subject is the event's type behind the
//! prefix, such as `wharf.image.pushed`. Each prefix has a stream of its own unless the address names
//! one; it is made where there is none, and one that takes no such subject is given it. Its
//! deduplication knows an event by its id behind the prefix, so an event that is told twice is in the
//! stream once under each. The secret is the password of the user, or the token where the address
//! names no user.
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
use crate::events::window::LONGEST_PAUSE;

const PORT: u16 = 4222;
/// The stream that is made where the address names none; what is behind a prefix has one beside it.
const STREAM: &str = "WHARF";
/// How long connecting may take, and handing over a message.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long the stream knows an event again. An acknowledgement that was lost is followed by
/// another attempt before that.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(7200);
const _: () = assert!(DUPLICATE_WINDOW.as_secs() > LONGEST_PAUSE.as_secs());

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

    /// The stream of the address.
    fn stream(&self) -> String {
        let mut pairs = self.target.url.query_pairs();
        if let Some((_, name)) = pairs.find(|(key, _)| key == "stream") {
            return name.into_owned();
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let prefix = self.prefix();
        match prefix.trim_end_matches('.') {
            "" => STREAM.to_owned(),
            prefix => format!("{STREAM}-{}", prefix.replace(|c| !is_plain(c), "-")),
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
        let subject = format!("{}wharf.>", self.prefix());
        let config = stream::Config {
            name: self.stream(),
            subjects: vec![subject.clone()],
            duplicate_window: DUPLICATE_WINDOW,
            ..stream::Config::default()
        };
        let found = context.get_or_create_stream(config).await;
        let found = found.map_err(|error| error.to_string())?;
        // A stream that takes some of what comes is as somebody wants it.
        let mut config = found.cached_info().config.clone();
        if !config.subjects.iter().any(|known| meet(known, &subject)) {
            config.subjects.push(subject);
            let updated = context.update_stream(&config).await;
            updated.map_err(|error| error.to_string())?;
        }
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
        // Another prefix may have the same event in the same stream.
        let id = format!("{}{}", self.prefix(), message.id);
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
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

/// Whether there are subjects that both patterns match.
fn meet(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(one), Some(other)) if one == other || one == "*" || other == "*" => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::meet;

    #[test]
    fn patterns_meet_where_a_subject_matches_both() {
        for (one, other, expected) in [
            ("wharf.>", "wharf.>", true),
            (">", "prod.wharf.>", true),
            ("*.wharf.image.pushed", "prod.wharf.>", true),
            ("prod.wharf.image.*", "prod.wharf.>", true),
            ("wharf.>", "prod.wharf.>", false),
            ("prod", "prod.wharf.>", false),
            ("prod.wharf", "prod.wharf.>", false),
        ] {
            assert_eq!(meet(one, other), expected, "{one} {other}");
            assert_eq!(meet(other, one), expected, "{other} {one}");
        }
    }
}
