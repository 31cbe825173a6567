//! Pushing, reading and deleting manifests.

use http::{Method, StatusCode, header};
use serde_json::json;

use crate::check::{Context, Ended, Outcome, checks, fail, skip};
use crate::client::{Answer, Ask};
use crate::content::{OCI_IMAGE, OCI_INDEX, digest, digest_512, image, random_bytes};

checks! { "manifests",
    "GET by tag and by digest gives the bytes" => get,
    "HEAD by tag and by digest gives the length, the type and the digest" => head,
    "a push by digest is taken" => by_digest,
    "a push by a sha512 digest is taken" => by_sha512,
    "a push by another digest is 400 DIGEST_INVALID" => wrong_digest,
    "a push by digest sets tags" => tag_parameters,
    "the created manifest's location leads to it" => location,
    "a tag moves to the manifest pushed last" => moves,
    "the same manifest can be pushed twice" => twice,
    "a narrow Accept is no 404" => narrow_accept,
    "If-None-Match with the entity's tag is 304" => conditional,
    "DELETE by tag leaves the digest" => delete_tag,
    "DELETE by digest takes its tags at once" => delete_digest,
    "a deleted manifest can be pushed again" => delete_and_push,
    "DELETE of an unknown manifest is 404" => delete_unknown,
    "an unknown tag is 404 MANIFEST_UNKNOWN" => unknown_tag,
    "an unknown digest is 404 MANIFEST_UNKNOWN" => unknown_digest,
    "a manifest of an unknown repository is 404" => unknown_repository,
    "a manifest of another repository is unknown here" => isolated,
    "what is no JSON is 400 MANIFEST_INVALID" => no_json,
    "a mediaType other than the Content-Type is refused" => types_differ,
    "an image that is an index too is refused" => ambiguous,
    "a manifest of almost 4 MiB is taken" => large,
}

async fn get(context: Context) -> Outcome {
    let manifest = context.push_image("v1").await?.to_string();
    let digest = digest(manifest.as_bytes());
    for reference in ["v1", &digest] {
        let answer = context
            .get(&format!("manifests/{reference}"))
            .await?
            .is(&[200])?;
        answer
            .has_body(manifest.as_bytes())?
            .has("content-type", OCI_IMAGE)?
            .has("docker-content-digest", &digest)?;
    }
    Ok(())
}

async fn head(context: Context) -> Outcome {
    let manifest = context.push_image("v1").await?.to_string();
    let digest = digest(manifest.as_bytes());
    for reference in ["v1", &digest] {
        let answer = context
            .head(&format!("manifests/{reference}"))
            .await?
            .is(&[200])?;
        answer
            .has("content-length", &manifest.len().to_string())?
            .has("content-type", OCI_IMAGE)?
            .has("docker-content-digest", &digest)?
            .has_body(b"")?;
    }
    Ok(())
}

async fn by_digest(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let manifest = image(&config, &[]);
    let digest = digest(manifest.to_string().as_bytes());
    let answer = context.put_manifest(&digest, &manifest).await?.is(&[201])?;
    answer.has("docker-content-digest", &digest)?;
    context
        .get(&format!("manifests/{digest}"))
        .await?
        .is(&[200])?;
    Ok(())
}

async fn by_sha512(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let manifest = image(&config, &[]);
    let digest = digest_512(manifest.to_string().as_bytes());
    let answer = context.put_manifest(&digest, &manifest).await?.is(&[201])?;
    answer.has("docker-content-digest", &digest)?;
    let answer = context
        .get(&format!("manifests/{digest}"))
        .await?
        .is(&[200])?;
    answer.has_body(manifest.to_string().as_bytes())?;
    Ok(())
}

async fn wrong_digest(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let other = digest(&random_bytes(10));
    let answer = context.put_manifest(&other, &image(&config, &[])).await?;
    answer.refused(&[400], &["DIGEST_INVALID"])?;
    context
        .get(&format!("manifests/{other}"))
        .await?
        .is(&[404])?;
    Ok(())
}

