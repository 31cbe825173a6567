//! Who is calling.

use std::fmt;

/// Somebody, or something, that calls the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A caller that didn't say who it is.
    Anonymous,
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => formatter.write_str("anonymous"),
        }
    }
}
