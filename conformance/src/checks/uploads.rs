//! Sending blobs.

use bytes::Bytes;
use http::{Method, StatusCode, header};

use crate::check::{Context, Ended, Outcome, checks, fail, skip, with_digest};
use crate::client::{Answer, Ask};
use crate::content::{digest, digest_512, random_bytes};

checks! { "uploads",
    "POST alone with a digest makes the blob" => post_alone,
    "POST and PUT make the blob" => post_put,
    "PATCH streamed and PUT make the blob" => streamed,
    "PATCH in chunks and PUT make the blob" => chunked,
    "PUT takes the last chunk" => last_chunk,
    "the answers say where the upload stands" => stands,
    "GET tells where the upload stands" => status,
    "a chunk out of order is 416 and the upload goes on" => out_of_order,
    "DELETE ends an upload" => cancel,
    "another digest than the bytes' is 400 DIGEST_INVALID" => wrong_digest,
    "another digest in a POST alone is 400 DIGEST_INVALID" => wrong_digest_alone,
    "PUT without a digest is 400" => no_digest,
    "an unknown upload is 404 BLOB_UPLOAD_UNKNOWN" => unknown,
    "an upload can't be used in another repository" => another_repository,
    "sha512 blobs are taken" => sha512,
    "sha512 blobs are taken in a POST alone" => sha512_alone,
    "sha512 can be named at the start" => sha512_named,
    "the created blob's location leads to it" => location,
}

async fn patch(
    context: &Context,
    location: &str,
    bytes: &[u8],
    start: usize,
) -> Result<Answer, Ended> {
    let range = format!("{start}-{}", start + bytes.len() - 1);
    let ask = Ask::new(Method::PATCH, location).header(header::CONTENT_RANGE, &range);
    let ask = ask.header(header::CONTENT_TYPE, "application/octet-stream");
    context.send(ask.body(Bytes::copy_from_slice(bytes))).await
}

async fn put(
    context: &Context,
    location: &str,
    digest: &str,
    bytes: &Bytes,
) -> Result<Answer, Ended> {
    let ask = Ask::new(Method::PUT, with_digest(location, digest)).body(bytes.clone());
    context
        .send(ask.header(header::CONTENT_TYPE, "application/octet-stream"))
        .await
}

async fn kept(context: &Context, bytes: &[u8], digest: &str) -> Outcome {
    context
        .get(&format!("blobs/{digest}"))
        .await?
        .is(&[200])?
        .has_body(bytes)?;
    Ok(())
}

async fn post_once(context: &Context, bytes: &Bytes, digest: &str) -> Result<Answer, Ended> {
    let ask = context.ask(Method::POST, &format!("blobs/uploads/?digest={digest}"));
    let ask = ask.header(header::CONTENT_TYPE, "application/octet-stream");
    let answer = context.send(ask.body(bytes.clone())).await?;
    if answer.status == StatusCode::ACCEPTED {
        return skip("POST alone is not supported: the upload has to go on");
    }
    Ok(answer)
}

async fn post_alone(context: Context) -> Outcome {
    let bytes = random_bytes(1000);
    let digest = digest(&bytes);
    let answer = post_once(&context, &bytes, &digest).await?.is(&[201])?;
    answer.has("docker-content-digest", &digest)?;
    kept(&context, &bytes, &digest).await
}

async fn post_put(context: Context) -> Outcome {
    let bytes = random_bytes(1000);
    let digest = digest(&bytes);
    let location = context.begin("").await?;
    put(&context, &location, &digest, &bytes)
        .await?
        .is(&[201])?
        .has("docker-content-digest", &digest)?;
    kept(&context, &bytes, &digest).await
}

async fn streamed(context: Context) -> Outcome {
    let bytes = random_bytes(300_000);
    let digest = digest(&bytes);
    let location = context.begin("").await?;
    let ask = Ask::new(Method::PATCH, location)
        .body(bytes.clone())
        .streamed();
    let location = context.send(ask).await?.is(&[202])?.location()?;
    put(&context, &location, &digest, &Bytes::new())
        .await?
        .is(&[201])?;
    kept(&context, &bytes, &digest).await
}

async fn chunked(context: Context) -> Outcome {
    let bytes = random_bytes(10_000);
    let digest = digest(&bytes);
    let mut location = context.begin("").await?;
    for start in (0..bytes.len()).step_by(4000) {
        let chunk = &bytes[start..bytes.len().min(start + 4000)];
        location = patch(&context, &location, chunk, start)
            .await?
            .is(&[202])?
            .location()?;
    }
    put(&context, &location, &digest, &Bytes::new())
        .await?
        .is(&[201])?;
    kept(&context, &bytes, &digest).await
}

async fn last_chunk(context: Context) -> Outcome {
    let bytes = random_bytes(8000);
    let digest = digest(&bytes);
    let location = context.begin("").await?;
    let answer = patch(&context, &location, &bytes[..5000], 0)
        .await?
        .is(&[202])?;
    let ask = Ask::new(Method::PUT, with_digest(&answer.location()?, &digest));
    let ask = ask
        .header(header::CONTENT_RANGE, "5000-7999")
        .body(bytes.slice(5000..));
    context.send(ask).await?.is(&[201])?;
    kept(&context, &bytes, &digest).await
}

