//! Hands out the bytes of blobs.
//!
//! Bytes that are in the page cache are copied on the spot (`RWF_NOWAIT`), since a hop to another
//! thread costs more than the copy; bytes that the disk must fetch are read on a blocking thread,
//! so that no request waits behind another one's disk.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::spawn_blocking;

use super::blocking;
use crate::blob::{ByteStream, Error, Location};

/// How many bytes are handed out at once.
const CHUNK_BYTES: u64 = 256 << 10;

struct Reader {
    file: Arc<File>,
    location: Location,
    rest: Range<u64>,
}

/// Opens the file and reads its first chunk, which for most blobs is all of it.
pub(super) async fn open(
    path: PathBuf,
    location: Location,
    range: Range<u64>,
) -> Result<ByteStream, Error> {
    let (first, reader) = blocking(move || {
        let failed = |source| Error::from_io("open", &location, source);
        let file = File::open(path).map_err(failed)?;
        let mut chunk = vec![0; chunk_length(&range)];
        let read = read_up_to(&file, &mut chunk, range.start);
        let read = read.map_err(|source| Error::from_io("read", &location, source))?;
        let mut reader = Reader {
            file: Arc::new(file),
            location,
            rest: range,
        };
        let first = reader.take(chunk, read)?;
        Ok((first, reader))
    })
    .await?;
    Ok(Box::pin(stream::try_unfold((Some(first), reader), next)))
}

async fn next(
    (ready, mut reader): (Option<Bytes>, Reader),
) -> Result<Option<(Bytes, (Option<Bytes>, Reader))>, Error> {
    let bytes = match ready {
        Some(bytes) => bytes,
        None => reader.read().await?,
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some((bytes, (None, reader))))
}

impl Reader {
    async fn read(&mut self) -> Result<Bytes, Error> {
        let mut chunk = vec![0; chunk_length(&self.rest)];
        if chunk.is_empty() {
            return Ok(Bytes::new());
        }
        if let Some(read) = read_cached(&self.file, &mut chunk, self.rest.start) {
            return self.take(chunk, read);
        }
        let (file, start) = (Arc::clone(&self.file), self.rest.start);
        let work = spawn_blocking(move || {
            let read = read_up_to(&file, &mut chunk, start)?;
            Ok((chunk, read))
        });
        let (chunk, read) = work
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .map_err(|source| Error::from_io("read", &self.location, source))?;
        self.take(chunk, read)
    }

    /// Takes the first `read` bytes of `chunk` as the next ones of the range.
    fn take(&mut self, mut chunk: Vec<u8>, read: usize) -> Result<Bytes, Error> {
        if read == 0 && self.rest.start < self.rest.end {
            let name = self.location.to_string();
            return Err(Error::Short {
                name,
                actual: self.rest.start,
            });
        }
        chunk.truncate(read);
        self.rest.start += read as u64;
        Ok(Bytes::from(chunk))
    }
}

fn chunk_length(rest: &Range<u64>) -> usize {
    let length = rest.end.saturating_sub(rest.start).min(CHUNK_BYTES);
    usize::try_from(length).expect("a chunk fits in memory")
}

/// Reads until the chunk is full or the file ends. Blocks.
fn read_up_to(file: &File, chunk: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read_at(&mut chunk[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads what can be had without waiting for the disk, if anything.
fn read_cached(file: &File, chunk: &mut [u8], offset: u64) -> Option<usize> {
    let buffers = &mut [IoSliceMut::new(chunk)];
    loop {
        match rustix::io::preadv2(file, buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(0) => return None,
            Ok(read) => return Some(read),
            Err(Errno::INTR) => {}
            // Not cached, or a filesystem that can't tell: the blocking way says what is wrong.
            Err(_) => return None,
        }
    }
}
