//! Reading and deleting blobs.

use bytes::Bytes;
use http::{Method, header};

use crate::check::{Context, Outcome, checks, fail, skip};
use crate::content::{digest, random_bytes};

checks! { "blobs",
    "GET gives the bytes with their length and digest" => get,
    "HEAD gives the length and the digest" => head,
    "an unknown blob is 404 BLOB_UNKNOWN" => unknown,
    "an empty blob is kept" => empty,
    "the blob {} is kept" => empty_json,
    "a blob of 5 MB is kept to the byte" => large,
    "the same blob can be pushed twice" => twice,
    "DELETE answers 202 and the blob is gone at once" => delete,
    "DELETE of an unknown blob is 404" => delete_unknown,
    "a blob deleted here stays in another repository" => delete_elsewhere,
    "a blob of another repository is unknown here" => isolated,
    "If-None-Match with the entity's tag is 304" => conditional,
}

async fn kept(context: &Context, bytes: Bytes) -> Outcome {
    let digest = context.push_blob(&bytes).await?;
    let answer = context
        .get(&format!("blobs/{digest}"))
        .await?
        .is(&[200])?
        .has_body(&bytes)?;
    answer
        .has("content-length", &bytes.len().to_string())?
        .has("docker-content-digest", &digest)?;
    Ok(())
}

async fn get(context: Context) -> Outcome {
    kept(&context, random_bytes(1000)).await
}

async fn empty(context: Context) -> Outcome {
    kept(&context, Bytes::new()).await
}

async fn empty_json(context: Context) -> Outcome {
    kept(&context, Bytes::from_static(b"{}")).await
}

async fn large(context: Context) -> Outcome {
    kept(&context, random_bytes(5_000_000)).await
}

async fn head(context: Context) -> Outcome {
    let digest = context.push_blob(&random_bytes(1234)).await?;
    let answer = context.head(&format!("blobs/{digest}")).await?.is(&[200])?;
    answer
        .has("content-length", "1234")?
        .has("docker-content-digest", &digest)?
        .has_body(b"")?;
    Ok(())
}

async fn unknown(context: Context) -> Outcome {
    context.push_blob(&random_bytes(10)).await?;
    let unknown = digest(&random_bytes(10));
    let endpoint = format!("blobs/{unknown}");
    context
        .get(&endpoint)
        .await?
        .refused(&[404], &["BLOB_UNKNOWN"])?;
    context.head(&endpoint).await?.is(&[404])?;
    Ok(())
}

async fn twice(context: Context) -> Outcome {
    let bytes = random_bytes(1000);
    context.push_blob(&bytes).await?;
    kept(&context, bytes).await
}

async fn delete(context: Context) -> Outcome {
    let digest = context.push_blob(&random_bytes(1000)).await?;
    let endpoint = format!("blobs/{digest}");
    let answer = context.delete(&endpoint).await?;
    if answer.status.as_u16() == 405 {
        return skip("the registry does not delete blobs");
    }
    answer.is(&[202])?;
    context.get(&endpoint).await?.is(&[404])?;
    context.head(&endpoint).await?.is(&[404])?;
    Ok(())
}

async fn delete_unknown(context: Context) -> Outcome {
    context.push_blob(&random_bytes(10)).await?;
    let answer = context
        .delete(&format!("blobs/{}", digest(&random_bytes(10))))
        .await?;
    if answer.status.as_u16() == 405 {
        return skip("the registry does not delete blobs");
    }
    answer.refused(&[404], &["BLOB_UNKNOWN"])?;
    Ok(())
}

async fn delete_elsewhere(context: Context) -> Outcome {
    let (bytes, other) = (random_bytes(1000), context.another());
    let digest = context.push_blob(&bytes).await?;
    other.push_blob(&bytes).await?;
    let endpoint = format!("blobs/{digest}");
    let answer = context.delete(&endpoint).await?;
    if answer.status.as_u16() == 405 {
        return skip("the registry does not delete blobs");
    }
    context.get(&endpoint).await?.is(&[404])?;
    other.get(&endpoint).await?.is(&[200])?.has_body(&bytes)?;
    Ok(())
}

async fn isolated(context: Context) -> Outcome {
    let other = context.another();
    let digest = context.push_blob(&random_bytes(1000)).await?;
    other.push_blob(&random_bytes(10)).await?;
    other
        .get(&format!("blobs/{digest}"))
        .await?
        .refused(&[404], &["BLOB_UNKNOWN"])?;
    Ok(())
}

async fn conditional(context: Context) -> Outcome {
    let digest = context.push_blob(&random_bytes(1000)).await?;
    let endpoint = format!("blobs/{digest}");
    let answer = context.get(&endpoint).await?.is(&[200])?;
    let Some(tag) = answer.header("etag") else {
        return skip("blobs have no ETag");
    };
    let ask = context
        .ask(Method::GET, &endpoint)
        .header(header::IF_NONE_MATCH, tag);
    let again = context.send(ask).await?.is(&[304])?;
    match again.body.len() {
        0 => Ok(()),
        length => fail(format!("{again} has a body of {length} bytes")),
    }
}
