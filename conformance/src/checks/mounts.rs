//! Giving a repository a blob that another one has.

use http::{Method, StatusCode};

use crate::check::{Context, Ended, Outcome, checks, skip, with_digest};
use crate::client::{Answer, Ask};
use crate::content::{digest, random_bytes};

checks! { "mounts",
    "a mount with its source makes the blob" => with_source,
    "a mount without its source makes the blob" => without_source,
    "a mount from an unknown repository falls back to an upload" => unknown_repository,
    "a mount of an unknown blob falls back to an upload" => unknown_blob,
    "a mount from a repository without the blob falls back to an upload" => wrong_repository,
}

async fn mount(context: &Context, digest: &str, from: Option<&str>) -> Result<Answer, Ended> {
    let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
    let endpoint = format!("blobs/uploads/?mount={digest}{from}");
    context.send(context.ask(Method::POST, &endpoint)).await
}

/// Ends the upload that a refused mount has begun.
async fn falls_back(context: &Context, answer: Answer) -> Outcome {
    let bytes = random_bytes(100);
    let location = answer.is(&[202])?.location()?;
    let ask = Ask::new(Method::PUT, with_digest(&location, &digest(&bytes))).body(bytes.clone());
    context.send(ask).await?.is(&[201])?;
    Ok(())
}

async fn with_source(context: Context) -> Outcome {
    let (bytes, target) = (random_bytes(1000), context.another());
    let digest = context.push_blob(&bytes).await?;
    let answer = mount(&target, &digest, Some(&context.repository)).await?;
    if answer.status == StatusCode::ACCEPTED {
        return skip("mounts are not supported");
    }
    answer
        .is(&[201])?
        .has("docker-content-digest", &digest)?
        .location()?;
    target
        .get(&format!("blobs/{digest}"))
        .await?
        .is(&[200])?
        .has_body(&bytes)?;
    Ok(())
}

async fn without_source(context: Context) -> Outcome {
    let (bytes, target) = (random_bytes(1000), context.another());
    let digest = context.push_blob(&bytes).await?;
    let answer = mount(&target, &digest, None).await?;
    if answer.status == StatusCode::ACCEPTED {
        return skip("mounts without their source are not supported");
    }
    answer.is(&[201])?;
    target
        .get(&format!("blobs/{digest}"))
        .await?
        .is(&[200])?
        .has_body(&bytes)?;
    Ok(())
}

async fn unknown_repository(context: Context) -> Outcome {
    let source = context.another().repository;
    let answer = mount(&context, &digest(&random_bytes(10)), Some(&source)).await?;
    falls_back(&context, answer).await
}

async fn unknown_blob(context: Context) -> Outcome {
    let source = context.another();
    source.push_blob(&random_bytes(10)).await?;
    let unknown = digest(&random_bytes(10));
    let answer = mount(&context, &unknown, Some(&source.repository)).await?;
    falls_back(&context, answer).await
}

async fn wrong_repository(context: Context) -> Outcome {
    let (source, holder) = (context.another(), context.another());
    source.push_blob(&random_bytes(10)).await?;
    let digest = holder.push_blob(&random_bytes(1000)).await?;
    let answer = mount(&context, &digest, Some(&source.repository)).await?;
    falls_back(&context, answer).await
}
