//! Hands out the bytes of blobs, as they come from the store.
//!
//! A connection that breaks is taken up again by object_store where it broke, as long as the
//! object is the same. The bytes are counted here, so a stream that ends well had all of them.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _};

use super::Shared;
use super::error::failed;
use crate::blob::{ByteStream, Error, Location};

/// Asks for the range, and hands its bytes on.
pub(super) async fn open(
    shared: &Shared,
    location: &Location,
    range: Range<u64>,
) -> Result<ByteStream, Error> {
    let path = shared.path(location);
    let s3 = &shared.requests.s3;
    let refused = |error| failed("read", location, error);
    if range.is_empty() {
        // A range without bytes can't be asked for.
        s3.head(&path).await.map_err(refused)?;
        return Ok(stream::empty().boxed());
    }
    let options = GetOptions {
        range: Some(GetRange::Bounded(range.clone())),
        ..GetOptions::default()
    };
    let got = s3.get_opts(&path, options).await.map_err(refused)?;
    if got.range.start != range.start {
        let name = location.to_string();
        return Err(Error::Short {
            name,
            actual: got.meta.size,
        });
    }
    let whole = range.end - range.start;
    let is_long_enough = got.meta.size >= range.end;
    let name = location.to_string();
    let bytes = got.into_stream();
    let counted = stream::try_unfold((bytes, 0), move |(mut bytes, mut read)| {
        let (name, start) = (name.clone(), range.start);
        async move {
            match bytes.next().await {
                Some(Ok(chunk)) => {
                    read += chunk.len() as u64;
                    if read > whole {
                        let source = "it sent more than was asked for";
                        return Err(super::error::unavailable("read", name, source));
                    }
                    Ok(Some((chunk, (bytes, read))))
                }
                Some(Err(error)) => Err(failed("read", &name, error)),
                // The object has the rest, so only this answer lacks it.
                None if read < whole && is_long_enough => {
                    let source = "its answer ended too early";
                    Err(super::error::unavailable("read", name, source))
                }
                None if read < whole => Err(Error::Short {
                    name,
                    actual: start + read,
                }),
                None => Ok(None),
            }
        }
    });
    Ok(Box::pin(counted))
}
