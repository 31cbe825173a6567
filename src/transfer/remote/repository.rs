//! A repository of another registry as a source and a target.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderName, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use wharf_storage::oci::{Descriptor, Digest, MediaType, Reference, RepositoryName, Tag};

use super::super::ends::{BlobStream, Fetched, Source, Target, Verified};
use super::super::{Error, MANIFEST_LIMIT};
use super::client::{Ask, Remote, document, success};
use super::login::Right;
use super::{download, upload};

/// What says that a registry knows subjects.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// A repository of another registry.
#[derive(Clone, Debug)]
pub struct RemoteRepository {
    remote: Remote,
    name: RepositoryName,
    /// One change of a fallback tag at a time, and what each has by now.
    fallbacks: Arc<Mutex<HashMap<Tag, Vec<Value>>>>,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

impl RemoteRepository {
    /// A repository by its name, whether or not it is there.
    #[must_use]
    pub fn new(remote: Remote, name: RepositoryName) -> Self {
        Self {
            remote,
            name,
            fallbacks: Arc::default(),
        }
    }

    fn ask(&self, method: Method, rest: &str) -> Ask {
        let right = match method {
            Method::GET | Method::HEAD => Right::Pull(self.name.clone()),
            _ => Right::Push(self.name.clone()),
        };
        let url = self.remote.url(&format!("/v2/{}/{rest}", self.name));
        Ask::new(method, url, right)
    }

    fn ask_manifest(&self, reference: &impl std::fmt::Display) -> Ask {
        let ask = self.ask(Method::GET, &format!("manifests/{reference}"));
        let all = [
            MediaType::OCI_INDEX,
            MediaType::OCI_IMAGE,
            MediaType::DOCKER_LIST,
            MediaType::DOCKER_IMAGE,
            "*/*;q=0.5",
        ];
        ask.header(header::ACCEPT, &all.join(", "))
    }

    /// The descriptors under a subject's fallback tag, as they stand there.
    async fn fallback(&self, tag: &Tag) -> Result<Vec<Value>, Error> {
        let ask = self.ask_manifest(tag);
        let answer = self.remote.send(&ask).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let bytes = document("GET", &ask.url, answer, MANIFEST_LIMIT).await?;
        // Anybody may push anything under that tag; what is no index lists nothing.
        let index: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(index["manifests"].as_array().cloned().unwrap_or_default())
    }

    /// Lists a referrer under its subject's fallback tag, for a registry that doesn't know subjects.
    async fn list(&self, subject: &Digest, verified: &Verified) -> Result<(), Error> {
        let tag = Tag::of_referrers(subject);
        let mut fallbacks = self.fallbacks.lock().await;
        let mut listed = match fallbacks.remove(&tag) {
            Some(listed) => listed,
            None => self.fallback(&tag).await?,
        };
        let (digest, manifest) = (&verified.digest, &verified.manifest);
        if listed
            .iter()
            .any(|entry| entry["digest"] == digest.as_str())
        {
            fallbacks.insert(tag, listed);
            return Ok(());
        }
        let descriptor = Descriptor {
            media_type: manifest.media_type().clone(),
            digest: digest.clone(),
            size: manifest.bytes().len() as u64,
            artifact_type: manifest.artifact_type().map(ToOwned::to_owned),
            annotations: manifest.annotations().clone(),
        };
        listed.push(serde_json::to_value(descriptor).expect("a descriptor has a JSON form"));
        let index = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_INDEX,
            "manifests": listed,
        });
        let mut ask = self.ask(Method::PUT, &format!("manifests/{tag}"));
        ask = ask.header(header::CONTENT_TYPE, MediaType::OCI_INDEX);
        ask.body = index.to_string().into();
        self.remote.succeed(&ask).await?;
        fallbacks.insert(tag, listed);
        Ok(())
    }
}

#[async_trait]
impl Source for RemoteRepository {
    async fn manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        let ask = self.ask_manifest(reference);
        let answer = self.remote.send(&ask).await?;
        let answer = success("GET", &ask.url, answer).await?;
        let media_type = answer.headers().get(header::CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = document("GET", &ask.url, answer, MANIFEST_LIMIT).await?;
        Ok(Fetched { media_type, bytes })
    }

    async fn blob(&self, blob: &Descriptor) -> Result<BlobStream, Error> {
        let ask = self.ask(Method::GET, &format!("blobs/{}", blob.digest));
        download::blob(&self.remote, ask.url, ask.right, blob.size).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let mut found: Vec<Descriptor> = Vec::new();
        let mut next = Some(self.ask(Method::GET, &format!("referrers/{subject}")).url);
        let mut knows = true;
        while let Some(url) = next {
            let page = self
                .remote
                .page::<Index>(url, Right::Pull(self.name.clone()))
                .await;
            match page {
                Ok((page, link)) => {
                    found.extend(page.manifests);
                    next = link;
                }
                // docker-registry answers an address that it doesn't know with a page for people.
                Err(error) if error.is_not_found() => {
                    knows = false;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if !knows {
            let listed = self.fallback(&Tag::of_referrers(subject)).await?;
            let listed = listed
                .into_iter()
                .filter_map(|entry| serde_json::from_value(entry).ok());
            found.extend(listed);
        }
        Ok(found)
    }

    async fn tags(&self) -> Result<Vec<Tag>, Error> {
        let mut all = Vec::new();
        let mut next = Some(self.ask(Method::GET, "tags/list?n=1000").url);
        while let Some(url) = next {
            let page = self
                .remote
                .page::<Tags>(url, Right::Pull(self.name.clone()))
                .await;
            let (page, link) = page?;
            let tags = page.tags.into_iter().flatten();
            all.extend(tags.filter_map(|tag| tag.parse::<Tag>().ok()));
            next = link;
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

#[async_trait]
impl Target for RemoteRepository {
    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error> {
        let mut ask = self.ask(Method::HEAD, &format!("blobs/{}", blob.digest));
        // Whoever asks wants to push, and one token does for both.
        ask.right = Right::Push(self.name.clone());
        let answer = self.remote.send(&ask).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => success("HEAD", &ask.url, answer).await.map(|_| true),
        }
    }

    async fn put_blob(&self, blob: &Descriptor, bytes: BlobStream) -> Result<(), Error> {
        upload::blob(&self.remote, &self.name, blob, bytes).await
    }

    async fn put_manifest(
        &self,
        verified: &Verified,
        tag: Option<&Tag>,
        _is_root: bool,
    ) -> Result<(), Error> {
        let (digest, manifest) = (&verified.digest, &verified.manifest);
        let mut ask = match tag {
            Some(tag) => self.ask(Method::PUT, &format!("manifests/{tag}")),
            None => self.ask(Method::PUT, &format!("manifests/{digest}")),
        };
        ask = ask.header(header::CONTENT_TYPE, manifest.media_type().as_str());
        ask.body = manifest.bytes().clone();
        let answer = self.remote.succeed(&ask).await?;
        if let Some(subject) = manifest.subject()
            && !answer.headers().contains_key(SUBJECT)
        {
            self.list(subject, verified).await?;
        }
        Ok(())
    }
}
