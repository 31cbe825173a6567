//! What the row of an upload says of its bytes in the bucket.

use serde::{Deserialize, Serialize};

use crate::blob::Error;
use crate::upload::{Progress, UploadId};

/// The bytes of an upload: parts of a multipart, then pieces that are less than a part together.
///
/// Invariant: the lengths add up to the offset of the progress that it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The store's name for the multipart, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) multipart: Option<String>,
    /// Its parts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Part>,
    /// Objects with what came behind the parts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pieces: Vec<Piece>,
}

/// A part that the store has: its entity tag, which names its content, and its length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part(pub(super) String, pub(super) u64);

/// An object below a part: the last component of its key, and its length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece(pub(super) String, pub(super) u64);

/// What was accepted is the same when it is written and read again.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    let Ok(state) = serde_json::from_str::<State>(text) else {
        return;
    };
    let again: State = serde_json::from_str(&state.text()).expect("what was written can be read");
    assert_eq!(again, state);
    let _ = (state.length(), state.pieces_length());
}

impl State {
    /// The state of a progress.
    pub(super) fn of(id: UploadId, progress: &Progress) -> Result<Self, Error> {
        let state: Self = match progress.state.as_str() {
            "" => Self::default(),
            text => serde_json::from_str(text).map_err(|error| Error::Refused {
                action: "go on with upload",
                name: id.to_string(),
                source: error.into(),
            })?,
        };
        let actual = state.length();
        if actual != progress.offset {
            return Err(Error::Short {
                name: id.to_string(),
                actual,
            });
        }
        Ok(state)
    }

    /// As the row keeps it.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers have a JSON form")
    }

    pub(super) fn pieces_length(&self) -> u64 {
        let pieces = self.pieces.iter().map(|piece| piece.1);
        pieces.fold(0, u64::saturating_add)
    }

    fn length(&self) -> u64 {
        let parts = self.parts.iter().map(|part| part.1);
        parts.fold(self.pieces_length(), u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn a_state_reads_back_and_must_reach_the_offset() {
        let id = UploadId::new(uuid::Uuid::now_v7());
        let state = State {
            multipart: Some("m".into()),
            parts: vec![Part("\"e\"".into(), 16)],
            pieces: vec![Piece("p".into(), 3)],
        };
        assert_eq!(
            state.text(),
            r#"{"multipart":"m","parts":[["\"e\"",16]],"pieces":[["p",3]]}"#
        );
        let at = |offset| Progress {
            offset,
            state: state.text(),
            ..Progress::start(Algorithm::Sha256)
        };
        assert_eq!(State::of(id, &at(19)).expect("a state"), state);
        let short = State::of(id, &at(20));
        assert!(matches!(short, Err(Error::Short { actual: 19, .. })));
        let start = Progress::start(Algorithm::Sha256);
        assert_eq!(State::of(id, &start).expect("empty"), State::default());
    }
}
