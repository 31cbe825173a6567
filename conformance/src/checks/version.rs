//! `/v2/`: whether this is a registry.

use http::Method;

use crate::check::{Context, Outcome, checks};
use crate::client::Ask;

checks! { "version",
    "GET /v2/ answers 200" => answers,
    "GET /v2/ names the version of the API" => names_the_version,
}

async fn answers(context: Context) -> Outcome {
    context
        .send(Ask::new(Method::GET, "/v2/"))
        .await?
        .is(&[200])?;
    Ok(())
}

async fn names_the_version(context: Context) -> Outcome {
    let answer = context.send(Ask::new(Method::GET, "/v2/")).await?;
    answer.has("docker-distribution-api-version", "registry/2.0")?;
    Ok(())
}
