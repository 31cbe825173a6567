//! The names of uploads.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::clock::Timestamp;

/// Why a text is no upload's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upload is named by a UUID in its usual form")]
pub struct UploadIdError;

/// The name of an upload, a UUID that is also the generation of the blob it becomes.
///
/// Invariant: its text is the hyphenated lower-case form, so it is safe as a file's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Uuid);

impl UploadId {
    /// The name that is this UUID. Uploads take version 7, whose order is that of their start.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The first name that an upload can have which begins at `moment`.
    #[must_use]
    pub fn first_at(moment: Timestamp) -> Self {
        let milliseconds = u64::try_from(moment.as_micros() / 1000).unwrap_or_default();
        let builder = uuid::Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]);
        Self(builder.into_uuid())
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text).map_err(|_| UploadIdError)?;
        let id = Self(uuid);
        // The parser also takes braces, upper case and other forms; one name has one text.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(UploadIdError)
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(formatter)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_beginnings() {
        let now = Uuid::now_v7();
        let (seconds, _) = now.get_timestamp().expect("version 7").to_unix();
        let at = |seconds| UploadId::first_at(Timestamp::from_seconds(seconds));
        let seconds = i64::try_from(seconds).expect("this century");
        assert!(at(seconds) <= UploadId::new(now));
        assert!(at(seconds + 1) > UploadId::new(now));
        assert!(at(-1) <= at(0));
    }

    #[test]
    fn one_upload_has_one_text() {
        let text = "018f4e9c-7b1a-7c3d-8e5f-0123456789ab";
        assert_eq!(
            text.parse::<UploadId>().map(|id| id.to_string()),
            Ok(text.to_owned())
        );
        for other in [
            "",
            "..",
            "018F4E9C-7B1A-7C3D-8E5F-0123456789AB",
            "018f4e9c7b1a7c3d8e5f0123456789ab",
            "{018f4e9c-7b1a-7c3d-8e5f-0123456789ab}",
        ] {
            assert_eq!(other.parse::<UploadId>(), Err(UploadIdError), "{other:?}");
        }
    }
}
