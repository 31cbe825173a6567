//! Names of images: `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An image as a caller names it, in our registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    /// Its repository.
    pub(crate) repository: String,
    /// A tag or a digest.
    pub(crate) reference: String,
}

/// An image that can't change any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pinned {
    /// `HOST/REPOSITORY`, as the engine reaches it.
    pub(crate) name: String,
    /// Its digest.
    pub(crate) digest: String,
}

impl Image {
    /// Reads a name; nothing where it is of none of these hosts, or is no name.
    pub(crate) fn parse(text: &str, hosts: &[String]) -> Option<Self> {
        let (host, rest) = text.split_once('/')?;
        if !hosts.iter().any(|known| known == host) {
            return None;
        }
        let (repository, reference) = match rest.split_once('@') {
            // A tag beside a digest says nothing more.
            Some((name, digest)) => (name.split(':').next()?, digest),
            None => rest.split_once(':').unwrap_or((rest, "latest")),
        };
        let is_name = |text: &str, more: &[u8]| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
            !text.is_empty() && text.bytes().all(is_plain)
        };
        let is_sane = is_name(repository, b"/._-") && is_name(reference, b"._-:");
        let is_clean = !repository
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."));
        (is_sane && is_clean).then(|| Self {
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        })
    }

    /// Whether it names a digest.
    pub(crate) fn is_pinned(&self) -> bool {
        self.reference.contains(':')
    }
}

/// What is accepted is a name of this registry, and leads nowhere else.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let hosts = ["h.example:5000".to_owned()];
    let Some(image) = Image::parse(text, &hosts) else {
        return;
    };
    assert!(text.starts_with("h.example:5000/"));
    let whole = format!("{}:{}", image.repository, image.reference);
    assert!(whole.is_ascii() && !whole.contains([' ', '@', '%', '?', '#', '\\', '\n']));
    let mut parts = image.repository.split('/');
    assert!(parts.all(|part| !matches!(part, "" | "." | "..")));
}

impl fmt::Display for Pinned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.name, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_this_registry_are_read() {
        let hosts = ["127.0.0.1:5000".to_owned(), "registry.example".to_owned()];
        for (text, want) in [
            ("127.0.0.1:5000/team/app:1", Some(("team/app", "1"))),
            ("registry.example/app", Some(("app", "latest"))),
            (
                "registry.example/app:1@sha256:ab",
                Some(("app", "sha256:ab")),
            ),
            ("docker.io/library/busybox", None),
            ("busybox", None),
            ("registry.example/../leases:1", None),
            ("registry.example/a?b=c:1", None),
            ("registry.example/app:", None),
        ] {
            let image = Image::parse(text, &hosts);
            let read = image.map(|image| (image.repository, image.reference));
            let want = want.map(|(one, other)| (one.to_owned(), other.to_owned()));
            assert_eq!(read, want, "{text}");
        }
    }
}
