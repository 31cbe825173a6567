//! Repository names: lower-case components joined by slashes.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Clients join the host and the name and keep the whole below 256 characters.
const LONGEST: usize = 255;

/// Why a text is no repository name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no characters, or more than 255.
    #[error("a repository name has 1 to 255 characters")]
    Length,
    /// A component is empty or breaks the grammar.
    #[error(
        "a repository name is made of lower-case letters and digits, which '.', '_', '__' or dashes \
         may join, in components separated by '/'"
    )]
    Grammar,
}

/// The name of a repository, such as `team/service/api`.
///
/// Invariant: it matches the specification's grammar
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*` and has at most 255
/// characters; so it holds no `..`, and no slash at either end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Box<str>);

impl RepositoryName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `component` matches `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(component: &str) -> bool {
    let is_word = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let mut rest = component;
    loop {
        let after_word = rest.trim_start_matches(is_word);
        if after_word.len() == rest.len() {
            return false;
        }
        if after_word.is_empty() {
            return true;
        }
        let after_separator = after_word.trim_start_matches(|character| !is_word(character));
        let separator = &after_word[..after_word.len() - after_separator.len()];
        let joins = matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
        if !joins {
            return false;
        }
        rest = after_separator;
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(NameError::Length);
        }
        if !text.split('/').all(is_component) {
            return Err(NameError::Grammar);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_clients_use_are_taken() {
        for text in [
            "a",
            "0",
            "library/ubuntu",
            "a.b/c_d/e__f/g-h/i---j",
            "blobs/uploads/manifests/tags/list",
            "v2",
            &"a".repeat(255),
        ] {
            assert!(text.parse::<RepositoryName>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn names_outside_the_grammar_are_refused() {
        for text in [
            "/", "a/", "/a", "a//b", "A", "a/B", "-a", "a-", ".a", "a..b", "a._b", "a___b", "a_",
            "..", "a/../b", "a b", "a\n", "a%2fb", "ä", "a:b", "a@b", "a\0b", "a.-b",
        ] {
            assert_eq!(
                text.parse::<RepositoryName>(),
                Err(NameError::Grammar),
                "{text:?}"
            );
        }
        for text in ["", &"a".repeat(256)] {
            assert_eq!(text.parse::<RepositoryName>(), Err(NameError::Length));
        }
    }

    proptest! {
        #[test]
        fn every_text_of_the_grammar_is_taken(
            text in "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}){0,3}"
        ) {
            prop_assert!(text.parse::<RepositoryName>().is_ok());
        }

        #[test]
        fn whatever_is_taken_cannot_leave_a_folder(text in "[a-z0-9./_-]{0,40}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert!(name.as_str().split('/').all(|part| !part.is_empty() && !part.starts_with('.')));
            }
        }
    }
}
