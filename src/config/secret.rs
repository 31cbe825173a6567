//! Texts that nobody is shown.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands for a secret where a configuration is printed.
const HIDDEN: &str = "***";

/// A secret of the configuration. It is printed as a placeholder, which is no value that a server
/// would start with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for whom it is meant.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it was copied from where a configuration was printed.
    pub(super) fn is_placeholder(&self) -> bool {
        self.0 == HIDDEN
    }

    fn shown(&self) -> &'static str {
        if self.is_empty() { "" } else { HIDDEN }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The usual message for another type would have the value in it.
        match toml::Value::deserialize(deserializer) {
            Ok(toml::Value::String(text)) => Ok(Self(text)),
            _ => Err(D::Error::custom("a text was expected")),
        }
    }
}
