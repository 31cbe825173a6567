//! Locations: where in a store the bytes of a blob lie.

use std::fmt;
use std::str::FromStr;

/// Why a text is no location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a location is a relative path without empty, '.' and '..' components")]
pub struct LocationError;

/// The name of a place in a store, such as `sha256/ab/ab…-018f…`.
///
/// Invariant: a relative path of plain components, so it stays inside the store's root. Locations
/// are never used twice: what is pushed again after its removal gets another one, so a removal
/// that comes late can't take the new bytes away.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location(Box<str>);

impl Location {
    /// The location as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain =
            |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\']);
        if !text.split('/').all(is_plain) {
            return Err(LocationError);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_stays_inside_its_store() {
        assert!("sha256/ab/abc-1".parse::<Location>().is_ok());
        for text in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "../b",
            "a/..",
            "a/./b",
            "a\0b",
            "a\\b",
        ] {
            assert_eq!(text.parse::<Location>(), Err(LocationError), "{text:?}");
        }
    }
}
