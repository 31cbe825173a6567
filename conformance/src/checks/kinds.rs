//! The kinds of manifests that clients push.

use bytes::Bytes;
use http::header;
use serde_json::{Value, json};

use crate::check::{Context, Outcome, checks, skip};
use crate::content::{
    DOCKER_IMAGE, DOCKER_LIST, OCI_EMPTY, OCI_IMAGE, descriptor, digest, digest_512, image, index,
    random_bytes,
};

checks! { "kinds",
    "an OCI image" => oci_image,
    "an OCI index" => oci_index,
    "an index of indexes" => nested_index,
    "an empty index" => empty_index,
    "a docker image, schema 2" => docker_image,
    "a docker manifest list" => docker_list,
    "an artifact with an empty config" => artifact,
    "an image without layers" => no_layers,
    "an image with members that nobody knows" => custom_members,
    "an image with layers that lie elsewhere" => foreign_layers,
    "an image with data in its descriptors" => data,
    "an image without its mediaType" => no_media_type,
    "a build cache, an index of blobs" => build_cache,
    "an image of sha512 digests" => sha512,
    "an image with a layer that is missing" => missing_layer,
    "an index with an image that is missing" => missing_image,
}

/// Pushes a manifest by tag, and reads it back.
async fn kept(context: &Context, manifest: &Value) -> Outcome {
    context.put_manifest("kept", manifest).await?.is(&[201])?;
    let answer = context.get("manifests/kept").await?.is(&[200])?;
    let media_type = manifest["mediaType"].as_str().unwrap_or(OCI_IMAGE);
    answer
        .has_body(manifest.to_string().as_bytes())?
        .has("content-type", media_type)?;
    Ok(())
}

async fn oci_image(context: Context) -> Outcome {
    let manifest = context.push_image("pushed").await?;
    kept(&context, &manifest).await
}

/// A descriptor of an image that was pushed.
async fn pushed(context: &Context, architecture: &str) -> Result<Value, crate::check::Ended> {
    let manifest = context.push_image(architecture).await?.to_string();
    let mut descriptor = descriptor(OCI_IMAGE, manifest.as_bytes());
    descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
    Ok(descriptor)
}

async fn oci_index(context: Context) -> Outcome {
    let images = [
        pushed(&context, "amd64").await?,
        pushed(&context, "arm64").await?,
    ];
    kept(&context, &index(&images)).await
}

async fn nested_index(context: Context) -> Outcome {
    let inner = index(&[pushed(&context, "amd64").await?]);
    context.put_manifest("inner", &inner).await?.is(&[201])?;
    let media_type = inner["mediaType"].as_str().unwrap_or_default().to_owned();
    let outer = index(&[descriptor(&media_type, inner.to_string().as_bytes())]);
    kept(&context, &outer).await
}

async fn empty_index(context: Context) -> Outcome {
    context.push_blob(&random_bytes(10)).await?;
    kept(&context, &index(&[])).await
}

async fn docker_image(context: Context) -> Outcome {
    let (config, layer) = (random_bytes(100), random_bytes(1000));
    context.push_blob(&config).await?;
    context.push_blob(&layer).await?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_IMAGE,
        "config": descriptor("application/vnd.docker.container.image.v1+json", &config),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer)],
    });
    kept(&context, &manifest).await
}

async fn docker_list(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let mut manifest = image(&config, &[]);
    manifest["mediaType"] = json!(DOCKER_IMAGE);
    context.put_manifest("amd64", &manifest).await?.is(&[201])?;
    let mut child = descriptor(DOCKER_IMAGE, manifest.to_string().as_bytes());
    child["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let list = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [child]});
    kept(&context, &list).await
}

async fn artifact(context: Context) -> Outcome {
    let (empty, blob) = (Bytes::from_static(b"{}"), random_bytes(1000));
    context.push_blob(&empty).await?;
    context.push_blob(&blob).await?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE,
        "artifactType": "application/vnd.example.thing",
        "config": descriptor(OCI_EMPTY, &empty),
        "layers": [descriptor("text/plain", &blob)],
    });
    kept(&context, &manifest).await
}

async fn no_layers(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    kept(&context, &image(&config, &[])).await
}

async fn custom_members(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let mut manifest = image(&config, &[]);
    manifest["org.example.custom"] = json!({"list": [1, 2.5, null, "x"]});
    manifest["config"]["org.example.custom"] = json!("x");
    kept(&context, &manifest).await
}

async fn foreign_layers(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let mut manifest = image(&config, &[]);
    let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    let mut layer = descriptor(kind, &random_bytes(1000));
    layer["urls"] = json!(["https://layers.example/1"]);
    manifest["layers"] = json!([layer]);
    kept(&context, &manifest).await
}

async fn data(context: Context) -> Outcome {
    let config = Bytes::from_static(b"{}");
    context.push_blob(&config).await?;
    let mut manifest = image(&config, &[]);
    manifest["config"]["data"] = json!("e30=");
    kept(&context, &manifest).await
}

async fn no_media_type(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let mut manifest = image(&config, &[]);
    manifest
        .as_object_mut()
        .map(|members| members.remove("mediaType"));
    kept(&context, &manifest).await
}

async fn build_cache(context: Context) -> Outcome {
    let (config, layer) = (random_bytes(100), random_bytes(1000));
    context.push_blob(&config).await?;
    context.push_blob(&layer).await?;
    let cache = index(&[
        descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer),
        descriptor("application/vnd.buildkit.cacheconfig.v0", &config),
    ]);
    kept(&context, &cache).await?;
    context
        .get(&format!("blobs/{}", digest(&layer)))
        .await?
        .is(&[200])?;
    Ok(())
}

async fn sha512(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob_as(&config, &digest_512(&config)).await?;
    let mut manifest = image(&config, &[]);
    manifest["config"]["digest"] = json!(digest_512(&config));
    let text = manifest.to_string();
    let digest = digest_512(text.as_bytes());
    context.put_manifest(&digest, &manifest).await?.is(&[201])?;
    let ask = context.ask(http::Method::GET, &format!("manifests/{digest}"));
    let answer = context
        .send(ask.header(header::ACCEPT, OCI_IMAGE))
        .await?
        .is(&[200])?;
    answer.has_body(text.as_bytes())?;
    Ok(())
}

/// A registry may insist that everything is there.
async fn sparse(context: &Context, manifest: &Value) -> Outcome {
    let answer = context.put_manifest("sparse", manifest).await?;
    if matches!(answer.status.as_u16(), 400 | 404) {
        return skip(format!("{answer}: everything has to be there"));
    }
    answer.is(&[201])?;
    let answer = context.get("manifests/sparse").await?.is(&[200])?;
    answer.has_body(manifest.to_string().as_bytes())?;
    Ok(())
}

async fn missing_layer(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    sparse(&context, &image(&config, &[&random_bytes(1000)])).await
}

async fn missing_image(context: Context) -> Outcome {
    let there = pushed(&context, "amd64").await?;
    let missing = descriptor(OCI_IMAGE, &random_bytes(1000));
    sparse(&context, &index(&[there, missing])).await
}
