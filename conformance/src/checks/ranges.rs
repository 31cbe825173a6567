//! Parts of blobs.

use bytes::Bytes;
use http::{Method, StatusCode, header};

use crate::check::{Context, Ended, Outcome, checks, fail, skip};
use crate::client::Answer;
use crate::content::random_bytes;

checks! { "ranges",
    "first-last gives that part" => first_last,
    "first- gives the rest" => first,
    "-count gives the end" => suffix,
    "an end behind the blob's is cut" => cut,
    "0- gives all of it as a part" => whole,
    "a start behind the end is 416" => behind,
    "a last before its first is 416" => backwards,
    "several parts come in one answer" => several,
}

const SIZE: usize = 2048;

/// Pushes a blob and asks for a part.
async fn part(context: &Context, range: &str) -> Result<(Bytes, Answer), Ended> {
    let bytes = random_bytes(SIZE);
    let digest = context.push_blob(&bytes).await?;
    let ask = context.ask(Method::GET, &format!("blobs/{digest}"));
    let answer = context.send(ask.header(header::RANGE, range)).await?;
    if answer.status == StatusCode::OK {
        return skip("ranges are not supported: the whole blob came");
    }
    Ok((bytes, answer))
}

async fn gives(context: &Context, range: &str, start: usize, end: usize) -> Outcome {
    let (bytes, answer) = part(context, range).await?;
    let content_range = format!("bytes {start}-{}/{SIZE}", end - 1);
    answer
        .is(&[206])?
        .has("content-range", &content_range)?
        .has("content-length", &(end - start).to_string())?
        .has_body(&bytes[start..end])?;
    Ok(())
}

async fn first_last(context: Context) -> Outcome {
    gives(&context, "bytes=500-1499", 500, 1500).await
}

async fn first(context: Context) -> Outcome {
    gives(&context, "bytes=500-", 500, SIZE).await
}

async fn suffix(context: Context) -> Outcome {
    gives(&context, "bytes=-500", SIZE - 500, SIZE).await
}

async fn cut(context: Context) -> Outcome {
    gives(&context, "bytes=2000-5000", 2000, SIZE).await
}

async fn whole(context: Context) -> Outcome {
    gives(&context, "bytes=0-", 0, SIZE).await
}

async fn behind(context: Context) -> Outcome {
    part(&context, "bytes=5000-10000").await?.1.is(&[416])?;
    Ok(())
}

async fn backwards(context: Context) -> Outcome {
    part(&context, "bytes=500-0").await?.1.is(&[416])?;
    Ok(())
}

async fn several(context: Context) -> Outcome {
    let (bytes, answer) = part(&context, "bytes=0-9,1000-1099").await?;
    let answer = answer.is(&[206])?;
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.starts_with("multipart/byteranges") {
        return fail(format!(
            "{answer} is of type {kind}, not multipart/byteranges"
        ));
    }
    let holds = |part: &[u8]| answer.body.windows(part.len()).any(|window| window == part);
    if !holds(&bytes[0..10]) || !holds(&bytes[1000..1100]) {
        return fail(format!("{answer} lacks a part"));
    }
    Ok(())
}
