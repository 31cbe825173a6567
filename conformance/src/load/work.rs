//! What a client does in each mode.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};

use super::Error;
use super::connection::{Connection, Counted};
use crate::arguments::{Load, Mode};
use crate::check::{Context, with_digest};
use crate::client::Client;
use crate::content::{OCI_IMAGE, digest, image, random, random_bytes};

/// The tag of the manifest that is pulled.
const TAG: &str = "load";

/// How large the config of a pushed image is.
const CONFIG_BYTES: usize = 1024;

/// What lies in the registry before the load.
pub(super) struct Prepared {
    authority: String,
    repository: String,
    mode: Mode,
    size: usize,
    /// The paths of the blobs that are pulled.
    blobs: Vec<String>,
    /// What to show, where the registry asks for a login.
    authorization: Option<HeaderValue>,
}

impl Prepared {
    /// Pushes what is pulled later.
    pub(super) async fn push(arguments: &Load) -> Result<Self, Error> {
        let client = Client::new(&arguments.target)?;
        let context = Context::new(&client, &arguments.target.repository);
        let url = arguments.target.url.clone().unwrap_or_default();
        let authority = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let size = usize::try_from(arguments.size.as_u64()).unwrap_or(usize::MAX);
        let mut blobs = Vec::new();
        if matches!(arguments.mode, Mode::Pull | Mode::Mixed | Mode::Head) {
            for _ in 0..arguments.blobs {
                let digest = context.push_blob(&random_bytes(size)).await?;
                blobs.push(context.path(&format!("blobs/{digest}")));
            }
        }
        context.push_image(TAG).await?;
        // A token lives for some minutes, as long as a load does.
        let ask = match arguments.mode {
            Mode::Pull | Mode::Manifest | Mode::Head => {
                context.get(&format!("manifests/{TAG}")).await?;
                context.ask(Method::GET, "manifests/")
            }
            Mode::Push | Mode::Mixed | Mode::Image => context.ask(Method::PUT, "manifests/"),
        };
        let authorization = client.authorization(&ask);
        Ok(Self {
            authorization,
            authority,
            repository: context.repository,
            mode: arguments.mode,
            size,
            blobs,
        })
    }

    fn path(&self, endpoint: &str) -> String {
        format!("/v2/{}/{endpoint}", self.repository)
    }

    async fn connect(&self) -> Result<Connection, String> {
        Connection::open(&self.authority, self.authorization.clone()).await
    }
}

/// A client of the load.
pub(super) struct Worker {
    prepared: Arc<Prepared>,
    mode: Mode,
    connection: Option<Connection>,
    /// How often it has asked, beginning somewhere else than the others.
    turn: usize,
    /// What is pushed, each time with another beginning.
    content: BytesMut,
}

impl Worker {
    pub(super) fn new(prepared: Arc<Prepared>, number: usize) -> Self {
        let mode = match (prepared.mode, number % 2) {
            (Mode::Mixed, 0) => Mode::Pull,
            (Mode::Mixed, _) => Mode::Push,
            (mode, _) => mode,
        };
        let size = match mode {
            Mode::Push | Mode::Image => prepared.size,
            _ => 0,
        };
        let content = BytesMut::from(random_bytes(size));
        Self {
            prepared,
            mode,
            connection: None,
            turn: number,
            content,
        }
    }

    /// Does its work once, and gives the bytes of content that went either way.
    pub(super) async fn once(&mut self) -> Result<u64, String> {
        self.turn += 1;
        match self.mode {
            Mode::Pull | Mode::Mixed => {
                let prepared = Arc::clone(&self.prepared);
                let path = &prepared.blobs[self.turn % prepared.blobs.len()];
                let bytes = self
                    .ask(Method::GET, path, None, Bytes::new(), 200)
                    .await?
                    .bytes;
                match bytes == prepared.size as u64 {
                    true => Ok(bytes),
                    false => Err(format!("{bytes} bytes came, not {}", prepared.size)),
                }
            }
            Mode::Head => {
                let prepared = Arc::clone(&self.prepared);
                let path = &prepared.blobs[self.turn % prepared.blobs.len()];
                self.ask(Method::HEAD, path, None, Bytes::new(), 200)
                    .await?;
                Ok(0)
            }
            Mode::Manifest => {
                let path = self.prepared.path(&format!("manifests/{TAG}"));
                Ok(self
                    .ask(Method::GET, &path, None, Bytes::new(), 200)
                    .await?
                    .bytes)
            }
            Mode::Push => {
                let content = self.fresh_content();
                self.push_blob(content).await
            }
            Mode::Image => self.push_image().await,
        }
    }

    /// Opens another connection for the next request.
    pub(super) fn forget_connection(&mut self) {
        self.connection = None;
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
        status: u16,
    ) -> Result<Counted, String> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.prepared.connect().await?),
        };
        let answer = connection.ask(method, path, content_type, body).await?;
        match answer.status == StatusCode::from_u16(status).unwrap_or_default() {
            true => Ok(answer),
            false => Err(format!("{path} was answered with {}", answer.status)),
        }
    }

    /// Content that nobody has pushed before. The one of the last turn has been sent, so its
    /// buffer is free again, and only its beginning has to change.
    fn fresh_content(&mut self) -> Bytes {
        for (byte, new) in self.content.iter_mut().zip(random().to_le_bytes()) {
            *byte = new;
        }
        Bytes::copy_from_slice(&self.content)
    }

    async fn push_blob(&mut self, content: Bytes) -> Result<u64, String> {
        let digest = digest(&content);
        let length = content.len() as u64;
        let start = self.prepared.path("blobs/uploads/");
        let begun = self
            .ask(Method::POST, &start, None, Bytes::new(), 202)
            .await?;
        let location = begun
            .headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let location = location.ok_or("the upload has no location")?;
        let path = match location.strip_prefix("http://") {
            Some(rest) => &rest[rest.find('/').unwrap_or(rest.len())..],
            None => location,
        };
        let path = with_digest(path, &digest);
        self.ask(
            Method::PUT,
            &path,
            Some("application/octet-stream"),
            content,
            201,
        )
        .await?;
        Ok(length)
    }

    async fn push_image(&mut self) -> Result<u64, String> {
        let (config, layer) = (random_bytes(CONFIG_BYTES), self.fresh_content());
        let manifest = image(&config, &[&layer]).to_string();
        let mut bytes = self.push_blob(config).await?;
        bytes += self.push_blob(layer).await?;
        let path = self.prepared.path(&format!("manifests/{:016x}", random()));
        bytes += manifest.len() as u64;
        self.ask(Method::PUT, &path, Some(OCI_IMAGE), manifest.into(), 201)
            .await?;
        Ok(bytes)
    }
}
