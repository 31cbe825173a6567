//! The tree of a docker-registry, as it keeps it.
//!
//! ```text
//! docker/registry/v2/
//!   blobs/sha256/ab/<hex>/data                                  bytes of blobs and manifests
//!   repositories/<name>/_layers/sha256/<hex>/link               blobs that a repository has
//!   repositories/<name>/_manifests/revisions/sha256/<hex>/link  manifests that it has
//!   repositories/<name>/_manifests/tags/<tag>/current/link      what a tag names
//! ```
//!
//! A link is a file with a digest. What was deleted has its folder, and no link in it.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use wharf_storage::oci::{Algorithm, Digest, RepositoryName, Tag};

use super::super::Error;
use super::old::Old;

/// Where the tree begins below the root that docker-registry is given.
const BELOW: &str = "docker/registry/v2";
/// How many links are read at once.
const READERS: usize = 16;

/// A docker-registry's tree.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    old: Arc<dyn Old>,
}

/// What a repository of it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) layers: Vec<Digest>,
    pub(crate) manifests: Vec<Digest>,
    pub(crate) tags: Vec<(Tag, Digest)>,
}

impl Tree {
    /// The tree of a place.
    pub(crate) async fn open(old: Arc<dyn Old>) -> Result<Self, Error> {
        let found = old.folders(BELOW).await?;
        let has = |name: &str| found.iter().any(|folder| folder == name);
        match has("repositories") && has("blobs") {
            true => Ok(Self { old }),
            false => Err(Error::NotFound {
                place: old.shown().display().to_string(),
                what: format!("{BELOW} with repositories and blobs"),
            }),
        }
    }

    /// The repositories, and the folders that are like one and have no name that can be used.
    pub(crate) async fn repositories(&self) -> Result<(Vec<RepositoryName>, Vec<String>), Error> {
        let root = format!("{BELOW}/repositories");
        let (mut found, mut unnamed) = (Vec::new(), Vec::new());
        let mut names = vec![String::new()];
        while let Some(name) = names.pop() {
            let mut is_repository = false;
            for folder in self.old.folders(&format!("{root}/{name}")).await? {
                match folder.as_str() {
                    "_manifests" | "_layers" => is_repository = true,
                    folder if folder.starts_with('_') => {}
                    folder if name.is_empty() => names.push(folder.to_owned()),
                    folder => names.push(format!("{name}/{folder}")),
                }
            }
            if is_repository {
                match name.parse() {
                    Ok(name) => found.push(name),
                    Err(_) => unnamed.push(name),
                }
            }
        }
        found.sort_unstable();
        Ok((found, unnamed))
    }

    /// What a repository has.
    pub(crate) async fn contents(&self, repository: &RepositoryName) -> Result<Contents, Error> {
        let root = format!("{BELOW}/repositories/{repository}");
        let tags = format!("{root}/_manifests/tags");
        let names = self.old.folders(&tags).await?;
        let tags: Vec<Option<(Tag, Digest)>> = stream::iter(names)
            .map(|name| {
                let path = format!("{tags}/{name}/current/link");
                async move {
                    let digest = self.link(path).await?;
                    Ok::<_, Error>(name.parse().ok().zip(digest))
                }
            })
            .buffered(READERS)
            .try_collect()
            .await?;
        Ok(Contents {
            layers: self.links(&format!("{root}/_layers")).await?,
            manifests: self.links(&format!("{root}/_manifests/revisions")).await?,
            tags: tags.into_iter().flatten().collect(),
        })
    }

    /// The file with the bytes of a digest.
    pub(crate) fn data(digest: &Digest) -> String {
        let (algorithm, hex) = (digest.algorithm(), digest.hex());
        format!("{BELOW}/blobs/{algorithm}/{}/{hex}/data", &hex[..2])
    }

    /// The digests in a folder that have a link.
    async fn links(&self, folder: &str) -> Result<Vec<Digest>, Error> {
        let mut found = Vec::new();
        for algorithm in Algorithm::ALL {
            let folder = format!("{folder}/{algorithm}");
            let names = self.old.folders(&folder).await?;
            let links: Vec<Option<Digest>> = stream::iter(names)
                .map(|hex| {
                    let path = format!("{folder}/{hex}/link");
                    async move {
                        let digest = format!("{algorithm}:{hex}").parse::<Digest>().ok();
                        let link = self.link(path).await?;
                        Ok::<_, Error>(link.filter(|link| digest.as_ref() == Some(link)))
                    }
                })
                .buffered(READERS)
                .try_collect()
                .await?;
            found.extend(links.into_iter().flatten());
        }
        Ok(found)
    }

    /// What a link names, where it is there and names something.
    async fn link(&self, path: String) -> Result<Option<Digest>, Error> {
        let bytes = self.old.file(&path).await?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes.into()).ok());
        Ok(text.and_then(|text| text.trim().parse().ok()))
    }
}
