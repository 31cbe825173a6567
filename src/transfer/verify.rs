//! Bytes are hashed on their way; a stream whose bytes are wrong ends with an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use wharf_storage::oci::{Algorithm, Descriptor, Digest, Manifest, MediaType, Reference};
use wharf_storage::upload::Hasher;

use super::ends::{BlobStream, Fetched, Verified};
use super::{Error, Tally};

/// The bytes of a blob, less the last ones where they are not those of its digest: an error comes in
/// their place. `passed` counts those that went through.
pub(super) fn blob(
    blob: &Descriptor,
    bytes: BlobStream,
    tally: Arc<Tally>,
    passed: Arc<AtomicU64>,
) -> BlobStream {
    let hasher = Hasher::new(blob.digest.algorithm());
    let state = State {
        bytes,
        hasher,
        blob: blob.clone(),
        length: 0,
        held: None,
        tally,
        passed,
    };
    Box::pin(stream::unfold(Some(state), next))
}

struct State {
    bytes: BlobStream,
    hasher: Hasher,
    blob: Descriptor,
    length: u64,
    /// The last piece, held back until it is known that it is right to give it.
    held: Option<Bytes>,
    tally: Arc<Tally>,
    passed: Arc<AtomicU64>,
}

async fn next(state: Option<State>) -> Option<(Result<Bytes, Error>, Option<State>)> {
    let mut state = state?;
    loop {
        match state.bytes.next().await {
            Some(Ok(piece)) => {
                state.hasher.update(&piece);
                state.length += piece.len() as u64;
                if state.length > state.blob.size {
                    return Some((Err(state.wrong_length()), None));
                }
                if let Some(ready) = state.held.replace(piece) {
                    return Some((Ok(state.pass(ready)), Some(state)));
                }
            }
            Some(Err(error)) => return Some((Err(error), None)),
            None => return state.end().map(|last| (last, None)),
        }
    }
}

impl State {
    fn pass(&self, piece: Bytes) -> Bytes {
        Tally::add(&self.tally.bytes_copied, piece.len() as u64);
        self.passed.fetch_add(piece.len() as u64, Ordering::Relaxed);
        piece
    }

    fn wrong_length(&self) -> Error {
        Error::LengthMismatch {
            digest: self.blob.digest.clone(),
            expected: self.blob.size,
            actual: self.length,
        }
    }

    fn end(mut self) -> Option<Result<Bytes, Error>> {
        if self.length != self.blob.size {
            return Some(Err(self.wrong_length()));
        }
        let actual = self.hasher.digest();
        if actual != self.blob.digest {
            let expected = self.blob.digest.clone();
            return Some(Err(Error::DigestMismatch { expected, actual }));
        }
        let last = self.held.take()?;
        Some(Ok(self.pass(last)))
    }
}

/// Reads a manifest, and looks whether it is the one that was asked for.
pub(super) fn manifest(
    fetched: Fetched,
    asked: &Reference,
    listed_as: Option<&MediaType>,
) -> Result<Verified, Error> {
    let algorithm = match asked {
        Reference::Digest(digest) => digest.algorithm(),
        Reference::Tag(_) => Algorithm::Sha256,
    };
    let digest = Digest::of(algorithm, &fetched.bytes);
    if let Reference::Digest(expected) = asked
        && *expected != digest
    {
        return Err(Error::DigestMismatch {
            expected: expected.clone(),
            actual: digest,
        });
    }
    // A server that knows no better says that it is JSON; whoever lists it says more.
    let is_known = |kind: &&MediaType| kind.is_image() || kind.is_index();
    let media_type = fetched.media_type.as_ref().filter(is_known).or(listed_as);
    match Manifest::parse(fetched.bytes, media_type) {
        Ok(manifest) => Ok(Verified { digest, manifest }),
        Err(source) => Err(Error::Manifest { digest, source }),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    async fn through(of: &[u8], size: u64, pieces: &[&[u8]]) -> Result<Vec<u8>, Error> {
        let descriptor = Descriptor {
            media_type: MediaType::known(MediaType::OCI_IMAGE),
            digest: Digest::of(Algorithm::Sha256, of),
            size,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let bytes: BlobStream = Box::pin(stream::iter(pieces));
        let tally = Arc::new(Tally::default());
        let passed = Arc::default();
        let stream = blob(&descriptor, bytes, Arc::clone(&tally), Arc::clone(&passed));
        let all: Vec<Bytes> = stream.try_collect().await?;
        let all = all.concat();
        assert_eq!(passed.load(Ordering::Relaxed), all.len() as u64);
        assert_eq!(Tally::of(&tally.bytes_copied), all.len() as u64);
        Ok(all)
    }

    #[tokio::test]
    async fn bytes_that_are_right_come_through() {
        let all = through(b"abcdef", 6, &[b"ab", b"", b"cdef"]).await;
        assert_eq!(all.expect("they are right"), b"abcdef");
        assert_eq!(through(b"", 0, &[]).await.expect("they are right"), b"");
    }

    #[tokio::test]
    async fn bytes_that_are_wrong_end_with_an_error() {
        let wrong = through(b"abcdef", 6, &[b"ab", b"cdeX"]).await;
        assert!(matches!(wrong, Err(Error::DigestMismatch { .. })));
        for pieces in [&[b"abcd".as_slice()][..], &[b"abcdef", b"g"]] {
            let wrong = through(b"abcdef", 6, pieces).await;
            assert!(matches!(wrong, Err(Error::LengthMismatch { .. })));
        }
    }
}
