//! Hands out the bytes of blobs.
//!
//! Blobs are mapped into memory and handed to the socket a megabyte at a time, without a copy of
//! ours (see [`map`](super::map) for why that is safe, and for what is not in memory). Measured for
//! 1 GiB from the page cache to one client on two cores, this is 1.5 times as fast as reading into
//! buffers with `preadv2`, and streams of tokio's `File` are at half of that. A `sendfile` below
//! hyper, of the file behind the memory that it writes, was as fast for one client and at 0.6 for
//! four: which of the two wins depends on the kernel, and more on what else the caches hold.
//!
//! A whole blob is handed out to its end only if its bytes are right: see [`trust`](super::trust).
//!
//! The maps of blobs that were read lately are kept, so a pull of one that many want opens no file.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::blocking;
use super::map::{Map, Maps};
use super::trust::{Check, Trust};
use crate::blob::{ByteStream, Error, Location};

/// How many bytes are handed out at once.
const CHUNK_BYTES: usize = 1 << 20;

struct Reader {
    map: Arc<Map>,
    trust: Arc<Trust>,
    location: Location,
    rest: Range<usize>,
    /// Whether all of the blob is asked for. What is a part of it can't be checked.
    is_whole: bool,
    /// Set while the bytes are not trusted.
    check: Option<Check>,
}

/// Opens the blob, if it isn't open, and gives the bytes of a part.
pub(super) async fn open(
    maps: Arc<Maps>,
    trust: Arc<Trust>,
    path: PathBuf,
    location: Location,
    range: Range<u64>,
) -> Result<ByteStream, Error> {
    if range.is_empty() {
        return Ok(Box::pin(stream::empty()));
    }
    let map = match maps.get(&location) {
        Some(map) => map,
        None => {
            let name = location.clone();
            let map = blocking(move || map(path, &name)).await?;
            maps.keep(location.clone(), Arc::clone(&map));
            map
        }
    };
    let position = |offset: u64| usize::try_from(offset).map_err(|_| short(&location, &map));
    let rest = position(range.start)?..position(range.end)?;
    let is_whole = rest == (0..map.length());
    let is_checked = is_whole && !trust.has(&location);
    let reader = Reader {
        check: is_checked.then(|| Check::of(&location)).flatten(),
        map,
        trust,
        location,
        rest,
        is_whole,
    };
    Ok(Box::pin(stream::try_unfold(reader, next)))
}

/// Maps a file. Blocks.
fn map(path: PathBuf, location: &Location) -> Result<Arc<Map>, Error> {
    let failed = |source| Error::from_io("open", location, source);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        // An empty file has no memory to map.
        return Err(Error::Short {
            name: location.to_string(),
            actual: 0,
        });
    }
    Map::open(&file).map(Arc::new).map_err(failed)
}

async fn next(mut reader: Reader) -> Result<Option<(Bytes, Reader)>, Error> {
    if reader.rest.is_empty() {
        return Ok(None);
    }
    let there = reader.map.length().saturating_sub(reader.rest.start);
    let length = reader.rest.len().min(CHUNK_BYTES).min(there);
    if length == 0 {
        return Err(short(&reader.location, &reader.map));
    }
    let chunk = reader.rest.start..reader.rest.start + length;
    let is_resident = reader.map.is_resident(&chunk);
    if !is_resident {
        reader.trust.take(&reader.location);
        if reader.is_whole && reader.check.is_none() {
            reader.check = Check::of(&reader.location);
        }
    }
    if !is_resident || reader.check.is_some() {
        reader = fetch(reader, chunk.clone()).await?;
    }
    let bytes = reader.map.slice(chunk);
    reader.rest.start += length;
    Ok(Some((bytes, reader)))
}

/// Brings a part into memory, and checks it where it isn't trusted.
async fn fetch(mut reader: Reader, chunk: Range<usize>) -> Result<Reader, Error> {
    blocking(move || {
        let Some(check) = &mut reader.check else {
            let fetched = reader.map.fetch(&chunk);
            fetched.map_err(|source| Error::from_io("read", &reader.location, source))?;
            return Ok(reader);
        };
        check.reach(&reader.map, &chunk, &reader.location)?;
        if chunk.end == reader.map.length() {
            reader.trust.give(&reader.location);
        }
        Ok(reader)
    })
    .await
}

/// The blob ends before what was asked for does.
fn short(location: &Location, map: &Map) -> Error {
    Error::Short {
        name: location.to_string(),
        actual: map.length() as u64,
    }
}