async fn tag_parameters(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let manifest = image(&config, &[]);
    let digest = digest(manifest.to_string().as_bytes());
    let reference = format!("{digest}?tag=one&tag=two");
    let answer = context
        .put_manifest(&reference, &manifest)
        .await?
        .is(&[201])?;
    let named = |tag: &str| {
        let mut values = answer.headers.get_all("oci-tag").iter();
        values.any(|value| {
            value
                .to_str()
                .unwrap_or("")
                .split(',')
                .any(|name| name.trim() == tag)
        })
    };
    if !named("one") && !named("two") {
        return skip("a push by digest does not set tags");
    }
    for tag in ["one", "two"] {
        if !named(tag) {
            return fail(format!("{answer} has no OCI-Tag {tag}"));
        }
        let answer = context
            .head(&format!("manifests/{tag}"))
            .await?
            .is(&[200])?;
        answer.has("docker-content-digest", &digest)?;
    }
    Ok(())
}

async fn location(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let manifest = image(&config, &[]);
    let location = context
        .put_manifest("v1", &manifest)
        .await?
        .is(&[201])?
        .location()?;
    let ask = Ask::new(Method::GET, location).header(header::ACCEPT, OCI_IMAGE);
    context
        .send(ask)
        .await?
        .is(&[200])?
        .has_body(manifest.to_string().as_bytes())?;
    Ok(())
}

async fn moves(context: Context) -> Outcome {
    let old = digest(context.push_image("latest").await?.to_string().as_bytes());
    let new = context.push_image("latest").await?.to_string();
    let answer = context.get("manifests/latest").await?.is(&[200])?;
    answer.has_body(new.as_bytes())?;
    context
        .head(&format!("manifests/{old}"))
        .await?
        .is(&[200])?;
    Ok(())
}

async fn twice(context: Context) -> Outcome {
    let manifest = context.push_image("v1").await?;
    context.put_manifest("v1", &manifest).await?.is(&[201])?;
    context.put_manifest("v2", &manifest).await?.is(&[201])?;
    context
        .get("manifests/v2")
        .await?
        .is(&[200])?
        .has_body(manifest.to_string().as_bytes())?;
    Ok(())
}

async fn narrow_accept(context: Context) -> Outcome {
    let manifest = context.push_image("v1").await?;
    let ask = context
        .ask(Method::GET, "manifests/v1")
        .header(header::ACCEPT, OCI_INDEX);
    context
        .send(ask)
        .await?
        .is(&[200])?
        .has_body(manifest.to_string().as_bytes())?;
    Ok(())
}

async fn conditional(context: Context) -> Outcome {
    context.push_image("v1").await?;
    let answer = context.get("manifests/v1").await?.is(&[200])?;
    let Some(tag) = answer.header("etag") else {
        return skip("manifests have no ETag");
    };
    let ask = context
        .ask(Method::GET, "manifests/v1")
        .header(header::IF_NONE_MATCH, tag);
    context.send(ask).await?.is(&[304])?;
    Ok(())
}

/// DELETEs a manifest, where the registry does that.
async fn deleted(context: &Context, reference: &str) -> Result<Answer, Ended> {
    let answer = context.delete(&format!("manifests/{reference}")).await?;
    match answer.status {
        StatusCode::METHOD_NOT_ALLOWED => skip("the registry does not delete manifests"),
        _ => Ok(answer),
    }
}

async fn delete_tag(context: Context) -> Outcome {
    let manifest = context.push_image("v1").await?.to_string();
    deleted(&context, "v1").await?.is(&[202])?;
    context.get("manifests/v1").await?.is(&[404])?;
    let endpoint = format!("manifests/{}", digest(manifest.as_bytes()));
    context
        .get(&endpoint)
        .await?
        .is(&[200])?
        .has_body(manifest.as_bytes())?;
    Ok(())
}

