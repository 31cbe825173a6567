//! Durations and sizes as texts, such as `24h` and `8MiB`. A bare number is refused: it doesn't
//! say seconds of what.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A longer span is a slip, and would run over where it is added to a time.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// A duration, such as `15s`, `10m` or `1h 30m`, of at most ten years.
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
#[error("{text:?} is no duration such as 15s, 10m or 24h, of at most ten years")]
pub struct SpanError {
    text: String,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let has_unit = text.bytes().any(|byte| byte.is_ascii_alphabetic());
        let parsed = humantime::parse_duration(text).ok();
        let parsed = parsed.filter(|duration| has_unit && *duration <= LONGEST);
        parsed.map(Self).ok_or_else(|| SpanError {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        // The largest unit that tells the span exactly. Days are left out: 24h is what people write.
        let units = [
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        let exact =
            |(unit, _): &(u128, &str)| nanoseconds >= *unit && nanoseconds.is_multiple_of(*unit);
        let (unit, name) = units.into_iter().find(exact).unwrap_or((1, "ns"));
        write!(formatter, "{}{name}", nanoseconds / unit)
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

/// The units of sizes, the largest first; decimal ones are only read.
const BINARY: [(u64, &str); 5] = [
    (1 << 40, "TiB"),
    (1 << 30, "GiB"),
    (1 << 20, "MiB"),
    (1 << 10, "KiB"),
    (1, "B"),
];
const DECIMAL: [(u64, &str); 4] = [
    (1_000_000_000_000, "TB"),
    (1_000_000_000, "GB"),
    (1_000_000, "MB"),
    (1_000, "kB"),
];

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let digits = text.find(|character: char| !character.is_ascii_digit())?;
            let (number, unit) = text.split_at(digits);
            let mut units = BINARY.into_iter().chain(DECIMAL);
            let (factor, _) = units.find(|(_, name)| name.eq_ignore_ascii_case(unit.trim()))?;
            number.parse::<u64>().ok()?.checked_mul(factor).map(Self)
        };
        parse().ok_or_else(|| SizeError {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest unit that tells the number exactly.
        let exact = |(unit, _): &(u64, &str)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        let (unit, name) = BINARY.into_iter().find(exact).unwrap_or((1, "B"));
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_a_unit_and_are_written_in_the_largest_exact_one() {
        for (text, seconds, written) in [
            ("15s", 15, "15s"),
            ("10m", 600, "10m"),
            ("24h", 86_400, "24h"),
            ("1day", 86_400, "24h"),
            ("1h 30m", 5400, "90m"),
            ("0s", 0, "0ns"),
        ] {
            let span: Span = text.parse().expect("a duration");
            assert_eq!(span.duration(), Duration::from_secs(seconds));
            assert_eq!(span.to_string(), written);
        }
        for text in ["", "15", "s", "-1s", "15 parsecs", "0", "100years"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_have_a_unit_and_are_written_in_the_largest_exact_one() {
        for (text, bytes, written) in [
            ("512B", 512, "512B"),
            ("64KiB", 65_536, "64KiB"),
            ("64 kib", 65_536, "64KiB"),
            ("8MiB", 8 << 20, "8MiB"),
            ("1024MiB", 1 << 30, "1GiB"),
            ("1MB", 1_000_000, "1000000B"),
        ] {
            let size: Size = text.parse().expect("a size");
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, written));
        }
        for text in ["", "8", "MiB", "-1B", "1.5MiB", "8 potatoes", "99999999TiB"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_size_reads_back(bytes: u64) {
            let size = Size::new(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn every_span_reads_back(nanoseconds in 0..300_000_000_000_000_000_u64) {
            let span = Span::new(Duration::from_nanos(nanoseconds));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_makes_a_unit_panic(text: String) {
            let _ = (text.parse::<Span>(), text.parse::<Size>());
        }
    }
}
