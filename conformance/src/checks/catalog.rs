//! The list of repositories, which the specification leaves to each registry.

use http::{Method, StatusCode};
use serde_json::Value;

use super::tags::next;
use crate::check::{Context, Ended, Outcome, checks, fail, skip};
use crate::client::{Answer, Ask};

checks! { "catalog",
    "a pushed repository is listed" => lists,
    "n ends a page and Link leads on" => pages,
}

/// How many pages are read: the registry may be somebody's own, with any number of repositories.
const MOST_PAGES: usize = 200;

async fn ask(context: &Context, path: String) -> Result<Answer, Ended> {
    let answer = context.send(Ask::new(Method::GET, path)).await?;
    match answer.status {
        StatusCode::OK => Ok(answer),
        StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            skip(format!("{answer}: there is no catalog for this caller"))
        }
        _ => fail(format!("{answer} came, not 200")),
    }
}

fn names(answer: &Answer) -> Vec<String> {
    let list = answer.json()["repositories"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    list.iter()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

async fn lists(context: Context) -> Outcome {
    context.push_image("v1").await?;
    let before: String = context
        .repository
        .chars()
        .take(context.repository.len() - 1)
        .collect();
    let answer = ask(&context, format!("/v2/_catalog?last={before}&n=10")).await?;
    match names(&answer).contains(&context.repository) {
        true => Ok(()),
        false => fail(format!("{answer} does not list {}", context.repository)),
    }
}

async fn pages(context: Context) -> Outcome {
    let others = [context.another(), context.another(), context.another()];
    for other in &others {
        other.push_image("v1").await?;
    }
    let mut path = Some(format!("/v2/_catalog?n=2&last={}", context.repository));
    let mut seen = Vec::new();
    for _ in 0..MOST_PAGES {
        let Some(this) = path else { break };
        let answer = ask(&context, this).await?;
        let page = names(&answer);
        if page.len() > 2 {
            return fail(format!("{answer} has a page of {}", page.len()));
        }
        seen.extend(page);
        if others.iter().all(|other| seen.contains(&other.repository)) {
            return Ok(());
        }
        path = next(&answer)?;
    }
    fail("the pages do not hold the repositories that were pushed")
}
