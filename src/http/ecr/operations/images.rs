//! Images: pushed and pulled by their manifests, listed, deleted, archived.

use serde_json::{Value, json};
use wharf_storage::metadata::{Creation, Image, ImageFilter, ImageName, StorageClass};
use wharf_storage::oci::{Digest, Manifest, MediaType, Reference, RepositoryName, Tag};

use super::paging::{Page, with_token};
use super::{epoch, epoch_if, repositories, without_nulls};
use crate::http::ecr::input::{ImageId, Input, malformed};
use crate::http::ecr::{Call, Error};
use crate::registry::{self, ManifestTarget};

pub(super) async fn put(call: &Call, input: &Input) -> Result<Value, Error> {
    let repository = input.repository()?;
    let pusher = call.creating_pusher(&repository).await?;
    if pusher.creation == Creation::Forbidden {
        repositories::require(call, &repository).await?;
    }
    let manifest = input.required("imageManifest")?.to_owned();
    let media_type: Option<MediaType> = match input.text("imageManifestMediaType") {
        None | Some("") => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| malformed("imageManifestMediaType", "Invalid type"))?,
        ),
    };
    let tag = match input.text("imageTag") {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| malformed("imageTag", "Invalid tag"))?,
        ),
    };
    let parsed = Manifest::parse(manifest.clone().into(), media_type.as_ref())
        .map_err(|error| Error::invalid(error.to_string()))?;
    let own = parsed.digest(wharf_storage::oci::Algorithm::Sha256);
    if let Some(said) = input.text("imageDigest")
        && said != own.as_str()
    {
        let message = format!("The image has digest '{own}', not '{said}'");
        return Err(Error::new("ImageDigestDoesNotMatchException", message));
    }
    let target = ManifestTarget {
        repository: repository.clone(),
        reference: Reference::Digest(own.clone()),
        tags: tag.iter().cloned().collect(),
    };
    let pushed = call
        .state
        .registry
        .push_complete_manifest(&pusher, target, media_type, manifest.clone().into())
        .await;
    let pushed = match pushed {
        Err(registry::Error::ContentMissing(missing)) if Content::of(parsed.bytes()).is_index => {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let message = format!("Images with digests '{}' do not exist", missing.join(", "));
            return Err(Error::new("ReferencedImagesNotFoundException", message));
        }
        outcome => outcome?,
    };
    if !pushed.is_change {
        let named = tag.map_or(String::new(), |tag| format!(" and tag '{tag}'"));
        let message = format!(
            "Image with digest '{own}'{named} already exists in the repository with name \
             '{repository}' in registry with id '{}'",
            call.account()
        );
        return Err(Error::new("ImageAlreadyExistsException", message));
    }
    let id = ImageId {
        digest: Some(own.to_string()),
        tag: tag.map(|tag| tag.to_string()),
    };
    Ok(json!({"image": {
        "registryId": call.account(),
        "repositoryName": repository,
        "imageId": id.json(),
        "imageManifest": manifest,
        "imageManifestMediaType": parsed.media_type().as_str(),
    }}))
}

