//! Finds what nobody finished.
//!
//! Names of uploads are in the order of their beginnings, so the objects of a time stand together
//! in the bucket, and only those are listed. Multiparts have a list of their own, which not every
//! store gives.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::{failed, unavailable};
use super::{Shared, WHOLE, place};
use crate::blob::{Error, Location};
use crate::clock::Timestamp;
use crate::upload::{Leftover, UploadId};

/// How far back a server looks that has just started.
const WINDOW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many objects are told at once, at least.
const PAGE: usize = 1000;

/// How many pages of multiparts are asked for at most: a store that always says there is more
/// would keep us busy for ever.
const MOST_PAGES: usize = 1000;

/// The objects of uploads behind `after` that were written before `until`.
pub(super) async fn objects(
    shared: &Shared,
    after: Option<UploadId>,
    until: Timestamp,
) -> Result<Vec<Leftover>, Error> {
    let after = after.unwrap_or_else(|| UploadId::first_at(until.before(WINDOW)));
    let folder = shared.folder("data");
    // Behind all that this upload has.
    let offset = shared.path(&place(after, "zz"));
    let mut listed = shared.requests.s3.list_with_offset(Some(&folder), &offset);
    let mut found: Vec<Leftover> = Vec::new();
    let failed = |error| failed("list", &folder, error);
    while let Some(object) = listed.try_next().await.map_err(failed)? {
        let Some((id, location)) = understand(shared, &object.location) else {
            continue;
        };
        if id >= UploadId::first_at(until) {
            break;
        }
        let last = found.last().map(Leftover::upload);
        if found.len() >= PAGE && last != Some(id) {
            break;
        }
        if object.last_modified.timestamp_micros() < until.as_micros() {
            found.push(Leftover::Object(id, location));
        }
    }
    Ok(found)
}

/// The upload and the location of a key.
fn understand(shared: &Shared, path: &Path) -> Option<(UploadId, Location)> {
    let text = path.as_ref();
    let text = match shared.prefix.as_str() {
        "" => text,
        prefix => text.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let location: Location = text.parse().ok()?;
    Some((super::maker(&location)?, location))
}

/// A page of the list of open multiparts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Multiparts {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Multipart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Multipart {
    key: String,
    upload_id: String,
    initiated: String,
}

impl Multiparts {
    fn read(body: &[u8]) -> Result<Self, quick_xml::DeError> {
        quick_xml::de::from_reader(body)
    }
}

/// Reads an answer of a store, and looks at what it lists.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(body: &[u8]) {
    let Ok(page) = Multiparts::read(body) else {
        return;
    };
    for multipart in page.uploads {
        let _ = Path::parse(&multipart.key);
        let _ = OffsetDateTime::parse(&multipart.initiated, &Rfc3339);
    }
}

/// The multiparts of ours that were begun before `until`.
pub(super) async fn multiparts(shared: &Shared, until: Timestamp) -> Result<Vec<Leftover>, Error> {
    let prefix = format!("{}/", shared.folder("data"));
    let (mut key, mut upload) = (String::new(), String::new());
    let mut found = Vec::new();
    for _ in 0..MOST_PAGES {
        let mut query = vec![("uploads", ""), ("prefix", prefix.as_str())];
        if !key.is_empty() {
            query.push(("key-marker", &key));
            query.push(("upload-id-marker", &upload));
        }
        let body = match shared.requests.ask_bucket(&query).await {
            Ok(body) => body,
            Err(error @ (Error::Refused { .. } | Error::NotFound { .. })) => {
                if !shared.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the store does not list multiparts: those that a crash leaves stay"
                    );
                }
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        let page = Multiparts::read(&body)
            .map_err(|error| unavailable("list the multiparts of", &prefix, error))?;
        found.extend(page.uploads.iter().filter_map(|multipart| {
            let (id, _) = understand(shared, &Path::parse(&multipart.key).ok()?)?;
            let begun = OffsetDateTime::parse(&multipart.initiated, &Rfc3339).ok()?;
            let is_old = begun.unix_timestamp() < until.as_seconds();
            is_old.then(|| Leftover::Multipart(id, multipart.upload_id.clone()))
        }));
        if !page.is_truncated || page.next_key_marker <= key && page.next_upload_id_marker <= upload
        {
            break;
        }
        (key, upload) = (page.next_key_marker, page.next_upload_id_marker);
    }
    Ok(found)
}

/// Ends a multipart. That it is gone already is no error.
pub(super) async fn abort(shared: &Shared, id: UploadId, multipart: &str) -> Result<(), Error> {
    let path = shared.path(&place(id, WHOLE));
    let multipart = multipart.to_owned();
    let s3 = &shared.requests.s3;
    match s3.abort_multipart(&path, &multipart).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(failed("abort upload", &id, error)),
    }
}

/// Whether an upload became a blob. One that the database doesn't know was perhaps known to another
/// database, which is lost, or to this one after its backup.
pub(super) async fn is_whole(shared: &Shared, id: UploadId) -> Result<bool, Error> {
    let path = shared.index_path(id);
    let look = || async {
        match shared.requests.s3.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed("look at", &path, error)),
        }
    };
    let is_whole = shared.requests.patiently(look).await?;
    if is_whole {
        tracing::warn!(upload = %id, "the database doesn't know a blob that lies in the bucket");
    }
    Ok(is_whole)
}