async fn stands(context: Context) -> Outcome {
    let bytes = random_bytes(8000);
    let location = context.begin("").await?;
    let answer = patch(&context, &location, &bytes[..5000], 0)
        .await?
        .is(&[202])?;
    let answer = answer.has("range", "0-4999")?;
    let answer = patch(&context, &answer.location()?, &bytes[5000..], 5000)
        .await?
        .is(&[202])?;
    answer.has("range", "0-7999")?;
    Ok(())
}

async fn status(context: Context) -> Outcome {
    let location = context.begin("").await?;
    let answer = patch(&context, &location, &random_bytes(5000), 0)
        .await?
        .is(&[202])?;
    let answer = context
        .send(Ask::new(Method::GET, answer.location()?))
        .await?
        .is(&[204])?;
    answer.has("range", "0-4999")?.location()?;
    Ok(())
}

async fn out_of_order(context: Context) -> Outcome {
    let bytes = random_bytes(8000);
    let digest = digest(&bytes);
    let location = context.begin("").await?;
    let location = patch(&context, &location, &bytes[..2000], 0)
        .await?
        .is(&[202])?
        .location()?;
    for start in [4000, 0, 1999] {
        let chunk = &bytes[start..start + 2000];
        patch(&context, &location, chunk, start).await?.is(&[416])?;
    }
    let status = context
        .send(Ask::new(Method::GET, location))
        .await?
        .is(&[204])?;
    let status = status.has("range", "0-1999")?;
    let answer = patch(&context, &status.location()?, &bytes[2000..], 2000)
        .await?
        .is(&[202])?;
    put(&context, &answer.location()?, &digest, &Bytes::new())
        .await?
        .is(&[201])?;
    kept(&context, &bytes, &digest).await
}

async fn cancel(context: Context) -> Outcome {
    let location = context.begin("").await?;
    let answer = context.send(Ask::new(Method::DELETE, &location)).await?;
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        return skip("uploads can not be cancelled");
    }
    answer.is(&[204])?;
    let gone = context.send(Ask::new(Method::GET, &location)).await?;
    gone.refused(&[404], &["BLOB_UPLOAD_UNKNOWN"])?;
    Ok(())
}

async fn wrong_digest(context: Context) -> Outcome {
    let (bytes, other) = (random_bytes(1000), digest(&random_bytes(1000)));
    let location = context.begin("").await?;
    let answer = put(&context, &location, &other, &bytes).await?;
    answer.refused(&[400], &["DIGEST_INVALID"])?;
    for digest in [other, digest(&bytes)] {
        context.head(&format!("blobs/{digest}")).await?.is(&[404])?;
    }
    Ok(())
}

async fn wrong_digest_alone(context: Context) -> Outcome {
    let (bytes, other) = (random_bytes(1000), digest(&random_bytes(1000)));
    let answer = post_once(&context, &bytes, &other).await?;
    answer.refused(&[400], &["DIGEST_INVALID"])?;
    Ok(())
}

async fn no_digest(context: Context) -> Outcome {
    let location = context.begin("").await?;
    let ask = Ask::new(Method::PUT, location).body(random_bytes(10));
    context.send(ask).await?.refused(&[400], &[])?;
    Ok(())
}

async fn unknown(context: Context) -> Outcome {
    let endpoint = "blobs/uploads/018f4e9c-7b1a-7c3d-8e5f-0123456789ab";
    let answer = context.get(endpoint).await?;
    answer.refused(&[404], &["BLOB_UPLOAD_UNKNOWN"])?;
    Ok(())
}

async fn another_repository(context: Context) -> Outcome {
    let other = context.another();
    let location = context.begin("").await?;
    let moved = location.replace(&context.repository, &other.repository);
    if moved == location {
        return skip("the location does not name the repository");
    }
    context
        .send(Ask::new(Method::GET, &moved))
        .await?
        .is(&[404])?;
    let bytes = random_bytes(10);
    let answer = put(&context, &moved, &digest(&bytes), &bytes).await?;
    if answer.status == StatusCode::CREATED {
        return fail(format!("{answer}: another repository's upload was taken"));
    }
    answer.is(&[404])?;
    Ok(())
}

async fn sha512(context: Context) -> Outcome {
    let bytes = random_bytes(1000);
    let digest = digest_512(&bytes);
    let location = context.begin("").await?;
    let answer = patch(&context, &location, &bytes, 0).await?.is(&[202])?;
    put(&context, &answer.location()?, &digest, &Bytes::new())
        .await?
        .is(&[201])?;
    kept(&context, &bytes, &digest).await
}

async fn sha512_alone(context: Context) -> Outcome {
    let bytes = random_bytes(1000);
    let digest = digest_512(&bytes);
    post_once(&context, &bytes, &digest).await?.is(&[201])?;
    kept(&context, &bytes, &digest).await
}

async fn sha512_named(context: Context) -> Outcome {
    let bytes = random_bytes(1000);
    let digest = digest_512(&bytes);
    let location = context.begin("?digest-algorithm=sha512").await?;
    let answer = patch(&context, &location, &bytes, 0).await?.is(&[202])?;
    put(&context, &answer.location()?, &digest, &Bytes::new())
        .await?
        .is(&[201])?;
    kept(&context, &bytes, &digest).await
}

async fn location(context: Context) -> Outcome {
    let bytes = random_bytes(1000);
    let location = context.begin("").await?;
    let answer = put(&context, &location, &digest(&bytes), &bytes)
        .await?
        .is(&[201])?;
    let ask = Ask::new(Method::GET, answer.location()?);
    context.send(ask).await?.is(&[200])?.has_body(&bytes)?;
    Ok(())
}