pub(super) async fn batch_get(call: &Call, input: &Input) -> Result<Value, Error> {
    let repository = input.repository()?;
    repositories::require(call, &repository).await?;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in input.image_ids() {
        let image = match find(call, &repository, &id).await? {
            Ok(image) => image,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        if image.storage_class == StorageClass::Archive {
            failures.push(failure(&id, "ImageInaccessible", "The image is archived"));
            continue;
        }
        call.state
            .registry
            .pulled(&repository, &image.digest, &call.caller.principal);
        let named = ImageId {
            digest: Some(image.digest.to_string()),
            tag: id.tag.clone(),
        };
        images.push(json!({
            "registryId": call.account(),
            "repositoryName": repository,
            "imageId": named.json(),
            "imageManifest": String::from_utf8_lossy(&image.bytes),
            "imageManifestMediaType": image.media_type.as_str(),
        }));
    }
    Ok(json!({"images": images, "failures": failures}))
}

pub(super) async fn list(call: &Call, input: &Input) -> Result<Value, Error> {
    let repository = input.repository()?;
    let page = Page::of(call, input)?;
    let Some(filter) = filter(input) else {
        repositories::require(call, &repository).await?;
        return Ok(json!({"imageIds": []}));
    };
    // A token says digest and tag, with a space between them, which neither has.
    let after = page.after.as_deref().and_then(|key| {
        let (digest, tag) = key.split_once(' ')?;
        let (digest, tag) = (digest.parse().ok()?, tag.parse().ok());
        Some(ImageName { digest, tag })
    });
    let found = call
        .metadata()
        .image_names(&repository, after.as_ref(), filter, page.limit + 1)
        .await?;
    let tag_of = |name: &ImageName| name.tag.as_ref().map_or("", Tag::as_str).to_owned();
    let (found, token) = page.cut(found, |name| format!("{} {}", name.digest, tag_of(name)));
    let ids: Vec<Value> = found
        .iter()
        .map(|name| without_nulls(json!({"imageDigest": name.digest, "imageTag": name.tag})))
        .collect();
    Ok(with_token(json!({"imageIds": ids}), token))
}

pub(super) async fn describe(call: &Call, input: &Input) -> Result<Value, Error> {
    let repository = input.repository()?;
    repositories::require(call, &repository).await?;
    let ids = input.image_ids();
    if !ids.is_empty() {
        let mut details = Vec::new();
        for id in &ids {
            let image = require(call, &repository, id).await?;
            details.push(described(call, &repository, &image));
        }
        return Ok(json!({"imageDetails": details}));
    }
    let page = Page::of(call, input)?;
    let Some(filter) = filter(input) else {
        return Ok(json!({"imageDetails": []}));
    };
    let after = page.after.as_deref();
    let found = call
        .metadata()
        .images(&repository, after, page.limit + 1)
        .await?;
    let (found, token) = page.cut(found, |image| image.digest.to_string());
    let details: Vec<Value> = found
        .iter()
        .filter(|image| takes(filter, image))
        .map(|image| described(call, &repository, image))
        .collect();
    Ok(with_token(json!({"imageDetails": details}), token))
}

pub(super) async fn batch_delete(call: &Call, input: &Input) -> Result<Value, Error> {
    let repository = input.repository()?;
    repositories::require(call, &repository).await?;
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    // Indexes go before their images, in whatever order they are named.
    let mut waiting = input.image_ids();
    while !waiting.is_empty() {
        let mut left = Vec::new();
        let before = waiting.len();
        for id in waiting {
            match delete_one(call, &repository, &id).await? {
                Ok(gone) => deleted.extend(gone),
                Err(Refused::Referenced(by)) => left.push((id, by)),
                Err(Refused::Failure(failure)) => failures.push(failure),
            }
        }
        if left.len() == before {
            failures.extend(left.iter().map(|(id, by)| {
                let by: Vec<String> = by.iter().map(ToString::to_string).collect();
                let reason = format!(
                    "Requested image referenced by manifest list: [{}]",
                    by.join(", ")
                );
                failure(id, "ImageReferencedByManifestList", &reason)
            }));
            break;
        }
        waiting = left.into_iter().map(|(id, _)| id).collect();
    }
    Ok(json!({"imageIds": deleted, "failures": failures}))
}

enum Refused {
    Referenced(Vec<Digest>),
    Failure(Value),
}

async fn delete_one(
    call: &Call,
    repository: &RepositoryName,
    id: &ImageId,
) -> Result<Result<Vec<Value>, Refused>, Error> {
    let image = match find(call, repository, id).await? {
        Ok(image) => image,
        Err(failure) => return Ok(Err(Refused::Failure(failure))),
    };
    let registry = &call.state.registry;
    let by = &call.requester();
    // By its tag an image only loses that tag, unless it is the last one.
    if let (Some(tag), None) = (id.tag(), &id.digest)
        && image.tags.len() > 1
    {
        let reference = Reference::Tag(tag.clone());
        registry.delete_manifest(by, repository, &reference).await?;
        return Ok(Ok(vec![
            json!({"imageDigest": image.digest, "imageTag": tag}),
        ]));
    }
    let indexes = call
        .metadata()
        .indexes_of(repository, &image.digest)
        .await?;
    if !indexes.is_empty() {
        return Ok(Err(Refused::Referenced(indexes)));
    }
    let reference = Reference::Digest(image.digest.clone());
    registry.delete_manifest(by, repository, &reference).await?;
    let gone = match image.tags.as_slice() {
        [] => vec![json!({"imageDigest": image.digest})],
        tags => tags
            .iter()
            .map(|tag| json!({"imageDigest": image.digest, "imageTag": tag}))
            .collect(),
    };
    Ok(Ok(gone))
}

pub(super) async fn referrers(call: &Call, input: &Input) -> Result<Value, Error> {
    let repository = input.repository()?;
    repositories::require(call, &repository).await?;
    let subject = input.value("subjectId")["imageDigest"]
        .as_str()
        .unwrap_or_default();
    let subject: Digest = subject
        .parse()
        .map_err(|_| malformed("subjectId.imageDigest", "Invalid digest"))?;
    let filter = input.value("filter");
    let types: Vec<&str> = filter["artifactTypes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let one_type = match types.as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    let status = filter["artifactStatus"].as_str().unwrap_or("ACTIVE");
    let page = Page::of(call, input)?;
    let (mut found, mut after) = (Vec::new(), page.after.clone());
    let enough = page.limit + 1;
    while (found.len() as u64) < enough {
        let registry = &call.state.registry;
        let part = registry
            .referrers(&repository, &subject, one_type, after.as_deref(), enough)
            .await?;
        after = part.items.last().map(|last| last.digest.to_string());
        for referrer in part.items {
            let kind = referrer.artifact_type.as_deref().unwrap_or_default();
            if !types.is_empty() && !types.contains(&kind) {
                continue;
            }
            let class = call.metadata().storage_class(&repository, &referrer.digest);
            let own = match class.await? {
                Some(StorageClass::Archive) => "ARCHIVED",
                Some(StorageClass::Standard) | None => "ACTIVE",
            };
            if status == "ANY" || status == own {
                found.push((referrer, own));
            }
        }
        if !part.more {
            break;
        }
    }
    let (found, token) = page.cut(found, |(referrer, _)| referrer.digest.to_string());
    let found: Vec<Value> = found
        .into_iter()
        .map(|(referrer, status)| {
            without_nulls(json!({
                "digest": referrer.digest,
                "mediaType": referrer.media_type,
                "artifactType": referrer.artifact_type,
                "size": referrer.size,
                "annotations": referrer.annotations,
                "artifactStatus": status,
            }))
        })
        .collect();
    Ok(with_token(json!({"referrers": found}), token))
}

pub(super) async fn update_storage_class(call: &Call, input: &Input) -> Result<Value, Error> {
    let repository = input.repository()?;
    repositories::require(call, &repository).await?;
    let image = require(call, &repository, &input.image_id()).await?;
    let (class, status) = match input.required("targetStorageClass")? {
        "ARCHIVE" => (StorageClass::Archive, "ARCHIVED"),
        _ => (StorageClass::Standard, "ACTIVE"),
    };
    if class == StorageClass::Archive {
        let metadata = call.metadata();
        for index in metadata.indexes_of(&repository, &image.digest).await? {
            let class = metadata.storage_class(&repository, &index).await?;
            if class == Some(StorageClass::Standard) {
                let message = "an image that an index names goes to the archive with its index";
                let kind = "ImageStorageClassUpdateNotSupportedException";
                return Err(Error::new(kind, message));
            }
        }
    }
    call.metadata()
        .set_storage_class(&repository, &image.digest, class, call.change())
        .await?;
    Ok(json!({
        "registryId": call.account(),
        "repositoryName": repository,
        "imageId": {"imageDigest": image.digest},
        "imageStatus": status,
    }))
}

/// The image that an id names, or why there is none.
pub(super) async fn find(
    call: &Call,
    repository: &RepositoryName,
    id: &ImageId,
) -> Result<Result<Image, Value>, Error> {
    let unknown = || failure(id, "ImageNotFound", "Requested image not found");
    let digest: Digest = match (&id.digest, &id.tag) {
        (None, None) => {
            let reason = "Invalid request parameters: both tag and digest cannot be null";
            return Ok(Err(failure(id, "MissingDigestAndTag", reason)));
        }
        (Some(text), _) => match text.parse() {
            Ok(digest) => digest,
            Err(_) => {
                let reason = "Invalid request parameters: image digest should satisfy the regex";
                return Ok(Err(failure(id, "InvalidImageDigest", reason)));
            }
        },
        (None, Some(_)) => {
            let Some(tag) = id.tag() else {
                let reason = "Invalid request parameters: image tag should satisfy the regex";
                return Ok(Err(failure(id, "InvalidImageTag", reason)));
            };
            match call.metadata().tagged(repository, &tag).await? {
                Some(digest) => digest,
                None => return Ok(Err(unknown())),
            }
        }
    };
    let Some(image) = call.metadata().image(repository, &digest).await? else {
        return Ok(Err(unknown()));
    };
    if let (Some(_), Some(tag)) = (&id.digest, &id.tag)
        && !image.tags.iter().any(|found| found.as_str() == tag)
    {
        let reason = "Requested image tag does not match the digest";
        return Ok(Err(failure(id, "ImageTagDoesNotMatchDigest", reason)));
    }
    Ok(Ok(image))
}

/// The image that an id names, which has to be there.
pub(super) async fn require(
    call: &Call,
    repository: &RepositoryName,
    id: &ImageId,
) -> Result<Image, Error> {
    let failure = match find(call, repository, id).await? {
        Ok(image) => return Ok(image),
        Err(failure) => failure,
    };
    if failure["failureCode"] != "ImageNotFound"
        && failure["failureCode"] != "ImageTagDoesNotMatchDigest"
    {
        let reason = failure["failureReason"].as_str().unwrap_or_default();
        return Err(Error::invalid(reason));
    }
    Err(Error::new(
        "ImageNotFoundException",
        format!(
            "The image with imageId {} does not exist within the repository with name \
             '{repository}' in the registry with id '{}'",
            id.json(),
            call.account()
        ),
    ))
}

fn failure(id: &ImageId, code: &str, reason: &str) -> Value {
    json!({"imageId": id.json(), "failureCode": code, "failureReason": reason})
}

/// Which images a list has. Nothing where it can have none: what comes back from the archive is there
/// at once, so that none is ever activating.
fn filter(input: &Input) -> Option<ImageFilter> {
    let filter = input.value("filter");
    Some(ImageFilter {
        tagged: match filter["tagStatus"].as_str() {
            Some("TAGGED") => Some(true),
            Some("UNTAGGED") => Some(false),
            _ => None,
        },
        class: match filter["imageStatus"].as_str() {
            Some("ARCHIVED") => Some(StorageClass::Archive),
            Some("ACTIVE") => Some(StorageClass::Standard),
            Some("ACTIVATING") => return None,
            _ => None,
        },
    })
}

fn takes(filter: ImageFilter, image: &Image) -> bool {
    let is_tagged = !image.tags.is_empty();
    filter.tagged.is_none_or(|tagged| tagged == is_tagged)
        && filter
            .class
            .is_none_or(|class| class == image.storage_class)
}

fn described(call: &Call, repository: &RepositoryName, image: &Image) -> Value {
    let content = Content::of(&image.bytes);
    let artifact = image.artifact_type.clone().or(content.config_type);
    without_nulls(json!({
        "registryId": call.account(),
        "repositoryName": repository,
        "imageDigest": image.digest,
        "imageTags": (!image.tags.is_empty()).then_some(&image.tags),
        "imageSizeInBytes": content.size_bytes,
        "imagePushedAt": epoch(image.pushed_at),
        "imageManifestMediaType": image.media_type.as_str(),
        "artifactMediaType": artifact,
        "lastRecordedPullTime": epoch_if(image.pulled_at),
        "subjectManifestDigest": image.subject,
        "imageStatus": match image.storage_class {
            StorageClass::Standard => "ACTIVE",
            StorageClass::Archive => "ARCHIVED",
        },
        "lastArchivedAt": epoch_if(image.archived_at),
        "lastActivatedAt": epoch_if(image.activated_at),
    }))
}

/// What a manifest says of its content.
struct Content {
    is_index: bool,
    /// The config and the layers together; of an index nothing.
    size_bytes: Option<u64>,
    config_type: Option<String>,
}

impl Content {
    fn of(manifest: &[u8]) -> Self {
        let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
        let size = |descriptor: &Value| descriptor["size"].as_u64().unwrap_or_default();
        let layers = manifest["layers"].as_array();
        let config = &manifest["config"];
        let parts = layers.map(|layers| {
            layers
                .iter()
                .map(size)
                .fold(size(config), u64::saturating_add)
        });
        Self {
            is_index: manifest["manifests"].is_array(),
            size_bytes: parts,
            config_type: config["mediaType"].as_str().map(ToOwned::to_owned),
        }
    }
}
