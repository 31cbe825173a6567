//! The list of tags.

use serde_json::Value;

use crate::check::{Context, Ended, Outcome, checks, fail};
use crate::client::{Answer, Ask};

checks! { "tags",
    "the list is in ASCII order" => sorted,
    "n ends a page and Link leads on to all of it" => pages,
    "last begins behind that tag" => last,
    "n=0 gives an empty page" => none,
    "a large n is no error" => large,
    "an unknown repository is 404 NAME_UNKNOWN" => unknown,
    "a deleted tag is gone from the list at once" => deleted,
}

// Digits, upper case, the underscore, lower case: not the order of any language.
const TAGS: [&str; 7] = ["1", "B", "_x", "a", "a-b", "a.b", "c"];

async fn push_tags(context: &Context) -> Outcome {
    let manifest = context.push_image(TAGS[3]).await?;
    for tag in TAGS {
        context.put_manifest(tag, &manifest).await?.is(&[201])?;
    }
    Ok(())
}

fn tags(answer: &Answer) -> Vec<String> {
    let list = answer.json()["tags"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    list.iter()
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

/// The address that `Link: <…>; rel="next"` leads to.
pub(super) fn next(answer: &Answer) -> Result<Option<String>, Ended> {
    let Some(link) = answer.header("link") else {
        return Ok(None);
    };
    let address = link.strip_prefix('<').and_then(|link| link.split_once('>'));
    match address {
        Some((address, rest)) if rest.contains("next") => Ok(Some(address.to_owned())),
        _ => fail(format!("{answer} has a Link that leads nowhere: {link}")),
    }
}

async fn lists(context: &Context, query: &str, want: &[&str]) -> Result<Answer, Ended> {
    let answer = context
        .get(&format!("tags/list{query}"))
        .await?
        .is(&[200])?;
    if tags(&answer) != want {
        return fail(format!("{answer} lists {:?}, not {want:?}", tags(&answer)));
    }
    Ok(answer)
}

async fn sorted(context: Context) -> Outcome {
    push_tags(&context).await?;
    let answer = lists(&context, "", &TAGS).await?;
    match answer.json()["name"] == context.repository.as_str() {
        true => Ok(()),
        false => fail(format!("{answer} names another repository")),
    }
}

async fn pages(context: Context) -> Outcome {
    push_tags(&context).await?;
    let mut path = Some(context.path("tags/list?n=3"));
    let mut seen = Vec::new();
    while let Some(this) = path {
        let answer = context
            .send(Ask::new(http::Method::GET, this))
            .await?
            .is(&[200])?;
        let page = tags(&answer);
        if page.len() > 3 || seen.len() > TAGS.len() {
            return fail(format!(
                "{answer} has a page of {} after {}",
                page.len(),
                seen.len()
            ));
        }
        seen.extend(page);
        path = next(&answer)?;
    }
    match seen == TAGS {
        true => Ok(()),
        false => fail(format!("the pages hold {seen:?}, not {TAGS:?}")),
    }
}

async fn last(context: Context) -> Outcome {
    push_tags(&context).await?;
    lists(&context, "?last=a", &TAGS[4..]).await?;
    lists(&context, "?n=2&last=a", &TAGS[4..6]).await?;
    Ok(())
}

async fn none(context: Context) -> Outcome {
    push_tags(&context).await?;
    let answer = lists(&context, "?n=0", &[]).await?;
    match answer.header("link") {
        None => Ok(()),
        Some(link) => fail(format!("{answer} has a Link: {link}")),
    }
}

async fn large(context: Context) -> Outcome {
    push_tags(&context).await?;
    for number in ["100000", "2147483648", "99999999999999999999"] {
        let answer = context.get(&format!("tags/list?n={number}")).await?;
        if answer.status.is_client_error() {
            continue;
        }
        answer.is(&[200])?;
    }
    Ok(())
}

async fn unknown(context: Context) -> Outcome {
    context
        .get("tags/list")
        .await?
        .refused(&[404], &["NAME_UNKNOWN"])?;
    Ok(())
}

async fn deleted(context: Context) -> Outcome {
    push_tags(&context).await?;
    let answer = context.delete("manifests/a").await?;
    answer.is(&[202])?;
    let rest: Vec<&str> = TAGS.into_iter().filter(|tag| *tag != "a").collect();
    lists(&context, "", &rest).await?;
    Ok(())
}