async fn delete_digest(context: Context) -> Outcome {
    let manifest = context.push_image("v1").await?;
    context.put_manifest("v2", &manifest).await?.is(&[201])?;
    let digest = digest(manifest.to_string().as_bytes());
    deleted(&context, &digest).await?.is(&[202])?;
    for reference in [&digest, "v1", "v2"] {
        context
            .get(&format!("manifests/{reference}"))
            .await?
            .is(&[404])?;
    }
    Ok(())
}

async fn delete_and_push(context: Context) -> Outcome {
    let manifest = context.push_image("v1").await?;
    let digest = digest(manifest.to_string().as_bytes());
    deleted(&context, &digest).await?.is(&[202])?;
    context.put_manifest("v1", &manifest).await?.is(&[201])?;
    context.get("manifests/v1").await?.is(&[200])?;
    context
        .get(&format!("manifests/{digest}"))
        .await?
        .is(&[200])?;
    Ok(())
}

async fn delete_unknown(context: Context) -> Outcome {
    context.push_image("v1").await?;
    let unknown = digest(&random_bytes(10));
    deleted(&context, &unknown)
        .await?
        .refused(&[404], &["MANIFEST_UNKNOWN"])?;
    Ok(())
}

async fn unknown_tag(context: Context) -> Outcome {
    context.push_image("v1").await?;
    context
        .get("manifests/v2")
        .await?
        .refused(&[404], &["MANIFEST_UNKNOWN"])?;
    context.head("manifests/v2").await?.is(&[404])?;
    Ok(())
}

async fn unknown_digest(context: Context) -> Outcome {
    context.push_image("v1").await?;
    let answer = context
        .get(&format!("manifests/{}", digest(&random_bytes(10))))
        .await?;
    answer.refused(&[404], &["MANIFEST_UNKNOWN"])?;
    Ok(())
}

async fn unknown_repository(context: Context) -> Outcome {
    let answer = context.get("manifests/v1").await?;
    answer.refused(&[404], &["MANIFEST_UNKNOWN", "NAME_UNKNOWN"])?;
    Ok(())
}

async fn isolated(context: Context) -> Outcome {
    let other = context.another();
    let manifest = context.push_image("v1").await?.to_string();
    other.push_image("v2").await?;
    let endpoint = format!("manifests/{}", digest(manifest.as_bytes()));
    other
        .get(&endpoint)
        .await?
        .refused(&[404], &["MANIFEST_UNKNOWN"])?;
    other.get("manifests/v1").await?.is(&[404])?;
    Ok(())
}

async fn no_json(context: Context) -> Outcome {
    context.push_blob(&random_bytes(10)).await?;
    for bytes in ["", "{", "no json", "[]", "\u{0}"] {
        let answer = context.put_manifest_bytes("v1", OCI_IMAGE, bytes).await?;
        answer.refused(&[400], &["MANIFEST_INVALID"])?;
    }
    Ok(())
}

async fn types_differ(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let manifest = image(&config, &[]).to_string();
    let answer = context
        .put_manifest_bytes("v1", OCI_INDEX, manifest)
        .await?;
    answer.refused(&[400], &[])?;
    Ok(())
}

async fn ambiguous(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let mut manifest = image(&config, &[]);
    manifest["manifests"] = json!([]);
    context
        .put_manifest("v1", &manifest)
        .await?
        .refused(&[400], &[])?;
    Ok(())
}

async fn large(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let mut manifest = image(&config, &[]);
    manifest["annotations"] = json!({"filler": "x".repeat((4 << 20) - 1000)});
    context.put_manifest("v1", &manifest).await?.is(&[201])?;
    let answer = context.get("manifests/v1").await?.is(&[200])?;
    answer.has_body(manifest.to_string().as_bytes())?;
    Ok(())
}
