//! Hashes what arrives for an upload, and sends it in parts.
//!
//! Bytes gather to a part; while it is sent, the next one gathers. What is less than a part when a
//! request ends is written as an object of its own, a piece. Pieces are never written again under
//! the same key, so what the row names stays as it is, whoever else may write; the next part
//! begins with reading them back.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::multipart::MultipartStore as _;
use object_store::{Attribute, Attributes, PutMultipartOptions};
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::error::failed;
use super::gather::Gathered;
use super::parts::MOST_PARTS;
use super::state::{Part, Piece, State};
use super::{CONTENT_TYPE, Shared, WHOLE, place};
use crate::blob::{BlobStore as _, Error};
use crate::upload::{Appender, Hasher, Progress, UploadId};

/// How many bytes gather before they are hashed. The frames that they come in hold buffers of a
/// connection that are larger, so more of them would cost much with 200 uploads under way.
const BATCH_BYTES: usize = 64 << 10;

/// How many parts of an upload are sent at once.
const FLIGHTS: usize = 2;

/// With this many pieces they are written again as one.
const MOST_PIECES: usize = 32;

/// The open end of an upload.
pub(super) struct S3Appender {
    shared: Arc<Shared>,
    id: UploadId,
    /// As far as the store has the bytes for sure.
    settled: Progress,
    state: State,
    /// Taken to a blocking thread and brought back; lost with a failure.
    hasher: Option<Hasher>,
    offset: u64,
    /// What the part that gathers begins with.
    pieces: Vec<Piece>,
    gathered: Gathered,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    flights: VecDeque<Flight>,
}

/// A part on its way.
struct Flight {
    sent: AbortOnDropHandle<Result<Part, Error>>,
    /// Where the upload stands when it has arrived.
    offset: u64,
    hasher: Hasher,
}

impl S3Appender {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: UploadId,
        progress: Progress,
    ) -> Result<Self, Error> {
        let state = State::of(id, &progress)?;
        Ok(Self {
            shared,
            id,
            hasher: Some(progress.hasher.clone()),
            offset: progress.offset,
            pieces: state.pieces.clone(),
            settled: progress,
            state,
            gathered: Gathered::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            flights: VecDeque::new(),
        })
    }

    /// How long the part that gathers becomes.
    fn part_length(&self) -> Result<u64, Error> {
        let index = (self.state.parts.len() + self.flights.len()) as u64;
        if index >= MOST_PARTS {
            return Err(Error::TooLarge {
                name: self.id.to_string(),
                limit: self.shared.lengths.most(),
            });
        }
        Ok(self.shared.lengths.of(index))
    }

    /// Hashes and gathers what waits, and sends the parts that get full.
    async fn flush(&mut self) -> Result<(), Error> {
        let mut batch: VecDeque<Bytes> = std::mem::take(&mut self.waiting).into();
        self.waiting_bytes = 0;
        while !batch.is_empty() {
            let length = self.part_length()?;
            let taken = take_up_to(&mut batch, length.saturating_sub(self.filled()));
            if !taken.is_empty() {
                self.gather(taken).await?;
            }
            if self.filled() >= length {
                self.launch().await?;
            }
        }
        Ok(())
    }

    /// How much the part that gathers has.
    fn filled(&self) -> u64 {
        let pieces: u64 = self.pieces.iter().map(|piece| piece.1).sum();
        pieces + self.gathered.length()
    }

    async fn gather(&mut self, frames: Vec<Bytes>) -> Result<(), Error> {
        let mut hasher = self.hasher.take().ok_or_else(|| gave_up(self.id))?;
        let work = spawn_blocking(move || {
            // One buffer of just their length: frames may be parts of larger ones.
            let bytes = Bytes::from(frames.concat());
            hasher.update(&bytes);
            (hasher, bytes)
        });
        let (hasher, bytes) = work
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let length = bytes.len() as u64;
        self.gathered.push(&self.shared.room, bytes).await?;
        self.hasher = Some(hasher);
        self.offset += length;
        Ok(())
    }

    /// Sends what has gathered as a part.
    async fn launch(&mut self) -> Result<(), Error> {
        while self.flights.len() >= FLIGHTS {
            self.land().await?;
        }
        let multipart = self.multipart().await?;
        let number = self.state.parts.len() + self.flights.len() + 1;
        let (pieces, gathered) = (
            std::mem::take(&mut self.pieces),
            std::mem::take(&mut self.gathered),
        );
        let (shared, id) = (Arc::clone(&self.shared), self.id);
        let send = async move {
            let _sender = shared.room.senders.acquire().await;
            let body = with_pieces(&shared, id, &pieces, gathered).await?;
            let path = shared.path(&place(id, WHOLE));
            let requests = &shared.requests;
            let tag = requests.put_part(&path, &multipart, number, &body).await?;
            Ok(Part(tag, body.length()))
        };
        self.flights.push_back(Flight {
            sent: AbortOnDropHandle::new(tokio::spawn(send)),
            offset: self.offset,
            hasher: self.hasher.clone().ok_or_else(|| gave_up(self.id))?,
        });
        Ok(())
    }

    /// The store's name for the multipart, which begins with the first part.
    async fn multipart(&mut self) -> Result<String, Error> {
        if let Some(multipart) = &self.state.multipart {
            return Ok(multipart.clone());
        }
        let path = self.shared.path(&place(self.id, WHOLE));
        let options = PutMultipartOptions {
            attributes: Attributes::from_iter([(Attribute::ContentType, CONTENT_TYPE)]),
            ..PutMultipartOptions::default()
        };
        let requests = &self.shared.requests;
        let begin = || async {
            let made = requests.s3.create_multipart_opts(&path, options.clone());
            made.await
                .map_err(|error| failed("begin upload", &self.id, error))
        };
        let multipart = requests.patiently(begin).await?;
        self.state.multipart = Some(multipart.clone());
        Ok(multipart)
    }

    /// Waits for the first part on its way.
    async fn land(&mut self) -> Result<(), Error> {
        let Some(flight) = self.flights.pop_front() else {
            return Ok(());
        };
        let sent = flight.sent.await;
        let part = sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let part = part.inspect_err(|_| self.hasher = None)?;
        self.state.parts.push(part);
        self.state.pieces.clear();
        self.settle(flight.offset, flight.hasher);
        Ok(())
    }

    fn settle(&mut self, offset: u64, hasher: Hasher) {
        self.settled = Progress {
            offset,
            hasher,
            state: self.state.text(),
        };
    }

    /// Writes what is less than a part as an object of its own.
    async fn write_piece(&mut self) -> Result<(), Error> {
        let mut body = std::mem::take(&mut self.gathered);
        if self.pieces.len() >= MOST_PIECES {
            let pieces = std::mem::take(&mut self.pieces);
            let mut whole = read_pieces(&self.shared, self.id, &pieces).await?;
            whole.join(body);
            body = whole;
        }
        let body = Arc::new(body);
        let name = Uuid::now_v7().as_simple().to_string();
        let path = self.shared.path(&place(self.id, &name));
        let _sender = self.shared.room.senders.acquire().await;
        self.shared.requests.put(&path, &body).await?;
        self.pieces.push(Piece(name, body.length()));
        Ok(())
    }
}

