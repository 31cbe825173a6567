//! Bytes from files and into them, on blocking threads.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::super::Error;
use super::super::ends::BlobStream;

/// How many bytes are read at once.
const PIECE: u64 = 1 << 20;
/// How many pieces wait for a blocking thread.
const WAITING: usize = 4;

/// Runs work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let joined = spawn_blocking(work).await;
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// A part of a file as a stream.
pub(super) fn of_file(file: File, path: PathBuf, start: u64, length: u64) -> BlobStream {
    let state = (Arc::new(file), start, length);
    Box::pin(stream::try_unfold(state, move |(file, at, left)| {
        let path = path.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let length = left.min(PIECE);
            let source = Arc::clone(&file);
            let piece = blocking(move || {
                let mut piece = vec![0; usize::try_from(length).expect("a piece fits in memory")];
                let read = source.read_exact_at(&mut piece, at);
                read.map_err(|source| Error::Io {
                    action: "read",
                    path,
                    source,
                })?;
                Ok(Bytes::from(piece))
            })
            .await?;
            Ok(Some((piece, (file, at + length, left - length))))
        }
    }))
}

/// The bytes of a stream, for a blocking thread. It ends with an error where the stream did, or was
/// dropped.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    is_whole: bool,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.is_whole {
            match self.receiver.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.is_whole = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = into.len().min(self.piece.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// Gives a stream to work on a blocking thread. The stream's failure is told before the work's.
pub(super) async fn into_work<T: Send + 'static>(
    mut bytes: BlobStream,
    work: impl FnOnce(Pieces) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let pieces = Pieces {
        receiver,
        piece: Bytes::new(),
        is_whole: false,
    };
    let work = spawn_blocking(move || work(pieces));
    let mut broken = None;
    while let Some(piece) = bytes.next().await {
        match piece {
            // Work that ended early says why.
            Ok(piece) => {
                if sender.send(Some(piece)).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
    }
    if broken.is_none() {
        let _ = sender.send(None).await;
    }
    drop(sender);
    let joined = work.await;
    let done = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    match broken {
        Some(error) => Err(error),
        None => done,
    }
}
