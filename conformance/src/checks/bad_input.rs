//! Input outside the grammar: refused with 4xx, in the specification's form where the body is JSON,
//! and never by a failure of the server.

use bytes::Bytes;
use http::{Method, header};

use crate::check::{Context, Outcome, checks, fail};
use crate::client::Ask;
use crate::content::{OCI_IMAGE, digest, image, random_bytes};

checks! { "bad input",
    "names outside the grammar" => names,
    "tags outside the grammar" => tags,
    "digests outside the grammar" => digests,
    "a Content-Range that is none" => content_ranges,
    "a manifest of 4 MiB of brackets" => brackets,
    "a manifest with numbers for texts" => wrong_types,
    "an n that is no number" => page_numbers,
    "a method that an endpoint does not know" => methods,
}

/// Asserts that a request is refused, as the client's fault. The body may have any form, but as
/// JSON it has that of the specification.
async fn refused(context: &Context, ask: Ask) -> Outcome {
    let answer = context.send(ask).await?;
    if !answer.status.is_client_error() {
        return fail(format!("{answer} came, not 4xx"));
    }
    let body = answer.json();
    if !body.is_null() && !body["errors"][0]["code"].is_string() {
        return fail(format!(
            "{answer} has JSON of another form than an OCI error"
        ));
    }
    Ok(())
}

async fn names(context: Context) -> Outcome {
    let long = "a".repeat(300);
    for name in [
        "UPPER", "-a", "a-", "a//b", "a/../b", "a..b", "a___b", "%2e%2e", "a%00b", "a%20b", "%ff",
        &long,
    ] {
        refused(
            &context,
            Ask::new(Method::GET, format!("/v2/{name}/tags/list")),
        )
        .await?;
        refused(
            &context,
            Ask::new(Method::GET, format!("/v2/{name}/manifests/v1")),
        )
        .await?;
        refused(
            &context,
            Ask::new(Method::POST, format!("/v2/{name}/blobs/uploads/")),
        )
        .await?;
    }
    Ok(())
}

async fn tags(context: Context) -> Outcome {
    let config = random_bytes(100);
    context.push_blob(&config).await?;
    let long = "t".repeat(129);
    for tag in ["-a", ".a", "a%20b", "a%2fb", "a+b", "%C3%A4", &long] {
        let body = image(&config, &[]).to_string();
        let ask = context
            .ask(Method::PUT, &format!("manifests/{tag}"))
            .body(body);
        refused(&context, ask.header(header::CONTENT_TYPE, OCI_IMAGE)).await?;
    }
    Ok(())
}

async fn digests(context: Context) -> Outcome {
    context.push_blob(&random_bytes(10)).await?;
    let upper = format!("sha256:{}", "A".repeat(64));
    for text in [
        "sha256:",
        "sha256:00",
        "sha256:..%2f..%2fetc",
        "md5:0",
        "nothing",
        &upper,
    ] {
        refused(&context, context.ask(Method::GET, &format!("blobs/{text}"))).await?;
        let ask = context.ask(Method::POST, &format!("blobs/uploads/?digest={text}"));
        refused(&context, ask.body(Bytes::from_static(b"x"))).await?;
    }
    Ok(())
}

async fn content_ranges(context: Context) -> Outcome {
    for range in ["x-y", "5-1", "-5", "10", "0-99999999999999999999999"] {
        let location = context.begin("").await?;
        let ask = Ask::new(Method::PATCH, location).header(header::CONTENT_RANGE, range);
        refused(&context, ask.body(Bytes::from_static(b"x"))).await?;
    }
    Ok(())
}

async fn brackets(context: Context) -> Outcome {
    context.push_blob(&random_bytes(10)).await?;
    let ask = context
        .ask(Method::PUT, "manifests/v1")
        .body(vec![b'['; (4 << 20) - 1]);
    refused(&context, ask.header(header::CONTENT_TYPE, OCI_IMAGE)).await
}

async fn wrong_types(context: Context) -> Outcome {
    let config = random_bytes(10);
    context.push_blob(&config).await?;
    let digest = digest(&config);
    for text in [
        r#"{"schemaVersion":"2","config":{},"layers":[]}"#.to_owned(),
        r#"{"schemaVersion":2,"config":[],"layers":{}}"#.to_owned(),
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":1,"digest":"{digest}","size":"x"}},"layers":[]}}"#
        ),
        r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"x","size":1},"layers":[]}"#
            .to_owned(),
    ] {
        let ask = context.ask(Method::PUT, "manifests/v1").body(text);
        refused(&context, ask.header(header::CONTENT_TYPE, OCI_IMAGE)).await?;
    }
    Ok(())
}

async fn page_numbers(context: Context) -> Outcome {
    context.push_image("v1").await?;
    for number in ["-1", "abc", "1.5"] {
        refused(
            &context,
            context.ask(Method::GET, &format!("tags/list?n={number}")),
        )
        .await?;
    }
    Ok(())
}

async fn methods(context: Context) -> Outcome {
    context.push_image("v1").await?;
    refused(&context, context.ask(Method::POST, "tags/list")).await?;
    refused(&context, context.ask(Method::PATCH, "manifests/v1")).await
}
