//! Durations and sizes as texts, such as `24h` and `8MiB`. A bare number is refused: it doesn't
//! say seconds of what.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// A duration, such as `15s`, `10m` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

impl Span {
    /// The span of a duration.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The span as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

/// Why a text is no span.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{text:?} is no duration such as 15s, 10m or 24h")]
pub struct SpanError {
    text: String,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let has_unit = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        let parsed = humantime::parse_duration(text).ok().filter(|_| has_unit);
        parsed.map(Self).ok_or_else(|| SpanError {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(formatter)
    }
}

/// A number of bytes, such as `64KiB` or `8MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(u64);

impl Size {
    /// The size of so many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes, for what has to fit in memory.
    #[must_use]
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{text:?} is no size such as 512B, 64KiB or 8MiB")]
pub struct SizeError {
    text: String,
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let has_unit = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        let parsed = text.parse::<ByteSize>().ok().filter(|_| has_unit);
        parsed
            .map(|size| Self(size.as_u64()))
            .ok_or_else(|| SizeError {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest unit that tells the number exactly.
        let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let exact = |(unit, _): &(u64, &str)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        let (unit, name) = units.into_iter().find(exact).unwrap_or((1, "B"));
        write!(formatter, "{}{name}", self.0 / unit)
    }
}

/// Serde goes through the text.
macro_rules! through_text {
    ($($name:ident, $error:ident);*) => {$(
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

through_text!(Span, SpanError; Size, SizeError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_read_back() {
        for (text, seconds) in [("15s", 15), ("10m", 600), ("24h", 86_400), ("1h 30m", 5400)] {
            let span: Span = text.parse().expect("a duration");
            assert_eq!(span.duration(), Duration::from_secs(seconds));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for text in ["", "15", "s", "-1s", "15 parsecs", "0"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_have_a_unit_and_read_back() {
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65_536),
            ("8MiB", 8 << 20),
            ("1GiB", 1 << 30),
        ] {
            let size: Size = text.parse().expect("a size");
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, text));
        }
        for text in ["", "8", "MiB", "-1B", "8 potatoes"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}
