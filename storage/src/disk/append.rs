//! Hashes and writes what arrives for an upload.
//!
//! Frames of the network are small. They gather to a batch, and while one batch is hashed and
//! written on a blocking thread the next one gathers, so receiving overlaps with both, and bytes
//! are hashed and copied to the page cache while they are hot. A client that is slow holds memory
//! for what waits and no thread.
//!
//! A batch ends where its size divides the offset in the file, and goes out in one call. So the page
//! cache takes it in large aligned pieces, and not page by page.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::blob::Error;
use crate::upload::{Appender, Progress, UploadId};

/// How many bytes gather before they are written. Two batches are in memory for an upload under
/// way: 200 uploads stay near 100 MiB.
const BATCH_BYTES: usize = 256 << 10;

/// How many pieces gather at most, however small they are: as many as one call takes.
const MOST_PIECES: usize = 1024;

/// How many bytes gather in the page cache before the disk is told to begin with them.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// The open end of an upload on disk.
pub(super) struct DiskAppender {
    sink: Sink,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    /// How many bytes end the batch that gathers.
    room: usize,
}

/// Where the file and the hash are.
enum Sink {
    /// Here.
    Idle(Box<Tail>),
    /// With a blocking thread, which brings them back.
    Busy(JoinHandle<Result<Box<Tail>, Error>>),
    /// Lost to a failure; what was written since the last pause doesn't count.
    Failed,
}

struct Tail {
    id: UploadId,
    file: File,
    progress: Progress,
    /// Up to where the disk was told to write.
    told: u64,
}

impl DiskAppender {
    /// Opens the file behind `progress`, dropping what lies beyond. Blocks.
    pub(super) fn open(path: &Path, id: UploadId, progress: Progress) -> Result<Self, Error> {
        let failed = |source| Error::from_io("open upload", id, source);
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length < progress.offset {
            return Err(Error::Short {
                name: id.to_string(),
                actual: length,
            });
        }
        if length > progress.offset {
            file.set_len(progress.offset).map_err(failed)?;
        }
        file.seek(SeekFrom::Start(progress.offset))
            .map_err(failed)?;
        Ok(Self {
            room: room_behind(progress.offset),
            sink: Sink::Idle(Box::new(Tail {
                id,
                file,
                told: progress.offset,
                progress,
            })),
            waiting: Vec::new(),
            waiting_bytes: 0,
        })
    }

    /// Waits until the last batch is written.
    async fn settle(&mut self) -> Result<Box<Tail>, Error> {
        match std::mem::replace(&mut self.sink, Sink::Failed) {
            Sink::Idle(tail) => Ok(tail),
            Sink::Busy(work) => match work.await {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            Sink::Failed => Err(Error::NotFound {
                name: "an upload that failed before".into(),
            }),
        }
    }

    /// Hands what waits to a blocking thread.
    async fn flush(&mut self) -> Result<(), Error> {
        let mut tail = self.settle().await?;
        let batch = std::mem::take(&mut self.waiting);
        self.room = match self.room - std::mem::take(&mut self.waiting_bytes) {
            0 => BATCH_BYTES,
            left => left,
        };
        self.sink = Sink::Busy(spawn_blocking(move || {
            tail.write(&batch)?;
            Ok(tail)
        }));
        Ok(())
    }
}

impl Tail {
    fn write(&mut self, batch: &[Bytes]) -> Result<(), Error> {
        for bytes in batch {
            self.progress.hasher.update(bytes);
            self.progress.offset += bytes.len() as u64;
        }
        write_all(&mut self.file, batch)
            .map_err(|source| Error::from_io("write upload", self.id, source))?;
        if self.progress.offset - self.told >= WRITE_BACK_BYTES {
            write_back(&self.file, self.told..self.progress.offset);
            self.told = self.progress.offset;
        }
        Ok(())
    }
}

/// How many bytes the first batch behind an offset has.
fn room_behind(offset: u64) -> usize {
    let batch = BATCH_BYTES as u64;
    let room = batch - offset % batch;
    usize::try_from(room).expect("it is a batch at most")
}

/// Writes all of a batch, in as few calls as the system takes.
fn write_all(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut rest = slices.as_mut_slice();
    // Leading slices without bytes go at once, or a write of nothing would look like a full disk.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lets the disk begin to write a part of a file, so that the sync at the end finds little to do.
/// That it can't is no matter.
#[expect(
    unsafe_code,
    reason = "the call has no safe form in the libraries that are here"
)]
fn write_back(file: &File, range: Range<u64>) {
    let offset = |bytes: u64| libc::off64_t::try_from(bytes).unwrap_or(libc::off64_t::MAX);
    let (start, length) = (offset(range.start), offset(range.end - range.start));
    // SAFETY: the file is open, and the call touches no memory of ours.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), start, length, libc::SYNC_FILE_RANGE_WRITE);
    }
}

#[async_trait::async_trait]
impl Appender for DiskAppender {
    async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        let mut rest = bytes;
        while self.waiting_bytes + rest.len() >= self.room {
            let last = rest.split_to(self.room - self.waiting_bytes);
            self.waiting.push(last);
            self.waiting_bytes = self.room;
            self.flush().await?;
        }
        if !rest.is_empty() {
            self.waiting_bytes += rest.len();
            self.waiting.push(rest);
        }
        if self.waiting.len() >= MOST_PIECES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn pause(&mut self) -> Result<Progress, Error> {
        if !self.waiting.is_empty() {
            self.flush().await?;
        }
        let tail = self.settle().await?;
        let progress = tail.progress.clone();
        self.sink = Sink::Idle(tail);
        Ok(progress)
    }
}
