//! Places, as the command line names them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use wharf_storage::oci::{Reference, RepositoryName, Tag};

/// Why a text names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// There is no path behind the prefix.
    #[error("{0} is followed by a path")]
    Path(&'static str),
    /// The host of a registry can't be read.
    #[error("{0:?} is no host, such as registry.example or 127.0.0.1:5000")]
    Host(String),
    /// The name of a repository can't be read.
    #[error("{name:?}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The prefix is not one that is known.
    #[error("{0} is not a place; oci:DIR, oci-archive:FILE and docker://HOST/NAME are")]
    Prefix(String),
}

/// Where images come from or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder that is an OCI image layout.
    Layout(Files),
    /// Such a folder as a tar file.
    Archive(Files),
    /// Another registry.
    Remote {
        /// Its host, with a port where it has one.
        host: String,
        /// The repository there, where one is named.
        repository: Option<RepositoryName>,
        /// The image, where one is named.
        reference: Option<Reference>,
    },
    /// A repository of this registry.
    Own {
        /// The repository.
        repository: RepositoryName,
        /// The image, where one is named.
        reference: Option<Reference>,
    },
}

/// A layout's folder or file, and what of it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The folder or the file.
    pub path: PathBuf,
    /// The image, where one is named.
    pub reference: Option<Reference>,
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("oci:") {
            return Ok(Self::Layout(files("oci:", rest)?));
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            return Ok(Self::Archive(files("oci-archive:", rest)?));
        }
        if let Some(rest) = text.strip_prefix("docker://") {
            return remote(rest);
        }
        if let Some((prefix, _)) = text.split_once("://") {
            return Err(PlaceError::Prefix(format!("{prefix}://")));
        }
        let (repository, reference) = name(text)?;
        Ok(Self::Own {
            repository,
            reference,
        })
    }
}

fn files(prefix: &'static str, rest: &str) -> Result<Files, PlaceError> {
    let (path, reference) = match rest.rsplit_once('@') {
        Some((path, digest)) if digest.contains(':') => match digest.parse() {
            Ok(digest) => (path, Some(Reference::Digest(digest))),
            Err(_) => (rest, None),
        },
        // What stands behind the last colon is a tag unless it can't be one.
        _ => match rest.rsplit_once(':') {
            Some((path, tag)) => match tag.parse::<Tag>() {
                Ok(tag) => (path, Some(Reference::Tag(tag))),
                Err(_) => (rest, None),
            },
            None => (rest, None),
        },
    };
    if path.is_empty() {
        return Err(PlaceError::Path(prefix));
    }
    Ok(Files {
        path: path.into(),
        reference,
    })
}

fn remote(rest: &str) -> Result<Place, PlaceError> {
    let (host, image) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let is_host = !host.is_empty()
        && host.bytes().all(allowed)
        && url::Url::parse(&format!("http://{host}/")).is_ok();
    if !is_host {
        return Err(PlaceError::Host(host.to_owned()));
    }
    let (repository, reference) = match image {
        "" => (None, None),
        image => {
            let (repository, reference) = name(image)?;
            (Some(repository), reference)
        }
    };
    Ok(Place::Remote {
        host: host.to_lowercase(),
        repository,
        reference,
    })
}

/// `NAME`, `NAME:TAG`, `NAME@DIGEST`; of `NAME:TAG@DIGEST` the digest counts.
fn name(text: &str) -> Result<(RepositoryName, Option<Reference>), PlaceError> {
    let failed = |name: &str, reason: &dyn fmt::Display| PlaceError::Name {
        name: name.to_owned(),
        reason: reason.to_string(),
    };
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            let parsed = digest.parse().map_err(|error| failed(digest, &error))?;
            (rest, Some(Reference::Digest(parsed)))
        }
        None => (text, None),
    };
    let (name, tag) = match rest.split_once(':') {
        Some((name, tag)) => {
            let parsed = tag.parse().map_err(|error| failed(tag, &error))?;
            (name, Some(Reference::Tag(parsed)))
        }
        None => (rest, None),
    };
    let repository = name.parse().map_err(|error| failed(name, &error))?;
    Ok((repository, digest.or(tag)))
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reference = match self {
            Self::Layout(files) => {
                write!(formatter, "oci:{}", files.path.display())?;
                &files.reference
            }
            Self::Archive(files) => {
                write!(formatter, "oci-archive:{}", files.path.display())?;
                &files.reference
            }
            Self::Remote {
                host,
                repository,
                reference,
            } => {
                write!(formatter, "docker://{host}")?;
                if let Some(repository) = repository {
                    write!(formatter, "/{repository}")?;
                }
                reference
            }
            Self::Own {
                repository,
                reference,
            } => {
                repository.fmt(formatter)?;
                reference
            }
        };
        match reference {
            Some(Reference::Tag(tag)) => write!(formatter, ":{tag}"),
            Some(Reference::Digest(digest)) => write!(formatter, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_was_read_is_written_the_same() {
        for text in [
            "oci:dir",
            "oci:/a/b:v1",
            "oci-archive:a.tar:v1",
            &format!("oci:dir@{DIGEST}"),
            "docker://registry.example",
            "docker://127.0.0.1:5000/team/app:v1",
            "docker://[::1]:5000/team/app",
            &format!("docker://localhost/app@{DIGEST}"),
            "team/app",
            "team/app:v1",
            &format!("team/app@{DIGEST}"),
        ] {
            let place: Place = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(place.to_string(), *text);
        }
    }

    #[test]
    fn a_colon_inside_a_path_is_no_tag() {
        let place: Place = "oci:/a:b/dir".parse().expect("a place");
        let files = Files {
            path: "/a:b/dir".into(),
            reference: None,
        };
        assert_eq!(place, Place::Layout(files));
    }

    #[test]
    fn of_a_tag_and_a_digest_the_digest_counts() {
        let place: Place = format!("docker://h/app:v1@{DIGEST}")
            .parse()
            .expect("a place");
        assert_eq!(place.to_string(), format!("docker://h/app@{DIGEST}"));
    }

    #[test]
    fn what_is_no_place_is_told() {
        for text in [
            "",
            "oci:",
            "oci-archive::v1",
            "docker://",
            "docker://user:pass@h/app",
            "docker://h/App",
            "docker://h/app@sha256:00",
            "docker://h/app:",
            "https://h/app",
            "Team/app",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
