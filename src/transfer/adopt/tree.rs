//! The folder of a docker-registry, as it keeps it.
//!
//! ```text
//! docker/registry/v2/
//!   blobs/sha256/ab/<hex>/data                                  bytes of blobs and manifests
//!   repositories/<name>/_layers/sha256/<hex>/link               blobs that a repository has
//!   repositories/<name>/_manifests/revisions/sha256/<hex>/link  manifests that it has
//!   repositories/<name>/_manifests/tags/<tag>/current/link      what a tag names
//! ```
//!
//! A link is a file with a digest. What was deleted has its folder, and no link in it. Everything here
//! blocks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wharf_storage::oci::{Algorithm, Digest, RepositoryName, Tag};

use super::super::Error;

/// Where the tree begins below the root that docker-registry is given.
const BELOW: &str = "docker/registry/v2";

/// A docker-registry's folder.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// What a repository of it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub(super) layers: Vec<Digest>,
    pub(super) manifests: Vec<Digest>,
    pub(super) tags: Vec<(Tag, Digest)>,
}

impl Tree {
    /// The tree of a folder, which is docker-registry's root, or `docker/registry/v2` below it.
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let roots = [folder.join(BELOW), folder.to_owned()];
        let is_tree =
            |root: &PathBuf| root.join("repositories").is_dir() && root.join("blobs").is_dir();
        match roots.into_iter().find(is_tree) {
            Some(root) => Ok(Self { root }),
            None => Err(Error::NotFound {
                place: folder.display().to_string(),
                what: format!("{BELOW} with repositories and blobs"),
            }),
        }
    }

    /// The repositories, and the folders that are like one and have no name that can be used.
    pub(super) fn repositories(&self) -> Result<(Vec<RepositoryName>, Vec<String>), Error> {
        let root = self.root.join("repositories");
        let (mut found, mut unnamed) = (Vec::new(), Vec::new());
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let mut is_repository = false;
            for name in names(&folder)? {
                match name.as_str() {
                    "_manifests" | "_layers" => is_repository = true,
                    name if name.starts_with('_') => {}
                    name => {
                        let below = folder.join(name);
                        if below.is_dir() {
                            folders.push(below);
                        }
                    }
                }
            }
            if is_repository {
                let name = folder
                    .strip_prefix(&root)
                    .unwrap_or(&folder)
                    .to_string_lossy();
                match name.parse() {
                    Ok(name) => found.push(name),
                    Err(_) => unnamed.push(name.into_owned()),
                }
            }
        }
        found.sort_unstable();
        Ok((found, unnamed))
    }

    /// What a repository has.
    pub(super) fn contents(&self, repository: &RepositoryName) -> Result<Contents, Error> {
        let folder = self.root.join("repositories").join(repository.as_str());
        let tags = folder.join("_manifests/tags");
        let mut contents = Contents {
            layers: links(&folder.join("_layers"))?,
            manifests: links(&folder.join("_manifests/revisions"))?,
            tags: Vec::new(),
        };
        for name in names(&tags)? {
            let link = link(&tags.join(&name).join("current/link"))?;
            if let (Ok(tag), Some(digest)) = (name.parse(), link) {
                contents.tags.push((tag, digest));
            }
        }
        Ok(contents)
    }

    /// The file with the bytes of a digest.
    pub(super) fn data(&self, digest: &Digest) -> PathBuf {
        let (algorithm, hex) = (digest.algorithm(), digest.hex());
        let below = format!("blobs/{algorithm}/{}/{hex}/data", &hex[..2]);
        self.root.join(below)
    }
}

/// The digests in a folder that have a link.
fn links(folder: &Path) -> Result<Vec<Digest>, Error> {
    let mut found = Vec::new();
    for algorithm in Algorithm::ALL {
        let folder = folder.join(algorithm.as_str());
        for hex in names(&folder)? {
            let Ok(digest) = format!("{algorithm}:{hex}").parse::<Digest>() else {
                continue;
            };
            if link(&folder.join(&hex).join("link"))?.as_ref() == Some(&digest) {
                found.push(digest);
            }
        }
    }
    Ok(found)
}

/// What a link names, where it is there and names something.
fn link(path: &Path) -> Result<Option<Digest>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(path, source)),
    }
}

/// The names in a folder, which may be missing.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| failed(folder, source))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|source| failed(folder, source))?.file_name();
        names.extend(name.into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    }
}
