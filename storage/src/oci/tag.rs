//! Tags: the movable names of manifests.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Digest;

const LONGEST: usize = 128;

/// Why a text is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tag has 1 to 128 characters: letters, digits, '_', and behind the first one also '.' and '-'"
)]
pub struct TagError;

/// A movable name of a manifest in a repository.
///
/// Invariant: it matches `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Box<str>);

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which clients without the referrers API keep the list of a subject's
    /// referrers: the digest with a dash for its colon, cut to what a tag may hold.
    ///
    /// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema>
    #[must_use]
    pub fn of_referrers(subject: &Digest) -> Self {
        let algorithm = &subject.algorithm().as_str()[..subject.algorithm().as_str().len().min(32)];
        let hex = &subject.hex()[..subject.hex().len().min(64)];
        Self(format!("{algorithm}-{hex}").into())
    }

    /// The digest that the tag refers to, where it is `sha256-<hex>` or goes on behind that with a
    /// dot: the tag of referrers, and what cosign makes of it, such as `sha256-<hex>.sig`.
    #[must_use]
    pub fn subject(&self) -> Option<Digest> {
        let (algorithm, rest) = self.0.split_once('-')?;
        let hex = rest.split('.').next().unwrap_or_default();
        match algorithm {
            "sha256" => format!("{algorithm}:{hex}").parse().ok(),
            _ => None,
        }
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_first = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let is_later = |byte: &u8| is_first(byte) || matches!(byte, b'.' | b'-');
        let fits = text.len() <= LONGEST
            && text.as_bytes().first().is_some_and(is_first)
            && text.as_bytes().iter().all(is_later);
        if !fits {
            return Err(TagError);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0.into()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn tags_follow_the_grammar() {
        for text in [
            "latest",
            "v1.2.3-rc.1",
            "_",
            "A",
            "1__2..--",
            &"t".repeat(128),
        ] {
            assert!(text.parse::<Tag>().is_ok(), "{text:?}");
        }
        for text in [
            "",
            ".a",
            "-a",
            "a b",
            "a/b",
            "a:b",
            "a\n",
            "ä",
            "a+b",
            &"t".repeat(129),
        ] {
            assert_eq!(text.parse::<Tag>(), Err(TagError), "{text:?}");
        }
    }

    #[test]
    fn the_referrers_tag_of_any_digest_is_a_tag() {
        for algorithm in Algorithm::ALL {
            let tag = Tag::of_referrers(&Digest::of(algorithm, b"subject"));
            assert_eq!(tag.as_str().parse(), Ok(tag.clone()));
            assert_eq!(tag.as_str().len(), 6 + 1 + 64);
        }
    }

    #[test]
    fn a_tag_of_a_digest_refers_to_it() {
        let digest = Digest::of(Algorithm::Sha256, b"subject");
        let own = Tag::of_referrers(&digest);
        let upper = format!("sha256-{}", digest.hex().to_uppercase());
        for (text, want) in [
            (own.as_str(), Some(&digest)),
            (&format!("{own}.sig"), Some(&digest)),
            (&format!("{own}.att.more"), Some(&digest)),
            (&format!("{own}-sig"), None),
            (&own.as_str()[..70], None),
            (&upper, None),
            ("sha256", None),
            ("v1-beta", None),
        ] {
            let tag: Tag = text.parse().expect("a tag");
            assert_eq!(tag.subject().as_ref(), want, "{text}");
        }
    }
}
