//! Bytes that gather until they are sent.
//!
//! All uploads share one allowance of memory. While there is some, bytes gather there; an upload
//! that finds none left gathers in a file without a name in the data folder, which the page cache
//! mostly keeps from the disk. So nobody waits for memory that a slow client holds, and 200
//! uploads at once need no more of it than a few.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::blob::Error;

/// How many bytes of a file are sent at once.
const CHUNK_BYTES: u64 = 128 << 10;

/// Where bytes may gather, and how many requests may send some at once.
#[derive(Debug)]
pub(super) struct Room {
    memory: Arc<Semaphore>,
    pub(super) senders: Arc<Semaphore>,
    spool: PathBuf,
}

impl Room {
    pub(super) fn new(memory_bytes: usize, senders: usize, spool: PathBuf) -> Self {
        Self {
            memory: Arc::new(Semaphore::new(memory_bytes)),
            senders: Arc::new(Semaphore::new(senders)),
            spool,
        }
    }
}

/// Bytes in the order that they came in.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    segments: Vec<Segment>,
    /// Open for more.
    file: Option<Arc<File>>,
    file_bytes: u64,
    length: u64,
}

#[derive(Debug)]
enum Segment {
    Memory {
        bytes: Bytes,
        _allowance: OwnedSemaphorePermit,
    },
    File {
        file: Arc<File>,
        start: u64,
        length: u64,
    },
}

impl Gathered {
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Takes more bytes, in a buffer of just their length.
    pub(super) async fn push(&mut self, room: &Room, bytes: Bytes) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let allowance = u32::try_from(length).ok().and_then(|permits| {
            let memory = Arc::clone(&room.memory);
            memory.try_acquire_many_owned(permits).ok()
        });
        match allowance {
            Some(allowance) => self.segments.push(Segment::Memory {
                bytes,
                _allowance: allowance,
            }),
            None => self.spill(room, bytes).await?,
        }
        self.length += length;
        Ok(())
    }

    async fn spill(&mut self, room: &Room, bytes: Bytes) -> Result<(), Error> {
        let (open, spool, start) = (self.file.take(), room.spool.clone(), self.file_bytes);
        let length = bytes.len() as u64;
        let file = blocking(move || {
            let file = match open {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile_in(spool)?),
            };
            file.write_all_at(&bytes, start)?;
            Ok(file)
        });
        let file = file
            .await
            .map_err(|source| Error::from_io("spool", "an upload", source))?;
        self.segments.push(Segment::File {
            file: Arc::clone(&file),
            start,
            length,
        });
        self.file = Some(file);
        self.file_bytes += length;
        Ok(())
    }

    /// Takes what `other` has behind what is here; no more can be pushed.
    pub(super) fn join(&mut self, other: Self) {
        self.segments.extend(other.segments);
        self.length += other.length;
        self.file = None;
    }

    /// The SHA-256 that requests are signed with.
    pub(super) async fn hash(self: &Arc<Self>) -> Result<[u8; 32], Error> {
        let own = Arc::clone(self);
        let hashed = blocking(move || {
            let mut hasher = Sha256::new();
            for segment in &own.segments {
                match segment {
                    Segment::Memory { bytes, .. } => hasher.update(bytes),
                    Segment::File {
                        file,
                        start,
                        length,
                    } => {
                        let mut chunk = vec![0; CHUNK_BYTES as usize];
                        for (at, size) in chunks(*start, *length) {
                            file.read_exact_at(&mut chunk[..size], at)?;
                            hasher.update(&chunk[..size]);
                        }
                    }
                }
            }
            Ok(hasher.finalize().into())
        });
        hashed
            .await
            .map_err(|source| Error::from_io("read what was spooled of", "an upload", source))
    }

    /// All bytes, as often as a request has to be made.
    pub(super) fn stream(
        self: &Arc<Self>,
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
        let own = Arc::clone(self);
        let indices = stream::iter(0..own.segments.len());
        indices.flat_map(move |index| match &own.segments[index] {
            Segment::Memory { bytes, .. } => {
                let bytes = bytes.clone();
                stream::once(async move { Ok(bytes) }).boxed()
            }
            Segment::File {
                file,
                start,
                length,
            } => {
                let file = Arc::clone(file);
                let chunks: Vec<_> = chunks(*start, *length).collect();
                stream::iter(chunks)
                    .then(move |(at, size)| {
                        let file = Arc::clone(&file);
                        blocking(move || {
                            let mut chunk = vec![0; size];
                            file.read_exact_at(&mut chunk, at)?;
                            Ok(chunk.into())
                        })
                    })
                    .boxed()
            }
        })
    }
}

/// The places and lengths that a part of a file is read in.
fn chunks(start: u64, length: u64) -> impl Iterator<Item = (u64, usize)> {
    let steps = (0..length).step_by(CHUNK_BYTES as usize);
    steps.map(move |at| {
        let size = CHUNK_BYTES.min(length - at);
        (start + at, usize::try_from(size).expect("a chunk is small"))
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    match spawn_blocking(work).await {
        Ok(outcome) => outcome,
        // Work on files is never cancelled, so the join failed by a panic of ours.
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn what_has_no_room_in_memory_waits_in_a_file_and_keeps_its_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let room = Room::new(600_000, 1, folder.path().to_owned());
        let content: Bytes = (0..2_000_000_u32).map(|n| (n ^ (n >> 9)) as u8).collect();
        let mut gathered = Gathered::default();
        for start in (0..content.len()).step_by(250_000) {
            let bytes = content.slice(start..start + 250_000);
            gathered.push(&room, bytes).await.expect("taken");
        }
        assert_eq!(room.memory.available_permits(), 100_000);
        let mut whole = Gathered::default();
        whole
            .push(&room, Bytes::from_static(b"head"))
            .await
            .expect("taken");
        whole.join(gathered);
        let whole = Arc::new(whole);
        assert_eq!(whole.length(), 2_000_004);
        let expected = [b"head", content.as_ref()].concat();
        for _ in 0..2 {
            let pieces: Vec<Bytes> = whole.stream().try_collect().await.expect("read");
            assert_eq!(pieces.concat(), expected);
        }
        let hash: [u8; 32] = Sha256::digest(&expected).into();
        assert_eq!(whole.hash().await.expect("hashed"), hash);
        drop(whole);
        assert_eq!(room.memory.available_permits(), 600_000);
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0);
    }
}