#[async_trait::async_trait]
impl Appender for S3Appender {
    async fn append(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<Progress, Error> {
        while self
            .flights
            .front()
            .is_some_and(|flight| flight.sent.is_finished())
        {
            self.land().await?;
        }
        Ok(self.settled.clone())
    }

    async fn pause(&mut self) -> Result<Progress, Error> {
        self.flush().await?;
        while !self.flights.is_empty() {
            self.land().await?;
        }
        if self.gathered.length() > 0 {
            self.write_piece().await?;
            self.state.pieces.clone_from(&self.pieces);
            let hasher = self.hasher.clone().ok_or_else(|| gave_up(self.id))?;
            self.settle(self.offset, hasher);
        }
        Ok(self.settled.clone())
    }
}

/// What an appender says that failed before.
fn gave_up(id: UploadId) -> Error {
    Error::NotFound {
        name: format!("the end of upload {id}, which failed before"),
    }
}

/// Takes frames from the front, `most` bytes at most.
fn take_up_to(batch: &mut VecDeque<Bytes>, most: u64) -> Vec<Bytes> {
    let mut room = usize::try_from(most).unwrap_or(usize::MAX);
    let mut taken = Vec::new();
    while room > 0
        && let Some(mut frame) = batch.pop_front()
    {
        let rest = frame.split_off(frame.len().min(room));
        room -= frame.len();
        taken.push(frame);
        if !rest.is_empty() {
            batch.push_front(rest);
        }
    }
    taken
}

/// What a part or a blob is made of: the pieces, and what has gathered behind them.
pub(super) async fn with_pieces(
    shared: &Arc<Shared>,
    id: UploadId,
    pieces: &[Piece],
    gathered: Gathered,
) -> Result<Arc<Gathered>, Error> {
    if pieces.is_empty() {
        return Ok(Arc::new(gathered));
    }
    let mut whole = read_pieces(shared, id, pieces).await?;
    whole.join(gathered);
    Ok(Arc::new(whole))
}

async fn read_pieces(
    shared: &Arc<Shared>,
    id: UploadId,
    pieces: &[Piece],
) -> Result<Gathered, Error> {
    let store = super::S3Store {
        shared: Arc::clone(shared),
    };
    let mut whole = Gathered::default();
    for Piece(name, length) in pieces {
        let mut stream = store.read(&place(id, name), 0..*length).await?;
        while let Some(bytes) = stream.try_next().await? {
            whole.push(&shared.room, bytes).await?;
        }
    }
    Ok(whole)
}
